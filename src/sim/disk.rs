//! A receiver's disk: what is there of each object with real bytes, and the disk's own faults.

use std::collections::BTreeMap;

use crate::engine::ObjectKey;
use crate::fault::{FaultKind, StoreFault};
use crate::ids::{BlockNo, ShortCodingId};
use crate::object::Description;
use crate::range_set::RangeSet;
use crate::rng::Rng;
use crate::sim::Content;
use crate::sim::slow_disk::SlowDisk;
use crate::store::{DEFAULT_POOL, Incoming, Memory, Settled, Store};
use crate::wire::DataHeader;

/// The disk of one receiver. Objects without bytes are not on it, and always hold.
#[derive(Debug)]
pub(super) struct Disk {
    incoming: Incoming,
    /// What earlier runs have left.
    left: BTreeMap<ShortCodingId, Box<dyn Store>>,
    /// Blocks of every object that are here from an earlier run, for objects without bytes.
    kept: RangeSet,
    /// It takes less than the network may bring.
    pub(super) slow: Option<SlowDisk>,
    /// It writes nothing any more.
    pub(super) full: bool,
    /// The share of symbols that it damages.
    pub(super) bit_rot: f64,
    /// Something on it is damaged or forged.
    pub(super) rotten: bool,
}

impl Disk {
    /// An empty disk without faults.
    pub(super) fn new() -> Disk {
        Disk {
            incoming: Incoming::new(DEFAULT_POOL),
            left: BTreeMap::new(),
            kept: RangeSet::new(),
            slow: None,
            full: false,
            bit_rot: 0.0,
            rotten: false,
        }
    }

    /// Blocks that are here of every object that comes.
    pub(super) fn keep(&mut self, blocks: RangeSet) {
        self.kept = blocks;
    }

    /// An object comes, with bytes if it is `real`. Gives the blocks that are here already.
    pub(super) fn open(
        &mut self,
        object: ObjectKey,
        description: &Description,
        real: bool,
    ) -> RangeSet {
        let mut held = self.kept.clone();
        if real {
            let left = self.left.remove(&description.coding().short());
            let store = left.unwrap_or_else(|| Box::new(Memory::new(description)));
            held.union_with(&store.held());
            self.incoming.open(object.0, store);
        }
        held
    }

    /// An object that has bytes is on it.
    pub(super) fn has(&self, object: ObjectKey) -> bool {
        self.incoming.store(object.0).is_some()
    }

    /// Keeps a symbol, which it may damage.
    pub(super) fn put(
        &mut self,
        rng: &mut Rng,
        object: ObjectKey,
        header: &DataHeader,
        symbol: &mut [u8],
    ) -> Result<Settled, StoreFault> {
        let (block, number) = (header.block, header.symbol);
        let Some(store) = self.incoming.store(object.0) else {
            return Ok(Settled::default());
        };
        let is_page = store.description().geometry.is_page(block);
        if self.bit_rot > 0.0 && !is_page && rng.chance(self.bit_rot) {
            symbol[0] ^= 1;
            self.rotten = true;
        }
        self.incoming.put(object.0, block, number, symbol)
    }

    /// Checks a block of which enough symbols are here; none if the page that proves it is not.
    pub(super) fn check(
        &mut self,
        object: ObjectKey,
        block: BlockNo,
    ) -> Option<Result<(), StoreFault>> {
        if self.full {
            let text = "no space left on the disk";
            return Some(Err(StoreFault::new(FaultKind::NoSpace, text)));
        }
        if !self.has(object) {
            return Some(Ok(()));
        }
        self.incoming.check(object.0, block)
    }

    /// Whether an object is what was offered, byte by byte.
    pub(super) fn matches(&self, object: ObjectKey, content: &Content) -> bool {
        let Some(store) = self.incoming.store(object.0) else {
            return true;
        };
        let g = &content.description().geometry;
        let size = usize::from(g.symbol_size());
        let (mut here, mut offered) = (Vec::new(), Vec::new());
        (0..g.blocks()).all(|block| {
            here.resize(usize::from(g.symbols(block)) * size, 0);
            offered.resize(here.len(), 0);
            let reads = [
                store.read_block(block, &mut here),
                content.store().read_block(block, &mut offered),
            ];
            reads.iter().all(Result::is_ok) && here == offered
        })
    }

    /// Finishes an object, which can still be read.
    pub(super) fn finish(&mut self, object: ObjectKey) -> Result<(), StoreFault> {
        if !self.has(object) {
            return Ok(());
        }
        self.incoming.finish(object.0)
    }

    /// Gives up an object.
    pub(super) fn abandon(&mut self, object: ObjectKey) {
        self.incoming.close(object.0);
    }

    /// The disk that the machine's next run finds.
    pub(super) fn next_run(&mut self) -> Disk {
        let mut next = Disk::new();
        next.left = core::mem::take(&mut self.left);
        for mut store in self.incoming.close_all() {
            if store.abandon(true).is_ok() {
                let coding = store.description().coding().short();
                next.left.insert(coding, store);
            }
        }
        next
    }
}
