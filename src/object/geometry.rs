//! From an object's length to blocks and symbols, and back.
//!
//! Blocks are numbered in one space: block 0 is the file table, then come the blocks of hash pages,
//! then the content. So whatever recovers content recovers the table and the hashes too.

use thiserror::Error;

use crate::config;
use crate::ids::{BlockNo, SymbolNo};
use crate::symbol_set::SymbolSet;

/// How an object is cut into blocks and symbols.
///
/// Content blocks are within one symbol of each other (RFC 5052 §9.1). Hash pages hold
/// [`hashes_per_page`](Geometry::hashes_per_page) block hashes and the proof that leads to the root;
/// each page is one symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    length: u64,
    symbol_size: u16,
    k: u16,
    m: u16,
    table_len: u32,
    hashes_per_page: u16,
    table_symbols: u16,
    page_blocks: u32,
    pages: u32,
    content_blocks: u32,
    /// Symbols of a small content block; the first `large_blocks` have one more.
    small: u16,
    large_blocks: u32,
}

/// What a block holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockKind {
    /// The encoded file table.
    Table,
    /// Pages of block hashes; the first page's number.
    Pages {
        /// The page in symbol 0.
        first_page: u32,
    },
    /// Content.
    Content {
        /// The block's number among content blocks.
        index: u32,
        /// Its first byte's offset in the object.
        offset: u64,
        /// How many of its bytes belong to the object; the rest of its last symbol is zeros.
        len: u32,
    },
}

/// Why a geometry can't be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum GeometryError {
    /// The symbol size is no multiple of 64 or out of range.
    #[error("symbol size {0} is not a multiple of 64 from {min} to {max}", min = config::MIN_SYMBOL_SIZE, max = config::MAX_SYMBOL_SIZE)]
    SymbolSize(u16),
    /// k is 0 or too large.
    #[error("{0} source symbols in a block, where 1 to {max} are possible", max = config::MAX_K)]
    K(u16),
    /// The file table is empty or too long.
    #[error("a file table of {0} bytes, where 1 to {max} (and one block) are possible", max = config::MAX_TABLE_LEN)]
    Table(u32),
    /// Source and parity symbols together are more than [`SymbolSet`] can hold.
    #[error(
        "{0} parity symbols in a block are too many: with the source symbols, at most 16,384 are possible"
    )]
    Parity(u16),
    /// More blocks than a block number can name.
    #[error(
        "an object of {0} bytes needs more blocks than there are block numbers: use larger symbols"
    )]
    Length(u64),
}

impl Geometry {
    /// Cuts `length` bytes into symbols of `symbol_size` bytes, at most `k` source symbols and `m`
    /// parity symbols a block, with an encoded file table of `table_len` bytes.
    pub fn new(
        length: u64,
        symbol_size: u16,
        k: u16,
        m: u16,
        table_len: u32,
    ) -> Result<Geometry, GeometryError> {
        let size_ok = (config::MIN_SYMBOL_SIZE..=config::MAX_SYMBOL_SIZE).contains(&symbol_size);
        if !size_ok || !symbol_size.is_multiple_of(64) {
            return Err(GeometryError::SymbolSize(symbol_size));
        }
        if k == 0 || k > config::MAX_K {
            return Err(GeometryError::K(k));
        }
        if u32::from(k) + u32::from(m) > u32::from(SymbolSet::MAX) + 1 {
            return Err(GeometryError::Parity(m));
        }
        let table_symbols = table_len.div_ceil(u32::from(symbol_size));
        if table_len == 0 || table_len > config::MAX_TABLE_LEN || table_symbols > u32::from(k) {
            return Err(GeometryError::Table(table_len));
        }
        let symbols = length.div_ceil(u64::from(symbol_size));
        let content_blocks = symbols.div_ceil(u64::from(k));
        // Half the block numbers, so that no sum with table and page blocks overflows.
        let too_long = GeometryError::Length(length);
        let content_blocks = u32::try_from(content_blocks)
            .ok()
            .filter(|&n| n < 1 << 31)
            .ok_or(too_long)?;
        let (small, large_blocks) = match content_blocks {
            0 => (0, 0),
            n => (
                (symbols / u64::from(n)) as u16,
                (symbols % u64::from(n)) as u32,
            ),
        };
        let hashes_per_page = hashes_per_page(content_blocks, symbol_size);
        let pages = content_blocks.div_ceil(u32::from(hashes_per_page));
        Ok(Geometry {
            length,
            symbol_size,
            k,
            m,
            table_len,
            hashes_per_page,
            table_symbols: table_symbols as u16,
            page_blocks: pages.div_ceil(u32::from(k)),
            pages,
            content_blocks,
            small,
            large_blocks,
        })
    }

    /// Bytes in the object.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes in a symbol, the object's last one padded with zeros.
    pub fn symbol_size(&self) -> u16 {
        self.symbol_size
    }

    /// The most source symbols a block has.
    pub fn k(&self) -> u16 {
        self.k
    }

    /// Parity symbols a content block can have. See [`parity`](Geometry::parity).
    pub fn m(&self) -> u16 {
        self.m
    }

    /// Bytes of the encoded file table.
    pub fn table_len(&self) -> u32 {
        self.table_len
    }

    /// All blocks: table, pages and content. At least 1.
    pub fn blocks(&self) -> u32 {
        self.first_content_block() + self.content_blocks
    }

    /// Content blocks; 0 for an empty object.
    pub fn content_blocks(&self) -> u32 {
        self.content_blocks
    }

    /// The block number of content block 0.
    pub fn first_content_block(&self) -> BlockNo {
        1 + self.page_blocks
    }

    /// Pages of block hashes.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Block hashes in a page: as many as fit its symbol beside the proof. The last page may have
    /// fewer.
    pub fn hashes_per_page(&self) -> u16 {
        self.hashes_per_page
    }

    /// Hashes in a page's proof: the height of the tree over pages.
    pub fn proof_len(&self) -> u8 {
        proof_len(self.pages)
    }

    /// Block hashes in this page; 0 for a page that is not there.
    pub fn hashes_in(&self, page: u32) -> u16 {
        let per = u32::from(self.hashes_per_page);
        let before = u64::from(page) * u64::from(per);
        u64::from(self.content_blocks)
            .saturating_sub(before)
            .min(u64::from(per)) as u16
    }

    /// The page that a symbol is; `None` if its block holds no pages or not so many.
    pub fn page_at(&self, block: BlockNo, symbol: SymbolNo) -> Option<u32> {
        let in_pages =
            (1..self.first_content_block()).contains(&block) && symbol < self.symbols(block);
        in_pages.then(|| (block - 1) * u32::from(self.k) + u32::from(symbol))
    }

    /// The block and symbol that carry a page; the reverse of [`page_at`](Geometry::page_at).
    pub fn place_of_page(&self, page: u32) -> (BlockNo, SymbolNo) {
        let k = u32::from(self.k);
        (1 + page / k, (page % k) as SymbolNo)
    }

    /// Source symbols of a block; 0 for a block that is not there.
    pub fn symbols(&self, block: BlockNo) -> u16 {
        let first_content = self.first_content_block();
        if block == 0 {
            self.table_symbols
        } else if block < first_content {
            let before = (block - 1) * u32::from(self.k);
            (self.pages - before).min(u32::from(self.k)) as u16
        } else if block - first_content < self.large_blocks {
            self.small + 1
        } else if block - first_content < self.content_blocks {
            self.small
        } else {
            0
        }
    }

    /// Parity symbols a block can have, numbered on from its source symbols: `m` for a content
    /// block, 0 for all others and for a block that is not there.
    ///
    /// Pages prove themselves one by one as they come, and one that was made of wrong others could
    /// not be told from a wrong one; the table is most often a single symbol.
    pub fn parity(&self, block: BlockNo) -> u16 {
        let first = self.first_content_block();
        if (first..first + self.content_blocks).contains(&block) {
            self.m
        } else {
            0
        }
    }

    /// Whether the object has this symbol (source or parity).
    pub fn has(&self, block: BlockNo, symbol: SymbolNo) -> bool {
        u32::from(symbol) < u32::from(self.symbols(block)) + u32::from(self.parity(block))
    }

    /// Source symbols of all blocks.
    pub fn total_symbols(&self) -> u64 {
        u64::from(self.table_symbols)
            + u64::from(self.pages)
            + self.length.div_ceil(u64::from(self.symbol_size))
    }

    /// What a block holds. The block must be one of the object's.
    pub fn kind(&self, block: BlockNo) -> BlockKind {
        if block == 0 {
            return BlockKind::Table;
        }
        if block < self.first_content_block() {
            return BlockKind::Pages {
                first_page: (block - 1) * u32::from(self.k),
            };
        }
        let index = block - self.first_content_block();
        let before =
            u64::from(index) * u64::from(self.small) + u64::from(index.min(self.large_blocks));
        let offset = before * u64::from(self.symbol_size);
        let full = u64::from(self.symbols(block)) * u64::from(self.symbol_size);
        let len = full.min(self.length.saturating_sub(offset)) as u32;
        BlockKind::Content { index, offset, len }
    }

    /// The content block that holds byte `offset` of the object, which must be below its length.
    pub fn content_block_at(&self, offset: u64) -> BlockNo {
        let symbol = offset / u64::from(self.symbol_size);
        let (small, large) = (u64::from(self.small), u64::from(self.small) + 1);
        let in_large = u64::from(self.large_blocks) * large;
        let index = if symbol < in_large {
            symbol / large
        } else {
            u64::from(self.large_blocks) + (symbol - in_large) / small.max(1)
        };
        self.first_content_block() + index as u32
    }

    /// The page with the hash of content block `index`, and the hash's place in it.
    pub fn page_of(&self, index: u32) -> (u32, usize) {
        let per = u32::from(self.hashes_per_page);
        (index / per, (index % per) as usize)
    }
}

/// The height of a binary tree over `leaves`.
fn proof_len(leaves: u32) -> u8 {
    (32 - leaves.saturating_sub(1).leading_zeros()) as u8
}

/// The most hashes that fit a symbol beside their page's proof. The smallest symbol has room for 32
/// hashes and block numbers stay below 2^31, so one hash and a proof of 31 always fit.
fn hashes_per_page(content_blocks: u32, symbol_size: u16) -> u16 {
    let room = u32::from(symbol_size) / 32;
    let fits = |per: &u32| per + u32::from(proof_len(content_blocks.div_ceil(*per))) <= room;
    (1..=room).rev().find(fits).unwrap_or(1) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIB: u64 = 1 << 40;

    fn geometry(length: u64, symbol_size: u16, k: u16) -> Geometry {
        Geometry::new(length, symbol_size, k, 0, 64).unwrap()
    }

    /// Walks blocks and symbols one by one, counting bytes: what the arithmetic must agree with.
    fn check_against_walk(g: &Geometry) {
        let size = u64::from(g.symbol_size());
        let mut at = 0;
        let mut smallest = u16::MAX;
        let mut largest = 0;
        for index in 0..g.content_blocks() {
            let block = g.first_content_block() + index;
            let symbols = g.symbols(block);
            assert!((1..=g.k()).contains(&symbols));
            smallest = smallest.min(symbols);
            largest = largest.max(symbols);
            let mut len = 0;
            for symbol in 0..symbols {
                assert!(g.has(block, symbol));
                let bytes = size.min(g.length() - at - len);
                assert_eq!(g.content_block_at(at + len), block);
                assert_eq!(g.content_block_at(at + len + bytes - 1), block);
                assert!(bytes > 0, "a symbol without a byte of the object");
                len += bytes;
            }
            assert!(!g.has(block, symbols));
            assert_eq!(
                g.kind(block),
                BlockKind::Content {
                    index,
                    offset: at,
                    len: len as u32
                }
            );
            at += len;
        }
        assert_eq!(at, g.length());
        assert!(g.content_blocks() == 0 || largest - smallest <= 1);
        assert_eq!(g.symbols(g.blocks()), 0);
        assert!(!g.has(g.blocks(), 0));
    }

    #[test]
    fn only_content_has_parity() {
        let g = Geometry::new(9 * 1_024, 1_024, 4, 3, 64).unwrap();
        assert_eq!((g.first_content_block(), g.blocks()), (2, 5));
        let parity: Vec<u16> = (0..7).map(|b| g.parity(b)).collect();
        assert_eq!(parity, [0, 0, 3, 3, 3, 0, 0]);
        for block in 0..7 {
            let all = g.symbols(block) + g.parity(block);
            assert!((0..all).all(|s| g.has(block, s)));
            assert!((all..100).all(|s| !g.has(block, s)));
        }
        let empty = Geometry::new(0, 1_024, 4, 3, 64).unwrap();
        assert_eq!((empty.parity(0), empty.parity(1)), (0, 0));
    }

    fn check_pages(g: &Geometry) {
        let room = u32::from(g.symbol_size()) / 32;
        assert!(u32::from(g.hashes_per_page()) + u32::from(g.proof_len()) <= room);
        let mut hashes = 0;
        let mut page = 0;
        for block in 1..g.first_content_block() {
            assert_eq!(g.kind(block), BlockKind::Pages { first_page: page });
            for symbol in 0..g.symbols(block) {
                assert_eq!(g.page_at(block, symbol), Some(page));
                assert_eq!(g.place_of_page(page), (block, symbol));
                assert!(g.hashes_in(page) > 0);
                for place in 0..g.hashes_in(page) {
                    assert_eq!(g.page_of(hashes), (page, usize::from(place)));
                    hashes += 1;
                }
                page += 1;
            }
            assert_eq!(g.page_at(block, g.symbols(block)), None);
        }
        assert_eq!((hashes, page), (g.content_blocks(), g.pages()));
        assert_eq!(g.hashes_in(page), 0);
        assert_eq!(g.page_at(0, 0), None);
        assert_eq!(g.page_at(g.first_content_block(), 0), None);
    }

    #[test]
    fn an_empty_object_is_its_table() {
        let g = geometry(0, 1_344, 512);
        assert_eq!(
            (g.blocks(), g.content_blocks(), g.pages(), g.total_symbols()),
            (1, 0, 0, 1)
        );
        assert_eq!(
            (g.kind(0), g.symbols(0), g.symbols(1)),
            (BlockKind::Table, 1, 0)
        );
        check_against_walk(&g);
        check_pages(&g);
    }

    #[test]
    fn one_byte_is_one_symbol() {
        let g = geometry(1, 1_344, 512);
        assert_eq!((g.blocks(), g.pages(), g.symbols(2)), (3, 1, 1));
        assert_eq!(
            g.kind(2),
            BlockKind::Content {
                index: 0,
                offset: 0,
                len: 1
            }
        );
        check_against_walk(&g);
        check_pages(&g);
    }

    #[test]
    fn five_tebibytes() {
        let g = geometry(
            5 * TIB + 12_345,
            config::DEFAULT_SYMBOL_SIZE,
            config::LARGE_K,
        );
        let last = g.blocks() - 1;
        let BlockKind::Content { index, offset, len } = g.kind(last) else {
            panic!("not content")
        };
        assert_eq!(index, g.content_blocks() - 1);
        assert_eq!(offset + u64::from(len), g.length());
        let table = u64::from(g.symbols(0)) + u64::from(g.pages());
        let content: u64 = (g.first_content_block()..g.blocks())
            .map(|b| u64::from(g.symbols(b)))
            .sum();
        assert_eq!(g.total_symbols(), table + content);
        check_pages(&g);
    }

    #[test]
    fn hashes_cost_a_ten_thousandth_at_most() {
        for symbol_size in [
            config::MIN_SYMBOL_SIZE,
            config::DEFAULT_SYMBOL_SIZE,
            1_408,
            config::MAX_SYMBOL_SIZE,
        ] {
            for length in [config::LARGE_OBJECT, 1 << 34, TIB, 4 * TIB, 5 * TIB] {
                let g = geometry(length, symbol_size, config::LARGE_K);
                let cost = u64::from(g.pages()) * u64::from(symbol_size);
                assert!(
                    cost * 10_000 <= length,
                    "{cost} bytes of hashes for {length}, symbols of {symbol_size}"
                );
            }
        }
    }

    #[test]
    fn the_longest_object_still_has_block_numbers() {
        let longest = ((1 << 31) - 1) * 1_024;
        let g = geometry(longest, 1_024, 1);
        assert!(u32::from(g.hashes_per_page()) + u32::from(g.proof_len()) <= 32);
        assert_eq!(g.blocks(), g.first_content_block() + g.content_blocks());
        assert_eq!(
            Geometry::new(longest + 1, 1_024, 1, 0, 64),
            Err(GeometryError::Length(longest + 1))
        );
        assert!(matches!(
            Geometry::new(u64::MAX, 8_896, 8_192, 0, 64),
            Err(GeometryError::Length(_))
        ));
    }

    #[test]
    fn what_can_not_be_is_named() {
        for size in [0, 64, 960, 1_000, 1_345, 8_960, u16::MAX] {
            assert_eq!(
                Geometry::new(1, size, 1, 0, 1),
                Err(GeometryError::SymbolSize(size))
            );
        }
        assert_eq!(Geometry::new(1, 1_024, 0, 0, 1), Err(GeometryError::K(0)));
        assert_eq!(
            Geometry::new(1, 1_024, 8_193, 0, 1),
            Err(GeometryError::K(8_193))
        );
        assert_eq!(
            Geometry::new(1, 1_024, 1_024, u16::MAX, 1),
            Err(GeometryError::Parity(u16::MAX))
        );
        for table in [0, 1_025, u32::MAX] {
            assert_eq!(
                Geometry::new(1, 1_024, 1, 0, table),
                Err(GeometryError::Table(table))
            );
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_walk(
            length in 0u64..3_000_000,
            size in 16u16..=139,
            k in 1u16..700,
            table in 1u32..1_024,
        ) {
            let g = Geometry::new(length, size * 64, k, 0, table).unwrap();
            check_against_walk(&g);
            check_pages(&g);
        }

        #[test]
        fn never_panics(length: u64, size: u16, k: u16, m: u16, table: u32, block: u32, symbol: u16, page: u32) {
            for size in [size, size / 64 * 64, 1_024] {
                let Ok(g) = Geometry::new(length >> (size % 32), size, k, m, table % 2_000) else { continue };
                let _ = (g.has(block, symbol), g.kind(block), g.hashes_in(page), g.page_at(block, symbol));
                let _ = (g.blocks(), g.total_symbols(), g.place_of_page(page), g.page_of(block));
            }
        }
    }
}
