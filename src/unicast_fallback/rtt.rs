//! The round-trip time of one unicast path (RFC 9002 §5 and §6.2).
//!
//! Takes measured round trips; gives the smoothed value, its variation, the least seen, and how
//! long to wait before the lack of an acknowledgement means something.

use core::time::Duration;

/// The longest that a receiver holds an acknowledgement back (RFC 9000 §18.2 has the same default).
pub const MAX_ACK_DELAY: Duration = Duration::from_millis(25);

/// Timers finer than this make no sense (RFC 9002 §6.1.2).
const GRANULARITY: Duration = Duration::from_millis(1);

/// The round-trip time before one is known (RFC 9002 §6.2.2).
const UNKNOWN: Duration = Duration::from_millis(333);

/// The estimate for one path.
#[derive(Clone, Debug)]
pub struct Rtt {
    latest: Duration,
    smoothed: Duration,
    variation: Duration,
    min: Option<Duration>,
}

impl Rtt {
    /// No sample of data yet. `hint` is what the exchange of requests measured; the first sample
    /// replaces it. Without one it starts at 333 ms.
    pub fn new(hint: Option<Duration>) -> Rtt {
        let start = hint.unwrap_or(UNKNOWN).max(Duration::from_micros(1));
        Rtt {
            latest: start,
            smoothed: start,
            variation: start / 2,
            min: None,
        }
    }

    /// Takes a sample: the time from sending a packet to hearing that it came, and how much of it
    /// the receiver says it held the acknowledgement back.
    pub fn sample(&mut self, latest: Duration, held: Duration) {
        let latest = latest.max(Duration::from_micros(1));
        self.latest = latest;
        let Some(min) = self.min else {
            self.min = Some(latest);
            self.smoothed = latest;
            self.variation = latest / 2;
            return;
        };
        let min = min.min(latest);
        self.min = Some(min);
        // A delay that would make the path faster than it ever was is not believed.
        let held = held.min(MAX_ACK_DELAY);
        let adjusted = if latest >= min.saturating_add(held) {
            latest - held
        } else {
            latest
        };
        let deviation = self.smoothed.abs_diff(adjusted);
        self.variation = (self.variation * 3 + deviation) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    /// Whether a sample has come.
    pub const fn is_measured(&self) -> bool {
        self.min.is_some()
    }

    /// The last sample, with what the receiver held.
    pub const fn latest(&self) -> Duration {
        self.latest
    }

    /// The smoothed round-trip time, never zero.
    pub const fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// How much it varies.
    pub const fn variation(&self) -> Duration {
        self.variation
    }

    /// The least sample; none before the first.
    pub const fn min(&self) -> Option<Duration> {
        self.min
    }

    /// How long after the last packet without an acknowledgement to probe (RFC 9002 §6.2.1).
    pub fn probe_timeout(&self) -> Duration {
        self.smoothed + (self.variation * 4).max(GRANULARITY) + MAX_ACK_DELAY
    }

    /// How long after its sending a packet is lost if a later one came: 9/8 of a round trip
    /// (RFC 9002 §6.1.2).
    pub fn loss_delay(&self) -> Duration {
        (self.smoothed.max(self.latest) * 9 / 8).max(GRANULARITY)
    }

    /// Losing everything for this long means that the path has changed (RFC 9002 §7.6.1).
    pub fn persistent_congestion(&self) -> Duration {
        self.probe_timeout() * 3
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_first_sample_replaces_the_hint() {
        let mut rtt = Rtt::new(Some(ms(7)));
        assert_eq!(
            (rtt.smoothed(), rtt.is_measured(), rtt.min()),
            (ms(7), false, None)
        );
        rtt.sample(ms(40), ms(10));
        assert_eq!(
            (rtt.smoothed(), rtt.variation(), rtt.min()),
            (ms(40), ms(20), Some(ms(40)))
        );
        assert_eq!(Rtt::new(None).probe_timeout(), ms(333 + 666 + 25));
    }

    #[test]
    fn held_time_is_taken_off_unless_it_beats_the_least() {
        let mut rtt = Rtt::new(None);
        rtt.sample(ms(40), ms(0));
        rtt.sample(ms(60), ms(20));
        assert_eq!(rtt.smoothed(), ms(40));
        rtt.sample(ms(48), ms(20));
        assert_eq!(rtt.smoothed(), ms(41));
        rtt.sample(ms(200), ms(1_000));
        assert_eq!(rtt.smoothed(), (ms(41) * 7 + ms(175)) / 8);
    }

    #[test]
    fn loss_delay_is_nine_eighths_and_never_below_the_granularity() {
        let mut rtt = Rtt::new(None);
        rtt.sample(Duration::from_micros(100), ms(0));
        assert_eq!(rtt.loss_delay(), GRANULARITY);
        rtt.sample(ms(80), ms(0));
        assert_eq!(rtt.loss_delay(), ms(90));
    }

    proptest! {
        #[test]
        fn it_stays_between_the_extremes(samples in prop::collection::vec((1u64..5_000_000, 0u64..100_000), 1..60)) {
            let mut rtt = Rtt::new(None);
            for &(micros, held) in &samples {
                rtt.sample(Duration::from_micros(micros), Duration::from_micros(held));
            }
            let least = Duration::from_micros(samples.iter().map(|s| s.0).min().unwrap());
            let most = Duration::from_micros(samples.iter().map(|s| s.0).max().unwrap());
            prop_assert_eq!(rtt.min(), Some(least));
            prop_assert!(rtt.smoothed() + Duration::from_nanos(100) >= least && rtt.smoothed() <= most);
            prop_assert!(rtt.variation() <= most);
        }
    }
}
