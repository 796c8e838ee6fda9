//! A symbol times an element, added to another symbol: what most of the time of [`direct`](super::direct) goes to.
//!
//! For a given factor that is a linear map of 16 bits to 16, four matrices of 8 by 8 bits. Processors with GFNI apply
//! such a matrix to 32 or 64 bytes in one instruction; others take the crate's tables.

use reed_solomon_simd::engine::{DefaultEngine, Engine, tables};

/// A symbol's smallest part: the low bytes of 32 elements, then their high bytes.
const PIECE: usize = 64;

/// Elements but zero, whose logarithms add up modulo this.
pub(super) const ORDER: u32 = 65_535;

/// Multiplies and adds.
pub(super) enum Product {
    #[cfg(target_arch = "x86_64")]
    Gfni(&'static gfni::Tables),
    Crate {
        engine: DefaultEngine,
        product: Vec<[u8; PIECE]>,
    },
}

impl Product {
    /// The fastest that this processor has.
    pub(super) fn new() -> Product {
        #[cfg(target_arch = "x86_64")]
        if let Some(tables) = gfni::tables() {
            return Product::Gfni(tables);
        }
        Product::of_the_crate()
    }

    pub(super) fn of_the_crate() -> Product {
        Product::Crate {
            engine: DefaultEngine::new(),
            product: Vec::new(),
        }
    }

    /// Whether it is several times as fast as the crate's.
    pub(super) fn is_fast(&self) -> bool {
        !matches!(self, Product::Crate { .. })
    }

    /// Adds `symbol` times the elements whose logarithms are `logs` to each of `sums` in turn.
    pub(super) fn add_to_each(
        &mut self,
        sums: &mut [u8],
        symbol: &[u8],
        logs: impl Iterator<Item = u16>,
    ) {
        let sums = sums.chunks_exact_mut(symbol.len()).zip(logs);
        let (pieces, _) = symbol.as_chunks();
        match self {
            #[cfg(target_arch = "x86_64")]
            Product::Gfni(tables) => tables.add_to_each(sums, pieces),
            Product::Crate { engine, product } => {
                for (sum, log) in sums {
                    product.clear();
                    product.extend_from_slice(pieces);
                    engine.mul(product, log);
                    for (sum, product) in sum.iter_mut().zip(product.as_flattened()) {
                        *sum ^= product;
                    }
                }
            }
        }
    }
}

/// The matrices of each factor.
#[cfg(target_arch = "x86_64")]
mod gfni {
    use std::sync::LazyLock;

    use super::{ORDER, PIECE, tables};
    use crate::sys::gfni::{Gfni, Matrices};

    /// The matrices of each factor's low byte, and of its high one: those of a factor are the sum of both.
    pub(in crate::fec) struct Tables {
        gfni: Gfni,
        low: [Matrices; 256],
        high: [Matrices; 256],
        exp: &'static [u16; 65_536],
    }

    /// `None` where the processor lacks the instructions.
    pub(super) fn tables() -> Option<&'static Tables> {
        static TABLES: LazyLock<Option<Tables>> = LazyLock::new(|| Gfni::new().map(Tables::new));
        TABLES.as_ref()
    }

    impl Tables {
        pub(super) fn new(gfni: Gfni) -> Tables {
            let known = tables::get_exp_log();
            let times = |a: u16, b: u16| {
                let logs =
                    u32::from(known.log[usize::from(a)]) + u32::from(known.log[usize::from(b)]);
                if a == 0 || b == 0 {
                    0
                } else {
                    known.exp[(logs % ORDER) as usize]
                }
            };
            let matrices = |factor: u16| {
                let mut all = Matrices::default();
                for bit in 0..16 {
                    let column = times(factor, 1 << bit);
                    for row in 0..16 {
                        let at = 2 * (bit / 8) + row / 8;
                        // The first row is in the last byte.
                        let place = 8 * (7 - row % 8) + bit % 8;
                        all[at] |= u64::from(column >> row & 1) << place;
                    }
                }
                all
            };
            Tables {
                gfni,
                low: std::array::from_fn(|byte| matrices(byte as u16)),
                high: std::array::from_fn(|byte| matrices((byte as u16) << 8)),
                exp: &known.exp,
            }
        }

        fn matrices(&self, log: u16) -> Matrices {
            let [low, high] = self.exp[usize::from(log)].to_le_bytes();
            let (low, high) = (&self.low[usize::from(low)], &self.high[usize::from(high)]);
            std::array::from_fn(|at| low[at] ^ high[at])
        }

        pub(super) fn add_to_each<'a>(
            &self,
            sums: impl Iterator<Item = (&'a mut [u8], u16)>,
            symbol: &[[u8; PIECE]],
        ) {
            let sums = sums.map(|(sum, log)| (sum, self.matrices(log)));
            self.gfni.add_products(sums, symbol);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn gfni_gives_what_the_crate_does() {
        use crate::sys::gfni::Gfni;
        let (Some(fastest), Some(narrow)) = (Gfni::new(), Gfni::narrow()) else {
            eprintln!("skipped: this processor lacks GFNI");
            return;
        };
        let with = |gfni| Product::Gfni(Box::leak(Box::new(gfni::Tables::new(gfni))));
        let mut all = [Product::of_the_crate(), with(fastest), with(narrow)];
        let mut rng = Rng::new(1);
        let mut symbol = || -> Vec<u8> { (0..192).map(|_| rng.next_u64() as u8).collect() };
        for log in (0..=u16::MAX).step_by(13).chain([ORDER as u16]) {
            let (symbol, before) = (symbol(), symbol());
            let [plain, fastest, narrow] = all.each_mut().map(|product| {
                let mut sum = before.clone();
                product.add_to_each(&mut sum, &symbol, [log].into_iter());
                sum
            });
            assert!(
                fastest == plain && narrow == plain,
                "the element with logarithm {log}"
            );
        }
    }
}
