//! Where files are until all of them hold: a folder of this run's own inside the one they go to.
//!
//! Files have numbers there, not names. It is on the same file system, so that a rename is enough
//! in the end, and only its owner may look into it.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::archive::FileEntry;
use crate::object::SafeName;
use crate::store::archive::PackError;
use crate::store::folder::Folder;
use crate::store::sink::{check_target, set_mode, system_time};
use crate::store::{SinkError, random};

/// Removed with all that is in it when dropped.
pub(super) struct Staging {
    base: PathBuf,
    own: Folder,
    path: PathBuf,
}

impl Staging {
    /// In `into`, which is made if it is not there, if `need` bytes have room.
    pub(super) fn create(into: &Path, need: u64) -> Result<Staging, PackError> {
        let base = Folder::open(into, &[])?;
        if let Some(free) = base.free().filter(|&free| free < need) {
            return Err(PackError::Write(SinkError::NoSpace {
                path: into.to_path_buf(),
                need,
                free,
            }));
        }
        let number = u64::from_be_bytes(random::bytes().map_err(PackError::Entropy)?);
        let name = format!(".loopcast-{number:016x}.part");
        let path = base.path_of(&name);
        let fault = |source| SinkError::Folder {
            path: path.clone(),
            source,
        };
        let own = base.make_own(&name).map_err(fault)?;
        Ok(Staging {
            base: into.to_path_buf(),
            own,
            path,
        })
    }

    /// Makes a file of so many bytes, as a hole.
    pub(super) fn make(&self, number: usize, len: u64) -> Result<(), PackError> {
        let file = self.file(number)?;
        let path = self.own.path_of(&number.to_string());
        Ok(file.set_len(len).map_err(|e| SinkError::write(&path, e))?)
    }

    /// Opens one.
    pub(super) fn file(&self, number: usize) -> Result<File, PackError> {
        Ok(self.own.open_file(&number.to_string())?)
    }

    /// Gives all files their times and names; none if something is in the way of one.
    pub(super) fn finish(&self, entries: &[FileEntry]) -> Result<Vec<PathBuf>, PackError> {
        for entry in entries {
            let (folder, name) = self.place(&entry.path)?;
            check_target(&folder, name)?;
        }
        let mut paths = Vec::with_capacity(entries.len());
        for (number, entry) in entries.iter().enumerate() {
            let (folder, name) = self.place(&entry.path)?;
            let path = folder.path_of(name);
            let file = self.file(number)?;
            if let Some(time) = entry.mtime.and_then(system_time) {
                let _ = file.set_modified(time);
            }
            if let Some(mode) = entry.mode {
                set_mode(&file, mode);
            }
            file.sync_all()
                .and_then(|()| folder.take(&self.own, &number.to_string(), name))
                .and_then(|()| folder.sync())
                .map_err(|e| SinkError::write(&path, e))?;
            paths.push(path);
        }
        Ok(paths)
    }

    fn place<'a>(&self, name: &'a SafeName) -> Result<(Folder, &'a str), SinkError> {
        let (folders, name) = name.split();
        Ok((Folder::open(&self.base, &folders)?, name))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
