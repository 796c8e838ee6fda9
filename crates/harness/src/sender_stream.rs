//! Bytes as a run of a sender: packets, disk results, verbs of the application and steps of time.
//!
//! Some packets are raw, most are well formed, with the session and cookie that lead further in.
//! After each step everything is drained and checked. Each run is made twice: plain, and in a
//! group, where all that comes and goes passes through its envelopes.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use loopcast::carousel::Surplus;
use loopcast::engine::{Burst, Link, ObjectKey, ReadCommand, Sender, SenderConfig};
use loopcast::fault::{FaultKind, StoreFault};
use loopcast::ids::{ChannelNo, Cookie, PacketNo, ReceiverId, SessionId, ShortCodingId};
use loopcast::object::Description;
use loopcast::seal::SigningKey;
use loopcast::secret::Secret;
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{
    self, Ack, Done, Echo, FromReceiver, Nak, Needs, Outcome, Packet, ReceiverBody, Report,
    Request, SenderBody, Stage, Wanted,
};

use crate::bytes::{Bytes, needs, sealed};
use crate::group::Group;

const SESSION: SessionId = SessionId(0x5e55);
/// Datagrams that may leave in one step: far more than a burst is.
const MOST: usize = 20_000;

struct Run {
    now: Time,
    sender: Sender,
    envelopes: Option<Group>,
    burst: Burst,
    reads: VecDeque<ReadCommand>,
    /// Blocks are read at once.
    fast_disk: bool,
    codings: Vec<ShortCodingId>,
    offered: u64,
    cookies: BTreeMap<ReceiverId, Cookie>,
    counters: BTreeMap<ReceiverId, u64>,
    /// The least number that a channel's next packet may have.
    next: BTreeMap<ChannelNo, PacketNo>,
}

/// Runs a sender by what `data` says, without and with a group key.
pub fn run(data: &[u8]) {
    run_one(data, None);
    run_one(data, Some(Group::new(&[SESSION], 1..=6)));
}

fn run_one(data: &[u8], envelopes: Option<Group>) {
    let mut input = Bytes::new(data);
    let input = &mut input;
    let mut config = SenderConfig {
        session: SESSION,
        seed: 1,
        secret: [3; 32],
        key: SigningKey::new(&Secret::new([3; 32])),
        sealed: envelopes.is_some(),
        groups: (0..1 + input.below(3) as u8)
            .map(|i| SocketAddr::from(([239, 1, 1, i], 4_700)))
            .collect(),
        source: None,
        group_feedback: input.one_in(2),
        rate: Rate::from_bps(
            [10_000, 1_000_000, 100_000_000, 4_000_000_000][input.below(4) as usize],
        ),
        tiers: Vec::new(),
        ladder: false,
        adapt: loopcast::rate::Adapt::Fixed,
        min_rate: loopcast::units::Rate::ZERO,
        roster: loopcast::config::MAX_ROSTER,
        wait_for: input.below(4) as u32,
        stay: input.one_in(2),
        one_way: None,
        surplus: Surplus::None,
        fade: loopcast::config::FADE,
        slots: 2 + input.below(9) as u16,
        elsewhere: vec![SocketAddr::from(([10, 0, 0, 9], 4_700))],
    };
    if config.wait_for == 3 {
        // All but one are not listed.
        config.roster = 1;
    }
    let Ok(sender) = Sender::new(config, Time::ZERO) else {
        panic!("the configuration is possible");
    };
    let mut run = Run {
        now: Time::ZERO,
        sender,
        envelopes,
        burst: Burst::default(),
        reads: VecDeque::new(),
        fast_disk: !input.one_in(4),
        codings: Vec::new(),
        offered: 0,
        cookies: BTreeMap::new(),
        counters: BTreeMap::new(),
        next: BTreeMap::new(),
    };
    run.offer(input);
    run.drain();
    // Two on the group and one on unicast, but for those that the input leaves out.
    for who in 0..3 {
        if !input.one_in(8) {
            run.join(
                who,
                if who == 2 {
                    Stage::JoinUnicast
                } else {
                    Stage::JoinGroup
                },
            );
        }
    }
    while !input.is_empty() {
        run.step(input);
        run.drain();
    }
}

impl Run {
    fn step(&mut self, input: &mut Bytes<'_>) {
        match input.u8() {
            0..=9 => self.raw(input),
            10..=139 => self.packet(input),
            140..=149 => {
                for _ in 0..input.u8() % 64 {
                    self.advance();
                    self.drain();
                }
            }
            150..=169 => {
                self.now += Duration::from_nanos(input.nanos());
                self.sender.handle_timeout(self.now);
            }
            170..=209 => self.advance(),
            210..=239 => self.finish_read(input),
            240..=244 => self.offer(input),
            245..=247 => {
                let object = ObjectKey(input.below(8) as u32);
                self.sender.withdraw(self.now, object, "it changed");
            }
            248..=251 => self.sender.set_preparing(self.now, input.one_in(2)),
            252 => self.sender.stop(self.now),
            _ => self.sender.handle_timeout(self.now),
        }
    }

    /// On to the next deadline.
    fn advance(&mut self) {
        if let Some((at, _)) = self.sender.poll_timeout() {
            self.now = self.now.max(at.min(self.now + Duration::from_secs(3_600)));
            self.sender.handle_timeout(self.now);
        }
    }

    /// A receiver joins as it should.
    fn join(&mut self, who: u64, stage: Stage) {
        for _ in 0..2 {
            let receiver = ReceiverId(who + 1);
            let counter = self.counters.entry(receiver).or_default();
            *counter += 1;
            let packet = FromReceiver {
                channel: 0xffff,
                session: SESSION,
                receiver,
                counter: *counter,
                cookie: self.cookies.get(&receiver).copied().unwrap_or(Cookie(0)),
                echo: None,
                body: ReceiverBody::Request(Request {
                    wanted: Wanted::All { from: 0 },
                    stage,
                    holds: false,
                    downlink: Rate::from_bps(0),
                    cause: wire::MoveCause::None,
                    largest_heard: 0,
                }),
            };
            self.hear(address(who), packet);
            self.drain();
        }
    }

    fn offer(&mut self, input: &mut Bytes<'_>) {
        if self.offered > 12 {
            return;
        }
        self.offered += 1;
        let length = match input.below(5) {
            0 => 0,
            1 => u64::from(input.u8()),
            2 => u64::from(input.u16()) * 100,
            3 => u64::from(input.u16()) * 100_000,
            _ => 1 << 42,
        };
        let symbol_size = [1_024, 1_344, 8_896][input.below(3) as usize];
        let block_kib = [1, 8, 64, 1_024][input.below(4) as usize];
        let name = format!("film {}", self.offered);
        if let Ok(description) = Description::pretend(&name, length, symbol_size, block_kib) {
            self.codings.push(description.coding().short());
            // The same twice is refused.
            let _ = self.sender.offer(self.now, description);
        }
    }

    fn raw(&mut self, input: &mut Bytes<'_>) {
        let len = usize::from(input.u16() % 1_500);
        let data = input.take(len);
        let from = address(input.below(6));
        if let Some(members) = &mut self.envelopes {
            return members.attack(data, len as u8);
        }
        self.sender.handle_datagram(self.now, from, Link(1), data);
        self.sender
            .handle_datagram(self.now, from, Link(1), &sealed(data));
    }

    fn packet(&mut self, input: &mut Bytes<'_>) {
        let who = input.below(6);
        let receiver = ReceiverId(who + 1);
        let body = self.body(input);
        let counter = self.counters.entry(receiver).or_default();
        let number = match input.u8() {
            0..=9 => input.u64(),
            _ => {
                *counter += 1;
                *counter
            }
        };
        let known = self.cookies.get(&receiver).copied().unwrap_or(Cookie(0));
        let packet = FromReceiver {
            channel: match input.below(4) {
                0 => 0x8000 + input.below(5) as u16,
                1 => input.u16(),
                2 => input.below(3) as u16,
                _ => u16::from(self.sender.config().groups.len() > 1),
            },
            session: if input.one_in(30) {
                SessionId(input.u64())
            } else {
                SESSION
            },
            receiver,
            counter: number,
            cookie: if input.one_in(20) {
                Cookie(input.u64())
            } else {
                known
            },
            echo: input.one_in(2).then(|| Echo {
                sent_at: self.now.as_nanos().saturating_sub(input.nanos()).max(1),
                held: Duration::from_micros(input.u64() % 3_000_000_000),
            }),
            body,
        };
        let from = address(if input.one_in(20) { who + 1 } else { who });
        self.hear(from, packet);
    }

    fn hear(&mut self, from: SocketAddr, packet: FromReceiver) {
        let mut datagram = Vec::new();
        packet.encode(&mut datagram);
        if let Some(members) = &mut self.envelopes {
            let Some(opened) = members.up(packet.receiver, &datagram) else {
                return;
            };
            datagram = opened;
        }
        self.sender
            .handle_datagram(self.now, from, Link(1), &datagram);
    }

    fn coding(&self, input: &mut Bytes<'_>) -> ShortCodingId {
        let at = input.below(16) as usize;
        let known = self.codings.get(at % self.codings.len().max(1));
        match known {
            Some(&coding) if at < 15 => coding,
            _ => ShortCodingId(input.u64()),
        }
    }

    fn body(&self, input: &mut Bytes<'_>) -> ReceiverBody {
        match input.below(16) {
            0..=5 => ReceiverBody::Request(Request {
                wanted: match input.below(4) {
                    0 | 1 => Wanted::All { from: input.u32() },
                    2 => Wanted::Name(format!("film {}", input.below(14))),
                    _ => Wanted::Codings(
                        (0..1 + input.below(4))
                            .map(|_| self.coding(input))
                            .collect(),
                    ),
                },
                stage: [Stage::Ask, Stage::JoinGroup, Stage::JoinUnicast][input.below(3) as usize],
                holds: input.one_in(2),
                downlink: Rate::from_bps(0),
                cause: wire::MoveCause::None,
                largest_heard: input.u16(),
            }),
            6..=10 => ReceiverBody::Nak(Nak {
                seen_to: input.u64() & loopcast::ids::MAX_PACKET_NO,
                needs: Needs {
                    coding: self.coding(input),
                    entries: needs(input),
                },
                more: input.one_in(2),
            }),
            11 => ReceiverBody::Report(Report {
                coding: self.coding(input),
                symbols_held: input.u64(),
                packets: input.u64(),
                lost: input.u64(),
                ..Report::default()
            }),
            12 | 13 => ReceiverBody::Ack(self.ack(input)),
            _ => ReceiverBody::Done(
                (0..input.below(4))
                    .map(|_| Done {
                        coding: if input.one_in(4) {
                            ShortCodingId(0)
                        } else {
                            self.coding(input)
                        },
                        outcome: [Outcome::Complete, Outcome::Failed, Outcome::Left]
                            [input.below(3) as usize],
                    })
                    .collect(),
            ),
        }
    }

    /// Mostly of what was sent on some unicast channel.
    fn ack(&self, input: &mut Bytes<'_>) -> Ack {
        let mut ranges = Vec::new();
        let mut sent = self.next.range(0x8000..).map(|(_, &next)| next);
        let mut below = match (input.one_in(8), sent.nth(input.below(2) as usize)) {
            (false, Some(next)) => next.max(1),
            _ => 1 + input.u64() % (1 << 48),
        };
        for _ in 0..input.below(5) {
            let to = below.saturating_sub(input.u64() % 300);
            let from = to.saturating_sub(1 + input.u64() % 300);
            if from >= to {
                break;
            }
            ranges.push((from, to));
            below = from.saturating_sub(1);
        }
        Ack {
            ranges,
            delay: Duration::from_micros(input.u64() % 4_000_000_000),
            largest_heard: input.u16(),
        }
    }

    fn finish_read(&mut self, input: &mut Bytes<'_>) {
        let Some(read) = self.reads.pop_front() else {
            return;
        };
        let result = if input.one_in(60) {
            Err(StoreFault::new(FaultKind::Changed, "it has another length"))
        } else {
            Ok(())
        };
        self.sender.handle_read(self.now, read.slot, result);
    }

    fn drain(&mut self) {
        let mut left = 0;
        loop {
            let mut more = false;
            while let Some(read) = self.sender.poll_read() {
                more = true;
                self.reads.push_back(read);
            }
            while self.sender.poll_transmit(self.now, &mut self.burst) {
                more = true;
                left += 1;
                assert!(left < MOST, "it sends without end");
                self.check_burst();
            }
            while self.sender.poll_event().is_some() {}
            if self.fast_disk {
                while let Some(read) = self.reads.pop_front() {
                    more = true;
                    self.sender.handle_read(self.now, read.slot, Ok(()));
                }
            }
            if !more {
                break;
            }
        }
        assert_eq!(self.sender.check_bounds(), Ok(()));
        let _ = (self.sender.poll_timeout(), self.sender.receivers().count());
    }

    fn check_burst(&mut self) {
        let Some(run) = self.burst.run else {
            let Ok(Packet::FromSender(packet)) = wire::parse(&self.burst.control) else {
                panic!("a packet of ours does not parse: {:?}", self.burst.control);
            };
            if let Some(members) = &mut self.envelopes {
                let opened = members.down(SESSION, ReceiverId(1), &self.burst.control);
                assert!(opened.is_some(), "a member can't open {packet:?}");
            }
            if let SenderBody::Challenge(challenge) = packet.body {
                self.cookies.insert(challenge.receiver, challenge.cookie);
            }
            return;
        };
        let Some(geometry) = self.sender.description(run.object).map(|d| d.geometry) else {
            panic!("{run:?} is of no object");
        };
        let loading = |r: &ReadCommand| r.slot == run.slot;
        assert!(!self.reads.iter().any(loading), "{run:?} is not read yet");
        let next = self.next.entry(run.first.channel).or_default();
        self.burst
            .for_each_packet(geometry.symbol_size(), |header, at| {
                assert!(header.packet >= *next, "{header:?} uses a number again");
                *next = header.packet + 1;
                assert!(geometry.has(header.block, header.symbol), "{header:?}");
                assert!(!at.is_empty());
            });
    }
}

fn address(n: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, n as u8], 40_000))
}
