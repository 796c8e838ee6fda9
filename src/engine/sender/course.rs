//! How a sender moves on: who listens, what each object's carousel does next, which channel it has,
//! who is forgotten, and when it all ends.

use core::time::Duration;

use crate::config;
use crate::engine::sender::offered::Phase;
use crate::engine::sender::{CHANNEL_LINGER, END_NOTICES, SILENCE, Sender, notice};
use crate::engine::{ObjectKey, PacketKind, SenderEvent};
use crate::ids::{ChannelNo, ReceiverId, ShortCodingId};
use crate::time::Time;
use crate::wire::{NoticeCode, SenderBody};

impl Sender {
    pub(super) fn count_listeners(&mut self, now: Time) {
        self.recount = false;
        let members = self.roster.members.iter();
        self.unicast_members = members
            .filter(|(_, m)| m.unicast.is_some())
            .map(|(&id, _)| id)
            .collect();
        for (key, offered) in self.objects.iter_mut().enumerate() {
            let key = ObjectKey(key as u32);
            let had = offered.listeners + offered.unicast;
            offered.listeners = 0;
            offered.unicast = 0;
            if offered.withdrawn.is_some() {
                continue;
            }
            for member in self.roster.members.values().filter(|m| m.lacks(key)) {
                if member.unicast.is_some() {
                    offered.unicast += 1;
                } else {
                    offered.listeners += 1;
                }
            }
            if had > 0 || offered.listeners + offered.unicast > 0 {
                offered.wanted_at = now;
            }
        }
        let busy = self.objects.iter().any(|o| o.listeners > 0);
        let share = if busy { config::UNICAST_SHARE } else { 1.0 };
        self.unicast_pacer
            .set_rate(now, self.config.rate.mul_f64(share));
        if !self.started && self.roster.joined >= u64::from(self.config.wait_for.max(1)) {
            self.started = true;
        }
    }

    /// Moves each object's carousel on: from cycle to cycle, to the question at the end, to rest.
    pub(super) fn advance(&mut self, now: Time) {
        for (key, offered) in self.objects.iter_mut().enumerate() {
            let object = ObjectKey(key as u32);
            if offered.listeners == 0 {
                if offered.phase != Phase::Idle {
                    offered.clear();
                    offered.phase = Phase::Idle;
                    offered.restart_sync(now);
                }
                continue;
            }
            if !self.started || offered.channel.is_none() || self.ending.is_some() {
                continue;
            }
            let phase = offered.phase;
            if phase == Phase::Running && offered.walk.current().is_none() {
                let blocks_left = offered.walk.blocks_left().min(u64::from(u32::MAX)) as u32;
                let cycle = offered.walk.position().cycle;
                if blocks_left > 0 || offered.repairs.is_empty() {
                    self.stats.cycles += 1;
                    self.events.push_back(SenderEvent::CycleEnded {
                        object,
                        cycle,
                        blocks_left,
                    });
                }
            }
            offered.walk.begin_cycle();
            offered.phase = if offered.has_work() {
                Phase::Running
            } else {
                Phase::Asking
            };
            if offered.phase != phase {
                // The question goes out at once, and so does the position when data begins.
                offered.restart_sync(now);
            }
        }
    }

    pub(super) fn end_if_done(&mut self, now: Time) {
        if let Some((left, at)) = self.ending {
            if at > now {
                return;
            }
            if left == 0 {
                self.finished = true;
                self.ending = None;
                self.events.push_back(SenderEvent::Finished);
                return;
            }
            let end = notice(
                NoticeCode::Ended,
                ReceiverId(0),
                ShortCodingId(0),
                "the sender has finished",
            );
            let used: Vec<ChannelNo> = (0..self.channels.len() as ChannelNo)
                .filter(|&n| n == 0 || self.channels[usize::from(n)].next_packet > 0)
                .collect();
            for number in used {
                self.send_to_channel(number, SenderBody::Notice(end.clone()), PacketKind::Notice);
            }
            let pause = self
                .grtt
                .get()
                .clamp(Duration::from_millis(5), Duration::from_millis(100));
            self.ending = Some((left - 1, now + pause));
            return;
        }
        let came = self.roster.joined >= u64::from(self.config.wait_for.max(1));
        if came
            && !self.config.stay
            && !self.preparing
            && !self.finished
            && self.roster.active() == 0
        {
            self.flush_heard_now();
            self.ending = Some((END_NOTICES, now));
            self.end_if_done(now);
        }
    }

    pub(super) fn forget_silent(&mut self, now: Time) {
        if now < self.silence_due || self.ending.is_some() {
            return;
        }
        self.silence_due = now + SILENCE / 8;
        let limit = SILENCE.max(self.report_interval() * 4);
        let mut gone = Vec::new();
        for (&receiver, member) in self.roster.members.iter_mut() {
            if member.is_active() && now.since(member.last_heard) > limit {
                member.gone = true;
                if let Some(path) = member.unicast.take() {
                    self.unicast_channels.insert(path.channel, path.next_packet);
                }
                gone.push(receiver);
            }
        }
        for receiver in gone {
            self.recount = true;
            let reason = format!("nothing heard from it for {:.0} s", limit.as_secs_f64());
            self.events
                .push_back(SenderEvent::Gone { receiver, reason });
        }
        for key in 0..self.objects.len() {
            let offered = &self.objects[key];
            let unwanted = offered.listeners + offered.unicast == 0;
            if self.channels.len() > 1 && unwanted && now.since(offered.wanted_at) > CHANNEL_LINGER
            {
                self.close_channel(ObjectKey(key as u32));
            }
        }
    }

    /// Gives an object a channel: a free one, else the one with the fewest objects. With several
    /// groups the first is for announcements only.
    pub(super) fn open_channel(&mut self, now: Time, object: ObjectKey) {
        let offered = &mut self.objects[object.0 as usize];
        offered.wanted_at = now;
        if offered.channel.is_some() || offered.withdrawn.is_some() {
            return;
        }
        let first = usize::from(self.channels.len() > 1);
        let least = (first..self.channels.len()).min_by_key(|&n| self.channels[n].objects.len());
        let Some(number) = least else { return };
        self.channels[number].objects.push(object);
        offered.channel = Some(number as ChannelNo);
        let group = self.channels[number].group;
        offered.restart_sync(now);
        self.events.push_back(SenderEvent::Started {
            object,
            channel: number as ChannelNo,
            group,
        });
    }

    pub(super) fn close_channel(&mut self, object: ObjectKey) {
        let offered = &mut self.objects[object.0 as usize];
        let Some(number) = offered.channel.take() else {
            return;
        };
        offered.sync.due = Time::NEVER;
        self.channels[usize::from(number)]
            .objects
            .retain(|&o| o != object);
        self.events.push_back(SenderEvent::Stopped { object });
    }
}
