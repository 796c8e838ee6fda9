//! How far the receiver's own machine is behind what comes.

use core::time::Duration;

use crate::time::Time;

/// More than that for so long is no burst. At 1 Gbit/s 2.5 MB come meanwhile, of the 8 to 32 MB
/// that our buffers hold.
const LASTS: Duration = Duration::from_millis(20);
/// From this share of a buffer on it asks for nothing: that would find no room, and cost the others
/// its way.
const FULL: f64 = 0.75;

/// What the receiver's own machine holds and has lost of what came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Backlog {
    /// Packets dropped because a socket's buffer was full, since the start.
    pub overflowed: u64,
    /// Packets dropped because the disk was too busy, since the start.
    pub stalled: u64,
    /// Bytes that wait for the disk.
    pub waiting: u64,
    /// How full the fullest of its buffers is, 0 to 1.
    pub filled: f64,
}

impl Backlog {
    /// The share of a buffer that a machine which keeps up may use: bursts and late wakes do.
    pub const USUAL: f64 = 0.25;
    /// While more than that is used, a driver tells of it this often: several times before 1 Gbit/s
    /// fills a buffer of 4 MiB.
    pub const LOOK: Duration = Duration::from_millis(5);

    /// Packets that this machine has lost.
    pub(super) fn lost(&self) -> u64 {
        self.overflowed.saturating_add(self.stalled)
    }
}

/// The receiver's own machine, as its driver tells of it.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    backlog: Backlog,
    /// Since when more of a buffer is used than is usual.
    filled_since: Option<Time>,
}

impl Machine {
    /// The driver told.
    pub(crate) fn hear(&mut self, now: Time, backlog: Backlog) {
        self.backlog = backlog;
        let since = (backlog.filled > Backlog::USUAL).then(|| self.filled_since.unwrap_or(now));
        self.filled_since = since;
    }

    /// What it told last.
    pub(super) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// No more of its buffers is used than is usual.
    pub(super) fn is_usual(&self) -> bool {
        self.filled_since.is_none()
    }

    /// What is asked for has somewhere to go.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.filled.is_nan() || self.backlog.filled < FULL
    }

    /// How full the buffers are, if that is more than usual; 0 while this machine keeps up, and 1
    /// if it has lost more than `before`.
    pub(super) fn behind(&self, now: Time, before: &Backlog) -> f64 {
        let lasts = self.filled_since.is_some_and(|at| now.since(at) >= LASTS);
        if self.backlog.lost() > before.lost() {
            1.0
        } else if lasts {
            self.backlog.filled.min(1.0)
        } else {
            0.0
        }
    }
}
