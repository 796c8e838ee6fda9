//! Which rates tiers have, and how one total is shared among the channels that run.

use thiserror::Error;

use crate::units::Rate;
use crate::wire::MAX_CHANNELS;

/// The slowest tier that is made by itself; slower receivers get more by unicast.
const SLOWEST: Rate = Rate::from_bps(1_000_000);
/// The least rate that a tier may be told to have.
const LEAST: Rate = Rate::from_bps(64_000);

/// Why rates can't be tiers.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LadderError {
    /// More than [`MAX_CHANNELS`], or none.
    #[error("{0} tiers; 1 to {MAX_CHANNELS} are possible")]
    Count(usize),
    /// A rate below the least.
    #[error("a tier of {0}; {LEAST} is the least")]
    TooSlow(Rate),
}

/// Tiers from `top` down by halves, fastest first: 1 to [`MAX_CHANNELS`], none below 1 Mbit/s but
/// perhaps the first.
///
/// With halves a receiver sits at worst at half of what it can take, and all tiers together send
/// less than twice the fastest.
pub fn halves(top: Rate) -> Vec<Rate> {
    let halves = core::iter::successors(Some(top), |r| Some(r.mul_f64(0.5)));
    let slower = halves.skip(1).take_while(|r| *r >= SLOWEST);
    core::iter::once(top)
        .chain(slower)
        .take(MAX_CHANNELS)
        .collect()
}

/// Tiers as they were asked for, fastest first, each once.
///
/// # Errors
/// [`LadderError`] where a session can't have them.
pub fn tiers(mut rates: Vec<Rate>) -> Result<Vec<Rate>, LadderError> {
    rates.sort_unstable();
    rates.dedup();
    rates.reverse();
    match rates.last() {
        Some(&slowest) if slowest < LEAST => Err(LadderError::TooSlow(slowest)),
        Some(_) if rates.len() <= MAX_CHANNELS => Ok(rates),
        _ => Err(LadderError::Count(rates.len())),
    }
}

/// What each may have of `total`: all that it demands if there is enough, else in proportion. The
/// sum is never above the total.
pub fn shares(demands: &[Rate], total: Rate) -> impl Iterator<Item = Rate> {
    let sum: u128 = demands.iter().map(|d| u128::from(d.as_bps())).sum();
    let total = u128::from(total.as_bps());
    demands.iter().map(move |demand| {
        let bps = u128::from(demand.as_bps());
        let share = if sum > total { bps * total / sum } else { bps };
        Rate::from_bps(share as u64)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mbps(rates: &[u64]) -> Vec<Rate> {
        rates
            .iter()
            .map(|r| Rate::from_bps(r * 1_000_000))
            .collect()
    }

    #[test]
    fn halves_reach_down_to_a_megabit() {
        assert_eq!(
            halves(Rate::from_bps(5_000_000)),
            [5_000_000, 2_500_000, 1_250_000].map(Rate::from_bps)
        );
        assert_eq!(halves(Rate::from_bps(300_000)), [Rate::from_bps(300_000)]);
        assert_eq!(halves(Rate::from_bps(100_000_000_000)).len(), MAX_CHANNELS);
    }

    #[test]
    fn tiers_are_sorted_and_bounded() {
        assert_eq!(tiers(mbps(&[10, 200, 50, 10])), Ok(mbps(&[200, 50, 10])));
        assert_eq!(tiers(Vec::new()), Err(LadderError::Count(0)));
        assert_eq!(
            tiers(vec![Rate::from_bps(63_999)]),
            Err(LadderError::TooSlow(Rate::from_bps(63_999)))
        );
        assert!(tiers((1..=13).map(|n| Rate::from_bps(n * 1_000_000)).collect()).is_err());
    }

    proptest! {
        #[test]
        fn shares_stay_within_the_total(demands in prop::collection::vec(0_u64..=u64::MAX, 0..12), total in any::<u64>()) {
            let demands: Vec<Rate> = demands.into_iter().map(Rate::from_bps).collect();
            let all: Vec<Rate> = shares(&demands, Rate::from_bps(total)).collect();
            let sum: u128 = all.iter().map(|r| u128::from(r.as_bps())).sum();
            let wanted: u128 = demands.iter().map(|r| u128::from(r.as_bps())).sum();
            prop_assert!(sum <= u128::from(total).min(wanted));
            prop_assert!(sum + 12 >= u128::from(total).min(wanted), "nothing is wasted but by rounding");
            prop_assert!(all.iter().zip(&demands).all(|(a, d)| a <= d));
        }
    }
}
