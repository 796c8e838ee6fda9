//! What one receiver on unicast lacks of an object.

use core::ops::Range;

use crate::carousel::Repairs;
use crate::ids::{BlockNo, SymbolNo};
use crate::object::Geometry;
use crate::range_set::RangeSet;
use crate::symbol_set::SymbolSet;
use crate::wire::Need;

/// Blocks and symbols that are to be sent.
#[derive(Debug)]
pub(super) struct Lacking {
    geometry: Geometry,
    /// Blocks of which nothing was sent since they were asked for.
    whole: RangeSet,
    /// Symbols of others.
    partial: Repairs,
    /// Blocks that can't be sent yet, as they are not here.
    awaited: RangeSet,
}

impl Lacking {
    /// Nothing of an object.
    fn nothing(geometry: Geometry) -> Lacking {
        Lacking {
            geometry,
            whole: RangeSet::new(),
            partial: Repairs::new(),
            awaited: RangeSet::new(),
        }
    }

    /// All of an object, of which `missing` blocks are not here.
    pub(super) fn all(geometry: Geometry, missing: &RangeSet) -> Lacking {
        let mut lacking = Lacking::nothing(geometry);
        lacking.add_blocks(0..u64::from(geometry.blocks()), missing);
        lacking
    }

    /// What a NAK names, of an object of which `missing` blocks are not here. Of a block with a
    /// count of symbols all of it: which they are was not said.
    pub(super) fn named(geometry: Geometry, missing: &RangeSet, needs: &[Need]) -> Lacking {
        let mut lacking = Lacking::nothing(geometry);
        let blocks = geometry.blocks();
        for need in needs {
            match need {
                Need::Blocks { first, count } => {
                    let (first, end) = (*first, first.saturating_add(*count).min(blocks));
                    let run = u64::from(first)..u64::from(end.max(first));
                    lacking.add_blocks(run, missing);
                }
                Need::Count { block, .. } if *block < blocks => {
                    let block = u64::from(*block);
                    lacking.add_blocks(block..block + 1, missing);
                }
                Need::Count { .. } => {}
                Need::Symbols { block, .. } if missing.contains(u64::from(*block)) => {
                    let block = u64::from(*block);
                    lacking.awaited.insert(block..block + 1);
                }
                Need::Symbols { block, missing } => {
                    let mut symbols = missing.clone();
                    symbols.intersect_with(&SymbolSet::full(geometry.symbols(*block)));
                    lacking.partial.add(*block, &symbols);
                }
            }
        }
        lacking
    }

    /// Blocks are lacking, those of them that are here at once.
    fn add_blocks(&mut self, blocks: Range<u64>, missing: &RangeSet) {
        self.awaited.insert(blocks.clone());
        for here in missing.gaps(blocks) {
            self.awaited.remove(here.clone());
            self.whole.insert(here);
        }
    }

    /// A block that was missing is here.
    pub(super) fn handle_block(&mut self, block: BlockNo) {
        let block = u64::from(block);
        if self.awaited.remove(block..block + 1) > 0 {
            self.whole.insert(block..block + 1);
        }
    }

    /// A symbol is lacking, again.
    pub(super) fn add(&mut self, block: BlockNo, symbol: SymbolNo) {
        if !self.whole.contains(u64::from(block)) {
            let mut set = SymbolSet::new();
            set.insert(symbol);
            self.partial.add(block, &set);
        }
    }

    /// The block that the next symbols come from, which is taken up.
    pub(super) fn begin(&mut self) -> Option<BlockNo> {
        if self.partial.is_empty()
            && let Some(block) = self.whole.first()
        {
            self.whole.remove(block..block + 1);
            let block = block as BlockNo;
            let all = SymbolSet::full(self.geometry.symbols(block));
            self.partial.add(block, &all);
        }
        self.partial.current()
    }

    /// The block that the next symbols come from, without taking it up.
    pub(super) fn next(&self) -> Option<BlockNo> {
        let whole = || self.whole.first().map(|b| b as BlockNo);
        self.partial.current().or_else(whole)
    }

    /// The block after that.
    pub(super) fn upcoming(&self) -> Option<BlockNo> {
        let current = self.partial.current();
        let next = current.and_then(|b| self.partial.after(b));
        next.or_else(|| self.whole.first().map(|b| b as BlockNo))
    }

    /// Takes up to `max` symbols of a block that was taken up.
    pub(super) fn take(&mut self, block: BlockNo, max: usize, symbols: &mut Vec<SymbolNo>) {
        self.partial.take_named(block, max, symbols);
    }

    /// Nothing is lacking that is here.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.partial.is_empty()
    }

    /// Adds what `other` knows of the blocks after `block`.
    pub(super) fn add_beyond(&mut self, block: BlockNo, other: &Lacking) {
        let beyond = u64::from(block) + 1;
        let ranges = other.whole.iter().filter(|r| r.end > beyond);
        for range in ranges {
            self.whole.insert(range.start.max(beyond)..range.end);
        }
        for range in other.awaited.iter().filter(|r| r.end > beyond) {
            self.awaited.insert(range.start.max(beyond)..range.end);
        }
        let mut at = block;
        while let Some(next) = other.partial.after(at) {
            if let Some(pending) = other.partial.pending(next) {
                self.partial.add(next, &pending.named);
            }
            at = next;
        }
    }

    /// A symbol is on its way.
    pub(super) fn remove(&mut self, block: BlockNo, symbol: SymbolNo) {
        if self.whole.remove(u64::from(block)..u64::from(block) + 1) > 0 {
            self.partial
                .add(block, &SymbolSet::full(self.geometry.symbols(block)));
        }
        self.partial.remove(block, symbol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_missing_wait_until_they_come() {
        let geometry = Geometry::new(20 * 1024, 1024, 4, 0, 64).unwrap();
        let mut missing = RangeSet::new();
        missing.insert(1..3);
        let symbols = Need::Symbols {
            block: 2,
            missing: SymbolSet::full(1),
        };
        let blocks = Need::Blocks { first: 1, count: 1 };
        let needs = [blocks, symbols];
        for mut lacking in [
            Lacking::named(geometry, &missing, &needs),
            Lacking::all(geometry, &missing),
        ] {
            let mut symbols = Vec::new();
            while let Some(block) = lacking.begin() {
                assert!(!(1..3).contains(&block));
                lacking.take(block, 64, &mut symbols);
            }
            assert!(lacking.is_empty() && lacking.next().is_none());
            lacking.handle_block(2);
            assert_eq!((lacking.begin(), lacking.upcoming()), (Some(2), None));
            lacking.handle_block(1);
            assert_eq!(lacking.upcoming(), Some(1));
        }
    }
}
