//! What receivers lose, as they report it, and so how much parity goes out unasked on each channel, and
//! over how many blocks a burst of losses is spread.

use core::time::Duration;

use crate::carousel::{Surplus, depth};
use crate::config;
use crate::engine::ip_len;
use crate::engine::sender::rates::Tier;
use crate::engine::sender::roster::Member;
use crate::engine::sender::{Channel, Sender};
use crate::time::Time;
use crate::units::Rate;
use crate::wire;

/// Packets from which on a share of losses counts: with fewer, one receiver's luck would set the
/// surplus of all.
const LEAST_PACKETS: u64 = 512;
/// Packets after which those before count half: two seconds or so at 20 Mbit/s, so that a loss that
/// goes on is followed and one that is over is forgotten.
const WINDOW: u64 = 4_096;
/// The surplus follows reports this often: what it costs does not grow with the number of reports.
const PAUSE: Duration = Duration::from_millis(200);
/// Shorter ones are a queue that overflows: they stop when the rate falls, and windows would delay what
/// is asked for meanwhile.
const SHORTEST_FADE: Duration = Duration::from_millis(5);
/// No longer fade is reckoned with: no memory holds the blocks that would bridge it.
const LONGEST_FADE: Duration = Duration::from_secs(1);
/// A fade counts for so much less with each pause: half after 14 s, so that one that comes back every
/// few seconds is remembered.
const FORGET: f64 = 0.99;
/// One receiver in so many may lose more than the surplus is made for: it asks.
const OUTLIERS: usize = 20;

/// A receiver's losses in the network of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    packets: u64,
    lost: u64,
}

impl Losses {
    pub(super) fn add(&mut self, came: u64, lost: u64) {
        let latest = Losses {
            packets: came.saturating_add(lost),
            lost,
        };
        if self.is_over(&latest) {
            *self = latest;
            return;
        }
        if self.packets > WINDOW {
            self.packets /= 2;
            self.lost /= 2;
        }
        self.lost = self.lost.saturating_add(lost);
        self.packets = self.packets.saturating_add(came).saturating_add(lost);
    }

    /// Whether `latest` is so much lower that the loss before it is over.
    fn is_over(&self, latest: &Losses) -> bool {
        let of = |l: &Losses| l.lost as f64 / l.packets.max(1) as f64;
        let (before, now) = (of(self), of(latest));
        let deviation = (before * (1.0 - before) / latest.packets.max(1) as f64).sqrt();
        self.packets >= LEAST_PACKETS && now < before / 2.0 && before - now > 5.0 * deviation
    }

    /// The share lost, less its standard error: the highest of several shares is more often one
    /// receiver's bad luck than its worse path. None while too few packets are known.
    pub(super) fn share(&self) -> Option<f64> {
        if self.packets < LEAST_PACKETS {
            return None;
        }
        let packets = self.packets as f64;
        let share = self.lost as f64 / packets;
        Some((share - (share * (1.0 - share) / packets).sqrt()).max(0.0))
    }
}

impl Sender {
    /// A report of one who listens on the channel came.
    pub(super) fn follow_losses(&mut self, now: Time, number: usize) {
        let tier = &mut self.tiers[number];
        if now < tier.losses_due {
            return;
        }
        tier.losses_due = now + PAUSE;
        tier.fade = tier.fade.mul_f64(FORGET);
        let here = |c: &&mut Channel| c.tier.unwrap_or(0) == number;
        let mut channels: Vec<&mut Channel> = self.channels.iter_mut().filter(here).collect();
        for channel in &mut channels {
            channel.set_depth(tier.fade, self.config.slots);
        }
        if self.config.surplus != Surplus::Reported {
            return;
        }
        let listens = |m: &Member| m.unicast.is_none() && m.tier == number && m.is_active();
        let control = tier.control.as_ref();
        if let Some(path) = control.and_then(|c| c.path_after_fall(now)) {
            // What was lost because too much was sent says nothing of what will be.
            let members = self.roster.members.values_mut();
            for member in members.filter(|m| listens(m)) {
                member.losses = Losses::default();
            }
            for channel in channels {
                if let Some(crowd) = &mut channel.crowd {
                    crowd.forget_losses();
                }
                channel.set_surplus(tier.loss.min(path));
            }
            tier.loss = tier.loss.min(path);
            return;
        }
        let members = self.roster.members.values().filter(|m| listens(m));
        let crowds = channels.iter().filter_map(|c| c.crowd.as_ref());
        let crowd = crowds.flat_map(|c| c.loss_shares());
        let members = members.filter_map(|m| m.losses.share());
        let mut shares: Vec<f64> = members.chain(crowd).collect();
        let Some(at) = (shares.len() - shares.len() / OUTLIERS).checked_sub(1) else {
            return;
        };
        let (_, &mut loss, _) = shares.select_nth_unstable_by(at, f64::total_cmp);
        tier.loss = loss;
        for channel in channels {
            channel.set_surplus(loss);
        }
    }
}

impl Tier {
    /// A receiver lost so many packets one after another, while so much was sent.
    pub(super) fn hear_run(&mut self, packets: u32, rate: Rate) {
        let each = wire::data_packet_len(config::DEFAULT_SYMBOL_SIZE) as u64;
        let fade = rate.time_for(u64::from(packets) * each);
        if fade >= SHORTEST_FADE {
            self.fade = self.fade.max(fade.min(LONGEST_FADE));
        }
    }
}

impl Channel {
    /// The rate, the fades or the surplus have changed.
    pub(super) fn set_depth(&mut self, fade: Duration, slots: u16) {
        let bytes = self.pacer.rate().bytes_in(fade);
        for carousel in self.carousels.values_mut() {
            let g = carousel.geometry;
            let each = ip_len(self.group, wire::data_packet_len(g.symbol_size()));
            let block = u64::from(g.k()) * g.symbol_size() as u64;
            let surplus = carousel.walk.surplus();
            let blocks = depth(bytes / each, surplus, block, slots.into());
            carousel.walk.set_depth(blocks);
        }
    }

    /// The loss, or who listens, has changed.
    pub(super) fn set_surplus(&mut self, loss: f64) {
        for carousel in self.carousels.values_mut() {
            let surplus = Surplus::for_group(loss, carousel.listeners);
            carousel.walk.set_surplus(surplus);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_counts_once_it_is_known_and_is_forgotten() {
        let mut losses = Losses::default();
        losses.add(460, 40);
        assert_eq!(losses.share(), None);
        losses.add(300, 0);
        let share = losses.share().unwrap_or_default();
        assert!((0.042..0.043).contains(&share), "{share}");
        for _ in 0..40 {
            losses.add(2_000, 0);
        }
        assert_eq!(losses.share(), Some(0.0));
        // What a receiver says may be anything.
        losses.add(u64::MAX, u64::MAX);
        assert_eq!(losses.share(), Some(1.0));
    }
}
