//! The bare engines in loops of your own: one blocking socket each, nothing but memory behind them.
//!
//! A sender and a receiver in two threads of one process, over unicast on the loopback, so that it
//! runs anywhere. `cargo run --release --example own_loop`
//!
//! The rule of order: after each input drain every `poll_*`, then wait until `poll_timeout`.

#![allow(clippy::print_stdout)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use loopcast::carousel::Surplus;
use loopcast::engine::{
    Burst, Command, Link, Receiver, ReceiverConfig, ReceiverEvent, Sender, SenderConfig,
    SenderEvent, Target, Verdict, Via,
};
use loopcast::fault::StoreFault;
use loopcast::ids::{ReceiverId, SessionId};
use loopcast::object::{Codec, SafeName};
use loopcast::range_set::RangeSet;
use loopcast::seal::SigningKey;
use loopcast::secret::Secret;
use loopcast::store::{DEFAULT_POOL, Incoming, Memory, Store};
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{self, Packet};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let content: Vec<u8> = (0..3_000_000u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let name = SafeName::offered("numbers")?;
    let object = Memory::holding(&name, &content, 1_344, 128, Codec::None)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let sender = std::thread::spawn(move || send(&object, &socket));
    let received = receive(address)?;
    sender.join().map_err(|_| "the sender panicked")??;
    println!(
        "{} bytes came, {}",
        received.len(),
        if received == content {
            "all right"
        } else {
            "WRONG"
        }
    );
    Ok(())
}

/// Waits for a datagram until `at`, a millisecond at least and 100 at most.
fn wait(
    socket: &UdpSocket,
    now: Time,
    at: Option<Time>,
    buf: &mut [u8],
) -> io::Result<Option<(usize, SocketAddr)>> {
    let longest = Duration::from_millis(100);
    let wait = at.map_or(longest, |at| at.since(now).min(longest));
    socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
    match socket.recv_from(buf) {
        Ok(came) => Ok(Some(came)),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

// ---- The sending end ----

/// Identities, seeds and secrets should be random; an example need not be.
fn config() -> SenderConfig {
    SenderConfig {
        session: SessionId(42),
        seed: 1,
        secret: [7; 32],
        key: SigningKey::new(&Secret::new([8; 32])),
        sealed: false,
        groups: vec![([239, 192, 7, 99], 47_999).into()],
        source: None,
        group_feedback: false,
        rate: Rate::from_bps(400_000_000),
        tiers: Vec::new(),
        ladder: false,
        adapt: loopcast::rate::Adapt::Fixed,
        min_rate: loopcast::units::Rate::ZERO,
        roster: loopcast::config::MAX_ROSTER,
        wait_for: 1,
        stay: false,
        one_way: None,
        surplus: Surplus::None,
        fade: loopcast::config::FADE,
        slots: 8,
        elsewhere: Vec::new(),
    }
}

fn send(object: &dyn Store, socket: &UdpSocket) -> Result<(), Failure> {
    let start = Instant::now();
    let now = || Time::from_nanos(start.elapsed().as_nanos() as u64);
    let mut sender = Sender::new(config(), now())?;
    let mut slots = vec![Vec::new(); 8];
    let mut burst = Burst::default();
    let mut packet = Vec::new();
    let mut buf = vec![0; 65_536];
    let geometry = object.description().geometry;
    sender.offer(now(), object.description().clone())?;
    loop {
        while let Some(read) = sender.poll_read() {
            let slot = &mut slots[usize::from(read.slot.0)];
            let symbols = usize::from(geometry.symbols(read.block));
            slot.resize(symbols * usize::from(geometry.symbol_size()), 0);
            let result = object.read_block(read.block, slot);
            sender.handle_read(now(), read.slot, result.map(|_| ()));
        }
        while sender.poll_transmit(now(), &mut burst) {
            let Some(run) = burst.run else {
                // What goes to the group may have no route here; nobody listens there anyway.
                let _ = socket.send_to(&burst.control, burst.to);
                continue;
            };
            burst.for_each_packet(geometry.symbol_size(), |header, range| {
                packet.clear();
                wire::write_data(&header, &slots[usize::from(run.slot.0)][range], &mut packet);
                let _ = socket.send_to(&packet, burst.to);
            });
        }
        while let Some(event) = sender.poll_event() {
            println!("sender: {event:?}");
            if event == SenderEvent::Finished {
                return Ok(());
            }
        }
        let at = sender.poll_timeout().map(|(at, _)| at);
        match wait(socket, now(), at, &mut buf)? {
            Some((len, from)) => sender.handle_datagram(now(), from, Link::GROUP, &buf[..len]),
            None => sender.handle_timeout(now()),
        }
    }
}

// ---- The receiving end ----

/// Does what the receiver asks for; a finished object's bytes go to `received`.
fn carry_out(
    receiver: &mut Receiver,
    incoming: &mut Incoming,
    command: Command,
    now: Time,
    received: &mut Vec<u8>,
) -> Result<(), StoreFault> {
    match command {
        Command::Open {
            object,
            description,
        } => {
            incoming.open(object.0, Box::new(Memory::new(&description)));
            receiver.handle_opened(now, object, Ok(RangeSet::new()));
        }
        Command::Check { object, block } => {
            // None: the page that proves the block will tell.
            if let Some(result) = incoming.check(object.0, block) {
                receiver.handle_checked(now, object, block, result);
            }
        }
        Command::Finish { object } => {
            let result = incoming.finish(object.0);
            if let Some(store) = incoming.close(object.0) {
                received.resize(store.description().geometry.length() as usize, 0);
                store.read_at(0, received)?;
            }
            receiver.handle_finished(now, object, result);
        }
        // This receiver hears unicast only.
        Command::Join(_) | Command::Leave(_) | Command::Abandon { .. } => {}
    }
    Ok(())
}

fn receive(sender: SocketAddr) -> Result<Vec<u8>, Failure> {
    let start = Instant::now();
    let now = || Time::from_nanos(start.elapsed().as_nanos() as u64);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let config = ReceiverConfig {
        via: Some(Via::Unicast),
        ..ReceiverConfig::new(ReceiverId(9), 2, Target::Host(sender))
    };
    let mut receiver = Receiver::new(config, now());
    let mut incoming = Incoming::new(DEFAULT_POOL);
    let mut received = Vec::new();
    let mut burst = Burst::default();
    let mut buf = vec![0; 65_536];
    loop {
        while let Some(command) = receiver.poll_command() {
            carry_out(&mut receiver, &mut incoming, command, now(), &mut received)?;
        }
        while receiver.poll_transmit(now(), &mut burst) {
            socket.send_to(&burst.control, burst.to)?;
        }
        while let Some(event) = receiver.poll_event() {
            println!("receiver: {event:?}");
            match event {
                ReceiverEvent::Finished => return Ok(received),
                ReceiverEvent::GaveUp { reason, .. } => return Err(reason.into()),
                _ => {}
            }
        }
        let at = receiver.poll_timeout().map(|(at, _)| at);
        let Some((len, from)) = wait(&socket, now(), at, &mut buf)? else {
            receiver.handle_timeout(now());
            continue;
        };
        let verdict = receiver.handle_datagram(now(), from, Via::Unicast, &buf[..len]);
        let (Verdict::Store { object }, Ok(Packet::Data(header, payload))) =
            (verdict, wire::parse(&buf[..len]))
        else {
            continue;
        };
        let settled = incoming.put(object.0, header.block, header.symbol, payload)?;
        if settled.refused {
            receiver.handle_refused(now(), object, &header);
        }
        for block in settled.verified {
            receiver.handle_checked(now(), object, block, Ok(()));
        }
        for block in settled.bad {
            receiver.handle_checked(now(), object, block, Err(StoreFault::mismatch()));
        }
    }
}
