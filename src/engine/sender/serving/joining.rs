//! Who joins, where it is served, and who is done.

use crate::engine::sender::join::Join;
use crate::engine::sender::member::{Eviction, Member};
use crate::engine::sender::notices::heard;
use crate::engine::sender::serving::Serving;
use crate::engine::{DropReason, Link, ObjectKey, PacketKind, SenderEvent};
use crate::ids::{ChannelNo, ReceiverId, ShortCodingId};
use crate::time::Time;
use crate::wire::{Done, MoveCause, Outcome, SenderBody, Wanted};

/// With more receivers each is told alone that it was heard: a group of 100,000 would hear 2.4 MB
/// of others' acknowledgements, 19 s of a link of 1 Mbit/s.
const HEARD_TOGETHER: usize = 1_000;

impl Serving {
    /// A receiver joins, or says where it is now.
    pub(super) fn handle_join(&mut self, now: Time, join: &Join<'_>) {
        let Some(first_time) = self.admit(now, join) else {
            return;
        };
        let (id, request) = (join.packet.receiver, join.request);
        let before = self.members.get(id).filter(|_| !first_time);
        let returned = before.filter(|m| !m.is_active()).map(|m| m.outcome());
        let (tier, moved) = self.place(now, join, first_time);
        let fresh = self.take_wants(join, moved);
        self.choose_path(now, join);
        self.serve(now, join, tier, fresh);
        let fled = matches!(
            request.cause,
            MoveCause::Congestion | MoveCause::SocketBuffer
        );
        self.members.mark_stale();
        if moved && fled && !join.is_unicast() {
            // Its tier may begin with it.
            self.update(now);
            if let Some(control) = self.tiers.get_mut(tier).control_mut() {
                control.handle_refugee(now, id);
            }
        }
        if let Some(outcome) = returned {
            self.outbox.push_event(SenderEvent::Returned {
                receiver: id,
                outcome,
            });
        }
        if first_time {
            self.members.count_join();
            self.outbox.push_event(SenderEvent::Joined {
                receiver: id,
                address: join.from,
                unicast: join.is_unicast(),
            });
        } else if moved {
            self.outbox.push_event(SenderEvent::Moved {
                receiver: id,
                unicast: join.is_unicast(),
                tier: self.tiers.rate_of(tier),
                cause: request.cause,
            });
        }
        // Its switch may not let the group through yet.
        self.acknowledge(now, id, None, join.packet.counter);
    }

    /// Whether it may join and is listed; true if it is for the first time.
    fn admit(&mut self, now: Time, join: &Join<'_>) -> Option<bool> {
        let (id, from, link) = (join.packet.receiver, join.from, join.link);
        let unicast = join.is_unicast();
        match self.members.get(id).and_then(|m| m.eviction()) {
            Some(Eviction::FromSession(_)) => {
                self.tell_eviction(now, from, link, id);
                return None;
            }
            Some(Eviction::FromGroups(..)) if !unicast => {
                self.handle_evicted(now, id);
                return None;
            }
            _ => {}
        }
        let has_place = !unicast || self.unicast.serves(id) || self.unicast.has_number();
        if !has_place || !self.members.has_room(id) {
            self.join_unlisted(now, join);
            return None;
        }
        let first_time = !self.members.contains(id);
        let member = self.members.enter(id, || Member::new(now, from, link));
        if !member.accepts_join(join.packet.counter) {
            self.outbox.dropped(DropReason::Replayed);
            return None;
        }
        Some(first_time)
    }

    /// Where it is from now on: its tier, and whether it was here before and somewhere else.
    fn place(&mut self, now: Time, join: &Join<'_>, first_time: bool) -> (usize, bool) {
        let (id, request) = (join.packet.receiver, join.request);
        let patience = self.members.patience();
        let Some(member) = self.members.get_mut(id) else {
            return (0, false);
        };
        let before = member.tier();
        let tier = self.channels.known_tier(join.packet.channel);
        let tier = tier.unwrap_or(before);
        let was_here = !first_time && !member.is_gone();
        let elsewhere = self.unicast.serves(id) != join.is_unicast() || before != tier;
        let moved = was_here && elsewhere;
        if moved {
            // What it lost elsewhere says nothing of the path to here.
            member.forget_losses();
        }
        member.settle(tier, request);
        member.heard(now, join.from, join.link, patience);
        let left = self.tiers.find_mut(before).filter(|_| moved);
        if let Some(control) = left.and_then(|t| t.control_mut()) {
            match request.cause {
                MoveCause::Congestion | MoveCause::SocketBuffer | MoveCause::Disk => {
                    control.handle_fled(now, id);
                }
                _ => control.forget(now, id),
            }
        }
        (tier, moved)
    }

    /// Notes what it wants; gives what of that it is to have from the start, with each whether it
    /// may have had it before.
    fn take_wants(&mut self, join: &Join<'_>, moved: bool) -> Vec<(ObjectKey, bool)> {
        let mut fresh = Vec::new();
        let Some(member) = self.members.get_mut(join.packet.receiver) else {
            return fresh;
        };
        let everything = matches!(join.request.wanted, Wanted::All { .. });
        for &key in join.wanted {
            if !member.lacks(key) || moved {
                fresh.push((key, moved || member.wants().has_finished(key)));
            }
            if !everything {
                member.wants_mut().want(key);
            }
        }
        if everything {
            // Objects that it has finished with stay finished.
            member.wants_mut().want_all();
            fresh.retain(|&(key, _)| member.lacks(key));
        }
        fresh
    }

    /// It has a path of its own from now on, or none.
    fn choose_path(&mut self, now: Time, join: &Join<'_>) {
        let id = join.packet.receiver;
        let changed = if join.is_unicast() {
            let opens = !self.unicast.serves(id);
            if opens {
                let packet_len = self.packet_len(join.from, join.wanted[0]);
                self.unicast.open(now, id, packet_len, join.rtt);
            }
            opens
        } else {
            self.unicast.close(id)
        };
        let member = self.members.get_mut(id).filter(|_| changed);
        if let Some(member) = member {
            member.restart_lag(now);
        }
        if let Some(rtt) = join.rtt.filter(|_| !join.is_unicast()) {
            self.grtt.sample(now, rtt);
        }
    }

    /// Puts what it is to have in line, where it listens.
    fn serve(&mut self, now: Time, join: &Join<'_>, tier: usize, fresh: Vec<(ObjectKey, bool)>) {
        let (id, request) = (join.packet.receiver, join.request);
        for &key in join.wanted {
            self.open_channel(now, key, tier);
        }
        for (key, again) in fresh {
            let offered = self.offers.get(key);
            let bytes = offered.symbols() * self.packet_len(join.from, key);
            let number = self.channels.number(key, tier);
            let limited = again && !join.is_unicast() && !request.holds;
            let granted = !limited || number.is_none_or(|n| self.may_have_all(now, id, n, bytes));
            let Some(transmission) = self.channels.transmission(key, tier) else {
                continue;
            };
            transmission.handle_join(now);
            if request.holds {
                continue;
            }
            if join.is_unicast() {
                let offered = self.offers.get(key);
                if let Some(path) = self.unicast.path_mut(id) {
                    path.needs_all(key, offered.geometry(), &offered.not_sent());
                }
            } else if granted {
                transmission.want_all();
            }
        }
        if let Some(path) = self.unicast.path_mut(id) {
            path.heard(request.largest_heard);
            path.hurry_sync(now);
        }
    }

    /// Says that a join or done was heard: in batches on a channel, or at once over unicast without
    /// one, to who is on unicast, and to each of a large group.
    pub(super) fn acknowledge(
        &mut self,
        now: Time,
        id: ReceiverId,
        on: Option<ChannelNo>,
        counter: u64,
    ) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let heard = heard(id, counter);
        let together = !self.unicast.serves(id) && self.members.len() <= HEARD_TOGETHER;
        let on = on.filter(|&c| together && usize::from(c) < self.channels.len());
        let Some(channel) = on else {
            let body = SenderBody::Heard(vec![heard]);
            return self
                .outbox
                .reply(now, member.address(), 0, body, PacketKind::Heard);
        };
        if self.acknowledgements.push(now, channel, heard) {
            self.send_acknowledgements(now);
        }
    }

    /// Sends all acknowledgements that wait.
    pub(super) fn send_acknowledgements(&mut self, now: Time) {
        for (number, heard) in self.acknowledgements.take() {
            let to = (self.channels.get(number).group(), Link::GROUP);
            let body = SenderBody::Heard(heard);
            self.outbox.reply(now, to, number, body, PacketKind::Heard);
        }
    }

    /// A receiver is done with objects, or with everything.
    pub(super) fn handle_done(&mut self, now: Time, id: ReceiverId, done: &[Done]) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let had = member.outcome();
        for done in done {
            let mut event = |object| {
                self.outbox.push_event(SenderEvent::Done {
                    receiver: id,
                    object,
                    outcome: done.outcome,
                });
            };
            if done.coding == ShortCodingId(0) {
                if member.wants_mut().end(done.outcome) {
                    event(None);
                }
                continue;
            }
            let Some(key) = self.offers.by_coding(done.coding) else {
                continue;
            };
            if member.lacks(key) {
                event(Some(key));
            }
            let wants = member.wants_mut();
            wants.finish(key);
            if let Some(path) = self.unicast.path_mut(id) {
                path.forget(key);
            }
            if wants.has_finished_all_named() && wants.end(done.outcome) {
                event(None);
            }
        }
        if had.is_none() && member.outcome().is_some() {
            if member.outcome() == Some(Outcome::Complete) {
                member.note_complete();
            }
            self.unicast.close(id);
            self.tiers.forget(now, id);
        }
        self.members.mark_stale();
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::engine::{Burst, Library, SenderConfig};
    use crate::ids::NO_CHANNEL;
    use crate::object::Description;
    use crate::units::Rate;
    use crate::wire::{self, FromReceiver, Packet, ReceiverBody, Request, Stage};

    fn serving() -> Serving {
        let mut serving = Serving::new(SenderConfig::for_tests(), Time::ZERO);
        let film = Description::pretend("film", 1_000_000, 1_344, 64).unwrap();
        let mut library = Library::new();
        let film = library.add_whole(film);
        serving.offer(Time::ZERO, library.get(film).unwrap());
        serving
    }

    /// Receiver `id` joins by unicast, for the `counter`th time; true if it is told that it is not
    /// listed.
    fn is_unlisted(serving: &mut Serving, id: u64, counter: u64) -> bool {
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
            session: serving.session.id,
            receiver: id,
            counter,
            cookie: serving.cookie(from, id),
            echo: None,
            body: ReceiverBody::Request(request),
        };
        let mut datagram = Vec::new();
        packet.encode(&mut datagram);
        serving.handle_datagram(Time::from_millis(counter), from, Link(1), &datagram);
        let (mut burst, mut unlisted) = (Burst::default(), false);
        while serving.outbox.pop(&mut burst).is_some() {
            if let Ok(Packet::FromSender(packet)) = wire::parse(&burst.control) {
                unlisted |= matches!(packet.body, SenderBody::Unlisted(_));
            }
        }
        unlisted
    }

    #[test]
    fn who_finds_no_channel_for_unicast_is_told_so_and_who_has_one_keeps_it() {
        let mut serving = serving();
        serving.unicast.leave_numbers(1);
        assert!(!is_unlisted(&mut serving, 1, 1));
        assert!(is_unlisted(&mut serving, 2, 2));
        assert!(!is_unlisted(&mut serving, 1, 3));
        assert!(serving.unicast.serves(ReceiverId(1)));
        assert!(!serving.members.contains(ReceiverId(2)));
    }
}
