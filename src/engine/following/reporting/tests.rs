//! What is reported, and when it is sooner than its turn.

use super::*;
use crate::assemble::SENDER;
use crate::config::MIN_REPORT_INTERVAL;
use crate::engine::following::session::Session;
use crate::engine::following::{Machine, Outbox, ReceiverConfig, Target, Trusted};
use crate::engine::{Backlog, Library, ReceiverStats, Timer};
use crate::ids::{ReceiverId, SessionId};
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{Packet, parse};

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

/// A following with what it is handed.
struct Rig {
    following: Option<Following>,
    config: ReceiverConfig,
    rng: Rng,
    library: Library,
    trusted: Trusted,
    machine: Machine,
    out: Outbox,
    stats: ReceiverStats,
}

impl Rig {
    /// One that reports to a sender, from time 0 on.
    fn new() -> Rig {
        let group = "239.1.1.1:1".parse().unwrap();
        let target = Target::Group {
            group,
            source: None,
        };
        let mut rig = Rig {
            following: None,
            config: ReceiverConfig::new(ReceiverId(1), 7, target),
            rng: Rng::new(7),
            library: Library::new(),
            trusted: Trusted::default(),
            machine: Machine::default(),
            out: Outbox::default(),
            stats: ReceiverStats::default(),
        };
        let mut following = Following::new(&mut rig.context(at(0)), 0, SENDER, target);
        let address = "10.0.0.1:1".parse().unwrap();
        let mut session = Session::new(at(0), SessionId(1), address, false, true);
        session.set_report_interval(at(0), INTERVAL);
        session.set_rate(Rate::from_bps(1_000_000));
        following.session = Some(session);
        following.schedule_report(&mut rig.context(at(0)));
        rig.following = Some(following);
        rig
    }

    fn context(&mut self, now: Time) -> Context<'_> {
        Context {
            now,
            rng: &mut self.rng,
            config: &self.config,
            library: &mut self.library,
            trusted: &mut self.trusted,
            machine: &self.machine,
            out: &mut self.out,
            stats: &mut self.stats,
        }
    }

    fn with(&mut self, now: Time, act: impl FnOnce(&mut Following, &mut Context<'_>)) {
        let mut following = self.following.take().unwrap();
        act(&mut following, &mut self.context(now));
        self.following = Some(following);
    }

    fn following(&mut self) -> &mut Following {
        self.following.as_mut().unwrap()
    }

    fn set_backlog(&mut self, now: Time, backlog: Backlog) {
        self.machine.hear(now, backlog);
        self.with(now, |following, cx| following.hear_backlog(cx));
    }

    fn due(&mut self) -> Time {
        self.following().reports.due().unwrap()
    }
}

/// So many packets of 1,000 bytes came.
fn come(rig: &mut Rig, packets: u64) {
    for _ in 0..packets {
        rig.following().reports.data_came(1_000);
    }
}

fn due(rig: &mut Rig) -> u64 {
    rig.due().as_nanos() / 1_000_000
}

/// The report that is due goes out: what it says, and when.
fn report(rig: &mut Rig) -> (u64, Report) {
    let at = rig.due();
    rig.out.drop_packets();
    rig.with(at, |following, cx| following.send_due_report(cx));
    let packet = rig.out.next_packet().unwrap();
    match parse(&packet.bytes) {
        Ok(Packet::FromReceiver(packet)) => match packet.body {
            ReceiverBody::Report(report) => (at.as_nanos() / 1_000_000, report),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_buffer_that_stays_filled_is_told_before_its_turn() {
    let mut r = Rig::new();
    let turn = due(&mut r);
    assert!((100..300).contains(&turn));
    // A burst.
    r.set_backlog(at(10), filled(0.9));
    r.set_backlog(at(25), filled(0.2));
    r.set_backlog(at(30), filled(0.9));
    r.set_backlog(at(49), filled(0.9));
    assert_eq!(due(&mut r), turn);
    r.set_backlog(at(50), filled(0.5));
    assert!((50..=70).contains(&due(&mut r)));
    let following = r.following.as_ref().unwrap();
    let next = following.next_timeout(&r.config, &r.library, &r.machine);
    assert_eq!(next.unwrap().1, Timer::Report);
    let (told_at, told) = report(&mut r);
    assert_eq!(told.behind, 127);
    // A little more is not told again, and as much more is.
    let turn = due(&mut r);
    r.set_backlog(at(told_at + 5), filled(0.69));
    assert_eq!(due(&mut r), turn);
    r.set_backlog(at(told_at + 10), filled(0.75));
    assert!(due(&mut r) <= told_at + 30);
    assert_eq!(report(&mut r).1.behind, 191);
}

#[test]
fn the_end_is_told_once() {
    let mut r = Rig::new();
    r.set_backlog(at(10), filled(0.5));
    r.set_backlog(at(30), filled(0.5));
    report(&mut r);
    // Filled again, but not for long yet: that is no end.
    r.set_backlog(at(60), filled(0.3));
    let turn = due(&mut r);
    assert!(turn > 130);
    r.set_backlog(at(70), filled(0.25));
    assert!((70..=90).contains(&due(&mut r)));
    assert_eq!(report(&mut r).1.behind, 0);
    let turn = due(&mut r);
    r.set_backlog(at(95), filled(0.0));
    assert_eq!(due(&mut r), turn);
}

#[test]
fn what_was_dropped_is_told_at_once_and_as_full() {
    for (overflowed, stalled) in [(1, 0), (0, 1)] {
        let mut r = Rig::new();
        let dropped = Backlog {
            overflowed,
            stalled,
            ..filled(0.0)
        };
        r.set_backlog(at(10), dropped);
        assert!(due(&mut r) <= 30);
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
        let mut r = Rig::new();
        let session = r.following().session.as_mut().unwrap();
        session.set_unlisted(unlisted);
        let mut reports = 0;
        for ms in 1..20_000 {
            let dropped = Backlog {
                overflowed: ms / 5,
                ..filled(0.0)
            };
            r.set_backlog(at(ms), dropped);
            if due(&mut r) <= ms {
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
    let mut r = Rig::new();
    let mut bytes = |packets, stalled, waiting| {
        come(&mut r, packets);
        let now = r.due();
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
        let mut r = Rig::new();
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
    let mut r = Rig::new();
    assert!(r.machine.has_room());
    r.set_backlog(at(1), filled(0.8));
    assert!(!r.machine.has_room());
    r.set_backlog(at(2), filled(0.7));
    assert!(r.machine.has_room());
}

#[test]
fn that_reports_are_wanted_often_is_believed_for_a_second() {
    let mut r = Rig::new();
    r.with(at(100), |following, cx| {
        following.hear_report_interval(cx, MIN_REPORT_INTERVAL);
    });
    let mut reports = [0; 4];
    while r.due() < at(4_100) {
        let due = r.due();
        r.with(due, |following, cx| following.send_due_report(cx));
        reports[due.since(at(100)).as_secs() as usize] += 1;
    }
    let [first, rest @ ..] = reports;
    assert!((400..600).contains(&first), "{reports:?}");
    assert!(rest.iter().all(|r| (14..30).contains(r)), "{reports:?}");
}
