//! The engines in a simulated network.

use core::time::Duration;

use loopcast::object::Description;
use loopcast::sim::{Config, Content, Link, Loss, World};
use loopcast::time::Time;

const MB: u64 = 1 << 20;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn one_receiver_without_loss() {
    let mut world = World::new(Config::new(1)).unwrap();
    world
        .offer(Description::pretend("film", 8 * MB, 1_344, 512).unwrap())
        .unwrap();
    world.add_receiver(Time::ZERO, Link::clean(ms(1)));
    assert!(
        world.run(Time::from_millis(20_000)),
        "{:?}\n{:?}",
        world.sender_events(),
        world.receiver_events(0)
    );
    println!("{:?} {:?}", world.now(), world.totals());
    println!("{:?}", world.receiver_events(0));
    println!("{:?}", world.sender_events());
    assert_eq!(world.complete(), 1);
}

#[test]
fn twenty_receivers_with_real_bytes_and_every_fault() {
    let mut world = World::new(Config::new(2)).unwrap();
    let content = Content::random("film", 3 * MB as usize + 17, 1_344, 512, 9).unwrap();
    world.offer_content(content).unwrap();
    for i in 0..20 {
        let link = Link {
            jitter: ms(2),
            up: Loss::Random(0.1),
            duplicate: 0.01,
            ..Link::lossy(ms(1 + i), Loss::Random(0.05))
        };
        world.add_receiver(Time::from_millis(20 * i), link);
    }
    assert!(world.run(Time::from_millis(60_000)));
    println!("{:?} {:?}", world.now(), world.totals());
    assert_eq!(world.complete(), 20);
}
