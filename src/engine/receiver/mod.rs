//! The receiving end of a session.
//!
//! * this file: what it holds, disk results and what time does;
//! * [`arrivals`]: what a sender says, and its data;
//! * [`joining`]: requests, and who is told that we are done;
//! * [`feedback`]: NAKs and acknowledgements; [`report`]: what it reports, and when;
//! * [`seat`]: the tier it listens on;
//! * [`trust`]: whose descriptions it takes;
//! * [`watch`]: whether its sender is alive, and giving up;
//! * [`object`] and [`channel`]: its parts; what is here, and what is not, is in its
//!   [`Library`](crate::engine::Library).

mod arrivals;
mod bounds;
mod channel;
mod feedback;
mod joining;
mod object;
mod report;
mod seat;
mod trust;
mod watch;

pub use report::Backlog;

pub use trust::Trust;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::config;
use crate::engine::output::earliest;
use crate::engine::receiver::channel::{ChannelRx, UnicastRx};
use crate::engine::receiver::joining::Joining;
use crate::engine::receiver::object::ObjectRx;
use crate::engine::receiver::report::Reported;
use crate::engine::receiver::seat::Seat;
use crate::engine::receiver::trust::Trusted;
use crate::engine::{
    Burst, Command, DropReason, Library, Link, Object, ObjectKey, ObjectState, PacketKind,
    PathChoice, ReceiverEvent, ReceiverStats, Timer, Via,
};
use crate::fault::{FaultKind, StoreFault};
use crate::ids::{BlockNo, ChannelNo, Cookie, ReceiverId, SessionId, ShortCodingId};
use crate::nak::{NakShare, Timing, own_share};
use crate::object::Description;
use crate::range_set::RangeSet;
use crate::rng::Rng;
use crate::time::Time;
use crate::unicast_fallback::{Course, Probe};
use crate::units::Rate;
use crate::wire::{
    ChannelInfo, DataHeader, Done, Echo, Feedback, FromReceiver, MoveCause, Outcome, ReceiverBody,
};

/// Where a receiver looks for its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Listen to this group; hearing nothing, ask `GROUP:PORT+1`.
    Group {
        /// Group and port.
        group: SocketAddr,
        /// The only source to take its packets from (SSM).
        source: Option<core::net::IpAddr>,
    },
    /// Ask this host.
    Host(SocketAddr),
}

/// What a receiver is told at its start.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its identity, from 64 random bits.
    pub id: ReceiverId,
    /// Seeds timers.
    pub seed: u64,
    /// Where to look for the sender.
    pub target: Target,
    /// The object wanted; everything that the session offers when none.
    pub name: Option<String>,
    /// Whose descriptions to take.
    pub trust: Trust,
    /// All that it hears comes in a group's envelopes: a sender must answer it before it is followed, unless
    /// nothing can be asked.
    pub sealed: bool,
    /// Use this path only; by itself finds out when none.
    pub via: Option<Via>,
    /// Send nothing at all, whatever the session is like: the target must be a group.
    pub one_way: bool,
    /// How long to wait to hear SYNC or data on the group.
    pub sync_timeout: Duration,
    /// How long to wait for a sender to answer.
    pub sender_timeout: Duration,
    /// What the downlink carries, if known: it sits on no faster tier.
    pub downlink: Option<Rate>,
    /// The most bytes an object may have to be accepted.
    pub max_size: u64,
}

impl ReceiverConfig {
    /// The defaults for a target.
    pub fn new(id: ReceiverId, seed: u64, target: Target) -> ReceiverConfig {
        ReceiverConfig {
            id,
            seed,
            target,
            name: None,
            trust: Trust::First,
            sealed: false,
            via: None,
            one_way: false,
            sync_timeout: config::SYNC_TIMEOUT,
            sender_timeout: config::SENDER_TIMEOUT,
            downlink: None,
            max_size: u64::MAX,
        }
    }
}

/// How far an object has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectProgress {
    /// The object.
    pub object: ObjectKey,
    /// Its source symbols, table and hash pages included.
    pub symbols: u64,
    /// Those that are here.
    pub held: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Bytes verified and on disk.
    pub verified: u64,
    /// Complete and under its name.
    pub complete: bool,
}

/// A sender that was heard once and then falls silent for this long is looked for anew: it may have
/// been restarted, with another session.
const SENDER_SILENCE: Duration = Duration::from_secs(10);
/// A packet number, a time or a number of offers that the sender has not come to for so long was somebody else's: without a group
/// key any host can send one. Packets that overtake each other are milliseconds apart.
const BELIEVED: Duration = Duration::from_secs(1);
/// Most objects that a receiver takes from one session.
const MAX_OBJECTS: usize = 100_000;
/// Packets of a session come on as many channels as it has groups, and one of unicast.
const MAX_CHANNELS: usize = 2_048;
/// Most groups that it joins in one session.
const MAX_GROUPS: usize = 2_048;
/// Packets that wait to be sent. Every packet of a receiver is repeated until it has done its work,
/// so a full queue may drop.
const MAX_QUEUED: usize = 256;

/// The receiving end of a session: see the [module](crate::engine) for how to drive it.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    stats: ReceiverStats,
    rng: Rng,
    /// The sender that it follows.
    session: Option<Session>,
    /// When the sender, or before one is known the search for it, was last alive.
    heard_at: Time,
    /// When data of the session last came.
    data_at: Time,
    probe: Probe,
    course: Option<Course>,
    joining: Joining,
    seat: Seat,
    library: Library,
    /// The library's objects as the session sends them, by key.
    objects: Vec<ObjectRx>,
    channels: Vec<ChannelRx>,
    unicast: Option<UnicastRx>,
    /// Groups that the driver was told to join.
    groups: Vec<ChannelInfo>,
    /// The number of its next packet.
    counter: u64,
    largest_heard: u16,
    report_due: Option<Time>,
    backlog: Backlog,
    filled_since: Option<Time>,
    reported: Reported,
    nak_share: NakShare,
    outbox: VecDeque<(SocketAddr, PacketKind, Vec<u8>)>,
    commands: VecDeque<Command>,
    events: VecDeque<ReceiverEvent>,
    other_sessions: Vec<SessionId>,
    trusted: Trusted,
    /// It sends nothing: as told, or because the session has no way back.
    silent: bool,
    redirects: u8,
    /// What the sender said when it gave up on this receiver, and why it did.
    evicted: Option<(String, MoveCause)>,
    ended: bool,
}

/// The sender's session as it is known.
#[derive(Debug)]
struct Session {
    id: SessionId,
    /// Where it answers.
    address: SocketAddr,
    /// Since when it is followed.
    since: Time,
    /// The sender trusted has described something in it.
    vouched: bool,
    /// It has no way back.
    one_way: bool,
    cookie: Cookie,
    /// The last time of the sender's that was heard, and when.
    echo: Option<(u64, Time)>,
    timing: Timing,
    /// The sender knows us by number only, and serves us on its groups alone.
    unlisted: bool,
    /// The mean time between our reports, and when that was told. Short ones are for a search, in which it is told often: not
    /// told again it is believed for a second.
    report_interval: (Duration, Time),
    rate: Rate,
}

impl Receiver {
    /// A receiver that starts at `now`.
    pub fn new(config: ReceiverConfig, now: Time) -> Receiver {
        let mut rng = Rng::new(config.seed);
        let probe = match config.via {
            None if config.one_way => Probe::forced(false),
            None => Probe::new(config.sync_timeout),
            Some(via) => Probe::forced(via == Via::Unicast),
        };
        let mut receiver = Receiver {
            stats: ReceiverStats::default(),
            session: None,
            heard_at: now,
            data_at: now,
            probe,
            course: None,
            joining: Joining::new(now, config.target, &mut rng),
            seat: Seat::new(now),
            library: Library::new(),
            objects: Vec::new(),
            channels: Vec::new(),
            unicast: None,
            groups: Vec::new(),
            counter: 0,
            largest_heard: 0,
            report_due: None,
            backlog: Backlog::default(),
            filled_since: None,
            reported: Reported::at(now),
            nak_share: NakShare::default(),
            outbox: VecDeque::new(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            other_sessions: Vec::new(),
            trusted: Trusted::default(),
            silent: config.one_way,
            redirects: 0,
            evicted: None,
            ended: false,
            rng,
            config,
        };
        if let Target::Group { group, source } = receiver.config.target
            && receiver.config.via != Some(Via::Unicast)
        {
            let rate = Rate::from_bps(0);
            receiver.join(ChannelInfo {
                number: 0,
                tier: 0,
                group,
                source,
                rate,
                feedback: Feedback::Sender,
            });
        }
        receiver
    }

    fn join(&mut self, channel: ChannelInfo) {
        let same = |c: &ChannelInfo| c.group == channel.group && c.source == channel.source;
        if let Some(known) = self.groups.iter_mut().find(|c| same(c)) {
            let feedback = known.feedback;
            known.number = channel.number;
            known.rate = channel.rate;
            if feedback == channel.feedback || channel.feedback == Feedback::Sender {
                return;
            }
            known.feedback = channel.feedback;
        } else if self.groups.len() >= MAX_GROUPS {
            return self.stats.dropped.add(DropReason::Full);
        } else {
            self.groups.push(channel);
        }
        self.commands.push_back(Command::Join(channel));
    }

    /// An object has its place on disk, with these blocks verified from an earlier run; or it can't
    /// be kept.
    pub fn handle_opened(
        &mut self,
        now: Time,
        object: ObjectKey,
        result: Result<RangeSet, StoreFault>,
    ) {
        if !self.library.is_lacking(object) {
            return;
        }
        self.joining.disk_has_answered(now);
        match result {
            Ok(blocks) => {
                self.library.open(object, &blocks);
                let rx = &mut self.objects[object.0 as usize];
                for block in blocks.iter().flatten() {
                    rx.naks.filled(block as BlockNo);
                }
                self.finish_if_verified(object);
            }
            Err(fault) => self.fail(now, object, fault),
        }
    }

    /// A block has been hashed and is on disk, or not. A block whose expected hash is not known yet
    /// (its page has not come) is reported when it is.
    pub fn handle_checked(
        &mut self,
        now: Time,
        object: ObjectKey,
        block: BlockNo,
        result: Result<(), StoreFault>,
    ) {
        if !self.library.is_lacking(object) {
            return;
        }
        match result {
            Ok(()) => {
                for address in self.library.verify(now, object, block) {
                    self.events.push_back(ReceiverEvent::ShutOut { address });
                }
                self.finish_if_verified(object);
            }
            Err(fault) if fault.kind() == FaultKind::Mismatch => {
                let from = self.library.unverify(object, block);
                self.stats.bad_blocks += 1;
                self.events.push_back(ReceiverEvent::BadBlock {
                    object,
                    block,
                    from,
                });
                self.lack(now, object, block);
            }
            Err(fault) => self.fail(now, object, fault),
        }
    }

    /// A symbol that was to be stored was not: its page does not prove itself, or there was no room.
    pub fn handle_refused(&mut self, now: Time, object: ObjectKey, header: &DataHeader) {
        if self.library.is_lacking(object) {
            self.library.remove(object, header.block, header.symbol);
            self.lack(now, object, header.block);
        }
    }

    /// A block that was here is lacking after all: it is asked for like any other.
    fn lack(&mut self, now: Time, object: ObjectKey, block: BlockNo) {
        let timing = self.timing();
        let on_unicast = self.on_unicast();
        let rx = &mut self.objects[object.0 as usize];
        match &mut self.unicast {
            Some(path) if on_unicast => path.ask_soon(now, timing.grtt),
            // All that is lacking is told when the join is heard.
            _ if on_unicast || self.silent => {}
            _ => rx.naks.passed(now, block, timing, &mut self.rng),
        }
    }

    /// An object is under its name, or could not be put there.
    pub fn handle_finished(
        &mut self,
        now: Time,
        object: ObjectKey,
        result: Result<(), StoreFault>,
    ) {
        let Some(finishing) = self.library.get(object) else {
            return;
        };
        if finishing.state() != ObjectState::Finishing {
            return;
        }
        let coding = finishing.coding();
        match result {
            Ok(()) => {
                let outcome = Outcome::Complete;
                self.library.end(object, outcome);
                self.events.push_back(ReceiverEvent::Complete { object });
                self.announce_done(now, Done { coding, outcome });
            }
            Err(fault) => self.fail(now, object, fault),
        }
    }

    fn finish_if_verified(&mut self, object: ObjectKey) {
        if self.library.finish(object) {
            self.objects[object.0 as usize].naks.clear();
            self.commands.push_back(Command::Finish { object });
        }
    }

    fn fail(&mut self, now: Time, object: ObjectKey, fault: StoreFault) {
        let Some(failed) = self.library.get(object) else {
            return;
        };
        let coding = failed.coding();
        let reason = fault.to_string();
        let outcome = Outcome::Failed;
        self.library.end(object, outcome);
        self.objects[object.0 as usize].naks.clear();
        self.commands
            .push_back(Command::Abandon { object, keep: true });
        self.events
            .push_back(ReceiverEvent::Failed { object, reason });
        self.announce_done(now, Done { coding, outcome });
    }

    /// A group could not be joined. The receiver goes on by unicast.
    pub fn handle_join_failed(&mut self, now: Time, channel: &ChannelInfo) {
        self.groups.retain(|c| c.group != channel.group);
        let course = self.probe.cannot_join(now);
        self.take_course(now, course);
    }

    /// Tells the sender that it leaves, and then [`ReceiverEvent::Finished`].
    pub fn stop(&mut self, now: Time) {
        self.abandon_all(Outcome::Left);
        self.leave(now);
    }

    /// Gives up on all objects that have not ended; what came of them stays.
    fn abandon_all(&mut self, outcome: Outcome) {
        for rx in &mut self.objects {
            let object = rx.key;
            if !self.library.has_ended(object) {
                self.library.end(object, outcome);
                rx.naks.clear();
                self.commands
                    .push_back(Command::Abandon { object, keep: true });
            }
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.ended {
            return;
        }
        let course = self.probe.handle_timeout(now);
        self.take_course(now, course);
        self.send_due_naks(now);
        self.send_due_acks(now);
        self.end_due_round(now);
        self.send_due_report(now);
        self.send_due_requests(now);
        self.send_due_dones(now);
        self.watch_sender(now);
    }

    /// The receiver's path may have changed.
    fn take_course(&mut self, now: Time, course: Option<Course>) {
        let Some(course) = course else { return };
        let before = self.course.replace(course);
        if before == Some(course) {
            return;
        }
        self.events
            .push_back(ReceiverEvent::Path(PathChoice::from(course)));
        self.objects.iter_mut().for_each(ObjectRx::lose_position);
        if !course.is_unicast() {
            self.unicast = None;
        }
        let settles = before.is_none() && !course.is_unicast();
        if !settles {
            self.joining.must_join(now);
            if let Some(session) = &mut self.session {
                session.unlisted = false;
            }
        }
    }

    /// Objects of the session that something is lacking of.
    fn lacking(&self) -> impl Iterator<Item = (&ObjectRx, &Object)> {
        self.offered().filter(|(_, o)| o.is_lacking())
    }

    /// Objects of the session that have not ended.
    fn active(&self) -> impl Iterator<Item = (&ObjectRx, &Object)> {
        self.offered().filter(|(_, o)| !o.has_ended())
    }

    /// Objects of the session that are wanted, or were.
    fn offered(&self) -> impl Iterator<Item = (&ObjectRx, &Object)> {
        let object = |rx: &ObjectRx| self.library.get(rx.key);
        self.objects
            .iter()
            .filter_map(move |rx| Some((rx, object(rx)?)))
    }

    /// It is to be served by unicast.
    fn on_unicast(&self) -> bool {
        self.course.is_some_and(Course::is_unicast)
    }

    fn timing(&self) -> Timing {
        let unknown = Timing {
            k: config::K_SENDER_FEEDBACK,
            grtt: config::INITIAL_GRTT,
            receivers: 1,
        };
        self.session.as_ref().map_or(unknown, |s| s.timing)
    }

    /// What it may spend on NAKs, in bytes a second.
    fn own_share(&self) -> f64 {
        own_share(self.timing().receivers, self.channel_rate())
    }

    fn channel(&mut self, number: ChannelNo) -> &mut ChannelRx {
        if let Some(at) = self.channels.iter().position(|c| c.number == number) {
            return &mut self.channels[at];
        }
        if self.channels.len() >= MAX_CHANNELS {
            self.forget_channels();
        }
        self.channels.push(ChannelRx::new(number));
        let last = self.channels.len() - 1;
        &mut self.channels[last]
    }

    /// What was lost on them stays lost.
    fn forget_channels(&mut self) {
        self.stats.lost = self.lost();
        self.channels.clear();
    }

    /// Packets that did not come, since the start.
    fn lost(&self) -> u64 {
        self.stats.lost + self.channels.iter().map(|c| c.lost).sum::<u64>()
    }

    /// Queues a packet to `to`; gives its number.
    fn send(
        &mut self,
        now: Time,
        to: SocketAddr,
        channel: ChannelNo,
        body: ReceiverBody,
        kind: PacketKind,
    ) -> u64 {
        let counter = self.counter;
        self.counter += 1;
        let (session, cookie, echo) = match &self.session {
            Some(s) => {
                let held = |(sent_at, at)| Echo {
                    sent_at,
                    held: now.since(at),
                };
                let echo = s
                    .echo
                    .map(held)
                    .filter(|e| e.held < Duration::from_secs(3_600));
                (s.id, s.cookie, echo)
            }
            None => (SessionId(0), Cookie(0), None),
        };
        let packet = FromReceiver {
            channel,
            session,
            receiver: self.config.id,
            counter,
            cookie,
            echo,
            body,
        };
        if self.outbox.len() < MAX_QUEUED && !self.silent {
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            self.outbox.push_back((to, kind, bytes));
        }
        counter
    }

    /// Fills `burst` with the next control datagram to send; false when there is none.
    pub fn poll_transmit(&mut self, _now: Time, burst: &mut Burst) -> bool {
        let Some((to, kind, bytes)) = self.outbox.pop_front() else {
            return false;
        };
        self.stats.sent.add(kind, 1, bytes.len() as u64);
        burst.to = to;
        burst.link = Link::default();
        burst.kind = kind;
        burst.control = bytes;
        burst.run = None;
        burst.symbols.clear();
        true
    }

    /// The next thing to do beside sending.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ReceiverEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Receiver::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        if self.ended {
            return None;
        }
        let nak = self
            .lacking()
            .filter_map(|(rx, _)| rx.naks.next_due())
            .min();
        let nak = nak.map(|at| at.max(self.nak_share.next_at(self.own_share())));
        let unicast_nak = self.unicast.as_ref().and_then(|u| u.nak_due);
        let nak = nak.into_iter().chain(unicast_nak).min();
        let nak = nak.filter(|_| self.has_room());
        let looked_for = Some(self.followed_at() + SENDER_SILENCE);
        let silence = match self.session {
            _ if self.joining.is_leaving() => looked_for,
            Some(_) => looked_for.into_iter().chain(self.gives_up_at()).min(),
            None => self.gives_up_at(),
        };
        earliest([
            (nak, Timer::Nak),
            (self.unicast.as_ref().and_then(|u| u.ack_due), Timer::Ack),
            (self.probe.deadline(), Timer::Probe),
            (self.report_due, Timer::Report),
            (self.seat.due(), Timer::Rate),
            (self.joining.request_due(), Timer::Request),
            (self.joining.done_due(), Timer::Done),
            (silence, Timer::Silence),
        ])
    }

    /// Figures since the start.
    pub fn stats(&self) -> ReceiverStats {
        ReceiverStats {
            lost: self.lost(),
            bytes_verified: self.library.bytes_verified(),
            ..self.stats
        }
    }

    /// Addresses that had a part in blocks whose hash was wrong, and in how many; at most 16.
    pub fn bad_sources(&self) -> impl Iterator<Item = (SocketAddr, u64)> + '_ {
        self.library.sources().blamed()
    }

    /// How far each object has come.
    pub fn progress(&self) -> impl Iterator<Item = ObjectProgress> + '_ {
        self.library.iter().map(|(key, o)| ObjectProgress {
            object: key,
            symbols: o.geometry().total_symbols(),
            held: o.holdings().held(),
            length: o.geometry().length(),
            verified: o.bytes_verified(),
            complete: o.state() == ObjectState::Ended(Outcome::Complete),
        })
    }

    /// Blocks that the sender has passed and that something is lacking of.
    pub fn blocks_waiting(&self) -> usize {
        self.objects.iter().map(|rx| rx.naks.len()).sum()
    }

    /// What an object is said to be, also of one that was refused.
    pub fn description(&self, object: ObjectKey) -> Option<&Description> {
        self.library.description(object)
    }

    /// The coding of an object.
    pub fn coding(&self, object: ObjectKey) -> Option<ShortCodingId> {
        self.library.get(object).map(Object::coding)
    }

    /// What it was told at its start.
    pub fn config(&self) -> &ReceiverConfig {
        &self.config
    }

    /// Nothing more will be sent or asked for.
    pub fn is_finished(&self) -> bool {
        self.ended
    }
}

impl Course {
    fn is_unicast(self) -> bool {
        self != Course::Group
    }
}

impl From<Course> for PathChoice {
    fn from(course: Course) -> PathChoice {
        match course {
            Course::Group => PathChoice::Group,
            Course::UnicastAsked => PathChoice::UnicastAsked,
            Course::UnicastSilent => PathChoice::UnicastSilent,
            Course::UnicastNoData => PathChoice::UnicastNoData,
            Course::TooSlow => PathChoice::UnicastTooSlow,
            Course::Told => PathChoice::UnicastTold,
        }
    }
}
