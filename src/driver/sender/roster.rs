//! What a sender remembers of its receivers for its summary, after the engine has forgotten them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::driver::{DeliveryPath, SenderReceiver, SenderTier};
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
    joined: u64,
}

impl Roster {
    pub(crate) fn joined(&mut self, now: Time, id: ReceiverId, address: SocketAddr, unicast: bool) {
        self.joined += 1;
        if self.known.len() >= REMEMBERED {
            return;
        }
        self.known.entry(id).or_insert(SenderReceiver {
            id,
            address,
            path: DeliveryPath::of(unicast),
            tier: Rate::ZERO,
            joined: since_start(now),
            left: None,
            outcome: None,
            moves: 0,
            why: MoveCause::None,
            naks: 0,
            throughput: Rate::ZERO,
            packets: 0,
            lost: 0,
            overflowed: 0,
            stalled: 0,
            progress: 0.0,
            remaining: None,
        });
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
            // One that failed stays failed, whatever else it got; and having one object of several is
            // no outcome yet: it may still fall silent.
            if known.outcome != Some(Outcome::Failed)
                && (everything || outcome != Outcome::Complete)
            {
                known.outcome = Some(outcome);
            }
            if everything {
                known.left = Some(since_start(now));
            }
        }
    }

    pub(crate) fn gone(&mut self, now: Time, id: ReceiverId, cause: MoveCause) {
        if let Some(known) = self.known.get_mut(&id) {
            known.left.get_or_insert(since_start(now));
            known.why = cause;
        }
    }

    pub(crate) fn moved(&mut self, id: ReceiverId, cause: MoveCause) {
        if let Some(known) = self.known.get_mut(&id) {
            known.moves += 1;
            known.why = cause;
        }
    }

    /// Takes over the engine's figures.
    pub(crate) fn update(&mut self, now: Time, figures: impl Iterator<Item = ReceiverFigures>) {
        for f in figures {
            let Some(known) = self.known.get_mut(&f.receiver) else {
                continue;
            };
            known.address = f.address;
            known.path = DeliveryPath::of(f.unicast);
            known.naks = f.naks;
            known.throughput = f.throughput;
            known.packets = f.packets;
            known.lost = f.lost;
            known.overflowed = f.overflowed;
            known.stalled = f.stalled;
            known.tier = f.tier;
            known.progress = f.symbols_held as f64 / f.symbols_wanted.max(1) as f64;
            let gets = f.bytes_left == 0 || !f.throughput.is_zero();
            known.remaining = gets.then(|| f.throughput.time_for(f.bytes_left));
            if known.outcome.is_none() && f.outcome.is_some() {
                known.outcome = f.outcome;
                known.left.get_or_insert(since_start(now));
            }
        }
    }

    fn here(&self) -> impl Iterator<Item = &SenderReceiver> {
        self.known.values().filter(|r| r.left.is_none())
    }

    /// Receivers that have neither ended nor been forgotten.
    pub(crate) fn present(&self) -> u32 {
        self.here().count() as u32
    }

    /// Those of them that will take longest, at most `most`, the last first.
    pub(crate) fn slowest(&self, most: usize) -> Vec<SenderReceiver> {
        let last = |r: &&SenderReceiver| (Reverse(r.remaining.unwrap_or(Duration::MAX)), r.id);
        let mut all: Vec<&SenderReceiver> = self.here().collect();
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
            r.path == DeliveryPath::Multicast && (which == Which::All || r.left.is_none())
        };
        for r in self.known.values().filter(counts) {
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
            tier.lost += r.lost;
            tier.overflowed += r.overflowed;
            tier.stalled += r.stalled;
            tier.packets += r.packets;
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
        self.known.values().filter(complete).count() as u32
    }

    /// All that were ever known.
    pub(crate) fn ever(&self) -> u64 {
        self.joined
    }

    /// Some did not say that they have all they wanted.
    pub(crate) fn some_lack(&self) -> bool {
        self.known
            .values()
            .any(|r| r.outcome != Some(Outcome::Complete))
    }

    /// One by one, in the order they came.
    pub(crate) fn into_receivers(self) -> Vec<SenderReceiver> {
        let mut all: Vec<SenderReceiver> = self.known.into_values().collect();
        all.sort_by_key(|r| (r.joined, r.id));
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
