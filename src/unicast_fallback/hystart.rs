//! When slow start has gone far enough: HyStart++ (RFC 9406).
//!
//! Takes round-trip times as acknowledgements come, round by round; says how fast the window may
//! grow and when to leave slow start. A start without it doubles until the bottleneck's queue
//! overflows, and then loses up to half a window.

use core::time::Duration;

use crate::ids::PacketNo;

// RFC 9406 §4.3. We pace, so the limit L on growth per acknowledgement does not apply.
const MIN_RTT_THRESHOLD: Duration = Duration::from_millis(4);
const MAX_RTT_THRESHOLD: Duration = Duration::from_millis(16);
const RTT_DIVISOR: u32 = 8;
const ROUND_SAMPLES: u64 = 8;
const CSS_ROUNDS: u32 = 5;
const CSS_GROWTH_DIVISOR: u64 = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    SlowStart,
    /// Conservative slow start: the delay has grown, and it shows whether that lasts.
    Conservative {
        baseline: Duration,
        rounds: u32,
    },
}

/// The state of one slow start.
#[derive(Clone, Debug)]
pub(super) struct HyStart {
    phase: Phase,
    last_min: Option<Duration>,
    current_min: Option<Duration>,
    samples: u64,
    /// The round ends when this packet is acknowledged.
    round_end: PacketNo,
}

impl HyStart {
    pub(super) const fn new() -> HyStart {
        HyStart {
            phase: Phase::SlowStart,
            last_min: None,
            current_min: None,
            samples: 0,
            round_end: 0,
        }
    }

    /// What to divide growth by now.
    pub(super) fn growth_divisor(&self) -> u64 {
        match self.phase {
            Phase::SlowStart => 1,
            Phase::Conservative { .. } => CSS_GROWTH_DIVISOR,
        }
    }

    /// Takes an acknowledgement of `packets` packets up to `largest`, with its round-trip time if it
    /// gave one; `next_packet` is the next packet to be sent. True when slow start is over.
    ///
    /// It counts as a sample for each of its packets: receivers thin their acknowledgements out, and
    /// a small window would else have no round of eight.
    pub(super) fn on_ack(
        &mut self,
        packets: u64,
        largest: PacketNo,
        next_packet: PacketNo,
        rtt: Option<Duration>,
    ) -> bool {
        if let Some(rtt) = rtt {
            self.current_min = Some(self.current_min.map_or(rtt, |m| m.min(rtt)));
            self.samples = self.samples.saturating_add(packets);
        }
        if let (Some(current), true) = (self.current_min, self.samples >= ROUND_SAMPLES) {
            match self.phase {
                Phase::SlowStart => {
                    if let Some(last) = self.last_min
                        && current
                            >= last
                                + (last / RTT_DIVISOR).clamp(MIN_RTT_THRESHOLD, MAX_RTT_THRESHOLD)
                    {
                        self.phase = Phase::Conservative {
                            baseline: current,
                            rounds: 0,
                        };
                    }
                }
                Phase::Conservative { baseline, .. } if current < baseline => {
                    self.phase = Phase::SlowStart
                }
                Phase::Conservative { .. } => {}
            }
        }
        if largest < self.round_end {
            return false;
        }
        self.round_end = next_packet;
        self.last_min = self.current_min.take().or(self.last_min);
        self.samples = 0;
        if let Phase::Conservative { rounds, .. } = &mut self.phase {
            *rounds += 1;
            return *rounds >= CSS_ROUNDS;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of 20 acknowledgements with these round-trip times; the round in which it ended.
    fn run(rounds: impl IntoIterator<Item = u64>) -> (HyStart, Option<usize>) {
        let mut hystart = HyStart::new();
        let mut packet = 0;
        for (i, ms) in rounds.into_iter().enumerate() {
            for n in 0..20 {
                if hystart.on_ack(
                    1,
                    packet + n,
                    packet + 20 + n,
                    Some(Duration::from_millis(ms)),
                ) {
                    return (hystart, Some(i));
                }
            }
            packet += 20;
        }
        (hystart, None)
    }

    #[test]
    fn steady_delay_keeps_doubling() {
        let (hystart, ended) = run([20; 30]);
        assert_eq!((hystart.growth_divisor(), ended), (1, None));
    }

    #[test]
    fn growing_delay_slows_and_ends_it() {
        let (hystart, _) = run([20, 20, 20, 26, 26]);
        assert_eq!(hystart.growth_divisor(), 4);
        let (_, ended) = run([20, 20, 20, 26, 26, 26, 26, 26, 26, 26]);
        assert!(ended.is_some_and(|r| (7..=9).contains(&r)), "{ended:?}");
    }

    #[test]
    fn a_passing_delay_resumes_slow_start() {
        let (hystart, ended) = run([20, 20, 20, 26, 26, 20, 20]);
        assert_eq!((hystart.growth_divisor(), ended), (1, None));
    }

    #[test]
    fn small_changes_do_not_count() {
        let (hystart, ended) = run([10, 11, 12, 13, 14, 15, 16]);
        assert_eq!((hystart.growth_divisor(), ended), (1, None));
    }
}
