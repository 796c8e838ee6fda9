//! Symbols that come in parts, on paths too narrow for whole ones.
//!
//! Takes pieces, gives whole symbols. Its memory has a limit: the symbol that was touched least
//! recently goes, and is asked for again.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::engine::ObjectKey;
use crate::ids::{BlockNo, SymbolNo};
use crate::range_set::RangeSet;

/// Most symbols under way: 1.4 MB of default symbols, and more than a sender has in flight on a
/// path that is that narrow.
const MAX_SYMBOLS: usize = 1_024;

/// Pieces from several addresses never make one symbol.
type Key = (ObjectKey, BlockNo, SymbolNo, SocketAddr);

/// Symbols that have come in part.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    symbols: HashMap<Key, Partial>,
    touches: u64,
}

#[derive(Debug)]
struct Partial {
    bytes: Vec<u8>,
    here: RangeSet,
    touched: u64,
}

impl Parts {
    /// Adds the piece at `offset`; gives the symbol's bytes when it is whole. A piece beyond the
    /// symbol's end is ignored.
    pub(crate) fn add(
        &mut self,
        key: Key,
        symbol_size: u16,
        offset: u16,
        piece: &[u8],
    ) -> Option<Vec<u8>> {
        let size = usize::from(symbol_size);
        let start = usize::from(offset);
        let end = start + piece.len();
        if end > size || piece.is_empty() {
            return None;
        }
        if self.symbols.len() >= MAX_SYMBOLS && !self.symbols.contains_key(&key) {
            let oldest = self
                .symbols
                .iter()
                .min_by_key(|(_, p)| p.touched)
                .map(|(k, _)| *k);
            self.symbols.remove(&oldest?);
        }
        self.touches += 1;
        let partial = self.symbols.entry(key).or_insert_with(|| Partial {
            bytes: vec![0; size],
            here: RangeSet::new(),
            touched: 0,
        });
        partial.touched = self.touches;
        partial.bytes[start..end].copy_from_slice(piece);
        partial.here.insert(start as u64..end as u64);
        if !partial.here.contains_range(0..size as u64) {
            return None;
        }
        self.symbols.remove(&key).map(|p| p.bytes)
    }

    /// Forgets an object's symbols.
    pub(crate) fn close(&mut self, object: ObjectKey) {
        self.symbols.retain(|(o, ..), _| *o != object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(object: u32, block: BlockNo, symbol: SymbolNo) -> Key {
        (
            ObjectKey(object),
            block,
            symbol,
            "10.0.0.1:4700".parse().unwrap(),
        )
    }

    #[test]
    fn pieces_in_any_order_make_a_symbol() {
        let mut parts = Parts::default();
        let whole = key(1, 2, 3);
        assert_eq!(parts.add(whole, 1_024, 600, &[3; 424]), None);
        assert_eq!(parts.add(whole, 1_024, 600, &[3; 424]), None);
        assert_eq!(parts.add(key(1, 2, 4), 1_024, 0, &[1; 300]), None);
        assert_eq!(parts.add(whole, 1_024, 0, &[1; 300]), None);
        let bytes = parts.add(whole, 1_024, 300, &[2; 300]).unwrap();
        assert_eq!(bytes, [vec![1; 300], vec![2; 300], vec![3; 424]].concat());
        assert_eq!(parts.symbols.len(), 1);
        parts.close(ObjectKey(1));
        assert!(parts.symbols.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_nonsense_is_ignored() {
        let mut parts = Parts::default();
        for n in 0..3_000 {
            parts.add(key(0, 0, n), 1_024, 0, &[0; 100]);
        }
        assert_eq!(parts.symbols.len(), MAX_SYMBOLS);
        assert!(parts.symbols.contains_key(&key(0, 0, 2_999)));
        assert_eq!(parts.add(key(0, 1, 0), 1_024, 1_000, &[0; 100]), None);
        assert_eq!(parts.add(key(0, 1, 0), 1_024, 0, &[]), None);
        assert!(!parts.symbols.contains_key(&key(0, 1, 0)));
    }
}
