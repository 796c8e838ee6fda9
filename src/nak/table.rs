//! The receiver's NAK table: when to ask for a block.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::ids::BlockNo;
use crate::nak::backoff::backoff;
use crate::rng::Rng;
use crate::symbol_set::SymbolSet;
use crate::time::Time;
use crate::wire::Need;

/// What all NAK timers are made of, as the sender's SYNC told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// K of the suppression formula.
    pub k: u8,
    /// Group round-trip time.
    pub grtt: Duration,
    /// Receivers on the channel.
    pub receivers: u32,
}

impl Timing {
    /// A suppression wait: a little for packets that were overtaken, then the drawn time.
    fn suppression(&self, rng: &mut Rng) -> Duration {
        let reordering = (self.grtt / 4).min(Duration::from_millis(5));
        reordering + backoff(self.k, self.grtt, self.receivers, rng)
    }

    /// A data wait: (K+2)·G for the repair to come, then a fresh draw, because one confirm starts
    /// everybody's wait at the same instant.
    fn data(&self, rng: &mut Rng) -> Duration {
        self.grtt * (u32::from(self.k) + 2) + backoff(self.k, self.grtt, self.receivers, rng)
    }

    /// No wait is longer.
    pub fn longest(&self) -> Duration {
        self.grtt * (2 * u32::from(self.k) + 2)
    }
}

/// Blocks that the sender has passed and that lack something here.
///
/// An entry starts when the sender has passed all of a block, so its need cannot grow while it
/// waits: that is the position at which RFC 5401 §5.2.2 wants the need to be taken. A need that
/// others have voiced, or the sender confirmed, moves the entry to its data wait.
#[derive(Clone, Debug, Default)]
pub struct NakTable {
    entries: BTreeMap<BlockNo, Entry>,
    due: BTreeSet<(Time, BlockNo)>,
}

#[derive(Clone, Debug)]
struct Entry {
    due: Time,
    wait: Wait,
    /// When the wait began.
    since: Time,
    /// What NAKs and confirms have covered since the wait began.
    covered: SymbolSet,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    Suppression,
    Data,
}

impl NakTable {
    /// Blocks that may wait at a time; what is beyond is found again at the end of the cycle.
    pub const MAX_ENTRIES: usize = 4_096;

    /// An empty table.
    pub fn new() -> NakTable {
        NakTable::default()
    }

    /// The sender has passed a block that lacks something.
    pub fn passed(&mut self, now: Time, block: BlockNo, timing: Timing, rng: &mut Rng) {
        if self.entries.contains_key(&block) {
            return;
        }
        if self.entries.len() >= NakTable::MAX_ENTRIES {
            // Lowest needs first: a lower block takes the place of the highest.
            match self.entries.last_key_value() {
                Some((&last, _)) if last > block => self.filled(last),
                _ => return,
            }
        }
        let due = now + timing.suppression(rng);
        self.entries.insert(
            block,
            Entry {
                due,
                wait: Wait::Suppression,
                since: now,
                covered: SymbolSet::new(),
            },
        );
        self.due.insert((due, block));
    }

    /// A block lacks nothing any more, or nobody wants it.
    pub fn filled(&mut self, block: BlockNo) {
        if let Some(entry) = self.entries.remove(&block) {
            self.due.remove(&(entry.due, block));
        }
    }

    /// Another's NAK, or a confirm, was heard. `missing` gives what a block lacks here. Returns how
    /// many entries it kept from asking.
    pub fn heard(
        &mut self,
        now: Time,
        need: &Need,
        missing: impl Fn(BlockNo) -> SymbolSet,
        timing: Timing,
        rng: &mut Rng,
    ) -> u64 {
        let mut suppressed = 0;
        let mut settle = |entries: &mut BTreeMap<BlockNo, Entry>, due: &mut BTreeSet<_>, block| {
            let Some(entry) = entries.get_mut(&block) else {
                return;
            };
            suppressed += u64::from(entry.wait == Wait::Suppression);
            due.remove(&(entry.due, block));
            entry.wait = Wait::Data;
            entry.since = now;
            entry.due = now + timing.data(rng);
            entry.covered.clear();
            due.insert((entry.due, block));
        };
        match need {
            Need::Blocks { first, count } => {
                let end = first.saturating_add(*count);
                let blocks: Vec<BlockNo> =
                    self.entries.range(*first..end).map(|(&b, _)| b).collect();
                blocks
                    .into_iter()
                    .for_each(|b| settle(&mut self.entries, &mut self.due, b));
            }
            Need::Count { block, lacking } => {
                if self.entries.contains_key(block)
                    && missing(*block).len() <= usize::from(*lacking)
                {
                    settle(&mut self.entries, &mut self.due, *block);
                }
            }
            Need::Symbols {
                block,
                missing: asked,
            } => {
                if let Some(entry) = self.entries.get_mut(block) {
                    entry.covered.union_with(asked);
                    if missing(*block).is_subset(&entry.covered) {
                        settle(&mut self.entries, &mut self.due, *block);
                    }
                }
            }
        }
        suppressed
    }

    /// Gives the blocks to ask for now, in order, at most `max`; their data waits start. Entries
    /// that are due within a quarter of the round-trip time come along, to save packets.
    pub fn take_due(
        &mut self,
        now: Time,
        max: usize,
        timing: Timing,
        rng: &mut Rng,
        blocks: &mut Vec<BlockNo>,
    ) {
        if self.due.first().is_none_or(|&(at, _)| at > now) {
            return;
        }
        let slack = now + timing.grtt / 4;
        while let Some(&(at, block)) = self.due.first()
            && at <= slack
            && blocks.len() < max
        {
            self.due.pop_first();
            if let Some(entry) = self.entries.get_mut(&block) {
                entry.wait = Wait::Data;
                entry.since = now;
                entry.due = now + timing.data(rng);
                entry.covered.clear();
                self.due.insert((entry.due, block));
                blocks.push(block);
            }
        }
        blocks.sort_unstable();
    }

    /// The sender has answered all that it has heard. Whatever was asked for a round trip ago or longer
    /// is lost, and so is its data wait.
    pub fn answered(&mut self, now: Time, timing: Timing, rng: &mut Rng) {
        for (&block, entry) in &mut self.entries {
            if entry.wait != Wait::Data || now.since(entry.since) < timing.grtt {
                continue;
            }
            let due = now + timing.suppression(rng);
            if due < entry.due {
                self.due.remove(&(entry.due, block));
                entry.wait = Wait::Suppression;
                entry.since = now;
                entry.due = due;
                entry.covered.clear();
                self.due.insert((due, block));
            }
        }
    }

    /// Waits are made of less than before, or what was told before was not the sender's: those longer than any would be now
    /// are drawn anew.
    pub fn hasten(&mut self, now: Time, timing: Timing, rng: &mut Rng) {
        while let Some(&(at, block)) = self.due.last()
            && at > now + timing.longest()
        {
            self.due.pop_last();
            if let Some(entry) = self.entries.get_mut(&block) {
                entry.due = now
                    + match entry.wait {
                        Wait::Suppression => timing.suppression(rng),
                        Wait::Data => timing.data(rng),
                    };
                self.due.insert((entry.due, block));
            }
        }
    }

    /// The blocks were not asked for after all (they did not fit): they stay due now.
    pub fn put_back(&mut self, now: Time, blocks: &[BlockNo]) {
        for &block in blocks {
            if let Some(entry) = self.entries.get_mut(&block) {
                self.due.remove(&(entry.due, block));
                entry.due = now;
                self.due.insert((now, block));
            }
        }
    }

    /// When the next entry is due.
    pub fn next_due(&self) -> Option<Time> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Blocks in the table.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No block is in the table.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets everything: the group is not used any more.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.due.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        k: 4,
        grtt: Duration::from_millis(20),
        receivers: 100,
    };

    fn set(symbols: &[u16]) -> SymbolSet {
        let mut s = SymbolSet::new();
        symbols.iter().for_each(|&x| {
            s.insert(x);
        });
        s
    }

    fn due(table: &mut NakTable, now: Time, rng: &mut Rng) -> Vec<BlockNo> {
        let mut blocks = Vec::new();
        table.take_due(now, 100, TIMING, rng, &mut blocks);
        blocks
    }

    #[test]
    fn an_entry_asks_within_its_wait_and_again_after_the_data_wait() {
        let mut rng = Rng::new(1);
        let mut table = NakTable::new();
        let t0 = Time::from_millis(100);
        table.passed(t0, 3, TIMING, &mut rng);
        let first = table.next_due().unwrap();
        assert!(first >= t0 && first <= t0 + Duration::from_millis(85));
        assert!(due(&mut table, first - Duration::from_nanos(1), &mut rng).is_empty());
        assert_eq!(due(&mut table, first, &mut rng), [3]);
        let second = table.next_due().unwrap();
        assert!(
            second >= first + Duration::from_millis(120)
                && second <= first + Duration::from_millis(200)
        );
        table.filled(3);
        assert!(table.is_empty() && table.next_due().is_none());
    }

    #[test]
    fn who_hears_that_all_was_answered_asks_again() {
        let mut rng = Rng::new(1);
        let mut table = NakTable::new();
        table.passed(Time::ZERO, 3, TIMING, &mut rng);
        let asked = table.next_due().unwrap();
        assert_eq!(due(&mut table, asked, &mut rng), [3]);
        let again = table.next_due();
        table.answered(asked + TIMING.grtt / 2, TIMING, &mut rng);
        assert_eq!(table.next_due(), again, "it may not have heard yet");
        let heard = asked + TIMING.grtt;
        table.answered(heard, TIMING, &mut rng);
        let sooner = table.next_due().unwrap();
        assert!(sooner <= heard + Duration::from_millis(85));
        table.answered(heard + TIMING.grtt, TIMING, &mut rng);
        assert_eq!(table.next_due(), Some(sooner), "a draw stands");
        assert_eq!(due(&mut table, sooner, &mut rng), [3]);
    }

    #[test]
    fn no_wait_is_longer_than_what_is_told_now() {
        let mut rng = Rng::new(1);
        let mut table = NakTable::new();
        let long = Timing {
            grtt: Duration::from_secs(15),
            ..TIMING
        };
        (0..100).for_each(|block| table.passed(Time::ZERO, block, long, &mut rng));
        let now = Time::from_millis(20_000);
        table.take_due(now, 30, long, &mut rng, &mut Vec::new());
        table.hasten(now, TIMING, &mut rng);
        let longest = now + TIMING.longest();
        assert!(table.due.last().unwrap().0 <= longest);
        assert!(table.len() == 100 && table.due.len() == 100);
        assert!(
            table
                .entries
                .iter()
                .all(|(&b, e)| table.due.contains(&(e.due, b)))
        );
        let before = table.due.clone();
        table.hasten(now, TIMING, &mut rng);
        assert_eq!(table.due, before, "a draw stands");
    }

    #[test]
    fn being_covered_by_several_suppresses_and_less_does_not() {
        let mut rng = Rng::new(2);
        let mut table = NakTable::new();
        let t0 = Time::from_millis(100);
        let missing = |_| set(&[1, 2, 3]);
        table.passed(t0, 3, TIMING, &mut rng);
        let first = table.next_due().unwrap();
        let hear = |table: &mut NakTable, rng: &mut Rng, symbols: &[u16]| {
            table.heard(
                t0,
                &Need::Symbols {
                    block: 3,
                    missing: set(symbols),
                },
                missing,
                TIMING,
                rng,
            )
        };
        assert_eq!(hear(&mut table, &mut rng, &[1, 2]), 0);
        assert_eq!(table.next_due(), Some(first));
        assert_eq!(hear(&mut table, &mut rng, &[3, 9]), 1);
        let data = table.next_due().unwrap();
        assert!(data >= t0 + Duration::from_millis(120));
        assert_eq!(
            hear(&mut table, &mut rng, &[1, 2, 3]),
            0,
            "the data wait restarts, nothing is suppressed"
        );
        assert_eq!(
            table.heard(
                t0,
                &Need::Blocks { first: 0, count: 3 },
                missing,
                TIMING,
                &mut rng
            ),
            0
        );
    }

    #[test]
    fn a_full_table_keeps_the_lowest_blocks() {
        let mut rng = Rng::new(3);
        let mut table = NakTable::new();
        for b in 0..=NakTable::MAX_ENTRIES as u32 {
            table.passed(Time::ZERO, b + 1, TIMING, &mut rng);
        }
        table.passed(Time::ZERO, 0, TIMING, &mut rng);
        assert_eq!(table.len(), NakTable::MAX_ENTRIES);
        assert_eq!(table.due.len(), table.len());
        assert!(
            table.entries.contains_key(&0)
                && !table.entries.contains_key(&(NakTable::MAX_ENTRIES as u32))
        );
    }
}
