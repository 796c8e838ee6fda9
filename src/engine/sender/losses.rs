//! What receivers lose, as they report it, and so how much parity goes out unasked on each channel.

use core::time::Duration;

use crate::carousel::Surplus;
use crate::engine::sender::roster::Member;
use crate::engine::sender::{Channel, Sender};
use crate::ids::ChannelNo;
use crate::time::Time;

/// Packets from which on a share of losses counts: with fewer, one receiver's luck would set the
/// surplus of all.
const LEAST_PACKETS: u64 = 512;
/// Packets after which those before count half: two seconds or so at 20 Mbit/s, so that a loss that
/// goes on is followed and one that is over is forgotten.
const WINDOW: u64 = 4_096;
/// The surplus follows reports this often: what it costs does not grow with the number of reports.
const PAUSE: Duration = Duration::from_millis(200);
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
        if self.packets > WINDOW {
            self.packets /= 2;
            self.lost /= 2;
        }
        self.lost = self.lost.saturating_add(lost);
        self.packets = self.packets.saturating_add(came).saturating_add(lost);
    }

    /// The share lost, less its standard error: the highest of several shares is more often one
    /// receiver's bad luck than its worse path. None while too few packets are known.
    fn share(&self) -> Option<f64> {
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
    pub(super) fn follow_losses(&mut self, now: Time, number: ChannelNo) {
        let channel = &mut self.channels[usize::from(number)];
        if self.config.surplus != Surplus::Reported || now < channel.losses_due {
            return;
        }
        channel.losses_due = now + PAUSE;
        let tier = channel.tier.unwrap_or(0);
        let listens = |m: &&Member| {
            m.unicast.is_none()
                && m.tier == tier
                && channel.carousels.keys().any(|&key| m.lacks(key))
        };
        let members = self.roster.members.values().filter(listens);
        let mut shares: Vec<f64> = members.filter_map(|m| m.losses.share()).collect();
        let Some(at) = (shares.len() - shares.len() / OUTLIERS).checked_sub(1) else {
            return;
        };
        let (_, &mut loss, _) = shares.select_nth_unstable_by(at, f64::total_cmp);
        channel.loss = loss;
        channel.set_surplus();
    }
}

impl Channel {
    /// The loss, or who listens, has changed.
    pub(super) fn set_surplus(&mut self) {
        for carousel in self.carousels.values_mut() {
            let surplus = Surplus::for_group(self.loss, carousel.listeners);
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
