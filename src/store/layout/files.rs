//! Files and folders of a tree on disk, reached through opened folders only.
//!
//! Takes paths of a table, gives open files. Every step is one component that is no link, so
//! nothing that is swapped for a link meanwhile leads out of the tree. A few stay open: those used
//! last.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;

use super::sys::{self, How};

/// Files that stay open; 64 descriptors are to be enough for a whole process.
const MOST_FILES: usize = 6;
/// Folders that do.
const MOST_FOLDERS: usize = 6;

/// A tree's folder, and what of it is open.
#[derive(Debug)]
pub(super) struct Files {
    root: Arc<OwnedFd>,
    /// By path, the one used last at the end.
    folders: Vec<(Vec<u8>, Arc<OwnedFd>)>,
    /// By entry and whether it may be written, the one used last at the end.
    files: Vec<((usize, bool), Arc<File>)>,
}

/// Opens a folder in another; with `make` it is made if it is not there.
pub(super) fn enter(at: impl AsFd, name: &[u8], make: bool) -> Result<OwnedFd, Errno> {
    loop {
        match sys::open_folder(&at, name) {
            Err(Errno::NOENT) if make => match sys::make_folder(&at, name, 0o700) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            },
            result => return result,
        }
    }
}

/// The path of the folder that a path is in, and the last component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// A file that was opened is the tree's own, and nobody's beside.
fn check(file: &File) -> io::Result<Stat> {
    let stat = fstat(file)?;
    if sys::kind_of(&stat) == FileType::RegularFile && stat.st_nlink == 1 {
        return Ok(stat);
    }
    let text = "something that is not this object's own file is in the way";
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}

impl Files {
    pub(super) fn new(root: OwnedFd) -> Files {
        Files {
            root: Arc::new(root),
            folders: Vec::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn root(&self) -> &Arc<OwnedFd> {
        &self.root
    }

    /// A folder of the tree, empty path for the tree's own; with `make` it and those above are made
    /// if they are not there.
    pub(super) fn folder(&mut self, path: &[u8], make: bool) -> Result<Arc<OwnedFd>, Errno> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(at) = self.folders.iter().rposition(|(p, _)| p == path) {
            self.folders[at..].rotate_left(1);
            return Ok(self.folders[self.folders.len() - 1].1.clone());
        }
        let (above, name) = split(path);
        // As deep as a path has components, which are bounded.
        let above = self.folder(above, make)?;
        let folder = Arc::new(enter(&above, name, make)?);
        if self.folders.len() == MOST_FOLDERS {
            self.folders.remove(0);
        }
        self.folders.push((path.to_vec(), folder.clone()));
        Ok(folder)
    }

    /// A plain file that is being staged, by its entry's number and path; and what the system says
    /// of it if it was not open yet.
    pub(super) fn staged(
        &mut self,
        entry: usize,
        path: &[u8],
        how: How,
    ) -> io::Result<(Arc<File>, Option<Stat>)> {
        if let Some(file) = self.open_already(entry, how != How::Read) {
            return Ok((file, None));
        }
        let (folder, name) = split(path);
        let folder = self.folder(folder, matches!(how, How::Make(_)))?;
        let file = match sys::open_file(&folder, name, how) {
            // An earlier run had given it its mode.
            Err(Errno::ACCESS) if how != How::Read => {
                let file = sys::open_file(&folder, name, How::Read)?;
                let stat = check(&file)?;
                sys::set_mode(&file, (sys::bits(&stat) & 0o777) | 0o600)?;
                sys::open_file(&folder, name, How::Write)?
            }
            result => result?,
        };
        let stat = check(&file)?;
        Ok((self.remember(entry, how != How::Read, file), Some(stat)))
    }

    /// A plain file that is under its name, open for reading.
    pub(super) fn placed(&mut self, entry: usize, path: &[u8]) -> io::Result<Arc<File>> {
        if let Some(file) = self.open_already(entry, false) {
            return Ok(file);
        }
        let (folder, name) = split(path);
        let folder = self.folder(folder, false)?;
        let file = sys::open_file(&folder, name, How::Read)?;
        if !file.metadata()?.is_file() {
            return Err(Errno::NOENT.into());
        }
        Ok(self.remember(entry, false, file))
    }

    fn open_already(&mut self, entry: usize, write: bool) -> Option<Arc<File>> {
        let is_it = |&(e, may): &(usize, bool)| e == entry && (may || !write);
        let at = self.files.iter().rposition(|(key, _)| is_it(key))?;
        self.files[at..].rotate_left(1);
        self.files.last().map(|(_, file)| file.clone())
    }

    fn remember(&mut self, entry: usize, write: bool, file: File) -> Arc<File> {
        let file = Arc::new(file);
        if self.files.len() == MOST_FILES {
            self.files.remove(0);
        }
        self.files.push(((entry, write), file.clone()));
        file
    }

    /// Closes a file.
    pub(super) fn close(&mut self, entry: usize) {
        self.files.retain(|((e, _), _)| *e != entry);
    }

    /// Closes everything but the tree's folder.
    pub(super) fn close_all(&mut self) {
        self.files.clear();
        self.folders.clear();
    }
}
