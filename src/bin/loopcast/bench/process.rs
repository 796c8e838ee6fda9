//! A process that is measured: when it was ready and complete by its own words, and what it used.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wait4::Wait4 as _;

/// Most lines of output that are kept for messages.
const LINES: usize = 8;

/// Words in a process's output that tell where it stands. Empty: it never says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) ready: &'static str,
    /// Said once for each file.
    pub(super) complete: &'static str,
    /// How many files there are.
    pub(super) files: usize,
}

/// The end of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// User and system time.
    pub(super) cpu: Duration,
    /// Peak resident bytes.
    pub(super) memory: u64,
}

/// What it said so far.
#[derive(Debug, Default)]
struct Said {
    last: VecDeque<String>,
    ready: Option<Instant>,
    /// Files that are complete.
    files: usize,
    complete: Option<Instant>,
}

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    handle: OwnedFd,
    /// Tied to this pipe, our own programs end when we do, however that comes about.
    _stdin: Option<ChildStdin>,
    said: Arc<Mutex<Said>>,
    end: Receiver<Ended>,
    ended: Option<Ended>,
    pub(super) started: Instant,
}

impl Process {
    /// Starts a command, which must not fork; `name` is for messages.
    pub(super) fn start(
        name: String,
        command: &mut Command,
        marks: Marks,
    ) -> std::io::Result<Process> {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C is for us to pass on.
            .process_group(0)
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(std::io::ErrorKind::InvalidData)?;
        // A handle stays that process's own when its number is given to another.
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(e) => {
                child.kill()?;
                child.wait()?;
                return Err(e.into());
            }
        };
        let said = Arc::new(Mutex::new(Said::default()));
        let stdin = child.stdin.take();
        let listeners = [
            child.stdout.take().map(|out| listen(out, marks, &said)),
            child.stderr.take().map(|err| listen(err, marks, &said)),
        ];
        let (post, end) = bounded(1);
        thread::spawn(move || {
            let Ok(used) = child.wait4() else { return };
            listeners.into_iter().flatten().for_each(|l| drop(l.join()));
            let _ = post.send(Ended {
                status: used.status,
                cpu: used.rusage.utime + used.rusage.stime,
                memory: used.rusage.maxrss,
            });
        });
        Ok(Process {
            name,
            handle,
            _stdin: stdin,
            said,
            end,
            ended: None,
            started,
        })
    }

    /// When it first said that it is ready.
    pub(super) fn ready(&self) -> Option<Instant> {
        self.said().ready
    }

    /// When it said that the last file is complete.
    pub(super) fn complete(&self) -> Option<Instant> {
        self.said().complete
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        self.ended = self.ended.or_else(|| self.end.try_recv().ok());
        self.ended
    }

    /// Ends it at once; how it ended.
    pub(super) fn kill(&mut self) -> Option<Ended> {
        if self.ended().is_none() {
            // Refused when it is just ending by itself.
            let _ = pidfd_send_signal(&self.handle, Signal::KILL);
            self.ended = self.end.recv().ok();
        }
        self.ended
    }

    /// Its name and the last that it said, for messages.
    pub(super) fn words(&self) -> String {
        let said = self.said();
        let lines = said.last.iter().map(|line| format!("\n    {line}"));
        std::iter::once(self.name.clone()).chain(lines).collect()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn listen(
    from: impl Read + Send + 'static,
    marks: Marks,
    said: &Arc<Mutex<Said>>,
) -> thread::JoinHandle<()> {
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let now = Instant::now();
            let says = |mark: &str| !mark.is_empty() && line.contains(mark);
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if says(marks.ready) {
                said.ready.get_or_insert(now);
            }
            if says(marks.complete) {
                said.files += 1;
                if said.files == marks.files {
                    said.complete = Some(now);
                }
            }
            said.last.push_back(crate::human::plain(&line));
            if said.last.len() > LINES {
                said.last.pop_front();
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks {
        ready: "up",
        complete: "done",
        files: 2,
    };

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        Process::start("sh".into(), command.args(["-c", script]), MARKS).unwrap()
    }

    #[test]
    fn what_it_says_and_used_is_kept() {
        let mut process = shell("echo up; echo done; echo done >&2; exit 3");
        let ended = loop {
            if let Some(ended) = process.ended() {
                break ended;
            }
            thread::yield_now();
        };
        assert_eq!(ended.status.code(), Some(3));
        assert!(process.ready().is_some() && process.complete().is_some());
        assert!(ended.memory > 100_000);
        assert!(process.words().contains("\n    done"));
    }

    #[test]
    fn it_can_be_killed() {
        let mut process = shell("exec sleep 1000");
        assert!(process.ended().is_none());
        assert!(!process.kill().unwrap().status.success());
    }
}
