//! A set of numbers kept as disjoint ranges.
//!
//! Takes ranges, gives membership, order and the ranges that are left. Its memory grows with the
//! number of ranges, not with what they span; who feeds it from the network bounds
//! [`RangeSet::range_count`].

use core::fmt;
use core::ops::Range;
use std::collections::BTreeMap;

/// Numbers from 0 to 2^64 - 2, as ranges that neither overlap nor touch.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RangeSet {
    /// Start to end of each range.
    ranges: BTreeMap<u64, u64>,
    total: u64,
}

impl RangeSet {
    /// The empty set; allocates nothing.
    pub const fn new() -> RangeSet {
        RangeSet {
            ranges: BTreeMap::new(),
            total: 0,
        }
    }

    /// Adds all of `range`; returns how many numbers were not there. An empty range adds nothing.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let Range { mut start, mut end } = range;
        let before = self.total;
        // What arrives in order extends the range before it: no tree surgery.
        if let Some((_, e)) = self.ranges.range_mut(..=start).next_back()
            && *e >= start
        {
            if *e >= end {
                return 0;
            }
            let old = *e;
            let follower = self.ranges.range(old..).next().map(|(&s, _)| s);
            if follower.is_none_or(|s| s > end) {
                if let Some((_, e)) = self.ranges.range_mut(..=start).next_back() {
                    *e = end;
                }
                self.total += end - old;
                return end - old;
            }
        }
        if let Some((s, e)) = self.before(start)
            && e >= start
        {
            start = s;
        }
        while let Some((s, e)) = self.before(end)
            && s >= start
        {
            self.ranges.remove(&s);
            self.total -= e - s;
            end = end.max(e);
        }
        self.ranges.insert(start, end);
        self.total += end - start;
        self.total - before
    }

    /// Takes all of `range` out; returns how many numbers were there.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let Range { start, end } = range;
        let before = self.total;
        while let Some((&s, &e)) = self.ranges.range(..end).next_back()
            && e > start
        {
            self.ranges.remove(&s);
            self.total -= e - s;
            if e > end {
                self.ranges.insert(end, e);
                self.total += e - end;
            }
            if s < start {
                self.ranges.insert(s, start);
                self.total += start - s;
            }
        }
        before - self.total
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: u64) -> bool {
        self.before(value).is_some_and(|(_, e)| e > value)
    }

    /// Whether all of `range` is in the set; true for an empty range.
    pub fn contains_range(&self, range: Range<u64>) -> bool {
        range.is_empty()
            || self
                .before(range.start)
                .is_some_and(|(_, e)| e >= range.end)
    }

    /// The smallest member.
    pub fn first(&self) -> Option<u64> {
        self.ranges.first_key_value().map(|(&s, _)| s)
    }

    /// The largest member.
    pub fn last(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, &e)| e - 1)
    }

    /// The part at or after `value` of the first range that ends after `value`.
    pub fn next_range_at(&self, value: u64) -> Option<Range<u64>> {
        match self.before(value) {
            Some((_, e)) if e > value => Some(value..e),
            _ => self.ranges.range(value..).next().map(|(&s, &e)| s..e),
        }
    }

    /// The parts of `range` that are not in the set, in increasing order.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut at = range.start;
        core::iter::from_fn(move || {
            while at < range.end {
                let next = self.next_range_at(at).unwrap_or(range.end..range.end);
                let gap = at..next.start.min(range.end);
                at = next.end;
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// Its ranges in increasing order; none touches the next.
    pub fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + Clone + '_ {
        self.ranges.iter().map(|(&s, &e)| s..e)
    }

    /// How many members it has.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many ranges it takes.
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes all members out.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.total = 0;
    }

    /// Adds the members of `other`.
    pub fn union_with(&mut self, other: &RangeSet) {
        self.extend(other.iter());
    }

    /// The last range that starts at or before `value`.
    fn before(&self, value: u64) -> Option<(u64, u64)> {
        self.ranges
            .range(..=value)
            .next_back()
            .map(|(&s, &e)| (s, e))
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Extend<Range<u64>> for RangeSet {
    fn extend<I: IntoIterator<Item = Range<u64>>>(&mut self, ranges: I) {
        ranges.into_iter().for_each(|r| {
            self.insert(r);
        });
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> RangeSet {
        let mut set = RangeSet::new();
        set.extend(ranges);
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn behaves_as_a_set_of_numbers(ops in prop::collection::vec((prop::bool::weighted(0.65), 0u64..80, 0u64..20), 0..50), probes in prop::collection::vec((0u64..110, 0u64..15), 12)) {
            let (mut set, mut naive) = (RangeSet::new(), BTreeSet::new());
            for (insert, start, len) in ops {
                let (range, before) = (start..start + len, naive.len() as u64);
                if insert {
                    naive.extend(range.clone());
                    prop_assert_eq!(set.insert(range), naive.len() as u64 - before);
                } else {
                    naive.retain(|v| !range.contains(v));
                    prop_assert_eq!(set.remove(range), before - naive.len() as u64);
                }
                prop_assert_eq!(set.total(), naive.len() as u64);
                prop_assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.end < b.start));
                prop_assert!(set.iter().all(|r| !r.is_empty()));
            }
            prop_assert!(set.iter().flatten().eq(naive.iter().copied()));
            prop_assert_eq!(set.iter().count(), set.range_count());
            prop_assert_eq!(set.is_empty(), naive.is_empty());
            prop_assert_eq!(set.first(), naive.first().copied());
            prop_assert_eq!(set.last(), naive.last().copied());
            for (v, len) in probes {
                prop_assert_eq!(set.contains(v), naive.contains(&v));
                prop_assert_eq!(set.contains_range(v..v + len), (v..v + len).all(|x| naive.contains(&x)));
                prop_assert!(set.gaps(v..v + len).flatten().eq((v..v + len).filter(|x| !naive.contains(x))));
                let expected = naive.range(v..).next().map(|&s| s..(s..).find(|x| !naive.contains(x)).unwrap());
                prop_assert_eq!(set.next_range_at(v), expected);
            }
            let mut other: RangeSet = [3..9, 40..70].into_iter().collect();
            other.union_with(&set);
            naive.extend((3..9).chain(40..70));
            prop_assert!(other.iter().flatten().eq(naive.iter().copied()));
        }
    }

    #[test]
    fn the_ends_of_the_number_line_work() {
        let mut set = RangeSet::new();
        set.insert(0..u64::MAX);
        assert_eq!((set.total(), set.last()), (u64::MAX, Some(u64::MAX - 1)));
        set.remove(1..u64::MAX - 1);
        assert_eq!(
            format!("{set:?}"),
            format!("{{0..1, {}..{}}}", u64::MAX - 1, u64::MAX)
        );
        assert_eq!(set.next_range_at(u64::MAX), None);
    }
}
