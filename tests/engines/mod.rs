//! Engines driven by hand: several senders and receivers, no loss, no delay, no bytes.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test binaries, each of which uses a part"
)]

use core::net::SocketAddr;
use core::time::Duration;

use loopcast::carousel::Surplus;
use loopcast::engine::{
    Burst, Command, Link, Receiver, ReceiverConfig, ReceiverEvent, Sender, SenderConfig,
    SenderEvent, Target, Via,
};
use loopcast::ids::{Cookie, ReceiverId, SessionId};
use loopcast::object::Description;
use loopcast::range_set::RangeSet;
use loopcast::seal::SigningKey;
use loopcast::secret::Secret;
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{
    self, DataHeader, FromReceiver, MoveCause, Packet, ReceiverBody, Request, SenderBody, Stage,
    Wanted,
};

/// The group of all tests.
pub fn group() -> SocketAddr {
    "239.192.7.1:4700".parse().unwrap()
}

/// Address `n` of the senders' or receivers' hosts.
pub fn host(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 4_700))
}

pub fn sender(session: u64, change: impl FnOnce(&mut SenderConfig)) -> Sender {
    let mut config = SenderConfig {
        session: SessionId(session),
        seed: session,
        secret: [session as u8; 32],
        key: key(session as u8),
        sealed: false,
        groups: vec![group()],
        source: None,
        group_feedback: false,
        rate: Rate::from_bps(100_000_000),
        tiers: Vec::new(),
        ladder: false,
        adapt: loopcast::rate::Adapt::Fixed,
        min_rate: Rate::ZERO,
        roster: loopcast::config::MAX_ROSTER,
        wait_for: 1,
        stay: true,
        one_way: None,
        surplus: Surplus::None,
        fade: loopcast::config::FADE,
        slots: 8,
        elsewhere: Vec::new(),
    };
    change(&mut config);
    Sender::new(config, Time::ZERO).unwrap()
}

/// A sender's key.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::new(&Secret::new([seed; 32]))
}

pub fn receiver(id: u64, target: Target, change: impl FnOnce(&mut ReceiverConfig)) -> Receiver {
    let mut config = ReceiverConfig::new(ReceiverId(id), id, target);
    change(&mut config);
    Receiver::new(config, Time::ZERO)
}

pub fn to_group() -> Target {
    Target::Group {
        group: group(),
        source: None,
    }
}

pub fn film(name: &str, length: u64) -> Description {
    Description::pretend(name, length, 1_344, 64).unwrap()
}

/// What receiver `id` says, with neither session nor cookie.
pub fn from_receiver(id: u64, counter: u64, body: ReceiverBody) -> FromReceiver {
    FromReceiver {
        channel: 0,
        session: SessionId(0),
        receiver: ReceiverId(id),
        counter,
        cookie: Cookie(0),
        echo: None,
        body,
    }
}

/// A packet of receiver `id`.
pub fn packet(
    id: u64,
    counter: u64,
    session: SessionId,
    cookie: Cookie,
    body: ReceiverBody,
) -> Vec<u8> {
    let mut out = Vec::new();
    FromReceiver {
        session,
        cookie,
        ..from_receiver(id, counter, body)
    }
    .encode(&mut out);
    out
}

/// What a sender sent: datagrams and headers of data packets.
#[derive(Debug, Default)]
pub struct Sent {
    pub control: Vec<(SocketAddr, Vec<u8>)>,
    pub data: Vec<(SocketAddr, DataHeader, usize)>,
}

/// Drains a sender; blocks are read at once.
pub fn drain(sender: &mut Sender, now: Time) -> Sent {
    let mut sent = Sent::default();
    let mut burst = Burst::default();
    loop {
        let mut more = false;
        while let Some(read) = sender.poll_read() {
            sender.handle_read(now, read.slot, Ok(()));
            more = true;
        }
        while sender.poll_transmit(now, &mut burst) {
            more = true;
            match burst.run {
                None => sent.control.push((burst.to, burst.control.clone())),
                Some(run) => {
                    let size = sender.description(run.object).unwrap();
                    let size = size.geometry.symbol_size();
                    let part = if run.part_len.is_some() { 4 } else { 0 };
                    burst.for_each_packet(size, |header, at| {
                        let len = wire::DATA_HEADER_LEN + part + at.len() + wire::TRAILER_LEN;
                        sent.data.push((burst.to, header, len));
                    });
                }
            }
        }
        if !more {
            sender.check_bounds().unwrap();
            return sent;
        }
    }
}

/// The cookie in an answer.
pub fn cookie(sent: &Sent) -> Option<Cookie> {
    sent.control.iter().find_map(|(_, d)| match wire::parse(d) {
        Ok(Packet::FromSender(p)) => match p.body {
            SenderBody::Challenge(c) => Some(c.cookie),
            _ => None,
        },
        _ => None,
    })
}

/// A request for everything, of which nothing is there yet.
pub fn request(stage: Stage) -> ReceiverBody {
    request_holding(stage, false)
}

/// A request for everything, by one that holds some of it or nothing.
pub fn request_holding(stage: Stage, holds: bool) -> ReceiverBody {
    ReceiverBody::Request(Request {
        wanted: Wanted::All { from: 0 },
        stage,
        holds,
        downlink: Rate::ZERO,
        cause: MoveCause::None,
        largest_heard: 0,
    })
}

/// Receiver `id` at `from` joins with its first two counters.
pub fn join(s: &mut Sender, now: Time, id: u64, from: SocketAddr, stage: Stage) -> Cookie {
    let session = s.config().session;
    s.handle_datagram(
        now,
        from,
        Link(1),
        &packet(id, 0, session, Cookie(0), request(stage)),
    );
    let given = cookie(&drain(s, now)).unwrap();
    s.handle_datagram(
        now,
        from,
        Link(1),
        &packet(id, 1, session, given, request(stage)),
    );
    given
}

/// Drains a receiver; its disk has done everything at once. Gives what it sent.
pub fn drain_receiver(receiver: &mut Receiver, now: Time) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut sent = Vec::new();
    let mut burst = Burst::default();
    loop {
        let mut more = false;
        while let Some(command) = receiver.poll_command() {
            more = true;
            match command {
                Command::Open { object, .. } => {
                    receiver.handle_opened(now, object, Ok(RangeSet::new()));
                }
                Command::Check { object, block } => {
                    receiver.handle_checked(now, object, block, Ok(()))
                }
                Command::Finish { object } => receiver.handle_finished(now, object, Ok(())),
                Command::Join(_) | Command::Leave(_) | Command::Abandon { .. } => {}
            }
        }
        while receiver.poll_transmit(now, &mut burst) {
            more = true;
            sent.push((burst.to, burst.control.clone()));
        }
        if !more {
            receiver.check_bounds().unwrap();
            return sent;
        }
    }
}

/// Engines on one network. Time goes in small steps.
#[derive(Default)]
pub struct Net {
    pub now: Time,
    pub senders: Vec<(SocketAddr, Sender)>,
    pub receivers: Vec<(SocketAddr, Receiver)>,
    pub sender_events: Vec<Vec<SenderEvent>>,
    pub events: Vec<Vec<ReceiverEvent>>,
    /// Whether a data packet from an address is lost on its way; none is when not set.
    pub loses: Option<fn(SocketAddr, &DataHeader) -> bool>,
}

impl Net {
    pub fn add_sender(&mut self, sender: Sender) -> SocketAddr {
        let address = host(self.senders.len() as u16 + 1);
        self.senders.push((address, sender));
        self.sender_events.push(Vec::new());
        address
    }

    pub fn add_receiver(&mut self, receiver: Receiver) {
        let address = host(self.receivers.len() as u16 + 1_000);
        self.receivers.push((address, receiver));
        self.events.push(Vec::new());
    }

    /// Runs for so many milliseconds.
    pub fn run(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while self.now < end {
            self.step();
            self.now += Duration::from_micros(200);
        }
    }

    fn step(&mut self) {
        let now = self.now;
        for at in 0..self.senders.len() {
            let (from, sender) = &mut self.senders[at];
            if sender.poll_timeout().is_some_and(|(due, _)| due <= now) {
                sender.handle_timeout(now);
            }
            let from = *from;
            let sent = drain(sender, now);
            while let Some(event) = sender.poll_event() {
                self.sender_events[at].push(event);
            }
            for (to, datagram) in sent.control {
                for (address, receiver) in &mut self.receivers {
                    if to == group() || to == *address {
                        let via = if to == group() {
                            Via::Group
                        } else {
                            Via::Unicast
                        };
                        receiver.handle_datagram(now, from, via, &datagram);
                    }
                }
            }
            for (to, header, len) in sent.data {
                if self.loses.is_some_and(|loses| loses(from, &header)) {
                    continue;
                }
                for (address, receiver) in &mut self.receivers {
                    if to == group() || to == *address {
                        let via = if to == group() {
                            Via::Group
                        } else {
                            Via::Unicast
                        };
                        receiver.handle_data(now, from, &header, via, len);
                    }
                }
            }
        }
        for at in 0..self.receivers.len() {
            let (from, receiver) = &mut self.receivers[at];
            if receiver.poll_timeout().is_some_and(|(due, _)| due <= now) {
                receiver.handle_timeout(now);
            }
            let from = *from;
            let sent = drain_receiver(receiver, now);
            while let Some(event) = receiver.poll_event() {
                self.events[at].push(event);
            }
            let requests = SocketAddr::new(group().ip(), group().port() + 1);
            for (to, datagram) in sent {
                for (address, sender) in &mut self.senders {
                    if to == *address || to == requests {
                        sender.handle_datagram(now, from, Link(1), &datagram);
                    }
                }
            }
        }
    }
}
