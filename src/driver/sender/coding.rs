//! How a sender's objects are cut and coded, and how much of them it keeps in memory.

use crate::carousel::Surplus;
use crate::config;
use crate::driver::{Parity, SenderBuilder, StartError};
use crate::object::Codec;

/// Bytes of blocks in memory, for whole blocks of large objects, each with its parity: 12 of them
/// with default symbols, 24 where there is no parity. A block that is read without parity takes
/// half of its room. Fewer than 4 blocks stall the
/// network while one is read.
const BLOCKS_IN_MEMORY: usize = 32 << 20;
/// The same where there is no way back: blocks are larger, and three of them go out in turn while
/// the next three are read.
const ONE_WAY_BLOCKS_IN_MEMORY: usize = 80 << 20;
/// What the builder's settings come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coding {
    pub(super) codec: Codec,
    /// Source symbols in a block; by the object's length when none.
    pub(super) k: Option<u16>,
    /// Buffers for blocks.
    pub(super) slots: u16,
    /// What goes out without being asked for.
    pub(super) surplus: Surplus,
}

impl Coding {
    pub(super) fn new(builder: &SenderBuilder) -> Result<Coding, StartError> {
        let codec = match builder.parity {
            Parity::None => Codec::None,
            Parity::Auto | Parity::Share(_) => Codec::ReedSolomon,
        };
        if let Parity::Share(share) = builder.parity
            && !(0.0..=1.0).contains(&share)
        {
            return Err(StartError::ParityShare(share));
        }
        let k = builder.one_way.map(|_| one_way_k(builder.symbol_size));
        let (memory, largest_k) = match k {
            Some(k) => (ONE_WAY_BLOCKS_IN_MEMORY, k),
            None => (BLOCKS_IN_MEMORY, config::LARGE_K),
        };
        Ok(Coding {
            codec,
            k,
            slots: slots(memory, builder.symbol_size, largest_k, codec),
            surplus: surplus(builder.parity, builder.one_way.is_some()),
        })
    }
}

/// What goes out without being asked for. A sender that is to find out by itself goes by what
/// receivers report; where they can't, it takes it that so much is lost.
fn surplus(parity: Parity, one_way: bool) -> Surplus {
    match parity {
        Parity::Auto if one_way => Surplus::ForLoss {
            loss: config::ONE_WAY_LOSS,
            chance: Surplus::RARELY,
        },
        Parity::Auto => Surplus::Reported,
        Parity::None => Surplus::None,
        Parity::Share(share) => Surplus::Share(share),
    }
}

/// Source symbols in a block where there is no way back.
fn one_way_k(symbol_size: u16) -> u16 {
    let fit = config::ONE_WAY_BLOCK / usize::from(symbol_size);
    fit.min(usize::from(config::ONE_WAY_K)) as u16
}

/// Buffers for blocks of up to `k` source symbols.
fn slots(memory: usize, symbol_size: u16, k: u16, codec: Codec) -> u16 {
    let symbols = k + codec.default_parity(k);
    let block = usize::from(symbols) * usize::from(symbol_size);
    (memory / block).clamp(4, 64) as u16
}
