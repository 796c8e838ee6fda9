//! The few symbols that most blocks lack at low loss, each computed by itself.
//!
//! For so few the transforms of a whole block are a waste: with e lacking, e products for each symbol that is here do.
//! Symbol i has the weight c / (i + y) in the parity symbol at point y, where c depends on y only, so that the lacking
//! ones are found by a Cauchy matrix, whose inverse can be written down.

use reed_solomon_simd::engine::{DefaultEngine, Engine, tables};

/// Elements but zero, whose logarithms add up modulo this.
const ORDER: i64 = 65_535;
const PIECE: usize = 64;

/// Computes them, with work memory of a symbol.
pub(super) struct Direct {
    engine: DefaultEngine,
    product: Vec<[u8; PIECE]>,
    /// Where the parity symbols are, and the logarithms of their c.
    points: Vec<(u16, i64)>,
}

fn log(element: u16) -> i64 {
    i64::from(tables::get_exp_log().log[usize::from(element)])
}

/// Sums of logarithms are those of products; points differ, so that none of their differences is zero.
fn log_product(elements: impl Iterator<Item = u16>) -> i64 {
    elements.map(log).sum()
}

impl Direct {
    pub(super) fn new() -> Direct {
        Direct {
            engine: DefaultEngine::new(),
            product: Vec::new(),
            points: Vec::new(),
        }
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
        let n = block.len() / size;
        let first = n.next_power_of_two() as u16;
        // The value at y of the polynomial that is 1 at i and 0 at the N - 1 others is the product of (y + l) over all l
        // but i, over that of (i + l). With all l below a power of two, the latter is the same for every i.
        let below = log_product(1..first);
        let point = |&j: &u16| {
            let y = first + j;
            (y, log_product((0..first).map(|l| y ^ l)) - below)
        };
        let mut points = std::mem::take(&mut self.points);
        points.clear();
        points.extend(numbers.iter().map(point));

        let mut left = lacking.iter().peekable();
        for (i, symbol) in (0..).zip(block.chunks_exact(size)) {
            if left.next_if_eq(&&i).is_some() {
                continue;
            }
            for (&(y, c), sum) in points.iter().zip(parity.chunks_exact_mut(size)) {
                self.add_product(sum, symbol, c - log(y ^ i));
            }
        }
        // What is left of each is a sum over the lacking ones.
        for &x in lacking {
            let symbol = &mut block[usize::from(x) * size..][..size];
            symbol.fill(0);
            let to_points = log_product(points.iter().map(|(y, _)| y ^ x));
            let to_others = log_product(lacking.iter().filter(|&&o| o != x).map(|o| o ^ x));
            for (&(y, c), sum) in points.iter().zip(parity.chunks_exact(size)) {
                let to_lacking = log_product(lacking.iter().map(|o| o ^ y));
                let apart = log_product(points.iter().map(|p| p.0 ^ y).filter(|&d| d != 0));
                let inverse = to_points + to_lacking - log(y ^ x) - apart - to_others;
                self.add_product(symbol, sum, inverse - c);
            }
        }
        self.points = points;
    }

    /// Adds `symbol` times the element whose logarithm is `log` to `sum`.
    fn add_product(&mut self, sum: &mut [u8], symbol: &[u8], log: i64) {
        let (pieces, _) = symbol.as_chunks();
        self.product.clear();
        self.product.extend_from_slice(pieces);
        self.engine
            .mul(&mut self.product, log.rem_euclid(ORDER) as u16);
        for (sum, product) in sum.iter_mut().zip(self.product.as_flattened()) {
            *sum ^= product;
        }
    }
}
