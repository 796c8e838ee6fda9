//! Bytes as a run of a receiver: packets, disk results, verbs of the application and steps of time.
//!
//! Some packets are raw, most are well formed and of the session that it follows. After each step
//! everything is drained and checked. Each run is made twice: plain, and in a group, where all that
//! comes and goes passes through its envelopes.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use loopcast::engine::{
    Backlog, Burst, Command, ObjectKey, Receiver, ReceiverConfig, Target, Trust, Verdict, Via,
};
use loopcast::fault::{FaultKind, StoreFault};
use loopcast::ids::{ChannelNo, Cookie, MAX_PACKET_NO, ReceiverId, SessionId, ShortCodingId};
use loopcast::object::Description;
use loopcast::range_set::RangeSet;
use loopcast::seal::SigningKey;
use loopcast::secret::Secret;
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{
    self, Challenge, ChannelInfo, DataHeader, Feedback, FromReceiver, FromSender, Heard, MoveCause,
    Nak, Needs, Notice, NoticeCode, Offer, Packet, Position, ReceiverBody, SenderBody, Signature,
    Sync,
};

use crate::bytes::{Bytes, needs, sealed};
use crate::group::Group;

const SESSION: SessionId = SessionId(0x5e55);
const OTHER: SessionId = SessionId(0x77);
const ID: ReceiverId = ReceiverId(7);
/// Datagrams that may leave in one step.
const MOST: usize = 5_000;

struct Run {
    now: Time,
    receiver: Receiver,
    envelopes: Option<Group>,
    burst: Burst,
    /// The disk does everything at once.
    fast_disk: bool,
    /// The next number on each channel's packets.
    next: BTreeMap<ChannelNo, u64>,
    /// Commands that the disk has yet to answer.
    disk: VecDeque<Command>,
    offered: Vec<Description>,
    /// Of each of them: the sender's signature, and a stranger's.
    signed: Vec<[Signature; 2]>,
    counter: u64,
}

/// Runs a receiver by what `data` says, without and with a group key.
pub fn run(data: &[u8]) {
    run_one(data, None);
    run_one(data, Some(Group::new(&[SESSION, OTHER], [ID.0, 9])));
}

fn run_one(data: &[u8], envelopes: Option<Group>) {
    let mut input = Bytes::new(data);
    let input = &mut input;
    let target = if input.one_in(2) {
        Target::Host(address(1))
    } else {
        Target::Group {
            group: group(0),
            source: None,
        }
    };
    let name = input.one_in(3).then(|| "film 0".to_owned());
    let config = ReceiverConfig {
        trust: match name {
            Some(_) => Trust::Only(key(0).public().fingerprint()),
            None => Trust::First,
        },
        name,
        via: match input.below(4) {
            0 => Some(Via::Unicast),
            1 => Some(Via::Group),
            _ => None,
        },
        sealed: envelopes.is_some(),
        max_size: if input.one_in(8) { 10_000 } else { u64::MAX },
        ..ReceiverConfig::new(ID, 1, target)
    };
    let offered = descriptions(input);
    let mut run = Run {
        now: Time::ZERO,
        receiver: Receiver::new(config, Time::ZERO),
        envelopes,
        burst: Burst::default(),
        fast_disk: !input.one_in(4),
        next: BTreeMap::new(),
        disk: VecDeque::new(),
        signed: offered
            .iter()
            .map(|d| [0, 1].map(|n| Signature::of(SESSION, d, &key(n))))
            .collect(),
        offered,
        counter: 0,
    };
    run.drain();
    // The session begins as it should, but for what the input leaves out.
    if !input.one_in(8) {
        run.begin(input);
    }
    while !input.is_empty() {
        run.step(input);
        run.drain();
    }
}

fn key(n: u8) -> SigningKey {
    SigningKey::new(&Secret::new([n; 32]))
}

fn address(n: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, n as u8], 4_700))
}

fn group(n: u64) -> SocketAddr {
    SocketAddr::from(([239, 1, 1, n as u8], 4_700))
}

fn descriptions(input: &mut Bytes<'_>) -> Vec<Description> {
    let mut all = Vec::new();
    for i in 0..4 {
        let length = match input.below(5) {
            0 => 0,
            1 => u64::from(input.u8()),
            2 => u64::from(input.u16()) * 10,
            3 => u64::from(input.u16()) * 100_000,
            _ => 1 << 42,
        };
        let block_kib = [1, 2, 16, 1_024][input.below(4) as usize].max(if length > 1 << 40 {
            1_024
        } else {
            1
        });
        if let Ok(description) =
            Description::pretend(&format!("film {i}"), length, 1_344, block_kib)
        {
            all.push(description);
        }
    }
    all
}

impl Run {
    fn step(&mut self, input: &mut Bytes<'_>) {
        match input.u8() {
            0..=9 => self.raw(input),
            10..=89 => self.packet(input),
            90..=159 => self.data(input),
            160..=167 => {
                for _ in 0..input.u8() % 32 {
                    self.advance();
                    self.drain();
                }
            }
            168..=179 => {
                self.now += Duration::from_nanos(input.nanos());
                self.receiver.handle_timeout(self.now);
            }
            180..=219 => self.advance(),
            220..=249 => self.disk_result(input),
            250 => self.receiver.set_backlog(
                self.now,
                Backlog {
                    overflowed: input.u64(),
                    stalled: input.u64(),
                    waiting: input.u64(),
                    filled: f64::from(input.u8()) / f64::from(input.u8()),
                },
            ),
            251 => {
                let channel = channel(input);
                self.receiver.handle_join_failed(self.now, &channel);
            }
            252 => self.receiver.stop(self.now),
            _ => self.receiver.handle_timeout(self.now),
        }
    }

    /// On to the next deadline.
    fn advance(&mut self) {
        if let Some((at, _)) = self.receiver.poll_timeout() {
            self.now = self.now.max(at.min(self.now + Duration::from_secs(3_600)));
            self.receiver.handle_timeout(self.now);
        }
    }

    /// A cookie, and offers of everything.
    fn begin(&mut self, input: &mut Bytes<'_>) {
        let sent_at = 1;
        let challenge = SenderBody::Challenge(Challenge {
            receiver: ID,
            cookie: Cookie(1),
            sent_at,
        });
        self.hear(challenge);
        for (i, description) in self.offered.clone().into_iter().enumerate() {
            if input.one_in(5) {
                continue;
            }
            self.hear(SenderBody::Offer(Box::new(Offer {
                sent_at,
                index: i as u32,
                total: 4,
                grtt: Duration::from_millis(5),
                receivers: 3,
                description,
                signature: self.signed[i][0],
                channels: vec![ChannelInfo {
                    number: 0,
                    tier: 0,
                    group: group(0),
                    source: None,
                    rate: Rate::from_bps(100_000_000),
                    feedback: Feedback::Sender,
                }],
            })));
        }
        // The join goes out, and is heard.
        for _ in 0..3 {
            self.drain();
            self.advance();
        }
        self.drain();
        self.hear(SenderBody::Heard(vec![Heard {
            receiver: ID,
            counter: self.counter.wrapping_sub(1) as u32,
        }]));
        self.drain();
    }

    fn hear(&mut self, body: SenderBody) {
        let packet = FromSender {
            channel: 0,
            session: SESSION,
            one_way: false,
            body,
        };
        self.hear_packet(address(1), Via::Group, &packet);
    }

    fn hear_packet(&mut self, from: SocketAddr, via: Via, packet: &FromSender) {
        let mut datagram = Vec::new();
        packet.encode(&mut datagram);
        if let Some(members) = &mut self.envelopes {
            let Some(opened) = members.down(packet.session, ID, &datagram) else {
                return;
            };
            datagram = opened;
        }
        self.receiver
            .handle_datagram(self.now, from, via, &datagram);
    }

    fn raw(&mut self, input: &mut Bytes<'_>) {
        let len = usize::from(input.u16() % 1_500);
        let data = input.take(len);
        let via = via(input);
        if let Some(members) = &mut self.envelopes {
            return members.attack(data, len as u8);
        }
        self.receiver
            .handle_datagram(self.now, address(1), via, data);
        self.receiver
            .handle_datagram(self.now, address(1), via, &sealed(data));
    }

    fn any_offered(&self, input: &mut Bytes<'_>) -> usize {
        input.below(self.offered.len() as u64) as usize
    }

    fn description(&self, input: &mut Bytes<'_>) -> &Description {
        &self.offered[self.any_offered(input)]
    }

    fn coding(&self, input: &mut Bytes<'_>) -> ShortCodingId {
        if input.one_in(16) {
            return ShortCodingId(input.u64());
        }
        self.description(input).coding().short()
    }

    fn packet(&mut self, input: &mut Bytes<'_>) {
        let body = match input.below(16) {
            kind @ 0..=3 => {
                let (sent_at, index) = (self.sent_at(input), input.below(4) as u32);
                let total = 4 + u32::from(input.u8()) / 64;
                let grtt = Duration::from_micros(1 + input.u64() % 15_000_000);
                let receivers = input.u32().max(1);
                let which = self.any_offered(input);
                let mut signature = self.signed[which][usize::from(kind == 2)];
                if kind == 3 {
                    signature.bytes[0] ^= 1;
                }
                SenderBody::Offer(Box::new(Offer {
                    sent_at,
                    index,
                    total,
                    grtt,
                    receivers,
                    description: self.offered[which].clone(),
                    signature,
                    channels: (0..input.below(3)).map(|_| channel(input)).collect(),
                }))
            }
            4..=6 => {
                let description = self.description(input);
                SenderBody::Sync(Sync {
                    coding: description.coding().short(),
                    next_packet: input.u64() & MAX_PACKET_NO,
                    position: Position {
                        cycle: input.u32(),
                        block: input.u32(),
                        symbol: input.u16() % 1_024,
                    },
                    sent_at: self.sent_at(input),
                    grtt: Duration::from_micros(1 + input.u64() % 15_000_000),
                    k: 1 + input.below(63) as u8,
                    receivers: input.u32().max(1),
                    next_sync: Duration::from_millis(input.u64() % 60_000),
                    rate: Rate::from_bps(1_000_000),
                    report_interval: Duration::from_secs(1),
                    path_loss: input.u32() as u8,
                    query: input.one_in(2),
                    idle: input.one_in(2),
                    padded_to: if input.one_in(2) { 1_380 } else { 0 },
                })
            }
            7 | 8 => SenderBody::Confirm(Needs {
                coding: self.coding(input),
                entries: needs(input),
            }),
            kind @ (9 | 10) => {
                let heard = (0..input.below(5))
                    .map(|_| Heard {
                        receiver: if input.one_in(4) { ReceiverId(9) } else { ID },
                        counter: if input.one_in(2) {
                            self.counter.wrapping_sub(1) as u32
                        } else {
                            input.u32()
                        },
                    })
                    .collect();
                match kind {
                    9 => SenderBody::Heard(heard),
                    _ => SenderBody::Unlisted(heard),
                }
            }
            11 => SenderBody::Notice(Notice {
                receiver: [ID, ReceiverId(0), ReceiverId(9)][input.below(3) as usize],
                coding: self.coding(input),
                code: [
                    NoticeCode::NotFound,
                    NoticeCode::Elsewhere,
                    NoticeCode::Withdrawn,
                    NoticeCode::UseUnicast,
                    NoticeCode::Ended,
                    NoticeCode::Evicted,
                ][input.below(6) as usize],
                cause: [MoveCause::None, MoveCause::TooSlow][input.below(2) as usize],
                text: "as it is".to_owned(),
                addresses: (0..input.below(3)).map(address).collect(),
            }),
            12 => return self.foreign_nak(input),
            _ => SenderBody::Challenge(Challenge {
                receiver: ID,
                cookie: Cookie(1 + input.below(3)),
                sent_at: self.sent_at(input),
            }),
        };
        let packet = FromSender {
            channel: channel_number(input),
            session: session(input),
            one_way: false,
            body,
        };
        let from = address(1 + input.below(2));
        self.hear_packet(from, via(input), &packet);
    }

    fn sent_at(&self, input: &mut Bytes<'_>) -> u64 {
        if input.one_in(16) {
            input.u64().max(1)
        } else {
            self.now.as_nanos().max(1)
        }
    }

    fn foreign_nak(&mut self, input: &mut Bytes<'_>) {
        let packet = FromReceiver {
            channel: channel_number(input),
            session: session(input),
            receiver: ReceiverId(9),
            counter: 1,
            cookie: Cookie(5),
            echo: None,
            body: ReceiverBody::Nak(Nak {
                seen_to: 9,
                needs: Needs {
                    coding: self.coding(input),
                    entries: needs(input),
                },
                more: false,
            }),
        };
        let mut datagram = Vec::new();
        packet.encode(&mut datagram);
        let via = via(input);
        if let Some(members) = &mut self.envelopes {
            let Some(opened) = members.across(packet.receiver, ID, &datagram) else {
                return;
            };
            datagram = opened;
        }
        self.receiver
            .handle_datagram(self.now, address(9), via, &datagram);
    }

    /// A run of data packets.
    fn data(&mut self, input: &mut Bytes<'_>) {
        let description = self.description(input);
        let coding = description.coding().short();
        let geometry = description.geometry;
        let mut header = DataHeader {
            channel: channel_number(input),
            session: session(input),
            coding,
            packet: 0,
            block: input.u32(),
            symbol: input.u16() % 64,
            repair: input.one_in(2),
            one_way: false,
            part: input.one_in(8).then_some(0),
        };
        let next = self.next.entry(header.channel).or_default();
        header.packet = match input.below(8) {
            0 => input.u64() & MAX_PACKET_NO,
            1 | 2 => (*next + input.below(50)).min(MAX_PACKET_NO),
            _ => *next,
        };
        let via = via(input);
        let (refuse, from) = (input.one_in(16), address(1 + header.packet % 3));
        for _ in 0..input.below(40) {
            let len = if header.part.is_some() { 712 } else { 1_380 };
            if !self.opens(&header) {
                continue;
            }
            let verdict = self.receiver.handle_data(self.now, from, &header, via, len);
            if let Verdict::Store { object } = verdict {
                assert!(geometry.has(header.block, header.symbol));
                if refuse {
                    self.receiver.handle_refused(self.now, object, &header);
                }
            }
            if let Verdict::Part { .. } = verdict {
                self.receiver.handle_assembled(self.now, from, &header);
            }
            header.packet = (header.packet + 1).min(MAX_PACKET_NO);
            header.symbol += 1;
            if header.symbol >= geometry.symbols(header.block) {
                header.symbol = 0;
                header.block = header.block.saturating_add(1);
            }
        }
        self.next.insert(header.channel, header.packet);
    }

    /// A data packet passes through the envelopes; only its numbers matter here.
    fn opens(&mut self, header: &DataHeader) -> bool {
        let Some(members) = &mut self.envelopes else {
            return true;
        };
        let mut datagram = Vec::new();
        wire::write_data(header, &[0; 1_024], &mut datagram);
        members.down(header.session, ID, &datagram).is_some()
    }

    fn disk_result(&mut self, input: &mut Bytes<'_>) {
        let fault = match input.u8() {
            0..=3 => Some(StoreFault::new(FaultKind::NoSpace, "no space left")),
            4..=12 => Some(StoreFault::mismatch()),
            _ => None,
        };
        let now = self.now;
        match self.disk.pop_front() {
            Some(Command::Open {
                object,
                description,
            }) => {
                let mut kept = RangeSet::new();
                if input.one_in(3) {
                    let blocks = u64::from(description.geometry.blocks());
                    let from = input.u64() % blocks;
                    kept.insert(from..(from + input.u64() % 5_000).min(blocks));
                }
                let result = fault.map_or(Ok(kept), Err);
                self.receiver.handle_opened(now, object, result);
            }
            Some(command) => self.answer(command, fault),
            None => {
                let object = ObjectKey(input.below(6) as u32);
                self.receiver.handle_finished(now, object, Ok(()));
            }
        }
    }

    /// The disk has done what it was told, or not.
    fn answer(&mut self, command: Command, fault: Option<StoreFault>) {
        let now = self.now;
        match command {
            Command::Open { object, .. } => {
                let result = fault.map_or(Ok(RangeSet::new()), Err);
                self.receiver.handle_opened(now, object, result);
            }
            Command::Check { object, block } => {
                let result = fault.map_or(Ok(()), Err);
                self.receiver.handle_checked(now, object, block, result);
            }
            Command::Finish { object } => {
                let result = fault.map_or(Ok(()), Err);
                self.receiver.handle_finished(now, object, result);
            }
            _ => {}
        }
    }

    fn drain(&mut self) {
        let mut left = 0;
        loop {
            let mut more = false;
            while let Some(command) = self.receiver.poll_command() {
                more = true;
                if let Command::Open { .. } | Command::Check { .. } | Command::Finish { .. } =
                    command
                {
                    if self.fast_disk {
                        self.answer(command, None);
                    } else {
                        self.disk.push_back(command);
                    }
                }
            }
            while self.receiver.poll_transmit(self.now, &mut self.burst) {
                more = true;
                left += 1;
                assert!(left < MOST, "it sends without end");
                let Ok(Packet::FromReceiver(packet)) = wire::parse(&self.burst.control) else {
                    panic!("a packet of ours does not parse: {:?}", self.burst.control);
                };
                assert!(packet.counter >= self.counter, "{packet:?}: used again");
                self.counter = packet.counter + 1;
                if let Some(members) = &mut self.envelopes {
                    let opened = members.up(ID, &self.burst.control);
                    assert!(opened.is_some(), "the sender can't open {packet:?}");
                }
            }
            while self.receiver.poll_event().is_some() {}
            if !more {
                break;
            }
        }
        assert_eq!(self.receiver.check_bounds(), Ok(()));
        for progress in self.receiver.progress() {
            assert!(progress.held <= progress.symbols, "{progress:?}");
            assert!(progress.verified <= progress.length, "{progress:?}");
        }
        let _ = (self.receiver.poll_timeout(), self.receiver.stats());
    }
}

fn channel_number(input: &mut Bytes<'_>) -> ChannelNo {
    match input.below(8) {
        0 | 1 => 0x8000 + input.below(3) as u16,
        2 => input.u16(),
        n => u16::from(n > 6),
    }
}

fn session(input: &mut Bytes<'_>) -> SessionId {
    if input.one_in(30) { OTHER } else { SESSION }
}

fn via(input: &mut Bytes<'_>) -> Via {
    if input.one_in(3) {
        Via::Unicast
    } else {
        Via::Group
    }
}

fn channel(input: &mut Bytes<'_>) -> ChannelInfo {
    let number = input.below(3);
    ChannelInfo {
        number: number as ChannelNo,
        tier: 0,
        group: group(number),
        source: None,
        rate: Rate::from_bps(input.u64() % 1_000_000_000_000),
        feedback: if input.one_in(2) {
            Feedback::Group { port: 4_701 }
        } else {
            Feedback::Sender
        },
    }
}
