//! What is reported, and when it is sooner than its turn.

use super::*;
use crate::config::MIN_REPORT_INTERVAL;
use crate::engine::receiver::{ReceiverConfig, Session, Target, Timer};
use crate::ids::{Cookie, ReceiverId, SessionId};
use crate::wire::{self, Packet};

const INTERVAL: Duration = Duration::from_millis(200);

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn filled(filled: f64) -> Backlog {
    Backlog {
        filled,
        ..Backlog::default()
    }
}

/// One that reports to a sender, from time 0 on.
fn receiver() -> Receiver {
    let target = Target::Group {
        group: "239.1.1.1:1".parse().unwrap(),
        source: None,
    };
    let config = ReceiverConfig::new(ReceiverId(1), 7, target);
    let mut receiver = Receiver::new(config, at(0));
    receiver.session = Some(Session {
        id: SessionId(1),
        address: "10.0.0.1:1".parse().unwrap(),
        since: at(0),
        vouched: true,
        one_way: false,
        cookie: Cookie(1),
        echo: None,
        timing: receiver.timing(),
        unlisted: false,
        report_interval: (INTERVAL, Time::ZERO),
        rate: Rate::from_bps(1_000_000),
    });
    receiver.schedule_report(at(0));
    receiver
}

/// So many packets of 1,000 bytes came.
fn come(receiver: &mut Receiver, packets: u64) {
    let received = &mut receiver.stats.received;
    received.add(PacketKind::Data, packets, packets * 1_000);
}

fn due(receiver: &Receiver) -> u64 {
    receiver.report_due.unwrap().as_nanos() / 1_000_000
}

/// The report that is due goes out: what it says, and when.
fn report(receiver: &mut Receiver) -> (u64, Report) {
    let at = receiver.report_due.unwrap();
    receiver.outbox.clear();
    receiver.send_due_report(at);
    let (_, _, packet) = receiver.outbox.pop_front().unwrap();
    match wire::parse(&packet) {
        Ok(Packet::FromReceiver(packet)) => match packet.body {
            ReceiverBody::Report(report) => (at.as_nanos() / 1_000_000, report),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_buffer_that_stays_filled_is_told_before_its_turn() {
    let mut r = receiver();
    let turn = due(&r);
    assert!((100..300).contains(&turn));
    // A burst.
    r.set_backlog(at(10), filled(0.9));
    r.set_backlog(at(25), filled(0.2));
    r.set_backlog(at(30), filled(0.9));
    r.set_backlog(at(49), filled(0.9));
    assert_eq!(due(&r), turn);
    r.set_backlog(at(50), filled(0.5));
    assert!((50..=70).contains(&due(&r)));
    assert_eq!(r.poll_timeout().unwrap().1, Timer::Report);
    let (told_at, told) = report(&mut r);
    assert_eq!(told.behind, 127);
    // A little more is not told again, and as much more is.
    let turn = due(&r);
    r.set_backlog(at(told_at + 5), filled(0.69));
    assert_eq!(due(&r), turn);
    r.set_backlog(at(told_at + 10), filled(0.75));
    assert!(due(&r) <= told_at + 30);
    assert_eq!(report(&mut r).1.behind, 191);
}

#[test]
fn the_end_is_told_once() {
    let mut r = receiver();
    r.set_backlog(at(10), filled(0.5));
    r.set_backlog(at(30), filled(0.5));
    report(&mut r);
    // Filled again, but not for long yet: that is no end.
    r.set_backlog(at(60), filled(0.3));
    let turn = due(&r);
    assert!(turn > 130);
    r.set_backlog(at(70), filled(0.25));
    assert!((70..=90).contains(&due(&r)));
    assert_eq!(report(&mut r).1.behind, 0);
    let turn = due(&r);
    r.set_backlog(at(95), filled(0.0));
    assert_eq!(due(&r), turn);
}

#[test]
fn what_was_dropped_is_told_at_once_and_as_full() {
    for (overflowed, stalled) in [(1, 0), (0, 1)] {
        let mut r = receiver();
        let dropped = Backlog {
            overflowed,
            stalled,
            ..filled(0.0)
        };
        r.set_backlog(at(10), dropped);
        assert!(due(&r) <= 30);
        let (told_at, told) = report(&mut r);
        assert_eq!((told.behind, told.stalled), (255, stalled));
        // Nothing more was, which is told soon, too.
        r.set_backlog(at(told_at + 5), dropped);
        assert_eq!(report(&mut r).1.behind, 0);
    }
}

/// However often things change: they take no more than NAKs may.
#[test]
fn reports_out_of_turn_are_bounded() {
    for unlisted in [false, true] {
        let mut r = receiver();
        r.session.as_mut().unwrap().unlisted = unlisted;
        let mut reports = 0;
        for ms in 1..20_000 {
            let dropped = Backlog {
                overflowed: ms / 5,
                ..filled(0.0)
            };
            r.set_backlog(at(ms), dropped);
            if due(&r) <= ms {
                report(&mut r);
                reports += 1;
            }
        }
        // 100 in their turn, were there no others.
        let expected = if unlisted { 80..120 } else { 160..220 };
        assert!(expected.contains(&reports), "{reports}");
    }
}

#[test]
fn throughput_is_what_was_taken() {
    let mut r = receiver();
    let mut bytes = |packets, stalled, waiting| {
        come(&mut r, packets);
        let now = r.report_due.unwrap();
        let backlog = Backlog {
            stalled,
            waiting,
            ..Backlog::default()
        };
        r.set_backlog(now, backlog);
        let (_, told) = report(&mut r);
        (told.throughput.as_bps() as f64 * told.measured.as_secs_f64() / 8e3).round()
    };
    assert_eq!(bytes(1_000, 0, 0), 1_000.0);
    assert_eq!(bytes(1_000, 0, 400_000), 600.0);
    // More than waits now has been written meanwhile.
    assert_eq!(bytes(1_000, 0, 300_000), 1_100.0);
    assert_eq!(bytes(1_000, 250, 300_000), 750.0);
    // A block whose symbols were counted waits now: they are not counted twice.
    assert_eq!(bytes(0, 250, 800_000), 0.0);
    assert_eq!(bytes(1_000, 250, 800_000), 500.0);
    assert_eq!(bytes(0, 250, 0), 800.0);
    // Whatever a driver says.
    assert_eq!(bytes(0, u64::MAX, u64::MAX), 0.0);
    assert_eq!(bytes(1, 0, 0), 251.0);
}

#[test]
fn what_can_not_be_is_no_worse_than_full() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
        let mut r = receiver();
        for ms in 0..100 {
            r.set_backlog(at(ms), filled(wrong));
        }
        let expected = if wrong > 0.0 { 255 } else { 0 };
        assert_eq!(report(&mut r).1.behind, expected, "{wrong}");
    }
}

/// It would find no room.
#[test]
fn who_is_full_asks_for_nothing() {
    let mut r = receiver();
    assert!(r.has_room());
    r.set_backlog(at(1), filled(0.8));
    assert!(!r.has_room());
    r.set_backlog(at(2), filled(0.7));
    assert!(r.has_room());
}

#[test]
fn that_reports_are_wanted_often_is_believed_for_a_second() {
    let mut receiver = receiver();
    receiver.hear_report_interval(at(100), MIN_REPORT_INTERVAL);
    let mut reports = [0; 4];
    while let Some(due) = receiver.report_due
        && due < at(4_100)
    {
        receiver.send_due_report(due);
        reports[due.since(at(100)).as_secs() as usize] += 1;
    }
    let [first, rest @ ..] = reports;
    assert!((400..600).contains(&first), "{reports:?}");
    assert!(rest.iter().all(|r| (14..30).contains(r)), "{reports:?}");
}
