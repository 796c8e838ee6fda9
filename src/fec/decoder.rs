//! From any n symbols of a block to its source symbols.

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{LowRateDecoder, RateDecoder};

use super::direct::Direct;
use super::{FecError, Shape, refused};
use crate::ids::SymbolNo;

/// Restores source symbols, block after block, in the same work memory: nothing is allocated for a
/// block that needs no more of it than one before.
#[derive(Default)]
pub struct Decoder {
    transform: Option<LowRateDecoder<DefaultEngine>>,
    direct: Option<Direct>,
    /// Which source symbols of the block were given.
    here: Vec<bool>,
    lacking: Vec<u16>,
    /// The parity symbols that were, from 0 on, and their bytes.
    numbers: Vec<u16>,
    parity: Vec<u8>,
}

/// One block being restored; made by [`Decoder::begin`]. Give it symbols with [`add`](Decoding::add), then take
/// what was missing with [`restore`](Decoding::restore).
pub struct Decoding<'a> {
    work: &'a mut Decoder,
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
        self.here.clear();
        self.here.resize(shape.symbols, false);
        self.numbers.clear();
        self.parity.clear();
        Ok(Decoding { work: self, shape })
    }
}

impl Decoding<'_> {
    /// Takes note of a source symbol, which is in its place in the block that [`restore`](Decoding::restore) gets, or a
    /// copy of a parity symbol. Source symbols have the numbers from 0 on, parity symbols those after them. One that was
    /// given before is skipped, as is parity beyond what any block needs.
    ///
    /// # Errors
    /// When the block has no such symbol, or it has another length.
    pub fn add(&mut self, symbol: SymbolNo, bytes: &[u8]) -> Result<(), FecError> {
        let Shape {
            symbols,
            parity,
            symbol_size,
        } = self.shape;
        let number = usize::from(symbol);
        if number >= symbols + parity {
            return Err(FecError::Symbol(symbol));
        }
        if bytes.len() != symbol_size {
            return Err(FecError::Length(bytes.len()));
        }
        if let Some(here) = self.work.here.get_mut(number) {
            *here = true;
            return Ok(());
        }
        let number = (number - symbols) as u16;
        if self.work.numbers.len() < symbols && !self.work.numbers.contains(&number) {
            self.work.numbers.push(number);
            self.work.parity.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Writes the source symbols that were not given to their places in `block`, where those that were given are
    /// in theirs, and leaves the rest of it alone. Gives how many were restored.
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
        let work = self.work;
        let lacking = (0..).zip(&work.here).filter(|(_, here)| !**here);
        work.lacking.clear();
        work.lacking.extend(lacking.map(|(symbol, _)| symbol));
        let needed = work.lacking.len();
        if needed > work.numbers.len() {
            return Err(FecError::Lacking {
                given: symbols - needed + work.numbers.len(),
                needed: symbols,
            });
        }
        let direct = work.direct.get_or_insert_with(Direct::new);
        if needed > direct.few() {
            work.transform(&self.shape, block, needed)?;
        } else if needed > 0 {
            let parity = &mut work.parity[..needed * symbol_size];
            direct.restore(
                symbol_size,
                block,
                &work.lacking,
                &work.numbers[..needed],
                parity,
            );
        }
        Ok(needed as u16)
    }
}

impl Decoder {
    /// Restores all that a block lacks, by so many of the parity symbols.
    fn transform(
        &mut self,
        shape: &Shape,
        block: &mut [u8],
        needed: usize,
    ) -> Result<(), FecError> {
        let Shape {
            symbols,
            parity,
            symbol_size,
        } = *shape;
        let refused = |e| refused(e, shape);
        let work = match self.transform.take() {
            Some(mut work) => work.reset(symbols, parity, symbol_size).map(|()| work),
            None => LowRateDecoder::new(symbols, parity, symbol_size, DefaultEngine::new(), None),
        };
        let work = self.transform.insert(work.map_err(refused)?);
        let given = self.here.iter().zip(block.chunks_exact(symbol_size));
        for (symbol, (_, bytes)) in given.enumerate().filter(|(_, (here, _))| **here) {
            work.add_original_shard(symbol, bytes).map_err(refused)?;
        }
        let parity = self
            .numbers
            .iter()
            .zip(self.parity.chunks_exact(symbol_size));
        for (&number, bytes) in parity.take(needed) {
            work.add_recovery_shard(number.into(), bytes)
                .map_err(refused)?;
        }
        let result = work.decode().map_err(refused)?;
        for (symbol, bytes) in result.restored_original_iter() {
            block[symbol * symbol_size..][..symbol_size].copy_from_slice(bytes);
        }
        Ok(())
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
