//! Sizes, times and names as people read them.

use std::time::Duration;

use loopcast::units::Rate;

/// Bytes with a decimal prefix, three figures: `64.0 MB`.
pub(crate) fn bytes(n: u64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let n = n as f64;
    for (step, unit) in STEPS {
        // A number that would be rounded up to the next unit's 1.00 is written in that unit.
        if n >= step * 0.9995 {
            let v = n / step;
            let decimals = if v >= 99.95 {
                0
            } else {
                1 + usize::from(v < 9.995)
            };
            return format!("{v:.decimals$} {unit}");
        }
    }
    format!("{n} bytes")
}

/// A rate with a decimal prefix, three figures: `95.4 Mbit/s`.
pub(crate) fn rate(rate: Rate) -> String {
    let bps = rate.as_bps();
    // What is below three figures of kbit/s is whole anyway.
    let unit = 10u64.pow(bps.max(1).ilog10().saturating_sub(2));
    let rounded = bps.saturating_add(unit / 2) / unit * unit;
    Rate::from_bps(rounded).to_string()
}

/// A share from 0 to 1 as `4.9 %`. Whole only when it is.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1} %", share * 100.0)
    } else {
        "-".to_owned()
    }
}

/// A time in seconds, with the tenth: `8.1 s`.
pub(crate) fn seconds(d: Duration) -> String {
    format!("{:.1} s", d.as_secs_f64())
}

/// A time to wait, in whole seconds: `12 s`, `3:10 min`, `1:05 h`.
pub(crate) fn wait(d: Duration) -> String {
    let seconds = d.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m}:{s:02} min"),
        (h, m, _) => format!("{h}:{m:02} h"),
    }
}

/// `3 files`, `1 file`.
pub(crate) fn count(n: u64, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

/// Text from elsewhere without characters that move a terminal's cursor or change its colours.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_figures() {
        let cases = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_996, "10.0 kB"),
            (64_000_000, "64.0 MB"),
            (999_400_000, "999 MB"),
            (999_900_000, "1.00 GB"),
            (4_398_046_511_104, "4.40 TB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn rates_have_three_figures_at_most() {
        let cases = [
            (0, "0 bit/s"),
            (999, "999 bit/s"),
            (95_363_123, "95.4 Mbit/s"),
            (99_960_000, "100 Mbit/s"),
            (856_950_000, "857 Mbit/s"),
            (1_405_000_000, "1.41 Gbit/s"),
        ];
        for (bps, text) in cases {
            assert_eq!(rate(Rate::from_bps(bps)), text);
        }
    }

    #[test]
    fn shares_and_names() {
        assert_eq!(percent(0.0493), "4.9 %");
        assert_eq!(percent(f64::NAN), "-");
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "file"), "0 files");
    }
}
