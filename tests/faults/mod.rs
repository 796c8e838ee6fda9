//! Paths with faults of all kinds.

#![allow(unreachable_pub, reason = "shared by test binaries")]

use core::time::Duration;

use loopcast::rng::Rng;
use loopcast::sim::{Cut, Link, Loss};
use loopcast::time::Time;
use loopcast::units::Rate;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn at(n: u64) -> Time {
    Time::from_millis(n)
}

fn loss(rng: &mut Rng) -> Loss {
    match rng.below(4) {
        0 => Loss::None,
        1 => Loss::Random(0.02 * rng.unit()),
        2 => Loss::Random(0.2 * rng.unit()),
        _ => Loss::Bursts(0.005 * rng.unit(), 0.05 + 0.5 * rng.unit()),
    }
}

/// A path with some of all faults. Where the sender does not stay, cuts are shorter than the
/// silence after which it forgets a receiver, and so are bursts of what is lost on the way to it.
pub fn bad_link(rng: &mut Rng, rate: Rate, stay: bool) -> Link {
    let (cuts, longest_cut) = if stay { (3, 9_000) } else { (2, 2_000) };
    let mut link = Link {
        jitter: ms(rng.below(8)),
        up: if stay {
            loss(rng)
        } else {
            Loss::Random(0.1 * rng.unit())
        },
        duplicate: if rng.chance(0.5) {
            0.02 * rng.unit()
        } else {
            0.0
        },
        damage: if rng.chance(0.3) {
            0.02 * rng.unit()
        } else {
            0.0
        },
        replay: if rng.chance(0.3) {
            0.05 * rng.unit()
        } else {
            0.0
        },
        ..Link::lossy(ms(rng.below(30)), loss(rng))
    };
    for _ in 0..rng.below(cuts) {
        let from = rng.below(6_000);
        let until = from + rng.below(longest_cut);
        link.cuts.push(Cut {
            from: at(from),
            until: at(until),
            groups_only: rng.chance(0.5),
        });
    }
    match rng.below(8) {
        // Wide enough for parts, too narrow for symbols.
        0 => link.mtu_payload = 1_250,
        1 => {
            let share = 0.4 + rng.unit();
            link.rate = Some((rate.mul_f64(share), 20_000 + rng.below(200_000)));
        }
        _ => {}
    }
    link
}
