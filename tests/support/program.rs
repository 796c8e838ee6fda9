//! The program `loopcast` as a child process on a host of the test network: started as a script
//! would start it, with its event lines and their times, its exit code and its `--stats`.
//!
//! Knows nothing of what a run should come to; a child that is dropped is killed, by its own id.

// Each program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use crate::netns::Host;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Set to stop every wait at once, so that children and networks are cleaned up.
pub fn interrupted() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// Sleeps; an error if interrupted meanwhile.
pub fn pause(time: Duration) -> Result<(), String> {
    let end = Instant::now() + time;
    poll_until(end, || Instant::now() >= end).map(drop)
}

/// Asks every millisecond until `f` says yes (true) or the deadline has passed (false).
pub fn poll_until(deadline: Instant, mut f: impl FnMut() -> bool) -> Result<bool, String> {
    loop {
        if interrupted().load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        if f() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How to start the program.
pub struct Loopcast {
    /// The program itself.
    pub program: PathBuf,
    /// A folder for statistics, the cache of hashes and the sender's key.
    pub scratch: PathBuf,
}

impl Loopcast {
    /// `loopcast send` on a host.
    pub fn send(&self, host: &Host, args: &[&str], files: &[&Path]) -> Result<Program, String> {
        self.start(host, "send", args, files.iter().map(|f| f.as_os_str()))
    }

    /// `loopcast receive` on a host; `args` may name another interface than `eth0`, as with `send`.
    pub fn receive(
        &self,
        host: &Host,
        into: &Path,
        args: &[&str],
        url: &str,
    ) -> Result<Program, String> {
        std::fs::create_dir_all(into).map_err(|e| format!("{}: {e}", into.display()))?;
        let rest = ["--into".as_ref(), into.as_os_str(), url.as_ref()];
        self.start(host, "receive", args, rest.into_iter())
    }

    fn start<'a>(
        &self,
        host: &Host,
        verb: &str,
        args: &[&str],
        rest: impl Iterator<Item = &'a std::ffi::OsStr>,
    ) -> Result<Program, String> {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let stats = self.scratch.join(format!("stats-{number}.json"));
        let mut command = host.command(&self.program);
        command.arg(verb).args(["--json", "--stats"]).arg(&stats);
        if !args.contains(&"--interface") {
            command.args(["--interface", "eth0"]);
        }
        command.args(args).args(rest);
        // Hashes remembered from another run would hide what hashing costs.
        command.env("XDG_CACHE_HOME", self.scratch.join("cache"));
        command.env("XDG_CONFIG_HOME", self.scratch.join("config"));
        let name = format!("{verb} on {}", host.address);
        Program::start(name, &mut command, Some(stats))
    }
}

/// A line of output and when it came.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Instant,
    pub text: String,
}

/// A child process.
pub struct Program {
    name: String,
    child: Child,
    /// When it was started.
    pub started: Instant,
    lines: Arc<Mutex<Vec<Line>>>,
    closed: Arc<OnceLock<Instant>>,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
    stats: Option<PathBuf>,
}

impl Program {
    /// Starts `command`, which must not fork; `name` is for messages.
    pub fn start(
        name: String,
        command: &mut Command,
        stats: Option<PathBuf>,
    ) -> Result<Program, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(OnceLock::new());
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(collect(out, &lines, Some(&closed)));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(collect(err, &lines, None));
        }
        Ok(Program {
            name,
            child,
            started,
            lines,
            closed,
            readers,
            status: None,
            stats,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it is ready: a sender with `listening`, a receiver with `ready`.
    pub fn wait_until_up(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let is_up = |p: &Program| {
            ["listening", "ready"]
                .iter()
                .any(|e| !p.events(e).is_empty())
        };
        poll_until(deadline, || is_up(self) || !self.is_running())?;
        if is_up(self) && self.is_running() {
            return Ok(());
        }
        Err(format!("{} is not up\n{}", self.name, self.tail()))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_none()
    }

    /// Waits until it ends, by itself and before the deadline, and has written all its output.
    pub fn wait(&mut self, deadline: Instant) -> Result<ExitStatus, String> {
        let ended = poll_until(deadline, || !self.is_running())?;
        match self.status {
            Some(status) if ended => {
                for reader in self.readers.drain(..) {
                    let _ = reader.join();
                }
                Ok(status)
            }
            _ => Err(format!(
                "{} did not end in time\n{}",
                self.name,
                self.tail()
            )),
        }
    }

    /// Waits as [`Program::wait`] does; an error unless it exits with 0.
    pub fn succeed(&mut self, deadline: Instant) -> Result<(), String> {
        let status = self.wait(deadline)?;
        if status.success() {
            return Ok(());
        }
        Err(format!(
            "{} ended with {status}\n{}",
            self.name,
            self.tail()
        ))
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }

    /// When it ended.
    pub fn ended_at(&self) -> Option<Instant> {
        self.closed.get().copied()
    }

    /// The events of that name so far, with their times.
    pub fn events(&self, name: &str) -> Vec<(Instant, Value)> {
        let lines = self.output();
        let parsed = lines
            .iter()
            .filter_map(|l| Some((l.at, serde_json::from_str(&l.text).ok()?)));
        parsed
            .filter(|(_, event): &(_, Value)| event["event"] == name)
            .collect()
    }

    /// Whether it ever went over to unicast.
    pub fn took_unicast(&self) -> bool {
        self.events("path")
            .iter()
            .any(|(_, event)| event["path"] == "unicast")
    }

    /// When it said that a file is complete (the last one, of several).
    pub fn completed_at(&self) -> Option<Instant> {
        self.events("complete").last().map(|(at, _)| *at)
    }

    /// What it printed so far, events and complaints in the order they came.
    pub fn output(&self) -> Vec<Line> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The last lines it printed, for messages.
    pub fn tail(&self) -> String {
        let lines = self.output();
        let last = lines.iter().rev().take(12).rev();
        let seconds = |l: &Line| l.at.saturating_duration_since(self.started).as_secs_f64();
        last.map(|l| format!("    {:8.3} {}\n", seconds(l), l.text))
            .collect()
    }

    /// What it wrote to its `--stats` file; it must have ended.
    pub fn stats(&self) -> Result<Value, String> {
        let path = self.stats.as_ref().ok_or("started without --stats")?;
        let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(
    from: impl Read + Send + 'static,
    into: &Arc<Mutex<Vec<Line>>>,
    closed: Option<&Arc<OnceLock<Instant>>>,
) -> JoinHandle<()> {
    let (into, closed) = (into.clone(), closed.cloned());
    std::thread::spawn(move || {
        for text in BufReader::new(from).lines().map_while(Result::ok) {
            let line = Line {
                at: Instant::now(),
                text,
            };
            into.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
        if let Some(closed) = closed {
            let _ = closed.set(Instant::now());
        }
    })
}
