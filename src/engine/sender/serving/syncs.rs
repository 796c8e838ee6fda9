//! SYNC: where objects are on their channels and paths, told unasked.

use core::time::Duration;

use crate::engine::sender::channel::SyncFigures;
use crate::engine::sender::serving::Serving;
use crate::engine::sender::unicast_path::PathSync;
use crate::engine::{ObjectKey, PacketKind};
use crate::ids::{ChannelNo, ReceiverId};
use crate::nak::backoff::k_for;
use crate::time::Time;
use crate::wire::{Position, SenderBody, Sync};

/// Receivers on unicast are heard by acknowledgements; their reports are for people.
const UNICAST_REPORTS: Duration = Duration::from_secs(1);

impl Serving {
    /// Sends the SYNCs that are due, on channels and paths.
    pub(super) fn send_syncs(&mut self, now: Time) {
        let running = self.channels.transmissions().filter(|(_, t)| !t.is_idle());
        let running = running.count();
        if !self.lifecycle.is_ending() {
            for number in 0..self.channels.len() as ChannelNo {
                while let Some(object) = self.channels.get(number).next_sync(now) {
                    self.send_sync(now, number, object, running);
                }
            }
        }
        self.send_unicast_syncs(now);
    }

    fn send_sync(&mut self, now: Time, number: ChannelNo, object: ObjectKey, running: usize) {
        let symbol_size = self.offers.get(object).geometry().symbol_size();
        let full = self.session.padded_len(symbol_size);
        let tier = self.channels.get(number).tier();
        let figures = SyncFigures {
            grtt: self.grtt(),
            group_feedback: self.config.group_feedback,
            report_interval: self.tiers.report_interval(tier, self.grtt.get()),
            path_loss: (self.tiers.get(tier).path_loss() * 255.0) as u8,
            full,
            least: self.least_interval(160 + u64::from(full) / 4, running),
        };
        let channel = self.channels.get_mut(number);
        if let Some(sync) = channel.sync(now, object, figures) {
            let body = SenderBody::Sync(sync);
            self.outbox
                .send_to_group(channel.address(), body, PacketKind::Sync);
        }
    }

    /// On a unicast path SYNC tells the next packet number, measures the round trip, and asks what
    /// is lacking once everything known has gone out.
    fn send_unicast_syncs(&mut self, now: Time) {
        for (id, due) in self.unicast.poll_syncs(now) {
            self.send_unicast_sync(now, id, due);
        }
    }

    fn send_unicast_sync(&mut self, now: Time, id: ReceiverId, due: PathSync) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let mut live = self.offers.live();
        let Some((_, offered)) = live.find(|&(object, _)| member.lacks(object)) else {
            return;
        };
        let sync = Sync {
            coding: offered.coding(),
            next_packet: due.next_packet,
            position: Position::default(),
            sent_at: now.as_nanos().max(1),
            grtt: self.grtt(),
            k: k_for(self.config.group_feedback, 1),
            receivers: 1,
            next_sync: due.next_sync,
            rate: self.unicast.rate(),
            report_interval: UNICAST_REPORTS,
            path_loss: 0,
            query: due.idle,
            idle: due.idle,
            padded_to: 0,
        };
        let (to, link) = member.address();
        let symbol_size = offered.geometry().symbol_size();
        // A small one always goes along, so that a path too narrow for data is told from a dead
        // one.
        let small = SenderBody::Sync(sync);
        self.outbox
            .send(to, link, due.channel, small, PacketKind::Sync);
        if due.padded {
            let full = SenderBody::Sync(Sync {
                padded_to: self.session.padded_len(symbol_size),
                ..sync
            });
            self.outbox
                .send(to, link, due.channel, full, PacketKind::Sync);
        }
    }
}
