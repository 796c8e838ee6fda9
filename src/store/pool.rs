//! Buffers in which a receiver's blocks are put together.
//!
//! Takes symbols on the network thread (one copy each), gives whole blocks to the disk thread, and
//! the least recently touched incomplete ones when memory runs short. Parity waits in the places of
//! source symbols that have not come, so a buffer is as large as a block. It writes nothing,
//! restores nothing and knows nothing of hashes.

use std::collections::HashMap;

use crate::ids::{BlockNo, SymbolNo};
use crate::object::Geometry;
use crate::store::places::{Places, Seat};
use crate::symbol_set::SymbolSet;

/// Bytes in a pool when nothing else is said: 63 blocks of 512 KiB with default symbols, or what
/// 100 Mbit/s brings in 2.7 s.
pub const DEFAULT_POOL: usize = 32 << 20;

/// Fewest buffers of an open object's size that a pool has, whatever its limit: one being filled,
/// one with gaps, and two on their way to disk and back.
const MIN_BUFFERS: usize = 4;

/// A bounded set of block buffers, used over and over.
#[derive(Debug)]
pub struct BlockPool {
    limit: usize,
    allocated: usize,
    resident: usize,
    given_out: usize,
    touches: u64,
    sizes: HashMap<u32, Geometry>,
    blocks: Vec<(u64, BlockBuf)>,
    /// Where the last symbol went: the next one goes there most often.
    last: usize,
    free: Vec<Vec<u8>>,
}

/// A block's symbols, as far as they are in memory.
#[derive(Debug)]
pub struct BlockBuf {
    object: u32,
    block: BlockNo,
    symbols: SymbolNo,
    symbol_size: usize,
    places: Places,
    bytes: Vec<u8>,
}

/// What became of a symbol.
#[derive(Debug)]
#[must_use]
pub enum Put {
    /// It is in the pool (or was already, or the block has enough without it).
    Kept,
    /// It is in the pool; to make room, this incomplete block must be written
    /// ([`Store::write_partial`](crate::store::Store::write_partial)) and its buffer given back.
    Evicted(BlockBuf),
    /// It is not: every buffer is on its way to disk. The packet is to be counted as lost to a slow
    /// disk.
    Stalled,
    /// It is not: no open object has such a symbol, or it has another length.
    Unknown,
}

impl BlockBuf {
    /// The object's number.
    pub fn object(&self) -> u32 {
        self.object
    }

    /// The block's number.
    pub fn block(&self) -> BlockNo {
        self.block
    }

    /// Which symbols are here, source and parity.
    pub fn present(&self) -> &SymbolSet {
        self.places.present()
    }

    /// The symbols that are here, source and parity, in the order of their places.
    pub fn symbols(&self) -> impl Iterator<Item = (SymbolNo, &[u8])> + '_ {
        let occupied = self.places.occupied();
        occupied.map(|(place, symbol)| (symbol, self.place(place)))
    }

    /// Which symbol stands where in the bytes.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The bytes of a symbol's place.
    pub(crate) fn place(&self, place: u16) -> &[u8] {
        let start = usize::from(place) * self.symbol_size;
        &self.bytes[start..start + self.symbol_size]
    }

    /// The bytes of the whole block; places that are free hold what is left over from earlier.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = usize::from(self.symbols) * self.symbol_size;
        &mut self.bytes[..len]
    }

    /// The bytes of the whole block: each symbol that is here in its own place, or, of parity, in
    /// the place that [`symbols`](BlockBuf::symbols) gives it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.symbols) * self.symbol_size]
    }
}

impl BlockPool {
    /// A pool of at most `limit` bytes, or four buffers of the largest open object if those are
    /// more.
    pub fn new(limit: usize) -> BlockPool {
        BlockPool {
            limit,
            allocated: 0,
            resident: 0,
            given_out: 0,
            touches: 0,
            sizes: HashMap::new(),
            blocks: Vec::new(),
            last: 0,
            free: Vec::new(),
        }
    }

    /// Makes symbols of an object welcome; `object` is any number that names it.
    pub fn open(&mut self, object: u32, geometry: &Geometry) {
        self.sizes.insert(object, *geometry);
    }

    /// Forgets an object and what there is of it. Buffers that are out may still be given back.
    pub fn close(&mut self, object: u32) {
        self.sizes.remove(&object);
        while let Some(at) = self.blocks.iter().position(|(_, b)| b.object == object) {
            let buf = self.remove(at);
            self.give_back(buf);
        }
    }

    /// Copies a symbol into its block's buffer.
    pub fn put(&mut self, object: u32, block: BlockNo, symbol: SymbolNo, payload: &[u8]) -> Put {
        let Some(geometry) = self.sizes.get(&object) else {
            return Put::Unknown;
        };
        let symbols = geometry.symbols(block);
        if !geometry.has(block, symbol) || payload.len() != usize::from(geometry.symbol_size()) {
            return Put::Unknown;
        }
        let (at, is_new) = match self.find(object, block) {
            Some(at) => (at, false),
            None => {
                let Some(bytes) = self.acquire(buffer_size(geometry)) else {
                    return Put::Stalled;
                };
                self.resident += bytes.len();
                let places = Places::new(symbols);
                let symbol_size = payload.len();
                self.blocks.push((
                    0,
                    BlockBuf {
                        object,
                        block,
                        symbols,
                        symbol_size,
                        places,
                        bytes,
                    },
                ));
                (self.blocks.len() - 1, true)
            }
        };
        self.last = at;
        self.touches += 1;
        let (touched, buf) = &mut self.blocks[at];
        *touched = self.touches;
        if let Seat::At {
            place,
            guest_moves_to,
        } = buf.places.add(symbol)
        {
            let start = |place| usize::from(place) * payload.len();
            let bytes = start(place)..start(place) + payload.len();
            if let Some(to) = guest_moves_to {
                buf.bytes.copy_within(bytes.clone(), start(to));
            }
            buf.bytes[bytes].copy_from_slice(payload);
        }
        if is_new && let Some(evicted) = self.evict() {
            return Put::Evicted(evicted);
        }
        Put::Kept
    }

    /// Takes a block out, to be finished; `None` if no symbol of it is here.
    pub fn take(&mut self, object: u32, block: BlockNo) -> Option<BlockBuf> {
        self.find(object, block).map(|at| self.remove(at))
    }

    /// Takes a buffer back that [`take`](BlockPool::take) or an eviction gave out.
    pub fn give_back(&mut self, buf: BlockBuf) {
        self.given_out -= buf.bytes.len();
        if self.allocated > self.effective_limit() {
            self.allocated -= buf.bytes.len();
        } else {
            self.free.push(buf.bytes);
        }
    }

    /// Bytes of all buffers, given out or not.
    pub fn allocated(&self) -> usize {
        self.allocated
    }

    /// Bytes of blocks that are out and wait for their turn to go to disk: all but one, which has
    /// it.
    pub fn waiting(&self) -> usize {
        self.given_out.saturating_sub(self.largest())
    }

    /// The share of the room for them that they take: that of blocks which are put together is
    /// none.
    pub fn filled(&self) -> f64 {
        let taken = self.resident + self.largest();
        self.waiting() as f64 / self.effective_limit().saturating_sub(taken).max(1) as f64
    }

    fn effective_limit(&self) -> usize {
        self.limit.max(MIN_BUFFERS * self.largest())
    }

    fn largest(&self) -> usize {
        self.sizes.values().map(buffer_size).max().unwrap_or(0)
    }

    fn find(&self, object: u32, block: BlockNo) -> Option<usize> {
        let is_it = |(_, b): &(u64, BlockBuf)| b.block == block && b.object == object;
        match self.blocks.get(self.last) {
            Some(last) if is_it(last) => Some(self.last),
            _ => self.blocks.iter().position(is_it),
        }
    }

    fn remove(&mut self, at: usize) -> BlockBuf {
        let (_, buf) = self.blocks.swap_remove(at);
        self.resident -= buf.bytes.len();
        self.given_out += buf.bytes.len();
        buf
    }

    /// A quarter of the pool is kept for blocks on their way to disk, so that a symbol of a new
    /// block finds a buffer while they are.
    fn evict(&mut self) -> Option<BlockBuf> {
        let limit = self.effective_limit();
        if self.resident <= limit - limit / 4 {
            return None;
        }
        let (at, _) = self
            .blocks
            .iter()
            .enumerate()
            .min_by_key(|(_, (touched, _))| *touched)?;
        (self.blocks.len() > 1).then(|| self.remove(at))
    }

    fn acquire(&mut self, size: usize) -> Option<Vec<u8>> {
        if let Some(at) = self.free.iter().position(|f| f.len() == size) {
            return Some(self.free.swap_remove(at));
        }
        let limit = self.effective_limit();
        while self.allocated + size > limit {
            self.allocated -= self.free.pop()?.len();
        }
        self.allocated += size;
        Some(vec![0; size])
    }
}

/// One size for all blocks of an object: that of its largest.
fn buffer_size(geometry: &Geometry) -> usize {
    usize::from(geometry.most_symbols()) * usize::from(geometry.symbol_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 8 blocks of 4 symbols; content blocks are 2 to 9.
    fn geometry() -> Geometry {
        Geometry::new(8 * 4 * 1_024, 1_024, 4, 0, 64).unwrap()
    }

    fn pool(limit: usize) -> BlockPool {
        let mut pool = BlockPool::new(limit);
        pool.open(7, &geometry());
        pool
    }

    fn kept(put: Put) {
        assert!(matches!(put, Put::Kept), "{put:?}");
    }

    #[test]
    fn a_block_is_put_together() {
        let mut pool = pool(1 << 20);
        for symbol in [2, 0, 3, 0] {
            kept(pool.put(7, 2, symbol, &[symbol as u8 + 1; 1_024]));
        }
        assert!(pool.take(7, 3).is_none());
        let mut buf = pool.take(7, 2).unwrap();
        assert_eq!((buf.object(), buf.block()), (7, 2));
        assert!(buf.present().iter().eq([0, 2, 3]));
        assert_eq!(buf.bytes_mut()[2 * 1_024..3 * 1_024], [3; 1_024]);
        assert!(pool.take(7, 2).is_none());
        pool.give_back(buf);
        kept(pool.put(7, 4, 0, &[9; 1_024]));
        assert!(
            pool.take(7, 4).unwrap().present().iter().eq([0]),
            "an old block's symbols are gone"
        );
        assert_eq!(pool.allocated(), 4_096);
    }

    #[test]
    fn the_least_recently_touched_goes() {
        let mut pool = pool(0);
        kept(pool.put(7, 2, 0, &[0; 1_024]));
        kept(pool.put(7, 3, 0, &[0; 1_024]));
        kept(pool.put(7, 4, 0, &[0; 1_024]));
        kept(pool.put(7, 2, 1, &[0; 1_024]));
        let Put::Evicted(out) = pool.put(7, 5, 0, &[0; 1_024]) else {
            panic!("no eviction")
        };
        assert_eq!(out.block(), 3);
        // The one buffer kept back is out: a new block has none until it returns.
        assert!(matches!(pool.put(7, 6, 0, &[0; 1_024]), Put::Stalled));
        kept(pool.put(7, 5, 1, &[0; 1_024]));
        pool.give_back(out);
        let Put::Evicted(out) = pool.put(7, 6, 0, &[0; 1_024]) else {
            panic!("no eviction")
        };
        assert_eq!(out.block(), 4);
        assert_eq!(pool.allocated(), 4 * 4_096);
    }

    #[test]
    fn what_does_not_fit_is_unknown() {
        let mut pool = pool(1 << 20);
        assert!(matches!(pool.put(8, 2, 0, &[0; 1_024]), Put::Unknown));
        assert!(matches!(pool.put(7, 2, 4, &[0; 1_024]), Put::Unknown));
        assert!(matches!(pool.put(7, 10, 0, &[0; 1_024]), Put::Unknown));
        assert!(matches!(pool.put(7, 2, 0, &[0; 1_023]), Put::Unknown));
        assert_eq!(pool.allocated(), 0);
    }

    #[test]
    fn parity_waits_where_source_symbols_are_missing() {
        let mut pool = BlockPool::new(1 << 20);
        pool.open(7, &Geometry::new(8 * 4 * 1_024, 1_024, 4, 3, 64).unwrap());
        for symbol in [4, 0, 6, 3, 4] {
            kept(pool.put(7, 2, symbol, &[symbol as u8; 1_024]));
        }
        assert!(matches!(pool.put(7, 2, 7, &[0; 1_024]), Put::Unknown));
        assert!(matches!(pool.put(7, 1, 1, &[0; 1_024]), Put::Unknown));
        kept(pool.put(7, 2, 5, &[5; 1_024]));
        let buf = pool.take(7, 2).unwrap();
        assert!(
            buf.present().iter().eq([0, 3, 4, 6]),
            "one more is not needed"
        );
        assert_eq!(buf.bytes().len(), 4 * 1_024);
        for (place, symbol) in buf.places().occupied() {
            assert_eq!(buf.place(place), [symbol as u8; 1_024]);
        }
    }

    #[test]
    fn a_closed_object_leaves_room_for_another_size() {
        let mut pool = pool(16 * 1_024);
        kept(pool.put(7, 2, 0, &[0; 1_024]));
        kept(pool.put(7, 3, 0, &[0; 1_024]));
        let out = pool.take(7, 3).unwrap();
        pool.close(7);
        assert!(matches!(pool.put(7, 2, 0, &[0; 1_024]), Put::Unknown));
        let larger = Geometry::new(1 << 20, 8_192, 2, 0, 64).unwrap();
        pool.open(8, &larger);
        kept(pool.put(8, 2, 0, &[0; 8_192]));
        pool.give_back(out);
        kept(pool.put(8, 3, 0, &[0; 8_192]));
        kept(pool.put(8, 4, 0, &[0; 8_192]));
        assert!(pool.allocated() <= 4 * 16_384);
    }
}
