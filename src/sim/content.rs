//! Real bytes for a simulated run.

use std::sync::Arc;

use crate::object::{Codec, Description, GeometryError, SafeName};
use crate::rng::Rng;
use crate::store::{Memory, Store};

/// An object in memory, with its table and hashes. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Content(Arc<Memory>);

impl Content {
    /// `length` bytes from a seed, in blocks of `block_kib` KiB.
    ///
    /// # Panics
    /// If `name` is no safe name: it comes from the test that calls this.
    pub fn random(
        name: &str,
        length: usize,
        symbol_size: u16,
        block_kib: u32,
        seed: u64,
    ) -> Result<Content, GeometryError> {
        let mut rng = Rng::new(seed);
        let mut bytes = vec![0; length];
        for chunk in bytes.chunks_mut(8) {
            let word = rng.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Content::of(name, &bytes, symbol_size, block_kib, Codec::None)
    }

    fn of(
        name: &str,
        bytes: &[u8],
        symbol_size: u16,
        block_kib: u32,
        codec: Codec,
    ) -> Result<Content, GeometryError> {
        #[expect(clippy::unwrap_used, reason = "the name is the test's own")]
        let name = SafeName::offered(name).unwrap();
        let memory = Memory::holding(&name, bytes, symbol_size, block_kib, codec)?;
        Ok(Content(Arc::new(memory)))
    }

    /// The same bytes, sent with as much parity as source.
    pub fn with_parity(self) -> Result<Content, GeometryError> {
        let Description { name, geometry, .. } = self.description();
        let bytes = self.0.content().unwrap_or_default();
        let (symbol_size, block_kib) = (geometry.symbol_size(), geometry.block_kib());
        Content::of(name, &bytes, symbol_size, block_kib, Codec::ReedSolomon)
    }

    /// What it is.
    pub fn description(&self) -> &Description {
        self.0.description()
    }

    /// The store that has the bytes.
    pub(super) fn store(&self) -> &dyn Store {
        &*self.0
    }
}
