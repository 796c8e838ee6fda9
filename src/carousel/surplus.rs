//! How much parity goes out with a block before anybody has asked for it.

/// The least for a block: one packet lost is the most common loss, and two cost little.
const LEAST: u16 = 2;

/// Parity that follows a block's symbols in each cycle.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Surplus {
    /// None.
    #[default]
    None,
    /// This share of the block's source symbols, 0 to 1, and at least 2 symbols.
    Share(f64),
    /// As much as a receiver needs where packets are lost each by itself; at least 2 symbols.
    ForLoss {
        /// The share of packets that is lost, 0 to 0.5.
        loss: f64,
        /// The chance that a block is too short all the same.
        chance: f64,
    },
    /// What suits the loss that receivers report: see [`for_group`](Surplus::for_group). None until
    /// they do.
    Reported,
}

impl Surplus {
    /// The chance that a block is too short where that is to be the exception: one in a million.
    pub const RARELY: f64 = 1e-6;

    /// What suits so many receivers that can ask, of which the worst lose this share of packets.
    ///
    /// One of them is then short of an average block, by a little, and asks for just that. A
    /// smaller chance costs more wire than it spares: 100 receivers at 20 % of loss, simulated, are
    /// sent 1.432 times the file with this one, and 1.434 with half of it. The receivers of a very
    /// large group ask for one block in a million.
    pub fn for_group(loss: f64, receivers: u32) -> Surplus {
        if loss <= 0.0 || receivers == 0 {
            return Surplus::None;
        }
        let chance = (1.0 / f64::from(receivers + 1)).max(Surplus::RARELY);
        Surplus::ForLoss { loss, chance }
    }

    /// Symbols to add to the last `n` that are sent because so many receivers asked, of which the
    /// worst lose this share: no data comes after them, so that each further round of asking is
    /// waited for. One in a hundred is then still needed.
    pub fn for_last(loss: f64, receivers: u32, n: u16) -> u16 {
        let chance = 0.01 / f64::from(receivers.max(1));
        for_loss(n, loss.clamp(0.0, 0.5), chance, u16::MAX)
    }

    /// Symbols to add to a block of `n` source symbols that can have `most`.
    pub fn symbols(self, n: u16, most: u16) -> u16 {
        let wanted = match self {
            Surplus::None | Surplus::Reported => return 0,
            Surplus::Share(share) => (f64::from(n) * share.clamp(0.0, 1.0)).ceil() as u16,
            Surplus::ForLoss { loss, chance } => for_loss(n, loss.clamp(0.0, 0.5), chance, most),
        };
        wanted.max(LEAST).min(most)
    }
}

/// The least number of losses, before `n` packets have come, that is exceeded with no more than the
/// chance: the tail of the negative binomial distribution, summed term by term.
fn for_loss(n: u16, loss: f64, chance: f64, most: u16) -> u16 {
    if loss <= 0.0 {
        return 0;
    }
    let n = f64::from(n);
    let mut ln_term = n * (1.0 - loss).ln();
    let mut covered = 0.0;
    for losses in 0..most {
        covered += ln_term.exp();
        if covered >= 1.0 - chance {
            return losses;
        }
        let j = f64::from(losses) + 1.0;
        ln_term += (loss * (n + j - 1.0) / j).ln();
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures() {
        assert_eq!(Surplus::None.symbols(512, 512), 0);
        assert_eq!(Surplus::Share(0.1).symbols(512, 512), 52);
        assert_eq!(Surplus::Share(0.1).symbols(1, 8), 2);
        assert_eq!(Surplus::Share(0.1).symbols(512, 20), 20);
        assert_eq!(for_one_in_a_million(512, 0.0), 2);
        assert_eq!(for_one_in_a_million(512, 0.05), 56);
        let many = Surplus::ForLoss {
            loss: 0.5,
            chance: 1e-6,
        };
        assert_eq!(many.symbols(4_096, 40), 40);
    }

    #[test]
    fn a_group_gets_what_one_of_it_may_lack() {
        assert_eq!(Surplus::for_group(0.0, 8), Surplus::None);
        assert_eq!(Surplus::Reported.symbols(512, 512), 0);
        let of = |receivers| Surplus::for_group(0.05, receivers).symbols(512, 512);
        assert_eq!([1, 8, 1_000, 10_000_000].map(of), [27, 34, 45, 56]);
    }

    #[test]
    fn the_last_repairs_hardly_have_to_be_asked_for_again() {
        assert_eq!(Surplus::for_last(0.0, 8, 3), 0);
        assert_eq!([1, 3, 20].map(|n| Surplus::for_last(0.05, 8, n)), [2, 2, 5]);
    }

    fn for_one_in_a_million(n: u16, loss: f64) -> u16 {
        let chance = Surplus::RARELY;
        Surplus::ForLoss { loss, chance }.symbols(n, 8_192)
    }

    /// The chance that fewer than `n` of `n + s` packets come, summed over what comes.
    fn falls_short(n: u16, s: u16, loss: f64) -> f64 {
        let (n, sent) = (u32::from(n), u32::from(n) + u32::from(s));
        let mut ln_term = f64::from(sent) * loss.ln();
        let mut sum = 0.0;
        for came in 0..n {
            sum += ln_term.exp();
            let (left, next) = (f64::from(sent - came), f64::from(came + 1));
            ln_term += (left / next * (1.0 - loss) / loss).ln();
        }
        sum
    }

    proptest! {
        #[test]
        fn it_is_the_least_that_keeps_the_chance(
            n in 1_u16..=4_096,
            loss in 1e-4..0.5_f64,
            ln_chance in 1e-6_f64.ln()..0.5_f64.ln(),
            more in 1.0..1.5_f64,
        ) {
            let chance = ln_chance.exp();
            let of = |loss| Surplus::ForLoss { loss, chance }.symbols(n, 8_192);
            let s = of(loss);
            prop_assert!(falls_short(n, s, loss) <= chance * 1.01);
            prop_assert!(s == LEAST || falls_short(n, s - 1, loss) > chance * 0.99);
            prop_assert!(of(loss * more) >= s);
        }
    }
}
