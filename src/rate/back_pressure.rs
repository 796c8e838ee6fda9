//! The most that a channel sends while receivers' own machines are behind: their buffers fill, and nothing is lost yet.
//!
//! Buffers tell sooner and more surely than losses do, and only of the moment: a disk that syncs, a processor that others
//! have. So what they say holds at once, for a short time, and is forgotten as fast as they empty. Who is behind for longer
//! is simply slow; losses tell of that, and the channel's rate follows those.
//!
//! Takes how full receivers' buffers are; gives a limit while there is one. It knows no packets.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::ids::ReceiverId;
use crate::rate::Adapt;
use crate::time::Time;

/// One of n receivers whose buffers are full takes the n-th part of this share off the rate; one with half of them full, half
/// of that.
const LESS: f64 = 0.5;
/// All together leave this share of what was sent, from where the limit is gone in 0.6 s: buffers that a receiver of 4 Gbit/s
/// fills in 60 ms take the second that it is waited for.
const LEAST: f64 = 1.0 / 16.0;
/// What one tells sooner after that than this is of the rate before.
const SETTLES: Duration = Duration::from_millis(50);
/// How long somebody who is behind is waited for. The time that it keeps up gives a quarter back, so that nobody holds the
/// others back for more than a fifth of the time. With half a second two of ten runs with four receivers on two cores lost a
/// quarter of what was sent, and none of twenty with this.
const PATIENCE: Duration = Duration::from_secs(1);
const EARNS: f64 = 0.25;
/// The limit grows by this share in this time once fewer than one of so many is waited for. Reports that tell of too much
/// take up to 100 ms, when a receiver that takes 4 Gbit/s has 14 MB more to hold, of the 32 MB that it can.
const GROWTH: f64 = 0.1;
const STEP: Duration = Duration::from_millis(20);
const MANY: u32 = 16;
/// Receivers that are looked after; of more, those that are waited for first.
const MAX_BEHIND: usize = 256;

/// What is known of them.
#[derive(Clone, Debug)]
pub(super) struct BackPressure {
    adapt: Adapt,
    limit: Option<Limit>,
    receivers: BTreeMap<ReceiverId, Behind>,
}

/// In bits a second.
#[derive(Clone, Copy, Debug)]
struct Limit {
    now: f64,
    /// What was sent when it began.
    before: f64,
    grows_at: Time,
}

/// A receiver that is behind, or was lately.
#[derive(Clone, Copy, Debug)]
struct Behind {
    /// It was behind for so long as if it had been since then, until it said that it keeps up.
    since: Time,
    until: Option<Time>,
    /// How full its buffers were when it spoke last.
    filled: f64,
    /// When the rate last fell for it.
    fell_at: Option<Time>,
}

impl Behind {
    fn new(since: Time) -> Behind {
        Behind {
            since,
            until: None,
            filled: 0.0,
            fell_at: None,
        }
    }

    /// What is used up of the patience with it.
    fn used(&self, now: Time) -> Duration {
        let until = self.until.unwrap_or(now).min(now);
        let used = until.since(self.since).min(PATIENCE);
        used.saturating_sub(now.since(until).mul_f64(EARNS))
    }

    fn is_over(&self, now: Time) -> bool {
        self.until.is_some_and(|at| at <= now)
    }

    fn is_waited_for(&self, now: Time) -> bool {
        self.fell_at.is_some() && !self.is_over(now) && self.used(now) < PATIENCE
    }
}

impl BackPressure {
    /// None yet, on a channel that follows the average of its receivers or the lowest.
    pub(super) fn new(adapt: Adapt) -> BackPressure {
        BackPressure {
            adapt,
            limit: None,
            receivers: BTreeMap::new(),
        }
    }

    /// Bits a second.
    pub(super) fn limit(&self) -> f64 {
        self.limit.map_or(f64::INFINITY, |limit| limit.now)
    }

    /// Whether one of `many` is waited for, of so many listeners; any of them where the lowest counts.
    pub(super) fn waits(&self, now: Time, many: u32, listeners: u32) -> bool {
        let receivers = self.receivers.values();
        let waits = receivers.filter(|b| b.is_waited_for(now)).count() as u32;
        waits > 0 && (waits.saturating_mul(many) >= listeners || self.adapt == Adapt::Lowest)
    }

    /// A receiver keeps up, or has left.
    pub(super) fn handle_keeps_up(&mut self, now: Time, who: ReceiverId) {
        if let Some(behind) = self.receivers.get_mut(&who) {
            // Whoever takes it back at once has it for no less.
            let least = behind.fell_at.map_or(now, |at| at + SETTLES);
            behind.until.get_or_insert(now.max(least));
        }
    }

    /// The buffers of one of `listeners` are `filled`, from 0 to 1, while `sending` bits a second leave.
    pub(super) fn handle_behind(
        &mut self,
        now: Time,
        who: ReceiverId,
        filled: f64,
        sending: f64,
        listeners: u32,
    ) {
        if self.receivers.len() >= MAX_BEHIND && !self.receivers.contains_key(&who) {
            self.receivers.retain(|_, b| b.is_waited_for(now));
            if self.receivers.len() >= MAX_BEHIND {
                return;
            }
        }
        let behind = self.receivers.entry(who).or_insert(Behind::new(now));
        if behind.is_over(now) {
            *behind = Behind::new(now - behind.used(now));
        }
        behind.until = None;
        let rises = filled >= core::mem::replace(&mut behind.filled, filled);
        let settled = behind.fell_at.is_none_or(|at| now >= at + SETTLES);
        let affords = behind.used(now) + SETTLES <= PATIENCE;
        if !rises || !settled || !affords {
            return;
        }
        behind.fell_at = Some(now);
        let mut limit = self.limit.unwrap_or(Limit {
            now: sending,
            before: sending,
            grows_at: now + STEP,
        });
        let parts = match self.adapt {
            Adapt::Lowest => 1.0,
            _ => f64::from(listeners.max(1)),
        };
        let less = limit.now.min(sending) * (1.0 - LESS * filled / parts);
        limit.now = less.max(limit.before * LEAST);
        self.limit = Some(limit);
    }

    /// The rate without a limit is so many times what it was: there is room for more, of which those behind take their share.
    pub(super) fn follow(&mut self, times: f64) {
        if let Some(limit) = self.limit.as_mut().filter(|_| times > 1.0) {
            limit.now *= times;
            limit.before *= times;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.limit.map(|limit| limit.grows_at)
    }

    /// Time has passed; without a limit the channel, which has `listeners`, would send at `rate`.
    pub(super) fn handle_timeout(&mut self, now: Time, rate: f64, listeners: u32) {
        let Some(mut limit) = self.limit.filter(|limit| limit.grows_at <= now) else {
            return;
        };
        limit.grows_at = now + STEP;
        if !self.waits(now, MANY, listeners) {
            limit.now *= 1.0 + GROWTH;
        }
        self.limit = Some(limit).filter(|limit| limit.now < rate);
    }
}

#[cfg(test)]
mod tests;
