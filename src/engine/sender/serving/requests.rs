//! What receivers say: who may be listened to, and who asks for what. Joins and dones are in
//! [`joining`](super::joining), what is lacked in [`answers`](super::answers).

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::sender::join::Join;
use crate::engine::sender::notices::{heard, notice};
use crate::engine::sender::serving::Serving;
use crate::engine::{DropReason, Link, ObjectKey, PacketKind, SenderEvent};
use crate::envelope::Refused;
use crate::ids::{ChannelNo, Cookie, ReceiverId, SessionId, ShortCodingId};
use crate::time::Time;
use crate::wire::{
    self, Ack, Challenge, Echo, FromReceiver, NoticeCode, Packet, ReceiverBody, Request,
    SenderBody, Stage, Wanted,
};

/// Offers in one answer to a request for all.
const OFFERS_PER_ANSWER: usize = 16;

impl Serving {
    /// A datagram came from `from` on the socket `link`.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        link: Link,
        datagram: &[u8],
    ) {
        let packet = match wire::parse(datagram) {
            Ok(Packet::FromReceiver(packet)) => packet,
            Ok(Packet::Data(header, _)) => return self.handle_other_sender(header.session, from),
            Ok(Packet::FromSender(other)) => return self.handle_other_sender(other.session, from),
            Err(error) => return self.outbox.dropped(error.into()),
        };
        let kind = match &packet.body {
            ReceiverBody::Request(_) => PacketKind::Request,
            ReceiverBody::Nak(_) => PacketKind::Nak,
            ReceiverBody::Report(_) => PacketKind::Report,
            ReceiverBody::Ack(_) => PacketKind::Ack,
            ReceiverBody::Done(_) => PacketKind::Done,
        };
        self.outbox.received(kind, datagram.len() as u64);
        if self.session.one_way {
            // Whoever speaks does not know yet what it will hear on the group: there is no way
            // back.
            return self.outbox.dropped(DropReason::NotWanted);
        }
        if !self.lifecycle.is_over() {
            self.notice_absence(now);
            self.handle_packet(now, from, link, packet);
            self.update(now);
        }
    }

    /// A datagram came that the group's envelopes refuse: it is counted.
    pub(crate) fn handle_unopened(&mut self, refused: Refused) {
        self.outbox.dropped(refused.into());
    }

    fn handle_other_sender(&mut self, session: SessionId, address: SocketAddr) {
        if session == self.session.id {
            return self.outbox.dropped(DropReason::WrongEnd);
        }
        self.outbox.dropped(DropReason::OtherSession);
        if self.other_sessions.handle(session) {
            let event = SenderEvent::OtherSession { session, address };
            self.outbox.push_event(event);
        }
    }

    fn handle_packet(&mut self, now: Time, from: SocketAddr, link: Link, packet: FromReceiver) {
        let id = packet.receiver;
        let request = matches!(packet.body, ReceiverBody::Request(_));
        if packet.session != self.session.id && !request {
            return self.outbox.dropped(DropReason::OtherSession);
        }
        // Before the cookie has come back nothing is opened, woken, counted or repaired, and the
        // answer is shorter than any packet of a receiver.
        if packet.cookie != self.cookie(from, id) {
            self.outbox.dropped(DropReason::Cookie);
            return self.challenge(now, from, link, id);
        }
        // What was sent before an absence of ours came back to a socket that nobody read.
        let echo = packet.echo;
        let echo = echo.filter(|echo| self.absence.is_since(echo.sent_at));
        let rtt = echo.and_then(|echo| round_trip(now, echo));
        if let ReceiverBody::Request(request) = &packet.body {
            return self.handle_request(now, (from, link), &packet, request, rtt);
        }
        let patience = self.members.patience();
        let Some(member) = self.members.get_mut(id).filter(|m| !m.is_gone()) else {
            return self.handle_stranger(now, from, link, &packet, rtt);
        };
        if !member.is_fresh(packet.counter) {
            return self.outbox.dropped(DropReason::Replayed);
        }
        member.heard(now, from, link, patience);
        if let Some(path) = self.unicast.path_mut(id) {
            path.heard(0);
        } else if let Some(rtt) = rtt {
            self.grtt.sample(now, rtt);
        }
        match packet.body {
            ReceiverBody::Request(_) => {}
            ReceiverBody::Nak(nak) => self.handle_nak(now, id, packet.channel, &nak),
            ReceiverBody::Report(report) => self.handle_report(now, id, packet.channel, report),
            ReceiverBody::Ack(ack) => self.handle_ack(now, id, packet.channel, &ack),
            ReceiverBody::Done(done) => {
                self.handle_done(now, id, &done);
                self.acknowledge(now, id, Some(packet.channel), packet.counter);
            }
        }
    }

    /// Someone speaks who is not known (any more). A done is heard all the same, so that the
    /// receiver can leave in peace; anyone else is not listed or is to ask anew.
    fn handle_stranger(
        &mut self,
        now: Time,
        from: SocketAddr,
        link: Link,
        packet: &FromReceiver,
        rtt: Option<Duration>,
    ) {
        let id = packet.receiver;
        let is_known = self.members.contains(id);
        let ReceiverBody::Done(done) = &packet.body else {
            let heard = !is_known && self.hear_unlisted(now, packet, rtt);
            if !heard || self.members.may_have_room() {
                self.tell_eviction(now, from, link, id);
            }
            return;
        };
        let all = done.iter().any(|d| d.coding == ShortCodingId(0));
        if all && !is_known {
            self.leave_unlisted(now, packet);
        }
        let body = SenderBody::Heard(vec![heard(id, packet.counter)]);
        self.outbox
            .reply(now, (from, link), 0, body, PacketKind::Heard);
    }

    pub(crate) fn cookie(&self, from: SocketAddr, id: ReceiverId) -> Cookie {
        let mut hasher = blake3::Hasher::new_keyed(&self.config.secret);
        match from {
            SocketAddr::V4(a) => hasher.update(&a.ip().octets()),
            SocketAddr::V6(a) => hasher.update(&a.ip().octets()),
        };
        hasher.update(&from.port().to_be_bytes());
        hasher.update(&id.0.to_be_bytes());
        let mut cookie = [0; 8];
        hasher.finalize_xof().fill(&mut cookie);
        // 0 means none.
        Cookie(u64::from_be_bytes(cookie).max(1))
    }

    fn challenge(&mut self, now: Time, to: SocketAddr, link: Link, id: ReceiverId) {
        let body = SenderBody::Challenge(Challenge {
            receiver: id,
            cookie: self.cookie(to, id),
            sent_at: now.as_nanos().max(1),
        });
        self.outbox
            .reply(now, (to, link), 0, body, PacketKind::Challenge);
    }

    fn handle_request(
        &mut self,
        now: Time,
        (from, link): (SocketAddr, Link),
        packet: &FromReceiver,
        request: &Request,
        rtt: Option<Duration>,
    ) {
        if packet.session != self.session.id {
            // It knows another session, or none: it learns of ours with its cookie.
            if packet.session != SessionId(0) {
                return self.challenge(now, from, link, packet.receiver);
            }
            if request.stage != Stage::Ask {
                return self.outbox.dropped(DropReason::OtherSession);
            }
        }
        let wanted = self.offers.resolve(&request.wanted);
        if wanted.is_empty() {
            return self.handle_unmet(now, (from, link), packet.receiver, &request.wanted);
        }
        self.send_wanted(now, (from, link), request, &wanted);
        if request.stage != Stage::Ask {
            let join = Join {
                from,
                link,
                packet,
                request,
                wanted: &wanted,
                rtt,
            };
            self.handle_join(now, &join);
        }
    }

    /// Answers a request with offers of what it asks for.
    fn send_wanted(
        &mut self,
        now: Time,
        to: (SocketAddr, Link),
        request: &Request,
        wanted: &[ObjectKey],
    ) {
        let asks = request.stage == Stage::Ask;
        let (everything, first) = match request.wanted {
            Wanted::All { from } => (true, from as usize),
            _ => (false, 0),
        };
        if !asks && !everything {
            return;
        }
        for &object in wanted.iter().skip(first).take(OFFERS_PER_ANSWER) {
            if self.channels.are_shared() || !everything || !asks {
                self.open_channel(now, object, 0);
            }
            let offer = self.make_offer(now, object);
            self.outbox.reply(now, to, 0, offer, PacketKind::Offer);
        }
        if asks
            && everything
            && first >= wanted.len()
            && let Some(&last) = wanted.last()
        {
            // It knows all there is; this tells it whether more is to come.
            let offer = self.make_offer(now, last);
            self.outbox.reply(now, to, 0, offer, PacketKind::Offer);
        }
    }

    /// Nothing on offer is what was asked for.
    fn handle_unmet(
        &mut self,
        now: Time,
        (from, link): (SocketAddr, Link),
        id: ReceiverId,
        wanted: &Wanted,
    ) {
        if self.lifecycle.is_preparing() || matches!(wanted, Wanted::All { .. }) {
            // It will ask again; this tells it that a sender is here.
            return self.challenge(now, from, link, id);
        }
        let code = match self.config.elsewhere.is_empty() {
            true => NoticeCode::NotFound,
            false => NoticeCode::Elsewhere,
        };
        let text = match wanted {
            Wanted::Name(name) => self.offers.refusal(name),
            _ => "what was asked for is not on offer any more".to_owned(),
        };
        let mut answer = notice(code, id, ShortCodingId(0), &text);
        answer.addresses = self.config.elsewhere.iter().copied().take(8).collect();
        let body = SenderBody::Notice(answer);
        self.outbox
            .reply(now, (from, link), 0, body, PacketKind::Notice);
    }

    fn handle_ack(&mut self, now: Time, id: ReceiverId, channel: ChannelNo, ack: &Ack) {
        let path = self.unicast.path_mut(id);
        if let Some(path) = path.filter(|p| p.channel() == channel) {
            path.handle_ack(now, ack);
        }
    }

    /// IP bytes of a data packet of the object.
    pub(super) fn packet_len(&self, to: SocketAddr, object: ObjectKey) -> u64 {
        let symbol_size = self.offers.get(object).geometry().symbol_size();
        self.session.packet_len(to, symbol_size)
    }
}

/// The round trip that an echo shows; none when it can't be true.
fn round_trip(now: Time, echo: Echo) -> Option<Duration> {
    let since = now.as_nanos().checked_sub(echo.sent_at)?;
    let rtt = Duration::from_nanos(since).checked_sub(echo.held)?;
    (rtt <= crate::config::MAX_GRTT).then_some(rtt)
}
