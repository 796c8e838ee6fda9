//! A channel's receivers that the roster has no room for. They are served on groups as all others
//! are, but known by number only: their NAKs are answered, their reports counted, and where one of
//! them was heard of late, somebody may lack something. What is kept of them does not grow with
//! their number.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::sender::losses::Losses;
use crate::ids::ReceiverId;
use crate::rate::{Mark, Population};
use crate::time::Time;
use crate::wire::Report;

/// Receivers of a channel whose reports are told apart, as what the sender follows rate and losses
/// by where it lists nobody.
const SAMPLE: usize = 256;
/// Receivers of a channel that joined last, remembered to tell one that joins again; others are
/// taken for new.
const JOINERS: usize = 1_024;

/// A channel's receivers that are not listed.
#[derive(Debug)]
pub(super) struct Unlisted {
    population: Population,
    sample: BTreeMap<ReceiverId, Sampled>,
    /// Receivers that joined lately: one that does so again is no other.
    joined: BTreeSet<ReceiverId>,
    /// The estimate that was last counted with.
    counted: u32,
}

/// What one of them last reported.
#[derive(Debug, Default)]
struct Sampled {
    at: Time,
    report: Report,
    losses: Losses,
}

impl Unlisted {
    pub(super) fn new(now: Time, report_interval: Duration) -> Unlisted {
        Unlisted {
            population: Population::new(now, report_interval),
            sample: BTreeMap::new(),
            joined: BTreeSet::new(),
            counted: 0,
        }
    }

    /// Estimate of their number, at least one.
    pub(super) fn estimate(&self) -> u32 {
        self.population.estimate()
    }

    /// The estimate, which is counted with from now on.
    pub(super) fn count(&mut self) -> u32 {
        self.counted = self.estimate();
        self.counted
    }

    /// A mark of this moment, to tell later whether nobody was heard since.
    pub(super) fn mark(&mut self, now: Time) -> Mark {
        self.population.mark(now)
    }

    /// SYNC told them how often to report.
    pub(super) fn handle_sync(&mut self, now: Time, report_interval: Duration) {
        self.population.tell(now, report_interval);
    }

    /// One of them joins: true if it is one more.
    pub(super) fn handle_join(&mut self, now: Time, id: ReceiverId) -> bool {
        if self.joined.len() >= JOINERS && !self.joined.contains(&id) {
            self.joined.clear();
        }
        let is_new = self.joined.insert(id);
        if is_new {
            self.population.joined(now);
        }
        is_new
    }

    /// One of them has finished with everything.
    pub(super) fn handle_done(&mut self, now: Time) {
        self.population.left(now);
    }

    /// One of them reports: gives its report before, of those whose reports are told apart. The
    /// first report of one that has just been chosen says nothing yet.
    pub(super) fn handle_report(
        &mut self,
        now: Time,
        id: ReceiverId,
        report: Report,
    ) -> Option<Report> {
        self.population.reported(now, id);
        let is_known = self.sample.contains_key(&id);
        if !is_known && self.sample.len() >= SAMPLE {
            return None;
        }
        let sampled = self.sample.entry(id).or_default();
        sampled.at = now;
        let before = core::mem::replace(&mut sampled.report, report);
        is_known.then_some(before)
    }

    /// What one of them lost, if its reports are told apart.
    pub(super) fn add_losses(&mut self, id: ReceiverId, came: u64, lost: u64) {
        if let Some(sampled) = self.sample.get_mut(&id) {
            sampled.losses.add(came, lost);
        }
    }

    pub(super) fn loss_shares(&self) -> impl Iterator<Item = f64> + '_ {
        self.sample.values().filter_map(|s| s.losses.share())
    }

    pub(super) fn forget_losses(&mut self) {
        for sampled in self.sample.values_mut() {
            sampled.losses = Losses::default();
        }
    }

    /// Estimates anew, and forgets reports older than `patience`; true if the number is far from
    /// what was counted with.
    pub(super) fn advance(&mut self, now: Time, patience: Duration) -> bool {
        self.population.advance(now);
        self.sample.retain(|_, s| now.since(s.at) <= patience);
        self.counted.abs_diff(self.estimate()) > self.counted / 16
    }

    /// Nobody was heard for `patience` since the mark.
    pub(super) fn is_silent(&self, mark: Mark, patience: Duration) -> bool {
        self.population.is_silent(mark, patience)
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.sample.len() <= SAMPLE && self.joined.len() <= JOINERS
    }
}
