//! The sending end of a session.
//!
//! * this file: what it holds, its objects, and what time does;
//! * [`requests`]: what receivers say; [`joining`]: who joins and who is done, [`repairs`]: what is lacked;
//! * [`crowd`]: who is not listed;
//! * [`listeners`]: who listens;
//! * [`course`]: what each carousel does next;
//! * [`tell`]: SYNC, offers and acknowledgements;
//! * [`transmit`], [`confirm`]: what leaves next, [`rates`]: how fast;
//! * [`limits`]: what one receiver may cost the others;
//! * [`one_way`]: what is different where there is no way back;
//! * [`offered`], [`carousel`], [`roster`], [`unicast`], [`slots`], [`outbox`]: its parts.

mod bounds;
mod carousel;
mod confirm;
mod course;
mod crowd;
mod joining;
mod limits;
mod listeners;
mod losses;
mod offered;
mod one_way;
mod outbox;
mod rates;
mod reading;
mod repairs;
mod requests;
mod roster;
mod slots;
mod tell;
mod transmit;
mod unicast;

pub use rates::ChannelFigures;

use core::cell::Cell;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thiserror::Error;

use crate::carousel::{SentLog, Surplus};
use crate::config;
use crate::engine::ip_len;
use crate::engine::output::earliest;
use crate::engine::sender::carousel::Carousel;
use crate::engine::sender::crowd::Crowd;
use crate::engine::sender::offered::Offered;
use crate::engine::sender::outbox::Outbox;
use crate::engine::sender::rates::Tier;
use crate::engine::sender::roster::Roster;
use crate::engine::sender::slots::{Slots, WantedBlock};
use crate::engine::sender::unicast::UnicastPath;
use crate::engine::{
    DropReason, Link, ObjectKey, PacketKind, SenderEvent, SenderStats, Slot, Timer,
};
use crate::fault::StoreFault;
use crate::ids::{ChannelNo, PacketNo, ReceiverId, SessionId, ShortCodingId};
use crate::object::Description;
use crate::rate::{Adapt, Allowance, Grtt, LOOK, Lending, Pacer};
use crate::seal::SigningKey;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{self, FromSender, Heard, MoveCause, Notice, NoticeCode, Outcome, SenderBody};

/// What a sender is told at its start.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The session's identity, from 64 random bits.
    pub session: SessionId,
    /// Seeds timers and samples.
    pub seed: u64,
    /// Makes cookies; from 32 random bytes that nobody else knows.
    pub secret: [u8; 32],
    /// Signs what it describes.
    pub key: SigningKey,
    /// All that it sends goes out in a group's envelopes, which its rate is to have room for.
    pub sealed: bool,
    /// The groups it may use, at least one. The first carries announcements; with no more groups than
    /// tiers, data too.
    pub groups: Vec<SocketAddr>,
    /// The only source receivers shall take groups' packets from (SSM).
    pub source: Option<IpAddr>,
    /// NAKs go to `GROUP:PORT+1`, where all hear them, rather than to the sender alone.
    pub group_feedback: bool,
    /// The most it sends, counted in IP bytes, over everything.
    pub rate: Rate,
    /// The rates of its tiers, fastest first, at most [`MAX_CHANNELS`](wire::MAX_CHANNELS); one tier
    /// at `rate` when empty.
    pub tiers: Vec<Rate>,
    /// A tier's channel may use the room up to the next faster tier; otherwise it keeps to its rate.
    pub ladder: bool,
    /// Whose throughput a channel's rate follows.
    pub adapt: Adapt,
    /// The least that a receiver must get, in IP bytes: one that stays below it for longer than it takes to find
    /// a slower tier is told to use unicast, or to leave where that would be slower still. Zero: any rate will do.
    pub min_rate: Rate,
    /// Receivers known one by one, at most. Those beyond are served on groups all the same, but by number only, and not by
    /// unicast.
    pub roster: u32,
    /// Receivers that must have asked before data starts; 0 and 1 start with the first.
    pub wait_for: u32,
    /// Serve on when all are done.
    pub stay: bool,
    /// The session has no way back: receivers send nothing and nothing is taken from them. Data starts
    /// with the first offer, and each object goes out in so many cycles; with [`stay`](Self::stay), in
    /// cycles without end. `wait_for` does not count.
    pub one_way: Option<NonZeroU32>,
    /// Parity that goes out with each block without being asked for. [`Surplus::Reported`] follows
    /// the receivers' reports, channel by channel.
    pub surplus: Surplus,
    /// The longest loss of everything that is to take only part of the surplus of each block, which then
    /// go out several in turn; zero: one by one. For sessions without a way back: otherwise it follows
    /// what receivers report.
    pub fade: Duration,
    /// Buffers for blocks that the driver has, 2 to 4,096.
    pub slots: u16,
    /// Senders to name to those who ask for what this one lacks.
    pub elsewhere: Vec<SocketAddr>,
}

/// Why a sender can't start or take an object.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SenderError {
    /// No group was given.
    #[error("no multicast group to send to")]
    NoGroup,
    /// An address that is no multicast group.
    #[error("{0} is not a multicast address: use one from 224.0.0.0/4 or ff00::/8")]
    NotMulticast(IpAddr),
    /// Groups of both families.
    #[error("groups of IPv4 and IPv6 in one session")]
    MixedFamilies,
    /// The feedback port is one more than the port.
    #[error("port {0} can't be used: the next port up is needed too, for requests")]
    Port(u16),
    /// Fewer than two buffers.
    #[error("{0} buffers for blocks; 2 to 4096 are possible")]
    Slots(u16),
    /// An object of the same coding and name is on offer.
    #[error("{0} is already on offer")]
    Twice(String),
    /// More offers than a session can have.
    #[error("a session can make at most {0} offers")]
    TooMany(usize),
}

/// A receiver as the sender knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceiverFigures {
    /// Who.
    pub receiver: ReceiverId,
    /// Where it sends from.
    pub address: SocketAddr,
    /// It uses unicast.
    pub unicast: bool,
    /// What the tier that it listens on, or did last, stands for.
    pub tier: Rate,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// Symbols it has said that it holds, over all objects.
    pub symbols_held: u64,
    /// Symbols of all that it wants, or has finished with.
    pub symbols_wanted: u64,
    /// Bytes of the symbols that it wants and does not hold.
    pub bytes_left: u64,
    /// The throughput it last reported.
    pub throughput: Rate,
    /// Data packets it has received.
    pub packets: u64,
    /// Packets it has lost in the network.
    pub lost: u64,
    /// Packets it has lost in its own socket buffer.
    pub overflowed: u64,
    /// Packets that its disk had no time for.
    pub stalled: u64,
    /// NAKs it has sent.
    pub naks: u64,
}

/// Offers a session can make at a time.
const MAX_OFFERS: usize = 100_000;
/// The least time between SYNCs that are sent because someone joined.
const SYNC_PAUSE: Duration = Duration::from_millis(20);
/// Offers in one answer to a request for all.
const OFFERS_PER_ANSWER: usize = 16;
/// How long an object keeps its channel after its last receiver.
const CHANNEL_LINGER: Duration = Duration::from_secs(5);
/// A receiver that was not heard for this long is forgotten; reports come every 50 ms or so, or
/// more seldom in large groups.
const SILENCE: Duration = Duration::from_secs(4);
/// Lateness of a wake-up that means a stopped process, or one that got no processor.
const LATE: Duration = Duration::from_millis(50);
/// How long acknowledgements of dones are gathered into one packet.
const HEARD_DELAY: Duration = Duration::from_millis(2);
/// Acknowledgements in one packet of 1,200 bytes.
const HEARD_PER_PACKET: usize = 90;
/// With more receivers each is told alone that it was heard: a group of 100,000 would hear 2.4 MB of others'
/// acknowledgements, 19 s of a link of 1 Mbit/s.
const HEARD_TOGETHER: usize = 1_000;
/// Counting who listens takes some time for each receiver and object; with more of either it is done once in so
/// long for each, some hundredths of the time.
const COUNTED_AT_ONCE: usize = 1_000;
const COUNT_TIME: Duration = Duration::from_micros(1);
/// The end is announced so often.
const END_NOTICES: u32 = 3;
/// SYNCs and announcements each stay within this share of the rate.
const CONTROL_SHARE: f64 = 0.01;
/// What answers to receivers may take of the rate, confirms included, whoever floods us: as much as receivers take
/// of it for their requests, which are longer.
const ANSWER_SHARE: f64 = 0.2;

/// The sending end of a session: see the [module](crate::engine) for how to drive it.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    stats: SenderStats,
    grtt: Grtt,
    pacer: Pacer,
    unicast_pacer: Pacer,
    /// Room that groups leave, lent to unicast beyond its share.
    lending: Lending,
    lent_pacer: Pacer,
    /// IP bytes that went to groups and by unicast since the last look, and when the next is.
    went: (u64, u64),
    lending_due: Time,
    channels: Vec<Channel>,
    /// Fastest first, one at least.
    tiers: Vec<Tier>,
    /// How the tiers' rates are spread over their channels has changed.
    reshare: bool,
    /// By key; withdrawn ones stay, so that keys are never used twice.
    objects: Vec<Offered>,
    by_coding: BTreeMap<ShortCodingId, ObjectKey>,
    roster: Roster,
    /// Somebody joined, moved, finished or left: counts of listeners are to be made anew.
    recount: bool,
    /// When crowds are looked at again.
    crowd_due: Time,
    /// A large group is not counted anew before.
    count_due: Time,
    /// Receivers that are here and not done, listed or not, when they were last counted.
    active: usize,
    slots: Slots,
    /// Blocks that are needed next, for [`Sender::poll_read`].
    wanted: Vec<WantedBlock>,
    outbox: Outbox,
    events: VecDeque<SenderEvent>,
    /// Joins and dones to acknowledge on the channels, and by when.
    heard: Vec<(ChannelNo, Heard)>,
    heard_due: Option<Time>,
    announce_due: Time,
    announce_next: usize,
    silence_due: Time,
    /// How long a receiver may be silent that was told all about its reports.
    patience: Duration,
    /// Data has begun: enough receivers have asked.
    started: bool,
    preparing: bool,
    /// The end is being announced: notices left, and when the next is due.
    ending: Option<(u32, Time)>,
    finished: bool,
    /// The channel that may send first, and whether unicast was served last.
    turn: usize,
    repair_turn: bool,
    unicast_turn: Option<ReceiverId>,
    /// Packet numbers that unicast channels of earlier receivers stopped at.
    unicast_channels: BTreeMap<ChannelNo, PacketNo>,
    next_unicast_channel: ChannelNo,
    other_sessions: Vec<SessionId>,
    /// Members that are served by unicast.
    unicast_members: BTreeSet<ReceiverId>,
    /// An object's cycle or repairs came to an end with the last run.
    recheck: bool,
    /// What answers may take.
    answers: Allowance,
    /// When something last came or time was told, and when it has since asked to be woken.
    last_input: Time,
    wake: Cell<Time>,
    /// End of the last absence: datagrams that came before it have waited in their socket.
    absent_until: Time,
}

/// A multicast channel.
#[derive(Debug)]
struct Channel {
    group: SocketAddr,
    next_packet: PacketNo,
    log: SentLog,
    /// When something as large as data last left on it.
    full_at: Option<Time>,
    /// The speed class it runs at, once something has run on it.
    tier: Option<usize>,
    /// Objects that have it as a channel of theirs.
    objects: usize,
    /// Those that have run on it.
    carousels: BTreeMap<ObjectKey, Carousel>,
    /// More than one receiver lacks something here.
    is_shared: bool,
    /// Those that listen here and are not listed.
    crowd: Option<Box<Crowd>>,
    /// Cap at what one receiver of its tier may get, for when the tier's other channels are idle.
    pacer: Pacer,
}

impl Channel {
    /// An object whose SYNC is due.
    fn next_sync(&self, now: Time) -> Option<ObjectKey> {
        let due = self.carousels.iter().find(|(_, c)| c.sync.due <= now);
        due.map(|(&key, _)| key)
    }
}

impl Sender {
    /// A sender that starts at `now`.
    pub fn new(config: SenderConfig, now: Time) -> Result<Sender, SenderError> {
        let first = *config.groups.first().ok_or(SenderError::NoGroup)?;
        for group in &config.groups {
            if !group.ip().is_multicast() {
                return Err(SenderError::NotMulticast(group.ip()));
            }
            if group.is_ipv4() != first.is_ipv4() {
                return Err(SenderError::MixedFamilies);
            }
            if group.port() == u16::MAX || group.port() == 0 {
                return Err(SenderError::Port(group.port()));
            }
        }
        if !(2..=4_096).contains(&config.slots) {
            return Err(SenderError::Slots(config.slots));
        }
        let packet = usual_packet(first, config.sealed);
        let channel = |&group: &SocketAddr| Channel {
            group,
            next_packet: 0,
            log: SentLog::new(),
            full_at: None,
            tier: None,
            objects: 0,
            carousels: BTreeMap::new(),
            is_shared: false,
            crowd: None,
            pacer: Pacer::new(config.rate, packet, now),
        };
        let fade = match config.one_way {
            Some(_) => config.fade,
            None => Duration::ZERO,
        };
        let tier = |_| Tier::new(now, config.rate, packet, fade);
        Ok(Sender {
            tiers: (0..config.tiers.len().max(1)).map(tier).collect(),
            reshare: false,
            stats: SenderStats::default(),
            grtt: Grtt::new(now),
            pacer: Pacer::new(config.rate, packet, now),
            unicast_pacer: Pacer::new(config.rate, packet, now),
            lending: Lending::new(now),
            lent_pacer: Pacer::new(Rate::ZERO, packet, now),
            went: (0, 0),
            lending_due: now,
            channels: config
                .groups
                .iter()
                .take(usize::from(crate::ids::UNICAST_CHANNELS))
                .map(channel)
                .collect(),
            objects: Vec::new(),
            by_coding: BTreeMap::new(),
            roster: Roster::default(),
            recount: false,
            crowd_due: Time::NEVER,
            count_due: now,
            active: 0,
            slots: Slots::new(config.slots),
            wanted: Vec::new(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            heard: Vec::new(),
            heard_due: None,
            announce_due: now,
            announce_next: 0,
            silence_due: now + SILENCE,
            patience: SILENCE,
            started: config.one_way.is_some(),
            preparing: false,
            ending: None,
            finished: false,
            turn: 0,
            repair_turn: false,
            unicast_turn: None,
            unicast_channels: BTreeMap::new(),
            next_unicast_channel: crate::ids::UNICAST_CHANNELS,
            other_sessions: Vec::new(),
            unicast_members: BTreeSet::new(),
            recheck: false,
            answers: Allowance::default(),
            last_input: now,
            wake: Cell::new(Time::NEVER),
            absent_until: Time::ZERO,
            config,
        })
    }

    /// Offers an object from now on.
    pub fn offer(&mut self, now: Time, description: Description) -> Result<ObjectKey, SenderError> {
        let live = self.objects.iter().filter(|o| o.withdrawn.is_none());
        if live.count() >= MAX_OFFERS {
            return Err(SenderError::TooMany(MAX_OFFERS));
        }
        let key = ObjectKey(self.objects.len() as u32);
        let offered = Offered::new(now, self.config.session, description, &self.config.key);
        if let Some(twin) = self.by_coding.get(&offered.coding) {
            return Err(SenderError::Twice(
                self.objects[twin.0 as usize].description.name.clone(),
            ));
        }
        self.by_coding.insert(offered.coding, key);
        self.objects.push(offered);
        if self.config.one_way.is_some() {
            (0..self.config.tiers.len().max(1)).for_each(|tier| self.open_channel(now, key, tier));
        } else if self.shares_channels() {
            self.open_channel(now, key, 0);
        }
        // Receivers that wait for all, or for this one, learn of it at once.
        self.announce_due = now;
        self.announce_next = key.0 as usize;
        let geometry = self.objects[key.0 as usize].description.geometry;
        let mut tiers = BTreeSet::new();
        for member in self.roster.members.values_mut().filter(|m| m.lacks(key)) {
            tiers.insert(member.tier);
            if let Some(path) = &mut member.unicast {
                path.needs_all(key, geometry);
            }
        }
        for tier in tiers {
            self.open_channel(now, key, tier);
            if let Some(carousel) = self.carousel(key, tier) {
                carousel.walk.want(0..geometry.blocks());
            }
        }
        self.recount = true;
        self.update(now);
        Ok(key)
    }

    /// Stops sending an object and tells everybody why.
    pub fn withdraw(&mut self, now: Time, object: ObjectKey, reason: &str) {
        let Some(offered) = self
            .objects
            .get_mut(object.0 as usize)
            .filter(|o| o.withdrawn.is_none())
        else {
            return;
        };
        offered.withdrawn = Some(reason.to_owned());
        let coding = offered.coding;
        let channels = core::mem::take(&mut offered.channels);
        self.by_coding.remove(&coding);
        self.slots.forget(object);
        let notice = notice(NoticeCode::Withdrawn, ReceiverId(0), coding, reason);
        let mut groups = vec![0];
        for number in channels {
            let channel = &mut self.channels[usize::from(number)];
            channel.objects -= 1;
            if channel.carousels.remove(&object).is_some() && number != 0 {
                groups.push(number);
            }
        }
        for number in groups {
            for _ in 0..END_NOTICES {
                self.send_to_channel(
                    number,
                    SenderBody::Notice(notice.clone()),
                    PacketKind::Notice,
                );
            }
        }
        let members = &mut self.roster.members;
        let mut tell = Vec::new();
        for (&id, member) in members.iter_mut().filter(|(_, m)| m.lacks(object)) {
            if let Some(path) = &mut member.unicast {
                path.forget(object);
                tell.push((id, member.address, member.link));
            }
            member.finish(object);
        }
        for (id, address, link) in tell {
            let notice = Notice {
                receiver: id,
                ..notice.clone()
            };
            self.send_to(
                address,
                link,
                0,
                SenderBody::Notice(notice),
                PacketKind::Notice,
            );
        }
        self.events.push_back(SenderEvent::Withdrawn {
            object,
            reason: reason.to_owned(),
        });
        self.recount = true;
        self.update(now);
    }

    /// Says that more objects are about to be offered (hashing goes on), so that the sender neither
    /// ends nor says that it lacks something.
    pub fn set_preparing(&mut self, now: Time, preparing: bool) {
        self.preparing = preparing;
        // Receivers of all wait for the word that nothing more comes.
        self.announce_due = now;
        self.update(now);
    }

    /// Tells everybody that the session ends, and then [`SenderEvent::Finished`].
    pub fn stop(&mut self, now: Time) {
        if self.ending.is_none() && !self.finished {
            let carousels = self.channels.iter_mut().flat_map(|c| &mut c.carousels);
            carousels.for_each(|(_, carousel)| carousel.rest());
            for member in self.roster.members.values_mut() {
                member.unicast = None;
            }
            self.ending = Some((END_NOTICES, now));
        }
        self.update(now);
    }

    /// A block that [`poll_read`](Sender::poll_read) asked for is in its slot, or can't be had.
    pub fn handle_read(&mut self, now: Time, slot: Slot, result: Result<(), StoreFault>) {
        let object = self.slots.loaded(slot, result.is_ok());
        if let (Some(object), Err(fault)) = (object, result) {
            self.withdraw(now, object, &fault.to_string());
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.notice_absence(now);
        self.forget_silent(now);
        self.follow_crowds(now);
        self.adapt_rates(now);
        self.lend(now);
        self.flush_heard(now);
        self.send_syncs(now);
        self.announce(now);
        for id in &self.unicast_members {
            if let Some(path) = self
                .roster
                .members
                .get_mut(id)
                .and_then(|m| m.unicast.as_mut())
                && path.congestion.poll_timeout().is_some_and(|at| at <= now)
            {
                path.congestion.on_timeout(now);
                // At once, so that its block is read again if it is not in memory any more.
                while let Some(tag) = path.congestion.poll_lost() {
                    path.needs_again(ObjectKey(tag.object), tag.block, tag.symbol);
                }
            }
        }
        self.update(now);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Sender::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        let next = self.next_timer();
        self.wake.set(next.map_or(Time::NEVER, |(at, _)| at));
        next
    }

    /// Whoever wakes it much later than it asked for was stopped, or had no processor: what came
    /// meanwhile has waited in its socket, and receivers had nothing to hear.
    fn notice_absence(&mut self, now: Time) {
        let due = self.wake.replace(Time::NEVER);
        let last = core::mem::replace(&mut self.last_input, now);
        if due == Time::NEVER || now.since(due.max(last)) < LATE {
            return;
        }
        self.absent_until = now;
        self.silence_due = self.silence_due.max(now + SILENCE / 8);
        for tier in &mut self.tiers {
            if let Some(control) = &mut tier.control {
                control.handle_absence(now);
            }
        }
    }

    fn next_timer(&self) -> Option<(Time, Timer)> {
        if self.finished {
            return None;
        }
        let set = |at: Option<Time>| at.filter(|&at| at != Time::NEVER);
        if let Some((_, at)) = self.ending {
            let pacing = set(self.next_transmit());
            return earliest([
                (pacing, Timer::Pacing),
                (self.heard_due, Timer::Heard),
                (Some(at), Timer::Close),
            ]);
        }
        let sync = self.carousels().map(|(_, c)| c.sync.due).min();
        let path_due = |p: &UnicastPath| {
            let congestion = p.congestion.poll_timeout().unwrap_or(Time::NEVER);
            congestion.min(p.sync_due)
        };
        let unicast = self.unicast_paths().map(path_due).min();
        earliest([
            (set(self.next_transmit()), Timer::Pacing),
            (set(sync), Timer::Sync),
            (set(Some(self.announce_due)), Timer::Announce),
            (self.heard_due, Timer::Heard),
            (Some(self.silence_due.min(self.crowd_due)), Timer::Silence),
            (self.recount.then_some(self.count_due), Timer::Silence),
            (set(unicast), Timer::Unicast),
            (set(self.next_round()), Timer::Rate),
            (self.next_lending(), Timer::Rate),
        ])
    }

    /// Figures since the start.
    pub fn stats(&self) -> &SenderStats {
        &self.stats
    }

    /// The receivers it knows, in the order of their ids.
    pub fn receivers(&self) -> impl Iterator<Item = ReceiverFigures> + '_ {
        let live = self.objects.iter().filter(|o| o.withdrawn.is_none());
        let all: u64 = live.map(Offered::symbols).sum();
        let size = self.objects.first().map(|o| o.description.geometry);
        let size = size.map_or(0, |g| u64::from(g.symbol_size()));
        self.roster.members.iter().map(move |(&receiver, m)| {
            let named = |key: u64| self.objects.get(key as usize).map_or(0, Offered::symbols);
            let symbols_wanted = if m.wants_all {
                all
            } else {
                m.wants().map(named).sum()
            };
            let held = match m.outcome {
                Some(Outcome::Complete) => symbols_wanted,
                _ => m.report.symbols_held.min(symbols_wanted),
            };
            ReceiverFigures {
                receiver,
                address: m.address,
                unicast: m.unicast.is_some(),
                tier: self.tier_rate(m.tier),
                outcome: m.outcome,
                symbols_held: held,
                symbols_wanted,
                bytes_left: (symbols_wanted - held) * size,
                throughput: m.report.throughput,
                packets: m.report.packets,
                lost: m.report.lost,
                overflowed: m.report.overflowed,
                stalled: m.report.stalled,
                naks: m.naks,
            }
        })
    }

    /// What it was told at its start.
    pub fn config(&self) -> &SenderConfig {
        &self.config
    }

    /// What an object is.
    pub fn description(&self, object: ObjectKey) -> Option<&Description> {
        self.objects.get(object.0 as usize).map(|o| &o.description)
    }

    /// The group round-trip time as receivers are told it: a quarter above the measured, because
    /// RFC 5401 §5.1 wants a value that covers the whole group, and the highest sample so far does
    /// not. It keeps the NAKs for a loss shared by a thousand below five (`benches/scale.rs`).
    pub fn grtt(&self) -> Duration {
        (self.grtt.get() * 5 / 4).min(config::MAX_GRTT)
    }

    /// All has been said and done: nothing more will be sent.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Brings counts and phases up to date after any input.
    fn update(&mut self, now: Time) {
        if self.recount && self.count_due <= now {
            self.count_listeners(now);
        }
        self.advance(now);
        self.start_tiers(now);
        if self.next_lending().is_none() {
            (self.went, self.lending_due) = ((0, 0), now + LOOK);
        }
        self.end_if_done(now);
    }

    /// All carousels, by channel and object.
    fn carousels(&self) -> impl Iterator<Item = (ObjectKey, &Carousel)> {
        let carousels = self.channels.iter().flat_map(|c| &c.carousels);
        carousels.map(|(&key, carousel)| (key, carousel))
    }

    /// An object's carousel on a tier.
    fn carousel(&mut self, object: ObjectKey, tier: usize) -> Option<&mut Carousel> {
        let number = self.objects[object.0 as usize].channel(tier)?;
        let channel = &mut self.channels[usize::from(number)];
        channel.carousels.get_mut(&object)
    }

    fn unicast_paths(&self) -> impl Iterator<Item = &UnicastPath> {
        let members = self
            .unicast_members
            .iter()
            .filter_map(|id| self.roster.members.get(id));
        members.filter_map(|m| m.unicast.as_deref())
    }

    fn send_to(
        &mut self,
        to: SocketAddr,
        link: Link,
        channel: ChannelNo,
        body: SenderBody,
        kind: PacketKind,
    ) -> usize {
        let packet = FromSender {
            channel,
            session: self.config.session,
            one_way: self.config.one_way.is_some(),
            body,
        };
        self.outbox.push(to, link, kind, |out| packet.encode(out))
    }

    /// Sends what somebody asked for, as long as all such answers stay within their share of the rate. What
    /// does not is left out: whoever needs it asks again.
    fn reply(
        &mut self,
        now: Time,
        (to, link): (SocketAddr, Link),
        channel: ChannelNo,
        body: SenderBody,
        kind: PacketKind,
    ) {
        if !self.answers.is_open(now) {
            return self.stats.dropped.add(DropReason::Full);
        }
        let len = self.send_to(to, link, channel, body, kind);
        let bytes = ip_len(to, len + kind.envelope(self.config.sealed));
        let share = self.config.rate.mul_f64(ANSWER_SHARE);
        self.answers.sent(now, bytes, share);
    }

    fn send_to_channel(&mut self, number: ChannelNo, body: SenderBody, kind: PacketKind) {
        let group = self.channels[usize::from(number)].group;
        self.send_to(group, Link::GROUP, number, body, kind);
    }
}

/// Bytes of a padded SYNC, which is to be as long as a data packet when it leaves.
fn padded_len(sealed: bool, symbol_size: u16) -> u16 {
    let more = PacketKind::Sync.envelope(sealed) - PacketKind::Data.envelope(sealed);
    (wire::data_packet_len(symbol_size) - more) as u16
}

/// IP bytes of a data packet of the usual size.
fn usual_packet(to: SocketAddr, sealed: bool) -> u64 {
    let payload = wire::data_packet_len(config::DEFAULT_SYMBOL_SIZE);
    ip_len(to, payload + PacketKind::Data.envelope(sealed))
}

/// That a packet of `receiver` with this counter was heard.
fn heard(receiver: ReceiverId, counter: u64) -> Heard {
    let counter = counter as u32;
    Heard { receiver, counter }
}

fn notice(code: NoticeCode, receiver: ReceiverId, coding: ShortCodingId, text: &str) -> Notice {
    Notice {
        receiver,
        coding,
        code,
        cause: MoveCause::None,
        text: text.to_owned(),
        addresses: Vec::new(),
    }
}
