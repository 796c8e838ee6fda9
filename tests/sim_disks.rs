//! Receivers whose disks take less than the network brings, in a simulated network.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod engines;

use core::time::Duration;

use engines::{from_receiver, request_holding};
use loopcast::ids::ShortCodingId;
use loopcast::object::Description;
use loopcast::rate::Adapt;
use loopcast::sim::{Config, Link, Loss, Outcome, World};
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{ReceiverBody, Report, Stage};

const LENGTH: u64 = 100_000_000;
const LIAR: u64 = 77;

fn mbps(n: u64) -> Rate {
    Rate::from_bps(n * 1_000_000)
}

/// Receivers of a film on a network of 1 Gbit/s, some of whose disks take less.
fn world(adapt: Adapt, disks: &[Option<Rate>], others: u32) -> World {
    let config = Config {
        rate: mbps(1_000),
        adapt,
        wait_for: disks.len() as u32 + others,
        ..Config::new(7)
    };
    let mut world = World::new(config).unwrap();
    world.check_every_step();
    let film = Description::pretend("film", LENGTH, 1_344, 512).unwrap();
    world.offer(film.with_parity().unwrap()).unwrap();
    for disk in disks {
        let receiver = world.add_receiver(Time::ZERO, Link::clean(Duration::from_micros(500)));
        if let Some(rate) = disk {
            world.slow_disk(receiver, *rate);
        }
    }
    world
}

fn finished(world: &World, receiver: usize) -> f64 {
    match world.outcome(receiver) {
        Outcome::Complete(at) => at.as_secs_f64(),
        other => panic!("{receiver}: {other:?}"),
    }
}

/// The rate goes to what their disks take before anything has to be thrown away.
#[test]
fn disks_that_are_slower_than_the_network_set_the_pace() {
    for (adapt, receivers, disk) in [
        (Adapt::Average, 4, mbps(100)),
        (Adapt::Lowest, 2, mbps(200)),
    ] {
        let mut world = world(adapt, &vec![Some(disk); receivers], 0);
        assert!(world.run(Time::from_millis(60_000)));
        for receiver in 0..receivers {
            assert_eq!(world.stalled(receiver), 0);
            let share = finished(&world, receiver) / disk.time_for(LENGTH).as_secs_f64();
            assert!(share < 1.15, "{share} of what it takes to write it");
        }
    }
}

/// It is served as its disk takes it, and what it has no room for it does not ask for.
#[test]
fn one_slow_disk_of_eight_holds_up_its_own_receiver() {
    let eight = |slow: Option<Rate>| {
        let mut disks = [None; 8];
        disks[3] = slow;
        let mut world = world(Adapt::Average, &disks, 0);
        assert!(world.run(Time::from_millis(60_000)));
        let others = (0..8).filter(|&i| i != 3).map(|i| finished(&world, i));
        (others.fold(0.0, f64::max), finished(&world, 3))
    };
    let (alone, _) = eight(None);
    for disk in [mbps(20), mbps(100), mbps(400)] {
        let (others, slow) = eight(Some(disk));
        assert!(others < 1.3 * alone, "{others} s, {alone} s alone");
        let share = slow / disk.time_for(LENGTH).as_secs_f64();
        assert!(share < 1.25, "{share} of what it takes to write it");
    }
}

/// One of eight says again and again that its buffers are full, or that they were and are not any more.
#[test]
fn who_says_that_it_is_behind_and_is_not_costs_the_others_little() {
    let beside = |says: fn(u64) -> u8| {
        let mut world = world(Adapt::Average, &[None; 7], 1);
        let from = "10.9.9.9:9000".parse().unwrap();
        let join = request_holding(Stage::JoinGroup, true);
        world.say(Time::from_millis(1), from, from_receiver(LIAR, 0, join));
        for i in 1..1_000 {
            let report = ReceiverBody::Report(Report {
                coding: ShortCodingId(0),
                symbols_held: 0,
                throughput: mbps(1_000),
                packets: 400 * i,
                lost: 0,
                overflowed: 0,
                damaged: 0,
                stalled: 0,
                longest_run: 0,
                measured: Duration::from_millis(5),
                unicast: false,
                behind: says(i),
            });
            let at = Time::from_millis(5 * i);
            world.say(at, from, from_receiver(LIAR, i, report));
        }
        world.run(Time::from_millis(5_000));
        (0..7).map(|i| finished(&world, i)).fold(0.0, f64::max)
    };
    let honest = beside(|_| 0);
    let lies: [fn(u64) -> u8; 3] = [
        |_| 255,
        |i| if i % 2 == 0 { 255 } else { 0 },
        |i| if i % 20 < 10 { 255 } else { 0 },
    ];
    for (lie, says) in lies.into_iter().enumerate() {
        // It is believed for a second, once.
        let cost = beside(says) - honest;
        assert!(cost < 0.7, "lie {lie}: {cost} s more than {honest} s");
    }
}

/// It says nothing while a disk is busy with something else, so the sender forgets it and ends.
#[test]
fn who_has_all_of_it_puts_it_on_disk_though_the_sender_has_long_ended() {
    let config = Config {
        write_time: Duration::from_secs(90),
        ..Config::new(3)
    };
    let mut world = World::new(config).unwrap();
    world.check_every_step();
    let film = Description::pretend("film", 4 << 20, 1_344, 512).unwrap();
    world.offer(film).unwrap();
    let near = Link::clean(Duration::from_micros(500));
    let receiver = world.add_receiver(Time::ZERO, near.clone());
    world.run(Time::from_millis(10_000));
    let up = Loss::Random(1.0);
    world.set_link(receiver, Link { up, ..near });
    world.run(Time::from_millis(400_000));
    assert!(finished(&world, receiver) > 180.0);
}
