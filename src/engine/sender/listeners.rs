//! Who listens: how many receivers lack something of each object, on each channel and by unicast.

use core::ops::Range;
use std::collections::BTreeMap;

use crate::carousel::Surplus;
use crate::engine::sender::{COUNT_TIME, COUNTED_AT_ONCE, Channel, Sender};
use crate::ids::{ChannelNo, ReceiverId};
use crate::time::Time;

/// How many receivers lack each object, and the sum of their ids: where it is one, who.
///
/// A receiver lacks objects in a few ranges, so that what it takes to count them all grows with receivers
/// and objects, and not with both multiplied.
struct Tally {
    /// Until it is [settled](Tally::settle), what changes from the object before.
    by_object: Vec<(u32, u64)>,
}

impl Tally {
    fn new(objects: usize) -> Tally {
        Tally {
            by_object: vec![(0, 0); objects + 1],
        }
    }

    fn add(&mut self, id: ReceiverId, keys: Range<u64>) {
        let (count, ids) = &mut self.by_object[keys.start as usize];
        (*count, *ids) = (count.wrapping_add(1), ids.wrapping_add(id.0));
        let (count, ids) = &mut self.by_object[keys.end as usize];
        (*count, *ids) = (count.wrapping_sub(1), ids.wrapping_sub(id.0));
    }

    fn settle(&mut self) {
        let (mut sum, mut all) = (0u32, 0u64);
        for (count, ids) in &mut self.by_object {
            (sum, all) = (sum.wrapping_add(*count), all.wrapping_add(*ids));
            (*count, *ids) = (sum, all);
        }
    }
}

impl Sender {
    pub(super) fn count_listeners(&mut self, now: Time) {
        self.recount = false;
        let count = self.roster.members.len().max(self.objects.len());
        if count > COUNTED_AT_ONCE {
            self.count_due = now + COUNT_TIME * count as u32;
        }
        self.active = self.roster.count();
        let members = self.roster.members.iter();
        self.unicast_members = members
            .filter(|(_, m)| m.unicast.is_some())
            .map(|(&id, _)| id)
            .collect();
        self.count_lacking(now);
        self.channels.iter_mut().for_each(Channel::count_crowd);
        self.count_tiers();
        let unlisted = self.unlisted();
        self.active += unlisted as usize;
        self.stats.most_unlisted = self.stats.most_unlisted.max(unlisted);
        if let Some(limit) = self.passes() {
            self.count_passes(limit);
        }
        if self.config.surplus == Surplus::Reported {
            for channel in &mut self.channels {
                let loss = self.tiers[channel.tier.unwrap_or(0)].loss;
                channel.set_surplus(loss);
            }
        }
        if !self.started && self.roster.joined >= u64::from(self.config.wait_for.max(1)) {
            self.started = true;
        }
    }

    /// Who listens on each tier, and whether they want the same.
    fn count_tiers(&mut self) {
        let objects = self.objects.len() as u64;
        let mut most = vec![0; self.tiers.len()];
        self.tiers.iter_mut().for_each(|tier| tier.listeners = 0);
        for member in self.roster.members.values() {
            let lacked: u64 = member.lacked(objects).map(|r| r.end - r.start).sum();
            if lacked == 0 || member.unicast.is_some() {
                continue;
            }
            if let Some(tier) = self.tiers.get_mut(member.tier) {
                tier.listeners += 1;
                most[member.tier] = lacked.max(most[member.tier]);
            }
        }
        for member in self.roster.members.values_mut() {
            let lacked: u64 = member.lacked(objects).map(|r| r.end - r.start).sum();
            member.whole = most.get(member.tier).is_some_and(|&most| lacked >= most);
        }
        let mut running = vec![0_u64; self.tiers.len()];
        for channel in &self.channels {
            let tier = channel.tier.unwrap_or(0);
            if channel.carousels.values().any(|c| c.listeners > 0) {
                running[tier] += 1;
            }
            if let Some(crowd) = &channel.crowd {
                // What they want is not known.
                most[tier] = u64::MAX;
                let listeners = &mut self.tiers[tier].listeners;
                *listeners = listeners.saturating_add(crowd.estimate());
            }
        }
        for ((tier, running), most) in self.tiers.iter_mut().zip(running).zip(most) {
            let spread = running.max(1) as f64 / most.clamp(1, running.max(1)) as f64;
            self.reshare |= core::mem::replace(&mut tier.spread, spread) != spread;
        }
    }

    /// Those who are listed.
    fn count_lacking(&mut self, now: Time) {
        let objects = self.objects.len();
        let mut tallies = BTreeMap::new();
        for (&id, member) in &self.roster.members {
            let place = (member.tier, member.unicast.is_some());
            for keys in member.lacked(objects as u64) {
                let tally = tallies.entry(place).or_insert_with(|| Tally::new(objects));
                tally.add(id, keys);
            }
        }
        for tally in tallies.values_mut() {
            tally.settle();
            for (offered, &(count, _)) in self.objects.iter_mut().zip(&tally.by_object) {
                if count > 0 {
                    offered.wanted_at = now;
                }
            }
        }
        for (number, channel) in self.channels.iter_mut().enumerate() {
            channel.is_shared = false;
            let mut first = None;
            for (key, carousel) in &mut channel.carousels {
                let at = key.0 as usize;
                let offered = &mut self.objects[at];
                if carousel.listeners + carousel.unicast > 0 {
                    offered.wanted_at = now;
                }
                carousel.listeners = 0;
                carousel.unicast = 0;
                for (&(tier, unicast), tally) in &tallies {
                    let (count, who) = tally.by_object[at];
                    if count == 0 || offered.channel(tier) != Some(number as ChannelNo) {
                        continue;
                    }
                    if unicast {
                        carousel.unicast += count;
                    } else {
                        carousel.listeners += count;
                        channel.is_shared |= count > 1 || *first.get_or_insert(who) != who;
                    }
                }
            }
        }
    }
}
