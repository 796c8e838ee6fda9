//! Parity in a simulated network, with real bytes that are encoded, lost, restored and compared.

#![allow(clippy::unwrap_used, reason = "a test may")]

use core::time::Duration;

use loopcast::carousel::Surplus;
use loopcast::engine::PacketKind;
use loopcast::object::Description;
use loopcast::sim::{Config, Content, Link, Loss, Outcome, World};
use loopcast::time::Time;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn world(seed: u64, length: usize, wait_for: u32) -> World {
    let config = Config {
        wait_for,
        ..Config::new(seed)
    };
    let mut world = World::new(config).unwrap();
    let content = Content::random("film", length, 1_344, 512, seed).unwrap();
    world.offer_content(content.with_parity().unwrap()).unwrap();
    world
}

/// A fifth of the data and a tenth of the feedback is lost, packets overtake each other and repeat.
#[test]
fn a_fifth_lost_both_ways_reordered_and_repeated() {
    const LENGTH: usize = 3_000_017;
    let mut world = world(1, LENGTH, 20);
    for i in 0..20 {
        let link = Link {
            jitter: ms(3),
            up: Loss::Random(0.1),
            duplicate: 0.02,
            ..Link::lossy(ms(1 + i), Loss::Random(0.2))
        };
        world.add_receiver(Time::from_millis(5 * i), link);
    }
    assert!(world.run(Time::from_millis(60_000)));
    assert_eq!(world.complete(), 20);
    let floor = LENGTH as f64 / 1_344.0 / 0.8;
    let sent = world.totals().data_packets as f64 / floor;
    assert!(sent < 1.15, "{sent} times what one receiver needs");
}

/// Losses come in fades of 100 ms.
#[test]
fn fades_are_bridged() {
    let mut world = world(2, 2_000_000, 5);
    for i in 0..5 {
        let link = Link::lossy(ms(5 + i), Loss::Bursts(0.000_2, 0.001_1));
        world.add_receiver(Time::ZERO, link);
    }
    assert!(world.run(Time::from_millis(60_000)));
    assert_eq!(world.complete(), 5);
}

/// Who comes late at 5 % loss gains from every packet of the cycle it meets.
#[test]
fn a_late_joiner_is_done_within_a_cycle_and_a_tenth() {
    const LENGTH: usize = 12_000_000;
    let mut world = world(3, LENGTH, 1);
    world.add_receiver(Time::ZERO, Link::lossy(ms(1), Loss::Random(0.05)));
    let cycle = ms(1_040);
    let join = Time::from_millis(600);
    let late = world.add_receiver(join, Link::lossy(ms(1), Loss::Random(0.05)));
    assert!(world.run(Time::from_millis(30_000)));
    let Outcome::Complete(at) = world.outcome(late) else {
        panic!("{:?}", world.receiver_events(late));
    };
    // What it lost comes on top of the cycle, and it needs a moment to be heard of.
    let most = cycle.mul_f64(1.10) + ms(100);
    assert!(at.since(join) <= most, "{:?} of {cycle:?}", at.since(join));
}

/// Parity that follows the reported loss spares most of the questions, and hardly costs anything.
#[test]
fn surplus_as_reported_takes_the_place_of_asking() {
    const LENGTH: u64 = 12_000_000;
    let run = |surplus| {
        let config = Config {
            wait_for: 50,
            surplus,
            ..Config::new(6)
        };
        let mut world = World::new(config).unwrap();
        let film = Description::pretend("film", LENGTH, 1_344, 512).unwrap();
        world.offer(film.with_parity().unwrap()).unwrap();
        for i in 0..50 {
            let link = Link::lossy(ms(10), Loss::Random(0.05));
            world.add_receiver(Time::from_millis(i), link);
        }
        assert!(world.run(Time::from_millis(60_000)));
        assert_eq!(world.complete(), 50);
        let totals = world.totals();
        (
            totals.data_packets,
            totals.naks,
            world.sender().stats().repairs,
        )
    };
    let (data, naks, repairs) = run(Surplus::Reported);
    let (data_asked, naks_asked, repairs_asked) = run(Surplus::None);
    assert!(data * 100 <= data_asked * 102, "{data} {data_asked}");
    assert!(repairs * 2 <= repairs_asked, "{repairs} {repairs_asked}");
    assert!(naks * 2 <= naks_asked, "{naks} {naks_asked}");
}

/// Ten receivers lose 5 %, 90 packets at a time: windows of blocks keep parity of use.
#[test]
fn bursts_cost_little_more_than_single_losses() {
    const LENGTH: u64 = 24_000_000;
    let run = |loss, seed| {
        let mut world = World::new(Config {
            wait_for: 10,
            ..Config::new(seed)
        })
        .unwrap();
        let film = Description::pretend("film", LENGTH, 1_344, 512).unwrap();
        world.offer(film.with_parity().unwrap()).unwrap();
        for i in 0..10 {
            world.add_receiver(Time::from_millis(i), Link::lossy(ms(3), loss));
        }
        assert!(world.run(Time::from_millis(200_000)), "seed {seed}");
        world.totals().data_packets as f64 * 1_344.0 / LENGTH as f64
    };
    // A run has some ten bursts a receiver: one alone (1.17 to 1.30) tells little.
    let mean = |loss| (20..40).map(|seed| run(loss, seed)).sum::<f64>() / 20.0;
    let (bursts, single) = (mean(Loss::Bursts(0.0006, 0.011)), mean(Loss::Random(0.05)));
    assert!(bursts < single + 0.15, "{bursts} {single}");
}

/// An object of one symbol, and one of none.
#[test]
fn the_smallest_objects() {
    for length in [0, 1, 1_344, 1_345] {
        let mut world = world(4, length, 3);
        for _ in 0..3 {
            world.add_receiver(Time::ZERO, Link::lossy(ms(1), Loss::Random(0.3)));
        }
        assert!(world.run(Time::from_millis(30_000)), "{length} bytes");
        assert_eq!(world.complete(), 3, "{length} bytes");
    }
}

/// A receiver on unicast gets source symbols, whatever parity it already holds.
#[test]
fn unicast_goes_on_where_the_group_was_cut() {
    let mut world = world(5, 6_000_000, 2);
    world.add_receiver(Time::ZERO, Link::lossy(ms(2), Loss::Random(0.05)));
    let mut link = Link::lossy(ms(2), Loss::Random(0.05));
    link.cuts = vec![loopcast::sim::Cut {
        from: Time::from_millis(700),
        until: Time::from_millis(60_000),
        groups_only: true,
    }];
    let cut = world.add_receiver(Time::ZERO, link);
    assert!(world.run(Time::from_millis(60_000)));
    assert_eq!(world.complete(), 2);
    let unicast = world
        .receiver(cut)
        .stats()
        .received(PacketKind::UnicastData);
    assert!(unicast.packets > 0);
}
