//! Where words go: a terminal with bars, plain lines, or JSON.
//!
//! Standard output carries what was asked for; errors and warnings go to standard error. A reader
//! that goes away (as `| head` does) ends nothing.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

/// How a run speaks.
#[derive(Debug)]
pub(crate) struct Console {
    form: Form,
    start: Instant,
}

#[derive(Debug)]
enum Form {
    Terminal(MultiProgress),
    Plain,
    Json,
}

impl Console {
    /// JSON if asked for, else bars on a terminal, else plain lines.
    pub(crate) fn new(json: bool) -> Console {
        let form = if json {
            Form::Json
        } else if std::io::stdout().is_terminal() {
            Form::Terminal(MultiProgress::with_draw_target(ProgressDrawTarget::stdout()))
        } else {
            Form::Plain
        };
        Console {
            form,
            start: Instant::now(),
        }
    }

    /// A line for people.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        match &self.form {
            Form::Terminal(bars) => bars.suspend(|| out_line(line.as_ref())),
            Form::Plain => out_line(line.as_ref()),
            Form::Json => {}
        }
    }

    /// A line for people that asks for attention.
    pub(crate) fn warn(&self, line: impl AsRef<str>) {
        let line = format!("warning: {}", line.as_ref());
        match &self.form {
            Form::Terminal(bars) => bars.suspend(|| error_line(&line)),
            Form::Plain => error_line(&line),
            Form::Json => {}
        }
    }

    /// An event for scripts.
    pub(crate) fn event(&self, event: &impl Serialize) {
        if let Form::Json = self.form {
            let t = (self.start.elapsed().as_secs_f64() * 1e3).round() / 1e3;
            out_line(&json_line(event, t));
        }
    }

    /// The place for bars, on a terminal.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        match &self.form {
            Form::Terminal(bars) => Some(bars),
            _ => None,
        }
    }

    /// Whether it writes plain lines.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.form, Form::Plain)
    }

    /// Since the run began.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }
}

/// An event `t` seconds after the start as one line of JSON: its name, the time, its fields.
pub(crate) fn json_line(event: &impl Serialize, t: f64) -> String {
    let mut line = serde_json::to_string(event).unwrap_or_default();
    // The name comes first, and is a word.
    if let Some(behind_name) = line.find([',', '}']) {
        line.insert_str(
            behind_name,
            &format!(",\"t\":{}", serde_json::Value::from(t)),
        );
    }
    line
}

fn out_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A line on standard error.
pub(crate) fn error_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
