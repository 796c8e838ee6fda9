//! The file table of an archive: which files it holds, and where.
//!
//! Takes entries and gives bytes, or the other way round with everything checked. It touches no
//! file; what a receiver does with times and modes is the store's decision.
//!
//! The layout, all numbers big endian:
//!
//! ```text
//!  0  u8   version, 1
//!  1  u8   0, skipped
//!  2  u16  0, skipped
//!  4  u32  entries, at least 1
//!  8  u64  length of the object
//! 16       the entries, one after the other:
//!     0  u16  bytes in the path, 1 to 4,096
//!     2  u16  flags: bit 0 the time is known, bit 1 the mode is known; others are skipped
//!     4  u64  offset in the object
//!    12  u64  length
//!    20  i64  modification time, ns since 1970-01-01 UTC (0 if not known)
//!    28  u32  Unix mode, permission bits (0 if not known)
//!    32       the path, UTF-8, with '/' between components
//! ```
//!
//! Entries follow each other without gap or overlap, from offset 0 to the end of the object.
//! Nothing follows the last one.

use std::collections::HashSet;

use thiserror::Error;

use crate::config;
use crate::object::{NameError, SafeName};

const VERSION: u8 = 1;
const HEADER: usize = 16;
const ENTRY: usize = 32;
const HAS_MTIME: u16 = 1;
const HAS_MODE: u16 = 2;

/// The files of an object, in the order of their bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileTable {
    entries: Vec<FileEntry>,
}

/// One file of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEntry {
    /// Its name, or path in the folder that the object becomes.
    pub path: SafeName,
    /// Where it starts in the object, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// When it was last modified, in ns since 1970-01-01 UTC; -292 to +292 years.
    pub mtime: Option<i64>,
    /// Its Unix permission bits, as the sender saw them.
    pub mode: Option<u32>,
}

/// Why bytes are no file table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TableError {
    /// A version that we don't know.
    #[error("the file table is of version {0}: a newer loopcast is needed")]
    Version(u8),
    /// The bytes end within the header or an entry, or the count asks for more than there are.
    #[error("the file table is cut short")]
    Short,
    /// Bytes after the last entry, or more of them than a table may have.
    #[error("the file table is too long")]
    Long,
    /// It has no entry.
    #[error("the file table names no file")]
    Empty,
    /// It was made for an object of another length.
    #[error("the file table is of an object of {0} bytes")]
    Length(u64),
    /// A file does not start where the one before it ended, or ends beyond the object.
    #[error("files overlap, or leave a gap, or are out of order in the file table")]
    Order,
    /// A path is not UTF-8.
    #[error("a path in the file table is not UTF-8")]
    Text,
    /// A path is not safe.
    #[error("a path in the file table is refused: {0}")]
    Name(#[from] NameError),
    /// Two files have one path, or one's path is a folder in the other's.
    #[error("two files in the file table have the same path")]
    Twice,
}

impl FileTable {
    /// The table of an object that is one file.
    pub fn single(path: SafeName, length: u64, mtime: Option<i64>, mode: Option<u32>) -> FileTable {
        FileTable {
            entries: vec![FileEntry {
                path,
                offset: 0,
                length,
                mtime,
                mode,
            }],
        }
    }

    /// The table of an object that is several files.
    ///
    /// # Errors
    ///
    /// [`TableError::Empty`], [`TableError::Order`] and [`TableError::Twice`], as when it is read.
    pub fn new(entries: Vec<FileEntry>) -> Result<FileTable, TableError> {
        if entries.is_empty() {
            return Err(TableError::Empty);
        }
        let mut end = 0u64;
        for entry in &entries {
            if entry.offset != end {
                return Err(TableError::Order);
            }
            end = end.checked_add(entry.length).ok_or(TableError::Order)?;
        }
        check_paths(&entries)?;
        Ok(FileTable { entries })
    }

    /// The files, in the order of their bytes; at least one.
    pub fn entries(&self) -> &[FileEntry] {
        &self.entries
    }

    /// The table as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let length = self.entries.last().map_or(0, |e| e.offset + e.length);
        let mut out = vec![VERSION, 0, 0, 0];
        out.extend((self.entries.len() as u32).to_be_bytes());
        out.extend(length.to_be_bytes());
        for e in &self.entries {
            let path = e.path.as_str().as_bytes();
            let known = if e.mtime.is_some() { HAS_MTIME } else { 0 }
                | if e.mode.is_some() { HAS_MODE } else { 0 };
            out.extend((path.len() as u16).to_be_bytes());
            out.extend(known.to_be_bytes());
            out.extend(e.offset.to_be_bytes());
            out.extend(e.length.to_be_bytes());
            out.extend(e.mtime.unwrap_or(0).to_be_bytes());
            out.extend(e.mode.unwrap_or(0).to_be_bytes());
            out.extend(path);
        }
        out
    }

    /// Reads the table of an object of `length` bytes. `bytes` must be the table and nothing else.
    pub fn parse(bytes: &[u8], length: u64) -> Result<FileTable, TableError> {
        if bytes.len() > config::MAX_ARCHIVE_TABLE as usize {
            return Err(TableError::Long);
        }
        let mut rest = Reader(bytes);
        let [version] = rest.take()?;
        if version != VERSION {
            return Err(TableError::Version(version));
        }
        let _: [u8; 3] = rest.take()?;
        let count = u32::from_be_bytes(rest.take()?) as usize;
        let said = u64::from_be_bytes(rest.take()?);
        if said != length {
            return Err(TableError::Length(said));
        }
        if count == 0 {
            return Err(TableError::Empty);
        }
        // Before anything is allocated for them.
        if count > (bytes.len() - HEADER) / (ENTRY + 1) {
            return Err(TableError::Short);
        }
        let mut entries = Vec::with_capacity(count);
        let mut end = 0u64;
        for _ in 0..count {
            let entry = parse_entry(&mut rest)?;
            if entry.offset != end {
                return Err(TableError::Order);
            }
            end = end
                .checked_add(entry.length)
                .filter(|&e| e <= length)
                .ok_or(TableError::Order)?;
            entries.push(entry);
        }
        if !rest.0.is_empty() {
            return Err(TableError::Long);
        }
        if end != length {
            return Err(TableError::Order);
        }
        check_paths(&entries)?;
        Ok(FileTable { entries })
    }
}

fn parse_entry(rest: &mut Reader<'_>) -> Result<FileEntry, TableError> {
    let path_len = u16::from_be_bytes(rest.take()?);
    let known = u16::from_be_bytes(rest.take()?);
    let offset = u64::from_be_bytes(rest.take()?);
    let length = u64::from_be_bytes(rest.take()?);
    let mtime = i64::from_be_bytes(rest.take()?);
    let mode = u32::from_be_bytes(rest.take()?);
    let path = core::str::from_utf8(rest.slice(path_len.into())?).map_err(|_| TableError::Text)?;
    Ok(FileEntry {
        path: SafeName::in_table(path)?,
        offset,
        length,
        mtime: (known & HAS_MTIME != 0).then_some(mtime),
        mode: (known & HAS_MODE != 0).then_some(mode),
    })
}

/// No path twice, and no file where another needs a folder.
fn check_paths(entries: &[FileEntry]) -> Result<(), TableError> {
    let mut files = HashSet::with_capacity(entries.len());
    if !entries.iter().all(|e| files.insert(e.path.as_str())) {
        return Err(TableError::Twice);
    }
    let is_file = |folder: &str| files.contains(folder);
    let in_a_file = |path: &str| path.match_indices('/').any(|(at, _)| is_file(&path[..at]));
    if entries.iter().any(|e| in_a_file(e.path.as_str())) {
        return Err(TableError::Twice);
    }
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], TableError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(TableError::Short)?;
        self.0 = tail;
        Ok(head)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], TableError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(TableError::Short)?;
        self.0 = tail;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(s: &str) -> SafeName {
        SafeName::in_table(s).unwrap()
    }

    /// Files of these paths and lengths, one after the other.
    fn table(files: &[(&str, u64)]) -> FileTable {
        let mut offset = 0;
        let mut entries = Vec::new();
        for &(path, length) in files {
            entries.push(FileEntry {
                path: name(path),
                offset,
                length,
                mtime: Some(-5),
                mode: None,
            });
            offset += length;
        }
        FileTable { entries }
    }

    #[test]
    fn golden_bytes() {
        let one = FileTable::single(
            name("d/f"),
            0x0102,
            Some(0x1122_3344_5566_7788),
            Some(0o644),
        );
        #[rustfmt::skip]
        let bytes = [
            1, 0, 0, 0,  0, 0, 0, 1,  0, 0, 0, 0, 0, 0, 1, 2,
            0, 3, 0, 3,
            0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 1, 2,
            0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
            0, 0, 0x01, 0xa4,
            b'd', b'/', b'f',
        ];
        assert_eq!(one.encode(), bytes);
        assert_eq!(FileTable::parse(&bytes, 0x0102), Ok(one));
    }

    #[test]
    fn many_files_and_empty_ones() {
        let t = table(&[("a", 0), ("b/c", 10), ("b/d", 0), ("b.e", 7)]);
        assert_eq!(FileTable::parse(&t.encode(), 17), Ok(t));
        let none = FileTable::single(name("x"), 0, None, None);
        assert_eq!(FileTable::parse(&none.encode(), 0), Ok(none));
    }

    #[test]
    fn wrong_tables_are_named() {
        let parse = |t: FileTable, length| FileTable::parse(&t.encode(), length).unwrap_err();
        let edit = |at: usize, value: u8| {
            let mut bytes = table(&[("a", 3), ("b", 4)]).encode();
            bytes[at] = value;
            FileTable::parse(&bytes, 7).unwrap_err()
        };
        assert_eq!(parse(table(&[("a", 3)]), 4), TableError::Length(3));
        assert_eq!(parse(table(&[]), 0), TableError::Empty);
        assert_eq!(parse(table(&[("a", 1), ("a", 1)]), 2), TableError::Twice);
        assert_eq!(parse(table(&[("a/b", 1), ("a", 1)]), 2), TableError::Twice);
        assert_eq!(
            parse(table(&[("a", 1), ("a/b/c", 1)]), 2),
            TableError::Twice
        );
        assert_eq!(edit(0, 2), TableError::Version(2));
        assert_eq!(edit(4, 0xff), TableError::Short);
        assert_eq!(edit(7, 1), TableError::Long);
        assert_eq!(edit(16 + 11, 1), TableError::Order);
        assert_eq!(edit(16 + 12, 0xff), TableError::Order);
        assert_eq!(edit(16 + 33 + 11, 2), TableError::Order);
        assert_eq!(edit(16 + 33 + 19, 5), TableError::Order);
        assert_eq!(edit(16 + 32, b'/'), TableError::Name(NameError::Absolute));
        assert_eq!(edit(16 + 32, 0xff), TableError::Text);
        let mut long = table(&[("a", 1)]).encode();
        long.push(0);
        assert_eq!(FileTable::parse(&long, 1), Err(TableError::Long));
        assert_eq!(
            FileTable::parse(&vec![1; (1 << 20) + 1], 1),
            Err(TableError::Long)
        );
    }

    #[test]
    fn no_cut_table_passes() {
        let bytes = table(&[("a", 3), ("b", 4)]).encode();
        for end in 0..bytes.len() {
            assert_eq!(FileTable::parse(&bytes[..end], 7), Err(TableError::Short));
        }
    }

    proptest! {
        #[test]
        fn noise_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), length: u64) {
            let _ = FileTable::parse(&bytes, length);
        }

        #[test]
        fn damage_does_not_panic(at in 0usize..82, value: u8) {
            let mut bytes = table(&[("a", 3), ("b", 4)]).encode();
            bytes[at] = value;
            if let Ok(t) = FileTable::parse(&bytes, 7) {
                prop_assert_eq!(t.entries().iter().map(|e| e.length).sum::<u64>(), 7);
            }
        }
    }
}
