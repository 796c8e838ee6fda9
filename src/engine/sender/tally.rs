//! How many receivers lack each object, on each tier and by unicast.

use core::ops::Range;
use std::collections::BTreeMap;

use crate::engine::ObjectKey;
use crate::ids::ReceiverId;

/// Listed receivers that lack an object and are served on a channel, or would be if they were not
/// on unicast.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Listed {
    /// Receivers that listen on the channel.
    pub(super) listeners: u32,
    /// The sum of their ids: where it is one, who.
    pub(super) who: u64,
    /// Receivers on unicast.
    pub(super) unicast: u32,
}

/// Counts of all listed receivers, by where they are.
#[derive(Debug)]
pub(super) struct Tallies {
    objects: usize,
    /// By tier, and whether it is unicast that they are on.
    by_place: BTreeMap<(usize, bool), Tally>,
}

impl Tallies {
    pub(super) fn new(objects: usize) -> Tallies {
        Tallies {
            objects,
            by_place: BTreeMap::new(),
        }
    }

    /// A receiver lacks a range of objects.
    pub(super) fn add(&mut self, id: ReceiverId, place: (usize, bool), keys: Range<u64>) {
        let objects = self.objects;
        let tally = self.by_place.entry(place);
        let tally = tally.or_insert_with(|| Tally::new(objects));
        tally.add(id, keys);
    }

    /// Everybody was added.
    pub(super) fn settle(&mut self) {
        self.by_place.values_mut().for_each(Tally::settle);
    }

    /// Somebody lacks the object.
    pub(super) fn is_lacked(&self, object: usize) -> bool {
        let mut all = self.by_place.values();
        all.any(|tally| tally.by_object[object].0 > 0)
    }

    /// Receivers that lack the object, of the tiers that are `here`.
    pub(super) fn listed(&self, object: ObjectKey, here: impl Fn(usize) -> bool) -> Listed {
        let mut listed = Listed::default();
        for (&(tier, unicast), tally) in &self.by_place {
            let (count, who) = tally.by_object[object.0 as usize];
            if count == 0 || !here(tier) {
                continue;
            }
            if unicast {
                listed.unicast += count;
            } else {
                listed.listeners += count;
                listed.who = listed.who.wrapping_add(who);
            }
        }
        listed
    }
}

/// Number of receivers that lack each object, and the sum of their ids.
///
/// A receiver lacks objects in a few ranges, so that what it takes to count them all grows with
/// receivers and objects, and not with both multiplied.
#[derive(Debug)]
struct Tally {
    /// Until it is [settled](Tally::settle), what changes from the object before.
    by_object: Vec<(u32, u64)>,
}

impl Tally {
    fn new(objects: usize) -> Tally {
        Tally {
            by_object: vec![(0, 0); objects + 1],
        }
    }

    fn add(&mut self, id: ReceiverId, keys: Range<u64>) {
        let (count, ids) = &mut self.by_object[keys.start as usize];
        (*count, *ids) = (count.wrapping_add(1), ids.wrapping_add(id.0));
        let (count, ids) = &mut self.by_object[keys.end as usize];
        (*count, *ids) = (count.wrapping_sub(1), ids.wrapping_sub(id.0));
    }

    fn settle(&mut self) {
        let (mut sum, mut all) = (0u32, 0u64);
        for (count, ids) in &mut self.by_object {
            (sum, all) = (sum.wrapping_add(*count), all.wrapping_add(*ids));
            (*count, *ids) = (sum, all);
        }
    }
}
