//! What one receiver can cost the others, in a simulated network.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

mod engines;

use core::time::Duration;

use engines::{from_receiver, request_holding};
use loopcast::engine::{ReceiverEvent, SenderEvent, Target, Via};
use loopcast::ids::{Hash, MAX_PACKET_NO, ReceiverId};
use loopcast::object::{Codec, Description, Geometry};
use loopcast::rate::{self, Adapt};
use loopcast::sim::{Config, Link, Loss, Outcome, World};
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{MoveCause, Nak, Need, Needs, NoticeCode, ReceiverBody, Stage};

const GREEDY: ReceiverId = ReceiverId(77);
const LINK: Duration = Duration::from_micros(500);

/// With parity as much as there is source, or none.
fn film(name: usize, bytes: u64, parity: bool) -> Description {
    let m = if parity { 391 } else { 0 };
    Description {
        name: format!("film {name}"),
        content: Hash([name as u8; 32]),
        geometry: Geometry::new(bytes, 1_344, 512, m, 64).unwrap(),
        codec: if parity {
            Codec::ReedSolomon
        } else {
            Codec::None
        },
        table: Hash([2; 32]),
        kind: loopcast::object::ObjectKind::File,
    }
}

fn seconds(outcome: Outcome) -> f64 {
    match outcome {
        Outcome::Complete(at) => at.as_secs_f64(),
        other => panic!("{other:?}"),
    }
}

/// Somebody joins, with nothing or as if with something, then asks for everything of every object
/// two hundred times a second, by blocks and by symbols, for a minute.
fn be_greedy(world: &mut World, films: &[Description], holds: bool) {
    let from = "10.9.9.9:9000".parse().unwrap();
    let join = || request_holding(Stage::JoinGroup, holds);
    let nak = |film: &Description, block: Option<u32>| {
        let all = Need::Blocks {
            first: 0,
            count: film.geometry.blocks(),
        };
        let some = |block| Need::Count {
            block,
            lacking: 512,
        };
        ReceiverBody::Nak(Nak {
            seen_to: MAX_PACKET_NO,
            needs: Needs {
                coding: film.coding().short(),
                entries: match block {
                    None => vec![all],
                    Some(first) => (first..film.geometry.blocks())
                        .take(100)
                        .map(some)
                        .collect(),
                },
            },
            more: false,
        })
    };
    let mut say = |counter: u64, at: Time, body| {
        world.say(at, from, from_receiver(GREEDY.0, counter, body));
    };
    say(0, Time::from_millis(1), join());
    for i in 1..200 * 60 {
        let at = Time::from_millis(5 * i);
        let film = &films[i as usize % films.len()];
        let body = match i % 4 {
            0 => nak(film, None),
            3 if i % 20 == 3 => join(),
            _ => nak(film, Some((i % 7) as u32)),
        };
        say(i, at, body);
    }
}

/// Eight that lose some packets get some films, with somebody greedy beside them or not: when the
/// last of them has all.
fn eight(greedy: Option<bool>, bytes: &[u64], parity: bool) -> (f64, World) {
    let mut world = World::new(Config {
        wait_for: 8 + u32::from(greedy.is_some()),
        ..Config::new(7)
    })
    .unwrap();
    let films: Vec<_> = (0..bytes.len())
        .map(|i| film(i, bytes[i], parity))
        .collect();
    for film in &films {
        world.offer(film.clone()).unwrap();
    }
    for _ in 0..8 {
        world.add_receiver(Time::ZERO, Link::lossy(LINK, Loss::Random(0.05)));
    }
    if let Some(holds) = greedy {
        be_greedy(&mut world, &films, holds);
    }
    world.run(Time::from_millis(120_000));
    let last = (0..8).map(|i| seconds(world.outcome(i)));
    (last.fold(0.0, f64::max), world)
}

/// Where the greedy one had to go, when and why.
fn ways_of_greedy(world: &World) -> Vec<(f64, String)> {
    let told = world
        .sender_events()
        .iter()
        .filter_map(|(at, event)| match event {
            SenderEvent::Moved {
                receiver, cause, ..
            } if *receiver == GREEDY => {
                Some((at.as_secs_f64(), format!("unicast: {}", cause.name())))
            }
            SenderEvent::Gone {
                receiver, cause, ..
            } if *receiver == GREEDY => Some((at.as_secs_f64(), format!("gone: {}", cause.name()))),
            _ => None,
        });
    told.collect()
}

/// One of nine asks for everything again and again: the others take at most half as long again, and
/// so much for what it says that it lacks on joining: everything once. It is sent to unicast, and
/// when it asks on, it has to leave.
#[test]
fn who_asks_for_everything_again_and_again_costs_the_others_half_of_their_time() {
    for (parity, bytes) in [
        (true, &[200_000_000][..]),
        (true, &[60_000_000, 60_000_000, 20_000_000]),
        (false, &[60_000_000, 60_000_000]),
    ] {
        let (alone, _) = eight(None, bytes, parity);
        let all = bytes.iter().sum::<u64>() as f64 * 8.0 * 1_408.0 / 1_344.0 / 1e8;
        for (holds, most) in [(false, 1.5 * alone), (true, 1.5 * (alone + all))] {
            let (beside, world) = eight(Some(holds), bytes, parity);
            let ways = ways_of_greedy(&world);
            println!("{bytes:?} {parity} {holds}: {alone:.2} s, {beside:.2} s beside it: {ways:?}");
            assert!(beside < most);
            let causes: Vec<&str> = ways.iter().map(|(_, way)| way.as_str()).collect();
            assert_eq!(causes, ["unicast: asks_too_much", "gone: asks_too_much"]);
        }
    }
}

/// Three on good links and one on a bad one, with a least rate or without.
fn with_slow(link: u64, least: u64, via: Option<Via>) -> World {
    let rate = Rate::from_bps(100_000_000);
    let min_rate = Rate::from_bps(least);
    let mut tiers = rate::halves(rate);
    tiers.retain(|&tier| tier >= min_rate);
    let mut world = World::new(Config {
        rate,
        groups: tiers.len() as u8 + 1,
        tiers,
        ladder: true,
        adapt: Adapt::Average,
        min_rate,
        leave_time: Duration::from_secs(2),
        wait_for: 4,
        ..Config::new(3)
    })
    .unwrap();
    world.offer(film(0, 32_000_000, true)).unwrap();
    for _ in 0..3 {
        world.add_receiver(Time::ZERO, Link::clean(LINK));
    }
    let slow = Rate::from_bps(link);
    let link = Link {
        rate: Some((slow, slow.bytes_in(Duration::from_millis(50)))),
        ..Link::clean(LINK)
    };
    let target = Target::Group {
        group: "239.192.7.0:4700".parse().unwrap(),
        source: None,
    };
    world.add_receiver_with(Time::ZERO, link, target, |config| config.via = via);
    world
}

/// When the last of the three has all, and how the fourth fared.
fn beside_slow(link: u64, least: u64, via: Option<Via>) -> (f64, World) {
    let mut world = with_slow(link, least, via);
    world.run(Time::from_millis(200_000));
    let last = (0..3).map(|i| seconds(world.outcome(i)));
    (last.fold(0.0, f64::max), world)
}

fn end_of_slow(world: &World) -> Option<MoveCause> {
    let events = world.receiver_events(3).iter();
    let mut ends = events.filter_map(|(_, event)| match event {
        ReceiverEvent::GaveUp { evicted, .. } => *evicted,
        _ => None,
    });
    ends.next()
}

/// One that gets too little on the slowest tier, and by unicast, has to leave and is told why;
/// nobody waits for it.
#[test]
fn who_gets_too_little_has_to_leave() {
    let (alone, _) = beside_slow(100_000_000, 0, None);
    let told_to = |via| {
        let (beside, world) = beside_slow(400_000, 2_000_000, via);
        println!("{alone:.2} s alone, {beside:.2} s beside it");
        assert!(beside < 1.2 * alone);
        assert_eq!(end_of_slow(&world), Some(MoveCause::TooSlow));
        assert!(world.now() < Time::from_millis(30_000), "{:?}", world.now());
        let events = world.receiver_events(3).iter();
        let notices = events.filter_map(|(_, event)| match event {
            ReceiverEvent::Notice { code, cause, .. } => Some((*code, *cause)),
            _ => None,
        });
        notices.collect::<Vec<_>>()
    };
    let use_unicast = (NoticeCode::UseUnicast, MoveCause::TooSlow);
    let evicted = (NoticeCode::Evicted, MoveCause::TooSlow);
    assert_eq!(told_to(None), [use_unicast, evicted]);
    assert_eq!(told_to(Some(Via::Group)), [use_unicast]);
}

/// One that just gets the least stays to the end, and so does a slower one where no least is asked
/// for.
#[test]
fn who_gets_the_least_stays() {
    for (link, least) in [(3_500_000, 2_000_000), (2_200_000, 0)] {
        let (_, world) = beside_slow(link, least, None);
        assert_eq!(end_of_slow(&world), None);
        println!("{:?}", world.outcome(3));
        assert!(matches!(world.outcome(3), Outcome::Complete(_)));
    }
}

/// Whoever leaves the groups because they are too much, or as told, does not come back with the
/// next announcement.
#[test]
fn who_is_sent_to_unicast_stays_off_the_groups() {
    let mut world = with_slow(400_000, 2_000_000, None);
    let told = |w: &World| {
        let use_unicast = NoticeCode::UseUnicast;
        let mut events = w.receiver_events(3).iter();
        events.any(|(_, e)| matches!(e, ReceiverEvent::Notice { code, .. } if *code == use_unicast))
    };
    world.run_while(Time::from_millis(60_000), |w| !told(w));
    assert!(told(&world));
    let until = world.now() + Duration::from_secs(4);
    world.run_while(until, |w| w.groups_joined(3).len() <= 1);
    assert_eq!(world.groups_joined(3).len(), 1, "at {:?}", world.now());
}
