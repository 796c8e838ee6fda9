//! Progress: bars on a terminal, now and then a plain line elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::console::Console;

/// Most bars at a time: more would not fit a terminal.
const MOST_BARS: usize = 12;

/// Time between plain lines about one thing.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// The bars of a run, by what they are about.
#[derive(Debug)]
pub(crate) struct Bars<'a> {
    console: &'a Console,
    bars: BTreeMap<String, ProgressBar>,
    /// Those that [`details`](Bars::details) has shown.
    detailed: Vec<String>,
    plain: BTreeMap<String, Instant>,
}

impl<'a> Bars<'a> {
    pub(crate) fn new(console: &'a Console) -> Bars<'a> {
        Bars {
            console,
            bars: BTreeMap::new(),
            detailed: Vec::new(),
            plain: BTreeMap::new(),
        }
    }

    /// Shows that `key` has come to `done` of `total`, with more words behind.
    pub(crate) fn update(&mut self, key: &str, done: u64, total: u64, words: &str) {
        if let Some(area) = self.console.bars() {
            if !self.bars.contains_key(key) {
                if self.bars.len() >= MOST_BARS {
                    return;
                }
                let bar = area.add(
                    ProgressBar::new(total)
                        .with_prefix(key.to_owned())
                        .with_style(style()),
                );
                self.bars.insert(key.to_owned(), bar);
            }
            if let Some(bar) = self.bars.get(key) {
                bar.set_length(total.max(1));
                // An empty thing is whole.
                bar.set_position(if total == 0 { 1 } else { done });
                bar.set_message(words.to_owned());
            }
        } else if self.plain_due(key) {
            let share = if total == 0 {
                1.0
            } else {
                done as f64 / total as f64
            };
            self.console
                .say(format!("{key}: {:.0} % {words}", (share * 100.0).floor()));
        }
    }

    /// Shows words about something that has no end yet.
    pub(crate) fn status(&mut self, key: &str, words: &str) {
        if let Some(area) = self.console.bars() {
            let bar = self.bars.entry(key.to_owned()).or_insert_with(|| {
                let spinner = ProgressBar::new_spinner().with_prefix(key.to_owned());
                area.add(spinner.with_style(spinner_style()))
            });
            bar.set_message(words.to_owned());
            bar.tick();
        } else if self.plain_due(key) {
            self.console.say(format!("{key} {words}"));
        }
    }

    /// Shows words about several things under the last status, on a terminal only, in place of what
    /// was shown so before.
    pub(crate) fn details(&mut self, details: &[(String, String)]) {
        if self.console.bars().is_none() {
            return;
        }
        let gone = |key: &&String| !details.iter().any(|(k, _)| k == *key);
        let gone: Vec<String> = self.detailed.iter().filter(gone).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
        self.detailed = details.iter().map(|(key, _)| key.clone()).collect();
        for (key, words) in details {
            self.status(key, words);
        }
    }

    /// Whether a plain line about `key` is due. Counted from the first call, so that what is over
    /// at once makes none.
    fn plain_due(&mut self, key: &str) -> bool {
        let now = Instant::now();
        let last = self.plain.entry(key.to_owned()).or_insert(now);
        let due = self.console.is_plain() && now.duration_since(*last) >= PLAIN_EVERY;
        if due {
            *last = now;
        }
        due
    }

    /// Takes the bar of `key` away.
    pub(crate) fn remove(&mut self, key: &str) {
        self.plain.remove(key);
        if let Some(bar) = self.bars.remove(key) {
            bar.finish_and_clear();
        }
    }

    /// Takes all bars away.
    pub(crate) fn clear(&mut self) {
        self.plain.clear();
        for bar in std::mem::take(&mut self.bars).into_values() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:16!} [{bar:24}] {percent:>3} % {wide_msg}")
        .map(|s| s.progress_chars("=> "))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}
