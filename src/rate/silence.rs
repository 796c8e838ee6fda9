//! Silence of all receivers of a channel, and what it makes of the rate.

use core::time::Duration;

use crate::time::Time;

/// Each silence of this many report intervals halves what is sent, this many times at most. What is
/// learned stays: the first packet that comes through brings the rate back.
const INTERVALS: u32 = 4;
const SHORTEST: Duration = Duration::from_secs(1);
const MOST_HALVINGS: u32 = 6;

/// When data was last known to come through, and what was made of it since.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    heard_at: Time,
    halvings: u32,
    /// The mean time between reports of a receiver, and how long nothing may come through.
    interval: Duration,
    lasts: Duration,
}

impl Silence {
    pub(super) fn new(now: Time) -> Silence {
        Silence {
            heard_at: now,
            halvings: 0,
            interval: Duration::ZERO,
            lasts: SHORTEST,
        }
    }

    /// The share of the rate that is sent.
    pub(super) fn share(&self) -> f64 {
        1.0 / f64::from(1 << self.halvings)
    }

    /// The mean time between reports of a receiver.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Something came through. True after a silence.
    pub(super) fn end(&mut self, now: Time) -> bool {
        let was_silent = now.since(self.heard_at) > self.lasts;
        (self.heard_at, self.halvings) = (now, 0);
        was_silent
    }

    /// What was silent until now was this end.
    pub(super) fn defer(&mut self, now: Time) {
        self.heard_at = now;
    }

    /// Each receiver reports about every `interval` and is `grtt` away. How long silence takes.
    pub(super) fn expect(&mut self, interval: Duration, grtt: Duration) -> Duration {
        self.interval = interval;
        self.lasts = (interval * INTERVALS).max(grtt * 16).max(SHORTEST);
        self.lasts
    }

    /// Nothing of what was sent `since` then came through for too long: less is sent.
    pub(super) fn begins(&mut self, now: Time, since: Time) -> bool {
        if now.since(self.heard_at.max(since)) <= self.lasts {
            return false;
        }
        self.heard_at = now;
        self.halvings = (self.halvings + 1).min(MOST_HALVINGS);
        true
    }
}
