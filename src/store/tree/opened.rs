//! The folders and files of a tree that are open: a few of each, the most recently used.
//!
//! Each folder is opened within the one above it and must be the very folder that was scanned. So a
//! folder that somebody swaps for another, or for a link, is noticed, and never entered.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::tree::nodes::Tree;
use crate::store::tree::system;

/// Most folders, and most files, that are kept open.
const KEPT: usize = 8;

/// What of a tree is open.
#[derive(Debug, Default)]
pub(super) struct Opened {
    folders: Recent,
    files: Recent,
}

/// Open files by index, the most recently used last.
#[derive(Debug, Default)]
struct Recent(Mutex<Vec<(u32, Arc<OwnedFd>)>>);

/// Why something of a tree could not be opened.
#[derive(Debug)]
pub(super) enum OpenFault {
    /// A folder on the way to it is another one than was scanned.
    Replaced,
    Io(io::Error),
}

impl From<io::Error> for OpenFault {
    fn from(error: io::Error) -> OpenFault {
        OpenFault::Io(error)
    }
}

impl Opened {
    /// A folder of the tree.
    pub(super) fn folder(&self, tree: &Tree, index: u32) -> Result<Arc<OwnedFd>, OpenFault> {
        if index == 0 {
            return Ok(Arc::clone(&tree.root));
        }
        if let Some(open) = self.folders.get(index) {
            return Ok(open);
        }
        // Up to a folder that is open, then down again.
        let mut way = Vec::new();
        let (mut at, mut open) = (index, Arc::clone(&tree.root));
        while at != 0 {
            if let Some(known) = self.folders.get(at) {
                open = known;
                break;
            }
            way.push(at);
            at = tree.node(at).map_or(0, |node| node.parent);
        }
        for at in way.into_iter().rev() {
            let node = tree.node(at).ok_or(OpenFault::Replaced)?;
            let folder = system::open_folder(&open, tree.name_of(node))?;
            let (now, then) = (system::status(&folder)?, tree.looks_of(node));
            if (now.device, now.inode) != (then.device, then.inode) {
                return Err(OpenFault::Replaced);
            }
            open = Arc::new(folder);
        }
        self.folders.keep(index, &open);
        Ok(open)
    }

    /// Takes over a folder that the caller has opened.
    pub(super) fn keep_folder(&self, index: u32, open: OwnedFd) -> Arc<OwnedFd> {
        let open = Arc::new(open);
        self.folders.keep(index, &open);
        open
    }

    /// Closes a folder whose index will be another's.
    pub(super) fn forget_folder(&self, index: u32) {
        self.folders.forget(index);
    }

    /// A file that is open already.
    pub(super) fn known_file(&self, index: u32) -> Option<Arc<OwnedFd>> {
        self.files.get(index)
    }

    pub(super) fn keep_file(&self, index: u32, open: &Arc<OwnedFd>) {
        self.files.keep(index, open);
    }

    /// Closes a file when nobody reads it any more.
    pub(super) fn forget_file(&self, index: u32) {
        self.files.forget(index);
    }
}

impl Recent {
    fn get(&self, index: u32) -> Option<Arc<OwnedFd>> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = list.iter().rposition(|(known, _)| *known == index)?;
        let entry = list.remove(at);
        let open = Arc::clone(&entry.1);
        list.push(entry);
        Some(open)
    }

    fn keep(&self, index: u32, open: &Arc<OwnedFd>) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|(known, _)| *known != index);
        if list.len() == KEPT {
            list.remove(0);
        }
        list.push((index, Arc::clone(open)));
    }

    fn forget(&self, index: u32) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|(known, _)| *known != index);
    }
}
