//! Cases of unicast through a token bucket, alone and beside TCP.

use super::{GROUP, SENDER, since};
use crate::bench::Bench;
use loopcast_lab::desk::Desk;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::Net;
use loopcast_lab::tcp::{self, Flow};
use loopcast_lab::wait::pause;
use std::time::Duration;

/// What one unicast transfer came to.
struct Run {
    took: Duration,
    /// Mbit/s of content.
    mbit: f64,
    /// What was asked to be counted, between the receiver's start and its end.
    counted: u64,
    /// The time between those two.
    elapsed: Duration,
}

/// Sends a file of `bytes` to host 1 by unicast; the sender is up before the receiver starts.
/// `count` is read when the receiver starts and when it ends.
fn run(
    desk: &Desk,
    net: &Net,
    bytes: u64,
    rate: &str,
    count: impl Fn() -> u64,
) -> Result<Run, String> {
    let file = desk.file("film", bytes)?;
    let sender = desk
        .loopcast
        .send(net.host(0), &["--to", GROUP, "--rate", rate], &[&file])?;
    sender.wait_until_up()?;
    let via = ["--via", "unicast"];
    let before = count();
    let receiver = desk
        .loopcast
        .receive(net.host(1), &desk.inbox(1), &via, SENDER)?;
    let deadline = receiver.started() + Duration::from_secs(180);
    receiver
        .succeed(deadline)
        .map_err(|e| format!("{e}the sender said:\n{}", sender.tail()))?;
    let (counted, elapsed) = (count() - before, receiver.started().elapsed());
    let took = since(receiver.started(), receiver.completed_at())?;
    sender.succeed(deadline)?;
    desk.verify(1, &file)?;
    Ok(Run {
        took,
        mbit: tcp::mbit(bytes, took),
        counted,
        elapsed,
    })
}

fn bucket(mbit: u32) -> Result<Net, String> {
    let net = Net::new(2)?;
    net.limit(1, mbit)?;
    Ok(net)
}

pub(crate) fn alone_vs_tcp(bench: &Bench) -> Result<Vec<Measure>, String> {
    let net = bucket(100)?;
    let tcp = tcp::alone(&net, 1, Duration::from_secs(4))?;
    let desk = bench.desk()?;
    let before = net.bucket(1)?;
    // Far above the bucket: congestion control has to find the rate, not the pacer.
    let run = run(&desk, &net, bench.mib(64, 32), "1G", || 0)?;
    let after = net.bucket(1)?;
    let dropped = (after.dropped - before.dropped) as f64;
    let loss = dropped / ((after.sent - before.sent) as f64 + dropped) * 100.0;
    Ok(vec![
        Measure::new(
            "unicast / one TCP flow",
            run.mbit / tcp,
            "",
            Limit::AtLeast(0.7),
        ),
        Measure::new("one TCP flow", tcp, "Mbit/s", Limit::Free),
        Measure::new("unicast", run.mbit, "Mbit/s", Limit::Free),
        Measure::new("lost in the bucket", loss, "%", Limit::Free),
    ])
}

pub(crate) fn loss_at_10m(bench: &Bench) -> Result<Vec<Measure>, String> {
    let net = bucket(10)?;
    let desk = bench.desk()?;
    let run = run(&desk, &net, bench.mib(16, 8), "100M", || 0)?;
    let bucket = net.bucket(1)?;
    let loss = bucket.dropped as f64 / (bucket.sent + bucket.dropped) as f64 * 100.0;
    Ok(vec![
        Measure::new("dropped by the bucket", loss, "%", Limit::AtMost(5.0)),
        Measure::new("unicast", run.mbit, "Mbit/s", Limit::Free),
    ])
}

pub(crate) fn beside_tcp(bench: &Bench) -> Result<Vec<Measure>, String> {
    let net = bucket(100)?;
    let alone = tcp::alone(&net, 1, Duration::from_secs(4))?;
    let desk = bench.desk()?;
    // A second of TCP alone fills the bucket's queue.
    let flow = Flow::start(&net, 1)?;
    pause(Duration::from_secs(1))?;
    // Full size always: two TCP flows too need some seconds to come to fair shares.
    let run = run(&desk, &net, 64 << 20, "1G", || flow.received())?;
    let tcp = tcp::mbit(run.counted, run.elapsed);
    Ok(vec![
        Measure::new(
            "unicast's share of the link",
            run.mbit / alone,
            "",
            Limit::AtLeast(0.25),
        ),
        Measure::new(
            "TCP's share meanwhile",
            tcp / alone,
            "",
            Limit::AtLeast(0.25),
        ),
        Measure::new("one TCP flow alone", alone, "Mbit/s", Limit::Free),
        Measure::new("unicast took", run.took.as_secs_f64(), "s", Limit::Free),
    ])
}
