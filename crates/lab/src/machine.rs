//! What was measured on, as far as the system tells, and how much of it was had.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::count;

/// Ticks in a second of the times in /proc.
const TICKS: f64 = 100.0;

/// The machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    /// Processes that ran or waited to, over the minute before the bench.
    load: f64,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split(':').nth(1));
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().and_then(|load| load.parse().ok());
        Machine {
            cores: std::thread::available_parallelism().map_or(0, |n| n.get()),
            processor: model.unwrap_or("unknown processor").trim().to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.unwrap_or(0.0),
        }
    }

    /// In a line.
    pub fn words(&self) -> String {
        let Machine {
            cores,
            processor,
            kernel,
            load,
        } = self;
        let cores = count(*cores, "core");
        format!("{cores}, {processor}, Linux {kernel}, load {load:.1} before it began")
    }
}

/// Seconds of processor time that the host has given to others, of all processors together, since
/// the start (proc_stat(5)).
pub fn stolen() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: f64 = stat.split_whitespace().nth(8)?.parse().ok()?;
    Some(ticks / TICKS)
}

/// Seconds that this process, threads that ended included, has had of the processors.
pub fn processor_time() -> Result<f64, String> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|e| e.to_string())?;
    // After the name in brackets; utime and stime (proc(5)).
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    let sum: Result<f64, _> = times.map(str::parse::<f64>).sum();
    sum.map(|ticks| ticks / TICKS)
        .map_err(|e| format!("/proc/self/stat: {e}"))
}

/// Whether a program of that name would be found, in the folders of PATH.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Where files are in memory, or else the folder for temporary ones: networks are measured, not
/// this machine's disk.
pub fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}
