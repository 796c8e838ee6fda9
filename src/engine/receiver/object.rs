//! One object as the session sends it: where it runs, what the sender has passed, what to ask for.

use core::ops::Range;

use crate::assemble::Holdings;
use crate::engine::ObjectKey;
use crate::ids::{BlockNo, ChannelNo};
use crate::nak::{NakTable, Timing};
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::{ChannelInfo, Position};

/// An object of the session that is wanted.
#[derive(Debug)]
pub(super) struct ObjectRx {
    pub(super) key: ObjectKey,
    /// The channels that it runs on, one for each tier.
    pub(super) channels: Vec<ChannelInfo>,
    /// The one of them that is listened to.
    pub(super) channel: Option<ChannelInfo>,
    pub(super) naks: NakTable,
    /// The sender's cycle, once SYNC has told it, and block, as last seen on the channel.
    cursor: Option<(Option<u32>, BlockNo)>,
}

impl ObjectRx {
    pub(super) fn new(key: ObjectKey) -> ObjectRx {
        ObjectRx {
            key,
            channels: Vec::new(),
            channel: None,
            naks: NakTable::new(),
            cursor: None,
        }
    }

    /// What is said on a channel goes for this object: each tier walks from another place. While it is
    /// not known where the object runs, whatever is heard of it does.
    pub(super) fn listens_on(&self, number: ChannelNo) -> bool {
        self.channel.is_none_or(|c| c.number == number)
    }

    /// A fresh data packet, the newest on the channel, came from this block.
    pub(super) fn saw_data(
        &mut self,
        now: Time,
        holdings: &Holdings,
        block: BlockNo,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let Some((cycle, at)) = self.cursor else {
            self.cursor = Some((None, block));
            return;
        };
        if block > at {
            self.pass(now, holdings, at..block, timing, rng);
            self.cursor = Some((cycle, block));
        } else if block < at {
            // The next cycle has begun.
            let blocks = holdings.geometry().blocks();
            self.pass(now, holdings, at..blocks, timing, rng);
            self.pass(now, holdings, 0..block, timing, rng);
            self.cursor = Some((cycle.map(|c| c.wrapping_add(1)), block));
        }
    }

    /// SYNC told the position.
    pub(super) fn saw_position(
        &mut self,
        now: Time,
        holdings: &Holdings,
        position: Position,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let blocks = holdings.geometry().blocks();
        let to = position.block.min(blocks);
        let cycle = Some(position.cycle);
        match self.cursor {
            Some((known, at)) if known == cycle || known.is_none() && to >= at => {
                self.pass(now, holdings, at..to, timing, rng);
                self.cursor = Some((cycle, at.max(to)));
            }
            Some((_, at)) => {
                self.pass(now, holdings, at..blocks, timing, rng);
                self.pass(now, holdings, 0..to, timing, rng);
                self.cursor = Some((cycle, to));
            }
            None => self.cursor = Some((cycle, to)),
        }
    }

    /// The sender has nothing more to send unless it is told what is lacking.
    pub(super) fn saw_end(
        &mut self,
        now: Time,
        holdings: &Holdings,
        timing: Timing,
        rng: &mut Rng,
    ) {
        self.naks.answered(now, timing, rng);
        let blocks = holdings.geometry().blocks();
        self.pass(now, holdings, 0..blocks, timing, rng);
    }

    /// The sender takes it that what it has passed is here, as far as it is not told otherwise.
    pub(super) fn catch_up(
        &mut self,
        now: Time,
        holdings: &Holdings,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let blocks = holdings.geometry().blocks();
        let to = self.cursor.map_or(blocks, |(_, block)| block);
        self.pass(now, holdings, 0..to, timing, rng);
    }

    fn pass(
        &mut self,
        now: Time,
        holdings: &Holdings,
        blocks: Range<BlockNo>,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let mut at = blocks.start;
        let mut passed = 0;
        while let Some(block) = holdings.next_incomplete(at, blocks.end) {
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
}
