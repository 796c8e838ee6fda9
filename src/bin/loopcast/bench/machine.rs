//! What was measured on, as far as the system tells.

use std::fs;

use serde::Serialize;

/// The machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub(super) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    /// Processes that ran or waited to, over the minute before the bench.
    load: f64,
}

impl Machine {
    /// This one, now.
    pub(super) fn here() -> Machine {
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
    pub(super) fn words(&self) -> String {
        let Machine {
            cores,
            processor,
            kernel,
            load,
        } = self;
        let cores = crate::human::count(*cores as u64, "core");
        format!("{cores}, {processor}, Linux {kernel}, load {load:.1} before it began")
    }
}
