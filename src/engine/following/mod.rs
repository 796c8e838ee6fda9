//! One session that is heard: a part of a [`Receiver`](crate::engine::Receiver).
//!
//! A following knows where its sender is, what it offers and on which channels, how far it has come
//! in its cycle, and which path and tier suit. What is here it asks of the receiver's
//! [`Library`](crate::engine::Library), which it shares with other followings, and it asks its
//! sender for what the library lacks.
//!
//! * this file: what it holds, and what time does;
//! * parts, which know nothing of one another: [`session`], [`liveness`], [`path`], [`tier`],
//!   [`channel`], [`unicast`], [`object`], [`groups`], [`joining`] (with [`seen_offers`],
//!   [`dones`]), [`report`], [`needs`], [`spread`];
//! * what all followings of a receiver share: [`config`], [`outbox`], [`trust`], [`backlog`],
//!   handed over as a [`context`];
//! * what comes: [`data`], [`packets`], [`offers`], [`notices`], and which offers count
//!   ([`trusting`]);
//! * what goes: [`requests`], [`naks`], [`reporting`], [`leaving`];
//! * [`moves`] between tiers and paths; [`silence`] of the sender.

mod backlog;
mod channel;
mod config;
mod context;
mod data;
mod dones;
mod groups;
mod joining;
mod leaving;
mod limits;
mod liveness;
mod moves;
mod naks;
mod needs;
mod notices;
mod object;
mod offers;
mod outbox;
mod packets;
mod path;
mod report;
mod reporting;
mod requests;
mod seen_offers;
mod session;
mod silence;
mod spread;
mod tier;
mod trust;
mod trusting;
mod unicast;

pub use backlog::Backlog;
pub(crate) use backlog::Machine;
pub use config::{ReceiverConfig, Target, Trust};
pub(crate) use context::Context;
pub(crate) use limits::MAX_OBJECTS;
pub(crate) use notices::News;
pub(crate) use outbox::{FollowingNo, Outbox};
pub(crate) use trust::Trusted;

use core::net::SocketAddr;

use crate::assemble::SourceNo;
use crate::engine::following::channel::Channels;
use crate::engine::following::groups::Groups;
use crate::engine::following::joining::Joining;
use crate::engine::following::liveness::Liveness;
use crate::engine::following::object::Objects;
use crate::engine::following::path::Path;
use crate::engine::following::report::Reports;
use crate::engine::following::session::{Session, unknown_rate, unknown_timing};
use crate::engine::following::tier::TierPosition;
use crate::engine::following::unicast::UnicastRx;
use crate::engine::output::earliest;
use crate::engine::{Library, ObjectKey, PacketKind, Timer};
use crate::ids::{BlockNo, ChannelNo, Cookie, SessionId};
use crate::nak::{NakShare, Timing};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{ChannelInfo, Feedback, FromReceiver, ReceiverBody};

/// How a following ended.
#[derive(Debug)]
pub(crate) enum Over {
    /// All that is wanted has ended, and its sender knows or can't be told.
    Left,
    /// Nothing more can be had from its sender, for this reason.
    GaveUp(String),
}

/// One session that is heard.
#[derive(Debug)]
pub(crate) struct Following {
    no: FollowingNo,
    /// Number of its sender's address.
    source: SourceNo,
    /// The session, while a sender is known.
    session: Option<Session>,
    liveness: Liveness,
    path: Path,
    tier: TierPosition,
    channels: Channels,
    unicast: Option<UnicastRx>,
    objects: Objects,
    groups: Groups,
    joining: Joining,
    reports: Reports,
    nak_share: NakShare,
    /// It sends nothing: as told, or because the session has no way back.
    silent: bool,
    over: Option<Over>,
}

impl Following {
    /// A following that looks for its sender from now on.
    pub(crate) fn new(
        cx: &mut Context<'_>,
        no: FollowingNo,
        source: SourceNo,
        target: Target,
    ) -> Following {
        let mut following = Following {
            no,
            source,
            session: None,
            liveness: Liveness::new(cx.now),
            path: Path::new(cx.config),
            tier: TierPosition::new(cx.now),
            channels: Channels::default(),
            unicast: None,
            objects: Objects::default(),
            groups: Groups::new(no),
            joining: Joining::new(cx.now, target, cx.rng),
            reports: Reports::new(cx.now),
            nak_share: NakShare::default(),
            silent: cx.config.one_way,
            over: None,
        };
        if let Target::Group { group, source } = target
            && !cx.config.is_unicast_only()
        {
            let announcements = ChannelInfo {
                number: 0,
                tier: 0,
                group,
                source,
                rate: Rate::ZERO,
                feedback: Feedback::Sender,
            };
            following.groups.join(announcements, cx.out, cx.stats);
        }
        following
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        let choice = self.path.probe().handle_timeout(cx.now);
        self.take_path(cx, choice);
        self.send_due_naks(cx);
        self.send_due_acks(cx);
        self.end_due_round(cx);
        self.send_due_report(cx);
        self.send_due_requests(cx);
        self.send_due_dones(cx);
        self.watch_sender(cx);
    }

    /// When [`handle_timeout`](Following::handle_timeout) is due, and why.
    pub(crate) fn next_timeout(
        &self,
        config: &ReceiverConfig,
        library: &Library,
        machine: &Machine,
    ) -> Option<(Time, Timer)> {
        let ack = self.unicast.as_ref().and_then(|u| u.ack_due);
        let nak = self.nak_due(library).filter(|_| machine.has_room());
        let silence = self.silence_due(library, config.sender_timeout);
        earliest([
            (nak, Timer::Nak),
            (ack, Timer::Ack),
            (self.path.deadline(), Timer::Probe),
            (self.reports.due(), Timer::Report),
            (self.tier.due(), Timer::Rate),
            (self.joining.request_due(), Timer::Request),
            (self.joining.dones().due(), Timer::Done),
            (silence, Timer::Silence),
        ])
    }

    /// Queues a packet to `to`, unless it is silent; gives its number.
    fn send(
        &self,
        cx: &mut Context<'_>,
        to: SocketAddr,
        channel: ChannelNo,
        body: ReceiverBody,
        kind: PacketKind,
    ) -> u64 {
        let counter = cx.out.next_counter();
        if self.silent {
            return counter;
        }
        let session = self.session.as_ref();
        let packet = FromReceiver {
            channel,
            session: session.map_or(SessionId(0), Session::id),
            receiver: cx.config.id,
            counter,
            cookie: session.map_or(Cookie(0), Session::cookie),
            echo: session.and_then(|s| s.echo(cx.now)),
            body,
        };
        cx.out.send(self.no, to, kind, &packet);
        counter
    }

    /// Where its sender answers, once one is known.
    fn sender(&self) -> Option<SocketAddr> {
        self.session.as_ref().map(Session::address)
    }

    fn timing(&self) -> Timing {
        let session = self.session.as_ref();
        session.map_or_else(unknown_timing, Session::timing)
    }

    fn session_rate(&self) -> Rate {
        let session = self.session.as_ref();
        session.map_or_else(unknown_rate, Session::rate)
    }

    /// It follows this session.
    pub(crate) fn follows(&self, id: SessionId) -> bool {
        self.session.as_ref().is_some_and(|s| s.id() == id)
    }

    /// The sender trusted has described something in its session.
    pub(crate) fn is_vouched(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_vouched)
    }

    /// It looks for its sender.
    pub(crate) fn is_searching(&self) -> bool {
        self.session.is_none()
    }

    /// It looks for its sender at this address.
    pub(crate) fn asks(&self, host: SocketAddr) -> bool {
        matches!(self.joining.target(), Target::Host(asked) if asked == host)
    }

    /// How it ended, if it has.
    pub(crate) fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    /// Only strangers were met since its sender was last known to be the right one.
    pub(crate) fn is_estranged(&self) -> bool {
        self.liveness.is_estranged()
    }

    /// Its receiver sends nothing to it.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Its session offers an object.
    pub(crate) fn offers(&self, key: ObjectKey) -> bool {
        self.objects.has(key)
    }

    /// It listens to a group.
    pub(crate) fn listens_to(&self, group: SocketAddr) -> bool {
        self.groups.has(group)
    }

    /// An object has its place on disk, or can't have one.
    pub(crate) fn disk_has_answered(&mut self, now: Time) {
        self.joining.disk_has_answered(now);
    }

    /// A block is here as a whole: it need not be asked for.
    pub(crate) fn filled(&mut self, key: ObjectKey, block: BlockNo) {
        self.objects.filled(key, block);
    }

    /// Nothing of an object is to be asked for any more.
    pub(crate) fn ask_nothing(&mut self, key: ObjectKey) {
        self.objects.ask_nothing(key);
    }

    /// Leaves all groups: it is over while others go on.
    pub(crate) fn leave_groups(&mut self, out: &mut Outbox) {
        self.groups.leave(|_| true, out);
    }

    /// Blocks that its sender has passed and that something is lacking of.
    pub(crate) fn blocks_waiting(&self) -> usize {
        self.objects.waiting()
    }

    /// Packets that did not come, since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.channels.lost()
    }

    /// Whether every table and set is within its cap.
    ///
    /// # Errors
    /// What is not so.
    pub(crate) fn check_bounds(&self) -> Result<(), &'static str> {
        match () {
            () if !self.channels.is_bounded() => Err("too many channels are known"),
            () if !self.groups.is_bounded() => Err("too many groups are joined"),
            () if !self.objects.is_bounded() => Err("too many blocks wait to be asked for"),
            () => self.joining.check_bounds(),
        }
    }
}
