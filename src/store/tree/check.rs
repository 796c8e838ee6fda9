//! Whether a tree still looks as it did when it was scanned.
//!
//! One `stat` for each entry; a folder is listed only where its time has changed. It opens no file.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use crate::store::tree::listing::Listing;
use crate::store::tree::nodes::{Looks, NodeKind, Tree};
use crate::store::tree::opened::Opened;
use crate::store::tree::reader::single_difference;
use crate::store::tree::scan::is_reserved;
use crate::store::tree::system::{self, Kind};

/// Changes in a tree.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// The first changes, as many as were asked for.
    pub named: Vec<Change>,
    /// There may be more.
    pub more: bool,
}

/// A change in a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Path within the tree; empty for the folder itself.
    pub path: Vec<u8>,
    /// What has happened.
    pub what: What,
}

/// What has happened to a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// The path was not there.
    New,
    /// The path is not there any more, or can't be reached.
    Gone,
    /// Another file, folder or link is there.
    Replaced,
    /// A file was written to, or mode, owner or links of it have changed.
    Written,
    /// The mode of a folder has changed.
    Mode,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = OsStr::from_bytes(&self.path);
        let what = match self.what {
            What::New => "is new",
            What::Gone => "is gone",
            What::Replaced => "has been replaced",
            What::Written => "has been changed",
            What::Mode => "has another mode",
        };
        write!(f, "{} {what}", path.display())
    }
}

impl Tree {
    /// Compares what is on disk with the scan, until `most` changes are found.
    ///
    /// A folder's time alone is no change. What a scan would not take is none either; of folders
    /// that only an include for something in them would take, new ones are not noticed.
    pub fn changes(&self, most: usize) -> Changes {
        let mut check = Check {
            tree: self,
            opened: Opened::default(),
            skipped: self.skipped.iter().map(|skipped| &*skipped.path).collect(),
            lost: HashSet::new(),
            found: Vec::new(),
        };
        if self.is_single() {
            if let Some(what) = single_difference(self) {
                check.tell(0, what);
            }
            return Changes {
                named: check.found,
                more: false,
            };
        }
        for index in 0..self.nodes.len() as u32 {
            if check.found.len() >= most {
                break;
            }
            check.entry(index);
        }
        let more = check.found.len() >= most;
        check.found.truncate(most);
        Changes {
            named: check.found,
            more,
        }
    }
}

struct Check<'a> {
    tree: &'a Tree,
    opened: Opened,
    skipped: HashSet<&'a [u8]>,
    /// Folders that can't be entered: they are told, what is in them is not.
    lost: HashSet<u32>,
    found: Vec<Change>,
}

impl Check<'_> {
    fn tell(&mut self, index: u32, what: What) {
        let path = self.tree.path(index as usize);
        self.found.push(Change { path, what });
    }

    fn entry(&mut self, index: u32) {
        let tree = self.tree;
        let Some(node) = tree.node(index) else {
            return;
        };
        let is_folder = node.kind == NodeKind::Folder;
        if index > 0 && self.lost.contains(&node.parent) {
            if is_folder {
                self.lost.insert(index);
            }
            return;
        }
        let status = if index == 0 {
            system::status_of(&tree.path).ok()
        } else {
            let folder = self.opened.folder(tree, node.parent).ok();
            folder.and_then(|folder| system::status_at(&folder, tree.name_of(node)).ok())
        };
        let wanted = match node.kind {
            NodeKind::File => Kind::File,
            NodeKind::Link => Kind::Link,
            NodeKind::Folder => Kind::Folder,
            NodeKind::LeftOut => return,
        };
        let then = tree.looks_of(node);
        let what = match status {
            None => Some(What::Gone),
            Some(now) if now.kind != wanted => Some(What::Replaced),
            Some(now) if (now.device, now.inode) != (then.device, then.inode) => {
                Some(What::Replaced)
            }
            Some(now) if is_folder => (now.mode != node.mode).then_some(What::Mode),
            // Of a link some file systems don't tell the length of the target.
            Some(now) if wanted == Kind::Link => {
                ((now.mtime, now.ctime) != (then.mtime, then.ctime)).then_some(What::Written)
            }
            Some(now) => (Looks::of(&now) != then).then_some(What::Written),
        };
        if let Some(what) = what {
            self.tell(index, what);
        }
        if !is_folder {
            return;
        }
        if matches!(what, Some(What::Gone | What::Replaced)) {
            self.lost.insert(index);
        } else if status.is_some_and(|now| now.mtime != node.mtime) {
            match self.opened.folder(tree, index) {
                Ok(folder) => self.new_names(index, &folder),
                Err(_) => {
                    self.tell(index, What::Gone);
                    self.lost.insert(index);
                }
            }
        }
    }

    /// Tells what is in a folder that was not. What is gone tells itself.
    fn new_names(&mut self, index: u32, folder: &OwnedFd) {
        let tree = self.tree;
        let Ok(listing) = Listing::of(folder) else {
            return;
        };
        // What is in the folder follows it, and its parents lie between.
        let behind = tree.nodes.iter().skip(index as usize + 1);
        let within = behind.take_while(|node| node.parent >= index);
        let mut known = within.filter(|node| node.parent == index).peekable();
        let prefix = tree.path(index as usize);
        for name in listing.iter() {
            while known.next_if(|node| tree.name_of(node) < name).is_some() {}
            if known.peek().is_some_and(|node| tree.name_of(node) == name) {
                continue;
            }
            let mut path = prefix.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            if self.skipped.contains(&*path) || is_reserved(name) {
                continue;
            }
            let Ok(status) = system::status_at(folder, name) else {
                continue;
            };
            let sent = !matches!(status.kind, Kind::Other(_));
            if sent && tree.filter.takes(&path, status.kind == Kind::Folder) {
                self.found.push(Change {
                    path,
                    what: What::New,
                });
            }
        }
    }
}
