//! Hosts that fetch and serve at once: chains and trees of them, on paths with and without faults.
//!
//! `LOOPCAST_SEEDS=0..100 cargo test --test sim_edge` makes more runs.

#![allow(clippy::unwrap_used)]

mod faults;

use core::ops::Range;

use faults::{at, bad_link, ms};
use loopcast::rng::Rng;
use loopcast::sim::{Config, Content, Link, Outcome, World};
use loopcast::units::Rate;

/// Runs with faults that every test run makes.
const SEEDS: Range<u64> = 0..6;

fn seeds() -> Range<u64> {
    let Ok(range) = std::env::var("LOOPCAST_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = range.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

/// A world whose first server stays, and offers some objects with real bytes.
fn world(seed: u64, rate: Rate, lengths: &[usize]) -> World {
    let mut world = World::new(Config {
        rate,
        stay: true,
        ..Config::new(seed)
    })
    .unwrap();
    world.check_every_step();
    for (i, &length) in lengths.iter().enumerate() {
        let content = Content::random(&format!("object {i}"), length, 1_344, 64, seed ^ i as u64);
        let mut content = content.unwrap();
        if i % 2 == 1 {
            content = content.with_parity().unwrap();
        }
        world.offer_content(content).unwrap();
    }
    world
}

/// Edges one behind the other, and a receiver at the end.
fn chain(world: &mut World, edges: usize, mut link: impl FnMut() -> Link) {
    let mut server = 0;
    for _ in 0..edges {
        (_, server) = world.add_edge(server, link()).unwrap();
    }
    let target = world.target(server);
    world.add_receiver_with(at(0), link(), target, |_| {});
}

/// Edges behind the first server, and receivers behind each of them.
fn tree(world: &mut World, edges: usize, each: usize, mut link: impl FnMut() -> Link) {
    for _ in 0..edges {
        let (_, server) = world.add_edge(0, link()).unwrap();
        let target = world.target(server);
        for _ in 0..each {
            world.add_receiver_with(at(0), link(), target, |_| {});
        }
    }
}

fn all_are_complete(world: &World) -> bool {
    world.complete() == world.receivers()
}

fn must_be_complete(world: &World, seed: u64) {
    for receiver in 0..world.receivers() {
        assert!(
            matches!(world.outcome(receiver), Outcome::Complete(_)),
            "seed {seed}: receiver {receiver} is {:?} at {:?}\n{:?}\n{:?}",
            world.outcome(receiver),
            world.now(),
            world.receiver(receiver).progress().collect::<Vec<_>>(),
            world.receiver_events(receiver),
        );
    }
}

/// When the last receiver had everything.
fn seconds(world: &World) -> f64 {
    let ends = (0..world.receivers()).filter_map(|r| match world.outcome(r) {
        Outcome::Complete(at) => Some(at.as_nanos() as f64 / 1e9),
        _ => None,
    });
    ends.fold(0.0, f64::max)
}

/// What has come of an object goes on before the rest has come.
#[test]
fn a_chain_of_five_takes_little_longer_than_one_hop() {
    let rate = Rate::from_bps(20_000_000);
    let time = |edges| {
        let mut world = world(1, rate, &[5_000_000]);
        chain(&mut world, edges, || Link::clean(ms(2)));
        world.run_while(at(60_000), |w| !all_are_complete(w));
        must_be_complete(&world, 1);
        seconds(&world)
    };
    let (one, five) = (time(0), time(5));
    assert!(one < 3.0 && five < 2.0 * one, "{one} s, {five} s");
}

/// Runs with faults for 9 s, and then without.
fn must_outlast(mut world: World, seed: u64) {
    world.run_while(at(9_000), |_| true);
    world.calm();
    world.run_while(at(300_000), |w| !all_are_complete(w));
    must_be_complete(&world, seed);
}

#[test]
fn chains_of_five_outlast_every_fault() {
    for seed in seeds() {
        let mut rng = Rng::new(seed);
        let rate = Rate::from_bps([20, 50, 100][rng.below(3) as usize] * 1_000_000);
        let mut world = world(seed, rate, &[700_000, 2_500_000]);
        chain(&mut world, 5, || bad_link(&mut rng, rate, true));
        must_outlast(world, seed);
    }
}

#[test]
fn trees_outlast_every_fault() {
    for seed in seeds() {
        let mut rng = Rng::new(seed ^ 0x7ee);
        let rate = Rate::from_bps([20, 50, 100][rng.below(3) as usize] * 1_000_000);
        let mut world = world(seed, rate, &[700_000, 2_500_000]);
        tree(&mut world, 3, 3, || bad_link(&mut rng, rate, true));
        must_outlast(world, seed);
    }
}

/// Followed by everybody beside their own edge, another server fills in for edges that die.
#[test]
fn receivers_that_follow_two_edges_outlast_one() {
    let rate = Rate::from_bps(20_000_000);
    let mut world = world(3, rate, &[5_000_000]);
    let (_, first) = world.add_edge(0, Link::clean(ms(2))).unwrap();
    let (_, second) = world.add_edge(0, Link::clean(ms(5))).unwrap();
    let target = world.target(first);
    let receiver = world.add_receiver_with(at(0), Link::clean(ms(3)), target, |_| {});
    world.follow(receiver, second);
    world.run_while(at(900), |_| true);
    let begun = world.receiver(receiver).progress().next().unwrap();
    assert!(0 < begun.held && begun.held < begun.symbols, "{begun:?}");
    world.kill_server(first);
    world.run_while(at(60_000), |w| !all_are_complete(w));
    must_be_complete(&world, 3);
}
