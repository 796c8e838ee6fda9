//! Block hashes in pages, each of which proves itself against the id of what it belongs to.
//!
//! Takes the block hashes of a part and gives its id and its pages; takes a page and the id and
//! gives checked block hashes. It hashes no content and keeps no file.
//!
//! A **page** as sent is one symbol: the hashes of the blocks that follow it (a power of two of
//! them but at the end of the part), then the siblings on the way up [BLAKE3's
//! tree](crate::object::hash_tree) (lowest first, none for a level where there is no sibling), then
//! zeros. Any other bytes are refused, so a page has one valid form.

use thiserror::Error;

use crate::ids::{BlockNo, Hash};
use crate::object::hash_tree::{block_hash, content_hash, content_id_of, parent, subtree, top};
use crate::object::{BlockKind, Description, Geometry, Part};

/// Why bytes are not the page they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PageError {
    /// The block is none of pages.
    #[error("block {0} is no hash page")]
    NoPage(BlockNo),
    /// It is not one symbol long.
    #[error("a hash page of {0} bytes")]
    Length(usize),
    /// The hashes do not lead to the id.
    #[error("a hash page does not lead to the content's id")]
    Root,
    /// What follows the proof is not zeros.
    #[error("a hash page does not end with zeros")]
    Padding,
}

/// The hashes of a part's blocks and what is over them: 34 bytes a block (17 MiB for 256 GiB).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockHashes {
    part: Part,
    per_page: usize,
    hashes: Vec<Hash>,
    /// Over each page, then level by level; the last has two nodes or, of few blocks, one.
    levels: Vec<Vec<Hash>>,
    id: Hash,
}

/// The block hashes of a page that has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageHashes {
    geometry: Geometry,
    part: Part,
    first: u32,
    hashes: Vec<Hash>,
}

/// Checks the pages and blocks of one object as they come, before anything counts them as received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checker {
    geometry: Geometry,
    table: Hash,
    content: Hash,
}

impl BlockHashes {
    /// The hashes of all blocks of a part in order; `None` if their number is another.
    pub fn new(geometry: &Geometry, part: Part, hashes: Vec<Hash>) -> Option<BlockHashes> {
        if hashes.len() != geometry.data_blocks(part) as usize {
            return None;
        }
        let per_page = geometry.hashes_per_page(part) as usize;
        let id = match &*hashes {
            [] => content_hash(&[]),
            hashes => content_id_of(hashes),
        };
        let mut levels = vec![hashes.chunks(per_page).map(subtree).collect::<Vec<Hash>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 2) {
            levels.push(below.chunks(2).map(subtree).collect());
        }
        Some(BlockHashes {
            part,
            per_page,
            hashes,
            levels,
            id,
        })
    }

    /// The id of the part: the root of the tree over all its bytes.
    pub fn id(&self) -> Hash {
        self.id
    }

    /// Whose blocks they are.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The hash of block `index` of the part.
    pub fn get(&self, index: u32) -> Option<&Hash> {
        self.hashes.get(index as usize)
    }

    /// The hashes of all blocks.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Writes a page as it is sent into one symbol's bytes.
    pub fn write_page(&self, number: u32, symbol: &mut [u8]) {
        symbol.fill(0);
        let mut places = symbol.chunks_exact_mut(32);
        let mut put = |hash: &Hash| {
            if let Some(place) = places.next() {
                place.copy_from_slice(&hash.0);
            }
        };
        let mut at = number as usize;
        let own = self.hashes.chunks(self.per_page).nth(at);
        own.into_iter().flatten().for_each(&mut put);
        for level in &self.levels {
            if let Some(sibling) = level.get(at ^ 1) {
                put(sibling);
            }
            at /= 2;
        }
    }
}

impl PageHashes {
    /// Blocks and the hashes that they should have.
    pub fn iter(&self) -> impl Iterator<Item = (BlockNo, Hash)> + '_ {
        let block = |index| self.geometry.data_block(self.part, index);
        let indices = (self.first..).map(block);
        indices.zip(self.hashes.iter().copied())
    }
}

impl Checker {
    /// A checker for what a description says.
    pub fn new(description: &Description) -> Checker {
        Checker {
            geometry: description.geometry,
            table: description.table,
            content: description.content,
        }
    }

    /// How the object is cut.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The id of a part.
    pub fn id(&self, part: Part) -> Hash {
        match part {
            Part::Table => self.table,
            Part::Content => self.content,
        }
    }

    /// The hash that a block should have if it is all of its part; `None` if a page has it.
    pub fn proven(&self, block: BlockNo) -> Option<Hash> {
        match self.geometry.kind(block) {
            BlockKind::Data { part, len: 1.., .. } => {
                (self.geometry.pages(part) == 0).then(|| self.id(part))
            }
            _ => None,
        }
    }

    /// The hash of a block of data, whose bytes must be without the zeros that fill its last
    /// symbol.
    pub fn hash(&self, block: BlockNo, bytes: &[u8]) -> Hash {
        hash_of(&self.geometry, block, bytes)
    }

    /// Checks that `symbol` is the page that a block is, and gives its block hashes.
    pub fn check(&self, block: BlockNo, symbol: &[u8]) -> Result<PageHashes, PageError> {
        let g = &self.geometry;
        let BlockKind::Page { part, number } = g.kind(block) else {
            return Err(PageError::NoPage(block));
        };
        if symbol.len() != usize::from(g.symbol_size()) {
            return Err(PageError::Length(symbol.len()));
        }
        let (own, mut rest) = symbol.split_at(g.hashes_in(part, number) * 32);
        let hashes: Vec<Hash> = own.as_chunks().0.iter().map(|h| Hash(*h)).collect();
        let (mut at, mut width) = (number, g.pages(part));
        let mut over = if width == 1 {
            content_id_of(&hashes)
        } else {
            subtree(&hashes)
        };
        while width > 1 {
            if at ^ 1 < width {
                let (sibling, after) = rest.split_first_chunk().ok_or(PageError::Root)?;
                let sibling = Hash(*sibling);
                rest = after;
                let join = if width == 2 { top } else { parent };
                over = if at & 1 == 0 {
                    join(&over, &sibling)
                } else {
                    join(&sibling, &over)
                };
            }
            at /= 2;
            width = width.div_ceil(2);
        }
        if over != self.id(part) {
            return Err(PageError::Root);
        }
        if rest.iter().any(|&b| b != 0) {
            return Err(PageError::Padding);
        }
        Ok(PageHashes {
            geometry: *g,
            part,
            first: number * g.hashes_per_page(part),
            hashes,
        })
    }
}

/// The hash of a block of data: of one that is all of its part the part's id, else its subtree's.
pub fn hash_of(geometry: &Geometry, block: BlockNo, bytes: &[u8]) -> Hash {
    match geometry.kind(block) {
        BlockKind::Data { part, offset, .. } if geometry.pages(part) > 0 => {
            block_hash(offset, bytes)
        }
        _ => content_hash(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectKind;
    use proptest::prelude::*;

    /// An object of this many content blocks of 1 KiB, one symbol each, and its hashes.
    fn object(blocks: u32) -> (Description, BlockHashes, Vec<u8>) {
        let bytes: Vec<u8> = (0..blocks * 1_024)
            .map(|n| (n.wrapping_mul(n) >> 9) as u8)
            .collect();
        let g = Geometry::new(bytes.len() as u64, 1_024, 1, 0, 64).unwrap();
        let hash = |(block, bytes): (u32, &[u8])| hash_of(&g, block, bytes);
        let blocks = g.blocks_of(Part::Content).zip(bytes.chunks(1_024));
        let hashes = BlockHashes::new(&g, Part::Content, blocks.map(hash).collect()).unwrap();
        let description = Description {
            name: "x".to_owned(),
            kind: ObjectKind::File,
            content: hashes.id(),
            table: Hash::default(),
            geometry: g,
            codec: crate::object::Codec::None,
        };
        (description, hashes, bytes)
    }

    fn page(g: &Geometry, hashes: &BlockHashes, number: u32) -> Vec<u8> {
        let mut symbol = vec![0xee; g.symbol_size().into()];
        hashes.write_page(number, &mut symbol);
        symbol
    }

    #[test]
    fn every_page_of_every_shape_is_proven_against_the_plain_hash() {
        for blocks in (1..200).chain([1_000, 1_023, 1_024, 1_025]) {
            let (description, hashes, bytes) = object(blocks);
            assert_eq!(hashes.id(), content_hash(&bytes));
            let checker = Checker::new(&description);
            let g = description.geometry;
            let mut seen = Vec::new();
            for number in 0..g.pages(Part::Content) {
                let symbol = page(&g, &hashes, number);
                let block = g.page_block(Part::Content, number);
                let checked = checker.check(block, &symbol).unwrap();
                for (block, hash) in checked.iter() {
                    assert_eq!(block, g.data_block(Part::Content, seen.len() as u32));
                    assert_eq!(checker.proven(block), None);
                    seen.push(hash);
                }
            }
            if blocks == 1 {
                let block = g.data_block(Part::Content, 0);
                seen.push(checker.proven(block).unwrap());
            }
            assert_eq!(seen, hashes.hashes());
        }
    }

    #[test]
    fn nothing_has_the_hash_of_nothing() {
        let (description, hashes, _) = object(0);
        assert_eq!(description.content, content_hash(&[]));
        assert_eq!(hashes.get(0), None);
        assert_eq!(Checker::new(&description).proven(1), None);
    }

    #[test]
    fn golden_pages() {
        let (description, hashes, _) = object(100);
        let last = description.geometry.pages(Part::Content) - 1;
        let of = |number| content_hash(&page(&description.geometry, &hashes, number)).to_string();
        assert_eq!(
            [hashes.id().to_string(), of(0), of(last)],
            [
                "6136b260dcc757a247c11a52d8be77ea9d5b2624c8d09164cba6622bd56d3cb7",
                "fc0d52ce47730035ea9f849d6c95e318b26a91b6263b489858a7ee03abe8bbda",
                "2dfd7566e98e5f6ddb96955deba5e71608603e2cd751fc72f4b38f550ac9157b"
            ]
        );
    }

    #[test]
    fn four_tebibytes() {
        let g = Geometry::new(4 << 40, 1_344, 4_096, 0, 64).unwrap();
        let hash = |i: u32| {
            let mut h = Hash::default();
            h.0[..4].copy_from_slice(&i.to_be_bytes());
            h
        };
        let all = (0..g.data_blocks(Part::Content)).map(hash).collect();
        let hashes = BlockHashes::new(&g, Part::Content, all).unwrap();
        let (mut description, _, _) = object(1);
        (description.geometry, description.content) = (g, hashes.id());
        let checker = Checker::new(&description);
        let pages = g.pages(Part::Content);
        for number in [0, 1, pages / 2, pages - 1] {
            let block = g.page_block(Part::Content, number);
            let checked = checker.check(block, &page(&g, &hashes, number)).unwrap();
            let first = number * g.hashes_per_page(Part::Content);
            let own = (first..).map(|i| (g.data_block(Part::Content, i), hash(i)));
            assert!(checked.iter().zip(own).all(|(a, b)| a == b));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (description, hashes, _) = object(100);
        let g = description.geometry;
        let block = |number| g.page_block(Part::Content, number);
        let good = page(&g, &hashes, 1);
        let checker = Checker::new(&description);
        assert!(checker.check(block(1), &good).is_ok());
        assert_eq!(checker.check(block(0), &good), Err(PageError::Root));
        assert_eq!(checker.check(0, &good), Err(PageError::NoPage(0)));
        let (beyond, data) = (g.blocks(), block(0) + 1);
        assert_eq!(checker.check(beyond, &good), Err(PageError::NoPage(beyond)));
        assert_eq!(checker.check(data, &good), Err(PageError::NoPage(data)));
        let short = checker.check(block(1), &good[1..]);
        assert_eq!(short, Err(PageError::Length(1_023)));
        let last = g.pages(Part::Content) - 1;
        let mut padded = page(&g, &hashes, last);
        padded[1_023] = 1;
        assert_eq!(checker.check(block(last), &padded), Err(PageError::Padding));
    }

    #[test]
    fn a_wrong_number_of_hashes_is_none() {
        let (description, hashes, _) = object(100);
        let some = hashes.hashes()[1..].to_vec();
        assert_eq!(
            BlockHashes::new(&description.geometry, Part::Content, some),
            None
        );
    }

    proptest! {
        #[test]
        fn no_changed_bit_passes(blocks in 2u32..200, at in 0usize..1_024, bit in 0u8..8, number in 0u32..8) {
            let (description, hashes, _) = object(blocks);
            let g = description.geometry;
            let number = number % g.pages(Part::Content);
            let mut symbol = page(&g, &hashes, number);
            symbol[at] ^= 1 << bit;
            let block = g.page_block(Part::Content, number);
            prop_assert!(Checker::new(&description).check(block, &symbol).is_err());
        }

        #[test]
        fn noise_is_refused(
            length: u32,
            block in 0u32..10,
            symbol in proptest::collection::vec(any::<u8>(), 1_024..=1_088),
        ) {
            let (mut description, _, _) = object(1);
            description.geometry = Geometry::new(length.into(), 1_024, 1_024, 0, 64).unwrap();
            prop_assert!(Checker::new(&description).check(block, &symbol).is_err());
        }
    }
}
