//! Cases in which receivers' links differ, change, lose, or are shared with TCP, and the sender is
//! told nothing of it.

use super::{GROUP, Transferred, group_receivers, since, time_at, transfer};
use crate::bench::Bench;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Net, Traffic};
use loopcast_lab::program::Program;
use loopcast_lab::tcp::{self, Flow};
use loopcast_lab::wait::pause;
use serde_json::Value;
use std::time::{Duration, Instant};

/// One of four sits behind a tenth of the rate.
pub(crate) fn slow_receiver(bench: &Bench) -> Result<Vec<Measure>, String> {
    let net = Net::new(5)?;
    net.limit(4, 10)?;
    let desk = bench.desk()?;
    let file = desk.file("image", 32_000_000)?;
    let args = ["--rate", "100M", "--wait-for", "4"];
    let wanted = group_receivers(4);
    let done = transfer(&desk, &net, &file, &wanted, &args, Duration::from_secs(120))?;
    let fast = done.completed[..3].iter().max().copied();
    Ok(vec![
        seconds(
            "the fast three",
            fast.unwrap_or_default(),
            Limit::AtMost(3.8),
        )
        .timed(),
        seconds("the slow one", done.completed[3], Limit::AtMost(34.0)),
        wire(&done, Limit::AtMost(2.4)),
    ])
}

/// Two links of 50 Mbit/s, two of 200.
pub(crate) fn mixed_links(bench: &Bench) -> Result<Vec<Measure>, String> {
    let links = [50, 50, 200, 200];
    let net = Net::new(1 + links.len())?;
    for (i, &mbit) in links.iter().enumerate() {
        net.limit(1 + i, mbit)?;
    }
    let desk = bench.desk()?;
    let bytes = bench.mib(256, 128);
    let file = desk.file("disk", bytes)?;
    let wanted = group_receivers(links.len());
    let args = ["--wait-for", "4"];
    let done = transfer(&desk, &net, &file, &wanted, &args, Duration::from_secs(300))?;
    let mut measures = Vec::new();
    for (&mbit, took) in links.iter().zip(&done.completed) {
        measures.push(Measure::new(
            format!("time / what {mbit} Mbit/s alone would need"),
            took.as_secs_f64() / time_at(bytes, u64::from(mbit)).as_secs_f64(),
            "",
            Limit::AtMost(1.4),
        ));
    }
    measures.push(wire(&done, Limit::Free));
    Ok(measures)
}

/// Eight receivers, without loss and with a fifth of all packets lost.
pub(crate) fn random_loss_auto(bench: &Bench) -> Result<Vec<Measure>, String> {
    const RECEIVERS: usize = 8;
    // Without, two cores that restore a fifth of eight copies would decide.
    const MBIT: u32 = 200;
    // What looking for the rate costs, 1 to 5 MB, must not decide either.
    let bytes = bench.mib(256, 256);
    let run = |per_mille: u32| -> Result<(Transferred, f64, usize), String> {
        let net = Net::new(1 + RECEIVERS)?;
        for i in 1..=RECEIVERS {
            net.limit(i, MBIT)?;
            if per_mille > 0 {
                net.lose(i, Traffic::Udp, per_mille)?;
            }
        }
        let desk = bench.desk()?;
        let file = desk.file("image", bytes)?;
        let wanted = group_receivers(RECEIVERS);
        let args = ["--wait-for", "8"];
        let done = transfer(&desk, &net, &file, &wanted, &args, Duration::from_secs(120))?;
        let rate = rate(&done.sender).ok_or("the sender was done before it told its progress")?;
        let moved = done.receivers.iter().map(moves).sum();
        Ok((done, rate, moved))
    };
    let ((clean, usual, _), (lossy, rate, moved)) = (run(0)?, run(200)?);
    Ok(vec![
        Measure::new(
            "rate / that without loss",
            rate / usual,
            "",
            Limit::AtLeast(0.8),
        )
        .timed(),
        Measure::new("moves", moved as f64, "", Limit::AtMost(0.0)),
        wire(&lossy, Limit::AtMost(1.39)),
        seconds("start to last copy", lossy.last(), Limit::Free),
        seconds("start to last copy without loss", clean.last(), Limit::Free),
    ])
}

/// A link falls from 100 to 5 Mbit/s for 10 s.
pub(crate) fn link_drop(bench: &Bench) -> Result<Vec<Measure>, String> {
    let net = Net::new(2)?;
    net.limit(1, 100)?;
    let desk = bench.desk()?;
    let bytes = bench.mib(512, 128);
    let file = desk.file("disk", bytes)?;
    let receiver = desk
        .loopcast
        .receive(net.host(1), &desk.inbox(1), &[], GROUP)?;
    receiver.wait_until_up()?;
    let sender = desk
        .loopcast
        .send(net.host(0), &["--to", GROUP], &[&file])?;
    let deadline = sender.started() + Duration::from_secs(180);
    pause(Duration::from_secs(5))?;
    net.limit(1, 5)?;
    pause(Duration::from_secs(10))?;
    net.limit(1, 100)?;
    receiver
        .succeed(deadline)
        .map_err(|e| format!("{e}the sender said:\n{}", sender.tail()))?;
    sender.succeed(deadline)?;
    desk.verify(1, &file)?;
    let took = since(sender.started(), receiver.completed_at())?;
    let without = time_at(bytes, 100) + Duration::from_secs(10);
    Ok(vec![
        seconds(
            "longest time without progress",
            longest_stall(&receiver),
            Limit::AtMost(2.0),
        ),
        Measure::new("moves", moves(&receiver) as f64, "", Limit::AtMost(3.0)),
        seconds("took", took, Limit::Free),
        seconds("of which the link needs", without, Limit::Free),
    ])
}

/// A group of one beside one TCP flow, through one bucket.
pub(crate) fn group_beside_tcp(bench: &Bench) -> Result<Vec<Measure>, String> {
    const MBIT: f64 = 50.0;
    let net = Net::new(2)?;
    net.limit(1, 50)?;
    let desk = bench.desk()?;
    let bytes = bench.mib(128, 48);
    let file = desk.file("image", bytes)?;
    let flow = Flow::start(&net, 1)?;
    // A second of TCP alone fills the bucket's queue.
    pause(Duration::from_secs(1))?;
    let (began, before) = (Instant::now(), flow.received());
    let done = transfer(
        &desk,
        &net,
        &file,
        &group_receivers(1),
        &[],
        Duration::from_secs(180),
    )?;
    let tcp = tcp::mbit(flow.received() - before, began.elapsed());
    let ours = tcp::mbit(bytes, done.last());
    let multicast = if done.receivers[0].took_unicast() {
        "by unicast in the end"
    } else {
        "by multicast"
    };
    Ok(vec![
        Measure::new(
            "TCP's share of the link",
            tcp / MBIT,
            "",
            Limit::AtLeast(0.25),
        ),
        Measure::new(
            format!("the group's share, {multicast}"),
            ours / MBIT,
            "",
            Limit::AtLeast(0.25),
        ),
    ])
}

/// Bytes a second that left a sender while it was at work: between the first fifth and the last
/// tenth.
fn rate(sender: &Program) -> Option<f64> {
    let sent = |event: &Value| event["sent_bytes"].as_u64().unwrap_or(0) as f64;
    let events = sender.events("progress");
    let all = sent(&events.last()?.1);
    let (from, before) = events.iter().find(|(_, e)| sent(e) > 0.2 * all)?;
    let (to, after) = events.iter().rfind(|(_, e)| sent(e) < 0.9 * all)?;
    let time = to.checked_duration_since(*from).filter(|t| !t.is_zero())?;
    Some((sent(after) - sent(before)) / time.as_secs_f64())
}

/// Times that a receiver went over to another tier or path; where it begins is none.
fn moves(receiver: &Program) -> usize {
    receiver.events("tier").len() + receiver.events("path").len().saturating_sub(1)
}

/// The longest time in which a receiver got nothing new.
fn longest_stall(receiver: &Program) -> Duration {
    let mut longest = Duration::ZERO;
    let mut last: Option<(Instant, u64)> = None;
    for (at, event) in receiver.events("progress") {
        let have = event["have"].as_u64().unwrap_or(0);
        match last {
            Some((since, had)) if have <= had => longest = longest.max(at - since),
            _ => last = Some((at, have)),
        }
    }
    longest
}

fn seconds(what: &str, time: Duration, limit: Limit) -> Measure {
    Measure::new(what, time.as_secs_f64(), "s", limit)
}

fn wire(done: &Transferred, limit: Limit) -> Measure {
    Measure::new("sender's wire bytes / file", done.wire, "", limit)
}
