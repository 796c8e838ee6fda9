//! Steps that change a network at set times, and the time that a transfer needs under them.

use std::fmt;
use std::time::Duration;

use crate::busy::Loops;
use crate::network::{Net, Traffic};
use crate::program::Program;

/// Time that `bytes` of content take on a wire of `mbit` Mbit/s when nothing is lost.
///
/// 1,344 bytes of a symbol travel in a frame of 1,422, Ethernet header included.
pub fn wire_floor(bytes: u64, mbit: u64) -> Duration {
    Duration::from_secs_f64(on_the_wire(bytes) * 8.0 / (mbit * 1_000_000) as f64)
}

/// Bytes of frames that carry `bytes` of content once.
fn on_the_wire(bytes: u64) -> f64 {
    bytes as f64 * 1_422.0 / 1_344.0
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sets the loss of a host's inbound traffic, in thousandths.
    Lose(usize, Traffic, u32),
    /// Stops the sender's process (SIGSTOP).
    Stop,
    /// Lets it go on (SIGCONT).
    Continue,
    /// Notes the bytes that the sender's device has sent so far.
    Count,
    /// Keeps this many busy loops running on the machine.
    Load(usize),
}

/// Steps by their time since the sender's start.
#[derive(Clone, Default)]
pub struct Schedule {
    steps: Vec<(Duration, Step)>,
}

impl Schedule {
    /// Adds a step; steps of the same time happen in the order they were added.
    pub fn add(&mut self, seconds: f64, step: Step) {
        self.steps.push((Duration::from_secs_f64(seconds), step));
        self.steps.sort_by_key(|(at, _)| *at);
    }

    /// The steps in order.
    pub fn steps(&self) -> impl Iterator<Item = (Duration, Step)> + '_ {
        self.steps.iter().copied()
    }

    /// Time in which the slowest of hosts 1 to `receivers` can have `bytes` at `mbit` Mbit/s.
    ///
    /// Sums the rate less the host's loss up to those bytes; a stopped sender adds nothing.
    /// Lost multicast counts as loss even where unicast would get through.
    pub fn allows(&self, receivers: usize, bytes: u64, mbit: u64) -> Duration {
        let need = wire_floor(bytes, mbit).as_secs_f64();
        let slowest = (1..=receivers).map(|host| self.needs(host, need));
        Duration::from_secs_f64(slowest.fold(0.0, f64::max))
    }

    /// Seconds in which a host gets what `need` seconds without loss carry.
    fn needs(&self, host: usize, need: f64) -> f64 {
        let (mut udp, mut multicast, mut runs) = (0, 0, true);
        let (mut now, mut got) = (0.0, 0.0);
        let share = |per_mille: u32| 1.0 - f64::from(per_mille) / 1e3;
        for (at, step) in self.steps() {
            let at = at.as_secs_f64();
            let gain = share(udp) * share(multicast) * f64::from(u8::from(runs));
            if got + gain * (at - now) >= need {
                return now + (need - got) / gain;
            }
            (now, got) = (at, got + gain * (at - now));
            match step {
                Step::Lose(h, Traffic::Udp, per_mille) if h == host => udp = per_mille,
                Step::Lose(h, Traffic::Multicast, per_mille) if h == host => multicast = per_mille,
                Step::Stop => runs = false,
                Step::Continue => runs = true,
                Step::Lose(..) | Step::Count | Step::Load(_) => {}
            }
        }
        // What the last steps set lasts.
        let gain = share(udp) * share(multicast) * f64::from(u8::from(runs));
        now + (need - got) / gain
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps() {
            write!(f, "{:.2} s {step:?}; ", at.as_secs_f64())?;
        }
        Ok(())
    }
}

/// A schedule while it is carried out. Dropping it ends the busy loops.
pub struct Course<'a> {
    net: &'a Net,
    left: std::iter::Peekable<std::vec::IntoIter<(Duration, Step)>>,
    /// Bytes that the sender's device had sent at each [`Step::Count`].
    pub counts: Vec<u64>,
    /// How late the latest step was done, its own doing included.
    pub behind: Duration,
    load: Loops,
}

impl<'a> Course<'a> {
    /// The schedule at its start.
    pub fn new(net: &'a Net, schedule: &Schedule) -> Course<'a> {
        let steps: Vec<_> = schedule.steps().collect();
        Course {
            net,
            left: steps.into_iter().peekable(),
            counts: Vec::new(),
            behind: Duration::ZERO,
            load: Loops::default(),
        }
    }

    /// Takes the steps that are due for a sender.
    pub fn follow(&mut self, sender: &Program) -> Result<(), String> {
        let now = sender.started().elapsed();
        while let Some((due, step)) = self.left.next_if(|(at, _)| *at <= now) {
            match step {
                Step::Lose(host, traffic, per_mille) => {
                    self.net.set_loss(host, traffic, per_mille)?;
                }
                Step::Stop => sender.suspend(),
                Step::Continue => sender.resume(),
                Step::Count => self.counts.push(self.net.host(0).sent_bytes()?),
                Step::Load(loops) => self.load.set(loops)?,
            }
            self.behind = self
                .behind
                .max(sender.started().elapsed().saturating_sub(due));
        }
        Ok(())
    }

    /// Ends the busy loops, and lets a sender go on that is stopped.
    pub fn finish(mut self, sender: &Program) -> Result<(), String> {
        sender.resume();
        self.load.set(0)
    }
}
