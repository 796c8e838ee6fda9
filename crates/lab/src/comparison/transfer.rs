//! One transfer by one tool, measured: receivers first, then the sender, then every copy compared.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::tool::{Job, Tool};
use crate::process::{Ended, Marks, Process};
use crate::subject::{Subject, cannot_write};

/// How long programs have to start or, once all copies are there, to end.
const MOMENT: Duration = Duration::from_secs(10);
/// How often processes are looked at. The times of what they do are taken when they do it.
const TICK: Duration = Duration::from_millis(2);

/// Why a transfer has no figures.
#[derive(Debug)]
pub enum Failure {
    /// The tool did not do it in time, or not at all.
    Missing(String),
    /// A copy has other bytes than the file.
    Wrong(String),
    /// Nothing more can be measured: what stands in the way.
    Refused(String),
    /// The user has had enough.
    Interrupted,
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Refused(why)
    }
}

/// Runs it. `limit` is the time from the sender's start that it may take; `interrupt`, once set,
/// ends it.
pub fn run(
    tool: Tool,
    job: &Job,
    limit: Duration,
    interrupt: &AtomicBool,
) -> Result<Figures, Failure> {
    let mut run = Run {
        interrupt,
        receivers: Vec::new(),
        sender: None,
    };
    let inboxes: Vec<PathBuf> = (1..=job.setting.receivers)
        .map(|i| job.folder.join(format!("into-{i}")))
        .collect();
    run.start_receivers(tool, job, &inboxes)?;
    let before = job.ground.sent_bytes()?;
    let mut took = run.send(tool, job, limit)?;
    if !tool.is_ours() {
        // Ours are synced before they are called complete.
        let syncing = Instant::now();
        inboxes.iter().try_for_each(|into| sync(into, job.files))?;
        took += syncing.elapsed();
    }

    let (sender, receivers) = run.end(tool)?;
    let wire = match (before, job.ground.sent_bytes()?) {
        (Some(before), Some(after)) => after - before,
        _ => sent_by_stats(&job.folder.join("sender.json"))?,
    };
    for into in &inboxes {
        Subject::are_same_as(job.files, into).map_err(Failure::Wrong)?;
    }
    let size: u64 = job.files.iter().map(|file| file.size).sum();
    Ok(Figures {
        seconds: took.as_secs_f64(),
        wire: wire as f64 / size as f64,
        sender_cpu: sender.cpu.as_secs_f64(),
        receivers_cpu: receivers.iter().map(|r| r.cpu.as_secs_f64()).sum(),
        sender_memory: sender.memory,
        receiver_memory: receivers.iter().map(|r| r.memory).max().unwrap_or(0),
    })
}

fn start(name: String, command: &mut Command, marks: Marks) -> Result<Process, Failure> {
    command
        // Our own programs are tied to this pipe: they end when we do, however that comes about.
        .stdin(Stdio::piped())
        // A Ctrl-C is for us to pass on.
        .process_group(0);
    Process::start(name, command, marks)
        .map_err(|e| Failure::Missing(format!("{:?}: {e}", command.get_program())))
}

/// The processes of a transfer.
struct Run<'a> {
    interrupt: &'a AtomicBool,
    receivers: Vec<Process>,
    sender: Option<Process>,
}

impl Run<'_> {
    /// Starts all receivers, and waits until they are ready.
    fn start_receivers(
        &mut self,
        tool: Tool,
        job: &Job,
        inboxes: &[PathBuf],
    ) -> Result<(), Failure> {
        for (i, into) in (1..).zip(inboxes) {
            fs::create_dir(into).map_err(|e| cannot_write(into, &e))?;
            let name = format!("receiver {i}");
            let command = &mut tool.receiver(job, i, into);
            let marks = tool.receiver_marks(job.files.len());
            self.receivers.push(start(name, command, marks)?);
        }
        self.wait("to be ready", Instant::now() + MOMENT, |run| {
            run.receivers.iter().all(|r| r.ready().is_some())
        })
    }

    /// Starts the sender; the time from then until all have everything, by their own words.
    fn send(&mut self, tool: Tool, job: &Job, limit: Duration) -> Result<Duration, Failure> {
        let command = &mut tool.sender(job);
        let sender = start("sender".to_owned(), command, tool.sender_marks())?;
        let started = sender.started();
        self.sender = Some(sender);
        self.wait("to have everything", started + limit, |run| {
            run.receivers.iter().all(|r| r.complete().is_some())
        })?;
        // A sender that tells knows first.
        let told = self.sender.as_ref().and_then(Process::complete);
        let complete = told.or_else(|| self.receivers.iter().filter_map(Process::complete).max());
        Ok(complete.unwrap_or(started) - started)
    }

    /// Waits until it is so; a failure when a process fails first, the deadline passes or the user
    /// has had enough.
    fn wait(
        &self,
        what: &str,
        deadline: Instant,
        so: impl Fn(&Self) -> bool,
    ) -> Result<(), Failure> {
        while !so(self) {
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            let failed = |p: &&Process| p.ended().is_some_and(|e| !e.status.success());
            let mut all = self.receivers.iter().chain(&self.sender);
            if let Some(p) = all.find(failed) {
                return Err(Failure::Missing(format!("failed: {}", p.last_words())));
            }
            if Instant::now() > deadline {
                let mut late = self.receivers.iter().filter(|r| r.complete().is_none());
                let words = late
                    .next()
                    .or(self.sender.as_ref())
                    .map(Process::last_words);
                let words = words.unwrap_or_default();
                return Err(Failure::Missing(format!("no time left {what}: {words}")));
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// Waits for those that end by themselves, ends the others; what all of them used.
    fn end(&self, tool: Tool) -> Result<(Ended, Vec<Ended>), Failure> {
        self.wait("to end", Instant::now() + MOMENT, |run| {
            let ended = |p: &Process| p.ended().is_some();
            (!tool.sender_ends() || run.sender.iter().all(ended))
                && (!tool.receivers_end() || run.receivers.iter().all(ended))
        })?;
        let sender = self.sender.as_ref().and_then(Process::kill);
        let receivers = self.receivers.iter().map(Process::kill).collect();
        let lost = || Failure::Missing("a process ended without a trace".to_owned());
        Ok((
            sender.ok_or_else(lost)?,
            Option::<Vec<Ended>>::ok_or_else(receivers, lost)?,
        ))
    }
}

fn sync(into: &Path, files: &[Subject]) -> Result<(), Failure> {
    for file in files {
        let copy = into.join(file.path.file_name().unwrap_or_default());
        let synced = File::open(&copy).and_then(|file| file.sync_all());
        synced.map_err(|e| Failure::Missing(format!("{}: {e}", copy.display())))?;
    }
    Ok(())
}

/// IP bytes that our sender says it sent.
fn sent_by_stats(path: &Path) -> Result<u64, Failure> {
    let text = fs::read(path).map_err(|e| Failure::Missing(format!("{}: {e}", path.display())))?;
    let stats: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let bytes = stats["sent"]["total"]["bytes"].as_u64();
    bytes.ok_or_else(|| Failure::Missing("the sender's figures lack what it sent".to_owned()))
}
