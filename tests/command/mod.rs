//! Runs the real program.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any run here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(90);

/// The program with arguments.
pub(crate) fn loopcast<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopcast"));
    command.args(arguments).stdin(Stdio::null());
    command.env("XDG_CONFIG_HOME", config_home());
    command
}

/// Where the keys of all these senders are: no test makes one in the home of who runs it.
fn config_home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("config")
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(o: Output) -> Ran {
        let text = |b: Vec<u8>| String::from_utf8(b).expect("UTF-8");
        Ran {
            code: o.status.code(),
            out: text(o.stdout),
            err: text(o.stderr),
        }
    }
}

/// Runs it to its end.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    let process = loopcast(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    Running(process).finish()
}

/// Runs a line of words without spaces in them to its end.
pub(crate) fn run_line(line: &str) -> Ran {
    run(line.split_whitespace())
}

/// A running program, killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it with standard output and error kept.
    pub(crate) fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Running {
        Running::spawn(&mut loopcast(arguments))
    }

    /// Starts a command of [`loopcast`]'s.
    pub(crate) fn spawn(command: &mut Command) -> Running {
        Running(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts"),
        )
    }

    /// Sends it a signal, by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.0.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// The lines of its standard output.
    pub(crate) fn lines(&mut self) -> Lines {
        Lines(BufReader::new(
            self.0.stdout.take().expect("standard output is kept"),
        ))
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Ran {
        fn collect(
            from: Option<impl std::io::Read + Send + 'static>,
        ) -> std::thread::JoinHandle<String> {
            std::thread::spawn(move || {
                let mut text = String::new();
                if let Some(mut from) = from {
                    from.read_to_string(&mut text).expect("UTF-8");
                }
                text
            })
        }
        let out = collect(self.0.stdout.take());
        let err = collect(self.0.stderr.take());
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(Instant::now() < end, "it runs on and on");
            std::thread::sleep(Duration::from_millis(10));
        };
        Ran {
            code: status.code(),
            out: out.join().unwrap(),
            err: err.join().unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program's `--json` output.
pub(crate) struct Lines(BufReader<ChildStdout>);

impl Lines {
    /// The next event.
    pub(crate) fn event(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.0.read_line(&mut line).expect("UTF-8") == 0 {
            return None;
        }
        Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")))
    }

    /// Reads on to the first event of a name.
    pub(crate) fn until(&mut self, name: &str) -> Value {
        let mut before = Vec::new();
        while let Some(event) = self.event() {
            if event["event"] == name {
                return event;
            }
            before.push(event);
        }
        panic!("no {name} among {before:?}");
    }

    /// All that is left.
    pub(crate) fn rest(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.event()).collect()
    }
}

/// A group, with a port that nobody on this machine has, nor the next one.
pub(crate) fn free_group() -> (String, u16) {
    loop {
        let one = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = one.local_addr().unwrap().port();
        if port < 65_534 && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port + 1)).is_ok() {
            let [high, low] = port.to_be_bytes();
            return (format!("loopcast://239.194.{high}.{low}:{port}"), port);
        }
    }
}
