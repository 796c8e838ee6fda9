//! What an object's carousel is doing, and how often SYNC tells of it.

use core::time::Duration;

use crate::time::Time;

/// The decaying schedule after the last data, in ms (PGM; RFC 3208 calls them heartbeat SPMs).
const IDLE_SCHEDULE: [u64; 9] = [100, 100, 100, 100, 1_300, 7_000, 16_000, 25_000, 30_000];
/// While data goes out, SYNC only tells the position to those who lost the last packets.
const RUNNING_INTERVAL: Duration = Duration::from_millis(100);
/// The first intervals after somebody joined, in ms: its switch opens the group to it some 10 ms
/// after what it was told (IGMP joins wait for a tick and snooping takes its time), and without a
/// SYNC it reports nothing, so that the channel does not find its rate: 100 ms at a fifth of
/// 100 Mbit/s in a fresh network of namespaces.
const JOINED_SCHEDULE: [u64; 3] = [10, 20, 40];
/// Questions before they come more seldom: where nine in ten packets are lost, one of thirty is
/// heard by 96 of 100.
const ASKED_OFTEN: usize = 30;
/// Interval of questions after that: what a receiver left may have filled its link for two seconds.
const ASKING_INTERVAL: Duration = Duration::from_secs(1);
/// With receivers on unicast, a SYNC this often lets them find the way back.
const RETURN_INTERVAL: Duration = Duration::from_secs(1);
/// The least time between SYNCs that are sent because someone joined.
const JOIN_PAUSE: Duration = Duration::from_millis(20);

/// What a carousel is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nobody on the group lacks anything.
    Idle,
    /// Data goes out.
    Running,
    /// All that was asked for has gone out, and receivers are asked who still lacks anything.
    Asking,
}

/// When an object's next SYNC is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncTimer {
    due: Time,
    /// SYNCs sent since the phase began, or since a receiver joined.
    sent: u32,
    /// When the last was sent.
    last: Time,
}

/// What the interval between SYNCs follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncTerms {
    pub(super) phase: Phase,
    pub(super) grtt: Duration,
    /// Backoff multiple that receivers wait for, in GRTTs.
    pub(super) k: u8,
    /// Receivers on unicast look out for the way back.
    pub(super) unicast: bool,
    /// Keeps SYNCs within their share of the rate.
    pub(super) least: Duration,
}

impl SyncTimer {
    pub(super) fn new(now: Time) -> SyncTimer {
        SyncTimer {
            due: now,
            sent: 0,
            last: Time::ZERO,
        }
    }

    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// SYNCs start over with the fast part of their schedule.
    pub(super) fn restart(&mut self, now: Time) {
        self.due = now;
        self.sent = 0;
    }

    /// The next SYNC goes out at once.
    pub(super) fn hurry(&mut self, now: Time) {
        self.due = now;
    }

    /// Someone has joined: a SYNC soon, but one for all who join within a pause.
    pub(super) fn handle_join(&mut self, now: Time) {
        self.sent = 0;
        self.due = self.due.min(self.last + JOIN_PAUSE).max(now);
    }

    /// A SYNC leaves; gives the time until the next.
    pub(super) fn sent(&mut self, now: Time, terms: SyncTerms) -> Duration {
        let interval = self.interval(terms);
        self.sent += 1;
        self.last = now;
        self.due = now + interval;
        interval
    }

    fn interval(&self, terms: SyncTerms) -> Duration {
        let sent = self.sent as usize;
        let answer = terms.grtt * (u32::from(terms.k) + 2);
        let interval = match terms.phase {
            Phase::Running => JOINED_SCHEDULE
                .get(sent)
                .map_or(RUNNING_INTERVAL, |&ms| Duration::from_millis(ms)),
            // An answer takes a suppression wait of K·G at most, and the way there and back.
            Phase::Asking if sent < 4 => answer.max(Duration::from_millis(10)),
            // Somebody lacks something and did not hear the question, or was not heard.
            Phase::Asking if sent < ASKED_OFTEN => Duration::from_millis(100),
            Phase::Asking => ASKING_INTERVAL,
            Phase::Idle => {
                let decayed = IDLE_SCHEDULE[sent.min(IDLE_SCHEDULE.len() - 1)];
                let decayed = Duration::from_millis(decayed);
                match terms.unicast {
                    true => decayed.min(RETURN_INTERVAL),
                    false => decayed,
                }
            }
        };
        interval.max(terms.least)
    }
}
