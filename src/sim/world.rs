//! Servers, receivers, network and virtual time.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use crate::carousel::Surplus;
use crate::config;
use crate::engine::{
    Burst, Edge, ObjectKey, Receiver, ReceiverConfig, ReceiverEvent, Sender, SenderError,
    SenderEvent, Target,
};
use crate::ids::ReceiverId;
use crate::object::Description;
use crate::range_set::RangeSet;
use crate::rate::Adapt;
use crate::rng::Rng;
use crate::sim::check::Checker;
use crate::sim::disk::Disk;
use crate::sim::event::{Event, Scheduled};
use crate::sim::host::{Caught, Host, Parts};
use crate::sim::link::Dice;
use crate::sim::server::Server;
use crate::sim::slow_disk::SlowDisk;
use crate::sim::{Content, Link};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::FromReceiver;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything random follows from it.
    pub seed: u64,
    /// The sender's rate.
    pub rate: Rate,
    /// The rates of its tiers, fastest first; one at the sender's rate when empty. Each needs a
    /// group.
    pub tiers: Vec<Rate>,
    /// The tiers are a ladder: a channel may use the room up to the next faster one.
    pub ladder: bool,
    /// Whose throughput the rates follow.
    pub adapt: Adapt,
    /// The least that a receiver must get.
    pub min_rate: Rate,
    /// How long a group still fills the link of a receiver that has left it.
    pub leave_time: Duration,
    /// Multicast groups; one loops everything.
    pub groups: u8,
    /// Packets go out in a group's envelopes: as long as that, and told by an engine that knows it.
    /// The bytes themselves stay plain.
    pub sealed: bool,
    /// NAKs go to a group that all hear.
    pub group_feedback: bool,
    /// Receivers that the sender knows one by one.
    pub roster: u32,
    /// Receivers before data starts.
    pub wait_for: u32,
    /// The sender serves on.
    pub stay: bool,
    /// No way back, and so many cycles.
    pub one_way: Option<NonZeroU32>,
    /// Parity that goes out without being asked for.
    pub surplus: Surplus,
    /// The loss of everything that a session without a way back spreads over several blocks.
    pub fade: Duration,
    /// Block buffers of the sender.
    pub slots: u16,
    /// How long a block takes to read.
    pub read_time: Duration,
    /// How long a block takes to check and write.
    pub write_time: Duration,
}

impl Config {
    /// A steady 100 Mbit/s on one group, feedback to the sender, data when the first receiver has
    /// asked.
    pub fn new(seed: u64) -> Config {
        Config {
            seed,
            rate: Rate::from_bps(config::DEFAULT_RATE_BPS),
            tiers: Vec::new(),
            ladder: false,
            adapt: Adapt::Fixed,
            min_rate: Rate::ZERO,
            leave_time: Duration::ZERO,
            groups: 1,
            sealed: false,
            group_feedback: false,
            roster: config::MAX_ROSTER,
            wait_for: 1,
            stay: false,
            one_way: None,
            surplus: Surplus::Reported,
            fade: config::FADE,
            slots: 24,
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
    /// From the receivers: bytes.
    pub receiver_bytes: u64,
    /// From the receivers: NAK packets.
    pub naks: u64,
    /// From the receivers: bytes of NAK packets.
    pub nak_bytes: u64,
}

/// Servers, receivers, and the network between them.
#[derive(Debug)]
pub struct World {
    pub(super) now: Time,
    pub(super) config: Config,
    /// The first is the one that tests name the sender.
    pub(super) servers: Vec<Server>,
    pub(super) hosts: Vec<Host>,
    pub(super) by_address: BTreeMap<SocketAddr, u32>,
    pub(super) queue: BinaryHeap<Scheduled>,
    next_event: u64,
    pub(super) rng: Rng,
    /// The bytes of all that was ever offered.
    pub(super) known: Vec<Content>,
    pub(super) shared: Vec<(Time, Time)>,
    pub(super) repairs_to_lose: u64,
    /// What the sender said last to all, if somebody listens in.
    pub(super) overheard: Option<VecDeque<Vec<u8>>>,
    pub(super) totals: Totals,
    digest: u64,
    /// Events in a row at one time.
    standing: u64,
    pub(super) burst: Burst,
    pub(super) checker: Option<Box<Checker>>,
}

/// So many events at one moment mean that an engine asks to be woken for what it does not do.
const STANDSTILL: u64 = 1_000_000;

const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 4_700);

impl World {
    /// A world with a sender and nobody else.
    pub fn new(config: Config) -> Result<World, SenderError> {
        let mut rng = Rng::new(config.seed);
        let groups = groups(&config, 0);
        let first = Server::new(&config, SENDER, groups, &mut rng, Time::ZERO)?;
        Ok(World {
            now: Time::ZERO,
            servers: vec![first],
            hosts: Vec::new(),
            by_address: BTreeMap::new(),
            queue: BinaryHeap::new(),
            next_event: 0,
            rng,
            known: Vec::new(),
            shared: Vec::new(),
            repairs_to_lose: 0,
            overheard: None,
            totals: Totals::default(),
            digest: 0,
            standing: 0,
            burst: Burst::default(),
            checker: None,
            config,
        })
    }

    /// Offers an object that has no bytes.
    pub fn offer(&mut self, description: Description) -> Result<ObjectKey, SenderError> {
        let key = self.servers[0].offer(self.now, description, None)?;
        self.drain_server(0);
        Ok(key)
    }

    /// Offers an object with real bytes: they are encoded, parsed, checked and compared.
    pub fn offer_content(&mut self, content: Content) -> Result<ObjectKey, SenderError> {
        self.offer_content_at(0, content)
    }

    /// One more server of the same publisher, with a rate and groups like those of the first: as
    /// many, and others. Gives its number.
    pub fn add_server(&mut self) -> Result<usize, SenderError> {
        let index = self.servers.len();
        let address = SocketAddr::from(([10, 0, 0, 1 + index as u8], 4_700));
        let groups = groups(&self.config, index as u8);
        let server = Server::new(&self.config, address, groups, &mut self.rng, self.now)?;
        self.servers.push(server);
        Ok(index)
    }

    /// A host that fetches and serves at once: a receiver that starts now and follows `server`, and
    /// a server of what that gets. Gives the numbers of both.
    pub fn add_edge(&mut self, server: usize, link: Link) -> Result<(usize, usize), SenderError> {
        let receiver = self.add_receiver_with(self.now, link, self.target(server), |_| {});
        let edge = self.add_server()?;
        let host = &mut self.hosts[receiver];
        host.serves = Some(edge as u32);
        let server = &mut self.servers[edge];
        let between = Edge::new(self.now, &mut host.receiver, &mut server.sender);
        server.edge = Some((receiver as u32, between));
        Ok((receiver, edge))
    }

    /// Where receivers look for a server: its first group.
    pub fn target(&self, server: usize) -> Target {
        Target::Group {
            group: self.servers[server].groups[0],
            source: None,
        }
    }

    /// Offers an object with real bytes at a server.
    pub fn offer_content_at(
        &mut self,
        server: usize,
        content: Content,
    ) -> Result<ObjectKey, SenderError> {
        let description = content.description().clone();
        let at = &mut self.servers[server];
        let key = at.offer(self.now, description, Some(content.clone()))?;
        self.known.push(content);
        self.drain_server(server as u32);
        Ok(key)
    }

    /// A receiver that has not started yet follows a server, beside the one that it looks for.
    pub fn follow(&mut self, receiver: usize, server: usize) {
        let target = Target::Host(self.servers[server].address);
        let host = &mut self.hosts[receiver];
        let taken = host.receiver.follow(self.now, target);
        debug_assert!(taken, "it follows too many");
    }

    /// A server dies without a word.
    pub fn kill_server(&mut self, server: usize) {
        self.servers[server].stop();
    }

    /// A receiver that starts at `start` and wants everything from the first group.
    pub fn add_receiver(&mut self, start: Time, link: Link) -> usize {
        let target = Target::Group {
            group: self.servers[0].groups[0],
            source: None,
        };
        self.add_receiver_with(start, link, target, |_| {})
    }

    /// The same, told to send nothing.
    pub fn add_one_way_receiver(&mut self, start: Time, link: Link) -> usize {
        let target = Target::Group {
            group: self.servers[0].groups[0],
            source: None,
        };
        self.add_receiver_with(start, link, target, |config| config.one_way = true)
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
        receiver_config.sealed = self.config.sealed;
        change(&mut receiver_config);
        let mut rng = self.rng.fork();
        let receiver = Receiver::new(receiver_config, start);
        self.hosts.push(Host {
            receiver,
            address,
            down: Dice::new(link.down, &mut rng),
            down_group: Dice::new(link.down_group, &mut rng),
            up: Dice::new(link.up, &mut rng),
            link,
            rng,
            joined: Vec::new(),
            left: Vec::new(),
            wake: Time::NEVER,
            free_at: Time::ZERO,
            disk: Disk::new(),
            parts: Parts::default(),
            caught: Caught::default(),
            caught_up: Caught::default(),
            started: false,
            killed: false,
            serves: None,
            outcome: Outcome::Running,
            events: Vec::new(),
        });
        self.by_address.insert(address, index);
        self.push(start, Event::Start(index));
        index as usize
    }

    /// The address that the sender answers at.
    pub fn sender_address(&self) -> SocketAddr {
        self.servers[0].address
    }

    /// Everything the sender sends to groups between these times is lost before it splits: a loss
    /// shared by all.
    pub fn lose_for_all(&mut self, from: Time, until: Time) {
        self.shared.push((from, until));
    }

    /// At `at` a datagram of somebody else reaches every receiver by the group, with the sender's
    /// address on it.
    pub fn forge(&mut self, at: Time, datagram: Vec<u8>) {
        self.forge_from(at, self.servers[0].address, datagram);
    }

    /// The same with any address on it.
    pub fn forge_from(&mut self, at: Time, from: SocketAddr, datagram: Vec<u8>) {
        let datagram = Arc::new(datagram);
        for host in 0..self.hosts.len() as u32 {
            self.push(at, Event::Foreign(host, from, Arc::clone(&datagram)));
        }
    }

    /// Somebody listens in on the groups from now on.
    pub fn overhear(&mut self) {
        self.overheard = Some(VecDeque::new());
    }

    /// The datagrams that were heard last, 64 at most; of data only what has real bytes.
    pub fn overheard(&self) -> &VecDeque<Vec<u8>> {
        const NOTHING: &VecDeque<Vec<u8>> = &VecDeque::new();
        self.overheard.as_ref().unwrap_or(NOTHING)
    }

    /// At `at` somebody who is not simulated says this to the sender, from an address that it has
    /// proved. What is sent to it is lost.
    pub fn say(&mut self, at: Time, from: SocketAddr, mut packet: FromReceiver) {
        let sender = &self.servers[0].sender;
        packet.session = sender.config().session;
        packet.cookie = sender.cookie(from, packet.receiver);
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        self.push(at, Event::Said(from, bytes));
    }

    /// The next so many repairs are lost before they split.
    pub fn lose_next_repairs(&mut self, packets: u64) {
        self.repairs_to_lose = packets;
    }

    /// A receiver dies without a word.
    pub fn kill(&mut self, receiver: usize) {
        self.hosts[receiver].killed = true;
    }

    /// A receiver dies without a word, and starts anew after `pause`, as another one that finds
    /// what is on its disk.
    pub fn restart_receiver(&mut self, receiver: usize, pause: Duration) -> usize {
        self.kill(receiver);
        let old = &mut self.hosts[receiver];
        let (link, config) = (old.link.clone(), old.receiver.config().clone());
        let disk = old.disk.next_run();
        let start = self.now + pause;
        let new = self.add_receiver_with(start, link, config.target, |c| {
            let (id, seed) = (c.id, c.seed);
            *c = ReceiverConfig { id, seed, ..config };
        });
        self.hosts[new].disk = disk;
        new
    }

    /// From now on a receiver's disk is full.
    pub fn fill_disk(&mut self, receiver: usize) {
        self.hosts[receiver].disk.full = true;
    }

    /// From now on a receiver's disk takes no more than this. 32 MiB may wait for it; symbols
    /// beyond that are refused.
    pub fn slow_disk(&mut self, receiver: usize, rate: Rate) {
        self.hosts[receiver].disk.slow = Some(SlowDisk::new(self.now, rate));
    }

    /// Symbols that a receiver's slow disk had no room for.
    pub fn stalled(&self, receiver: usize) -> u64 {
        let disk = self.hosts[receiver].disk.slow.as_ref();
        disk.map_or(0, |disk| disk.stalled)
    }

    /// From now on a receiver's disk damages this share of the symbols of tables and content.
    pub fn rot_bits(&mut self, receiver: usize, share: f64) {
        self.hosts[receiver].disk.bit_rot = share;
    }

    /// A receiver that has not started yet has these blocks of every object from an earlier run.
    /// For objects without bytes.
    pub fn keep_blocks(&mut self, receiver: usize, blocks: RangeSet) {
        self.hosts[receiver].disk.keep(blocks);
    }

    /// No path has faults any more but its delay, and no disk damages what it writes.
    pub fn calm(&mut self) {
        self.shared.clear();
        for host in 0..self.hosts.len() {
            let delay = self.hosts[host].link.delay;
            self.set_link(host, Link::clean(delay));
            self.hosts[host].disk.bit_rot = 0.0;
        }
    }

    /// The sender's process dies, and another starts after `pause` with what was on offer and a
    /// session of its own.
    pub fn restart_sender(&mut self, pause: Duration) {
        self.servers[0].stop();
        self.push(self.now + pause, Event::ServerStart(0));
    }

    /// Pauses the sender's process from now on, as on a machine that sleeps or is overloaded.
    ///
    /// Datagrams for the sender and blocks that were read wait in unlimited buffers. Timers that
    /// ran out during the pause run out at its end. A pause that starts within another can only
    /// extend it.
    pub fn pause_sender(&mut self, pause: Duration) {
        let end = self.now + pause;
        let server = &mut self.servers[0];
        if server.pauses_until.is_none_or(|until| until < end) {
            server.pauses_until = Some(end);
            self.push(end, Event::ServerResume(0));
        }
    }

    /// Announces further offers, or that the last has been made. Until then receivers of everything
    /// stay, even with all objects complete.
    pub fn set_preparing(&mut self, preparing: bool) {
        self.servers[0].sender.set_preparing(self.now, preparing);
        self.drain_server(0);
    }

    pub(super) fn start_server(&mut self, index: u32) {
        self.servers[index as usize].start(&self.config, &mut self.rng, self.now);
        self.drain_server(index);
    }

    /// From now on every step is checked against what must always hold: what a receiver holds is
    /// what it was given, complete objects have the right bytes, no engine asks again and again to
    /// be woken at one moment, the sender keeps its rate over every stretch of time, no packet
    /// number of a channel and no counter of a receiver is used twice, and queues keep to their
    /// caps. To be called before anything is offered.
    pub fn check_every_step(&mut self) {
        self.checker = Some(Box::new(Checker::new(self.config.rate)));
    }

    /// The sender finds that an object's file has changed.
    pub fn change_file(&mut self, object: ObjectKey) {
        let server = &mut self.servers[0];
        server.withdrawn.insert(object);
        let sender = &mut server.sender;
        sender.withdraw(self.now, object, "its file has changed");
        self.drain_server(0);
    }

    /// Changes a receiver's link from now on.
    pub fn set_link(&mut self, receiver: usize, link: Link) {
        let host = &mut self.hosts[receiver];
        host.down = Dice::new(link.down, &mut host.rng);
        host.down_group = Dice::new(link.down_group, &mut host.rng);
        host.up = Dice::new(link.up, &mut host.rng);
        host.link = link;
    }

    /// Changes a receiver's link at `at`.
    pub fn set_link_at(&mut self, at: Time, receiver: usize, link: Link) {
        self.push(at, Event::Link(receiver as u32, Box::new(link)));
    }

    /// Runs until everybody has ended, the sender included, or `deadline`; true if everybody has.
    ///
    /// # Panics
    /// If time stands still: an engine's deadline lies in the past and nothing comes of it. With
    /// [`check_every_step`](World::check_every_step), if a check fails.
    pub fn run(&mut self, deadline: Time) -> bool {
        self.run_while(deadline, |w| !w.has_ended())
    }

    /// Runs until `deadline`, or until `going` says no after some event; true if it said no.
    pub fn run_while(&mut self, deadline: Time, going: impl Fn(&World) -> bool) -> bool {
        for server in 0..self.servers.len() as u32 {
            self.drain_server(server);
        }
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
                self.servers[0].sender.poll_timeout()
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
        let server_ended = |s: &Server| !s.up || s.sender.is_finished();
        let servers_ended = self.config.stay || self.servers.iter().all(server_ended);
        servers_ended && self.hosts.iter().all(host_ended)
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Number of receivers that were added.
    pub fn receivers(&self) -> usize {
        self.hosts.len()
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

    /// The groups that a receiver listens to.
    pub fn groups_joined(&self, receiver: usize) -> &[IpAddr] {
        &self.hosts[receiver].joined
    }

    /// What a receiver has told, and when.
    pub fn receiver_events(&self, receiver: usize) -> &[(Time, ReceiverEvent)] {
        &self.hosts[receiver].events
    }

    /// The sender's engine.
    pub fn sender(&self) -> &Sender {
        &self.servers[0].sender
    }

    /// What the sender has told, and when.
    pub fn sender_events(&self) -> &[(Time, SenderEvent)] {
        &self.servers[0].events
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

    pub(super) fn push(&mut self, at: Time, event: Event) {
        let id = self.next_event;
        self.next_event += 1;
        self.queue.push(Scheduled { at, id, event });
    }

    pub(super) fn note(&mut self, what: u64, who: u64) {
        let mixed = self.digest ^ self.now.as_nanos().rotate_left(17) ^ (what << 56) ^ who;
        self.digest = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
}

/// The groups of a server.
fn groups(config: &Config, server: u8) -> Vec<SocketAddr> {
    let group = |i| SocketAddr::from(([239, 192, 7 + server, i], 4_700));
    (0..config.groups.max(1)).map(group).collect()
}
