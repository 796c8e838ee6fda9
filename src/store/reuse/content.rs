//! Hashes of files that are on disk, from the cache or by reading them.
//!
//! Takes paths, gives hashes and what the files looked like. A file that changes while it is read,
//! or is no plain file, has none. Memory is bounded however many and large they are.

use std::fs::{File, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use rayon::prelude::*;

use crate::ids::{ContentId, Hash};
use crate::object::hash_tree::{CHUNK, block_hash, content_hash, content_id_of};
use crate::store::disk::{Disk, will_read_in_order};
use crate::store::known::{KnownHashes, ObjectKey};
use crate::store::looks::Stamp;

/// Files from here on are read one after the other, each hashed with all cores.
pub(super) const LARGE: u64 = 16 << 20;
/// Bytes of a large file that are read at once.
const PIECE: usize = 8 << 20;
/// Bytes of another file that are read at once, by each thread.
const SMALL_PIECE: usize = 128 << 10;

/// Told of bytes that were read, by any thread; stops the work by breaking.
pub(crate) type Progress<'a> = &'a (dyn Fn(u64) -> ControlFlow<()> + Sync);

/// A file as an object of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Content {
    /// BLAKE3 of its bytes.
    pub(crate) id: ContentId,
    /// Hashes of its blocks; one block has the content id, and an empty file none.
    pub(crate) blocks: Vec<Hash>,
    pub(crate) stamp: Stamp,
}

/// Opens a plain file, and nothing that a link leads to or that would make us wait.
pub(super) fn open_plain(path: &Path) -> io::Result<(File, Metadata)> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits() as i32);
    }
    let file = options.open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((file, meta))
}

/// The hash of the file at an absolute path, if it looks as it did when it was found.
///
/// The cache has been asked before, and is told.
pub(super) fn read_hash(
    full: &Path,
    stamp: &Stamp,
    known: &KnownHashes,
    progress: Progress<'_>,
) -> Option<Hash> {
    let (file, meta) = open_plain(full).ok()?;
    if Stamp::of(&meta) != *stamp {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    let large = stamp.size >= LARGE;
    let most = if large { PIECE } else { SMALL_PIECE };
    read_all(&file, stamp.size, most, progress, |_, piece| {
        if large {
            hasher.update_rayon(piece);
        } else {
            hasher.update(piece);
        }
    })?;
    let hash = Hash(*hasher.finalize().as_bytes());
    if Stamp::of(&file.metadata().ok()?) != *stamp {
        return None;
    }
    known.keep_file(&stamp.at(full), &hash);
    Some(hash)
}

/// Gives `each` the bytes of a file in pieces of `most`, with their places; `None` if that fails.
fn read_all(
    file: &File,
    size: u64,
    most: usize,
    progress: Progress<'_>,
    mut each: impl FnMut(u64, &[u8]),
) -> Option<()> {
    if size > most as u64 {
        will_read_in_order(file);
    }
    let mut buffer = vec![0; size.min(most as u64) as usize];
    let mut at = 0;
    while at < size {
        let piece = buffer.get_mut(..(size - at).min(most as u64) as usize)?;
        file.read_at(piece, at).ok()?;
        each(at, piece);
        at += piece.len() as u64;
        if progress(piece.len() as u64).is_break() {
            return None;
        }
    }
    Some(())
}

/// A file's content id and the hashes of its blocks of `block` bytes, a power of two of KiB.
///
/// `None` if it is no plain file, can't be read, or changes meanwhile.
pub(crate) fn content_of(
    path: &Path,
    block: u64,
    known: &KnownHashes,
    progress: Progress<'_>,
) -> Option<Content> {
    if !block.is_power_of_two() || block < CHUNK {
        return None;
    }
    let full = std::path::absolute(path).ok()?;
    let (file, meta) = open_plain(&full).ok()?;
    let stamp = Stamp::of(&meta);
    let looks = stamp.at(&full);
    let mut key = ObjectKey::new(block);
    key.push(&looks);
    let count = stamp.size.div_ceil(block);
    if let Some((id, blocks)) = known.object(&key)
        && blocks.len() as u64 == count
    {
        return Some(Content { id, blocks, stamp });
    }
    let size = usize::try_from(block).ok()?;
    let mut blocks: Vec<Hash> = Vec::new();
    let one = count < 2;
    read_all(&file, stamp.size, PIECE.max(size), progress, |at, piece| {
        if one {
            blocks.push(content_hash(piece));
            return;
        }
        let pieces = piece.par_chunks(size).enumerate();
        let hash = |(i, bytes): (usize, &[u8])| block_hash(at + (i * size) as u64, bytes);
        blocks.par_extend(pieces.map(hash));
    })?;
    if Stamp::of(&file.metadata().ok()?) != stamp {
        return None;
    }
    let id = match blocks.len() {
        0 => content_hash(&[]),
        _ => content_id_of(&blocks),
    };
    known.keep_object(&key, &id, &blocks);
    known.keep_file(&looks, &id);
    Some(Content { id, blocks, stamp })
}
