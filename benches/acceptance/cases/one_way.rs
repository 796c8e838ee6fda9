//! Sessions without a way back.

use super::{GROUP, since};
use crate::bench::Bench;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Net, Traffic};
use loopcast_lab::program::Program;
use loopcast_lab::wait::pause;
use std::path::Path;
use std::time::{Duration, Instant};

const RECEIVERS: usize = 4;

/// Where each loses so many packets in a thousand.
fn network(per_mille: u32) -> Result<Net, String> {
    let net = Net::new(1 + RECEIVERS)?;
    for i in 1..=RECEIVERS {
        net.lose(i, Traffic::Udp, per_mille)?;
        net.count_sent(i)?;
    }
    Ok(net)
}

pub(crate) fn one_way(bench: &Bench) -> Result<Vec<Measure>, String> {
    let bytes = bench.mib(64, 16);
    let runs = if bench.quick { 3 } else { 20 };
    let mut measures = Vec::new();
    for (per_mille, cycles, runs) in [(50, "1", runs), (300, "2", runs.min(3))] {
        let net = network(per_mille)?;
        let (mut complete, mut slowest) = (0, 0_f64);
        for _ in 0..runs {
            match looped(bench, &net, bytes, cycles) {
                Ok(time) => {
                    complete += 1;
                    slowest = slowest.max(time.as_secs_f64());
                }
                Err(why) => eprintln!("{why}"),
            }
        }
        let mut sent = 0;
        for i in 1..=RECEIVERS {
            sent += net.sent_udp_and_igmp(i)?.0;
        }
        let percent = per_mille / 10;
        let all = f64::from(runs);
        measures.extend([
            Measure::new(
                format!("{percent} % lost, {cycles} cycles: runs in which all complete"),
                f64::from(complete),
                "",
                Limit::AtLeast(all),
            ),
            Measure::new(
                format!("{percent} % lost: the slowest copy"),
                slowest,
                "s",
                Limit::Free,
            ),
            Measure::new(
                format!("{percent} % lost: UDP datagrams from receivers"),
                sent as f64,
                "",
                Limit::AtMost(0.0),
            ),
        ]);
    }
    measures.extend(late(bench, bytes)?);
    measures.push(not_joined(bench, bytes)?);
    Ok(measures)
}

/// The sender's arguments.
fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["--to", GROUP, "--rate", "100M", "--one-way"];
    args.extend(["--parity", "10%"]);
    args.extend(more);
    args
}

/// One session of so many cycles for receivers that were there first; the time of the last copy.
fn looped(bench: &Bench, net: &Net, bytes: u64, cycles: &str) -> Result<Duration, String> {
    let desk = bench.desk()?;
    let file = desk.file("image", bytes)?;
    let mut receivers: Vec<Program> = Vec::new();
    for i in 1..=RECEIVERS {
        let (host, inbox) = (net.host(i), desk.inbox(i));
        receivers.push(desk.loopcast.receive(host, &inbox, &["--one-way"], GROUP)?);
    }
    for receiver in &receivers {
        receiver.wait_until_up()?;
    }
    let send = args(&["--cycles", cycles]);
    let sender = desk.loopcast.send(net.host(0), &send, &[&file])?;
    let deadline = sender.started() + Duration::from_secs(60);
    let mut last = Duration::ZERO;
    for (i, receiver) in receivers.iter().enumerate() {
        receiver.succeed(deadline)?;
        desk.verify(i + 1, &file)?;
        last = last.max(since(sender.started(), receiver.completed_at())?);
    }
    sender.succeed(deadline)?;
    Ok(last)
}

/// Joins half way through a cycle, loses 5 %, and was not told that the session is one-way.
fn late(bench: &Bench, bytes: u64) -> Result<[Measure; 2], String> {
    let net = network(50)?;
    let cycle = looped(bench, &net, bytes, "1")?.as_secs_f64();
    let desk = bench.desk()?;
    let file = desk.file("image", bytes)?;
    let sender = desk
        .loopcast
        .send(net.host(0), &args(&["--stay"]), &[&file])?;
    sender.wait_until_up()?;
    let half = sender.started() + Duration::from_secs_f64(cycle / 2.0);
    pause(half.saturating_duration_since(Instant::now()))?;
    let (host, inbox) = (net.host(1), desk.inbox(1));
    let late = desk.loopcast.receive(host, &inbox, &[], GROUP)?;
    late.succeed(late.started() + Duration::from_secs(60))?;
    desk.verify(1, Path::new(&file))?;
    let took = since(late.started(), late.completed_at())?.as_secs_f64();
    Ok([
        Measure::new(
            "late, 5 % lost: joining to done, in cycles",
            took / cycle,
            "",
            Limit::AtMost(1.10),
        ),
        Measure::new(
            "late: UDP datagrams from it",
            net.sent_udp_and_igmp(1)?.0 as f64,
            "",
            Limit::AtMost(0.0),
        ),
    ])
}

/// Has not joined, and gets what a static entry in the switch sends its way.
fn not_joined(bench: &Bench, bytes: u64) -> Result<Measure, String> {
    let net = network(50)?;
    net.add_static_member(1, "239.192.7.1")?;
    let desk = bench.desk()?;
    let file = desk.file("image", bytes)?;
    let (host, told) = (net.host(1), ["--one-way", "--no-join"]);
    let receiver = desk.loopcast.receive(host, &desk.inbox(1), &told, GROUP)?;
    receiver.wait_until_up()?;
    let send = args(&["--cycles", "1"]);
    let sender = desk.loopcast.send(net.host(0), &send, &[&file])?;
    let deadline = sender.started() + Duration::from_secs(60);
    receiver.succeed(deadline)?;
    sender.succeed(deadline)?;
    desk.verify(1, &file)?;
    let (udp, igmp) = net.sent_udp_and_igmp(1)?;
    Ok(Measure::new(
        "not joined: complete; UDP and IGMP packets from it",
        (udp + igmp) as f64,
        "",
        Limit::AtMost(0.0),
    ))
}
