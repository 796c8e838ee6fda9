//! The few symbols that most blocks lack at low loss, each computed by itself.
//!
//! For so few the transforms of a whole block are a waste: with e lacking, e products for each symbol that is here do.
//! Symbol i has the weight c / (i + y) in the parity symbol at point y, where c depends on y only, so that the lacking
//! ones are found by a Cauchy matrix, whose inverse can be written down.

use reed_solomon_simd::engine::tables;

use super::product::{ORDER, Product};

/// Symbols computed at a time: so many of 1,344 bytes stay in the processor's first cache (32 KiB or more).
const GROUP: usize = 20;

/// Computes them.
pub(super) struct Direct {
    product: Product,
    logs: &'static [u16; 65_536],
    /// Where the parity symbols are, and the logarithms of their c.
    points: Vec<(u16, u16)>,
}

/// A sum of logarithms, which is that of a product.
fn sum(logs: impl Iterator<Item = u16>) -> u16 {
    (logs.map(u64::from).sum::<u64>() % u64::from(ORDER)) as u16
}

/// A difference of logarithms, which is that of a quotient.
fn less(a: u16, b: u16) -> u16 {
    let (a, b) = (u32::from(a), u32::from(b));
    (if a < b { a + ORDER - b } else { a - b }) as u16
}

impl Direct {
    pub(super) fn new() -> Direct {
        Direct::with(Product::new())
    }

    pub(super) fn with(product: Product) -> Direct {
        Direct {
            product,
            logs: &tables::get_exp_log().log,
            points: Vec::new(),
        }
    }

    /// How many symbols of a block are worth it. Of 512, one takes 0.015 of the time of a transform of the block with
    /// GFNI, 5 take 0.05, 25 take 0.22 (0.29 by 32 bytes at a time) and 80 0.8; with the crate's tables 5 take 0.18, 16 take 0.58 and 25 0.86
    /// (`benches/fec`).
    pub(super) fn few(&self) -> usize {
        if self.product.is_fast() { 64 } else { 24 }
    }

    /// Restores the source symbols `lacking` of `block` by as many parity symbols, whose numbers (from 0 on) are `numbers`
    /// and whose bytes are `parity`, which is used up. All others of the block are in their places.
    pub(super) fn restore(
        &mut self,
        size: usize,
        block: &mut [u8],
        lacking: &[u16],
        numbers: &[u16],
        parity: &mut [u8],
    ) {
        // Points differ, so that none of their differences is zero.
        let logs = self.logs;
        let log = |element: u16| logs[usize::from(element)];
        let n = block.len() / size;
        let first = n.next_power_of_two() as u16;
        // The value at y of the polynomial that is 1 at i and 0 at the N - 1 others is the product of (y + l) over all l
        // but i, over that of (i + l). With all l below a power of two, the latter is the same for every i.
        let below = sum((1..first).map(log));
        let point = |&j: &u16| {
            let y = first + j;
            (y, less(sum((0..first).map(|l| log(y ^ l))), below))
        };
        let mut points = std::mem::take(&mut self.points);
        points.clear();
        points.extend(numbers.iter().map(point));

        let groups = parity.chunks_mut(GROUP * size);
        for (points, sums) in points.chunks(GROUP).zip(groups) {
            let mut left = lacking.iter().peekable();
            for (i, symbol) in (0..).zip(block.chunks_exact(size)) {
                if left.next_if_eq(&&i).is_some() {
                    continue;
                }
                let weights = points.iter().map(|&(y, c)| less(c, log(y ^ i)));
                self.product.add_to_each(sums, symbol, weights);
            }
        }
        // What is left of each is a sum over the lacking ones: what of the inverse depends on y only takes the place of c.
        for at in 0..points.len() {
            let (y, c) = points[at];
            let to_lacking = sum(lacking.iter().map(|x| log(x ^ y)));
            let others = points.iter().map(|p| p.0).filter(|&o| o != y);
            let to_others = sum(others.map(|o| log(o ^ y)));
            points[at].1 = less(less(to_lacking, to_others), c);
        }
        for &x in lacking {
            let symbol = &mut block[usize::from(x) * size..][..size];
            symbol.fill(0);
            let to_points = sum(points.iter().map(|p| log(p.0 ^ x)));
            let others = lacking.iter().filter(|&&o| o != x);
            let of_x = less(to_points, sum(others.map(|o| log(o ^ x))));
            for (&(y, of_y), from) in points.iter().zip(parity.chunks_exact(size)) {
                let inverse = less(of_y, log(y ^ x));
                let weight = sum([of_x, inverse].into_iter());
                self.product
                    .add_to_each(symbol, from, std::iter::once(weight));
            }
        }
        self.points = points;
    }
}
