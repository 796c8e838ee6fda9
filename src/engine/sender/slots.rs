//! Which blocks the driver has in memory, and which it is to read next.

use std::collections::BTreeMap;

use crate::engine::{ObjectKey, ReadCommand, Slot};
use crate::ids::BlockNo;

/// The driver's block buffers: the least recently used one takes the next block.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Held>,
    by_block: BTreeMap<(ObjectKey, BlockNo), usize>,
    loading: usize,
    clock: u64,
    /// Blocks that are needed next, kept for its memory.
    wanted: Vec<WantedBlock>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    block: Option<(ObjectKey, BlockNo)>,
    parity: bool,
    loading: bool,
    used: u64,
}

/// A block that is needed soon, with its parity or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedBlock {
    pub(super) object: ObjectKey,
    pub(super) block: BlockNo,
    pub(super) parity: bool,
}

impl WantedBlock {
    fn same_block(&self, other: &WantedBlock) -> bool {
        (self.object, self.block) == (other.object, other.block)
    }
}

impl Slots {
    /// Reads under way at a time: enough to keep a disk busy, few enough that the next is soon
    /// read.
    const MAX_LOADING: usize = 4;

    pub(super) fn new(count: u16) -> Slots {
        let free = Held {
            block: None,
            parity: false,
            loading: false,
            used: 0,
        };
        Slots {
            slots: vec![free; usize::from(count)],
            by_block: BTreeMap::new(),
            loading: 0,
            clock: 0,
            wanted: Vec::new(),
        }
    }

    /// The slot with the block's bytes, and its parity if that is needed.
    pub(super) fn ready(
        &mut self,
        object: ObjectKey,
        block: BlockNo,
        parity: bool,
    ) -> Option<Slot> {
        if !self.is_ready(object, block, parity) {
            return None;
        }
        let &slot = self.by_block.get(&(object, block))?;
        self.touch(slot);
        Some(Slot(slot as u16))
    }

    fn touch(&mut self, slot: usize) {
        self.clock += 1;
        self.slots[slot].used = self.clock;
    }

    /// The block's bytes are in a slot, and its parity if that is needed.
    pub(super) fn is_ready(&self, object: ObjectKey, block: BlockNo, parity: bool) -> bool {
        let slot = self.by_block.get(&(object, block));
        let held = slot.and_then(|&slot| self.slots.get(slot));
        held.is_some_and(|s| !s.loading && (s.parity || !parity))
    }

    /// Another read may begin.
    fn may_load(&self) -> bool {
        self.loading < Slots::MAX_LOADING
    }

    /// The next block to read, of those `needed`, the most urgent first. No more of them count than
    /// there are slots: one more would take the place of another before that is sent, and be read
    /// again and again.
    pub(super) fn read_next(
        &mut self,
        needed: impl Iterator<Item = WantedBlock>,
    ) -> Option<ReadCommand> {
        if !self.may_load() {
            return None;
        }
        let mut wanted = core::mem::take(&mut self.wanted);
        wanted.clear();
        for block in needed {
            match wanted.iter().position(|w| w.same_block(&block)) {
                Some(known) => wanted[known].parity |= block.parity,
                None => wanted.push(block),
            }
            if wanted.len() >= self.slots.len() {
                break;
            }
        }
        let command = (0..wanted.len()).find_map(|i| self.want(wanted[i], &wanted));
        self.wanted = wanted;
        command
    }

    /// A command to read the block, unless it is here, on its way, or must wait. What else is
    /// `wanted` stays.
    fn want(&mut self, block: WantedBlock, wanted: &[WantedBlock]) -> Option<ReadCommand> {
        let WantedBlock {
            object,
            block,
            parity,
        } = block;
        let slot = match self.by_block.get(&(object, block)) {
            Some(&slot) => {
                self.touch(slot);
                let held = self.slots[slot];
                if held.loading || held.parity || !parity || !self.may_load() {
                    return None;
                }
                slot
            }
            None if !self.may_load() => return None,
            None => {
                let stays = |b: Option<(ObjectKey, BlockNo)>| {
                    b.is_some_and(|b| wanted.iter().any(|w| (w.object, w.block) == b))
                };
                let candidates = self.slots.iter().enumerate();
                let candidates = candidates.filter(|(_, s)| !s.loading && !stays(s.block));
                candidates.min_by_key(|(_, s)| s.used)?.0
            }
        };
        if let Some(old) = self.slots[slot].block.take() {
            self.by_block.remove(&old);
        }
        self.slots[slot].block = Some((object, block));
        self.slots[slot].parity = parity;
        self.slots[slot].loading = true;
        self.touch(slot);
        self.by_block.insert((object, block), slot);
        self.loading += 1;
        Some(ReadCommand {
            slot: Slot(slot as u16),
            object,
            block,
            parity,
        })
    }

    /// A read has ended. Gives the object it was for.
    pub(super) fn loaded(&mut self, slot: Slot, ok: bool) -> Option<ObjectKey> {
        let held = self
            .slots
            .get_mut(usize::from(slot.0))
            .filter(|s| s.loading)?;
        held.loading = false;
        self.loading -= 1;
        let block = held.block?;
        if !ok {
            held.block = None;
            held.used = 0;
            self.by_block.remove(&block);
        }
        Some(block.0)
    }

    /// An object is no longer sent.
    pub(super) fn forget(&mut self, object: ObjectKey) {
        for (i, held) in self.slots.iter_mut().enumerate() {
            if let Some(block) = held.block
                && block.0 == object
                && self.by_block.get(&block) == Some(&i)
            {
                self.by_block.remove(&block);
                held.block = None;
                held.used = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(
        slots: &mut Slots,
        object: ObjectKey,
        block: BlockNo,
        parity: bool,
    ) -> Option<ReadCommand> {
        let block = WantedBlock {
            object,
            block,
            parity,
        };
        slots.want(block, &[block])
    }

    #[test]
    fn what_is_wanted_makes_no_room() {
        let mut slots = Slots::new(2);
        let wanted = [1, 2, 3].map(|block| WantedBlock {
            object: ObjectKey(0),
            block,
            parity: false,
        });
        for block in &wanted[..2] {
            let slot = slots.want(*block, &wanted[..2]).unwrap().slot;
            slots.loaded(slot, true);
        }
        assert!(slots.want(wanted[2], &wanted).is_none());
        let slot = slots.want(wanted[2], &wanted[1..]).unwrap().slot;
        assert_eq!(slot, Slot(0));
    }

    #[test]
    fn the_least_recently_used_block_makes_room() {
        let mut slots = Slots::new(2);
        let o = ObjectKey(0);
        let a = want(&mut slots, o, 1, false).unwrap();
        let b = want(&mut slots, o, 2, false).unwrap();
        assert!(
            want(&mut slots, o, 1, false).is_none() && slots.ready(o, 1, false).is_none(),
            "on its way"
        );
        assert!(want(&mut slots, o, 3, false).is_none(), "no slot is free");
        slots.loaded(a.slot, true);
        slots.loaded(b.slot, true);
        assert_eq!(slots.ready(o, 1, false), Some(a.slot));
        let c = want(&mut slots, o, 3, false).unwrap();
        assert_eq!(c.slot, b.slot);
        assert!(slots.ready(o, 2, false).is_none());
        assert_eq!(slots.loaded(c.slot, false), Some(o));
        assert!(slots.ready(o, 3, false).is_none() && slots.loading == 0);
        assert!(
            want(&mut slots, o, 3, false).is_some(),
            "it may be tried again"
        );
    }

    #[test]
    fn parity_is_read_into_the_same_slot_when_it_is_needed() {
        let mut slots = Slots::new(2);
        let o = ObjectKey(0);
        let plain = want(&mut slots, o, 1, false).unwrap();
        assert!(want(&mut slots, o, 1, true).is_none(), "once it is here");
        slots.loaded(plain.slot, true);
        assert!(slots.is_ready(o, 1, false) && !slots.is_ready(o, 1, true));
        let full = want(&mut slots, o, 1, true).unwrap();
        assert!(full.parity && full.slot == plain.slot && !slots.is_ready(o, 1, false));
        slots.loaded(full.slot, true);
        assert!(slots.is_ready(o, 1, true) && want(&mut slots, o, 1, false).is_none());
    }

    #[test]
    fn a_read_for_a_forgotten_object_ends_quietly() {
        let mut slots = Slots::new(2);
        let a = want(&mut slots, ObjectKey(1), 0, false).unwrap();
        slots.forget(ObjectKey(1));
        assert_eq!(slots.loaded(a.slot, true), None);
        assert!(slots.ready(ObjectKey(1), 0, false).is_none());
    }
}
