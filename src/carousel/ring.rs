//! Which symbols of a block left last on a channel, and so which are fresh.

use crate::ids::{BlockNo, SymbolNo};
use crate::object::{Geometry, Zeros};

/// For each block the next of its symbols on the channel: source symbols, then parity, then round.
///
/// A cycle takes as many as the block has source symbols, a repair as many as are lacked; both go
/// on where the other stopped. So the first cycle carries source symbols, the next parity, and
/// whatever a receiver has lost, the next symbols are new to it until the ring has gone round.
/// Without parity a ring is the source symbols. Those that are [zeros](Zeros) come last of all.
#[derive(Clone, Debug)]
pub struct Ring {
    geometry: Geometry,
    zeros: Zeros,
    /// How many of the ring's symbols have left since it began.
    next: Vec<SymbolNo>,
}

impl Ring {
    /// Nothing has left.
    pub fn new(geometry: Geometry, zeros: Zeros) -> Ring {
        Ring {
            geometry,
            zeros,
            next: Vec::new(),
        }
    }

    fn next(&self, block: BlockNo) -> SymbolNo {
        self.next.get(block as usize).copied().unwrap_or(0)
    }

    fn set_next(&mut self, block: BlockNo, next: SymbolNo) {
        if self.next.len() <= block as usize {
            self.next.resize(block as usize + 1, 0);
        }
        self.next[block as usize] = next;
    }

    /// The symbol at a place of the block's ring.
    pub fn symbol(&self, block: BlockNo, at: SymbolNo) -> SymbolNo {
        let Some(others) = self.zeros.others(block) else {
            return at;
        };
        let (source, parity) = (self.geometry.symbols(block), self.geometry.parity(block));
        let first = others.len() as SymbolNo;
        let symbol = match at {
            at if at < first => others.iter().nth(at.into()),
            at if at < first + parity => Some(source + at - first),
            at => {
                let mut zeros = (0..source).filter(|&s| !others.contains(s));
                zeros.nth((at - first - parity).into())
            }
        };
        symbol.unwrap_or(0)
    }

    /// Takes the next `count` symbols of the block.
    pub fn take(&mut self, block: BlockNo, count: usize, symbols: &mut Vec<SymbolNo>) {
        let all = self.geometry.symbols(block) + self.geometry.parity(block);
        if all == 0 {
            return;
        }
        let mut next = self.next(block);
        for _ in 0..count {
            symbols.push(self.symbol(block, next));
            next = if next + 1 == all { 0 } else { next + 1 };
        }
        self.set_next(block, next);
    }

    /// The same, but of a block of which nothing has left, parity is next: for who has some of its
    /// symbols from elsewhere, and nobody knows which.
    pub fn take_new(&mut self, block: BlockNo, count: usize, symbols: &mut Vec<SymbolNo>) {
        if count > 0 && self.begins(block) {
            self.set_next(block, self.zeros.sources(&self.geometry, block));
        }
        self.take(block, count, symbols);
    }

    /// Whether a block with parity has not begun to leave.
    fn begins(&self, block: BlockNo) -> bool {
        self.next(block) == 0 && self.geometry.parity(block) > 0
    }

    /// Parity is among the next `count` symbols of the block.
    pub fn brings_parity(&self, block: BlockNo, count: usize) -> bool {
        let source = self.zeros.sources(&self.geometry, block);
        let next = self.next(block);
        self.geometry.parity(block) > 0
            && (next >= source || usize::from(next) + count > usize::from(source))
    }

    /// [`Ring::take_new`] brings parity.
    pub fn brings_new_parity(&self, block: BlockNo, count: usize) -> bool {
        self.begins(block) || self.brings_parity(block, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range_set::RangeSet;

    #[test]
    fn cycles_and_repairs_go_round_together() {
        let g = Geometry::new(4 * 1024, 1024, 4, 4, 64).unwrap();
        let block = g.content_block_at(0);
        let mut ring = Ring::new(g, Zeros::default());
        let mut out = Vec::new();
        assert!(!ring.brings_parity(block, 4) && ring.brings_parity(block, 5));
        ring.take(block, 4, &mut out);
        assert!(ring.brings_parity(block, 1));
        ring.take(block, 1, &mut out);
        ring.take(block, 4, &mut out);
        assert_eq!(out, [0, 1, 2, 3, 4, 5, 6, 7, 0]);
        out.clear();
        let g = Geometry::new(8 * 1024, 1024, 4, 4, 64).unwrap();
        let page = g.first_content_block();
        Ring::new(g, Zeros::default()).take(page, 2, &mut out);
        assert_eq!(out, [0, 0], "a page has one symbol and no parity");
    }

    #[test]
    fn what_is_zeros_comes_last_and_what_is_new_first() {
        let g = Geometry::new(4 * 1024, 1024, 4, 2, 64).unwrap();
        let block = g.content_block_at(0);
        let holes: RangeSet = std::iter::once(0..2_048).collect();
        let mut ring = Ring::new(g, Zeros::of(&g, &holes));
        let mut out = Vec::new();
        assert!(!ring.brings_parity(block, 2) && ring.brings_parity(block, 3));
        ring.take(block, 8, &mut out);
        assert_eq!(out, [2, 3, 4, 5, 0, 1, 2, 3]);
        let mut ring = Ring::new(g, Zeros::default());
        assert!(ring.brings_new_parity(block, 1));
        out.clear();
        ring.take_new(block, 3, &mut out);
        ring.take_new(block, 2, &mut out);
        assert_eq!(out, [4, 5, 0, 1, 2]);
    }
}
