//! What leaves on a channel while its rate is what it is.

use core::time::Duration;

use crate::time::Time;

/// IP bytes of a packet with the default symbol.
const PACKET: u64 = 1_408;

/// Bytes that left since a round began, and whether rounds use the rate.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    began: Time,
    sent: u64,
    /// Since when rounds have sent less than the rate allows, and the most bits a second that one
    /// did.
    unused_since: Time,
    most: f64,
}

impl Usage {
    pub(super) fn new(now: Time) -> Usage {
        Usage {
            began: now,
            sent: 0,
            unused_since: now,
            most: 0.0,
        }
    }

    /// Begins a round.
    pub(super) fn begin_round(&mut self, now: Time) {
        self.began = now;
        self.sent = 0;
    }

    /// Begins a round, and forgets what the rounds before have sent.
    pub(super) fn begin_search(&mut self, now: Time) {
        *self = Usage::new(now);
    }

    /// IP bytes of data left.
    pub(super) fn handle_sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// When the round began.
    pub(super) fn began(&self) -> Time {
        self.began
    }

    /// How long the round lasts so far.
    pub(super) fn lasts(&self, now: Time) -> Duration {
        now.since(self.began)
    }

    /// Nothing left in the round.
    pub(super) fn is_unused(&self) -> bool {
        self.sent == 0
    }

    /// IP bits that left, a second.
    pub(super) fn sending(&self, now: Time) -> f64 {
        self.rate_of(now, self.sent)
    }

    /// The same with a packet that waits until all of it may leave.
    pub(super) fn may_be_sending(&self, now: Time) -> f64 {
        self.rate_of(now, self.sent + PACKET)
    }

    fn rate_of(&self, now: Time, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / self.lasts(now).as_secs_f64().max(1e-6)
    }

    /// The round sends this many bits a second at least: the rate decides how much is sent.
    pub(super) fn reaches(&mut self, now: Time, rate: f64) -> bool {
        let sending = self.may_be_sending(now);
        let reaches = sending >= rate;
        if reaches {
            self.unused_since = now;
            self.most = 0.0;
        } else {
            self.most = self.most.max(sending);
        }
        reaches
    }

    /// How long rounds have sent less than that.
    pub(super) fn unused(&self, now: Time) -> Duration {
        now.since(self.unused_since)
    }

    /// The most bits a second that one of these rounds sent.
    pub(super) fn most(&self) -> f64 {
        self.most
    }
}
