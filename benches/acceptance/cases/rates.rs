//! Cases in which loss comes and goes, or the sender is held up: whether its rate comes back.
//!
//! All send one file at 100 Mbit/s. Limits are the wire's floor, or what the links allow, for the
//! same bytes.

use super::scheduled::{Plan, Went, ratio, run, told, within};
use super::{GROUP, Wanted, group_receivers};
use crate::bench::Bench;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Net, Traffic};
use loopcast_lab::program::Program;
use loopcast_lab::schedule::{Schedule, Step, wire_floor};
use std::time::Duration;

const MBIT: u64 = 100;

/// Sends `bytes` to `wanted` while the schedule runs.
fn send(
    bench: &Bench,
    net: &Net,
    bytes: u64,
    wanted: &[Wanted],
    schedule: &Schedule,
    limit: Duration,
) -> Result<Went, String> {
    let desk = bench.desk()?;
    let files = [desk.file("image", bytes)?];
    let all = wanted.len().to_string();
    let plan = Plan {
        files: &files,
        wanted,
        args: &["--to", GROUP, "--rate", "100M", "--wait-for", &all],
        schedule: schedule.clone(),
        limit,
    };
    run(&desk, net, &plan)
}

/// All three receivers lose most packets for some seconds.
pub(crate) fn outage_all(bench: &Bench) -> Result<Vec<Measure>, String> {
    let which = if bench.quick { Some((900, 6)) } else { None };
    outages(bench, &[1, 2, 3], which)
}

/// One of three does.
pub(crate) fn outage_one(bench: &Bench) -> Result<Vec<Measure>, String> {
    let which = if bench.quick { Some((1_000, 3)) } else { None };
    outages(bench, &[1], which)
}

/// Outages of these hosts from second 3: each loss for each time, or the one named (in thousandths
/// and seconds).
fn outages(
    bench: &Bench,
    hosts: &[usize],
    only: Option<(u32, u64)>,
) -> Result<Vec<Measure>, String> {
    const BEGIN: u64 = 3;
    let bytes = bench.mb(100, 60);
    let net = Net::new(4)?;
    let wanted = group_receivers(3);
    let send = |schedule: &Schedule, limit| send(bench, &net, bytes, &wanted, schedule, limit);
    let undisturbed = match bench.three_undisturbed.get() {
        Some(time) => *time,
        None => {
            let limit = wire_floor(bytes, MBIT) * 3;
            let went = send(&Schedule::default(), limit)?.whole("undisturbed")?;
            *bench.three_undisturbed.get_or_init(|| went.last())
        }
    };

    let losses = [1_000, 970, 900, 500, 300].into_iter();
    let all = losses.flat_map(|loss| [3, 6, 20].map(|time| (loss, time)));
    let mut measures = vec![told("undisturbed", undisturbed)];
    for (loss, time) in only.map_or_else(|| all.collect(), |one| vec![one]) {
        let mut schedule = Schedule::default();
        schedule.add(BEGIN as f64, Step::Count);
        for &host in hosts {
            schedule.add(BEGIN as f64, Step::Lose(host, Traffic::Udp, loss));
            schedule.add((BEGIN + time) as f64, Step::Lose(host, Traffic::Udp, 0));
        }
        schedule.add((BEGIN + time) as f64, Step::Count);
        let limit = undisturbed + Duration::from_secs(time + 3);
        let went = send(&schedule, limit)?;

        let what = format!("{} % lost for {time} s", loss / 10);
        measures.push(within(
            format!("{what}: start to last copy"),
            went.last(),
            limit,
        ));
        // An outage that outlasts the transfer ends with it.
        let begin = went.counts.first().copied().unwrap_or(went.sent);
        let end = went.counts.get(1).copied().unwrap_or(went.sent);
        let useful = (went.sent - (end - begin)) as f64;
        let most = match hosts.len() {
            1 => Limit::Free,
            _ => Limit::AtMost(1.35),
        };
        let what = format!("{what}: wire bytes beside / file");
        measures.push(Measure::new(what, useful / bytes as f64, "", most));
    }
    Ok(measures)
}

/// Four busy loops on the machine for twenty seconds.
pub(crate) fn busy_host(bench: &Bench) -> Result<Vec<Measure>, String> {
    const BEGIN: f64 = 2.0;
    const END: f64 = 22.0;
    let net = Net::new(4)?;
    let mut schedule = Schedule::default();
    schedule.add(BEGIN, Step::Load(4));
    schedule.add(END, Step::Load(0));
    // More than 25 s at this rate.
    let bytes = 300_000_000;
    let wanted = group_receivers(3);
    let went = send(
        bench,
        &net,
        bytes,
        &wanted,
        &schedule,
        Duration::from_secs(60),
    )?;
    let went = went.whole("beside busy loops")?;
    let share = |from: f64, to: f64| {
        let rate = rate(&went.sender, from, to);
        rate.map(|bps| bps / (MBIT * 1_000_000) as f64)
            .ok_or(format!("no progress was told from {from} to {to} s"))
    };
    Ok(vec![
        Measure::new(
            "sender's rate from 1 s after they end / --rate",
            share(END + 1.0, END + 3.0)?,
            "",
            Limit::AtLeast(0.95),
        )
        .timed(),
        Measure::new("while they run", share(BEGIN + 1.0, END)?, "", Limit::Free),
        told("start to last copy", went.last()),
    ])
}

/// IP bits a second that a sender told of between two times since its start.
fn rate(sender: &Program, from: f64, to: f64) -> Option<f64> {
    let told = sender.events("progress").into_iter();
    let points = told.filter_map(|(_, e)| Some((e["t"].as_f64()?, e["sent_bytes"].as_f64()?)));
    let points: Vec<_> = points.filter(|(t, _)| (from..=to).contains(t)).collect();
    let (first, last) = (points.first()?, points.last()?);
    (last.0 > first.0).then(|| (last.1 - first.1) * 8.0 / (last.0 - first.0))
}

/// Random loss that is another each second.
pub(crate) fn loss_alternating(bench: &Bench) -> Result<Vec<Measure>, String> {
    const MOST: f64 = 1.15;
    /// Steps of the drift: 0 to 10 % and back within a minute.
    const MINUTE: u32 = 60;
    let triangle = (0..MINUTE).map(|second| second.min(MINUTE - second) * 200 / MINUTE);
    let mut patterns = vec![("5/0 %", vec![50, 0], bench.mb(100, 60))];
    if !bench.quick {
        patterns.push(("15/2 %", vec![150, 20], bench.mb(100, 100)));
        patterns.push(("3/1 %", vec![30, 10], bench.mb(100, 100)));
        patterns.push(("0 to 10 % and back", triangle.collect(), bench.mb(600, 600)));
    }
    let net = Net::new(2)?;
    let mut measures = Vec::new();
    for (what, losses, bytes) in patterns {
        let mut schedule = Schedule::default();
        let seconds = wire_floor(bytes, MBIT).as_secs() * 4;
        for (second, &loss) in (0..seconds).zip(losses.iter().cycle()) {
            schedule.add(second as f64, Step::Lose(1, Traffic::Udp, loss));
        }
        let floor = schedule.allows(1, bytes, MBIT);
        let limit = floor.mul_f64(MOST);
        let went = send(bench, &net, bytes, &group_receivers(1), &schedule, limit)?;
        let what = format!("{what} lost: time / what the link allows");
        measures.push(ratio(what, went.last(), floor, MOST));
    }
    Ok(measures)
}

/// Multicast alone loses nearly all for ten seconds.
pub(crate) fn multicast_loss98(bench: &Bench) -> Result<Vec<Measure>, String> {
    let runs = if bench.quick { 1 } else { 20 };
    let bytes = bench.mb(100, 100);
    let mut schedule = Schedule::default();
    schedule.add(3.0, Step::Lose(1, Traffic::Multicast, 980));
    schedule.add(13.0, Step::Lose(1, Traffic::Multicast, 0));
    let limit = wire_floor(bytes, MBIT) + Duration::from_secs(13);
    let net = Net::new(2)?;
    let mut measures = Vec::new();
    for (what, args) in [
        ("any path", &[] as &[&str]),
        ("--via multicast", &["--via", "multicast"]),
    ] {
        let wanted = [Wanted {
            host: 1,
            url: GROUP,
            args,
        }];
        let mut times = Vec::new();
        for _ in 0..runs {
            times.push(send(bench, &net, bytes, &wanted, &schedule, limit)?.last());
        }
        measures.extend(in_time(what, &times, |_| limit));
    }
    Ok(measures)
}

/// How many of several runs kept their limits, which all must, and the slowest of them.
///
/// Not timed: one run out of many that fails is what such cases look for, and not chance.
fn in_time(what: &str, times: &[Duration], limit: impl Fn(usize) -> Duration) -> [Measure; 2] {
    let kept = times.iter().enumerate().filter(|(i, t)| **t <= limit(*i));
    let kept = Measure::new(
        format!("{what}: runs of {} in time", times.len()),
        kept.count() as f64,
        "",
        Limit::AtLeast(times.len() as f64),
    );
    let shares = times.iter().enumerate();
    let shares = shares.map(|(i, t)| t.as_secs_f64() / limit(i).as_secs_f64());
    let worst = shares.fold(0.0, f64::max);
    let what = format!("{what}: longest time / its limit");
    [kept, Measure::new(what, worst, "", Limit::Free)]
}

/// The sender's process is stopped for some time.
pub(crate) fn sender_stopped(bench: &Bench) -> Result<Vec<Measure>, String> {
    const BEGIN: f64 = 2.0;
    let stops: &[f64] = if bench.quick { &[1.5] } else { &[1.5, 3.7] };
    let bytes = bench.mb(100, 60);
    let net = Net::new(4)?;
    let wanted = group_receivers(3);
    let mut measures = Vec::new();
    for &stop in stops {
        let mut schedule = Schedule::default();
        schedule.add(BEGIN, Step::Stop);
        schedule.add(BEGIN + stop, Step::Continue);
        let limit = wire_floor(bytes, MBIT) + Duration::from_secs_f64(stop + 2.0);
        let went = send(bench, &net, bytes, &wanted, &schedule, limit)?;
        let what = format!("stopped for {stop} s: start to last copy");
        measures.push(within(what, went.last(), limit));
    }
    Ok(measures)
}

/// Random loss in random steps at each of one to three receivers, and stops of the sender.
///
/// The environment variable `LOOPCAST_BENCH_SEED` names one seed to run.
pub(crate) fn random_schedules(bench: &Bench) -> Result<Vec<Measure>, String> {
    const BYTES: u64 = 60_000_000;
    const MOST: f64 = 1.5;
    let start = Duration::from_secs(1);
    let seeds = match std::env::var("LOOPCAST_BENCH_SEED") {
        Ok(seed) => {
            let seed = seed
                .parse()
                .map_err(|e| format!("LOOPCAST_BENCH_SEED: {e}"))?;
            vec![seed]
        }
        Err(_) if bench.quick => (1..=3).collect(),
        Err(_) => (1..=60).collect::<Vec<u64>>(),
    };
    let net = Net::new(4)?;
    let (mut times, mut limits) = (Vec::new(), Vec::new());
    for seed in seeds {
        let (receivers, schedule) = random_schedule(seed);
        let allowed = schedule.allows(receivers, BYTES, MBIT);
        let limit = allowed.mul_f64(MOST) + start;
        let wanted = group_receivers(receivers);
        let took = send(bench, &net, BYTES, &wanted, &schedule, limit)?.last();
        if took > limit {
            eprintln!(
                "seed {seed}: {:.1} s, of {:.1} s that {receivers} links allow: {schedule}",
                took.as_secs_f64(),
                allowed.as_secs_f64(),
            );
        }
        times.push(took);
        limits.push(limit);
    }
    Ok(in_time("seeds", &times, |i| limits[i]).into())
}

/// One to three receivers, and what happens to them in half a minute.
fn random_schedule(seed: u64) -> (usize, Schedule) {
    const LENGTH: f64 = 30.0;
    let mut rng = fastrand::Rng::with_seed(seed);
    let receivers = rng.usize(1..=3);
    let mut schedule = Schedule::default();
    for host in 1..=receivers {
        let mut now = 0.0;
        while now < LENGTH {
            let traffic = if rng.u8(..5) == 0 {
                Traffic::Multicast
            } else {
                Traffic::Udp
            };
            let (loss, time) = if rng.u8(..8) == 0 {
                let loss = [500, 900, 1_000][rng.usize(..3)];
                (loss, 0.5 + 2.5 * rng.f64())
            } else {
                (rng.u32(0..=300), 0.5 + 3.5 * rng.f64())
            };
            schedule.add(now, Step::Lose(host, traffic, loss));
            now += time;
            schedule.add(now, Step::Lose(host, traffic, 0));
        }
    }
    if rng.u8(..3) == 0 {
        let stop = 1.0 + 4.0 * rng.f64();
        schedule.add(stop, Step::Stop);
        schedule.add(stop + 2.0 * rng.f64(), Step::Continue);
    }
    (receivers, schedule)
}
