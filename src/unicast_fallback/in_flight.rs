//! What is in flight on one unicast path, and what of it is lost (RFC 9002 §6).
//!
//! Takes packets as they are sent and acknowledgements as they come; gives acknowledged bytes,
//! round-trip samples, and the symbols that were lost. It does not decide how much may be sent.

use core::ops::Range;
use core::time::Duration;
use std::collections::VecDeque;

use crate::ids::{BlockNo, PacketNo, SymbolNo};
use crate::time::Time;
use crate::wire::Ack;

use super::rtt::Rtt;

/// Packets that must have come after one for it to be lost (RFC 9002 §6.1.1).
const PACKET_THRESHOLD: u64 = 3;

/// With so many packets watched nothing further is sent, but the run that has begun: a gigabit over 150 ms. It
/// bounds the memory that one receiver can take by never acknowledging.
pub(super) const MAX_IN_FLIGHT: usize = 16_384;

/// What a packet carried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag {
    /// The sender's own number of the object.
    pub object: u32,
    /// The block.
    pub block: BlockNo,
    /// The symbol.
    pub symbol: SymbolNo,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    InFlight,
    /// In flight as far as the window goes, but its symbol was given back already, by a probe.
    Probed,
    Acked,
    Lost,
}

impl State {
    const fn counts(self) -> bool {
        matches!(self, State::InFlight | State::Probed)
    }
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    packet: PacketNo,
    at: Time,
    bytes: u32,
    tag: Tag,
    state: State,
}

/// The packets of one path between being sent and being acknowledged or lost.
///
/// Packet numbers must increase. In steady state it allocates nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight {
    /// By packet number; the first is always one that counts.
    sent: VecDeque<Sent>,
    /// Symbols to be sent again.
    lost: VecDeque<Tag>,
    bytes: u64,
    packets: usize,
    next: PacketNo,
    largest_acked: Option<PacketNo>,
    last_sent: Time,
    /// When the next packet is lost by time.
    loss_time: Option<Time>,
}

/// What an acknowledgement, or the passing of time, told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AckOutcome {
    /// IP bytes newly acknowledged.
    pub acked_bytes: u64,
    /// Packets newly acknowledged.
    pub acked_packets: u64,
    /// The largest packet newly acknowledged.
    pub largest_acked: Option<PacketNo>,
    /// The round trip of the largest packet, if it was newly acknowledged.
    pub sample: Option<Duration>,
    /// IP bytes newly found lost.
    pub lost_bytes: u64,
    /// Packets newly found lost.
    pub lost_packets: u64,
    /// The largest packet newly found lost.
    pub largest_lost: Option<PacketNo>,
    /// All packets over a long stretch are lost.
    pub persistent_congestion: bool,
    /// It acknowledged packets that were never sent, so all of it was ignored.
    pub invalid: bool,
}

impl InFlight {
    /// Nothing in flight.
    pub(super) fn new() -> InFlight {
        InFlight::default()
    }

    /// IP bytes in flight.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets in flight.
    pub(super) const fn packets(&self) -> usize {
        self.packets
    }

    /// Whether no further run may begin; see [`MAX_IN_FLIGHT`].
    pub(super) fn is_full(&self) -> bool {
        self.sent.len() >= MAX_IN_FLIGHT
    }

    /// One more than the last packet sent.
    pub(super) const fn next_packet(&self) -> PacketNo {
        self.next
    }

    /// When the last packet was sent.
    pub(super) const fn last_sent(&self) -> Time {
        self.last_sent
    }

    /// Packet `packet`, of `bytes` IP bytes, was sent. One out of order is not watched.
    pub(super) fn sent(&mut self, now: Time, packet: PacketNo, bytes: u32, tag: Tag) {
        if packet < self.next {
            return;
        }
        self.next = packet + 1;
        self.last_sent = now;
        self.sent.push_back(Sent {
            packet,
            at: now,
            bytes,
            tag,
            state: State::InFlight,
        });
        self.bytes += u64::from(bytes);
        self.packets += 1;
    }

    /// An acknowledgement came. Gives a sample to `rtt`, then finds what is lost.
    pub(super) fn handle_ack(&mut self, now: Time, ack: &Ack, rtt: &mut Rtt) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        let Some(&(_, to)) = ack.ranges.first() else {
            return outcome;
        };
        if ack.ranges.iter().any(|&(_, to)| to > self.next) {
            outcome.invalid = true;
            return outcome;
        }
        let mut largest_at = None;
        let oldest = self.sent.front().map_or(self.next, |s| s.packet);
        for &(from, to) in ack.ranges.iter().filter(|r| r.1 > oldest) {
            for i in self.between(from..to) {
                let sent = &mut self.sent[i];
                if !sent.state.counts() {
                    continue;
                }
                sent.state = State::Acked;
                outcome.acked_bytes += u64::from(sent.bytes);
                outcome.acked_packets += 1;
                if outcome.largest_acked.is_none_or(|l| l <= sent.packet) {
                    outcome.largest_acked = Some(sent.packet);
                    largest_at = Some(sent.at);
                }
            }
        }
        self.bytes -= outcome.acked_bytes;
        self.packets -= outcome.acked_packets as usize;
        if let (Some(at), Some(largest)) = (largest_at, outcome.largest_acked)
            && largest + 1 == to
        {
            let sample = now.since(at);
            rtt.sample(sample, ack.delay);
            outcome.sample = Some(sample);
        }
        self.largest_acked = self.largest_acked.max(outcome.largest_acked);
        self.find_lost(now, rtt, &mut outcome);
        outcome
    }

    /// Time passed: finds what is lost by it.
    pub(super) fn handle_timeout(&mut self, now: Time, rtt: &Rtt) -> AckOutcome {
        let mut outcome = AckOutcome::default();
        self.find_lost(now, rtt, &mut outcome);
        outcome
    }

    /// When [`handle_timeout`](InFlight::handle_timeout) finds the next packet lost, if any will be.
    pub(super) const fn loss_time(&self) -> Option<Time> {
        self.loss_time
    }

    /// Gives the symbols of the `count` oldest packets in flight back, to be sent again as probes,
    /// without counting the packets as lost (RFC 9002 §6.2.4).
    pub(super) fn probe(&mut self, count: usize) {
        let oldest = self
            .sent
            .iter_mut()
            .filter(|s| s.state == State::InFlight)
            .take(count);
        for sent in oldest {
            sent.state = State::Probed;
            self.lost.push_back(sent.tag);
        }
    }

    /// A symbol that was lost and must be sent again if it is still needed.
    pub(super) fn poll_lost(&mut self) -> Option<Tag> {
        self.lost.pop_front()
    }

    /// What is in flight in packets from `packet` on: a NAK whose sender had seen less can't
    /// know of it.
    pub(super) fn in_flight_from(
        &self,
        packet: PacketNo,
    ) -> impl Iterator<Item = (PacketNo, Tag)> + '_ {
        let start = self.sent.partition_point(|s| s.packet < packet);
        self.sent
            .range(start..)
            .filter(|s| s.state.counts())
            .map(|s| (s.packet, s.tag))
    }

    /// The places of the packets of a range.
    fn between(&self, packets: Range<PacketNo>) -> Range<usize> {
        let from = self.sent.partition_point(|s| s.packet < packets.start);
        let to = self.sent.partition_point(|s| s.packet < packets.end);
        from..to.max(from)
    }

    fn find_lost(&mut self, now: Time, rtt: &Rtt, outcome: &mut AckOutcome) {
        self.loss_time = None;
        let Some(largest) = self.largest_acked else {
            return;
        };
        let delay = rtt.loss_delay();
        // The time of the first of an unbroken run of packets lost now.
        let mut run: Option<Time> = None;
        for sent in self.sent.iter_mut().take_while(|s| s.packet < largest) {
            match sent.state {
                State::Lost => continue,
                State::Acked => {
                    run = None;
                    continue;
                }
                State::InFlight | State::Probed => {}
            }
            let lost_at = sent.at + delay;
            if sent.packet + PACKET_THRESHOLD > largest && lost_at > now {
                self.loss_time = Some(self.loss_time.map_or(lost_at, |t| t.min(lost_at)));
                run = None;
                continue;
            }
            if sent.state == State::InFlight {
                self.lost.push_back(sent.tag);
            }
            sent.state = State::Lost;
            outcome.lost_bytes += u64::from(sent.bytes);
            outcome.lost_packets += 1;
            outcome.largest_lost = Some(sent.packet);
            let start = *run.get_or_insert(sent.at);
            outcome.persistent_congestion |=
                rtt.is_measured() && sent.at.since(start) > rtt.persistent_congestion();
        }
        self.bytes -= outcome.lost_bytes;
        self.packets -= outcome.lost_packets as usize;
        while self.sent.front().is_some_and(|s| !s.state.counts()) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn tag(packet: PacketNo) -> Tag {
        Tag {
            object: 1,
            block: (packet / 100) as u32,
            symbol: (packet % 100) as u16,
        }
    }

    fn ack(ranges: &[(PacketNo, PacketNo)]) -> Ack {
        Ack {
            ranges: ranges.to_vec(),
            delay: Duration::ZERO,
            largest_heard: 0,
        }
    }

    const fn ms(n: u64) -> Time {
        Time::from_millis(n)
    }

    fn with_sent(n: u64) -> (InFlight, Rtt) {
        let mut flight = InFlight::new();
        // Close together, so that no packet is lost by time alone.
        (0..n).for_each(|p| flight.sent(Time::from_nanos(p * 10_000), p, 100, tag(p)));
        (flight, Rtt::new(None))
    }

    fn lost(flight: &mut InFlight) -> Vec<Tag> {
        core::iter::from_fn(|| flight.poll_lost()).collect()
    }

    #[test]
    fn three_later_packets_make_one_lost() {
        let (mut flight, mut rtt) = with_sent(6);
        let outcome = flight.handle_ack(ms(10), &ack(&[(2, 4), (0, 1)]), &mut rtt);
        assert_eq!((outcome.acked_packets, outcome.lost_packets), (3, 0));
        assert_eq!(outcome.sample, Some(Duration::from_micros(9_970)));
        let outcome = flight.handle_ack(ms(11), &ack(&[(2, 5), (0, 1)]), &mut rtt);
        assert_eq!(
            (
                outcome.acked_bytes,
                outcome.lost_bytes,
                outcome.largest_lost
            ),
            (100, 100, Some(1))
        );
        assert_eq!(lost(&mut flight), [tag(1)]);
        assert_eq!((flight.bytes(), flight.packets()), (100, 1));
    }

    #[test]
    fn nine_eighths_of_a_round_trip_make_one_lost() {
        let (mut flight, mut rtt) = (InFlight::new(), Rtt::new(None));
        (0..2).for_each(|p| flight.sent(ms(p), p, 100, tag(p)));
        let outcome = flight.handle_ack(ms(81), &ack(&[(1, 2)]), &mut rtt);
        assert_eq!(outcome.lost_packets, 0);
        assert_eq!(flight.loss_time(), Some(ms(90)));
        assert_eq!(flight.handle_timeout(ms(89), &rtt).lost_packets, 0);
        assert_eq!(flight.handle_timeout(ms(90), &rtt).lost_packets, 1);
        assert_eq!((flight.loss_time(), flight.packets()), (None, 0));
    }

    #[test]
    fn an_acknowledgement_of_what_was_not_sent_is_ignored() {
        let (mut flight, mut rtt) = with_sent(3);
        let outcome = flight.handle_ack(ms(9), &ack(&[(0, 4)]), &mut rtt);
        assert_eq!(
            outcome,
            AckOutcome {
                invalid: true,
                ..AckOutcome::default()
            }
        );
        assert_eq!(flight.packets(), 3);
        assert_eq!(
            flight.handle_ack(ms(9), &ack(&[]), &mut rtt),
            AckOutcome::default()
        );
    }

    #[test]
    fn a_long_stretch_of_loss_is_persistent_congestion() {
        let (mut flight, mut rtt) = with_sent(1);
        flight.handle_ack(ms(10), &ack(&[(0, 1)]), &mut rtt);
        for p in 1..10 {
            flight.sent(ms(100 * p), p, 100, tag(p));
        }
        let outcome = flight
            .clone()
            .handle_ack(ms(910), &ack(&[(9, 10)]), &mut rtt.clone());
        assert!(outcome.persistent_congestion && outcome.lost_packets == 8);
        // With one in the middle acknowledged, neither half is long enough.
        rtt.sample(Duration::from_millis(80), Duration::ZERO);
        let outcome = flight.handle_ack(ms(910), &ack(&[(9, 10), (5, 6)]), &mut rtt);
        assert!(!outcome.persistent_congestion && outcome.lost_packets == 7);
    }

    #[test]
    fn probes_give_each_symbol_back_once() {
        let (mut flight, mut rtt) = with_sent(5);
        flight.probe(2);
        assert_eq!(
            (lost(&mut flight), flight.packets()),
            (vec![tag(0), tag(1)], 5)
        );
        flight.probe(1);
        assert_eq!(lost(&mut flight), [tag(2)]);
        let outcome = flight.handle_ack(ms(9), &ack(&[(4, 5)]), &mut rtt);
        assert_eq!((outcome.lost_packets, flight.packets()), (2, 2));
        assert_eq!(flight.handle_timeout(ms(900), &rtt).lost_packets, 2);
        assert_eq!(lost(&mut flight), [tag(3)]);
    }

    #[test]
    fn what_is_in_flight_from_a_packet_on() {
        let (mut flight, mut rtt) = with_sent(5);
        flight.handle_ack(ms(9), &ack(&[(3, 4)]), &mut rtt);
        let from: Vec<_> = flight.in_flight_from(2).map(|(p, _)| p).collect();
        assert_eq!(from, [2, 4]);
    }

    #[test]
    fn a_run_that_began_below_the_cap_is_watched_to_its_end() {
        let (mut flight, mut rtt) = with_sent(MAX_IN_FLIGHT as u64 - 1);
        assert!(!flight.is_full());
        let last = MAX_IN_FLIGHT as u64 + 42;
        (flight.next_packet()..=last).for_each(|p| flight.sent(ms(200), p, 100, tag(p)));
        assert!(flight.is_full());
        assert_eq!(flight.in_flight_from(0).count() as u64, last + 1);
        let outcome = flight.handle_ack(ms(210), &ack(&[(last, last + 1)]), &mut rtt);
        assert_eq!((outcome.invalid, outcome.acked_packets), (false, 1));
        let (mut flight, _) = with_sent(3);
        flight.sent(Time::ZERO, 2, 100, tag(0));
        assert_eq!(flight.packets(), 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn finds_what_a_naive_reading_of_the_rfc_finds(
            steps in prop::collection::vec((0u64..30, 0usize..6, prop::collection::vec((0u64..40, 1u64..12), 0..4)), 1..60),
        ) {
            let (mut flight, mut rtt) = (InFlight::new(), Rtt::new(None));
            // Packet to time sent; gone when acknowledged or lost.
            let mut naive: BTreeMap<PacketNo, Time> = BTreeMap::new();
            let (mut now, mut next, mut largest) = (Time::ZERO, 0u64, None);
            for (gap, sends, back) in steps {
                now += Duration::from_millis(gap);
                for _ in 0..sends {
                    flight.sent(now, next, 100, tag(next));
                    naive.insert(next, now);
                    next += 1 + next % 2;
                }
                let end = flight.next_packet();
                let mut ranges: Vec<_> = back.iter().map(|&(b, len)| (end.saturating_sub(b + len), end.saturating_sub(b))).filter(|r| r.0 < r.1).collect();
                ranges.sort_unstable_by(|a, b| b.cmp(a));
                let outcome = if ranges.is_empty() { flight.handle_timeout(now, &rtt) } else { flight.handle_ack(now, &ack(&ranges), &mut rtt) };
                let acked: Vec<_> = naive.keys().copied().filter(|p| ranges.iter().any(|&(f, t)| (f..t).contains(p))).collect();
                acked.iter().for_each(|p| { naive.remove(p); });
                largest = largest.max(acked.last().copied());
                let gone: Vec<_> = naive.iter().filter(|&(&p, &at)| largest.is_some_and(|l| p < l && (p + 3 <= l || at + rtt.loss_delay() <= now))).map(|(&p, _)| p).collect();
                gone.iter().for_each(|p| { naive.remove(p); });
                prop_assert_eq!(outcome.acked_packets, acked.len() as u64);
                prop_assert_eq!(lost(&mut flight), gone.iter().map(|&p| tag(p)).collect::<Vec<_>>());
                prop_assert_eq!((outcome.lost_packets, outcome.largest_lost), (gone.len() as u64, gone.last().copied()));
                prop_assert_eq!((flight.packets(), flight.bytes()), (naive.len(), naive.len() as u64 * 100));
                prop_assert!(flight.in_flight_from(0).map(|(p, _)| p).eq(naive.keys().copied()));
                let due = naive.iter().filter(|&(&p, _)| largest.is_some_and(|l| p < l)).map(|(_, &at)| at + rtt.loss_delay()).min();
                prop_assert_eq!(flight.loss_time(), due);
            }
        }
    }
}
