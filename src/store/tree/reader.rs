//! The bytes of a tree's content, by their place.
//!
//! Files are opened when their bytes are wanted, and compared with the scan when they are opened
//! and after each read: bytes are given only of files that look as they did. Long holes are not
//! read.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::fault::{FaultKind, StoreFault};
use crate::store::tree::check::What;
use crate::store::tree::nodes::{Looks, Tree};
use crate::store::tree::opened::{OpenFault, Opened};
use crate::store::tree::system::{self, Kind};

/// The content of a tree. It is read through a shared reference, by any thread.
#[derive(Debug)]
pub struct ContentReader {
    tree: Arc<Tree>,
    opened: Opened,
}

/// Why bytes of an entry could not be read.
#[derive(Debug)]
pub(super) struct ReadFault {
    pub(super) index: u32,
    pub(super) cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    /// The file is not what was scanned; the text says how that shows.
    Changed(String),
    Io(io::Error),
}

impl ContentReader {
    /// A reader that has nothing open yet but the tree's root.
    pub fn new(tree: Arc<Tree>) -> ContentReader {
        let opened = Opened::default();
        ContentReader { tree, opened }
    }

    /// The tree that is read.
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// Reads a range of the content into `into`, which is as long as the range.
    ///
    /// # Errors
    ///
    /// [`FaultKind::Changed`] with the file's path where a file is gone, is another one or does not
    /// look as it did; then `into` holds no bytes to be used.
    pub fn read(&self, content: Range<u64>, into: &mut [u8]) -> Result<(), StoreFault> {
        let length = self.tree.content_len();
        let fits = content.end.checked_sub(content.start) == Some(into.len() as u64);
        if !fits || content.end > length {
            let Range { start, end } = content;
            let text = format!(
                "bytes {start} to {end} of {length} into {} bytes",
                into.len()
            );
            return Err(StoreFault::new(FaultKind::Gone, text));
        }
        read(&self.tree, &self.opened, content.start, into).map_err(|fault| {
            let path = self.tree.shown(fault.index);
            match fault.cause {
                Cause::Changed(how) => {
                    StoreFault::new(FaultKind::Changed, format!("{path}: {how}"))
                }
                Cause::Io(e) => StoreFault::new(FaultKind::from(&e), format!("{path}: {e}")),
            }
        })
    }
}

/// Reads content that is there from `content` on.
pub(super) fn read(
    tree: &Tree,
    opened: &Opened,
    mut content: u64,
    mut into: &mut [u8],
) -> Result<(), ReadFault> {
    let Some(mut index) = tree.file_at(content) else {
        return Ok(());
    };
    while let (false, Some(node)) = (into.is_empty(), tree.node(index)) {
        let at = content - node.offset;
        let len = (node.length() - at).min(into.len() as u64);
        let (part, rest) = into.split_at_mut(len as usize);
        if !part.is_empty() {
            read_file(tree, opened, index, at, part).map_err(|cause| ReadFault { index, cause })?;
        }
        into = rest;
        content += len;
        index += 1;
    }
    Ok(())
}

fn read_file(
    tree: &Tree,
    opened: &Opened,
    index: u32,
    at: u64,
    into: &mut [u8],
) -> Result<(), Cause> {
    let end = at + into.len() as u64;
    let to_its_end = tree.node(index).is_some_and(|node| node.size == end);
    if tree.is_single() {
        fill(&tree.root, tree.holes_of(index), at, into)?;
        return compare_single(tree);
    }
    let known = if at > 0 || !to_its_end {
        opened.known_file(index)
    } else {
        None
    };
    let is_known = known.is_some();
    let file = match known {
        Some(file) => file,
        None => {
            let file = open(tree, opened, index)?;
            compare(tree, index, &file)?;
            if !to_its_end {
                system::will_read_in_order(&file);
            }
            Arc::new(file)
        }
    };
    let result = fill(&file, tree.holes_of(index), at, into);
    let result = result.and_then(|()| compare(tree, index, &file));
    if is_known && (to_its_end || result.is_err()) {
        opened.forget_file(index);
    } else if !is_known && !to_its_end && result.is_ok() {
        opened.keep_file(index, &file);
    }
    result
}

fn open(tree: &Tree, opened: &Opened, index: u32) -> Result<OwnedFd, Cause> {
    let replaced = || Cause::Changed("a folder on the way to it has been replaced".to_owned());
    let node = tree.node(index).ok_or_else(replaced)?;
    let folder = opened
        .folder(tree, node.parent)
        .map_err(|fault| match fault {
            OpenFault::Replaced => replaced(),
            OpenFault::Io(e) => cause_of(e),
        })?;
    system::open_file(&folder, tree.name_of(node)).map_err(cause_of)
}

/// A path that leads nowhere, or over a link, is a tree that has changed.
fn cause_of(error: io::Error) -> Cause {
    use rustix::io::Errno;
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE | Errno::NXIO) => {
            let text = "it is gone, or something else has taken its place";
            Cause::Changed(text.to_owned())
        }
        _ => Cause::Io(error),
    }
}

/// Reads what lies between holes, and writes the zeros of holes.
fn fill(
    file: &OwnedFd,
    holes: &[Range<u64>],
    mut at: u64,
    mut into: &mut [u8],
) -> Result<(), Cause> {
    let first = holes.partition_point(|hole| hole.end <= at);
    let mut holes = holes.iter().skip(first);
    let mut hole = holes.next();
    while !into.is_empty() {
        let rest = into.len() as u64;
        let within = hole.is_some_and(|hole| hole.start <= at);
        let end = match hole {
            Some(hole) if within => hole.end,
            Some(hole) => hole.start,
            None => u64::MAX,
        };
        let (part, after) = into.split_at_mut((end - at).min(rest) as usize);
        if within {
            part.fill(0);
            hole = holes.next();
        } else {
            system::read_at(file, part, at).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => Cause::Changed("it has become shorter".to_owned()),
                _ => cause_of(e),
            })?;
        }
        at += part.len() as u64;
        into = after;
    }
    Ok(())
}

/// Compares an open file with the scan.
fn compare(tree: &Tree, index: u32, file: &OwnedFd) -> Result<(), Cause> {
    let now = system::status(file).map_err(Cause::Io)?;
    let node = tree.node(index);
    let then = node.map(|node| tree.looks_of(node));
    if now.kind == Kind::File && then == Some(Looks::of(&now)) {
        return Ok(());
    }
    let how = then.map_or_else(String::new, |then| difference(&then, &Looks::of(&now)));
    Err(Cause::Changed(how))
}

/// Compares a single file with the scan.
fn compare_single(tree: &Tree) -> Result<(), Cause> {
    let (now, there) = single(tree).map_err(Cause::Io)?;
    match (tree.looks(0), now.or(there)) {
        (Some(then), Some(now)) => Err(Cause::Changed(difference(&then, &now))),
        _ => Ok(()),
    }
}

/// What a check says of a single file.
pub(super) fn single_difference(tree: &Tree) -> Option<What> {
    match single(tree) {
        Ok((Some(_), _)) => Some(What::Written),
        Ok((None, there)) => there.map(|_| What::Replaced),
        Err(_) => Some(What::Gone),
    }
}

/// What a single file looks like, if not as scanned, and what is at its path instead, if something
/// is. It stays open, so that it may be renamed or removed, which its ctime tells; but nothing else
/// may be at its path.
fn single(tree: &Tree) -> io::Result<(Option<Looks>, Option<Looks>)> {
    let now = Looks::of(&system::status(&tree.root)?);
    let then = tree.looks(0).unwrap_or(now);
    let there = system::status_of(&tree.path)
        .ok()
        .map(|there| Looks::of(&there));
    let other = |there: &Looks| (there.device, there.inode) != (then.device, then.inode);
    let changed = Looks {
        ctime: then.ctime,
        ..now
    } != then;
    Ok((changed.then_some(now), there.filter(other)))
}

/// What is to be seen of a change.
pub(super) fn difference(then: &Looks, now: &Looks) -> String {
    if (then.device, then.inode) != (now.device, now.inode) {
        "another file has taken its place".to_owned()
    } else if then.size != now.size {
        format!(
            "it has {} bytes now, and had {} before",
            now.size, then.size
        )
    } else if then.mtime != now.mtime {
        "it has been written to".to_owned()
    } else {
        "it has been written to, or its name, mode or owner changed".to_owned()
    }
}
