//! The receivers that a sender knows one by one, each by its random id.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::engine::sender::losses::Losses;
use crate::engine::sender::unicast::UnicastPath;
use crate::engine::{Link, ObjectKey};
use crate::ids::{PacketNo, ReceiverId};
use crate::range_set::RangeSet;
use crate::rate::Lag;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{MoveCause, Outcome, Report};

/// What a receiver may not do any more, and why.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exile {
    /// It was told, then, to leave its groups: it is served by unicast and nothing else.
    Unicast(MoveCause, Time),
    /// It is not served any more.
    Everything(MoveCause),
}

/// A receiver.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) address: SocketAddr,
    pub(super) link: Link,
    pub(super) wants_all: bool,
    /// Keys of objects asked for one by one.
    wants: RangeSet,
    /// Keys of objects it has finished with.
    finished: RangeSet,
    /// How it finished with everything.
    pub(super) outcome: Option<Outcome>,
    /// The tier it listens on, or did before it went over to unicast.
    pub(super) tier: usize,
    /// It joined where it is with some of what it wants.
    pub(super) held: bool,
    /// It fell silent, or had to go.
    pub(super) gone: bool,
    pub(super) exile: Option<Exile>,
    pub(super) last_heard: Time,
    /// How long it may be silent after that: it knows of no other interval between its reports than it was
    /// told then.
    pub(super) patience: Duration,
    counters: ReplayWindow,
    /// That of the last join that was followed.
    join: u64,
    /// Its path, when it is served by unicast.
    pub(super) unicast: Option<Box<UnicastPath>>,
    pub(super) report: Report,
    pub(super) losses: Losses,
    /// Whether it gets too little.
    pub(super) lag: Lag,
    /// The next packet of its channel when it last reported.
    pub(super) passed: PacketNo,
    /// What it believes that it can take; zero when it does not say.
    pub(super) downlink: Rate,
    pub(super) naks: u64,
    /// Whether all that is sent on its tier is sent to it: nobody there lacks more objects.
    pub(super) whole: bool,
}

impl Member {
    pub(super) fn new(now: Time, address: SocketAddr, link: Link) -> Member {
        Member {
            address,
            link,
            wants_all: false,
            wants: RangeSet::new(),
            finished: RangeSet::new(),
            outcome: None,
            tier: 0,
            held: false,
            gone: false,
            exile: None,
            last_heard: now,
            patience: Duration::ZERO,
            counters: ReplayWindow::default(),
            join: 0,
            unicast: None,
            report: Report {
                throughput: Rate::from_bps(0),
                ..Report::default()
            },
            losses: Losses::default(),
            lag: Lag::new(now),
            passed: 0,
            downlink: Rate::ZERO,
            naks: 0,
            whole: false,
        }
    }

    /// It was heard, and may be silent for `patience`.
    pub(super) fn heard(&mut self, now: Time, from: SocketAddr, link: Link, patience: Duration) {
        self.last_heard = now;
        self.address = from;
        self.link = link;
        self.patience = patience;
    }

    /// Its packet number `counter` came: false if it came before, or is too old to tell.
    pub(super) fn is_fresh(&mut self, counter: u64) -> bool {
        self.counters.accept(counter)
    }

    /// It was gone and comes back: what came under its name meanwhile, with whatever number, need not have been its own.
    pub(super) fn count_anew(&mut self) {
        self.counters = ReplayWindow::default();
        self.join = 0;
    }

    /// Its join with packet number `counter` says where it is now: false if a later one has come already, as where packets
    /// overtake each other.
    pub(super) fn is_last_join(&mut self, counter: u64) -> bool {
        let last = counter >= self.join;
        self.join = self.join.max(counter);
        last
    }

    pub(super) fn want(&mut self, object: ObjectKey) {
        let key = u64::from(object.0);
        self.wants.insert(key..key + 1);
        self.finished.remove(key..key + 1);
    }

    /// Keys of the objects that it asked for one by one.
    pub(super) fn wants(&self) -> impl Iterator<Item = u64> + '_ {
        self.wants.iter().flatten()
    }

    pub(super) fn finish(&mut self, object: ObjectKey) {
        let key = u64::from(object.0);
        self.finished.insert(key..key + 1);
    }

    pub(super) fn has_finished(&self, object: ObjectKey) -> bool {
        self.finished.contains(u64::from(object.0))
    }

    /// It is here and lacks something of the object.
    pub(super) fn lacks(&self, object: ObjectKey) -> bool {
        let key = u64::from(object.0);
        self.is_active()
            && (self.wants_all || self.wants.contains(key))
            && !self.finished.contains(key)
    }

    /// Keys of all objects, of so many, that it lacks something of.
    pub(super) fn lacked(&self, objects: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let all = self.wants_all.then_some(0..objects).into_iter();
        let named = self.wants.iter().filter(|_| !self.wants_all);
        let wanted = all.chain(named).filter(|_| self.is_active());
        wanted.flat_map(|keys| self.finished.gaps(keys))
    }

    /// It is here and not done.
    pub(super) fn is_active(&self) -> bool {
        !self.gone && self.outcome.is_none()
    }

    /// It asked for objects one by one and has finished with each.
    pub(super) fn has_finished_all_it_named(&self) -> bool {
        !self.wants_all && self.wants.iter().all(|r| self.finished.contains_range(r))
    }
}

/// All receivers.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) members: BTreeMap<ReceiverId, Member>,
    /// Receivers that have ever joined.
    pub(super) joined: u64,
    /// Members that were done or gone when they were last counted, and are still here.
    ended: usize,
}

impl Roster {
    /// There is room for this receiver among `max`. The one that was not heard for longest, of those
    /// that are done or gone, is forgotten for it.
    pub(super) fn has_room(&mut self, receiver: ReceiverId, max: u32) -> bool {
        if self.members.len() < max as usize || self.members.contains_key(&receiver) {
            return true;
        }
        if self.ended == 0 {
            return false;
        }
        let ended = self.members.iter().filter(|(_, m)| !m.is_active());
        let oldest = ended.min_by_key(|(_, m)| m.last_heard).map(|(&id, _)| id);
        self.ended = oldest.map_or(0, |_| self.ended - 1);
        oldest.is_some_and(|id| self.members.remove(&id).is_some())
    }

    /// There is room for one more, as far as is known without looking at all.
    pub(super) fn may_have_room(&self, max: u32) -> bool {
        self.members.len() < max as usize || self.ended > 0
    }

    /// Counts receivers that are here and not done.
    pub(super) fn count(&mut self) -> usize {
        let active = self.members.values().filter(|m| m.is_active()).count();
        self.ended = self.members.len() - active;
        active
    }
}

/// Which of a receiver's latest packets came: the 64 up to the highest (RFC 4303 §3.4.3).
#[derive(Clone, Copy, Debug, Default)]
struct ReplayWindow {
    highest: Option<u64>,
    /// Bit `i` stands for the counter `i` below the highest.
    seen: u64,
}

impl ReplayWindow {
    fn accept(&mut self, counter: u64) -> bool {
        match self.highest {
            Some(highest) if counter <= highest => {
                let age = highest - counter;
                if age >= 64 || self.seen & (1 << age) != 0 {
                    return false;
                }
                self.seen |= 1 << age;
            }
            before => {
                let ahead = before.map_or(64, |highest| counter - highest);
                self.seen = if ahead < 64 { self.seen << ahead } else { 0 } | 1;
                self.highest = Some(counter);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_a_receiver_does_not_come_to_is_forgotten_when_it_is_gone() {
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        let mut member = Member::new(Time::ZERO, address, Link(1));
        assert!(member.is_fresh(7) && member.is_last_join(7));
        assert!(member.is_fresh(u64::MAX) && member.is_last_join(u64::MAX));
        assert!(!member.is_fresh(8));
        member.count_anew();
        assert!(member.is_fresh(9) && member.is_last_join(9) && !member.is_fresh(9));
    }

    #[test]
    fn only_those_who_have_ended_make_room() {
        let mut roster = Roster::default();
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        for id in 0..3 {
            let heard = Time::from_millis(10 - id);
            let member = Member::new(heard, address, Link(1));
            roster.members.insert(ReceiverId(id), member);
        }
        let room = |roster: &mut Roster, id| roster.has_room(ReceiverId(id), 3);
        assert!(room(&mut roster, 2) && !room(&mut roster, 9));
        for member in roster.members.values_mut().take(2) {
            member.outcome = Some(Outcome::Complete);
        }
        assert!(!room(&mut roster, 9) && roster.count() == 1);
        assert!(roster.may_have_room(3) && room(&mut roster, 9));
        assert!(roster.members.keys().eq(&[ReceiverId(0), ReceiverId(2)]));
    }

    #[test]
    fn what_it_lacks_is_all_of_what_it_lacks() {
        const OBJECTS: u32 = 40;
        let mut rng = crate::rng::Rng::new(1);
        for round in 0..300 {
            let address = SocketAddr::from(([10, 0, 0, 1], 1));
            let mut member = Member::new(Time::ZERO, address, Link(1));
            member.wants_all = round % 3 == 0;
            member.gone = round % 50 == 1;
            for _ in 0..round % 70 {
                let key = ObjectKey(rng.below(u64::from(OBJECTS)) as u32);
                match rng.below(2) {
                    0 => member.want(key),
                    _ => member.finish(key),
                }
            }
            let lacked = member.lacked(u64::from(OBJECTS)).flatten();
            let each = (0..OBJECTS).filter(|&key| member.lacks(ObjectKey(key)));
            assert!(lacked.eq(each.map(u64::from)));
        }
    }

    #[test]
    fn each_counter_is_taken_once() {
        let mut w = ReplayWindow::default();
        assert!(w.accept(0) && !w.accept(0));
        assert!(w.accept(5) && w.accept(3) && !w.accept(3) && !w.accept(5));
        assert!(w.accept(70) && !w.accept(5) && w.accept(7) && !w.accept(6));
        assert!(w.accept(u64::MAX) && !w.accept(u64::MAX));
    }
}
