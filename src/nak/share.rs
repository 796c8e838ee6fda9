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

/// One receiver's share of what its group may spend on NAKs: of the bytes a second that
/// [`own_share`] tells, which may be other ones each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NakShare {
    /// IP bytes of NAKs that were not paid for at a time.
    owed: f64,
    at: Time,
}

/// One's share of a channel that `receivers` listen on and that has `rate`, in bytes a second; never none.
pub fn own_share(receivers: u32, rate: Rate) -> f64 {
    (rate.as_bps() as f64 / 8.0 * NAK_SHARE / f64::from(receivers.max(1))).max(1e-9)
}

impl NakShare {
    /// When it may ask next.
    pub fn next_at(&self, own: f64) -> Time {
        let wait = (self.owed / own).min((LONGEST + SAVED).as_secs_f64());
        self.at + Duration::from_secs_f64(wait) - SAVED
    }

    /// A NAK of so many IP bytes left.
    pub fn sent(&mut self, now: Time, bytes: u64, own: f64) {
        let paid = own * now.since(self.at).as_secs_f64();
        // Several at once, each for another object, wait no longer than one.
        let most = own * (LONGEST + SAVED).as_secs_f64();
        self.owed = ((self.owed - paid).max(0.0) + bytes as f64).min(most);
        self.at = now;
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
        let own = own_share(8, RATE);
        for _ in 0..100 {
            assert!(share.next_at(own) <= now);
            share.sent(now, 400, own);
            now += Duration::from_millis(60);
        }
    }

    #[test]
    fn what_was_owed_is_paid_at_the_share_of_now() {
        let now = Time::from_millis(5_000);
        let mut share = NakShare::default();
        let little = own_share(u32::MAX, Rate::from_bps(1_000));
        (0..20).for_each(|_| share.sent(now, 1_200, little));
        assert_eq!(share.next_at(little), now + LONGEST);
        assert!(share.next_at(own_share(8, RATE)) <= now);
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
            let own = own_share(receivers, rate);
            let (mut share, mut now, mut sum) = (NakShare::default(), Time::from_millis(1), 0);
            for &bytes in &bytes {
                now = now.max(share.next_at(own));
                share.sent(now, bytes, own);
                sum += bytes;
            }
            let over = now.since(Time::from_millis(1)) + SAVED;
            prop_assert!(sum as f64 <= own * over.as_secs_f64() + 1_228.0);
        }
    }
}
