//! What a sender remembers of its receivers for its summary, after the engine has forgotten them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::driver::{DeliveryPath, SenderReceiver};
use crate::engine::ReceiverFigures;
use crate::ids::ReceiverId;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{MoveCause, Outcome};

/// Most receivers remembered one by one; all are counted.
const REMEMBERED: usize = 10_000;

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
            if known.outcome.is_none() && f.outcome.is_some() {
                known.outcome = f.outcome;
                known.left.get_or_insert(since_start(now));
            }
        }
    }

    /// Receivers that have neither ended nor been forgotten.
    pub(crate) fn present(&self) -> u32 {
        self.known.values().filter(|r| r.left.is_none()).count() as u32
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
}
