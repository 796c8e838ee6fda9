//! What is measured: every combination of loss, group size and rate, and what an option of the
//! command line may say about them.

use std::fmt;
use std::str::FromStr;

use loopcast::units::Rate;
use serde::Serialize;

/// Most receivers: each is several processes' worth of machine.
const MOST_RECEIVERS: usize = 100;

/// Share of packets that each receiver loses, in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Loss(u16);

impl Loss {
    pub(super) fn of_thousand(per_mille: u16) -> Loss {
        Loss(per_mille)
    }

    pub(super) fn per_mille(self) -> u32 {
        self.0.into()
    }

    pub(super) fn share(self) -> f64 {
        f64::from(self.0) / 1e3
    }
}

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Loss, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        let percent: f64 = number
            .parse()
            .map_err(|_| "it takes per cents like 0,1,5,20".to_owned())?;
        let per_mille = percent * 10.0;
        if !(0.0..=900.0).contains(&per_mille) || (per_mille.round() - per_mille).abs() > 1e-6 {
            return Err("it takes per cents from 0 to 90, in steps of 0.1".to_owned());
        }
        Ok(Loss(per_mille.round() as u16))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 10.0)
    }
}

/// How fast a sender may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// At most so many IP bits a second.
    At(Rate),
    /// As fast as it goes.
    Unlimited,
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Pace, String> {
        if text == "unlimited" {
            return Ok(Pace::Unlimited);
        }
        let rate = text.parse().map(Pace::At);
        rate.map_err(|e: loopcast::units::RateError| e.to_string())
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::At(rate) => rate.fmt(f),
            Pace::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// A number of bytes on the command line: `64M` is 64 MiB, as file sizes are.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.to_ascii_uppercase().trim_end_matches(['B', 'I']) {
        t if t.ends_with('K') => (t[..t.len() - 1].to_owned(), 10),
        t if t.ends_with('M') => (t[..t.len() - 1].to_owned(), 20),
        t if t.ends_with('G') => (t[..t.len() - 1].to_owned(), 30),
        t => (t.to_owned(), 0),
    };
    let number: u64 = number
        .trim_end()
        .parse()
        .map_err(|_| "it takes bytes like 64M or 1G".to_owned())?;
    match number.checked_mul(1 << shift) {
        Some(bytes) if (1..=1 << 40).contains(&bytes) => Ok(bytes),
        _ => Err("it takes from one byte to 1024G".to_owned()),
    }
}

/// A number of receivers.
pub(crate) fn receivers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MOST_RECEIVERS).contains(&n) => Ok(n),
        _ => Err(format!("it takes 1 to {MOST_RECEIVERS} receivers")),
    }
}

/// One network and rate that all tools run on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Setting {
    pub(super) loss: Loss,
    pub(super) receivers: usize,
    pub(super) pace: Pace,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting {
            loss,
            receivers,
            pace,
        } = self;
        let receivers = crate::human::count(*receivers as u64, "receiver");
        write!(f, "{receivers}, loss {loss}, rate {pace}")
    }
}

/// Every combination, the loss changing fastest, what is named twice once.
pub(super) fn settings(losses: &[Loss], receivers: &[usize], paces: &[Pace]) -> Vec<Setting> {
    let mut all = Vec::new();
    for &pace in paces {
        for &receivers in receivers {
            for &loss in losses {
                let setting = Setting {
                    loss,
                    receivers,
                    pace,
                };
                if !all.contains(&setting) {
                    all.push(setting);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses() {
        let loss = |t: &str| t.parse::<Loss>().map(Loss::per_mille);
        for (text, per_mille) in [("0", 0), ("5", 50), ("5%", 50), ("0.1", 1), ("90 %", 900)] {
            assert_eq!(loss(text), Ok(per_mille), "{text}");
        }
        for bad in ["-1", "91", "0.05", "nan", "five", ""] {
            assert!(loss(bad).is_err(), "{bad}");
        }
        assert_eq!("0.5".parse::<Loss>().unwrap().to_string(), "0.5 %");
        assert_eq!("20".parse::<Loss>().unwrap().share(), 0.2);
    }

    #[test]
    fn paces() {
        assert_eq!("unlimited".parse(), Ok(Pace::Unlimited));
        let hundred = Rate::from_bps(100_000_000);
        assert_eq!("100M".parse(), Ok(Pace::At(hundred)));
        assert!("0".parse::<Pace>().is_err());
        assert!("fast".parse::<Pace>().is_err());
    }

    #[test]
    fn sizes_and_receivers() {
        for (text, bytes) in [
            ("1", 1),
            ("64M", 64 << 20),
            ("1GiB", 1 << 30),
            ("3 k", 3072),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["0", "-1", "M", "1T", "99999999999G", ""] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(receivers("8"), Ok(8));
        for bad in ["0", "101", "x"] {
            assert!(receivers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_all_combinations_once() {
        let losses = ["0", "5", "0%"].map(|l| l.parse().unwrap());
        let all = settings(&losses, &[1, 4], &[Pace::Unlimited]);
        let told: Vec<_> = all
            .iter()
            .map(|s| (s.receivers, s.loss.per_mille()))
            .collect();
        assert_eq!(told, [(1, 0), (1, 50), (4, 0), (4, 50)]);
        assert_eq!(all[3].to_string(), "4 receivers, loss 5 %, rate unlimited");
    }
}
