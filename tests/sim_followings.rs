//! Receivers that follow two senders of one content: each brings what it has, and either may go.

#![allow(clippy::unwrap_used)]

mod engines;

use core::net::SocketAddr;

use engines::{Net, film, host, key, receiver, sender, to_group};
use loopcast::engine::{ObjectKey, ReceiverEvent, Target};
use loopcast::range_set::RangeSet;
use loopcast::time::Time;
use loopcast::wire::{DataHeader, Outcome};

/// Senders of the same file by the same publisher, each with a session of its own, and a receiver
/// that looks for the first at `target` and for the second where it is.
fn two_senders(target: Target) -> Net {
    let mut net = Net::default();
    for session in [1, 2] {
        let mut sender = sender(session, |c| c.key = key(1));
        sender.offer(net.now, film("film", 4 << 20)).unwrap();
        net.add_sender(sender);
    }
    let mut both = receiver(9, target, |c| c.name = Some("film".to_owned()));
    assert!(both.follow(net.now, Target::Host(host(2))));
    net.add_receiver(both);
    net
}

/// Of each sender only every other block gets through, of each another.
fn halves(from: SocketAddr, header: &DataHeader) -> bool {
    (from == host(1)) == header.block.is_multiple_of(2)
}

fn is_complete(net: &Net) -> bool {
    let progress = net.receivers[0].1.progress().next();
    progress.is_some_and(|p| p.complete)
}

fn count(net: &Net, is_it: impl Fn(&ReceiverEvent) -> bool) -> usize {
    net.events[0].iter().filter(|e| is_it(e)).count()
}

#[test]
fn halves_of_two_senders_make_a_whole() {
    for target in [to_group(), Target::Host(host(1))] {
        let mut net = two_senders(target);
        net.loses = Some(halves);
        net.run(6_000);
        assert!(is_complete(&net), "{target:?}: {:?}", net.events[0]);
        assert_eq!(
            count(&net, |e| matches!(e, ReceiverEvent::SenderFound { .. })),
            2
        );
        assert_eq!(
            count(&net, |e| matches!(e, ReceiverEvent::Started { .. })),
            1
        );
        assert_eq!(
            count(&net, |e| matches!(e, ReceiverEvent::Complete { .. })),
            1
        );
        assert_eq!(net.events[0].last(), Some(&ReceiverEvent::Finished));
        for (_, sender) in &net.senders {
            let outcomes: Vec<_> = sender.receivers().map(|r| r.outcome).collect();
            assert_eq!(outcomes, [Some(Outcome::Complete)], "both are told");
        }
    }
}

#[test]
fn one_sender_alone_does_not_bring_what_only_the_other_has() {
    let mut net = two_senders(to_group());
    net.loses = Some(halves);
    net.senders.truncate(1);
    net.run(6_000);
    let progress = net.receivers[0].1.progress().next().unwrap();
    assert!(!progress.complete && progress.held < progress.symbols);
}

#[test]
fn a_sender_that_goes_leaves_the_other_and_what_it_has_brought() {
    let mut net = two_senders(to_group());
    net.run(150);
    let begun = net.receivers[0].1.progress().next().unwrap();
    assert!(0 < begun.held && begun.held < begun.symbols, "{begun:?}");
    net.senders.remove(0);
    net.run(6_000);
    assert!(is_complete(&net));
    assert_eq!(
        count(&net, |e| matches!(e, ReceiverEvent::GaveUp { .. })),
        0
    );
}

#[test]
fn an_object_that_one_sender_withdraws_is_still_had_from_the_other() {
    let mut net = two_senders(to_group());
    net.loses = Some(halves);
    net.run(150);
    let now = net.now;
    net.senders[0]
        .1
        .withdraw(now, ObjectKey(0), "its file has changed");
    net.loses = None;
    net.run(6_000);
    assert!(is_complete(&net));
    assert_eq!(
        count(&net, |e| matches!(e, ReceiverEvent::Withdrawn { .. })),
        0
    );
}

#[test]
fn there_is_an_end_to_followings() {
    let mut one = receiver(9, to_group(), |_| {});
    let mut more = (2..20).map(|n| one.follow(Time::ZERO, Target::Host(host(n))));
    assert_eq!(more.by_ref().filter(|&taken| taken).count(), 7);
}

/// The same halves as the senders have them: each sends only what is there.
#[test]
fn senders_that_have_a_half_each_make_a_whole() {
    let mut net = Net::default();
    for session in [1, 2] {
        let film = film("film", 4 << 20);
        let blocks = u64::from(film.geometry.blocks());
        let held = (0..blocks).filter(|b| b % 2 == session - 1);
        let held: RangeSet = held.map(|b| b..b + 1).collect();
        let mut sender = sender(session, |c| c.key = key(1));
        sender.offer_partial(net.now, film, &held).unwrap();
        net.add_sender(sender);
    }
    let mut both = receiver(9, Target::Host(host(1)), |_| {});
    assert!(both.follow(net.now, Target::Host(host(2))));
    net.add_receiver(both);
    net.run(6_000);
    assert!(is_complete(&net), "{:?}", net.events[0]);
}
