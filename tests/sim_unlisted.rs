//! More receivers than the sender's roster has room for, in a simulated network.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

mod engines;

use core::time::Duration;

use engines::{from_receiver, request_holding};
use loopcast::engine::{ObjectKey, PacketKind, ReceiverEvent, SenderEvent, Target, Via};
use loopcast::object::Description;
use loopcast::rate::Adapt;
use loopcast::sim::{Config, Link, Loss, Outcome, World};
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{ReceiverBody, Report, Stage};

const DELAY: Duration = Duration::from_millis(5);

fn world(config: Config, bytes: u64) -> World {
    let mut world = World::new(config).unwrap();
    world.check_every_step();
    let film = Description::pretend("film", bytes, 1_344, 512).unwrap();
    world.offer(film.with_parity().unwrap()).unwrap();
    world
}

/// When the last receiver had everything.
fn last(world: &World, receivers: usize) -> Time {
    let times = (0..receivers).map(|i| match world.outcome(i) {
        Outcome::Complete(at) => at,
        other => panic!("{i}: {other:?}"),
    });
    times.max().unwrap()
}

/// Bytes of NAKs and reports, with all headers, over those that the sender sent.
fn feedback(world: &World, receivers: usize) -> f64 {
    let sent = |kind| -> u64 {
        let counts = (0..receivers).map(|i| world.receiver(i).stats().sent(kind));
        counts.map(|c| c.bytes + 28 * c.packets).sum()
    };
    let both = sent(PacketKind::Nak) + sent(PacketKind::Report);
    both as f64 / world.totals().sender_bytes as f64
}

/// So many receivers that each lose 5 % get a film from a sender with so small a roster.
fn all_complete(seed: u64, roster: u32, receivers: usize, bytes: u64) {
    let mut world = world(
        Config {
            roster,
            wait_for: receivers as u32,
            rate: Rate::from_bps(20_000_000),
            ..Config::new(seed)
        },
        bytes,
    );
    for i in 0..receivers {
        let link = Link::lossy(DELAY, Loss::Random(0.05));
        world.add_receiver(Time::from_millis(i as u64 % 100), link);
    }
    let deadline = Time::from_millis(120_000);
    // Nothing is sent before all have asked; half way all are here.
    let half = bytes / 1_344 / 2;
    assert!(world.run_while(deadline, |w| w.totals().data_packets < half));
    let unlisted = receivers - roster as usize;
    let part = f64::from(world.sender().unlisted()) / unlisted as f64;
    assert!((0.5..=2.0).contains(&part), "{part} of {unlisted} counted");
    assert!(world.run(deadline));
    let spent = feedback(&world, receivers);
    let last = last(&world, receivers);
    let over = world.now().since(last);
    let wire = world.totals().sender_bytes as f64 / bytes as f64;
    println!(
        "{roster} of {receivers}: {part:.2} counted, feedback {spent:.4}, wire {wire:.3}, last {last:?}, end {over:?} after"
    );
    assert!(spent <= 0.01, "{spent}");
    assert!(over < Duration::from_secs(7), "{over:?}");
}

#[test]
fn a_small_roster_serves_all() {
    all_complete(1, 50, 500, 8_000_000);
}

#[test]
fn no_roster_serves_all() {
    all_complete(2, 0, 100, 4_000_000);
}

/// The rate follows reports of those who are not listed where there is nobody else.
#[test]
fn a_rate_is_found_without_a_roster() {
    let took = |roster| {
        let mut world = world(
            Config {
                roster,
                adapt: Adapt::Average,
                ..Config::new(6)
            },
            16_000_000,
        );
        for _ in 0..10 {
            let link = Link {
                rate: Some((Rate::from_bps(50_000_000), 300_000)),
                ..Link::clean(DELAY)
            };
            world.add_receiver(Time::ZERO, link);
        }
        assert!(world.run(Time::from_millis(60_000)));
        last(&world, 10).as_secs_f64()
    };
    let (listed, unlisted) = (took(10), took(0));
    println!("{listed:.2} s listed, {unlisted:.2} s not");
    assert!(unlisted < listed * 1.3);
}

/// One that is not listed dies without a word.
#[test]
fn whoever_is_not_listed_is_waited_for_but_not_for_ever() {
    let mut world = world(
        Config {
            roster: 1,
            wait_for: 2,
            ..Config::new(3)
        },
        1_000_000,
    );
    world.add_receiver(Time::ZERO, Link::clean(DELAY));
    let mute = world.add_receiver(Time::from_millis(300), Link::clean(DELAY));
    world.run_while(Time::from_millis(60_000), |w| w.totals().data_packets < 100);
    assert_eq!(world.sender().unlisted(), 1);
    world.kill(mute);
    let killed = world.now();
    assert!(world.run(Time::from_millis(60_000)));
    let over = world.now().since(killed);
    assert!((4_000..7_000).contains(&over.as_millis()), "{over:?}");
    assert_eq!(world.complete(), 1);
}

/// Who can't use the group has to wait for a place.
#[test]
fn a_place_that_is_left_is_given_to_one_who_asks() {
    let mut world = world(
        Config {
            roster: 1,
            rate: Rate::from_bps(10_000_000),
            ..Config::new(4)
        },
        4_000_000,
    );
    world.add_receiver(Time::ZERO, Link::clean(DELAY));
    let target = Target::Host(world.sender_address());
    let waits = world.add_receiver_with(
        Time::from_millis(500),
        Link::clean(DELAY),
        target,
        |config| config.via = Some(Via::Unicast),
    );
    assert!(world.run(Time::from_millis(60_000)));
    assert_eq!(world.complete(), 2);
    let told = world.receiver_events(waits).iter();
    let told = told.filter(|(_, e)| *e == ReceiverEvent::NoRoom).count();
    assert_eq!(told, 1);
    let joined = |e: &SenderEvent| matches!(e, SenderEvent::Joined { unicast: true, .. });
    assert!(world.sender_events().iter().any(|(_, e)| joined(e)));
}

/// Somebody pretends to be thousands, who all join once and report all the time: that makes no more of them, and
/// hinders the end for no longer than it lasts.
#[test]
fn pretending_to_be_many_changes_little() {
    let mut world = world(
        Config {
            roster: 4,
            rate: Rate::from_bps(20_000_000),
            ..Config::new(5)
        },
        2_000_000,
    );
    for _ in 0..8 {
        world.add_receiver(Time::ZERO, Link::lossy(DELAY, Loss::Random(0.02)));
    }
    let film = Description::pretend("film", 2_000_000, 1_344, 512).unwrap();
    let coding = film.with_parity().unwrap().coding().short();
    let from = "10.9.9.9:9000".parse().unwrap();
    let mut say = |at, id, body| {
        world.say(Time::from_millis(at), from, from_receiver(id, at, body));
    };
    for i in 0..300 {
        let join = request_holding(Stage::JoinGroup, true);
        say(600 + i, 1_000 + i, join);
    }
    for i in 0..20_000 {
        let report = Report {
            coding,
            ..Report::default()
        };
        say(1_000 + i / 4, i, ReceiverBody::Report(report));
    }
    world.run_while(Time::from_millis(1_500), |w| {
        w.now() < Time::from_millis(1_400)
    });
    let counted = world.sender().unlisted();
    assert!(counted <= 320, "{counted}");
    assert!(world.run(Time::from_millis(60_000)));
    last(&world, 8);
    let end = world.now();
    assert!(end < Time::from_millis(16_000), "{end:?}");
}

/// What only they lack is withdrawn: nobody lacks anything then.
#[test]
fn a_sender_ends_when_what_they_lack_is_withdrawn() {
    let mut world = world(
        Config {
            roster: 0,
            rate: Rate::from_bps(10_000_000),
            ..Config::new(6)
        },
        20_000_000,
    );
    for _ in 0..4 {
        world.add_receiver(Time::ZERO, Link::clean(DELAY));
    }
    world.run_while(Time::from_millis(3_000), |_| true);
    world.change_file(ObjectKey(0));
    let finished = |w: &World| {
        let mut events = w.sender_events().iter();
        events.any(|(_, e)| matches!(e, SenderEvent::Finished))
    };
    assert!(world.run_while(Time::from_millis(20_000), |w| !finished(w)));
}
