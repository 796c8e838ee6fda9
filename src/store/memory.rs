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
use crate::object::table::{Entry, EntryKind, FileTable, TableWriter};
use crate::object::{
    BlockHashes, BlockKind, Checker, Codec, Description, Geometry, GeometryError, ObjectKind, Part,
    SafeName, hash_of,
};
use crate::range_set::RangeSet;
use crate::store::places::{Merge, Places};
use crate::store::traits::{fitting, not_held, source_len};
use crate::store::{BlockBuf, BlockResult, Settled, Store};

/// What a compressed table begins with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An object in memory, whole or coming in.
#[derive(Debug)]
pub struct Memory {
    description: Description,
    checker: Checker,
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
            checker: Checker::new(description),
            blocks: BTreeMap::new(),
            verified: RangeSet::new(),
            unproven: BTreeMap::new(),
        }
    }

    /// An object to be offered: a file of these bytes and this name, cut into symbols of
    /// `symbol_size` bytes and blocks of `block_kib` KiB, with as much parity as `codec` makes by
    /// default. Its time is 1970, its mode that of a new file.
    pub fn holding(
        name: &SafeName,
        content: &[u8],
        symbol_size: u16,
        block_kib: u32,
        codec: Codec,
    ) -> Result<Memory, GeometryError> {
        let length = content.len() as u64;
        let table = single(name, length);
        Memory::of(
            name,
            ObjectKind::File,
            &table,
            content,
            (symbol_size, block_kib, codec),
        )
    }

    /// An object to be offered, of any table.
    pub(crate) fn of(
        name: &SafeName,
        kind: ObjectKind,
        table: &[u8],
        content: &[u8],
        (symbol_size, block_kib, codec): (u16, u32, Codec),
    ) -> Result<Memory, GeometryError> {
        let new = |m| {
            let length = content.len() as u64;
            Geometry::new(length, symbol_size, block_kib, m, table.len() as u32)
        };
        let g = new(codec.default_parity(new(0)?.k()))?;
        let mut blocks = BTreeMap::new();
        let mut add = |part, bytes| Block::of_part(&g, part, bytes, &mut blocks);
        let description = Description {
            name: name.as_str().to_owned(),
            kind,
            table: add(Part::Table, table),
            content: add(Part::Content, content),
            geometry: g,
            codec,
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

    /// The hash that a block of data should have, if its page is here.
    fn expected(&self, block: BlockNo) -> Option<Hash> {
        let g = &self.description.geometry;
        let Some((page, place)) = g.page_of(block) else {
            return self.checker.proven(block);
        };
        let page = self.blocks.get(&page)?.bytes.get(place * 32..)?;
        page.first_chunk().map(|hash| Hash(*hash))
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
            Some(hash_of(&g, block, &whole.bytes[..len]))
        });
        let hash = hash.filter(|hash| expected.is_none_or(|e| e == *hash));
        if hash.is_none() {
            self.blocks.remove(&block);
        }
        hash
    }

    /// All of the table, once every block of it is verified.
    fn table(&self) -> Option<Vec<u8>> {
        let g = &self.description.geometry;
        let mut table = Vec::new();
        for block in g.blocks_of(Part::Table) {
            let bytes = &self.blocks.get(&block).filter(|_| self.holds(block))?.bytes;
            table.extend_from_slice(bytes.get(..data_len(g, block))?);
        }
        Some(table)
    }

    fn finish_data(&mut self, block: BlockNo, len: usize) -> BlockResult {
        if self.unproven.contains_key(&block) {
            return BlockResult::Unproven;
        }
        let expected = self.expected(block);
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

    /// Whether the table, if it is here, is one of such an object.
    fn check_table(&self) -> Result<(), StoreFault> {
        let Some(table) = self.table() else {
            return Ok(());
        };
        // One that is compressed is left to whoever can unpack it.
        if table.starts_with(&ZSTD) {
            return Ok(());
        }
        let length = self.description.geometry.length();
        match FileTable::parse(table, length) {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = format!("the sender's file table is refused: {error}");
                Err(StoreFault::new(FaultKind::Other, text))
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
        let BlockKind::Data {
            part,
            len: len @ 1..,
            ..
        } = self.description.geometry.kind(block)
        else {
            return Ok(BlockResult::Bad);
        };
        let result = self.finish_data(block, len as usize);
        if part == Part::Table && result == BlockResult::Verified {
            self.check_table()?;
        }
        Ok(result)
    }

    fn store_page(&mut self, block: BlockNo, symbol: &[u8]) -> Result<Settled, StoreFault> {
        let mut settled = Settled::default();
        if self.holds(block) {
            return Ok(settled);
        }
        let Ok(hashes) = self.checker.check(block, symbol) else {
            settled.refused = true;
            return Ok(settled);
        };
        let page = Block::whole(&self.description.geometry, block, symbol);
        self.blocks.insert(block, page);
        self.verify(block);
        for (block, hash) in hashes.iter() {
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
        self.check_table()?;
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

    /// All blocks of a part and its pages; gives the part's id.
    fn of_part(
        g: &Geometry,
        part: Part,
        mut rest: &[u8],
        blocks: &mut BTreeMap<BlockNo, Block>,
    ) -> Hash {
        let mut hashes = Vec::with_capacity(g.data_blocks(part) as usize);
        for block in g.blocks_of(part) {
            let (bytes, after) = rest.split_at(data_len(g, block).min(rest.len()));
            hashes.push(hash_of(g, block, bytes));
            blocks.insert(block, Block::whole(g, block, bytes));
            rest = after;
        }
        #[expect(clippy::unwrap_used, reason = "there is a hash for each block")]
        let hashes = BlockHashes::new(g, part, hashes).unwrap();
        for number in 0..g.pages(part) {
            let block = g.page_block(part, number);
            let mut page = Block::whole(g, block, &[]);
            hashes.write_page(number, &mut page.bytes);
            blocks.insert(block, page);
        }
        hashes.id()
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

/// The encoded table of one file.
fn single(name: &SafeName, length: u64) -> Vec<u8> {
    let mut table = TableWriter::new();
    // The last part of a safe name is one that a table can have, and nothing else here can be
    // refused.
    let _ = table.push(&Entry {
        path: name.split().1.as_bytes(),
        kind: EntryKind::File {
            length,
            hash: None,
            holes: Vec::new(),
        },
        mtime: 0,
        mode: 0o644,
        owner: None,
        xattrs: Vec::new(),
    });
    table.finish()
}

/// Bytes of its part that a block of data has.
fn data_len(g: &Geometry, block: BlockNo) -> usize {
    match g.kind(block) {
        BlockKind::Data { len, .. } => len as usize,
        BlockKind::Page { .. } => 0,
    }
}

#[cfg(test)]
mod tests;
