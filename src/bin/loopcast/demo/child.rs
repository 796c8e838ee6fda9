//! One of the demo's processes: this program again, speaking JSON.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread::{self, JoinHandle};

use crossbeam_channel::Sender;
use serde_json::Value;

use super::Who;
use crate::exit::{End, Exit};

/// Most bytes of a process's errors that are kept.
const MOST_ERRORS: u64 = 64 * 1024;

/// What a process has to tell.
#[derive(Debug)]
pub(super) enum News {
    /// A line of its `--json` output.
    Event(Who, Value),
    /// Its output is over, so it is about to end.
    Over(Who),
}

/// A process that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) who: Who,
    /// Its exit code; none when a signal ended it.
    pub(super) code: Option<i32>,
    /// Its `--stats` file; null when it wrote none.
    pub(super) stats: Value,
    /// What it said on standard error.
    pub(super) errors: String,
}

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    who: Who,
    process: process::Child,
    stats: PathBuf,
    errors: Option<JoinHandle<String>>,
}

impl Child {
    /// Starts this program with `arguments`, and hears what it says.
    pub(super) fn spawn(
        who: Who,
        arguments: &[String],
        stats: &Path,
        post: &Sender<News>,
    ) -> Result<Child, End> {
        let failed = |e| {
            End::error(
                Exit::Environment,
                format!("can't start another process of this program: {e}"),
            )
        };
        let program = std::env::current_exe().map_err(failed)?;
        let (command, rest) = arguments
            .split_first()
            .map_or(("", arguments), |(c, rest)| (c.as_str(), rest));
        let mut process = Command::new(program)
            .args([
                OsStr::new(command),
                "--json".as_ref(),
                "--tied".as_ref(),
                "--stats".as_ref(),
                stats.as_os_str(),
            ])
            .args(rest)
            // The user's own key is none of the demo's business.
            .env("XDG_CONFIG_HOME", stats.with_file_name("config"))
            // Tied to our end of this pipe, it ends when we do, however that comes about.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for us to pass on.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (out, err) = (process.stdout.take(), process.stderr.take());
        let mut child = Child {
            who,
            process,
            stats: stats.to_owned(),
            errors: None,
        };
        if let Some(out) = out {
            let post = post.clone();
            let hear = move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Ok(event) = serde_json::from_str(&line) {
                        let _ = post.send(News::Event(who, event));
                    }
                }
                let _ = post.send(News::Over(who));
            };
            thread::Builder::new().spawn(hear).map_err(failed)?;
        }
        if let Some(err) = err {
            let collect = move || {
                let mut text = Vec::new();
                let _ = err.take(MOST_ERRORS).read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            };
            child.errors = Some(thread::Builder::new().spawn(collect).map_err(failed)?);
        }
        Ok(child)
    }

    /// Which it is.
    pub(super) fn who(&self) -> Who {
        self.who
    }

    /// Waits until it has ended.
    pub(super) fn finish(mut self) -> Result<Ended, End> {
        let status = self
            .process
            .wait()
            .map_err(|e| End::error(Exit::Environment, e))?;
        let text = fs::read_to_string(&self.stats).unwrap_or_default();
        Ok(Ended {
            who: self.who,
            code: status.code(),
            stats: serde_json::from_str(&text).unwrap_or_default(),
            errors: self
                .errors
                .take()
                .and_then(|t| t.join().ok())
                .unwrap_or_default(),
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Harmless when it has ended and been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
