//! One object on its way: what is here, what was passed, what is verified.

use crate::assemble::{Holdings, Insert, Origins, SourceNo, SourceSet};
use crate::engine::ObjectKey;
use crate::ids::{BlockNo, ChannelNo, ShortCodingId, SymbolNo};
use crate::nak::{NakTable, Timing};
use crate::object::{BlockKind, Description, Geometry};
use crate::range_set::RangeSet;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::{ChannelInfo, Outcome, Position};

/// An object that is wanted.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) key: ObjectKey,
    pub(super) description: Description,
    pub(super) coding: ShortCodingId,
    /// The channels that it runs on, one for each tier.
    pub(super) channels: Vec<ChannelInfo>,
    /// The one of them that is listened to.
    pub(super) channel: Option<ChannelInfo>,
    pub(super) holdings: Holdings,
    pub(super) origins: Origins,
    pub(super) naks: NakTable,
    /// The sender's cycle, once SYNC has told it, and block, as last seen on the channel.
    cursor: Option<(Option<u32>, BlockNo)>,
    verified: RangeSet,
    pub(super) bytes_verified: u64,
    pub(super) state: State,
    /// Its place on disk is known, and what is there from an earlier run.
    pub(super) opened: bool,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Symbols are taken.
    Receiving,
    /// All is verified and is being synced and named.
    Finishing,
    /// It has ended.
    Ended(Outcome),
    /// The sender withdrew it then.
    Withdrawn(Time),
}

impl Download {
    pub(super) fn new(key: ObjectKey, description: Description) -> Download {
        Download {
            key,
            coding: description.coding().short(),
            channels: Vec::new(),
            channel: None,
            holdings: Holdings::new(description.geometry),
            origins: Origins::default(),
            naks: NakTable::new(),
            cursor: None,
            verified: RangeSet::new(),
            bytes_verified: 0,
            state: State::Receiving,
            opened: false,
            description,
        }
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.description.geometry
    }

    /// Something of it is still lacking here.
    pub(super) fn is_receiving(&self) -> bool {
        self.state == State::Receiving
    }

    /// Nothing more will be done about it.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Withdrawn(_))
    }

    /// What is said on a channel goes for this object: each tier walks from another place. While it is not
    /// known where the object runs, whatever is heard of it does.
    pub(super) fn listens_on(&self, number: ChannelNo) -> bool {
        self.channel.is_none_or(|c| c.number == number)
    }

    /// A fresh data packet, the newest on the channel, came from this block.
    pub(super) fn saw_data(&mut self, now: Time, block: BlockNo, timing: Timing, rng: &mut Rng) {
        let Some((cycle, at)) = self.cursor else {
            self.cursor = Some((None, block));
            return;
        };
        if block > at {
            self.pass(now, at, block, timing, rng);
            self.cursor = Some((cycle, block));
        } else if block < at {
            // The next cycle has begun.
            self.pass(now, at, self.geometry().blocks(), timing, rng);
            self.pass(now, 0, block, timing, rng);
            self.cursor = Some((cycle.map(|c| c.wrapping_add(1)), block));
        }
    }

    /// SYNC told the position.
    pub(super) fn saw_position(
        &mut self,
        now: Time,
        position: Position,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let blocks = self.geometry().blocks();
        let to = position.block.min(blocks);
        let cycle = Some(position.cycle);
        match self.cursor {
            Some((known, at)) if known == cycle || known.is_none() && to >= at => {
                self.pass(now, at, to, timing, rng);
                self.cursor = Some((cycle, at.max(to)));
            }
            Some((_, at)) => {
                self.pass(now, at, blocks, timing, rng);
                self.pass(now, 0, to, timing, rng);
                self.cursor = Some((cycle, to));
            }
            None => self.cursor = Some((cycle, to)),
        }
    }

    /// The sender has nothing more to send unless it is told what is lacking.
    pub(super) fn saw_end(&mut self, now: Time, timing: Timing, rng: &mut Rng) {
        self.naks.answered(now, timing, rng);
        self.pass(now, 0, self.geometry().blocks(), timing, rng);
    }

    /// The sender takes it that what it has passed is here, as far as it is not told otherwise.
    pub(super) fn catch_up(&mut self, now: Time, timing: Timing, rng: &mut Rng) {
        let to = self
            .cursor
            .map_or(self.geometry().blocks(), |(_, block)| block);
        self.pass(now, 0, to, timing, rng);
    }

    fn pass(&mut self, now: Time, from: BlockNo, to: BlockNo, timing: Timing, rng: &mut Rng) {
        let mut at = from;
        let mut passed = 0;
        while let Some(block) = self.holdings.next_incomplete(at, to) {
            self.naks.passed(now, block, timing, rng);
            at = block + 1;
            passed += 1;
            if passed >= NakTable::MAX_ENTRIES {
                break;
            }
        }
    }

    /// The sender's position is not known any more.
    pub(super) fn lose_position(&mut self) {
        self.cursor = None;
        self.naks.clear();
    }

    /// A symbol is lacking, of a block that was wrong, and not taken from this source now.
    pub(super) fn doubts(&mut self, block: BlockNo, symbol: SymbolNo, source: SourceNo) -> bool {
        let symbols = self.geometry().symbols(block);
        !self.origins.is_clear()
            && !self.holdings.contains(block, symbol)
            && !self.origins.takes(block, source, symbols)
    }

    /// A symbol came.
    pub(super) fn insert(&mut self, block: BlockNo, symbol: SymbolNo, source: SourceNo) -> Insert {
        let insert = self.holdings.insert(block, symbol);
        if insert != Insert::Duplicate {
            self.origins.came(block, source);
        }
        if insert == Insert::Completed {
            self.naks.filled(block);
            if matches!(self.geometry().kind(block), BlockKind::Pages { .. }) {
                self.verify(block);
            }
        }
        insert
    }

    /// A block is verified and on disk. Those who spoilt it before.
    pub(super) fn verify(&mut self, block: BlockNo) -> SourceSet {
        let new = self.verified.insert(u64::from(block)..u64::from(block) + 1) > 0;
        if let (true, BlockKind::Content { len, .. }) = (new, self.geometry().kind(block)) {
            self.bytes_verified += u64::from(len);
        }
        self.origins.verified(block)
    }

    /// A block, or a symbol of it, is not here after all.
    pub(super) fn unverify(&mut self, block: BlockNo) {
        self.verified.remove(u64::from(block)..u64::from(block) + 1);
    }

    /// Blocks that are not verified.
    pub(super) fn blocks_lacking(&self) -> u64 {
        u64::from(self.geometry().blocks()) - self.verified.total()
    }

    /// Every block is verified.
    pub(super) fn is_verified(&self) -> bool {
        self.verified
            .contains_range(0..u64::from(self.geometry().blocks()))
    }
}
