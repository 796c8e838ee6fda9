//! What leaves next of one object on a channel: fresh symbols and repairs in turn.

use core::ops::Range;

use crate::carousel::{Pending, Repairs, Ring, Surplus, Walk};
use crate::ids::{BlockNo, SymbolNo};
use crate::object::{Geometry, Zeros};
use crate::range_set::RangeSet;
use crate::symbol_set::SymbolSet;
use crate::wire::Position;

/// One object's cycles and repairs on one channel.
///
/// Only blocks that are here go out. What is asked for of a block that is missing waits until that
/// comes, and then the block goes out in a cycle.
#[derive(Clone, Debug)]
pub struct Carousel {
    geometry: Geometry,
    walk: Walk,
    repairs: Repairs,
    ring: Ring,
    /// Symbols repaired beyond those sent in their turn, of late.
    ahead: usize,
    /// Blocks that are not here.
    missing: RangeSet,
    /// Missing blocks that somebody lacks.
    awaited: RangeSet,
    /// Blocks of zeros, which go out only when they are asked for by number.
    unasked: RangeSet,
}

/// A block that symbols come from, and whether its parity is needed for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The block.
    pub block: BlockNo,
    /// Its parity is needed.
    pub parity: bool,
}

/// Where the next symbols come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextRun {
    /// The block, with its parity if that is needed.
    pub piece: Piece,
    /// Somebody asked for them.
    pub is_repair: bool,
    /// Repairs have to take turns with fresh data.
    pub backlog: bool,
}

impl Carousel {
    /// A carousel of an object that nobody has asked anything of; `missing` blocks of it are not
    /// here, and `zeros` go out only to who asks for them.
    pub fn new(geometry: Geometry, surplus: Surplus, missing: RangeSet, zeros: Zeros) -> Carousel {
        Carousel {
            geometry,
            walk: Walk::new(geometry, surplus, zeros.clone()),
            unasked: zeros.blocks().clone(),
            repairs: Repairs::new(),
            ring: Ring::new(geometry, zeros),
            ahead: 0,
            missing,
            awaited: RangeSet::new(),
        }
    }

    /// How the object is cut.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Which blocks the cycle has passed.
    pub fn position(&self) -> Position {
        let position = self.walk.position();
        let symbol = self.ring.symbol(position.block, position.symbol);
        Position { symbol, ..position }
    }

    /// Windows from the next on get another surplus.
    pub fn set_surplus(&mut self, surplus: Surplus) {
        self.walk.set_surplus(surplus);
    }

    /// Symbols that the surplus adds to a content block.
    pub fn surplus(&self) -> u16 {
        self.walk.surplus()
    }

    /// Windows from the next on have this many content blocks.
    pub fn set_depth(&mut self, depth: u16) {
        self.walk.set_depth(depth);
    }

    /// Somebody lacks these blocks: they go out in a cycle. Gives whether all of them are here.
    ///
    /// The table does not wait for the next: without it nothing of a tree has its place.
    pub fn want(&mut self, blocks: Range<BlockNo>) -> bool {
        let table = self.geometry.first_content_block();
        if self.walk.current().is_some_and(|block| block >= table) {
            let of_table = blocks.start..blocks.end.min(table);
            let is_here = !of_table.clone().any(|b| self.missing.contains(b.into()));
            for block in of_table {
                self.repair(block, &SymbolSet::full(self.geometry.symbols(block)));
            }
            let content = blocks.start.max(table)..blocks.end;
            return self.want_in_cycle(content) && is_here;
        }
        self.want_in_cycle(blocks)
    }

    fn want_in_cycle(&mut self, blocks: Range<BlockNo>) -> bool {
        if self.missing.is_empty() {
            self.walk.want(blocks);
            return true;
        }
        let end = blocks.end.min(self.geometry.blocks());
        let all = u64::from(blocks.start)..u64::from(end);
        let mut awaited = RangeSet::new();
        awaited.insert(all.clone());
        for here in self.missing.gaps(all) {
            self.walk.want(here.start as BlockNo..here.end as BlockNo);
            awaited.remove(here);
        }
        self.awaited.union_with(&awaited);
        awaited.is_empty()
    }

    /// Somebody lacks all blocks.
    pub fn want_all(&mut self) {
        let all = 0..u64::from(self.geometry.blocks());
        let wanted: Vec<_> = self.unasked.gaps(all).collect();
        for run in wanted {
            self.want(run.start as BlockNo..run.end as BlockNo);
        }
    }

    /// A block that was missing is here.
    pub fn handle_block(&mut self, block: BlockNo) {
        let range = u64::from(block)..u64::from(block) + 1;
        self.missing.remove(range.clone());
        if self.awaited.remove(range) > 0 {
            self.walk.want(block..block + 1);
        }
    }

    /// Whether a block is missing, and if so waits for it.
    fn awaits(&mut self, block: BlockNo) -> bool {
        let missing = self.missing.contains(u64::from(block));
        if missing {
            self.awaited.insert(u64::from(block)..u64::from(block) + 1);
        }
        missing
    }

    /// The cycle will still bring all of this block.
    pub fn is_ahead(&self, block: BlockNo) -> bool {
        self.walk.is_ahead(block)
    }

    /// The first symbol that the cycle will still bring of a block that is half sent.
    pub fn brings_from(&self, block: BlockNo) -> Option<SymbolNo> {
        let sent = self.walk.brings_from(block)?;
        Some(self.ring.symbol(block, sent))
    }

    /// Begins the next cycle, if one is at its end and something is wanted.
    pub fn begin_cycle(&mut self) {
        self.walk.begin_cycle();
    }

    /// The running cycle has sent all its blocks.
    pub fn has_cycled(&self) -> bool {
        self.walk.current().is_none()
    }

    /// Blocks that are wanted and have not gone out.
    pub fn blocks_left(&self) -> u64 {
        self.walk.blocks_left()
    }

    /// No block is wanted, here or missing.
    pub fn is_at_end(&self) -> bool {
        self.walk.is_at_end() && self.awaited.is_empty()
    }

    /// What waits to be repaired of a block.
    pub fn pending(&self, block: BlockNo) -> Option<&Pending> {
        self.repairs.pending(block)
    }

    /// Puts symbols of a block in line, by name.
    pub fn repair(&mut self, block: BlockNo, missing: &SymbolSet) {
        if !self.awaits(block) {
            self.repairs.add(block, missing);
        }
    }

    /// Puts any `lacking` symbols of a block in line, or those named, and `more` that are new.
    pub fn repair_lacking(
        &mut self,
        block: BlockNo,
        (lacking, more): (usize, usize),
        named: Option<&SymbolSet>,
    ) {
        if !self.awaits(block) {
            let parity = usize::from(self.geometry.parity(block));
            self.repairs
                .add_lacking(block, (lacking, more), named, parity);
        }
    }

    /// Nothing waits to be repaired.
    pub fn is_repaired(&self) -> bool {
        self.repairs.is_empty()
    }

    /// Something is to be sent.
    pub fn has_work(&self) -> bool {
        self.walk.current().is_some() || !self.repairs.is_empty()
    }

    /// Symbols that wait to be sent because somebody asked, repairs and whole blocks.
    pub fn waiting(&self) -> u64 {
        self.repairs.len() as u64 + self.walk.blocks_left() * u64::from(self.geometry.k())
    }

    /// Nobody lacks anything any more.
    pub fn clear(&mut self) {
        self.walk.clear();
        self.repairs.clear();
        self.awaited.clear();
    }

    /// The number of blocks with repairs is within its cap.
    pub fn is_bounded(&self) -> bool {
        self.repairs.blocks() <= Repairs::MAX_BLOCKS
    }

    /// The block that the next repairs come from.
    fn next_repair(&self) -> Option<Piece> {
        let block = self.repairs.current()?;
        Some(self.repair_of(block))
    }

    /// A block with repairs, as many as wait.
    fn repair_of(&self, block: BlockNo) -> Piece {
        let any = self.repairs.pending(block).map_or(0, |p| p.any);
        let parity = any > 0 && self.ring.brings_new_parity(block, any);
        Piece { block, parity }
    }

    /// The block that the next fresh data comes from, with the rest of it.
    fn next_fresh(&self) -> Option<Piece> {
        let block = self.walk.current()?;
        let parity = self.ring.brings_parity(block, self.walk.left());
        Some(Piece { block, parity })
    }

    /// What goes out now: of repairs, and of fresh data.
    pub fn current(&self) -> [Option<Piece>; 2] {
        [self.next_repair(), self.next_fresh()]
    }

    /// What goes out after that.
    pub fn upcoming(&self) -> impl Iterator<Item = Piece> + '_ {
        let fresh = self.walk.upcoming().map(|(block, left)| Piece {
            block,
            parity: self.ring.brings_parity(block, left),
        });
        let repair = self.repairs.current().and_then(|b| self.repairs.after(b));
        fresh.chain(repair.map(|block| self.repair_of(block)))
    }

    /// The next run, of what `is_ready` in memory. A little to repair goes first, because
    /// somebody's timer runs. A lot takes turns with fresh data, and so does a little that is asked
    /// for again and again, so that no receiver's losses hold up the others.
    pub fn next_run(&self, repair_turn: bool, is_ready: impl Fn(Piece) -> bool) -> Option<NextRun> {
        let backlog = self.repairs.len().max(self.ahead) > self.backlog();
        let ready = |next: Option<Piece>, is_repair| {
            next.filter(|&piece| is_ready(piece)).map(|piece| NextRun {
                piece,
                is_repair,
                backlog,
            })
        };
        let repair = ready(self.next_repair(), true);
        let fresh = ready(self.next_fresh(), false);
        if backlog && !repair_turn {
            fresh.or(repair)
        } else {
            repair.or(fresh)
        }
    }

    /// Takes up to `max` symbols of a run that [`next_run`](Carousel::next_run) gave.
    pub fn take(&mut self, run: NextRun, max: usize, symbols: &mut Vec<SymbolNo>) {
        let block = run.piece.block;
        if run.is_repair {
            self.repairs.take_named(block, max, symbols);
            let any = self.repairs.take_any(block, max - symbols.len());
            self.ring.take_new(block, any, symbols);
            // At most a block more than makes them take turns: it is soon made up for.
            self.ahead = (self.ahead + symbols.len()).min(self.backlog() * 3 / 2);
        } else if let Some((_, count)) = self.walk.take(max) {
            self.ring.take(block, count, symbols);
            self.ahead = self.ahead.saturating_sub(symbols.len());
        }
    }

    /// Symbols to repair, or repaired, that take turns with fresh data: two blocks' worth.
    fn backlog(&self) -> usize {
        2 * usize::from(self.geometry.k())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks that go out now, in order.
    fn blocks(carousel: &mut Carousel) -> Vec<BlockNo> {
        let mut blocks = Vec::new();
        carousel.begin_cycle();
        while let Some(run) = carousel.next_run(true, |_| true) {
            let mut symbols = Vec::new();
            carousel.take(run, 64, &mut symbols);
            blocks.push(run.piece.block);
        }
        blocks.dedup();
        blocks
    }

    #[test]
    fn only_blocks_that_are_here_go_out_and_others_when_they_come() {
        let geometry = Geometry::new(20 * 1024, 1024, 4, 0, 64).unwrap();
        let mut missing = RangeSet::new();
        missing.insert(2..4);
        let mut carousel = Carousel::new(geometry, Surplus::None, missing, Zeros::default());
        let all: Vec<BlockNo> = (0..geometry.blocks()).collect();
        carousel.want_all();
        let here: Vec<BlockNo> = all
            .iter()
            .copied()
            .filter(|b| !(2..4).contains(b))
            .collect();
        assert_eq!(blocks(&mut carousel), here);
        assert!(!carousel.is_at_end() && !carousel.has_work());
        carousel.handle_block(3);
        assert_eq!(blocks(&mut carousel), [3]);
        // Repairs of what is missing wait too; what nobody lacks when it comes does not go out.
        carousel.clear();
        carousel.repair(2, &SymbolSet::full(geometry.symbols(2)));
        assert!(carousel.is_repaired() && !carousel.is_at_end());
        carousel.handle_block(2);
        assert_eq!(blocks(&mut carousel), [2]);
        assert!(carousel.is_at_end() && carousel.want(0..geometry.blocks()));
        assert_eq!(blocks(&mut carousel), all);
    }
}
