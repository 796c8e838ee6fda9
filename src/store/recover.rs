//! What an earlier run left of an object: found again by proof, not by trust.
//!
//! Takes a sidecar and a way to read blocks, gives what of them holds. Pages must lead to the id,
//! and blocks said to be here are read and hashed, some in parallel, with a bounded number in
//! memory.

use rayon::prelude::*;

use crate::ids::{BlockNo, Hash};
use crate::object::{BlockKind, Checker, Part};
use crate::store::SinkError;
use crate::store::bitmap::Bitmap;
use crate::store::sidecar::{Sidecar, State};

/// Bytes of blocks in memory at once: enough for every core of a large machine.
const AT_ONCE: usize = 32 << 20;

/// Reads the bytes of a block of data; false if they can't be had.
pub(crate) type ReadBlock<'a> = &'a (dyn Fn(BlockNo, &mut [u8]) -> bool + Sync);

/// The blocks that an earlier run left.
pub(crate) struct Found {
    /// Pages and blocks that hold.
    pub(crate) verified: Bitmap,
    /// Blocks whose page has not come.
    pub(crate) unproven: Bitmap,
}

impl Found {
    /// Nothing yet.
    pub(crate) fn new(checker: &Checker) -> Found {
        let blocks = checker.geometry().blocks();
        Found {
            verified: Bitmap::new(blocks),
            unproven: Bitmap::new(blocks),
        }
    }

    /// Reads what the sidecar says is here of a part, and takes note of what holds.
    pub(crate) fn look(
        &mut self,
        part: Part,
        checker: &Checker,
        sidecar: &Sidecar,
        read: ReadBlock<'_>,
    ) -> Result<(), SinkError> {
        self.look_for_pages(part, checker, sidecar)?;
        let g = checker.geometry();
        let verified = sidecar.states(State::Verified)?;
        let unproven = sidecar.states(State::Unproven)?;
        let is_said = |&b: &BlockNo| verified.contains(b) || unproven.contains(b);
        let mut said = g.blocks_of(part).filter(is_said).peekable();
        let group = (AT_ONCE / g.block_size() as usize).clamp(1, 256);
        let mut blocks: Vec<BlockNo> = Vec::with_capacity(group);
        while said.peek().is_some() {
            blocks.clear();
            blocks.extend(said.by_ref().take(group));
            let hash = |&block: &BlockNo| hash_of(checker, block, read);
            let hashes: Vec<Option<Hash>> = blocks.par_iter().map(hash).collect();
            for (&block, hash) in blocks.iter().zip(hashes) {
                // A block that can't be read is one that has not come.
                let Some(hash) = hash else { continue };
                match expected(checker, sidecar, &self.verified, block)? {
                    Some(expected) if expected != hash => {}
                    Some(_) => _ = self.verified.set(block, true),
                    None => {
                        sidecar.write_computed(block, &hash)?;
                        self.unproven.set(block, true);
                    }
                }
            }
        }
        Ok(())
    }

    fn look_for_pages(
        &mut self,
        part: Part,
        checker: &Checker,
        sidecar: &Sidecar,
    ) -> Result<(), SinkError> {
        let g = checker.geometry();
        let mut symbol = vec![0; g.symbol_size().into()];
        for number in 0..g.pages(part) {
            let block = g.page_block(part, number);
            sidecar.read_page(block, &mut symbol)?;
            // Most of what is not there is zeros: not worth hashing.
            let is_there = symbol.iter().any(|&b| b != 0);
            if is_there && checker.check(block, &symbol).is_ok() {
                self.verified.set(block, true);
            }
        }
        Ok(())
    }

    /// Brings the sidecar's bits from what was said to what holds, but for blocks that are `late`.
    pub(crate) fn settle(&self, sidecar: &Sidecar, late: &Bitmap) -> Result<(), SinkError> {
        let both = [
            (State::Verified, &self.verified),
            (State::Unproven, &self.unproven),
        ];
        for (which, holds) in both {
            let mut said = sidecar.states(which)?;
            for block in (0..said.len()).filter(|&b| !late.contains(b)) {
                sidecar.set_state(which, said.set(block, holds.contains(block)))?;
            }
        }
        Ok(())
    }
}

/// The hash that a block of data should have, as far as is known: its page is among `verified`, or
/// it is all of its part.
pub(crate) fn expected(
    checker: &Checker,
    sidecar: &Sidecar,
    verified: &Bitmap,
    block: BlockNo,
) -> Result<Option<Hash>, SinkError> {
    match checker.geometry().page_of(block) {
        None => Ok(checker.proven(block)),
        Some((page, _)) if verified.contains(page) => sidecar.expected(block).map(Some),
        Some(_) => Ok(None),
    }
}

fn hash_of(checker: &Checker, block: BlockNo, read: ReadBlock<'_>) -> Option<Hash> {
    let BlockKind::Data { len, .. } = checker.geometry().kind(block) else {
        return None;
    };
    let mut bytes = vec![0; len as usize];
    read(block, &mut bytes).then(|| checker.hash(block, &bytes))
}
