//! The program `loopcast` on a host of the test network: started as a script would start it, with
//! its event lines and their times, its exit code and its `--stats`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::network::Host;
use crate::process::{Line, Marks, Process};
use crate::wait::poll_until;

/// Time that a program has until it says that it is up.
const START: Duration = Duration::from_secs(10);
/// Lines of output in [`Program::tail`].
const TAIL: usize = 12;

/// How to start the program.
pub struct Loopcast {
    /// The program itself.
    pub program: PathBuf,
    /// A folder for statistics, the cache of hashes and the sender's key.
    pub scratch: PathBuf,
    /// The most files that it may have open, if that is less than it would have.
    pub open_files: Option<u32>,
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
        let mut command = match self.open_files {
            Some(most) => {
                let mut command = host.command("prlimit");
                command.arg(format!("--nofile={most}")).arg(&self.program);
                command
            }
            None => host.command(&self.program),
        };
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

/// A child process of this program. Dropping it kills it.
pub struct Program {
    process: Process,
    stats: Option<PathBuf>,
}

impl Program {
    /// Starts `command`, which must not fork; `name` is for messages.
    pub fn start(
        name: String,
        command: &mut Command,
        stats: Option<PathBuf>,
    ) -> Result<Program, String> {
        let process = Process::start(name, command.stdin(Stdio::null()), Marks::default());
        let process = process.map_err(|e| format!("{command:?}: {e}"))?;
        Ok(Program { process, stats })
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.process.started()
    }

    /// Waits until it says that it is ready: a sender with `listening`, a receiver with `ready`.
    pub fn wait_until_up(&self) -> Result<(), String> {
        let said = |event| !self.events(event).is_empty();
        let is_up = || said("listening") || said("ready");
        poll_until(Instant::now() + START, || is_up() || !self.is_running())?;
        if is_up() && self.is_running() {
            return Ok(());
        }
        Err(self.complaint("is not up"))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Waits until it ends, by itself and before the deadline, and has written all its output.
    pub fn wait(&self, deadline: Instant) -> Result<ExitStatus, String> {
        poll_until(deadline, || !self.is_running())?;
        match self.process.ended() {
            Some(ended) => Ok(ended.status),
            None => Err(self.complaint("did not end in time")),
        }
    }

    /// Waits as [`Program::wait`] does; an error unless it exits with 0.
    pub fn succeed(&self, deadline: Instant) -> Result<(), String> {
        let status = self.wait(deadline)?;
        if status.success() {
            return Ok(());
        }
        Err(self.complaint(&format!("ended with {status}")))
    }

    /// Stops it where it is, until [`Program::resume`] or its end.
    pub fn suspend(&self) {
        self.process.suspend();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// When it ended.
    pub fn ended_at(&self) -> Option<Instant> {
        Some(self.process.ended()?.at)
    }

    /// The most memory that it had at once, in bytes, once it has ended.
    pub fn memory(&self) -> Option<u64> {
        Some(self.process.ended()?.memory)
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
        self.process.output()
    }

    /// The last lines it printed, for messages.
    pub fn tail(&self) -> String {
        let lines = self.output();
        let last = &lines[lines.len().saturating_sub(TAIL)..];
        let seconds = |l: &Line| l.at.saturating_duration_since(self.started()).as_secs_f64();
        last.iter()
            .map(|l| format!("    {:8.3} {}\n", seconds(l), l.text))
            .collect()
    }

    /// What it wrote to its `--stats` file; it must have ended.
    pub fn stats(&self) -> Result<Value, String> {
        let path = self.stats.as_ref().ok_or("started without --stats")?;
        let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn complaint(&self, what: &str) -> String {
        format!("{} {what}\n{}", self.process.name(), self.tail())
    }
}
