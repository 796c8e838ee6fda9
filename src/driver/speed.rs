//! A speed over about the last second, from a count that only grows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;
use crate::units::Rate;

const WINDOW: Duration = Duration::from_secs(1);

/// Samples of a growing count of bytes.
#[derive(Debug, Default)]
pub(crate) struct Speed {
    samples: VecDeque<(Time, u64)>,
}

impl Speed {
    /// The speed up to `now`, when the count is `bytes`.
    pub(crate) fn over(&mut self, now: Time, bytes: u64) -> Rate {
        while self
            .samples
            .get(1)
            .is_some_and(|&(at, _)| now.since(at) >= WINDOW)
        {
            self.samples.pop_front();
        }
        let &(then, before) = self.samples.front().unwrap_or(&(Time::ZERO, 0));
        self.samples.push_back((now, bytes));
        let seconds = now.since(then).as_secs_f64();
        if seconds <= 0.0 {
            return Rate::ZERO;
        }
        Rate::from_bps((bytes.saturating_sub(before) as f64 * 8.0 / seconds) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_what_is_older_than_a_second() {
        let mut speed = Speed::default();
        for tick in 0..20u64 {
            speed.over(Time::from_millis(tick * 100), tick * 1_000);
        }
        let rate = speed.over(Time::from_millis(2_000), 20_000);
        assert_eq!(rate.as_bps(), 80_000);
        let mut later = Rate::ZERO;
        for tick in 21..40u64 {
            later = speed.over(Time::from_millis(tick * 100), 20_000);
        }
        assert_eq!(later, Rate::ZERO);
    }
}
