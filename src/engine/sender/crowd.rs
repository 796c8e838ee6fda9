//! The crowd: receivers that the roster has no room for. They are served on groups as all others are, but known by
//! number only: their NAKs are answered, their reports counted (`rate::Census`), and where somebody of them was heard of
//! late, somebody may lack something. What is kept of them does not grow with their number.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::sender::losses::Losses;
use crate::engine::sender::rates::on_the_wire;
use crate::engine::sender::{Channel, SILENCE, SYNC_PAUSE, Sender, heard};
use crate::engine::{DropReason, Link, ObjectKey, PacketKind};
use crate::ids::ReceiverId;
use crate::rate::{Census, Mark};
use crate::time::Time;
use crate::wire::{FromReceiver, ReceiverBody, Report, Request, SenderBody, Stage};

/// Those of a channel whose reports are told apart, as what the sender follows rate and losses by where it lists nobody.
const SAMPLE: usize = 256;
/// Those of a channel who joined last, remembered to tell one that joins again; the others are taken for new.
const JOINERS: usize = 1_024;
/// How often a crowd is looked at while nothing is heard of it.
const LOOK: Duration = Duration::from_millis(100);

/// A channel's receivers that are not listed.
#[derive(Debug)]
pub(super) struct Crowd {
    census: Census,
    sample: BTreeMap<ReceiverId, Sampled>,
    /// Those who joined lately: who does so again is no other.
    joined: BTreeSet<ReceiverId>,
    /// The estimate that was last counted with.
    counted: u32,
}

/// What one of them last reported.
#[derive(Debug, Default)]
struct Sampled {
    at: Time,
    report: Report,
    losses: Losses,
}

impl Crowd {
    /// How many they are, at least one.
    pub(super) fn estimate(&self) -> u32 {
        self.census.estimate()
    }

    /// SYNC told them how often to report.
    pub(super) fn tell(&mut self, now: Time, interval: Duration) {
        self.census.tell(now, interval);
    }

    pub(super) fn loss_shares(&self) -> impl Iterator<Item = f64> + '_ {
        self.sample.values().filter_map(|s| s.losses.share())
    }

    pub(super) fn forget_losses(&mut self) {
        for sampled in self.sample.values_mut() {
            sampled.losses = Losses::default();
        }
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.sample.len() <= SAMPLE && self.joined.len() <= JOINERS
    }

    /// The one before, of those whose reports are told apart; that of one who has just been chosen says nothing yet.
    fn report_before(&mut self, now: Time, id: ReceiverId, report: Report) -> Option<Report> {
        let is_known = self.sample.contains_key(&id);
        if !is_known && self.sample.len() >= SAMPLE {
            return None;
        }
        let sampled = self.sample.entry(id).or_default();
        sampled.at = now;
        let before = core::mem::replace(&mut sampled.report, report);
        is_known.then_some(before)
    }

    /// It joins: true if it is one more.
    fn is_new(&mut self, id: ReceiverId) -> bool {
        if self.joined.len() >= JOINERS && !self.joined.contains(&id) {
            self.joined.clear();
        }
        self.joined.insert(id)
    }

    pub(super) fn lost(&mut self, id: ReceiverId, came: u64, lost: u64) {
        if let Some(sampled) = self.sample.get_mut(&id) {
            sampled.losses.add(came, lost);
        }
    }
}

impl Sender {
    /// Receivers that are here and not listed, as far as can be told.
    pub fn unlisted(&self) -> u32 {
        let crowds = self.channels.iter().filter_map(|c| c.crowd.as_ref());
        crowds.fold(0, |sum, c| sum.saturating_add(c.estimate()))
    }

    /// Somebody joins whom the roster has no room for. One that wants unicast is not served yet, but waited for.
    pub(super) fn join_crowd(
        &mut self,
        now: Time,
        (from, link): (SocketAddr, Link),
        packet: &FromReceiver,
        request: &Request,
        wanted: &[ObjectKey],
    ) {
        let unicast = request.stage == Stage::JoinUnicast;
        let tier = self.channels.get(usize::from(packet.channel));
        let tier = tier.and_then(|c| c.tier).unwrap_or(0);
        let (mut joined, mut is_new) = (Vec::new(), false);
        for &key in wanted {
            self.open_channel(now, key, tier);
            let Some(number) = self.objects[key.0 as usize].channel(tier) else {
                continue;
            };
            let interval = self.report_interval(tier);
            let channel = &mut self.channels[usize::from(number)];
            let crowd = channel.crowd.get_or_insert_with(|| {
                Box::new(Crowd {
                    census: Census::new(now, interval),
                    sample: BTreeMap::new(),
                    joined: BTreeSet::new(),
                    counted: 0,
                })
            });
            let Some(carousel) = channel.carousels.get_mut(&key) else {
                continue;
            };
            carousel.crowd = Some(crowd.census.mark(now));
            if unicast {
                continue;
            }
            if !joined.contains(&number) {
                joined.push(number);
                if crowd.is_new(packet.receiver) {
                    is_new = true;
                    crowd.census.joined(now);
                }
            }
            carousel.sync_for_joiner(now, SYNC_PAUSE);
            if request.holds {
                continue;
            }
            let blocks = carousel.geometry.blocks();
            let bytes = carousel.geometry.total_symbols() * self.packet_len(from, key);
            let granted = is_new || self.may_have_all(now, packet.receiver, number, bytes);
            if granted && let Some(carousel) = self.carousel(key, tier) {
                carousel.walk.want(0..blocks);
            }
        }
        if unicast {
            self.stats.dropped.add(DropReason::Full);
        } else if !self.started && is_new {
            self.roster.joined += 1;
        }
        self.recount = true;
        self.crowd_due = self.crowd_due.min(now + LOOK);
        let body = SenderBody::Unlisted(vec![heard(packet.receiver, packet.counter)]);
        self.reply(now, (from, link), 0, body, PacketKind::Heard);
    }

    /// Somebody who is not listed says something about a channel, and is heard as one of its crowd; false if it has none.
    pub(super) fn hear_crowd(
        &mut self,
        now: Time,
        packet: &FromReceiver,
        rtt: Option<Duration>,
    ) -> bool {
        let id = packet.receiver;
        let Some(channel) = self.channels.get_mut(usize::from(packet.channel)) else {
            return false;
        };
        let Some(crowd) = &mut channel.crowd else {
            return false;
        };
        let coding = match &packet.body {
            ReceiverBody::Nak(nak) => nak.needs.coding,
            ReceiverBody::Report(report) if !report.unicast => report.coding,
            _ => return false,
        };
        let mark = crowd.census.mark(now);
        let named = channel
            .carousels
            .values_mut()
            .filter(|c| coding.0 == 0 || c.coding == coding);
        for carousel in named {
            self.recount |= carousel.crowd.replace(mark).is_none();
        }
        // Nothing tells that it is no old packet, so that those who are listed are asked first.
        if let Some(rtt) = rtt.filter(|_| self.roster.members.is_empty()) {
            self.grtt.sample(now, rtt);
        }
        match &packet.body {
            ReceiverBody::Nak(nak) => match self.by_coding.get(&coding) {
                Some(&key) => self.answer(now, id, key, packet.channel, nak),
                None => self.stats.dropped.add(DropReason::NotWanted),
            },
            ReceiverBody::Report(report) => {
                crowd.census.reported(now, id);
                if let Some(before) = crowd.report_before(now, id, *report) {
                    let delivered =
                        on_the_wire(report.throughput, channel.group, self.config.sealed);
                    self.follow_report(now, id, packet.channel, delivered, &before, report);
                }
            }
            _ => {}
        }
        if coding.0 == 0 {
            self.renew_crowds(now);
        }
        true
    }

    /// A report on several objects names none, and comes on the channel of one of them: somebody may lack something of
    /// each.
    fn renew_crowds(&mut self, now: Time) {
        for channel in &mut self.channels {
            let Some(crowd) = &mut channel.crowd else {
                continue;
            };
            let mark = crowd.census.mark(now);
            for marked in channel
                .carousels
                .values_mut()
                .filter_map(|c| c.crowd.as_mut())
            {
                *marked = mark;
            }
        }
    }

    /// Somebody who is not listed has finished with everything.
    pub(super) fn leave_crowd(&mut self, now: Time, packet: &FromReceiver) {
        let channel = self.channels.get_mut(usize::from(packet.channel));
        if let Some(crowd) = channel.and_then(|c| c.crowd.as_mut()) {
            crowd.census.left(now);
        }
    }

    /// Counts crowds anew, and forgets those of whom nobody was heard for long.
    pub(super) fn follow_crowds(&mut self, now: Time) {
        if now < self.crowd_due {
            return;
        }
        self.crowd_due = Time::NEVER;
        for channel in &mut self.channels {
            let Some(crowd) = &mut channel.crowd else {
                continue;
            };
            self.crowd_due = now + LOOK;
            crowd.census.advance(now);
            self.recount |= crowd.counted.abs_diff(crowd.estimate()) > crowd.counted / 16;
            let patience = self.patience;
            crowd.sample.retain(|_, s| now.since(s.at) <= patience);
            let silent = |mark: &mut Mark| crowd.census.is_silent(*mark, SILENCE);
            for carousel in channel.carousels.values_mut() {
                self.recount |= carousel.crowd.take_if(silent).is_some();
            }
            if channel.carousels.values().all(|c| c.crowd.is_none()) {
                channel.crowd = None;
                self.recount = true;
            }
        }
    }
}

impl Channel {
    /// Counts its crowd among those who listen.
    pub(super) fn count_crowd(&mut self) {
        let Some(crowd) = &mut self.crowd else {
            return;
        };
        crowd.counted = crowd.estimate();
        for carousel in self.carousels.values_mut().filter(|c| c.crowd.is_some()) {
            carousel.listeners = carousel.listeners.saturating_add(crowd.counted);
            self.is_shared = true;
        }
    }
}
