//! The receivers that a sender knows one by one: who may join, who is here and not done, and who
//! fell silent.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::ObjectKey;
use crate::engine::sender::member::Member;
use crate::engine::sender::tally::Tallies;
use crate::ids::ReceiverId;
use crate::time::Time;
use crate::units::Rate;

/// A receiver that was not heard for this long is forgotten; reports come every 50 ms or so, or
/// more seldom in large groups.
pub(super) const SILENCE: Duration = Duration::from_secs(4);
/// What a receiver was told of its reports when it was last heard counts for no longer: it has
/// missed every SYNC since.
const REMEMBERED: Duration = Duration::from_secs(240);
/// Counting who listens takes [`COUNT_TIME`] for each receiver and object; with more than this many
/// of either it is done once in so long, some hundredths of the time.
const COUNTED_AT_ONCE: usize = 1_000;
const COUNT_TIME: Duration = Duration::from_micros(1);

/// All listed receivers.
#[derive(Debug)]
pub(super) struct Members {
    members: BTreeMap<ReceiverId, Member>,
    /// Receivers that are listed, at most.
    most: usize,
    /// Receivers that have ever joined.
    joined: u64,
    /// Members that were done or gone when they were last counted, and are still here.
    ended: usize,
    /// Receivers that are here and not done, listed or not, when they were last counted.
    active: usize,
    /// Somebody joined, moved, finished or left: counts are to be made anew.
    stale: bool,
    /// A large group is not counted anew before.
    count_due: Time,
    silence_due: Time,
    /// How long a receiver may be silent that was told all about its reports.
    patience: Duration,
}

/// The listed receivers of a tier that listen there and lack something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Listeners {
    pub(super) count: u32,
    /// The most objects that one of them lacks something of.
    pub(super) most_lacked: u64,
}

impl Members {
    /// No receivers yet, and `most` at any time.
    pub(super) fn new(now: Time, most: u32) -> Members {
        Members {
            members: BTreeMap::new(),
            most: most as usize,
            joined: 0,
            ended: 0,
            active: 0,
            stale: false,
            count_due: now,
            silence_due: now + SILENCE,
            patience: SILENCE,
        }
    }

    pub(super) fn get(&self, id: ReceiverId) -> Option<&Member> {
        self.members.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ReceiverId) -> Option<&mut Member> {
        self.members.get_mut(&id)
    }

    pub(super) fn contains(&self, id: ReceiverId) -> bool {
        self.members.contains_key(&id)
    }

    /// A receiver, which is listed from now on if it was not.
    pub(super) fn enter(&mut self, id: ReceiverId, new: impl FnOnce() -> Member) -> &mut Member {
        self.members.entry(id).or_insert_with(new)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All of them, in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ReceiverId, &Member)> {
        self.members.iter().map(|(&id, m)| (id, m))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ReceiverId, &mut Member)> {
        self.members.iter_mut().map(|(&id, m)| (id, m))
    }

    /// Receivers that lack something of an object.
    pub(super) fn lacking(
        &mut self,
        object: ObjectKey,
    ) -> impl Iterator<Item = (ReceiverId, &mut Member)> {
        self.iter_mut().filter(move |(_, m)| m.lacks(object))
    }

    /// There is room for this receiver. Of those that are done or gone, the one that was not heard
    /// for longest is forgotten for it.
    pub(super) fn has_room(&mut self, receiver: ReceiverId) -> bool {
        if self.members.len() < self.most || self.members.contains_key(&receiver) {
            return true;
        }
        if self.ended == 0 {
            return false;
        }
        let ended = self.members.iter().filter(|(_, m)| !m.is_active());
        let oldest = ended.min_by_key(|(_, m)| m.contact().last_heard);
        let oldest = oldest.map(|(&id, _)| id);
        self.ended = oldest.map_or(0, |_| self.ended - 1);
        oldest.is_some_and(|id| self.members.remove(&id).is_some())
    }

    /// There is room for one more, as far as is known without looking at all.
    pub(super) fn may_have_room(&self) -> bool {
        self.members.len() < self.most || self.ended > 0
    }

    /// One more has joined, listed or not.
    pub(super) fn count_join(&mut self) {
        self.joined += 1;
    }

    /// This many receivers have joined.
    pub(super) fn have_joined(&self, wait_for: u32) -> bool {
        self.joined >= u64::from(wait_for.max(1))
    }

    /// Somebody joined, moved, finished or left.
    pub(super) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Somebody joined, moved, finished or left since they were counted.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// When they are to be counted anew, if they are.
    pub(super) fn count_due(&self) -> Option<Time> {
        self.stale.then_some(self.count_due)
    }

    /// Counts receivers that are here and not done; `objects` are or were on offer.
    pub(super) fn count(&mut self, now: Time, objects: usize) {
        self.stale = false;
        let count = self.members.len().max(objects);
        if count > COUNTED_AT_ONCE {
            self.count_due = now + COUNT_TIME * count as u32;
        }
        self.active = self.members.values().filter(|m| m.is_active()).count();
        self.ended = self.members.len() - self.active;
    }

    /// Receivers that are not listed are here too.
    pub(super) fn count_unlisted(&mut self, unlisted: u32) {
        self.active += unlisted as usize;
    }

    /// Receivers that are here and not done, listed or not, when they were last counted.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// Which of `objects` receivers lack, by where they are.
    pub(super) fn tally(&self, objects: usize, unicast: impl Fn(ReceiverId) -> bool) -> Tallies {
        let mut tallies = Tallies::new(objects);
        for (&id, member) in &self.members {
            let place = (member.tier(), unicast(id));
            for keys in member.lacked(objects as u64) {
                tallies.add(id, place, keys);
            }
        }
        tallies.settle();
        tallies
    }

    /// Who listens on each tier, and whether all that is sent there is sent to each of them.
    pub(super) fn count_tiers(
        &mut self,
        tiers: usize,
        objects: usize,
        unicast: impl Fn(ReceiverId) -> bool,
    ) -> Vec<Listeners> {
        let objects = objects as u64;
        let mut listeners = vec![Listeners::default(); tiers];
        for (&id, member) in &self.members {
            let lacked = member.count_lacked(objects);
            if lacked == 0 || unicast(id) {
                continue;
            }
            if let Some(here) = listeners.get_mut(member.tier()) {
                here.count += 1;
                here.most_lacked = here.most_lacked.max(lacked);
            }
        }
        for member in self.members.values_mut() {
            let lacked = member.count_lacked(objects);
            let here = listeners.get(member.tier());
            member.set_whole(here.is_some_and(|here| lacked >= here.most_lacked));
        }
        listeners
    }

    /// The least of what the receivers that listen on a tier believe that they can take, if all
    /// say it.
    pub(super) fn least_downlink(
        &self,
        tier: usize,
        unicast: impl Fn(ReceiverId) -> bool,
    ) -> Option<Rate> {
        let listening = self.iter();
        let listening = listening.filter(|&(id, m)| m.listens_on(tier) && !unicast(id));
        let least = listening.map(|(_, m)| m.downlink()).min();
        least.filter(|rate| !rate.is_zero())
    }

    /// Tiers that receivers listen on, or did, that lack something of an object.
    pub(super) fn tiers_lacking(&self, object: ObjectKey) -> BTreeSet<usize> {
        let lacking = self.members.values().filter(|m| m.lacks(object));
        lacking.map(Member::tier).collect()
    }

    /// How long a receiver may be silent that was told all about its reports.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// When silent receivers are looked for next.
    pub(super) fn silence_due(&self) -> Time {
        self.silence_due
    }

    /// The sender itself was stopped: nobody could be heard.
    pub(super) fn handle_absence(&mut self, now: Time) {
        self.silence_due = self.silence_due.max(now + SILENCE / 8);
    }

    /// Lets those go that are silent for too long, if it is time to look for them; gives them, and
    /// what was too long.
    pub(super) fn forget_silent(
        &mut self,
        now: Time,
        report_interval: Duration,
    ) -> Vec<(ReceiverId, Duration)> {
        self.silence_due = now + SILENCE / 8;
        self.patience = SILENCE.max(report_interval * 4);
        let mut gone = Vec::new();
        for (&id, member) in self.members.iter_mut() {
            let contact = member.contact();
            let limit = self.patience.max(contact.patience.min(REMEMBERED));
            if member.is_active() && now.since(contact.last_heard) > limit {
                member.leave();
                gone.push((id, limit));
            }
        }
        self.stale |= !gone.is_empty();
        gone
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.members.len() <= self.most
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::engine::Link;
    use crate::wire::Outcome;

    #[test]
    fn only_those_who_have_ended_make_room() {
        let mut members = Members::new(Time::ZERO, 3);
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        for id in 0..3 {
            let heard = Time::from_millis(10 - id);
            members.enter(ReceiverId(id), || Member::new(heard, address, Link(1)));
        }
        let room = |members: &mut Members, id| members.has_room(ReceiverId(id));
        assert!(room(&mut members, 2) && !room(&mut members, 9));
        for (_, member) in members.iter_mut().take(2) {
            member.wants_mut().end(Outcome::Complete);
        }
        assert!(!room(&mut members, 9));
        members.count(Time::ZERO, 0);
        assert!(members.active() == 1 && members.may_have_room() && room(&mut members, 9));
        assert!(members.members.keys().eq(&[ReceiverId(0), ReceiverId(2)]));
    }
}
