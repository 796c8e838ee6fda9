//! One object: what it is, what of it is here, from whom, and what is verified.

use std::sync::Arc;

use crate::assemble::{Holdings, Insert, Origins, SourceNo, SourceSet};
use crate::ids::{BlockNo, ShortCodingId, SymbolNo};
use crate::object::{BlockKind, Description, Geometry, Part, Zeros};
use crate::range_set::RangeSet;
use crate::time::Time;
use crate::wire::Outcome;

/// How far an object has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectState {
    /// Something is lacking: symbols are taken.
    Lacking,
    /// All is verified, and is being synced and named.
    Finishing,
    /// Nothing more is done about it here: it is complete, or given up.
    Ended(Outcome),
    /// Its sender withdrew it at this time.
    Withdrawn(Time),
}

/// An object of a [`Library`](crate::engine::Library).
#[derive(Debug)]
pub struct Object {
    description: Arc<Description>,
    coding: ShortCodingId,
    holdings: Holdings,
    origins: Origins,
    /// Blocks that have the hash that they should and can be read.
    verified: RangeSet,
    bytes_verified: u64,
    state: ObjectState,
    opened: bool,
    looking: bool,
    /// Blocks that are not here and need not come.
    unwanted: RangeSet,
    /// Symbols that are zeros by the table.
    zeros: Zeros,
}

impl Object {
    /// An object of which nothing is here.
    pub(super) fn wanted(description: Description) -> Object {
        Object {
            coding: description.coding().short(),
            holdings: Holdings::new(description.geometry),
            origins: Origins::default(),
            verified: RangeSet::new(),
            bytes_verified: 0,
            state: ObjectState::Lacking,
            opened: false,
            looking: false,
            unwanted: RangeSet::new(),
            zeros: Zeros::default(),
            description: Arc::new(description),
        }
    }

    /// An object that is here as a whole.
    pub(super) fn whole(description: Description) -> Object {
        let mut object = Object::wanted(description);
        let blocks = object.geometry().blocks();
        object.holdings = Holdings::whole(object.description.geometry);
        object.verified.insert(0..u64::from(blocks));
        object.bytes_verified = object.geometry().length();
        object.state = ObjectState::Ended(Outcome::Complete);
        object.opened = true;
        object
    }

    /// What it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// What it is, shared with those who tell of it.
    pub fn shared_description(&self) -> Arc<Description> {
        Arc::clone(&self.description)
    }

    /// How it is cut into blocks and symbols.
    pub fn geometry(&self) -> &Geometry {
        &self.description.geometry
    }

    /// Short form of its coding id, which data packets carry.
    pub fn coding(&self) -> ShortCodingId {
        self.coding
    }

    /// Symbols and blocks that are here, verified or not.
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// How far it has come.
    pub fn state(&self) -> ObjectState {
        self.state
    }

    /// Something of it is lacking or not verified yet, and symbols are taken.
    pub fn is_lacking(&self) -> bool {
        self.state == ObjectState::Lacking
    }

    /// Nothing more will be done about it here.
    pub fn has_ended(&self) -> bool {
        matches!(
            self.state,
            ObjectState::Ended(_) | ObjectState::Withdrawn(_)
        )
    }

    /// Its sender withdrew it.
    pub fn is_withdrawn(&self) -> bool {
        matches!(self.state, ObjectState::Withdrawn(_))
    }

    /// Nothing more has to come: all symbols are here, or it has ended in one way or another.
    /// Blocks may still be on their way through the hash to the disk.
    pub fn needs_nothing(&self) -> bool {
        !self.is_lacking() || self.holdings.is_whole()
    }

    /// Its place on disk is known, and what is there from an earlier run.
    pub fn is_opened(&self) -> bool {
        self.opened
    }

    /// Symbols that are zeros by the table: who has that need not be sent them.
    pub fn zeros(&self) -> &Zeros {
        &self.zeros
    }

    pub(super) fn set_zeros(&mut self, zeros: Zeros) {
        self.zeros = zeros;
    }

    /// What is here of it already is still being looked for.
    pub fn is_looking(&self) -> bool {
        self.looking
    }

    /// What is here already is being looked for, or no more: meanwhile only the table is lacking.
    pub(super) fn set_looking(&mut self, looking: bool) {
        self.looking = looking;
        let g = self.geometry();
        let reach = if looking {
            g.first_content_block()
        } else {
            g.blocks()
        };
        self.holdings.set_reach(reach);
    }

    /// Whether a block that is lacking may be asked for: while what is here already is looked for,
    /// only if it is of the table; before that is here, not if nothing of it has come, as nobody
    /// knows then whether it is zeros.
    pub fn may_ask_for(&self, block: BlockNo) -> bool {
        let in_table = block < self.geometry().first_content_block();
        in_table || (!self.looking && (self.has_table() || !self.holdings.is_absent(block)))
    }

    /// Whether all of the table is here and holds.
    pub fn has_table(&self) -> bool {
        let table = 0..u64::from(self.geometry().first_content_block());
        self.verified.contains_range(table)
    }

    /// Bytes of content that are verified.
    pub fn bytes_verified(&self) -> u64 {
        self.bytes_verified
    }

    /// The block is verified and can be read.
    pub fn is_verified(&self, block: BlockNo) -> bool {
        self.verified.contains(u64::from(block))
    }

    /// The blocks that are verified and can be read.
    pub fn verified_blocks(&self) -> &RangeSet {
        &self.verified
    }

    /// First verified block at or after `from` and before `to`.
    pub fn next_verified(&self, from: BlockNo, to: BlockNo) -> Option<BlockNo> {
        let run = self.verified.next_range_at(u64::from(from))?;
        let block = run.start.max(u64::from(from)) as BlockNo;
        (block < to).then_some(block)
    }

    /// Blocks that are not verified, and can't be read.
    pub fn unverified(&self) -> RangeSet {
        let mut blocks = RangeSet::new();
        let all = 0..u64::from(self.geometry().blocks());
        for gap in self.verified.gaps(all) {
            blocks.insert(gap);
        }
        blocks
    }

    /// Number of blocks that are not verified.
    pub fn blocks_lacking(&self) -> u64 {
        u64::from(self.geometry().blocks()) - self.verified.total()
    }

    /// Every block is verified, or nobody wants it.
    pub fn is_all_verified(&self) -> bool {
        let all = 0..u64::from(self.geometry().blocks());
        let lacking = self.verified.gaps(all);
        lacking
            .into_iter()
            .all(|gap| self.unwanted.contains_range(gap))
    }

    /// Takes note of blocks that nobody wants: they are not asked for.
    pub(super) fn set_unwanted(&mut self, blocks: &[BlockNo]) {
        for &block in blocks {
            if !self.is_verified(block) {
                self.holdings.insert_block(block);
                self.unwanted.insert(u64::from(block)..u64::from(block) + 1);
            }
        }
    }

    /// Blocks in doubt, and blocks whose origin is kept, are within their caps.
    pub(super) fn is_bounded(&self) -> bool {
        self.origins.is_bounded(self.geometry().blocks())
    }

    pub(super) fn set_state(&mut self, state: ObjectState) {
        self.state = state;
    }

    /// Its place on disk is known, with these blocks from an earlier run.
    pub(super) fn open(&mut self, blocks: &RangeSet) {
        self.opened = true;
        for block in blocks.iter().flatten() {
            self.add_block(block as BlockNo);
        }
    }

    /// A block is here as a whole, and verified.
    pub(super) fn add_block(&mut self, block: BlockNo) {
        self.holdings.insert_block(block);
        self.verify(block);
    }

    /// Whether a symbol that is lacking is not taken from this source now, because its block was
    /// wrong and is put together from one source at a time.
    pub(super) fn doubts(&mut self, block: BlockNo, symbol: SymbolNo, source: SourceNo) -> bool {
        let symbols = self.geometry().symbols(block);
        !self.origins.is_clear()
            && !self.holdings.contains(block, symbol)
            && !self.origins.takes(block, source, symbols)
    }

    /// Takes a symbol. Blocks of hash pages prove themselves: complete, they are verified.
    pub(super) fn insert(&mut self, block: BlockNo, symbol: SymbolNo, source: SourceNo) -> Insert {
        let insert = self.holdings.insert(block, symbol);
        if insert != Insert::Duplicate {
            self.origins.came(block, source);
        }
        if insert == Insert::Completed && self.proves_itself(block) {
            self.verify(block);
        }
        insert
    }

    /// A symbol is here without having come; true if it completes its block.
    pub(super) fn add_symbol(&mut self, block: BlockNo, symbol: SymbolNo) -> bool {
        self.holdings.insert_found(block, symbol) == Insert::Completed
    }

    /// Whether a block needs no check: each symbol of it was proved when it came.
    pub(super) fn proves_itself(&self, block: BlockNo) -> bool {
        self.geometry().is_page(block)
    }

    /// Marks a block as verified; gives the sources that had a part in it when it was wrong, and
    /// none now.
    pub(super) fn verify(&mut self, block: BlockNo) -> SourceSet {
        // It need not have come symbol by symbol.
        self.holdings.insert_block(block);
        let new = self.verified.insert(u64::from(block)..u64::from(block) + 1) > 0;
        let kind = self.geometry().kind(block);
        if let BlockKind::Data {
            part: Part::Content,
            len,
            ..
        } = kind
            && new
        {
            self.bytes_verified += u64::from(len);
        }
        self.origins.verified(block)
    }

    /// Takes out a block that was wrong; gives the sources that had a part in it.
    pub(super) fn remove_block(&mut self, block: BlockNo) -> SourceSet {
        self.holdings.remove_block(block);
        self.unverify(block);
        self.origins.failed(block)
    }

    /// Takes out a symbol that could not be kept.
    pub(super) fn remove(&mut self, block: BlockNo, symbol: SymbolNo) {
        self.holdings.remove(block, symbol);
        self.unverify(block);
    }

    fn unverify(&mut self, block: BlockNo) {
        self.verified.remove(u64::from(block)..u64::from(block) + 1);
    }
}
