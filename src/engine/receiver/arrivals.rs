//! What comes from a sender (and from other receivers), and what a receiver makes of it.

use core::net::SocketAddr;
use core::time::Duration;

use crate::assemble::{Insert, SourceNo};
use crate::config;
use crate::engine::receiver::channel::{Arrival, UnicastRx};
use crate::engine::receiver::object::ObjectRx;
use crate::engine::receiver::{BELIEVED, MAX_OBJECTS, Receiver, Session, Target};
use crate::engine::{
    Command, DropReason, Object, ObjectKey, ObjectState, PacketKind, ReceiverEvent, Verdict, Via,
    ip_len,
};
use crate::envelope::Refused;
use crate::ids::{ChannelNo, Cookie, SessionId, ShortCodingId, UNICAST_CHANNELS};
use crate::nak::Timing;
use crate::nak::backoff::k_for;
use crate::object::Description;
use crate::time::Time;
use crate::unicast_fallback::Course;
use crate::units::Rate;
use crate::wire::{
    self, Challenge, ChannelInfo, DataHeader, Feedback, FromReceiver, FromSender, Heard, MoveCause,
    Needs, Notice, NoticeCode, Offer, Outcome, Packet, ReceiverBody, SenderBody, Sync,
};

/// The mean time between reports before SYNC has told it.
const FIRST_REPORT: Duration = Duration::from_secs(1);

impl Receiver {
    /// A datagram came from `from`. For data the verdict says what to do with the payload, which
    /// starts at byte 32 (36 for a part).
    pub fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        via: Via,
        datagram: &[u8],
    ) -> Verdict {
        if self.ended {
            return Verdict::Ignore;
        }
        match wire::parse(datagram) {
            Ok(Packet::Data(header, _)) => {
                return self.handle_data(now, from, &header, via, datagram.len());
            }
            Ok(Packet::FromSender(packet)) => {
                self.handle_sender(now, from, via, packet, datagram.len())
            }
            Ok(Packet::FromReceiver(packet)) => {
                self.handle_receiver(now, via, &packet, datagram.len())
            }
            Err(error) => self.stats.dropped.add(error.into()),
        }
        Verdict::Ignore
    }

    /// A datagram came that the group's envelopes refuse: it is counted.
    pub fn handle_unopened(&mut self, refused: Refused) {
        self.stats.dropped.add(refused.into());
    }

    /// A data packet of `len` bytes of UDP payload came whose checksum holds; for drivers that have
    /// parsed it already.
    pub fn handle_data(
        &mut self,
        now: Time,
        from: SocketAddr,
        header: &DataHeader,
        via: Via,
        len: usize,
    ) -> Verdict {
        if self.ended {
            return Verdict::Ignore;
        }
        let Some(session) = &self.session else {
            self.meet_one_way(now, via, header.one_way);
            self.joining.heard_someone(now, &mut self.rng);
            self.stats.dropped.add(DropReason::OtherSession);
            return Verdict::Ignore;
        };
        if session.id != header.session {
            self.stats.dropped.add(DropReason::OtherSession);
            return Verdict::Ignore;
        }
        let source = self.library.sources_mut().number(from);
        if self.library.sources().is_shut_out(now, source) {
            self.stats.dropped.add(DropReason::Doubted);
            return Verdict::Ignore;
        }
        self.heard(now);
        if !self.trusted.estranged {
            self.data_at = now;
        }
        let unicast = header.channel >= UNICAST_CHANNELS;
        let kind = match (unicast, header.repair) {
            (true, _) => PacketKind::UnicastData,
            (false, true) => PacketKind::Repair,
            (false, false) => PacketKind::Data,
        };
        self.stats.received.add(kind, 1, len as u64);
        let bytes = ip_len(from, len + kind.envelope(self.config.sealed));
        // What is known of a channel, or a path, comes from those that are listened to. A symbol is welcome on any.
        let listens = match via {
            Via::Unicast if unicast => self.takes_path(now, header.channel),
            _ => !unicast && self.proves(header.channel),
        };
        let arrival = if listens {
            let channel = self.channel(header.channel);
            channel.arrived(now, header.packet, bytes)
        } else {
            Arrival::Late
        };
        if listens && unicast {
            self.probe.heard_unicast(now);
            self.largest_heard = self.largest_heard.max(len as u16);
            let gap = matches!(arrival, Arrival::Newest { skipped: 1.. });
            let pause = self.timing().grtt.max(Duration::from_millis(10));
            let path = self.unicast_path(now, header.channel);
            path.arrived(now, header.packet, gap);
            if gap {
                path.ask_soon(now, pause);
            }
        } else if listens && via == Via::Group {
            let course = self.probe.heard_full(now);
            self.take_course(now, course);
        }
        let Some(key) = self.library.find(header.coding) else {
            self.stats.dropped.add(DropReason::NotWanted);
            return Verdict::Ignore;
        };
        let timing = self.timing();
        let rx = &mut self.objects[key.0 as usize];
        let tells = !header.repair && arrival != Arrival::Late && rx.listens_on(header.channel);
        if let Some(object) = self.library.get(key) {
            if !object.geometry().has(header.block, header.symbol) {
                self.stats.dropped.add(DropReason::OutOfRange);
                return Verdict::Ignore;
            }
            if !object.is_lacking() {
                self.stats.dropped.add(DropReason::NotWanted);
                return Verdict::Ignore;
            }
            if !unicast && tells && !self.silent && !self.probe.is_on_unicast() {
                rx.saw_data(now, object.holdings(), header.block, timing, &mut self.rng);
            }
        }
        self.take_data(key, header, source)
    }

    /// Takes a symbol, or a part of one, unless its block is in doubt or it is here.
    fn take_data(&mut self, object: ObjectKey, header: &DataHeader, source: SourceNo) -> Verdict {
        let (block, symbol) = (header.block, header.symbol);
        if self.library.doubts(object, block, symbol, source) {
            self.stats.dropped.add(DropReason::Doubted);
            return Verdict::Ignore;
        }
        if header.part.is_none() {
            return self.take_symbol(object, header, source);
        }
        let held = |o: &Object| o.holdings().contains(block, symbol);
        if self.library.get(object).is_some_and(held) {
            self.stats.dropped.add(DropReason::Duplicate);
            return Verdict::Ignore;
        }
        Verdict::Part { object }
    }

    /// All parts of a symbol have come, from one address: as [`handle_data`](Receiver::handle_data), for the
    /// whole symbol.
    pub fn handle_assembled(
        &mut self,
        _now: Time,
        from: SocketAddr,
        header: &DataHeader,
    ) -> Verdict {
        let source = self.library.sources_mut().number(from);
        match self.library.find(header.coding) {
            Some(key) if self.library.is_lacking(key) => self.take_symbol(key, header, source),
            _ => Verdict::Ignore,
        }
    }

    fn take_symbol(&mut self, object: ObjectKey, header: &DataHeader, source: SourceNo) -> Verdict {
        let block = header.block;
        match self.library.insert(object, block, header.symbol, source) {
            Insert::Duplicate => {
                self.stats.dropped.add(DropReason::Duplicate);
                return Verdict::Ignore;
            }
            Insert::New => {}
            Insert::Completed => {
                self.objects[object.0 as usize].naks.filled(block);
                if self.library.is_verified(object, block) {
                    self.finish_if_verified(object);
                } else {
                    self.commands.push_back(Command::Check { object, block });
                }
            }
        }
        Verdict::Store { object }
    }

    fn was_withdrawn_of_late(&self, now: Time, coding: ShortCodingId) -> bool {
        let latest = self
            .library
            .latest(coding)
            .and_then(|o| self.library.get(o));
        let withdrawn = |o: &Object| match o.state() {
            ObjectState::Withdrawn(at) => now.since(at) < BELIEVED,
            _ => false,
        };
        latest.is_some_and(withdrawn)
    }

    /// It is served by unicast, on this path: another may take its place once nothing comes on it.
    fn takes_path(&self, now: Time, channel: ChannelNo) -> bool {
        let silent = |u: &UnicastRx| now.since(u.newest_at) >= BELIEVED;
        let path = self.unicast.as_ref();
        self.on_unicast() && path.is_none_or(|u| u.channel == channel || silent(u))
    }

    fn unicast_path(&mut self, now: Time, channel: ChannelNo) -> &mut UnicastRx {
        if self.unicast.as_ref().is_some_and(|u| u.channel != channel) {
            self.unicast = None;
        }
        self.unicast
            .get_or_insert_with(|| UnicastRx::new(now, channel))
    }

    fn handle_sender(
        &mut self,
        now: Time,
        from: SocketAddr,
        via: Via,
        packet: FromSender,
        len: usize,
    ) {
        let kind = match &packet.body {
            SenderBody::Sync(_) => PacketKind::Sync,
            SenderBody::Offer(_) => PacketKind::Offer,
            SenderBody::Confirm(_) => PacketKind::Confirm,
            SenderBody::Heard(_) | SenderBody::Unlisted(_) => PacketKind::Heard,
            SenderBody::Notice(_) => PacketKind::Notice,
            SenderBody::Challenge(_) => PacketKind::Challenge,
        };
        if let SenderBody::Offer(offer) = &packet.body
            && !self.is_trusted(now, from, packet.session, offer)
        {
            return;
        }
        if !self.is_our_session(now, from, via, &packet) {
            return;
        }
        self.stats.received.add(kind, 1, len as u64);
        self.heard(now);
        if via == Via::Unicast {
            self.largest_heard = self.largest_heard.max(len as u16);
        }
        match packet.body {
            SenderBody::Sync(sync) => self.handle_sync(now, packet.channel, via, &sync),
            SenderBody::Offer(offer) => self.handle_offer(now, *offer),
            SenderBody::Confirm(needs) => self.handle_needs(now, packet.channel, &needs),
            SenderBody::Heard(heard) => self.handle_heard(now, &heard, true),
            SenderBody::Unlisted(heard) => self.handle_heard(now, &heard, false),
            SenderBody::Notice(notice) => self.handle_notice(now, via, notice),
            SenderBody::Challenge(challenge) => self.handle_challenge(now, from, challenge),
        }
    }

    /// The first sender heard is followed until it falls silent; packets of others are dropped.
    fn is_our_session(
        &mut self,
        now: Time,
        from: SocketAddr,
        via: Via,
        packet: &FromSender,
    ) -> bool {
        const REMEMBERED: usize = 16;
        if let Some(session) = &mut self.session {
            if session.id == packet.session {
                return true;
            }
            self.stats.dropped.add(DropReason::OtherSession);
            if self.other_sessions.len() < REMEMBERED
                && !self.other_sessions.contains(&packet.session)
            {
                self.other_sessions.push(packet.session);
                self.events.push_back(ReceiverEvent::OtherSession {
                    session: packet.session,
                    address: from,
                });
            }
            return false;
        }
        self.meet_one_way(now, via, packet.one_way);
        // A session is taken up when a sender speaks to us or shows what it has.
        let ours = match &packet.body {
            SenderBody::Challenge(c) => c.receiver == self.config.id,
            SenderBody::Notice(n) => n.receiver == self.config.id,
            SenderBody::Offer(_) => packet.one_way || !self.takes_answers_only(),
            _ => false,
        };
        if !ours || packet.session == SessionId(0) {
            if self.config.sealed {
                self.joining.heard_someone(now, &mut self.rng);
            }
            self.stats.dropped.add(DropReason::OtherSession);
            return false;
        }
        let timing = self.timing();
        self.library.sources_mut().set_sender(from);
        self.session = Some(Session {
            id: packet.session,
            address: from,
            since: now,
            vouched: self.is_description(&packet.body),
            one_way: packet.one_way,
            cookie: Cookie(0),
            echo: None,
            timing,
            unlisted: false,
            report_interval: (FIRST_REPORT, now),
            rate: Rate::from_bps(config::DEFAULT_RATE_BPS),
        });
        self.heard(now);
        if !self.trusted.estranged {
            self.data_at = now;
        }
        self.fall_silent(now, packet.one_way);
        self.events.push_back(ReceiverEvent::SenderFound {
            session: packet.session,
            address: from,
        });
        true
    }

    /// Somebody who takes no answers was heard before any sender is known. Where one host was to be asked, that one is.
    fn meet_one_way(&mut self, now: Time, via: Via, one_way: bool) {
        let listens = matches!(self.joining.target, Target::Group { .. });
        if one_way && listens && via == Via::Group {
            self.fall_silent(now, true);
        }
    }

    /// Something that is wanted is described; who by was found to be right.
    fn is_description(&self, body: &SenderBody) -> bool {
        matches!(body, SenderBody::Offer(offer) if self.is_wanted(&offer.description.name))
    }

    /// What is heard on a channel shows that data gets here: on one that something it lacks runs on, or on
    /// any while it does not know of one. That announcements get here says nothing of another group.
    fn proves(&self, number: ChannelNo) -> bool {
        let lacking_none = self.lacking().next().is_none();
        lacking_none || self.lacking().any(|(rx, _)| rx.listens_on(number))
    }

    fn note_time(&mut self, now: Time, sent_at: u64) {
        if let Some(session) = &mut self.session
            && session
                .echo
                .is_none_or(|(before, at)| sent_at > before || now.since(at) >= BELIEVED)
        {
            session.echo = Some((sent_at, now));
        }
    }

    /// What waits are made of now. Those that are longer than any would be now do not stay so: what was told before may not
    /// have been the sender's.
    fn hear_timing(&mut self, now: Time, timing: Timing) {
        let Some(session) = &mut self.session else {
            return;
        };
        let before = core::mem::replace(&mut session.timing, timing);
        if timing.longest() >= before.longest() {
            return;
        }
        for rx in &mut self.objects {
            rx.naks.hasten(now, timing, &mut self.rng);
        }
        self.joining.hasten(now, timing.grtt, &mut self.rng);
        self.seat.hasten(now, timing.grtt);
    }

    fn handle_challenge(&mut self, now: Time, from: SocketAddr, challenge: Challenge) {
        if challenge.receiver != self.config.id {
            return;
        }
        self.note_time(now, challenge.sent_at);
        let Some(session) = &mut self.session else {
            return;
        };
        if session.cookie != challenge.cookie {
            session.cookie = challenge.cookie;
            session.address = from;
            self.library.sources_mut().set_sender(from);
            self.joining.got_cookie(now);
        }
    }

    fn handle_sync(&mut self, now: Time, number: ChannelNo, via: Via, sync: &Sync) {
        self.note_time(now, sync.sent_at);
        if number >= UNICAST_CHANNELS {
            if via == Via::Unicast && self.takes_path(now, number) {
                self.handle_unicast_sync(now, number, sync);
            }
            return;
        }
        let timing = Timing {
            k: sync.k,
            grtt: sync.grtt,
            receivers: sync.receivers,
        };
        let ours = self
            .objects
            .iter()
            .any(|rx| rx.channel.is_some_and(|c| c.number == number));
        if ours {
            self.hear_timing(now, timing);
        }
        if ours && via == Via::Group {
            self.hear_rate(now, sync.rate, f64::from(sync.path_loss) / 255.0);
            self.hear_report_interval(now, sync.report_interval);
        }
        if !self.proves(number) {
            return;
        }
        let channel = self.channel(number);
        let missed = channel.told(now, sync.next_packet);
        let current = sync.next_packet == channel.seen_to;
        if via == Via::Group {
            let course = if sync.padded_to > 0 {
                let course = self.probe.heard_full(now);
                self.probe.expect(now, sync.next_sync);
                course
            } else {
                self.probe.heard_small(now, missed, sync.next_sync);
                None
            };
            self.take_course(now, course);
        }
        if self.silent || self.probe.is_on_unicast() {
            return;
        }
        // The sender knows who has joined anywhere, and answers it where it is now.
        let held_back = self.joining.is_unknown();
        let Some(key) = self.library.find(sync.coding) else {
            return;
        };
        let rx = &mut self.objects[key.0 as usize];
        let object = self.library.get(key).filter(|o| o.is_lacking());
        let Some(object) = object.filter(|_| current && rx.listens_on(number)) else {
            return;
        };
        let holdings = object.holdings();
        rx.saw_position(now, holdings, sync.position, timing, &mut self.rng);
        // A sender at rest that has not begun knows from our join that we lack everything.
        let begun = holdings.held() > 0 || sync.next_packet > 0;
        if (sync.query || sync.idle && begun) && !held_back {
            rx.saw_end(now, holdings, timing, &mut self.rng);
        }
    }

    fn handle_unicast_sync(&mut self, now: Time, number: ChannelNo, sync: &Sync) {
        let timing = Timing {
            k: sync.k,
            grtt: sync.grtt,
            receivers: 1,
        };
        self.hear_timing(now, timing);
        let missed = self.channel(number).told(now, sync.next_packet);
        let lacking = !self.library.needs_nothing();
        let path = self.unicast_path(now, number);
        if lacking && (missed || sync.query) {
            path.ask_soon(now, sync.grtt);
        }
        // It answers at once, so that the sender learns what size gets through.
        path.ack_due = Some(now);
    }

    fn handle_offer(&mut self, now: Time, offer: Offer) {
        self.note_time(now, offer.sent_at);
        let mut timing = self.timing();
        timing.receivers = timing.receivers.max(offer.receivers);
        timing.grtt = offer.grtt;
        if let Some(channel) = offer.channels.first() {
            let by_group = channel.feedback != Feedback::Sender;
            timing.k = k_for(by_group, timing.receivers);
            if let Some(session) = &mut self.session {
                session.rate = channel.rate;
            }
        }
        self.hear_timing(now, timing);
        self.joining
            .saw_offer(now, offer.sent_at, offer.index, offer.total);
        if !self.is_wanted(&offer.description.name) {
            return self.check_all_ended(now);
        }
        let coding = offer.description.coding().short();
        let key = match self.library.find(coding) {
            Some(key) => key,
            None if self.library.len() >= MAX_OBJECTS => return,
            // Each time takes a place for good: somebody else may withdraw it whenever it is offered.
            None if self.was_withdrawn_of_late(now, coding) => return,
            None => {
                let Some(key) = self.take_up(now, offer.description) else {
                    return self.check_all_ended(now);
                };
                key
            }
        };
        if self.library.has_ended(key) {
            return self.check_all_ended(now);
        }
        self.take_channels(now, key, offer.channels);
    }

    /// Takes up an object that is wanted, unless it is too long.
    fn take_up(&mut self, now: Time, description: Description) -> Option<ObjectKey> {
        let (name, length) = (description.name.clone(), description.geometry.length());
        let object = self.library.add_wanted(description.clone());
        self.objects.push(ObjectRx::new(object));
        self.events.push_back(ReceiverEvent::Started {
            object,
            name,
            length,
        });
        let most = self.config.max_size;
        if length > most {
            self.library.end(object, Outcome::Failed);
            let reason = format!("it has {length} bytes, more than the {most} allowed");
            self.events
                .push_back(ReceiverEvent::Failed { object, reason });
            return None;
        }
        let description = Box::new(description);
        self.commands.push_back(Command::Open {
            object,
            description,
        });
        let timing = self.timing();
        self.joining
            .found_object(now, timing, self.session_rate(), &mut self.rng);
        Some(object)
    }

    /// An object runs on these channels: the one that suits is listened to.
    fn take_channels(&mut self, now: Time, key: ObjectKey, channels: Vec<ChannelInfo>) {
        let channel = self.seat.choose(&channels, self.config.downlink);
        let at = key.0 as usize;
        self.objects[at].channels = channels;
        if let Some(channel) = channel {
            if self.config.via != Some(Via::Unicast) && !self.probe.stays_away(now) {
                self.join(channel);
            }
            let before = self.objects[at].channel.replace(channel);
            if before.is_none() && self.joining.is_pending() {
                let timing = self.timing();
                self.joining
                    .ask_on(now, timing, self.session_rate(), &mut self.rng);
            }
            if before.is_some_and(|c| c.group != channel.group) {
                self.objects[at].lose_position();
                self.leave_if_unused(before);
            }
        }
        if channel.is_some() || self.config.via == Some(Via::Unicast) {
            let course = self.probe.described(now);
            self.take_course(now, course);
        }
    }

    pub(super) fn session_rate(&self) -> Rate {
        self.session
            .as_ref()
            .map_or(Rate::from_bps(config::DEFAULT_RATE_BPS), |s| s.rate)
    }

    pub(super) fn is_wanted(&self, name: &str) -> bool {
        match &self.config.name {
            None => true,
            Some(wanted) => name == wanted || name.rsplit('/').next() == Some(wanted),
        }
    }

    /// A confirm, or another receiver's NAK.
    fn handle_needs(&mut self, now: Time, channel: ChannelNo, needs: &Needs) {
        let timing = self.timing();
        let Some(key) = self.library.find(needs.coding) else {
            return;
        };
        let rx = &mut self.objects[key.0 as usize];
        let runs_there = rx.channel.is_some_and(|c| c.number == channel);
        let Some(object) = self.library.get(key).filter(|_| runs_there) else {
            return;
        };
        if rx.naks.is_empty() {
            return;
        }
        for need in &needs.entries {
            let missing = |block| object.holdings().missing(block);
            let heard = rx.naks.heard(now, need, missing, timing, &mut self.rng);
            self.stats.naks_suppressed += heard;
        }
    }

    fn handle_receiver(&mut self, now: Time, via: Via, packet: &FromReceiver, len: usize) {
        if packet.receiver == self.config.id {
            return;
        }
        let ours = self
            .session
            .as_ref()
            .is_some_and(|s| s.id == packet.session);
        match &packet.body {
            ReceiverBody::Nak(nak) if ours && via == Via::Group => {
                self.stats.received.add(PacketKind::Nak, 1, len as u64);
                self.handle_needs(now, packet.channel, &nak.needs);
            }
            _ => self.stats.dropped.add(DropReason::WrongEnd),
        }
    }

    fn handle_heard(&mut self, now: Time, heard: &[Heard], listed: bool) {
        let id = self.config.id;
        let refused = !listed && self.on_unicast();
        for heard in heard.iter().filter(|h| h.receiver == id) {
            let Some(session) = &mut self.session else {
                return;
            };
            if refused {
                // It asks on: somebody may have left by then.
                if !core::mem::replace(&mut session.unlisted, true) {
                    self.events.push_back(ReceiverEvent::NoRoom);
                }
                continue;
            }
            if let Some(holds) = self.joining.was_heard(heard.counter) {
                session.unlisted = !listed;
                self.joined(now, holds);
            }
        }
        self.leave_settled();
        self.check_left();
    }

    fn handle_notice(&mut self, now: Time, via: Via, notice: Notice) {
        let to_us = notice.receiver == self.config.id;
        if !to_us && notice.receiver.0 != 0 {
            return;
        }
        match notice.code {
            NoticeCode::Withdrawn => self.handle_withdrawn(now, notice.coding, notice.text),
            NoticeCode::Ended => self.sender_ended(notice.text),
            NoticeCode::Evicted | NoticeCode::UseUnicast
                if to_us && via == Via::Unicast && !self.joining.is_leaving() =>
            {
                self.handle_eviction(now, &notice);
            }
            NoticeCode::NotFound if to_us && self.active().next().is_none() => {
                self.tell(&notice);
                self.give_up(notice.text);
            }
            NoticeCode::Elsewhere if to_us && self.active().next().is_none() => {
                self.redirect(now, &notice);
            }
            _ => {}
        }
    }

    /// The sender does not know it any more, or wants it elsewhere.
    fn handle_eviction(&mut self, now: Time, notice: &Notice) {
        let dismissed = matches!(notice.cause, MoveCause::TooSlow | MoveCause::AsksTooMuch);
        match (notice.code, self.config.via) {
            (NoticeCode::UseUnicast, Some(Via::Unicast)) => {}
            (NoticeCode::UseUnicast, None) if self.course == Some(Course::Told) => {}
            (NoticeCode::UseUnicast, None) => {
                self.tell(notice);
                self.seat.cause = notice.cause;
                self.leave_tiers(None);
                let course = self.probe.told(now);
                self.take_course(now, Some(course));
            }
            _ => {
                let invited = self.session.as_ref().is_some_and(|s| s.unlisted);
                if !invited || dismissed {
                    self.tell(notice);
                }
                if dismissed {
                    self.be_evicted(now, notice.cause, &notice.text);
                } else {
                    self.joining.must_join(now);
                }
            }
        }
    }

    fn tell(&mut self, notice: &Notice) {
        self.events.push_back(ReceiverEvent::Notice {
            code: notice.code,
            cause: notice.cause,
            text: notice.text.clone(),
        });
    }

    fn handle_withdrawn(&mut self, now: Time, coding: ShortCodingId, reason: String) {
        let Some(object) = self.library.find(coding) else {
            return;
        };
        if self.library.has_ended(object) {
            return;
        }
        self.library.withdraw(now, object);
        self.objects[object.0 as usize].naks.clear();
        self.commands.push_back(Command::Abandon {
            object,
            keep: false,
        });
        self.events
            .push_back(ReceiverEvent::Withdrawn { object, reason });
        self.joining.look_again(now);
    }
}
