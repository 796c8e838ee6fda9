//! What receivers lose, as they report it: shares of packets, and bursts of losses.

use core::time::Duration;

use crate::config;
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
/// Shorter bursts are a queue that overflows: they stop when the rate falls, and windows would
/// delay what is asked for meanwhile.
const SHORTEST_BURST: Duration = Duration::from_millis(5);
/// No longer burst is reckoned with: no memory holds the blocks that would bridge it.
const LONGEST_BURST: Duration = Duration::from_secs(1);
/// A burst counts for this share of what it did with each pause: half after 14 s, so that one that
/// comes back every few seconds is remembered.
const FORGET: f64 = 0.99;
/// One receiver of this many may lose more than the surplus is made for: it asks.
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

/// What the receivers of a tier lose.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLoss {
    /// Share of packets that all but a few of them lose less of, 0 to 1.
    share: f64,
    /// The longest time of late for which a receiver lost everything.
    burst: Duration,
    /// When it is looked at again.
    due: Time,
}

impl GroupLoss {
    /// No share yet, and a burst as long as `burst`.
    pub(super) fn new(burst: Duration) -> GroupLoss {
        GroupLoss {
            share: 0.0,
            burst,
            due: Time::ZERO,
        }
    }

    pub(super) fn share(&self) -> f64 {
        self.share
    }

    pub(super) fn set_share(&mut self, share: f64) {
        self.share = share;
    }

    pub(super) fn burst(&self) -> Duration {
        self.burst
    }

    /// What was lost is looked at with the next report.
    pub(super) fn hurry(&mut self, now: Time) {
        self.due = now;
    }

    /// A report came: true if it is time to look at what was lost.
    pub(super) fn is_due(&mut self, now: Time) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now + PAUSE;
        self.burst = self.burst.mul_f64(FORGET);
        true
    }

    /// A receiver lost `packets` one after another, at this rate.
    pub(super) fn handle_burst(&mut self, packets: u32, rate: Rate) {
        let each = wire::data_packet_len(config::DEFAULT_SYMBOL_SIZE) as u64;
        let burst = rate.time_for(u64::from(packets) * each);
        if burst >= SHORTEST_BURST {
            self.burst = self.burst.max(burst.min(LONGEST_BURST));
        }
    }
}

/// The highest of the shares that receivers lose, but for a few outliers; none of no shares.
pub(super) fn highest_share(mut shares: Vec<f64>) -> Option<f64> {
    let at = (shares.len() - shares.len() / OUTLIERS).checked_sub(1)?;
    let (_, &mut share, _) = shares.select_nth_unstable_by(at, f64::total_cmp);
    Some(share)
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
