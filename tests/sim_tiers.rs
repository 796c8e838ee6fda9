//! Tiers and rates that follow, in a simulated network with bottlenecks.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

use core::time::Duration;

use loopcast::engine::{ReceiverEvent, Target};
use loopcast::object::{Codec, Description, Geometry};
use loopcast::rate::{self, Adapt};
use loopcast::sim::{Config, Link, Loss, Outcome, World};
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::MoveCause;

const MBIT: u64 = 1_000_000;

fn mbps(n: u64) -> Rate {
    Rate::from_bps(n * MBIT)
}

/// A sender that may use `rate`, with a ladder of tiers below it.
fn world(seed: u64, rate: Rate, wait_for: u32) -> World {
    let tiers = rate::halves(rate);
    World::new(Config {
        rate,
        groups: tiers.len() as u8 + 1,
        tiers,
        ladder: true,
        adapt: Adapt::Average,
        leave_time: Duration::from_secs(2),
        wait_for,
        ..Config::new(seed)
    })
    .unwrap()
}

fn film(name: &str, bytes: u64) -> Description {
    let (block_kib, m) = if bytes < 256 << 20 {
        (512, 391)
    } else {
        (1_024, 781)
    };
    Description {
        name: name.to_owned(),
        content: loopcast::ids::Hash([1; 32]),
        geometry: Geometry::new(bytes, 1_344, block_kib, m, 64).unwrap(),
        codec: Codec::ReedSolomon,
        table: loopcast::ids::Hash([2; 32]),
        kind: loopcast::object::ObjectKind::File,
    }
}

fn offer(world: &mut World, bytes: u64) {
    world.offer(film("film", bytes)).unwrap();
}

/// A link with a queue of 50 ms.
fn narrow(rate: Rate) -> Link {
    Link {
        rate: Some((rate, rate.bytes_in(Duration::from_millis(50)))),
        ..Link::clean(Duration::from_micros(500))
    }
}

fn seconds(outcome: Outcome) -> f64 {
    match outcome {
        Outcome::Complete(at) => at.as_nanos() as f64 / 1e9,
        other => panic!("{other:?}"),
    }
}

fn moves(world: &World, receiver: usize) -> Vec<(f64, u64, MoveCause)> {
    let events = world.receiver_events(receiver).iter();
    events
        .filter_map(|(at, event)| match event {
            ReceiverEvent::Tier { rate, cause } => {
                Some((at.as_nanos() as f64 / 1e9, rate.as_bps() / 1_000, *cause))
            }
            _ => None,
        })
        .collect()
}

fn print(world: &World, receivers: usize) {
    for i in 0..receivers {
        println!("{i}: {:?} {:?}", world.outcome(i), moves(world, i));
    }
    println!("{:?} {:?}", world.totals(), world.now());
}

/// One of four is behind a tenth of the rate: it costs one more tier, and the others no time.
#[test]
fn a_slow_receiver_costs_one_tier() {
    const BYTES: u64 = 32_000_000;
    let mut world = world(1, mbps(100), 4);
    offer(&mut world, BYTES);
    for rate in [1_000, 1_000, 1_000, 10] {
        world.add_receiver(Time::ZERO, narrow(mbps(rate)));
    }
    world.run(Time::from_millis(100_000));
    print(&world, 4);
    for fast in 0..3 {
        assert!(seconds(world.outcome(fast)) < 3.8);
    }
    assert!(seconds(world.outcome(3)) < 34.0);
    assert!(world.totals().sender_bytes as f64 <= 2.4 * BYTES as f64);
}

/// A slow one and a fast one get a film each, on one channel that follows the lowest of them.
#[test]
fn a_slow_receiver_that_is_done_holds_nobody_back() {
    let mut world = World::new(Config {
        rate: mbps(1_000),
        adapt: Adapt::Lowest,
        wait_for: 2,
        ..Config::new(3)
    })
    .unwrap();
    for (name, bytes) in [("short", 500_000), ("long", 100_000_000)] {
        world.offer(film(name, bytes)).unwrap();
    }
    for (name, rate) in [("short", 10), ("long", 100)] {
        let host = Target::Host(world.sender_address());
        world.add_receiver_with(Time::ZERO, narrow(mbps(rate)), host, |c| {
            c.name = Some(name.to_owned());
        });
    }
    world.run(Time::from_millis(200_000));
    print(&world, 2);
    let [slow, fast] = [0, 1].map(|i| seconds(world.outcome(i)));
    assert!(slow < 3.0 && fast < 25.0, "{slow:.1} s, {fast:.1} s");
}

/// Two links of 50 Mbit/s and two of 200, and the sender is told nothing.
#[test]
fn everyone_comes_near_what_its_link_carries() {
    const BYTES: u64 = 256_000_000;
    let mut world = world(2, mbps(10_000), 4);
    offer(&mut world, BYTES);
    let rates = [50, 50, 200, 200];
    for rate in rates {
        world.add_receiver(Time::ZERO, narrow(mbps(rate)));
    }
    world.run(Time::from_millis(200_000));
    print(&world, 4);
    for (i, rate) in rates.into_iter().enumerate() {
        let alone = BYTES as f64 * 8.0 * 1_408.0 / 1_344.0 / (rate * MBIT) as f64;
        let took = seconds(world.outcome(i));
        assert!(
            took < 1.4 * alone,
            "{took:.1} s where the link needs {alone:.1}"
        );
    }
}

/// What the path loses at any rate lowers no rate and moves nobody.
#[test]
fn random_loss_is_no_congestion() {
    const BYTES: u64 = 64_000_000;
    let run = |loss: Loss| {
        let mut world = world(3, mbps(400), 8);
        offer(&mut world, BYTES);
        for _ in 0..8 {
            let link = Link::lossy(Duration::from_micros(500), loss);
            world.add_receiver(Time::ZERO, link);
        }
        world.run(Time::from_millis(100_000));
        print(&world, 8);
        let moved = (0..8).map(|i| moves(&world, i).len()).sum::<usize>();
        let last = (0..8)
            .map(|i| seconds(world.outcome(i)))
            .fold(0.0, f64::max);
        let sent = world.totals().sender_bytes as f64;
        (moved, sent * 8.0 / last, sent / BYTES as f64)
    };
    let (_, clean, _) = run(Loss::None);
    let (moved, lossy, sent) = run(Loss::Random(0.2));
    assert_eq!(moved, 0);
    assert!(lossy > 0.8 * clean, "{lossy} where {clean} is possible");
    assert!(sent < 1.39, "{sent}");
}

/// The link falls from 100 to 5 Mbit/s for ten seconds and comes back.
#[test]
fn a_link_that_falls_and_comes_back() {
    const BYTES: u64 = 512_000_000;
    let mut world = world(4, mbps(1_000), 1);
    offer(&mut world, BYTES);
    world.add_receiver(Time::ZERO, narrow(mbps(100)));
    let held = |w: &World| w.receiver(0).progress().map(|p| p.held).sum::<u64>();
    let (mut before, mut since, mut longest) = (0, Time::ZERO, Duration::ZERO);
    let mut step = 0;
    while matches!(world.outcome(0), Outcome::Running) && step < 2_000 {
        step += 1;
        let now = Time::from_millis(step * 100);
        match step {
            100 => world.set_link(0, narrow(mbps(5))),
            200 => world.set_link(0, narrow(mbps(100))),
            _ => {}
        }
        world.run(now);
        let have = held(&world);
        if have > before {
            before = have;
            since = now;
        }
        longest = longest.max(now.since(since));
    }
    print(&world, 1);
    println!("longest {longest:?}");
    assert!(moves(&world, 0).len() <= 3);
    assert!(
        longest <= Duration::from_secs(2),
        "stood still for {longest:?}"
    );
    let alone = BYTES as f64 * 8.0 * 1_408.0 / 1_344.0 / (100 * MBIT) as f64 + 9.5;
    assert!(seconds(world.outcome(0)) < 1.4 * alone);
}
