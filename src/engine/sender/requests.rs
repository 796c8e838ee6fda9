//! What receivers say, and what a sender makes of it.

use core::net::SocketAddr;
use core::time::Duration;

use crate::carousel::Surplus;
use crate::engine::sender::losses::Losses;
use crate::engine::sender::roster::{Exile, Member};
use crate::engine::sender::unicast::UnicastPath;
use crate::engine::sender::{
    Channel, HEARD_DELAY, HEARD_PER_PACKET, HEARD_TOGETHER, OFFERS_PER_ANSWER, SYNC_PAUSE, Sender,
    heard, notice,
};
use crate::engine::{DropReason, Link, ObjectKey, PacketKind, SenderEvent, ip_len};
use crate::envelope::Refused;
use crate::ids::{
    BlockNo, ChannelNo, Cookie, MAX_PACKET_NO, PacketNo, ReceiverId, SessionId, ShortCodingId,
    UNICAST_CHANNELS,
};
use crate::nak::backoff::k_for;
use crate::rate::Lag;
use crate::symbol_set::SymbolSet;
use crate::time::Time;
use crate::wire::{
    self, Ack, Challenge, Done, Echo, FromReceiver, MoveCause, Nak, Need, NoticeCode, Outcome,
    Packet, ReceiverBody, Request, SenderBody, Stage, Wanted,
};

/// What receivers say when they speak of no channel.
const NO_CHANNEL: ChannelNo = 0xffff;
/// So few source symbols go out by name when all who ask lack the same: nobody has to decode.
const FEW: usize = 3;

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
        let rtt = packet.echo.and_then(|echo| round_trip(now, echo));
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
            self.handle_join(now, from, link, packet, request, &wanted, rtt);
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

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, and each is a fact about one packet"
    )]
    fn handle_join(
        &mut self,
        now: Time,
        from: SocketAddr,
        link: Link,
        packet: &FromReceiver,
        request: &Request,
        wanted: &[ObjectKey],
        rtt: Option<Duration>,
    ) {
        let id = packet.receiver;
        let unicast = request.stage == Stage::JoinUnicast;
        match self.roster.members.get(&id).and_then(|m| m.exile) {
            Some(Exile::Everything(_)) => return self.tell_exile(now, from, link, id),
            Some(Exile::Unicast(..)) if !unicast => return self.handle_exile(now, id),
            _ => {}
        }
        let known = self.roster.members.get(&id).is_some_and(|m| !m.gone);
        let has_path = self
            .roster
            .members
            .get(&id)
            .is_some_and(|m| m.unicast.is_some());
        let has_place = !unicast || has_path || self.has_unicast_channel();
        if !has_place || !self.roster.has_room(id, self.config.roster) {
            return self.join_crowd(now, (from, link), packet, request, wanted);
        }
        let first_time = !self.roster.members.contains_key(&id);
        let member = self
            .roster
            .members
            .entry(id)
            .or_insert_with(|| Member::new(now, from, link));
        if !member.is_fresh(packet.counter) || !member.is_last_join(packet.counter) {
            return self.stats.dropped.add(DropReason::Replayed);
        }
        let tier = self.channels.get(usize::from(packet.channel));
        let tier = tier.and_then(|c| c.tier).unwrap_or(member.tier);
        let moved = known && (member.unicast.is_some() != unicast || member.tier != tier);
        if moved
            && let Some(offered) = wanted.first().map(|k| &self.objects[k.0 as usize])
            && let Some(left) = offered.channel(member.tier)
            && let Some(control) = &mut self.channels[usize::from(left)].control
        {
            match request.cause {
                MoveCause::Congestion | MoveCause::SocketBuffer | MoveCause::Disk => {
                    control.handle_fled(now, id);
                }
                _ => control.forget(now, id),
            }
        }
        if moved {
            // What it lost elsewhere says nothing of the path to here.
            member.losses = Losses::default();
        }
        member.tier = tier;
        member.held = request.holds;
        member.downlink = request.downlink;
        member.gone = false;
        member.outcome = None;
        member.heard(now, from, link, self.patience);
        let mut fresh: Vec<(ObjectKey, bool)> = Vec::new();
        let everything = matches!(request.wanted, Wanted::All { .. });
        for &key in wanted {
            if !member.lacks(key) || moved {
                fresh.push((key, moved || member.has_finished(key)));
            }
            if !everything {
                member.want(key);
            }
        }
        if everything {
            // Objects that it has finished with stay finished.
            member.wants_all = true;
            let member = &*member;
            fresh.retain(|&(key, _)| member.lacks(key));
        }
        if unicast && member.unicast.is_none() {
            let packet_len = self.packet_len(from, wanted[0]);
            let (channel, next_packet) = self.new_unicast_channel();
            let path = UnicastPath::new(now, channel, next_packet, packet_len, rtt);
            self.member(id, |m| {
                m.unicast = Some(Box::new(path));
                m.lag = Lag::new(now);
            });
        } else if !unicast {
            if let Some(path) = member.unicast.take() {
                member.lag = Lag::new(now);
                self.unicast_channels.insert(path.channel, path.next_packet);
            }
            if let Some(rtt) = rtt {
                self.grtt.sample(now, rtt);
            }
        }
        for &key in wanted {
            self.open_channel(now, key, tier);
        }
        let fled = matches!(
            request.cause,
            MoveCause::Congestion | MoveCause::SocketBuffer
        );
        if moved && fled && !unicast {
            for &key in wanted {
                let number = self.objects[key.0 as usize].channel(tier);
                if let Some(number) = number {
                    self.channels[usize::from(number)].refugee_at = Some(now);
                }
            }
        }
        for (key, again) in fresh {
            let geometry = self.objects[key.0 as usize].description.geometry;
            let bytes = geometry.total_symbols() * self.packet_len(from, key);
            let number = self.objects[key.0 as usize].channel(tier);
            let limited = again && !unicast && !request.holds;
            let granted = !limited || number.is_none_or(|n| self.may_have_all(now, id, n, bytes));
            let Some(carousel) = self.carousel(key, tier) else {
                continue;
            };
            carousel.sync_for_joiner(now, SYNC_PAUSE);
            if request.holds {
                continue;
            }
            if unicast {
                self.member(id, |m| {
                    if let Some(path) = &mut m.unicast {
                        path.needs_all(key, geometry);
                    }
                });
            } else if granted {
                carousel.walk.want(0..geometry.blocks());
            }
        }
        self.member(id, |m| {
            if let Some(path) = &mut m.unicast {
                path.heard(request.largest_heard);
                path.sync_due = now;
            }
        });
        self.recount = true;
        if first_time {
            self.roster.joined += 1;
            self.events.push_back(SenderEvent::Joined {
                receiver: id,
                address: from,
                unicast,
            });
        } else if moved {
            self.events.push_back(SenderEvent::Moved {
                receiver: id,
                unicast,
                tier: self.tier_rate(tier),
                cause: request.cause,
            });
        }
        // Its switch may not let the group through yet.
        self.acknowledge(now, id, None, packet.counter);
    }

    pub(super) fn member(&mut self, id: ReceiverId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.roster.members.get_mut(&id) {
            change(member);
        }
    }

    /// Fewer receivers are on unicast than there are numbers for their channels.
    pub(super) fn has_unicast_channel(&self) -> bool {
        self.next_unicast_channel < NO_CHANNEL || !self.unicast_channels.is_empty()
    }

    /// A channel number for a unicast path, and the packet number it goes on from: numbers are
    /// never used twice in a session.
    pub(super) fn new_unicast_channel(&mut self) -> (ChannelNo, PacketNo) {
        if let Some(left) = self.unicast_channels.pop_first() {
            return left;
        }
        let channel = self.next_unicast_channel;
        self.next_unicast_channel = channel.saturating_add(1).max(UNICAST_CHANNELS);
        (channel, 0)
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

    /// Says that a join or done was heard: in batches on a channel, or at once over unicast without one, to who is
    /// on unicast, and to each of a large group.
    fn acknowledge(&mut self, now: Time, id: ReceiverId, on: Option<ChannelNo>, counter: u64) {
        let Some(member) = self.roster.members.get(&id) else {
            return;
        };
        let heard = heard(id, counter);
        let (to, link) = (member.address, member.link);
        let together = member.unicast.is_none() && self.roster.members.len() <= HEARD_TOGETHER;
        let on = on.filter(|&c| together && usize::from(c) < self.channels.len());
        let Some(channel) = on else {
            return self.reply(
                now,
                (to, link),
                0,
                SenderBody::Heard(vec![heard]),
                PacketKind::Heard,
            );
        };
        self.heard.push((channel, heard));
        if self.heard.len() >= HEARD_PER_PACKET {
            self.flush_heard_now(now);
        } else if self.heard_due.is_none() {
            self.heard_due = Some(now + HEARD_DELAY);
        }
    }

    fn handle_done(&mut self, now: Time, id: ReceiverId, done: &[Done]) {
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        let had = member.outcome;
        for done in done {
            if done.coding == ShortCodingId(0) {
                if member.outcome.replace(done.outcome).is_none() {
                    let event = SenderEvent::Done {
                        receiver: id,
                        object: None,
                        outcome: done.outcome,
                    };
                    self.events.push_back(event);
                }
                continue;
            }
            let Some(&key) = self.by_coding.get(&done.coding) else {
                continue;
            };
            if member.lacks(key) {
                let event = SenderEvent::Done {
                    receiver: id,
                    object: Some(key),
                    outcome: done.outcome,
                };
                self.events.push_back(event);
            }
            member.finish(key);
            if let Some(path) = &mut member.unicast {
                path.forget(key);
            }
            if member.has_finished_all_it_named() && member.outcome.replace(done.outcome).is_none()
            {
                self.events.push_back(SenderEvent::Done {
                    receiver: id,
                    object: None,
                    outcome: done.outcome,
                });
            }
        }
        if had.is_none() && member.outcome.is_some() {
            if member.outcome == Some(Outcome::Complete) {
                member.report.symbols_held = member.report.symbols_held.max(1);
            }
            if let Some(path) = member.unicast.take() {
                self.unicast_channels.insert(path.channel, path.next_packet);
            }
            let controls = self.channels.iter_mut().filter_map(|c| c.control.as_mut());
            controls.for_each(|control| control.forget(now, id));
        }
        self.recount = true;
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

    fn handle_nak(&mut self, now: Time, id: ReceiverId, channel: ChannelNo, nak: &Nak) {
        let Some(&key) = self.by_coding.get(&nak.needs.coding) else {
            return self.stats.dropped.add(DropReason::NotWanted);
        };
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        member.naks += 1;
        let geometry = self.objects[key.0 as usize].description.geometry;
        if let Some(path) = &mut member.unicast {
            if path.channel == channel || channel < UNICAST_CHANNELS {
                // Before it has heard anything on the path, nothing of it is on its way.
                let seen_to = if path.channel == channel {
                    nak.seen_to
                } else {
                    MAX_PACKET_NO
                };
                path.handle_needs(key, geometry, seen_to, &nak.needs.entries, nak.more);
            }
            if channel < UNICAST_CHANNELS {
                self.handle_exile(now, id);
            }
            return;
        }
        let carousels = self.channels.get(usize::from(channel));
        if carousels.is_none_or(|c| !c.carousels.contains_key(&key)) {
            return self.stats.dropped.add(DropReason::NotWanted);
        }
        if !member.lacks(key) {
            // It had said that it was done; it knows better now.
            member.want(key);
            self.recount = true;
        }
        self.answer(now, id, key, channel, nak);
    }

    /// Puts what a NAK asks for in line, of whole blocks no more than `room` symbols need.
    pub(super) fn handle_need(
        &mut self,
        now: Time,
        key: ObjectKey,
        channel: ChannelNo,
        seen_to: PacketNo,
        need: &Need,
        room: u64,
    ) {
        let grtt = self.grtt();
        let group_feedback = self.config.group_feedback;
        let Channel { log, carousels, .. } = &mut self.channels[usize::from(channel)];
        let Some(carousel) = carousels.get_mut(&key) else {
            return;
        };
        let geometry = carousel.geometry;
        let receivers = carousel.listeners.max(1);
        let k = u32::from(k_for(group_feedback, receivers));
        match need {
            Need::Blocks { first, count } => {
                let blocks = room.div_ceil(u64::from(geometry.k()));
                let count = u32::try_from(blocks).unwrap_or(u32::MAX).min(*count);
                let end = first.saturating_add(count).min(geometry.blocks());
                let Some(count) = end.checked_sub(*first).filter(|&n| n > 0) else {
                    return;
                };
                carousel.walk.want(*first..end);
                if receivers > 1 && carousel.confirm_whole.len() < wire::MAX_NEEDS {
                    let first = *first;
                    carousel.confirm_whole.push(Need::Blocks { first, count });
                }
            }
            Need::Count { block, lacking } if geometry.parity(*block) > 0 => {
                let lacking = usize::from((*lacking).min(geometry.symbols(*block)));
                self.repair_any(key, channel, seen_to, *block, lacking, None);
            }
            // Which they are was not said, and nothing else will do.
            Need::Count { block, .. } => carousel.walk.want(*block..block.saturating_add(1)),
            Need::Symbols { block, missing } if geometry.parity(*block) > 0 => {
                let mut named = missing.clone();
                named.intersect_with(&SymbolSet::full(geometry.symbols(*block)));
                self.repair_any(key, channel, seen_to, *block, named.len(), Some(named));
            }
            Need::Symbols { block, missing } => {
                if carousel.walk.is_ahead(*block) {
                    return;
                }
                let all = geometry.symbols(*block);
                let mut lacking = missing.clone();
                lacking.intersect_with(&SymbolSet::full(all));
                if let Some(from) = carousel.walk.brings_from(*block) {
                    lacking.remove_range(from..all);
                }
                log.subtract_since(seen_to, key.0, *block, &mut lacking);
                if lacking.is_empty() {
                    return;
                }
                let pending = carousel.repairs.pending(*block);
                if pending.is_none_or(|p| !lacking.is_subset(&p.named)) {
                    let hearing = carousel.hearing(now, *block, grtt * (k + 2));
                    hearing.heard(&lacking);
                    if hearing.wants_whole(all, receivers) {
                        carousel.forget_hearing(*block);
                        lacking = SymbolSet::full(all);
                        log.subtract_since(seen_to, key.0, *block, &mut lacking);
                    }
                    carousel.repairs.add(*block, &lacking);
                }
                if receivers > 1 && carousel.repairs.pending(*block).is_some() {
                    carousel.confirm.insert(*block);
                }
            }
        }
    }

    /// A block with parity lacks `lacking` symbols: as many fresh ones serve everybody, so what anyone
    /// lacks most is sent once.
    fn repair_any(
        &mut self,
        key: ObjectKey,
        channel: ChannelNo,
        seen_to: PacketNo,
        block: BlockNo,
        lacking: usize,
        named: Option<SymbolSet>,
    ) {
        let Channel {
            log,
            carousels,
            loss,
            ..
        } = &mut self.channels[usize::from(channel)];
        let Some(carousel) = carousels.get_mut(&key) else {
            return;
        };
        if carousel.walk.is_ahead(block) || carousel.walk.brings_from(block).is_some() {
            return;
        }
        let lacking = lacking.saturating_sub(log.count_since(seen_to, key.0, block));
        if lacking == 0 {
            return;
        }
        let few = named.filter(|n| n.len() <= FEW && n.len() == lacking);
        let more = if carousel.walk.is_at_end() {
            let lacking = u16::try_from(lacking).unwrap_or(u16::MAX);
            usize::from(Surplus::for_last(*loss, carousel.listeners, lacking))
        } else {
            0
        };
        let few = few.filter(|_| more == 0);
        carousel
            .repairs
            .add_lacking(block, lacking + more, few.as_ref());
        if carousel.listeners > 1 {
            carousel.confirm.insert(block);
        }
    }
}

/// The round trip that an echo shows; none when it can't be true.
fn round_trip(now: Time, echo: Echo) -> Option<Duration> {
    let since = now.as_nanos().checked_sub(echo.sent_at)?;
    let rtt = Duration::from_nanos(since).checked_sub(echo.held)?;
    (rtt <= crate::config::MAX_GRTT).then_some(rtt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::engine::{Burst, SenderConfig};
    use crate::object::Description;
    use crate::rate::Adapt;
    use crate::seal::SigningKey;
    use crate::secret::Secret;
    use crate::units::Rate;

    fn sender() -> Sender {
        let config = SenderConfig {
            session: SessionId(1),
            seed: 1,
            secret: [1; 32],
            key: SigningKey::new(&Secret::new([1; 32])),
            sealed: false,
            groups: vec![SocketAddr::from(([239, 192, 7, 1], 4_700))],
            source: None,
            group_feedback: false,
            rate: Rate::from_bps(100_000_000),
            tiers: Vec::new(),
            ladder: false,
            adapt: Adapt::Fixed,
            min_rate: Rate::ZERO,
            roster: config::MAX_ROSTER,
            wait_for: 1,
            stay: true,
            one_way: None,
            surplus: Surplus::None,
            fade: config::FADE,
            slots: 8,
            elsewhere: Vec::new(),
        };
        let mut sender = Sender::new(config, Time::ZERO).unwrap();
        let film = Description::pretend("film", 1_000_000, 1_344, 64).unwrap();
        sender.offer(Time::ZERO, film).unwrap();
        sender
    }

    /// Receiver `id` joins by unicast, for the `counter`th time; whether it is told that it is not listed.
    fn is_unlisted(sender: &mut Sender, id: u64, counter: u64) -> bool {
        let (from, id) = (SocketAddr::from(([10, 0, 0, 9], 9_000)), ReceiverId(id));
        let request = Request {
            wanted: Wanted::All { from: 0 },
            stage: Stage::JoinUnicast,
            holds: false,
            downlink: Rate::ZERO,
            largest_heard: 0,
            cause: MoveCause::None,
        };
        let packet = FromReceiver {
            channel: NO_CHANNEL,
            session: sender.config.session,
            receiver: id,
            counter,
            cookie: sender.cookie(from, id),
            echo: None,
            body: ReceiverBody::Request(request),
        };
        let mut datagram = Vec::new();
        packet.encode(&mut datagram);
        sender.handle_datagram(Time::from_millis(counter), from, Link(1), &datagram);
        let (mut burst, mut unlisted) = (Burst::default(), false);
        while sender.outbox.pop(&mut burst) {
            if let Ok(Packet::FromSender(packet)) = wire::parse(&burst.control) {
                unlisted |= matches!(packet.body, SenderBody::Unlisted(_));
            }
        }
        unlisted
    }

    #[test]
    fn who_finds_no_channel_for_unicast_is_told_so_and_who_has_one_keeps_it() {
        let mut sender = sender();
        sender.next_unicast_channel = NO_CHANNEL - 1;
        assert!(!is_unlisted(&mut sender, 1, 1));
        assert!(is_unlisted(&mut sender, 2, 2));
        assert!(!is_unlisted(&mut sender, 1, 3));
        assert!(sender.roster.members[&ReceiverId(1)].unicast.is_some());
        assert!(!sender.roster.members.contains_key(&ReceiverId(2)));
    }
}
