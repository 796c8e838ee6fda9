//! What is here: objects, which of their symbols and blocks are held, from whom, and what is
//! verified.
//!
//! A library knows no session and asks nobody. It takes symbols and proven blocks, and answers what
//! is here and what is lacking. A receiver fills one; of what a sender's holds in part, its
//! session is told what is missing.
//!
//! Keys of objects are given once and stay: an object that was withdrawn and comes again is
//! another.

mod changes;
mod object;

pub use changes::Change;
use changes::Changes;
pub use object::{Object, ObjectState};

use core::net::SocketAddr;
use std::collections::BTreeMap;

use crate::assemble::{Insert, SourceNo, Sources};
use crate::engine::ObjectKey;
use crate::ids::{BlockNo, ShortCodingId, SymbolNo};
use crate::object::{Description, Zeros};
use crate::range_set::RangeSet;
use crate::time::Time;
use crate::wire::Outcome;

/// Objects, and what of them is here.
#[derive(Debug, Default)]
pub struct Library {
    /// By key.
    objects: Vec<Object>,
    /// Latest object of each coding.
    by_coding: BTreeMap<ShortCodingId, ObjectKey>,
    /// Object that was last looked for by its coding: the next packet is most often for the same.
    last: usize,
    /// Addresses that symbols come from.
    sources: Sources,
    changes: Changes,
}

impl Library {
    /// A library of nothing.
    pub fn new() -> Library {
        Library::default()
    }

    /// Adds an object of which nothing is here.
    pub fn add_wanted(&mut self, description: Description) -> ObjectKey {
        self.add(Object::wanted(description))
    }

    /// Adds an object that is here as a whole, such as a file that is sent.
    pub fn add_whole(&mut self, description: Description) -> ObjectKey {
        self.add(Object::whole(description))
    }

    fn add(&mut self, object: Object) -> ObjectKey {
        let key = ObjectKey(self.objects.len() as u32);
        self.by_coding.insert(object.coding(), key);
        self.objects.push(object);
        key
    }

    /// Keeps changes from now on, for somebody who takes them again and again.
    pub fn watch(&mut self) {
        self.changes.watch();
    }

    /// What has changed since changes were last taken, if they are kept.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.changes.take()
    }

    /// Number of objects that were ever added.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// No object was ever added.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// An object.
    pub fn get(&self, key: ObjectKey) -> Option<&Object> {
        self.objects.get(key.0 as usize)
    }

    /// All objects, by key.
    pub fn iter(&self) -> impl Iterator<Item = (ObjectKey, &Object)> {
        let keys = (0..).map(ObjectKey);
        keys.zip(&self.objects)
    }

    /// Something of it is lacking or not verified yet, and symbols are taken.
    pub fn is_lacking(&self, key: ObjectKey) -> bool {
        self.get(key).is_some_and(Object::is_lacking)
    }

    /// Nothing more will be done about it here.
    pub fn has_ended(&self, key: ObjectKey) -> bool {
        self.get(key).is_some_and(Object::has_ended)
    }

    /// Nothing more will be done about any object.
    pub fn has_all_ended(&self) -> bool {
        self.objects.iter().all(Object::has_ended)
    }

    /// Nothing more has to come of any object.
    pub fn needs_nothing(&self) -> bool {
        self.objects.iter().all(Object::needs_nothing)
    }

    /// What an object is.
    pub fn description(&self, key: ObjectKey) -> Option<&Description> {
        self.get(key).map(Object::description)
    }

    /// The latest object of a coding, unless it was withdrawn.
    pub fn find(&mut self, coding: ShortCodingId) -> Option<ObjectKey> {
        let is_it = |o: &Object| o.coding() == coding && !o.is_withdrawn();
        if self.objects.get(self.last).is_some_and(is_it) {
            return Some(ObjectKey(self.last as u32));
        }
        let key = self.latest(coding)?;
        if !self.get(key).is_some_and(is_it) {
            return None;
        }
        self.last = key.0 as usize;
        Some(key)
    }

    /// The latest object of a coding, withdrawn or not.
    pub fn latest(&self, coding: ShortCodingId) -> Option<ObjectKey> {
        self.by_coding.get(&coding).copied()
    }

    /// The block is verified and can be read.
    pub fn is_verified(&self, key: ObjectKey, block: BlockNo) -> bool {
        self.get(key).is_some_and(|o| o.is_verified(block))
    }

    /// First verified block of an object at or after `from` and before `to`.
    pub fn next_verified(&self, key: ObjectKey, from: BlockNo, to: BlockNo) -> Option<BlockNo> {
        self.get(key)?.next_verified(from, to)
    }

    /// An object that takes symbols.
    fn lacking_mut(&mut self, key: ObjectKey) -> Option<&mut Object> {
        let object = self.objects.get_mut(key.0 as usize)?;
        object.is_lacking().then_some(object)
    }

    /// An object has its place on disk, with these blocks verified from an earlier run.
    pub fn open(&mut self, key: ObjectKey, blocks: &RangeSet) {
        if let Some(object) = self.lacking_mut(key) {
            object.open(blocks);
            self.changes.add(Change::Opened(key));
        }
    }

    /// Symbols of an object that are zeros by its table.
    pub fn set_zeros(&mut self, key: ObjectKey, zeros: Zeros) {
        if let Some(object) = self.objects.get_mut(key.0 as usize) {
            object.set_zeros(zeros);
        }
    }

    /// Takes note of blocks of an object that nobody wants.
    pub fn set_unwanted(&mut self, key: ObjectKey, blocks: &[BlockNo]) {
        if let Some(object) = self.lacking_mut(key) {
            object.set_unwanted(blocks);
        }
    }

    /// What is here of an object already is being looked for, or no more; true if that is new.
    pub fn set_looking(&mut self, key: ObjectKey, looking: bool) -> bool {
        let object = self.lacking_mut(key).filter(|o| o.is_looking() != looking);
        object.map(|o| o.set_looking(looking)).is_some()
    }

    /// A symbol is here without having come; true if its block is to be checked now.
    pub fn add_symbol(&mut self, key: ObjectKey, block: BlockNo, symbol: SymbolNo) -> bool {
        let object = self.lacking_mut(key);
        object.is_some_and(|o| o.add_symbol(block, symbol))
    }

    /// A block came as a whole, and is verified.
    pub fn add_block(&mut self, key: ObjectKey, block: BlockNo) {
        if let Some(object) = self.lacking_mut(key) {
            object.add_block(block);
        }
    }

    /// Whether a symbol is not taken from this source now: its block was wrong before, and it is
    /// another source's turn.
    pub fn doubts(
        &mut self,
        key: ObjectKey,
        block: BlockNo,
        symbol: SymbolNo,
        source: SourceNo,
    ) -> bool {
        self.lacking_mut(key)
            .is_some_and(|o| o.doubts(block, symbol, source))
    }

    /// Takes a symbol. A block that it completes is to be checked, unless it is verified then:
    /// blocks of hash pages prove themselves.
    pub fn insert(
        &mut self,
        key: ObjectKey,
        block: BlockNo,
        symbol: SymbolNo,
        source: SourceNo,
    ) -> Insert {
        let Some(object) = self.lacking_mut(key) else {
            return Insert::Duplicate;
        };
        let insert = object.insert(block, symbol, source);
        if insert == Insert::Completed && object.is_verified(block) {
            self.changes.add(Change::Verified(key, block));
        }
        insert
    }

    /// A block has the hash that it should and can be read. Gives the addresses that are shut out
    /// from now on, because it was wrong while they had a part in it.
    pub fn verify(&mut self, now: Time, key: ObjectKey, block: BlockNo) -> Vec<SocketAddr> {
        let Some(object) = self.lacking_mut(key) else {
            return Vec::new();
        };
        let spoilers = object.verify(block);
        self.changes.add(Change::Verified(key, block));
        let sources = &mut self.sources;
        let new = |&s: &SourceNo| sources.shut_out(now, s);
        let shut_out: Vec<SourceNo> = spoilers.iter().filter(new).collect();
        let address = |s| self.sources.address(s);
        shut_out.into_iter().map(address).collect()
    }

    /// A block was wrong and is lacking; gives the addresses that its symbols came from.
    pub fn unverify(&mut self, key: ObjectKey, block: BlockNo) -> Vec<SocketAddr> {
        let Some(object) = self.lacking_mut(key) else {
            return Vec::new();
        };
        let from = object.remove_block(block);
        self.sources.blame(from)
    }

    /// A symbol could not be kept, and is lacking.
    pub fn remove(&mut self, key: ObjectKey, block: BlockNo, symbol: SymbolNo) {
        if let Some(object) = self.lacking_mut(key) {
            object.remove(block, symbol);
        }
    }

    /// If every block of an object is verified, it is being finished from now on; true if that is
    /// new.
    pub fn finish(&mut self, key: ObjectKey) -> bool {
        let Some(object) = self.lacking_mut(key).filter(|o| o.is_all_verified()) else {
            return false;
        };
        object.set_state(ObjectState::Finishing);
        true
    }

    /// An object has ended here.
    pub fn end(&mut self, key: ObjectKey, outcome: Outcome) {
        self.set_state(key, ObjectState::Ended(outcome));
    }

    /// The sender of an object withdrew it.
    pub fn withdraw(&mut self, now: Time, key: ObjectKey) {
        self.set_state(key, ObjectState::Withdrawn(now));
    }

    fn set_state(&mut self, key: ObjectKey, state: ObjectState) {
        if let Some(object) = self.objects.get_mut(key.0 as usize) {
            object.set_state(state);
            self.changes.add(Change::Ended(key));
        }
    }

    /// Source symbols that are here, over all objects.
    pub fn symbols_held(&self) -> u64 {
        let held = |o: &Object| o.holdings().held();
        self.objects.iter().map(held).sum()
    }

    /// Bytes of content that are verified, over all objects.
    pub fn bytes_verified(&self) -> u64 {
        self.objects.iter().map(Object::bytes_verified).sum()
    }

    /// Addresses that symbols come from.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Addresses that symbols come from, to number one or to tell the sender's.
    pub fn sources_mut(&mut self) -> &mut Sources {
        &mut self.sources
    }

    /// Every set is within its cap. For tests: it looks at every object.
    pub fn is_bounded(&self) -> bool {
        self.sources.is_bounded() && self.objects.iter().all(Object::is_bounded)
    }
}

#[cfg(test)]
mod tests;
