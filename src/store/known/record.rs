//! The format of the file of known hashes, record by record.
//!
//! Takes bytes and gives records that are whole, and the other way round. All numbers are big
//! endian, and every record is a multiple of 64 bytes:
//!
//! ```text
//! file:    0  magic `LOOPKNW1`, the digit being the version
//!          8  zeros
//!         64  records, one after the other
//! record:  0  u8 kind: 1 a file, 2 an object, 3 forgotten
//!          1  zeros
//!          4  u32 number of block hashes; 0 but for objects
//!          8  key (16)
//!         24  BLAKE3 of the file, content id of the object, or zeros (32)
//!         56  the first 8 bytes of BLAKE3 over the 56 bytes before and what follows
//!         64  block hashes, 32 each, then zeros up to a multiple of 64
//! ```
//!
//! Of two records with one key the later counts.

use std::io::{self, Read};

use crate::ids::Hash;

/// Bytes that the header takes, and that every record is a multiple of.
pub(super) const UNIT: usize = 64;

/// Bytes of the longest record: block hashes of 1 TiB in blocks of 512 KiB.
pub(super) const MAX_RECORD: u64 = 64 << 20;

const MAGIC: &[u8; 8] = b"LOOPKNW1";
/// Where the checksum is.
const SUM: usize = 56;

/// Name of what a record is about: a hash over it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key(pub(super) [u8; 16]);

/// Content of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File = 1,
    Object = 2,
    Forgotten = 3,
}

/// The first 64 bytes of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) key: Key,
    pub(super) hash: Hash,
    pub(super) blocks: u32,
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// Records that can be read follow.
    Ours,
    /// A format that other versions of this program read.
    Other,
    /// Something else.
    Garbage,
}

pub(super) fn header() -> [u8; UNIT] {
    let mut out = [0; UNIT];
    out[..8].copy_from_slice(MAGIC);
    out
}

pub(super) fn version(found: &[u8; UNIT]) -> Version {
    if *found == header() {
        Version::Ours
    } else if found.starts_with(&MAGIC[..7]) && found[7] != MAGIC[7] {
        Version::Other
    } else {
        Version::Garbage
    }
}

impl Head {
    /// Bytes of block hashes and zeros after the head.
    pub(super) fn tail(&self) -> u64 {
        (u64::from(self.blocks) * 32).next_multiple_of(UNIT as u64)
    }

    /// Appends the record with these block hashes, whose number is the head's.
    pub(super) fn write(&self, blocks: &[Hash], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([self.kind as u8, 0, 0, 0]);
        out.extend(self.blocks.to_be_bytes());
        out.extend(self.key.0);
        out.extend(self.hash.0);
        out.extend([0; UNIT - SUM]);
        blocks.iter().for_each(|b| out.extend(b.0));
        out.resize((out.len() - start).next_multiple_of(UNIT) + start, 0);
        let sum = sum(&out[start..]);
        out[start + SUM..start + UNIT].copy_from_slice(&sum);
    }

    /// The head of a record, not yet proved by its checksum.
    fn read(bytes: &[u8; UNIT]) -> Option<Head> {
        let kind = match bytes[..4] {
            [1, 0, 0, 0] => Kind::File,
            [2, 0, 0, 0] => Kind::Object,
            [3, 0, 0, 0] => Kind::Forgotten,
            _ => return None,
        };
        let blocks = u32::from_be_bytes(bytes[4..8].try_into().ok()?);
        let head = Head {
            kind,
            key: Key(bytes[8..24].try_into().ok()?),
            hash: Hash(bytes[24..56].try_into().ok()?),
            blocks,
        };
        let fits = head.tail() + UNIT as u64 <= MAX_RECORD;
        (fits && (blocks == 0 || kind == Kind::Object)).then_some(head)
    }

    /// A whole record: its head and its block hashes, if its checksum holds.
    pub(super) fn parse(record: &[u8]) -> Option<(Head, &[[u8; 32]])> {
        let head = Head::read(record.first_chunk()?)?;
        let tail = record.get(UNIT..)?;
        if tail.len() as u64 != head.tail() || record[SUM..UNIT] != sum(record) {
            return None;
        }
        let blocks = tail.as_chunks().0.get(..head.blocks as usize)?;
        Some((head, blocks))
    }
}

/// The checksum over a record.
fn sum(record: &[u8]) -> [u8; UNIT - SUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record[..SUM]);
    hasher.update(&record[UNIT..]);
    let mut out = [0; UNIT - SUM];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..UNIT - SUM]);
    out
}

/// Gives `each` the records of `len` bytes, as far as they hold, and what they are made of; the
/// number of bytes they take is what comes back.
pub(super) fn scan(
    mut from: impl Read,
    len: u64,
    mut each: impl FnMut(u64, &Head, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut at = 0;
    let mut record = vec![0; UNIT];
    while len - at >= UNIT as u64 {
        record.resize(UNIT, 0);
        if !fill(&mut from, &mut record)? {
            break;
        }
        let Some(head) = record.first_chunk().and_then(Head::read) else {
            break;
        };
        let whole = head.tail() + UNIT as u64;
        if whole > len - at {
            break;
        }
        record.resize(whole as usize, 0);
        if !fill(&mut from, &mut record[UNIT..])? || Head::parse(&record).is_none() {
            break;
        }
        each(at, &head, &record)?;
        at += whole;
    }
    Ok(at)
}

/// Whether there was enough to fill `buf`.
fn fill(from: &mut impl Read, buf: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
