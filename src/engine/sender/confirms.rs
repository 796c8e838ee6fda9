//! What is confirmed to everybody: the echo of NAKs, so that those who did not hear them are
//! suppressed too.

use std::collections::BTreeSet;

use crate::carousel::{Carousel, Repairs};
use crate::ids::{BlockNo, ShortCodingId};
use crate::wire::{self, Need, Needs};

/// A confirm is kept to this many bytes of UDP payload.
const CONFIRM_LEN: usize = 1_200;

/// What is to be confirmed of an object on a channel.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Blocks whose pending repairs are to be confirmed.
    blocks: BTreeSet<BlockNo>,
    /// Runs of whole blocks.
    whole: Vec<Need>,
}

impl Confirms {
    /// The pending repairs of a block are to be confirmed.
    pub(super) fn add(&mut self, block: BlockNo) {
        self.blocks.insert(block);
    }

    /// A run of whole blocks is to be confirmed, if there is room for it.
    pub(super) fn add_whole(&mut self, first: BlockNo, count: u32) {
        if self.whole.len() < wire::MAX_NEEDS {
            self.whole.push(Need::Blocks { first, count });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.whole.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.whole.clear();
    }

    /// For each block all that is about to be repaired, so that it covers the needs of many.
    pub(super) fn take(&mut self, coding: ShortCodingId, carousel: &Carousel) -> Vec<Needs> {
        let whole = core::mem::take(&mut self.whole);
        let blocks = core::mem::take(&mut self.blocks);
        let repairs = blocks.into_iter();
        let repairs = repairs.filter_map(|block| repair(block, carousel));
        let packets = pack(whole, repairs.collect());
        packets
            .into_iter()
            .map(|entries| Needs { coding, entries })
            .collect()
    }

    pub(super) fn are_bounded(&self) -> bool {
        self.blocks.len() <= Repairs::MAX_BLOCKS && self.whole.len() <= wire::MAX_NEEDS
    }
}

/// The need that what waits to be repaired of a block answers.
fn repair(block: BlockNo, carousel: &Carousel) -> Option<Need> {
    let pending = carousel.pending(block)?;
    if pending.any > 0 {
        let lacking = (pending.any + pending.named.len()) as u16;
        return Some(Need::Count { block, lacking });
    }
    let missing = &pending.named;
    let all = carousel.geometry().symbols(block);
    Some(match missing.len() == usize::from(all) {
        true => Need::Blocks {
            first: block,
            count: 1,
        },
        false => Need::Symbols {
            block,
            missing: missing.clone(),
        },
    })
}

/// Puts needs into packets: whole blocks first, in order and without overlap, then the rest.
fn pack(mut whole: Vec<Need>, repairs: Vec<Need>) -> Vec<Vec<Need>> {
    whole.sort_by_key(Need::first_block);
    let mut runs: Vec<Need> = Vec::new();
    for need in whole {
        let Need::Blocks { first, count } = need else {
            continue;
        };
        let end = first.saturating_add(count);
        match runs.last_mut() {
            Some(Need::Blocks { first: f, count: c }) if *f + *c >= first => {
                *c = (*c).max(end - *f)
            }
            _ => runs.push(Need::Blocks { first, count }),
        }
    }
    let covered = |block: BlockNo| {
        let covers = |run: &Need| match run {
            Need::Blocks { first, count } => (*first..*first + *count).contains(&block),
            _ => false,
        };
        runs.iter().any(covers)
    };
    let mut all: Vec<Need> = repairs
        .into_iter()
        .filter(|n| !covered(n.first_block()))
        .collect();
    all.extend(runs);
    all.sort_by_key(Need::first_block);
    let mut packets: Vec<Vec<Need>> = Vec::new();
    let mut room = 0;
    for need in all {
        let len = need.encoded_len();
        if len > room || packets.last().is_none_or(|p| p.len() >= wire::MAX_NEEDS) {
            packets.push(Vec::new());
            room = CONFIRM_LEN - wire::CONFIRM_EMPTY_LEN;
        }
        room = room.saturating_sub(len);
        if let Some(packet) = packets.last_mut() {
            packet.push(need);
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SymbolNo;
    use crate::symbol_set::SymbolSet;

    fn symbols(block: BlockNo, symbols: &[SymbolNo]) -> Need {
        let mut missing = SymbolSet::new();
        symbols.iter().for_each(|&s| {
            missing.insert(s);
        });
        Need::Symbols { block, missing }
    }

    #[test]
    fn confirms_are_in_order_and_do_not_overlap() {
        let whole = vec![
            Need::Blocks { first: 9, count: 3 },
            Need::Blocks { first: 4, count: 2 },
            Need::Blocks { first: 5, count: 3 },
        ];
        let packets = pack(
            whole,
            vec![symbols(2, &[1]), symbols(5, &[7]), symbols(12, &[3])],
        );
        let want = [
            symbols(2, &[1]),
            Need::Blocks { first: 4, count: 4 },
            Need::Blocks { first: 9, count: 3 },
            symbols(12, &[3]),
        ];
        assert_eq!(packets, [want.to_vec()]);
    }

    #[test]
    fn confirms_fit_their_packets() {
        let many: Vec<SymbolNo> = (0..512).step_by(2).collect();
        let repairs: Vec<Need> = (0..100).map(|b| symbols(b, &many)).collect();
        let packets = pack(Vec::new(), repairs);
        assert!(packets.len() > 1);
        for p in packets {
            let len: usize = p.iter().map(Need::encoded_len).sum();
            assert!(len + wire::CONFIRM_EMPTY_LEN <= CONFIRM_LEN);
        }
    }
}
