//! How a sender or receiver comes to its end.

use crate::time::Time;

/// Whether an engine is ending, and why.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    told: bool,
    until: Option<Time>,
    finished: bool,
    broken: Option<&'static str>,
}

impl Ending {
    /// Lets the engine say farewell until `until`, because the program `told` it to end or nothing
    /// is left to do. False if it has begun to before.
    pub(crate) fn begin(&mut self, until: Time, told: bool) -> bool {
        let begins = self.until.is_none();
        if begins {
            self.told = told;
            self.until = Some(until);
        }
        begins
    }

    /// The engine has no more to do.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// A thread that the engine needs has died.
    pub(crate) fn break_off(&mut self, thread: &'static str) {
        self.broken = Some(thread);
    }

    /// Whether the farewell has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.until.is_some()
    }

    /// Whether the program told it to end.
    pub(crate) fn was_told(&self) -> bool {
        self.told
    }

    /// The end of the farewell, whatever is left to say.
    pub(crate) fn until(&self) -> Option<Time> {
        self.until
    }

    /// Whether the engine has no more to do.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The thread that has died.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        self.broken
    }
}
