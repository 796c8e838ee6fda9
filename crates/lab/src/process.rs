//! A child process: what it says and when, how it ended, and what it used.
//!
//! Knows nothing of what a run should come to. A [`Process`] that is dropped is killed, by a handle
//! that stays its own when its number is given to another.

use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use wait4::Wait4 as _;

/// Lines of output in [`Process::last_words`].
const LAST: usize = 8;

/// A line of output and when it came.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// Its text, without the line's end.
    pub text: String,
}

/// Words in a process's output that tell where it stands. Empty: it never says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// Said when it is ready.
    pub ready: &'static str,
    /// Said once for each file.
    pub complete: &'static str,
    /// How many files there are.
    pub files: usize,
}

/// The end of a process.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When it was noticed, right after it happened.
    pub at: Instant,
    /// How it ended.
    pub status: ExitStatus,
    /// User and system time.
    pub cpu: Duration,
    /// Peak resident bytes.
    pub memory: u64,
}

/// What a process said so far.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<Line>,
    ready: Option<Instant>,
    /// Files that are complete.
    files: usize,
    complete: Option<Instant>,
}

/// A running process; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    handle: OwnedFd,
    /// The end of a pipe to it, where the command has one: a program tied to it ends when we do.
    _stdin: Option<ChildStdin>,
    said: Arc<Mutex<Said>>,
    /// Set once it has ended and all its output is read; to none if its end was not told.
    end: Arc<OnceLock<Option<Ended>>>,
    started: Instant,
}

impl Process {
    /// Starts a command, which must not fork and whose output is read here; `name` is for messages.
    pub fn start(name: String, command: &mut Command, marks: Marks) -> std::io::Result<Process> {
        let started = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let handle = handle(&mut child)?;
        let said = Arc::new(Mutex::new(Said::default()));
        let end = Arc::new(OnceLock::new());
        let stdin = child.stdin.take();
        let listeners = [
            child.stdout.take().map(|out| listen(out, marks, &said)),
            child.stderr.take().map(|err| listen(err, marks, &said)),
        ];
        let noted = Arc::clone(&end);
        thread::spawn(move || {
            let used = child.wait4();
            let at = Instant::now();
            listeners.into_iter().flatten().for_each(|l| drop(l.join()));
            let ended = used.ok().map(|used| Ended {
                at,
                status: used.status,
                cpu: used.rusage.utime + used.rusage.stime,
                memory: used.rusage.maxrss,
            });
            let _ = noted.set(ended);
        });
        Ok(Process {
            name,
            handle,
            _stdin: stdin,
            said,
            end,
            started,
        })
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// When it first said that it is ready.
    pub fn ready(&self) -> Option<Instant> {
        self.said().ready
    }

    /// When it said that the last file is complete.
    pub fn complete(&self) -> Option<Instant> {
        self.said().complete
    }

    /// How it ended, if it has and all its output is read.
    pub fn ended(&self) -> Option<Ended> {
        self.end.get().copied().flatten()
    }

    /// Whether it has not ended yet, or its output is still being read.
    pub fn is_running(&self) -> bool {
        self.end.get().is_none()
    }

    /// Stops it where it is, until [`Process::resume`] or its end.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it without warning, as a crash would; how it ended.
    pub fn kill(&self) -> Option<Ended> {
        self.signal(Signal::KILL);
        *self.end.wait()
    }

    fn signal(&self, signal: Signal) {
        // Refused only when it has ended by itself.
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// What it printed so far, on both its outputs, in the order it came.
    pub fn output(&self) -> Vec<Line> {
        self.said().lines.clone()
    }

    /// Its name and the last lines that it said, for messages.
    pub fn last_words(&self) -> String {
        let said = self.said();
        let last = &said.lines[said.lines.len().saturating_sub(LAST)..];
        let lines = last.iter().map(|line| format!("\n    {}", line.text));
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

/// The handle of a child, which is killed if it can't be had.
fn handle(child: &mut Child) -> std::io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(std::io::ErrorKind::InvalidData)?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => Ok(handle),
        Err(e) => {
            child.kill()?;
            child.wait()?;
            Err(e.into())
        }
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
            let text = String::from_utf8_lossy(&line).into_owned();
            let at = Instant::now();
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.take(Line { at, text }, marks);
        }
    })
}

impl Said {
    fn take(&mut self, line: Line, marks: Marks) {
        let says = |mark: &str| !mark.is_empty() && line.text.contains(mark);
        if says(marks.ready) {
            self.ready.get_or_insert(line.at);
        }
        if says(marks.complete) {
            self.files += 1;
            if self.files == marks.files {
                self.complete = Some(line.at);
            }
        }
        self.lines.push(line);
    }
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
        let process = shell("echo up; echo done; echo done >&2; exit 3");
        while process.is_running() {
            thread::yield_now();
        }
        let ended = process.ended().unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert!(process.ready().is_some() && process.complete().is_some());
        assert!(ended.memory > 100_000 && ended.at >= process.started());
        assert!(process.last_words().contains("\n    done"));
        assert_eq!(process.output().len(), 3);
    }

    #[test]
    fn who_is_suspended_does_not_end() {
        let process = shell("sleep 0.1");
        process.suspend();
        thread::sleep(Duration::from_millis(300));
        assert!(process.is_running());
        process.resume();
        assert!(process.end.wait().unwrap().status.success());
    }

    #[test]
    fn it_can_be_killed() {
        let process = shell("exec sleep 1000");
        assert!(process.ended().is_none());
        assert!(!process.kill().unwrap().status.success());
    }
}
