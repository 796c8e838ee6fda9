//! All tiers: what each stands for and sends at, and how the total is shared among them. `rate`
//! decides for one of them, this file gives it its limits.

use core::time::Duration;

use crate::config::{self, MIN_REPORT_INTERVAL, STEADY_REPORT_INTERVAL};
use crate::engine::PacketKind;
use crate::engine::sender::config::SenderConfig;
use crate::engine::sender::session::Session;
use crate::engine::sender::tier::Tier;
use crate::ids::ReceiverId;
use crate::rate::{Adapt, Limits, Pacer, RateControl, shares};
use crate::time::Time;
use crate::units::Rate;
use crate::wire;

/// Share of a channel's rate that all reports may take; NAKs take as much again
/// ([`NAK_SHARE`](crate::nak::NAK_SHARE)), and both together a hundredth.
const REPORT_SHARE: f64 = 0.005;
/// Share of reports while a tier looks for its rate or tries a lower one: some round trips, in each
/// of which the first four reports that come are enough. At half a hundredth, eight receivers took
/// 0.3 s to let 20 Mbit/s become 100, and 0.06 s like this.
const SEARCHING_SHARE: f64 = 0.05;
/// Least rate of all reports of a tier: one receiver reports every tenth of a second however slow
/// its tier is.
const LEAST_REPORTS: Rate = Rate::from_bps(10_000);
/// A tier begins with no less than this share of what it stands for.
const LEAST_START: f64 = 0.5;
/// The longest time between reports, a little less than SYNC can tell: the share is kept by up to
/// 14,000 receivers for each Mbit/s.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

/// The tiers, fastest first, one at least.
#[derive(Debug)]
pub(super) struct Tiers {
    tiers: Vec<Tier>,
    /// What each stands for; `total` if there are none.
    rates: Vec<Rate>,
    total: Rate,
    ladder: bool,
    adapt: Adapt,
    min_rate: Rate,
    /// IP bytes of a report.
    report_len: u64,
    /// How the tiers' rates are spread over their channels has changed.
    reshare: bool,
}

/// How the total was shared.
#[derive(Debug)]
pub(super) struct Shared {
    /// Tiers whose rate has changed, and what one receiver may get there.
    pub(super) changed: Vec<(usize, Rate)>,
    /// Rate of unicast.
    pub(super) unicast: Rate,
}

impl Tiers {
    /// Tiers that pace their channels by `pacer` until they are granted another rate.
    pub(super) fn new(config: &SenderConfig, pacer: &Pacer) -> Tiers {
        let burst = match config.one_way {
            Some(_) => config.fade,
            None => Duration::ZERO,
        };
        let report =
            Session::new(config).ip_len(config.groups[0], PacketKind::Report, wire::REPORT_LEN);
        let tiers = 0..config.tiers.len().max(1);
        Tiers {
            tiers: tiers.map(|_| Tier::new(pacer.clone(), burst)).collect(),
            rates: config.tiers.clone(),
            total: config.rate,
            ladder: config.ladder,
            adapt: config.adapt,
            min_rate: config.min_rate,
            report_len: report,
            reshare: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tiers.len()
    }

    pub(super) fn get(&self, tier: usize) -> &Tier {
        &self.tiers[tier]
    }

    pub(super) fn get_mut(&mut self, tier: usize) -> &mut Tier {
        &mut self.tiers[tier]
    }

    /// A tier, if there are so many.
    pub(super) fn find_mut(&mut self, tier: usize) -> Option<&mut Tier> {
        self.tiers.get_mut(tier)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Tier> {
        self.tiers.iter()
    }

    /// Rate controls of the tiers that run.
    pub(super) fn controls_mut(&mut self) -> impl Iterator<Item = &mut RateControl> {
        self.tiers.iter_mut().filter_map(Tier::control_mut)
    }

    /// Some tier runs.
    pub(super) fn run(&self) -> bool {
        self.tiers.iter().any(Tier::runs)
    }

    /// When the next round of rate control is due.
    pub(super) fn next_round(&self) -> Option<Time> {
        let controls = self.tiers.iter().filter_map(Tier::control);
        controls.filter_map(RateControl::poll_timeout).min()
    }

    /// The rate that a tier stands for.
    pub(super) fn rate_of(&self, tier: usize) -> Rate {
        self.rates.get(tier).copied().unwrap_or(self.total)
    }

    /// What a receiver on a tier may get. A tier of a ladder may use the room up to the next faster
    /// one; one that was asked for is kept to, and so is the slowest, where those sit who can't go
    /// any lower.
    fn limits(&self, tier: usize) -> Limits {
        let own = self.rate_of(tier);
        let stretches = self.ladder && tier + 1 < self.rates.len();
        let ceiling = match tier.checked_sub(1).filter(|_| stretches) {
            Some(faster) => own.max(self.rate_of(faster).mul_f64(0.9)),
            None => own,
        };
        // Who loses a fifth of it still gets the least rate.
        let least = self.min_rate.mul_f64(1.25);
        Limits {
            floor: config::MIN_RATE.max(least).min(ceiling),
            ceiling: ceiling.min(self.total),
        }
    }

    /// A tier begins; `known` is what its receivers say that they can take, if all do.
    pub(super) fn start(&mut self, now: Time, tier: usize, known: Option<Rate>) {
        let own = self.rate_of(tier);
        // What came elsewhere while nearly all was lost is less than what comes here.
        let known = known.map(|downlink| downlink.clamp(own.mul_f64(LEAST_START), own));
        let control = RateControl::new(now, self.adapt, self.limits(tier), known);
        self.tiers[tier].set_control(Some(control));
    }

    /// A tier rests.
    pub(super) fn stop(&mut self, tier: usize) {
        self.tiers[tier].set_control(None);
    }

    /// How the tiers' rates are spread over their channels has changed.
    pub(super) fn mark_reshare(&mut self) {
        self.reshare = true;
    }

    pub(super) fn needs_reshare(&self) -> bool {
        self.reshare
    }

    /// The receivers of a tier were counted.
    pub(super) fn set_listeners(&mut self, tier: usize, listeners: u32, spread: f64) {
        self.reshare |= self.tiers[tier].set_listeners(listeners, spread);
    }

    /// Shares the total among the tiers that run.
    pub(super) fn share(&mut self, now: Time) -> Shared {
        let demands: Vec<Rate> = self.tiers.iter().map(Tier::demand).collect();
        let all: Vec<Rate> = shares(&demands, self.total).collect();
        let sum = all.iter().map(|rate| rate.as_bps()).sum();
        let renewed = core::mem::take(&mut self.reshare);
        let tiers = self.tiers.iter_mut().zip(all).enumerate();
        let changed = tiers.filter_map(|(number, (tier, rate))| {
            let each = tier.grant(now, rate, renewed)?;
            Some((number, each))
        });
        Shared {
            changed: changed.collect(),
            unicast: self.unicast_share(sum),
        }
    }

    /// The rate of unicast, beside tiers that send at a rate of `sum` bits per second.
    fn unicast_share(&self, sum: u64) -> Rate {
        if sum == 0 {
            return self.total;
        }
        // Unicast is a share of what is sent, whatever the limit.
        let share = config::UNICAST_SHARE;
        let total = Rate::from_bps(sum).mul_f64(1.0 / (1.0 - share));
        total.min(self.total).mul_f64(share)
    }

    /// The mean time between the reports of each receiver on a tier: often enough to follow, and
    /// all of them within their share of the rate (RFC 3550 §6.2 scales RTCP so).
    pub(super) fn report_interval(&self, tier: usize, grtt: Duration) -> Duration {
        let tier = &self.tiers[tier];
        let searches = tier.is_searching();
        let (least, share) = match searches {
            true => (MIN_REPORT_INTERVAL.max(grtt), SEARCHING_SHARE),
            false => (STEADY_REPORT_INTERVAL.max(grtt * 2), REPORT_SHARE),
        };
        let all = self.report_len * u64::from(tier.listeners());
        let rate = tier.pacer().rate().mul_f64(share).max(LEAST_REPORTS);
        rate.time_for(all).max(least).min(MAX_INTERVAL)
    }

    /// The longest of the tiers' report intervals.
    pub(super) fn longest_report_interval(&self, grtt: Duration) -> Duration {
        let running = (0..self.tiers.len()).filter(|&n| self.tiers[n].runs());
        let longest = running.map(|n| self.report_interval(n, grtt)).max();
        longest.unwrap_or(STEADY_REPORT_INTERVAL)
    }

    /// A receiver has finished, or is not looked at on any tier any more.
    pub(super) fn forget(&mut self, now: Time, id: ReceiverId) {
        self.controls_mut().for_each(|c| c.forget(now, id));
    }

    /// The sender itself was stopped.
    pub(super) fn handle_absence(&mut self, now: Time) {
        self.controls_mut().for_each(|c| c.handle_absence(now));
    }

    /// Tiers of which none is `paced` wait for something to send: they have missed nothing.
    pub(super) fn rest(&mut self, paced: u32) {
        for (number, tier) in self.tiers.iter_mut().enumerate() {
            if paced & 1 << number == 0 {
                tier.pacer_mut().rest();
            }
        }
    }
}
