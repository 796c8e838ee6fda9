//! What becomes of a receiver that asks for too much, or takes too little. It is sent to unicast,
//! which has a share of its own; where that is not to be had, or would not do either, it has to
//! leave. `nak` and `rate` decide, this file gives them the figures.

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::sender::member::Eviction;
use crate::engine::sender::notices::notice;
use crate::engine::sender::serving::Serving;
use crate::engine::{Link, ObjectKey, PacketKind, SenderEvent};
use crate::ids::{ChannelNo, ReceiverId, ShortCodingId};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{MoveCause, Notice, NoticeCode, SenderBody};

/// How long a receiver that was told to leave the groups may go on to ask there: it has been told
/// again each time.
const LEAVING: Duration = Duration::from_secs(10);

impl Serving {
    /// A receiver reported that so much came on a channel: whether it is served on.
    pub(super) fn follow_lag(
        &mut self,
        now: Time,
        id: ReceiverId,
        number: ChannelNo,
        delivered: Rate,
    ) {
        let member = self.members.get_mut(id);
        let Some(member) = member.filter(|m| m.is_active()) else {
            return;
        };
        let sent = match (self.unicast.path(id), self.channels.find(number)) {
            (Some(path), _) if !path.is_idle() => part(self.unicast.rate(), self.unicast.counted()),
            (None, Some(channel)) => {
                let packet = self.session.usual_packet(channel.group());
                member.pass(now, channel.next_packet(), packet)
            }
            _ => Rate::ZERO,
        };
        if member.lags(now, delivered, sent, self.config.min_rate) {
            self.send_away(now, id, number, MoveCause::TooSlow);
        }
    }

    /// A receiver is too much for its groups: from now on it is served by unicast, or not at all.
    pub(super) fn send_away(
        &mut self,
        now: Time,
        id: ReceiverId,
        number: ChannelNo,
        cause: MoveCause,
    ) {
        let possible = self.unicast.has_number() && self.unicast_part() >= self.config.min_rate;
        let channel = self.channels.find(number);
        let tier = channel.and_then(|c| self.tiers.find_mut(c.tier()));
        if let Some(control) = tier.and_then(|t| t.control_mut()) {
            control.handle_fled(now, id);
        }
        let Some(member) = self.members.get(id) else {
            return;
        };
        if self.unicast.serves(id) || !possible {
            return self.evict(now, id, cause);
        }
        let ((address, link), tier) = (member.address(), member.tier());
        let mut objects = (0..self.offers.len() as u32).map(ObjectKey);
        let Some(wanted) = objects.find(|&key| member.lacks(key)) else {
            return;
        };
        // What it lacks it says when it is asked there.
        let packet_len = self.packet_len(address, wanted);
        self.unicast.open(now, id, packet_len, None);
        if let Some(member) = self.members.get_mut(id) {
            member.evict_from_groups(now, cause);
            member.restart_lag(now);
        }
        self.members.mark_stale();
        self.outbox.push_event(SenderEvent::Moved {
            receiver: id,
            unicast: true,
            tier: self.tiers.rate_of(tier),
            cause,
        });
        self.tell_eviction(now, address, link, id);
    }

    /// The rate that one more receiver on unicast would have.
    fn unicast_part(&self) -> Rate {
        let others = self.unicast.counted() + 1;
        // Unicast gets everything once nobody is left on a group.
        let rate = match self.members.active() > others {
            true => self.unicast.rate(),
            false => self.config.rate,
        };
        part(rate, others)
    }

    fn evict(&mut self, now: Time, id: ReceiverId, cause: MoveCause) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.evict(cause);
        let (address, link) = member.address();
        self.unicast.close(id);
        self.members.mark_stale();
        self.outbox.push_event(SenderEvent::Gone {
            receiver: id,
            cause,
            reason: self.in_words(cause),
        });
        self.tell_eviction(now, address, link, id);
    }

    /// One that was told to leave the groups has spoken there: it is told again, until that is
    /// enough.
    pub(super) fn handle_evicted(&mut self, now: Time, id: ReceiverId) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let (address, link) = member.address();
        match member.eviction() {
            Some(Eviction::FromGroups(cause, at)) if now.since(at) > LEAVING => {
                self.evict(now, id, cause)
            }
            Some(_) => self.tell_eviction(now, address, link, id),
            None => {}
        }
    }

    /// Tells a receiver what it is to do, if it may not do as it likes; a stranger may ask anew.
    pub(super) fn tell_eviction(&mut self, now: Time, to: SocketAddr, link: Link, id: ReceiverId) {
        let member = self.members.get(id);
        let (code, cause) = match member.map(|m| (m.eviction(), m.is_gone())) {
            Some((Some(Eviction::FromSession(cause)), _)) => (NoticeCode::Evicted, cause),
            Some((Some(Eviction::FromGroups(cause, _)), false)) => (NoticeCode::UseUnicast, cause),
            Some(_) => (NoticeCode::Evicted, MoveCause::Silent),
            None => (NoticeCode::Evicted, MoveCause::None),
        };
        let text = match cause {
            MoveCause::None => "not known here: ask again".to_owned(),
            cause => self.in_words(cause),
        };
        let body = SenderBody::Notice(Notice {
            cause,
            ..notice(code, id, ShortCodingId(0), &text)
        });
        self.outbox
            .reply(now, (to, link), 0, body, PacketKind::Notice);
    }

    fn in_words(&self, cause: MoveCause) -> String {
        match cause {
            MoveCause::TooSlow => {
                let least = self.config.min_rate;
                format!("it gets less than {least}, the least rate that is served here")
            }
            cause => cause.reason().to_owned(),
        }
    }
}

/// What each of `of` receivers has of a rate.
fn part(rate: Rate, of: usize) -> Rate {
    rate.mul_f64(1.0 / of.max(1) as f64)
}
