//! Objects that come in, put together in one thread.
//!
//! Takes symbols as a receiver's engine wants them kept, and gives results for it: a block pool and
//! a store for each object, joined as the driver's network and disk threads join them. For
//! simulations and loops of one's own.

use std::collections::BTreeMap;

use crate::fault::{FaultKind, StoreFault};
use crate::ids::{BlockNo, SymbolNo};
use crate::store::{BlockPool, BlockResult, Put, Settled, Store};

/// Objects that come in, by any number that names them.
#[derive(Debug)]
pub struct Incoming {
    pool: BlockPool,
    stores: BTreeMap<u32, Box<dyn Store>>,
}

impl Incoming {
    /// A place where blocks that are put together have at most `limit` bytes (see
    /// [`BlockPool::new`]).
    pub fn new(limit: usize) -> Incoming {
        Incoming {
            pool: BlockPool::new(limit),
            stores: BTreeMap::new(),
        }
    }

    /// An object comes, to be kept in this store.
    pub fn open(&mut self, object: u32, store: Box<dyn Store>) {
        self.pool.open(object, &store.description().geometry);
        self.stores.insert(object, store);
    }

    /// The store of an object.
    pub fn store(&self, object: u32) -> Option<&dyn Store> {
        self.stores.get(&object).map(|store| &**store)
    }

    /// Keeps a symbol; a page of hashes may settle blocks that waited for it. The symbol is refused
    /// if it is a page that does not prove itself, or if no open object has it.
    pub fn put(
        &mut self,
        object: u32,
        block: BlockNo,
        symbol: SymbolNo,
        payload: &[u8],
    ) -> Result<Settled, StoreFault> {
        let refused = Settled {
            refused: true,
            ..Settled::default()
        };
        let Some(store) = self.stores.get_mut(&object) else {
            return Ok(refused);
        };
        if symbol == 0 && store.description().geometry.is_page(block) {
            return store.store_page(block, payload);
        }
        match self.pool.put(object, block, symbol, payload) {
            Put::Kept => Ok(Settled::default()),
            Put::Evicted(buf) => {
                let (object, block) = (buf.object(), buf.block());
                let store = self.stores.get_mut(&object);
                let written = store.map(|store| store.write_partial(&buf));
                self.pool.give_back(buf);
                written.unwrap_or_else(|| Err(not_open(object, block)))?;
                Ok(Settled::default())
            }
            Put::Stalled | Put::Unknown => Ok(refused),
        }
    }

    /// Checks a block of which enough symbols are here; `None` if it waits for the page that proves
    /// it, which [`put`](Incoming::put) settles.
    pub fn check(&mut self, object: u32, block: BlockNo) -> Option<Result<(), StoreFault>> {
        let Some(store) = self.stores.get_mut(&object) else {
            return Some(Err(not_open(object, block)));
        };
        let mut buf = self.pool.take(object, block);
        let result = store.finish_block(block, buf.as_mut());
        if let Some(buf) = buf {
            self.pool.give_back(buf);
        }
        match result {
            Ok(BlockResult::Unproven) => None,
            Ok(BlockResult::Verified) => Some(Ok(())),
            Ok(BlockResult::Bad) => Some(Err(StoreFault::mismatch())),
            Err(fault) => Some(Err(fault)),
        }
    }

    /// Finishes an object of which every block is verified. Its store can still be read.
    pub fn finish(&mut self, object: u32) -> Result<(), StoreFault> {
        self.pool.close(object);
        match self.stores.get_mut(&object) {
            Some(store) => store.finish(),
            None => Err(not_open(object, 0)),
        }
    }

    /// Forgets an object; its store is the caller's, to be abandoned or read.
    pub fn close(&mut self, object: u32) -> Option<Box<dyn Store>> {
        self.pool.close(object);
        self.stores.remove(&object)
    }

    /// Forgets all objects, like [`close`](Incoming::close).
    pub fn close_all(&mut self) -> Vec<Box<dyn Store>> {
        let objects: Vec<u32> = self.stores.keys().copied().collect();
        objects.iter().filter_map(|&o| self.close(o)).collect()
    }
}

fn not_open(object: u32, block: BlockNo) -> StoreFault {
    let text = format!("block {block} of object {object}, which is not open");
    StoreFault::new(FaultKind::Gone, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Codec, Part, SafeName};
    use crate::store::Memory;

    /// A pool of four buffers makes all incomplete blocks leave memory.
    #[test]
    fn symbols_become_an_object() {
        let content: Vec<u8> = (0..60_000u32).map(|n| ((n * n) >> 7) as u8).collect();
        let name = SafeName::offered("f").unwrap();
        let held = Memory::holding(&name, &content, 1_024, 4, Codec::ReedSolomon).unwrap();
        let g = held.description().geometry;
        let mut incoming = Incoming::new(0);
        incoming.open(3, Box::new(Memory::new(held.description())));
        assert!(incoming.put(2, 0, 0, &[0; 1_024]).unwrap().refused);
        assert!(incoming.put(3, 0, 5, &[0; 1_024]).unwrap().refused);
        assert!(incoming.put(3, 1, 0, &[0; 1_024]).unwrap().refused);
        let symbol_of = |block, symbol: u16| {
            let mut bytes = vec![0; usize::from(g.symbols(block)) * 1_024];
            assert!(held.read_block(block, &mut bytes).is_ok());
            bytes[usize::from(symbol) * 1_024..][..1_024].to_vec()
        };
        // Symbol by symbol over all blocks, the pages last.
        for symbol in 0..4 {
            for block in (0..g.blocks()).filter(|&b| !g.is_page(b)) {
                if symbol >= g.symbols(block) {
                    continue;
                }
                let settled = incoming.put(3, block, symbol, &symbol_of(block, symbol));
                assert_eq!(settled, Ok(Settled::default()));
                if symbol + 1 == g.symbols(block) {
                    let expected = (block == 0).then_some(Ok(()));
                    assert_eq!(incoming.check(3, block), expected);
                }
            }
        }
        let settled = incoming.put(3, 1, 0, &symbol_of(1, 0)).unwrap();
        assert_eq!(settled.verified.len() as u32, g.data_blocks(Part::Content));
        assert_eq!(incoming.finish(3), Ok(()));
        let mut read = vec![0; content.len()];
        let store = incoming.close(3).unwrap();
        assert_eq!(store.read_at(0, &mut read), Ok(()));
        assert!(read == content && incoming.store(3).is_none());
        assert!(incoming.check(3, 0).is_some_and(|r| r.is_err()));
    }
}
