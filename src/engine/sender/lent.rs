//! Room that groups leave, lent to unicast beyond its share.

use core::time::Duration;

use crate::engine::sender::tier::Tier;
use crate::engine::sender::tiers::Tiers;
use crate::rate::{LOOK, Lending, Pacer};
use crate::time::Time;
use crate::units::Rate;

/// What is lent, and what it follows from.
#[derive(Debug)]
pub(super) struct Lent {
    lending: Lending,
    pacer: Pacer,
    /// The most that is lent.
    most: Rate,
    /// IP bytes that went to groups since the last look.
    groups: u64,
    /// IP bytes that went by unicast since the last look.
    unicast: u64,
    /// When it is looked at next, while groups are there.
    due: Time,
}

impl Lent {
    /// Nothing is lent yet; `pacer` is one of rate zero.
    pub(super) fn new(now: Time, most: Rate, pacer: Pacer) -> Lent {
        Lent {
            lending: Lending::new(now),
            pacer,
            most,
            groups: 0,
            unicast: 0,
            due: now,
        }
    }

    pub(super) fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    pub(super) fn pacer_mut(&mut self) -> &mut Pacer {
        &mut self.pacer
    }

    /// IP bytes went to a group.
    pub(super) fn sent_to_group(&mut self, bytes: u64) {
        self.groups += bytes;
    }

    /// IP bytes went by unicast.
    pub(super) fn sent_by_unicast(&mut self, bytes: u64) {
        self.unicast += bytes;
    }

    /// When it is looked at next; groups are there.
    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// No group is there: what went does not count.
    pub(super) fn rest(&mut self, now: Time) {
        (self.groups, self.unicast) = (0, 0);
        self.due = now + LOOK;
    }

    /// Looks at what went, beside unicast's `share` and what the groups' rates did.
    pub(super) fn handle_round(&mut self, now: Time, share: Rate, tiers: &Tiers) {
        let over = now.since(self.due) + LOOK;
        self.due = now + LOOK;
        let groups = mean(core::mem::take(&mut self.groups), over);
        let unicast = mean(core::mem::take(&mut self.unicast), over);
        let fell = tiers.iter().any(Tier::is_trying);
        let settled = !tiers.iter().any(Tier::is_searching);
        self.lending
            .handle_round(now, groups, unicast, share, fell, settled);
        let lent = self.lending.lent().min(self.most);
        self.pacer.set_rate(now, lent);
    }
}

/// The rate of IP bytes over a time.
fn mean(bytes: u64, over: Duration) -> Rate {
    Rate::from_bps((bytes as f64 * 8.0 / over.as_secs_f64()) as u64)
}
