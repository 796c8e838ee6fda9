//! Which packets of one author on one channel have been taken already.

use crate::ids::PacketNo;

/// How far behind the newest a packet may be: 23 ms at 1 Gbit/s, more than any path reorders, in
/// 256 bytes, so that ten thousand authors stay below 3 MB.
pub const REPLAY_WINDOW: u64 = 2_048;

const WORDS: usize = (REPLAY_WINDOW / 64) as usize;

/// The numbers that have come, as far back as [`REPLAY_WINDOW`]. What is older counts as come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplayWindow {
    /// One more than the newest number; 0 before the first.
    end: u64,
    /// A bit for each number of the window, at the number modulo its size.
    come: Bits,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Bits([u64; WORDS]);

impl Default for Bits {
    fn default() -> Bits {
        Bits([0; WORDS])
    }
}

impl Bits {
    fn place(number: PacketNo) -> (usize, u64) {
        let bit = number % REPLAY_WINDOW;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn has(&self, number: PacketNo) -> bool {
        let (word, bit) = Bits::place(number);
        self.0[word] & bit != 0
    }
}

impl ReplayWindow {
    /// Whether a packet of this number would be taken. Asked before the tag is checked, it saves the
    /// work; it changes nothing, as whoever sent it is not known yet.
    pub fn is_new(&self, number: PacketNo) -> bool {
        let old = self.end.saturating_sub(number) > REPLAY_WINDOW;
        number >= self.end || !(old || self.come.has(number))
    }

    /// Takes the number of a packet whose tag was good; false if it came before or is too old.
    pub fn take(&mut self, number: PacketNo) -> bool {
        if !self.is_new(number) {
            return false;
        }
        if number >= self.end {
            // Numbers that are passed have not come. A jump clears no more than there is.
            for passed in self.end.max(number.saturating_sub(REPLAY_WINDOW - 1))..number {
                let (word, bit) = Bits::place(passed);
                self.come.0[word] &= !bit;
            }
            self.end = number.saturating_add(1);
        }
        let (word, bit) = Bits::place(number);
        self.come.0[word] |= bit;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Remembers everything.
    #[derive(Default)]
    struct Naive {
        come: HashSet<u64>,
        newest: Option<u64>,
    }

    impl Naive {
        fn take(&mut self, number: u64) -> bool {
            let old = self.newest.is_some_and(|n| number + REPLAY_WINDOW <= n);
            let taken = !old && self.come.insert(number);
            self.newest = self.newest.max(Some(number));
            taken
        }
    }

    proptest! {
        #[test]
        fn it_takes_what_one_that_remembers_all_would(
            steps in prop::collection::vec((0u8..8, 0u64..3_000), 1..400),
        ) {
            let (mut window, mut naive) = (ReplayWindow::default(), Naive::default());
            let mut at = 0u64;
            for (kind, by) in steps {
                let number = match kind {
                    0 => at.saturating_sub(by),
                    1 => at + by,
                    2 => at.saturating_sub(by % 20),
                    3 => at.saturating_sub(REPLAY_WINDOW - 2 + by % 4),
                    _ => at + by % 3,
                };
                at = at.max(number);
                let new = window.is_new(number);
                prop_assert_eq!(new, naive.take(number), "{}", number);
                prop_assert_eq!(window.take(number), new);
                prop_assert!(!window.is_new(number));
            }
        }
    }

    #[test]
    fn far_jumps_cost_no_more_than_the_window() {
        let mut window = ReplayWindow::default();
        assert!(window.take(0) && window.take(u64::MAX - 1));
        assert!(!window.take(0) && window.take(u64::MAX - 2));
    }
}
