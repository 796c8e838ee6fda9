//! One read of all files of a tree: the hash of each, and of each block of the content.
//!
//! Takes a [`Tree`], gives its table, the content id and the block hashes. All cores read and hash
//! blocks, each block while it is in the core's own cache. A file that does not look as scanned is
//! looked at anew, and the read goes on from the block in which it begins; if that happens too
//! often, or the file can't be read, it is left out and named. So every hash is of files that did
//! not change while they were read.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rustix::io::Errno;
use thiserror::Error;

use crate::ids::{ContentId, Hash};
use crate::object::hash_tree::{CHUNK, block_hash, content_hash, content_id_of};
use crate::object::table::TableError;
use crate::store::tree::again::{look_again, reopen};
use crate::store::tree::buffer::Buffer;
use crate::store::tree::nodes::Tree;
use crate::store::tree::opened::Opened;
use crate::store::tree::reader::{Cause, ReadFault, read};
use crate::store::tree::skipped::Why;
use crate::store::tree::system;
use crate::store::tree::table::written;

/// Bytes that are hashed between two calls of `progress`, and are in memory at most where files
/// reach from block to block; one block if that is longer.
const BATCH: usize = 8 << 20;
/// Blocks that are read at once at most: each may have a file and two folders open, and 64
/// descriptors are enough for a process.
const TASKS: usize = 8;
/// How often a file is looked at anew because it changed, before it is left out.
const ATTEMPTS: u32 = 3;
/// Files that are looked at behind one that has changed: where a folder goes away, so do many.
const SWEEP: usize = 4_096;
/// Bytes of a file from which on all cores hash it.
const LONG: usize = 256 << 10;

/// A tree whose files have been read.
#[derive(Debug)]
pub struct Hashed {
    /// What is sent; files that could not be read are not in it any more.
    pub tree: Tree,
    /// The encoded table of the same entries, not compressed.
    pub table: Vec<u8>,
    /// BLAKE3 of all files' bytes in the order of the table.
    pub content: ContentId,
    /// Hashes of the content's blocks; of a single block, the content id.
    pub blocks: Vec<Hash>,
}

/// Why a tree can't be hashed.
#[derive(Debug, Error)]
pub enum HashError {
    /// The single file that is sent changed each time it was read.
    #[error(
        "{}: keeps changing while it is read; send it when nothing writes to it, or send a copy",
        path.display()
    )]
    Unsteady {
        /// The file.
        path: PathBuf,
    },
    /// The single file that is sent can't be read, or nothing can be opened any more.
    #[error("{}: can't read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The caller stopped it.
    #[error("{}: hashing was stopped", path.display())]
    Stopped {
        /// What was hashed.
        path: PathBuf,
    },
    /// Blocks of this many bytes are no subtrees.
    #[error("blocks of {0} bytes, where powers of two from 1,024 on are possible")]
    Block(u32),
    /// The table can't be made.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Reads all files of a tree, for blocks of `block` bytes. `progress` is told bytes done and bytes
/// in all some times a second, starts over from less where a file has changed, and stops the work
/// by breaking.
///
/// # Errors
///
/// [`HashError`] about a single file, or what would concern every file. A file among others that
/// can't be read is left out of the tree and named in [`Tree::skipped`].
pub fn hash(
    mut tree: Tree,
    block: u32,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Hashed, HashError> {
    if !block.is_power_of_two() || u64::from(block) < CHUNK {
        return Err(HashError::Block(block));
    }
    let opened = Opened::default();
    let mut work = Work::new(&tree, block);
    let mut attempts = HashMap::new();
    let mut from = 0;
    while let Some(stop) = work.pass(&tree, &opened, from, &mut progress)? {
        from = work.recover(&mut tree, &opened, stop, &mut attempts)?;
    }
    let content = match &*work.blocks {
        [] => content_hash(&[]),
        blocks => content_id_of(blocks),
    };
    let mut hashes = work.files.hashes;
    if let (true, false, Some(only)) = (work.files.only_one, tree.is_single(), tree.file_at(0)) {
        hashes = vec![Hash::default(); tree.len()];
        hashes
            .iter_mut()
            .skip(only as usize)
            .take(1)
            .for_each(|hash| *hash = content);
    }
    let mut stays = Vec::with_capacity(tree.len());
    tree.close_ranks(|kept| stays.push(kept));
    let mut stay = stays.into_iter();
    hashes.retain(|_| stay.next().unwrap_or(true));
    let table = written(&tree, &hashes)?;
    // A million are 32 MB, and the table's bytes are there twice for a moment.
    drop(hashes);
    let table = table.finish();
    Ok(Hashed {
        tree,
        table,
        content,
        blocks: work.blocks,
    })
}

/// Hashes so far.
struct Work {
    block: usize,
    /// Buffers that are free; the one that was used last is most likely still in a cache.
    free: Mutex<Vec<Buffer>>,
    blocks: Vec<Hash>,
    files: FileHashes,
}

/// Hashes of files, from the first on.
struct FileHashes {
    /// A hash for each entry.
    hashes: Vec<Hash>,
    /// At most one file has bytes: the content id is its hash.
    only_one: bool,
    /// All files before it are hashed.
    next: u32,
    /// A file whose rest is in the next block.
    running: Option<blake3::Hasher>,
}

/// A block that has been read.
struct Block {
    from: u64,
    hash: Hash,
    /// Hashes of the files that are all in it.
    files: Vec<(u32, Hash)>,
    buffer: Buffer,
}

/// Part of a file in a block.
struct Part<'a> {
    index: u32,
    bytes: &'a [u8],
    begins: bool,
    ends: bool,
}

/// Where reading ended too early.
struct Stop {
    /// Where the block begins that could not be read.
    at: u64,
    fault: ReadFault,
}

impl Work {
    fn new(tree: &Tree, block: u32) -> Work {
        let mut files = tree.nodes.iter().filter(|node| node.length() > 0);
        let only_one = files.nth(1).is_none();
        let hashes = if only_one {
            Vec::new()
        } else {
            vec![Hash::default(); tree.len()]
        };
        Work {
            block: block as usize,
            free: Mutex::default(),
            blocks: Vec::new(),
            files: FileHashes {
                hashes,
                only_one,
                next: 0,
                running: None,
            },
        }
    }

    /// Reads and hashes from a block on, to the end or to where it can't be read.
    fn pass(
        &mut self,
        tree: &Tree,
        opened: &Opened,
        from: u64,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<Stop>, HashError> {
        let length = tree.content_len();
        let mut tell = |done| match progress(done, length) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(HashError::Stopped {
                path: tree.path.clone(),
            }),
        };
        tell(from)?;
        let size = self.block as u64;
        let batch = (BATCH as u64 / size).max(1) * size;
        let mut from = from;
        while from < length {
            let end = from.saturating_add(batch).min(length);
            will_read(tree, opened, end..end.saturating_add(batch).min(length));
            let blocks = (end - from).div_ceil(size);
            let read = |n: u64| self.read(tree, opened, from + n * size);
            let tasks = (0..blocks as usize).into_par_iter();
            let tasks = tasks.with_min_len((blocks as usize).div_ceil(TASKS));
            let read: Vec<_> = tasks.map(|n| read(n as u64)).collect();
            for block in read {
                match block {
                    Ok(block) => self.take(tree, block),
                    Err(stop) => return Ok(Some(stop)),
                }
            }
            tell(end)?;
            from = end;
        }
        Ok(None)
    }

    /// Reads and hashes a block.
    fn read(&self, tree: &Tree, opened: &Opened, from: u64) -> Result<Block, Stop> {
        let length = tree.content_len();
        let len = (length - from).min(self.block as u64) as usize;
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let known = free().pop();
        let mut buffer = known.unwrap_or_else(|| Buffer::new(self.block.min(length as usize)));
        let bytes = buffer.first(len);
        read(tree, opened, from, bytes).map_err(|fault| Stop { at: from, fault })?;
        let hash = match length <= self.block as u64 {
            true => content_hash(bytes),
            false => block_hash(from, bytes),
        };
        let mut files = Vec::new();
        if self.files.only_one {
            free().push(std::mem::replace(&mut buffer, Buffer::new(0)));
        } else {
            let whole = parts(tree, from, bytes).filter(|part| part.begins && part.ends);
            files.extend(whole.map(|part| {
                let mut hasher = blake3::Hasher::new();
                hasher.update(part.bytes);
                (part.index, Hash(*hasher.finalize().as_bytes()))
            }));
        }
        Ok(Block {
            from,
            hash,
            files,
            buffer,
        })
    }

    /// Keeps the hashes of the next block.
    fn take(&mut self, tree: &Tree, block: Block) {
        self.blocks.push(block.hash);
        if self.files.only_one {
            return;
        }
        for (index, hash) in block.files {
            self.files.keep(index, hash);
        }
        for part in parts(tree, block.from, block.buffer.bytes()) {
            self.files.take(&part);
        }
        let free = self.free.get_mut().unwrap_or_else(PoisonError::into_inner);
        free.push(block.buffer);
    }

    /// Looks at a file anew that could not be read, or leaves it out. Gives where to go on.
    fn recover(
        &mut self,
        tree: &mut Tree,
        opened: &Opened,
        stop: Stop,
        attempts: &mut HashMap<u32, u32>,
    ) -> Result<u64, HashError> {
        let ReadFault { index, cause } = stop.fault;
        let tried = attempts.entry(index).or_default();
        *tried += 1;
        let unsteady = *tried > ATTEMPTS;
        if tree.is_single() {
            match cause {
                Cause::Io(source) => return Err(unreadable(tree, source)),
                Cause::Changed(_) if unsteady => {
                    return Err(HashError::Unsteady {
                        path: tree.path.clone(),
                    });
                }
                Cause::Changed(_) => reopen(tree).map_err(|source| unreadable(tree, source))?,
            }
        } else {
            opened.forget_file(index);
            let why = match cause {
                Cause::Io(source) if is_ours(&source) => return Err(unreadable(tree, source)),
                Cause::Io(source) => Some(Why::Unreadable(source)),
                Cause::Changed(_) if unsteady => Some(Why::Unsteady),
                Cause::Changed(_) => look_again(tree, opened, index).err(),
            };
            if let Some(why) = why {
                tree.leave_out(index, why);
            }
            let behind = (index as usize + 1)..tree.len().min(index as usize + SWEEP);
            for index in behind {
                if let Err(why) = look_again(tree, opened, index as u32) {
                    tree.leave_out(index as u32, why);
                }
            }
        }
        tree.place_from(index);
        let several = tree
            .nodes
            .iter()
            .filter(|node| node.length() > 0)
            .nth(1)
            .is_some();
        if several && self.files.only_one {
            *self = Work::new(tree, self.block as u32);
            return Ok(0);
        }
        let size = self.block as u64;
        let begins = tree.node(index).map_or(0, |node| node.offset);
        let from = match tree.content_len() <= size {
            true => 0,
            false => stop.at.min(begins / size * size),
        };
        self.blocks.truncate((from / size) as usize);
        if self.files.next >= index {
            self.files.next = index;
            self.files.running = None;
        }
        Ok(from)
    }
}

impl FileHashes {
    /// Takes the next part of a file, and hashes it unless that is done.
    fn take(&mut self, part: &Part<'_>) {
        if part.index < self.next {
            return;
        }
        if !(part.begins && part.ends) {
            if part.begins {
                self.running = Some(blake3::Hasher::new());
            }
            if let Some(hasher) = &mut self.running {
                update(hasher, part.bytes);
            }
            if let Some(hasher) = self.running.take_if(|_| part.ends) {
                self.keep(part.index, Hash(*hasher.finalize().as_bytes()));
            }
        }
        self.next = part.index + u32::from(part.ends);
    }

    fn keep(&mut self, index: u32, hash: Hash) {
        if let Some(place) = self.hashes.get_mut(index as usize) {
            *place = hash;
        }
    }
}

fn update(hasher: &mut blake3::Hasher, part: &[u8]) {
    if part.len() < LONG {
        hasher.update(part);
    } else {
        hasher.update_rayon(part);
    }
}

/// The parts of files in bytes of the content.
fn parts<'a>(tree: &'a Tree, from: u64, bytes: &'a [u8]) -> impl Iterator<Item = Part<'a>> {
    let first = tree
        .file_at(from)
        .map_or(tree.nodes.len(), |first| first as usize);
    let nodes = tree.nodes.iter().enumerate().skip(first);
    let (mut at, mut rest) = (from, bytes);
    nodes
        .map_while(move |(index, node)| {
            if rest.is_empty() {
                return None;
            }
            let begun = at - node.offset;
            let len = (node.length() - begun).min(rest.len() as u64);
            let (bytes, after) = rest.split_at(len as usize);
            at += len;
            rest = after;
            let ends = begun + len == node.length();
            Some(Part {
                index: index as u32,
                bytes,
                begins: begun == 0,
                ends,
            })
        })
        .filter(|part| !part.bytes.is_empty())
}

/// Tells the system that the rest of a long file will be read soon, so that a disk need not wait
/// for hashing.
fn will_read(tree: &Tree, opened: &Opened, content: std::ops::Range<u64>) {
    let Some(index) = tree.file_at(content.start) else {
        return;
    };
    let file = if tree.is_single() {
        Some(Arc::clone(&tree.root))
    } else {
        opened.known_file(index)
    };
    if let (Some(file), Some(node)) = (file, tree.node(index)) {
        let end = content.end.min(node.offset + node.length());
        let start = content.start - node.offset;
        system::will_read(&file, start..end - node.offset);
    }
}

fn unreadable(tree: &Tree, source: io::Error) -> HashError {
    HashError::Read {
        path: tree.path.clone(),
        source,
    }
}

/// Whether an error is about this process or computer, not about a file.
fn is_ours(error: &io::Error) -> bool {
    let error = Errno::from_io_error(error);
    matches!(
        error,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)
    )
}
