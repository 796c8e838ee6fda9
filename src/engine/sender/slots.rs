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
}

#[derive(Clone, Copy, Debug)]
struct Held {
    block: Option<(ObjectKey, BlockNo)>,
    loading: bool,
    used: u64,
}

impl Slots {
    /// Reads under way at a time: enough to keep a disk busy, few enough that the next is soon read.
    const MAX_LOADING: usize = 4;

    pub(super) fn new(count: u16) -> Slots {
        let free = Held {
            block: None,
            loading: false,
            used: 0,
        };
        Slots {
            slots: vec![free; usize::from(count)],
            by_block: BTreeMap::new(),
            loading: 0,
            clock: 0,
        }
    }

    /// The slot with the block's bytes.
    pub(super) fn ready(&mut self, object: ObjectKey, block: BlockNo) -> Option<Slot> {
        let &slot = self.by_block.get(&(object, block))?;
        self.clock += 1;
        self.slots[slot].used = self.clock;
        (!self.slots[slot].loading).then_some(Slot(slot as u16))
    }

    /// The block's bytes are in a slot.
    pub(super) fn is_ready(&self, object: ObjectKey, block: BlockNo) -> bool {
        self.by_block
            .get(&(object, block))
            .is_some_and(|&slot| !self.slots[slot].loading)
    }

    /// The block will be needed soon: a command to read it, unless it is here, on its way, or must wait.
    pub(super) fn want(&mut self, object: ObjectKey, block: BlockNo) -> Option<ReadCommand> {
        if self.ready(object, block).is_some()
            || self.by_block.contains_key(&(object, block))
            || self.loading >= Slots::MAX_LOADING
        {
            return None;
        }
        let candidates = self.slots.iter().enumerate().filter(|(_, s)| !s.loading);
        let (slot, _) = candidates.min_by_key(|(_, s)| s.used)?;
        if let Some(old) = self.slots[slot].block.take() {
            self.by_block.remove(&old);
        }
        self.clock += 1;
        self.slots[slot] = Held {
            block: Some((object, block)),
            loading: true,
            used: self.clock,
        };
        self.by_block.insert((object, block), slot);
        self.loading += 1;
        Some(ReadCommand {
            slot: Slot(slot as u16),
            object,
            block,
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

    #[test]
    fn the_least_recently_used_block_makes_room() {
        let mut slots = Slots::new(2);
        let o = ObjectKey(0);
        let a = slots.want(o, 1).unwrap();
        let b = slots.want(o, 2).unwrap();
        assert!(
            slots.want(o, 1).is_none() && slots.ready(o, 1).is_none(),
            "on its way"
        );
        assert!(slots.want(o, 3).is_none(), "no slot is free");
        slots.loaded(a.slot, true);
        slots.loaded(b.slot, true);
        assert_eq!(slots.ready(o, 1), Some(a.slot));
        let c = slots.want(o, 3).unwrap();
        assert_eq!(c.slot, b.slot);
        assert!(slots.ready(o, 2).is_none());
        assert_eq!(slots.loaded(c.slot, false), Some(o));
        assert!(slots.ready(o, 3).is_none() && slots.loading == 0);
        assert!(slots.want(o, 3).is_some(), "it may be tried again");
    }

    #[test]
    fn a_read_for_a_forgotten_object_ends_quietly() {
        let mut slots = Slots::new(2);
        let a = slots.want(ObjectKey(1), 0).unwrap();
        slots.forget(ObjectKey(1));
        assert_eq!(slots.loaded(a.slot, true), None);
        assert!(slots.ready(ObjectKey(1), 0).is_none());
    }
}
