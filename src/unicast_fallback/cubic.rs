//! How much may be in flight on one unicast path: CUBIC (RFC 9438) with HyStart++ (RFC 9406).
//!
//! Takes acknowledged and lost bytes; gives the congestion window and the pacing rate. What is in
//! flight, and what counts as lost, is decided by [`InFlight`](super::InFlight).

use core::time::Duration;

use crate::ids::PacketNo;
use crate::time::Time;
use crate::units::Rate;

use super::hystart::HyStart;
use super::rtt::Rtt;

/// C of RFC 9438 §5, in packets per cubed second.
const C: f64 = 0.4;
/// What a reduction leaves (RFC 9438 §4.6).
const BETA: f64 = 0.7;
/// How fast the Reno-friendly estimate grows, in packets a round trip (RFC 9438 §4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// Packets in the least window (RFC 9002 §7.2).
const MIN_PACKETS: f64 = 2.0;
/// Most bytes in a window: 3.8 Gbit/s over 100 ms.
const MAX_WINDOW: f64 = 48e6;

/// The window of one path, in IP bytes.
#[derive(Clone, Debug)]
pub(super) struct Cubic {
    packet: f64,
    /// Fractional, because a large window grows by less than a byte an acknowledgement.
    window: f64,
    /// Slow start is below it.
    threshold: f64,
    hystart: Option<HyStart>,
    /// W_max: the window that the curve is flat around.
    plateau: f64,
    /// The window before the last reduction.
    prior: f64,
    avoidance: Option<Avoidance>,
    /// Packets below it were sent before the last reduction and can't cause another.
    recovery_end: PacketNo,
}

/// A stretch of congestion avoidance, from a reduction on.
#[derive(Clone, Copy, Debug)]
struct Avoidance {
    start: Time,
    last_ack: Time,
    plateau: f64,
    /// Seconds from the start to the plateau.
    k: f64,
    /// What Reno would have as its window.
    reno: f64,
}

/// What an acknowledgement told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    /// IP bytes newly acknowledged.
    pub(super) bytes: u64,
    /// Packets newly acknowledged.
    pub(super) packets: u64,
    /// The largest packet newly acknowledged.
    pub(super) largest: PacketNo,
    /// The next packet to be sent.
    pub(super) next_packet: PacketNo,
    /// Its round-trip sample, if it gave one.
    pub(super) sample: Option<Duration>,
    /// Whether the window was what limited sending. If not, it proves nothing and must not grow.
    pub(super) limited: bool,
}

impl Cubic {
    /// The initial window (RFC 9002 §7.2) for packets of at most `packet` IP bytes.
    pub(super) fn new(packet: u64) -> Cubic {
        let packet = packet.max(1);
        let window = (10 * packet).min(14_720.max(2 * packet)) as f64;
        Cubic {
            packet: packet as f64,
            window,
            threshold: f64::INFINITY,
            hystart: Some(HyStart::new()),
            plateau: window,
            prior: window,
            avoidance: None,
            recovery_end: 0,
        }
    }

    /// Most IP bytes that may be in flight.
    pub(super) const fn window(&self) -> u64 {
        self.window as u64
    }

    /// Whether the window grows with every byte acknowledged, to find what the path carries.
    pub(super) const fn in_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    /// What the path may be paced at: twice the window per round trip in slow start, 5/4 of it
    /// later, so that pacing spreads packets without being what limits them (RFC 9002 §7.7).
    pub(super) fn pacing_rate(&self, smoothed: Duration) -> Rate {
        let factor = if self.in_slow_start() { 2.0 } else { 1.25 };
        let bytes_per_sec = factor * self.window / smoothed.as_secs_f64().max(1e-6);
        Rate::from_bytes_per_sec(bytes_per_sec as u64)
    }

    /// Packets were acknowledged.
    pub(super) fn on_ack(&mut self, now: Time, acked: &Acked, rtt: &Rtt) {
        if let Some(hystart) = &mut self.hystart
            && hystart.on_ack(
                acked.packets,
                acked.largest,
                acked.next_packet,
                acked.sample,
            )
        {
            self.hystart = None;
            self.threshold = self.window;
            self.plateau = self.window;
            self.prior = self.window;
        }
        if acked.largest < self.recovery_end {
            return;
        }
        if !acked.limited {
            // Time in which nothing was tried is not time on the curve (RFC 9438 §5.8).
            if let Some(a) = &mut self.avoidance {
                a.start += now.since(a.last_ack);
                a.last_ack = now;
            }
        } else if self.in_slow_start() {
            let divisor = self.hystart.as_ref().map_or(1, HyStart::growth_divisor);
            self.set_window(self.window + acked.bytes as f64 / divisor as f64);
        } else {
            self.avoid(now, acked.bytes as f64, rtt.smoothed());
        }
    }

    /// Packets up to `largest` were found lost; `next_packet` is the next to be sent. Losses of one
    /// round trip count once (RFC 9002 §7.3.2).
    pub(super) fn on_loss(&mut self, largest: PacketNo, next_packet: PacketNo) {
        if largest < self.recovery_end {
            return;
        }
        self.recovery_end = next_packet;
        self.hystart = None;
        self.prior = self.window;
        // Fast convergence: whoever shrinks leaves room for a newcomer (RFC 9438 §4.7).
        let shrinks = self.window < self.plateau;
        self.plateau = if shrinks {
            self.window * (1.0 + BETA) / 2.0
        } else {
            self.window
        };
        self.set_window(self.window * BETA);
        self.threshold = self.window;
        self.avoidance = None;
    }

    /// Nothing got through for a long time: start again from the least window (RFC 9002 §7.6.2).
    pub(super) fn on_persistent_congestion(&mut self) {
        self.set_window(0.0);
        self.avoidance = None;
    }

    /// RFC 9438 §4.2 to §4.5.
    fn avoid(&mut self, now: Time, bytes: f64, smoothed: Duration) {
        let mut a = self.avoidance.unwrap_or_else(|| {
            let plateau = self.plateau.max(self.window);
            let k = ((plateau - self.window) / self.packet / C).cbrt();
            Avoidance {
                start: now,
                last_ack: now,
                plateau,
                k,
                reno: self.window,
            }
        });
        a.last_ack = now;
        let alpha = if a.reno < self.prior { ALPHA } else { 1.0 };
        a.reno += alpha * self.packet * bytes / self.window;
        let curve = |t: f64| C * self.packet * (t - a.k).powi(3) + a.plateau;
        let t = now.since(a.start).as_secs_f64();
        let window = if curve(t) < a.reno {
            self.window.max(a.reno)
        } else {
            let target = curve(t + smoothed.as_secs_f64()).clamp(self.window, 1.5 * self.window);
            self.window + (target - self.window) * bytes / self.window
        };
        self.avoidance = Some(a);
        self.set_window(window);
    }

    fn set_window(&mut self, window: f64) {
        self.window = window.clamp(MIN_PACKETS * self.packet, MAX_WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACKET: u64 = 1_400;

    /// A path of constant round trip that acknowledges a window each round.
    struct Run {
        cubic: Cubic,
        rtt: Rtt,
        now: Time,
        next: PacketNo,
    }

    impl Run {
        fn new(rtt_ms: u64) -> Run {
            let mut rtt = Rtt::new(None);
            rtt.sample(Duration::from_millis(rtt_ms), Duration::ZERO);
            Run {
                cubic: Cubic::new(PACKET),
                rtt,
                now: Time::ZERO,
                next: 0,
            }
        }

        fn round(&mut self, limited: bool) {
            let packets = self.cubic.window() / PACKET;
            let first = self.next;
            self.next += packets;
            for n in 0..packets {
                let acked = Acked {
                    bytes: PACKET,
                    packets: 1,
                    largest: first + n,
                    next_packet: self.next,
                    sample: Some(self.rtt.smoothed()),
                    limited,
                };
                self.cubic.on_ack(self.now, &acked, &self.rtt);
                self.now += self.rtt.smoothed() / packets as u32;
            }
        }

        fn lose(&mut self) {
            self.cubic.on_loss(self.next - 1, self.next);
        }
    }

    #[test]
    fn slow_start_doubles_and_idle_rounds_do_not_grow() {
        let mut run = Run::new(50);
        let start = run.cubic.window();
        run.round(false);
        assert_eq!(run.cubic.window(), start);
        run.round(true);
        assert_eq!(run.cubic.window(), start / PACKET * PACKET + start);
        assert_eq!(
            run.cubic.pacing_rate(Duration::from_millis(50)),
            Rate::from_bytes_per_sec(40 * run.cubic.window())
        );
    }

    #[test]
    fn one_round_trip_reduces_once() {
        let mut run = Run::new(50);
        (0..4).for_each(|_| run.round(true));
        let before = run.cubic.window();
        let next = run.next;
        run.cubic.on_loss(next - 10, next);
        let after = run.cubic.window();
        assert_eq!(after, (before as f64 * 0.7) as u64);
        run.cubic.on_loss(next - 1, next + 5);
        assert_eq!(run.cubic.window(), after);
        run.cubic.on_loss(next, next + 9);
        assert!(run.cubic.window() < after);
    }

    #[test]
    fn the_curve_returns_to_the_plateau_after_k_seconds() {
        let mut run = Run::new(100);
        (0..6).for_each(|_| run.round(true));
        let before = run.cubic.window() as f64;
        run.lose();
        let lost_at = run.now;
        let k = (before * 0.3 / PACKET as f64 / C).cbrt();
        while run.now.since(lost_at).as_secs_f64() < k {
            assert!(run.cubic.window() as f64 <= before * 1.02);
            run.round(true);
        }
        assert!(
            (run.cubic.window() as f64 / before - 1.0).abs() < 0.05,
            "{} {before}",
            run.cubic.window()
        );
    }

    #[test]
    fn it_is_no_slower_than_reno_on_a_short_path() {
        let mut run = Run::new(2);
        (0..3).for_each(|_| run.round(true));
        run.lose();
        let window = run.cubic.window();
        (0..100).for_each(|_| run.round(true));
        // 100 round trips at 0.53 packets and more.
        assert!(run.cubic.window() >= window + 53 * PACKET * 9 / 10);
    }

    #[test]
    fn persistent_congestion_restarts_below_the_threshold() {
        let mut run = Run::new(20);
        (0..5).for_each(|_| run.round(true));
        run.lose();
        run.cubic.on_persistent_congestion();
        assert_eq!(run.cubic.window(), 2 * PACKET);
        assert!(run.cubic.in_slow_start());
        (0..60).for_each(|_| run.round(true));
        assert!(!run.cubic.in_slow_start());
    }

    proptest! {
        #[test]
        fn the_window_keeps_its_limits(events in prop::collection::vec((0u8..10, 1u64..100_000_000), 1..200)) {
            let mut run = Run::new(10);
            for (event, bytes) in events {
                run.now += Duration::from_micros(bytes % 10_000_000);
                match event {
                    0 => run.cubic.on_loss(run.next, run.next + 1),
                    1 => run.cubic.on_persistent_congestion(),
                    _ => {
                        let acked = Acked { bytes, packets: 1, largest: run.next, next_packet: run.next + 2, sample: None, limited: event > 3 };
                        run.cubic.on_ack(run.now, &acked, &run.rtt);
                    }
                }
                run.next += 1;
                prop_assert!((2 * PACKET..=MAX_WINDOW as u64).contains(&run.cubic.window()));
            }
        }
    }
}
