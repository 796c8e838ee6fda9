//! Blocks with parity: what waits on disk, and what is restored of it.
//!
//! On disk as in memory a parity symbol stands in the place of a source symbol that has not come. A
//! place on disk is where its source symbol's bytes belong, so what waits needs no room of its own; only
//! where the file ends within its last symbol does a guest not fit, and waits in memory.

use super::{Sink, clip};
use crate::ids::BlockNo;
use crate::object::BlockKind;
use crate::store::places::{Merge, Places};
use crate::store::{BlockBuf, SinkError};

/// How the source symbols of a block were found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gathered {
    /// They have all come, and those that the buffer does not have are written.
    All,
    /// Some were restored; all are to be written.
    Restored,
    /// There are too few, with parity too.
    TooFew,
}

/// A content block on disk.
#[derive(Clone, Copy)]
struct OnDisk {
    index: u32,
    offset: u64,
    len: u32,
    symbols: u16,
    size: usize,
}

impl OnDisk {
    /// Bytes of a place that the file has.
    fn fits(&self, place: u16) -> usize {
        clip(place..place + 1, self.size, self.len).len()
    }

    fn offset_of(&self, place: u16) -> u64 {
        self.offset + u64::from(place) * self.size as u64
    }
}

impl Sink {
    fn on_disk(&self, block: BlockNo) -> Option<OnDisk> {
        let g = &self.description.geometry;
        match g.kind(block) {
            BlockKind::Content { index, offset, len } if len > 0 => Some(OnDisk {
                index,
                offset,
                len,
                symbols: g.symbols(block),
                size: g.symbol_size().into(),
            }),
            _ => None,
        }
    }

    /// Which symbols of a block are on disk, and where.
    pub(super) fn places_written(&self, block: BlockNo) -> Result<Places, SinkError> {
        match self.on_disk(block) {
            Some(at) if self.begun.contains(block) => self.sidecar.places(at.index),
            _ => Ok(Places::new(self.description.geometry.symbols(block))),
        }
    }

    /// Whether a source symbol is neither on disk nor in the buffer.
    pub(super) fn lacks_source(
        &self,
        block: BlockNo,
        written: &Places,
        buf: Option<&BlockBuf>,
    ) -> bool {
        let all = usize::from(self.description.geometry.symbols(block));
        let Some(buf) = buf else {
            return written.sources() < all;
        };
        // Most blocks come whole.
        buf.places().sources() < all && {
            let mut both = written.clone();
            both.merge(buf.places());
            both.sources() < all
        }
    }

    /// Writes what the buffer has of a block with parity, beside what is on disk already.
    pub(super) fn write_places(&mut self, block: BlockNo, buf: &BlockBuf) -> Result<(), SinkError> {
        let Some(at) = self.on_disk(block) else {
            return Ok(());
        };
        let mut places = self.places_written(block)?;
        let Merge { moves, copies } = places.merge(buf.places());
        // Those that are pushed out are read before anything is written over them.
        let mut pushed_out = vec![0; moves.len() * at.size];
        for (&(from, _), bytes) in moves.iter().zip(pushed_out.chunks_exact_mut(at.size)) {
            self.read_place(&at, from, bytes)?;
        }
        let next_to = |a: &(u16, u16), b: &(u16, u16)| b.0 == a.0 + 1 && b.1 == a.1 + 1;
        for run in copies.chunk_by(next_to) {
            let [(from, to), ..] = *run else { continue };
            let first = usize::from(from) * at.size;
            let bytes = &buf.bytes()[first..first + run.len() * at.size];
            self.write_from_place(&at, to, bytes)?;
        }
        for (&(_, to), bytes) in moves.iter().zip(pushed_out.chunks_exact(at.size)) {
            self.write_from_place(&at, to, bytes)?;
        }
        self.sidecar.write_places(at.index, &places)?;
        self.begun.set(block, true);
        Ok(())
    }

    /// Restores a block from what is on disk and in the buffer, into the buffer, or into `scratch`
    /// when there is none.
    pub(super) fn restore(
        &mut self,
        block: BlockNo,
        written: &Places,
        buf: Option<&mut BlockBuf>,
        scratch: &mut Vec<u8>,
    ) -> Result<Gathered, SinkError> {
        let Some(at) = self.on_disk(block) else {
            return Ok(Gathered::TooFew);
        };
        let whole = usize::from(at.symbols) * at.size;
        let is_written = !written.present().is_empty();
        if is_written || buf.is_none() {
            scratch.resize(scratch.len().max(whole), 0);
            self.read_block(&at, written, &mut scratch[..whole])?;
        }
        let parity = self.description.geometry.parity(block);
        let mut decoder = std::mem::take(&mut self.decoder);
        let restore = || {
            let mut decoding = decoder.begin(at.symbols, parity, at.size)?;
            if let Some(buf) = &buf {
                for (place, symbol) in buf.places().occupied() {
                    decoding.add(symbol, buf.place(place))?;
                }
            }
            for (place, symbol) in written.occupied() {
                let start = usize::from(place) * at.size;
                decoding.add(symbol, &scratch[start..start + at.size])?;
            }
            match buf {
                None => decoding.restore(&mut scratch[..whole]),
                Some(buf) => {
                    let bytes = buf.bytes_mut();
                    for (place, _) in written.occupied().filter(|(p, s)| p == s) {
                        let start = usize::from(place) * at.size;
                        let symbol = start..start + at.size;
                        bytes[symbol.clone()].copy_from_slice(&scratch[symbol]);
                    }
                    decoding.restore(bytes)
                }
            }
        };
        let restored = restore();
        self.decoder = decoder;
        Ok(match restored {
            Ok(_) => Gathered::Restored,
            Err(_) => Gathered::TooFew,
        })
    }

    /// Reads a block as it is on disk, each place as long as a symbol.
    fn read_block(&self, at: &OnDisk, written: &Places, bytes: &mut [u8]) -> Result<(), SinkError> {
        let (in_file, after) = bytes.split_at_mut(at.len as usize);
        self.read_part(in_file, at.offset)?;
        after.fill(0);
        let last = at.symbols - 1;
        if let Some((_, symbol)) = written.occupied().last().filter(|(p, _)| *p == last)
            && symbol != last
        {
            let start = usize::from(last) * at.size;
            self.read_place(at, last, &mut bytes[start..])?;
        }
        Ok(())
    }

    /// Reads a guest in its place.
    fn read_place(&self, at: &OnDisk, place: u16, bytes: &mut [u8]) -> Result<(), SinkError> {
        if at.fits(place) == at.size {
            return self.read_part(bytes, at.offset_of(place));
        }
        // One that was lost (it never is) shows in the block's hash.
        if bytes.len() == self.tail.len() {
            bytes.copy_from_slice(&self.tail);
        }
        Ok(())
    }

    /// Writes whole symbols from a place on; what the file has no room for of the last one is kept.
    fn write_from_place(&mut self, at: &OnDisk, place: u16, bytes: &[u8]) -> Result<(), SinkError> {
        let count = (bytes.len() / at.size) as u16;
        let last = place + count.max(1) - 1;
        let room = clip(place..last + 1, at.size, at.len).len();
        self.write_part(&bytes[..room], at.offset_of(place))?;
        if room < bytes.len() {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - at.size..]);
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "parity_tests.rs"]
mod tests;
