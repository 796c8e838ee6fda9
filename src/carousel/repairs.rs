//! What NAKs have asked for and has not been sent.

use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeMap;

use crate::ids::{BlockNo, SymbolNo};
use crate::symbol_set::SymbolSet;

/// Symbols to send because of NAKs, by block, lowest block first.
///
/// A block waits for symbols by name, or for so many of any that receivers do not have. Two NAKs
/// for one symbol make one repair, and so do two that lack a number each. It never holds more than
/// [`MAX_BLOCKS`](Repairs::MAX_BLOCKS) blocks; what is beyond is asked for again later.
#[derive(Clone, Debug, Default)]
pub struct Repairs {
    blocks: BTreeMap<BlockNo, Pending>,
    symbols: usize,
}

/// What waits for one block.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pending {
    /// Just these.
    pub named: SymbolSet,
    /// So many beside them, any that are fresh.
    pub any: usize,
}

impl Pending {
    fn len(&self) -> usize {
        self.named.len() + self.any
    }
}

impl Repairs {
    /// Blocks that may wait for repair at a time: 5 GiB of content with the default sizes.
    pub const MAX_BLOCKS: usize = 4_096;

    /// Nothing to repair.
    pub fn new() -> Repairs {
        Repairs::default()
    }

    fn change(&mut self, block: BlockNo, change: impl FnOnce(&mut Pending)) -> bool {
        if self.blocks.len() >= Repairs::MAX_BLOCKS && !self.blocks.contains_key(&block) {
            return false;
        }
        let pending = self.blocks.entry(block).or_default();
        self.symbols -= pending.len();
        change(pending);
        self.symbols += pending.len();
        if pending.len() == 0 {
            self.blocks.remove(&block);
        }
        true
    }

    /// A block lacks just these. False, and nothing is added, if too many blocks wait already.
    pub fn add(&mut self, block: BlockNo, missing: &SymbolSet) -> bool {
        self.change(block, |p| p.named.union_with(missing))
    }

    /// Somebody lacks `lacking` symbols of a block that has so much `parity`, and is to be sent
    /// `more` than that; `missing` may say which source symbols would do. While all who ask name
    /// the same, or more than there is parity for, those go out; otherwise as many fresh symbols as
    /// anyone lacks, which serve everybody.
    pub fn add_lacking(
        &mut self,
        block: BlockNo,
        (lacking, more): (usize, usize),
        missing: Option<&SymbolSet>,
        parity: usize,
    ) -> bool {
        self.change(block, |p| {
            let most = p.len().max(lacking + more);
            if let Some(missing) = missing
                && (p.any == 0 || !p.named.is_empty())
            {
                let before = p.named.len();
                p.named.union_with(missing);
                if p.named.len() <= before.max(lacking) || most > parity {
                    p.any = p.any.max(more);
                    return;
                }
            }
            p.named.clear();
            p.any = most;
        })
    }

    /// What waits for a block.
    pub fn pending(&self, block: BlockNo) -> Option<&Pending> {
        self.blocks.get(&block)
    }

    /// The block that the next repairs come from.
    pub fn current(&self) -> Option<BlockNo> {
        self.blocks.first_key_value().map(|(&b, _)| b)
    }

    /// The first block after `block`.
    pub fn after(&self, block: BlockNo) -> Option<BlockNo> {
        self.blocks
            .range((Excluded(block), Unbounded))
            .next()
            .map(|(&b, _)| b)
    }

    /// Blocks that wait.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Symbols that wait.
    pub fn len(&self) -> usize {
        self.symbols
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.symbols == 0
    }

    /// Takes up to `max` symbols of the block that were asked for by name.
    pub fn take_named(&mut self, block: BlockNo, max: usize, symbols: &mut Vec<SymbolNo>) {
        self.change(block, |p| {
            let start = symbols.len();
            symbols.extend(p.named.iter().take(max));
            for &s in &symbols[start..] {
                p.named.remove(s);
            }
        });
    }

    /// Takes up to `max` of the symbols of the block that may be any; gives how many.
    pub fn take_any(&mut self, block: BlockNo, max: usize) -> usize {
        let mut taken = 0;
        self.change(block, |p| {
            taken = p.any.min(max);
            p.any -= taken;
        });
        taken
    }

    /// A symbol is not lacked any more.
    pub fn remove(&mut self, block: BlockNo, symbol: SymbolNo) {
        self.change(block, |p| {
            p.named.remove(symbol);
        });
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.blocks.clear();
        self.symbols = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(symbols: &[SymbolNo]) -> SymbolSet {
        let mut s = SymbolSet::new();
        symbols.iter().for_each(|&x| {
            s.insert(x);
        });
        s
    }

    #[test]
    fn needs_merge_and_leave_once() {
        let mut r = Repairs::new();
        assert!(r.add(7, &set(&[1, 2, 3])) && r.add(3, &set(&[9])) && r.add(7, &set(&[3, 4])));
        assert_eq!((r.len(), r.current()), (5, Some(3)));
        let mut out = Vec::new();
        r.take_named(3, 10, &mut out);
        r.take_named(7, 3, &mut out);
        assert_eq!(out, [9, 1, 2, 3]);
        r.take_named(7, 3, &mut out);
        assert_eq!(out, [9, 1, 2, 3, 4]);
        assert!(r.is_empty() && r.current().is_none());
    }

    #[test]
    fn few_of_the_same_go_by_name_and_all_else_by_number() {
        let mut r = Repairs::new();
        r.add_lacking(1, (2, 0), Some(&set(&[4, 9])), 9);
        r.add_lacking(1, (1, 0), Some(&set(&[4])), 9);
        let named = Pending {
            named: set(&[4, 9]),
            any: 0,
        };
        assert_eq!((r.pending(1), r.len()), (Some(&named), 2));
        r.add_lacking(1, (2, 0), Some(&set(&[5, 6])), 9);
        assert_eq!(
            (r.pending(1).map(|p| p.any), r.len()),
            (Some(2), 2),
            "two fresh ones serve both"
        );
        r.add_lacking(1, (7, 0), None, 9);
        assert_eq!((r.take_any(1, 5), r.take_any(1, 5), r.len()), (5, 2, 0));
        assert!(r.pending(1).is_none());
    }

    #[test]
    fn more_than_there_is_parity_for_goes_by_name() {
        let mut r = Repairs::new();
        r.add_lacking(1, (2, 1), Some(&set(&[4, 9])), 2);
        r.add_lacking(1, (2, 1), Some(&set(&[4, 7])), 2);
        let named = Pending {
            named: set(&[4, 7, 9]),
            any: 1,
        };
        assert_eq!((r.pending(1), r.len()), (Some(&named), 4));
    }

    #[test]
    fn it_is_bounded() {
        let mut r = Repairs::new();
        for b in 0..Repairs::MAX_BLOCKS as u32 {
            assert!(r.add(b, &set(&[0])));
        }
        assert!(!r.add(1 << 20, &set(&[0])));
        assert!(r.add(5, &set(&[1])));
    }
}
