//! The walk over a path that is sent.
//!
//! Takes the PATH and options, gives a [`Tree`]. One walk, in the order of the table; what can't be
//! sent is named and the walk goes on. No file is read, but for a byte of each that is said to be
//! empty.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::object::ObjectKind;
use crate::object::pattern::Filter;
use crate::object::table::{MAX_COMPONENTS, MAX_ENTRIES, MAX_NAME, MAX_TARGET};
use crate::store::tree::listing::Listing;
use crate::store::tree::nodes::{MAX_HOLES, Node, NodeKind, Tree};
use crate::store::tree::opened::Opened;
use crate::store::tree::skipped::{Skipped, Why};
use crate::store::tree::system::{self, Kind, Status};

/// Most bytes of a relative path (Linux's `PATH_MAX` without the NUL).
const MAX_PATH: usize = 4_095;
/// Most bytes in an object: more than any disk has, and sums of it do not overflow.
pub(super) const MAX_CONTENT: u64 = 1 << 60;
/// Entries between two calls of `progress`.
const STEP: usize = 1_024;
/// Endings of the files that the receiver's store keeps while something is incomplete.
const OWN_ENDINGS: [&[u8]; 4] = [b".part", b".part.state", b".part.spool", b".part.old"];

/// What is to be found.
#[derive(Clone, Default, Debug)]
pub struct ScanOptions {
    /// Which paths are taken.
    pub filter: Filter,
    /// Whether user and group of each entry are noted.
    pub owner: bool,
    /// Whether extended attributes of files and folders are noted.
    pub xattrs: bool,
}

/// How far a walk is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scanned {
    /// Files, folders and links found.
    pub entries: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Why a path can't be sent at all.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The path is not there, or can't be opened.
    #[error("{}: can't open: {source}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A device, a pipe or the like.
    #[error("{}: it is {what}: only files and folders can be sent", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The folder holds more than an object can.
    #[error(
        "{}: more than {MAX_ENTRIES} files, or 4 GB of names: send the folders in it one by one",
        path.display()
    )]
    TooMany {
        /// The path.
        path: PathBuf,
    },
    /// The caller stopped it.
    #[error("{}: the scan was stopped", path.display())]
    Stopped {
        /// The path.
        path: PathBuf,
    },
}

/// Walks the path that the user named. A link there is followed, links below it are taken as they
/// are. `photos` gives the folder, `photos/` what is in it. `progress` stops the walk by breaking.
///
/// # Errors
///
/// [`ScanError`] about the path itself; what can't be sent below it is in [`Tree::skipped`].
pub fn scan(
    path: &Path,
    options: &ScanOptions,
    mut progress: impl FnMut(Scanned) -> ControlFlow<()>,
) -> Result<Tree, ScanError> {
    let fault = |source| {
        let path = path.to_path_buf();
        ScanError::Open { path, source }
    };
    let status = system::status_of(path).map_err(fault)?;
    let not_a_file = |kind| ScanError::NotAFile {
        path: path.to_path_buf(),
        what: if let Kind::Other(what) = kind {
            what
        } else {
            "something else now"
        },
    };
    let folder = match status.kind {
        Kind::File => false,
        Kind::Folder => true,
        kind => return Err(not_a_file(kind)),
    };
    let root = system::open_root(path, folder).map_err(fault)?;
    let status = system::status(&root).map_err(fault)?;
    if status.kind != (if folder { Kind::Folder } else { Kind::File }) {
        return Err(not_a_file(status.kind));
    }
    let (kind, name) = named(path, folder);
    let mut walk = Walk {
        tree: Tree {
            kind,
            path: path.to_path_buf(),
            name,
            root: Arc::new(root),
            names: Vec::new(),
            nodes: Vec::new(),
            devices: Vec::new(),
            holes: Default::default(),
            hole_count: 0,
            xattrs: Default::default(),
            owners: Vec::new(),
            skipped: Vec::new(),
            filter: options.filter.clone(),
        },
        options,
        opened: Opened::default(),
        path: Vec::new(),
        bytes: 0,
        told: 0,
    };
    let stopped = || ScanError::Stopped {
        path: path.to_path_buf(),
    };
    if folder {
        walk.root(&status, &mut progress).map_err(|end| match end {
            End::Stopped => stopped(),
            End::TooMany => ScanError::TooMany {
                path: path.to_path_buf(),
            },
            End::Listing(source) => fault(source),
        })?;
    } else {
        walk.single(&status).map_err(fault)?;
    }
    if progress(walk.scanned()).is_break() {
        return Err(stopped());
    }
    let mut tree = walk.tree;
    tree.place_from(0);
    tree.nodes.shrink_to_fit();
    tree.names.shrink_to_fit();
    Ok(tree)
}

/// What a path stands for, and the name of what is there.
fn named(path: &Path, folder: bool) -> (ObjectKind, Vec<u8>) {
    let bytes = path.as_os_str().as_bytes();
    let name = path.file_name().map(|name| name.as_bytes().to_vec());
    if !folder {
        return (ObjectKind::File, name.unwrap_or_default());
    }
    let inside = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    match name {
        Some(name) if !inside => (ObjectKind::Folder, name),
        Some(name) => (ObjectKind::Inside, name),
        None => {
            let full = path.canonicalize().unwrap_or_default();
            let name = full.file_name().unwrap_or_default();
            (ObjectKind::Inside, name.as_bytes().to_vec())
        }
    }
}

/// Whether a name is one that the receiver's store gives to what is incomplete.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    OWN_ENDINGS.iter().any(|end| {
        let tail = name
            .len()
            .checked_sub(end.len())
            .and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    })
}

struct Walk<'a> {
    tree: Tree,
    options: &'a ScanOptions,
    opened: Opened,
    /// Of the folder that the walk is in, and then of what it looks at.
    path: Vec<u8>,
    bytes: u64,
    told: usize,
}

/// A folder that the walk is in.
struct Level {
    node: u32,
    listing: Listing,
    next: usize,
    /// Whether what is in it is taken if no rule says otherwise.
    taken: bool,
    /// Bytes of its path.
    path_len: usize,
}

/// Why a walk ends early.
enum End {
    Stopped,
    TooMany,
    /// The root can't be listed.
    Listing(io::Error),
}

impl Walk<'_> {
    fn scanned(&self) -> Scanned {
        Scanned {
            entries: self.tree.nodes.len() as u64,
            bytes: self.bytes,
        }
    }

    fn single(&mut self, status: &Status) -> io::Result<()> {
        let root = Arc::clone(&self.tree.root);
        if status.size == 0 && system::has_bytes(&root)? {
            return Err(io::Error::other(Why::NoLength));
        }
        if status.size > MAX_CONTENT {
            return Err(io::Error::other(Why::TooLarge));
        }
        let name = self.tree.name.clone();
        let pushed = self.push(NodeKind::File, status, 0, &name, &[]);
        let index = pushed.map_err(|_| io::Error::other(Why::TooLong))?;
        self.look_into(index, status, &root);
        system::will_read_in_order(&root);
        Ok(())
    }

    fn root(
        &mut self,
        status: &Status,
        progress: &mut dyn FnMut(Scanned) -> ControlFlow<()>,
    ) -> Result<(), End> {
        let root = Arc::clone(&self.tree.root);
        let listing = Listing::of(&root).map_err(End::Listing)?;
        self.push(NodeKind::Folder, status, 0, &[], &[])?;
        self.look_into(0, status, &root);
        let taken = self.options.filter.takes_others();
        let mut levels = vec![Level {
            node: 0,
            listing,
            next: 0,
            taken,
            path_len: 0,
        }];
        loop {
            // Components before that of the name that comes next.
            let above = levels.len().saturating_sub(1);
            let Some(level) = levels.last_mut() else {
                return Ok(());
            };
            self.path.truncate(level.path_len);
            let Some(name) = level.listing.get(level.next) else {
                let Level { node, taken, .. } = *level;
                levels.pop();
                self.leave(node, taken);
                continue;
            };
            level.next += 1;
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            let too_deep = above >= MAX_COMPONENTS;
            if name.len() > MAX_NAME || self.path.len() > MAX_PATH || too_deep {
                self.skip(Why::TooLong);
                continue;
            }
            let Ok(folder) = self.opened.folder(&self.tree, level.node) else {
                // It was swapped or removed during the walk: the rest of it is gone.
                self.path.truncate(level.path_len);
                self.skip(Why::Gone);
                level.next = usize::MAX;
                continue;
            };
            let below = self.visit(&folder, level.node, name, level.taken)?;
            levels.extend(below);
            if self.tree.nodes.len() >= self.told + STEP {
                self.told = self.tree.nodes.len();
                if progress(self.scanned()).is_break() {
                    return Err(End::Stopped);
                }
            }
        }
    }

    /// Takes what is under a name, or leaves it out; a folder is to be walked next.
    fn visit(
        &mut self,
        folder: &OwnedFd,
        parent: u32,
        name: &[u8],
        taken: bool,
    ) -> Result<Option<Level>, End> {
        let status = match system::status_at(folder, name) {
            Ok(status) => status,
            Err(e) => {
                self.refuse(e);
                return Ok(None);
            }
        };
        let is_folder = status.kind == Kind::Folder;
        let verdict = self.options.filter.verdict(&self.path, is_folder);
        let taken = verdict.unwrap_or(taken);
        if verdict == Some(false) || !(taken || is_folder) {
            return Ok(None);
        }
        if is_reserved(name) {
            if status.kind != Kind::File {
                self.skip(Why::Reserved);
            }
            return Ok(None);
        }
        match status.kind {
            Kind::File => self.file(folder, parent, name, &status)?,
            Kind::Link => match system::read_link(folder, name) {
                Ok(target) if target.is_empty() || target.len() > MAX_TARGET => {
                    self.skip(Why::TooLong);
                }
                Ok(target) => {
                    self.push(NodeKind::Link, &status, parent, name, &target)?;
                }
                Err(e) => self.refuse(e),
            },
            Kind::Folder => return self.folder(folder, parent, name, taken),
            Kind::Other(_) => self.skip(Why::of_kind(status.kind)),
        }
        Ok(None)
    }

    fn file(
        &mut self,
        folder: &OwnedFd,
        parent: u32,
        name: &[u8],
        status: &Status,
    ) -> Result<(), End> {
        if self.bytes.saturating_add(status.size) > MAX_CONTENT {
            self.skip(Why::TooLarge);
            return Ok(());
        }
        if status.size > 0 && !is_sparse(status) && !self.options.xattrs {
            self.push(NodeKind::File, status, parent, name, &[])?;
            return Ok(());
        }
        let opened = system::open_file(folder, name);
        let opened = opened.and_then(|file| Ok((system::status(&file)?, file)));
        match opened {
            Ok((status, _)) if status.kind != Kind::File => self.skip(Why::of_kind(status.kind)),
            Ok((status, file)) if status.size == 0 => match system::has_bytes(&file) {
                Ok(false) => self.take(&file, parent, name, &status)?,
                Ok(true) => self.skip(Why::NoLength),
                Err(e) => self.refuse(e),
            },
            Ok((status, file)) => self.take(&file, parent, name, &status)?,
            Err(e) => self.refuse(e),
        }
        Ok(())
    }

    fn take(
        &mut self,
        file: &OwnedFd,
        parent: u32,
        name: &[u8],
        status: &Status,
    ) -> Result<(), End> {
        let index = self.push(NodeKind::File, status, parent, name, &[])?;
        self.look_into(index, status, file);
        Ok(())
    }

    fn folder(
        &mut self,
        folder: &OwnedFd,
        parent: u32,
        name: &[u8],
        taken: bool,
    ) -> Result<Option<Level>, End> {
        let opened = system::open_folder(folder, name).and_then(|open| {
            // Before it is listed: what comes into it later changes its time.
            Ok((system::status(&open)?, Listing::of(&open)?, open))
        });
        let (status, listing, open) = match opened {
            Ok(opened) => opened,
            Err(e) => {
                self.refuse(e);
                return Ok(None);
            }
        };
        let node = self.push(NodeKind::Folder, &status, parent, name, &[])?;
        let open = self.opened.keep_folder(node, open);
        self.look_into(node, &status, &open);
        let path_len = self.path.len();
        Ok(Some(Level {
            node,
            listing,
            next: 0,
            taken,
            path_len,
        }))
    }

    /// Removes the entry of a folder that only was walked, and nothing in it was taken.
    fn leave(&mut self, node: u32, taken: bool) {
        let tree = &mut self.tree;
        if taken || node == 0 || tree.nodes.len() != node as usize + 1 {
            return;
        }
        if let Some(gone) = tree.nodes.pop() {
            tree.names.truncate(gone.name as usize);
            tree.owners.truncate(node as usize);
            tree.xattrs.remove(&node);
            self.opened.forget_folder(node);
        }
    }

    fn push(
        &mut self,
        kind: NodeKind,
        status: &Status,
        parent: u32,
        name: &[u8],
        target: &[u8],
    ) -> Result<u32, End> {
        let tree = &mut self.tree;
        let index = tree.nodes.len();
        let end = tree.names.len() + name.len() + target.len();
        let (Ok(place), Ok(_)) = (u32::try_from(tree.names.len()), u32::try_from(end)) else {
            return Err(End::TooMany);
        };
        let (Some(device), Ok(name_len)) = (tree.device(status.device), u8::try_from(name.len()))
        else {
            return Err(End::TooMany);
        };
        if index as u64 >= MAX_ENTRIES {
            return Err(End::TooMany);
        }
        tree.names.extend_from_slice(name);
        tree.names.extend_from_slice(target);
        let size = match kind {
            NodeKind::File => status.size,
            _ => target.len() as u64,
        };
        tree.nodes.push(Node {
            offset: 0,
            size,
            mtime: status.mtime,
            ctime: status.ctime,
            inode: status.inode,
            name: place,
            parent,
            device,
            mode: status.mode,
            name_len,
            kind,
        });
        if self.options.owner {
            tree.owners.push(status.owner);
        }
        if kind == NodeKind::File {
            self.bytes += size;
        }
        Ok(index as u32)
    }

    /// Notes what only an open file tells.
    fn look_into(&mut self, index: u32, status: &Status, open: &OwnedFd) {
        if is_sparse(status) {
            self.tree.find_holes(index, status.size, open);
        }
        if self.options.xattrs {
            let found = system::xattrs(open);
            if !found.is_empty() {
                self.tree.xattrs.insert(index, found);
            }
        }
    }

    fn skip(&mut self, why: Why) {
        let path = self.path.clone();
        self.tree.skipped.push(Skipped { path, why });
    }

    /// What the system said about what the walk looks at. What is gone meanwhile was not there.
    fn refuse(&mut self, error: io::Error) {
        match error.kind() {
            io::ErrorKind::NotFound => {}
            _ if is_replaced(&error) => self.skip(Why::Gone),
            _ => self.skip(Why::Unreadable(error)),
        }
    }
}

/// Whether the system says that something else is at a place than was there.
fn is_replaced(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOTDIR | Errno::LOOP)
    )
}

/// Whether a file has holes worth looking for.
pub(super) fn is_sparse(status: &Status) -> bool {
    status.kind == Kind::File && status.allocated < status.size
}

impl Tree {
    /// Finds a file's holes, in place of those that are known.
    pub(super) fn find_holes(&mut self, index: u32, size: u64, open: &OwnedFd) {
        self.set_holes(index, Vec::new());
        let most = MAX_HOLES - self.hole_count;
        self.set_holes(index, system::holes(open, size, most));
    }
}
