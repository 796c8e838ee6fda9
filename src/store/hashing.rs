//! One pass over a file: the hash of all of it and of each block.
//!
//! Takes an open file and its geometry, gives hashes, and reports how far it is. One thread reads
//! ahead in large pieces while all cores hash; the bytes go through memory once.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::prelude::*;

use crate::ids::{ContentId, Hash};
use crate::object::{BlockKind, Geometry, block_hash};
use crate::store::disk::Disk;

/// Bytes read at once, rounded to whole blocks: long enough that a disk streams and that every core
/// has blocks to hash, short enough to be hashed twice while it is in the cache (the `hash` bench
/// loses half with 16 MiB).
const PIECE: usize = 4 << 20;
/// Pieces in memory: one being hashed, one waiting, one being read.
const PIECES: usize = 3;

/// Why a file could not be hashed.
#[derive(Debug)]
pub(crate) enum HashingFault {
    /// It ended early: it has become shorter.
    Shorter,
    Io(io::Error),
    /// The caller said so.
    Stopped,
}

/// Whole blocks, read.
struct Piece {
    first: u32,
    blocks: u32,
    bytes: Vec<u8>,
}

/// Hashes `file`. `each` gets the content blocks' hashes in order; `progress` the bytes done and
/// the bytes in all, after each piece.
pub(crate) fn hash_file(
    file: &File,
    geometry: &Geometry,
    mut each: impl FnMut(Hash) -> io::Result<()>,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ContentId, HashingFault> {
    if progress(0, geometry.length()).is_break() {
        return Err(HashingFault::Stopped);
    }
    let mut whole = blake3::Hasher::new();
    std::thread::scope(|scope| {
        let (full_in, full_out) = sync_channel(PIECES);
        let (empty_in, empty_out) = sync_channel(PIECES);
        for _ in 0..PIECES {
            let _ = empty_in.send(Vec::new());
        }
        scope.spawn(move || read_pieces(file, geometry, &empty_out, &full_in));
        let mut done = 0;
        for piece in full_out {
            let piece = piece?;
            let hashes = hash_piece(&mut whole, geometry, &piece);
            hashes
                .into_iter()
                .try_for_each(&mut each)
                .map_err(HashingFault::Io)?;
            done += piece.bytes.len() as u64;
            if progress(done, geometry.length()).is_break() {
                return Err(HashingFault::Stopped);
            }
            // The reader is gone after the last piece.
            let _ = empty_in.send(piece.bytes);
        }
        Ok(Hash(*whole.finalize().as_bytes()))
    })
}

fn hash_piece(whole: &mut blake3::Hasher, geometry: &Geometry, piece: &Piece) -> Vec<Hash> {
    let mut rest = &piece.bytes[..];
    let blocks: Vec<&[u8]> = (piece.first..piece.first + piece.blocks)
        .map(|index| {
            let (_, len) = place(geometry, index);
            let (block, after) = rest.split_at(len);
            rest = after;
            block
        })
        .collect();
    let blocks = || blocks.par_iter().map(|b| block_hash(b)).collect();
    let (_, hashes) = rayon::join(|| whole.update_rayon(&piece.bytes).count(), blocks);
    hashes
}

/// Ends when the file does, at a fault, or when nobody takes pieces any more.
fn read_pieces(
    file: &File,
    geometry: &Geometry,
    empty: &Receiver<Vec<u8>>,
    full: &SyncSender<Result<Piece, HashingFault>>,
) {
    let mut first = 0;
    while first < geometry.content_blocks() {
        let Ok(mut bytes) = empty.recv() else { return };
        let (offset, mut len) = place(geometry, first);
        let mut blocks = 1;
        while first + blocks < geometry.content_blocks() {
            let (_, more) = place(geometry, first + blocks);
            if len + more > PIECE {
                break;
            }
            len += more;
            blocks += 1;
        }
        bytes.resize(len, 0);
        let result = match file.read_at(&mut bytes, offset) {
            Ok(()) => Ok(Piece {
                first,
                blocks,
                bytes,
            }),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(HashingFault::Shorter),
            Err(e) => Err(HashingFault::Io(e)),
        };
        let failed = result.is_err();
        if full.send(result).is_err() || failed {
            return;
        }
        first += blocks;
    }
}

fn place(geometry: &Geometry, index: u32) -> (u64, usize) {
    match geometry.kind(geometry.first_content_block() + index) {
        BlockKind::Content { offset, len, .. } => (offset, len as usize),
        _ => (0, 0),
    }
}
