//! Which source symbols of a block are there, given the ranges of content that are.
//!
//! Takes ranges and a block, gives a set of symbols. It reads nothing.

use std::ops::Range;

use super::Found;
use crate::ids::SymbolNo;
use crate::symbol_set::SymbolSet;

/// Source symbols of a block that lie within ranges that were found, which are sorted and apart.
///
/// `block` is where its bytes are in the content. Its last symbol may be short. For all blocks
/// together this takes time in proportion to ranges and symbols, but for a binary search each.
pub(crate) fn covered(found: &[Found], block: Range<u64>, symbol_size: u16) -> SymbolSet {
    let mut symbols = SymbolSet::new();
    let size = u64::from(symbol_size).max(1);
    let first = found.partition_point(|f| f.content.end <= block.start);
    let ranges = found.iter().skip(first).map(|f| &f.content);
    let mut run = block.start..block.start;
    for range in ranges.take_while(|r| r.start < block.end) {
        if range.start > run.end {
            insert(&mut symbols, &run, &block, size);
            run.start = range.start;
        }
        run.end = run.end.max(range.end.min(block.end));
    }
    insert(&mut symbols, &run, &block, size);
    symbols
}

/// Adds the symbols that lie within a run of bytes in the block.
fn insert(symbols: &mut SymbolSet, run: &Range<u64>, block: &Range<u64>, size: u64) {
    if run.is_empty() {
        return;
    }
    let number = |n: u64| SymbolNo::try_from(n).unwrap_or(SymbolNo::MAX);
    let start = (run.start - block.start).div_ceil(size);
    let end = run.end - block.start;
    let end = if run.end == block.end {
        end.div_ceil(size)
    } else {
        end / size
    };
    symbols.insert_range(number(start)..number(end));
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;
    use proptest::prelude::*;

    /// Ranges from lengths that are found and not found by turns, some of them touching.
    fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let gap = prop_oneof![Just(0u64), 0u64..20, 0u64..700];
        let len = prop_oneof![1u64..20, 1u64..2_000];
        prop::collection::vec((gap, len), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn agrees_with_a_bitmap_of_bytes(
            ranges in ranges(),
            length in 1u64..12_000,
            block in prop_oneof![Just(1_024u64), Just(2_048), Just(4_096)],
            symbol in prop_oneof![Just(64u16), Just(192), Just(1_024), Just(1_344)],
        ) {
            let mut bytes = vec![false; 200_000];
            let mut found = Vec::new();
            let mut at = 0;
            for (gap, len) in ranges {
                at += gap;
                bytes[at as usize..(at + len) as usize].fill(true);
                found.push(Found { content: at..at + len, from: Origin::Zeros });
                at += len;
            }
            for start in (0..length).step_by(block as usize) {
                let end = (start + block).min(length);
                let set = covered(&found, start..end, symbol);
                let whole = &bytes[start as usize..end as usize];
                let naive = whole.chunks(usize::from(symbol)).map(|s| s.iter().all(|b| *b));
                let naive = (0..).zip(naive).filter(|(_, all)| *all);
                let naive: SymbolSet = naive.map(|(n, _)| n).collect();
                prop_assert_eq!(set, naive);
            }
        }
    }
}
