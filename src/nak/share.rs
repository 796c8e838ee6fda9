//! How often one of many may ask.
//!
//! Suppression keeps a group from asking for the same thing at once; this keeps it from asking for
//! many things all the time, as behind links that don't carry what is sent. Takes what was sent and
//! the group's figures; gives when the next NAK may leave.

use core::time::Duration;

use crate::time::Time;
use crate::units::Rate;

/// What all NAKs of a channel may take of its rate, with reports before their turn, if every receiver on it asks all the time;
/// its reports take as much again, and both together a hundredth.
pub const NAK_SHARE: f64 = 0.005;
/// What is saved up by who did not ask for long: few receivers never wait.
const SAVED: Duration = Duration::from_secs(1);
/// The longest that one NAK keeps its receiver from the next: of many, most never ask, and who does
/// must not wait for their share.
const LONGEST: Duration = Duration::from_secs(10);

/// One receiver's share of what its group may spend on NAKs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NakShare {
    /// What was sent is paid for then.
    paid: Time,
}

impl NakShare {
    /// When it may ask next.
    pub fn next_at(&self) -> Time {
        self.paid - SAVED
    }

    /// A NAK of so many IP bytes left, on a channel that `receivers` listen on and that has `rate`.
    pub fn sent(&mut self, now: Time, bytes: u64, receivers: u32, rate: Rate) {
        let own = rate.mul_f64(NAK_SHARE / f64::from(receivers.max(1)));
        self.paid = self.paid.max(now) + own.time_for(bytes).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate::from_bps(100_000_000);

    #[test]
    fn few_never_wait() {
        let mut share = NakShare::default();
        let mut now = Time::from_millis(5_000);
        for _ in 0..100 {
            assert!(share.next_at() <= now);
            share.sent(now, 400, 8, RATE);
            now += Duration::from_millis(60);
        }
    }

    proptest! {
        /// One that asks whenever it may.
        #[test]
        fn nobody_exceeds_its_share(
            receivers in 1u32..500,
            bps in 100_000_000u64..1_000_000_000,
            bytes in prop::collection::vec(100u64..1_228, 1..200),
        ) {
            let rate = Rate::from_bps(bps);
            let (mut share, mut now, mut sum) = (NakShare::default(), Time::from_millis(1), 0);
            for &bytes in &bytes {
                now = now.max(share.next_at());
                share.sent(now, bytes, receivers, rate);
                sum += bytes;
            }
            let own = rate.mul_f64(NAK_SHARE / f64::from(receivers));
            let over = now.since(Time::from_millis(1)) + SAVED;
            prop_assert!(sum <= own.bytes_in(over) + 1_228);
        }
    }
}
