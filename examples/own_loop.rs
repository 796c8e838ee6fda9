//! The bare engines in loops of your own: one blocking socket each, nothing but memory behind them.
//!
//! A sender and a receiver in two threads of one process, over unicast on the loopback, so that it
//! runs anywhere. `cargo run --release --example own_loop`
//!
//! The rule of order: after each input drain every `poll_*`, then wait until `poll_timeout`.

#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use loopcast::carousel::Surplus;
use loopcast::engine::{
    Burst, Command, Link, ObjectKey, Receiver, ReceiverConfig, ReceiverEvent, Sender, SenderConfig,
    SenderEvent, Target, Verdict, Via,
};
use loopcast::fault::StoreFault;
use loopcast::ids::{BlockNo, Hash, ReceiverId, SessionId};
use loopcast::object::{
    BlockKind, Codec, Description, FileTable, Geometry, PageChecker, PageTree, SafeName, block_hash,
};
use loopcast::range_set::RangeSet;
use loopcast::seal::SigningKey;
use loopcast::secret::Secret;
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{self, Packet};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let content: Vec<u8> = (0..3_000_000u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let held = Held::new("numbers", content.clone())?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let sender = std::thread::spawn(move || send(&held, &socket));
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

/// An object in memory.
struct Held {
    description: Description,
    content: Vec<u8>,
    table: Vec<u8>,
    hashes: Vec<Hash>,
    pages: PageTree,
}

impl Held {
    fn new(name: &str, content: Vec<u8>) -> Result<Held, Failure> {
        let length = content.len() as u64;
        let table = FileTable::single(SafeName::offered(name)?, length, None, None).encode();
        let geometry = Geometry::new(length, 1_344, 128, 0, table.len() as u32)?;
        let blocks = geometry.first_content_block()..geometry.blocks();
        let hashes: Vec<Hash> = blocks
            .map(|b| block_hash(part_of(&content, &geometry, b)))
            .collect();
        let pages = PageTree::build(geometry, &hashes).ok_or("hashes and blocks differ")?;
        let description = Description {
            name: name.to_owned(),
            content: block_hash(&content),
            geometry,
            codec: Codec::None,
            table_hash: block_hash(&table),
            hash_root: pages.root(),
        };
        Ok(Held {
            description,
            content,
            table,
            hashes,
            pages,
        })
    }

    /// All symbols of a block, the last one filled up with zeros.
    fn block(&self, block: BlockNo) -> Vec<u8> {
        let geometry = &self.description.geometry;
        let size = usize::from(geometry.symbol_size());
        let mut bytes = match geometry.kind(block) {
            BlockKind::Table => self.table.clone(),
            BlockKind::Content { .. } => part_of(&self.content, geometry, block).to_vec(),
            BlockKind::Pages { first_page } => {
                let mut bytes = vec![0; usize::from(geometry.symbols(block)) * size];
                for (page, symbol) in (first_page..).zip(bytes.chunks_mut(size)) {
                    let first = page as usize * usize::from(geometry.hashes_per_page());
                    let end = self
                        .hashes
                        .len()
                        .min(first + usize::from(geometry.hashes_per_page()));
                    self.pages
                        .write_page(page, &self.hashes[first..end], symbol);
                }
                bytes
            }
        };
        bytes.resize(usize::from(geometry.symbols(block)) * size, 0);
        bytes
    }
}

fn part_of<'a>(content: &'a [u8], geometry: &Geometry, block: BlockNo) -> &'a [u8] {
    match geometry.kind(block) {
        BlockKind::Content { offset, len, .. } => {
            &content[offset as usize..offset as usize + len as usize]
        }
        _ => &[],
    }
}

fn send(held: &Held, socket: &UdpSocket) -> Result<(), Failure> {
    let start = Instant::now();
    let now = || Time::from_nanos(start.elapsed().as_nanos() as u64);
    // Identities, seeds and secrets should be random; an example need not be.
    let mut sender = Sender::new(
        SenderConfig {
            session: SessionId(42),
            seed: 1,
            secret: [7; 32],
            key: SigningKey::new(&Secret::new([8; 32])),
            sealed: false,
            groups: vec!["239.192.7.99:47999".parse()?],
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
        },
        now(),
    )?;
    let mut slots = vec![Vec::new(); 8];
    let mut burst = Burst::default();
    let mut packet = Vec::new();
    let mut buf = vec![0; 65_536];
    sender.offer(now(), held.description.clone())?;
    loop {
        while let Some(read) = sender.poll_read() {
            slots[usize::from(read.slot.0)] = held.block(read.block);
            sender.handle_read(now(), read.slot, Ok(()));
        }
        while sender.poll_transmit(now(), &mut burst) {
            let Some(run) = burst.run else {
                // What goes to the group may have no route here; nobody listens there anyway.
                let _ = socket.send_to(&burst.control, burst.to);
                continue;
            };
            burst.for_each_packet(held.description.geometry.symbol_size(), |header, range| {
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

/// An object that is coming in.
struct Coming {
    description: Description,
    checker: PageChecker,
    blocks: HashMap<BlockNo, Vec<u8>>,
    expected: HashMap<BlockNo, Hash>,
    /// Whole blocks whose hash is not known yet.
    waiting: Vec<BlockNo>,
}

impl Coming {
    fn new(description: Description) -> Coming {
        let checker = PageChecker::new(description.geometry, description.hash_root);
        let expected = HashMap::from([(0, description.table_hash)]);
        Coming {
            description,
            checker,
            blocks: HashMap::new(),
            expected,
            waiting: Vec::new(),
        }
    }

    /// Keeps a symbol; false when it is a page that proves nothing.
    fn store(&mut self, block: BlockNo, symbol: u16, payload: &[u8]) -> bool {
        let geometry = &self.description.geometry;
        if let Some(page) = self.checker.page_at(block, symbol) {
            let Ok(page) = self.checker.check(page, payload) else {
                return false;
            };
            let first = geometry.first_content_block();
            self.expected
                .extend(page.iter().map(|(index, hash)| (first + index, hash)));
            return true;
        }
        let bytes = usize::from(geometry.symbols(block)) * payload.len();
        let whole = self.blocks.entry(block).or_insert_with(|| vec![0; bytes]);
        let start = usize::from(symbol) * payload.len();
        whole[start..start + payload.len()].copy_from_slice(payload);
        true
    }

    /// The blocks that can be checked now, with what came out.
    fn check(&mut self) -> Vec<(BlockNo, Result<(), StoreFault>)> {
        let known: Vec<BlockNo> = self
            .waiting
            .extract_if(.., |b| self.expected.contains_key(b))
            .collect();
        let verdict = |block: BlockNo| {
            let len = match self.description.geometry.kind(block) {
                BlockKind::Content { len, .. } => len,
                _ => self.description.geometry.table_len(),
            };
            let right = block_hash(&self.blocks[&block][..len as usize]) == self.expected[&block];
            (
                block,
                if right {
                    Ok(())
                } else {
                    Err(StoreFault::mismatch())
                },
            )
        };
        known.into_iter().map(verdict).collect()
    }

    fn content(&self) -> Vec<u8> {
        let g = &self.description.geometry;
        let blocks = (g.first_content_block()..g.blocks()).filter_map(|b| self.blocks.get(&b));
        let mut content: Vec<u8> = blocks.flatten().copied().collect();
        content.truncate(g.length() as usize);
        content
    }
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
    let mut objects: HashMap<ObjectKey, Coming> = HashMap::new();
    let mut received = Vec::new();
    let mut burst = Burst::default();
    let mut buf = vec![0; 65_536];
    loop {
        while let Some(command) = receiver.poll_command() {
            match command {
                Command::Open {
                    object,
                    description,
                } => {
                    objects.insert(object, Coming::new(*description));
                    receiver.handle_opened(now(), object, Ok(RangeSet::new()));
                }
                Command::Check { object, block } => {
                    let Some(coming) = objects.get_mut(&object) else {
                        continue;
                    };
                    coming.waiting.push(block);
                }
                Command::Finish { object } => {
                    received = objects
                        .remove(&object)
                        .map(|o| o.content())
                        .unwrap_or_default();
                    receiver.handle_finished(now(), object, Ok(()));
                }
                // This receiver hears unicast only.
                Command::Join(_) | Command::Leave(_) | Command::Abandon { .. } => {}
            }
            for (&object, coming) in &mut objects {
                for (block, result) in coming.check() {
                    receiver.handle_checked(now(), object, block, result);
                }
            }
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
        let Some(coming) = objects.get_mut(&object) else {
            continue;
        };
        if !coming.store(header.block, header.symbol, payload) {
            receiver.handle_refused(now(), object, &header);
        }
        // A page may have told what waiting blocks should be.
        for (block, result) in coming.check() {
            receiver.handle_checked(now(), object, block, result);
        }
    }
}
