//! What a session gives out: control datagrams, events, and figures of what was sent, received and
//! thrown away.

use core::net::SocketAddr;
use std::collections::VecDeque;

use crate::engine::sender::config::SenderConfig;
use crate::engine::sender::datagrams::Datagrams;
use crate::engine::{Burst, DropReason, Link, PacketKind, SenderEvent, SenderStats, ip_len};
use crate::ids::{ChannelNo, SessionId};
use crate::rate::Allowance;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{FromSender, SenderBody};

/// Share of the rate that answers to receivers may take, confirms included, whoever floods us: as
/// much as receivers take of it for their requests, which are longer.
const ANSWER_SHARE: f64 = 0.2;

/// Control datagrams and events that wait for the driver, and the session's figures.
#[derive(Debug)]
pub(super) struct Outbox {
    session: SessionId,
    one_way: bool,
    sealed: bool,
    datagrams: Datagrams,
    events: VecDeque<SenderEvent>,
    stats: SenderStats,
    /// Rate of all answers together.
    answer_rate: Rate,
    answers: Allowance,
}

impl Outbox {
    pub(super) fn new(config: &SenderConfig) -> Outbox {
        Outbox {
            session: config.session,
            one_way: config.one_way.is_some(),
            sealed: config.sealed,
            datagrams: Datagrams::default(),
            events: VecDeque::new(),
            stats: SenderStats::default(),
            answer_rate: config.rate.mul_f64(ANSWER_SHARE),
            answers: Allowance::default(),
        }
    }

    /// Puts a packet in line; gives its length, 0 if there is no room.
    pub(super) fn send(
        &mut self,
        to: SocketAddr,
        link: Link,
        channel: ChannelNo,
        body: SenderBody,
        kind: PacketKind,
    ) -> usize {
        let packet = FromSender {
            channel,
            session: self.session,
            one_way: self.one_way,
            body,
        };
        self.datagrams
            .push(to, link, kind, |out| packet.encode(out))
    }

    /// Puts a packet in line for a channel's group.
    pub(super) fn send_to_group(
        &mut self,
        (channel, group): (ChannelNo, SocketAddr),
        body: SenderBody,
        kind: PacketKind,
    ) {
        self.send(group, Link::GROUP, channel, body, kind);
    }

    /// Sends what somebody asked for, as long as all such answers stay within their share of the
    /// rate. An answer beyond it is left out: whoever needs it asks again.
    pub(super) fn reply(
        &mut self,
        now: Time,
        (to, link): (SocketAddr, Link),
        channel: ChannelNo,
        body: SenderBody,
        kind: PacketKind,
    ) {
        if !self.answers.is_open(now) {
            return self.dropped(DropReason::Full);
        }
        let len = self.send(to, link, channel, body, kind);
        let bytes = ip_len(to, len + kind.envelope(self.sealed));
        self.answers.sent(now, bytes, self.answer_rate);
    }

    /// Whether the share of answers has room for another.
    pub(super) fn may_reply(&self, now: Time) -> bool {
        self.answers.is_open(now)
    }

    /// Moves the next control datagram into `burst`; gives its IP bytes.
    pub(super) fn pop(&mut self, burst: &mut Burst) -> Option<u64> {
        if !self.datagrams.pop(burst) {
            return None;
        }
        let len = burst.control.len();
        self.stats.sent.add(burst.kind, 1, len as u64);
        Some(ip_len(burst.to, len + burst.kind.envelope(self.sealed)))
    }

    /// No control datagram waits.
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.datagrams.len() <= Datagrams::MAX
    }

    /// Puts an event in line for the application.
    pub(super) fn push_event(&mut self, event: SenderEvent) {
        self.events.push_back(event);
    }

    pub(super) fn pop_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    pub(super) fn stats(&self) -> &SenderStats {
        &self.stats
    }

    /// Counts a packet that was thrown away.
    pub(super) fn dropped(&mut self, reason: DropReason) {
        self.stats.dropped.add(reason);
    }

    /// Counts a packet that came, of `bytes` of UDP payload.
    pub(super) fn received(&mut self, kind: PacketKind, bytes: u64) {
        self.stats.received.add(kind, 1, bytes);
    }

    /// Counts data packets that leave, with their bytes of UDP payload.
    pub(super) fn sent_data(&mut self, kind: PacketKind, packets: u64, bytes: u64) {
        if kind == PacketKind::Repair {
            self.stats.repairs += packets;
        }
        self.stats.sent.add(kind, packets, bytes);
    }

    /// Counts a cycle that ended.
    pub(super) fn cycle_ended(&mut self) {
        self.stats.cycles += 1;
    }

    /// Notes how many receivers are not listed now.
    pub(super) fn count_unlisted(&mut self, unlisted: u32) {
        self.stats.most_unlisted = self.stats.most_unlisted.max(unlisted);
    }
}
