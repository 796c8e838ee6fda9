//! What a receiver wants, and what of that it has finished with.

use core::ops::Range;

use crate::engine::ObjectKey;
use crate::range_set::RangeSet;
use crate::wire::Outcome;

/// Objects that a receiver wants, and how it ended with them.
#[derive(Debug, Default)]
pub(super) struct Wants {
    all: bool,
    /// Keys of objects asked for one by one.
    named: RangeSet,
    /// Keys of objects it has finished with.
    finished: RangeSet,
    /// How it finished with everything.
    outcome: Option<Outcome>,
}

impl Wants {
    /// It wants whatever is or will be on offer.
    pub(super) fn want_all(&mut self) {
        self.all = true;
    }

    /// It wants an object, whether it had finished with that or not.
    pub(super) fn want(&mut self, object: ObjectKey) {
        let key = u64::from(object.0);
        self.named.insert(key..key + 1);
        self.finished.remove(key..key + 1);
    }

    pub(super) fn wants_all(&self) -> bool {
        self.all
    }

    /// Keys of the objects that it asked for one by one.
    pub(super) fn named(&self) -> impl Iterator<Item = u64> + '_ {
        self.named.iter().flatten()
    }

    pub(super) fn finish(&mut self, object: ObjectKey) {
        let key = u64::from(object.0);
        self.finished.insert(key..key + 1);
    }

    pub(super) fn has_finished(&self, object: ObjectKey) -> bool {
        self.finished.contains(u64::from(object.0))
    }

    /// It asked for objects one by one and has finished with each.
    pub(super) fn has_finished_all_named(&self) -> bool {
        !self.all && self.named.iter().all(|r| self.finished.contains_range(r))
    }

    /// It wants the object and has not finished with it.
    pub(super) fn lack(&self, object: ObjectKey) -> bool {
        let key = u64::from(object.0);
        (self.all || self.named.contains(key)) && !self.finished.contains(key)
    }

    /// Keys of all objects, of this many, that it lacks something of.
    pub(super) fn lacked(&self, objects: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let all = self.all.then_some(0..objects).into_iter();
        let named = self.named.iter().filter(|_| !self.all);
        all.chain(named).flat_map(|keys| self.finished.gaps(keys))
    }

    /// How it finished with everything, if it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// It has finished with everything; true if it had not before.
    pub(super) fn end(&mut self, outcome: Outcome) -> bool {
        self.outcome.replace(outcome).is_none()
    }

    /// It asks again.
    pub(super) fn resume(&mut self) {
        self.outcome = None;
    }
}
