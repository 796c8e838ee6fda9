//! Block hashes in pages, each of which proves itself against the root in the description.
//!
//! Takes block hashes and gives pages and the root; takes a page and the root and gives checked
//! block hashes. It hashes no content and keeps no file.
//!
//! * A **block hash** is plain BLAKE3 of the bytes of the object in a content block. The zeros that
//!   fill the last symbol are not hashed: they are no part of the object.
//! * A **leaf** is a page's hash: BLAKE3 in key-derivation mode, context `loopcast v1 hash page`,
//!   of the page number (u32) and the page's block hashes.
//! * A **node** is the hash of its two children with context `loopcast v1 hash node`. A node without
//!   a sibling goes up a level as it is.
//! * The **root** is the hash, with context `loopcast v1 hash root`, of the number of content blocks
//!   (u32), of hashes in a full page (u16) and the top node. An object without content has a top
//!   node of zeros.
//!
//! Different contexts keep leaves, nodes and roots from standing for one another, the page number
//! keeps a page in its place, and the counts in the root fix the tree's shape, so that a proof of
//! another shape can't lead to the same root.
//!
//! A **page** as sent is one symbol: its block hashes, then the siblings on the way up (lowest
//! first, none for a level where the node has no sibling), then zeros. Any other bytes are refused,
//! so a page has one valid form.

use thiserror::Error;

use crate::ids::{BlockNo, Hash, SymbolNo};
use crate::object::Geometry;

const PAGE: &str = "loopcast v1 hash page";
const NODE: &str = "loopcast v1 hash node";
const ROOT: &str = "loopcast v1 hash root";

/// Why bytes are not the page they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PageError {
    /// The object has no such page.
    #[error("there is no hash page {0}")]
    Number(u32),
    /// It is not one symbol long.
    #[error("a hash page of {0} bytes")]
    Length(usize),
    /// It does not lead to the root.
    #[error("a hash page does not lead to the root")]
    Root,
    /// What follows the proof is not zeros.
    #[error("a hash page does not end with zeros")]
    Padding,
}

/// The hash tree over an object's pages: 64 bytes for each page (9 MB for 4 TiB). Block hashes are
/// not in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageTree {
    geometry: Geometry,
    /// Leaves first, the top node last.
    levels: Vec<Vec<Hash>>,
    root: Hash,
}

/// Makes a [`PageTree`] of block hashes that come one by one, so that they need not be kept.
#[derive(Clone, Debug)]
pub struct PageTreeBuilder {
    geometry: Geometry,
    leaves: Vec<Hash>,
    page: Vec<Hash>,
    pushed: u32,
}

/// The block hashes of a page that has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageHashes {
    first: u32,
    hashes: Vec<Hash>,
}

/// Checks the pages of one object as they come, before anything counts them as received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageChecker {
    geometry: Geometry,
    root: Hash,
}

impl PageTreeBuilder {
    /// A builder for an object of this geometry.
    pub fn new(geometry: Geometry) -> PageTreeBuilder {
        let page = Vec::with_capacity(geometry.hashes_per_page().into());
        PageTreeBuilder {
            geometry,
            leaves: Vec::with_capacity(geometry.pages() as usize),
            page,
            pushed: 0,
        }
    }

    /// Adds the next content block's hash.
    pub fn push(&mut self, hash: Hash) {
        self.page.push(hash);
        self.pushed = self.pushed.saturating_add(1);
        if self.page.len() == usize::from(self.geometry.hashes_per_page()) {
            self.end_page();
        }
    }

    fn end_page(&mut self) {
        self.leaves.push(leaf(self.leaves.len() as u32, &self.page));
        self.page.clear();
    }

    /// The tree, if as many hashes were pushed as the object has content blocks.
    pub fn finish(mut self) -> Option<PageTree> {
        if !self.page.is_empty() {
            self.end_page();
        }
        (self.pushed == self.geometry.content_blocks())
            .then(|| PageTree::over(self.geometry, self.leaves))
    }
}

impl PageTree {
    /// The tree over `hashes`, which must be those of all content blocks in order; `None` if their
    /// number is another.
    pub fn build(geometry: Geometry, hashes: &[Hash]) -> Option<PageTree> {
        let mut builder = PageTreeBuilder::new(geometry);
        hashes.iter().for_each(|h| builder.push(*h));
        builder.finish()
    }

    fn over(geometry: Geometry, leaves: Vec<Hash>) -> PageTree {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let above = below
                .chunks(2)
                .map(|pair| {
                    if let [l, r] = pair {
                        node(l, r)
                    } else {
                        pair[0]
                    }
                })
                .collect();
            levels.push(above);
        }
        let top = levels
            .last()
            .and_then(|l| l.first())
            .copied()
            .unwrap_or_default();
        PageTree {
            geometry,
            levels,
            root: root(&geometry, &top),
        }
    }

    /// The root that goes into the description.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Whether `hashes` are those of this page.
    pub fn holds(&self, page: u32, hashes: &[Hash]) -> bool {
        self.levels[0]
            .get(page as usize)
            .is_some_and(|l| *l == leaf(page, hashes))
    }

    /// Writes a page as it is sent: `hashes` are its block hashes, `symbol` one symbol's bytes.
    pub fn write_page(&self, page: u32, hashes: &[Hash], symbol: &mut [u8]) {
        symbol.fill(0);
        let mut places = symbol.chunks_exact_mut(32);
        let mut put = |hash: &Hash| {
            if let Some(place) = places.next() {
                place.copy_from_slice(&hash.0);
            }
        };
        hashes.iter().for_each(&mut put);
        let mut at = page as usize;
        for level in &self.levels {
            if let Some(sibling) = level.get(at ^ 1) {
                put(sibling);
            }
            at /= 2;
        }
    }
}

impl PageHashes {
    /// The index of the first content block it has the hash of.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The hashes, of consecutive content blocks.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Content block indexes and hashes.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Hash)> + '_ {
        (self.first..).zip(self.hashes.iter().copied())
    }
}

impl PageChecker {
    /// A checker for the object whose description says this geometry and root.
    pub fn new(geometry: Geometry, root: Hash) -> PageChecker {
        PageChecker { geometry, root }
    }

    /// Which page a symbol is, if its block is one of hash pages.
    pub fn page_at(&self, block: BlockNo, symbol: SymbolNo) -> Option<u32> {
        self.geometry.page_at(block, symbol)
    }

    /// Checks a page. See [`verify_page`].
    pub fn check(&self, page: u32, symbol: &[u8]) -> Result<PageHashes, PageError> {
        verify_page(&self.geometry, &self.root, page, symbol)
    }
}

/// Checks that `symbol` is page number `page` of the object that `geometry` and `root` describe, and
/// gives its block hashes.
pub fn verify_page(
    geometry: &Geometry,
    root_hash: &Hash,
    page: u32,
    symbol: &[u8],
) -> Result<PageHashes, PageError> {
    if page >= geometry.pages() {
        return Err(PageError::Number(page));
    }
    if symbol.len() != usize::from(geometry.symbol_size()) {
        return Err(PageError::Length(symbol.len()));
    }
    let count = usize::from(geometry.hashes_in(page));
    let (own, mut rest) = symbol.split_at(count * 32);
    let hashes: Vec<Hash> = own.as_chunks().0.iter().map(|h| Hash(*h)).collect();
    let mut top = leaf(page, &hashes);
    let mut at = page;
    let mut width = geometry.pages();
    while width > 1 {
        if at ^ 1 < width {
            let (sibling, after) = rest.split_first_chunk().ok_or(PageError::Root)?;
            let sibling = Hash(*sibling);
            rest = after;
            top = if at & 1 == 0 {
                node(&top, &sibling)
            } else {
                node(&sibling, &top)
            };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    if root(geometry, &top) != *root_hash {
        return Err(PageError::Root);
    }
    if rest.iter().any(|&b| b != 0) {
        return Err(PageError::Padding);
    }
    let first = page * u32::from(geometry.hashes_per_page());
    Ok(PageHashes { first, hashes })
}

/// The hash of a content block's bytes, without the zeros that fill its last symbol.
pub fn block_hash(bytes: &[u8]) -> Hash {
    Hash(*blake3::hash(bytes).as_bytes())
}

fn leaf(page: u32, hashes: &[Hash]) -> Hash {
    let mut h = blake3::Hasher::new_derive_key(PAGE);
    h.update(&page.to_be_bytes());
    for hash in hashes {
        h.update(&hash.0);
    }
    Hash(*h.finalize().as_bytes())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut h = blake3::Hasher::new_derive_key(NODE);
    h.update(&left.0).update(&right.0);
    Hash(*h.finalize().as_bytes())
}

fn root(geometry: &Geometry, top: &Hash) -> Hash {
    let mut h = blake3::Hasher::new_derive_key(ROOT);
    h.update(&geometry.content_blocks().to_be_bytes());
    h.update(&geometry.hashes_per_page().to_be_bytes());
    h.update(&top.0);
    Hash(*h.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An object of this many content blocks, one symbol each.
    fn object(blocks: u32) -> (Geometry, Vec<Hash>, PageTree) {
        let g = Geometry::new(u64::from(blocks) * 1_024, 1_024, 1, 0, 64).unwrap();
        let hashes: Vec<Hash> = (0..blocks).map(|i| block_hash(&i.to_be_bytes())).collect();
        let tree = PageTree::build(g, &hashes).unwrap();
        (g, hashes, tree)
    }

    fn page(g: &Geometry, hashes: &[Hash], tree: &PageTree, page: u32) -> Vec<u8> {
        let first = page as usize * usize::from(g.hashes_per_page());
        let own = &hashes[first..first + usize::from(g.hashes_in(page))];
        assert!(tree.holds(page, own));
        let mut symbol = vec![0xee; g.symbol_size().into()];
        tree.write_page(page, own, &mut symbol);
        symbol
    }

    /// The tree's top, found the slow way: split at the largest power of two below the width.
    fn naive_top(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::default(),
            [one] => *one,
            _ => {
                let left = leaves.len().next_power_of_two() / 2;
                node(&naive_top(&leaves[..left]), &naive_top(&leaves[left..]))
            }
        }
    }

    #[test]
    fn every_page_of_every_shape_is_proven() {
        for blocks in (1..200).chain([1_000, 1_023, 1_024, 1_025]) {
            let (g, hashes, tree) = object(blocks);
            let leaves: Vec<Hash> = hashes
                .chunks(g.hashes_per_page().into())
                .enumerate()
                .map(|(i, c)| leaf(i as u32, c))
                .collect();
            assert_eq!(tree.root(), root(&g, &naive_top(&leaves)));
            let mut seen = Vec::new();
            for no in 0..g.pages() {
                let symbol = page(&g, &hashes, &tree, no);
                let checked = verify_page(&g, &tree.root(), no, &symbol).unwrap();
                assert_eq!(checked.first() as usize, seen.len());
                seen.extend(checked.iter().map(|(_, h)| h));
            }
            assert_eq!(seen, hashes);
        }
    }

    #[test]
    fn golden_roots() {
        let roots = [0, 1, 100].map(|blocks| object(blocks).2.root().to_string());
        assert_eq!(
            roots,
            [
                "5ebe783db7327ece06d1807f04d0fd260b701bd17370b410292e7453477f4662",
                "684e8f982cea02f282f2736fb6f5ddf1dc7185b6316b8829a8da584de48118d0",
                "9605c89caf82a4da6c627e5be4e70c0de0b90da99abf2362d92abf21a4e7823c"
            ]
        );
    }

    #[test]
    fn four_tebibytes() {
        let g = Geometry::new(4 << 40, 1_344, 1_024, 0, 64).unwrap();
        let hash = |i: u32| {
            let mut h = Hash::default();
            h.0[..4].copy_from_slice(&i.to_be_bytes());
            h
        };
        let mut builder = PageTreeBuilder::new(g);
        (0..g.content_blocks()).for_each(|i| builder.push(hash(i)));
        let tree = builder.finish().unwrap();
        let bytes = tree.levels.iter().map(|l| l.len() * 32).sum::<usize>();
        assert!(bytes < 10 << 20, "{bytes} bytes of tree");
        for no in [0, 1, g.pages() / 2, g.pages() - 1] {
            let first = no * u32::from(g.hashes_per_page());
            let own: Vec<Hash> = (first..first + u32::from(g.hashes_in(no)))
                .map(hash)
                .collect();
            let mut symbol = vec![0; 1_344];
            tree.write_page(no, &own, &mut symbol);
            assert_eq!(
                verify_page(&g, &tree.root(), no, &symbol).unwrap().hashes(),
                own
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (g, hashes, tree) = object(100);
        let good = page(&g, &hashes, &tree, 1);
        let checker = PageChecker::new(g, tree.root());
        assert!(checker.check(1, &good).is_ok());
        assert_eq!(checker.check(0, &good), Err(PageError::Root));
        assert_eq!(
            checker.check(g.pages(), &good),
            Err(PageError::Number(g.pages()))
        );
        assert_eq!(checker.check(1, &good[1..]), Err(PageError::Length(1_023)));
        let mut padded = page(&g, &hashes, &tree, 3);
        padded[1_023] = 1;
        assert_eq!(checker.check(3, &padded), Err(PageError::Padding));
        assert_eq!(checker.page_at(2, 0), Some(1));
        assert_eq!(checker.page_at(0, 0), None);
        // The same hashes in an object of one block more are not a proof here.
        let (_, _, other) = object(101);
        assert_ne!(other.root(), tree.root());
    }

    #[test]
    fn a_node_is_not_a_leaf() {
        // An inner node's children passed off as a page's two hashes give another leaf.
        let (a, b) = (block_hash(b"a"), block_hash(b"b"));
        assert_ne!(node(&a, &b), leaf(0, &[a, b]));
        let (g, _, tree) = object(32);
        assert_ne!(tree.root(), tree.levels[0][0]);
        assert_ne!(root(&g, &a), node(&a, &a));
    }

    #[test]
    fn a_wrong_number_of_hashes_gives_no_tree() {
        let (g, hashes, _) = object(100);
        assert_eq!(PageTree::build(g, &hashes[..99]), None);
        let mut builder = PageTreeBuilder::new(g);
        (0..101).for_each(|_| builder.push(hashes[0]));
        assert!(builder.finish().is_none());
    }

    proptest! {
        #[test]
        fn no_changed_bit_passes(blocks in 1u32..200, at in 0usize..1_024, bit in 0u8..8, no in 0u32..8) {
            let (g, hashes, tree) = object(blocks);
            let no = no % g.pages();
            let mut symbol = page(&g, &hashes, &tree, no);
            symbol[at] ^= 1 << bit;
            prop_assert!(verify_page(&g, &tree.root(), no, &symbol).is_err());
        }

        #[test]
        fn noise_is_refused(
            length: u32,
            no in 0u32..10,
            symbol in proptest::collection::vec(any::<u8>(), 1_024..=1_088),
        ) {
            let g = Geometry::new(length.into(), 1_024, 1_024, 0, 64).unwrap();
            prop_assert!(verify_page(&g, &Hash::default(), no, &symbol).is_err());
        }
    }
}
