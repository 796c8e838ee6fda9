//! What each tier sends at: `rate` decides for one of them, this file gives it the figures and
//! shares the total among all.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::config::{self, MIN_REPORT_INTERVAL, STEADY_REPORT_INTERVAL};
use crate::engine::sender::carousel::Phase;
use crate::engine::sender::{Channel, Sender, usual_packet};
use crate::engine::{PacketKind, ip_len};
use crate::ids::{ChannelNo, ReceiverId};
use crate::nak::RepairShare;
use crate::rate::{LOOK, Limits, Pacer, RateControl, Sample, shares};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{self, Report};

/// What all reports of a channel may take of its rate; NAKs take as much again
/// ([`NAK_SHARE`](crate::nak::NAK_SHARE)), and both together a hundredth.
const REPORT_SHARE: f64 = 0.005;
/// Share of reports while a tier looks for its rate or tries a lower one: some round trips, in each
/// of which the first four reports that come are enough. At half a hundredth, eight receivers took
/// 0.3 s to let 20 Mbit/s become 100, and 0.06 s like this.
const SEARCHING_SHARE: f64 = 0.05;
/// Least rate of all reports of a tier: one receiver reports every tenth of a second however slow
/// its tier is.
const LEAST_REPORTS: Rate = Rate::from_bps(10_000);
/// No queue drops every packet for so long at the rate: one place is free as soon as a packet
/// leaves it.
const OUTAGE: Duration = Duration::from_millis(20);
/// A tier begins with no less than this share of what it stands for.
const LEAST_START: f64 = 0.5;
/// From this share of losses on, what is news is said several times.
const LOSSY: f64 = 0.1;
/// Packets beside a run of losses that tell what is lost otherwise.
const TELLING: u64 = 32;
/// The longest time between them, a little less than SYNC can tell: the share is kept by up to 14,000 receivers for each Mbit/s.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

/// A channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ChannelFigures {
    /// Its group.
    pub group: SocketAddr,
    /// What its tier stands for.
    pub tier: Rate,
    /// Part of its tier's rate: that over the tier's running channels.
    pub rate: Rate,
    /// Receivers that listen on it and lack something.
    pub listeners: u32,
    /// Data packets that have left on it.
    pub sent: u64,
}

/// What the channels of a tier have in common: a receiver listens on one tier, to as many of its
/// channels as it wants objects, and reports what it gets of all of them.
#[derive(Debug)]
pub(super) struct Tier {
    /// Rate that one receiver may get, while any of the tier's channels runs.
    pub(super) control: Option<RateControl>,
    /// Rate of all its channels together.
    pub(super) pacer: Pacer,
    /// Rate of all channels over that of one receiver: 1 where some receiver wants all that runs,
    /// more where they want different objects.
    pub(super) spread: f64,
    /// Receivers that lack something.
    pub(super) listeners: u32,
    /// Repair share of each receiver that asks here.
    pub(super) asked: BTreeMap<ReceiverId, RepairShare>,
    /// Loss of its receivers, 0 to 1, and when it is looked at again.
    pub(super) loss: f64,
    /// The longest time of late for which a receiver lost everything.
    pub(super) fade: Duration,
    pub(super) losses_due: Time,
}

impl Tier {
    pub(super) fn new(now: Time, rate: Rate, packet: u64, fade: Duration) -> Tier {
        Tier {
            control: None,
            pacer: Pacer::new(rate, packet, now),
            spread: 1.0,
            listeners: 0,
            asked: BTreeMap::new(),
            loss: 0.0,
            fade,
            losses_due: Time::ZERO,
        }
    }
}

impl Sender {
    /// What a tier stands for.
    pub(super) fn tier_rate(&self, tier: usize) -> Rate {
        self.config
            .tiers
            .get(tier)
            .copied()
            .unwrap_or(self.config.rate)
    }

    /// What a receiver on a tier may get. A tier of a ladder may use the room up to the next
    /// faster one; one that was asked for is kept to, and so is the slowest, where those sit who can't
    /// go any lower.
    fn limits(&self, tier: usize) -> Limits {
        let own = self.tier_rate(tier);
        let stretches = self.config.ladder && tier + 1 < self.config.tiers.len();
        let ceiling = match tier.checked_sub(1).filter(|_| stretches) {
            Some(faster) => own.max(self.tier_rate(faster).mul_f64(0.9)),
            None => own,
        };
        // Who loses a fifth of it still gets the least rate.
        let least = self.config.min_rate.mul_f64(1.25);
        Limits {
            floor: config::MIN_RATE.max(least).min(ceiling),
            ceiling: ceiling.min(self.config.rate),
        }
    }

    /// Tiers begin when somebody listens, and rest when nobody does.
    pub(super) fn start_tiers(&mut self, now: Time) {
        let mut changed = false;
        for tier in 0..self.tiers.len() {
            let runs = self.running(tier).next().is_some();
            if runs != self.tiers[tier].control.is_some() {
                changed = true;
                let control = runs.then(|| self.new_control(now, tier));
                self.tiers[tier].control = control;
            }
        }
        if changed || self.reshare {
            self.share_rate(now);
        }
    }

    /// A tier's channels on which something is sent or asked.
    fn running(&self, tier: usize) -> impl Iterator<Item = &Channel> {
        let here = move |c: &&Channel| c.tier.unwrap_or(0) == tier;
        let runs = |c: &&Channel| c.carousels.values().any(|c| c.phase != Phase::Idle);
        self.channels.iter().filter(here).filter(runs)
    }

    fn new_control(&self, now: Time, tier: usize) -> RateControl {
        let limits = self.limits(tier);
        // Where all who listen say what they can take, there is nothing to look for.
        let unknown = self.running(tier).any(|c| c.crowd.is_some());
        let known = self.least_downlink(tier).filter(|_| !unknown);
        // What came elsewhere while nearly all was lost is less than what comes here.
        let own = self.tier_rate(tier);
        let known = known.map(|downlink| downlink.clamp(own.mul_f64(LEAST_START), own));
        RateControl::new(now, self.config.adapt, limits, known)
    }

    /// The least of what the receivers on a tier believe that they can take, if all say it.
    fn least_downlink(&self, tier: usize) -> Option<Rate> {
        let members = self.roster.members.values();
        let listening = members.filter(|m| m.is_active() && m.tier == tier && m.unicast.is_none());
        let downlinks = listening.map(|m| m.downlink);
        downlinks.min().filter(|rate| !rate.is_zero())
    }

    /// Shares the total among the tiers that run.
    pub(super) fn share_rate(&mut self, now: Time) {
        let demand = |t: &Tier| {
            let rate = t.control.as_ref().map_or(Rate::ZERO, RateControl::rate);
            rate.mul_f64(t.spread)
        };
        let demands: Vec<Rate> = self.tiers.iter().map(demand).collect();
        let all: Vec<Rate> = shares(&demands, self.config.rate).collect();
        let mut sum = 0;
        for (number, (tier, rate)) in self.tiers.iter_mut().zip(all).enumerate() {
            sum += rate.as_bps();
            let Some(control) = &mut tier.control else {
                continue;
            };
            let each = rate.mul_f64(1.0 / tier.spread);
            control.set_grant(each);
            if tier.pacer.rate() == rate && !self.reshare {
                continue;
            }
            tier.pacer.set_rate(now, rate);
            let here = |c: &&mut Channel| c.tier.unwrap_or(0) == number;
            for channel in self.channels.iter_mut().filter(here) {
                channel.pacer.set_rate(now, each);
                if !tier.fade.is_zero() {
                    channel.set_depth(tier.fade, self.config.slots);
                }
            }
        }
        self.reshare = false;
        let share = if sum > 0 { config::UNICAST_SHARE } else { 1.0 };
        let total = match sum {
            0 => self.config.rate,
            // Unicast is a share of what is sent, whatever the limit.
            sum => Rate::from_bps(sum)
                .mul_f64(1.0 / (1.0 - share))
                .min(self.config.rate),
        };
        self.unicast_pacer.set_rate(now, total.mul_f64(share));
    }

    /// Rounds of rate control that are due.
    pub(super) fn adapt_rates(&mut self, now: Time) {
        let grtt = self.grtt.get();
        let mut changed = false;
        for number in 0..self.tiers.len() {
            let interval = self.report_interval(number);
            let tier = &mut self.tiers[number];
            let Some(control) = &mut tier.control else {
                continue;
            };
            if control.poll_timeout().is_none_or(|at| at > now) {
                continue;
            }
            let searched = control.is_searching();
            let moved = control.handle_timeout(now, grtt, tier.listeners.max(1), interval);
            let searches = control.is_searching();
            if moved && control.path_after_fall(now).is_some() {
                tier.losses_due = now;
            }
            if searched != searches || searches && moved {
                // Reports of the new rate are wanted at once, and fewer when it is found.
                self.tell_rate(now, number);
            }
            changed |= moved;
        }
        if changed {
            self.share_rate(now);
        }
    }

    /// The next SYNC on a tier goes out at once.
    fn tell_rate(&mut self, now: Time, tier: usize) {
        // Where the paths lose much, one may not be heard.
        let control = self.tiers[tier].control.as_ref();
        let lossy = control.is_some_and(|c| c.path_loss() > LOSSY && !c.is_searching());
        let here = |c: &&mut Channel| c.tier.unwrap_or(0) == tier;
        for channel in self.channels.iter_mut().filter(here) {
            let mut carousels = channel.carousels.values_mut();
            if let Some(carousel) = carousels.find(|c| c.phase != Phase::Idle) {
                if lossy {
                    carousel.restart_sync(now);
                }
                carousel.sync.due = now;
            }
        }
    }

    /// Lends unicast what groups leave, if that is due.
    pub(super) fn lend(&mut self, now: Time) {
        if self.next_lending().is_none_or(|at| at > now) {
            return;
        }
        let over = now.since(self.lending_due) + LOOK;
        self.lending_due = now + LOOK;
        let (groups, unicast) = core::mem::take(&mut self.went);
        let rate = |bytes: u64| Rate::from_bps((bytes as f64 * 8.0 / over.as_secs_f64()) as u64);
        let controls = || self.tiers.iter().filter_map(|t| t.control.as_ref());
        let fell = controls().any(RateControl::is_trying);
        let settled = !controls().any(RateControl::is_searching);
        let share = self.unicast_pacer.rate();
        self.lending
            .handle_round(now, rate(groups), rate(unicast), share, fell, settled);
        let lent = self.lending.lent().min(self.config.rate);
        self.lent_pacer.set_rate(now, lent);
    }

    /// When what is lent is looked at next: while there are groups, as what they carried is lent to
    /// who comes later.
    pub(super) fn next_lending(&self) -> Option<Time> {
        let groups = self.tiers.iter().any(|t| t.control.is_some());
        groups.then_some(self.lending_due)
    }

    pub(super) fn next_round(&self) -> Option<Time> {
        let controls = self.tiers.iter().filter_map(|t| t.control.as_ref());
        controls.filter_map(RateControl::poll_timeout).min()
    }

    /// A receiver's figures came.
    pub(super) fn handle_report(
        &mut self,
        now: Time,
        id: ReceiverId,
        channel: ChannelNo,
        report: Report,
    ) {
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        let before = core::mem::replace(&mut member.report, report);
        let delivered = on_the_wire(report.throughput, member.address, self.config.sealed);
        let number = channel;
        if !self.config.min_rate.is_zero() {
            self.follow_lag(now, id, number, delivered);
        }
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        if member.exile.is_some() && !report.unicast {
            return self.handle_exile(now, id);
        }
        if !report.unicast && member.unicast.is_none() {
            self.follow_report(now, id, number, delivered, &before, &report);
        }
    }

    /// What a tier's rate and losses follow: the report of one who listens there, and the one
    /// before.
    pub(super) fn follow_report(
        &mut self,
        now: Time,
        id: ReceiverId,
        number: ChannelNo,
        delivered: Rate,
        before: &Report,
        report: &Report,
    ) {
        let Some(channel) = self.channels.get_mut(usize::from(number)) else {
            return;
        };
        let at = channel.tier.unwrap_or(0);
        let Some(tier) = self.tiers.get_mut(at) else {
            return;
        };
        let Some(control) = &mut tier.control else {
            return;
        };
        let whole = self.roster.members.get(&id).is_some_and(|m| m.whole);
        let came = report.packets.saturating_sub(before.packets);
        let lost = report.lost.saturating_sub(before.lost);
        let ignored = control.ignores(now, id);
        if !ignored && control.path_after_fall(now).is_none() {
            match (self.roster.members.get_mut(&id), &mut channel.crowd) {
                (Some(member), _) => member.losses.add(came, lost),
                (None, Some(crowd)) => crowd.lost(id, came, lost),
                _ => {}
            }
        }
        let overflowed = report.overflowed.saturating_sub(before.overflowed);
        let stalled = report.stalled.saturating_sub(before.stalled);
        let run = u64::from(report.longest_run);
        let lost = without_outage(came, lost, run, channel.pacer.rate()).saturating_add(overflowed);
        let sent = came.saturating_add(lost).max(1);
        let sample = Sample {
            delivered: if came == 0 { Rate::ZERO } else { delivered },
            // What its own buffer or disk could not take came too fast as well.
            lost: lost.saturating_add(stalled.min(came)) as f64 / sent as f64,
            over: report.measured,
            behind: match overflowed.saturating_add(stalled) {
                0 => f64::from(report.behind) / 255.0,
                _ => 1.0,
            },
            whole,
        };
        let rate = control.rate();
        control.handle_report(now, id, sample, tier.listeners.max(1));
        let changed = control.rate() != rate;
        if !ignored && overflowed.saturating_add(stalled) == 0 {
            tier.hear_run(report.longest_run, channel.pacer.rate());
        }
        self.follow_losses(now, at);
        if changed {
            self.share_rate(now);
        }
    }

    /// The mean time between the reports of each receiver on a tier: often enough to follow, and
    /// all of them within their share of the rate (RFC 3550 §6.2 scales RTCP so).
    pub(super) fn report_interval(&self, tier: usize) -> Duration {
        let tier = &self.tiers[tier];
        let searches = tier.control.as_ref().is_some_and(RateControl::is_searching);
        let least = if searches {
            MIN_REPORT_INTERVAL.max(self.grtt.get())
        } else {
            STEADY_REPORT_INTERVAL.max(self.grtt.get() * 2)
        };
        let report = wire::REPORT_LEN + PacketKind::Report.envelope(self.config.sealed);
        let all = ip_len(self.config.groups[0], report) * u64::from(tier.listeners.max(1));
        let part = if searches {
            SEARCHING_SHARE
        } else {
            REPORT_SHARE
        };
        let rate = tier.pacer.rate().mul_f64(part).max(LEAST_REPORTS);
        rate.time_for(all).max(least).min(MAX_INTERVAL)
    }

    /// The channels that run.
    pub fn channels(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        (0..self.tiers.len()).flat_map(|tier| self.figures(tier, self.running(tier).collect()))
    }

    /// The channels that data has left on.
    pub fn channels_used(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        (0..self.tiers.len()).flat_map(|tier| {
            let used = self.channels.iter().filter(|c| c.next_packet > 0);
            let used = used.filter(|c| c.tier.unwrap_or(0) == tier);
            self.figures(tier, used.collect())
        })
    }

    /// Figures of channels of a tier, which share its rate.
    fn figures(&self, tier: usize, channels: Vec<&Channel>) -> Vec<ChannelFigures> {
        let rate = self.tiers[tier].pacer.rate();
        let rate = rate.mul_f64(1.0 / channels.len().max(1) as f64);
        let figures = channels.iter().map(|channel| ChannelFigures {
            group: channel.group,
            tier: self.tier_rate(tier),
            rate,
            listeners: channel.listeners(),
            sent: channel.next_packet,
        });
        figures.collect()
    }

    /// The longest of the channels' report intervals.
    pub(super) fn longest_report_interval(&self) -> Duration {
        let running = (0..self.tiers.len()).filter(|&n| self.tiers[n].control.is_some());
        let longest = running.map(|n| self.report_interval(n)).max();
        longest.unwrap_or(STEADY_REPORT_INTERVAL)
    }
}

/// What so much of data packets' UDP payload is with all that is around it.
pub(super) fn on_the_wire(payload: Rate, to: SocketAddr, sealed: bool) -> Rate {
    let each = wire::data_packet_len(config::DEFAULT_SYMBOL_SIZE) as f64;
    payload.mul_f64(usual_packet(to, sealed) as f64 / each)
}

impl Channel {
    /// Receivers that lack something here; one that lacks several objects is counted once.
    fn listeners(&self) -> u32 {
        let carousels = self.carousels.values().map(|c| c.listeners);
        carousels.max().unwrap_or(0).max(1)
    }
}

/// Packets lost without an outage: a run of losses longer than any queue makes, with packets before
/// or after it that tell what is lost otherwise, says nothing of the rate.
fn without_outage(came: u64, lost: u64, run: u64, rate: Rate) -> u64 {
    let rest = came.saturating_add(lost).saturating_sub(run);
    let longest = rate.bytes_in(OUTAGE) / 1_408;
    if run > longest.max(1) && rest >= TELLING {
        lost.saturating_sub(run)
    } else {
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_envelopes_are_sent_too() {
        let rate = |to: &str, sealed| {
            let rate = on_the_wire(Rate::from_bps(1_380_000), to.parse().unwrap(), sealed);
            (rate.as_bps() as f64 / 1_000.0).round()
        };
        assert_eq!(rate("10.0.0.1:1", false), 1_408.0);
        assert_eq!(rate("10.0.0.1:1", true), 1_420.0);
        assert_eq!(rate("[fd00::1]:1", true), 1_440.0);
    }
}
