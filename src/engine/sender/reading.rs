//! Which blocks are read next.

use core::ops::Bound;

use crate::engine::sender::Sender;
use crate::engine::sender::carousel::{Carousel, Phase};
use crate::engine::sender::slots::WantedBlock;
use crate::engine::{ObjectKey, ReadCommand};
use crate::ids::BlockNo;

impl Sender {
    /// The next block to read.
    pub fn poll_read(&mut self) -> Option<ReadCommand> {
        if !self.slots.may_load() {
            return None;
        }
        let mut wanted = core::mem::take(&mut self.wanted);
        wanted.clear();
        self.list_wanted(&mut wanted);
        let command = (0..wanted.len()).find_map(|i| self.slots.want(wanted[i], &wanted));
        self.wanted = wanted;
        command
    }

    /// The blocks that are needed next, the most urgent first, no more than there are slots: one more
    /// would take the place of another before that is sent, and be read again and again.
    fn list_wanted(&self, wanted: &mut Vec<WantedBlock>) {
        let most = self.slots.count();
        let mut add = |block: Option<WantedBlock>| {
            if let Some(block) = block {
                match wanted.iter().position(|w| w.same_block(&block)) {
                    Some(known) => wanted[known].parity |= block.parity,
                    None if wanted.len() < most => wanted.push(block),
                    None => {}
                }
            }
            wanted.len() < most
        };
        // A channel sends the first of its objects that it can; the one after is there in time if
        // there is room at the end.
        let channels = self.channels.len();
        let running = |(_, c): &(&ObjectKey, &Carousel)| c.phase == Phase::Running;
        let in_turn = || {
            let channels = (0..channels).map(|i| &self.channels[(self.turn + i) % channels]);
            channels.filter_map(|c| c.carousels.iter().find(running))
        };
        for (&key, carousel) in in_turn() {
            let mut now = carousel.now().into_iter();
            if !now.all(|b| add(b.map(|b| b.of(key)))) {
                return;
            }
        }
        let after = self.unicast_turn.map_or(Bound::Unbounded, Bound::Excluded);
        let upto = self.unicast_turn.map_or(Bound::Unbounded, Bound::Included);
        let members = || {
            let first = self.unicast_members.range((after, Bound::Unbounded));
            let rest = self.unicast_members.range((Bound::Unbounded, upto));
            let members = first.chain(rest).take(self.unicast_members.len());
            members.filter_map(|id| self.roster.members.get(id)?.unicast.as_deref())
        };
        let plain = |(object, block)| WantedBlock {
            object,
            block,
            parity: false,
        };
        if !members().all(|path| add(path.next().map(plain))) {
            return;
        }
        for (&key, carousel) in in_turn() {
            if !carousel.later().all(|b| add(Some(b.of(key)))) {
                return;
            }
        }
        if !members().all(|path| add(path.upcoming().map(plain))) {
            return;
        }
        for channel in &self.channels {
            for (&key, carousel) in channel.carousels.iter().filter(running).skip(1) {
                let mut now = carousel.now().into_iter();
                if !now.all(|b| add(b.map(|b| b.of(key)))) {
                    return;
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    block: BlockNo,
    parity: bool,
}

impl Piece {
    fn of(self, object: ObjectKey) -> WantedBlock {
        WantedBlock {
            object,
            block: self.block,
            parity: self.parity,
        }
    }
}

impl Carousel {
    /// What goes out now.
    fn now(&self) -> [Option<Piece>; 2] {
        let piece = |(block, parity)| Piece { block, parity };
        [self.next_repair().map(piece), self.next_fresh().map(piece)]
    }

    /// What goes out after that.
    fn later(&self) -> impl Iterator<Item = Piece> + '_ {
        let fresh = self.walk.upcoming().map(|(block, left)| Piece {
            block,
            parity: self.ring.brings_parity(block, left),
        });
        let repair = self.repairs.current().and_then(|b| self.repairs.after(b));
        fresh.chain(repair.map(|block| Piece {
            block,
            parity: self.repair_needs_parity(block),
        }))
    }
}
