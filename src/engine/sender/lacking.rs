//! What one receiver on unicast lacks of an object.

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
}

impl Lacking {
    /// All of an object.
    pub(super) fn all(geometry: Geometry) -> Lacking {
        let mut whole = RangeSet::new();
        whole.insert(0..u64::from(geometry.blocks()));
        Lacking {
            geometry,
            whole,
            partial: Repairs::new(),
        }
    }

    /// What a NAK names. Of a block with a count of symbols all of it: which they are was not said.
    pub(super) fn named(geometry: Geometry, needs: &[Need]) -> Lacking {
        let mut lacking = Lacking {
            geometry,
            whole: RangeSet::new(),
            partial: Repairs::new(),
        };
        let blocks = geometry.blocks();
        for need in needs {
            match need {
                Need::Blocks { first, count } => {
                    let (first, end) = (*first, first.saturating_add(*count).min(blocks));
                    let run = u64::from(first)..u64::from(end.max(first));
                    lacking.whole.insert(run);
                }
                Need::Count { block, .. } if *block < blocks => {
                    let block = u64::from(*block);
                    lacking.whole.insert(block..block + 1);
                }
                Need::Count { .. } => {}
                Need::Symbols { block, missing } => {
                    let mut missing = missing.clone();
                    missing.intersect_with(&SymbolSet::full(geometry.symbols(*block)));
                    lacking.partial.add(*block, &missing);
                }
            }
        }
        lacking
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

    /// Nothing is lacking.
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
