//! What a sender says by itself, on its own timers: SYNC, offers, and who was heard.

use core::time::Duration;

use crate::engine::sender::carousel::Phase;
use crate::engine::sender::offered::Offered;
use crate::engine::sender::{CONTROL_SHARE, HEARD_PER_PACKET, Sender, padded_len};
use crate::engine::{Link, ObjectKey, PacketKind};
use crate::ids::ChannelNo;
use crate::nak::backoff::k_for;
use crate::rate::RateControl;
use crate::time::Time;
use crate::wire::{self, ChannelInfo, Feedback, Offer, SenderBody, Sync};

/// Something as large as data goes out on a channel this often, as long as anything does.
const PROOF_INTERVAL: Duration = Duration::from_millis(150);

/// Receivers on unicast are heard by acknowledgements; their reports are for people.
const UNICAST_REPORTS: Duration = Duration::from_secs(1);

impl Sender {
    pub(super) fn channel_info(&self, number: ChannelNo) -> ChannelInfo {
        let group = self.channels[usize::from(number)].group;
        let feedback = if self.config.group_feedback {
            Feedback::Group {
                port: group.port() + 1,
            }
        } else {
            Feedback::Sender
        };
        let tier = self.channels[usize::from(number)].tier.unwrap_or(0);
        ChannelInfo {
            number,
            tier: tier as u8,
            group,
            source: self.config.source,
            rate: self.tier_rate(tier),
            feedback,
        }
    }

    /// The offer of an object as it stands.
    pub(super) fn make_offer(&self, now: Time, key: ObjectKey) -> SenderBody {
        let live = |o: &&Offered| o.withdrawn.is_none();
        let offered = &self.objects[key.0 as usize];
        SenderBody::Offer(Box::new(Offer {
            sent_at: now.as_nanos().max(1),
            index: self.objects[..key.0 as usize].iter().filter(live).count() as u32,
            // One more than there is tells a receiver of all to wait for what is being prepared.
            total: self.objects.iter().filter(live).count() as u32 + u32::from(self.preparing),
            grtt: self.grtt(),
            receivers: u32::try_from(self.active)
                .unwrap_or(u32::MAX)
                .max(self.config.wait_for)
                .max(1),
            description: offered.description.clone(),
            signature: offered.signature,
            channels: offered
                .channels
                .iter()
                .map(|&n| self.channel_info(n))
                .collect(),
        }))
    }

    pub(super) fn flush_heard(&mut self, now: Time) {
        if self.heard_due.is_some_and(|at| at <= now) {
            self.flush_heard_now(now);
        }
    }

    pub(super) fn flush_heard_now(&mut self, now: Time) {
        self.heard_due = None;
        let mut heard = core::mem::take(&mut self.heard);
        heard.sort_by_key(|&(channel, _)| channel);
        for same in heard.chunk_by(|a, b| a.0 == b.0) {
            for batch in same.chunks(HEARD_PER_PACKET) {
                let body = SenderBody::Heard(batch.iter().map(|&(_, h)| h).collect());
                let (channel, _) = batch[0];
                let group = self.channels[usize::from(channel)].group;
                self.reply(now, (group, Link::GROUP), channel, body, PacketKind::Heard);
            }
        }
    }

    /// The time in which a packet of so many bytes may be repeated within the share for control.
    pub(super) fn least_interval(&self, bytes: u64, times: usize) -> Duration {
        self.config
            .rate
            .mul_f64(CONTROL_SHARE)
            .time_for(bytes * times.max(1) as u64)
    }

    pub(super) fn send_syncs(&mut self, now: Time) {
        let running = self.carousels().filter(|(_, c)| c.phase != Phase::Idle);
        let running = running.count();
        if self.ending.is_none() {
            for number in 0..self.channels.len() {
                while let Some(key) = self.channels[number].next_sync(now) {
                    self.send_sync(now, number, key, running);
                }
            }
        }
        self.send_unicast_syncs(now);
    }

    fn send_sync(&mut self, now: Time, number: usize, key: ObjectKey, running: usize) {
        let (grtt, group_feedback) = (self.grtt(), self.config.group_feedback);
        let size = self.objects[key.0 as usize]
            .description
            .geometry
            .symbol_size();
        let size = padded_len(self.config.sealed, size);
        let least = self.least_interval(160 + u64::from(size) / 4, running);
        let tier = self.channels[number].tier.unwrap_or(0);
        let report_interval = self.report_interval(tier);
        let control = self.tiers[tier].control.as_ref();
        let path_loss = control.map_or(0.0, RateControl::path_loss);
        let path_loss = (path_loss * 255.0) as u8;
        let channel = &mut self.channels[number];
        // Data proves the path as well as a padded SYNC does.
        let padded = channel
            .full_at
            .is_none_or(|at| now.since(at) >= PROOF_INTERVAL);
        let next_packet = channel.next_packet;
        let Some(carousel) = channel.carousels.get_mut(&key) else {
            return;
        };
        let receivers = carousel.listeners.max(1);
        let k = k_for(group_feedback, receivers);
        let interval = carousel.sync_interval(grtt, k, least);
        carousel.sync.sent += 1;
        carousel.sync.last = now;
        carousel.sync.due = now + interval;
        if let Some(crowd) = &mut channel.crowd {
            crowd.tell(now, report_interval);
        }
        let body = SenderBody::Sync(Sync {
            coding: carousel.coding,
            next_packet,
            position: carousel.walk.position(),
            sent_at: now.as_nanos().max(1),
            grtt,
            k,
            receivers,
            next_sync: interval,
            rate: channel.pacer.rate(),
            report_interval,
            path_loss,
            query: carousel.phase == Phase::Asking,
            idle: carousel.phase == Phase::Idle,
            padded_to: if padded { size } else { 0 },
        });
        if padded {
            channel.full_at = Some(now);
        }
        self.send_to_channel(number as ChannelNo, body, PacketKind::Sync);
    }

    /// On a unicast path SYNC tells the next packet number, measures the round trip, and asks what is
    /// lacking once everything known has gone out.
    pub(super) fn send_unicast_syncs(&mut self, now: Time) {
        let mut due = Vec::new();
        for &id in &self.unicast_members {
            let Some(member) = self.roster.members.get_mut(&id) else {
                continue;
            };
            let Some(path) = &mut member.unicast else {
                continue;
            };
            if path.sync_due > now {
                continue;
            }
            let padded = path.syncs < 3 || path.syncs.is_multiple_of(4);
            let interval = match path.syncs {
                0 => Duration::from_millis(20),
                1..8 => Duration::from_millis(100),
                _ => Duration::from_millis(500),
            };
            path.sync_due = now + interval;
            due.push((
                id,
                member.address,
                member.link,
                padded,
                interval,
                path.channel,
                path.next_packet,
                path.is_idle(),
            ));
            path.sync_sent(padded);
        }
        for (id, address, link, padded, next_sync, channel, next_packet, idle) in due {
            let objects = self.objects.iter().enumerate();
            let member = &self.roster.members[&id];
            let mut wanted = objects
                .filter(|&(k, o)| o.withdrawn.is_none() && member.lacks(ObjectKey(k as u32)));
            let Some((_, offered)) = wanted.next() else {
                continue;
            };
            let size = padded_len(
                self.config.sealed,
                offered.description.geometry.symbol_size(),
            );
            let sync = Sync {
                coding: offered.coding,
                next_packet,
                position: wire::Position::default(),
                sent_at: now.as_nanos().max(1),
                grtt: self.grtt(),
                k: k_for(self.config.group_feedback, 1),
                receivers: 1,
                next_sync,
                rate: self.unicast_pacer.rate(),
                report_interval: UNICAST_REPORTS,
                path_loss: 0,
                query: idle,
                idle,
                padded_to: 0,
            };
            // A small one always goes along, so that a path too narrow for data is told from a dead one.
            self.send_to(
                address,
                link,
                channel,
                SenderBody::Sync(sync),
                PacketKind::Sync,
            );
            if padded {
                let full = SenderBody::Sync(Sync {
                    padded_to: size,
                    ..sync
                });
                self.send_to(address, link, channel, full, PacketKind::Sync);
            }
        }
    }

    /// Tells the first group what is on offer, one object at a time.
    pub(super) fn announce(&mut self, now: Time) {
        if self.announce_due > now || self.ending.is_some() {
            return;
        }
        let live = self
            .objects
            .iter()
            .filter(|o| o.withdrawn.is_none())
            .count();
        let count = self.objects.len();
        let next = (0..count)
            .map(|i| (self.announce_next + i) % count)
            .find(|&k| self.objects[k].withdrawn.is_none());
        let Some(key) = next else {
            self.announce_due = Time::NEVER;
            return;
        };
        let body = self.make_offer(now, ObjectKey(key as u32));
        self.send_to_channel(0, body, PacketKind::Offer);
        self.announce_next = key + 1;
        // Every object once a second, within the share; the first in quick succession. More often
        // where nobody can ask, so that a receiver starts at once.
        let one_way = self.config.one_way.is_some();
        let round = Duration::from_millis(if one_way { 100 } else { 1_000 });
        let each = round / live.max(1) as u32;
        self.announce_due = now + each.max(self.least_interval(600, 1));
    }
}
