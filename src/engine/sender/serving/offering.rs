//! Objects that are offered, announced and withdrawn, and the channels they get.

use core::time::Duration;

use crate::engine::sender::config::SenderError;
use crate::engine::sender::notices::{self, notice};
use crate::engine::sender::offers::Terms;
use crate::engine::sender::serving::Serving;
use crate::engine::sender::transmission::Transmission;
use crate::engine::{Object, ObjectKey, PacketKind, SenderEvent, Slot};
use crate::fault::StoreFault;
use crate::ids::{BlockNo, ChannelNo, ReceiverId};
use crate::object::Description;
use crate::time::Time;
use crate::wire::{ChannelInfo, Feedback, Notice, NoticeCode, SenderBody};

/// SYNCs and announcements each stay within this share of the rate.
const CONTROL_SHARE: f64 = 0.01;

impl Serving {
    /// Whether an object can be offered.
    pub(crate) fn check_offer(&self, description: &Description) -> Result<(), SenderError> {
        self.offers.check(description)
    }

    /// Offers an object of a library from now on, one after the other as they were added there.
    pub(crate) fn offer(&mut self, now: Time, object: &Object) -> ObjectKey {
        let (session, key) = (self.session.id, &self.config.key);
        let object = self.offers.add(now, session, object, key);
        self.channels.add_object(now);
        if self.session.one_way {
            (0..self.tiers.len()).for_each(|tier| self.open_channel(now, object, tier));
        } else if self.channels.are_shared() {
            self.open_channel(now, object, 0);
        }
        // Receivers that wait for all, or for this one, learn of it at once.
        let offered = self.offers.get(object);
        for (id, _) in self.members.lacking(object) {
            if let Some(path) = self.unicast.path_mut(id) {
                path.needs_all(object, offered.geometry(), &offered.not_sent());
            }
        }
        for tier in self.members.tiers_lacking(object) {
            self.open_channel(now, object, tier);
            if let Some(transmission) = self.channels.transmission(object, tier) {
                transmission.want_all();
            }
        }
        self.members.mark_stale();
        self.update(now);
        object
    }

    /// A block of an object that was missing is here: it goes out to those who lack it.
    pub(crate) fn handle_block(&mut self, now: Time, object: ObjectKey, block: BlockNo) {
        self.offers.handle_block(object, block);
        self.channels.handle_block(object, block);
        self.unicast.handle_block(object, block);
        self.update(now);
    }

    /// Stops sending an object and tells everybody why; false if it was not on offer.
    pub(crate) fn withdraw(&mut self, now: Time, object: ObjectKey, reason: &str) -> bool {
        let Some(coding) = self.offers.withdraw(object, reason) else {
            return false;
        };
        self.slots.forget(object);
        let notice = notice(NoticeCode::Withdrawn, ReceiverId(0), coding, reason);
        let mut groups = vec![self.channels.get(0).address()];
        for (number, ran) in self.channels.close(object) {
            if ran && number != 0 {
                groups.push(self.channels.get(number).address());
            }
        }
        for group in groups {
            for _ in 0..notices::REPEATED {
                let body = SenderBody::Notice(notice.clone());
                self.outbox.send_to_group(group, body, PacketKind::Notice);
            }
        }
        for (id, member) in self.members.lacking(object) {
            if let Some(path) = self.unicast.path_mut(id) {
                path.forget(object);
                let (to, link) = member.address();
                let body = SenderBody::Notice(Notice {
                    receiver: id,
                    ..notice.clone()
                });
                self.outbox.send(to, link, 0, body, PacketKind::Notice);
            }
            member.wants_mut().finish(object);
        }
        self.outbox.push_event(SenderEvent::Withdrawn {
            object,
            reason: reason.to_owned(),
        });
        self.members.mark_stale();
        self.update(now);
        true
    }

    /// Says that more objects are about to be offered, or no more are.
    pub(crate) fn set_preparing(&mut self, now: Time, preparing: bool) {
        self.lifecycle.set_preparing(preparing);
        // Receivers of all wait for the word that nothing more comes.
        self.offers.announce_now(now);
        self.update(now);
    }

    /// A block is in its slot, or can't be had: then its object, which is given, can't be sent.
    pub(crate) fn handle_read(
        &mut self,
        slot: Slot,
        result: Result<(), StoreFault>,
    ) -> Option<(ObjectKey, String)> {
        let object = self.slots.loaded(slot, result.is_ok())?;
        Some((object, result.err()?.to_string()))
    }

    /// Gives an object a channel on each tier, if it has none, and begins to run it on `tier`.
    pub(super) fn open_channel(&mut self, now: Time, object: ObjectKey, tier: usize) {
        let offered = self.offers.get(object);
        if offered.is_withdrawn() {
            return;
        }
        let surplus = self.config.surplus;
        let begin = || {
            let blocks = (offered.missing().clone(), offered.zeros().clone());
            Transmission::new(now, offered.coding(), offered.geometry(), surplus, blocks)
        };
        let Some(channel) = self.channels.open(now, object, tier, begin) else {
            return;
        };
        let burst = self.tiers.get(tier).loss().burst();
        channel.set_depth(burst, self.config.slots);
        let (channel, group) = channel.address();
        self.tiers.mark_reshare();
        self.outbox.push_event(SenderEvent::Started {
            object,
            channel,
            group,
        });
    }

    fn channel_info(&self, number: ChannelNo) -> ChannelInfo {
        let channel = self.channels.get(number);
        let (group, tier) = (channel.group(), channel.tier());
        let feedback = match self.config.group_feedback {
            true => Feedback::Group {
                port: group.port() + 1,
            },
            false => Feedback::Sender,
        };
        ChannelInfo {
            number,
            tier: tier as u8,
            group,
            source: self.config.source,
            rate: self.tiers.rate_of(tier),
            feedback,
        }
    }

    /// The offer of an object as it stands.
    pub(super) fn make_offer(&self, now: Time, object: ObjectKey) -> SenderBody {
        let numbers = self.channels.numbers(object).iter();
        let terms = Terms {
            grtt: self.grtt(),
            receivers: u32::try_from(self.members.active())
                .unwrap_or(u32::MAX)
                .max(self.config.wait_for)
                .max(1),
            preparing: self.lifecycle.is_preparing(),
            channels: numbers.map(|&n| self.channel_info(n)).collect(),
        };
        self.offers.offer(now, object, terms)
    }

    /// Tells the first group what is on offer, one object at a time.
    pub(super) fn announce(&mut self, now: Time) {
        if self.lifecycle.is_ending() {
            return;
        }
        let Some(object) = self.offers.next_announced(now) else {
            return;
        };
        self.send_offer(now, object);
        // Every object once a second, within the share; the first in quick succession. More often
        // where nobody can ask, so that a receiver starts at once.
        let round = Duration::from_millis(if self.session.one_way { 100 } else { 1_000 });
        let least = self.least_interval(600, 1);
        self.offers.announced(now, object, round, least);
    }

    /// Tells the first group of an object.
    pub(super) fn send_offer(&mut self, now: Time, object: ObjectKey) {
        let body = self.make_offer(now, object);
        let group = self.channels.get(0).address();
        self.outbox.send_to_group(group, body, PacketKind::Offer);
    }

    /// The time in which a packet of this many bytes may be repeated within the share for control.
    pub(super) fn least_interval(&self, bytes: u64, times: usize) -> Duration {
        let rate = self.config.rate.mul_f64(CONTROL_SHARE);
        rate.time_for(bytes * times.max(1) as u64)
    }
}
