//! Whether the sender itself was stopped, or had no processor.

use core::cell::Cell;
use core::time::Duration;

use crate::time::Time;

/// Lateness of a wake-up that means a stopped process, or one that got no processor.
const LATE: Duration = Duration::from_millis(50);

/// When the sender asked to be woken, and when it was.
#[derive(Debug)]
pub(super) struct Absence {
    /// When something last came or time was told.
    last_input: Time,
    /// When it has since asked to be woken.
    wake: Cell<Time>,
    /// End of the last absence.
    ended: Time,
}

impl Absence {
    pub(super) fn new(now: Time) -> Absence {
        Absence {
            last_input: now,
            wake: Cell::new(Time::NEVER),
            ended: Time::ZERO,
        }
    }

    /// The driver is told to come back then.
    pub(super) fn expect(&self, wake: Time) {
        self.wake.set(wake);
    }

    /// Something came or time was told: true if that is much later than was asked for. What came
    /// meanwhile has waited in its socket, and receivers had nothing to hear.
    pub(super) fn notice(&mut self, now: Time) -> bool {
        let due = self.wake.replace(Time::NEVER);
        let last = core::mem::replace(&mut self.last_input, now);
        let late = due != Time::NEVER && now.since(due.max(last)) >= LATE;
        if late {
            self.ended = now;
        }
        late
    }

    /// Something that left at `at`, in nanoseconds, could not be answered before an absence.
    pub(super) fn is_since(&self, at: u64) -> bool {
        at >= self.ended.as_nanos()
    }
}
