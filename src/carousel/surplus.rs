//! How much parity goes out with a block before anybody has asked for it.

/// The chance that a block of [`Surplus::ForLoss`] has to be asked for, or waits for the next cycle.
const FAILURE: f64 = 1e-6;
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
    /// As much as makes one block in a million too short where this share of packets is lost, each by
    /// itself, 0 to 0.5; at least 2 symbols.
    ForLoss(f64),
}

impl Surplus {
    /// Symbols to add to a block of `n` source symbols that can have `most`.
    pub fn symbols(self, n: u16, most: u16) -> u16 {
        let wanted = match self {
            Surplus::None => return 0,
            Surplus::Share(share) => (f64::from(n) * share.clamp(0.0, 1.0)).ceil() as u16,
            Surplus::ForLoss(loss) => for_loss(n, loss.clamp(0.0, 0.5), most),
        };
        wanted.max(LEAST).min(most)
    }
}

/// The least number of losses, before `n` packets have come, that is exceeded with a chance of
/// [`FAILURE`]: the tail of the negative binomial distribution, summed term by term.
fn for_loss(n: u16, loss: f64, most: u16) -> u16 {
    if loss <= 0.0 {
        return 0;
    }
    let n = f64::from(n);
    let mut ln_term = n * (1.0 - loss).ln();
    let mut covered = 0.0;
    for losses in 0..most {
        covered += ln_term.exp();
        if covered >= 1.0 - FAILURE {
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

    #[test]
    fn figures() {
        assert_eq!(Surplus::None.symbols(512, 512), 0);
        assert_eq!(Surplus::Share(0.1).symbols(512, 512), 52);
        assert_eq!(Surplus::Share(0.1).symbols(1, 8), 2);
        assert_eq!(Surplus::Share(0.1).symbols(512, 20), 20);
        assert_eq!(Surplus::ForLoss(0.0).symbols(512, 512), 2);
        assert_eq!(Surplus::ForLoss(0.5).symbols(4_096, 40), 40);
    }

    /// The chance that fewer than `n` of `n + s` packets come, summed over what comes.
    fn falls_short(n: u32, s: u32, loss: f64) -> f64 {
        let sent = n + s;
        let mut ln_term = f64::from(sent) * loss.ln();
        let mut sum = 0.0;
        for came in 0..n {
            sum += ln_term.exp();
            let (left, next) = (f64::from(sent - came), f64::from(came + 1));
            ln_term += (left / next * (1.0 - loss) / loss).ln();
        }
        sum
    }

    #[test]
    fn one_block_in_a_million_falls_short() {
        for n in [1, 10, 512, 4_096] {
            for loss in [0.001, 0.05, 0.3] {
                let s = u32::from(Surplus::ForLoss(loss).symbols(n, 8_192));
                let n = u32::from(n);
                assert!(falls_short(n, s, loss) <= FAILURE * 1.01, "{n} {loss} {s}");
                let one_less = s == 2 || falls_short(n, s - 1, loss) > FAILURE;
                assert!(one_less, "{n} {loss} {s}");
            }
        }
    }
}
