//! What receivers lack, and how much of it is put in line for each of them.

use core::net::SocketAddr;

use crate::engine::sender::channel::Room;
use crate::engine::sender::serving::Serving;
use crate::engine::sender::transmission::Asked;
use crate::engine::{DropReason, Link, ObjectKey, PacketKind};
use crate::ids::{ChannelNo, MAX_PACKET_NO, ReceiverId, UNICAST_CHANNELS};
use crate::nak::RepairShare;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{MoveCause, Nak, SenderBody};

impl Serving {
    /// A NAK of a listed receiver came.
    pub(super) fn handle_nak(&mut self, now: Time, id: ReceiverId, channel: ChannelNo, nak: &Nak) {
        let Some(object) = self.offers.by_coding(nak.needs.coding) else {
            return self.outbox.dropped(DropReason::NotWanted);
        };
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.count_nak();
        let offered = self.offers.get(object);
        let object_here = (offered.geometry(), offered.missing());
        if let Some(path) = self.unicast.path_mut(id) {
            if path.channel() == channel || channel < UNICAST_CHANNELS {
                // Before it has heard anything on the path, nothing of it is on its way.
                let seen_to = match path.channel() == channel {
                    true => nak.seen_to,
                    false => MAX_PACKET_NO,
                };
                path.handle_needs(object, object_here, seen_to, &nak.needs.entries, nak.more);
            }
            if channel < UNICAST_CHANNELS {
                self.handle_evicted(now, id);
            }
            return;
        }
        let runs = self
            .channels
            .find(channel)
            .is_some_and(|c| c.carries(object));
        if !runs {
            return self.outbox.dropped(DropReason::NotWanted);
        }
        if !member.lacks(object) {
            // It had said that it was done; it knows better now.
            member.wants_mut().want(object);
            self.members.mark_stale();
        }
        self.answer(now, id, object, channel, nak);
    }

    /// Answers what a NAK asks for, as far as its receiver has room for it on a channel where
    /// others listen.
    pub(super) fn answer(
        &mut self,
        now: Time,
        id: ReceiverId,
        object: ObjectKey,
        number: ChannelNo,
        nak: &Nak,
    ) {
        let (grtt, group_feedback) = (self.grtt(), self.config.group_feedback);
        let channel = self.channels.get(number);
        let each = self.packet_len(channel.group(), object);
        let (busy, tier) = (channel.has_work(), channel.tier());
        let rate = self.repair_rate(number);
        let idle = (!busy).then_some(grtt);
        let share = self.share_of(now, number, id);
        let room = Room {
            symbols: share.map_or(u64::MAX, |s| s.room(now, rate, idle).div_ceil(each)),
            // Whoever joined with nothing has had everything put into a cycle by that.
            may_claim: self.members.get(id).is_some_and(|m| m.held()),
        };
        let loss = self.tiers.get(tier).loss().share();
        let asked = Asked {
            now,
            object,
            seen_to: nak.seen_to,
            grtt,
            group_feedback,
            loss,
        };
        let channel = self.channels.get_mut(number);
        let Some(granted) = channel.answer(id, &asked, &nak.needs.entries, room) else {
            return;
        };
        let Some(share) = self.share_of(now, number, id) else {
            return;
        };
        if busy {
            share.granted(now, rate, granted.symbols * each);
        }
        if granted.refused && share.refused(now) {
            self.send_away(now, id, number, MoveCause::AsksTooMuch);
        }
    }

    /// Whether one that joins anew, as it may do over and over, is to have all of an object again.
    pub(super) fn may_have_all(
        &mut self,
        now: Time,
        id: ReceiverId,
        number: ChannelNo,
        bytes: u64,
    ) -> bool {
        let rate = self.repair_rate(number);
        let Some(share) = self.share_of(now, number, id) else {
            return true;
        };
        let may = share.is_paid(now);
        if may {
            share.granted(now, rate, bytes);
        }
        may
    }

    /// The rate of which a receiver's repairs may take their share.
    fn repair_rate(&self, number: ChannelNo) -> Rate {
        let channel = self.channels.get(number);
        let factor = self.tiers.get(channel.tier()).repair_factor();
        channel.rate().mul_f64(factor)
    }

    /// What a receiver may ask for on a channel's tier, where it is not the only one.
    fn share_of(
        &mut self,
        now: Time,
        number: ChannelNo,
        id: ReceiverId,
    ) -> Option<&mut RepairShare> {
        let channel = self.channels.get(number);
        let tier = self.tiers.get_mut(channel.tier());
        channel.is_shared().then(|| tier.share_of(now, id))?
    }

    /// Writes what is to be confirmed.
    pub(super) fn make_confirms(&mut self, now: Time) {
        // What waits covers all the more of what is asked for meanwhile.
        if !self.outbox.may_reply(now) {
            return;
        }
        for channel in self.channels.iter_mut() {
            let (number, group) = channel.address();
            let to: (SocketAddr, Link) = (group, Link::GROUP);
            for needs in channel.take_confirms() {
                let body = SenderBody::Confirm(needs);
                self.outbox
                    .reply(now, to, number, body, PacketKind::Confirm);
            }
        }
    }
}
