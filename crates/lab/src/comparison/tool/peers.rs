//! How the tools of others are run.

use std::path::Path;
use std::process::Command;

use super::Job;
use crate::comparison::matrix::Pace;

/// Bytes of socket buffer asked for wherever a tool can be told, the most that ours asks for too.
const BUFFER: &str = "4194304";
/// Group on which uftp announces.
const UFTP_GROUP: &str = "239.192.8.1";
/// Group on which flute sends.
const FLUTE_GROUP: &str = "239.192.8.3";

fn on_host(job: &Job, i: usize, program: &str) -> Command {
    job.ground.command(i, program.as_ref())
}

pub(super) fn uftp_receiver(job: &Job, i: usize, into: &Path) -> Command {
    let mut command = on_host(job, i, "uftpd");
    command
        .args(["-d", "-q", "-I", job.ground.interface(), "-M", UFTP_GROUP])
        .args(["-B", BUFFER, "-D"])
        .arg(into);
    command
}

pub(super) fn uftp_sender(job: &Job) -> Command {
    let rate = match job.setting.pace {
        Pace::At { bps, .. } => (bps / 1_000).to_string(),
        Pace::Unlimited => "-1".to_owned(),
    };
    // A closed group starts when all are there, an open one after a fixed time.
    let members = (1..=job.setting.receivers).map(|i| job.ground.uftp_id(i));
    let members: Vec<String> = members.collect();
    let mut command = on_host(job, 0, "uftp");
    command
        .args(["-I", job.ground.interface(), "-M", UFTP_GROUP])
        .args(["-P", "239.192.8.2", "-R", &rate, "-B", BUFFER])
        .args(["-b", "1400", "-r", "0.05:0.01:15", "-H", &members.join(",")])
        .args(job.paths());
    command
}

pub(super) fn udpcast_receiver(job: &Job, i: usize, into: &Path) -> Command {
    let mut command = on_host(job, i, "udp-receiver");
    command
        .args(["--nokbd", "--no-progress", "--rcvbuf", BUFFER])
        .args(["--interface", job.ground.interface(), "--file"])
        .arg(into.join(job.file().file_name().unwrap_or_default()));
    command
}

pub(super) fn udpcast_sender(job: &Job) -> Command {
    let mut command = on_host(job, 0, "udp-sender");
    command
        .args(["--nokbd", "--no-progress", "--full-duplex"])
        .args(["--interface", job.ground.interface()])
        .args(["--min-receivers", &job.setting.receivers.to_string()])
        // It looks whether all are there when it says hello, every two seconds without.
        .args(["--rexmit-hello-interval", "50"]);
    if let Pace::At { bps, .. } = job.setting.pace {
        command.args(["--max-bitrate", &bps.to_string()]);
    }
    command.arg("--file").arg(job.file());
    command
}

pub(super) fn flute_receiver(job: &Job, i: usize, into: &Path) -> Command {
    let mut command = on_host(job, i, "flute-receiver");
    command
        .env("RUST_LOG", "info")
        .args(["-g", FLUTE_GROUP, "-i", &job.ground.address(i)])
        .arg(into);
    command
}

/// It hears nothing back: the rate must be one that loses nothing by itself, and the parity is told
/// the loss beforehand.
pub(super) fn flute_sender(job: &Job) -> Command {
    let kbit = match job.setting.pace {
        Pace::At { bps, .. } => bps / 1_000,
        Pace::Unlimited => 100_000,
    };
    let parity = (job.setting.loss.share() * 200.0).ceil() as u32 + 5;
    let mut command = on_host(job, 0, "flute-sender");
    command
        .args(["-d", FLUTE_GROUP, "--bind"])
        .arg(format!("{}:0", job.ground.address(0)))
        .args(["--bitrate", &kbit.to_string(), "--fec", "raptorq"])
        .args(["--source-block-length", "1000", "--no-md5"])
        .args(["--parity-percentage", &parity.to_string()])
        .args(["--parity-symbols", "1000"])
        .args(job.paths());
    command
}
