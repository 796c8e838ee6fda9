//! Busy loops: load for a machine, or processors that do not sleep while something is measured.

use std::process::{Child, Command, Stdio};

/// A busy loop of sh that ends with the process whose id is `$1`, should nobody end it before.
const COUNTS: &str = "while kill -0 $1; do i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done; done";

/// Processes that count, each as fast as it is let. Dropping them ends them.
#[derive(Default)]
pub struct Loops(Vec<Child>);

impl Loops {
    /// Starts or ends some, so that this many run.
    pub fn set(&mut self, count: usize) -> Result<(), String> {
        end(self.0.drain(count.min(self.0.len())..));
        while self.0.len() < count {
            let child = start(Command::new("sh"));
            self.0.push(child.map_err(|e| format!("a busy loop: {e}"))?);
        }
        Ok(())
    }

    /// One loop for each processor, at the priority that takes what nobody else wants (SCHED_IDLE,
    /// sched(7)). Without chrt(1), which Linux distributions have, there are none.
    ///
    /// A virtual machine's host takes a sleeping processor away and gives it back late, by 5 to
    /// 60 ms on a busy one. That is no property of the program, but links that a bucket limits drop
    /// what waited meanwhile.
    pub fn that_keep_awake() -> Loops {
        let count = std::thread::available_parallelism().map_or(1, |n| n.get());
        let idle = || {
            let mut chrt = Command::new("chrt");
            chrt.args(["--idle", "0", "sh"]);
            start(chrt).ok()
        };
        Loops((0..count).map_while(|_| idle()).collect())
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        end(self.0.drain(..));
    }
}

fn start(mut shell: Command) -> std::io::Result<Child> {
    let id = std::process::id().to_string();
    shell.args(["-c", COUNTS, "sh", &id]);
    shell.stdin(Stdio::null()).spawn()
}

fn end(processes: impl Iterator<Item = Child>) {
    for mut process in processes {
        let _ = process.kill();
        let _ = process.wait();
    }
}
