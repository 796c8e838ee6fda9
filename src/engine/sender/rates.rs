//! What each channel sends at: `rate` decides for one channel, this file gives it the figures and
//! shares the total among all.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config::{self, MIN_REPORT_INTERVAL, STEADY_REPORT_INTERVAL};
use crate::engine::sender::carousel::Phase;
use crate::engine::sender::{Channel, Sender, usual_packet};
use crate::engine::{PacketKind, ip_len};
use crate::ids::{ChannelNo, ReceiverId};
use crate::rate::{Limits, RateControl, Sample, shares};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{self, Report};

/// What all reports of a channel may take of its rate; NAKs take as much again
/// ([`NAK_SHARE`](crate::nak::NAK_SHARE)), and both together a hundredth.
const REPORT_SHARE: f64 = 0.005;
/// The same while a channel looks for its rate: some round trips, in each of which the first four
/// reports that come are enough. At half a hundredth, eight receivers took 0.3 s to let 20 Mbit/s become
/// 100, and 0.06 s like this.
const STARTING_SHARE: f64 = 0.05;
/// The longest time between them, a little less than SYNC can tell: the share is kept by up to 14,000 receivers for each Mbit/s.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

/// A channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ChannelFigures {
    /// Its group.
    pub group: SocketAddr,
    /// What its tier stands for.
    pub tier: Rate,
    /// What it may send at now.
    pub rate: Rate,
    /// Receivers that listen on it and lack something.
    pub listeners: u32,
    /// Data packets that have left on it.
    pub sent: u64,
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

    /// What a channel of a tier may run at. A tier of a ladder may use the room up to the next
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

    /// Channels begin when somebody listens, and rest when nobody does.
    pub(super) fn start_channels(&mut self, now: Time) {
        let mut changed = false;
        for number in 0..self.channels.len() {
            let carousels = self.channels[number].carousels.values();
            let runs = carousels.into_iter().any(|c| c.phase != Phase::Idle);
            if runs != self.channels[number].control.is_some() {
                changed = true;
                let control = runs.then(|| self.new_control(now, number));
                self.channels[number].control = control;
            }
            let channel = &mut self.channels[number];
            if let Some(control) = &mut channel.control
                && let Some(at) = channel.refugee_at.take()
            {
                control.handle_refugee(at);
            }
        }
        if changed {
            self.share_rate(now);
        }
    }

    fn new_control(&self, now: Time, number: usize) -> RateControl {
        let tier = self.channels[number].tier.unwrap_or(0);
        let limits = self.limits(tier);
        // Where all who listen say what they can take, there is nothing to look for.
        let unknown = self.channels[number].crowd.is_some();
        let known = self.least_downlink(tier).filter(|_| !unknown);
        let known = known.map(|downlink| downlink.min(self.tier_rate(tier)));
        RateControl::new(now, self.config.adapt, limits, known)
    }

    /// The least of what the receivers on a tier believe that they can take, if all say it.
    fn least_downlink(&self, tier: usize) -> Option<Rate> {
        let members = self.roster.members.values();
        let listening = members.filter(|m| m.is_active() && m.tier == tier && m.unicast.is_none());
        let downlinks = listening.map(|m| m.downlink);
        downlinks.min().filter(|rate| !rate.is_zero())
    }

    /// Shares the total among the channels that run.
    fn share_rate(&mut self, now: Time) {
        let demand = |c: &Channel| c.control.as_ref().map_or(Rate::ZERO, RateControl::rate);
        let demands: Vec<Rate> = self.channels.iter().map(demand).collect();
        let all = shares(&demands, self.config.rate);
        let mut sum = 0;
        for (channel, rate) in self.channels.iter_mut().zip(all) {
            sum += rate.as_bps();
            if channel.control.is_some() && channel.pacer.rate() != rate {
                channel.pacer.set_rate(now, rate);
                channel.set_depth(self.config.slots);
            }
        }
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
        for number in 0..self.channels.len() {
            let interval = self.report_interval(number);
            let channel = &mut self.channels[number];
            let listeners = channel.listeners();
            let Some(control) = &mut channel.control else {
                continue;
            };
            if control.poll_timeout().is_none_or(|at| at > now) {
                continue;
            }
            let starting = control.is_starting();
            let moved = control.handle_timeout(now, grtt, listeners, interval);
            if moved && control.path_after_fall(now).is_some() {
                channel.losses_due = now;
            }
            if starting && (moved || !control.is_starting()) {
                // Reports of the new rate are wanted at once, and fewer when it is found.
                channel.tell_rate(now);
            }
            changed |= moved;
        }
        if changed {
            self.share_rate(now);
        }
    }

    pub(super) fn next_round(&self) -> Option<Time> {
        let controls = self.channels.iter().filter_map(|c| c.control.as_ref());
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

    /// What a channel's rate and losses follow: the report of one who listens there, and the one before.
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
        let listeners = channel.listeners();
        let Some(control) = &mut channel.control else {
            return;
        };
        let came = report.packets.saturating_sub(before.packets);
        let lost = report.lost.saturating_sub(before.lost);
        let held = control.is_held(now);
        if !held && control.path_after_fall(now).is_none() {
            match (self.roster.members.get_mut(&id), &mut channel.crowd) {
                (Some(member), _) => member.losses.add(came, lost),
                (None, Some(crowd)) => crowd.lost(id, came, lost),
                _ => {}
            }
        }
        let overflowed = report.overflowed.saturating_sub(before.overflowed);
        let stalled = report.stalled.saturating_sub(before.stalled);
        let lost = lost.saturating_add(overflowed);
        let sent = came.saturating_add(lost).max(1);
        let sample = Sample {
            delivered,
            // What its own buffer or disk could not take came too fast as well.
            lost: lost.saturating_add(stalled.min(came)) as f64 / sent as f64,
            over: report.measured,
            behind: match overflowed.saturating_add(stalled) {
                0 => f64::from(report.behind) / 255.0,
                _ => 1.0,
            },
        };
        let rate = control.rate();
        control.handle_report(now, id, sample, listeners);
        let relieved = control.rate() != rate;
        if !held && overflowed + stalled == 0 {
            channel.hear_run(report.longest_run);
        }
        self.follow_losses(now, number);
        if relieved {
            self.share_rate(now);
        }
    }

    /// The mean time between the reports of each receiver on a channel: often enough to follow, and
    /// all of them within their share of the rate (RFC 3550 §6.2 scales RTCP so).
    pub(super) fn report_interval(&self, number: usize) -> Duration {
        let channel = &self.channels[number];
        let starting = channel
            .control
            .as_ref()
            .is_some_and(RateControl::is_starting);
        let least = if starting {
            MIN_REPORT_INTERVAL.max(self.grtt.get())
        } else {
            STEADY_REPORT_INTERVAL.max(self.grtt.get() * 4)
        };
        let report = wire::REPORT_LEN + PacketKind::Report.envelope(self.config.sealed);
        let all = ip_len(channel.group, report) * u64::from(channel.listeners());
        let part = if starting {
            STARTING_SHARE
        } else {
            REPORT_SHARE
        };
        let share = channel.pacer.rate().mul_f64(part).time_for(all);
        share.max(least).min(MAX_INTERVAL)
    }

    /// The channels that run.
    pub fn channels(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        let running = self.channels.iter().filter(|c| c.control.is_some());
        running.map(|c| self.figures(c))
    }

    /// The channels that data has left on.
    pub fn channels_used(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        let used = self.channels.iter().filter(|c| c.next_packet > 0);
        used.map(|c| self.figures(c))
    }

    fn figures(&self, channel: &Channel) -> ChannelFigures {
        ChannelFigures {
            group: channel.group,
            tier: self.tier_rate(channel.tier.unwrap_or(0)),
            rate: channel.pacer.rate(),
            listeners: channel.listeners(),
            sent: channel.next_packet,
        }
    }

    /// The longest of the channels' report intervals.
    pub(super) fn longest_report_interval(&self) -> Duration {
        let running = (0..self.channels.len()).filter(|&n| self.channels[n].control.is_some());
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

    /// The next SYNC goes out at once.
    fn tell_rate(&mut self, now: Time) {
        if let Some(carousel) = self.carousels.values_mut().find(|c| c.phase != Phase::Idle) {
            carousel.sync.due = now;
        }
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
