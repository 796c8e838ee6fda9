//! Cycle after cycle over one object's blocks.

use core::ops::Range;

use crate::carousel::Surplus;
use crate::ids::{BlockNo, SymbolNo};
use crate::object::{Geometry, Part, Zeros};
use crate::range_set::RangeSet;
use crate::wire::Position;

/// One object's cycles: blocks in increasing order, of each as many symbols as it has source
/// symbols, and its surplus.
///
/// A cycle carries only blocks that somebody lacks. What is asked for ahead of the position joins
/// the running cycle, the rest waits for the next.
///
/// The blocks go out in windows: those of one in turn, a run of each, so that a burst of losses is
/// spread over them. A window is of one block unless [`set_depth`](Walk::set_depth) says otherwise.
/// The position is the window's first block, and only what leaves of that block tells it: so a
/// block below the position has gone out whole, and receivers need not know how deep windows are.
#[derive(Clone, Debug)]
pub struct Walk {
    geometry: Geometry,
    zeros: Zeros,
    surplus: Surplus,
    /// What the surplus adds to blocks of each length.
    extra: Extra,
    /// The same for the windows after the current one.
    extra_later: Extra,
    /// Blocks in the windows after the current one, at most.
    depth: u16,
    cycle: u32,
    /// Of this cycle, after the window.
    todo: RangeSet,
    next: RangeSet,
    /// Blocks that go out in turn, increasing, and how many symbols of each have gone. Empty
    /// between cycles.
    window: Vec<(BlockNo, SymbolNo)>,
    /// The window has several blocks: a burst of losses takes as much from a short one as from the
    /// others.
    is_shared: bool,
    /// Whose turn in the window it is: of a block that has symbols left.
    turn: usize,
    begun: bool,
}

impl Walk {
    /// A walk that nobody has asked anything of.
    pub fn new(geometry: Geometry, surplus: Surplus, zeros: Zeros) -> Walk {
        Walk {
            geometry,
            zeros,
            surplus,
            extra: Extra::new(&geometry, surplus),
            extra_later: Extra::new(&geometry, surplus),
            depth: 1,
            cycle: 0,
            todo: RangeSet::new(),
            next: RangeSet::new(),
            window: Vec::new(),
            is_shared: false,
            turn: 0,
            begun: false,
        }
    }

    /// Windows from the next on get another surplus.
    pub fn set_surplus(&mut self, surplus: Surplus) {
        if surplus == self.surplus {
            return;
        }
        self.surplus = surplus;
        self.extra_later = Extra::new(&self.geometry, surplus);
        if self.window.iter().all(|&(_, sent)| sent == 0) {
            self.extra = self.extra_later;
        }
    }

    /// Symbols that the surplus adds to a full block, in the windows after the current one.
    pub fn surplus(&self) -> u16 {
        self.extra_later.of_longest()
    }

    /// Windows from the next on have so many content blocks; 0 is taken as 1.
    pub fn set_depth(&mut self, depth: u16) {
        self.depth = depth.max(1);
    }

    /// Below which all blocks of the cycle have gone out: at the first cycle's beginning before it
    /// has begun, so that nobody takes its first data for those of the next.
    pub fn position(&self) -> Position {
        let rest = if self.begun {
            self.geometry.blocks()
        } else {
            0
        };
        let (block, symbol) = self.window.first().copied().unwrap_or((rest, 0));
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
        let Some(&(last, _)) = self.window.last() else {
            self.next.insert(blocks);
            return;
        };
        let ahead = u64::from(last) + 1;
        if blocks.end > ahead {
            self.todo.insert(blocks.start.max(ahead)..blocks.end);
        }
        let behind = blocks.start..blocks.end.min(ahead);
        if !behind.is_empty() {
            self.next.insert(behind);
            for &(block, sent) in &self.window {
                if self.symbols(block) > usize::from(sent) {
                    self.next.remove(u64::from(block)..u64::from(block) + 1);
                }
            }
        }
    }

    /// The running cycle, or the next if none runs, will still bring all of this block.
    pub fn is_ahead(&self, block: BlockNo) -> bool {
        let (window, at) = (&self.window, u64::from(block));
        let next = window.is_empty() && self.next.contains(at);
        next || window.contains(&(block, 0)) || self.todo.contains(at)
    }

    /// The symbol from which on the running cycle will still bring a block that is half sent.
    pub fn brings_from(&self, block: BlockNo) -> Option<SymbolNo> {
        let (_, sent) = *self.window.iter().find(|&&(b, _)| b == block)?;
        (self.symbols(block) > usize::from(sent)).then_some(sent)
    }

    /// Begins the next cycle if the last is at its end and something is lacked; true if it did.
    pub fn begin_cycle(&mut self) -> bool {
        if !self.window.is_empty() || self.next.is_empty() {
            return false;
        }
        core::mem::swap(&mut self.todo, &mut self.next);
        self.next.clear();
        if self.begun {
            self.cycle = self.cycle.wrapping_add(1);
        }
        self.begun = true;
        self.open_window();
        !self.window.is_empty()
    }

    /// Takes the next blocks into the window. The windows of what is left are within one block of
    /// each other, so that the last is not a single block that a burst can empty. What comes before
    /// the content is small and goes out block by block.
    fn open_window(&mut self) {
        self.window.clear();
        self.turn = 0;
        self.extra = self.extra_later;
        let content = u64::from(self.geometry.first_content_block());
        let blocks = match self.todo.first() {
            None => return,
            Some(first) if first < content => 1,
            Some(_) => {
                let all = self.todo.total();
                all.div_ceil(all.div_ceil(u64::from(self.depth)))
            }
        };
        self.is_shared = blocks > 1;
        for _ in 0..blocks {
            let Some(block) = self.todo.first() else {
                return;
            };
            self.todo.remove(block..block + 1);
            self.window.push((block as BlockNo, 0));
        }
    }

    /// The block that the next fresh symbols come from.
    pub fn current(&self) -> Option<BlockNo> {
        self.window.get(self.turn).map(|&(block, _)| block)
    }

    /// The blocks of this cycle whose turn comes after that of the current one, and how many
    /// symbols of each are left: those of the window, then two or a window's worth of those after
    /// it.
    pub fn upcoming(&self) -> impl Iterator<Item = (BlockNo, usize)> + '_ {
        let places = (1..self.window.len()).map(|i| (self.turn + i) % self.window.len());
        let window = places.map(|i| (self.window[i].0, self.left_of(i)));
        let todo = self.todo.iter().flatten().map(|b| b as BlockNo);
        let todo = todo.map(|block| (block, self.symbols(block)));
        window
            .filter(|&(_, left)| left > 0)
            .chain(todo.take(usize::from(self.depth.max(2))))
    }

    /// Blocks left in this cycle and asked for the next.
    pub fn blocks_left(&self) -> u64 {
        let window = (0..self.window.len()).filter(|&i| self.left_of(i) > 0);
        window.count() as u64 + self.todo.total() + self.next.total()
    }

    /// Nothing is left to send, in this cycle or the next.
    pub fn is_at_end(&self) -> bool {
        self.window.is_empty() && self.next.is_empty()
    }

    /// Moves on by up to `max` symbols of the current block; gives the block and how many. The turn
    /// goes to the next block of the window. The cycle is at its end when none are left.
    pub fn take(&mut self, max: usize) -> Option<(BlockNo, usize)> {
        let count = self.left().min(max);
        let (block, sent) = self.window.get_mut(self.turn)?;
        let block = *block;
        *sent += count as SymbolNo;
        let blocks = self.window.len();
        let mut places = (1..=blocks).map(|i| (self.turn + i) % blocks);
        match places.find(|&i| self.left_of(i) > 0) {
            Some(turn) => self.turn = turn,
            None => self.open_window(),
        }
        Some((block, count))
    }

    /// Symbols of the current block that are left in this cycle.
    pub fn left(&self) -> usize {
        self.left_of(self.turn)
    }

    fn left_of(&self, place: usize) -> usize {
        let left = |&(block, sent): &(BlockNo, SymbolNo)| {
            self.symbols(block).saturating_sub(usize::from(sent))
        };
        self.window.get(place).map_or(0, left)
    }

    /// Symbols of a block in a cycle.
    pub fn symbols(&self, block: BlockNo) -> usize {
        let source = self.zeros.sources(&self.geometry, block);
        if self.geometry.parity(block) == 0 {
            return source.into();
        }
        let extra = if self.is_shared {
            self.extra.of_longest()
        } else {
            self.extra.of(source)
        };
        usize::from(source) + usize::from(extra)
    }

    /// Forgets all that is lacked: nobody is left.
    pub fn clear(&mut self) {
        self.todo.clear();
        self.next.clear();
        self.window.clear();
    }
}

/// What a surplus adds to blocks of each length that an object has: source symbols, and symbols
/// more.
///
/// The longest blocks come first; those of the content's and of the table's end may be shorter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Extra([(u16, u16); 3]);

impl Extra {
    fn new(geometry: &Geometry, surplus: Surplus) -> Extra {
        let last = |part| geometry.blocks_of(part).next_back();
        let symbols = |part| last(part).map_or(0, |block| geometry.symbols(block));
        let longest = geometry.most_symbols();
        let lengths = [longest, symbols(Part::Content), symbols(Part::Table)];
        Extra(lengths.map(|n| (n, surplus.symbols(n, geometry.m()))))
    }

    fn of_longest(&self) -> u16 {
        self.0[0].1
    }

    fn of(&self, source: u16) -> u16 {
        let found = self.0.iter().find(|(symbols, _)| *symbols == source);
        // Of a block that is partly zeros: a share less than its own would be falls with the root.
        let (most, extra) = self.0[0];
        let share = (f64::from(source) / f64::from(most.max(1))).sqrt();
        let less = || (f64::from(extra) * share).ceil() as u16;
        found.map_or_else(less, |&(_, extra)| extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(blocks: u64) -> Walk {
        // One table block and no more than one page block before the content.
        let g = Geometry::new(blocks * 4 * 1024, 1024, 4, 0, 64).unwrap();
        Walk::new(g, Surplus::None, Zeros::default())
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
        let mut w = Walk::new(g, Surplus::Share(0.5), Zeros::default());
        w.want(0..g.blocks());
        w.begin_cycle();
        let got = sent(&mut w, 4);
        let of = |block| got.iter().filter(|&&(b, _)| b == block).count();
        assert_eq!([of(0), of(1), of(2), of(3)], [3, 1, 6, 6]);
        assert_eq!(w.position().block, g.blocks());
    }

    #[test]
    fn another_surplus_begins_with_a_block() {
        let g = Geometry::new(11 * 1024, 1024, 4, 4, 64).unwrap();
        let mut w = Walk::new(g, Surplus::Share(1.0), Zeros::default());
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

    proptest! {
        /// Whatever the depth and the runs: every symbol goes out once, no more blocks than the
        /// depth are half sent, and what is below the position has gone out whole.
        #[test]
        fn windows_bring_what_block_by_block_does(
            blocks in 1_u64..40,
            depth in 0_u16..20,
            deeper in 0_u16..20,
            runs in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let g = Geometry::new(blocks * 4 * 1024 - 1, 1024, 4, 4, 64).unwrap();
            let mut w = Walk::new(g, Surplus::Share(0.5), Zeros::default());
            w.set_depth(depth);
            w.want(0..g.blocks());
            w.begin_cycle();
            let mut gone = vec![0; g.blocks() as usize];
            let mut position = w.position();
            let mut turn = 0;
            while let Some((block, count)) = w.take(runs[turn % runs.len()]) {
                turn += 1;
                gone[block as usize] += count;
                let left = |b: BlockNo| w.symbols(b) - gone[b as usize];
                let half = (0..g.blocks()).filter(|&b| left(b) > 0 && gone[b as usize] > 0);
                prop_assert!(half.count() <= usize::from(depth.max(deeper).max(1)));
                prop_assert!(w.position() >= position);
                position = w.position();
                prop_assert!((0..position.block.min(g.blocks())).all(|b| left(b) == 0));
                let all: usize = (0..g.blocks()).map(left).sum();
                prop_assert_eq!(w.upcoming().count() == 0 && w.left() == 0, all == 0);
                if turn == 5 {
                    w.set_depth(deeper);
                }
            }
            let symbols: Vec<usize> = (0..g.blocks()).map(|b| w.symbols(b)).collect();
            prop_assert_eq!(gone, symbols);
            prop_assert!(w.is_at_end() && w.position().block == g.blocks());
        }
    }

    #[test]
    fn a_window_takes_turns() {
        let mut w = walk(4);
        w.set_depth(3);
        w.want(2..6);
        w.begin_cycle();
        let mut got = Vec::new();
        while let Some((block, _)) = w.take(2) {
            got.push(block);
        }
        // Four blocks make two windows of two.
        assert_eq!(got, [2, 3, 2, 3, 4, 5, 4, 5]);
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
