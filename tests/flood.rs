//! A sender that is flooded: it stays within its rate, and those who came for its data get it.

#![allow(clippy::unwrap_used)]

mod engines;

use core::net::SocketAddr;
use core::time::Duration;

use engines::{cookie, drain, film, host, join, packet, request, sender};
use loopcast::engine::{Link, Sender};
use loopcast::ids::{Cookie, SessionId};
use loopcast::rate::Pacer;
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{Nak, Need, Needs, ReceiverBody, Report, Stage};

const SESSION: SessionId = SessionId(0x11);
const LENGTH: u64 = 256 << 20;
const START: u64 = 2_100;
const SECONDS: u64 = 5;

/// Who floods, how many ids it has joined with, and how many more it has cookies for.
const ATTACKER: u16 = 99;
const IDS: u64 = 100;
const UNJOINED: u64 = 10;

/// Its packet number `n`, of an id and with the cookie that this was given.
type Flood = fn(u64, &[Cookie]) -> (SocketAddr, Vec<u8>);

fn nak(n: u64, whole: bool) -> ReceiverBody {
    let coding = film("film", LENGTH).coding().short();
    let block = |b: u64| (b % 700) as u32 + 1;
    let entries = if whole {
        vec![Need::Blocks {
            first: block(n),
            count: 50,
        }]
    } else {
        let missing = |b| Need::Symbols {
            block: b,
            missing: (0..64).step_by(2).collect(),
        };
        (0..8).map(|i| missing(block(n * 8) + i)).collect()
    };
    ReceiverBody::Nak(Nak {
        seen_to: u64::MAX >> 16,
        needs: Needs { coding, entries },
        more: true,
    })
}

/// An id joins, or could, once its cookie has come.
fn admit(s: &mut Sender, from: u64, id: u64, joins: bool) -> Cookie {
    let ask = |s: &mut Sender, at, counter, given| {
        let joins = packet(id, counter, SESSION, given, request(Stage::JoinGroup));
        s.handle_datagram(Time::from_millis(at), host(ATTACKER), Link(1), &joins);
    };
    ask(s, from, 0, Cookie(0));
    for at in from..from + 20 {
        let now = Time::from_millis(at);
        s.handle_timeout(now);
        if let Some(given) = cookie(&drain(s, now)) {
            if joins {
                ask(s, at, 1, given);
            }
            return given;
        }
    }
    panic!("no answer in 20 ms");
}

fn stranger(n: u64, session: SessionId, body: ReceiverBody) -> (SocketAddr, Vec<u8>) {
    (
        host(n as u16),
        packet(n + 5_000, n, session, Cookie(n), body),
    )
}

fn joined(id: u64, counter: u64, cookies: &[Cookie], body: ReceiverBody) -> (SocketAddr, Vec<u8>) {
    let given = cookies[id as usize];
    (
        host(ATTACKER),
        packet(1_000 + id, counter, SESSION, given, body),
    )
}

/// IP bytes that it sent, and those of them that were data in its turn, at so many Mbit/s.
fn flooded(mbit: u64, flood: Option<Flood>) -> (u64, u64) {
    let mut s: Sender = sender(SESSION.0, |c| c.rate = Rate::from_bps(mbit * 1_000_000));
    s.offer(Time::ZERO, film("film", LENGTH)).unwrap();
    drain(&mut s, Time::ZERO);
    let given = join(&mut s, Time::from_millis(1), 1, host(10), Stage::JoinGroup);
    let ids = if flood.is_some() { IDS + UNJOINED } else { 0 };
    let cookies: Vec<Cookie> = (0..ids)
        .map(|id| admit(&mut s, 18 * (id + 1), 1_000 + id, id < IDS))
        .collect();
    let (mut bytes, mut fresh, mut n) = (0, 0, 0);
    for tick in START..START + SECONDS * 1_000 {
        let now = Time::from_millis(tick);
        for _ in 0..10 {
            let Some(flood) = flood else { break };
            let (from, datagram) = flood(n, &cookies);
            s.handle_datagram(now, from, Link(1), &datagram);
            n += 1;
        }
        if tick % 500 == 0 {
            // Whoever came for the data is still there.
            let report = ReceiverBody::Report(Report::default());
            let report = packet(1, tick, SESSION, given, report);
            s.handle_datagram(now, host(10), Link(1), &report);
        }
        let mut at = now;
        while at < now + Duration::from_millis(1) {
            s.handle_timeout(at);
            let sent = drain(&mut s, at);
            at += Duration::from_micros(250);
            bytes += sent
                .control
                .iter()
                .map(|(_, d)| d.len() as u64 + 28)
                .sum::<u64>();
            for (_, header, len) in sent.data {
                bytes += len as u64 + 28;
                fresh += if header.repair { 0 } else { len as u64 + 28 };
            }
        }
    }
    (bytes, fresh)
}

#[test]
fn floods_neither_raise_the_rate_nor_starve_the_carousel() {
    // What is left of it for data in its turn, at least.
    let floods: [(&str, f64, Flood); 8] = [
        ("NAKs of ids that nobody has", 0.7, |n, _| {
            stranger(n, SESSION, nak(n, false))
        }),
        ("requests of ids that nobody has", 0.7, |n, _| {
            stranger(n, SessionId(0), request(Stage::Ask))
        }),
        ("a NAK that is told again and again", 0.7, |n, cookies| {
            joined(n % IDS, 2, cookies, nak(n % IDS, false))
        }),
        ("NAKs of a hundred that have joined", 0.35, |n, cookies| {
            joined(n % IDS, 2 + n, cookies, nak(n, false))
        }),
        ("NAKs for whole blocks", 0.35, |n, cookies| {
            joined(n % IDS, 2 + n, cookies, nak(n, true))
        }),
        ("questions of those who have joined", 0.7, |n, cookies| {
            joined(n % IDS, 2 + n, cookies, request(Stage::Ask))
        }),
        ("NAKs of ids that could have joined", 0.7, |n, cookies| {
            joined(IDS + n % UNJOINED, 2 + n, cookies, nak(n, false))
        }),
        (
            "reports of ids that could have joined",
            0.7,
            |n, cookies| {
                let report = ReceiverBody::Report(Report::default());
                joined(IDS + n % UNJOINED, 2 + n, cookies, report)
            },
        ),
    ];
    for mbit in [2, 100] {
        let (undisturbed, all) = flooded(mbit, None);
        let rate = Rate::from_bps(mbit * 1_000_000);
        let excess = Pacer::new(rate, 1_500, Time::ZERO).excess();
        // A few packets are sent whatever the pacer says.
        let limit = rate.bytes_in(Duration::from_secs(SECONDS)) + excess + 4_000;
        assert!(undisturbed <= limit && all > limit / 2, "{all} of {limit}");
        for (what, least, flood) in floods {
            let (bytes, fresh) = flooded(mbit, Some(flood));
            assert!(bytes <= limit, "{what}: {bytes} of {limit}");
            let share = fresh as f64 / all as f64;
            assert!(share > least, "{what} at {mbit} Mbit/s: {share}");
        }
    }
}
