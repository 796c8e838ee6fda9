//! The engines in a simulated network: joining, paths, many objects, changes, restarts.

#![allow(clippy::unwrap_used)]

mod engines;

use core::time::Duration;

use engines::{from_receiver, request};
use loopcast::engine::{PathChoice, ReceiverEvent, SenderEvent, Target, Via};
use loopcast::object::Description;
use loopcast::sim::{Config, Content, Cut, Link, Loss, Outcome, World};
use loopcast::time::Time;
use loopcast::wire::Stage;

const MB: u64 = 1 << 20;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Time {
    Time::from_millis(n)
}

fn film(megabytes: u64) -> Description {
    Description::pretend("film", megabytes * MB, 1_344, 512).unwrap()
}

fn content(name: &str, length: u64, seed: u64) -> Content {
    Content::random(name, length as usize, 1_344, 64, seed).unwrap()
}

/// A checked world with one group.
fn world(seed: u64) -> World {
    world_with(Config::new(seed))
}

fn world_with(config: Config) -> World {
    let mut world = World::new(config).unwrap();
    world.check_every_step();
    world
}

#[track_caller]
fn finished_at(world: &World, receiver: usize) -> Time {
    match world.outcome(receiver) {
        Outcome::Complete(time) => time,
        other => panic!("{other:?}: {:?}", world.receiver_events(receiver)),
    }
}

fn paths(world: &World, receiver: usize) -> Vec<PathChoice> {
    let events = world.receiver_events(receiver).iter();
    events
        .filter_map(|(_, e)| match e {
            ReceiverEvent::Path(path) => Some(*path),
            _ => None,
        })
        .collect()
}

fn started(world: &World, receiver: usize) -> Vec<&str> {
    let events = world.receiver_events(receiver).iter();
    events
        .filter_map(|(_, e)| match e {
            ReceiverEvent::Started { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_seed_replays_event_for_event() {
    let run = |seed| {
        let mut world = world(seed);
        world.offer(film(4)).unwrap();
        for i in 0..5 {
            let link = Link {
                jitter: ms(2),
                ..Link::lossy(ms(i), Loss::Random(0.05))
            };
            world.add_receiver(at(10 * i), link);
        }
        assert!(world.run(at(60_000)));
        (world.digest(), world.totals(), world.now())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn without_loss_everything_is_sent_once() {
    let mut world = world_with(Config {
        wait_for: 4,
        ..Config::new(1)
    });
    world.offer(film(8)).unwrap();
    for _ in 0..4 {
        world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    }
    assert!(world.run(at(20_000)));
    assert_eq!(world.complete(), 4);
    let symbols = film(8).geometry.total_symbols();
    assert_eq!(world.totals().data_packets, symbols);
    assert_eq!(world.totals().naks, 0);
}

#[test]
fn a_megabyte_without_loss_takes_less_than_half_a_second() {
    let mut world = world(1);
    world.offer_content(content("film", MB, 3)).unwrap();
    for _ in 0..4 {
        world.add_receiver(Time::ZERO, Link::clean(Duration::from_micros(100)));
    }
    assert!(world.run(at(20_000)));
    for i in 0..4 {
        assert!(
            finished_at(&world, i) < at(500),
            "{:?}",
            finished_at(&world, i)
        );
    }
}

/// That a join was heard may be lost each time until everything is here. The sender knows of the
/// receiver all the same, and would wait for its word.
#[test]
fn who_never_learned_that_it_was_heard_says_that_it_is_done() {
    let mut gone = Vec::new();
    for seed in 0..300 {
        let mut world = world(seed);
        world.offer(film(1)).unwrap();
        world.add_receiver(Time::ZERO, Link::lossy(ms(2), Loss::Random(0.3)));
        assert!(world.run(at(60_000)), "seed {seed}");
        assert_eq!(world.complete(), 1, "seed {seed}");
        let left = |(_, e): &(Time, SenderEvent)| matches!(e, SenderEvent::Gone { .. });
        gone.extend(world.sender_events().iter().any(left).then_some(seed));
    }
    assert_eq!(gone, []);
}

#[test]
fn objects_of_no_byte_and_of_one() {
    for group_feedback in [false, true] {
        let mut world = world_with(Config {
            group_feedback,
            wait_for: 3,
            ..Config::new(4)
        });
        world.offer_content(content("empty", 0, 1)).unwrap();
        world.offer_content(content("byte", 1, 2)).unwrap();
        for i in 0..3 {
            world.add_receiver(at(i), Link::lossy(ms(5), Loss::Random(0.2)));
        }
        assert!(world.run(at(30_000)));
        assert_eq!(world.complete(), 3);
    }
}

#[test]
fn a_late_joiner_is_done_within_one_cycle() {
    let mut world = world(5);
    world.offer(film(24)).unwrap();
    let cycle = Duration::from_secs_f64(24.0 * MB as f64 * 8.0 * 1_412.0 / 1_344.0 / 100e6);
    world.add_receiver(Time::ZERO, Link::clean(ms(2)));
    let join = Time::ZERO + cycle / 2;
    world.add_receiver(join, Link::clean(ms(2)));
    assert!(world.run(at(60_000)));
    finished_at(&world, 0);
    let took = finished_at(&world, 1).since(join);
    assert!(
        took <= cycle + ms(1_000),
        "{took:?} for a cycle of {cycle:?}"
    );
    let symbols = film(24).geometry.total_symbols();
    let sent = world.totals().data_packets;
    assert!(sent <= symbols * 8 / 5, "{sent} for {symbols} symbols");
}

#[test]
fn a_receiver_without_the_group_goes_over_to_unicast() {
    let mut world = world(6);
    world.offer_content(content("film", 12 * MB, 6)).unwrap();
    world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    let cut = Cut {
        from: Time::ZERO,
        until: Time::NEVER,
        groups_only: true,
    };
    let link = Link {
        cuts: vec![cut],
        ..Link::clean(ms(1))
    };
    let host = Target::Host(world.sender_address());
    world.add_receiver_with(Time::ZERO, link, host, |_| {});
    assert!(world.run(at(60_000)));
    finished_at(&world, 0);
    finished_at(&world, 1);
    assert_eq!(paths(&world, 1), [PathChoice::UnicastSilent]);
}

#[test]
fn unicast_takes_a_tenth_while_the_group_is_busy() {
    let alone = {
        let mut world = world(7);
        world.offer(film(48)).unwrap();
        world.add_receiver(Time::ZERO, Link::clean(ms(1)));
        assert!(world.run(at(60_000)));
        finished_at(&world, 0)
    };
    let mut world = world(7);
    world.offer(film(48)).unwrap();
    world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    let host = Target::Host(world.sender_address());
    world.add_receiver_with(Time::ZERO, Link::clean(ms(1)), host, |c| {
        c.via = Some(Via::Unicast)
    });
    assert!(world.run(at(60_000)));
    let slowed = finished_at(&world, 0).as_nanos() as f64 / alone.as_nanos() as f64;
    assert!(slowed < 1.12, "{slowed}");
    assert_eq!(paths(&world, 1), [PathChoice::UnicastAsked]);
    // Once the group is idle, unicast has all of the rate.
    let rest = finished_at(&world, 1).since(finished_at(&world, 0));
    assert!(rest < ms(5_500), "{rest:?}");
}

#[test]
fn a_receiver_comes_back_to_the_group_when_it_is_heard_again() {
    let mut world = world(8);
    world.offer_content(content("film", 32 * MB, 8)).unwrap();
    world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    // Others keep the group busy.
    for i in 1..12 {
        world.add_receiver(at(i * 1_000), Link::clean(ms(1)));
    }
    let cut = Cut {
        from: at(700),
        until: at(4_000),
        groups_only: true,
    };
    let link = Link {
        cuts: vec![cut],
        ..Link::clean(ms(1))
    };
    let cut_off = world.add_receiver(Time::ZERO, link);
    assert!(world.run(at(120_000)));
    finished_at(&world, cut_off);
    assert_eq!(
        paths(&world, cut_off),
        [
            PathChoice::Group,
            PathChoice::UnicastSilent,
            PathChoice::Group
        ]
    );
}

#[test]
fn a_path_too_narrow_for_data_is_served_in_parts() {
    let mut world = world(9);
    world.offer_content(content("film", 3 * MB, 9)).unwrap();
    world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    let link = Link {
        mtu_payload: 1_372,
        ..Link::lossy(ms(1), Loss::Random(0.01))
    };
    world.add_receiver(Time::ZERO, link);
    assert!(world.run(at(60_000)));
    finished_at(&world, 0);
    finished_at(&world, 1);
    assert_eq!(paths(&world, 1), [PathChoice::UnicastNoData]);
}

#[test]
fn many_objects_over_one_group_and_over_several() {
    for groups in [1, 5] {
        let mut world = world_with(Config {
            groups,
            wait_for: 4,
            ..Config::new(10)
        });
        for i in 0..30 {
            let length = 20_000 * (i % 7) + i;
            world
                .offer_content(content(&format!("dir/{i}"), length, i))
                .unwrap();
        }
        let loss = || Link::lossy(ms(2), Loss::Random(0.03));
        let all = world.add_receiver(Time::ZERO, loss());
        let late = world.add_receiver(at(150), loss());
        let host = Target::Host(world.sender_address());
        let one = world.add_receiver_with(Time::ZERO, loss(), host, |c| {
            c.name = Some("dir/7".to_owned());
        });
        let same = world.add_receiver_with(at(50), loss(), host, |c| c.name = Some("7".to_owned()));
        assert!(world.run(at(60_000)), "{:?}", world.receiver_events(0));
        for i in [all, late] {
            finished_at(&world, i);
            assert_eq!(started(&world, i).len(), 30, "with {groups} groups");
        }
        for i in [one, same] {
            finished_at(&world, i);
            assert_eq!(started(&world, i), ["dir/7"]);
        }
    }
}

#[test]
fn one_name_wakes_one_object_only() {
    let mut world = world_with(Config {
        groups: 4,
        wait_for: 2,
        ..Config::new(11)
    });
    world.offer_content(content("wanted", 400_000, 1)).unwrap();
    world.offer_content(content("other", 900_000, 2)).unwrap();
    let target = Target::Group {
        group: "239.192.7.0:4700".parse().unwrap(),
        source: None,
    };
    for _ in 0..2 {
        world.add_receiver_with(Time::ZERO, Link::clean(ms(1)), target, |c| {
            c.name = Some("wanted".to_owned());
        });
    }
    assert!(
        world.run(at(30_000)),
        "{:?}\n{:?}",
        world.sender_events(),
        world.receiver_events(1)
    );
    assert_eq!(world.complete(), 2);
    let sent = world.totals().data_packets * 1_344;
    assert!(sent < 500_000, "{sent} bytes");
}

#[test]
fn an_object_offered_later_reaches_those_who_want_all() {
    let mut world = world_with(Config {
        stay: true,
        ..Config::new(12)
    });
    world.offer_content(content("first", 3 * MB, 1)).unwrap();
    world.add_receiver(Time::ZERO, Link::lossy(ms(1), Loss::Random(0.01)));
    world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    world.run_while(at(300), |_| true);
    world.offer_content(content("second", MB, 2)).unwrap();
    assert!(world.run(at(30_000)));
    for i in 0..2 {
        finished_at(&world, i);
        assert_eq!(started(&world, i), ["first", "second"]);
    }
}

#[test]
fn a_file_that_changes_is_withdrawn_and_offered_anew_and_nobody_gets_a_mixture() {
    for (groups, unicast) in [(1, false), (3, false), (1, true)] {
        let mut world = world_with(Config {
            groups,
            wait_for: 3,
            ..Config::new(13)
        });
        let key = world.offer_content(content("film", 3 * MB, 1)).unwrap();
        let target = Target::Group {
            group: "239.192.7.0:4700".parse().unwrap(),
            source: None,
        };
        for i in 0..3 {
            let link = Link::lossy(ms(1 + i), Loss::Random(0.05));
            world.add_receiver_with(Time::ZERO, link, target, |c| {
                c.via = (unicast && i == 0).then_some(Via::Unicast);
            });
        }
        world.run_while(at(500), |_| true);
        assert_eq!(world.complete(), 0);
        // The checks compare what a receiver completes with the bytes of just that version.
        world.change_file(key);
        world.offer_content(content("film", 3 * MB + 5, 2)).unwrap();
        assert!(
            world.run(at(60_000)),
            "{:?}\n{:?}",
            world.sender_events(),
            world.receiver_events(1)
        );
        for i in 0..3 {
            finished_at(&world, i);
            let complete = |(_, e): &&(_, _)| matches!(e, ReceiverEvent::Complete { .. });
            assert_eq!(world.receiver_events(i).iter().filter(complete).count(), 1);
        }
    }
}

#[test]
fn a_sender_that_starts_anew_is_gone_on_with() {
    let mut world = world_with(Config {
        stay: true,
        ..Config::new(14)
    });
    world.offer_content(content("film", 24 * MB, 1)).unwrap();
    for i in 0..3 {
        world.add_receiver(Time::ZERO, Link::lossy(ms(1 + i), Loss::Random(0.01)));
    }
    world.run_while(at(1_500), |_| true);
    let held = world.receiver(0).progress().next().unwrap().held;
    assert!(held > 5_000);
    let before = world.totals().data_packets;
    world.restart_sender(ms(300));
    assert!(world.run(at(60_000)), "{:?}", world.receiver_events(0));
    assert_eq!(world.complete(), 3);
    let found = |(_, e): &&(_, _)| matches!(e, ReceiverEvent::SenderFound { .. });
    assert_eq!(world.receiver_events(0).iter().filter(found).count(), 2);
    let symbols = Content::description(&content("film", 24 * MB, 1))
        .geometry
        .total_symbols();
    let after = world.totals().data_packets - before;
    assert!(
        after < symbols - held / 2,
        "{after} packets for the rest of {symbols} symbols, of which {held} were held"
    );
}

#[test]
fn a_full_disk_fails_one_receiver_and_no_other() {
    let mut world = world_with(Config {
        wait_for: 3,
        ..Config::new(15)
    });
    world.offer_content(content("film", 2 * MB, 1)).unwrap();
    for _ in 0..3 {
        world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    }
    world.fill_disk(1);
    assert!(world.run(at(30_000)));
    assert!(matches!(world.outcome(1), Outcome::Failed(_)));
    assert_eq!(world.complete(), 2);
    let reasons = world.receiver_events(1).iter();
    assert!(
        reasons
            .filter(|(_, e)| matches!(e, ReceiverEvent::Failed { reason, .. } if reason.contains("no space")))
            .count()
            == 1
    );
}

#[test]
fn a_disk_that_damages_bits_is_found_out() {
    let mut world = world(16);
    world.offer_content(content("film", 2 * MB, 1)).unwrap();
    world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    world.rot_bits(0, 0.002);
    assert!(world.run(at(60_000)));
    finished_at(&world, 0);
    assert!(world.receiver(0).stats().bad_blocks > 0);
}

#[test]
fn the_sender_ends_within_five_seconds_of_the_last_live_receiver() {
    let mut world = world(17);
    world.offer(film(16)).unwrap();
    for _ in 0..3 {
        world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    }
    world.run_while(at(700), |_| true);
    world.kill(2);
    assert!(world.run(at(60_000)));
    let last = finished_at(&world, 0).max(finished_at(&world, 1));
    let end = world.sender_events().iter().rev();
    let end = end.clone().find(|(_, e)| *e == SenderEvent::Finished);
    let took = end.unwrap().0.since(last);
    assert!(took <= ms(5_000), "{took:?}");
}

/// A question for unicast is overtaken by the join of a group that follows it: the receiver listens to the group.
#[test]
fn a_join_that_was_overtaken_changes_nothing() {
    let mut world = world(3);
    world.offer(film(1)).unwrap();
    let from = "10.9.9.9:9000".parse().unwrap();
    for (time, counter, stage) in [(100, 9, Stage::JoinGroup), (101, 8, Stage::JoinUnicast)] {
        let packet = from_receiver(7, counter, request(stage));
        world.say(at(time), from, packet);
    }
    world.run_while(at(200), |_| true);
    let events: Vec<_> = world.sender_events().iter().map(|(_, e)| e).collect();
    let moved = |e: &&&SenderEvent| matches!(e, SenderEvent::Moved { .. });
    assert!(
        events
            .iter()
            .any(|e| matches!(e, SenderEvent::Joined { unicast: false, .. })),
        "{events:?}"
    );
    assert_eq!(events.iter().filter(moved).count(), 0, "{events:?}");
}
