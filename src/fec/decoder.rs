//! From any n symbols of a block to its source symbols.

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{LowRateDecoder, RateDecoder};
use reed_solomon_simd::{DecoderResult, Error};

use super::{FecError, Shape, refused};
use crate::ids::SymbolNo;

/// Restores source symbols, block after block, in the same work memory: nothing is allocated for a
/// block that needs no more of it than one before.
#[derive(Default)]
pub struct Decoder {
    work: Option<LowRateDecoder<DefaultEngine>>,
}

/// One block being restored; made by [`Decoder::begin`]. Give it symbols with [`add`](Decoding::add), then take
/// what was missing with [`restore`](Decoding::restore).
pub struct Decoding<'a> {
    work: &'a mut LowRateDecoder<DefaultEngine>,
    shape: Shape,
}

impl Decoder {
    /// A decoder without work memory yet.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Starts on a block of `symbols` source symbols (1 to [`MAX_K`](crate::config::MAX_K)) and up to
    /// `parity` parity symbols (up to [`MAX_M`](crate::config::MAX_M)), all of `symbol_size` bytes, a
    /// multiple of 64. What was given for a block before is forgotten.
    ///
    /// # Errors
    /// When one of the numbers is out of its range.
    pub fn begin(
        &mut self,
        symbols: u16,
        parity: u16,
        symbol_size: usize,
    ) -> Result<Decoding<'_>, FecError> {
        let shape = Shape::check(symbols.into(), parity.into(), symbol_size)?;
        // A block without parity can still be told that it is whole, or not.
        let room = shape.parity.max(1);
        let work = match self.work.take() {
            Some(mut work) => work.reset(shape.symbols, room, symbol_size).map(|()| work),
            None => {
                LowRateDecoder::new(shape.symbols, room, symbol_size, DefaultEngine::new(), None)
            }
        };
        let work = self.work.insert(work.map_err(|e| refused(e, &shape))?);
        Ok(Decoding { work, shape })
    }
}

impl Decoding<'_> {
    /// Takes a copy of a symbol; source symbols have the numbers from 0 on, parity symbols those
    /// after them. One that was given before is skipped.
    ///
    /// # Errors
    /// When the block has no such symbol, or it has another length.
    pub fn add(&mut self, symbol: SymbolNo, bytes: &[u8]) -> Result<(), FecError> {
        let Shape {
            symbols, parity, ..
        } = self.shape;
        let number = usize::from(symbol);
        let added = match number.checked_sub(symbols) {
            None => self.work.add_original_shard(number, bytes),
            Some(j) if j < parity => self.work.add_recovery_shard(j, bytes),
            Some(_) => return Err(FecError::Symbol(symbol)),
        };
        match added {
            Err(
                Error::DuplicateOriginalShardIndex { .. }
                | Error::DuplicateRecoveryShardIndex { .. },
            ) => Ok(()),
            other => other.map_err(|e| refused(e, &self.shape)),
        }
    }

    /// Writes the source symbols that were not given to their places in `block`, which has room for
    /// all source symbols, and leaves the rest of it alone. Gives how many were restored.
    ///
    /// # Errors
    /// [`FecError::Lacking`] when too few were given, [`FecError::Length`] when the block has another length;
    /// it is as it was then.
    pub fn restore(self, block: &mut [u8]) -> Result<u16, FecError> {
        let Shape {
            symbols,
            symbol_size,
            ..
        } = self.shape;
        if block.len() != symbols * symbol_size {
            return Err(FecError::Length(block.len()));
        }
        let shape = self.shape;
        let result: DecoderResult<'_> = self.work.decode().map_err(|e| refused(e, &shape))?;
        let mut restored = 0;
        for (symbol, bytes) in result.restored_original_iter() {
            let start = symbol * symbol_size;
            block[start..start + symbol_size].copy_from_slice(bytes);
            restored += 1;
        }
        Ok(restored)
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Decoding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoding")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
