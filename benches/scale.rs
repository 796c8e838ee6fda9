//! What the protocol promises of large groups, in simulated networks: a line a promise, with the
//! figure, the limit and the verdict. Ends with 1 if one does not hold.
//!
//! `cargo bench --bench scale -- [NAME...]`

#![expect(clippy::print_stdout, reason = "printing is what it does")]

use core::net::SocketAddr;
use core::time::Duration;
use std::process::ExitCode;
use std::time::Instant;

use loopcast::engine::{PacketKind, SenderEvent, Target};
use loopcast::object::Description;
use loopcast::rate::Adapt;
use loopcast::sim::{Config, Link, Loss, Outcome, World};
use loopcast::time::Time;
use loopcast::units::Rate;

/// Bytes of a file without parity.
const FILE: u64 = 64_000_000;
/// Bytes of a film with parity.
const FILM: u64 = 16_000_000;
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
    let cases: [Case; 12] = [
        ("shared_loss", || shared_loss(false, false)),
        ("shared_loss_repair_lost", || shared_loss(false, true)),
        ("shared_loss_group_feedback", || shared_loss(true, true)),
        ("own_loss", own_loss),
        ("join_and_done", join_and_done),
        ("parity_1000_at_1", || parity(1_000, 0.01, 1.06)),
        ("parity_1000_at_5", || parity(1_000, 0.05, 1.06)),
        ("parity_10000_at_1", || parity(10_000, 0.01, 1.07)),
        ("unlisted_10000", || unlisted(10_000, 1_000)),
        ("tiers_1000", || tiers(1_000, 16_000_000)),
        ("tiers_10000", || tiers(10_000, 16_000_000)),
        ("many_100000", many),
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

fn film(bytes: u64) -> Description {
    let film = Description::pretend("film", bytes, 1_344, 512).and_then(Description::with_parity);
    film.expect("the geometry is possible")
}

/// A film with parity, for all that are waited for: they start within so many milliseconds, and each loses so much.
fn lossy(config: Config, loss: f64, within: u64) -> World {
    let receivers = config.wait_for;
    let mut world = World::new(config).expect("the configuration is sound");
    world.offer(film(FILM)).expect("it is the first offer");
    for i in 0..receivers {
        let link = Link::lossy(DELAY, Loss::Random(loss));
        world.add_receiver(Time::from_millis(u64::from(i) % within), link);
    }
    world
}

/// With parity, receivers that each lose so much need hardly more than one of them alone.
fn parity(receivers: u32, loss: f64, limit: f64) -> Vec<Line> {
    let config = Config {
        wait_for: receivers,
        ..Config::new(4)
    };
    let mut world = lossy(config, loss, 100);
    world.run(Time::from_millis(120_000));
    let totals = world.totals();
    let floor = FILM as f64 / 1_344.0 / (1.0 - loss);
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
            totals.nak_bytes as f64 / FILM as f64,
            0.02,
        ),
    ]
}

/// More receivers that each lose 1 % than the sender's roster has room for.
fn unlisted(receivers: u32, roster: u32) -> Vec<Line> {
    let config = Config {
        wait_for: receivers,
        roster,
        ..Config::new(13)
    };
    let mut world = lossy(config, 0.01, 1_000);
    let deadline = Time::from_millis(120_000);
    let feedback = |world: &World| -> u64 {
        let sent = |i, kind| world.receiver(i).stats().sent(kind);
        let both = |i| [sent(i, PacketKind::Nak), sent(i, PacketKind::Report)];
        let counts = (0..receivers as usize).flat_map(both);
        counts.map(|c| c.bytes + 28 * c.packets).sum()
    };
    // Before and after that nothing is sent that it could be a part of.
    world.run_while(deadline, |w| w.totals().data_packets == 0);
    let before = (feedback(&world), world.totals().sender_bytes);
    world.run_while(deadline, |w| w.totals().data_packets < FILM / 1_344);
    let spent = (feedback(&world) - before.0) as f64;
    let data = (world.totals().sender_bytes - before.1) as f64;
    let counted = f64::from(world.sender().unlisted()) / f64::from(receivers - roster);
    world.run(deadline);
    let times = (0..receivers as usize).map(|i| match world.outcome(i) {
        Outcome::Complete(at) => at,
        _ => Time::ZERO,
    });
    let last = times.max().unwrap_or(Time::ZERO);
    let needed = FILM as f64 / 1_344.0 / 0.99;
    vec![
        line(
            "receivers left",
            f64::from(receivers) - world.complete() as f64,
            0.0,
        ),
        line(
            "counted / there, or its inverse",
            counted.max(1.0 / counted),
            2.0,
        ),
        line(
            "data over what one receiver needs",
            world.totals().data_packets as f64 / needed,
            1.07,
        ),
        line("bytes of NAKs and reports / of data", spent / data, 0.01),
        line(
            "seconds from the last to the end",
            world.now().since(last).as_secs_f64(),
            7.0,
        ),
    ]
}

/// Links of log-uniform rates from 1 to 1,000 Mbit/s, whose owners know them, at a sender with 2.5
/// Gbit/s and a ladder of tiers, which begins when the first has joined: how long each takes from
/// then on, beside what its link alone would need.
fn tiers(receivers: u64, bytes: u64) -> Vec<Line> {
    let rate = Rate::from_bps(2_500_000_000);
    // Twelve: the slowest for the slowest link, each by as much faster than the one below.
    let step = |n: i32| Rate::from_bps((1e6 * 1_000f64.powf(f64::from(n) / 12.0)) as u64);
    let tiers: Vec<Rate> = (0..12).rev().map(step).collect();
    let mut world = World::new(Config {
        rate,
        groups: tiers.len() as u8 + 1,
        tiers,
        ladder: true,
        adapt: Adapt::Average,
        leave_time: Duration::from_secs(2),
        wait_for: 1,
        ..Config::new(11)
    })
    .expect("the configuration is sound");
    world.offer(film(bytes)).expect("it is the first offer");
    let mut rates = Vec::new();
    let target = Target::Group {
        group: SocketAddr::from(([239, 192, 7, 0], 4_700)),
        source: None,
    };
    for i in 0..receivers {
        // Evenly over the logarithm, in no order.
        let at = (i * 7_919 % receivers) as f64 / receivers as f64;
        let link = Rate::from_bps((1e6 * 1_000f64.powf(at)) as u64);
        let queue = link.bytes_in(Duration::from_millis(50)).max(15_000);
        let link = Link {
            rate: Some((link, queue)),
            ..Link::clean(Duration::from_millis(1))
        };
        rates.push(link.rate.map_or(0, |(rate, _)| rate.as_bps()));
        let downlink = link.rate.map(|(rate, _)| rate);
        world.add_receiver_with(Time::ZERO, link, target, |c| c.downlink = downlink);
    }
    world.run(Time::from_millis(600_000));
    let began = world
        .sender_events()
        .iter()
        .find_map(|(at, event)| matches!(event, SenderEvent::Joined { .. }).then_some(*at));
    let began = began.unwrap_or(Time::ZERO);
    let mut ratios: Vec<f64> = (0..receivers as usize)
        .map(|i| {
            let ideal = bytes as f64 * 8.0 * 1_408.0 / 1_344.0 / rates[i] as f64;
            match world.outcome(i) {
                Outcome::Complete(at) => at.since(began).as_secs_f64() / ideal,
                _ => f64::INFINITY,
            }
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share) as usize];
    let totals = world.totals();
    let sent = |kind| -> u64 {
        let counts = (0..receivers as usize).map(|i| world.receiver(i).stats().sent(kind));
        counts.map(|c| c.bytes + 28 * c.packets).sum()
    };
    let feedback = sent(PacketKind::Nak) + sent(PacketKind::Report);
    let feedback = feedback as f64 / totals.sender_bytes as f64;
    vec![
        line("median time / what the link needs", at(0.5), 1.6),
        line("99th percentile", at(0.99), 3.0),
        line("the slowest", at(1.0), f64::INFINITY),
        line("bytes of NAKs and reports / of data", feedback, 0.01),
    ]
}

/// A hundred thousand receivers of one small file.
fn many() -> Vec<Line> {
    let mut world = World::new(Config {
        wait_for: 100_000,
        ..Config::new(12)
    })
    .expect("the configuration is sound");
    world.offer(film(1_000_000)).expect("it is the first offer");
    for _ in 0..100_000 {
        world.add_receiver(Time::ZERO, Link::clean(Duration::from_millis(1)));
    }
    world.run(Time::from_millis(600_000));
    let missing = 100_000 - world.complete();
    vec![line("receivers that lack something", missing as f64, 0.0)]
}
