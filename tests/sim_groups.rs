//! Which groups a receiver leaves when it has what came on them, and what it tells then.

#![allow(clippy::unwrap_used)]

use core::time::Duration;

use loopcast::engine::{ReceiverEvent, SenderEvent};
use loopcast::object::Description;
use loopcast::sim::{Config, Link, Loss, Outcome, World};
use loopcast::time::Time;

const DELAY: Duration = Duration::from_millis(1);

fn film(name: &str, length: u64) -> Description {
    Description::pretend(name, length, 1_344, 64).unwrap()
}

/// A short film and a long one, each on a group of its own, to one receiver.
fn two_films(long: u64) -> World {
    let mut world = World::new(Config {
        groups: 3,
        ..Config::new(1)
    })
    .unwrap();
    world.offer(film("short", 1_000_000)).unwrap();
    world.offer(film("long", long)).unwrap();
    world.add_receiver(Time::ZERO, Link::clean(DELAY));
    world
}

fn completed(world: &World) -> usize {
    let events = world.receiver_events(0).iter();
    events
        .filter(|(_, e)| matches!(e, ReceiverEvent::Complete { .. }))
        .count()
}

#[test]
fn the_group_of_what_is_here_is_left() {
    let mut world = two_films(20_000_000);
    let deadline = Time::from_millis(20_000);
    world.run_while(deadline, |w| w.groups_joined(0).len() < 3);
    assert_eq!(completed(&world), 0);
    world.run_while(deadline, |w| completed(w) == 0);
    // It hears on the group that the sender has heard of it.
    world.run_while(world.now() + DELAY * 200, |_| true);
    assert_eq!(world.groups_joined(0).len(), 2);
    world.run(deadline);
    assert!(matches!(world.outcome(0), Outcome::Complete(_)));
}

/// The way back is cut for so long that a DONE is given up; the next one is told all the same.
#[test]
fn what_ends_after_a_cut_is_told() {
    let mut world = two_films(100_000_000);
    let deadline = Time::from_millis(60_000);
    world.run_while(deadline, |w| {
        let progress: Vec<_> = w.receiver(0).progress().collect();
        progress.len() < 2 || progress.iter().any(|p| p.held < 100)
    });
    let silent = Link {
        up: Loss::Random(1.0),
        ..Link::clean(DELAY)
    };
    world.set_link(0, silent);
    world.run_while(deadline, |w| completed(w) == 0);
    world.run_while(world.now() + Duration::from_millis(3_500), |_| true);
    assert_eq!(completed(&world), 1);
    world.set_link(0, Link::clean(DELAY));
    world.run(deadline);
    assert!(matches!(world.outcome(0), Outcome::Complete(_)));
    let gone = |e: &SenderEvent| matches!(e, SenderEvent::Gone { .. });
    assert!(
        !world.sender_events().iter().any(|(_, e)| gone(e)),
        "{:?}",
        world.sender_events()
    );
}
