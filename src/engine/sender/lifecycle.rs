//! How far a session is: waiting for receivers, sending, announcing its end, over.

use core::time::Duration;

use crate::time::Time;

/// Where a session stands.
#[derive(Debug)]
pub(super) struct Lifecycle {
    /// Data has begun: enough receivers have asked.
    started: bool,
    /// More objects are about to be offered.
    preparing: bool,
    end: End,
}

/// How far the end is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    None,
    /// The end is being announced: notices left, and when the next is due.
    Announced {
        left: u32,
        due: Time,
    },
    Over,
}

/// What is to be done about the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Closing {
    /// A notice is to go out on all channels.
    Notice,
    /// All notices have gone out: the session is over.
    Over,
}

impl Lifecycle {
    pub(super) fn new(started: bool) -> Lifecycle {
        Lifecycle {
            started,
            preparing: false,
            end: End::None,
        }
    }

    /// Data may go out from now on.
    pub(super) fn start(&mut self) {
        self.started = true;
    }

    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    pub(super) fn set_preparing(&mut self, preparing: bool) {
        self.preparing = preparing;
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.preparing
    }

    /// Data goes out: it has begun, and the end is not being announced.
    pub(super) fn sends_data(&self) -> bool {
        self.started && !self.is_ending()
    }

    /// The end is being announced.
    pub(super) fn is_ending(&self) -> bool {
        self.closing_due().is_some()
    }

    /// When the next step of the end is due.
    pub(super) fn closing_due(&self) -> Option<Time> {
        match self.end {
            End::Announced { due, .. } => Some(due),
            _ => None,
        }
    }

    /// Nothing more will be sent.
    pub(super) fn is_over(&self) -> bool {
        self.end == End::Over
    }

    /// The end has not begun, and nothing is being prepared.
    pub(super) fn may_end(&self) -> bool {
        self.end == End::None && !self.preparing
    }

    /// Begins to announce the end, unless that has begun; true if it begins now.
    pub(super) fn end(&mut self, now: Time, notices: u32) -> bool {
        let begins = self.end == End::None;
        if begins {
            self.end = End::Announced {
                left: notices,
                due: now,
            };
        }
        begins
    }

    /// The next step of the end, if one is due; `pause` is the time until the one after.
    pub(super) fn close(&mut self, now: Time, pause: Duration) -> Option<Closing> {
        let End::Announced { left, due } = self.end else {
            return None;
        };
        if due > now {
            return None;
        }
        let Some(left) = left.checked_sub(1) else {
            self.end = End::Over;
            return Some(Closing::Over);
        };
        self.end = End::Announced {
            left,
            due: now + pause,
        };
        Some(Closing::Notice)
    }
}
