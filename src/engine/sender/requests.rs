//! What receivers say: who may be listened to, and who asks for what. Joins and dones are in [`joining`](super::joining),
//! what is lacked in [`repairs`](super::repairs).

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::sender::joining::Join;
use crate::engine::sender::{OFFERS_PER_ANSWER, Sender, heard, notice};
use crate::engine::{DropReason, Link, ObjectKey, PacketKind, SenderEvent, ip_len};
use crate::envelope::Refused;
use crate::ids::{ChannelNo, Cookie, ReceiverId, SessionId, ShortCodingId};
use crate::time::Time;
use crate::wire::{
    self, Ack, Challenge, Echo, FromReceiver, NoticeCode, Packet, ReceiverBody, Request,
    SenderBody, Stage, Wanted,
};

impl Sender {
    /// A datagram came from `from` on the socket `link`.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, link: Link, datagram: &[u8]) {
        let packet = match wire::parse(datagram) {
            Ok(Packet::FromReceiver(packet)) => packet,
            Ok(Packet::Data(header, _)) => return self.handle_other_sender(header.session, from),
            Ok(Packet::FromSender(other)) => return self.handle_other_sender(other.session, from),
            Err(error) => return self.stats.dropped.add(error.into()),
        };
        let kind = match &packet.body {
            ReceiverBody::Request(_) => PacketKind::Request,
            ReceiverBody::Nak(_) => PacketKind::Nak,
            ReceiverBody::Report(_) => PacketKind::Report,
            ReceiverBody::Ack(_) => PacketKind::Ack,
            ReceiverBody::Done(_) => PacketKind::Done,
        };
        self.stats.received.add(kind, 1, datagram.len() as u64);
        if self.config.one_way.is_some() {
            // Whoever speaks does not know yet what it will hear on the group: there is no way back.
            return self.stats.dropped.add(DropReason::NotWanted);
        }
        if !self.finished {
            self.notice_absence(now);
            self.handle_packet(now, from, link, packet);
            self.update(now);
        }
    }

    /// A datagram came that the group's envelopes refuse: it is counted.
    pub fn handle_unopened(&mut self, refused: Refused) {
        self.stats.dropped.add(refused.into());
    }

    fn handle_other_sender(&mut self, session: SessionId, address: SocketAddr) {
        const REMEMBERED: usize = 16;
        if session == self.config.session {
            return self.stats.dropped.add(DropReason::WrongEnd);
        }
        self.stats.dropped.add(DropReason::OtherSession);
        if self.other_sessions.len() < REMEMBERED && !self.other_sessions.contains(&session) {
            self.other_sessions.push(session);
            self.events
                .push_back(SenderEvent::OtherSession { session, address });
        }
    }

    fn handle_packet(&mut self, now: Time, from: SocketAddr, link: Link, packet: FromReceiver) {
        let id = packet.receiver;
        let request = matches!(packet.body, ReceiverBody::Request(_));
        if packet.session != self.config.session && !request {
            return self.stats.dropped.add(DropReason::OtherSession);
        }
        // Before the cookie has come back nothing is opened, woken, counted or repaired, and the
        // answer is shorter than any packet of a receiver.
        if packet.cookie != self.cookie(from, id) {
            self.stats.dropped.add(DropReason::Cookie);
            return self.challenge(now, from, link, id);
        }
        // What was sent before an absence of ours came back to a socket that nobody read.
        let echo = packet.echo;
        let echo = echo.filter(|echo| echo.sent_at >= self.absent_until.as_nanos());
        let rtt = echo.and_then(|echo| round_trip(now, echo));
        if let ReceiverBody::Request(request) = &packet.body {
            return self.handle_request(now, from, link, &packet, request, rtt);
        }
        let Some(member) = self.roster.members.get_mut(&id).filter(|m| !m.gone) else {
            return self.handle_stranger(now, from, link, &packet, rtt);
        };
        if !member.is_fresh(packet.counter) {
            return self.stats.dropped.add(DropReason::Replayed);
        }
        member.heard(now, from, link, self.patience);
        if let Some(path) = &mut member.unicast {
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

    /// Someone speaks who is not known (any more). A done is heard all the same, so that the receiver
    /// can leave in peace; anyone else is one of the crowd or is to ask anew.
    fn handle_stranger(
        &mut self,
        now: Time,
        from: SocketAddr,
        link: Link,
        packet: &FromReceiver,
        rtt: Option<Duration>,
    ) {
        let id = packet.receiver;
        let (body, kind) = match &packet.body {
            ReceiverBody::Done(done) => {
                let all = done.iter().any(|d| d.coding == ShortCodingId(0));
                if all && !self.roster.members.contains_key(&id) {
                    self.leave_crowd(now, packet);
                }
                let heard = heard(id, packet.counter);
                (SenderBody::Heard(vec![heard]), PacketKind::Heard)
            }
            _ => {
                let gone = self.roster.members.contains_key(&id);
                let heard = !gone && self.hear_crowd(now, packet, rtt);
                if !heard || self.roster.may_have_room(self.config.roster) {
                    self.tell_exile(now, from, link, id);
                }
                return;
            }
        };
        self.reply(now, (from, link), 0, body, kind);
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
        let body = Challenge {
            receiver: id,
            cookie: self.cookie(to, id),
            sent_at: now.as_nanos().max(1),
        };
        self.reply(
            now,
            (to, link),
            0,
            SenderBody::Challenge(body),
            PacketKind::Challenge,
        );
    }

    fn handle_request(
        &mut self,
        now: Time,
        from: SocketAddr,
        link: Link,
        packet: &FromReceiver,
        request: &Request,
        rtt: Option<Duration>,
    ) {
        if packet.session != self.config.session {
            // It knows another session, or none: it learns of ours with its cookie.
            if packet.session != SessionId(0) {
                return self.challenge(now, from, link, packet.receiver);
            }
            if request.stage != Stage::Ask {
                return self.stats.dropped.add(DropReason::OtherSession);
            }
        }
        let wanted = self.resolve(&request.wanted);
        if wanted.is_empty() {
            return self.handle_unmet(now, from, link, packet.receiver, &request.wanted);
        }
        let everything = matches!(request.wanted, Wanted::All { .. });
        if request.stage == Stage::Ask || everything {
            let from_index = if let Wanted::All { from } = request.wanted {
                from as usize
            } else {
                0
            };
            for &key in wanted.iter().skip(from_index).take(OFFERS_PER_ANSWER) {
                if self.shares_channels() || !everything || request.stage != Stage::Ask {
                    self.open_channel(now, key, 0);
                }
                let offer = self.make_offer(now, key);
                self.reply(now, (from, link), 0, offer, PacketKind::Offer);
            }
            if request.stage == Stage::Ask
                && everything
                && from_index >= wanted.len()
                && let Some(&last) = wanted.last()
            {
                // It knows all there is; this tells it whether more is to come.
                let offer = self.make_offer(now, last);
                self.reply(now, (from, link), 0, offer, PacketKind::Offer);
            }
        }
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

    /// The objects on offer that a request asks for.
    fn resolve(&self, wanted: &Wanted) -> Vec<ObjectKey> {
        let live = self
            .objects
            .iter()
            .enumerate()
            .filter(|(_, o)| o.withdrawn.is_none());
        let live = live.map(|(key, o)| (ObjectKey(key as u32), o));
        match wanted {
            Wanted::All { .. } => live.map(|(key, _)| key).collect(),
            Wanted::Name(name) => {
                let named = |full: &str| full == name || full.rsplit('/').next() == Some(name);
                live.filter(|(_, o)| named(&o.description.name))
                    .map(|(key, _)| key)
                    .collect()
            }
            Wanted::Codings(codings) => codings
                .iter()
                .filter_map(|c| self.by_coding.get(c).copied())
                .collect(),
        }
    }

    /// Nothing on offer is what was asked for.
    fn handle_unmet(
        &mut self,
        now: Time,
        from: SocketAddr,
        link: Link,
        id: ReceiverId,
        wanted: &Wanted,
    ) {
        if self.preparing || matches!(wanted, Wanted::All { .. }) {
            // It will ask again; this tells it that a sender is here.
            return self.challenge(now, from, link, id);
        }
        let mut answer = if self.config.elsewhere.is_empty() {
            notice(NoticeCode::NotFound, id, ShortCodingId(0), "")
        } else {
            notice(NoticeCode::Elsewhere, id, ShortCodingId(0), "")
        };
        answer.text = match wanted {
            Wanted::Name(name) => {
                let live = self.objects.iter().filter(|o| o.withdrawn.is_none());
                let names: Vec<&str> = live.map(|o| o.description.name.as_str()).take(5).collect();
                let text = format!(
                    "no object named {name} here; on offer: {}",
                    names.join(", ")
                );
                text.chars().filter(|c| !c.is_control()).take(60).collect()
            }
            _ => "what was asked for is not on offer any more".to_owned(),
        };
        answer.addresses = self.config.elsewhere.iter().copied().take(8).collect();
        self.reply(
            now,
            (from, link),
            0,
            SenderBody::Notice(answer),
            PacketKind::Notice,
        );
    }

    /// IP bytes of a data packet of the object.
    pub(super) fn packet_len(&self, to: SocketAddr, key: ObjectKey) -> u64 {
        let size = self.objects[key.0 as usize]
            .description
            .geometry
            .symbol_size();
        ip_len(
            to,
            wire::data_packet_len(size) + PacketKind::Data.envelope(self.config.sealed),
        )
    }

    fn handle_ack(&mut self, now: Time, id: ReceiverId, channel: ChannelNo, ack: &Ack) {
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        let Some(path) = member.unicast.as_mut().filter(|p| p.channel == channel) else {
            return;
        };
        path.heard(ack.largest_heard);
        path.congestion.on_ack(now, ack);
        while let Some(tag) = path.congestion.poll_lost() {
            path.needs_again(ObjectKey(tag.object), tag.block, tag.symbol);
        }
    }
}

/// The round trip that an echo shows; none when it can't be true.
fn round_trip(now: Time, echo: Echo) -> Option<Duration> {
    let since = now.as_nanos().checked_sub(echo.sent_at)?;
    let rtt = Duration::from_nanos(since).checked_sub(echo.held)?;
    (rtt <= crate::config::MAX_GRTT).then_some(rtt)
}
