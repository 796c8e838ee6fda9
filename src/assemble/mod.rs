//! What is here: which symbols of an object a receiver holds.
//!
//! Takes symbols as they come; says whether each is new and which block it completed, and what a
//! block lacks. It sees numbers, no bytes. Memory is a bit a block, and a bitmap for each block
//! that is begun and not complete.

mod sources;

pub use sources::{Origins, SENDER, SourceNo, SourceSet, Sources};

use core::ops::Range;
use std::collections::BTreeMap;

use crate::ids::{BlockNo, SymbolNo};
use crate::object::Geometry;
use crate::range_set::RangeSet;
use crate::symbol_set::SymbolSet;

/// The symbols of one object that are here.
#[derive(Clone, Debug)]
pub struct Holdings {
    geometry: Geometry,
    /// Blocks whose source symbols are all here.
    complete: RangeSet,
    partial: BTreeMap<BlockNo, SymbolSet>,
    /// The block that the last symbol went to, out of the map, because the next goes there too.
    open: Option<(BlockNo, SymbolSet)>,
    /// The block completed last, and by which symbols, in case one is refused.
    last_completed: Option<(BlockNo, SymbolSet)>,
    /// Blocks of which symbols are here that nobody has sent.
    found: RangeSet,
    held: u64,
    /// Blocks from here on are not to be asked for yet.
    reach: BlockNo,
}

/// What a symbol did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Insert {
    /// It was here already, or its block is complete.
    Duplicate,
    /// It is new.
    New,
    /// It is new and completes its block.
    Completed,
}

impl Holdings {
    /// Nothing is here.
    pub fn new(geometry: Geometry) -> Holdings {
        Holdings {
            geometry,
            complete: RangeSet::new(),
            partial: BTreeMap::new(),
            open: None,
            last_completed: None,
            found: RangeSet::new(),
            held: 0,
            reach: geometry.blocks(),
        }
    }

    /// Everything is here.
    pub fn whole(geometry: Geometry) -> Holdings {
        let mut holdings = Holdings::new(geometry);
        holdings.held = geometry.total_symbols();
        let blocks = u64::from(holdings.geometry.blocks());
        holdings.complete.insert(0..blocks);
        holdings
    }

    /// The object's geometry.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn open(&mut self, block: BlockNo) -> &mut SymbolSet {
        if self.open.as_ref().is_none_or(|(b, _)| *b != block) {
            let set = self.partial.remove(&block);
            let set = set.unwrap_or_else(|| SymbolSet::with_capacity(self.geometry.symbols(block)));
            if let Some((b, s)) = self.open.replace((block, set))
                && !s.is_empty()
            {
                self.partial.insert(b, s);
            }
        }
        &mut self.open.get_or_insert_with(|| (block, SymbolSet::new())).1
    }

    fn set(&self, block: BlockNo) -> Option<&SymbolSet> {
        match &self.open {
            Some((b, set)) if *b == block => Some(set),
            _ => self.partial.get(&block),
        }
    }

    /// A symbol of the object came. Any as many as the block has source symbols complete it.
    pub fn insert(&mut self, block: BlockNo, symbol: SymbolNo) -> Insert {
        if self.complete.contains(u64::from(block)) || !self.geometry.has(block, symbol) {
            return Insert::Duplicate;
        }
        let all = usize::from(self.geometry.symbols(block));
        let set = self.open(block);
        if !set.insert(symbol) {
            return Insert::Duplicate;
        }
        let whole = set.len() == all;
        self.held += 1;
        if !whole {
            return Insert::New;
        }
        self.last_completed = self.open.take();
        self.complete.insert(u64::from(block)..u64::from(block) + 1);
        Insert::Completed
    }

    /// A symbol of the object was here without having been sent.
    pub fn insert_found(&mut self, block: BlockNo, symbol: SymbolNo) -> Insert {
        let insert = self.insert(block, symbol);
        if insert == Insert::New {
            self.found.insert(u64::from(block)..u64::from(block) + 1);
        }
        insert
    }

    /// Symbols of the block are here that were not sent, so that the sender can't know which are
    /// new.
    pub fn is_found(&self, block: BlockNo) -> bool {
        self.found.contains(u64::from(block))
    }

    /// The symbol is here.
    pub fn contains(&self, block: BlockNo, symbol: SymbolNo) -> bool {
        self.is_complete(block) || self.set(block).is_some_and(|s| s.contains(symbol))
    }

    /// A symbol is not here after all.
    pub fn remove(&mut self, block: BlockNo, symbol: SymbolNo) {
        if !self.geometry.has(block, symbol) {
            return;
        }
        if self.complete.remove(u64::from(block)..u64::from(block) + 1) > 0 {
            let last = self.last_completed.take().filter(|&(b, _)| b == block);
            // Of one completed earlier it is not known by which symbols; if by parity, all is
            // fetched anew.
            let all = self.geometry.symbols(block);
            let parity = self.geometry.parity(block) > 0;
            let set = match last {
                Some((_, set)) => set,
                None if parity => SymbolSet::new(),
                None => SymbolSet::full(all),
            };
            self.held -= u64::from(all) - set.len() as u64;
            *self.open(block) = set;
        }
        if self.open(block).remove(symbol) {
            self.held -= 1;
        }
    }

    /// All of a block is to be fetched anew.
    pub fn remove_block(&mut self, block: BlockNo) {
        if self.complete.remove(u64::from(block)..u64::from(block) + 1) > 0 {
            self.held -= u64::from(self.geometry.symbols(block));
        } else {
            self.held -= self.open(block).len() as u64;
            self.open = None;
        }
    }

    /// All of a block is here, from an earlier run.
    pub fn insert_block(&mut self, block: BlockNo) {
        let all = self.geometry.symbols(block);
        if all > 0 && !self.is_complete(block) {
            let had = self.open(block).len() as u64;
            self.open = None;
            self.held += u64::from(all) - had;
            self.complete.insert(u64::from(block)..u64::from(block) + 1);
        }
    }

    /// The block's source symbols are all here.
    pub fn is_complete(&self, block: BlockNo) -> bool {
        self.complete.contains(u64::from(block))
    }

    /// Nothing of the block is here.
    pub fn is_absent(&self, block: BlockNo) -> bool {
        !self.is_complete(block) && self.set(block).is_none_or(SymbolSet::is_empty)
    }

    /// The end of the run of absent blocks that starts at `block`, at most `end`; `block` itself if
    /// something of it is here. Blocks of the run must not be complete.
    pub fn absent_until(&self, block: BlockNo, end: BlockNo) -> BlockNo {
        let begun = self.partial.range(block..end).map(|(&b, _)| b).next();
        let open = self
            .open
            .as_ref()
            .filter(|(b, s)| (block..end).contains(b) && !s.is_empty())
            .map(|&(b, _)| b);
        if self.is_complete(block) {
            return block;
        }
        begun.into_iter().chain(open).min().unwrap_or(end)
    }

    /// How many symbols the block lacks.
    pub fn lacking(&self, block: BlockNo) -> usize {
        if self.is_complete(block) {
            return 0;
        }
        let all = usize::from(self.geometry.symbols(block));
        all - self.set(block).map_or(0, SymbolSet::len)
    }

    /// Source symbols that would complete the block, the first that are not here: just what it
    /// lacks without parity, and as many as it lacks with.
    pub fn missing(&self, block: BlockNo) -> SymbolSet {
        if self.is_complete(block) {
            return SymbolSet::new();
        }
        let mut missing = SymbolSet::full(self.geometry.symbols(block));
        if let Some(set) = self.set(block) {
            missing.subtract(set);
            let surplus = missing.len() - self.lacking(block);
            if surplus > 0 {
                let keep = missing.len() - surplus;
                missing = missing.iter().take(keep).collect();
            }
        }
        missing
    }

    /// Blocks from `block` on are not lacking for now, whatever is here of them: some may yet be
    /// found.
    pub fn set_reach(&mut self, block: BlockNo) {
        self.reach = block.min(self.geometry.blocks());
    }

    /// The first block at or after `block`, and before `end`, that is not complete and may be asked
    /// for.
    pub fn next_incomplete(&self, block: BlockNo, end: BlockNo) -> Option<BlockNo> {
        let end = u64::from(end.min(self.reach));
        let mut at = u64::from(block);
        if let Some(r) = self.complete.next_range_at(at)
            && r.start == at
        {
            at = r.end;
        }
        (at < end).then_some(at as BlockNo)
    }

    /// The runs of blocks that are not complete and may be asked for, in order.
    pub fn incomplete(&self) -> impl Iterator<Item = Range<BlockNo>> + '_ {
        let mut at = 0;
        let blocks = self.reach;
        core::iter::from_fn(move || {
            let start = self.next_incomplete(at, blocks)?;
            let end = self
                .complete
                .next_range_at(u64::from(start))
                .map_or(blocks, |r| (r.start as BlockNo).min(blocks));
            at = end;
            Some(start..end)
        })
    }

    /// Source symbols that are here.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Every source symbol is here.
    pub fn is_whole(&self) -> bool {
        self.held == self.geometry.total_symbols()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u32, u16),
        Remove(u32, u16),
        RemoveBlock(u32),
        InsertBlock(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (0..8u32, 0..6u16).prop_map(|(b, s)| Op::Insert(b, s)),
            1 => (0..8u32, 0..4u16).prop_map(|(b, s)| Op::Remove(b, s)),
            1 => (0..8u32).prop_map(Op::RemoveBlock),
            1 => (0..8u32).prop_map(Op::InsertBlock),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(ops in proptest::collection::vec(op(), 0..200)) {
            let g = Geometry::new(6 * 4 * 1024 - 1500, 1024, 4, 0, 64).unwrap();
            let mut h = Holdings::new(g);
            let mut oracle: BTreeSet<(u32, u16)> = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Insert(b, s) => {
                        let fits = s < g.symbols(b);
                        let new = fits && oracle.insert((b, s));
                        let whole = oracle.range((b, 0)..(b + 1, 0)).count() == usize::from(g.symbols(b));
                        let want = match (new, whole) {
                            (false, _) => Insert::Duplicate,
                            (true, false) => Insert::New,
                            (true, true) => Insert::Completed,
                        };
                        prop_assert_eq!(h.insert(b, s), want);
                    }
                    Op::Remove(b, s) => {
                        h.remove(b, s);
                        oracle.remove(&(b, s));
                    }
                    Op::RemoveBlock(b) => {
                        h.remove_block(b);
                        oracle.retain(|&(x, _)| x != b);
                    }
                    Op::InsertBlock(b) => {
                        h.insert_block(b);
                        oracle.extend((0..g.symbols(b)).map(|s| (b, s)));
                    }
                }
                prop_assert_eq!(h.held(), oracle.len() as u64);
                for b in 0..g.blocks() {
                    let missing: Vec<u16> = (0..g.symbols(b)).filter(|&s| !oracle.contains(&(b, s))).collect();
                    prop_assert_eq!(h.missing(b).iter().collect::<Vec<_>>(), missing.clone());
                    prop_assert_eq!(h.is_complete(b), missing.is_empty());
                }
                for reach in [g.blocks(), 3] {
                    h.set_reach(reach);
                    let runs: Vec<u32> = h.incomplete().flatten().collect();
                    let want: Vec<u32> = (0..reach).filter(|&b| !h.is_complete(b)).collect();
                    prop_assert_eq!(h.next_incomplete(0, u32::MAX), want.first().copied());
                    prop_assert_eq!(runs, want);
                }
            }
        }
    }
}
