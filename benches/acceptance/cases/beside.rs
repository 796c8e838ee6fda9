//! Cases in which receivers on unicast share a sender with others.

use super::scheduled::{Plan, Went, ratio, run, told};
use super::{GROUP, SENDER, Wanted, group_receivers};
use crate::bench::Bench;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Blocked, Net};
use loopcast_lab::schedule::{Schedule, wire_floor};
use std::time::Duration;

fn send(
    bench: &Bench,
    net: &Net,
    bytes: u64,
    wanted: &[Wanted],
    args: &[&str],
    limit: Duration,
) -> Result<Went, String> {
    let desk = bench.desk()?;
    let file = desk.file("image", bytes)?;
    let plan = Plan {
        files: &[file],
        wanted,
        args: &[&["--to", GROUP], args].concat(),
        schedule: Schedule::default(),
        limit,
    };
    run(&desk, net, &plan)
}

/// One receiver without multicast, beside a free one and one on 20 Mbit/s.
pub(crate) fn blocked_beside_slow(bench: &Bench) -> Result<Vec<Measure>, String> {
    const MBIT: u32 = 20;
    const MOST: f64 = 1.3;
    let net = Net::new(4)?;
    net.block_multicast(2, Blocked::Inbound)?;
    net.limit(3, MBIT)?;
    let bytes = bench.mb(64, 24);
    let wanted = group_receivers(3);
    let alone = |limit| send(bench, &net, bytes, &wanted[1..2], &[], limit);
    let alone = alone(Duration::from_secs(30))?;
    let alone = alone.whole("the blocked one alone")?.last();
    // The slow one decides how long all take, the blocked one is what is judged.
    let limit = wire_floor(bytes, u64::from(MBIT)).mul_f64(1.4);
    let all = ["--wait-for", "3"];
    let all = send(bench, &net, bytes, &wanted, &all, limit)?;
    Ok(vec![
        ratio(
            "the blocked one's time / alone",
            all.completed[1],
            alone,
            MOST,
        ),
        told("the blocked one alone", alone),
        told("the free one", all.completed[0]),
        told("the slow one", all.completed[2]),
        Measure::new(
            "sender's wire bytes / file (a copy each: 3.0)",
            all.sent as f64 / bytes as f64,
            "",
            Limit::Free,
        ),
    ])
}

/// Twenty receivers on unicast beside two on multicast.
pub(crate) fn twenty_unicast(bench: &Bench) -> Result<Vec<Measure>, String> {
    const BYTES: u64 = 16_000_000;
    const MOST: f64 = 1.1;
    let net = Net::new(23)?;
    let mut wanted = group_receivers(2);
    let (args, both) = (["--rate", "100M"], ["--wait-for", "2"]);
    let limit = wire_floor(BYTES, 100) * 4;
    let alone = send(bench, &net, BYTES, &wanted, &[args, both].concat(), limit)?;
    let alone = alone.whole("the two alone")?.last();

    wanted.extend((3..23).map(|host| Wanted {
        host,
        url: SENDER,
        args: &["--via", "unicast"],
    }));
    let limit = wire_floor(20 * BYTES, 100) * 2;
    let all = ["--wait-for", "22"];
    let all = send(bench, &net, BYTES, &wanted, &[args, all].concat(), limit)?;
    let (multicast, unicast) = all.completed.split_at(2);
    let multicast = multicast.iter().copied().max().unwrap_or_default();
    let speeds = unicast.iter().map(|t| BYTES as f64 / t.as_secs_f64());
    let speeds: Vec<f64> = speeds.collect();
    let (sum, squares) = speeds
        .iter()
        .fold((0.0, 0.0), |(a, b), x| (a + x, b + x * x));
    // Receivers that were cut short are not served fairly, however alike they are.
    let jain = match all.is_whole {
        true => sum * sum / (speeds.len() as f64 * squares),
        false => 0.0,
    };
    let extreme = |pick: fn(Duration, Duration) -> Duration| {
        unicast.iter().copied().reduce(pick).unwrap_or_default()
    };
    Ok(vec![
        Measure::new(
            "Jain's index of the unicast receivers",
            jain,
            "",
            Limit::AtLeast(0.95),
        )
        .timed(),
        ratio(
            "multicast: time / without the others",
            multicast,
            alone,
            MOST,
        ),
        told("first of the unicast receivers", extreme(Duration::min)),
        told("last of them", extreme(Duration::max)),
    ])
}
