//! How much one of many may ask for.
//!
//! [`NakShare`](crate::nak::NakShare) is what a receiver keeps to by itself; this is what a sender keeps it to, so
//! that one that asks for everything again and again costs the others a stated share of their channel and no
//! more. Takes what it asked for and the channel's rate; gives what it may ask for now, and whether it has been
//! beyond that for so long that it is to leave the group.

use core::time::Duration;

use crate::config::K_SENDER_FEEDBACK;
use crate::time::Time;
use crate::units::Rate;

/// What the repairs that one receiver asks for may take of a channel on which others listen: as much as a path
/// needs that loses a third of all packets and gets no parity unasked. The others then take at most half as
/// long again, whatever one does.
pub const REPAIR_SHARE: f64 = 1.0 / 3.0;
/// What is saved up by who did not ask for long: a loss of everything for a third of a second is repaired at once.
const SAVED: Duration = Duration::from_secs(1);
/// So much it may have at once, in time of the whole channel, when nothing else waits there: this, or as long as
/// asking takes, so that little time passes in between. Somebody else who asks just then waits so long.
const SPARE: Duration = Duration::from_millis(250);
const ASKING: u32 = K_SENDER_FEEDBACK as u32 + 2;
/// Whoever is beyond its share for so long does not recover from a cut or a move: those are over in a few
/// seconds ([`LEAVE_TIME`](crate::rate::LEAVE_TIME)).
const PATIENCE: Duration = Duration::from_secs(10);

/// One receiver's share of what is repaired on a channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairShare {
    /// What it asked for is paid for then.
    paid: Time,
    /// Since when it has asked for more and not paid.
    beyond: Option<Time>,
}

impl RepairShare {
    /// IP bytes that it may ask for now; where nothing else waits on the channel, `idle` is its GRTT.
    pub fn room(&self, now: Time, rate: Rate, idle: Option<Duration>) -> u64 {
        let saved = SAVED.saturating_sub(self.paid.since(now));
        let own = rate.mul_f64(REPAIR_SHARE).bytes_in(saved);
        let spare = idle.map_or(Duration::ZERO, |grtt| SPARE.max(grtt * ASKING));
        own.max(rate.bytes_in(spare))
    }

    /// It was granted so many bytes, while something else waited.
    pub fn granted(&mut self, now: Time, rate: Rate, bytes: u64) {
        if self.is_paid(now) {
            self.beyond = None;
        }
        self.paid = self.paid.max(now) + rate.mul_f64(REPAIR_SHARE).time_for(bytes);
    }

    /// It asked for more than it had room for: true if it has gone on so for too long.
    pub fn refused(&mut self, now: Time) -> bool {
        now.since(*self.beyond.get_or_insert(now)) > PATIENCE
    }

    /// It has nothing to pay: as good as new.
    pub fn is_paid(&self, now: Time) -> bool {
        self.paid <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate::from_bps(100_000_000);
    const STEP: Duration = Duration::from_millis(10);

    /// One that asks for a share of the rate every so often; when it is refused for too long, if ever.
    fn leaves_at(share: f64, seconds: u64) -> Option<Time> {
        let (mut asked, mut now) = (RepairShare::default(), Time::from_millis(5_000));
        let each = RATE.mul_f64(share).bytes_in(STEP);
        for _ in 0..seconds * 100 {
            if asked.room(now, RATE, None) >= each {
                asked.granted(now, RATE, each);
            } else if asked.refused(now) {
                return Some(now);
            }
            now += STEP;
        }
        None
    }

    #[test]
    fn a_path_that_loses_a_quarter_never_waits_and_one_that_asks_for_all_leaves() {
        assert_eq!(leaves_at(0.25, 600), None);
        let at = leaves_at(1.0, 600).unwrap();
        assert!((15.0..17.0).contains(&at.as_secs_f64()), "{at:?}");
    }

    #[test]
    fn a_cut_is_repaired_and_forgotten() {
        let (mut asked, start) = (RepairShare::default(), Time::from_millis(5_000));
        let lost = RATE.bytes_in(Duration::from_secs(1));
        asked.granted(start, RATE, lost);
        assert_eq!(asked.room(start, RATE, None), 0);
        assert!(
            asked.room(start, RATE, Some(STEP)) > 0,
            "nobody else is there to be held up"
        );
        assert!(!asked.refused(start));
        let later = start + Duration::from_secs(4);
        asked.granted(later, RATE, 1);
        assert!(!asked.refused(later + Duration::from_secs(9)));
    }

    proptest! {
        /// Whatever it asks for and when.
        #[test]
        fn nobody_exceeds_its_share(
            asks in prop::collection::vec((0u64..2_000, 1u64..4_000_000), 1..100),
            bps in 1_000_000u64..1_000_000_000,
        ) {
            let rate = Rate::from_bps(bps);
            let start = Time::from_millis(5_000);
            let (mut asked, mut now, mut sum) = (RepairShare::default(), start, 0);
            for (pause, bytes) in asks {
                now += Duration::from_millis(pause);
                let got = bytes.min(asked.room(now, rate, None));
                asked.granted(now, rate, got);
                sum += got;
            }
            let most = rate.mul_f64(REPAIR_SHARE).bytes_in(now.since(start) + SAVED);
            prop_assert!(sum <= most + 100, "{sum} of {most}");
        }
    }
}
