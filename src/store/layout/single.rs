//! A single file that has come whole gets its mode, its time and its name.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::dress::Dress;
use super::place::is_same;
use super::{files, open_base, sys};
use crate::object::table::Entry;
use crate::store::TreeOptions;

/// Fate of a file that was to get a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    /// It has the name.
    Done,
    /// A file with the same bytes had the name; it is left as it is, and the other is gone.
    Same,
    /// Something else has the name, and nothing was done.
    Taken,
}

/// The folder of a single file.
pub(crate) struct Single(OwnedFd);

impl Single {
    /// Opens it: in `into`, which is what the user said, no link is followed.
    pub(crate) fn open(into: &Path, folders: &[&str]) -> io::Result<Single> {
        let mut at = open_base(into)?;
        for name in folders {
            at = files::enter(&at, name.as_bytes(), false)?;
        }
        Ok(Single(at))
    }

    /// Gives the file `part` a name that nothing may have.
    pub(crate) fn name(&self, part: &str, name: &str) -> io::Result<Named> {
        let (part, name) = (part.as_bytes(), name.as_bytes());
        if sys::look(&self.0, name)?.is_none() {
            match sys::rename_new(&self.0, part, &self.0, name) {
                Err(Errno::EXIST) => {}
                result => return Ok(result.map(|()| Named::Done)?),
            }
        }
        let Some(stat) = sys::look(&self.0, name)? else {
            return Ok(Named::Taken);
        };
        let is_file = sys::kind_of(&stat) == FileType::RegularFile;
        if !is_file || !is_same((&self.0, part), (&self.0, name), &stat)? {
            return Ok(Named::Taken);
        }
        sys::unlink(&self.0, part)?;
        Ok(Named::Same)
    }
}

/// Gives a file the time of its entry, and owner and attributes where they are asked for. The mode
/// is for when it has its name: until then its owner can write it, so that a later run can go on.
/// Also gives why something was not possible.
pub(crate) fn dress(
    file: &File,
    entry: &Entry<'_>,
    options: TreeOptions,
) -> io::Result<(u32, Result<(), String>)> {
    let made = sys::bits(&fstat(file)?);
    // Who may not write a file that was made may not write this one, and so on.
    let shown = made & 0o666 | (made & 0o444) >> 2;
    let dress = Dress {
        allowed: sys::allowed().unwrap_or(shown),
        owner: options.owner,
        xattrs: options.xattrs,
    };
    Ok(dress.unnamed(file, entry))
}
