//! A file table as it travels: compressed where that is shorter.
//!
//! Takes the bytes of an encoded table and gives those that are cut into blocks, or the other way
//! round. What is compressed is one frame of zstd, whose magic number no table begins with. It
//! knows nothing of what a table says.

use std::io::Read;

use thiserror::Error;

use crate::config;

/// What a frame of zstd begins with; a table begins with its version.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// zstd's level, the same for everybody: a table of the same files has the same bytes.
const LEVEL: i32 = 6;

/// Most bytes of a table for each byte that came. A table of a million empty files comes to less
/// than a hundred; a bomb comes to many thousands.
const MOST_FOR_ONE: u64 = 1_024;

/// Most bytes of a table, compressed or not: it has to be kept in memory.
const MOST: u64 = 2 << 30;

/// Why bytes are no table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum UnpackError {
    /// The bytes begin as a frame of zstd does, and are none.
    #[error("it is compressed in a way that can't be read")]
    Damaged,
    /// The bytes come to more than a table may have.
    #[error("it comes to more than {0} bytes, which is the most for a table of its size")]
    TooLong(u64),
}

/// The most bytes that a table may have which travels as this many.
pub(crate) fn limit_of(packed: u64) -> u64 {
    packed.saturating_mul(MOST_FOR_ONE).min(MOST)
}

/// The bytes of a table as they travel.
pub(crate) fn pack(table: Vec<u8>) -> Vec<u8> {
    match zstd::bulk::compress(&table, LEVEL) {
        Ok(packed) if is_better(packed.len(), table.len()) => packed,
        _ => table,
    }
}

fn is_better(packed: usize, plain: usize) -> bool {
    packed < plain && plain as u64 <= limit_of(packed as u64)
}

/// The bytes of a table that came as `bytes`, at most `limit`.
pub(crate) fn unpack(bytes: &[u8], limit: u64) -> Result<Vec<u8>, UnpackError> {
    if !bytes.starts_with(&MAGIC) {
        return match bytes.len() as u64 {
            len if len <= limit => Ok(bytes.to_vec()),
            _ => Err(UnpackError::TooLong(limit)),
        };
    }
    let damaged = |_| UnpackError::Damaged;
    let mut frame = zstd::stream::read::Decoder::with_buffer(bytes)
        .map_err(damaged)?
        .single_frame();
    let mut table = Vec::new();
    let read = frame.by_ref().take(limit.saturating_add(1));
    let len = { read }.read_to_end(&mut table).map_err(damaged)? as u64;
    if len > limit {
        return Err(UnpackError::TooLong(limit));
    }
    // Anything behind the frame would make two tables of one.
    match frame.finish().is_empty() {
        true => Ok(table),
        false => Err(UnpackError::Damaged),
    }
}

const _: () = assert!(config::MAX_TABLE_LEN as u64 <= MOST);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(table: &[u8]) -> Vec<u8> {
        let packed = pack(table.to_vec());
        let limit = limit_of(packed.len() as u64);
        assert_eq!(unpack(&packed, limit).as_deref(), Ok(table));
        packed
    }

    #[test]
    fn a_table_comes_out_as_it_was() {
        assert_eq!(both(b"\x01short"), b"\x01short");
        let names: Vec<u8> = (0..10_000)
            .flat_map(|n| format!("\x01folder/file{n:06}\0").into_bytes())
            .collect();
        assert!(both(&names).len() < names.len() / 4);
        // What is so even that it would look like a bomb travels as it is.
        assert_eq!(both(&vec![1; 10 << 20]).len(), 10 << 20);
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
        let limit = limit_of(bomb.len() as u64);
        assert!(limit < 64 << 20);
        assert_eq!(unpack(&bomb, limit), Err(UnpackError::TooLong(limit)));
        assert_eq!(unpack(&[1; 100], 99), Err(UnpackError::TooLong(99)));
        assert!(unpack(&bomb, 64 << 20).is_ok());
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let packed = zstd::bulk::compress(&[1; 1_000], LEVEL).unwrap();
        let refused = |bytes: &[u8]| unpack(bytes, 1 << 20).unwrap_err();
        assert_eq!(refused(&packed[..packed.len() - 1]), UnpackError::Damaged);
        assert_eq!(refused(&packed[..4]), UnpackError::Damaged);
        assert_eq!(refused(&[&packed[..], b"x"].concat()), UnpackError::Damaged);
        assert_eq!(
            refused(&[&packed[..], &packed].concat()),
            UnpackError::Damaged
        );
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack(&bytes, 10_000);
            bytes.splice(..0, MAGIC);
            let _ = unpack(&bytes, 10_000).inspect(|t| assert!(t.len() <= 10_000));
        }

        #[test]
        fn any_bytes_travel(mut table in proptest::collection::vec(any::<u8>(), 0..3_000)) {
            table.insert(0, 1);
            both(&table);
        }
    }
}
