//! What each tier sends at, by what its receivers report, and what unicast may take beside.

use crate::carousel::Surplus;
use crate::engine::sender::losses::highest_share;
use crate::engine::sender::serving::Serving;
use crate::engine::sender::tier::News;
use crate::engine::sender::unlisted::Unlisted;
use crate::ids::{ChannelNo, ReceiverId};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::Report;

impl Serving {
    /// Tiers begin when somebody listens, and rest when nobody does.
    pub(super) fn start_tiers(&mut self, now: Time) {
        let mut changed = false;
        for tier in 0..self.tiers.len() {
            let runs = self.channels.running(tier).next().is_some();
            if runs == self.tiers.get(tier).runs() {
                continue;
            }
            changed = true;
            if runs {
                let known = self.least_downlink(tier);
                self.tiers.start(now, tier, known);
            } else {
                self.tiers.stop(tier);
            }
        }
        if changed || self.tiers.needs_reshare() {
            self.share_rate(now);
        }
    }

    /// What all who listen on a tier can take, if all say it: there is nothing to look for then.
    fn least_downlink(&self, tier: usize) -> Option<Rate> {
        let mut running = self.channels.running(tier);
        if running.any(|c| c.unlisted().is_some()) {
            return None;
        }
        let unicast = |id| self.unicast.serves(id);
        self.members.least_downlink(tier, unicast)
    }

    /// Shares the total among the tiers that run.
    pub(super) fn share_rate(&mut self, now: Time) {
        let shared = self.tiers.share(now);
        for (tier, each) in shared.changed {
            let burst = self.tiers.get(tier).loss().burst();
            for channel in self.channels.on_tier_mut(tier) {
                channel.cap_mut().set_rate(now, each);
                if !burst.is_zero() {
                    channel.set_depth(burst, self.config.slots);
                }
            }
        }
        self.unicast.set_rate(now, shared.unicast);
    }

    /// Rounds of rate control that are due.
    pub(super) fn adapt_rates(&mut self, now: Time) {
        let grtt = self.grtt.get();
        let mut changed = false;
        for number in 0..self.tiers.len() {
            let interval = self.tiers.report_interval(number, grtt);
            let tier = self.tiers.get_mut(number);
            let (moved, tell) = tier.adapt(now, grtt, interval);
            changed |= moved;
            if tell {
                // Where the paths lose much, one SYNC may not be heard.
                let lossy = tier.is_lossy();
                let channels = self.channels.on_tier_mut(number);
                channels.for_each(|c| c.hurry_sync(now, lossy));
            }
        }
        if changed {
            self.share_rate(now);
        }
    }

    /// Lends unicast what groups leave, if that is due.
    pub(super) fn lend(&mut self, now: Time) {
        if self.next_lending().is_some_and(|at| at <= now) {
            let share = self.unicast.rate();
            let lent = self.unicast.lent_mut();
            lent.handle_round(now, share, &self.tiers);
        }
    }

    /// When what is lent is looked at next: while there are groups, as what they carried is lent to
    /// who comes later.
    pub(super) fn next_lending(&self) -> Option<Time> {
        let groups = self.tiers.run();
        groups.then(|| self.unicast.lent().due())
    }

    /// A receiver's figures came.
    pub(super) fn handle_report(
        &mut self,
        now: Time,
        id: ReceiverId,
        channel: ChannelNo,
        report: Report,
    ) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let before = member.handle_report(report);
        let (address, _) = member.address();
        let delivered = self.session.on_the_wire(report.throughput, address);
        if !self.config.min_rate.is_zero() {
            self.follow_lag(now, id, channel, delivered);
        }
        let Some(member) = self.members.get(id) else {
            return;
        };
        if member.eviction().is_some() && !report.unicast {
            return self.handle_evicted(now, id);
        }
        if !report.unicast && !self.unicast.serves(id) {
            self.follow_report(now, id, channel, delivered, (&before, &report));
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
        (before, report): (&Report, &Report),
    ) {
        let Some(channel) = self.channels.find_mut(number) else {
            return;
        };
        let (at, rate) = (channel.tier(), channel.rate());
        let tier = self.tiers.find_mut(at).filter(|t| t.runs());
        let Some(tier) = tier else {
            return;
        };
        let member = self.members.get_mut(id);
        let whole = member.as_ref().is_some_and(|m| m.is_whole());
        let news = News::new(before, report, delivered, whole);
        if tier.counts_losses(now, id) {
            match (member, channel.unlisted_mut()) {
                (Some(member), _) => member.add_losses(news.came, news.lost),
                (None, Some(unlisted)) => unlisted.add_losses(id, news.came, news.lost),
                _ => {}
            }
        }
        let changed = tier.handle_report(now, id, &news, rate);
        self.follow_losses(now, at);
        if changed {
            self.share_rate(now);
        }
    }

    /// A report of one who listens on a tier came: how much parity goes out unasked there, and over
    /// how many blocks a burst of losses is spread, if it is time to look at that.
    fn follow_losses(&mut self, now: Time, at: usize) {
        let tier = self.tiers.get_mut(at);
        if !tier.loss_mut().is_due(now) {
            return;
        }
        let burst = tier.loss().burst();
        for channel in self.channels.on_tier_mut(at) {
            channel.set_depth(burst, self.config.slots);
        }
        if self.config.surplus != Surplus::Reported {
            return;
        }
        let share = match tier.path_after_fall(now) {
            // What was lost because too much was sent says nothing of what will be.
            Some(path) => {
                self.forget_losses(at);
                Some(self.tiers.get(at).loss().share().min(path))
            }
            None => highest_share(self.loss_shares(at)),
        };
        let Some(share) = share else { return };
        self.tiers.get_mut(at).loss_mut().set_share(share);
        for channel in self.channels.on_tier_mut(at) {
            channel.set_loss(share);
        }
    }

    /// What the receivers on a tier lost is forgotten.
    fn forget_losses(&mut self, tier: usize) {
        for (id, member) in self.members.iter_mut() {
            if member.listens_on(tier) && !self.unicast.serves(id) {
                member.forget_losses();
            }
        }
        for channel in self.channels.on_tier_mut(tier) {
            if let Some(unlisted) = channel.unlisted_mut() {
                unlisted.forget_losses();
            }
        }
    }

    /// The shares that receivers on a tier lose, as far as they are known.
    fn loss_shares(&self, tier: usize) -> Vec<f64> {
        let here = self.members.iter();
        let here = here.filter(|&(id, m)| m.listens_on(tier) && !self.unicast.serves(id));
        let listed = here.filter_map(|(_, m)| m.losses().share());
        let unlisted = self.channels.on_tier(tier).filter_map(|c| c.unlisted());
        let unlisted = unlisted.flat_map(Unlisted::loss_shares);
        listed.chain(unlisted).collect()
    }
}
