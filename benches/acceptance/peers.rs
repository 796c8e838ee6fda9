//! The tools that users could pick instead, beside ours: the network, loss and rate of the case
//! `loss5`, where these tools are installed (`apt-get install uftp udpcast`).

use crate::bench::{Bench, Desk};
use crate::cases::{LOSSY_RECEIVERS, lossy_network};
use crate::netns::Net;
use crate::program::{Program, pause, poll_until};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How a tool is run.
struct Peer {
    name: &'static str,
    /// Receives into the folder given, on that host.
    receive: fn(Command, &Path) -> Command,
    receiver: &'static str,
    /// Sends the file given.
    send: fn(Command, &Path) -> Command,
    sender: &'static str,
    /// Receivers end by themselves (else they serve on and are killed).
    receivers_end: bool,
    /// How long receivers need to be ready.
    settle: Duration,
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "uftp",
        receiver: "uftpd",
        receive: |mut command, into| {
            // In the foreground, one log line a file on standard error.
            command
                .args([
                    "-d",
                    "-I",
                    "eth0",
                    "-M",
                    "239.192.8.1",
                    "-B",
                    "4194304",
                    "-D",
                ])
                .arg(into);
            command
        },
        sender: "uftp",
        send: |mut command, file| {
            // -R counts kbit/s.
            command.args([
                "-I",
                "eth0",
                "-M",
                "239.192.8.1",
                "-P",
                "239.192.8.2",
                "-R",
                "100000",
            ]);
            command.args(["-B", "4194304"]).arg(file);
            command
        },
        receivers_end: false,
        settle: Duration::from_secs(1),
    },
    Peer {
        name: "udpcast",
        receiver: "udp-receiver",
        receive: |mut command, into| {
            command.args([
                "--nokbd",
                "--no-progress",
                "--interface",
                "eth0",
                "--rcvbuf",
                "4194304",
            ]);
            command.arg("--file").arg(into.join("image"));
            command
        },
        sender: "udp-sender",
        send: |mut command, file| {
            command.args([
                "--nokbd",
                "--no-progress",
                "--interface",
                "eth0",
                "--full-duplex",
            ]);
            command
                .args(["--max-bitrate", "100m", "--min-receivers", "8", "--file"])
                .arg(file);
            command
        },
        receivers_end: true,
        settle: Duration::from_secs(1),
    },
];

/// Runs every peer that is installed and prints its figures.
pub(crate) fn compare(bench: &Bench) -> Result<(), String> {
    for peer in PEERS {
        match run(bench, &peer) {
            Ok((wire, time)) => println!(
                "{:32} sender's wire bytes / file {wire:.3}, start to last copy {time:.3} s",
                peer.name
            ),
            Err(why) => println!("{:32} {}", peer.name, why.trim_end()),
        }
    }
    Ok(())
}

/// Wire bytes over the file's, and seconds from the sender's start to the last exact copy.
fn run(bench: &Bench, peer: &Peer) -> Result<(f64, f64), String> {
    let there = |name: &str| Path::new("/usr/bin").join(name).exists();
    if !there(peer.sender) || !there(peer.receiver) {
        return Err("not installed".into());
    }
    let net = lossy_network(50)?;
    let desk = bench.desk()?;
    let file = desk.file("image", bench.mib(64, 16))?;
    let mut receivers = start_receivers(peer, &net, &desk)?;
    pause(peer.settle)?;

    let before = net.host(0).sent_bytes()?;
    let mut command = (peer.send)(net.host(0).command(peer.sender), &file);
    let mut sender = Program::start(peer.sender.into(), &mut command, None)?;
    let deadline = sender.started + Duration::from_secs(120);
    sender.succeed(deadline)?;
    let sent = net.host(0).sent_bytes()? - before;
    if peer.receivers_end {
        for receiver in &mut receivers {
            receiver.succeed(deadline)?;
        }
    }
    let whole = |i| desk.verify(i, &file).is_ok();
    let complete = poll_until(Instant::now() + Duration::from_secs(5), || {
        (1..=LOSSY_RECEIVERS).all(whole)
    })?;
    if !complete {
        return Err(format!(
            "some copies are missing or wrong\n{}",
            sender.tail()
        ));
    }
    let ends = receivers.iter().map(Program::ended_at);
    let end = if peer.receivers_end {
        ends.max().flatten()
    } else {
        sender.ended_at()
    };
    let time = end.map(|end| end.saturating_duration_since(sender.started).as_secs_f64());
    let length = std::fs::metadata(&file).map_err(|e| e.to_string())?.len();
    Ok((sent as f64 / length as f64, time.unwrap_or(f64::NAN)))
}

fn start_receivers(peer: &Peer, net: &Net, desk: &Desk) -> Result<Vec<Program>, String> {
    let mut receivers = Vec::new();
    for i in 1..=LOSSY_RECEIVERS {
        let into = desk.inbox(i);
        std::fs::create_dir_all(&into).map_err(|e| e.to_string())?;
        let mut command = (peer.receive)(net.host(i).command(peer.receiver), &into);
        receivers.push(Program::start(peer.receiver.into(), &mut command, None)?);
    }
    Ok(receivers)
}
