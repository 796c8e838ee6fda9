//! Which of a session's offers were seen.

use crate::engine::following::limits::{BELIEVED, MAX_OBJECTS};
use crate::range_set::RangeSet;
use crate::time::Time;

/// Offers of a session, by their index.
#[derive(Debug, Default)]
pub(super) struct SeenOffers {
    /// Offers that the session has, as the latest offer told; when that was sent, and heard.
    total: Option<u32>,
    told: Option<(u64, Time)>,
    seen: RangeSet,
}

impl SeenOffers {
    /// An offer was seen, of so many that the session has.
    pub(super) fn saw(&mut self, now: Time, sent_at: u64, index: u32, total: u32) {
        let is_later = |(told, at)| sent_at >= told || now.since(at) >= BELIEVED;
        if self.told.is_none_or(is_later) {
            self.told = Some((sent_at, now));
            self.total = Some(total);
        }
        // No sender makes more offers, and what was seen must not grow for ever.
        if (index as usize) < MAX_OBJECTS {
            self.seen.insert(u64::from(index)..u64::from(index) + 1);
        }
    }

    /// What is offered may have changed: all are to be seen again.
    pub(super) fn look_again(&mut self) {
        self.total = None;
        self.seen.clear();
    }

    /// Number of offers that the session has, as far as it was told.
    pub(super) fn total(&self) -> Option<u32> {
        self.total
    }

    /// The first offer that was not seen; none when all were.
    pub(super) fn unseen(&self) -> Option<u32> {
        let mut first = 0;
        while let Some(r) = self.seen.next_range_at(first)
            && r.start == first
        {
            first = r.end;
        }
        let all = self.total.is_some_and(|t| first >= u64::from(t));
        (!all).then_some(first as u32)
    }

    /// No more is remembered than may be.
    pub(super) fn is_bounded(&self) -> bool {
        self.seen.range_count() <= MAX_OBJECTS
    }
}
