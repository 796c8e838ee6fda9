//! The path between the sender and one receiver.

use core::time::Duration;

use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;

/// A path, both ways.
#[derive(Clone, Debug)]
pub struct Link {
    /// One-way delay.
    pub delay: Duration,
    /// Each packet is delayed by up to this much more, so that packets overtake each other.
    pub jitter: Duration,
    /// What is lost towards the receiver.
    pub down: Loss,
    /// Loss of multicast only towards the receiver, on top of `down`.
    pub down_group: Loss,
    /// What is lost towards the sender.
    pub up: Loss,
    /// The share of packets that come twice.
    pub duplicate: f64,
    /// The share of packets that arrive with a wrong bit, both ways.
    pub damage: f64,
    /// The share of sends with which something that went the same way before goes once more, up to 10 s later.
    pub replay: f64,
    /// What the link carries towards the receiver, and the bytes its queue holds; unlimited when none.
    pub rate: Option<(Rate, u64)>,
    /// When something does not get through at all.
    pub cuts: Vec<Cut>,
    /// Datagrams with more UDP payload than this are lost.
    pub mtu_payload: usize,
}

/// How packets are lost.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// None.
    None,
    /// Each by itself with this probability.
    Random(f64),
    /// In bursts (Gilbert): a burst begins before a packet with the first probability, loses every
    /// packet, and ends after one with the second.
    Bursts(f64, f64),
}

/// A stretch of time in which a path is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// Only what goes to groups is cut.
    pub groups_only: bool,
}

impl Link {
    /// A path without faults.
    pub fn clean(delay: Duration) -> Link {
        Link {
            delay,
            jitter: Duration::ZERO,
            down: Loss::None,
            down_group: Loss::None,
            up: Loss::None,
            duplicate: 0.0,
            damage: 0.0,
            replay: 0.0,
            rate: None,
            cuts: Vec::new(),
            mtu_payload: usize::MAX,
        }
    }

    /// A path that loses packets towards the receiver.
    pub fn lossy(delay: Duration, down: Loss) -> Link {
        Link {
            down,
            ..Link::clean(delay)
        }
    }

    /// Packets of a burst leave and come together, so one event can stand for all of them.
    pub(super) fn is_plain(&self) -> bool {
        self.jitter.is_zero() && self.duplicate == 0.0 && self.rate.is_none()
    }

    /// Packets leave in the order they came in, each once.
    pub(super) fn is_orderly(&self) -> bool {
        self.jitter.is_zero() && self.duplicate == 0.0
    }

    pub(super) fn is_cut(&self, now: Time, to_group: bool) -> bool {
        let hit = |c: &Cut| c.from <= now && now < c.until && (to_group || !c.groups_only);
        self.cuts.iter().any(hit)
    }
}

/// Draws losses without a random number per packet.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    loss: Loss,
    /// Packets until the next one is lost; in a burst, until one is not.
    left: u64,
    in_burst: bool,
}

impl Dice {
    pub(super) fn new(loss: Loss, rng: &mut Rng) -> Dice {
        let mut dice = Dice {
            loss,
            left: u64::MAX,
            in_burst: false,
        };
        dice.draw(rng);
        dice
    }

    fn draw(&mut self, rng: &mut Rng) {
        let p = match (self.loss, self.in_burst) {
            (Loss::None, _) => 0.0,
            (Loss::Random(p), _) | (Loss::Bursts(p, _), false) | (Loss::Bursts(_, p), true) => p,
        };
        // Geometric: failures before the first success.
        self.left = match p {
            p if p <= 0.0 => u64::MAX,
            p if p >= 1.0 => 0,
            p => ((1.0 - rng.unit()).ln() / (1.0 - p).ln()) as u64,
        };
    }

    pub(super) fn loses(&mut self, rng: &mut Rng) -> bool {
        let turn = self.left == 0;
        self.left = self.left.saturating_sub(1);
        match (self.loss, self.in_burst) {
            (Loss::Bursts(..), true) => {
                if turn {
                    self.in_burst = false;
                    self.draw(rng);
                }
                true
            }
            (Loss::Bursts(..), false) if turn => {
                self.in_burst = true;
                self.draw(rng);
                true
            }
            (_, _) if turn => {
                self.draw(rng);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(loss: Loss) -> (f64, usize) {
        let mut rng = Rng::new(7);
        let mut dice = Dice::new(loss, &mut rng);
        let lost: Vec<bool> = (0..200_000).map(|_| dice.loses(&mut rng)).collect();
        let runs = lost.windows(2).filter(|w| !w[0] && w[1]).count();
        (
            lost.iter().filter(|&&l| l).count() as f64 / lost.len() as f64,
            runs,
        )
    }

    #[test]
    fn dice_lose_the_stated_share() {
        let (p, _) = share(Loss::Random(0.05));
        assert!((p - 0.05).abs() < 0.003, "{p}");
        let (p, runs) = share(Loss::Bursts(0.001, 0.1));
        assert!((p - 0.0099).abs() < 0.0025, "{p}");
        assert!((120..300).contains(&runs), "{runs} bursts of ten");
        assert_eq!(share(Loss::None).0, 0.0);
        assert_eq!(share(Loss::Random(1.0)).0, 1.0);
    }
}
