//! What the session offers, and which of it is taken up.

use crate::engine::following::Following;
use crate::engine::following::context::Context;
use crate::engine::following::limits::{BELIEVED, MAX_OBJECTS};
use crate::engine::{Command, Library, Object, ObjectKey, ObjectState, ReceiverEvent};
use crate::ids::ShortCodingId;
use crate::nak::backoff::k_for;
use crate::object::Description;
use crate::time::Time;
use crate::wire::{ChannelInfo, Feedback, Offer, Outcome};

impl Following {
    /// An offer of the session came that may be acted on.
    pub(super) fn hear_offer(&mut self, cx: &mut Context<'_>, offer: Offer) {
        self.note_time(cx, offer.sent_at);
        let mut timing = self.timing();
        timing.receivers = timing.receivers.max(offer.receivers);
        timing.grtt = offer.grtt;
        if let Some(channel) = offer.channels.first() {
            let by_group = channel.feedback != Feedback::Sender;
            timing.k = k_for(by_group, timing.receivers);
            if let Some(session) = &mut self.session {
                session.set_rate(channel.rate);
            }
        }
        self.hear_timing(cx, timing);
        self.joining
            .offers_mut()
            .saw(cx.now, offer.sent_at, offer.index, offer.total);
        if !cx.config.wants(&offer.description.name) {
            return self.check_all_ended(cx);
        }
        let coding = offer.description.coding().short();
        let key = match cx.library.find(coding) {
            Some(key) => key,
            None if cx.library.len() >= MAX_OBJECTS => return,
            // All that there was has ended: what is offered while it says goodbye comes too late.
            None if self.joining.is_leaving() => return,
            // Each time takes a place for good: somebody else may withdraw it whenever it is
            // offered.
            None if was_withdrawn_of_late(cx.now, cx.library, coding) => return,
            None => {
                let Some(key) = take_up(cx, self.no, offer.description) else {
                    return self.check_all_ended(cx);
                };
                key
            }
        };
        if cx.library.has_ended(key) {
            return self.check_all_ended(cx);
        }
        if !self.objects.has(key) {
            self.objects.add(key);
            let (timing, rate) = (self.timing(), self.session_rate());
            self.joining.found_object(cx.now, timing, rate, cx.rng);
        }
        self.take_channels(cx, key, offer.channels);
    }

    /// An object runs on these channels: the one that suits is listened to.
    fn take_channels(&mut self, cx: &mut Context<'_>, key: ObjectKey, channels: Vec<ChannelInfo>) {
        let channel = self.tier.choose(&channels, cx.config.downlink);
        let Some(rx) = self.objects.get_mut(key) else {
            return;
        };
        rx.channels = channels;
        let unicast_only = cx.config.is_unicast_only();
        if let Some(channel) = channel {
            let before = rx.channel.replace(channel);
            let moves = before.is_some_and(|c| c.group != channel.group);
            if moves {
                rx.lose_position();
            }
            if !unicast_only && !self.path.stays_away(cx.now) {
                self.groups.join(channel, cx.out, cx.stats);
            }
            if before.is_none() && self.joining.is_pending() {
                let (timing, rate) = (self.timing(), self.session_rate());
                self.joining.ask_on(cx.now, timing, rate, cx.rng);
            }
            if moves {
                self.leave_if_unused(cx, before);
            }
        }
        if channel.is_some() || unicast_only {
            let choice = self.path.probe().described(cx.now);
            self.take_path(cx, choice);
        }
    }
}

/// Takes up an object that is wanted, unless it is too long.
fn take_up(cx: &mut Context<'_>, no: u8, description: Description) -> Option<ObjectKey> {
    let (name, length) = (description.name.clone(), description.geometry.length());
    let object = cx.library.add_wanted(description.clone());
    cx.out.event(ReceiverEvent::Started {
        object,
        name,
        length,
    });
    let most = cx.config.max_size;
    if length > most {
        cx.library.end(object, Outcome::Failed);
        let reason = format!("it has {length} bytes, more than the {most} allowed");
        cx.out.event(ReceiverEvent::Failed { object, reason });
        return None;
    }
    let description = Box::new(description);
    cx.out.command(
        no,
        Command::Open {
            object,
            description,
        },
    );
    Some(object)
}

fn was_withdrawn_of_late(now: Time, library: &Library, coding: ShortCodingId) -> bool {
    let latest = library.latest(coding).and_then(|key| library.get(key));
    let withdrawn = |o: &Object| match o.state() {
        ObjectState::Withdrawn(at) => now.since(at) < BELIEVED,
        _ => false,
    };
    latest.is_some_and(withdrawn)
}
