//! Sessions without a way back in a simulated network, with real bytes.

#![allow(clippy::unwrap_used, reason = "a test may")]

use core::num::NonZeroU32;
use core::time::Duration;

use loopcast::carousel::Surplus;
use loopcast::sim::{Config, Content, Cut, Link, Loss, Outcome, World};
use loopcast::time::Time;

const LENGTH: usize = 3_000_017;

/// Offers a film; data follows at once.
fn offer(world: &mut World, block_kib: u32, seed: u64) {
    let content = Content::random("film", LENGTH, 1_344, block_kib, seed).unwrap();
    world.offer_content(content.with_parity().unwrap()).unwrap();
}

fn world(seed: u64, cycles: u32, stay: bool) -> World {
    let config = Config {
        one_way: NonZeroU32::new(cycles),
        surplus: Surplus::Share(0.1),
        stay,
        ..Config::new(seed)
    };
    World::new(config).unwrap()
}

fn link(loss: f64) -> Link {
    Link::lossy(Duration::from_millis(3), Loss::Random(loss))
}

#[test]
fn one_cycle_with_parity_reaches_all_and_nobody_speaks() {
    for seed in 0..3 {
        let mut world = world(seed, 1, false);
        for _ in 0..20 {
            world.add_one_way_receiver(Time::ZERO, link(0.05));
        }
        world.run(Time::from_millis(10));
        offer(&mut world, 1_024, seed);
        assert!(world.run(Time::from_millis(20_000)));
        assert_eq!(world.complete(), 20);
        assert_eq!(world.totals().receiver_packets, 0);
        assert!(world.sender().is_finished());
    }
}

/// 8 ms without anything take 71 packets, where the parity of a block makes up for 20.
#[test]
fn a_fade_is_spread_over_several_blocks() {
    for (fade, complete) in [(Duration::ZERO, 0), (Duration::from_millis(8), 5)] {
        let mut world = World::new(Config {
            one_way: NonZeroU32::new(1),
            surplus: Surplus::Share(0.1),
            fade,
            ..Config::new(7)
        })
        .unwrap();
        for i in 0..5 {
            let cut = Cut {
                from: Time::from_millis(60 + 20 * i),
                until: Time::from_millis(68 + 20 * i),
                groups_only: false,
            };
            let link = Link {
                cuts: vec![cut],
                ..link(0.002)
            };
            world.add_one_way_receiver(Time::ZERO, link);
        }
        world.run(Time::from_millis(10));
        offer(&mut world, 256, 7);
        assert!(world.run(Time::from_millis(20_000)));
        assert_eq!(world.complete(), complete, "{fade:?}");
    }
}

#[test]
fn two_cycles_make_up_for_thirty_percent() {
    let mut world = world(9, 2, false);
    for _ in 0..20 {
        world.add_one_way_receiver(Time::ZERO, link(0.3));
    }
    world.run(Time::from_millis(10));
    offer(&mut world, 1_024, 9);
    assert!(world.run(Time::from_millis(20_000)));
    assert_eq!((world.complete(), world.totals().receiver_packets), (20, 0));
}

/// Who was not told that the session is one-way hears it before it would speak.
#[test]
fn who_comes_late_and_untold_is_silent_too() {
    let mut world = world(4, 1, true);
    offer(&mut world, 1_024, 4);
    for i in 0..10 {
        world.add_receiver(Time::from_millis(40 + 37 * i), link(0.05));
    }
    world.run(Time::from_millis(3_000));
    assert_eq!((world.complete(), world.totals().receiver_packets), (10, 0));
}

/// The end of the session, with something lacking, is said and told apart from success.
#[test]
fn what_is_lacking_at_the_end_is_a_failure() {
    let mut world = world(5, 1, false);
    offer(&mut world, 1_024, 5);
    let late = world.add_one_way_receiver(Time::from_millis(120), link(0.0));
    assert!(world.run(Time::from_millis(20_000)));
    assert_eq!(world.complete(), 0);
    assert!(matches!(world.outcome(late), Outcome::Failed(_)));
}

/// Who is told to be silent gains from a session with a way back that runs for another.
#[test]
fn a_silent_receiver_of_another_session_takes_what_goes_by() {
    let mut world = World::new(Config::new(6)).unwrap();
    world.add_receiver(Time::ZERO, link(0.0));
    let silent = world.add_one_way_receiver(Time::ZERO, link(0.0));
    world.run(Time::from_millis(10));
    offer(&mut world, 512, 6);
    world.run(Time::from_millis(20_000));
    let told = world.receiver_events(silent);
    assert!(
        matches!(world.outcome(silent), Outcome::Complete(_)),
        "{told:?}"
    );
}
