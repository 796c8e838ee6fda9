//! The receiving end: a library that is filled, and the sessions that are followed for it.
//!
//! * this file: what it holds, how it is driven, and plain getters;
//! * [`arrivals`]: what comes from the network, and which following it is for;
//! * [`disk`]: what came of commands to the disk, and how objects end;
//! * [`bounds`]: caps, for tests.

mod arrivals;
mod bounds;
mod disk;

use core::net::SocketAddr;

use crate::assemble::SENDER;
use crate::engine::following::{Context, Following, Machine, Outbox, Over, Trusted};
use crate::engine::{
    Backlog, Burst, Change, Command, Library, Link, Object, ObjectKey, ObjectState, ReceiverConfig,
    ReceiverEvent, ReceiverStats, Target, Timer,
};
use crate::ids::ShortCodingId;
use crate::object::Description;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::{ChannelInfo, MoveCause, Outcome};

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

/// Most sessions that a receiver follows.
const MAX_FOLLOWINGS: usize = 8;

/// The receiving end of one or more sessions: see the [module](crate::engine) for how to drive it.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    stats: ReceiverStats,
    rng: Rng,
    library: Library,
    /// One at least.
    followings: Vec<Following>,
    trusted: Trusted,
    machine: Machine,
    out: Outbox,
    /// What a sender said when it gave up on this receiver, and why it did.
    evicted: Option<(String, MoveCause)>,
    ended: bool,
}

impl Receiver {
    /// A receiver that starts at `now`.
    pub fn new(config: ReceiverConfig, now: Time) -> Receiver {
        let target = config.target;
        let mut receiver = Receiver {
            stats: ReceiverStats::default(),
            rng: Rng::new(config.seed),
            library: Library::new(),
            followings: Vec::new(),
            trusted: Trusted::default(),
            machine: Machine::default(),
            out: Outbox::default(),
            evicted: None,
            ended: false,
            config,
        };
        receiver.add_following(now, SENDER, target);
        receiver
    }

    /// Follows one more sender, with all else as it was told at its start: what both offer is taken
    /// from both. False if it has ended, or follows 8 already.
    pub fn follow(&mut self, now: Time, target: Target) -> bool {
        if self.ended || self.followings.len() >= MAX_FOLLOWINGS {
            return false;
        }
        let source = self.library.sources_mut().add_sender();
        self.add_following(now, source, target);
        true
    }

    fn add_following(&mut self, now: Time, source: u8, target: Target) {
        let no = self.followings.len() as u8;
        let (mut cx, followings) = self.parts(now);
        let following = Following::new(&mut cx, no, source, target);
        followings.push(following);
    }

    /// What followings are handed, and the followings.
    fn parts(&mut self, now: Time) -> (Context<'_>, &mut Vec<Following>) {
        let context = Context {
            now,
            rng: &mut self.rng,
            config: &self.config,
            library: &mut self.library,
            trusted: &mut self.trusted,
            machine: &self.machine,
            out: &mut self.out,
            stats: &mut self.stats,
        };
        (context, &mut self.followings)
    }

    /// Does something with each following that goes on.
    fn each(&mut self, now: Time, mut act: impl FnMut(&mut Following, &mut Context<'_>)) {
        let (mut cx, followings) = self.parts(now);
        for following in followings.iter_mut().filter(|f| f.over().is_none()) {
            act(following, &mut cx);
        }
    }

    /// A group could not be joined. The receiver goes on by unicast.
    pub fn handle_join_failed(&mut self, now: Time, channel: &ChannelInfo) {
        self.out.join_failed(channel.group);
        let only = self.followings.len() == 1;
        self.each(now, |following, cx| {
            if only || following.listens_to(channel.group) {
                following.join_failed(cx, channel);
            }
        });
    }

    /// How far the driver's buffers are behind what comes; to be told at reports
    /// ([`Timer::Report`]), and every few milliseconds while something waits.
    pub fn set_backlog(&mut self, now: Time, backlog: Backlog) {
        self.machine.hear(now, backlog);
        self.each(now, |following, cx| following.hear_backlog(cx));
    }

    /// Tells the senders that it leaves, and then [`ReceiverEvent::Finished`].
    pub fn stop(&mut self, now: Time) {
        self.abandon_all(Outcome::Left);
        self.each(now, |following, cx| following.leave(cx));
        self.settle();
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.ended {
            return;
        }
        self.each(now, |following, cx| following.handle_timeout(cx));
        self.settle();
    }

    /// Ends when all followings are over.
    fn settle(&mut self) {
        if self.ended {
            return;
        }
        let has_left = |f: &Following| matches!(f.over(), Some(Over::Left));
        let any_left = self.followings.iter().any(has_left);
        // Nobody needs to be found any more once all is here.
        let is_needless = any_left && self.library.has_all_ended();
        let goes_on = |f: &Following| f.over().is_none() && !(is_needless && f.is_searching());
        if self.followings.iter().any(goes_on) {
            for following in self.followings.iter_mut().filter(|f| f.over().is_some()) {
                following.leave_groups(&mut self.out);
            }
        } else if any_left && self.library.has_all_ended() {
            self.end_in_peace();
        } else {
            self.give_up();
        }
    }

    fn end_in_peace(&mut self) {
        self.ended = true;
        self.out.event(match self.evicted.take() {
            Some((reason, cause)) => ReceiverEvent::GaveUp {
                reason,
                evicted: Some(cause),
            },
            None => ReceiverEvent::Finished,
        });
    }

    /// Nothing more can be had from any sender.
    fn give_up(&mut self) {
        let reason = |f: &Following| match f.over() {
            Some(Over::GaveUp(reason)) => Some(reason.clone()),
            _ => None,
        };
        let reasons: Vec<String> = self.followings.iter().filter_map(reason).collect();
        let mut reason = reasons.join("; ");
        if self.followings.iter().all(Following::is_silent) {
            reason += &self.say_what_lacks();
        }
        if self.followings.iter().all(Following::is_estranged) {
            reason += &self.trusted.say_whom_met(self.config.trust);
        }
        self.abandon_all(Outcome::Failed);
        self.ended = true;
        self.out.drop_packets();
        self.out.event(ReceiverEvent::GaveUp {
            reason,
            evicted: None,
        });
    }

    /// What is lacking, for people, where nobody can be asked for it.
    fn say_what_lacks(&self) -> String {
        let lacking = self.library.iter().filter(|(_, o)| !o.has_ended());
        let words: Vec<String> = lacking
            .map(|(_, o)| {
                let (lacks, blocks) = (o.blocks_lacking(), o.geometry().blocks());
                format!("{lacks} of {blocks} blocks of {}", o.description().name)
            })
            .take(10)
            .collect();
        if words.is_empty() {
            return String::new();
        }
        format!(
            "; {} lack something and nobody can be asked for it: receive again while the sender loops",
            words.join(", ")
        )
    }

    /// Fills `burst` with the next control datagram to send; false when there is none.
    pub fn poll_transmit(&mut self, _now: Time, burst: &mut Burst) -> bool {
        let Some(packet) = self.out.next_packet() else {
            return false;
        };
        let len = packet.bytes.len() as u64;
        self.stats.sent.add(packet.kind, 1, len);
        burst.to = packet.to;
        burst.link = Link::default();
        burst.kind = packet.kind;
        burst.control = packet.bytes;
        burst.run = None;
        burst.symbols.clear();
        true
    }

    /// The next thing to do beside sending.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.out.next_command()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ReceiverEvent> {
        self.out.next_event()
    }

    /// When to call [`handle_timeout`](Receiver::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        if self.ended {
            return None;
        }
        let alive = self.followings.iter().filter(|f| f.over().is_none());
        let next = |f: &Following| f.next_timeout(&self.config, &self.library, &self.machine);
        alive.filter_map(next).min_by_key(|&(at, _)| at)
    }

    /// Figures since the start.
    pub fn stats(&self) -> ReceiverStats {
        ReceiverStats {
            lost: self.followings.iter().map(Following::lost).sum(),
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

    /// Blocks that a sender has passed and that something is lacking of.
    pub fn blocks_waiting(&self) -> usize {
        self.followings.iter().map(Following::blocks_waiting).sum()
    }

    /// What an object is said to be, also of one that was refused.
    pub fn description(&self, object: ObjectKey) -> Option<&Description> {
        self.library.description(object)
    }

    /// The coding of an object.
    pub fn coding(&self, object: ObjectKey) -> Option<ShortCodingId> {
        self.library.get(object).map(Object::coding)
    }

    /// What is here.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Keeps changes of the library from now on, for an [`Edge`](crate::engine::Edge).
    pub fn watch(&mut self) {
        self.library.watch();
    }

    /// What has changed in the library since this was last asked, if changes are kept.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.library.take_changes()
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
