//! Sender, receivers, network and virtual time.

use core::cmp::Ordering;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::config;
use crate::engine::{
    Burst, Command, Link as Socket, ObjectKey, PacketKind, ReceiverConfig, ReceiverEvent, Sender,
    SenderConfig, SenderError, SenderEvent, Slot, StoreFault, Target, Verdict, Via,
};
use crate::engine::{ReadFault, Receiver};
use crate::ids::{BlockNo, ReceiverId, SessionId};
use crate::object::Description;
use crate::range_set::RangeSet;
use crate::rng::Rng;
use crate::sim::content::Written;
use crate::sim::link::Dice;
use crate::sim::{Content, Link};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{self, DataHeader};

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything random follows from it.
    pub seed: u64,
    /// The sender's rate.
    pub rate: Rate,
    /// Multicast groups; one loops everything.
    pub groups: u8,
    /// NAKs go to a group that all hear.
    pub group_feedback: bool,
    /// Receivers before data starts.
    pub wait_for: u32,
    /// The sender serves on.
    pub stay: bool,
    /// How long a block takes to read.
    pub read_time: Duration,
    /// How long a block takes to check and write.
    pub write_time: Duration,
}

impl Config {
    /// 100 Mbit/s on one group, feedback to the sender, data when the first receiver has asked.
    pub fn new(seed: u64) -> Config {
        Config {
            seed,
            rate: Rate::from_bps(config::DEFAULT_RATE_BPS),
            groups: 1,
            group_feedback: false,
            wait_for: 1,
            stay: false,
            read_time: Duration::from_micros(500),
            write_time: Duration::from_millis(1),
        }
    }
}

/// How a receiver ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Still at it.
    Running,
    /// It has everything, and left.
    Complete(Time),
    /// It gave up or lost something.
    Failed(Time),
}

/// What went over the network, in packets and bytes with all headers of IP and UDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// From the sender: packets.
    pub sender_packets: u64,
    /// From the sender: bytes.
    pub sender_bytes: u64,
    /// From the sender: data packets, repairs and unicast included.
    pub data_packets: u64,
    /// From the receivers: packets.
    pub receiver_packets: u64,
    /// From the receivers: NAK packets.
    pub naks: u64,
    /// From the receivers: bytes of NAK packets.
    pub nak_bytes: u64,
}

#[derive(Debug)]
struct Host {
    receiver: Receiver,
    address: SocketAddr,
    link: Link,
    down: Dice,
    up: Dice,
    rng: Rng,
    /// When the receiver is next woken; events for other times are stale.
    wake: Time,
    /// When its downlink is free again.
    free_at: Time,
    written: BTreeMap<ObjectKey, Written>,
    /// It writes nothing any more: its disk is full.
    disk_full: bool,
    killed: bool,
    outcome: Outcome,
    events: Vec<(Time, ReceiverEvent)>,
}

#[derive(Debug)]
enum Event {
    SenderWake,
    Wake(u32),
    Start(u32),
    /// Packets for a receiver.
    Down(u32, Arc<Packets>, Via),
    /// One of the packets.
    DownOne(u32, Arc<Packets>, u16, Via),
    /// A datagram for the sender.
    Up(u32, Arc<Vec<u8>>),
    Read(Slot, ObjectKey, BlockNo),
    Checked(u32, ObjectKey, BlockNo),
    Finished(u32, ObjectKey),
}

/// An event in its turn: by time, then in the order of making.
#[derive(Debug)]
struct Scheduled {
    at: Time,
    id: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.id == other.id
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest, as a heap gives the greatest first.
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (other.at, other.id).cmp(&(self.at, self.id))
    }
}

/// What the sender sent at once.
#[derive(Debug)]
enum Packets {
    Control(Vec<u8>),
    Data {
        headers: Vec<DataHeader>,
        len: usize,
        bytes: Option<Vec<Vec<u8>>>,
    },
}

impl Packets {
    fn count(&self) -> usize {
        match self {
            Packets::Control(_) => 1,
            Packets::Data { headers, .. } => headers.len(),
        }
    }

    fn payload(&self) -> usize {
        match self {
            Packets::Control(bytes) => bytes.len(),
            Packets::Data { len, .. } => *len,
        }
    }
}

/// One sender, its receivers, and the network between them.
#[derive(Debug)]
pub struct World {
    now: Time,
    config: Config,
    sender: Sender,
    sender_wake: Time,
    sender_events: Vec<(Time, SenderEvent)>,
    sender_address: SocketAddr,
    groups: Vec<SocketAddr>,
    hosts: Vec<Host>,
    by_address: BTreeMap<SocketAddr, u32>,
    queue: BinaryHeap<Scheduled>,
    next_event: u64,
    rng: Rng,
    contents: Vec<Option<Content>>,
    slots: BTreeMap<Slot, Vec<u8>>,
    shared: Vec<(Time, Time)>,
    repairs_to_lose: u64,
    totals: Totals,
    digest: u64,
    /// Events in a row at one time.
    standing: u64,
    burst: Burst,
}

/// So many events at one moment mean that an engine asks to be woken for what it does not do.
const STANDSTILL: u64 = 1_000_000;

const SENDER: SocketAddr =
    SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 4_700);

impl World {
    /// A world with a sender and nobody else.
    pub fn new(config: Config) -> Result<World, SenderError> {
        let mut rng = Rng::new(config.seed);
        let groups: Vec<SocketAddr> = (0..config.groups.max(1))
            .map(|i| SocketAddr::from(([239, 192, 7, i], 4_700)))
            .collect();
        let sender = Sender::new(
            SenderConfig {
                session: SessionId(rng.next_u64() | 1),
                seed: rng.next_u64(),
                secret: [7; 32],
                groups: groups.clone(),
                source: None,
                group_feedback: config.group_feedback,
                rate: config.rate,
                wait_for: config.wait_for,
                stay: config.stay,
                slots: 24,
                elsewhere: Vec::new(),
            },
            Time::ZERO,
        )?;
        Ok(World {
            now: Time::ZERO,
            sender,
            sender_wake: Time::NEVER,
            sender_events: Vec::new(),
            sender_address: SENDER,
            groups,
            hosts: Vec::new(),
            by_address: BTreeMap::new(),
            queue: BinaryHeap::new(),
            next_event: 0,
            rng,
            contents: Vec::new(),
            slots: BTreeMap::new(),
            shared: Vec::new(),
            repairs_to_lose: 0,
            totals: Totals::default(),
            digest: 0,
            standing: 0,
            burst: Burst::default(),
            config,
        })
    }

    /// Offers an object that has no bytes.
    pub fn offer(&mut self, description: Description) -> Result<ObjectKey, SenderError> {
        let key = self.sender.offer(self.now, description)?;
        self.contents.push(None);
        self.drain_sender();
        Ok(key)
    }

    /// Offers an object with real bytes: they are encoded, parsed, checked and compared.
    pub fn offer_content(&mut self, content: Content) -> Result<ObjectKey, SenderError> {
        let key = self.sender.offer(self.now, content.description().clone())?;
        self.contents.push(Some(content));
        self.drain_sender();
        Ok(key)
    }

    /// A receiver that starts at `start` and wants everything from the first group.
    pub fn add_receiver(&mut self, start: Time, link: Link) -> usize {
        let target = Target::Group {
            group: self.groups[0],
            source: None,
        };
        self.add_receiver_with(start, link, target, |_| {})
    }

    /// A receiver whose configuration `change` may change.
    pub fn add_receiver_with(
        &mut self,
        start: Time,
        link: Link,
        target: Target,
        change: impl FnOnce(&mut ReceiverConfig),
    ) -> usize {
        let index = self.hosts.len() as u32;
        let [a, b] = [(index >> 8) as u8, index as u8];
        let address = SocketAddr::from(([10, 1 + (index >> 16) as u8, a, b], 40_000));
        let id = ReceiverId(self.rng.next_u64() | 1);
        let mut receiver_config = ReceiverConfig::new(id, self.rng.next_u64(), target);
        change(&mut receiver_config);
        let mut rng = self.rng.fork();
        let receiver = Receiver::new(receiver_config, start);
        self.hosts.push(Host {
            receiver,
            address,
            down: Dice::new(link.down, &mut rng),
            up: Dice::new(link.up, &mut rng),
            link,
            rng,
            wake: Time::NEVER,
            free_at: Time::ZERO,
            written: BTreeMap::new(),
            disk_full: false,
            killed: false,
            outcome: Outcome::Running,
            events: Vec::new(),
        });
        self.by_address.insert(address, index);
        self.push(start, Event::Start(index));
        index as usize
    }

    /// The address that the sender answers at.
    pub fn sender_address(&self) -> SocketAddr {
        self.sender_address
    }

    /// Everything the sender sends to groups between these times is lost before it splits: a loss
    /// shared by all.
    pub fn lose_for_all(&mut self, from: Time, until: Time) {
        self.shared.push((from, until));
    }

    /// The next so many repairs are lost before they split.
    pub fn lose_next_repairs(&mut self, packets: u64) {
        self.repairs_to_lose = packets;
    }

    /// A receiver dies without a word.
    pub fn kill(&mut self, receiver: usize) {
        self.hosts[receiver].killed = true;
    }

    /// From now on a receiver's disk is full.
    pub fn fill_disk(&mut self, receiver: usize) {
        self.hosts[receiver].disk_full = true;
    }

    /// The sender finds that an object's file has changed.
    pub fn change_file(&mut self, object: ObjectKey) {
        self.sender
            .withdraw(self.now, object, "its file has changed");
        self.drain_sender();
    }

    /// Changes a receiver's link from now on.
    pub fn set_link(&mut self, receiver: usize, link: Link) {
        let host = &mut self.hosts[receiver];
        host.down = Dice::new(link.down, &mut host.rng);
        host.up = Dice::new(link.up, &mut host.rng);
        host.link = link;
    }

    /// Runs until everybody has ended, the sender included, or `deadline`; true if everybody has.
    ///
    /// # Panics
    /// If time stands still: an engine's deadline lies in the past and nothing comes of it.
    pub fn run(&mut self, deadline: Time) -> bool {
        self.run_while(deadline, |w| !w.has_ended())
    }

    /// Runs until `deadline`, or until `going` says no after some event; true if it said no.
    pub fn run_while(&mut self, deadline: Time, going: impl Fn(&World) -> bool) -> bool {
        self.drain_sender();
        let mut count = 0u32;
        while self.queue.peek().is_some_and(|next| next.at <= deadline)
            && let Some(next) = self.queue.pop()
        {
            self.standing = if next.at == self.now {
                self.standing + 1
            } else {
                0
            };
            assert!(
                self.standing < STANDSTILL,
                "time stands still at {:?}: {:?} wants {:?}",
                self.now,
                next.event,
                self.sender.poll_timeout()
            );
            self.now = next.at;
            self.handle(next.event);
            count = count.wrapping_add(1);
            // Asking is not free; once in a few events is often enough.
            if count.is_multiple_of(16) && !going(self) {
                return true;
            }
        }
        if !going(self) {
            return true;
        }
        self.now = deadline;
        false
    }

    fn has_ended(&self) -> bool {
        let host_ended = |h: &Host| h.killed || h.outcome != Outcome::Running;
        (self.sender.is_finished() || self.config.stay) && self.hosts.iter().all(host_ended)
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How a receiver ended.
    pub fn outcome(&self, receiver: usize) -> Outcome {
        self.hosts[receiver].outcome
    }

    /// How many receivers have everything.
    pub fn complete(&self) -> usize {
        self.hosts
            .iter()
            .filter(|h| matches!(h.outcome, Outcome::Complete(_)))
            .count()
    }

    /// A receiver's engine.
    pub fn receiver(&self, receiver: usize) -> &Receiver {
        &self.hosts[receiver].receiver
    }

    /// What a receiver has told, and when.
    pub fn receiver_events(&self, receiver: usize) -> &[(Time, ReceiverEvent)] {
        &self.hosts[receiver].events
    }

    /// The sender's engine.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// What the sender has told, and when.
    pub fn sender_events(&self) -> &[(Time, SenderEvent)] {
        &self.sender_events
    }

    /// Blocks that the sender has passed and that receivers still lack something of, over all
    /// receivers.
    pub fn lacking_passed(&self) -> usize {
        self.hosts.iter().map(|h| h.receiver.blocks_waiting()).sum()
    }

    /// What went over the network so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// A number that depends on every event so far and its time: two runs with the same digest
    /// were the same.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    fn push(&mut self, at: Time, event: Event) {
        let id = self.next_event;
        self.next_event += 1;
        self.queue.push(Scheduled { at, id, event });
    }

    fn note(&mut self, what: u64, who: u64) {
        let mixed = self.digest ^ self.now.as_nanos().rotate_left(17) ^ (what << 56) ^ who;
        self.digest = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::SenderWake => {
                if self.sender_wake == self.now {
                    self.sender_wake = Time::NEVER;
                    self.note(1, 0);
                    self.sender.handle_timeout(self.now);
                    self.drain_sender();
                }
            }
            Event::Start(host) => self.drain_host(host),
            Event::Wake(host) => {
                if self.hosts[host as usize].wake == self.now && !self.hosts[host as usize].killed {
                    self.hosts[host as usize].wake = Time::NEVER;
                    self.note(2, u64::from(host));
                    self.hosts[host as usize].receiver.handle_timeout(self.now);
                    self.drain_host(host);
                }
            }
            Event::Down(host, packets, via) => {
                for i in 0..packets.count() {
                    self.deliver(host, &packets, i, via);
                }
                self.drain_host(host);
            }
            Event::DownOne(host, packets, i, via) => {
                self.deliver(host, &packets, usize::from(i), via);
                self.drain_host(host);
            }
            Event::Up(host, bytes) => {
                self.note(4, u64::from(host));
                let from = self.hosts[host as usize].address;
                self.sender
                    .handle_datagram(self.now, from, Socket(1), &bytes);
                self.drain_sender();
            }
            Event::Read(slot, object, block) => {
                if let Some(Some(content)) = self.contents.get(object.0 as usize) {
                    self.slots.insert(slot, content.block(block));
                }
                self.sender
                    .handle_read(self.now, slot, Ok::<(), ReadFault>(()));
                self.drain_sender();
            }
            Event::Checked(host, object, block) => {
                let entry = &self.hosts[host as usize];
                let right = match (entry.written.get(&object), self.content_of(host, object)) {
                    (Some(written), Some(content)) => written.is_right(block, content),
                    _ => true,
                };
                let entry = &mut self.hosts[host as usize];
                let result = match (entry.disk_full, right) {
                    (true, _) => Err(StoreFault::Io("no space left on the disk".to_owned())),
                    (_, false) => Err(StoreFault::Mismatch),
                    _ => Ok(()),
                };
                entry
                    .receiver
                    .handle_checked(self.now, object, block, result);
                self.drain_host(host);
            }
            Event::Finished(host, object) => {
                self.hosts[host as usize]
                    .receiver
                    .handle_finished(self.now, object, Ok(()));
                self.drain_host(host);
            }
        }
    }

    /// The content that a receiver's object is, by its coding.
    fn content_of(&self, host: u32, object: ObjectKey) -> Option<&Content> {
        let coding = self.hosts[host as usize].receiver.coding(object)?;
        self.contents
            .iter()
            .flatten()
            .find(|c| c.description().coding().short() == coding)
    }

    fn deliver(&mut self, index: u32, packets: &Packets, i: usize, via: Via) {
        let host = &mut self.hosts[index as usize];
        if host.killed
            || host.link.is_cut(self.now, via == Via::Group)
            || packets.payload() > host.link.mtu_payload
        {
            return;
        }
        if host.down.loses(&mut host.rng) {
            return;
        }
        match packets {
            Packets::Control(bytes) => {
                host.receiver
                    .handle_datagram(self.now, self.sender_address, via, bytes);
                self.note(3, u64::from(index));
            }
            Packets::Data {
                headers,
                len,
                bytes,
            } => {
                let header = &headers[i];
                let verdict = host.receiver.handle_data(self.now, header, via, *len);
                let (Verdict::Store { object } | Verdict::Part { object }) = verdict else {
                    return;
                };
                let Some(packet) = bytes.as_ref().map(|b| &b[i]) else {
                    return;
                };
                // Real bytes go the whole way through the wire format.
                let Ok(wire::Packet::Data(_, payload)) = wire::parse(packet) else {
                    debug_assert!(false, "a packet of ours does not parse");
                    return;
                };
                let put = |w: &mut Written| w.put(header.block, header.symbol, payload);
                if host.written.get_mut(&object).is_some_and(|w| !put(w)) {
                    host.receiver.handle_refused(self.now, object, header);
                }
            }
        }
    }

    fn drain_sender(&mut self) {
        loop {
            let mut more = false;
            while let Some(read) = self.sender.poll_read() {
                more = true;
                let at = self.now + self.config.read_time;
                self.push(at, Event::Read(read.slot, read.object, read.block));
            }
            let mut burst = core::mem::take(&mut self.burst);
            while self.sender.poll_transmit(self.now, &mut burst) {
                more = true;
                self.transmit(&mut burst);
            }
            self.burst = burst;
            while let Some(event) = self.sender.poll_event() {
                self.sender_events.push((self.now, event));
            }
            if !more {
                break;
            }
        }
        if let Some((at, _)) = self.sender.poll_timeout() {
            let at = at.max(self.now);
            if at < self.sender_wake {
                self.sender_wake = at;
                self.push(at, Event::SenderWake);
            }
        }
    }

    fn transmit(&mut self, burst: &mut Burst) {
        let packets = match burst.run {
            None => Packets::Control(core::mem::take(&mut burst.control)),
            Some(run) => {
                let size = self.symbol_size(run.object);
                let slot = self
                    .slots
                    .get(&run.slot)
                    .filter(|_| self.contents[run.object.0 as usize].is_some());
                let mut headers = Vec::new();
                let mut bytes = slot.map(|_| Vec::new());
                burst.for_each_packet(size, |header, at| {
                    headers.push(header);
                    if let (Some(bytes), Some(slot)) = (&mut bytes, slot) {
                        let mut packet = Vec::new();
                        wire::write_data(&header, &slot[at], &mut packet);
                        bytes.push(packet);
                    }
                });
                let len = match run.part_len {
                    Some(len) => usize::from(len) + wire::PART_HEADER_LEN + wire::TRAILER_LEN,
                    None => wire::data_packet_len(size),
                };
                Packets::Data {
                    headers,
                    len,
                    bytes,
                }
            }
        };
        let count = packets.count() as u64;
        self.totals.sender_packets += count;
        self.totals.sender_bytes += count * (packets.payload() as u64 + 28);
        if matches!(packets, Packets::Data { .. }) {
            self.totals.data_packets += count;
        }
        let packets = Arc::new(packets);
        if let Some(&host) = self.by_address.get(&burst.to) {
            return self.send_down(host, &packets, Via::Unicast);
        }
        if burst.kind == PacketKind::Repair && self.repairs_to_lose > 0 {
            self.repairs_to_lose = self.repairs_to_lose.saturating_sub(count);
            return;
        }
        let lost = |&(from, until): &(Time, Time)| from <= self.now && self.now < until;
        if self.shared.iter().any(lost) || !self.groups.contains(&burst.to) {
            return;
        }
        for host in 0..self.hosts.len() as u32 {
            self.send_down(host, &packets, Via::Group);
        }
    }

    fn symbol_size(&self, object: ObjectKey) -> u16 {
        self.sender
            .description(object)
            .map_or(config::DEFAULT_SYMBOL_SIZE, |d| d.geometry.symbol_size())
    }

    fn send_down(&mut self, index: u32, packets: &Arc<Packets>, via: Via) {
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        if host.outcome != Outcome::Running || host.killed {
            return;
        }
        if host.link.is_plain() {
            let at = now + host.link.delay;
            return self.push(at, Event::Down(index, Arc::clone(packets), via));
        }
        for i in 0..packets.count() {
            let host = &mut self.hosts[index as usize];
            let mut leaves = now;
            if let Some((rate, queue)) = host.link.rate {
                let bytes = packets.payload() as u64 + 28;
                let waiting = rate.bytes_in(host.free_at.since(now));
                if waiting + bytes > queue {
                    continue;
                }
                host.free_at = host.free_at.max(now) + rate.time_for(bytes);
                leaves = host.free_at;
            }
            let twice = host.rng.chance(host.link.duplicate);
            for _ in 0..1 + u8::from(twice) {
                let host = &mut self.hosts[index as usize];
                let at = leaves + host.link.delay + host.rng.duration(host.link.jitter);
                self.push(
                    at,
                    Event::DownOne(index, Arc::clone(packets), i as u16, via),
                );
            }
        }
    }

    fn drain_host(&mut self, index: u32) {
        if self.hosts[index as usize].killed {
            return;
        }
        loop {
            let mut more = false;
            while let Some(command) = self.hosts[index as usize].receiver.poll_command() {
                more = true;
                self.carry_out(index, command);
            }
            let mut burst = core::mem::take(&mut self.burst);
            while self.hosts[index as usize]
                .receiver
                .poll_transmit(self.now, &mut burst)
            {
                more = true;
                let bytes = core::mem::take(&mut burst.control);
                self.send_up(index, burst.to, burst.kind, bytes);
            }
            self.burst = burst;
            if !more {
                break;
            }
        }
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        while let Some(event) = host.receiver.poll_event() {
            let failed = host
                .events
                .iter()
                .any(|(_, e)| matches!(e, ReceiverEvent::Failed { .. }));
            match event {
                ReceiverEvent::Finished if !failed => host.outcome = Outcome::Complete(now),
                ReceiverEvent::Finished | ReceiverEvent::GaveUp { .. } => {
                    host.outcome = Outcome::Failed(now)
                }
                _ => {}
            }
            host.events.push((now, event));
        }
        if let Some((at, _)) = host.receiver.poll_timeout() {
            let at = at.max(now);
            if at < host.wake {
                host.wake = at;
                self.push(at, Event::Wake(index));
            }
        }
    }

    fn carry_out(&mut self, index: u32, command: Command) {
        match command {
            Command::Open {
                object,
                description,
            } => {
                let real = self
                    .contents
                    .iter()
                    .flatten()
                    .any(|c| *c.description() == *description);
                let host = &mut self.hosts[index as usize];
                if real {
                    host.written.insert(object, Written::new(&description));
                }
                host.receiver
                    .handle_opened(self.now, object, Ok(RangeSet::new()));
            }
            Command::Check { object, block } => {
                let at = self.now + self.config.write_time;
                self.push(at, Event::Checked(index, object, block));
            }
            Command::Finish { object } => {
                let at = self.now + self.config.write_time;
                self.push(at, Event::Finished(index, object));
            }
            Command::Join(_) | Command::Leave(_) | Command::Abandon { .. } => {}
        }
    }

    fn send_up(&mut self, index: u32, to: SocketAddr, kind: PacketKind, bytes: Vec<u8>) {
        self.note(5, u64::from(index));
        self.totals.receiver_packets += 1;
        if kind == PacketKind::Nak {
            self.totals.naks += 1;
            self.totals.nak_bytes += bytes.len() as u64 + 28;
        }
        let now = self.now;
        let host = &mut self.hosts[index as usize];
        if host.link.is_cut(now, to.ip().is_multicast()) || host.up.loses(&mut host.rng) {
            return;
        }
        let at = now + host.link.delay + host.rng.duration(host.link.jitter);
        let bytes = Arc::new(bytes);
        if to == self.sender_address {
            return self.push(at, Event::Up(index, bytes));
        }
        let feedback = |g: &SocketAddr| g.ip() == to.ip() && g.port() + 1 == to.port();
        if !self.groups.iter().any(feedback) {
            return;
        }
        self.push(at, Event::Up(index, Arc::clone(&bytes)));
        if self.config.group_feedback {
            let packets = Arc::new(Packets::Control(bytes.to_vec()));
            let delay = self.hosts[index as usize].link.delay;
            for other in 0..self.hosts.len() as u32 {
                if other != index {
                    // A star: each delay is that to the centre and out again to the sender.
                    let at = now + (delay + self.hosts[other as usize].link.delay) / 2;
                    self.push(at, Event::Down(other, Arc::clone(&packets), Via::Group));
                }
            }
        }
    }
}
