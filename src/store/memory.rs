//! An object in memory.
//!
//! Takes the bytes of an object that is offered, or blocks and pages of one that comes in, and
//! gives blocks back. It follows the same rules as an object on disk: no block is believed before
//! its hash holds, and one that comes before the page with its hash waits for that. It is for
//! simulations, tests and small objects: nothing bounds it but the object's length.

use std::collections::BTreeMap;

use crate::fault::{FaultKind, StoreFault};
use crate::fec::Decoder;
use crate::ids::{BlockNo, Hash};
use crate::object::{
    BlockKind, Codec, Description, FileTable, Geometry, GeometryError, PageChecker, PageTree,
    SafeName, block_hash,
};
use crate::range_set::RangeSet;
use crate::store::places::{Merge, Places};
use crate::store::traits::{fitting, not_held, source_len};
use crate::store::{BlockBuf, BlockResult, Settled, Store};

/// An object in memory, whole or coming in.
#[derive(Debug)]
pub struct Memory {
    description: Description,
    checker: PageChecker,
    /// Blocks of which anything is here.
    blocks: BTreeMap<BlockNo, Block>,
    verified: RangeSet,
    /// Hashes of whole blocks whose page has not come.
    unproven: BTreeMap<BlockNo, Hash>,
}

/// The source symbols of a block, and parity in the places of those that have not come.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    /// Which symbol stands in which place; `None` once the block is whole.
    places: Option<Places>,
}

impl Memory {
    /// A place for an object of which nothing is here.
    pub fn new(description: &Description) -> Memory {
        Memory {
            description: description.clone(),
            checker: PageChecker::new(description.geometry, description.hash_root),
            blocks: BTreeMap::new(),
            verified: RangeSet::new(),
            unproven: BTreeMap::new(),
        }
    }

    /// An object to be offered: a file of these bytes and this name, cut into symbols of
    /// `symbol_size` bytes and blocks of at most `k` of them, with as much parity as `codec` makes
    /// by default. It has neither time nor mode.
    pub fn holding(
        name: &SafeName,
        content: &[u8],
        symbol_size: u16,
        k: u16,
        codec: Codec,
    ) -> Result<Memory, GeometryError> {
        let length = content.len() as u64;
        let table = FileTable::single(name.clone(), length, None, None).encode();
        let m = codec.default_parity(k);
        let g = Geometry::new(length, symbol_size, k, m, table.len() as u32)?;
        let mut blocks = BTreeMap::from([(0, Block::whole(&g, 0, &table))]);
        let mut hashes = Vec::with_capacity(g.content_blocks() as usize);
        let mut rest = content;
        for block in g.first_content_block()..g.blocks() {
            let (bytes, after) = rest.split_at(rest.len().min(source_len(&g, block)));
            blocks.insert(block, Block::whole(&g, block, bytes));
            hashes.push(block_hash(bytes));
            rest = after;
        }
        #[expect(clippy::unwrap_used, reason = "there is a hash for each content block")]
        let tree = PageTree::build(g, &hashes).unwrap();
        for block in 1..g.first_content_block() {
            blocks.insert(block, Block::of_pages(&g, block, &tree, &hashes));
        }
        let description = Description {
            name: name.as_str().to_owned(),
            content: block_hash(content),
            geometry: g,
            codec,
            table_hash: block_hash(&table),
            hash_root: tree.root(),
        };
        let mut memory = Memory::new(&description);
        memory.blocks = blocks;
        memory.verified.insert(0..u64::from(g.blocks()));
        Ok(memory)
    }

    /// All bytes of the content, if every block is held.
    pub fn content(&self) -> Option<Vec<u8>> {
        let mut content = vec![0; self.description.geometry.length() as usize];
        self.read_at(0, &mut content).ok()?;
        Some(content)
    }

    fn holds(&self, block: BlockNo) -> bool {
        self.verified.contains(block.into())
    }

    fn verify(&mut self, block: BlockNo) {
        self.verified.insert(u64::from(block)..u64::from(block) + 1);
    }

    /// The hash that a content block should have, if its page is here.
    fn expected(&self, index: u32) -> Option<Hash> {
        let g = &self.description.geometry;
        let (page, place) = g.page_of(index);
        let (block, symbol) = g.place_of_page(page);
        let pages = self.blocks.get(&block).filter(|b| b.has(symbol))?;
        let start = usize::from(symbol) * usize::from(g.symbol_size()) + place * 32;
        let hash = pages.bytes.get(start..)?.first_chunk()?;
        Some(Hash(*hash))
    }

    /// Adds what the buffer has of its block.
    fn add(&mut self, buf: &BlockBuf) {
        let g = &self.description.geometry;
        let symbols = g.symbols(buf.block());
        let new = || Block::empty(source_len(g, buf.block()), symbols);
        let block = self.blocks.entry(buf.block()).or_insert_with(new);
        block.add(buf, g.symbol_size().into());
    }

    /// Makes a block whole from what there is of it; otherwise, or with another hash than
    /// `expected`, forgets it. Gives its hash.
    fn gather(&mut self, block: BlockNo, len: usize, expected: Option<Hash>) -> Option<Hash> {
        let g = self.description.geometry;
        let hash = self.blocks.get_mut(&block).and_then(|whole| {
            if !whole.restore(&g, block) {
                return None;
            }
            // What fills the last symbol is not hashed, and may be anything.
            whole.bytes[len..].fill(0);
            Some(block_hash(&whole.bytes[..len]))
        });
        let hash = hash.filter(|hash| expected.is_none_or(|e| e == *hash));
        if hash.is_none() {
            self.blocks.remove(&block);
        }
        hash
    }

    fn finish_table(&mut self) -> Result<BlockResult, StoreFault> {
        let g = self.description.geometry;
        let len = g.table_len() as usize;
        let expected = Some(self.description.table_hash);
        if self.gather(0, len, expected).is_none() {
            return Ok(BlockResult::Bad);
        }
        let table = self.blocks.get(&0).map(|b| &b.bytes[..len]);
        FileTable::parse(table.unwrap_or_default(), g.length()).map_err(|error| {
            let text = format!("the sender's file table is refused: {error}");
            StoreFault::new(FaultKind::Other, text)
        })?;
        self.verify(0);
        Ok(BlockResult::Verified)
    }

    fn finish_content(&mut self, block: BlockNo, index: u32, len: usize) -> BlockResult {
        if self.unproven.contains_key(&block) {
            return BlockResult::Unproven;
        }
        let expected = self.expected(index);
        match self.gather(block, len, expected) {
            None => BlockResult::Bad,
            Some(_) if expected.is_some() => {
                self.verify(block);
                BlockResult::Verified
            }
            Some(hash) => {
                self.unproven.insert(block, hash);
                BlockResult::Unproven
            }
        }
    }
}

impl Store for Memory {
    fn description(&self) -> &Description {
        &self.description
    }

    fn held(&self) -> RangeSet {
        self.verified.clone()
    }

    fn read_block(&self, block: BlockNo, slot: &mut [u8]) -> Result<usize, StoreFault> {
        let g = &self.description.geometry;
        let slot = fitting(g, block, source_len(g, block), slot)?;
        let here = self.blocks.get(&block).filter(|_| self.holds(block));
        let bytes = &here.ok_or_else(|| not_held(block))?.bytes;
        slot.copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_partial(&mut self, buf: &BlockBuf) -> Result<(), StoreFault> {
        // What holds is never written over by what has not been checked.
        if !self.holds(buf.block()) && !self.unproven.contains_key(&buf.block()) {
            self.add(buf);
        }
        Ok(())
    }

    fn finish_block(
        &mut self,
        block: BlockNo,
        buf: Option<&mut BlockBuf>,
    ) -> Result<BlockResult, StoreFault> {
        if self.holds(block) {
            return Ok(BlockResult::Verified);
        }
        if let Some(buf) = buf {
            self.write_partial(buf)?;
        }
        match self.description.geometry.kind(block) {
            BlockKind::Table => self.finish_table(),
            BlockKind::Pages { .. } | BlockKind::Content { len: 0, .. } => Ok(BlockResult::Bad),
            BlockKind::Content { index, len, .. } => {
                Ok(self.finish_content(block, index, len as usize))
            }
        }
    }

    fn store_page(&mut self, page: u32, symbol: &[u8]) -> Result<Settled, StoreFault> {
        let mut settled = Settled::default();
        let g = self.description.geometry;
        let (block, place) = g.place_of_page(page);
        if self.blocks.get(&block).is_some_and(|b| b.has(place)) {
            return Ok(settled);
        }
        let Ok(hashes) = self.checker.check(page, symbol) else {
            settled.refused = true;
            return Ok(settled);
        };
        let new = || Block::empty(source_len(&g, block), g.symbols(block));
        let pages = self.blocks.entry(block).or_insert_with(new);
        pages.put(place, symbol);
        if pages.places.is_none() {
            self.verify(block);
        }
        for (index, hash) in hashes.iter() {
            let block = g.first_content_block() + index;
            match self.unproven.remove(&block) {
                None => {}
                Some(computed) if computed == hash => {
                    self.verify(block);
                    settled.verified.push(block);
                }
                Some(_) => {
                    self.blocks.remove(&block);
                    settled.bad.push(block);
                }
            }
        }
        Ok(settled)
    }

    fn finish(&mut self) -> Result<(), StoreFault> {
        let blocks = u64::from(self.description.geometry.blocks());
        if self.verified.contains_range(0..blocks) {
            return Ok(());
        }
        let lacking = blocks - self.verified.total();
        let text = format!("{lacking} blocks are not verified yet");
        Err(StoreFault::new(FaultKind::Other, text))
    }

    /// Of what is kept, a later run has the verified blocks.
    fn abandon(&mut self, keep: bool) -> Result<(), StoreFault> {
        if !keep {
            self.verified.clear();
        }
        self.unproven.clear();
        let verified = &self.verified;
        self.blocks.retain(|&b, _| verified.contains(b.into()));
        Ok(())
    }
}

impl Block {
    fn empty(len: usize, symbols: u16) -> Block {
        Block {
            bytes: vec![0; len],
            places: Some(Places::new(symbols)),
        }
    }

    /// A block of these bytes, its last symbol filled up with zeros.
    fn whole(g: &Geometry, block: BlockNo, bytes: &[u8]) -> Block {
        let mut bytes = bytes.to_vec();
        bytes.resize(source_len(g, block), 0);
        Block {
            bytes,
            places: None,
        }
    }

    /// A block of pages with the hashes of all content blocks.
    fn of_pages(g: &Geometry, block: BlockNo, tree: &PageTree, hashes: &[Hash]) -> Block {
        let mut pages = Block::whole(g, block, &[]);
        let symbols = pages.bytes.chunks_exact_mut(g.symbol_size().into());
        for (place, symbol) in (0..).zip(symbols) {
            let page = g.page_at(block, place).unwrap_or_default();
            let first = page as usize * usize::from(g.hashes_per_page());
            let own = &hashes[first..first + usize::from(g.hashes_in(page))];
            tree.write_page(page, own, symbol);
        }
        pages
    }

    fn has(&self, symbol: u16) -> bool {
        let places = self.places.as_ref();
        places.is_none_or(|places| places.present().contains(symbol))
    }

    /// Puts a source symbol in its place.
    fn put(&mut self, symbol: u16, bytes: &[u8]) {
        let Some(places) = &mut self.places else {
            return;
        };
        places.add(symbol);
        self.bytes[usize::from(symbol) * bytes.len()..][..bytes.len()].copy_from_slice(bytes);
        if places.sources() * bytes.len() == self.bytes.len() {
            self.places = None;
        }
    }

    /// Adds what a buffer has beside what is here.
    fn add(&mut self, buf: &BlockBuf, size: usize) {
        let Some(places) = &mut self.places else {
            return;
        };
        let Merge { moves, copies } = places.merge(buf.places());
        let bytes_of = |place: u16| usize::from(place) * size..(usize::from(place) + 1) * size;
        // Those that are pushed out are read before anything is written over them.
        let mut pushed_out = Vec::with_capacity(moves.len() * size);
        for &(from, _) in &moves {
            pushed_out.extend_from_slice(&self.bytes[bytes_of(from)]);
        }
        for (from, to) in copies {
            self.bytes[bytes_of(to)].copy_from_slice(buf.place(from));
        }
        for (&(_, to), bytes) in moves.iter().zip(pushed_out.chunks_exact(size)) {
            self.bytes[bytes_of(to)].copy_from_slice(bytes);
        }
    }

    /// Restores the source symbols that have not come; false if there are too few others.
    fn restore(&mut self, g: &Geometry, block: BlockNo) -> bool {
        let Some(places) = &self.places else {
            return true;
        };
        let (symbols, size) = (g.symbols(block), usize::from(g.symbol_size()));
        if places.sources() < usize::from(symbols) {
            let mut decoder = Decoder::new();
            let Ok(mut decoding) = decoder.begin(symbols, g.parity(block), size) else {
                return false;
            };
            for (place, symbol) in places.occupied() {
                let bytes = &self.bytes[usize::from(place) * size..][..size];
                if decoding.add(symbol, bytes).is_err() {
                    return false;
                }
            }
            if decoding.restore(&mut self.bytes).is_err() {
                return false;
            }
        }
        self.places = None;
        true
    }
}

#[cfg(test)]
mod tests;
