//! The sender's view of the NAKs for one block.

use crate::symbol_set::SymbolSet;

/// How alike the needs are that receivers voice for one block.
///
/// Without parity, a thousand receivers that each lost other symbols would have to name every one of
/// them, and their NAKs would cost more than the block. So a few NAKs are taken as a sample: when
/// their needs hardly overlap, and receivers are so many that nearly every symbol will be lacked by
/// someone, the whole block is sent again at once, and one confirm stops everybody's NAK.
#[derive(Clone, Debug, Default)]
pub struct Hearing {
    naks: u32,
    sum: usize,
    largest: usize,
    union: SymbolSet,
}

/// NAKs that make a sample: with fewer, two receivers behind one lossy link decide for all.
const SAMPLE: u32 = 4;
/// The share of a block that must be expected to be lacked. At 0.75 a wrong guess costs a quarter of
/// a block; waiting for the NAKs that would tell costs about as much as soon as receivers lack
/// several symbols each.
const EXPECTED: f64 = 0.75;

impl Hearing {
    /// One more NAK that lacks these.
    pub fn heard(&mut self, missing: &SymbolSet) {
        self.naks += 1;
        self.sum += missing.len();
        self.largest = self.largest.max(missing.len());
        self.union.union_with(missing);
    }

    /// So much of the block must be expected to be lacked, by `receivers` receivers, that it is
    /// cheaper to send all of its `symbols` than to be told which.
    pub fn wants_whole(&self, symbols: u16, receivers: u32) -> bool {
        if self.naks < SAMPLE || self.sum <= self.largest || symbols == 0 {
            return false;
        }
        let unlike = (self.union.len() - self.largest) as f64 / (self.sum - self.largest) as f64;
        let lacked = mean_of_all(self.sum as f64 / f64::from(self.naks));
        let loss = (unlike * lacked / f64::from(symbols)).min(1.0);
        1.0 - (1.0 - loss).powf(f64::from(receivers)) >= EXPECTED
    }
}

/// What receivers lack on average, if those that lack anything lack `spoken` on average: who lacks
/// nothing says nothing. For losses of their own, a Poisson count μ with spoken = μ / (1 - e^-μ).
fn mean_of_all(spoken: f64) -> f64 {
    let mut mean = spoken;
    for _ in 0..32 {
        mean = spoken * -(-mean).exp_m1();
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn random_losses(rng: &mut Rng, n: u16, p: f64) -> SymbolSet {
        let mut s = SymbolSet::new();
        for x in 0..n {
            if rng.chance(p) {
                s.insert(x);
            }
        }
        s
    }

    #[test]
    fn many_with_losses_of_their_own_get_the_block_whole() {
        let mut rng = Rng::new(5);
        let mut h = Hearing::default();
        for _ in 0..3 {
            h.heard(&random_losses(&mut rng, 512, 0.01));
        }
        assert!(!h.wants_whole(512, 1000), "three are no sample");
        h.heard(&random_losses(&mut rng, 512, 0.01));
        assert!(h.wants_whole(512, 1000));
        assert!(!h.wants_whole(512, 8), "eight receivers lack 8 % of it");
    }

    #[test]
    fn the_few_that_lack_one_symbol_are_not_taken_for_all() {
        let mut h = Hearing::default();
        for lost in 0..40 {
            let mut missing = SymbolSet::new();
            missing.insert(lost * 12);
            h.heard(&missing);
        }
        assert!(!h.wants_whole(512, 1000));
        assert!(mean_of_all(1.0) < 0.1 && (mean_of_all(10.0) - 10.0).abs() < 0.01);
    }

    #[test]
    fn a_loss_shared_by_all_is_no_reason() {
        let mut h = Hearing::default();
        let mut lost = SymbolSet::new();
        lost.insert_range(10..20);
        for _ in 0..100 {
            h.heard(&lost);
        }
        assert!(!h.wants_whole(512, 10_000));
    }
}
