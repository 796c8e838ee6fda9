//! The sending end of a session.
//!
//! * this file: what it holds, its objects, and what time does;
//! * [`requests`]: what receivers say;
//! * [`transmit`]: what leaves next;
//! * [`offered`], [`roster`], [`unicast`], [`slots`], [`outbox`]: its parts.

mod offered;
mod outbox;
mod requests;
mod roster;
mod slots;
mod transmit;
mod unicast;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use thiserror::Error;

use crate::carousel::SentLog;
use crate::config;
use crate::engine::output::earliest;
use crate::engine::sender::offered::{Offered, Phase};
use crate::engine::sender::outbox::Outbox;
use crate::engine::sender::roster::Roster;
use crate::engine::sender::slots::Slots;
use crate::engine::sender::unicast::UnicastPath;
use crate::engine::{
    Link, ObjectKey, PacketKind, ReadCommand, ReadFault, SenderEvent, SenderStats, Slot, Timer,
};
use crate::ids::{ChannelNo, PacketNo, ReceiverId, SessionId, ShortCodingId};
use crate::object::Description;
use crate::rate::{Grtt, Pacer};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{
    self, ChannelInfo, Feedback, FromSender, Heard, Notice, NoticeCode, Offer, Outcome, SenderBody,
    Sync,
};

/// What a sender is told at its start.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The session's identity, from 64 random bits.
    pub session: SessionId,
    /// Seeds timers and samples.
    pub seed: u64,
    /// Makes cookies; from 32 random bytes that nobody else knows.
    pub secret: [u8; 32],
    /// The groups it may use, at least one. The first carries announcements; with one, it carries
    /// everything.
    pub groups: Vec<SocketAddr>,
    /// The only source receivers shall take groups' packets from (SSM).
    pub source: Option<IpAddr>,
    /// NAKs go to `GROUP:PORT+1`, where all hear them, rather than to the sender alone.
    pub group_feedback: bool,
    /// The most it sends, counted in IP bytes, over everything.
    pub rate: Rate,
    /// Receivers that must have asked before data starts; 0 and 1 start with the first.
    pub wait_for: u32,
    /// Serve on when all are done.
    pub stay: bool,
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
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// Symbols it has said that it holds, over all objects.
    pub symbols_held: u64,
    /// The throughput it last reported.
    pub throughput: Rate,
    /// Data packets it has received.
    pub packets: u64,
    /// Packets it has lost in the network.
    pub lost: u64,
    /// Packets it has lost in its own socket buffer.
    pub overflowed: u64,
    /// NAKs it has sent.
    pub naks: u64,
}

/// Offers a session can make at a time.
const MAX_OFFERS: usize = 100_000;
/// Offers in one answer to a request for all.
const OFFERS_PER_ANSWER: usize = 16;
/// How long an object keeps its channel after its last receiver.
const CHANNEL_LINGER: Duration = Duration::from_secs(5);
/// A receiver that was not heard for this long is forgotten; reports come every second or so, or
/// more seldom in large groups.
const SILENCE: Duration = Duration::from_secs(4);
/// How long acknowledgements of joins and dones are gathered into one packet.
const HEARD_DELAY: Duration = Duration::from_millis(2);
/// Acknowledgements in one packet of 1,200 bytes.
const HEARD_PER_PACKET: usize = 90;
/// The end is announced so often.
const END_NOTICES: u32 = 3;
/// SYNCs and announcements each stay within this share of the rate.
const CONTROL_SHARE: f64 = 0.01;

/// The sending end of a session: see the [module](crate::engine) for how to drive it.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    stats: SenderStats,
    grtt: Grtt,
    pacer: Pacer,
    unicast_pacer: Pacer,
    channels: Vec<Channel>,
    /// By key; withdrawn ones stay, so that keys are never used twice.
    objects: Vec<Offered>,
    by_coding: BTreeMap<ShortCodingId, ObjectKey>,
    roster: Roster,
    /// Somebody joined, moved, finished or left: counts of listeners are to be made anew.
    recount: bool,
    slots: Slots,
    outbox: Outbox,
    events: VecDeque<SenderEvent>,
    /// Joins and dones to acknowledge on the channels, and by when.
    heard: Vec<(ChannelNo, Heard)>,
    heard_due: Option<Time>,
    announce_due: Time,
    announce_next: usize,
    silence_due: Time,
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
}

/// A multicast channel.
#[derive(Debug)]
struct Channel {
    group: SocketAddr,
    next_packet: PacketNo,
    log: SentLog,
    /// Objects on it.
    objects: Vec<ObjectKey>,
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
        let packet = ip_len(first, wire::data_packet_len(config::DEFAULT_SYMBOL_SIZE));
        let channel = |&group: &SocketAddr| Channel {
            group,
            next_packet: 0,
            log: SentLog::new(),
            objects: Vec::new(),
        };
        Ok(Sender {
            stats: SenderStats::default(),
            grtt: Grtt::new(now),
            pacer: Pacer::new(config.rate, packet, now),
            unicast_pacer: Pacer::new(config.rate, packet, now),
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
            slots: Slots::new(config.slots),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            heard: Vec::new(),
            heard_due: None,
            announce_due: now,
            announce_next: 0,
            silence_due: now + SILENCE,
            started: false,
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
        let offered = Offered::new(now, description);
        if let Some(twin) = self.by_coding.get(&offered.coding) {
            return Err(SenderError::Twice(
                self.objects[twin.0 as usize].description.name.clone(),
            ));
        }
        self.by_coding.insert(offered.coding, key);
        self.objects.push(offered);
        if self.channels.len() == 1 {
            self.open_channel(now, key);
        }
        // Receivers that wait for all, or for this one, learn of it at once.
        self.announce_due = now;
        self.announce_next = key.0 as usize;
        let objects = &self.objects;
        if self.roster.members.values().any(|m| m.lacks(key)) {
            let geometry = objects[key.0 as usize].description.geometry;
            for member in self.roster.members.values_mut().filter(|m| m.lacks(key)) {
                if let Some(path) = &mut member.unicast {
                    path.needs_all(key, geometry);
                }
            }
            self.open_channel(now, key);
            self.objects[key.0 as usize].walk.want(0..geometry.blocks());
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
        offered.clear();
        offered.phase = Phase::Idle;
        offered.sync.due = Time::NEVER;
        let coding = offered.coding;
        let channel = offered.channel.take();
        self.by_coding.remove(&coding);
        self.slots.forget(object);
        let notice = notice(NoticeCode::Withdrawn, ReceiverId(0), coding, reason);
        let mut groups = vec![0];
        if let Some(number) = channel {
            self.channels[usize::from(number)]
                .objects
                .retain(|&o| o != object);
            if number != 0 {
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
            for offered in &mut self.objects {
                offered.clear();
                offered.phase = Phase::Idle;
            }
            for member in self.roster.members.values_mut() {
                member.unicast = None;
            }
            self.ending = Some((END_NOTICES, now));
        }
        self.update(now);
    }

    /// A block that [`poll_read`](Sender::poll_read) asked for is in its slot, or can't be had.
    pub fn handle_read(&mut self, now: Time, slot: Slot, result: Result<(), ReadFault>) {
        let object = self.slots.loaded(slot, result.is_ok());
        if let (Some(object), Err(fault)) = (object, result) {
            let (ReadFault::Changed(reason) | ReadFault::Io(reason)) = fault;
            self.withdraw(now, object, &reason);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.forget_silent(now);
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
            }
        }
        self.update(now);
    }

    /// The next block to read.
    pub fn poll_read(&mut self) -> Option<ReadCommand> {
        let slots = &mut self.slots;
        for (key, offered) in self.objects.iter().enumerate() {
            if offered.phase != Phase::Running {
                continue;
            }
            let key = ObjectKey(key as u32);
            let repair = offered.repairs.current();
            let fresh = offered.walk.current();
            let ahead = fresh.and_then(|b| offered.walk.after(b));
            let further = ahead.and_then(|b| offered.walk.after(b));
            let next_repair = repair.and_then(|b| offered.repairs.after(b));
            for block in [repair, fresh, ahead, further, next_repair]
                .into_iter()
                .flatten()
            {
                if let Some(command) = slots.want(key, block) {
                    return Some(command);
                }
            }
        }
        for id in &self.unicast_members {
            let Some(path) = self
                .roster
                .members
                .get_mut(id)
                .and_then(|m| m.unicast.as_mut())
            else {
                continue;
            };
            for (key, block) in [path.current(), path.upcoming()].into_iter().flatten() {
                if let Some(command) = slots.want(key, block) {
                    return Some(command);
                }
            }
        }
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Sender::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
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
        let sync = self.objects.iter().map(|o| o.sync.due).min();
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
            (Some(self.silence_due), Timer::Silence),
            (set(unicast), Timer::Unicast),
        ])
    }

    /// Figures since the start.
    pub fn stats(&self) -> &SenderStats {
        &self.stats
    }

    /// The receivers it knows, in the order of their ids.
    pub fn receivers(&self) -> impl Iterator<Item = ReceiverFigures> + '_ {
        self.roster
            .members
            .iter()
            .map(|(&receiver, m)| ReceiverFigures {
                receiver,
                address: m.address,
                unicast: m.unicast.is_some(),
                outcome: m.outcome,
                symbols_held: m.report.symbols_held,
                throughput: m.report.throughput,
                packets: m.report.packets,
                lost: m.report.lost,
                overflowed: m.report.overflowed,
                naks: m.naks,
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

    /// The group round-trip time as it is measured now.
    pub fn grtt(&self) -> Duration {
        self.grtt.get()
    }

    /// All has been said and done: nothing more will be sent.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Brings counts and phases up to date after any input.
    fn update(&mut self, now: Time) {
        if self.recount {
            self.count_listeners(now);
        }
        self.advance(now);
        self.end_if_done(now);
    }

    fn unicast_paths(&self) -> impl Iterator<Item = &UnicastPath> {
        let members = self
            .unicast_members
            .iter()
            .filter_map(|id| self.roster.members.get(id));
        members.filter_map(|m| m.unicast.as_deref())
    }

    fn count_listeners(&mut self, now: Time) {
        self.recount = false;
        let members = self.roster.members.iter();
        self.unicast_members = members
            .filter(|(_, m)| m.unicast.is_some())
            .map(|(&id, _)| id)
            .collect();
        for (key, offered) in self.objects.iter_mut().enumerate() {
            let key = ObjectKey(key as u32);
            let had = offered.listeners + offered.unicast;
            offered.listeners = 0;
            offered.unicast = 0;
            if offered.withdrawn.is_some() {
                continue;
            }
            for member in self.roster.members.values().filter(|m| m.lacks(key)) {
                if member.unicast.is_some() {
                    offered.unicast += 1;
                } else {
                    offered.listeners += 1;
                }
            }
            if had > 0 || offered.listeners + offered.unicast > 0 {
                offered.wanted_at = now;
            }
        }
        let busy = self.objects.iter().any(|o| o.listeners > 0);
        let share = if busy { config::UNICAST_SHARE } else { 1.0 };
        self.unicast_pacer
            .set_rate(now, self.config.rate.mul_f64(share));
        if !self.started && self.roster.joined >= u64::from(self.config.wait_for.max(1)) {
            self.started = true;
        }
    }

    /// Moves each object's carousel on: from cycle to cycle, to the question at the end, to rest.
    fn advance(&mut self, now: Time) {
        for (key, offered) in self.objects.iter_mut().enumerate() {
            let object = ObjectKey(key as u32);
            if offered.listeners == 0 {
                if offered.phase != Phase::Idle {
                    offered.clear();
                    offered.phase = Phase::Idle;
                    offered.restart_sync(now);
                }
                continue;
            }
            if !self.started || offered.channel.is_none() || self.ending.is_some() {
                continue;
            }
            let phase = offered.phase;
            if phase == Phase::Running && offered.walk.current().is_none() {
                let blocks_left = offered.walk.blocks_left().min(u64::from(u32::MAX)) as u32;
                let cycle = offered.walk.position().cycle;
                if blocks_left > 0 || offered.repairs.is_empty() {
                    self.stats.cycles += 1;
                    self.events.push_back(SenderEvent::CycleEnded {
                        object,
                        cycle,
                        blocks_left,
                    });
                }
            }
            offered.walk.begin_cycle();
            offered.phase = if offered.has_work() {
                Phase::Running
            } else {
                Phase::Asking
            };
            if offered.phase != phase {
                // The question goes out at once, and so does the position when data begins.
                offered.restart_sync(now);
            }
        }
    }

    fn end_if_done(&mut self, now: Time) {
        if let Some((left, at)) = self.ending {
            if at > now {
                return;
            }
            if left == 0 {
                self.finished = true;
                self.ending = None;
                self.events.push_back(SenderEvent::Finished);
                return;
            }
            let end = notice(
                NoticeCode::Ended,
                ReceiverId(0),
                ShortCodingId(0),
                "the sender has finished",
            );
            let used: Vec<ChannelNo> = (0..self.channels.len() as ChannelNo)
                .filter(|&n| n == 0 || self.channels[usize::from(n)].next_packet > 0)
                .collect();
            for number in used {
                self.send_to_channel(number, SenderBody::Notice(end.clone()), PacketKind::Notice);
            }
            let pause = self
                .grtt
                .get()
                .clamp(Duration::from_millis(5), Duration::from_millis(100));
            self.ending = Some((left - 1, now + pause));
            return;
        }
        let came = self.roster.joined >= u64::from(self.config.wait_for.max(1));
        if came
            && !self.config.stay
            && !self.preparing
            && !self.finished
            && self.roster.active() == 0
        {
            self.flush_heard_now();
            self.ending = Some((END_NOTICES, now));
            self.end_if_done(now);
        }
    }

    fn forget_silent(&mut self, now: Time) {
        if now < self.silence_due || self.ending.is_some() {
            return;
        }
        self.silence_due = now + SILENCE / 8;
        let limit = SILENCE.max(self.report_interval() * 4);
        let mut gone = Vec::new();
        for (&receiver, member) in self.roster.members.iter_mut() {
            if member.is_active() && now.since(member.last_heard) > limit {
                member.gone = true;
                if let Some(path) = member.unicast.take() {
                    self.unicast_channels.insert(path.channel, path.next_packet);
                }
                gone.push(receiver);
            }
        }
        for receiver in gone {
            self.recount = true;
            let reason = format!("nothing heard from it for {:.0} s", limit.as_secs_f64());
            self.events
                .push_back(SenderEvent::Gone { receiver, reason });
        }
        for key in 0..self.objects.len() {
            let offered = &self.objects[key];
            let unwanted = offered.listeners + offered.unicast == 0;
            if self.channels.len() > 1 && unwanted && now.since(offered.wanted_at) > CHANNEL_LINGER
            {
                self.close_channel(ObjectKey(key as u32));
            }
        }
    }

    /// The mean time between a receiver's reports: a second, or what keeps all within their share.
    pub(super) fn report_interval(&self) -> Duration {
        report_interval(self.roster.active(), self.config.rate)
    }

    /// Gives an object a channel: a free one, else the one with the fewest objects. With several
    /// groups the first is for announcements only.
    fn open_channel(&mut self, now: Time, object: ObjectKey) {
        let offered = &mut self.objects[object.0 as usize];
        offered.wanted_at = now;
        if offered.channel.is_some() || offered.withdrawn.is_some() {
            return;
        }
        let first = usize::from(self.channels.len() > 1);
        let least = (first..self.channels.len()).min_by_key(|&n| self.channels[n].objects.len());
        let Some(number) = least else { return };
        self.channels[number].objects.push(object);
        offered.channel = Some(number as ChannelNo);
        let group = self.channels[number].group;
        offered.restart_sync(now);
        self.events.push_back(SenderEvent::Started {
            object,
            channel: number as ChannelNo,
            group,
        });
    }

    fn close_channel(&mut self, object: ObjectKey) {
        let offered = &mut self.objects[object.0 as usize];
        let Some(number) = offered.channel.take() else {
            return;
        };
        offered.sync.due = Time::NEVER;
        self.channels[usize::from(number)]
            .objects
            .retain(|&o| o != object);
        self.events.push_back(SenderEvent::Stopped { object });
    }

    /// R of the suppression formula.
    fn group_size(&self, object: &Offered) -> u32 {
        object.listeners.max(1)
    }

    fn k(&self) -> u8 {
        if self.config.group_feedback {
            config::K_GROUP_FEEDBACK
        } else {
            config::K_SENDER_FEEDBACK
        }
    }

    fn channel_info(&self, number: ChannelNo) -> ChannelInfo {
        let group = self.channels[usize::from(number)].group;
        let feedback = if self.config.group_feedback {
            Feedback::Group(SocketAddr::new(group.ip(), group.port() + 1))
        } else {
            Feedback::Sender
        };
        ChannelInfo {
            number,
            group,
            source: self.config.source,
            rate: self.config.rate,
            feedback,
        }
    }

    /// The offer of an object as it stands.
    fn make_offer(&self, now: Time, key: ObjectKey) -> SenderBody {
        let live = |o: &&Offered| o.withdrawn.is_none();
        let offered = &self.objects[key.0 as usize];
        SenderBody::Offer(Box::new(Offer {
            sent_at: now.as_nanos().max(1),
            index: self.objects[..key.0 as usize].iter().filter(live).count() as u32,
            // One more than there is tells a receiver of all to wait for what is being prepared.
            total: self.objects.iter().filter(live).count() as u32 + u32::from(self.preparing),
            grtt: self.grtt.get(),
            receivers: (self.roster.active() as u32)
                .max(self.config.wait_for)
                .max(1),
            description: offered.description.clone(),
            channels: offered
                .channel
                .map(|n| self.channel_info(n))
                .into_iter()
                .collect(),
        }))
    }

    fn send_to(
        &mut self,
        to: SocketAddr,
        link: Link,
        channel: ChannelNo,
        body: SenderBody,
        kind: PacketKind,
    ) {
        let packet = FromSender {
            channel,
            session: self.config.session,
            body,
        };
        self.outbox.push(to, link, kind, |out| packet.encode(out));
    }

    fn send_to_channel(&mut self, number: ChannelNo, body: SenderBody, kind: PacketKind) {
        let group = self.channels[usize::from(number)].group;
        self.send_to(group, Link::GROUP, number, body, kind);
    }

    fn flush_heard(&mut self, now: Time) {
        if self.heard_due.is_some_and(|at| at <= now) {
            self.flush_heard_now();
        }
    }

    fn flush_heard_now(&mut self) {
        self.heard_due = None;
        let mut heard = core::mem::take(&mut self.heard);
        heard.sort_by_key(|&(channel, _)| channel);
        for same in heard.chunk_by(|a, b| a.0 == b.0) {
            for batch in same.chunks(HEARD_PER_PACKET) {
                let body = SenderBody::Heard(batch.iter().map(|&(_, h)| h).collect());
                self.send_to_channel(batch[0].0, body, PacketKind::Heard);
            }
        }
    }

    /// The time in which a packet of so many bytes may be repeated within the share for control.
    fn least_interval(&self, bytes: u64, times: usize) -> Duration {
        self.config
            .rate
            .mul_f64(CONTROL_SHARE)
            .time_for(bytes * times.max(1) as u64)
    }

    fn send_syncs(&mut self, now: Time) {
        let running = self
            .objects
            .iter()
            .filter(|o| o.phase != Phase::Idle)
            .count();
        for key in 0..self.objects.len() {
            if self.objects[key].sync.due > now || self.ending.is_some() {
                continue;
            }
            let Some(number) = self.objects[key].channel else {
                self.objects[key].sync.due = Time::NEVER;
                continue;
            };
            let offered = &self.objects[key];
            let padded = offered.next_sync_is_padded();
            let size = wire::data_packet_len(offered.description.geometry.symbol_size()) as u16;
            let least = self.least_interval(160 + u64::from(size) / 4, running);
            let interval = offered.sync_interval(self.grtt.get(), self.k(), least);
            let body = SenderBody::Sync(Sync {
                coding: offered.coding,
                next_packet: self.channels[usize::from(number)].next_packet,
                position: offered.walk.position(),
                sent_at: now.as_nanos().max(1),
                grtt: self.grtt.get(),
                k: self.k(),
                receivers: self.group_size(offered),
                next_sync: interval,
                query: offered.phase == Phase::Asking,
                idle: offered.phase == Phase::Idle,
                padded_to: if padded { size } else { 0 },
            });
            let offered = &mut self.objects[key];
            offered.sync.sent += 1;
            offered.sync.total += 1;
            offered.sync.last = now;
            offered.sync.due = now + interval;
            self.send_to_channel(number, body, PacketKind::Sync);
        }
        self.send_unicast_syncs(now);
    }

    /// On a unicast path SYNC tells the next packet number, measures the round trip, and asks what is
    /// lacking once everything known has gone out.
    fn send_unicast_syncs(&mut self, now: Time) {
        let mut due = Vec::new();
        for &id in &self.unicast_members {
            let Some(member) = self.roster.members.get_mut(&id) else {
                continue;
            };
            let Some(path) = &mut member.unicast else {
                continue;
            };
            if path.sync_due > now {
                continue;
            }
            let padded = path.syncs < 3 || path.syncs.is_multiple_of(4);
            let interval = match path.syncs {
                0 => Duration::from_millis(20),
                1..8 => Duration::from_millis(100),
                _ => Duration::from_millis(500),
            };
            path.sync_due = now + interval;
            due.push((
                id,
                member.address,
                member.link,
                padded,
                interval,
                path.channel,
                path.next_packet,
                path.is_idle(),
            ));
            path.sync_sent(padded);
        }
        for (id, address, link, padded, next_sync, channel, next_packet, idle) in due {
            let objects = self.objects.iter().enumerate();
            let member = &self.roster.members[&id];
            let mut wanted = objects
                .filter(|&(k, o)| o.withdrawn.is_none() && member.lacks(ObjectKey(k as u32)));
            let Some((_, offered)) = wanted.next() else {
                continue;
            };
            let size = wire::data_packet_len(offered.description.geometry.symbol_size()) as u16;
            let sync = Sync {
                coding: offered.coding,
                next_packet,
                position: wire::Position::default(),
                sent_at: now.as_nanos().max(1),
                grtt: self.grtt.get(),
                k: self.k(),
                receivers: 1,
                next_sync,
                query: idle,
                idle,
                padded_to: 0,
            };
            // A small one always goes along, so that a path too narrow for data is told from a dead one.
            self.send_to(
                address,
                link,
                channel,
                SenderBody::Sync(sync),
                PacketKind::Sync,
            );
            if padded {
                let full = SenderBody::Sync(Sync {
                    padded_to: size,
                    ..sync
                });
                self.send_to(address, link, channel, full, PacketKind::Sync);
            }
        }
    }

    /// Tells the first group what is on offer, one object at a time.
    fn announce(&mut self, now: Time) {
        if self.announce_due > now || self.ending.is_some() {
            return;
        }
        let live = self
            .objects
            .iter()
            .filter(|o| o.withdrawn.is_none())
            .count();
        let count = self.objects.len();
        let next = (0..count)
            .map(|i| (self.announce_next + i) % count)
            .find(|&k| self.objects[k].withdrawn.is_none());
        let Some(key) = next else {
            self.announce_due = Time::NEVER;
            return;
        };
        let body = self.make_offer(now, ObjectKey(key as u32));
        self.send_to_channel(0, body, PacketKind::Offer);
        self.announce_next = key + 1;
        // Every object once a second, within the share; the first in quick succession.
        let each = Duration::from_secs(1) / live.max(1) as u32;
        self.announce_due = now + each.max(self.least_interval(600, 1));
    }
}

/// IP bytes of a datagram with so many bytes of UDP payload.
fn ip_len(to: SocketAddr, payload: usize) -> u64 {
    payload as u64 + if to.is_ipv4() { 28 } else { 48 }
}

/// The mean time between two reports of one of `receivers` receivers: a second, or what keeps all
/// reports within 1 % of the rate (RFC 3550 §6.2 scales RTCP so).
pub(crate) fn report_interval(receivers: usize, rate: Rate) -> Duration {
    const REPORT_IP_BYTES: u64 = 160;
    let share = rate
        .mul_f64(CONTROL_SHARE)
        .time_for(REPORT_IP_BYTES * receivers as u64);
    share.clamp(Duration::from_secs(1), Duration::from_secs(60))
}

fn notice(code: NoticeCode, receiver: ReceiverId, coding: ShortCodingId, text: &str) -> Notice {
    Notice {
        receiver,
        coding,
        code,
        text: text.to_owned(),
        addresses: Vec::new(),
    }
}
