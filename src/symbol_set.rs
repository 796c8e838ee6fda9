//! A set of the symbols of one block, as a bitmap.
//!
//! Takes symbol numbers and ranges of them, gives membership, order and set algebra. It knows
//! nothing of blocks or of what a symbol holds. `insert`, `remove` and `contains` run once per
//! packet: they allocate only where the bitmap is too short for the symbol.

use core::fmt;
use core::ops::Range;

use crate::ids::SymbolNo;

const WORD: usize = u64::BITS as usize;

/// Symbol numbers from 0 to [`SymbolSet::MAX`], one bit each.
///
/// Two sets are equal when they have the same members, however much room they have.
#[derive(Clone, Default)]
pub struct SymbolSet {
    words: Vec<u64>,
    len: usize,
}

impl SymbolSet {
    /// The largest number it holds: 2^14 - 1, enough for 8,192 source symbols and as many parity
    /// symbols. It bounds a set at 2 KiB whatever the network says.
    pub const MAX: SymbolNo = (1 << 14) - 1;

    const LIMIT: SymbolNo = Self::MAX + 1;

    /// The empty set; allocates nothing.
    pub const fn new() -> SymbolSet {
        SymbolSet {
            words: Vec::new(),
            len: 0,
        }
    }

    /// The empty set, with room for `0..n` so that inserting those allocates nothing.
    pub fn with_capacity(n: SymbolNo) -> SymbolSet {
        let n = usize::from(n.min(Self::LIMIT));
        SymbolSet {
            words: vec![0; n.div_ceil(WORD)],
            len: 0,
        }
    }

    /// The set `0..n`; numbers above [`SymbolSet::MAX`] are left out.
    pub fn full(n: SymbolNo) -> SymbolSet {
        let mut set = SymbolSet::with_capacity(n);
        set.insert_range(0..n);
        set
    }

    /// Adds `symbol`; true if it was not there. A number above [`SymbolSet::MAX`] is not added.
    pub fn insert(&mut self, symbol: SymbolNo) -> bool {
        if symbol > Self::MAX {
            return false;
        }
        let (word, bit) = place(symbol);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += usize::from(new);
        new
    }

    /// Takes `symbol` out; true if it was there.
    pub fn remove(&mut self, symbol: SymbolNo) -> bool {
        let (word, bit) = place(symbol);
        let Some(w) = self.words.get_mut(word) else {
            return false;
        };
        let had = *w & bit != 0;
        *w &= !bit;
        self.len -= usize::from(had);
        had
    }

    /// Whether `symbol` is a member.
    pub fn contains(&self, symbol: SymbolNo) -> bool {
        let (word, bit) = place(symbol);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// How many members it has.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no members.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The smallest member.
    pub fn first(&self) -> Option<SymbolNo> {
        self.next_at(0)
    }

    /// The smallest member that is at least `symbol`.
    pub fn next_at(&self, symbol: SymbolNo) -> Option<SymbolNo> {
        self.seek(symbol, 0)
    }

    /// The smallest number that is at least `symbol` and not a member. It may lie above
    /// [`SymbolSet::MAX`].
    pub fn next_absent_at(&self, symbol: SymbolNo) -> SymbolNo {
        // At most 2^14 bits are kept, so their number fits.
        let end = (self.words.len() * WORD) as SymbolNo;
        self.seek(symbol, u64::MAX).unwrap_or(end.max(symbol))
    }

    /// The first number from `symbol` on, within the words there are, whose bit differs from those
    /// of `skip` (all zeros or all ones).
    fn seek(&self, symbol: SymbolNo, skip: u64) -> Option<SymbolNo> {
        let (start, bit) = place(symbol);
        let mut mask = !(bit - 1);
        for (i, w) in self.words.iter().enumerate().skip(start) {
            let found = (w ^ skip) & mask;
            if found != 0 {
                return Some((i * WORD) as SymbolNo + found.trailing_zeros() as SymbolNo);
            }
            mask = u64::MAX;
        }
        None
    }

    /// Its members in increasing order.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            words: &self.words,
            word: 0,
            bits: self.words.first().copied().unwrap_or(0),
        }
    }

    /// Its members as maximal ranges, in increasing order; none touches the next.
    pub fn ranges(&self) -> Ranges<'_> {
        Ranges { set: self, at: 0 }
    }

    /// Adds all of `range`, as far as [`SymbolSet::MAX`]; returns how many were not there.
    pub fn insert_range(&mut self, range: Range<SymbolNo>) -> usize {
        let range = range.start..range.end.min(Self::LIMIT);
        if range.is_empty() {
            return 0;
        }
        let needed = usize::from(range.end).div_ceil(WORD);
        if needed > self.words.len() {
            self.words.resize(needed, 0);
        }
        let mut new = 0;
        for (word, mask) in masks(range) {
            new += (mask & !self.words[word]).count_ones() as usize;
            self.words[word] |= mask;
        }
        self.len += new;
        new
    }

    /// Takes all of `range` out; returns how many were there.
    pub fn remove_range(&mut self, range: Range<SymbolNo>) -> usize {
        let end = (self.words.len() * WORD) as SymbolNo;
        let range = range.start..range.end.min(end);
        if range.is_empty() {
            return 0;
        }
        let mut had = 0;
        for (word, mask) in masks(range) {
            had += (mask & self.words[word]).count_ones() as usize;
            self.words[word] &= !mask;
        }
        self.len -= had;
        had
    }

    /// Adds the members of `other`.
    pub fn union_with(&mut self, other: &SymbolSet) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(a, b)| *a |= b);
        self.recount();
    }

    /// Takes the members of `other` out.
    pub fn subtract(&mut self, other: &SymbolSet) {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(a, b)| *a &= !b);
        self.recount();
    }

    /// Keeps only members that `other` has too.
    pub fn intersect_with(&mut self, other: &SymbolSet) {
        let theirs = other.words.iter().copied().chain(core::iter::repeat(0));
        self.words.iter_mut().zip(theirs).for_each(|(a, b)| *a &= b);
        self.recount();
    }

    /// Whether `other` has all of its members.
    pub fn is_subset(&self, other: &SymbolSet) -> bool {
        let theirs = other.words.iter().copied().chain(core::iter::repeat(0));
        self.words.iter().zip(theirs).all(|(a, b)| a & !b == 0)
    }

    /// Whether the two have a member in common.
    pub fn intersects(&self, other: &SymbolSet) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// Takes all members out, and keeps the room.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.len = 0;
    }

    fn recount(&mut self) {
        self.len = self.words.iter().map(|w| w.count_ones() as usize).sum();
    }
}

/// The word and the bit that stand for `symbol`.
fn place(symbol: SymbolNo) -> (usize, u64) {
    (
        usize::from(symbol) / WORD,
        1 << (usize::from(symbol) % WORD),
    )
}

/// The words that a range touches, and its bits in each. The range must not be empty.
fn masks(range: Range<SymbolNo>) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = (usize::from(range.start), usize::from(range.end));
    (start / WORD..end.div_ceil(WORD)).map(move |word| {
        let from = start.saturating_sub(word * WORD);
        let to = (end - word * WORD).min(WORD);
        (word, (u64::MAX >> (WORD - (to - from))) << from)
    })
}

impl PartialEq for SymbolSet {
    fn eq(&self, other: &SymbolSet) -> bool {
        self.len == other.len && self.is_subset(other)
    }
}

impl Eq for SymbolSet {}

impl fmt::Debug for SymbolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ranges()).finish()
    }
}

impl FromIterator<SymbolNo> for SymbolSet {
    fn from_iter<I: IntoIterator<Item = SymbolNo>>(symbols: I) -> SymbolSet {
        let mut set = SymbolSet::new();
        set.extend(symbols);
        set
    }
}

impl Extend<SymbolNo> for SymbolSet {
    fn extend<I: IntoIterator<Item = SymbolNo>>(&mut self, symbols: I) {
        symbols.into_iter().for_each(|s| {
            self.insert(s);
        });
    }
}

impl<'a> IntoIterator for &'a SymbolSet {
    type Item = SymbolNo;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The members of a [`SymbolSet`] in increasing order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    words: &'a [u64],
    word: usize,
    bits: u64,
}

impl Iterator for Iter<'_> {
    type Item = SymbolNo;

    fn next(&mut self) -> Option<SymbolNo> {
        while self.bits == 0 {
            self.word += 1;
            self.bits = *self.words.get(self.word)?;
        }
        let bit = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some((self.word * WORD) as SymbolNo + bit as SymbolNo)
    }
}

/// The members of a [`SymbolSet`] as maximal ranges.
#[derive(Clone, Debug)]
pub struct Ranges<'a> {
    set: &'a SymbolSet,
    at: SymbolNo,
}

impl Iterator for Ranges<'_> {
    type Item = Range<SymbolNo>;

    fn next(&mut self) -> Option<Range<SymbolNo>> {
        let start = self.set.next_at(self.at)?;
        self.at = self.set.next_absent_at(start);
        Some(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u16),
        Remove(u16),
        InsertRange(u16, u16),
        RemoveRange(u16, u16),
        Union(Vec<u16>),
        Subtract(Vec<u16>),
        Intersect(Vec<u16>),
        Clear,
    }

    /// Mostly small and around word borders, sometimes around the limit or above.
    fn number() -> impl Strategy<Value = u16> {
        prop_oneof![4 => 0u16..200, 1 => 16_300u16..16_500, 1 => any::<u16>()]
    }

    fn op() -> impl Strategy<Value = Op> {
        let many = || prop::collection::vec(number(), 0..60);
        prop_oneof![
            8 => number().prop_map(Op::Insert),
            4 => number().prop_map(Op::Remove),
            4 => (number(), number()).prop_map(|(a, b)| Op::InsertRange(a, b)),
            4 => (number(), number()).prop_map(|(a, b)| Op::RemoveRange(a, b)),
            1 => many().prop_map(Op::Union),
            1 => many().prop_map(Op::Subtract),
            1 => many().prop_map(Op::Intersect),
            1 => Just(Op::Clear),
        ]
    }

    fn oracle(members: &[u16]) -> BTreeSet<u16> {
        members
            .iter()
            .copied()
            .filter(|&s| s <= SymbolSet::MAX)
            .collect()
    }

    fn apply(set: &mut SymbolSet, naive: &mut BTreeSet<u16>, op: Op) {
        match op {
            Op::Insert(s) => {
                assert_eq!(set.insert(s), s <= SymbolSet::MAX && naive.insert(s));
            }
            Op::Remove(s) => assert_eq!(set.remove(s), naive.remove(&s)),
            Op::InsertRange(a, b) => {
                let before = naive.len();
                naive.extend(a..b.min(SymbolSet::MAX + 1));
                assert_eq!(set.insert_range(a..b), naive.len() - before);
            }
            Op::RemoveRange(a, b) => {
                let before = naive.len();
                naive.retain(|s| !(a..b).contains(s));
                assert_eq!(set.remove_range(a..b), before - naive.len());
            }
            Op::Union(v) => {
                set.union_with(&v.iter().copied().collect());
                naive.extend(oracle(&v));
            }
            Op::Subtract(v) => {
                set.subtract(&v.iter().copied().collect());
                naive.retain(|s| !oracle(&v).contains(s));
            }
            Op::Intersect(v) => {
                set.intersect_with(&v.iter().copied().collect());
                naive.retain(|s| oracle(&v).contains(s));
            }
            Op::Clear => {
                set.clear();
                naive.clear();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn behaves_as_a_tree_set(ops in prop::collection::vec(op(), 0..40), probes in prop::collection::vec(number(), 8), other in prop::collection::vec(number(), 0..40)) {
            let (mut set, mut naive) = (SymbolSet::new(), BTreeSet::new());
            for op in ops {
                apply(&mut set, &mut naive, op);
                prop_assert_eq!(set.len(), naive.len());
                prop_assert_eq!(set.is_empty(), naive.is_empty());
            }
            prop_assert!(set.iter().eq(naive.iter().copied()));
            prop_assert!(set.ranges().flatten().eq(naive.iter().copied()));
            prop_assert!(set.ranges().zip(set.ranges().skip(1)).all(|(a, b)| a.end < b.start));
            prop_assert_eq!(set.first(), naive.first().copied());
            for p in probes {
                prop_assert_eq!(set.contains(p), naive.contains(&p));
                prop_assert_eq!(set.next_at(p), naive.range(p..).next().copied());
                prop_assert_eq!(Some(set.next_absent_at(p)), (p..=u16::MAX).find(|s| !naive.contains(s)));
            }
            let (other, naive_other) = (other.iter().copied().collect::<SymbolSet>(), oracle(&other));
            prop_assert_eq!(set.is_subset(&other), naive.is_subset(&naive_other));
            prop_assert_eq!(set.intersects(&other), !naive.is_disjoint(&naive_other));
            prop_assert_eq!(set == other, naive == naive_other);
            prop_assert_eq!(set, naive.into_iter().collect::<SymbolSet>());
        }
    }

    #[test]
    fn room_is_not_part_of_equality() {
        let mut roomy = SymbolSet::with_capacity(10_000);
        roomy.insert(3);
        assert_eq!(roomy, [3].into_iter().collect());
        assert_eq!(SymbolSet::with_capacity(10_000), SymbolSet::new());
    }

    #[test]
    fn inserting_within_capacity_keeps_the_allocation() {
        let mut set = SymbolSet::with_capacity(1_000);
        let at = set.words.as_ptr();
        (0..1_000).for_each(|s| assert!(set.insert(s)));
        assert_eq!(set.words.as_ptr(), at);
        assert_eq!(set, SymbolSet::full(1_000));
    }

    #[test]
    fn the_limit_holds() {
        let mut set = SymbolSet::full(u16::MAX);
        assert_eq!(set.len(), 16_384);
        assert!(!set.insert(16_384));
        assert_eq!(set.next_absent_at(0), 16_384);
        assert_eq!(set.next_absent_at(20_000), 20_000);
        assert_eq!(set.next_at(20_000), None);
    }

    #[test]
    fn debug_shows_ranges() {
        let set: SymbolSet = [0, 1, 2, 63, 64].into_iter().collect();
        assert_eq!(format!("{set:?}"), "{0..3, 63..65}");
    }
}
