//! How a sender's objects are cut and coded, and how much of them it keeps in memory.

use crate::carousel::Surplus;
use crate::config;
use crate::driver::{Parity, SenderBuilder, StartError};
use crate::object::Codec;
use crate::store::Cut;

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
    pub(super) cut: Cut,
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
        let block_kib = builder.one_way.map(|_| config::ONE_WAY_BLOCK_KIB);
        let (memory, largest) = match block_kib {
            Some(block_kib) => (ONE_WAY_BLOCKS_IN_MEMORY, block_kib),
            None => (BLOCKS_IN_MEMORY, config::LARGE_BLOCK_KIB),
        };
        let symbol_size = builder.symbol_size;
        Ok(Coding {
            cut: Cut {
                symbol_size,
                block_kib,
                codec,
            },
            slots: slots(memory, symbol_size, largest, codec),
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

/// Buffers for blocks of `block_kib` KiB.
fn slots(memory: usize, symbol_size: u16, block_kib: u32, codec: Codec) -> u16 {
    let k = (block_kib * 1_024).div_ceil(symbol_size.into()) as u16;
    let symbols = k + codec.default_parity(k);
    let block = usize::from(symbols) * usize::from(symbol_size);
    (memory / block).clamp(4, 64) as u16
}
