//! From entries to a table's bytes.

use super::parse::{Check, check_entry};
use super::{Entry, EntryKind, MAX_BYTES, MAX_ENTRIES, TableError};

pub(super) const VERSION: u8 = 2;
pub(super) const KIND: u8 = 3;
pub(super) const HAS_HASH: u8 = 4;
pub(super) const HAS_HOLES: u8 = 8;
pub(super) const HAS_OWNER: u8 = 16;
pub(super) const HAS_ATTRIBUTES: u8 = 32;

/// Makes the bytes of a table from entries that come sorted.
#[derive(Clone, Debug)]
pub struct TableWriter {
    body: Vec<u8>,
    count: u64,
    check: Check,
}

impl Default for TableWriter {
    fn default() -> TableWriter {
        TableWriter::new()
    }
}

impl TableWriter {
    /// A table without entries.
    pub fn new() -> TableWriter {
        TableWriter {
            body: Vec::new(),
            count: 0,
            check: Check::new(1),
        }
    }

    /// Adds the next entry. One that is refused is left out, and others may follow.
    ///
    /// # Errors
    /// What [`FileTable::parse`](super::FileTable::parse) gives for what could not be read again.
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<(), TableError> {
        if self.count >= MAX_ENTRIES {
            return Err(TableError::TooMany(self.count + 1));
        }
        if self.body.len() as u64 > MAX_BYTES {
            return Err(TableError::TooLarge(self.body.len() as u64));
        }
        check_entry(entry)?;
        self.check.add(entry)?;
        self.count += 1;
        write_entry(entry, &mut self.body);
        Ok(())
    }

    /// Bytes of content that its files have.
    pub fn content_len(&self) -> u64 {
        self.check.content
    }

    /// The table's bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.body.len() + 11);
        bytes.push(VERSION);
        put_varint(self.count, &mut bytes);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn write_entry(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let kind = match &entry.kind {
        EntryKind::File { hash, holes, .. } => {
            let hash = if hash.is_some() { HAS_HASH } else { 0 };
            hash | if holes.is_empty() { 0 } else { HAS_HOLES }
        }
        EntryKind::Folder => 1,
        EntryKind::Link { .. } => 2,
    };
    let owner = if entry.owner.is_some() { HAS_OWNER } else { 0 };
    let attributes = match entry.xattrs.is_empty() {
        true => 0,
        false => HAS_ATTRIBUTES,
    };
    out.push(kind | owner | attributes);
    put_text(entry.path, out);
    out.extend_from_slice(&(entry.mode as u16).to_be_bytes());
    out.extend_from_slice(&entry.mtime.to_be_bytes());
    match &entry.kind {
        EntryKind::File {
            length,
            hash,
            holes,
        } => {
            put_varint(*length, out);
            out.extend(hash.iter().flat_map(|hash| hash.0));
            if !holes.is_empty() {
                put_varint(holes.len() as u64, out);
            }
            let mut end = 0;
            for hole in holes {
                put_varint(hole.start - end, out);
                put_varint(hole.end - hole.start, out);
                end = hole.end;
            }
        }
        EntryKind::Folder => {}
        EntryKind::Link { target } => put_text(target, out),
    }
    if let Some((user, group)) = entry.owner {
        put_varint(user.into(), out);
        put_varint(group.into(), out);
    }
    if !entry.xattrs.is_empty() {
        put_varint(entry.xattrs.len() as u64, out);
    }
    for (name, value) in &entry.xattrs {
        put_text(name, out);
        put_text(value, out);
    }
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text);
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
