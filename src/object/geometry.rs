//! From an object's length to blocks and symbols, and back.
//!
//! Blocks are numbered in one space: block 0 is the file table, then come the blocks of hash pages,
//! then the content. So whatever recovers content recovers the table and the hashes too.

use thiserror::Error;

use crate::config;
use crate::ids::{BlockNo, SymbolNo};

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

    /// Parity symbols a block can have.
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

    /// Block hashes in a page: a power of two, fewer in the last one.
    pub fn hashes_per_page(&self) -> u16 {
        self.hashes_per_page
    }

    /// Hashes in a page's proof: the height of the tree over pages.
    pub fn proof_len(&self) -> u8 {
        proof_len(self.pages)
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

    /// Whether the object has this symbol (source or parity).
    pub fn has(&self, block: BlockNo, symbol: SymbolNo) -> bool {
        let source = self.symbols(block);
        source > 0 && u32::from(symbol) < u32::from(source) + u32::from(self.m)
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

/// The largest power of two of hashes that fits a symbol beside its proof. The smallest symbol has
/// room for 32 hashes, and 2^31 blocks at one hash a page need a proof of 31: something always fits.
fn hashes_per_page(content_blocks: u32, symbol_size: u16) -> u16 {
    let room = u32::from(symbol_size) / 32;
    let fits = |per: u32| per + u32::from(proof_len(content_blocks.div_ceil(per))) <= room;
    let mut per = 1 << room.ilog2();
    while per > 1 && !fits(per) {
        per /= 2;
    }
    per as u16
}
