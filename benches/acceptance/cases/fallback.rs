//! Cases in which multicast does not reach one receiver, or not whole.

use super::multicast::four_undisturbed;
use super::{GROUP, SENDER, Wanted, group_receivers, since, transfer};
use crate::bench::Bench;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Blocked, Net};
use std::time::{Duration, Instant};

pub(crate) fn blocked_in_group_url(bench: &Bench) -> Result<Vec<Measure>, String> {
    one_blocked(bench, Blocked::Inbound, GROUP)
}

pub(crate) fn blocked_both_host_url(bench: &Bench) -> Result<Vec<Measure>, String> {
    one_blocked(bench, Blocked::Both, SENDER)
}

/// Host 1 is blocked; hosts 2 to 4 are not, and should hardly notice.
fn one_blocked(bench: &Bench, blocked: Blocked, url: &str) -> Result<Vec<Measure>, String> {
    let bytes = bench.mib(256, 96);
    let undisturbed = four_undisturbed(bench, bytes)?;
    let net = Net::new(5)?;
    net.block_multicast(1, blocked)?;
    let desk = bench.desk()?;
    let file = desk.file("disk", bytes)?;
    let mut wanted = group_receivers(4);
    wanted[0] = Wanted {
        host: 1,
        url,
        args: &[],
    };
    // The three start together; the blocked one comes when it has found out.
    let args = ["--rate", "100M", "--wait-for", "3"];
    let done = transfer(&desk, &net, &file, &wanted, &args, Duration::from_secs(300))?;

    if !done.receivers[0].took_unicast() {
        return Err("the blocked receiver never took unicast: was it blocked?".into());
    }
    let others = done.completed[1..]
        .iter()
        .copied()
        .max()
        .unwrap_or_default();
    let ratio = others.as_secs_f64() / undisturbed.as_secs_f64();
    Ok(vec![
        Measure::new(
            "the others' time / undisturbed",
            ratio,
            "",
            Limit::AtMost(1.12),
        ),
        Measure::new("undisturbed", undisturbed.as_secs_f64(), "s", Limit::Free),
        Measure::new(
            "the blocked one",
            done.completed[0].as_secs_f64(),
            "s",
            Limit::Free,
        ),
        Measure::new("sender's wire bytes / file", done.wire, "", Limit::Free),
    ])
}

pub(crate) fn mtu1400(bench: &Bench) -> Result<Vec<Measure>, String> {
    let net = Net::new(3)?;
    net.set_mtu(1, 1_400)?;
    let desk = bench.desk()?;
    let file = desk.file("film", bench.mib(32, 16))?;
    let mut receivers = Vec::new();
    for i in [1, 2] {
        let receiver = desk
            .loopcast
            .receive(net.host(i), &desk.inbox(i), &[], GROUP)?;
        receiver.wait_until_up()?;
        receivers.push(receiver);
    }
    let sender = desk
        .loopcast
        .send(net.host(0), &["--to", GROUP, "--rate", "100M"], &[&file])?;
    let deadline = Instant::now() + Duration::from_secs(120);
    receivers[1].succeed(deadline)?;
    desk.verify(2, &file)?;
    let narrow = receivers[0].wait(deadline)?;
    let took = since(sender.started(), receivers[0].ended_at())?.as_secs_f64();
    sender.wait(deadline)?;
    let kept = |how: &str| {
        vec![
            Measure::new(
                "delivered, or advice given",
                1.0,
                "of 1",
                Limit::AtLeast(1.0),
            ),
            Measure::new(how, took, "s", Limit::Free),
        ]
    };
    if narrow.success() {
        desk.verify(1, &file)?;
        return Ok(kept("delivered in smaller packets, after"));
    }
    // Not delivered: then it must be said why, and what to do about it.
    if receivers[0]
        .output()
        .iter()
        .any(|l| l.text.contains("--symbol-size"))
    {
        return Ok(kept("says why not and what to do, after"));
    }
    Err(format!(
        "no file and no advice from the receiver behind it\n{}",
        receivers[0].tail()
    ))
}
