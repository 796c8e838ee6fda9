//! Twenty receivers with real bytes and every fault at once; then faults off, and everybody must
//! finish.
//!
//! `LOOPCAST_SEED=17 cargo test --test sim_faults` replays one run, `LOOPCAST_SEEDS=0..300` many. For hours of virtual time:
//! `LOOPCAST_SOAK_HOURS=10 cargo test --release --test sim_faults soak -- --ignored --nocapture`.

#![allow(clippy::unwrap_used)]

mod faults;

use core::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use faults::{at, bad_link, ms};
use loopcast::engine::{Target, Via};
use loopcast::rate::Adapt;
use loopcast::rng::Rng;
use loopcast::sim::{Config, Content, Link, Outcome, World};
use loopcast::time::Time;
use loopcast::units::Rate;

/// Runs that every test run makes.
const SEEDS: Range<u64> = 0..10;
const RECEIVERS: usize = 20;
/// These two don't come back.
const KILLED: usize = 5;
const FULL: usize = 11;

/// The seeds that the environment asks for, or these.
fn seeds(default: Range<u64>) -> Range<u64> {
    if let Ok(seed) = std::env::var("LOOPCAST_SEED") {
        let seed = seed.parse().unwrap();
        return seed..seed + 1;
    }
    let Ok(range) = std::env::var("LOOPCAST_SEEDS") else {
        return default;
    };
    let (from, to) = range.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

fn each_seed(default: Range<u64>, run: impl Fn(u64)) {
    let failed: Vec<u64> = seeds(default)
        .filter(|&seed| catch_unwind(AssertUnwindSafe(|| run(seed))).is_err())
        .collect();
    assert!(
        failed.is_empty(),
        "replay one of these with LOOPCAST_SEED=n: {failed:?}"
    );
}

/// A world in which all that can go wrong will.
fn storm(seed: u64) -> World {
    let mut rng = Rng::new(seed);
    let rate = Rate::from_bps([20, 50, 100, 300][rng.below(4) as usize] * 1_000_000);
    let restarts = seed.is_multiple_of(3);
    let stay = restarts || rng.chance(0.5);
    // One that does not stay may end before the others come, unless it waits for them. After a
    // restart those who are done don't ask.
    let wait_for = if stay { 1 } else { RECEIVERS as u32 };
    let mut world = World::new(Config {
        rate,
        groups: 1 + rng.below(3) as u8,
        group_feedback: rng.chance(0.5),
        wait_for,
        stay,
        ..Config::new(seed)
    })
    .unwrap();
    world.check_every_step();
    let objects = 1 + rng.below(3);
    for i in 0..objects {
        let length = [0, 1, 5_000, 700_000, 2_500_000][rng.below(5) as usize] + rng.below(2_000);
        let symbol_size = [1_024, 1_344][rng.below(2) as usize];
        let k = [8, 64, 512][rng.below(3) as usize];
        let name = format!("object {i}");
        let content = Content::random(&name, length as usize, symbol_size, k, rng.next_u64());
        let mut content = content.unwrap();
        if rng.chance(0.5) {
            content = content.with_parity().unwrap();
        }
        world.offer_content(content).unwrap();
    }
    for i in 0..RECEIVERS {
        let mut link = bad_link(&mut rng, rate, stay);
        let mut start = if rng.chance(0.3) { 5_000 } else { 100 };
        if i == KILLED {
            // It is to be known before it dies.
            (link, start) = (Link::clean(ms(3)), 1);
        }
        let group = Target::Group {
            group: "239.192.7.0:4700".parse().unwrap(),
            source: None,
        };
        let target = if rng.chance(0.3) {
            Target::Host(world.sender_address())
        } else {
            group
        };
        let one = rng.chance(0.3).then(|| rng.below(objects));
        let via = rng.chance(0.1).then_some(Via::Unicast);
        world.add_receiver_with(at(rng.below(start)), link, target, |c| {
            c.name = one.map(|i| format!("object {i}"));
            c.via = via;
        });
        if i % 7 == 3 {
            world.rot_bits(i, 0.001);
        }
    }
    for _ in 0..rng.below(20) {
        let from = rng.below(4_000);
        world.lose_for_all(at(from), at(from + rng.below(40)));
    }
    world
}

fn must_be_complete(world: &World, seed: u64, receiver: usize) {
    let last: Vec<_> = world.sender_events().iter().rev().take(20).collect();
    assert!(
        matches!(world.outcome(receiver), Outcome::Complete(_)),
        "seed {seed}: receiver {receiver} is {:?} at {:?}\n{:?}\nthe sender: {last:?}",
        world.outcome(receiver),
        world.now(),
        world.receiver_events(receiver),
    );
}

#[test]
fn everybody_alive_finishes_after_every_fault() {
    each_seed(SEEDS, |seed| {
        let mut world = storm(seed);
        world.run_while(at(800 + seed % 10 * 100), |_| true);
        world.kill(KILLED);
        world.fill_disk(FULL);
        world.run_while(at(4_000), |_| true);
        if seed.is_multiple_of(3) {
            world.restart_sender(ms(seed % 7 * 300));
        }
        world.run_while(at(9_000), |_| true);
        world.calm();
        let ended = world.run(at(180_000));
        for i in (0..RECEIVERS).filter(|i| *i != KILLED && *i != FULL) {
            must_be_complete(&world, seed, i);
        }
        assert!(
            ended,
            "seed {seed}: not everybody has ended\n{:#?}",
            world.sender_events()
        );
    });
}

#[test]
fn faults_replay_event_for_event() {
    let run = |seed| {
        let mut world = storm(seed);
        world.run_while(at(5_000), |_| true);
        (world.digest(), world.totals())
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first.0, run(2).0);
}

/// Receivers of a soak at a time.
const CROWD: usize = 8;

/// A sender that stays, for some minutes of virtual time: every few seconds something breaks, starts anew or changes, and every
/// minute or two all is well for as long as those who are there need to get everything. Gives the time it took.
fn soak(seed: u64) -> Time {
    let mut rng = Rng::new(seed ^ 0x50a4);
    let rate = Rate::from_bps([5, 10, 20][rng.below(3) as usize] * 1_000_000);
    let groups = 1 + rng.below(4) as u8;
    let ladder = groups == 4;
    let mut world = World::new(Config {
        rate,
        groups,
        tiers: match ladder {
            true => loopcast::rate::halves(rate).into_iter().take(4).collect(),
            false => Vec::new(),
        },
        ladder,
        adapt: [Adapt::Fixed, Adapt::Average, Adapt::Lowest][rng.below(3) as usize],
        group_feedback: rng.chance(0.5),
        sealed: rng.chance(0.5),
        stay: true,
        ..Config::new(seed)
    })
    .unwrap();
    world.check_every_step();
    let mut objects = Vec::new();
    let mut offer = |world: &mut World, rng: &mut Rng| {
        let length = 1 + rng.below(1_500_000);
        let k = [8, 64, 512][rng.below(3) as usize];
        let name = format!("object {}", objects.len() % 4);
        let content = Content::random(&name, length as usize, 1_344, k, rng.next_u64()).unwrap();
        let content = match rng.chance(0.6) {
            true => content.with_parity().unwrap(),
            false => content,
        };
        objects.push(());
        world.offer_content(content).unwrap()
    };
    let mut current = vec![offer(&mut world, &mut rng)];
    let mut alive: Vec<usize> = Vec::new();
    for _ in 0..4 {
        while alive.len() < CROWD {
            let (now, link) = (world.now(), bad_link(&mut rng, rate, true));
            alive.push(world.add_receiver(now + ms(rng.below(5_000)), link));
        }
        let until = world.now() + ms(20_000 + rng.below(60_000));
        while world.now() < until {
            let who = rng.below(CROWD as u64) as usize;
            match rng.below(12) {
                0 | 1 => world.restart_sender(ms(rng.below(3_000))),
                2 | 3 => {
                    alive[who] = world.restart_receiver(alive[who], ms(rng.below(5_000)));
                }
                4..=6 => world.set_link(alive[who], bad_link(&mut rng, rate, true)),
                7 | 8 => {
                    let now = world.now();
                    world.lose_for_all(now, now + ms(rng.below(3_000)));
                }
                9 if current.len() < 4 => current.push(offer(&mut world, &mut rng)),
                10 => world.rot_bits(alive[who], 0.002),
                _ => {}
            }
            let next = world.now() + ms(rng.below(6_000));
            world.run_while(next, |_| true);
        }
        world.calm();
        let complete = |w: &World| {
            alive
                .iter()
                .all(|&i| matches!(w.outcome(i), Outcome::Complete(_)))
        };
        let deadline = world.now() + ms(300_000);
        world.run_while(deadline, |w| !complete(w));
        for &i in &alive {
            must_be_complete(&world, seed, i);
        }
        alive.clear();
    }
    world.now()
}

#[test]
fn a_short_soak() {
    each_seed(0..3, |seed| {
        soak(seed);
    });
}

#[test]
#[ignore = "it takes as long as it is told"]
fn soak_for_hours() {
    let hours = std::env::var("LOOPCAST_SOAK_HOURS").map_or(1.0, |h| h.parse().unwrap());
    let first = std::env::var("LOOPCAST_SEED").map_or(0, |s| s.parse().unwrap());
    let mut seconds = 0.0;
    for seed in first.. {
        let done = catch_unwind(|| soak(seed));
        let done = done.unwrap_or_else(|_| panic!("replay with LOOPCAST_SEED={seed}"));
        seconds += done.as_nanos() as f64 / 1e9;
        if seconds >= hours * 3_600.0 {
            eprintln!("{:.1} hours, seeds {first} to {seed}", seconds / 3_600.0);
            return;
        }
    }
}
