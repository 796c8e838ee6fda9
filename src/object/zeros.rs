//! Which symbols of an object are zeros by its file table.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BlockKind, Geometry, Part};
use crate::ids::{BlockNo, SymbolNo};
use crate::range_set::RangeSet;
use crate::symbol_set::SymbolSet;

/// The symbols that lie in holes as a whole: who has the table has them.
///
/// Memory is a bitmap for each block that is partly holes, whatever number of channels it goes out
/// on.
#[derive(Clone, Debug, Default)]
pub struct Zeros {
    blocks: RangeSet,
    /// Of blocks that are zeros in part, those source symbols that are not.
    others: Arc<BTreeMap<BlockNo, SymbolSet>>,
}

impl Zeros {
    /// Symbols in these holes, which are ranges of the content.
    pub fn of(geometry: &Geometry, holes: &RangeSet) -> Zeros {
        let size = u64::from(geometry.block_size());
        let symbol = u64::from(geometry.symbol_size());
        let mut blocks = RangeSet::new();
        let mut others: BTreeMap<BlockNo, SymbolSet> = BTreeMap::new();
        for hole in holes.iter() {
            let mut at = hole.start;
            while at < hole.end {
                let block = geometry.data_block(Part::Content, (at / size) as u32);
                let BlockKind::Data { offset, len, .. } = geometry.kind(block) else {
                    break;
                };
                let (len, source) = (u64::from(len), geometry.symbols(block));
                let (from, to) = (at - offset, (hole.end - offset).min(len));
                at = offset + len;
                let end = match to == len {
                    true => u64::from(source),
                    false => to / symbol,
                };
                let zeros = from.div_ceil(symbol) as SymbolNo..end as SymbolNo;
                if zeros.is_empty() {
                    continue;
                }
                let all = || SymbolSet::full(source);
                others.entry(block).or_insert_with(all).remove_range(zeros);
            }
        }
        others.retain(|&block, others| {
            if others.is_empty() {
                blocks.insert(u64::from(block)..u64::from(block) + 1);
            }
            !others.is_empty()
        });
        Zeros {
            blocks,
            others: Arc::new(others),
        }
    }

    /// Blocks that are zeros as a whole.
    pub fn blocks(&self) -> &RangeSet {
        &self.blocks
    }

    /// The source symbols of a block that are not zeros, where others of it are.
    pub fn others(&self, block: BlockNo) -> Option<&SymbolSet> {
        self.others.get(&block)
    }

    /// How many source symbols of a block go out unasked: all, but where some are zeros.
    pub fn sources(&self, geometry: &Geometry, block: BlockNo) -> SymbolNo {
        let all = || geometry.symbols(block);
        self.others(block).map_or_else(all, |o| o.len() as SymbolNo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_symbol_is_zeros_if_all_its_bytes_are(
            length in 1_u64..40_000,
            ends in proptest::collection::btree_set(0_u64..40_000, 0..12),
        ) {
            let g = Geometry::new(length, 1_344, 4, 2, 64).unwrap();
            let ends: Vec<u64> = ends.into_iter().filter(|&e| e <= length).collect();
            let holes: RangeSet = ends.chunks_exact(2).map(|e| e[0]..e[1]).collect();
            let zeros = Zeros::of(&g, &holes);
            for block in g.blocks_of(Part::Content) {
                let BlockKind::Data { offset, len, .. } = g.kind(block) else {
                    prop_assert!(!zeros.blocks().contains(block.into()));
                    continue;
                };
                let is_zeros = |symbol: u64| {
                    let start = offset + symbol * 1_344;
                    holes.contains_range(start..(start + 1_344).min(offset + u64::from(len)))
                };
                let naive: Vec<u16> =
                    (0..g.symbols(block)).filter(|&s| !is_zeros(s.into())).collect();
                let whole = naive.is_empty() && len > 0;
                prop_assert_eq!(zeros.blocks().contains(block.into()), whole);
                let listed = naive.len() < usize::from(g.symbols(block)) && !whole;
                let others = zeros.others(block).map(|o| o.iter().collect::<Vec<_>>());
                prop_assert_eq!(others, listed.then_some(naive));
            }
        }
    }
}
