//! Figures of one transfer, and what several runs of it come to.

use serde::Serialize;

/// What one transfer took.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Figures {
    /// From the sender's start to the last copy, which is synced and the same.
    pub seconds: f64,
    /// What the sender sent over the file's size.
    pub wire: f64,
    /// Seconds of processor time.
    pub sender_cpu: f64,
    /// Seconds of processor time of all receivers together.
    pub receivers_cpu: f64,
    /// Peak resident bytes.
    pub sender_memory: u64,
    /// Peak resident bytes of the largest.
    pub receiver_memory: u64,
}

/// A median with what it lies between.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Spread {
    /// Half of the figures lie on either side.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// Of any number of figures but none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut all: Vec<f64> = figures.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let (min, max) = (*all.first()?, *all.last()?);
        let half = all.len() / 2;
        let median = if all.len() % 2 == 1 {
            all[half]
        } else {
            f64::midpoint(all[half - 1], all[half])
        };
        Some(Spread { median, min, max })
    }
}

/// For each run the time over that of the fastest peer in the same run, where both have one.
/// `peers` holds each peer's times by run.
pub fn ratios(times: &[Option<f64>], peers: &[Vec<Option<f64>>]) -> Option<Spread> {
    let best = |run: usize| {
        let here = peers.iter().filter_map(|p| *p.get(run)?);
        here.min_by(f64::total_cmp)
    };
    let each = times.iter().enumerate();
    Spread::of(each.filter_map(|(run, time)| Some((*time)? / best(run)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians() {
        let spread = |f: &[f64]| Spread::of(f.iter().copied()).map(|s| (s.min, s.median, s.max));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[2.0]), Some((2.0, 2.0, 2.0)));
        assert_eq!(spread(&[3.0, 1.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some((1.0, 2.0, 9.0)));
    }

    #[test]
    fn a_ratio_is_to_the_best_of_the_same_run() {
        let uftp = vec![Some(4.0), Some(2.0), None];
        let udpcast = vec![Some(5.0), Some(1.0)];
        let spread = ratios(&[Some(2.0), Some(2.0), Some(7.0)], &[uftp, udpcast]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (0.5, 1.25, 2.0));
        assert_eq!(ratios(&[Some(1.0)], &[]), None);
        assert_eq!(ratios(&[None], &[vec![Some(1.0)]]), None);
    }

    proptest! {
        #[test]
        fn half_lie_on_either_side(figures in prop::collection::vec(-1e6..1e6, 1..50)) {
            let s = Spread::of(figures.iter().copied()).unwrap();
            let below = figures.iter().filter(|f| **f <= s.median).count() * 2;
            let above = figures.iter().filter(|f| **f >= s.median).count() * 2;
            prop_assert!(below >= figures.len() && above >= figures.len());
            prop_assert!(figures.iter().all(|f| (s.min..=s.max).contains(f)));
        }
    }
}
