//! A pretend bottleneck: a token bucket with a drop-tail queue, for tests of congestion control.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::ids::PacketNo;
use crate::range_set::RangeSet;
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::Ack;

use super::in_flight::{InFlight, Tag};
use super::path::CongestionPath;
use super::rtt::Rtt;

const PACKET: u64 = 1_440;
const TAG: Tag = Tag {
    object: 0,
    block: 0,
    symbol: 0,
};

/// Anything that sends over the bottleneck.
trait Flow {
    fn next_send_at(&mut self, now: Time) -> Time;
    fn sent(&mut self, now: Time, packet: PacketNo);
    fn ack(&mut self, now: Time, ack: &Ack);
    fn timeout_at(&self) -> Option<Time>;
    fn timeout(&mut self, now: Time);
}

impl Flow for CongestionPath {
    fn next_send_at(&mut self, now: Time) -> Time {
        if self.may_send(now, PACKET) {
            now
        } else {
            CongestionPath::next_send_at(self, PACKET)
        }
    }
    fn sent(&mut self, now: Time, packet: PacketNo) {
        self.on_sent(now, packet, PACKET as u32, TAG);
    }
    fn ack(&mut self, now: Time, ack: &Ack) {
        self.on_ack(now, ack);
        while self.poll_lost().is_some() {}
    }
    fn timeout_at(&self) -> Option<Time> {
        self.poll_timeout()
    }
    fn timeout(&mut self, now: Time) {
        self.on_timeout(now);
        while self.poll_lost().is_some() {}
    }
}

/// NewReno without pacing, as a plain TCP does it.
struct Reno {
    flight: InFlight,
    rtt: Rtt,
    window: f64,
    threshold: f64,
    recovery_end: PacketNo,
    forced: bool,
}

impl Reno {
    fn new() -> Reno {
        let window = (10 * PACKET) as f64;
        Reno {
            flight: InFlight::new(),
            rtt: Rtt::new(None),
            window,
            threshold: f64::INFINITY,
            recovery_end: 0,
            forced: false,
        }
    }
}

impl Flow for Reno {
    fn next_send_at(&mut self, now: Time) -> Time {
        let fits = self.flight.bytes() + PACKET <= self.window as u64;
        if fits || self.forced {
            now
        } else {
            Time::NEVER
        }
    }
    fn sent(&mut self, now: Time, packet: PacketNo) {
        self.forced = false;
        self.flight.sent(now, packet, PACKET as u32, TAG);
    }
    fn ack(&mut self, now: Time, ack: &Ack) {
        let outcome = self.flight.handle_ack(now, ack, &mut self.rtt);
        while self.flight.poll_lost().is_some() {}
        if outcome
            .largest_acked
            .is_some_and(|l| l >= self.recovery_end)
        {
            let acked = outcome.acked_bytes as f64;
            let slow_start = self.window < self.threshold;
            self.window += if slow_start {
                acked
            } else {
                acked * PACKET as f64 / self.window
            };
        }
        if outcome.largest_lost.is_some_and(|l| l >= self.recovery_end) {
            self.recovery_end = self.flight.next_packet();
            self.window = (self.window / 2.0).max((2 * PACKET) as f64);
            self.threshold = self.window;
        }
    }
    fn timeout_at(&self) -> Option<Time> {
        (self.flight.packets() > 0).then(|| {
            self.flight
                .loss_time()
                .unwrap_or(self.flight.last_sent() + self.rtt.probe_timeout())
        })
    }
    fn timeout(&mut self, now: Time) {
        self.flight.handle_timeout(now, &self.rtt);
        self.forced = true;
    }
}

/// The receiver's end of a flow: acknowledges every `every` packets, at a gap, or after 5 ms.
struct Sink {
    came: RangeSet,
    every: u32,
    unacked: u32,
    largest_at: Time,
    due: Option<Time>,
    /// When its last acknowledgement arrives.
    ack_at: Time,
}

enum Event {
    Arrives(usize, PacketNo),
    AckDue(usize),
    AckArrives(usize, Ack),
    Wake(usize),
}

struct Bottleneck {
    rate: Rate,
    queue: u64,
    one_way: Duration,
    /// Tokens, as time at the rate.
    burst: Duration,
    free_at: Time,
}

impl Bottleneck {
    /// When the packet leaves; none when the queue has no room.
    fn pass(&mut self, now: Time) -> Option<Time> {
        if self.rate.bytes_in(self.free_at.since(now)) + PACKET > self.queue {
            return None;
        }
        self.free_at = self.free_at.max(now - self.burst) + self.rate.time_for(PACKET);
        Some(self.free_at.max(now))
    }
}

#[derive(Clone, Copy, Default, Debug)]
struct Figures {
    sent: u64,
    dropped: u64,
    delivered: u64,
}

impl Figures {
    fn loss(&self) -> f64 {
        self.dropped as f64 / self.sent as f64
    }
}

/// One run: a link, the flows and when each starts.
struct Run {
    mbit: u64,
    queue: u64,
    one_way: Duration,
    ack_every: u32,
    /// Figures count from here to `end`.
    from: Time,
    end: Time,
}

impl Run {
    fn new(mbit: u64, queue: u64, one_way_us: u64) -> Run {
        Run {
            mbit,
            queue,
            one_way: Duration::from_micros(one_way_us),
            ack_every: 2,
            from: Time::ZERO,
            end: Time::from_millis(20_000),
        }
    }

    fn utilisation(&self, figures: &[Figures]) -> f64 {
        let bytes: u64 = figures.iter().map(|f| f.delivered * PACKET).sum();
        bytes as f64
            / Rate::from_bps(self.mbit * 1_000_000).bytes_in(self.end.since(self.from)) as f64
    }

    fn play(&self, flows: Vec<(Time, Box<dyn Flow>)>) -> Vec<Figures> {
        let mut link = Bottleneck {
            rate: Rate::from_bps(self.mbit * 1_000_000),
            queue: self.queue,
            one_way: self.one_way,
            burst: Duration::from_millis(1),
            free_at: Time::ZERO,
        };
        let mut events: BTreeMap<(Time, u64), Event> = BTreeMap::new();
        let mut order = 0u64;
        let mut rng = Rng::new(1);
        let mut add = |events: &mut BTreeMap<_, _>, at: Time, event| {
            order += 1;
            events.insert((at, order), event);
        };
        let mut sinks = Vec::new();
        let mut state = Vec::new();
        for (i, (start, flow)) in flows.into_iter().enumerate() {
            add(&mut events, start, Event::Wake(i));
            state.push((flow, 0u64, start));
            sinks.push(Sink {
                came: RangeSet::new(),
                every: self.ack_every,
                unacked: 0,
                largest_at: Time::ZERO,
                due: None,
                ack_at: Time::ZERO,
            });
        }
        let mut figures = vec![Figures::default(); state.len()];
        while let Some(((now, _), event)) = events.pop_first() {
            if now > self.end {
                break;
            }
            let counts = u64::from(now >= self.from);
            let i = match event {
                Event::Arrives(i, packet) => {
                    figures[i].delivered += counts;
                    let sink = &mut sinks[i];
                    let gap = packet != sink.came.last().map_or(0, |l| l + 1);
                    sink.came.insert(packet..packet + 1);
                    sink.largest_at = now;
                    sink.unacked += 1;
                    if sink.unacked >= sink.every || gap {
                        add(&mut events, now, Event::AckDue(i));
                    } else if sink.due.is_none() {
                        let due = now + Duration::from_millis(5);
                        sink.due = Some(due);
                        add(&mut events, due, Event::AckDue(i));
                    }
                    continue;
                }
                Event::AckDue(i) => {
                    let sink = &mut sinks[i];
                    if sink.unacked > 0 {
                        sink.unacked = 0;
                        let ranges = sink
                            .came
                            .iter()
                            .rev()
                            .take(32)
                            .map(|r| (r.start, r.end))
                            .collect();
                        let ack = Ack {
                            ranges,
                            delay: now.since(sink.largest_at),
                            largest_heard: 0,
                        };
                        // Without some jitter, drop-tail queues favour whoever's packets happen to
                        // arrive just after one left (Floyd's phase effects).
                        let back = link.one_way + rng.duration(link.rate.time_for(2 * PACKET));
                        sink.ack_at = sink.ack_at.max(now + back);
                        add(&mut events, sink.ack_at, Event::AckArrives(i, ack));
                    }
                    sink.due = sink.due.filter(|d| *d > now);
                    continue;
                }
                Event::AckArrives(i, ack) => {
                    state[i].0.ack(now, &ack);
                    i
                }
                Event::Wake(i) => {
                    if state[i].2 != now {
                        continue;
                    }
                    state[i].2 = Time::NEVER;
                    i
                }
            };
            let (flow, next, wake) = &mut state[i];
            if flow.timeout_at().is_some_and(|t| t <= now) {
                flow.timeout(now);
            }
            while flow.next_send_at(now) <= now {
                flow.sent(now, *next);
                figures[i].sent += counts;
                match link.pass(now) {
                    Some(out) => add(&mut events, out + link.one_way, Event::Arrives(i, *next)),
                    None => figures[i].dropped += counts,
                }
                *next += 1;
            }
            let at = flow
                .next_send_at(now)
                .min(flow.timeout_at().unwrap_or(Time::NEVER));
            if at < *wake {
                *wake = at;
                add(&mut events, at, Event::Wake(i));
            }
        }
        figures
    }
}

fn ours() -> Box<dyn Flow> {
    Box::new(CongestionPath::new(Time::ZERO, PACKET, None))
}

#[test]
fn ten_megabits_are_filled_without_drowning() {
    for (queue, one_way) in [
        (64_000, 250),
        (100_000, 250),
        (64_000, 10_000),
        (100_000, 25_000),
    ] {
        for ack_every in [2, 8] {
            let run = Run {
                ack_every,
                ..Run::new(10, queue, one_way)
            };
            let figures = run.play(vec![(Time::ZERO, ours())]);
            let (loss, used) = (figures[0].loss(), run.utilisation(&figures));
            println!(
                "10 Mbit/s, queue {queue}, one way {one_way} us, ack {ack_every}: loss {loss:.4}, used {used:.3}"
            );
            assert!(loss <= 0.05 && used >= 0.85);
            let start = Run {
                ack_every,
                end: Time::from_millis(1_000),
                ..Run::new(10, queue, one_way)
            };
            let figures = start.play(vec![(Time::ZERO, ours())]);
            println!(
                "   first second: loss {:.4}, used {:.3}",
                figures[0].loss(),
                start.utilisation(&figures)
            );
            assert!(figures[0].loss() <= 0.10);
        }
    }
}

#[test]
fn a_hundred_megabits_are_filled() {
    for (queue, one_way) in [
        (100_000, 250),
        (100_000, 2_500),
        (100_000, 10_000),
        (250_000, 10_000),
    ] {
        let run = Run::new(100, queue, one_way);
        let figures = run.play(vec![(Time::ZERO, ours())]);
        let (loss, used) = (figures[0].loss(), run.utilisation(&figures));
        println!("100 Mbit/s, queue {queue}, one way {one_way} us: loss {loss:.4}, used {used:.3}");
        assert!(loss <= 0.05 && used >= 0.9);
    }
}

#[test]
fn two_paths_share() {
    for (mbit, queue, one_way, late) in [
        (10, 64_000, 500, 0),
        (10, 64_000, 500, 1_000),
        (10, 100_000, 10_000, 1_000),
        (100, 100_000, 500, 1_000),
        (100, 200_000, 5_000, 1_000),
    ] {
        let run = Run {
            from: Time::from_millis(5_000),
            end: Time::from_millis(25_000),
            ..Run::new(mbit, queue, one_way)
        };
        let figures = run.play(vec![
            (Time::ZERO, ours()),
            (Time::from_millis(late), ours()),
        ]);
        let share =
            figures[0].delivered as f64 / (figures[0].delivered + figures[1].delivered) as f64;
        println!(
            "{mbit} Mbit/s, queue {queue}, one way {one_way} us, second {late} ms later: first has {share:.3}"
        );
        assert!((0.25..=0.75).contains(&share));
    }
}

#[test]
fn it_shares_with_reno() {
    for (mbit, queue, one_way, (a, b)) in [
        (10, 64_000, 500, (0, 0)),
        (10, 64_000, 500, (0, 1_000)),
        (10, 64_000, 500, (1_000, 0)),
        (10, 100_000, 10_000, (0, 1_000)),
        (100, 100_000, 500, (0, 1_000)),
        (100, 100_000, 500, (1_000, 0)),
        (100, 200_000, 5_000, (1_000, 0)),
    ] {
        let run = Run {
            from: Time::from_millis(5_000),
            end: Time::from_millis(25_000),
            ..Run::new(mbit, queue, one_way)
        };
        let figures = run.play(vec![
            (Time::from_millis(a), ours()),
            (Time::from_millis(b), Box::new(Reno::new())),
        ]);
        let share =
            figures[0].delivered as f64 / (figures[0].delivered + figures[1].delivered) as f64;
        println!(
            "{mbit} Mbit/s, queue {queue}, one way {one_way} us, starts {a} and {b}: ours has {share:.3}, used {:.3}",
            run.utilisation(&figures)
        );
        assert!((0.25..=0.75).contains(&share));
    }
}
