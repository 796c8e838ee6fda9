//! Cycle after cycle over one object's blocks.

use core::ops::Range;

use crate::carousel::Surplus;
use crate::ids::{BlockNo, SymbolNo};
use crate::object::Geometry;
use crate::range_set::RangeSet;
use crate::wire::Position;

/// One object's cycles: blocks in increasing order, of each as many symbols as it has source symbols,
/// and its surplus.
///
/// A cycle carries only blocks that somebody lacks. What is asked for ahead of the position joins
/// the running cycle, the rest waits for the next.
#[derive(Clone, Debug)]
pub struct Walk {
    geometry: Geometry,
    surplus: Surplus,
    /// Symbols that the surplus adds to a content block of the larger and the smaller length.
    extra: [u16; 2],
    /// The same for the blocks after the current one.
    extra_later: [u16; 2],
    cycle: u32,
    /// Of this cycle; the block at `at` included.
    todo: RangeSet,
    next: RangeSet,
    at: Option<(BlockNo, SymbolNo)>,
    begun: bool,
}

impl Walk {
    /// A walk that nobody has asked anything of.
    pub fn new(geometry: Geometry, surplus: Surplus) -> Walk {
        Walk {
            geometry,
            surplus,
            extra: extra(geometry, surplus),
            extra_later: extra(geometry, surplus),
            cycle: 0,
            todo: RangeSet::new(),
            next: RangeSet::new(),
            at: None,
            begun: false,
        }
    }

    /// Blocks from the next on get another surplus.
    pub fn set_surplus(&mut self, surplus: Surplus) {
        if surplus == self.surplus {
            return;
        }
        self.surplus = surplus;
        self.extra_later = extra(self.geometry, surplus);
        if self.at.is_none_or(|(_, symbol)| symbol == 0) {
            self.extra = self.extra_later;
        }
    }

    /// Where the next fresh symbol stands: at the first cycle's beginning before it has begun, so
    /// that nobody takes its first data for those of the next.
    pub fn position(&self) -> Position {
        let rest = if self.begun {
            self.geometry.blocks()
        } else {
            0
        };
        let (block, symbol) = self.at.unwrap_or((rest, 0));
        Position {
            cycle: self.cycle,
            block,
            symbol,
        }
    }

    /// The blocks are lacked by somebody. Those ahead come in this cycle. A block that is half sent
    /// is left alone: whoever lacks its beginning asks for just that.
    pub fn want(&mut self, blocks: Range<BlockNo>) {
        let blocks = u64::from(blocks.start)..u64::from(blocks.end.min(self.geometry.blocks()));
        if blocks.is_empty() {
            return;
        }
        let Some((block, symbol)) = self.at else {
            self.next.insert(blocks);
            return;
        };
        let ahead = u64::from(block) + u64::from(symbol > 0);
        if blocks.end > ahead {
            self.todo.insert(blocks.start.max(ahead)..blocks.end);
        }
        let behind = blocks.start..blocks.end.min(u64::from(block));
        if !behind.is_empty() {
            self.next.insert(behind);
        }
    }

    /// The running cycle will still bring all of this block.
    pub fn is_ahead(&self, block: BlockNo) -> bool {
        match self.at {
            Some((at, symbol)) if at == block => symbol == 0,
            Some((at, _)) => block > at && self.todo.contains(u64::from(block)),
            None => false,
        }
    }

    /// The symbol from which on the running cycle will still bring a block that is half sent.
    pub fn brings_from(&self, block: BlockNo) -> Option<SymbolNo> {
        self.at
            .and_then(|(at, symbol)| (at == block).then_some(symbol))
    }

    /// Begins the next cycle if the last is at its end and something is lacked; true if it did.
    pub fn begin_cycle(&mut self) -> bool {
        if self.at.is_some() || self.next.is_empty() {
            return false;
        }
        core::mem::swap(&mut self.todo, &mut self.next);
        self.next.clear();
        if self.begun {
            self.cycle = self.cycle.wrapping_add(1);
        }
        self.begun = true;
        self.at = self.todo.first().map(|b| (b as BlockNo, 0));
        self.at.is_some()
    }

    /// The block that the next fresh symbols come from.
    pub fn current(&self) -> Option<BlockNo> {
        self.at.map(|(block, _)| block)
    }

    /// The first block of this cycle after `block`.
    pub fn after(&self, block: BlockNo) -> Option<BlockNo> {
        self.at?;
        self.todo
            .next_range_at(u64::from(block) + 1)
            .map(|r| r.start as BlockNo)
    }

    /// Blocks left in this cycle and asked for the next.
    pub fn blocks_left(&self) -> u64 {
        self.todo.total() + self.next.total()
    }

    /// Nothing is left to send, in this cycle or the next.
    pub fn is_at_end(&self) -> bool {
        self.at.is_none() && self.next.is_empty()
    }

    /// Moves on by up to `max` symbols of the current block; gives the block and how many. The cycle is at
    /// its end when none are left.
    pub fn take(&mut self, max: usize) -> Option<(BlockNo, usize)> {
        let (block, from) = self.at?;
        let left = self.left();
        let count = left.min(max);
        if count < left {
            self.at = Some((block, from + count as SymbolNo));
        } else {
            self.todo.remove(u64::from(block)..u64::from(block) + 1);
            self.extra = self.extra_later;
            self.at = self.todo.first().map(|b| (b as BlockNo, 0));
        }
        Some((block, count))
    }

    /// Symbols of the current block that are left in this cycle.
    pub fn left(&self) -> usize {
        let (block, from) = self.at.unwrap_or((0, SymbolNo::MAX));
        self.symbols(block).saturating_sub(usize::from(from))
    }

    /// Symbols of a block in a cycle.
    pub fn symbols(&self, block: BlockNo) -> usize {
        let source = self.geometry.symbols(block);
        if self.geometry.parity(block) == 0 {
            return source.into();
        }
        let larger = self.geometry.symbols(self.geometry.first_content_block());
        usize::from(source) + usize::from(self.extra[usize::from(source < larger)])
    }

    /// Forgets all that is lacked: nobody is left.
    pub fn clear(&mut self) {
        self.todo.clear();
        self.next.clear();
        self.at = None;
    }
}

/// What a surplus adds to content blocks, which are within one symbol of each other.
fn extra(geometry: Geometry, surplus: Surplus) -> [u16; 2] {
    let first = geometry.first_content_block();
    let (larger, parity) = (geometry.symbols(first), geometry.parity(first));
    [larger, larger.saturating_sub(1)].map(|n| surplus.symbols(n, parity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(blocks: u64) -> Walk {
        // One table block and no more than one page block before the content.
        let g = Geometry::new(blocks * 4 * 1024, 1024, 4, 0, 64).unwrap();
        Walk::new(g, Surplus::None)
    }

    fn sent(w: &mut Walk, max: usize) -> Vec<(BlockNo, SymbolNo)> {
        let mut out = Vec::new();
        loop {
            let from = w.position().symbol;
            let Some((block, count)) = w.take(max) else {
                return out;
            };
            out.extend((from..from + count as u16).map(|s| (block, s)));
        }
    }

    #[test]
    fn a_cycle_brings_each_wanted_symbol_once_in_order() {
        let mut w = walk(10);
        let blocks = w.geometry.blocks();
        w.want(0..blocks);
        assert!(w.begin_cycle());
        let got = sent(&mut w, 3);
        assert_eq!(got.len() as u64, w.geometry.total_symbols());
        assert!(got.windows(2).all(|p| p[0] < p[1]));
        assert!(w.is_at_end() && !w.begin_cycle());
        assert_eq!(
            w.position(),
            Position {
                cycle: 0,
                block: blocks,
                symbol: 0
            }
        );
    }

    #[test]
    fn before_the_first_cycle_it_stands_at_its_beginning() {
        let mut w = walk(10);
        assert_eq!(w.position(), Position::default());
        w.want(0..3);
        assert_eq!(w.position(), Position::default());
        w.begin_cycle();
        assert_eq!(w.position(), Position::default());
    }

    #[test]
    fn a_late_joiner_makes_a_second_cycle_of_what_it_missed_only() {
        let mut w = walk(10);
        let blocks = w.geometry.blocks();
        w.want(0..blocks);
        w.begin_cycle();
        while w.current() != Some(6) {
            w.take(4);
        }
        w.take(2);
        w.want(0..blocks);
        sent(&mut w, 4);
        assert!(w.begin_cycle());
        let again: Vec<_> = sent(&mut w, 4).into_iter().map(|(b, _)| b).collect();
        assert_eq!(again.first(), Some(&0));
        assert_eq!(
            again.last(),
            Some(&5),
            "the half-sent block is asked for by NAK"
        );
        assert_eq!(w.position().cycle, 1);
    }

    #[test]
    fn what_is_ahead_joins_the_running_cycle() {
        let mut w = walk(10);
        w.want(3..4);
        w.begin_cycle();
        w.want(2..6);
        assert!(w.is_ahead(5) && !w.is_ahead(2));
        let got: Vec<_> = sent(&mut w, 9).into_iter().map(|(b, _)| b).collect();
        assert!(got.contains(&5) && !got.contains(&2));
        assert!(w.begin_cycle());
    }

    #[test]
    fn content_brings_its_surplus() {
        let g = Geometry::new(8 * 1024, 1024, 4, 4, 64).unwrap();
        let mut w = Walk::new(g, Surplus::Share(0.5));
        w.want(0..g.blocks());
        w.begin_cycle();
        let got = sent(&mut w, 4);
        let of = |block| got.iter().filter(|&&(b, _)| b == block).count();
        assert_eq!([of(0), of(1), of(2), of(3)], [1, 1, 6, 6]);
        assert_eq!(w.position().block, g.blocks());
    }

    #[test]
    fn another_surplus_begins_with_a_block() {
        let g = Geometry::new(11 * 1024, 1024, 4, 4, 64).unwrap();
        let mut w = Walk::new(g, Surplus::Share(1.0));
        w.want(0..g.blocks());
        w.begin_cycle();
        while w.position().block < 2 {
            w.take(1);
        }
        // Half sent, it keeps what it began with.
        w.take(6);
        w.set_surplus(Surplus::None);
        assert_eq!(w.left(), 2);
        w.take(2);
        assert_eq!((w.current(), w.left()), (Some(3), 4));
        // Where nothing of it has left, it gets the new one.
        w.set_surplus(Surplus::Share(0.75));
        assert_eq!(w.left(), 7);
        let got = sent(&mut w, 4);
        let of = |block| got.iter().filter(|&&(b, _)| b == block).count();
        assert_eq!([of(3), of(4)], [7, 6], "of 4 and 3 source symbols");
    }

    #[test]
    fn of_a_half_sent_block_the_rest_still_comes() {
        let mut w = walk(4);
        w.want(0..6);
        w.begin_cycle();
        while w.position().block < 2 {
            w.take(100);
        }
        w.take(3);
        assert_eq!((w.brings_from(2), w.brings_from(1)), (Some(3), None));
    }
}
