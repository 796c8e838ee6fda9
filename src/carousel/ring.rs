//! Which symbols of a block left last on a channel, and so which are fresh.

use crate::ids::{BlockNo, SymbolNo};
use crate::object::Geometry;

/// For each block the next of its symbols on the channel: source symbols, then parity, then round.
///
/// A cycle takes as many as the block has source symbols, a repair as many as are lacked; both go
/// on where the other stopped. So the first cycle carries source symbols, the next parity, and
/// whatever a receiver has lost, the next symbols are new to it until the ring has gone round.
/// Without parity a ring is the source symbols.
#[derive(Clone, Debug)]
pub struct Ring {
    geometry: Geometry,
    next: Vec<SymbolNo>,
}

impl Ring {
    /// Nothing has left.
    pub fn new(geometry: Geometry) -> Ring {
        Ring {
            geometry,
            next: Vec::new(),
        }
    }

    fn next(&self, block: BlockNo) -> SymbolNo {
        self.next.get(block as usize).copied().unwrap_or(0)
    }

    /// Takes the next `count` symbols of the block.
    pub fn take(&mut self, block: BlockNo, count: usize, symbols: &mut Vec<SymbolNo>) {
        let all = self.geometry.symbols(block) + self.geometry.parity(block);
        if all == 0 {
            return;
        }
        let mut next = self.next(block);
        for _ in 0..count {
            symbols.push(next);
            next = if next + 1 == all { 0 } else { next + 1 };
        }
        if self.next.len() <= block as usize {
            self.next.resize(block as usize + 1, 0);
        }
        self.next[block as usize] = next;
    }

    /// Parity is among the next `count` symbols of the block.
    pub fn brings_parity(&self, block: BlockNo, count: usize) -> bool {
        let source = self.geometry.symbols(block);
        let next = self.next(block);
        self.geometry.parity(block) > 0
            && (next >= source || usize::from(next) + count > usize::from(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_and_repairs_go_round_together() {
        let g = Geometry::new(4 * 1024, 1024, 4, 4, 64).unwrap();
        let block = g.content_block_at(0);
        let mut ring = Ring::new(g);
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
        Ring::new(g).take(page, 2, &mut out);
        assert_eq!(out, [0, 0], "a page has one symbol and no parity");
    }
}
