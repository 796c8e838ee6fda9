//! The place of a tree: a layout in the receiver's folder.

use std::ops::Range;
use std::path::Path;
#[cfg(not(unix))]
use std::path::PathBuf;
use std::sync::Arc;

use super::Place;
use crate::object::ObjectKind;
use crate::object::table::FileTable;
use crate::store::{Remarks, SinkError};

#[cfg(unix)]
use crate::store::layout::Layout;
#[cfg(unix)]
pub(super) use crate::store::layout::Leftovers;

/// Options: what of an object is applied, and what may be done to what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TreeOptions {
    /// Files that are there with other bytes are replaced; else they are kept.
    pub overwrite: bool,
    /// Paths that a folder has and the object lacks are removed.
    pub delete: bool,
    /// User and group are set, as far as that is permitted.
    pub owner: bool,
    /// Extended attributes are set, as far as that is permitted.
    pub xattrs: bool,
    /// Symbolic links that lead out of the object are made; else they are left out.
    pub outside_links: bool,
}

/// A tree that needs a place.
pub(crate) struct Tree<'a> {
    /// The folder that its name is in.
    pub(crate) folder: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) kind: ObjectKind,
    pub(crate) table: &'a Arc<FileTable>,
    /// Entries that are under their names already, with any time and mode.
    pub(crate) is_there: &'a dyn Fn(usize) -> bool,
    /// Entries that are wanted.
    pub(crate) is_wanted: &'a dyn Fn(usize) -> bool,
}

/// Makes the place of a tree, or finds what an earlier run left of it.
#[cfg(unix)]
pub(super) fn make(tree: &Tree<'_>, options: TreeOptions) -> Result<Box<dyn Place>, SinkError> {
    let table = tree.table.clone();
    let layout = Layout::open_part(
        tree.folder,
        tree.name,
        tree.kind,
        table,
        options,
        tree.is_there,
        tree.is_wanted,
    )?;
    Ok(Box::new(layout))
}

#[cfg(unix)]
impl Place for Layout {
    fn write(&mut self, content: Range<u64>, bytes: &[u8]) -> Result<(), SinkError> {
        Layout::write(self, content, bytes)
    }

    fn read(&self, content: Range<u64>, into: &mut [u8]) -> Result<(), SinkError> {
        Layout::read(self, content, into)
    }

    fn finish(&mut self, _: &FileTable) -> Result<(), SinkError> {
        Layout::finish(self)
    }

    fn remarks(&self) -> Remarks {
        Layout::remarks(self).clone()
    }

    fn abandon(&mut self, keep: bool) -> Result<(), SinkError> {
        Layout::abandon(self, keep)
    }
}

/// Trees have a place on Unix only.
#[cfg(not(unix))]
pub(super) fn make(_: &Tree<'_>, _: TreeOptions) -> Result<Box<dyn Place>, SinkError> {
    let text = "it is of a folder, which is received on Unix only";
    Err(SinkError::BadTable(text.to_owned()))
}

/// Where no tree has a place, nothing is left of one.
#[cfg(not(unix))]
pub(super) struct Leftovers;

#[cfg(not(unix))]
impl Leftovers {
    pub(super) fn new(_: &Path, _: &str, _: ObjectKind) -> Leftovers {
        Leftovers
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::new()
    }

    pub(super) fn staging_path(&self) -> PathBuf {
        PathBuf::new()
    }

    pub(super) fn is_staged(&self) -> Result<bool, SinkError> {
        Ok(false)
    }

    pub(super) fn is_any(&self) -> Result<bool, SinkError> {
        Ok(false)
    }

    pub(super) fn keep_staged(&self) -> Result<(), SinkError> {
        Ok(())
    }

    pub(super) fn clear(&self) -> Result<(), SinkError> {
        Ok(())
    }

    pub(super) fn clear_staged(&self) -> Result<(), SinkError> {
        Ok(())
    }
}
