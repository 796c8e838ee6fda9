//! What is on the disk already of an object's content, once its file table has come.
//!
//! Files of an earlier version, and places that are zeros: whatever they have of a block is read,
//! hashed and checked like what comes. Where all of the object is there already, unchanged, nothing
//! is written at all: the hashes of its blocks lead to its id, so that no page need come either.
//!
//! The work is done in steps of bounded size, so that what comes meanwhile does not wait for long.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::table::met;
use super::{Sink, block_index, blocks::Data, look::Looking};
use crate::ids::{BlockNo, Hash};
use crate::object::{BlockHashes, ObjectKind, PageHashes, Part};
use crate::store::bitmap::Bitmap;
use crate::store::sidecar::State;
use crate::store::{BlockResult, Settled, SinkError};
use crate::symbol_set::SymbolSet;

/// Bytes that one step reads or writes.
const STEP: u64 = 32 << 20;

/// Zeros that one step hashes, by all processors: a tenth of a second's worth.
const ZEROS: u64 = 256 << 20;

/// Cost, in a step, of a block of which nothing is here.
const LOOK: u64 = 4 << 10;

/// What there is already of an object's content.
pub(crate) trait Existing: Send + Sync {
    /// Whether all of the object is there, with the right names, times and modes.
    fn is_complete(&self) -> bool;

    /// What there is of a range of the content, in order and apart.
    fn ranges(&self, content: Range<u64>) -> Vec<Have>;

    /// Reads content that there is. What was changed meanwhile shows in the hashes of blocks.
    fn read(&self, content: Range<u64>, into: &mut [u8]) -> io::Result<()>;

    /// Whether what an entry of the table is is under its name, with any time and mode.
    fn is_there(&self, entry: usize) -> bool {
        let _ = entry;
        false
    }

    /// Takes note that a range had other bytes than it should.
    fn disprove(&self, content: Range<u64>) {
        let _ = content;
    }

    /// The hash of a block of content, by its number among those, in an old version of the object's
    /// one file.
    fn old(&self, block: u32) -> Option<Hash> {
        let _ = block;
        None
    }

    /// Reads a block of that old version.
    fn read_old(&self, block: u32, into: &mut [u8]) -> io::Result<()> {
        let _ = (block, into);
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A range of the content that there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Have {
    /// Where it is in the content.
    pub(crate) content: Range<u64>,
    /// Zeros, of which nothing need be written.
    pub(crate) zeros: bool,
}

/// The search for what is there already.
pub(super) struct Search {
    phase: Phase,
    /// Where content goes, there may be other bytes than zeros where no block is.
    stained: bool,
    /// Entries of the table that are there, with any time and mode.
    there: Bitmap,
}

enum Phase {
    /// For the file table.
    Waiting,
    /// What there is is being found.
    Looking(Looking),
    /// Everything seems to be there: the hashes of the first blocks.
    Comparing(Box<dyn Existing>, Vec<Hash>),
    /// Blocks of content up to this one have been looked at.
    Filling(Box<dyn Existing>, u32),
    /// Everything is there, and nothing is to be written.
    Whole(Box<dyn Existing>),
    /// Nothing is left to look at but an old version, as pages come.
    Done(Option<Box<dyn Existing>>),
}

impl Search {
    pub(super) fn new(resumed: bool) -> Search {
        Search {
            phase: Phase::Waiting,
            stained: resumed,
            there: Bitmap::new(0),
        }
    }

    /// Takes note that a wrong block was written.
    pub(super) fn stain(&mut self) {
        self.stained = true;
    }

    /// Whether all that is there is being compared, so that nothing may be made yet.
    pub(super) fn is_comparing(&self) -> bool {
        matches!(self.phase, Phase::Comparing(..))
    }

    /// Whether it is known what is there.
    pub(super) fn has_looked(&self) -> bool {
        matches!(
            self.phase,
            Phase::Filling(..) | Phase::Whole(_) | Phase::Done(_)
        )
    }

    /// Whether an entry of the table is there, with any time and mode.
    pub(super) fn is_there(&self, entry: usize) -> bool {
        self.there.contains(entry as u32) || self.whole().is_some()
    }

    /// What is there, if that is all of the object.
    pub(super) fn whole(&self) -> Option<&dyn Existing> {
        match &self.phase {
            Phase::Whole(existing) => Some(&**existing),
            _ => None,
        }
    }
}

impl Sink {
    /// Takes the next step of the search for what is there already. Without the file table there is
    /// none.
    pub fn after_table(&mut self) -> Result<Settled, SinkError> {
        let mut settled = Settled::default();
        let Some(table) = self.table.clone() else {
            return Ok(settled);
        };
        let next = match std::mem::replace(&mut self.search.phase, Phase::Done(None)) {
            Phase::Waiting => {
                let unwanted = self.unwanted().into_iter().flat_map(Bitmap::iter);
                settled.unwanted = unwanted.collect();
                let look = self.means.existing.clone();
                Phase::Looking(look(self.looks_where(), &table))
            }
            Phase::Looking(looking) => match looking.wait() {
                None => Phase::Looking(looking),
                Some(existing) if existing.is_complete() => Phase::Comparing(existing, Vec::new()),
                // Bytes are all that counts of a file that keeps its name.
                Some(existing) if existing.is_there(0) && self.another()?.is_some() => {
                    Phase::Comparing(existing, Vec::new())
                }
                Some(existing) => self.start_filling(existing)?,
            },
            Phase::Comparing(existing, hashes) => self.compare(existing, hashes, &mut settled)?,
            Phase::Filling(existing, at) => self.fill(existing, at, &mut settled)?,
            ended => ended,
        };
        settled.more = !matches!(next, Phase::Waiting | Phase::Whole(_) | Phase::Done(_));
        self.search.phase = next;
        Ok(settled)
    }

    /// Hashes the next blocks of what seems to be all of the object.
    fn compare(
        &mut self,
        existing: Box<dyn Existing>,
        mut hashes: Vec<Hash>,
        settled: &mut Settled,
    ) -> Result<Phase, SinkError> {
        let g = self.description.geometry;
        let count = (STEP / u64::from(g.block_size())).max(1) as u32;
        let from = hashes.len() as u32;
        let to = from.saturating_add(count).min(g.data_blocks(Part::Content));
        let hash = |index: u32| {
            let data = self.data(g.data_block(Part::Content, index))?;
            let mut bytes = vec![0; data.len];
            existing.read(data.range(), &mut bytes).ok()?;
            Some(self.checker.hash(data.block, &bytes))
        };
        let found: Option<Vec<Hash>> = (from..to).into_par_iter().map(hash).collect();
        let Some(found) = found else {
            return self.start_filling(existing);
        };
        hashes.extend(found);
        if to < g.data_blocks(Part::Content) {
            return Ok(Phase::Comparing(existing, hashes));
        }
        match self.leads_to_id(hashes) {
            Some(hashes) => {
                self.keep_pages(&hashes)?;
                // Only for this run: nothing of it is where a later one looks for it.
                for block in g.first_content_block()..g.blocks() {
                    self.bits.unproven.set(block, false);
                    if self.bits.verified.set(block, true).is_some() {
                        settled.verified.push(block);
                    }
                }
                self.bits.spooled = Bitmap::new(g.blocks());
                self.bits.begun = Bitmap::new(g.blocks());
                self.spool.remove(&self.folder)?;
                Ok(Phase::Whole(existing))
            }
            None => self.start_filling(existing),
        }
    }

    /// Takes note of what need not be written, and begins with the first block; unless another file
    /// keeps the object's name.
    fn start_filling(&mut self, existing: Box<dyn Existing>) -> Result<Phase, SinkError> {
        if let Some(path) = self.another()? {
            return Err(SinkError::Kept { path });
        }
        let entries = self.table.as_ref().map_or(0, |table| table.len());
        let mut there = Bitmap::new(entries as u32);
        for entry in (0..entries).filter(|&entry| existing.is_there(entry)) {
            there.set(entry as u32, true);
        }
        let is_some = there.ones() > 0;
        self.search.there = there;
        let is_tree = self.description.kind != ObjectKind::File;
        if let Some(old) = self.place.take_if(|_| is_some && is_tree) {
            // It knows nothing of that.
            let opened = self.place().map(|_| ());
            if opened.is_err() {
                self.place = Some(old);
            }
            opened?;
        }
        Ok(Phase::Filling(existing, 0))
    }

    /// Looks at the next blocks of content, and takes what there is of them.
    fn fill(
        &mut self,
        existing: Box<dyn Existing>,
        mut at: u32,
        settled: &mut Settled,
    ) -> Result<Phase, SinkError> {
        let g = self.description.geometry;
        let mut budget = STEP;
        if self.place_spooled(budget)? {
            return Ok(Phase::Filling(existing, at));
        }
        while at < g.data_blocks(Part::Content) {
            let block = g.data_block(Part::Content, at);
            let zeros = self.zeros_from(&*existing, at);
            if zeros > 0 {
                self.fill_zeros(at..at + zeros, settled)?;
                return Ok(Phase::Filling(existing, at + zeros));
            }
            at += 1;
            let is_lacking = |data: &Data| {
                let unwanted = self.unwanted();
                !self.bits.whole(data.block) && !unwanted.is_some_and(|u| u.contains(block))
            };
            let found = match self.data(block).filter(is_lacking) {
                Some(data) => self.fill_block(&*existing, &data, settled)?,
                None => 0,
            };
            budget = budget.saturating_sub(found.max(LOOK));
            if budget == 0 {
                return Ok(Phase::Filling(existing, at));
            }
        }
        self.prove_all(settled)?;
        // What is left of them is of no use, and goes at the end if it does not now.
        let _ = self.clear_leftovers();
        Ok(Phase::Done(Some(existing)))
    }

    /// How many blocks from `index` on are zeros where nothing has been written, and lack nothing
    /// else: up to a step's worth.
    fn zeros_from(&self, existing: &dyn Existing, index: u32) -> u32 {
        if self.search.stained || self.chosen.is_some() {
            return 0;
        }
        let g = self.description.geometry;
        let most = (ZEROS / u64::from(g.block_size())).max(1);
        let blocks = (index..g.data_blocks(Part::Content)).take(most as usize);
        let zeros = blocks.take_while(|&index| {
            let block = g.data_block(Part::Content, index);
            let data = self.data(block).filter(|_| !self.bits.whole(block));
            data.is_some_and(|data| {
                let holes: Vec<Range<u64>> = met(&self.holes, data.range()).collect();
                holes == [data.range()] && existing.old(index).is_none()
            })
        });
        zeros.count() as u32
    }

    /// Takes blocks that are zeros as they are.
    fn fill_zeros(&mut self, blocks: Range<u32>, settled: &mut Settled) -> Result<(), SinkError> {
        let g = self.description.geometry;
        let zeros = vec![0; g.block_size() as usize];
        let hash = |index: u32| {
            let data = self.data(g.data_block(Part::Content, index))?;
            Some((data, self.checker.hash(data.block, &zeros[..data.len])))
        };
        let hashed: Vec<_> = blocks.into_par_iter().filter_map(hash).collect();
        for (data, hash) in hashed {
            let expected = self.expected(data.block)?;
            if expected.is_none_or(|expected| expected == hash) {
                let result = self.settle_one(data.block, expected.is_some(), &hash)?;
                self.found_whole(&data, result, settled);
            }
        }
        Ok(())
    }

    /// Tells of a block that is here as a whole.
    fn found_whole(&mut self, data: &Data, result: BlockResult, settled: &mut Settled) {
        if self.bits.begun.set(data.block, false).is_some() {
            self.spool.release(data.block);
        }
        match result {
            BlockResult::Verified => settled.verified.push(data.block),
            _ => {
                let all = SymbolSet::full(self.description.geometry.symbols(data.block));
                settled.here.push((data.block, all));
            }
        }
    }

    /// Takes what there is of a block that is not whole. Gives how many bytes that is.
    fn fill_block(
        &mut self,
        existing: &dyn Existing,
        data: &Data,
        settled: &mut Settled,
    ) -> Result<u64, SinkError> {
        let mut bytes = vec![0; data.len];
        if self.late.set(data.block, false).is_some() {
            // Read from where it belongs, which is known only now.
            self.place()?;
            let read = self.read_content(data.offset, &mut bytes);
            if read.is_ok() && self.take_found(data, &bytes, false, settled)? {
                return Ok(data.len as u64);
            }
        }
        if self.fill_from_old(existing, data, settled)? {
            return Ok(data.len as u64);
        }
        let have = existing.ranges(data.range());
        let zeros = have.iter().all(|have| have.zeros);
        let mut found = 0;
        for run in runs(have, &data.range()) {
            let bytes = &mut bytes[..(run.end - run.start) as usize];
            if !zeros && existing.read(run.clone(), bytes).is_err() {
                continue;
            }
            if zeros {
                bytes.fill(0);
            }
            found += bytes.len() as u64;
            if bytes.len() == data.len {
                if !self.take_found(data, bytes, zeros, settled)? && !zeros {
                    existing.disprove(run);
                }
                continue;
            }
            let symbols = self.add_found(data, run.start - data.offset, bytes)?;
            match settled.here.last_mut().filter(|h| h.0 == data.block) {
                Some((_, here)) => here.union_with(&symbols),
                None if symbols.is_empty() => {}
                None => settled.here.push((data.block, symbols)),
            }
        }
        Ok(found)
    }

    /// Takes a block that is in an old version as it should be, once its page says so.
    fn fill_from_old(
        &mut self,
        existing: &dyn Existing,
        data: &Data,
        settled: &mut Settled,
    ) -> Result<bool, SinkError> {
        let index = block_index(&self.description.geometry, data.block);
        let Some(old) = existing.old(index) else {
            return Ok(false);
        };
        if self.expected(data.block)? != Some(old) {
            return Ok(false);
        }
        let mut bytes = vec![0; data.len];
        match existing.read_old(index, &mut bytes) {
            Ok(()) => self.take_found(data, &bytes, false, settled),
            Err(_) => Ok(false),
        }
    }

    /// Takes blocks of a page that has come from an old version.
    pub(super) fn use_old(
        &mut self,
        hashes: &PageHashes,
        settled: &mut Settled,
    ) -> Result<(), SinkError> {
        let Phase::Done(existing @ Some(_)) = &mut self.search.phase else {
            return Ok(());
        };
        let Some(existing) = existing.take() else {
            return Ok(());
        };
        for (block, _) in hashes.iter() {
            if let Some(data) = self.data(block).filter(|_| !self.bits.whole(block)) {
                self.fill_from_old(&*existing, &data, settled)?;
            }
        }
        self.search.phase = Phase::Done(Some(existing));
        Ok(())
    }

    /// Takes a whole block that is there, unless it is another than it should be.
    fn take_found(
        &mut self,
        data: &Data,
        bytes: &[u8],
        zeros: bool,
        settled: &mut Settled,
    ) -> Result<bool, SinkError> {
        let result = if zeros && self.is_blank(data)? {
            let hash = self.checker.hash(data.block, bytes);
            match self.expected(data.block)? {
                Some(expected) if expected != hash => BlockResult::Bad,
                expected => self.settle_one(data.block, expected.is_some(), &hash)?,
            }
        } else {
            self.take(data, bytes)?
        };
        if result == BlockResult::Bad {
            return Ok(false);
        }
        self.found_whole(data, result, settled);
        Ok(true)
    }

    /// Whether the place of a block is zeros, as it was made.
    fn is_blank(&mut self, data: &Data) -> Result<bool, SinkError> {
        if !self.search.stained {
            return Ok(true);
        }
        self.place()?;
        let mut bytes = vec![0; data.len];
        self.io.read_back += data.len as u64;
        let read = self.read_content(data.offset, &mut bytes);
        Ok(read.is_ok() && bytes.iter().all(|&b| b == 0))
    }

    /// Where every block of content is whole, proves them by their hashes alone.
    fn prove_all(&mut self, settled: &mut Settled) -> Result<(), SinkError> {
        let g = self.description.geometry;
        let unproven = g
            .blocks_of(Part::Content)
            .any(|b| self.bits.unproven.contains(b));
        if !unproven || !g.blocks_of(Part::Content).all(|b| self.bits.whole(b)) {
            return Ok(());
        }
        let hash = |block| match self.bits.unproven.contains(block) {
            true => self.sidecar.computed(block),
            false => self.sidecar.expected(block),
        };
        let hashes: Result<Vec<Hash>, SinkError> = g.blocks_of(Part::Content).map(hash).collect();
        let Some(hashes) = self.leads_to_id(hashes?) else {
            return Ok(());
        };
        self.keep_pages(&hashes)?;
        for block in g.first_content_block()..g.blocks() {
            if !self.bits.verified.contains(block) {
                self.mark(State::Verified, block, true)?;
                settled.verified.push(block);
            }
            self.mark(State::Unproven, block, false)?;
        }
        let proven: std::collections::HashSet<BlockNo> = settled.verified.iter().copied().collect();
        settled.here.retain(|(block, _)| !proven.contains(block));
        Ok(())
    }

    fn leads_to_id(&self, hashes: Vec<Hash>) -> Option<BlockHashes> {
        let hashes = BlockHashes::new(&self.description.geometry, Part::Content, hashes)?;
        (hashes.id() == self.description.content).then_some(hashes)
    }

    fn keep_pages(&mut self, hashes: &BlockHashes) -> Result<(), SinkError> {
        let g = self.description.geometry;
        let mut symbol = vec![0; g.symbol_size().into()];
        for number in 0..g.pages(Part::Content) {
            let block = g.page_block(Part::Content, number);
            if !self.bits.verified.contains(block) {
                hashes.write_page(number, &mut symbol);
                self.sidecar.write_page(block, &symbol)?;
            }
        }
        Ok(())
    }
}

/// Ranges that touch are one; what is outside of `within` is left out.
fn runs(have: Vec<Have>, within: &Range<u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for have in have {
        let start = have.content.start.max(within.start);
        let end = have.content.end.min(within.end);
        match runs.last_mut().filter(|last| last.end >= start) {
            Some(last) => last.end = last.end.max(end),
            None if start < end => runs.push(start..end),
            None => {}
        }
    }
    runs
}

/// The symbols of a block of `len` bytes that lie in a range of its bytes, the last one as far as
/// the block goes.
pub(super) fn symbols_of(range: Range<u64>, size: u64, len: u64) -> Range<u16> {
    let first = range.start.div_ceil(size);
    let end = match range.end >= len {
        true => len.div_ceil(size),
        false => range.end / size,
    };
    first as u16..end.max(first) as u16
}
