//! The path that data comes by, group or unicast, and what was judged of it.

use core::time::Duration;

use crate::engine::PathChoice;
use crate::engine::Via;
use crate::engine::following::config::ReceiverConfig;
use crate::time::Time;
use crate::unicast_fallback::{Course, Probe};

/// The path of a following.
#[derive(Debug)]
pub(super) struct Path {
    probe: Probe,
    /// What was chosen, once that is settled.
    chosen: Option<Course>,
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
    pub(super) fn take(&mut self, course: Course) -> Option<Option<Course>> {
        let before = self.chosen.replace(course);
        (before != Some(course)).then_some(before)
    }

    /// It is to be served by unicast.
    pub(super) fn is_unicast(&self) -> bool {
        self.chosen
            .is_some_and(|course| PathChoice::from(course).is_unicast())
    }

    /// The sender wants it to use unicast, and it does.
    pub(super) fn was_told(&self) -> bool {
        self.chosen == Some(Course::Told)
    }
}

impl From<Course> for PathChoice {
    fn from(course: Course) -> PathChoice {
        match course {
            Course::Group => PathChoice::Group,
            Course::UnicastAsked => PathChoice::UnicastAsked,
            Course::UnicastSilent => PathChoice::UnicastSilent,
            Course::UnicastNoData => PathChoice::UnicastNoData,
            Course::TooSlow => PathChoice::UnicastTooSlow,
            Course::Told => PathChoice::UnicastTold,
        }
    }
}
