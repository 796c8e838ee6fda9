//! What a receiver reports of itself, and when.
//!
//! Reports go out at the mean interval that the sender has told; one goes out sooner where this
//! machine falls behind, because its buffers bridge no more than some tenths of a second. It takes
//! of what NAKs may.

use core::time::Duration;

use crate::engine::Counter;
use crate::engine::following::backlog::{Backlog, Machine};
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;

/// It is told again, before its turn, when so much more of the buffer is full.
const WORSE: f64 = 0.2;
/// A report that is sooner than its turn waits for up to this share of the interval, so that those
/// of many who fall behind together do not come at once.
const SOON: f64 = 0.1;

/// When reports are due, and what the last one was about.
#[derive(Debug)]
pub(super) struct Reports {
    due: Option<Time>,
    /// Packets of data that came in the session, and their bytes.
    came: Counter,
    /// The last report: when it was made, bytes taken by then, and what the machine had told.
    at: Time,
    taken: u64,
    backlog: Backlog,
    /// How full it said that the buffers are, or that the next one will soon say.
    filled: f64,
}

impl Reports {
    /// Nothing was reported, and nothing is due.
    pub(super) fn new(now: Time) -> Reports {
        Reports {
            due: None,
            came: Counter::default(),
            at: now,
            taken: 0,
            backlog: Backlog::default(),
            filled: 0.0,
        }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// The next one is due then, or none is.
    pub(super) fn set_due(&mut self, due: Option<Time>) {
        self.due = due;
    }

    /// The next one is due at its turn, when the mean pause is this.
    pub(super) fn schedule(&mut self, now: Time, interval: Duration, rng: &mut Rng) {
        self.due = Some(now + interval.mul_f64(0.5 + rng.unit()));
    }

    /// A data packet of `len` bytes of UDP payload came.
    pub(super) fn data_came(&mut self, len: usize) {
        self.came.add(1, len as u64);
    }

    /// Packets of data that came, and their bytes.
    pub(super) fn came(&self) -> Counter {
        self.came
    }

    /// How full the buffers are if that is to be told before the turn: they are much fuller than
    /// was told, or as empty again as usual.
    pub(super) fn news(&self, now: Time, machine: &Machine) -> Option<f64> {
        let filled = machine.behind(now, &self.backlog);
        let told = self.filled;
        let worse = filled > told && filled >= (told + WORSE).min(1.0);
        let over = told > 0.0 && filled == 0.0 && machine.is_usual();
        (worse || over).then_some(filled)
    }

    /// A report goes out sooner than its turn; true if that is sooner than it was due.
    pub(super) fn hasten(
        &mut self,
        now: Time,
        interval: Duration,
        filled: f64,
        rng: &mut Rng,
    ) -> bool {
        let soon = now + interval.mul_f64(SOON * rng.unit());
        let sooner = self.due.is_some_and(|due| soon < due);
        if sooner {
            self.due = Some(soon);
        }
        self.filled = filled;
        sooner
    }

    /// Bytes of what came that were neither dropped nor wait for the disk. Less than before where
    /// blocks wait that were being put together then.
    fn taken_by_now(&self, backlog: &Backlog) -> u64 {
        let came = self.came;
        let stalled = backlog.stalled.min(came.packets) as f64;
        let dropped = came.bytes as f64 * stalled / came.packets.max(1) as f64;
        came.bytes
            .saturating_sub(dropped as u64)
            .saturating_sub(backlog.waiting)
    }

    /// A report is made; gives the throughput since the last, and over how long that was measured.
    pub(super) fn make(&mut self, now: Time, machine: &Machine) -> (Rate, Duration) {
        let measured = now.since(self.at).max(Duration::from_micros(1));
        let backlog = *machine.backlog();
        let taken = self.taken_by_now(&backlog).max(self.taken);
        let bits = (taken - self.taken) as f64 * 8.0;
        let filled = machine.behind(now, &self.backlog);
        (self.at, self.taken) = (now, taken);
        (self.backlog, self.filled) = (backlog, filled);
        let throughput = Rate::from_bps((bits / measured.as_secs_f64()) as u64);
        (throughput, measured)
    }

    /// How full the last report said that the buffers are.
    pub(super) fn filled(&self) -> f64 {
        self.filled
    }
}
