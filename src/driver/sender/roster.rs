//! What a sender remembers of its receivers for its summary, after the engine has forgotten them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::driver::{DeliveryPath, ReceiverStanding, SenderReceiver, SenderTier};
use crate::engine::{ChannelFigures, ReceiverFigures};
use crate::ids::ReceiverId;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{MoveCause, Outcome};

/// Most receivers remembered one by one; all are counted.
const REMEMBERED: usize = 10_000;

/// Which receivers are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// Those that have neither ended nor been forgotten.
    Present,
    /// These as well.
    All,
}

/// Receivers one by one, as far as they are remembered.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    known: HashMap<ReceiverId, SenderReceiver>,
    others: Others,
    joined: u64,
}

/// Those who are not remembered one by one.
#[derive(Debug, Default)]
struct Others {
    present: u32,
    /// They have all they wanted.
    done: u32,
    /// They fell silent, or had to leave.
    gone: u32,
    some_failed: bool,
}

impl Roster {
    pub(crate) fn joined(&mut self, now: Time, id: ReceiverId, address: SocketAddr, unicast: bool) {
        if self.known.contains_key(&id) {
            // The engine has forgotten it meanwhile.
            return self.returned(id, None);
        }
        self.joined += 1;
        if self.known.len() >= REMEMBERED {
            self.others.present += 1;
            return;
        }
        let standing = ReceiverStanding {
            id,
            address,
            path: DeliveryPath::of(unicast),
            tier: Rate::ZERO,
            moves: 0,
            why: MoveCause::None,
            throughput: Rate::ZERO,
            packets: 0,
            lost: 0,
            overflowed: 0,
            stalled: 0,
            progress: 0.0,
            remaining: None,
        };
        let new = SenderReceiver {
            standing,
            joined: since_start(now),
            left: None,
            outcome: None,
            naks: 0,
        };
        self.known.insert(id, new);
    }

    /// A receiver that had ended so, or had fallen silent, joined again.
    pub(crate) fn returned(&mut self, id: ReceiverId, outcome: Option<Outcome>) {
        if let Some(known) = self.known.get_mut(&id) {
            known.left = None;
            known.outcome = known.outcome.filter(|o| *o == Outcome::Failed);
            return;
        }
        let others = &mut self.others;
        others.present += 1;
        match outcome {
            None => others.gone = others.gone.saturating_sub(1),
            Some(Outcome::Complete) => others.done = others.done.saturating_sub(1),
            Some(_) => {}
        }
    }

    /// A receiver has ended with one object, or with everything.
    pub(crate) fn done_with(
        &mut self,
        now: Time,
        id: ReceiverId,
        everything: bool,
        outcome: Outcome,
    ) {
        if let Some(known) = self.known.get_mut(&id) {
            // One that failed stays failed, whatever else it got; and having one object of several
            // is no outcome yet: it may still fall silent.
            if known.outcome != Some(Outcome::Failed)
                && (everything || outcome != Outcome::Complete)
            {
                known.outcome = Some(outcome);
            }
            if everything {
                known.left = Some(since_start(now));
            }
            return;
        }
        let others = &mut self.others;
        others.some_failed |= outcome != Outcome::Complete;
        if everything {
            others.present = others.present.saturating_sub(1);
            others.done += u32::from(outcome == Outcome::Complete);
        }
    }

    pub(crate) fn gone(&mut self, now: Time, id: ReceiverId, cause: MoveCause) {
        if let Some(known) = self.known.get_mut(&id) {
            known.left.get_or_insert(since_start(now));
            known.standing.why = cause;
        } else {
            self.others.present = self.others.present.saturating_sub(1);
            self.others.gone += 1;
        }
    }

    pub(crate) fn moved(&mut self, id: ReceiverId, cause: MoveCause) {
        if let Some(known) = self.known.get_mut(&id) {
            known.standing.moves += 1;
            known.standing.why = cause;
        }
    }

    /// Takes over the engine's figures.
    pub(crate) fn update(&mut self, now: Time, figures: impl Iterator<Item = ReceiverFigures>) {
        for f in figures {
            let Some(known) = self.known.get_mut(&f.receiver) else {
                continue;
            };
            known.naks = f.naks;
            let standing = &mut known.standing;
            standing.address = f.address;
            standing.path = DeliveryPath::of(f.unicast);
            standing.throughput = f.throughput;
            standing.packets = f.packets;
            standing.lost = f.lost;
            standing.overflowed = f.overflowed;
            standing.stalled = f.stalled;
            standing.tier = f.tier;
            standing.progress = f.symbols_held as f64 / f.symbols_wanted.max(1) as f64;
            let gets = f.bytes_left == 0 || !f.throughput.is_zero();
            standing.remaining = gets.then(|| f.throughput.time_for(f.bytes_left));
            if known.outcome.is_none() && f.outcome.is_some() {
                known.outcome = f.outcome;
                known.left.get_or_insert(since_start(now));
            }
        }
    }

    fn here(&self) -> impl Iterator<Item = &ReceiverStanding> {
        let here = self.known.values().filter(|r| r.left.is_none());
        here.map(|r| &r.standing)
    }

    /// Receivers that have neither ended nor been forgotten.
    pub(crate) fn present(&self) -> u32 {
        self.here().count() as u32 + self.others.present
    }

    /// Those of them that will take longest, at most `most`, the last first.
    pub(crate) fn slowest(&self, most: usize) -> Vec<ReceiverStanding> {
        let last = |r: &&ReceiverStanding| (Reverse(r.remaining.unwrap_or(Duration::MAX)), r.id);
        let mut all: Vec<&ReceiverStanding> = self.here().collect();
        if all.len() > most {
            all.select_nth_unstable_by_key(most, last);
            all.truncate(most);
        }
        all.sort_unstable_by_key(last);
        all.into_iter().cloned().collect()
    }

    /// How those fare who are served by multicast, tier by tier, the fastest first.
    pub(crate) fn tiers(
        &self,
        channels: impl Iterator<Item = ChannelFigures>,
        which: Which,
    ) -> Vec<SenderTier> {
        let mut tiers: BTreeMap<Reverse<Rate>, SenderTier> = BTreeMap::new();
        for channel in channels {
            let tier = tiers.entry(Reverse(channel.tier)).or_default();
            tier.group.get_or_insert(channel.group);
            tier.rate = Rate::from_bps(tier.rate.as_bps() + channel.rate.as_bps());
            tier.sent += channel.sent;
        }
        let counts = |r: &&SenderReceiver| {
            r.standing.path == DeliveryPath::Multicast && (which == Which::All || r.left.is_none())
        };
        for r in self.known.values().filter(counts).map(|r| &r.standing) {
            let tier = tiers.entry(Reverse(r.tier)).or_default();
            let (progress, last) = (r.progress, r.remaining);
            (tier.progress, tier.remaining) = match tier.receivers {
                0 => (progress, last),
                _ => (
                    tier.progress.min(progress),
                    tier.remaining.zip(last).map(|(a, b)| a.max(b)),
                ),
            };
            tier.receivers += 1;
            // They are what receivers say.
            tier.lost = tier.lost.saturating_add(r.lost);
            tier.overflowed = tier.overflowed.saturating_add(r.overflowed);
            tier.stalled = tier.stalled.saturating_add(r.stalled);
            tier.packets = tier.packets.saturating_add(r.packets);
        }
        let tiers = tiers.into_iter();
        tiers
            .map(|(Reverse(rate), tier)| SenderTier { tier: rate, ..tier })
            .collect()
    }

    /// Receivers that have all they wanted.
    pub(crate) fn done(&self) -> u32 {
        let complete =
            |r: &&SenderReceiver| r.outcome == Some(Outcome::Complete) && r.left.is_some();
        self.known.values().filter(complete).count() as u32 + self.others.done
    }

    /// All that were ever known.
    pub(crate) fn ever(&self) -> u64 {
        self.joined
    }

    /// Some did not say that they have all they wanted.
    pub(crate) fn some_lack(&self) -> bool {
        let others = &self.others;
        let lacks = |r: &SenderReceiver| r.outcome != Some(Outcome::Complete);
        others.some_failed || others.present + others.gone > 0 || self.known.values().any(lacks)
    }

    /// One by one, in the order they came.
    pub(crate) fn into_receivers(self) -> Vec<SenderReceiver> {
        let mut all: Vec<SenderReceiver> = self.known.into_values().collect();
        all.sort_by_key(|r| (r.joined, r.standing.id));
        all
    }
}

fn since_start(now: Time) -> Duration {
    now.since(Time::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn having_one_object_of_several_is_not_having_everything() {
        let mut roster = Roster::default();
        let (id, now) = (ReceiverId(7), Time::from_millis(1));
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        roster.joined(now, id, address, false);
        roster.done_with(now, id, false, Outcome::Complete);
        roster.gone(now, id, MoveCause::Silent);
        assert!(roster.some_lack());
        assert_eq!(roster.done(), 0);
        roster.done_with(now, id, true, Outcome::Complete);
        assert!(!roster.some_lack());
        assert_eq!(roster.done(), 1);
        roster.done_with(now, id, false, Outcome::Failed);
        assert!(roster.some_lack(), "one that failed did not get all");
    }

    #[test]
    fn who_falls_silent_and_comes_back_is_here_again() {
        let mut roster = Roster::default();
        let (id, now) = (ReceiverId(7), Time::from_millis(1));
        roster.joined(now, id, SocketAddr::from(([127, 0, 0, 1], 9)), false);
        roster.gone(now, id, MoveCause::Silent);
        assert_eq!((roster.present(), roster.slowest(8).len()), (0, 0));
        roster.returned(id, None);
        assert_eq!((roster.present(), roster.slowest(8).len()), (1, 1));
        roster.done_with(now, id, true, Outcome::Complete);
        assert_eq!((roster.present(), roster.done()), (0, 1));
        // Another object, of which it says nothing.
        roster.returned(id, Some(Outcome::Complete));
        assert!(roster.some_lack() && roster.done() == 0);
    }

    #[test]
    fn who_is_not_remembered_is_counted_all_the_same() {
        let mut roster = Roster::default();
        let (now, address) = (Time::from_millis(1), SocketAddr::from(([127, 0, 0, 1], 9)));
        let all = REMEMBERED as u64 + 2;
        for id in 0..all {
            roster.joined(now, ReceiverId(id), address, false);
        }
        assert_eq!((u64::from(roster.present()), roster.ever()), (all, all));
        for id in 0..all - 1 {
            roster.done_with(now, ReceiverId(id), true, Outcome::Complete);
        }
        assert_eq!((roster.present(), u64::from(roster.done())), (1, all - 1));
        assert!(roster.some_lack());
        let last = ReceiverId(all - 1);
        roster.gone(now, last, MoveCause::Silent);
        assert!(roster.some_lack() && roster.present() == 0);
        roster.returned(last, None);
        roster.done_with(now, last, true, Outcome::Complete);
        assert!(!roster.some_lack() && u64::from(roster.done()) == all);
        roster.returned(last, Some(Outcome::Complete));
        roster.done_with(now, last, true, Outcome::Failed);
        assert!(roster.some_lack() && u64::from(roster.done()) == all - 1);
        assert_eq!(roster.into_receivers().len(), REMEMBERED);
    }

    #[test]
    fn tiers_are_summed_up_and_the_slowest_come_first() {
        let mut roster = Roster::default();
        let (now, address) = (Time::from_millis(1), SocketAddr::from(([127, 0, 0, 1], 9)));
        let mbps = |n: u64| Rate::from_bps(n * 1_000_000);
        let figures = |id: u64| ReceiverFigures {
            receiver: ReceiverId(id),
            address,
            unicast: id == 4,
            tier: mbps(if id < 2 { 100 } else { 10 }),
            outcome: None,
            symbols_held: 100 - 10 * id,
            symbols_wanted: 100,
            bytes_left: 1_000_000 * id,
            throughput: mbps(if id == 3 { 0 } else { 8 }),
            packets: 100,
            lost: id,
            overflowed: 2 * id,
            stalled: 3 * id,
            naks: 0,
        };
        for id in 0..5 {
            roster.joined(now, ReceiverId(id), address, false);
        }
        roster.update(now, (0..5).map(figures));
        let slowest = roster.slowest(3);
        let ids: Vec<u64> = slowest.iter().map(|r| r.id.0).collect();
        // Nobody knows how long one will take that gets nothing.
        assert_eq!(ids, [3, 4, 2]);
        assert_eq!(slowest[1].remaining, Some(Duration::from_secs(4)));
        let tiers = roster.tiers(core::iter::empty(), Which::Present);
        let rates: Vec<Rate> = tiers.iter().map(|t| t.tier).collect();
        assert_eq!(rates, [mbps(100), mbps(10)]);
        let slow = &tiers[1];
        assert_eq!(
            (slow.receivers, slow.lost, slow.overflowed, slow.stalled),
            (2, 5, 10, 15)
        );
        assert!((slow.progress - 0.7).abs() < 1e-9);
        let remaining: Vec<_> = tiers.iter().map(|t| t.remaining).collect();
        assert_eq!(remaining, [Some(Duration::from_secs(1)), None]);
    }
}
