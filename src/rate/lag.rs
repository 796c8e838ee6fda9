//! Who gets too little to be served on.

use core::time::Duration;

use crate::rate::LEAVE_TIME;
use crate::time::Time;
use crate::units::Rate;

/// How long a receiver must have got less than the least rate: longer than what it left still fills its link
/// ([`LEAVE_TIME`]), and than a rate that fell takes to come back.
pub const LAG: Duration = Duration::from_secs(5);
/// Who gets this share of what is sent gets what there is: the rest is for how exactly both are measured.
const ALL: f64 = 0.9;
const _: () = assert!(LAG.as_nanos() > 2 * LEAVE_TIME.as_nanos());

/// For how long a receiver has got less than it must, while more was sent to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lag {
    short: Duration,
    since: Time,
}

impl Lag {
    /// One that was served elsewhere before.
    pub fn new(now: Time) -> Lag {
        Lag {
            short: Duration::ZERO,
            since: now,
        }
    }

    /// When it was last heard of.
    pub fn since(&self) -> Time {
        self.since
    }

    /// It got `delivered` of what was `sent` since the last time: true once that is below `least` for too
    /// long. What was not sent could not come: who gets all there is does not lag.
    pub fn handle(&mut self, now: Time, delivered: Rate, sent: Rate, least: Rate) -> bool {
        let over = now.since(core::mem::replace(&mut self.since, now));
        if delivered >= least {
            self.short = Duration::ZERO;
        } else if sent >= least.mul_f64(ALL) && delivered < sent.mul_f64(ALL) {
            self.short += over;
        }
        self.short >= LAG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Rate = Rate::from_bps(2_000_000);

    /// Seconds until it is too slow, if ever.
    fn lags(delivered: impl Fn(u64) -> u64, sent: u64) -> Option<f64> {
        let mut lag = Lag::new(Time::ZERO);
        let slow = |&i: &u64| {
            let (got, sent) = (Rate::from_bps(delivered(i)), Rate::from_bps(sent));
            lag.handle(Time::from_millis(i * 200), got, sent, LEAST)
        };
        (1..1_000).find(slow).map(|i| i as f64 / 5.0)
    }

    #[test]
    fn who_stays_below_is_found_and_who_comes_back_is_not() {
        assert_eq!(lags(|_| 1_900_000, 5_000_000), Some(5.0));
        assert_eq!(lags(|_| 2_000_000, 5_000_000), None);
        assert_eq!(
            lags(|i| if i % 20 == 0 { 5_000_000 } else { 0 }, 5_000_000),
            None
        );
    }

    #[test]
    fn what_was_not_sent_is_nobodys_fault() {
        assert_eq!(lags(|_| 1_000_000, 1_000_000), None);
        assert_eq!(lags(|_| 1_990_000, 2_000_000), None);
        assert_eq!(lags(|_| 0, 0), None);
    }
}
