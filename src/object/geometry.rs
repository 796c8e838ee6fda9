//! From an object's length to blocks and symbols, and back.
//!
//! An object is two byte strings, its file table and its content, each cut into blocks of 2^b KiB
//! that are subtrees of its hash tree ([`hash_tree`](crate::object::hash_tree)). Where there are
//! several, pages of block hashes lie between them, each a block of one symbol just before the
//! blocks it proves. All blocks are numbered in one space, the table's first. So whatever recovers
//! content recovers the table and the hashes too.

use thiserror::Error;

use crate::config;
use crate::ids::{BlockNo, SymbolNo};
use crate::object::hash_tree::CHUNK;
use crate::symbol_set::SymbolSet;

/// How an object is cut into blocks and symbols.
///
/// The last symbol of each block is filled up with zeros; so blocks depend on nothing before them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    symbol_size: u16,
    block_size: u32,
    k: u16,
    m: u16,
    table: Cut,
    content: Cut,
}

/// Which of an object's two byte strings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// The encoded file table.
    Table,
    /// The files' bytes.
    Content,
}

/// How one byte string is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cut {
    length: u64,
    /// Blocks that hold its bytes.
    data: u32,
    /// Pages of their hashes; none for a single block, whose hash is the id of the whole.
    pages: u32,
    /// Hashes in a page: a power of two, so that what a page proves is a subtree too.
    per_page: u32,
}

/// What a block holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockKind {
    /// Bytes of the table or of the content.
    Data {
        /// Of which of them.
        part: Part,
        /// The block's number among those with such bytes.
        index: u32,
        /// Where its first byte is in them.
        offset: u64,
        /// How many bytes; the rest of its last symbol is zeros.
        len: u32,
    },
    /// A page of hashes: one symbol, without parity.
    Page {
        /// Of whose blocks.
        part: Part,
        /// The page's number among that part's pages.
        number: u32,
    },
}

/// Why a geometry can't be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum GeometryError {
    /// The symbol size is no multiple of 64 or out of range.
    #[error("symbol size {0} is not a multiple of 64 from {min} to {max}", min = config::MIN_SYMBOL_SIZE, max = config::MAX_SYMBOL_SIZE)]
    SymbolSize(u16),
    /// The block size is no power of two of KiB, or is out of range, or blocks would have too many
    /// symbols.
    #[error("blocks of {0} KiB, where powers of two up to {max} KiB and {symbols} symbols are possible", max = config::MAX_BLOCK_KIB, symbols = config::MAX_K)]
    BlockSize(u32),
    /// The file table is empty or too long.
    #[error("a file table of {0} bytes, where 1 to {max} are possible", max = config::MAX_TABLE_LEN)]
    Table(u32),
    /// Source and parity symbols together are more than [`SymbolSet`] can hold.
    #[error(
        "{0} parity symbols in a block are too many: with the source symbols, at most 16,384 are possible"
    )]
    Parity(u16),
    /// More blocks than a block number can name.
    #[error(
        "an object of {0} bytes needs more blocks than there are block numbers: use larger blocks"
    )]
    Length(u64),
}

impl Cut {
    /// Cuts `length` bytes into blocks; `None` if they are too many to be numbered.
    fn new(length: u64, block_size: u32, symbol_size: u16) -> Option<Cut> {
        // A quarter of the block numbers, so that no sum of both parts and pages overflows.
        let data = length.div_ceil(u64::from(block_size));
        let data = u32::try_from(data).ok().filter(|&n| n < 1 << 30)?;
        let per_page = hashes_per_page(data, symbol_size);
        let pages = if data > 1 { data.div_ceil(per_page) } else { 0 };
        Some(Cut {
            length,
            data,
            pages,
            per_page,
        })
    }

    fn blocks(&self) -> u32 {
        self.data + self.pages
    }

    /// The place among this part's blocks of the block with its bytes number `index`.
    fn place(&self, index: u32) -> u32 {
        if self.pages == 0 {
            return index;
        }
        let page = index / self.per_page;
        self.place_of_page(page) + 1 + index % self.per_page
    }

    fn place_of_page(&self, page: u32) -> u32 {
        page * (self.per_page + 1)
    }

    fn kind(&self, part: Part, place: u32, block_size: u32) -> BlockKind {
        let (number, within) = (place / (self.per_page + 1), place % (self.per_page + 1));
        let index = match (self.pages, within) {
            (0, _) => place,
            (_, 0) => return BlockKind::Page { part, number },
            (_, within) => number * self.per_page + within - 1,
        };
        let offset = u64::from(index) * u64::from(block_size);
        let len = u64::from(block_size).min(self.length.saturating_sub(offset)) as u32;
        BlockKind::Data {
            part,
            index,
            offset,
            len,
        }
    }

    fn symbols(&self, block_size: u32, symbol_size: u16) -> u64 {
        let per = |len: u64| len.div_ceil(u64::from(symbol_size));
        let full = self.length / u64::from(block_size);
        let rest = self.length % u64::from(block_size);
        full * per(block_size.into()) + per(rest) + u64::from(self.pages)
    }
}

impl Geometry {
    /// Cuts `length` bytes of content, and an encoded file table of `table_len` bytes, into blocks
    /// of `block_kib` KiB (a power of two) and symbols of `symbol_size` bytes; to each block belong
    /// `m` parity symbols.
    pub fn new(
        length: u64,
        symbol_size: u16,
        block_kib: u32,
        m: u16,
        table_len: u32,
    ) -> Result<Geometry, GeometryError> {
        let size_ok = (config::MIN_SYMBOL_SIZE..=config::MAX_SYMBOL_SIZE).contains(&symbol_size);
        if !size_ok || !symbol_size.is_multiple_of(64) {
            return Err(GeometryError::SymbolSize(symbol_size));
        }
        let fits = block_kib.is_power_of_two() && block_kib <= config::MAX_BLOCK_KIB;
        let block_size = if fits { block_kib * CHUNK as u32 } else { 0 };
        let k = block_size.div_ceil(u32::from(symbol_size));
        if k == 0 || k > u32::from(config::MAX_K) {
            return Err(GeometryError::BlockSize(block_kib));
        }
        if k + u32::from(m) > u32::from(SymbolSet::MAX) + 1 {
            return Err(GeometryError::Parity(m));
        }
        if table_len == 0 || table_len > config::MAX_TABLE_LEN {
            return Err(GeometryError::Table(table_len));
        }
        let cut = |length| Cut::new(length, block_size, symbol_size);
        let too_long = GeometryError::Length(length);
        Ok(Geometry {
            symbol_size,
            block_size,
            k: k as u16,
            m,
            table: cut(table_len.into()).ok_or(too_long)?,
            content: cut(length).ok_or(too_long)?,
        })
    }

    fn cut(&self, part: Part) -> &Cut {
        match part {
            Part::Table => &self.table,
            Part::Content => &self.content,
        }
    }

    /// Bytes of the content.
    pub fn length(&self) -> u64 {
        self.content.length
    }

    /// Bytes of a part.
    pub fn length_of(&self, part: Part) -> u64 {
        self.cut(part).length
    }

    /// Bytes in a symbol, the last one of each block padded with zeros.
    pub fn symbol_size(&self) -> u16 {
        self.symbol_size
    }

    /// Bytes in a block, the last one of each part perhaps less: 1 KiB times a power of two.
    pub fn block_size(&self) -> u32 {
        self.block_size
    }

    /// [`block_size`](Geometry::block_size) in KiB.
    pub fn block_kib(&self) -> u32 {
        self.block_size / CHUNK as u32
    }

    /// Source symbols of a block of full size: the most that a block has.
    pub fn k(&self) -> u16 {
        self.k
    }

    /// Parity symbols a block can have. See [`parity`](Geometry::parity).
    pub fn m(&self) -> u16 {
        self.m
    }

    /// Bytes of the encoded file table.
    pub fn table_len(&self) -> u32 {
        self.table.length as u32
    }

    /// All blocks: table, content, and the pages of both. At least 1.
    pub fn blocks(&self) -> u32 {
        self.table.blocks() + self.content.blocks()
    }

    /// Blocks with bytes of a part; 0 for empty content.
    pub fn data_blocks(&self, part: Part) -> u32 {
        self.cut(part).data
    }

    /// Pages of a part.
    pub fn pages(&self, part: Part) -> u32 {
        self.cut(part).pages
    }

    /// The number of the first block of the content or of its pages: below it is what belongs to
    /// the table.
    pub fn first_content_block(&self) -> BlockNo {
        self.table.blocks()
    }

    fn first(&self, part: Part) -> BlockNo {
        match part {
            Part::Table => 0,
            Part::Content => self.first_content_block(),
        }
    }

    /// The block with bytes number `index` of a part, which must have so many.
    pub fn data_block(&self, part: Part, index: u32) -> BlockNo {
        self.first(part) + self.cut(part).place(index)
    }

    /// All blocks with bytes of a part, in order.
    pub fn blocks_of(&self, part: Part) -> impl DoubleEndedIterator<Item = BlockNo> + use<> {
        let g = *self;
        (0..g.data_blocks(part)).map(move |index| g.data_block(part, index))
    }

    /// The block of a page, which must be there.
    pub fn page_block(&self, part: Part, number: u32) -> BlockNo {
        self.first(part) + self.cut(part).place_of_page(number)
    }

    /// The blocks of all pages, in order.
    pub fn page_blocks(&self) -> impl Iterator<Item = BlockNo> + use<> {
        let g = *self;
        let pages = move |part| (0..g.pages(part)).map(move |number| g.page_block(part, number));
        [Part::Table, Part::Content].into_iter().flat_map(pages)
    }

    /// Block hashes in a page, but for the last one.
    pub fn hashes_per_page(&self, part: Part) -> u32 {
        self.cut(part).per_page
    }

    /// Block hashes in this page; 0 for a page that is not there.
    pub fn hashes_in(&self, part: Part, number: u32) -> usize {
        let cut = self.cut(part);
        let before = u64::from(number) * u64::from(cut.per_page);
        let after = u64::from(cut.data).saturating_sub(before);
        if number < cut.pages {
            after.min(cut.per_page.into()) as usize
        } else {
            0
        }
    }

    /// The page's block that has the hash of a block of data, and the hash's place in it; `None`
    /// where there is no page, because the block is all of its part.
    pub fn page_of(&self, block: BlockNo) -> Option<(BlockNo, usize)> {
        let BlockKind::Data { part, index, .. } = self.kind(block) else {
            return None;
        };
        let cut = self.cut(part);
        let (number, place) = (index / cut.per_page, index % cut.per_page);
        (cut.pages > 0).then(|| (self.page_block(part, number), place as usize))
    }

    /// Whether a block is a page.
    pub fn is_page(&self, block: BlockNo) -> bool {
        block < self.blocks() && matches!(self.kind(block), BlockKind::Page { .. })
    }

    /// The kind of a block. One that is not there has no bytes.
    pub fn kind(&self, block: BlockNo) -> BlockKind {
        let first = self.first_content_block();
        if block < first {
            self.table.kind(Part::Table, block, self.block_size)
        } else if block < self.blocks() {
            let place = block - first;
            self.content.kind(Part::Content, place, self.block_size)
        } else {
            BlockKind::Data {
                part: Part::Content,
                index: self.content.data,
                offset: self.content.length,
                len: 0,
            }
        }
    }

    /// Source symbols of a block; 0 for a block that is not there.
    pub fn symbols(&self, block: BlockNo) -> u16 {
        match self.kind(block) {
            BlockKind::Page { .. } => 1,
            BlockKind::Data { len, .. } if len == self.block_size => self.k,
            BlockKind::Data { len, .. } => len.div_ceil(self.symbol_size.into()) as u16,
        }
    }

    /// The most source symbols that one of its blocks has.
    pub fn most_symbols(&self) -> u16 {
        let longest = self.table.length.max(self.content.length);
        let longest = longest.min(u64::from(self.block_size)) as u32;
        longest.div_ceil(u32::from(self.symbol_size)) as u16
    }

    /// Parity symbols a block can have, numbered on from its source symbols: `m`, but 0 for a page
    /// and for a block that is not there.
    ///
    /// Pages prove themselves one by one as they come, and one that was made of wrong others could
    /// not be told from a wrong one.
    pub fn parity(&self, block: BlockNo) -> u16 {
        match self.kind(block) {
            BlockKind::Data { len: 1.., .. } => self.m,
            _ => 0,
        }
    }

    /// Whether the object has this symbol (source or parity).
    pub fn has(&self, block: BlockNo, symbol: SymbolNo) -> bool {
        u32::from(symbol) < u32::from(self.symbols(block)) + u32::from(self.parity(block))
    }

    /// Source symbols of all blocks.
    pub fn total_symbols(&self) -> u64 {
        let of = |cut: &Cut| cut.symbols(self.block_size, self.symbol_size);
        of(&self.table) + of(&self.content)
    }

    /// The block that holds byte `offset` of the content, which must be below its length.
    pub fn content_block_at(&self, offset: u64) -> BlockNo {
        let index = offset / u64::from(self.block_size);
        self.data_block(Part::Content, index as u32)
    }
}

/// The height of a binary tree over `leaves`.
fn height(leaves: u32) -> u32 {
    32 - leaves.saturating_sub(1).leading_zeros()
}

/// The most hashes, a power of two, that fit a symbol beside their page's proof. The smallest
/// symbol has room for 32 hashes and there are less than 2^30 blocks, so one hash and a proof of 30
/// always fit.
fn hashes_per_page(blocks: u32, symbol_size: u16) -> u32 {
    let room = u32::from(symbol_size) / 32;
    let fits = |per: &u32| per + height(blocks.div_ceil(*per)) <= room;
    let powers = (0..=room.ilog2()).rev().map(|log| 1 << log);
    powers.into_iter().find(fits).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIB: u64 = 1 << 40;
    const PARTS: [Part; 2] = [Part::Table, Part::Content];

    /// Walks blocks and symbols one by one, counting bytes: what the arithmetic must agree with.
    fn check_against_walk(g: &Geometry) {
        let size = u64::from(g.symbol_size());
        let (mut block, mut symbols) = (0, 0);
        for part in PARTS {
            assert_eq!(g.first(part), block);
            let (mut at, mut index, mut number) = (0, 0, 0);
            while at < g.length_of(part) {
                let is_page = g.data_blocks(part) > 1 && index % g.hashes_per_page(part) == 0;
                if is_page && number == index / g.hashes_per_page(part) {
                    assert_eq!(g.kind(block), BlockKind::Page { part, number });
                    assert_eq!(g.page_block(part, number), block);
                    assert_eq!((g.symbols(block), g.parity(block)), (1, 0));
                    assert!(g.is_page(block) && g.page_of(block).is_none());
                    number += 1;
                    symbols += 1;
                    block += 1;
                    continue;
                }
                let len = u64::from(g.block_size()).min(g.length_of(part) - at);
                let data = BlockKind::Data {
                    part,
                    index,
                    offset: at,
                    len: len as u32,
                };
                assert_eq!(g.kind(block), data);
                assert_eq!(g.data_block(part, index), block);
                let source = g.symbols(block);
                assert!((1..=g.k()).contains(&source) && source <= g.most_symbols());
                assert!(u64::from(source - 1) * size < len && len <= u64::from(source) * size);
                assert_eq!(g.parity(block), g.m());
                assert!(g.has(block, source + g.m() - 1) && !g.has(block, source + g.m()));
                match g.page_of(block) {
                    None => assert_eq!((g.data_blocks(part), g.pages(part)), (1, 0)),
                    Some((page, place)) => {
                        assert_eq!(page, g.page_block(part, number - 1));
                        assert!(place < g.hashes_in(part, number - 1));
                        let first = (number - 1) * g.hashes_per_page(part);
                        assert_eq!(place as u32, index - first);
                    }
                }
                if part == Part::Content {
                    assert_eq!(g.content_block_at(at), block);
                    assert_eq!(g.content_block_at(at + len - 1), block);
                }
                at += len;
                symbols += u64::from(source);
                index += 1;
                block += 1;
            }
            assert_eq!((index, number), (g.data_blocks(part), g.pages(part)));
            let pages = g.page_blocks().filter(
                |&page| matches!(g.kind(page), BlockKind::Page { part: of, .. } if of == part),
            );
            assert!(pages.eq((0..number).map(|n| g.page_block(part, n))));
            assert_eq!(g.hashes_in(part, number), 0);
            assert!(
                g.blocks_of(part)
                    .eq((0..index).map(|i| g.data_block(part, i)))
            );
        }
        assert_eq!((block, symbols), (g.blocks(), g.total_symbols()));
        assert_eq!((g.symbols(block), g.parity(block)), (0, 0));
        assert!(!g.has(block, 0) && !g.is_page(block));
    }

    #[test]
    fn an_empty_object_is_its_table() {
        let g = Geometry::new(0, 1_344, 512, 1, 64).unwrap();
        assert_eq!((g.blocks(), g.first_content_block()), (1, 1));
        assert_eq!((g.symbols(0), g.symbols(1)), (1, 0));
        check_against_walk(&g);
    }

    #[test]
    fn one_byte_is_one_symbol_without_a_page() {
        let g = Geometry::new(1, 1_344, 512, 1, 64).unwrap();
        assert_eq!(
            (g.blocks(), g.pages(Part::Content), g.symbols(1)),
            (2, 0, 1)
        );
        check_against_walk(&g);
    }

    #[test]
    fn blocks_are_a_power_of_two_long() {
        let g = Geometry::new(5 << 20, 1_344, 512, 391, 64).unwrap();
        assert_eq!((g.k(), g.block_size(), g.block_kib()), (391, 1 << 19, 512));
        assert_eq!((g.blocks(), g.first_content_block()), (1 + 1 + 10, 1));
        assert_eq!((g.symbols(1), g.symbols(2), g.symbols(11)), (1, 391, 391));
        check_against_walk(&g);
    }

    #[test]
    fn five_tebibytes() {
        let g = Geometry::new(5 * TIB + 12_345, 1_344, 1_024, 1, 64).unwrap();
        let last = g.blocks() - 1;
        let BlockKind::Data {
            index, offset, len, ..
        } = g.kind(last)
        else {
            panic!("a page")
        };
        assert_eq!(index + 1, g.data_blocks(Part::Content));
        assert_eq!(offset + u64::from(len), g.length());
        assert_eq!(g.hashes_per_page(Part::Content), 16);
    }

    #[test]
    fn hashes_cost_a_five_thousandth_at_most() {
        for symbol_size in [1_024, 1_344, 1_408, 8_896] {
            for length in [256 << 20, 1 << 34, TIB, 4 * TIB] {
                let g = Geometry::new(length, symbol_size, 1_024, 0, 64).unwrap();
                let cost = u64::from(g.pages(Part::Content)) * u64::from(symbol_size);
                assert!(cost * 5_000 <= length, "{cost} for {length}, {symbol_size}");
            }
        }
    }

    #[test]
    fn the_longest_object_still_has_block_numbers() {
        let longest = ((1 << 30) - 1) * 1_024;
        let g = Geometry::new(longest, 1_024, 1, 0, 64).unwrap();
        let per_page = g.hashes_per_page(Part::Content);
        assert!(per_page + height(g.pages(Part::Content)) <= 32);
        let too_long = |length, block| Geometry::new(length, 1_024, block, 0, 64);
        let error = |length| Err(GeometryError::Length(length));
        assert_eq!(too_long(longest + 1, 1), error(longest + 1));
        assert_eq!(too_long(u64::MAX, 8_192), error(u64::MAX));
    }

    #[test]
    fn what_can_not_be_is_named() {
        let new = |symbol_size, block, m, table| Geometry::new(1, symbol_size, block, m, table);
        for size in [0, 64, 960, 1_000, 1_345, 8_960, u16::MAX] {
            assert_eq!(new(size, 1, 0, 1), Err(GeometryError::SymbolSize(size)));
        }
        for block in [0, 3, 511, 16_384, u32::MAX, 1 << 31] {
            assert_eq!(
                new(1_024, block, 0, 1),
                Err(GeometryError::BlockSize(block))
            );
        }
        assert!(new(8_896, config::MAX_BLOCK_KIB, 0, 1).is_ok());
        let parity = GeometryError::Parity(u16::MAX);
        assert_eq!(new(1_024, 1, u16::MAX, 1), Err(parity));
        for table in [0, config::MAX_TABLE_LEN + 1, u32::MAX] {
            assert_eq!(new(1_024, 1, 0, table), Err(GeometryError::Table(table)));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_walk(
            length in 0u64..3_000_000,
            size in 16u16..=139,
            block in 0u32..10,
            m in 1u16..700,
            table in 1u32..200_000,
        ) {
            check_against_walk(&Geometry::new(length, size * 64, 1 << block, m, table).unwrap());
        }

        #[test]
        fn never_panics(length: u64, size: u16, block_kib: u32, m: u16, table: u32, block: u32, number: u32) {
            for (size, kib) in [(size, block_kib), (size / 64 * 64, 1 << (block_kib % 16)), (1_024, 4)] {
                let Ok(g) = Geometry::new(length >> (size % 32), size, kib, m, table) else { continue };
                let _ = (g.has(block, 0), g.kind(block), g.page_of(block), g.is_page(block));
                let _ = (g.blocks(), g.total_symbols(), g.most_symbols());
                let _ = PARTS.map(|part| g.hashes_in(part, number));
            }
        }
    }
}
