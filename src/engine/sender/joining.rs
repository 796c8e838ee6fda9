//! Who joins, where it is served, and who is done.

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::sender::losses::Losses;
use crate::engine::sender::roster::{Exile, Member};
use crate::engine::sender::unicast::UnicastPath;
use crate::engine::sender::{
    HEARD_DELAY, HEARD_PER_PACKET, HEARD_TOGETHER, SYNC_PAUSE, Sender, heard,
};
use crate::engine::{DropReason, Link, ObjectKey, PacketKind, SenderEvent};
use crate::ids::{ChannelNo, NO_CHANNEL, PacketNo, ReceiverId, ShortCodingId, UNICAST_CHANNELS};
use crate::rate::Lag;
use crate::time::Time;
use crate::wire::{Done, FromReceiver, MoveCause, Outcome, Request, SenderBody, Stage, Wanted};

/// A join, and what is known of it.
pub(super) struct Join<'a> {
    pub(super) from: SocketAddr,
    pub(super) link: Link,
    pub(super) packet: &'a FromReceiver,
    pub(super) request: &'a Request,
    /// What it asks for, of what is on offer: at least one object.
    pub(super) wanted: &'a [ObjectKey],
    /// The round trip that it tells.
    pub(super) rtt: Option<Duration>,
}

impl Join<'_> {
    fn is_unicast(&self) -> bool {
        self.request.stage == Stage::JoinUnicast
    }
}

impl Sender {
    /// A receiver joins, or says where it is now.
    pub(super) fn handle_join(&mut self, now: Time, join: &Join<'_>) {
        let Some(first_time) = self.admit(now, join) else {
            return;
        };
        let (id, request) = (join.packet.receiver, join.request);
        let before = self.roster.members.get(&id).filter(|_| !first_time);
        let returned = before.filter(|m| !m.is_active()).map(|m| m.outcome);
        let (tier, moved) = self.place(now, join, first_time);
        let fresh = self.take_wants(join, moved);
        self.choose_path(now, join);
        self.serve(now, join, tier, fresh);
        let fled = matches!(
            request.cause,
            MoveCause::Congestion | MoveCause::SocketBuffer
        );
        self.recount = true;
        if moved && fled && !join.is_unicast() {
            // Its tier may begin with it.
            self.update(now);
            if let Some(control) = self.tiers[tier].control.as_mut() {
                control.handle_refugee(now, id);
            }
        }
        if let Some(outcome) = returned {
            self.events.push_back(SenderEvent::Returned {
                receiver: id,
                outcome,
            });
        }
        if first_time {
            self.roster.joined += 1;
            self.events.push_back(SenderEvent::Joined {
                receiver: id,
                address: join.from,
                unicast: join.is_unicast(),
            });
        } else if moved {
            self.events.push_back(SenderEvent::Moved {
                receiver: id,
                unicast: join.is_unicast(),
                tier: self.tier_rate(tier),
                cause: request.cause,
            });
        }
        // Its switch may not let the group through yet.
        self.acknowledge(now, id, None, join.packet.counter);
    }

    /// Whether it may join and is listed; true if it is for the first time.
    fn admit(&mut self, now: Time, join: &Join<'_>) -> Option<bool> {
        let (id, from, link) = (join.packet.receiver, join.from, join.link);
        let member = self.roster.members.get(&id);
        let unicast = join.is_unicast();
        match member.and_then(|m| m.exile) {
            Some(Exile::Everything(_)) => {
                self.tell_exile(now, from, link, id);
                return None;
            }
            Some(Exile::Unicast(..)) if !unicast => {
                self.handle_exile(now, id);
                return None;
            }
            _ => {}
        }
        let has_path = member.is_some_and(|m| m.unicast.is_some());
        let has_place = !unicast || has_path || self.has_unicast_channel();
        if !has_place || !self.roster.has_room(id, self.config.roster) {
            self.join_crowd(now, (from, link), join.packet, join.request, join.wanted);
            return None;
        }
        let first_time = !self.roster.members.contains_key(&id);
        let members = self.roster.members.entry(id);
        let member = members.or_insert_with(|| Member::new(now, from, link));
        let counter = join.packet.counter;
        if member.gone {
            member.count_anew();
        }
        if !member.is_fresh(counter) || !member.is_last_join(counter) {
            self.stats.dropped.add(DropReason::Replayed);
            return None;
        }
        Some(first_time)
    }

    /// Where it is from now on: its tier, and whether it was here before and somewhere else.
    fn place(&mut self, now: Time, join: &Join<'_>, first_time: bool) -> (usize, bool) {
        let (id, request) = (join.packet.receiver, join.request);
        let Some(member) = self.roster.members.get_mut(&id) else {
            return (0, false);
        };
        let tier = self.channels.get(usize::from(join.packet.channel));
        let tier = tier.and_then(|c| c.tier).unwrap_or(member.tier);
        let was_here = !first_time && !member.gone;
        let elsewhere = member.unicast.is_some() != join.is_unicast() || member.tier != tier;
        let moved = was_here && elsewhere;
        if moved
            && let Some(left) = self.tiers.get_mut(member.tier)
            && let Some(control) = &mut left.control
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
        member.heard(now, join.from, join.link, self.patience);
        (tier, moved)
    }

    /// What it wants, and of that what it is to have from the start; with each, whether it may have had it before.
    fn take_wants(&mut self, join: &Join<'_>, moved: bool) -> Vec<(ObjectKey, bool)> {
        let mut fresh = Vec::new();
        let Some(member) = self.roster.members.get_mut(&join.packet.receiver) else {
            return fresh;
        };
        let everything = matches!(join.request.wanted, Wanted::All { .. });
        for &key in join.wanted {
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
        fresh
    }

    /// It has a path of its own from now on, or none.
    fn choose_path(&mut self, now: Time, join: &Join<'_>) {
        let id = join.packet.receiver;
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        if join.is_unicast() {
            if member.unicast.is_some() {
                return;
            }
            let packet_len = self.packet_len(join.from, join.wanted[0]);
            let (channel, next_packet) = self.new_unicast_channel();
            let path = UnicastPath::new(now, channel, next_packet, packet_len, join.rtt);
            self.member(id, |m| {
                m.unicast = Some(Box::new(path));
                m.lag = Lag::new(now);
            });
            return;
        }
        if let Some(path) = member.unicast.take() {
            member.lag = Lag::new(now);
            self.unicast_channels.insert(path.channel, path.next_packet);
        }
        if let Some(rtt) = join.rtt {
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
            let geometry = self.objects[key.0 as usize].description.geometry;
            let bytes = geometry.total_symbols() * self.packet_len(join.from, key);
            let number = self.objects[key.0 as usize].channel(tier);
            let limited = again && !join.is_unicast() && !request.holds;
            let granted = !limited || number.is_none_or(|n| self.may_have_all(now, id, n, bytes));
            let Some(carousel) = self.carousel(key, tier) else {
                continue;
            };
            carousel.sync_for_joiner(now, SYNC_PAUSE);
            if request.holds {
                continue;
            }
            if join.is_unicast() {
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

    /// Says that a join or done was heard: in batches on a channel, or at once over unicast without one, to who is
    /// on unicast, and to each of a large group.
    pub(super) fn acknowledge(
        &mut self,
        now: Time,
        id: ReceiverId,
        on: Option<ChannelNo>,
        counter: u64,
    ) {
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

    pub(super) fn handle_done(&mut self, now: Time, id: ReceiverId, done: &[Done]) {
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
            let controls = self.tiers.iter_mut().filter_map(|t| t.control.as_mut());
            controls.for_each(|control| control.forget(now, id));
        }
        self.recount = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carousel::Surplus;
    use crate::config;
    use crate::engine::{Burst, SenderConfig};
    use crate::ids::SessionId;
    use crate::object::Description;
    use crate::rate::Adapt;
    use crate::seal::SigningKey;
    use crate::secret::Secret;
    use crate::units::Rate;
    use crate::wire::{self, Packet, ReceiverBody};

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
