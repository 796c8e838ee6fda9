//! Parity: symbols made of a block's source symbols, of which any can stand in for any that is lost.
//!
//! Takes the bytes of a block's symbols, gives those of its parity symbols, and the other way round.
//! Any n different symbols of a block of n source symbols give back all of them. It knows nothing of
//! objects, files or who asks for what, and trusts nothing: whether restored bytes are the right ones
//! is for a hash to tell.
//!
//! Source symbols of a block have the numbers 0 to n - 1, parity symbols n and on. The code is
//! systematic (source symbols go out as they are) and depends on nothing but n: parity symbol j
//! has the same bytes however many are made, on every machine. `docs/PROTOCOL.md` defines it.
//!
//! # How it is made
//!
//! A symbol is a row of 16-bit numbers, elements of a field of 65,536. The source symbols are the values of one
//! polynomial at the points 0 to n - 1, with zeros up to the next power of two N; the parity
//! symbols are its values at the points N and on. Crate `reed-solomon-simd` does that in
//! O(n log n) for each element; where few symbols of a block are lacking, the decoder computes those by themselves, with GFNI
//! where the processor has it.
//! Of the crate's two ways we always take the one it calls low rate: the other one makes parity that depends on how much
//! of it there is.
//!
//! Both sides keep their work memory (twice the bytes of a block's source symbols for as much
//! parity, never more than four times those of source and parity; the decoder also the parity that it was given), and
//! the process keeps 8.5 MB of tables from [`prepare`], or the first use, on.

mod decoder;
mod direct;
mod encoder;
#[cfg(test)]
mod field;
mod product;
#[cfg(test)]
mod tests;

use reed_solomon_simd::engine::{DefaultEngine, tables};
use thiserror::Error;

use crate::config;
use crate::ids::SymbolNo;

pub use decoder::{Decoder, Decoding};
pub use encoder::Encoder;

/// Why parity can't be made or used. All of them are the caller's mistakes but
/// [`Lacking`](FecError::Lacking).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FecError {
    /// A block without source symbols, or with too many.
    #[error("a block of {0} source symbols, where 1 to {max} are possible", max = config::MAX_K)]
    Symbols(usize),
    /// More parity than is possible; 0 is possible and makes nothing.
    #[error("{0} parity symbols for a block, where up to {max} are possible", max = config::MAX_M)]
    Parity(usize),
    /// The symbol size is 0 or not a multiple of 64.
    #[error("symbols of {0} bytes, which is not a multiple of 64")]
    SymbolSize(usize),
    /// Bytes that are not so many whole symbols.
    #[error("{0} bytes, which is not what the symbols should have")]
    Length(usize),
    /// The block has no symbol of this number.
    #[error("the block has no symbol {0}")]
    Symbol(SymbolNo),
    /// Fewer symbols were given than the block has source symbols.
    #[error("{given} symbols, where {needed} are needed")]
    Lacking {
        /// How many different ones were given.
        given: usize,
        /// How many there must be.
        needed: usize,
    },
}

/// Builds the tables that the process keeps, for which the first block would otherwise wait some 8 ms.
pub fn prepare() {
    let _ = DefaultEngine::new();
    tables::get_log_walsh();
    let _ = product::Product::new();
}

/// How many symbols of what size: what work memory is laid out for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    symbols: usize,
    parity: usize,
    symbol_size: usize,
}

impl Shape {
    fn check(symbols: usize, parity: usize, symbol_size: usize) -> Result<Shape, FecError> {
        if symbol_size == 0 || !symbol_size.is_multiple_of(64) {
            return Err(FecError::SymbolSize(symbol_size));
        }
        if !(1..=usize::from(config::MAX_K)).contains(&symbols) {
            return Err(FecError::Symbols(symbols));
        }
        if parity > usize::from(config::MAX_M) {
            return Err(FecError::Parity(parity));
        }
        Ok(Shape {
            symbols,
            parity,
            symbol_size,
        })
    }
}

/// Whole symbols in so many bytes.
fn whole_symbols(bytes: usize, symbol_size: usize) -> Result<usize, FecError> {
    match bytes.checked_rem(symbol_size) {
        None => Err(FecError::SymbolSize(symbol_size)),
        Some(0) => Ok(bytes / symbol_size),
        Some(_) => Err(FecError::Length(bytes)),
    }
}

/// What the crate can still refuse after our own checks, in our words.
fn refused(error: reed_solomon_simd::Error, shape: &Shape) -> FecError {
    use reed_solomon_simd::Error as E;
    match error {
        E::NotEnoughShards {
            original_received_count: source,
            recovery_received_count: parity,
            ..
        } => FecError::Lacking {
            given: source + parity,
            needed: shape.symbols,
        },
        E::InvalidShardSize { shard_bytes } => FecError::SymbolSize(shard_bytes),
        E::DifferentShardSize { got, .. } => FecError::Length(got),
        _ => FecError::Symbols(shape.symbols),
    }
}
