//! Processors that do not sleep while something is measured.
//!
//! A virtual machine's host takes a sleeping processor away and gives it back late, by 5 to 60 ms on a busy one. That is no
//! property of the program, but links that a bucket limits drop what waited meanwhile.

use std::process::{Child, Command, Stdio};

/// Counts, until it ends or the process whose id is `$1` is gone.
const COUNTS: &str = "while kill -0 $1; do i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; done";

/// As many processes as there are processors, which take what nobody else wants (SCHED_IDLE, sched(7)).
pub(crate) struct Awake(Vec<Child>);

impl Awake {
    /// Without chrt(1), which Linux distributions have, there are none.
    pub(crate) fn start() -> Awake {
        let count = std::thread::available_parallelism().map_or(1, |n| n.get());
        let id = std::process::id().to_string();
        let start = || {
            Command::new("chrt")
                .args(["--idle", "0", "sh", "-c", COUNTS, "sh", &id])
                .stdin(Stdio::null())
                .spawn()
        };
        Awake((0..count).map_while(|_| start().ok()).collect())
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Seconds of processor time that the host has given to others, of all processors together, since the start (proc_stat(5)).
pub(crate) fn stolen() -> Option<f64> {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: f64 = stat.split_whitespace().nth(8)?.parse().ok()?;
    Some(ticks / TICKS)
}
