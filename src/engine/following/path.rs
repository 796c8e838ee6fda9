//! The path that data comes by, group or unicast, and what was judged of it.

use core::time::Duration;

use crate::engine::Via;
use crate::engine::following::config::ReceiverConfig;
use crate::time::Time;
use crate::unicast_fallback::{PathChoice, Probe};

/// The path of a following.
#[derive(Debug)]
pub(super) struct Path {
    probe: Probe,
    /// What was chosen, once that is settled.
    chosen: Option<PathChoice>,
}

impl Path {
    pub(super) fn new(config: &ReceiverConfig) -> Path {
        let probe = match config.via {
            None if config.one_way => Probe::forced(false),
            None => Probe::new(config.sync_timeout),
            Some(via) => Probe::forced(via == Via::Unicast),
        };
        Path {
            probe,
            chosen: None,
        }
    }

    /// The group is the only path there is.
    pub(super) fn force_group(&mut self) {
        self.probe = Probe::forced(false);
    }

    /// Which path suits is found out anew.
    pub(super) fn begin_anew(&mut self, timeout: Duration) {
        self.probe = Probe::new(timeout);
    }

    /// What judges the group.
    pub(super) fn probe(&mut self) -> &mut Probe {
        &mut self.probe
    }

    /// The group is not relied on now.
    pub(super) fn is_off_group(&self) -> bool {
        self.probe.is_on_unicast()
    }

    /// The group is not to be joined now.
    pub(super) fn stays_away(&self, now: Time) -> bool {
        self.probe.stays_away(now)
    }

    /// When the group must have been heard.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.probe.deadline()
    }

    /// Takes a path; if that is a change, gives what was chosen before.
    pub(super) fn take(&mut self, choice: PathChoice) -> Option<Option<PathChoice>> {
        let before = self.chosen.replace(choice);
        (before != Some(choice)).then_some(before)
    }

    /// It is to be served by unicast.
    pub(super) fn is_unicast(&self) -> bool {
        self.chosen.is_some_and(PathChoice::is_unicast)
    }

    /// The sender wants it to use unicast, and it does.
    pub(super) fn was_told(&self) -> bool {
        self.chosen == Some(PathChoice::UnicastTold)
    }
}
