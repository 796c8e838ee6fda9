//! A disk that may take less than the network brings, and what waits for it.

use crate::engine::Backlog;
use crate::store::DEFAULT_POOL;
use crate::time::Time;
use crate::units::Rate;

/// Bytes that may wait: the driver's pool of block buffers.
const ROOM: u64 = DEFAULT_POOL as u64;

#[derive(Debug)]
pub(super) struct SlowDisk {
    rate: Rate,
    /// When it has written all that waits.
    pub(super) free_at: Time,
    /// Symbols that there was no room for.
    pub(super) stalled: u64,
    told: (Time, f64),
}

impl SlowDisk {
    pub(super) fn new(now: Time, rate: Rate) -> SlowDisk {
        SlowDisk {
            rate,
            free_at: now,
            stalled: 0,
            told: (now, 0.0),
        }
    }

    fn waiting(&self, now: Time) -> u64 {
        self.rate.bytes_in(self.free_at.since(now))
    }

    fn filled(&self, now: Time) -> f64 {
        self.waiting(now) as f64 / ROOM as f64
    }

    /// So many bytes are to be written; false if there is no room for them.
    pub(super) fn takes(&mut self, now: Time, bytes: u64) -> bool {
        let takes = self.waiting(now) + bytes <= ROOM;
        if takes {
            self.free_at = self.free_at.max(now) + self.rate.time_for(bytes);
        } else {
            self.stalled += 1;
        }
        takes
    }

    pub(super) fn is_to_be_told(&self, now: Time) -> bool {
        let (at, filled) = self.told;
        now.since(at) >= Backlog::LOOK && self.filled(now).max(filled) > Backlog::USUAL
    }

    pub(super) fn tell(&mut self, now: Time) -> Backlog {
        let filled = self.filled(now);
        self.told = (now, filled);
        Backlog {
            overflowed: 0,
            stalled: self.stalled,
            waiting: self.waiting(now),
            filled,
        }
    }
}
