//! What the protocol promises of large groups, in simulated networks: a line a promise, with the
//! figure, the limit and the verdict. Ends with 1 if one does not hold.
//!
//! `cargo bench --bench scale -- [NAME...]`

#![expect(clippy::print_stdout, reason = "printing is what it does")]

use core::time::Duration;
use std::process::ExitCode;
use std::time::Instant;

use loopcast::engine::PacketKind;
use loopcast::object::Description;
use loopcast::sim::{Config, Link, Loss, Outcome, World};
use loopcast::time::Time;

const FILE: u64 = 64_000_000;
/// One-way, so that the round trip is 20 ms.
const DELAY: Duration = Duration::from_millis(10);
/// What a loss, and one of its repair, has time to be mended in; longer than either may take.
const WINDOW: Duration = Duration::from_millis(700);
const GRTT: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let cases: [Case; 8] = [
        ("shared_loss", || shared_loss(false, false)),
        ("shared_loss_repair_lost", || shared_loss(false, true)),
        ("shared_loss_group_feedback", || shared_loss(true, true)),
        ("own_loss", own_loss),
        ("join_and_done", join_and_done),
        ("parity_1000_at_1", || parity(1_000, 0.01, 1.06)),
        ("parity_1000_at_5", || parity(1_000, 0.05, 1.06)),
        ("parity_10000_at_1", || parity(10_000, 0.01, 1.07)),
    ];
    let mut failed = false;
    for (name, run) in cases {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        let start = Instant::now();
        let lines = run();
        let took = start.elapsed().as_secs_f64();
        for line in &lines {
            let ok = line.figure <= line.limit;
            failed |= !ok;
            let verdict = if ok { "PASS" } else { "FAIL" };
            println!(
                "{name:<28} {:<44} {:>9.3} limit {:>9.3}  {verdict}",
                line.what, line.figure, line.limit
            );
        }
        println!("{name:<28} {:<44} {took:>9.3} s of this machine", "");
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// A promise's name, and what measures it.
type Case = (&'static str, fn() -> Vec<Line>);

/// A figure that must not be above its limit.
struct Line {
    what: &'static str,
    figure: f64,
    limit: f64,
}

fn line(what: &'static str, figure: f64, limit: f64) -> Line {
    Line {
        what,
        figure,
        limit,
    }
}

fn world(seed: u64, receivers: u32, group_feedback: bool) -> World {
    let config = Config {
        wait_for: receivers,
        group_feedback,
        ..Config::new(seed)
    };
    let mut world = World::new(config).expect("the configuration is sound");
    let film = Description::pretend("film", FILE, 1_344, 512).expect("the geometry is possible");
    world.offer(film).expect("it is the first offer");
    world
}

/// A thousand receivers lose the same packets, once in every half second; and, on demand, the
/// first repair too.
fn shared_loss(group_feedback: bool, repair_lost: bool) -> Vec<Line> {
    const RECEIVERS: u32 = 1_000;
    let mut world = world(1, RECEIVERS, group_feedback);
    for i in 0..RECEIVERS {
        let start = Time::from_millis(u64::from(i) % 100);
        world.add_receiver(start, Link::clean(DELAY));
    }
    let deadline = Time::from_millis(60_000);
    world.run_while(deadline, |w| w.totals().data_packets == 0);
    let mut naks = 0;
    let mut losses = 0;
    let mut repaired_in: Vec<Duration> = Vec::new();
    while world.complete() == 0 && world.now() + WINDOW * 2 < deadline {
        let before = world.totals();
        let begin = world.now();
        // 3 ms at 100 Mbit/s are some 26 packets.
        world.lose_for_all(begin, begin + Duration::from_millis(3));
        let repairs = world.sender().stats().repairs;
        if repair_lost {
            world.lose_next_repairs(20);
            world.run_while(begin + Duration::from_millis(400), |w| {
                w.sender().stats().repairs > repairs + 20
            });
        }
        let second = world.sender().stats().repairs;
        world.run_while(begin + WINDOW, |w| {
            let sent = w.sender().stats().repairs;
            sent <= second || w.lacking_passed() > 0
        });
        let took = world.now().since(begin);
        world.run_while(begin + WINDOW, |_| true);
        if world.sender().stats().repairs > repairs {
            repaired_in.push(took);
            naks += world.totals().naks - before.naks;
            losses += 1 + u64::from(repair_lost);
        }
    }
    world.run(deadline);
    repaired_in.sort_unstable();
    let k = if group_feedback { 4 } else { 6 };
    let at = repaired_in.len() * 99 / 100;
    let slow = repaired_in
        .get(at.min(repaired_in.len().saturating_sub(1)))
        .copied()
        .unwrap_or(Duration::MAX);
    let events = if repair_lost { 2.0 } else { 1.0 };
    vec![
        line(
            "receivers left",
            f64::from(RECEIVERS) - world.complete() as f64,
            0.0,
        ),
        line(
            "NAK packets per loss",
            naks as f64 / f64::from(losses.max(1) as u32),
            5.0,
        ),
        line(
            "losses too few to tell",
            if losses < 8 { 1.0 } else { 0.0 },
            0.0,
        ),
        line(
            "99 % repaired within, in round trips",
            slow.as_secs_f64() / GRTT.as_secs_f64(),
            f64::from(2 * k + 4) * events,
        ),
    ]
}

/// A thousand receivers each lose 1 % by itself.
fn own_loss() -> Vec<Line> {
    const RECEIVERS: u32 = 1_000;
    let start = Instant::now();
    let mut world = world(2, RECEIVERS, false);
    for i in 0..RECEIVERS {
        let start = Time::from_millis(u64::from(i) % 100);
        world.add_receiver(start, Link::lossy(DELAY, Loss::Random(0.01)));
    }
    world.run(Time::from_millis(120_000));
    let totals = world.totals();
    vec![
        line(
            "receivers left",
            f64::from(RECEIVERS) - world.complete() as f64,
            0.0,
        ),
        line(
            "data over file",
            totals.data_packets as f64 * 1_344.0 / FILE as f64,
            2.3,
        ),
        line(
            "NAK bytes over file",
            totals.nak_bytes as f64 / FILE as f64,
            0.02,
        ),
        line(
            "seconds of this machine",
            start.elapsed().as_secs_f64(),
            30.0,
        ),
    ]
}

/// A thousand receivers join within 100 ms and finish together.
fn join_and_done() -> Vec<Line> {
    const RECEIVERS: u32 = 1_000;
    let mut world = world(3, RECEIVERS, false);
    for i in 0..RECEIVERS {
        world.add_receiver(Time::from_millis(u64::from(i) / 10), Link::clean(DELAY));
    }
    world.run(Time::from_millis(60_000));
    let known = world.sender().receivers().count();
    let complete = |i: &usize| matches!(world.outcome(*i), Outcome::Complete(_));
    let all = 0..RECEIVERS as usize;
    let most = |kind| {
        all.clone()
            .map(|i| world.receiver(i).stats().sent(kind).packets)
            .max()
            .unwrap_or(0)
    };
    vec![
        line(
            "receivers not known",
            f64::from(RECEIVERS) - known as f64,
            0.0,
        ),
        line(
            "receivers left",
            f64::from(RECEIVERS) - all.clone().filter(complete).count() as f64,
            0.0,
        ),
        line(
            "most join packets of one receiver",
            most(PacketKind::Request) as f64,
            3.0,
        ),
        line(
            "most done packets of one receiver",
            most(PacketKind::Done) as f64,
            3.0,
        ),
    ]
}

/// With parity, receivers that each lose so much need hardly more than one of them alone.
fn parity(receivers: u32, loss: f64, limit: f64) -> Vec<Line> {
    const LENGTH: u64 = 16_000_000;
    let config = Config {
        wait_for: receivers,
        ..Config::new(4)
    };
    let mut world = World::new(config).expect("the configuration is sound");
    let film = Description::pretend("film", LENGTH, 1_344, 512).and_then(Description::with_parity);
    world
        .offer(film.expect("the geometry is possible"))
        .expect("it is the first offer");
    for i in 0..receivers {
        let link = Link::lossy(DELAY, Loss::Random(loss));
        world.add_receiver(Time::from_millis(u64::from(i) % 100), link);
    }
    world.run(Time::from_millis(120_000));
    let totals = world.totals();
    let floor = LENGTH as f64 / 1_344.0 / (1.0 - loss);
    vec![
        line(
            "receivers left",
            f64::from(receivers) - world.complete() as f64,
            0.0,
        ),
        line(
            "data over what one receiver needs",
            totals.data_packets as f64 / floor,
            limit,
        ),
        line(
            "NAK bytes over file",
            totals.nak_bytes as f64 / LENGTH as f64,
            0.02,
        ),
    ]
}
