//! Real bytes for a simulated run.

use crate::ids::{BlockNo, Hash};
use crate::object::{
    BlockKind, Codec, Description, FileTable, Geometry, GeometryError, PageChecker, PageTree,
    SafeName, block_hash,
};
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

/// What a receiver has written of an object.
#[derive(Debug)]
pub(super) struct Written {
    geometry: Geometry,
    checker: PageChecker,
    blocks: Vec<Vec<u8>>,
}

impl Written {
    pub(super) fn new(description: &Description) -> Written {
        let geometry = description.geometry;
        let size = usize::from(geometry.symbol_size());
        let blocks = (0..geometry.blocks())
            .map(|b| vec![0; usize::from(geometry.symbols(b)) * size])
            .collect();
        Written {
            geometry,
            checker: PageChecker::new(geometry, description.hash_root),
            blocks,
        }
    }

    /// Puts a symbol in its place; false if it is a page that does not prove itself.
    pub(super) fn put(&mut self, block: BlockNo, symbol: u16, payload: &[u8]) -> bool {
        if let Some(page) = self.checker.page_at(block, symbol)
            && self.checker.check(page, payload).is_err()
        {
            return false;
        }
        let size = usize::from(self.geometry.symbol_size());
        self.blocks[block as usize][usize::from(symbol) * size..][..size].copy_from_slice(payload);
        true
    }

    /// The block holds hash pages.
    pub(super) fn is_page(&self, block: BlockNo) -> bool {
        (1..self.geometry.first_content_block()).contains(&block)
    }

    /// The block is what was offered.
    pub(super) fn is_right(&self, block: BlockNo, content: &Content) -> bool {
        self.blocks[block as usize] == content.block(block)
    }
}
