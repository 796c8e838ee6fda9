//! One bit per block or page: the only thing in a receiver's memory that grows with an object.

/// A fixed number of bits, kept as the bytes that a sidecar file holds.
#[derive(Clone, Debug)]
pub(crate) struct Bitmap {
    len: u32,
    bytes: Vec<u8>,
    ones: u32,
}

impl Bitmap {
    /// `len` bits, all 0.
    pub(crate) fn new(len: u32) -> Bitmap {
        Bitmap {
            len,
            bytes: vec![0; len.div_ceil(8) as usize],
            ones: 0,
        }
    }

    /// The bits of `bytes`, of which the first `len` count.
    pub(crate) fn from_bytes(mut bytes: Vec<u8>, len: u32) -> Bitmap {
        bytes.resize(len.div_ceil(8) as usize, 0);
        if let Some(last) = bytes.last_mut().filter(|_| !len.is_multiple_of(8)) {
            *last &= (1 << (len % 8)) - 1;
        }
        let ones = bytes.iter().map(|b| b.count_ones()).sum();
        Bitmap { len, bytes, ones }
    }

    /// How many bits there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn contains(&self, at: u32) -> bool {
        self.bytes
            .get((at / 8) as usize)
            .is_some_and(|b| b & (1 << (at % 8)) != 0)
    }

    /// Sets a bit; gives the byte that changed and its place, if one did.
    pub(crate) fn set(&mut self, at: u32, value: bool) -> Option<(u64, u8)> {
        let byte = self.bytes.get_mut((at / 8) as usize)?;
        let bit = 1 << (at % 8);
        if (*byte & bit != 0) == value {
            return None;
        }
        *byte ^= bit;
        self.ones = if value { self.ones + 1 } else { self.ones - 1 };
        Some((u64::from(at / 8), *byte))
    }

    /// How many bits are 1.
    pub(crate) fn ones(&self) -> u32 {
        self.ones
    }

    /// The places of ones, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let bytes = (0u32..).zip(&self.bytes).filter(|(_, b)| **b != 0);
        bytes.flat_map(|(i, b)| {
            (0..8)
                .filter(move |bit| b & (1 << bit) != 0)
                .map(move |bit| i * 8 + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_set(steps in proptest::collection::vec((0u32..100, any::<bool>()), 0..200)) {
            let mut bits = Bitmap::new(77);
            let mut set = BTreeSet::new();
            for (at, value) in steps.into_iter().filter(|s| s.0 < 77) {
                let changed = if value { set.insert(at) } else { set.remove(&at) };
                prop_assert_eq!(bits.set(at, value).is_some(), changed);
                prop_assert_eq!(bits.ones() as usize, set.len());
            }
            prop_assert!(bits.iter().eq(set.iter().copied()));
            prop_assert!((0..100).all(|at| bits.contains(at) == set.contains(&at)));
            let again = Bitmap::from_bytes(bits.bytes.clone(), 77);
            prop_assert!(again.iter().eq(set.iter().copied()));
        }
    }

    #[test]
    fn bits_beyond_the_end_do_not_count() {
        assert_eq!(Bitmap::from_bytes(vec![0xff; 2], 11).ones(), 11);
        assert_eq!(Bitmap::new(8).set(8, true), None);
    }
}
