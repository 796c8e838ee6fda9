//! Blocks and pages that come: put together, checked, and put where they belong.

use std::ops::Range;

use super::{Sink, existing::symbols_of};
use crate::ids::{BlockNo, Hash};
use crate::object::{BlockKind, PageHashes, Part};
use crate::store::places::Places;
use crate::store::recover::expected;
use crate::store::sidecar::State;
use crate::store::{BlockBuf, BlockResult, Settled, SinkError};
use crate::symbol_set::SymbolSet;

/// A block of data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) block: BlockNo,
    pub(super) part: Part,
    pub(super) offset: u64,
    pub(super) len: usize,
}

impl Data {
    /// Where its bytes are in its part.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.len as u64
    }
}

impl Sink {
    /// Writes the symbols of a block that could not wait in memory until it was whole.
    pub fn write_partial(&mut self, buf: &BlockBuf) -> Result<(), SinkError> {
        let block = buf.block();
        // What holds is never written over by what has not been checked.
        if self.bits.whole(block) || self.data(block).is_none() {
            return Ok(());
        }
        self.spool.open(&self.folder, &self.means)?;
        let places = self.places_written(block)?;
        let (written, read) = self.spool.add(buf, places)?;
        self.io.written += written;
        self.io.read_back += read;
        self.bits.begun.set(block, true);
        Ok(())
    }

    /// Checks a block of which enough symbols have come (in `buf` or written before), and writes
    /// what is not written yet. The buffer may be given back to the pool then.
    ///
    /// As many symbols of any kind are enough as the block has source symbols; those that are
    /// missing are restored first. With fewer it is `Bad`.
    ///
    /// # Errors
    /// [`SinkError::BadTable`] when it is the last block of a file table that is refused, else what
    /// the system says.
    pub fn finish_block(
        &mut self,
        block: BlockNo,
        buf: Option<&mut BlockBuf>,
    ) -> Result<BlockResult, SinkError> {
        if self.bits.verified.contains(block) {
            return Ok(BlockResult::Verified);
        }
        let Some(data) = self.data(block) else {
            return Ok(BlockResult::Bad);
        };
        if self.bits.unproven.contains(block) {
            return Ok(BlockResult::Unproven);
        }
        let result = self.finish_data(&data, buf);
        // Whatever comes of this block after this, it begins anew.
        if self.bits.begun.set(block, false).is_some() && !self.bits.spooled.contains(block) {
            self.spool.release(block);
        }
        if data.part == Part::Table && matches!(result, Ok(BlockResult::Verified)) {
            self.take_table()?;
        }
        result
    }

    fn finish_data(
        &mut self,
        data: &Data,
        mut buf: Option<&mut BlockBuf>,
    ) -> Result<BlockResult, SinkError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let gathered = self.gather(data.block, buf.as_deref_mut(), &mut scratch);
        let result = gathered.and_then(|enough| {
            let bytes = buf.as_ref().map_or(&*scratch, |b| b.bytes());
            match bytes.get(..data.len) {
                Some(bytes) if enough => self.take(data, bytes),
                _ => Ok(BlockResult::Bad),
            }
        });
        self.scratch = scratch;
        result
    }

    /// Checks a whole block and puts it where it belongs.
    pub(super) fn take(&mut self, data: &Data, bytes: &[u8]) -> Result<BlockResult, SinkError> {
        let hash = self.checker.hash(data.block, bytes);
        let expected = self.expected(data.block)?;
        if expected.is_some_and(|expected| expected != hash) {
            return Ok(BlockResult::Bad);
        }
        self.put(data, bytes)?;
        self.settle_one(data.block, expected.is_some(), &hash)
    }

    /// Takes note of a whole block that is where it belongs.
    pub(super) fn settle_one(
        &mut self,
        block: BlockNo,
        proven: bool,
        hash: &Hash,
    ) -> Result<BlockResult, SinkError> {
        if proven {
            self.mark(State::Verified, block, true)?;
            return Ok(BlockResult::Verified);
        }
        self.sidecar.write_computed(block, hash)?;
        self.mark(State::Unproven, block, true)?;
        Ok(BlockResult::Unproven)
    }

    /// The hash that a block of data should have, as far as is known.
    pub(super) fn expected(&self, block: BlockNo) -> Result<Option<Hash>, SinkError> {
        expected(&self.checker, &self.sidecar, &self.bits.verified, block)
    }

    fn put(&mut self, data: &Data, bytes: &[u8]) -> Result<(), SinkError> {
        self.check_holes(data, bytes)?;
        self.io.written += bytes.len() as u64;
        if data.part == Part::Table {
            return self.sidecar.write_table(bytes, data.offset);
        }
        if self.has_place() {
            return self.place()?.write(data.range(), bytes);
        }
        self.spool.open(&self.folder, &self.means)?;
        self.spool.write_whole(data.block, bytes)?;
        self.mark(State::Spooled, data.block, true)
    }

    /// Reads bytes of a whole block, from byte `from` of it on.
    pub(super) fn read_data(
        &self,
        block: BlockNo,
        from: u64,
        bytes: &mut [u8],
    ) -> Result<(), SinkError> {
        let Some(data) = self.data(block) else {
            return Err(SinkError::Incomplete(self.lacking()));
        };
        let offset = data.offset + from;
        if data.part == Part::Table {
            return self.sidecar.read_table(bytes, offset);
        }
        if self.bits.spooled.contains(block) {
            return self.spool.read_whole(block, from, bytes);
        }
        self.read_content(offset, bytes)
    }

    /// Reads content that is where it belongs.
    pub(super) fn read_content(&self, offset: u64, bytes: &mut [u8]) -> Result<(), SinkError> {
        let range = offset..offset + bytes.len() as u64;
        match (self.search.whole(), &self.place) {
            (Some(existing), _) => existing
                .read(range, bytes)
                .map_err(|e| SinkError::read(&self.path(), e)),
            (None, Some(place)) => place.read(range, bytes),
            // Holes, of which nothing was written.
            (None, None) if self.search.has_looked() => {
                bytes.fill(0);
                Ok(())
            }
            (None, None) => {
                let gone = std::io::ErrorKind::NotFound.into();
                Err(SinkError::read(&self.path(), gone))
            }
        }
    }

    /// A block of data with bytes; `None` for pages and for what is not there.
    pub(super) fn data(&self, block: BlockNo) -> Option<Data> {
        match self.description.geometry.kind(block) {
            BlockKind::Data {
                part,
                offset,
                len: len @ 1..,
                ..
            } => Some(Data {
                block,
                part,
                offset,
                len: len as usize,
            }),
            _ => None,
        }
    }

    /// Which symbols of a block this run has in the spool, and where.
    pub(super) fn places_written(&self, block: BlockNo) -> Result<Places, SinkError> {
        match self.bits.begun.contains(block) {
            true => self.spool.places(block),
            false => Ok(Places::new(self.description.geometry.symbols(block))),
        }
    }

    /// Brings all source symbols of a block together, in `buf` or else in `scratch`, restoring
    /// those that have not come. False if there are too few.
    fn gather(
        &mut self,
        block: BlockNo,
        buf: Option<&mut BlockBuf>,
        scratch: &mut Vec<u8>,
    ) -> Result<bool, SinkError> {
        let g = self.description.geometry;
        let (symbols, size) = (g.symbols(block), usize::from(g.symbol_size()));
        // Most blocks come whole.
        if let Some(buf) = &buf
            && buf.places().sources() == usize::from(symbols)
        {
            return Ok(true);
        }
        let whole = usize::from(symbols) * size;
        let written = self.places_written(block)?;
        scratch.resize(scratch.len().max(whole), 0);
        let Some(scratch) = scratch.get_mut(..whole) else {
            return Ok(false);
        };
        self.io.read_back += self.spool.read_places(block, &written, scratch)?;
        let mut decoder = std::mem::take(&mut self.decoder);
        let restore = || {
            let mut decoding = decoder.begin(symbols, g.parity(block), size)?;
            if let Some(buf) = &buf {
                for (place, symbol) in buf.places().occupied() {
                    decoding.add(symbol, buf.place(place))?;
                }
            }
            for (place, symbol) in written.occupied() {
                let start = usize::from(place) * size;
                decoding.add(symbol, &scratch[start..start + size])?;
            }
            let Some(buf) = buf else {
                return decoding.restore(scratch);
            };
            let bytes = buf.bytes_mut();
            for (place, _) in written.occupied().filter(|(p, s)| p == s) {
                let start = usize::from(place) * size;
                let symbol = start..start + size;
                bytes[symbol.clone()].copy_from_slice(&scratch[symbol]);
            }
            decoding.restore(bytes)
        };
        let restored = restore();
        self.decoder = decoder;
        Ok(restored.is_ok())
    }

    /// Keeps a page, after checking it (again: it may have been on the way for a while), and
    /// settles the blocks that waited for it. A page that does not hold settles nothing.
    pub fn store_page(&mut self, block: BlockNo, symbol: &[u8]) -> Result<Settled, SinkError> {
        let mut settled = Settled::default();
        if self.bits.verified.contains(block) {
            return Ok(settled);
        }
        let Ok(hashes) = self.checker.check(block, symbol) else {
            settled.refused = true;
            return Ok(settled);
        };
        self.sidecar.write_page(block, symbol)?;
        self.mark(State::Verified, block, true)?;
        self.settle(&hashes, &mut settled)?;
        self.use_old(&hashes, &mut settled)?;
        if block < self.description.geometry.first_content_block() {
            self.take_table()?;
        }
        Ok(settled)
    }

    fn settle(&mut self, hashes: &PageHashes, settled: &mut Settled) -> Result<(), SinkError> {
        for (block, hash) in hashes.iter() {
            if !self.bits.unproven.contains(block) {
                continue;
            }
            let holds = self.sidecar.computed(block)? == hash;
            self.mark(State::Unproven, block, false)?;
            if holds {
                self.mark(State::Verified, block, true)?;
                settled.verified.push(block);
                continue;
            }
            if self.bits.spooled.contains(block) {
                self.mark(State::Spooled, block, false)?;
                self.spool.release(block);
            } else {
                self.search.stain();
            }
            settled.bad.push(block);
        }
        Ok(())
    }

    /// Moves whole blocks from the spool to their place, up to `budget` bytes. Gives whether there
    /// are more.
    pub(super) fn place_spooled(&mut self, mut budget: u64) -> Result<bool, SinkError> {
        let mut bytes = std::mem::take(&mut self.scratch);
        let waiting: Vec<BlockNo> = self.bits.spooled.iter().take(1_024).collect();
        for block in waiting {
            let Some(data) = self.data(block).filter(|_| budget > 0) else {
                break;
            };
            bytes.resize(bytes.len().max(data.len), 0);
            self.spool.read_whole(block, 0, &mut bytes[..data.len])?;
            self.place()?.write(data.range(), &bytes[..data.len])?;
            self.io.read_back += data.len as u64;
            self.io.written += data.len as u64;
            self.mark(State::Spooled, block, false)?;
            self.spool.release(block);
            budget = budget.saturating_sub(data.len as u64);
        }
        self.scratch = bytes;
        Ok(self.bits.spooled.ones() > 0)
    }

    /// Adds symbols of a block of content, which `bytes` of it from byte `from` on hold whole, to
    /// those in the spool. Gives which.
    pub(super) fn add_found(
        &mut self,
        data: &Data,
        from: u64,
        bytes: &[u8],
    ) -> Result<SymbolSet, SinkError> {
        let size = usize::from(self.description.geometry.symbol_size());
        let symbols = symbols_of(
            from..from + bytes.len() as u64,
            size as u64,
            data.len as u64,
        );
        let mut added = SymbolSet::new();
        if symbols.is_empty() {
            return Ok(added);
        }
        self.spool.open(&self.folder, &self.means)?;
        let mut places = self.places_written(data.block)?;
        let mut padded = vec![0; size];
        for symbol in symbols {
            let start = (u64::from(symbol) * size as u64 - from) as usize;
            let own = &bytes[start..bytes.len().min(start + size)];
            padded[..own.len()].copy_from_slice(own);
            padded[own.len()..].fill(0);
            self.spool
                .add_symbol(data.block, &mut places, symbol, &padded)?;
            self.io.written += size as u64;
            added.insert(symbol);
        }
        self.spool.write_places(data.block, &places)?;
        self.bits.begun.set(data.block, true);
        Ok(added)
    }
}
