//! One unicast path under congestion control: what may leave on it, when, and what was lost.
//!
//! Puts the round-trip time, the window, the pacer and what is in flight together. Takes packets as
//! they are sent, acknowledgements and time; gives permission to send, the next deadline, and the
//! symbols to send again. It does not choose symbols.

use core::time::Duration;

use crate::ids::PacketNo;
use crate::rate::Pacer;
use crate::time::Time;
use crate::wire::Ack;

use super::cubic::{Acked, Cubic};
use super::in_flight::{AckOutcome, InFlight, Tag};
use super::rtt::Rtt;

/// Packets that may leave beyond the window when a probe timeout passes (RFC 9002 §6.2.4).
const PROBES: u32 = 2;

/// The longest wait between probes. The RFC doubles without end; a path that was cut for a minute
/// must not stay unused for another.
const MAX_PROBE_WAIT: Duration = Duration::from_secs(2);

/// Until a round trip is measured, the initial window is spread over this and no more: it is small,
/// and waiting for a guessed round trip would cost more than it could save.
const FIRST_SPREAD: Duration = Duration::from_millis(10);

/// The pacer's burst has room for a packet and one part in this many more: where the path is too
/// narrow for a whole symbol its parts leave together, and each has headers of its own.
const PARTS_EXTRA: u64 = 8;

/// Congestion control of one receiver's unicast path: CUBIC with HyStart++, paced, with RFC 9002's
/// loss detection.
///
/// After every call that takes an acknowledgement or a timeout, drain
/// [`poll_lost`](CongestionPath::poll_lost), then ask [`poll_timeout`](CongestionPath::poll_timeout)
/// again.
#[derive(Clone, Debug)]
pub struct CongestionPath {
    rtt: Rtt,
    cubic: Cubic,
    pacer: Pacer,
    in_flight: InFlight,
    /// Packets that may leave whatever the window says.
    probes: u32,
    /// Probe timeouts since the last acknowledgement.
    timeouts: u32,
    /// What the probe timeout counts from, besides the last packet sent.
    last_timeout: Time,
    /// IP bytes that go out together: what may be sent was last asked for so many.
    unit: u64,
    /// Most that was in flight in this round trip.
    peak: u64,
    /// The round trip ends when this packet is acknowledged.
    round_end: PacketNo,
    /// Whether the window limited sending in this round trip or the last.
    limited: [bool; 2],
}

impl CongestionPath {
    /// A path on which nothing was sent. `packet` is the most IP bytes in one packet; `rtt` what the
    /// exchange of requests measured, if anything.
    pub fn new(now: Time, packet: u64, rtt: Option<Duration>) -> CongestionPath {
        let cubic = Cubic::new(packet);
        let rtt = Rtt::new(rtt);
        let rate = cubic.pacing_rate(rtt.smoothed().min(FIRST_SPREAD));
        CongestionPath {
            pacer: Pacer::new(rate, packet + packet / PARTS_EXTRA, now),
            rtt,
            cubic,
            in_flight: InFlight::new(),
            probes: 0,
            timeouts: 0,
            last_timeout: now,
            unit: packet,
            peak: 0,
            round_end: 0,
            limited: [false; 2],
        }
    }

    /// Whether a packet of `bytes` IP bytes may leave now.
    ///
    /// One larger than the window or the pacer's burst may leave when nothing else is on its way: the
    /// path may have been made for an object with smaller symbols.
    pub fn may_send(&mut self, now: Time, bytes: u64) -> bool {
        self.unit = bytes;
        self.next_send_at(bytes) <= now
    }

    /// IP bytes that may leave now, for a run of several packets.
    pub fn allowance(&mut self, now: Time) -> u64 {
        self.room().min(self.pacer.may_send(now))
    }

    /// When a packet of `bytes` IP bytes may leave; a moment in the past if it may already, never if
    /// only an acknowledgement or a timeout can make room.
    pub fn next_send_at(&self, bytes: u64) -> Time {
        let alone = self.in_flight.packets() == 0;
        if self.room() < bytes && !alone {
            Time::NEVER
        } else {
            self.pacer.next_at(bytes)
        }
    }

    /// A data packet was sent: its number on the path's channel, IP bytes and symbol. Numbers must
    /// increase, and should without gaps: three higher numbers make a packet lost.
    pub fn on_sent(&mut self, now: Time, packet: PacketNo, bytes: u32, tag: Tag) {
        if self.in_flight.packets() == 0 {
            self.last_timeout = now;
        }
        self.in_flight.sent(now, packet, bytes, tag);
        self.pacer.sent(u64::from(bytes));
        self.probes = self.probes.saturating_sub(1);
        self.peak = self.peak.max(self.in_flight.bytes());
    }

    /// An acknowledgement came.
    pub fn on_ack(&mut self, now: Time, ack: &Ack) -> AckOutcome {
        let outcome = self.in_flight.handle_ack(now, ack, &mut self.rtt);
        if let Some(largest) = outcome.largest_acked {
            self.timeouts = 0;
            self.probes = 0;
            self.count_round(largest);
            let acked = Acked {
                bytes: outcome.acked_bytes,
                packets: outcome.acked_packets,
                largest,
                next_packet: self.in_flight.next_packet(),
                sample: outcome.sample,
                limited: self.limited[0] || self.limited[1],
            };
            self.cubic.on_ack(now, &acked, &self.rtt);
        }
        self.take(now, &outcome);
        outcome
    }

    /// The moment that [`poll_timeout`](CongestionPath::poll_timeout) gave has come. Earlier calls do
    /// nothing.
    pub fn on_timeout(&mut self, now: Time) {
        if self.in_flight.loss_time().is_some_and(|t| t <= now) {
            let outcome = self.in_flight.handle_timeout(now, &self.rtt);
            self.take(now, &outcome);
        } else if self.probe_at().is_some_and(|t| t <= now) {
            self.timeouts = self.timeouts.saturating_add(1);
            self.last_timeout = now;
            self.probes = PROBES;
            self.in_flight.probe(PROBES as usize);
        }
    }

    /// When to call [`on_timeout`](CongestionPath::on_timeout); none while nothing is in flight.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.in_flight.loss_time().or_else(|| self.probe_at())
    }

    /// A symbol whose packet was lost, or that is a good probe: to be sent again if it is still
    /// needed.
    pub fn poll_lost(&mut self) -> Option<Tag> {
        self.in_flight.poll_lost()
    }

    /// What is in flight in packets from `packet` on.
    pub fn in_flight_from(&self, packet: PacketNo) -> impl Iterator<Item = (PacketNo, Tag)> + '_ {
        self.in_flight.in_flight_from(packet)
    }

    fn room(&self) -> u64 {
        if self.in_flight.is_full() {
            0
        } else if self.probes > 0 {
            u64::MAX
        } else {
            self.cubic.window().saturating_sub(self.in_flight.bytes())
        }
    }

    fn probe_at(&self) -> Option<Time> {
        if self.in_flight.packets() == 0 {
            return None;
        }
        let wait = self
            .rtt
            .probe_timeout()
            .saturating_mul(1 << self.timeouts.min(16));
        Some(self.in_flight.last_sent().max(self.last_timeout) + wait.min(MAX_PROBE_WAIT))
    }

    /// Slow start counts as limited when more than half the window was used, as it grows by what was
    /// used; later all but a few packets must have been. What leaves no room for a further unit is all
    /// that could be used: the least window may hold just one.
    fn count_round(&mut self, largest: PacketNo) {
        let window = self.cubic.window();
        let needed = if self.cubic.in_slow_start() {
            window / 2
        } else {
            window - window / 4
        };
        self.limited[0] |= self.peak >= needed || self.peak + self.unit > window;
        if largest >= self.round_end {
            self.round_end = self.in_flight.next_packet();
            self.limited = [false, self.limited[0]];
            self.peak = self.in_flight.bytes();
        }
    }

    fn take(&mut self, now: Time, outcome: &AckOutcome) {
        if let Some(largest) = outcome.largest_lost {
            self.cubic.on_loss(largest, self.in_flight.next_packet());
            if outcome.persistent_congestion {
                self.cubic.on_persistent_congestion();
            }
        }
        let smoothed = if self.rtt.is_measured() {
            self.rtt.smoothed()
        } else {
            self.rtt.smoothed().min(FIRST_SPREAD)
        };
        self.pacer.set_rate(now, self.cubic.pacing_rate(smoothed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Rate;

    const PACKET: u64 = 1_440;

    fn tag(packet: PacketNo) -> Tag {
        Tag {
            object: 0,
            block: 0,
            symbol: packet as u16,
        }
    }

    fn ack(from: PacketNo, to: PacketNo) -> Ack {
        Ack {
            ranges: vec![(from, to)],
            delay: Duration::ZERO,
            largest_heard: 0,
        }
    }

    const fn ms(n: u64) -> Time {
        Time::from_millis(n)
    }

    /// Sends all that the path allows until `until`; the next packet number.
    fn fill(path: &mut CongestionPath, mut now: Time, until: Time, mut next: PacketNo) -> PacketNo {
        while now <= until {
            while path.may_send(now, PACKET) {
                path.on_sent(now, next, PACKET as u32, tag(next));
                next += 1;
            }
            now = path.next_send_at(PACKET);
        }
        next
    }

    fn lost(path: &mut CongestionPath) -> Vec<u16> {
        core::iter::from_fn(|| path.poll_lost())
            .map(|t| t.symbol)
            .collect()
    }

    #[test]
    fn the_initial_window_leaves_within_ten_milliseconds() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, None);
        assert_eq!(fill(&mut path, Time::ZERO, ms(10), 0), 10);
        assert_eq!(path.in_flight.bytes(), 10 * PACKET);
        assert_eq!(path.next_send_at(PACKET), Time::NEVER);
        assert!(!path.may_send(ms(500), PACKET));
    }

    #[test]
    fn silence_gives_the_oldest_symbols_back_as_probes() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, Some(Duration::from_millis(20)));
        let next = fill(&mut path, Time::ZERO, ms(15), 0);
        let due = path.poll_timeout().unwrap();
        path.on_timeout(due - Duration::from_nanos(1));
        assert_eq!((path.timeouts, lost(&mut path)), (0, vec![]));
        path.on_timeout(due);
        assert_eq!((path.timeouts, lost(&mut path)), (1, vec![0, 1]));
        assert_eq!(
            fill(&mut path, due, due + Duration::from_millis(5), next),
            next + 2
        );
        // Waits double, and never stand in the past even if nothing is sent.
        let second = path.poll_timeout().unwrap();
        assert!(second.since(due) >= path.rtt.probe_timeout() * 2);
        path.on_timeout(second);
        assert!(path.poll_timeout().unwrap() > second);
    }

    #[test]
    fn a_path_that_was_cut_starts_again_from_the_least_window() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, None);
        fill(&mut path, Time::ZERO, ms(10), 0);
        path.on_ack(ms(30), &ack(0, 10));
        let mut next = fill(&mut path, ms(30), ms(60), 10);
        while path.poll_timeout().unwrap() < ms(10_000) {
            let now = path.poll_timeout().unwrap();
            path.on_timeout(now);
            next = fill(&mut path, now, now, next);
        }
        lost(&mut path);
        let outcome = path.on_ack(ms(10_000), &ack(next - 1, next));
        assert!(outcome.persistent_congestion);
        assert_eq!((path.cubic.window(), path.timeouts), (2 * PACKET, 0));
        assert!(path.may_send(ms(10_000), PACKET));
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, None);
        for p in 0..1_000u64 {
            path.on_sent(ms(5 * p), p, PACKET as u32, tag(p));
            path.on_ack(ms(5 * p + 4), &ack(0, p + 1));
        }
        assert_eq!(path.cubic.window(), 10 * PACKET);
        assert_eq!(path.poll_timeout(), None);
        assert_eq!(path.in_flight.packets(), 0);
    }

    #[test]
    fn a_symbol_in_parts_may_leave_on_the_slowest_path() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, None);
        fill(&mut path, Time::ZERO, ms(10), 0);
        path.on_ack(ms(5_000), &ack(0, 10));
        assert!(path.pacer.rate() < Rate::from_bps(100_000));
        assert!(path.may_send(ms(5_000), PACKET + 100));
        path.on_sent(ms(5_000), 10, PACKET as u32, tag(10));
        let at = path.next_send_at(PACKET + 100);
        assert!(path.may_send(at, PACKET + 100));
    }

    #[test]
    fn a_window_that_holds_one_large_symbol_grows() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, None);
        path.cubic.on_persistent_congestion();
        let large = PACKET + PACKET / 2;
        let mut now = ms(1);
        for p in 0..100 {
            while !path.may_send(now, large) {
                now += Duration::from_millis(1);
            }
            path.on_sent(now, p, large as u32, tag(p));
            now += Duration::from_millis(20);
            path.on_ack(now, &ack(0, p + 1));
        }
        assert!(path.cubic.window() > 2 * large, "{}", path.cubic.window());
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, None);
        fill(&mut path, Time::ZERO, ms(10), 0);
        assert!(path.on_ack(ms(30), &ack(0, 4_000_000)).invalid);
        assert_eq!(path.cubic.window(), 10 * PACKET);
    }

    #[test]
    fn it_tells_what_is_in_flight_since_a_packet() {
        let mut path = CongestionPath::new(Time::ZERO, PACKET, None);
        fill(&mut path, Time::ZERO, ms(10), 0);
        assert!(
            path.in_flight_from(7)
                .map(|(p, t)| (p, t.symbol))
                .eq([(7, 7), (8, 8), (9, 9)])
        );
    }
}
