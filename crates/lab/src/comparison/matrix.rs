//! What is measured: every combination of loss, group size and rate, and what an option of the
//! command line may say about them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::count;

/// Most receivers: each is several processes' worth of machine.
const MOST_RECEIVERS: usize = 100;

/// Share of packets that each receiver loses, in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct Loss(u16);

impl Loss {
    /// That many of a thousand.
    pub fn of_thousand(per_mille: u16) -> Loss {
        Loss(per_mille)
    }

    /// In thousandths.
    pub fn per_mille(self) -> u32 {
        self.0.into()
    }

    /// As a share of 1.
    pub fn share(self) -> f64 {
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pace {
    /// At most this many IP bits a second.
    At {
        /// The rate, at least 1.
        bps: u64,
        /// The rate as tables show it, such as `100 Mbit/s`.
        words: String,
    },
    /// As fast as it goes.
    Unlimited,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pace::At { words, .. } => words,
            Pace::Unlimited => "unlimited",
        })
    }
}

/// A number of bytes on the command line: `64M` is 64 MiB, as file sizes are.
pub fn size(text: &str) -> Result<u64, String> {
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
pub fn receivers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MOST_RECEIVERS).contains(&n) => Ok(n),
        _ => Err(format!("it takes 1 to {MOST_RECEIVERS} receivers")),
    }
}

/// One network and rate that all tools run on.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// What each receiver loses.
    pub loss: Loss,
    /// How many receivers there are.
    pub receivers: usize,
    /// How fast the sender may send.
    pub pace: Pace,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting {
            loss,
            receivers,
            pace,
        } = self;
        let receivers = count(*receivers, "receiver");
        write!(f, "{receivers}, loss {loss}, rate {pace}")
    }
}

/// Every combination, the loss changing fastest, what is named twice once.
pub fn settings(losses: &[Loss], receivers: &[usize], paces: &[Pace]) -> Vec<Setting> {
    let mut all = Vec::new();
    for pace in paces {
        for &receivers in receivers {
            for &loss in losses {
                let setting = Setting {
                    loss,
                    receivers,
                    pace: pace.clone(),
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
