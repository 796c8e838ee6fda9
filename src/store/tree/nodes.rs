//! A scanned tree in memory: about 60 bytes and the name for each path.
//!
//! Takes what the walk finds, gives paths, places in the content, and what each file looked like.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::object::ObjectKind;
use crate::object::pattern::Filter;
use crate::store::tree::skipped::{Skipped, Why};
use crate::store::tree::system::Status;

/// Names and values of extended attributes.
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Most holes that are told apart in an object; further ones are read as zeros.
pub(super) const MAX_HOLES: usize = 1 << 20;

/// A path that is sent: its files, folders and links in the order of the table, and their looks.
///
/// Indices are those of the table that [`hash`](super::hash()) makes of it.
pub struct Tree {
    pub(super) kind: ObjectKind,
    /// As the user named it.
    pub(super) path: PathBuf,
    pub(super) name: Vec<u8>,
    /// The folder, or the file itself, open for as long as the tree is used.
    pub(super) root: Arc<OwnedFd>,
    /// Names, and behind each that of a link its target.
    pub(super) names: Vec<u8>,
    pub(super) nodes: Vec<Node>,
    pub(super) devices: Vec<u64>,
    pub(super) holes: BTreeMap<u32, Vec<Range<u64>>>,
    pub(super) hole_count: usize,
    pub(super) xattrs: BTreeMap<u32, Xattrs>,
    /// User and group of each node, or none at all.
    pub(super) owners: Vec<(u32, u32)>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) filter: Filter,
}

/// A file, folder or link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Bytes of the content before it.
    pub(super) offset: u64,
    /// Length of a file, or of a link's target.
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) ctime: i64,
    pub(super) inode: u64,
    /// Where its name begins.
    pub(super) name: u32,
    pub(super) parent: u32,
    pub(super) device: u16,
    pub(super) mode: u16,
    pub(super) name_len: u8,
    pub(super) kind: NodeKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NodeKind {
    File,
    Folder,
    Link,
    /// A file that turned out not to be readable; it is gone from the tree when hashing ends.
    LeftOut,
}

impl Node {
    /// Bytes it has in the content.
    pub(super) fn length(&self) -> u64 {
        if self.kind == NodeKind::File {
            self.size
        } else {
            0
        }
    }
}

/// What tells whether a file is still the one that was scanned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Looks {
    /// The file's length.
    pub size: u64,
    /// In ns since 1970.
    pub mtime: i64,
    /// Change of the inode, in ns since 1970: it moves also where someone sets mtime back.
    pub ctime: i64,
    /// The file system it is on.
    pub device: u64,
    /// The file's number there.
    pub inode: u64,
}

impl Looks {
    pub(super) fn of(status: &Status) -> Looks {
        Looks {
            size: status.size,
            mtime: status.mtime,
            ctime: status.ctime,
            device: status.device,
            inode: status.inode,
        }
    }
}

impl Tree {
    /// What kind of object it is.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// Last component of the PATH: what receivers call the object, if the name is safe.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The PATH as the user named it.
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// Files, folders and links in it.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of all files together.
    pub fn content_len(&self) -> u64 {
        self.nodes
            .last()
            .map_or(0, |last| last.offset + last.length())
    }

    /// Whether one of its files has holes.
    pub fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// Paths that were found and are not sent.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// What an entry looked like when it was scanned. `None` behind the last one.
    pub fn looks(&self, index: usize) -> Option<Looks> {
        Some(self.looks_of(self.nodes.get(index)?))
    }

    /// The place of an entry in the content; empty for all but files.
    pub fn place(&self, index: usize) -> Option<Range<u64>> {
        let node = self.nodes.get(index)?;
        Some(node.offset..node.offset + node.length())
    }

    /// Whether an entry is a regular file.
    pub fn is_file(&self, index: usize) -> bool {
        self.nodes
            .get(index)
            .is_some_and(|n| n.kind == NodeKind::File)
    }

    /// The path of an entry as the table has it.
    pub fn path(&self, index: usize) -> Vec<u8> {
        let mut path = Vec::new();
        self.path_into(index as u32, &mut path);
        path
    }

    pub(super) fn looks_of(&self, node: &Node) -> Looks {
        Looks {
            size: node.size,
            mtime: node.mtime,
            ctime: node.ctime,
            device: self
                .devices
                .get(usize::from(node.device))
                .copied()
                .unwrap_or(0),
            inode: node.inode,
        }
    }

    pub(super) fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    pub(super) fn name_of(&self, node: &Node) -> &[u8] {
        let start = node.name as usize;
        self.names
            .get(start..start + usize::from(node.name_len))
            .unwrap_or_default()
    }

    pub(super) fn target_of(&self, node: &Node) -> &[u8] {
        let start = node.name as usize + usize::from(node.name_len);
        self.names
            .get(start..start + node.size as usize)
            .unwrap_or_default()
    }

    pub(super) fn holes_of(&self, index: u32) -> &[Range<u64>] {
        self.holes.get(&index).map_or(&[], Vec::as_slice)
    }

    /// Whether it is a single file, which is held open.
    pub(super) fn is_single(&self) -> bool {
        self.kind == ObjectKind::File
    }

    /// Writes an entry's path into `path`, in place of what is there.
    pub(super) fn path_into(&self, mut index: u32, path: &mut Vec<u8>) {
        path.clear();
        // From the last component to the first, each of them backwards, then all of it turned.
        while let Some(node) = self.node(index) {
            if index == 0 && !self.is_single() {
                break;
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(self.name_of(node).iter().rev());
            if index == 0 {
                break;
            }
            index = node.parent;
        }
        path.reverse();
    }

    /// Where an entry is, for messages.
    pub(super) fn shown(&self, index: u32) -> String {
        if self.is_single() || index == 0 {
            return self.path.display().to_string();
        }
        let path = self.path(index as usize);
        self.path
            .join(OsStr::from_bytes(&path))
            .display()
            .to_string()
    }

    /// The entry that holds this byte of the content.
    pub(super) fn file_at(&self, content: u64) -> Option<u32> {
        let behind = self.nodes.partition_point(|node| node.offset <= content);
        let index = behind.checked_sub(1)?;
        let node = self.nodes.get(index)?;
        (content < node.offset + node.length()).then_some(index as u32)
    }

    /// Number of a file system among those that were met.
    pub(super) fn device(&mut self, device: u64) -> Option<u16> {
        let known = self.devices.iter().position(|known| *known == device);
        let number = known.unwrap_or_else(|| {
            self.devices.push(device);
            self.devices.len() - 1
        });
        u16::try_from(number).ok()
    }

    /// Takes note of what something looks like now.
    pub(super) fn renew(&mut self, index: u32, status: &Status) -> Option<()> {
        let device = self.device(status.device)?;
        let node = self.nodes.get_mut(index as usize)?;
        node.device = device;
        node.inode = status.inode;
        node.mtime = status.mtime;
        node.ctime = status.ctime;
        node.mode = status.mode;
        if node.kind == NodeKind::File {
            node.size = status.size;
        }
        if let Some(owner) = self.owners.get_mut(index as usize) {
            *owner = status.owner;
        }
        Some(())
    }

    pub(super) fn set_holes(&mut self, index: u32, holes: Vec<Range<u64>>) {
        self.hole_count += holes.len();
        let before = if holes.is_empty() {
            self.holes.remove(&index)
        } else {
            self.holes.insert(index, holes)
        };
        self.hole_count -= before.map_or(0, |before| before.len());
    }

    /// Leaves out a file; indices stay until [`Tree::close_ranks`].
    pub(super) fn leave_out(&mut self, index: u32, why: Why) {
        let path = self.path(index as usize);
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.kind = NodeKind::LeftOut;
            self.set_holes(index, Vec::new());
            self.xattrs.remove(&index);
            self.skipped.push(Skipped { path, why });
        }
    }

    /// Computes where files begin, from this entry on.
    pub(super) fn place_from(&mut self, index: u32) {
        let from = index as usize;
        let before = from
            .checked_sub(1)
            .and_then(|before| self.nodes.get(before));
        let mut offset = before.map_or(0, |node| node.offset + node.length());
        for node in self.nodes.iter_mut().skip(from) {
            node.offset = offset;
            offset = offset.saturating_add(node.length());
        }
    }

    /// Removes the entries of files that were left out. `kept` is called for each entry, in order,
    /// with whether it stays.
    pub(super) fn close_ranks(&mut self, mut kept: impl FnMut(bool)) {
        let mut places = Vec::with_capacity(self.nodes.len());
        let mut next = 0u32;
        for node in &self.nodes {
            let stays = node.kind != NodeKind::LeftOut;
            places.push(next);
            next += u32::from(stays);
            kept(stays);
        }
        if next as usize == self.nodes.len() {
            return;
        }
        let new = |old: u32| places.get(old as usize).copied().unwrap_or(0);
        let mut stay = self.nodes.iter().map(|node| node.kind != NodeKind::LeftOut);
        self.owners.retain(|_| stay.next().unwrap_or(true));
        self.nodes.retain(|node| node.kind != NodeKind::LeftOut);
        for node in &mut self.nodes {
            node.parent = new(node.parent);
        }
        let renumber = |index, value| (new(index), value);
        let holes = std::mem::take(&mut self.holes).into_iter();
        self.holes = holes.map(|(i, v)| renumber(i, v)).collect();
        let xattrs = std::mem::take(&mut self.xattrs).into_iter();
        self.xattrs = xattrs.map(|(i, v)| (new(i), v)).collect();
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("kind", &self.kind)
            .field("path", &self.path)
            .field("entries", &self.nodes.len())
            .field("content_len", &self.content_len())
            .field("skipped", &self.skipped.len())
            .finish_non_exhaustive()
    }
}
