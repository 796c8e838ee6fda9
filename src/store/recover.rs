//! What an earlier run left of an object: found again by proof, not by trust.
//!
//! Takes a sidecar and the incomplete file, gives what of it holds. Pages must lead to the root, and
//! blocks said to be here are read and hashed, some in parallel, with a bounded number in memory.

use rayon::prelude::*;

use crate::ids::{BlockNo, Hash};
use crate::object::{BlockKind, Description, block_hash, verify_page};
use crate::store::SinkError;
use crate::store::bitmap::Bitmap;
use crate::store::disk::Disk;
use crate::store::sidecar::{Sidecar, State};

/// Bytes of blocks in memory at once: enough for every core of a large machine.
const AT_ONCE: usize = 32 << 20;

/// What was found.
pub(crate) struct Found {
    pub(crate) pages: Bitmap,
    pub(crate) verified: Bitmap,
    pub(crate) unproven: Bitmap,
}

/// Reads what the sidecar speaks of, and settles it.
pub(crate) fn recover(
    description: &Description,
    part: &dyn Disk,
    sidecar: &Sidecar,
) -> Result<Found, SinkError> {
    let g = &description.geometry;
    let mut found = Found {
        pages: find_pages(description, sidecar)?,
        verified: Bitmap::new(g.blocks()),
        unproven: Bitmap::new(g.blocks()),
    };
    let said_verified = sidecar.states(State::Verified)?;
    let said_unproven = sidecar.states(State::Unproven)?;
    let said = (g.first_content_block()..g.blocks())
        .filter(|&b| said_verified.contains(b) || said_unproven.contains(b));
    let block_size = usize::from(g.symbols(g.first_content_block())) * usize::from(g.symbol_size());
    let group = (AT_ONCE / block_size.max(1)).clamp(1, 256);
    let mut blocks: Vec<BlockNo> = Vec::with_capacity(group);
    let mut said = said.peekable();
    while said.peek().is_some() {
        blocks.clear();
        blocks.extend(said.by_ref().take(group));
        let hashes: Vec<Option<Hash>> = blocks
            .par_iter()
            .map(|&b| hash_of(description, part, b))
            .collect();
        for (&block, hash) in blocks.iter().zip(hashes) {
            let BlockKind::Content { index, .. } = g.kind(block) else {
                continue;
            };
            // A block that can't be read is one that has not come.
            let Some(hash) = hash else { continue };
            if !found.pages.contains(g.page_of(index).0) {
                sidecar.write_computed(index, &hash)?;
                found.unproven.set(block, true);
            } else if sidecar.expected(index)? == hash {
                found.verified.set(block, true);
            }
        }
    }
    settle(
        sidecar,
        State::Verified,
        said_verified,
        &found.verified,
        g.blocks(),
    )?;
    settle(
        sidecar,
        State::Unproven,
        said_unproven,
        &found.unproven,
        g.blocks(),
    )?;
    Ok(found)
}

fn find_pages(description: &Description, sidecar: &Sidecar) -> Result<Bitmap, SinkError> {
    let g = &description.geometry;
    let mut pages = Bitmap::new(g.pages());
    let mut symbol = vec![0; g.symbol_size().into()];
    for page in 0..g.pages() {
        sidecar.read_page(page, &mut symbol)?;
        // Most of what is not there is zeros: not worth hashing.
        let is_there = symbol.iter().any(|&b| b != 0);
        if is_there && verify_page(g, &description.hash_root, page, &symbol).is_ok() {
            pages.set(page, true);
        }
    }
    Ok(pages)
}

fn hash_of(description: &Description, part: &dyn Disk, block: BlockNo) -> Option<Hash> {
    let BlockKind::Content { offset, len, .. } = description.geometry.kind(block) else {
        return None;
    };
    let mut bytes = vec![0; len as usize];
    part.read_at(&mut bytes, offset).ok()?;
    Some(block_hash(&bytes))
}

/// Brings the sidecar's bits from what was said to what holds.
fn settle(
    sidecar: &Sidecar,
    which: State,
    mut said: Bitmap,
    holds: &Bitmap,
    blocks: u32,
) -> Result<(), SinkError> {
    (0..blocks).try_for_each(|b| sidecar.set_state(which, said.set(b, holds.contains(b))))
}
