//! An object that is offered: a path on disk that was scanned, hashed and described, and is read
//! block by block.
//!
//! Takes a path, gives a description and blocks. Each read is checked: what changes while it is
//! sent is noticed at the first block that shows it, so receivers never get a mixture. It does not
//! watch the path between reads; [`check`](Store::check) looks.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::config;
use crate::fault::{FaultKind, StoreFault};
use crate::ids::{BlockNo, Hash};
use crate::object::table::{EntryKind, FileTable, TableError};
use crate::object::{
    BlockHashes, BlockKind, Codec, Description, Geometry, GeometryError, ObjectKind, Part,
    SafeName, hash_of,
};
use crate::range_set::RangeSet;
use crate::store::Store;
use crate::store::known::{KnownHashes, ObjectKey};
use crate::store::looks;
use crate::store::table_bytes;
use crate::store::traits::{fitting, source_len};
use crate::store::tree::{
    self, ContentReader, HashError, Hashed, ScanError, ScanOptions, Skipped, Tree,
};

/// Changes that are named where a tree has changed.
const MOST_NAMED: usize = 3;

/// How objects are cut into symbols and blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Bytes in a symbol.
    pub symbol_size: u16,
    /// KiB in a block; by the object's length when none.
    pub block_kib: Option<u32>,
    /// How parity is made, as much of it as that makes by default.
    pub codec: Codec,
}

/// An object that is offered. Blocks are read through a shared reference, by any thread.
#[derive(Debug)]
pub struct Source {
    reader: ContentReader,
    description: Description,
    /// As it is sent.
    table: Vec<u8>,
    table_hashes: BlockHashes,
    content_hashes: BlockHashes,
    /// Ranges of the content that are holes.
    holes: RangeSet,
    known: KnownHashes,
}

/// Why a path can't be offered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The path can't be looked at.
    #[error(transparent)]
    Scan(ScanError),
    /// It can't be read.
    #[error(transparent)]
    Hash(HashError),
    /// It can't be cut up like that.
    #[error("{}: {why}", path.display())]
    Geometry {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        why: GeometryError,
    },
    /// The path became a file where a folder was, or the reverse, while it was looked at.
    #[error("{}: changes while it is read; send it when nothing writes to it, or send a copy", path.display())]
    Unsteady {
        /// The path.
        path: PathBuf,
    },
    /// The table can't be made.
    #[error("{}: {why}", path.display())]
    Table {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        why: TableError,
    },
    /// The caller stopped it.
    #[error("{}: hashing was stopped", path.display())]
    Stopped {
        /// The path.
        path: PathBuf,
    },
}

impl Source {
    /// Scans what is at a path, to be offered under `name`, and hashes it with all cores unless it
    /// is `known`: one read gives the hashes of its files and of its blocks.
    ///
    /// `progress` is told bytes done and bytes in all, some times a second, starts over where a
    /// file changes meanwhile, and stops the work by breaking.
    pub fn open(
        path: &Path,
        name: &SafeName,
        kind: ObjectKind,
        options: &ScanOptions,
        cut: Cut,
        known: &KnownHashes,
        mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Source, SourceError> {
        let tree = tree::scan(path, options, |_| ControlFlow::Continue(()));
        let tree = tree.map_err(SourceError::Scan)?;
        if tree.kind() != kind {
            let path = path.to_path_buf();
            return Err(SourceError::Unsteady { path });
        }
        let block_kib = cut
            .block_kib
            .unwrap_or_else(|| block_kib(tree.content_len()));
        let block = block_kib * 1_024;
        let hashed = match known_tree(&tree, block, known) {
            Some((content, blocks, table)) => Hashed {
                tree,
                table,
                content,
                blocks,
            },
            None => {
                let hashed =
                    tree::hash(tree, block, &mut progress).map_err(|error| match error {
                        HashError::Stopped { path } => SourceError::Stopped { path },
                        error => SourceError::Hash(error),
                    })?;
                remember(&hashed, block, known);
                hashed
            }
        };
        Source::of(path, name, kind, cut, block_kib, hashed, known)
    }

    fn of(
        path: &Path,
        name: &SafeName,
        kind: ObjectKind,
        cut: Cut,
        block_kib: u32,
        hashed: Hashed,
        known: &KnownHashes,
    ) -> Result<Source, SourceError> {
        let impossible = |why| {
            let path = path.to_path_buf();
            SourceError::Geometry { path, why }
        };
        let holes = holes(&hashed);
        let table = table_bytes::pack(hashed.table);
        let (length, table_len) = (hashed.tree.content_len(), table.len() as u32);
        let new = |m| Geometry::new(length, cut.symbol_size, block_kib, m, table_len);
        let k = new(0).map_err(impossible)?.k();
        let geometry = new(cut.codec.default_parity(k)).map_err(impossible)?;
        let hash = |(block, bytes): (BlockNo, &[u8])| hash_of(&geometry, block, bytes);
        let blocks = geometry.blocks_of(Part::Table);
        let pieces = blocks.zip(table.chunks(block_kib as usize * 1_024));
        let table_hashes = BlockHashes::new(&geometry, Part::Table, pieces.map(hash).collect());
        let content_hashes = BlockHashes::new(&geometry, Part::Content, hashed.blocks);
        let lost = || SourceError::Unsteady {
            path: path.to_path_buf(),
        };
        let table_hashes = table_hashes.ok_or_else(lost)?;
        let content_hashes = content_hashes.ok_or_else(lost)?;
        Ok(Source {
            description: Description {
                name: name.as_str().to_owned(),
                kind,
                content: content_hashes.id(),
                table: table_hashes.id(),
                geometry,
                codec: cut.codec,
            },
            holes,
            reader: ContentReader::new(Arc::new(hashed.tree)),
            table,
            table_hashes,
            content_hashes,
            known: known.clone(),
        })
    }

    /// The path that is offered.
    pub fn path(&self) -> &Path {
        self.reader.tree().root()
    }

    /// Paths of a folder that are not sent, and why.
    pub fn skipped(&self) -> &[Skipped] {
        self.reader.tree().skipped()
    }

    fn read_content(&self, index: u32, offset: u64, bytes: &mut [u8]) -> Result<(), StoreFault> {
        self.reader
            .read(offset..offset + bytes.len() as u64, bytes)?;
        let g = &self.description.geometry;
        let hash = hash_of(g, g.data_block(Part::Content, index), bytes);
        if self.content_hashes.get(index) == Some(&hash) {
            return Ok(());
        }
        // It looks as it did, so its hash would be taken for known again.
        self.forget(offset..offset + bytes.len() as u64);
        let text = format!("bytes from {offset} on are not those that were offered");
        Err(StoreFault::new(FaultKind::Changed, text))
    }

    /// Forgets the hashes of the files with these bytes, and of the whole.
    fn forget(&self, content: core::ops::Range<u64>) {
        let tree = self.reader.tree();
        let block = self.description.geometry.block_size();
        self.known.forget_object(&object_key(tree, block));
        let overlaps = |index: &usize| {
            let place = tree.place(*index).unwrap_or_default();
            place.start < content.end && content.start < place.end
        };
        for index in (0..tree.len()).filter(overlaps) {
            if let Some(looks) = looks_of(tree, index) {
                self.known.forget_file(&looks);
            }
        }
    }
}

impl Store for Source {
    fn description(&self) -> &Description {
        &self.description
    }

    /// All blocks: whether something has changed shows when a block is read.
    fn held(&self) -> RangeSet {
        let mut all = RangeSet::new();
        all.insert(0..u64::from(self.description.geometry.blocks()));
        all
    }

    fn holes(&self) -> RangeSet {
        self.holes.clone()
    }

    fn check(&self) -> Result<(), StoreFault> {
        let changes = self.reader.tree().changes(MOST_NAMED);
        if changes.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = changes.named.iter().map(ToString::to_string).collect();
        let more = if changes.more { ", and more" } else { "" };
        let text = format!("{}{more}", named.join(", "));
        Err(StoreFault::new(FaultKind::Changed, text))
    }

    /// Content must have the hash that was found when the object was opened, and its files must
    /// look as they did then: else it has changed, and is to be withdrawn.
    fn read_block(&self, block: BlockNo, slot: &mut [u8]) -> Result<usize, StoreFault> {
        let g = &self.description.geometry;
        let bytes = source_len(g, block);
        let slot = fitting(g, block, bytes, slot)?;
        match g.kind(block) {
            BlockKind::Page { part, number } => {
                let hashes = match part {
                    Part::Table => &self.table_hashes,
                    Part::Content => &self.content_hashes,
                };
                hashes.write_page(number, slot);
            }
            BlockKind::Data {
                part,
                index,
                offset,
                len,
            } => {
                let (data, rest) = slot.split_at_mut(len as usize);
                rest.fill(0);
                match part {
                    Part::Table => {
                        data.copy_from_slice(&self.table[offset as usize..][..len as usize]);
                    }
                    Part::Content => self.read_content(index, offset, data)?,
                }
            }
        }
        Ok(bytes)
    }
}

/// Ranges of the content that are holes by the table.
fn holes(hashed: &Hashed) -> RangeSet {
    if !hashed.tree.has_holes() {
        return RangeSet::new();
    }
    let table = FileTable::parse(hashed.table.clone(), hashed.tree.content_len());
    table
        .map(|table| table.holes().collect())
        .unwrap_or_default()
}

/// Blocks of an object of so many bytes where nothing else is said.
fn block_kib(length: u64) -> u32 {
    let usual = match length {
        ..config::LARGE_OBJECT => config::SMALL_BLOCK_KIB,
        _ => config::LARGE_BLOCK_KIB,
    };
    let least = length.div_ceil(config::MANY_BLOCKS).div_ceil(1_024);
    let least = least.next_power_of_two().min(config::MAX_BLOCK_KIB.into());
    usual.max(least as u32)
}

fn object_key(tree: &Tree, block: u32) -> ObjectKey {
    let mut key = ObjectKey::new(block.into());
    let files = (0..tree.len()).filter_map(|index| looks_of(tree, index));
    files.for_each(|looks| key.push(&looks));
    key
}

/// What a file of a tree looks like; none of what is no file.
fn looks_of(tree: &Tree, index: usize) -> Option<looks::Looks> {
    let tree::Looks {
        size,
        mtime,
        ctime,
        device,
        inode,
    } = tree.looks(index).filter(|_| tree.is_file(index))?;
    let stamp = looks::Stamp {
        size,
        mtime,
        ctime,
        device,
        inode,
    };
    let root = std::path::absolute(tree.root()).unwrap_or_else(|_| tree.root().to_path_buf());
    if tree.kind() == ObjectKind::File {
        return Some(stamp.at(&root));
    }
    use std::os::unix::ffi::OsStringExt;
    let path = std::ffi::OsString::from_vec(tree.path(index));
    Some(stamp.at(&root.join(path)))
}

/// Content id, block hashes and table of a tree of which every hash is known.
fn known_tree(tree: &Tree, block: u32, known: &KnownHashes) -> Option<(Hash, Vec<Hash>, Vec<u8>)> {
    if tree.content_len() == 0 {
        return None;
    }
    let (content, blocks) = known.object(&object_key(tree, block))?;
    let hash = |index| match looks_of(tree, index) {
        Some(looks) if looks.size > 0 => known.file(&looks),
        _ => Some(Hash::default()),
    };
    let hashes = match tree.kind() == ObjectKind::File {
        true => Vec::new(),
        false => (0..tree.len()).map(hash).collect::<Option<Vec<Hash>>>()?,
    };
    let table = tree::table(tree, &hashes).ok()?;
    Some((content, blocks, table))
}

/// Remembers what was hashed.
fn remember(hashed: &Hashed, block: u32, known: &KnownHashes) {
    let Hashed {
        tree,
        content,
        blocks,
        ..
    } = hashed;
    known.keep_object(&object_key(tree, block), content, blocks);
    if tree.kind() == ObjectKind::File {
        if let Some(looks) = looks_of(tree, 0) {
            known.keep_file(&looks, content);
        }
        return;
    }
    let Ok(table) = FileTable::parse(hashed.table.clone(), tree.content_len()) else {
        return;
    };
    for (index, entry) in table.entries().enumerate() {
        if let EntryKind::File {
            hash: Some(hash), ..
        } = entry.kind
            && let Some(looks) = looks_of(tree, index)
        {
            known.keep_file(&looks, &hash);
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
