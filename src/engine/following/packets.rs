//! What a sender says, beside its data, and what other receivers do.

use core::net::SocketAddr;

use crate::engine::following::Following;
use crate::engine::following::config::Target;
use crate::engine::following::context::Context;
use crate::engine::following::notices::News;
use crate::engine::following::session::Session;
use crate::engine::{DropReason, PacketKind, ReceiverEvent, Via};
use crate::ids::{ChannelNo, SessionId, UNICAST_CHANNELS};
use crate::nak::Timing;
use crate::wire::{Challenge, FromSender, Heard, Needs, SenderBody, Sync};

impl Following {
    /// A sender's packet came; gives what is not for this following alone to act on.
    pub(crate) fn hear_sender(
        &mut self,
        cx: &mut Context<'_>,
        from: SocketAddr,
        via: Via,
        packet: FromSender,
        len: usize,
    ) -> Option<News> {
        let kind = match &packet.body {
            SenderBody::Sync(_) => PacketKind::Sync,
            SenderBody::Offer(_) => PacketKind::Offer,
            SenderBody::Confirm(_) => PacketKind::Confirm,
            SenderBody::Heard(_) | SenderBody::Unlisted(_) => PacketKind::Heard,
            SenderBody::Notice(_) => PacketKind::Notice,
            SenderBody::Challenge(_) => PacketKind::Challenge,
        };
        if let SenderBody::Offer(offer) = &packet.body
            && !self.is_trusted(cx, from, packet.session, offer)
        {
            return None;
        }
        if !self.is_our_session(cx, from, via, &packet) {
            return None;
        }
        cx.stats.received.add(kind, 1, len as u64);
        self.liveness.heard(cx.now);
        if via == Via::Unicast {
            self.channels.heard_size(len);
        }
        match packet.body {
            SenderBody::Sync(sync) => self.hear_sync(cx, packet.channel, via, &sync),
            SenderBody::Offer(offer) => self.hear_offer(cx, *offer),
            SenderBody::Confirm(needs) => self.hear_needs(cx, packet.channel, &needs),
            SenderBody::Heard(heard) => self.hear_heard(cx, &heard, true),
            SenderBody::Unlisted(heard) => self.hear_heard(cx, &heard, false),
            SenderBody::Notice(notice) => return self.hear_notice(cx, via, notice),
            SenderBody::Challenge(challenge) => self.hear_challenge(cx, from, &challenge),
        }
        None
    }

    /// The first sender heard is followed until it falls silent; packets of others are dropped.
    fn is_our_session(
        &mut self,
        cx: &mut Context<'_>,
        from: SocketAddr,
        via: Via,
        packet: &FromSender,
    ) -> bool {
        if let Some(session) = &self.session {
            let ours = session.id() == packet.session;
            if !ours {
                cx.stats.dropped.add(DropReason::OtherSession);
                cx.trusted.meet_session(packet.session, from, cx.out);
            }
            return ours;
        }
        self.meet_one_way(cx, via, packet.one_way);
        // A session is taken up when a sender speaks to us or shows what it has.
        let ours = match &packet.body {
            SenderBody::Challenge(c) => c.receiver == cx.config.id,
            SenderBody::Notice(n) => n.receiver == cx.config.id,
            SenderBody::Offer(_) => packet.one_way || !cx.config.takes_answers_only(),
            _ => false,
        };
        if !ours || packet.session == SessionId(0) {
            if cx.config.sealed {
                self.joining.heard_someone(cx.now, cx.rng);
            }
            cx.stats.dropped.add(DropReason::OtherSession);
            return false;
        }
        self.take_up_session(cx, from, packet);
        true
    }

    fn take_up_session(&mut self, cx: &mut Context<'_>, address: SocketAddr, packet: &FromSender) {
        cx.library.sources_mut().set_sender(self.source, address);
        // Something that is wanted is described; who by was found to be right.
        let vouched = match &packet.body {
            SenderBody::Offer(offer) => cx.config.wants(&offer.description.name),
            _ => false,
        };
        let (session, one_way) = (packet.session, packet.one_way);
        self.session = Some(Session::new(cx.now, session, address, one_way, vouched));
        self.liveness.heard_data(cx.now);
        self.fall_silent(cx, one_way);
        cx.out
            .event(ReceiverEvent::SenderFound { session, address });
    }

    /// A data packet came of a session that nobody follows.
    pub(crate) fn hear_other_data(&mut self, cx: &mut Context<'_>, via: Via, one_way: bool) {
        if self.session.is_none() {
            self.meet_one_way(cx, via, one_way);
            self.joining.heard_someone(cx.now, cx.rng);
        }
    }

    /// Somebody who takes no answers was heard before any sender is known. Where one host was to be
    /// asked, that one is.
    fn meet_one_way(&mut self, cx: &mut Context<'_>, via: Via, one_way: bool) {
        let listens = matches!(self.joining.target(), Target::Group { .. });
        if one_way && listens && via == Via::Group {
            self.fall_silent(cx, true);
        }
    }

    /// What waits are made of now. Those that are longer than any would be now do not stay so: what
    /// was told before may not have been the sender's.
    pub(super) fn hear_timing(&mut self, cx: &mut Context<'_>, timing: Timing) {
        let Some(session) = &mut self.session else {
            return;
        };
        let before = session.set_timing(timing);
        if timing.longest() >= before.longest() {
            return;
        }
        for rx in self.objects.iter_mut() {
            rx.naks.hasten(cx.now, timing, cx.rng);
        }
        let dones = self.joining.dones_mut();
        dones.hasten(cx.now, timing.grtt, cx.rng);
        self.tier.hasten(cx.now, timing.grtt);
    }

    pub(super) fn note_time(&mut self, cx: &Context<'_>, sent_at: u64) {
        if let Some(session) = &mut self.session {
            session.note_time(cx.now, sent_at);
        }
    }

    fn hear_challenge(&mut self, cx: &mut Context<'_>, from: SocketAddr, challenge: &Challenge) {
        if challenge.receiver != cx.config.id {
            return;
        }
        self.note_time(cx, challenge.sent_at);
        let Some(session) = &mut self.session else {
            return;
        };
        if session.take_cookie(challenge.cookie, from) {
            cx.library.sources_mut().set_sender(self.source, from);
            self.joining.got_cookie(cx.now);
        }
    }

    fn hear_sync(&mut self, cx: &mut Context<'_>, number: ChannelNo, via: Via, sync: &Sync) {
        self.note_time(cx, sync.sent_at);
        if number >= UNICAST_CHANNELS {
            if via == Via::Unicast && self.takes_path(cx.now, number) {
                self.hear_unicast_sync(cx, number, sync);
            }
            return;
        }
        let timing = Timing {
            k: sync.k,
            grtt: sync.grtt,
            receivers: sync.receivers,
        };
        let ours = self.objects.iter().any(|rx| rx.runs_on(number));
        if ours {
            self.hear_timing(cx, timing);
        }
        if ours && via == Via::Group {
            self.hear_rate(cx, sync.rate, f64::from(sync.path_loss) / 255.0);
            self.hear_report_interval(cx, sync.report_interval);
        }
        if !self.proves(cx.library, number) {
            return;
        }
        let channel = self.channels.get(number);
        let missed = channel.told(cx.now, sync.next_packet);
        let current = sync.next_packet == channel.seen_to;
        if via == Via::Group {
            let probe = self.path.probe();
            let choice = if sync.padded_to > 0 {
                let choice = probe.heard_full(cx.now);
                probe.expect(cx.now, sync.next_sync);
                choice
            } else {
                probe.heard_small(cx.now, missed, sync.next_sync);
                None
            };
            self.take_path(cx, choice);
        }
        if current && !self.silent && !self.path.is_off_group() {
            self.hear_position(cx, number, timing, sync);
        }
    }

    /// SYNC told the sender's position on a channel from which nothing else is on its way.
    fn hear_position(
        &mut self,
        cx: &mut Context<'_>,
        number: ChannelNo,
        timing: Timing,
        sync: &Sync,
    ) {
        // The sender knows who has joined anywhere, and answers it where it is now.
        let held_back = self.joining.is_unknown();
        let Some(key) = cx.library.find(sync.coding) else {
            return;
        };
        let Some(rx) = self.objects.get_mut(key).filter(|rx| rx.listens_on(number)) else {
            return;
        };
        let Some(object) = cx.library.get(key).filter(|o| o.is_lacking()) else {
            return;
        };
        let holdings = object.holdings();
        rx.saw_position(cx.now, holdings, sync.position, timing, cx.rng);
        // A sender at rest that has not begun knows from our join that we lack everything.
        let begun = holdings.held() > 0 || sync.next_packet > 0;
        if (sync.query || sync.idle && begun) && !held_back {
            rx.saw_end(cx.now, holdings, timing, cx.rng);
        }
    }

    fn hear_unicast_sync(&mut self, cx: &mut Context<'_>, number: ChannelNo, sync: &Sync) {
        let timing = Timing {
            k: sync.k,
            grtt: sync.grtt,
            receivers: 1,
        };
        self.hear_timing(cx, timing);
        let missed = self.channels.get(number).told(cx.now, sync.next_packet);
        let lacking = !cx.library.needs_nothing();
        let path = self.unicast_path(cx.now, number);
        if lacking && (missed || sync.query) {
            path.ask_soon(cx.now, sync.grtt);
        }
        // It answers at once, so that the sender learns what size gets through.
        path.ack_due = Some(cx.now);
    }

    /// A confirm, or another receiver's NAK.
    pub(crate) fn hear_needs(&mut self, cx: &mut Context<'_>, channel: ChannelNo, needs: &Needs) {
        let timing = self.timing();
        let Some(key) = cx.library.find(needs.coding) else {
            return;
        };
        let rx = self.objects.get_mut(key);
        let Some(rx) = rx.filter(|rx| rx.runs_on(channel) && !rx.naks.is_empty()) else {
            return;
        };
        let Some(object) = cx.library.get(key) else {
            return;
        };
        for need in &needs.entries {
            let missing = |block| object.holdings().missing(block);
            let heard = rx.naks.heard(cx.now, need, missing, timing, cx.rng);
            cx.stats.naks_suppressed += heard;
        }
    }

    fn hear_heard(&mut self, cx: &mut Context<'_>, heard: &[Heard], listed: bool) {
        let refused = !listed && self.path.is_unicast();
        for heard in heard.iter().filter(|h| h.receiver == cx.config.id) {
            let Some(session) = &mut self.session else {
                return;
            };
            if refused {
                // It asks on: somebody may have left by then.
                if !session.set_unlisted(true) {
                    cx.out.event(ReceiverEvent::NoRoom);
                }
                continue;
            }
            if let Some(holds) = self.joining.was_heard(heard.counter) {
                session.set_unlisted(!listed);
                self.joined(cx, holds);
            }
        }
        self.leave_settled(cx);
        self.check_left();
    }
}
