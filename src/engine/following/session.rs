//! The session that is followed, as it is known.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config;
use crate::config::STEADY_REPORT_INTERVAL;
use crate::engine::following::limits::BELIEVED;
use crate::ids::{Cookie, SessionId};
use crate::nak::Timing;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::Echo;

/// The mean time between reports before SYNC has told it.
const FIRST_REPORT: Duration = Duration::from_secs(1);
/// The longest time between hearing a sender's clock and telling it back.
const ECHO_TIME: Duration = Duration::from_secs(3_600);

/// The sender's session as it is known.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    /// Where it answers.
    address: SocketAddr,
    /// Since when it is followed.
    since: Time,
    /// The sender trusted has described something in it.
    vouched: bool,
    /// It has no way back.
    one_way: bool,
    cookie: Cookie,
    /// The last time of the sender's that was heard, and when.
    echo: Option<(u64, Time)>,
    timing: Timing,
    /// The sender knows us by number only, and serves us on its groups alone.
    unlisted: bool,
    /// The mean time between our reports, and when that was told. Short ones are for a search, in
    /// which it is told often: not told again it is believed for a second.
    report_interval: (Duration, Time),
    rate: Rate,
}

impl Session {
    /// A session that is followed from now on.
    pub(super) fn new(
        now: Time,
        id: SessionId,
        address: SocketAddr,
        one_way: bool,
        vouched: bool,
    ) -> Session {
        Session {
            id,
            address,
            since: now,
            vouched,
            one_way,
            cookie: Cookie(0),
            echo: None,
            timing: unknown_timing(),
            unlisted: false,
            report_interval: (FIRST_REPORT, now),
            rate: unknown_rate(),
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn since(&self) -> Time {
        self.since
    }

    pub(super) fn is_one_way(&self) -> bool {
        self.one_way
    }

    pub(super) fn cookie(&self) -> Cookie {
        self.cookie
    }

    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// Waits are made of this from now on; gives what they were made of before.
    pub(super) fn set_timing(&mut self, timing: Timing) -> Timing {
        core::mem::replace(&mut self.timing, timing)
    }

    pub(super) fn is_vouched(&self) -> bool {
        self.vouched
    }

    /// The sender trusted has described something in it.
    pub(super) fn vouch(&mut self) {
        self.vouched = true;
    }

    pub(super) fn is_unlisted(&self) -> bool {
        self.unlisted
    }

    /// The sender knows us by number only, or has us on its list; gives what was so before.
    pub(super) fn set_unlisted(&mut self, unlisted: bool) -> bool {
        core::mem::replace(&mut self.unlisted, unlisted)
    }

    /// What its first channel sends at.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// A packet of the sender's told its clock.
    pub(super) fn note_time(&mut self, now: Time, sent_at: u64) {
        let is_news = |(before, at)| sent_at > before || now.since(at) >= BELIEVED;
        if self.echo.is_none_or(is_news) {
            self.echo = Some((sent_at, now));
        }
    }

    /// The sender's clock, to tell it back.
    pub(super) fn echo(&self, now: Time) -> Option<Echo> {
        let (sent_at, at) = self.echo?;
        let held = now.since(at);
        (held < ECHO_TIME).then_some(Echo { sent_at, held })
    }

    /// The sender gave a cookie from this address; true if it is new.
    pub(super) fn take_cookie(&mut self, cookie: Cookie, from: SocketAddr) -> bool {
        if self.cookie == cookie {
            return false;
        }
        self.cookie = cookie;
        self.address = from;
        true
    }

    /// SYNC told how often reports are wanted; gives what was wanted before.
    pub(super) fn set_report_interval(&mut self, now: Time, interval: Duration) -> Duration {
        core::mem::replace(&mut self.report_interval, (interval, now)).0
    }

    /// The mean time between reports as it was last told.
    pub(super) fn told_report_interval(&self) -> Duration {
        self.report_interval.0
    }

    /// The mean time between reports that is kept to.
    pub(super) fn report_interval(&self, now: Time) -> Duration {
        let (interval, told_at) = self.report_interval;
        if now.since(told_at) < BELIEVED {
            interval
        } else {
            interval.max(STEADY_REPORT_INTERVAL)
        }
    }
}

/// Timing before a session has told it.
pub(super) fn unknown_timing() -> Timing {
    Timing {
        k: config::K_SENDER_FEEDBACK,
        grtt: config::INITIAL_GRTT,
        receivers: 1,
    }
}

/// Rate of a session before it has told it.
pub(super) fn unknown_rate() -> Rate {
    Rate::from_bps(config::DEFAULT_RATE_BPS)
}
