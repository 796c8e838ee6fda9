//! How long a receiver waits before it asks, in case another asks first.
//!
//! Takes the group's figures from SYNC and chance; gives a time to wait. Who was heard meanwhile,
//! and what that covers, is decided elsewhere.

use core::time::Duration;

use crate::config::{K_GROUP_FEEDBACK, K_SENDER_FEEDBACK};
use crate::rng::Rng;

/// Receivers that may ask for the same loss: more small packets at a sender than that cost more than
/// the time they save.
const SPEAKERS: f64 = 8.0;

/// Draws a NAK suppression time (RFC 5401 §5.2.2): few of many receivers speak early, and hearing
/// them stops the rest.
///
/// With T = `k` · `grtt` and λ = ln(R) + 1 the wait is (T/λ) · ln(1 + u·(e^λ − 1)), u uniform in
/// [0, 1): from zero to T. Where all of R receivers lost the same packet, about e^(1.2·λ/2k) of
/// them speak before they can have heard the first.
///
/// `receivers` is R; 0 counts as 1. `k` 0 gives no wait.
pub fn backoff(k: u8, grtt: Duration, receivers: u32, rng: &mut Rng) -> Duration {
    let longest = grtt.saturating_mul(u32::from(k));
    let lambda = f64::from(receivers.max(1)).ln() + 1.0;
    let part = (rng.unit() * lambda.exp_m1()).ln_1p() / lambda;
    longest.mul_f64(part.clamp(0.0, 1.0))
}

/// K for a group of so many: as small as keeps those who speak before they can have heard the first to
/// about eight, at most RFC 5401's. Few receivers need not wait for one another: of eight who all lost
/// the same packet, eight may say so.
///
/// Another's NAK is heard after half a round trip, a confirm of the sender after a whole one.
pub fn k_for(group_feedback: bool, receivers: u32) -> u8 {
    let (part, most) = if group_feedback {
        (0.5, K_GROUP_FEEDBACK)
    } else {
        (1.0, K_SENDER_FEEDBACK)
    };
    let lambda = f64::from(receivers.max(1)).ln() + 1.0;
    let k = (1.2 * lambda * part / SPEAKERS.ln()).ceil();
    (k as u8).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    const G: Duration = Duration::from_millis(100);

    /// Mean number of receivers that speak within half a round trip (one way) of the first.
    fn first_responders(k: u8, receivers: u32, rounds: u32) -> f64 {
        let mut rng = Rng::new(u64::from(k) << 32 | u64::from(receivers));
        let spoke: usize = (0..rounds)
            .map(|_| {
                let waits: Vec<_> = (0..receivers)
                    .map(|_| backoff(k, G, receivers, &mut rng))
                    .collect();
                let heard = waits.iter().min().unwrap().saturating_add(G / 2);
                waits.iter().filter(|w| **w <= heard).count()
            })
            .sum();
        spoke as f64 / f64::from(rounds)
    }

    #[test]
    fn few_speak_before_the_first_is_heard() {
        for (k, receivers, rounds) in [
            (4, 100, 2_000),
            (4, 1_000, 400),
            (4, 10_000, 60),
            (6, 1_000, 400),
            (2, 1_000, 400),
        ] {
            let lambda = f64::from(receivers).ln() + 1.0;
            let expected = (1.2 * lambda / (2.0 * f64::from(k))).exp();
            let spoke = first_responders(k, receivers, rounds);
            assert!(
                (0.65..1.35).contains(&(spoke / expected)),
                "K {k} R {receivers}: {spoke} of {expected}"
            );
        }
    }

    #[test]
    fn small_groups_wait_little() {
        let of = |group_feedback| {
            [0, 1, 8, 100, 1_000, 10_000, u32::MAX].map(|r| k_for(group_feedback, r))
        };
        assert_eq!(of(false), [1, 1, 2, 4, 5, 6, 6]);
        assert_eq!(of(true), [1, 1, 1, 2, 3, 3, 4]);
    }

    #[test]
    fn the_distribution_is_the_formula() {
        // Quartiles of the wait are the formula at u = 1/4, 1/2, 3/4.
        let mut rng = Rng::new(7);
        let mut waits: Vec<_> = (0..20_000)
            .map(|_| backoff(4, G, 500, &mut rng).as_secs_f64())
            .collect();
        waits.sort_by(f64::total_cmp);
        let lambda = 500f64.ln() + 1.0;
        for u in [0.25, 0.5, 0.75] {
            let expected = 0.4 / lambda * (1.0 + u * (lambda.exp() - 1.0)).ln();
            let found = waits[(u * 20_000.0) as usize];
            assert!(
                (found / expected - 1.0).abs() < 0.02,
                "{u}: {found} {expected}"
            );
        }
    }

    proptest! {
        #[test]
        fn it_never_exceeds_k_round_trips(k in any::<u8>(), micros in 0u64..20_000_000, receivers in any::<u32>(), seed in any::<u64>()) {
            let grtt = Duration::from_micros(micros);
            prop_assert!(backoff(k, grtt, receivers, &mut Rng::new(seed)) <= grtt * u32::from(k));
        }
    }
}
