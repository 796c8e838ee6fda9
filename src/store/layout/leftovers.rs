//! What was staged of other versions of a tree.
//!
//! Bytes of another version could stand where this one has holes, which nobody writes; so its
//! staging folder is not written into, but moved into `NAME.part.old/`, under a number. Files in
//! there are looked for by their hashes as those under the object's name are, and all goes once
//! what is of use has been copied.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::{clear, files, open_base, staging_name, sys};
use crate::object::ObjectKind;
use crate::store::SinkError;

/// The most versions that are kept: more are as if none had been there.
const MAX_VERSIONS: u32 = 1_000;

/// The staging folder of an object, and those of its other versions.
pub(crate) struct Leftovers {
    into: PathBuf,
    staging: String,
}

impl Leftovers {
    /// Leftovers of an object that comes into `into`.
    pub(crate) fn new(into: &Path, name: &str, kind: ObjectKind) -> Leftovers {
        Leftovers {
            into: into.to_path_buf(),
            staging: staging_name(name, kind),
        }
    }

    /// The folder that they are in.
    pub(crate) fn path(&self) -> PathBuf {
        self.into.join(self.old())
    }

    /// Where the object is staged.
    pub(crate) fn staging_path(&self) -> PathBuf {
        self.into.join(&self.staging)
    }

    fn old(&self) -> String {
        format!("{}.old", self.staging)
    }

    /// Whether a folder is where the object is staged.
    pub(crate) fn is_staged(&self) -> Result<bool, SinkError> {
        self.has(&self.staging)
    }

    /// Whether there is anything of another version.
    pub(crate) fn is_any(&self) -> Result<bool, SinkError> {
        self.has(&self.old())
    }

    /// Moves what is staged there.
    pub(crate) fn keep_staged(&self) -> Result<(), SinkError> {
        if !self.is_staged()? {
            return Ok(());
        }
        let moved = self.base().and_then(|base| self.move_staged(&base));
        moved.map_err(|e| SinkError::write(&self.path(), e))
    }

    fn move_staged(&self, base: &OwnedFd) -> io::Result<()> {
        let old = files::enter(base, self.old().as_bytes(), true)?;
        for number in 0..MAX_VERSIONS {
            let name = number.to_string();
            match sys::rename_new(base, self.staging.as_bytes(), &old, name.as_bytes()) {
                Err(Errno::EXIST) => {}
                result => return Ok(result?),
            }
        }
        clear::remove_all(base, self.staging.as_bytes())
    }

    /// Removes what there is of other versions.
    pub(crate) fn clear(&self) -> Result<(), SinkError> {
        self.remove(&self.old())
    }

    /// Removes what is staged.
    pub(crate) fn clear_staged(&self) -> Result<(), SinkError> {
        self.remove(&self.staging)
    }

    fn base(&self) -> io::Result<OwnedFd> {
        open_base(&self.into)
    }

    /// Whether a folder has the name: anything else is nothing of a tree's.
    fn has(&self, name: &str) -> Result<bool, SinkError> {
        let look = || -> io::Result<bool> {
            let stat = sys::look(self.base()?, name.as_bytes())?;
            Ok(stat.is_some_and(|stat| sys::kind_of(&stat) == FileType::Directory))
        };
        look().map_err(|e| SinkError::read(&self.into.join(name), e))
    }

    fn remove(&self, name: &str) -> Result<(), SinkError> {
        if !self.has(name)? {
            return Ok(());
        }
        let removed = self
            .base()
            .and_then(|base| clear::remove_all(&base, name.as_bytes()));
        removed.map_err(|e| SinkError::write(&self.into.join(name), e))
    }
}
