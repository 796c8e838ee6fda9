//! Blocks in memory: filled by the reading thread, sent by the network thread.

use std::sync::Arc;

use crossbeam_channel as channel;

use crate::driver::sender::messages::Read;
use crate::engine::{ReadCommand, Slot};
use crate::store::Store;

/// What became of a command to read a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// It is being read.
    Reading,
    /// There is nothing to read it from, or into.
    Gone,
    /// The reading thread has died.
    Broken,
}

/// A buffer for each slot of the engine, but for those that are being filled.
pub(super) struct Blocks {
    slots: Vec<Option<Vec<u8>>>,
    to_reader: channel::Sender<Read>,
}

impl Blocks {
    pub(super) fn new(slots: u16, to_reader: channel::Sender<Read>) -> Blocks {
        Blocks {
            slots: (0..slots).map(|_| Some(Vec::new())).collect(),
            to_reader,
        }
    }

    /// The bytes in a slot; none while it is being filled.
    pub(super) fn bytes(&self, slot: Slot) -> &[u8] {
        let place = self.slots.get(usize::from(slot.0));
        place.and_then(Option::as_deref).unwrap_or_default()
    }

    /// Has a block read. As many can be under way as there are slots.
    pub(super) fn read(&mut self, command: ReadCommand, source: Option<Arc<dyn Store>>) -> Asked {
        let place = self.slots.get_mut(usize::from(command.slot.0));
        let (Some(source), Some(place)) = (source, place) else {
            return Asked::Gone;
        };
        let Some(buffer) = place.take() else {
            return Asked::Gone;
        };
        let read = Read {
            command,
            source,
            buffer,
        };
        match self.to_reader.send(read) {
            Ok(()) => Asked::Reading,
            Err(_) => Asked::Broken,
        }
    }

    /// Takes a buffer back.
    pub(super) fn put_back(&mut self, slot: Slot, buffer: Vec<u8>) {
        if let Some(place) = self.slots.get_mut(usize::from(slot.0)) {
            *place = Some(buffer);
        }
    }
}
