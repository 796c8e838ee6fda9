//! Who listens: how many receivers lack something of each object, on each channel and by unicast.

use crate::carousel::Surplus;
use crate::engine::sender::channel::Channel;
use crate::engine::sender::members::Listeners;
use crate::engine::sender::serving::Serving;
use crate::engine::sender::unlisted::Unlisted;
use crate::time::Time;

impl Serving {
    pub(super) fn count_listeners(&mut self, now: Time) {
        let objects = self.offers.len();
        self.members.count(now, objects);
        self.unicast.count();
        let tallies = self.members.tally(objects, |id| self.unicast.serves(id));
        self.channels.count_listed(now, &tallies);
        self.channels.iter_mut().for_each(Channel::count_unlisted);
        self.count_tiers();
        let unlisted = self.unlisted();
        self.members.count_unlisted(unlisted);
        self.outbox.count_unlisted(unlisted);
        if let Some(limit) = self.config.passes() {
            self.count_passes(limit);
        }
        if self.config.surplus == Surplus::Reported {
            for channel in self.channels.iter_mut() {
                let loss = self.tiers.get(channel.tier()).loss().share();
                channel.set_loss(loss);
            }
        }
        if self.members.have_joined(self.config.wait_for) {
            self.lifecycle.start();
        }
    }

    /// Who listens on each tier, and whether they want the same.
    fn count_tiers(&mut self) {
        let (tiers, objects) = (self.tiers.len(), self.offers.len());
        let unicast = |id| self.unicast.serves(id);
        let listed = self.members.count_tiers(tiers, objects, unicast);
        for (tier, Listeners { count, most_lacked }) in listed.into_iter().enumerate() {
            let (mut listeners, mut most, mut running) = (count, most_lacked, 0_u64);
            for channel in self.channels.on_tier(tier) {
                running += u64::from(channel.is_wanted());
                if let Some(unlisted) = channel.unlisted().map(Unlisted::estimate) {
                    // What they want is not known.
                    most = u64::MAX;
                    listeners = listeners.saturating_add(unlisted);
                }
            }
            let spread = running.max(1) as f64 / most.clamp(1, running.max(1)) as f64;
            self.tiers.set_listeners(tier, listeners, spread);
        }
    }
}
