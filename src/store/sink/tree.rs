//! The place of a tree: a layout in the receiver's folder.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Place;
use crate::object::table::FileTable;
use crate::object::{Description, ObjectKind};
use crate::store::{Remarks, SinkError};

#[cfg(unix)]
use crate::store::layout::Layout;
#[cfg(unix)]
pub use crate::store::layout::LayoutOptions as TreeOptions;

/// A tree that needs a place.
pub(crate) struct Tree<'a> {
    /// The folder that its name is in.
    pub(crate) folder: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) kind: ObjectKind,
    pub(crate) table: &'a Arc<FileTable>,
    /// Entries that are under their names already, as they should be.
    pub(crate) is_there: &'a dyn Fn(usize) -> bool,
}

/// Makes the place of a tree, or finds what an earlier run left of it.
#[cfg(unix)]
pub(super) fn make(tree: &Tree<'_>, options: TreeOptions) -> Result<Box<dyn Place>, SinkError> {
    let table = tree.table.clone();
    let layout = Layout::open(
        tree.folder,
        tree.name,
        tree.kind,
        table,
        options,
        tree.is_there,
    )?;
    Ok(Box::new(layout))
}

/// Where a tree is until it has its name.
pub(super) fn staging(folder: &Path, name: &str, description: &Description) -> PathBuf {
    match description.kind {
        ObjectKind::Inside => folder.join(format!(".{name}.part")),
        _ => folder.join(format!("{name}.part")),
    }
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

/// What of a tree is applied, and what may be done to what is there.
#[cfg(not(unix))]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TreeOptions {}

/// Trees have a place on Unix only.
#[cfg(not(unix))]
pub(super) fn make(_: &Tree<'_>, _: TreeOptions) -> Result<Box<dyn Place>, SinkError> {
    let text = "it is of a folder, which is received on Unix only";
    Err(SinkError::BadTable(text.to_owned()))
}
