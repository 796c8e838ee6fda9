//! BLAKE3's own tree, from block hashes up to the content id.
//!
//! Takes blocks of an object and gives their hashes, takes hashes and gives the one above. A block
//! of 2^b KiB is a subtree of BLAKE3's tree over chunks of 1 KiB, so an object's content id, the
//! root, is what `b3sum` prints for its bytes. It keeps nothing.
//!
//! Over its blocks the tree is filled from the left: of each level two neighbours have one parent,
//! and a last one without a neighbour goes up as it is. That is BLAKE3's shape for every number of
//! blocks, because all but the last are full and a power of two of chunks long.

use blake3::hazmat::{
    HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::ids::{ContentId, Hash};

/// Chunks of BLAKE3's tree, in bytes.
pub const CHUNK: u64 = blake3::CHUNK_LEN as u64;

/// The hash of a block of an object that has several: the chaining value of its subtree. `offset`
/// is where the block begins in the object, a multiple of the block size.
///
/// A block must not be empty, and not be longer than the size that its offset is a multiple of; a
/// wrong one gives a hash that proves nothing.
pub fn block_hash(offset: u64, block: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    let longest = blake3::hazmat::max_subtree_len(offset).unwrap_or(u64::MAX);
    if block.is_empty() || !offset.is_multiple_of(CHUNK) || block.len() as u64 > longest {
        debug_assert!(false, "{} bytes at {offset} are no block", block.len());
        return Hash::default();
    }
    hasher.set_input_offset(offset);
    hasher.update(block);
    Hash(hasher.finalize_non_root())
}

/// The content id of an object of one block or none.
pub fn content_hash(bytes: &[u8]) -> ContentId {
    Hash(*blake3::hash(bytes).as_bytes())
}

/// The hash over two neighbours, which is not the top of the tree.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    Hash(merge_subtrees_non_root(&left.0, &right.0, Mode::Hash))
}

/// The content id over the two halves of an object of several blocks.
pub fn top(left: &Hash, right: &Hash) -> ContentId {
    let root = merge_subtrees_root(&left.0, &right.0, Mode::Hash);
    Hash(*root.as_bytes())
}

/// The content id of an object by the hashes of its blocks, of which it has at least two.
///
/// A single hash is given back as it is; without any it is zeros.
pub fn content_id_of(blocks: &[Hash]) -> ContentId {
    match blocks {
        [] => Hash::default(),
        [one] => *one,
        [left, right] => top(left, right),
        _ => {
            let (left, right) = blocks.split_at(left_of(blocks.len()));
            top(&subtree(left), &subtree(right))
        }
    }
}

/// The hash over some blocks that is not the top of the tree.
pub fn subtree(blocks: &[Hash]) -> Hash {
    match blocks {
        [] => Hash::default(),
        [one] => *one,
        _ => {
            let (left, right) = blocks.split_at(left_of(blocks.len()));
            parent(&subtree(left), &subtree(right))
        }
    }
}

/// How many of at least two blocks are to the left of the tree's top.
fn left_of(blocks: usize) -> usize {
    (left_subtree_len(blocks as u64 * CHUNK) / CHUNK) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len as u32)
            .map(|n| (n.wrapping_mul(n) >> 5) as u8)
            .collect()
    }

    fn check(bytes: &[u8], block: usize) {
        let offset = |index: usize| (index * block) as u64;
        let blocks = bytes.chunks(block).enumerate();
        let hashes: Vec<Hash> = blocks.map(|(i, b)| block_hash(offset(i), b)).collect();
        if hashes.len() > 1 {
            assert_eq!(content_id_of(&hashes), content_hash(bytes));
        }
    }

    #[test]
    fn blocks_lead_to_the_plain_hash() {
        let all = bytes(40_000);
        for block in [1_024, 2_048, 8_192] {
            for len in (1..40).map(|n| n * 1_024) {
                for len in [len - 1, len, len + 1] {
                    check(&all[..len], block);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn blocks_of_any_object_lead_to_the_plain_hash(len in 1usize..300_000, b in 0u32..7) {
            check(&bytes(len), 1_024 << b);
        }
    }
}
