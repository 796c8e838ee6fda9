//! Which files, folders and links an object is.
//!
//! Takes what a table says of each path, gives its encoded bytes; takes bytes that somebody sent,
//! checks all of them, and gives entries and where their bytes are in the object's content. It
//! knows no file system: what of it can be stored on this machine is the store's business.
//!
//! ```text
//!  u8      version, 2
//!  varint  number of entries
//!  then of each entry, sorted by path
//!  u8      bits 0 and 1 its kind (0 a file, 1 a folder, 2 a link); bit 2 a hash, 3 holes, 4 owner, 5 attributes
//!  varint  length of the path; the path
//!  u16     permission bits, 12 of them; i64 time in ns since 1970; big endian
//!  file    varint length; with bit 2 the BLAKE3 of its bytes (32); with bit 3 holes: varint their number,
//!          of each varint how far from the end of the one before (or the start), varint length
//!  link    varint length of the target; the target
//!  bit 4   varint user, varint group
//!  bit 5   varint number of attributes, sorted by name; of each varint length, name, varint length, value
//! ```
//!
//! A varint has seven bits a byte, the lowest first, the high bit set in all but the last; the
//! shortest form only. A table has exactly one encoding: what differs from it is refused.
//!
//! Paths are sorted component by component, so that a folder is followed by all that is in it, and
//! each is in a folder that came before: a link can't be written through. The first entry is the
//! folder itself, with an empty path; a table of one entry with a name is a single file's. The
//! files' bytes are the content, in this order and without gaps; a hole's bytes are zeros.

mod encode;
mod error;
mod parse;

pub use encode::TableWriter;
pub use error::TableError;

use core::ops::Range;

use crate::ids::Hash;

/// Most bytes in a path.
pub const MAX_PATH: usize = 4_096;
/// Most bytes in a component of a path, and in an attribute's name.
pub const MAX_NAME: usize = 255;
/// Most components in a path: deeper than what any file system's own tools make, shallow enough
/// that each can be opened in turn.
pub const MAX_COMPONENTS: usize = 512;
/// Most bytes in a link's target.
pub const MAX_TARGET: usize = 4_095;
/// Most bytes in an attribute's value (Linux's `XATTR_SIZE_MAX`).
pub const MAX_VALUE: usize = 65_536;
/// Most bytes in the attributes of one entry.
pub const MAX_ATTRIBUTES: usize = 131_072;
/// Most entries: what one object may be, not what a machine can't hold.
pub const MAX_ENTRIES: u64 = 10_000_000;
/// Most bytes of an encoded table that is not compressed: 200 for each of so many entries.
pub const MAX_BYTES: u64 = 2_000_000_000;

/// A table that was checked: its bytes, and 12 bytes more for each entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileTable {
    bytes: Vec<u8>,
    /// Where each entry begins in the bytes.
    starts: Vec<u32>,
    /// Where each entry's bytes begin in the content; what has none begins where the next does.
    offsets: Vec<u64>,
    content_len: u64,
}

/// An entry of a table: one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The path in the object, `/` between components; empty for the object's own folder.
    pub path: &'a [u8],
    /// Its kind.
    pub kind: EntryKind<'a>,
    /// When it was last modified, in ns since 1970-01-01 UTC.
    pub mtime: i64,
    /// The 12 permission bits.
    pub mode: u32,
    /// User and group, where they were asked for.
    pub owner: Option<(u32, u32)>,
    /// Extended attributes by name, where they were asked for.
    pub xattrs: Vec<(&'a [u8], &'a [u8])>,
}

/// The kind of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryKind<'a> {
    /// A plain file.
    File {
        /// The length in bytes.
        length: u64,
        /// BLAKE3 of its bytes. An empty file has none, nor has a single file, whose hash is the
        /// content id.
        hash: Option<Hash>,
        /// Ranges of it that are zeros and take no room, in order and apart.
        holes: Vec<Range<u64>>,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link {
        /// Target, as it was.
        target: &'a [u8],
    },
}

/// Bytes of one file that are bytes of the content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The file's entry.
    pub entry: usize,
    /// Where they are in the file.
    pub at: u64,
    /// How many.
    pub len: u64,
    /// Where they are in the content.
    pub content: u64,
}

impl FileTable {
    /// How many entries; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of the content.
    pub fn content_len(&self) -> u64 {
        self.content_len
    }

    /// The table as it is encoded.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is of one file, not of a folder.
    pub fn is_single_file(&self) -> bool {
        !self.path(0).is_empty()
    }

    /// An entry, which must be one of the table's.
    pub fn entry(&self, index: usize) -> Entry<'_> {
        let bytes = self.starts.get(index).map(|&at| &self.bytes[at as usize..]);
        let read = parse::read_entry(&mut parse::Reader::new(bytes.unwrap_or_default()));
        // What was parsed once parses again.
        read.unwrap_or(Entry {
            path: &[],
            kind: EntryKind::Folder,
            mtime: 0,
            mode: 0,
            owner: None,
            xattrs: Vec::new(),
        })
    }

    /// All entries, by path.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        (0..self.len()).map(|index| self.entry(index))
    }

    /// An entry's path, read without the rest of it.
    pub fn path(&self, index: usize) -> &[u8] {
        let bytes = self.starts.get(index).map(|&at| &self.bytes[at as usize..]);
        parse::read_path(&mut parse::Reader::new(bytes.unwrap_or_default())).unwrap_or_default()
    }

    /// Where an entry's bytes begin in the content.
    pub fn offset(&self, index: usize) -> u64 {
        let offset = self.offsets.get(index).copied();
        offset.unwrap_or(self.content_len)
    }

    /// Bytes of an entry in the content; 0 for what is no file.
    pub fn length(&self, index: usize) -> u64 {
        self.offset(index + 1) - self.offset(index)
    }

    /// Whether an entry is a folder.
    pub fn is_folder(&self, index: usize) -> bool {
        self.entry(index).kind == EntryKind::Folder
    }

    /// The entry of a path.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match compare_paths(self.path(middle), path) {
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Equal => return Some(middle),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The files that a range of the content lies in, and what of them.
    pub fn pieces(&self, content: Range<u64>) -> impl Iterator<Item = Piece> + '_ {
        let end = content.end.min(self.content_len);
        // The last that begins at or before the range; those without bytes at the same place come
        // before it.
        let first = self
            .offsets
            .partition_point(|&offset| offset <= content.start);
        let candidates = first.saturating_sub(1)..self.len();
        let begun = candidates.take_while(move |&entry| self.offset(entry) < end);
        begun.filter_map(move |entry| {
            let start = self.offset(entry);
            let from = start.max(content.start);
            let to = self.offset(entry + 1).min(end);
            (from < to).then(|| Piece {
                entry,
                at: from - start,
                len: to - from,
                content: from,
            })
        })
    }

    /// The ranges of the content that are zeros and take no room, in order.
    pub fn holes(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        (0..self.len()).flat_map(|index| {
            let offset = self.offset(index);
            let holes = match self.entry(index).kind {
                EntryKind::File { holes, .. } => holes,
                _ => Vec::new(),
            };
            let within = move |hole: Range<u64>| offset + hole.start..offset + hole.end;
            holes.into_iter().map(within)
        })
    }

    /// The entries whose path becomes one of an entry before where a file system does not tell
    /// upper from lower case; and all that is in such folders.
    pub fn clashes_by_case(&self) -> Vec<usize> {
        let mut seen = std::collections::HashSet::with_capacity(self.len());
        let folded = |index| String::from_utf8_lossy(self.path(index)).to_lowercase();
        let mut clashing: Vec<usize> = Vec::new();
        for index in 0..self.len() {
            let is_under = clashing.last().is_some_and(|&folder| {
                let rest = self.path(index).strip_prefix(self.path(folder));
                rest.is_some_and(|rest| rest.first() == Some(&b'/'))
            });
            if is_under {
                continue;
            }
            if !seen.insert(blake3::hash(folded(index).as_bytes())) {
                clashing.push(index);
            }
        }
        clashing
    }
}

/// The order of paths: component by component.
pub fn compare_paths(a: &[u8], b: &[u8]) -> core::cmp::Ordering {
    let key = |&byte: &u8| if byte == b'/' { 0 } else { byte };
    a.iter().map(key).cmp(b.iter().map(key))
}

#[cfg(test)]
mod tests;
