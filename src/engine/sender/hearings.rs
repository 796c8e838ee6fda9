//! What is heard of receivers' NAKs for blocks without parity, until it leads to a decision.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::ids::BlockNo;
use crate::nak::Hearing;
use crate::time::Time;

/// Hearings kept at a time; one more drops the oldest block's.
const MAX_HEARINGS: usize = 1_024;

/// Views of NAKs, by block, with when each began.
#[derive(Debug, Default)]
pub(super) struct Hearings {
    by_block: BTreeMap<BlockNo, (Time, Hearing)>,
}

impl Hearings {
    /// The view of NAKs for a block; one older than `longest` starts over.
    pub(super) fn of(&mut self, now: Time, block: BlockNo, longest: Duration) -> &mut Hearing {
        if self.by_block.len() >= MAX_HEARINGS && !self.by_block.contains_key(&block) {
            self.by_block.pop_first();
        }
        let fresh = || (now, Hearing::default());
        let (began, hearing) = self.by_block.entry(block).or_insert_with(fresh);
        if now.since(*began) > longest {
            *began = now;
            *hearing = Hearing::default();
        }
        hearing
    }

    /// A block's NAKs have led to a decision.
    pub(super) fn forget(&mut self, block: BlockNo) {
        self.by_block.remove(&block);
    }

    pub(super) fn clear(&mut self) {
        self.by_block.clear();
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.by_block.len() <= MAX_HEARINGS
    }
}
