//! Receivers that the roster has no room for: how they join, what they say, and how they leave.

use core::time::Duration;

use crate::engine::sender::join::Join;
use crate::engine::sender::members::SILENCE;
use crate::engine::sender::notices::heard;
use crate::engine::sender::serving::Serving;
use crate::engine::{DropReason, ObjectKey, PacketKind};
use crate::ids::ChannelNo;
use crate::time::Time;
use crate::wire::{FromReceiver, ReceiverBody, Report, SenderBody};

impl Serving {
    /// Receivers that are here and not listed, as far as can be told.
    pub(crate) fn unlisted(&self) -> u32 {
        self.channels.unlisted()
    }

    /// Somebody joins whom the roster has no room for. One that wants unicast is not served yet,
    /// but waited for.
    pub(super) fn join_unlisted(&mut self, now: Time, join: &Join<'_>) {
        let tier = self.channels.known_tier(join.packet.channel).unwrap_or(0);
        let (mut joined, mut is_new) = (Vec::new(), false);
        for &object in join.wanted {
            self.open_channel(now, object, tier);
            let Some(number) = self.channels.number(object, tier) else {
                continue;
            };
            let interval = self.tiers.report_interval(tier, self.grtt.get());
            let channel = self.channels.get_mut(number);
            if !channel.welcome_unlisted(now, object, interval) || join.is_unicast() {
                continue;
            }
            if !joined.contains(&number) {
                joined.push(number);
                is_new |= channel.join_unlisted(now, join.packet.receiver);
            }
            self.serve_unlisted(now, join, number, object, is_new);
        }
        if join.is_unicast() {
            self.outbox.dropped(DropReason::Full);
        } else if !self.lifecycle.has_started() && is_new {
            self.members.count_join();
        }
        self.members.mark_stale();
        self.channels.expect_unlisted(now);
        let body = SenderBody::Unlisted(vec![heard(join.packet.receiver, join.packet.counter)]);
        self.outbox
            .reply(now, (join.from, join.link), 0, body, PacketKind::Heard);
    }

    /// Puts an object in line for an unlisted receiver, unless it holds some of it.
    fn serve_unlisted(
        &mut self,
        now: Time,
        join: &Join<'_>,
        number: ChannelNo,
        object: ObjectKey,
        is_new: bool,
    ) {
        let channel = self.channels.get_mut(number);
        if let Some(transmission) = channel.transmission(object) {
            transmission.handle_join(now);
        }
        if join.request.holds {
            return;
        }
        let symbols = self.offers.get(object).symbols();
        let bytes = symbols * self.packet_len(join.from, object);
        let id = join.packet.receiver;
        let granted = is_new || self.may_have_all(now, id, number, bytes);
        let channel = self.channels.get_mut(number);
        if granted && let Some(transmission) = channel.transmission(object) {
            transmission.want_all();
        }
    }

    /// Somebody who is not listed says something about a channel, and is heard as one of those that
    /// listen there; false if none do.
    pub(super) fn hear_unlisted(
        &mut self,
        now: Time,
        packet: &FromReceiver,
        rtt: Option<Duration>,
    ) -> bool {
        let id = packet.receiver;
        let coding = match &packet.body {
            ReceiverBody::Nak(nak) => nak.needs.coding,
            ReceiverBody::Report(report) if !report.unicast => report.coding,
            _ => return false,
        };
        let channel = self.channels.find_mut(packet.channel);
        let Some(channel) = channel.filter(|c| c.unlisted().is_some()) else {
            return false;
        };
        if channel.hear_unlisted(now, coding) {
            self.members.mark_stale();
        }
        // Nothing tells that it is no old packet, so that those who are listed are asked first.
        if let Some(rtt) = rtt.filter(|_| self.members.is_empty()) {
            self.grtt.sample(now, rtt);
        }
        match &packet.body {
            ReceiverBody::Nak(nak) => match self.offers.by_coding(coding) {
                Some(object) => self.answer(now, id, object, packet.channel, nak),
                None => self.outbox.dropped(DropReason::NotWanted),
            },
            ReceiverBody::Report(report) => self.handle_unlisted_report(now, packet, report),
            _ => {}
        }
        if coding.0 == 0 {
            // A report on several objects names none, and comes on the channel of one of them:
            // somebody may lack something of each.
            self.channels.iter_mut().for_each(|c| c.renew_unlisted(now));
        }
        true
    }

    fn handle_unlisted_report(&mut self, now: Time, packet: &FromReceiver, report: &Report) {
        let id = packet.receiver;
        let Some(channel) = self.channels.find_mut(packet.channel) else {
            return;
        };
        let group = channel.group();
        let unlisted = channel.unlisted_mut();
        let before = unlisted.and_then(|u| u.handle_report(now, id, *report));
        if let Some(before) = before {
            let delivered = self.session.on_the_wire(report.throughput, group);
            self.follow_report(now, id, packet.channel, delivered, (&before, report));
        }
    }

    /// Somebody who is not listed has finished with everything.
    pub(super) fn leave_unlisted(&mut self, now: Time, packet: &FromReceiver) {
        let channel = self.channels.find_mut(packet.channel);
        if let Some(unlisted) = channel.and_then(|c| c.unlisted_mut()) {
            unlisted.handle_done(now);
        }
    }

    /// Counts unlisted receivers anew, and forgets those of whom nobody was heard for long.
    pub(super) fn follow_unlisted(&mut self, now: Time) {
        let patience = self.members.patience();
        if self.channels.follow_unlisted(now, patience, SILENCE) {
            self.members.mark_stale();
        }
    }
}
