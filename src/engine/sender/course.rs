//! How a sender moves on: what each object's carousel does next, which channel it has, who is
//! forgotten, and when it all ends.

use core::time::Duration;

use crate::engine::sender::carousel::{Carousel, Phase};
use crate::engine::sender::{CHANNEL_LINGER, END_NOTICES, SILENCE, Sender, notice};
use crate::engine::{ObjectKey, PacketKind, SenderEvent};
use crate::ids::{ChannelNo, ReceiverId, ShortCodingId};
use crate::time::Time;
use crate::wire::{MoveCause, NoticeCode, SenderBody};

/// What a receiver was told of its reports when it was last heard counts for no longer: it has missed every SYNC since.
const REMEMBERED: Duration = Duration::from_secs(240);

impl Sender {
    /// Moves each carousel on: from cycle to cycle, to the question at the end, to rest.
    pub(super) fn advance(&mut self, now: Time) {
        let may_run = self.started && self.ending.is_none();
        let carousels = self.channels.iter_mut().flat_map(|c| &mut c.carousels);
        for (&object, carousel) in carousels.filter(|(_, c)| may_run && c.listeners > 0) {
            if carousel.phase == Phase::Running && carousel.walk.current().is_none() {
                let blocks_left = carousel.walk.blocks_left().min(u64::from(u32::MAX)) as u32;
                let cycle = carousel.walk.position().cycle;
                if blocks_left > 0 || carousel.repairs.is_empty() {
                    self.stats.cycles += 1;
                    self.events.push_back(SenderEvent::CycleEnded {
                        object,
                        cycle,
                        blocks_left,
                    });
                }
            }
        }
        let passes = self.passes();
        if let Some(limit) = passes.filter(|_| may_run) {
            self.begin_passes(now, limit);
        }
        let carousels = self.channels.iter_mut().flat_map(|c| &mut c.carousels);
        for (_, carousel) in carousels {
            if carousel.listeners == 0 {
                if carousel.phase != Phase::Idle {
                    carousel.rest();
                    carousel.restart_sync(now);
                }
                continue;
            }
            if !may_run {
                continue;
            }
            let phase = carousel.phase;
            carousel.walk.begin_cycle();
            carousel.phase = if carousel.has_work() {
                Phase::Running
            } else if passes.is_some() {
                // Its next pass waits for others, and there is nobody to ask.
                Phase::Idle
            } else {
                Phase::Asking
            };
            if carousel.phase != phase {
                // The question goes out at once, and so does the position when data begins.
                carousel.restart_sync(now);
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
        let one_way = self.config.one_way.is_some();
        let came = self.roster.joined >= u64::from(self.config.wait_for.max(1));
        let over = if one_way {
            self.all_passed()
        } else {
            came && self.active == 0 && !self.recount
        };
        if over && !self.config.stay && !self.preparing && !self.finished {
            self.flush_heard_now(now);
            // One of them must come through, as nobody can ask what became of the sender.
            let notices = END_NOTICES * if one_way { 4 } else { 1 };
            self.ending = Some((notices, now));
            self.end_if_done(now);
        }
    }

    pub(super) fn forget_silent(&mut self, now: Time) {
        if now < self.silence_due || self.ending.is_some() {
            return;
        }
        self.silence_due = now + SILENCE / 8;
        self.patience = SILENCE.max(self.longest_report_interval() * 4);
        let mut gone = Vec::new();
        for (&receiver, member) in self.roster.members.iter_mut() {
            let limit = self.patience.max(member.patience.min(REMEMBERED));
            if member.is_active() && now.since(member.last_heard) > limit {
                member.gone = true;
                if let Some(path) = member.unicast.take() {
                    self.unicast_channels.insert(path.channel, path.next_packet);
                }
                gone.push((receiver, limit));
            }
        }
        for (receiver, limit) in gone {
            self.recount = true;
            let reason = format!("nothing heard from it for {:.0} s", limit.as_secs_f64());
            let cause = MoveCause::Silent;
            self.events.push_back(SenderEvent::Gone {
                receiver,
                cause,
                reason,
            });
        }
        if self.shares_channels() || self.config.one_way.is_some() {
            return;
        }
        for at in 0..self.objects.len() {
            let key = ObjectKey(at as u32);
            let offered = &self.objects[at];
            if now.since(offered.wanted_at) > CHANNEL_LINGER && !self.is_wanted(key) {
                self.close_channels(key);
            }
        }
    }

    /// A receiver lacks something of the object.
    fn is_wanted(&self, object: ObjectKey) -> bool {
        let mut carousels = self
            .channels
            .iter()
            .filter_map(|c| c.carousels.get(&object));
        carousels.any(|c| c.listeners + c.unicast > 0)
    }

    /// Every channel is a tier that all objects take turns on. The first carries announcements too,
    /// unless there is one group more than tiers; with still more, objects get channels of their own.
    pub(super) fn shares_channels(&self) -> bool {
        self.channels.len() <= self.config.tiers.len().max(1) + self.apart()
    }

    /// One where the first channel carries announcements only and each tier has one of the others: nobody's
    /// link is filled before it has chosen a tier.
    fn apart(&self) -> usize {
        let tiers = self.config.tiers.len();
        usize::from(tiers > 1 && self.channels.len() > tiers)
    }

    /// Gives an object a channel on each tier, if it has none, and begins its carousel on `tier`.
    pub(super) fn open_channel(&mut self, now: Time, object: ObjectKey, tier: usize) {
        let shared = self.shares_channels().then(|| self.apart());
        let offered = &mut self.objects[object.0 as usize];
        offered.wanted_at = now;
        if offered.withdrawn.is_some() {
            return;
        }
        if offered.channels.is_empty() {
            for tier in 0..self.config.tiers.len().max(1).min(self.channels.len()) {
                let number = if let Some(apart) = shared {
                    Some(tier + apart)
                } else {
                    let free = |n: &usize| self.channels[*n].tier.is_none_or(|t| t == tier);
                    // The first is for announcements; of the others the one with the fewest objects.
                    (1..self.channels.len())
                        .filter(free)
                        .min_by_key(|&n| self.channels[n].objects)
                };
                let Some(number) = number else { break };
                self.channels[number].tier = Some(tier);
                self.channels[number].objects += 1;
                offered.channels.push(number as ChannelNo);
            }
        }
        let Some(number) = offered.channel(tier) else {
            return;
        };
        let channel = &mut self.channels[usize::from(number)];
        if channel.carousels.contains_key(&object) {
            return;
        }
        let mut carousel = Carousel::new(
            offered.coding,
            offered.description.geometry,
            self.config.surplus,
        );
        carousel.restart_sync(now);
        channel.carousels.insert(object, carousel);
        channel.set_depth(self.tiers[tier].fade, self.config.slots);
        self.reshare = true;
        self.events.push_back(SenderEvent::Started {
            object,
            channel: number,
            group: channel.group,
        });
    }

    pub(super) fn close_channels(&mut self, object: ObjectKey) {
        let numbers = core::mem::take(&mut self.objects[object.0 as usize].channels);
        if numbers.is_empty() {
            return;
        }
        for number in numbers {
            let channel = &mut self.channels[usize::from(number)];
            channel.carousels.remove(&object);
            channel.objects -= 1;
        }
        self.events.push_back(SenderEvent::Stopped { object });
    }
}
