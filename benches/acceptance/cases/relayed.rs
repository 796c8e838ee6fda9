//! Cases in which a relay of ours stands between sender and receivers: a long or rough path, with
//! real bytes.

use super::{GROUP, since};
use crate::bench::Bench;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Net, Traffic};
use loopcast_lab::relay::{Path, Relay};
use std::time::Duration;

const RECEIVERS: usize = 4;

pub(crate) fn rough(bench: &Bench) -> Result<Vec<Measure>, String> {
    let path = Path {
        delay: Duration::from_millis(2),
        reordered: 0.05,
        late: Duration::from_millis(5),
        repeated: 0.02,
        feedback_lost: 0.1,
    };
    relayed(bench, path, 200, Limit::AtMost(1.39))
}

pub(crate) fn round_trip_20(bench: &Bench) -> Result<Vec<Measure>, String> {
    round_trip(bench, 20)
}

pub(crate) fn round_trip_200(bench: &Bench) -> Result<Vec<Measure>, String> {
    round_trip(bench, 200)
}

fn round_trip(bench: &Bench, ms: u64) -> Result<Vec<Measure>, String> {
    let path = Path {
        delay: Duration::from_millis(ms) / 2,
        ..Path::default()
    };
    relayed(bench, path, 50, Limit::AtMost(1.17))
}

/// One transfer to receivers that each lose so many packets in a thousand.
fn relayed(bench: &Bench, path: Path, per_mille: u32, wire: Limit) -> Result<Vec<Measure>, String> {
    let (near, far) = (Net::new(2)?, Net::new(1 + RECEIVERS)?);
    for i in 1..=RECEIVERS {
        far.lose(i, Traffic::Udp, per_mille)?;
    }
    let _relay = Relay::start(&near, &far, path, 1)?;
    let desk = bench.desk()?;
    let bytes = bench.mib(64, 16);
    let file = desk.file("image", bytes)?;
    let mut receivers = Vec::new();
    for i in 1..=RECEIVERS {
        let (host, inbox) = (far.host(i), desk.inbox(i));
        // Should the group fall silent, unicast would hide it.
        let via = ["--via", "multicast"];
        receivers.push(desk.loopcast.receive(host, &inbox, &via, GROUP)?);
    }
    for receiver in &receivers {
        receiver.wait_until_up()?;
    }
    let before = near.host(0).sent_bytes()?;
    // One tier, so one group, which the relay passes.
    let args = [
        "--to",
        GROUP,
        "--rate",
        "100M",
        "--tiers",
        "100M",
        "--wait-for",
        "4",
    ];
    let sender = desk.loopcast.send(near.host(0), &args, &[&file])?;
    let deadline = sender.started() + Duration::from_secs(120);
    let mut last = Duration::ZERO;
    for (i, receiver) in receivers.iter().enumerate() {
        receiver
            .succeed(deadline)
            .map_err(|e| format!("{e}the sender said:\n{}", sender.tail()))?;
        desk.verify(i + 1, &file)?;
        last = last.max(since(sender.started(), receiver.completed_at())?);
    }
    sender.succeed(deadline)?;
    let sent = near.host(0).sent_bytes()? - before;
    Ok(vec![
        Measure::new(
            "all identical: sender's wire bytes / file",
            sent as f64 / bytes as f64,
            "",
            wire,
        ),
        Measure::new("start to last copy", last.as_secs_f64(), "s", Limit::Free),
    ])
}
