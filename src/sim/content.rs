//! Real bytes for a simulated run.

use std::collections::BTreeMap;

use crate::fec::{Decoder, Encoder};
use crate::ids::{BlockNo, Hash, SymbolNo};
use crate::object::{
    BlockKind, Codec, Description, FileTable, Geometry, GeometryError, PageChecker, PageTree,
    SafeName, block_hash,
};
use crate::range_set::RangeSet;
use crate::rng::Rng;

/// An object in memory, with its table and hashes.
#[derive(Clone, Debug)]
pub struct Content {
    description: Description,
    bytes: Vec<u8>,
    table: Vec<u8>,
    tree: PageTree,
    hashes: Vec<Hash>,
}

impl Content {
    /// `length` bytes from a seed.
    ///
    /// # Panics
    /// If `name` is no safe name: it comes from the test that calls this.
    pub fn random(
        name: &str,
        length: usize,
        symbol_size: u16,
        k: u16,
        seed: u64,
    ) -> Result<Content, GeometryError> {
        let mut rng = Rng::new(seed);
        let mut bytes = vec![0; length];
        for chunk in bytes.chunks_mut(8) {
            let word = rng.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        #[expect(clippy::unwrap_used, reason = "the name is the test's own")]
        let name = SafeName::offered(name).unwrap();
        let table = FileTable::single(name.clone(), length as u64, None, None).encode();
        let geometry = Geometry::new(length as u64, symbol_size, k, 0, table.len() as u32)?;
        let first = geometry.first_content_block();
        let hashes: Vec<Hash> = (first..geometry.blocks())
            .map(|block| match geometry.kind(block) {
                BlockKind::Content { offset, len, .. } => {
                    block_hash(&bytes[offset as usize..][..len as usize])
                }
                _ => Hash::default(),
            })
            .collect();
        #[expect(clippy::unwrap_used, reason = "there is a hash for each content block")]
        let tree = PageTree::build(geometry, &hashes).unwrap();
        let description = Description {
            name: name.as_str().to_owned(),
            content: Hash(*blake3::hash(&bytes).as_bytes()),
            geometry,
            codec: Codec::None,
            table_hash: Hash(*blake3::hash(&table).as_bytes()),
            hash_root: tree.root(),
        };
        Ok(Content {
            description,
            bytes,
            table,
            tree,
            hashes,
        })
    }

    /// The same bytes, sent with as much parity as source.
    pub fn with_parity(mut self) -> Result<Content, GeometryError> {
        self.description = self.description.with_parity()?;
        Ok(self)
    }

    /// What it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// A block as it is sent, its last symbol padded with zeros.
    pub(super) fn block(&self, block: BlockNo) -> Vec<u8> {
        let g = &self.description.geometry;
        let size = usize::from(g.symbol_size());
        let mut out = vec![0; usize::from(g.symbols(block)) * size];
        match g.kind(block) {
            BlockKind::Table => out[..self.table.len()].copy_from_slice(&self.table),
            BlockKind::Pages { first_page } => {
                let per = usize::from(g.hashes_per_page());
                for (i, symbol) in out.chunks_mut(size).enumerate() {
                    let page = first_page as usize + i;
                    let end = self.hashes.len().min((page + 1) * per);
                    self.tree
                        .write_page(page as u32, &self.hashes[page * per..end], symbol);
                }
            }
            BlockKind::Content { offset, len, .. } => {
                let at = offset as usize;
                out[..len as usize].copy_from_slice(&self.bytes[at..at + len as usize]);
            }
        }
        out
    }
}

/// The parity symbols that belong to a block's source symbols.
///
/// # Panics
/// If the geometry is impossible: it has been checked.
#[expect(clippy::unwrap_used, reason = "the geometry has been checked")]
pub(super) fn parity_of(geometry: &Geometry, block: BlockNo, source: &[u8]) -> Vec<u8> {
    let size = usize::from(geometry.symbol_size());
    let mut parity = vec![0; usize::from(geometry.parity(block)) * size];
    if !parity.is_empty() {
        Encoder::new().encode(size, source, &mut parity).unwrap();
    }
    parity
}

/// What a receiver has written of an object.
#[derive(Debug)]
pub(super) struct Written {
    /// Blocks whose hash held.
    verified: RangeSet,
    geometry: Geometry,
    checker: PageChecker,
    symbols: BTreeMap<(BlockNo, SymbolNo), Vec<u8>>,
}

impl Written {
    pub(super) fn new(description: &Description) -> Written {
        let geometry = description.geometry;
        Written {
            verified: RangeSet::new(),
            geometry,
            checker: PageChecker::new(geometry, description.hash_root),
            symbols: BTreeMap::new(),
        }
    }

    /// Puts a symbol in its place; false if it is a page that does not prove itself.
    pub(super) fn put(&mut self, block: BlockNo, symbol: SymbolNo, payload: &[u8]) -> bool {
        if let Some(page) = self.checker.page_at(block, symbol)
            && self.checker.check(page, payload).is_err()
        {
            return false;
        }
        self.symbols.insert((block, symbol), payload.to_vec());
        true
    }

    /// A block's hash holds.
    pub(super) fn verify(&mut self, block: BlockNo) {
        self.verified.insert(u64::from(block)..u64::from(block) + 1);
    }

    /// What a later run finds of it: the blocks that were verified.
    pub(super) fn left(&mut self) -> RangeSet {
        let verified = &self.verified;
        self.symbols
            .retain(|&(block, _), _| verified.contains(u64::from(block)));
        verified.clone()
    }

    /// Whatever came of a block is wrong.
    pub(super) fn forget(&mut self, block: BlockNo) {
        self.symbols.retain(|&(b, _), _| b != block);
    }

    /// The block holds hash pages.
    pub(super) fn is_page(&self, block: BlockNo) -> bool {
        (1..self.geometry.first_content_block()).contains(&block)
    }

    /// The block's source symbols, restored from whatever came; none if that is too little.
    fn restored(&self, block: BlockNo) -> Option<Vec<u8>> {
        let size = usize::from(self.geometry.symbol_size());
        let (source, parity) = (self.geometry.symbols(block), self.geometry.parity(block));
        let mut out = vec![0; usize::from(source) * size];
        let mut decoder = Decoder::new();
        let mut decoding = decoder.begin(source, parity, size).ok()?;
        for (&(_, symbol), bytes) in self.symbols.range((block, 0)..(block + 1, 0)) {
            decoding.add(symbol, bytes).ok()?;
            if symbol < source {
                out[usize::from(symbol) * size..][..size].copy_from_slice(bytes);
            }
        }
        decoding.restore(&mut out).ok()?;
        Some(out)
    }

    /// The block is what was offered.
    pub(super) fn is_right(&self, block: BlockNo, content: &Content) -> bool {
        self.restored(block).as_deref() == Some(&content.block(block)[..])
    }
}
