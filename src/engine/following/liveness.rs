//! When the sender was last alive.

use crate::time::Time;

/// When a sender was last heard.
#[derive(Debug)]
pub(super) struct Liveness {
    /// When the sender, or before one is known the search for it, was last alive.
    heard_at: Time,
    /// When data of the session last came.
    data_at: Time,
    /// Only strangers were met since a sender was last known to be the right one.
    estranged: bool,
}

impl Liveness {
    pub(super) fn new(now: Time) -> Liveness {
        Liveness {
            heard_at: now,
            data_at: now,
            estranged: false,
        }
    }

    /// The sender is alive. One whose place only strangers take does not count, or they would be
    /// waited for without end.
    pub(super) fn heard(&mut self, now: Time) {
        if !self.estranged {
            self.heard_at = now;
        }
    }

    /// Data came, or a session is taken up from which it is to come.
    pub(super) fn heard_data(&mut self, now: Time) {
        if !self.estranged {
            (self.heard_at, self.data_at) = (now, now);
        }
    }

    /// When the sender was last heard.
    pub(super) fn heard_at(&self) -> Time {
        self.heard_at
    }

    /// When data last came.
    pub(super) fn data_at(&self) -> Time {
        self.data_at
    }

    /// Only strangers were met since a sender was last known to be the right one.
    pub(super) fn is_estranged(&self) -> bool {
        self.estranged
    }

    pub(super) fn set_estranged(&mut self, estranged: bool) {
        self.estranged = estranged;
    }
}
