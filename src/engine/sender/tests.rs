//! A sender of what comes while it is sent.

use std::collections::BTreeSet;

use super::*;
use crate::units::Rate;
use crate::wire::{FromReceiver, MoveCause, ReceiverBody, Request, Stage, Wanted};

/// Lets a sender run for some milliseconds; gives the blocks that left.
fn run(sender: &mut Sender, from: u64, ms: u64) -> BTreeSet<BlockNo> {
    let (mut burst, mut blocks) = (Burst::default(), BTreeSet::new());
    for at in from..from + ms {
        let now = Time::from_millis(at);
        if sender.poll_timeout().is_some_and(|(due, _)| due <= now) {
            sender.handle_timeout(now);
        }
        loop {
            let read = sender.poll_read();
            if let Some(command) = read {
                sender.handle_read(now, command.slot, Ok(()));
            }
            let sent = sender.poll_transmit(now, &mut burst);
            if sent && let Some(run) = burst.run {
                blocks.insert(run.first.block);
            }
            if read.is_none() && !sent {
                break;
            }
        }
    }
    blocks
}

fn join(sender: &mut Sender, now: Time) {
    let (from, id) = (SocketAddr::from(([10, 0, 0, 9], 9_000)), ReceiverId(1));
    let packet = FromReceiver {
        channel: 0,
        session: sender.config().session,
        receiver: id,
        counter: 1,
        cookie: sender.cookie(from, id),
        echo: None,
        body: ReceiverBody::Request(Request {
            wanted: Wanted::All { from: 0 },
            stage: Stage::JoinGroup,
            holds: false,
            downlink: Rate::ZERO,
            largest_heard: 0,
            cause: MoveCause::None,
        }),
    };
    let mut datagram = Vec::new();
    packet.encode(&mut datagram);
    sender.handle_datagram(now, from, Link(1), &datagram);
}

#[test]
fn a_block_that_comes_later_goes_out_then() {
    let mut sender = Sender::new(SenderConfig::for_tests(), Time::ZERO).unwrap();
    let film = Description::pretend("film", 1_000_000, 1_344, 64).unwrap();
    let all = film.geometry.blocks();
    let mut held = RangeSet::new();
    held.insert(0..u64::from(all));
    held.remove(5..7);
    let object = sender.offer_partial(Time::ZERO, film, &held).unwrap();
    join(&mut sender, Time::from_millis(1));
    let here: BTreeSet<BlockNo> = (0..all).filter(|b| !(5..7).contains(b)).collect();
    assert_eq!(run(&mut sender, 1, 300), here);
    sender.handle_block(Time::from_millis(301), object, 6);
    assert_eq!(run(&mut sender, 301, 100), BTreeSet::from([6]));
    sender.handle_block(Time::from_millis(401), object, 5);
    assert_eq!(run(&mut sender, 401, 100), BTreeSet::from([5]));
    assert!(sender.library().get(object).unwrap().is_all_verified());
    sender.check_bounds().unwrap();
}
