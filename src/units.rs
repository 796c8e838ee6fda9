//! Quantities with their units in the type.
//!
//! A rate and a length cannot be mixed up, and each parses and prints the way people write it.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use thiserror::Error;

/// A rate in bits per second.
///
/// Zero stands for "unknown" or "nothing" and can't be parsed from text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Rate(u64);

impl Rate {
    /// Nothing at all.
    pub const ZERO: Rate = Rate(0);

    /// A rate of `bps` bits per second.
    pub const fn from_bps(bps: u64) -> Rate {
        Rate(bps)
    }

    /// A rate of `bytes` bytes per second, at most 2^64 - 1 bit/s.
    pub const fn from_bytes_per_sec(bytes: u64) -> Rate {
        Rate(bytes.saturating_mul(8))
    }

    /// Bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// Whole bytes per second.
    pub const fn as_bytes_per_sec(self) -> u64 {
        self.0 / 8
    }

    /// Whether it is nothing at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// How long `bytes` take at this rate, to the next nanosecond; [`Duration::MAX`] at rate zero.
    pub fn time_for(self, bytes: u64) -> Duration {
        if self.0 == 0 {
            return if bytes == 0 {
                Duration::ZERO
            } else {
                Duration::MAX
            };
        }
        // 2^64 bytes are below 2^98 nanobits.
        let nanos = (u128::from(bytes) * 8_000_000_000).div_ceil(u128::from(self.0));
        Duration::new(
            u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX),
            (nanos % 1_000_000_000) as u32,
        )
    }

    /// How many whole bytes go in `time` at this rate; at most 2^64 - 1.
    pub fn bytes_in(self, time: Duration) -> u64 {
        let nanobits = time.as_nanos().saturating_mul(u128::from(self.0));
        u64::try_from(nanobits / 8_000_000_000).unwrap_or(u64::MAX)
    }

    /// This rate times `factor`, rounded down; zero if the factor is negative or not a number.
    pub fn mul_f64(self, factor: f64) -> Rate {
        Rate((self.0 as f64 * factor) as u64)
    }
}

impl fmt::Display for Rate {
    /// As `100 Mbit/s`: decimal prefixes, at most three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STEPS: [(u64, &str); 5] = [
            (1_000_000_000_000, "Tbit/s"),
            (1_000_000_000, "Gbit/s"),
            (1_000_000, "Mbit/s"),
            (1_000, "kbit/s"),
            (1, "bit/s"),
        ];
        f.pad(&scaled(self.0, &STEPS, 3))
    }
}

/// Why a text is not a rate.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RateError {
    /// It does not begin with a decimal number.
    #[error("`{0}` is not a rate: write bits per second, such as 800k, 100M or 1.5G")]
    NotANumber(String),
    /// What follows the number is not a unit of rate.
    #[error(
        "`{0}` is not a unit of rate: use k, M, G or T bits per second, such as 100M or 100Mbit/s (8 bits are a byte)"
    )]
    UnknownUnit(String),
    /// It is zero, negative or less than 1 bit/s.
    #[error("`{0}` is not a rate one can send at: it must be at least 1 bit/s")]
    NotPositive(String),
    /// It does not fit 64 bits.
    #[error("`{0}` is more than any link carries")]
    TooLarge(String),
}

impl FromStr for Rate {
    type Err = RateError;

    /// Reads `800k`, `100M`, `1.5G`, `100 Mbit/s`, `100mbps` or plain bits per second. Prefixes are
    /// decimal, upper or lower case. Bytes per second (`MB/s`) are refused rather than guessed at.
    fn from_str(text: &str) -> Result<Rate, RateError> {
        let text = text.trim();
        let (number, unit) = split(text).ok_or_else(|| RateError::NotANumber(text.into()))?;
        let unknown = || RateError::UnknownUnit(unit.into());
        let lower = unit.to_ascii_lowercase();
        // `B` is how people write bytes, so in a bare `/s` unit its case counts.
        let prefix = ["bit/s", "bits/s", "bit", "bits", "bps"]
            .iter()
            .find_map(|suffix| lower.strip_suffix(suffix))
            .or_else(|| unit.ends_with("b/s").then(|| &lower[..lower.len() - 3]))
            .unwrap_or(&lower);
        let factor = decimal_prefix(prefix).ok_or_else(unknown)?;
        let bps = number * factor;
        if bps < 1.0 {
            return Err(RateError::NotPositive(text.into()));
        }
        to_u64(bps)
            .map(Rate)
            .ok_or_else(|| RateError::TooLarge(text.into()))
    }
}

/// A length in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct ByteLen(u64);

impl ByteLen {
    /// No bytes.
    pub const ZERO: ByteLen = ByteLen(0);

    /// A length of `bytes` bytes.
    pub const fn new(bytes: u64) -> ByteLen {
        ByteLen(bytes)
    }

    /// How many bytes it is.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for ByteLen {
    fn from(bytes: u64) -> ByteLen {
        ByteLen(bytes)
    }
}

impl From<ByteLen> for u64 {
    fn from(len: ByteLen) -> u64 {
        len.0
    }
}

impl fmt::Display for ByteLen {
    /// As `64 MiB` (powers of 1,024), or with `{:#}` as `67.1 MB` (powers of 1,000); at most one
    /// decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [(u64, &str); 6] = [
            (1 << 50, "PiB"),
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
            (1, "B"),
        ];
        const DECIMAL: [(u64, &str); 6] = [
            (1_000_000_000_000_000, "PB"),
            (1_000_000_000_000, "TB"),
            (1_000_000_000, "GB"),
            (1_000_000, "MB"),
            (1_000, "kB"),
            (1, "B"),
        ];
        f.pad(&scaled(
            self.0,
            if f.alternate() { &DECIMAL } else { &BINARY },
            1,
        ))
    }
}

/// Why a text is not a length in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ByteLenError {
    /// It does not begin with a decimal number.
    #[error("`{0}` is not a length: write bytes, such as 1344, 64M or 64MiB")]
    NotANumber(String),
    /// What follows the number is not a unit of length.
    #[error(
        "`{0}` is not a unit of length: use k, M, G, T (powers of 1,000) or KiB, MiB, GiB, TiB"
    )]
    UnknownUnit(String),
    /// It is negative.
    #[error("`{0}` is less than nothing")]
    Negative(String),
    /// It does not fit 64 bits.
    #[error("`{0}` is more than any file holds")]
    TooLarge(String),
}

impl FromStr for ByteLen {
    type Err = ByteLenError;

    /// Reads `64MiB`, `64Mi` (powers of 1,024), `64M`, `64MB` (powers of 1,000) or plain bytes,
    /// upper or lower case; a fraction of a byte is dropped.
    fn from_str(text: &str) -> Result<ByteLen, ByteLenError> {
        let text = text.trim();
        let (number, unit) = split(text).ok_or_else(|| ByteLenError::NotANumber(text.into()))?;
        if number < 0.0 {
            return Err(ByteLenError::Negative(text.into()));
        }
        // Plain bytes exactly: a float has only 53 bits.
        if let Ok(bytes) = text.parse() {
            return Ok(ByteLen(bytes));
        }
        let lower = unit.to_ascii_lowercase();
        let prefix = lower.strip_suffix('b').unwrap_or(&lower);
        let factor = match prefix.strip_suffix('i') {
            Some("") => None,
            Some(binary) => decimal_prefix(binary).map(|f| 1024f64.powf((f.log10() / 3.0).round())),
            None => decimal_prefix(prefix),
        };
        let factor = factor.ok_or_else(|| ByteLenError::UnknownUnit(unit.into()))?;
        to_u64(number * factor)
            .map(ByteLen)
            .ok_or_else(|| ByteLenError::TooLarge(text.into()))
    }
}

/// The number a text begins with, and the rest without the space between.
fn split(text: &str) -> Option<(f64, &str)> {
    let number = |c: char| c.is_ascii_digit() || c == '.' || c == '-' || c == '+';
    let end = text.find(|c| !number(c)).unwrap_or(text.len());
    let value = text[..end].parse().ok()?;
    Some((value, text[end..].trim_start()))
}

fn decimal_prefix(lower: &str) -> Option<f64> {
    Some(match lower {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "p" => 1e15,
        _ => return None,
    })
}

fn to_u64(value: f64) -> Option<u64> {
    (value < u64::MAX as f64).then_some(value.round() as u64)
}

/// `value` in the first unit that is not larger than it, without needless zeros.
fn scaled(value: u64, steps: &[(u64, &str)], decimals: usize) -> String {
    let (unit, name) = steps
        .iter()
        .find(|(unit, _)| value >= *unit)
        .unwrap_or(&steps[steps.len() - 1]);
    let text = format!("{:.decimals$}", value as f64 / *unit as f64);
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {name}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bps) in [
            ("100M", 100_000_000),
            ("1.5G", 1_500_000_000),
            ("800k", 800_000),
            ("64000", 64_000),
            (" 100 Mbit/s ", 100_000_000),
            ("100mbps", 100_000_000),
            ("10MBIT/S", 10_000_000),
            ("10Mb/s", 10_000_000),
            ("2bits/s", 2),
            ("+1T", 1_000_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Rate::from_bps(bps)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_its_reason() {
        let parse = |s: &str| s.parse::<Rate>().unwrap_err();
        assert_eq!(parse("0"), RateError::NotPositive("0".into()));
        assert_eq!(parse("0M"), RateError::NotPositive("0M".into()));
        assert_eq!(parse("0.4"), RateError::NotPositive("0.4".into()));
        assert_eq!(parse("-5M"), RateError::NotPositive("-5M".into()));
        for text in ["", "NaN", "inf", "fast", "M", "1.2.3M", "--1"] {
            assert_eq!(parse(text), RateError::NotANumber(text.into()));
        }
        assert_eq!(parse("10MB/s"), RateError::UnknownUnit("MB/s".into()));
        assert_eq!(parse("10x"), RateError::UnknownUnit("x".into()));
        assert_eq!(parse("10é"), RateError::UnknownUnit("é".into()));
        assert_eq!(parse("99999999T"), RateError::TooLarge("99999999T".into()));
    }

    #[test]
    fn rates_print_as_they_are_read() {
        for (bps, text) in [
            (0, "0 bit/s"),
            (999, "999 bit/s"),
            (800_000, "800 kbit/s"),
            (1_500_000_000, "1.5 Gbit/s"),
            (100_000_000, "100 Mbit/s"),
            (1_234_567, "1.235 Mbit/s"),
        ] {
            assert_eq!(Rate::from_bps(bps).to_string(), text);
        }
        assert_eq!(format!("{:>12}", Rate::from_bps(800_000)), "  800 kbit/s");
    }

    #[test]
    fn lengths_are_read_and_printed() {
        for (text, bytes) in [
            ("0", 0),
            ("18446744073709551615", u64::MAX),
            ("64MiB", 64 << 20),
            ("64Mi", 64 << 20),
            ("64M", 64_000_000),
            ("64 MB", 64_000_000),
            ("1.5k", 1_500),
            ("4TiB", 4 << 40),
            ("12B", 12),
        ] {
            assert_eq!(text.parse(), Ok(ByteLen::new(bytes)), "{text}");
        }
        for text in ["", "x", "MiB"] {
            assert_eq!(
                text.parse::<ByteLen>(),
                Err(ByteLenError::NotANumber(text.into()))
            );
        }
        assert_eq!(
            "-1".parse::<ByteLen>(),
            Err(ByteLenError::Negative("-1".into()))
        );
        assert_eq!(
            "1iB".parse::<ByteLen>(),
            Err(ByteLenError::UnknownUnit("iB".into()))
        );
        assert_eq!(
            "1e9P".parse::<ByteLen>(),
            Err(ByteLenError::UnknownUnit("e9P".into()))
        );
        assert_eq!(
            "99999P".parse::<ByteLen>(),
            Err(ByteLenError::TooLarge("99999P".into()))
        );
        assert_eq!(ByteLen::new(64 << 20).to_string(), "64 MiB");
        assert_eq!(format!("{:#}", ByteLen::new(64 << 20)), "67.1 MB");
        assert_eq!(ByteLen::new(1_023).to_string(), "1023 B");
    }

    #[test]
    fn extremes_do_not_overflow() {
        let fast = Rate::from_bps(u64::MAX);
        assert_eq!(fast.bytes_in(Duration::MAX), u64::MAX);
        assert_eq!(fast.mul_f64(2.0), fast);
        assert_eq!(fast.mul_f64(f64::NAN), Rate::ZERO);
        assert_eq!(Rate::from_bytes_per_sec(u64::MAX), fast);
        assert_eq!(Rate::ZERO.time_for(1), Duration::MAX);
        assert_eq!(Rate::ZERO.bytes_in(Duration::MAX), 0);
        assert!(Rate::from_bps(1).time_for(u64::MAX) > Duration::from_secs(1 << 60));
    }

    proptest! {
        #[test]
        fn time_and_bytes_are_inverse(bps in 1u64..=400_000_000_000, bytes in 0u64..1 << 44) {
            let rate = Rate::from_bps(bps);
            let time = rate.time_for(bytes);
            prop_assert!(rate.bytes_in(time) >= bytes);
            if bytes > 0 {
                prop_assert!(rate.bytes_in(time - Duration::from_nanos(1)) < bytes.max(1) || bps > 8_000_000_000);
            }
        }

        #[test]
        fn parsing_never_panics(text in ".{0,12}") {
            let _ = text.parse::<Rate>();
            let _ = text.parse::<ByteLen>();
        }
    }
}
