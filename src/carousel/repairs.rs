//! What NAKs have asked for and has not been sent.

use std::collections::BTreeMap;

use crate::ids::{BlockNo, SymbolNo};
use crate::symbol_set::SymbolSet;

/// Symbols to send again, by block, lowest block first.
///
/// Two NAKs for one symbol make one repair. It never holds more than an object's own symbols in
/// [`MAX_BLOCKS`](Repairs::MAX_BLOCKS) blocks; what is beyond is asked for again later.
#[derive(Clone, Debug, Default)]
pub struct Repairs {
    blocks: BTreeMap<BlockNo, SymbolSet>,
    symbols: usize,
}

impl Repairs {
    /// Blocks that may wait for repair at a time: 5 GiB of content with the default sizes.
    pub const MAX_BLOCKS: usize = 4_096;

    /// Nothing to repair.
    pub fn new() -> Repairs {
        Repairs::default()
    }

    /// Adds what a block lacks. False, and nothing is added, if too many blocks wait already.
    pub fn add(&mut self, block: BlockNo, missing: &SymbolSet) -> bool {
        if self.blocks.len() >= Repairs::MAX_BLOCKS && !self.blocks.contains_key(&block) {
            return false;
        }
        if missing.is_empty() {
            return true;
        }
        let set = self.blocks.entry(block).or_default();
        let before = set.len();
        set.union_with(missing);
        self.symbols += set.len() - before;
        true
    }

    /// What waits for a block.
    pub fn pending(&self, block: BlockNo) -> Option<&SymbolSet> {
        self.blocks.get(&block)
    }

    /// The block that the next repairs come from.
    pub fn current(&self) -> Option<BlockNo> {
        self.blocks.first_key_value().map(|(&b, _)| b)
    }

    /// The first block after `block`.
    pub fn after(&self, block: BlockNo) -> Option<BlockNo> {
        self.blocks.range(block + 1..).next().map(|(&b, _)| b)
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

    /// Takes up to `max` symbols of the block.
    pub fn take(&mut self, block: BlockNo, max: usize, symbols: &mut Vec<SymbolNo>) {
        let Some(set) = self.blocks.get_mut(&block) else {
            return;
        };
        let start = symbols.len();
        symbols.extend(set.iter().take(max));
        for &s in &symbols[start..] {
            set.remove(s);
        }
        self.symbols -= symbols.len() - start;
        if set.is_empty() {
            self.blocks.remove(&block);
        }
    }

    /// A symbol is not lacked any more.
    pub fn remove(&mut self, block: BlockNo, symbol: SymbolNo) {
        if let Some(set) = self.blocks.get_mut(&block)
            && set.remove(symbol)
        {
            self.symbols -= 1;
            if set.is_empty() {
                self.blocks.remove(&block);
            }
        }
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
        r.take(3, 10, &mut out);
        r.take(7, 3, &mut out);
        assert_eq!(out, [9, 1, 2, 3]);
        r.take(7, 3, &mut out);
        assert_eq!(out, [9, 1, 2, 3, 4]);
        assert!(r.is_empty() && r.current().is_none());
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
