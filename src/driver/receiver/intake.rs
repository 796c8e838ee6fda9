//! How far this machine is behind what comes: in its sockets' buffers, and on the way to its disk.
//!
//! Takes what was received and what was dropped, gives the engine's [`Backlog`]. It decides
//! nothing.

use crate::engine::Backlog;
use crate::store::BlockPool;
use crate::sys::ReceiveBuffer;
use crate::time::Time;

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    looked_at: Option<Time>,
    filled: f64,
    /// Datagrams received since it was looked at, and the runs that they came in.
    datagrams: u64,
    runs: u64,
    /// How long those before were.
    run_len: f64,
    /// Runs that the sockets have dropped, as they told last.
    dropped_runs: u64,
    /// Datagrams in those.
    pub(crate) overflowed: u64,
    /// Datagrams that the disk was too busy for.
    pub(crate) stalled: u64,
}

impl Intake {
    /// `datagrams` were received in `runs`, which sockets count as one.
    pub(crate) fn received(&mut self, runs: usize, datagrams: u64) {
        self.runs += runs as u64;
        self.datagrams += datagrams;
    }

    /// Whether it is to be looked at: something waits in a socket's buffer (`busy`) or waited at
    /// the last look, which was some time ago.
    pub(crate) fn is_due(&self, now: Time, busy: bool) -> bool {
        let waits = busy || self.filled > Backlog::USUAL;
        waits
            && self
                .looked_at
                .is_none_or(|at| now.since(at) >= Backlog::LOOK)
    }

    /// `buffers` are those of the sockets that are open; others have dropped `dropped_before` runs.
    pub(crate) fn look(
        &mut self,
        now: Time,
        buffers: impl Iterator<Item = ReceiveBuffer>,
        dropped_before: u64,
        pool: &BlockPool,
    ) -> Backlog {
        let (mut filled, mut dropped_runs) = (pool.filled(), dropped_before);
        for buffer in buffers {
            filled = filled.max(f64::from(buffer.used) / f64::from(buffer.size.max(1)));
            dropped_runs += u64::from(buffer.drops);
        }
        if self.runs > 0 {
            self.run_len = self.datagrams as f64 / self.runs as f64;
            (self.datagrams, self.runs) = (0, 0);
        }
        // Those that were dropped were as long as those that came.
        let new = dropped_runs.saturating_sub(self.dropped_runs) as f64;
        self.overflowed += (new * self.run_len.max(1.0)) as u64;
        self.dropped_runs = dropped_runs;
        self.looked_at = Some(now);
        self.filled = filled;
        Backlog {
            overflowed: self.overflowed,
            stalled: self.stalled,
            waiting: pool.waiting() as u64,
            filled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Geometry;
    use crate::store::Put;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn buffer(used: u32, size: u32, drops: u32) -> ReceiveBuffer {
        ReceiveBuffer { used, size, drops }
    }

    fn sockets(intake: &mut Intake, now: Time, buffers: &[ReceiveBuffer]) -> Backlog {
        intake.look(now, buffers.iter().copied(), 0, &BlockPool::new(1 << 20))
    }

    #[test]
    fn runs_that_were_dropped_are_as_long_as_those_that_came() {
        let mut intake = Intake::default();
        intake.received(10, 440);
        let told = sockets(&mut intake, at(1), &[buffer(0, 100, 2), buffer(0, 100, 1)]);
        assert_eq!(told.overflowed, 3 * 44);
        // Nothing was read meanwhile.
        let told = sockets(&mut intake, at(2), &[buffer(0, 100, 4), buffer(0, 100, 1)]);
        assert_eq!(told.overflowed, 5 * 44);
        intake.received(10, 10);
        let told = sockets(&mut intake, at(3), &[buffer(0, 100, 5), buffer(0, 100, 1)]);
        assert_eq!(told.overflowed, 5 * 44 + 1);
        // The second is closed: what it dropped is told apart, or its count has begun anew.
        let one = [buffer(0, 100, 5)];
        let pool = BlockPool::new(1 << 20);
        let told = intake.look(at(4), one.into_iter(), 1, &pool);
        assert_eq!(told.overflowed, 5 * 44 + 1);
        let told = intake.look(at(5), one.into_iter(), 0, &pool);
        assert_eq!(told.overflowed, 5 * 44 + 1);
    }

    #[test]
    fn without_a_run_to_compare_with_a_run_is_a_datagram() {
        let told = sockets(&mut Intake::default(), at(1), &[buffer(0, 0, 3)]);
        assert_eq!((told.overflowed, told.filled), (3, 0.0));
    }

    #[test]
    fn the_fullest_counts_and_is_looked_at_again_soon() {
        let mut intake = Intake::default();
        assert!(!intake.is_due(at(0), false) && intake.is_due(at(0), true));
        let told = sockets(
            &mut intake,
            at(0),
            &[buffer(90, 1_000, 0), buffer(50, 100, 0)],
        );
        assert_eq!(told.filled, 0.5);
        assert!(!intake.is_due(at(4), true) && intake.is_due(at(5), false));
        sockets(&mut intake, at(5), &[buffer(20, 100, 0)]);
        assert!(!intake.is_due(at(10), false) && intake.is_due(at(10), true));
    }

    #[test]
    fn blocks_that_wait_for_the_disk_count_but_for_the_one_that_has_its_turn() {
        let mut pool = BlockPool::new(8 * 4_096);
        pool.open(0, &Geometry::new(1 << 20, 1_024, 4, 0, 64).unwrap());
        let mut out = Vec::new();
        for block in 2..6 {
            assert!(matches!(pool.put(0, block, 0, &[0; 1_024]), Put::Kept));
            if block < 5 {
                out.push(pool.take(0, block).unwrap());
            }
        }
        let mut intake = Intake::default();
        let told = intake.look(at(0), [buffer(10, 100, 0)].into_iter(), 0, &pool);
        // Three of eight are out, and one is put together.
        assert_eq!((told.waiting, told.filled), (2 * 4_096, 2.0 / 6.0));
        pool.give_back(out.pop().unwrap());
        pool.give_back(out.pop().unwrap());
        let told = intake.look(at(0), [buffer(10, 100, 0)].into_iter(), 0, &pool);
        assert_eq!((told.waiting, told.filled), (0, 0.1));
    }
}
