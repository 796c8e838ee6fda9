//! How this program is run.

use std::path::Path;
use std::process::Command;

use super::{Job, Mode};
use crate::comparison::matrix::Pace;

/// Receives on host `i` into a folder.
pub(super) fn receiver(mode: Mode, job: &Job, i: usize, into: &Path) -> Command {
    let mut command = job.ground.loopcast(i);
    command
        .args(["receive", "--json", "--tied", "--interface"])
        .arg(job.ground.interface())
        .args(["--seed", &job.seed.wrapping_add(i as u64).to_string()])
        .arg("--into")
        .arg(into);
    if let Some(drop) = job.ground.drop_by_receiver(job.setting.loss) {
        command.args(["--drop", &drop]);
    }
    if mode == Mode::Singly {
        command.arg("--no-offload");
    }
    if mode == Mode::Unicast {
        command.args(["--via", "unicast", &job.ground.host_url()]);
    } else {
        command.arg(job.ground.group_url());
    }
    command
}

/// Sends the files from host 0.
pub(super) fn sender(mode: Mode, job: &Job) -> Command {
    let rate = match job.setting.pace {
        Pace::At { bps, .. } => format!("{bps}bps"),
        Pace::Unlimited => "auto".to_owned(),
    };
    let mut command = job.ground.loopcast(0);
    command
        .args(["send", "--json", "--tied", "--interface"])
        .arg(job.ground.interface())
        .args(["--to", &job.ground.group_url()])
        .args(["--wait-for", &job.setting.receivers.to_string()])
        .args(["--rate", &rate])
        .args(["--parity", if mode == Mode::None { "none" } else { "auto" }])
        .arg("--stats")
        .arg(job.folder.join("sender.json"))
        // A hash that is remembered from another run would hide what hashing costs.
        .arg("--hash-cache")
        .arg(job.folder.join("hashes"))
        .args(job.paths())
        .env("XDG_CONFIG_HOME", job.folder.join("config"));
    if mode == Mode::Singly {
        command.arg("--no-offload");
    }
    command
}
