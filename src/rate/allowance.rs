//! What one kind of packets may take of a rate.

use core::time::Duration;

use crate::time::Time;
use crate::units::Rate;

/// What is saved up by whoever did not send for long, as time at its rate.
const SAVED: Duration = Duration::from_secs(1);

/// A part of a rate, for what may wait or be left out. Unlike a [`Pacer`](crate::rate::Pacer) it lets
/// a second's worth leave at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// What was sent is paid for then.
    paid: Time,
}

impl Allowance {
    /// Something may be sent.
    pub fn is_open(&self, now: Time) -> bool {
        self.paid - SAVED <= now
    }

    /// So many IP bytes were sent, of a part that is `rate`.
    pub fn sent(&mut self, now: Time, bytes: u64, rate: Rate) {
        self.paid = self.paid.max(now) + rate.time_for(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_saved_and_then_the_rate_is_kept() {
        let mut allowance = Allowance::default();
        let rate = Rate::from_bps(80_000);
        let mut bytes = 0;
        for at in 5_000..15_000 {
            let now = Time::from_millis(at);
            while allowance.is_open(now) {
                allowance.sent(now, 100, rate);
                bytes += 100;
            }
            let earned = 10 * (at - 5_000) + 10_000;
            assert!(
                (earned..=earned + 200).contains(&bytes),
                "{bytes} of {earned}"
            );
        }
    }
}
