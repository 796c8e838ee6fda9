//! From a block's source symbols to its parity symbols.

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{LowRateEncoder, RateEncoder};

use super::{FecError, Shape, refused, whole_symbols};

/// Makes parity, block after block, in the same work memory: nothing is allocated for a block that
/// needs no more of it than one before.
#[derive(Default)]
pub struct Encoder {
    work: Option<LowRateEncoder<DefaultEngine>>,
}

impl Encoder {
    /// An encoder without work memory yet.
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// Fills `parity` with the first parity symbols of a block whose source symbols are `source`;
    /// both hold whole symbols of `symbol_size` bytes (a multiple of 64), one after the other.
    ///
    /// There may be 1 to [`MAX_K`](crate::config::MAX_K) source symbols and up to
    /// [`MAX_M`](crate::config::MAX_M) parity symbols. Few of them cost somewhat less than many; the bytes of
    /// each are the same however many there are.
    ///
    /// # Errors
    /// When the slices or the symbol size are not as said; `parity` is as it was then.
    pub fn encode(
        &mut self,
        symbol_size: usize,
        source: &[u8],
        parity: &mut [u8],
    ) -> Result<(), FecError> {
        let shape = Shape::check(
            whole_symbols(source.len(), symbol_size)?,
            whole_symbols(parity.len(), symbol_size)?,
            symbol_size,
        )?;
        if shape.parity == 0 {
            return Ok(());
        }
        let refused = |e| refused(e, &shape);
        let work = self.work(&shape)?;
        for symbol in source.chunks_exact(symbol_size) {
            work.add_original_shard(symbol).map_err(refused)?;
        }
        let made = work.encode().map_err(refused)?;
        for (place, symbol) in parity
            .chunks_exact_mut(symbol_size)
            .zip(made.recovery_iter())
        {
            place.copy_from_slice(symbol);
        }
        Ok(())
    }

    fn work(&mut self, shape: &Shape) -> Result<&mut LowRateEncoder<DefaultEngine>, FecError> {
        let Shape {
            symbols,
            parity,
            symbol_size,
        } = *shape;
        let work = match self.work.take() {
            Some(mut work) => work.reset(symbols, parity, symbol_size).map(|()| work),
            None => LowRateEncoder::new(symbols, parity, symbol_size, DefaultEngine::new(), None),
        };
        Ok(self.work.insert(work.map_err(|e| refused(e, shape))?))
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}
