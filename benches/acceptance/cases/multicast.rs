//! Cases in which multicast reaches everybody.

use super::{RANGE, RANGE_BASE, group_receivers, since, transfer};
use crate::bench::Bench;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Net, Traffic};
use loopcast_lab::wait::pause;
use std::time::{Duration, Instant};

const LOSSY_RECEIVERS: usize = 8;

/// Eight receivers that each lose so many packets in a thousand.
fn lossy_network(per_mille: u32) -> Result<Net, String> {
    let net = Net::new(1 + LOSSY_RECEIVERS)?;
    for i in 1..=LOSSY_RECEIVERS {
        net.lose(i, Traffic::Udp, per_mille)?;
    }
    Ok(net)
}

/// What is lost is just sent again.
pub(crate) fn loss5(bench: &Bench) -> Result<Vec<Measure>, String> {
    lossy(bench, 50, "none", 1.50)
}

/// With parity every receiver needs 1 / (1 - p) of the file with its headers (1.06), and a group
/// hardly more.
pub(crate) fn parity1(bench: &Bench) -> Result<Vec<Measure>, String> {
    lossy(bench, 10, "auto", 1.12)
}

pub(crate) fn parity5(bench: &Bench) -> Result<Vec<Measure>, String> {
    lossy(bench, 50, "auto", 1.17)
}

pub(crate) fn parity20(bench: &Bench) -> Result<Vec<Measure>, String> {
    lossy(bench, 200, "auto", 1.39)
}

fn lossy(bench: &Bench, per_mille: u32, parity: &str, limit: f64) -> Result<Vec<Measure>, String> {
    let net = lossy_network(per_mille)?;
    let desk = bench.desk()?;
    let file = desk.file("image", bench.mib(64, 16))?;
    let wanted = group_receivers(LOSSY_RECEIVERS);
    let args = ["--rate", "100M", "--wait-for", "8", "--parity", parity];
    let done = transfer(&desk, &net, &file, &wanted, &args, Duration::from_secs(120))?;

    let (mut seen, mut lost) = (0, 0);
    for i in 1..=LOSSY_RECEIVERS {
        let (a, b) = net.lost(i)?;
        (seen, lost) = (seen + a, lost + b);
    }
    Ok(vec![
        Measure::new(
            "sender's wire bytes / file",
            done.wire,
            "",
            Limit::AtMost(limit),
        ),
        Measure::new(
            "loss that hit it",
            lost as f64 / seen as f64 * 100.0,
            "%",
            Limit::Free,
        ),
        Measure::new(
            "start to last copy",
            done.last().as_secs_f64(),
            "s",
            Limit::Free,
        ),
    ])
}

pub(crate) fn late_join(bench: &Bench) -> Result<Vec<Measure>, String> {
    joined_late(bench, 0, |cycle| cycle + 1.0)
}

/// The cycle that it is held against is one that loses as much.
pub(crate) fn late_join_loss5(bench: &Bench) -> Result<Vec<Measure>, String> {
    joined_late(bench, 50, |cycle| cycle * 1.10)
}

/// `limit` is the time from joining to done that a time for one cycle allows.
fn joined_late(
    bench: &Bench,
    per_mille: u32,
    limit: impl Fn(f64) -> f64,
) -> Result<Vec<Measure>, String> {
    let bytes = bench.mib(64, 32);
    let net = Net::new(3)?;
    for i in 1..net.hosts() {
        if per_mille > 0 {
            net.lose(i, Traffic::Udp, per_mille)?;
        }
    }
    let desk = bench.desk()?;
    let file = desk.file("film", bytes)?;
    let args = ["--to", RANGE, "--rate", "100M"];

    // One receiver alone from the first byte: that is one cycle.
    let cycle = {
        let only = desk
            .loopcast
            .receive(net.host(1), &desk.inbox(1), &[], RANGE_BASE)?;
        only.wait_until_up()?;
        let sender = desk.loopcast.send(net.host(0), &args, &[&file])?;
        let deadline = sender.started() + Duration::from_secs(60);
        only.succeed(deadline)?;
        sender.succeed(deadline)?;
        desk.verify(1, &file)?;
        since(sender.started(), only.completed_at())?
    };

    let desk = bench.desk()?;
    let file = desk.file("film", bytes)?;
    let first = desk
        .loopcast
        .receive(net.host(1), &desk.inbox(1), &[], RANGE_BASE)?;
    first.wait_until_up()?;
    let sender = desk.loopcast.send(net.host(0), &args, &[&file])?;
    pause((sender.started() + cycle / 2).saturating_duration_since(Instant::now()))?;
    let late = desk
        .loopcast
        .receive(net.host(2), &desk.inbox(2), &[], RANGE_BASE)?;
    let deadline = late.started() + cycle * 3 + Duration::from_secs(20);
    late.succeed(deadline)?;
    first.succeed(deadline)?;
    sender.succeed(deadline)?;
    desk.verify(1, &file)?;
    desk.verify(2, &file)?;

    let took = since(late.started(), late.completed_at())?.as_secs_f64();
    let cycle = cycle.as_secs_f64();
    let first = since(sender.started(), first.completed_at())?.as_secs_f64();
    Ok(vec![
        Measure::new("joining to done", took, "s", Limit::AtMost(limit(cycle))),
        Measure::new("one cycle, undisturbed", cycle, "s", Limit::Free),
        Measure::new("the first receiver meanwhile", first, "s", Limit::Free),
    ])
}

pub(crate) fn small_file_latency(bench: &Bench) -> Result<Vec<Measure>, String> {
    const RUNS: usize = 5;
    let net = Net::new(5)?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let desk = bench.desk()?;
        let file = desk.file("note", 1 << 20)?;
        let wanted = group_receivers(4);
        let args = ["--rate", "100M", "--wait-for", "4"];
        let done = transfer(&desk, &net, &file, &wanted, &args, Duration::from_secs(30))?;
        times.push(done.last().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(vec![
        Measure::new(
            "sender start to last copy, median of 5",
            times[2],
            "s",
            Limit::AtMost(0.5),
        ),
        Measure::new("the slowest of them", times[RUNS - 1], "s", Limit::Free),
    ])
}

/// How long four receivers need for a file of `bytes` when nothing is in their way: the time that
/// the cases with a blocked one compare with, measured once a run.
pub(crate) fn four_undisturbed(bench: &Bench, bytes: u64) -> Result<Duration, String> {
    if let Some(time) = bench.four_undisturbed.get() {
        return Ok(*time);
    }
    let net = Net::new(5)?;
    let desk = bench.desk()?;
    let file = desk.file("disk", bytes)?;
    let wanted = group_receivers(4);
    let args = ["--rate", "100M", "--wait-for", "3"];
    let done = transfer(&desk, &net, &file, &wanted, &args, Duration::from_secs(120))?;
    // The three that the other cases time.
    let time = done.completed[1..]
        .iter()
        .copied()
        .max()
        .unwrap_or_default();
    Ok(*bench.four_undisturbed.get_or_init(|| time))
}
