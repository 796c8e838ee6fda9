//! The group round-trip time, as the sender estimates it.
//!
//! Takes round-trip times that receivers' echoes give; gives one value that covers nearly all
//! receivers, which goes out in SYNC. It decides no timer itself.

use core::time::Duration;

use crate::config::{INITIAL_GRTT, MAX_GRTT, MIN_GRTT};
use crate::time::Time;

/// The shortest round of samples: on a LAN a round-trip time would be too short to hear from more
/// than one receiver.
const MIN_ROUND: Duration = Duration::from_millis(100);

/// The longest: whoever joins may make the estimate what it likes, and its falling from 15 s to 100 ms again took
/// 130 s in rounds as long as itself. It takes 45 s in these.
const MAX_ROUND: Duration = Duration::from_secs(1);

/// The most that the very first sample may say: the value RFC 5401 §5.2 starts with. A receiver
/// that was slow to start must not hold the group at seconds.
const FIRST_SAMPLE_MAX: Duration = Duration::from_millis(500);

/// A sample counts as at most this many times the estimate, so that one lie or one stalled receiver
/// moves it little, while a true rise is followed within a few samples.
const RISE_LIMIT: u32 = 4;

/// Up to here a sample counts in full, whatever the estimate: four times a millisecond would take
/// a LAN's estimate too long to learn of a busy link.
const RISE_FLOOR: Duration = Duration::from_millis(20);

/// The sender's estimate of the group round-trip time (RFC 5401 §5.2): it rises fast and falls
/// slowly, because a low value makes everybody's NAK timers collide.
///
/// It starts at [`INITIAL_GRTT`], and the first sample replaces that, as far as 500 ms. A higher sample counts for
/// three quarters. After each round (the estimate, 100 ms to 1 s) in which all samples were
/// lower, it falls by a tenth, at most to the highest of them. It stays within [`MIN_GRTT`] and
/// [`MAX_GRTT`]. Without samples it keeps its value.
#[derive(Clone, Debug)]
pub struct Grtt {
    value: Duration,
    measured: bool,
    /// When the round began.
    round: Time,
    /// The round's highest sample.
    peak: Option<Duration>,
}

impl Grtt {
    /// No samples yet.
    pub const fn new(now: Time) -> Grtt {
        Grtt {
            value: INITIAL_GRTT,
            measured: false,
            round: now,
            peak: None,
        }
    }

    /// The estimate.
    pub const fn get(&self) -> Duration {
        self.value
    }

    /// Whether it rests on a measurement.
    pub const fn is_measured(&self) -> bool {
        self.measured
    }

    /// Takes a receiver's round-trip time (its holding time already subtracted).
    pub fn sample(&mut self, now: Time, rtt: Duration) {
        if !self.measured {
            self.measured = true;
            self.value = rtt.clamp(MIN_GRTT, FIRST_SAMPLE_MAX);
            self.round = now;
            self.peak = Some(self.value);
            return;
        }
        if now.since(self.round) >= self.value.clamp(MIN_ROUND, MAX_ROUND) {
            if let Some(peak) = self.peak.take() {
                let fallen = self.value.mul_f64(0.9);
                self.value = self.value.min(fallen.max(peak));
            }
            self.round = now;
        }
        let rtt = rtt
            .clamp(MIN_GRTT, MAX_GRTT)
            .min((self.value * RISE_LIMIT).max(RISE_FLOOR));
        self.peak = self.peak.max(Some(rtt));
        if rtt > self.value {
            self.value = self.value / 4 + rtt.mul_f64(0.75);
        }
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
    fn the_first_sample_replaces_the_default() {
        let mut grtt = Grtt::new(Time::ZERO);
        assert_eq!((grtt.get(), grtt.is_measured()), (ms(50), false));
        grtt.sample(Time::ZERO, ms(3));
        assert_eq!((grtt.get(), grtt.is_measured()), (ms(3), true));
        let mut grtt = Grtt::new(Time::ZERO);
        grtt.sample(Time::ZERO, ms(30_000));
        assert_eq!(grtt.get(), ms(500));
    }

    #[test]
    fn a_higher_sample_counts_three_quarters() {
        let mut grtt = Grtt::new(Time::ZERO);
        grtt.sample(Time::ZERO, ms(40));
        grtt.sample(Time::ZERO, ms(80));
        assert_eq!(grtt.get(), ms(70));
    }

    #[test]
    fn it_falls_a_tenth_a_round_to_the_peak() {
        let mut grtt = Grtt::new(Time::ZERO);
        grtt.sample(Time::ZERO, ms(200));
        let mut now = Time::ZERO;
        let mut falls = Vec::new();
        for _ in 0..4_000 {
            now += ms(10);
            let before = grtt.get();
            grtt.sample(now, ms(20));
            if grtt.get() < before {
                falls.push(grtt.get().as_secs_f64() / before.as_secs_f64());
            }
        }
        assert_eq!(grtt.get(), ms(20));
        assert!(
            falls[..20].iter().all(|f| (f - 0.9).abs() < 1e-6),
            "{falls:?}"
        );
    }

    #[test]
    fn what_was_made_up_is_forgotten_within_a_minute() {
        let (mut grtt, mut now) = (Grtt::new(Time::ZERO), Time::ZERO);
        (0..20).for_each(|_| grtt.sample(now, ms(15_000)));
        assert!(grtt.get() > ms(14_000));
        while grtt.get() > ms(100) {
            now += ms(200);
            grtt.sample(now, ms(20));
        }
        assert!(now < Time::from_millis(60_000), "{now:?}");
    }

    #[test]
    fn a_round_keeps_its_highest_receiver() {
        let mut grtt = Grtt::new(Time::ZERO);
        grtt.sample(Time::ZERO, ms(60));
        for i in 1..2_000u64 {
            grtt.sample(
                Time::from_millis(i * 10),
                if i % 5 == 0 { ms(60) } else { ms(2) },
            );
        }
        assert!(grtt.get() >= ms(59), "{:?}", grtt.get());
    }

    #[test]
    fn one_outlier_moves_it_little_and_a_true_rise_soon() {
        let mut grtt = Grtt::new(Time::ZERO);
        grtt.sample(Time::ZERO, ms(1));
        grtt.sample(Time::ZERO, ms(10_000));
        assert!(grtt.get() <= ms(16));
        (0..3).for_each(|_| grtt.sample(Time::ZERO, ms(300)));
        assert!(grtt.get() >= ms(200), "{:?}", grtt.get());
    }

    proptest! {
        #[test]
        fn it_stays_within_its_limits(samples in prop::collection::vec((0u64..400, 0u64..100_000_000), 0..100)) {
            let (mut grtt, mut now) = (Grtt::new(Time::ZERO), Time::ZERO);
            for (gap, micros) in samples {
                now += ms(gap);
                grtt.sample(now, Duration::from_micros(micros));
                prop_assert!((MIN_GRTT..=MAX_GRTT).contains(&grtt.get()));
            }
        }
    }
}
