//! The demo while it runs: a bar for every process, or a line about all of them now and then.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Who;
use crate::bars::Bars;
use crate::console::Console;
use crate::human;

/// Time between plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// What is shown.
pub(super) struct Screen<'a> {
    console: &'a Console,
    bars: Bars<'a>,
    size: u64,
    states: [(Who, String); 5],
    last_line: Instant,
}

impl<'a> Screen<'a> {
    pub(super) fn new(console: &'a Console, size: u64) -> Screen<'a> {
        let states = [Who::Sender, Who::Steady, Who::Lossy, Who::Late, Who::Deaf]
            .map(|who| (who, "-".to_owned()));
        Screen {
            console,
            bars: Bars::new(console),
            size,
            states,
            last_line: Instant::now(),
        }
    }

    /// Shows an event of `who`.
    pub(super) fn show(&mut self, who: Who, event: &Value) {
        let n = |field: &str| event[field].as_u64().unwrap_or(0);
        let rate = loopcast::units::Rate::from_bps(n("rate_bps"));
        match (who, event["event"].as_str().unwrap_or_default()) {
            (Who::Sender, "progress") => {
                let words = format!(
                    "{} sent at {:.0} Mbit/s, {}, {} done, {}",
                    human::bytes(n("sent_bytes")),
                    rate.as_bps() as f64 / 1e6,
                    human::count(n("receivers"), "receiver"),
                    n("done"),
                    human::count(n("naks"), "NAK"),
                );
                if self.console.bars().is_some() {
                    self.bars.status(who.name(), &words);
                }
                self.set(who, words);
            }
            (_, "progress") => {
                let words = format!(
                    "{:.0} Mbit/s, {} lost, {}",
                    rate.as_bps() as f64 / 1e6,
                    n("lost"),
                    human::count(n("naks"), "NAK")
                );
                self.bar(who, n("have"), &words);
                let share = if self.size == 0 {
                    1.0
                } else {
                    n("have") as f64 / self.size as f64
                };
                self.set(who, format!("{:.0} %", (share * 100.0).floor()));
            }
            (Who::Deaf, "path") if event["path"] == "unicast" => {
                self.console
                    .say("deaf heard no SYNC on the group and goes over to unicast by itself");
            }
            (Who::Late, "ready") => self
                .console
                .say("half of the first cycle is sent: late joins now"),
            (_, "complete") => {
                let seconds = Duration::try_from_secs_f64(event["seconds"].as_f64().unwrap_or(0.0))
                    .unwrap_or_default();
                self.bar(who, self.size, "complete");
                self.set(who, "complete".to_owned());
                self.console.say(format!(
                    "{} is complete after {}",
                    who.name(),
                    human::seconds(seconds)
                ));
            }
            _ => {}
        }
        if self.console.is_plain() && self.last_line.elapsed() >= PLAIN_EVERY {
            self.last_line = Instant::now();
            let states = self
                .states
                .iter()
                .map(|(who, s)| format!("{}: {s}", who.name()));
            self.console.say(states.collect::<Vec<_>>().join(" | "));
        }
    }

    fn bar(&mut self, who: Who, have: u64, words: &str) {
        if self.console.bars().is_some() {
            self.bars.update(who.name(), have, self.size, words);
        }
    }

    fn set(&mut self, who: Who, state: String) {
        if let Some(entry) = self.states.iter_mut().find(|(w, _)| *w == who) {
            entry.1 = state;
        }
    }

    /// Takes it all away.
    pub(super) fn clear(&mut self) {
        self.bars.clear();
    }
}
