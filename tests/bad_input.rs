//! What nobody should send: each is a counted drop or bounded, and harms nothing.

#![allow(clippy::unwrap_used)]

mod engines;

use core::net::SocketAddr;
use core::time::Duration;

use engines::{
    Net, drain, drain_receiver, film, group, host, join, key, packet, receiver, request, sender,
    to_group,
};
use loopcast::engine::{
    Command, DropReason, Link, PacketKind, Receiver, ReceiverEvent, Sender, SenderEvent, Target,
    Verdict, Via,
};
use loopcast::ids::{ChannelNo, Cookie, MAX_PACKET_NO, SessionId, ShortCodingId};
use loopcast::object::Description;
use loopcast::symbol_set::SymbolSet;
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{
    self, Ack, ChannelInfo, DataHeader, Done, Feedback, FromSender, Nak, Need, Needs, Offer,
    Outcome, ReceiverBody, Report, SenderBody, Signature, Stage,
};

const SESSION: SessionId = SessionId(0x11);
const LINK: Link = Link(1);

fn ms(n: u64) -> Time {
    Time::from_millis(n)
}

fn nak(entries: Vec<Need>, seen_to: u64) -> ReceiverBody {
    let coding = film("film", 1 << 20).coding().short();
    ReceiverBody::Nak(Nak {
        seen_to,
        needs: Needs { coding, entries },
        more: false,
    })
}

/// A sender with a film, and how many bytes it was made of.
fn film_sender() -> Sender {
    let mut s = sender(SESSION.0, |_| {});
    s.offer(Time::ZERO, film("film", 1 << 20)).unwrap();
    drain(&mut s, Time::ZERO);
    s
}

fn all_events(s: &mut Sender) -> Vec<SenderEvent> {
    core::iter::from_fn(|| s.poll_event()).collect()
}

fn offer(index: u32, total: u32, name: &str, length: u64, channel: Option<ChannelInfo>) -> Vec<u8> {
    let body = SenderBody::Offer(Box::new(Offer {
        sent_at: 1 + u64::from(index),
        index,
        total,
        grtt: Duration::from_millis(5),
        receivers: 1,
        signature: Signature::of(SESSION, &film(name, length), &key(0x11)),
        description: film(name, length),
        channels: channel.into_iter().collect(),
    }));
    let mut out = Vec::new();
    FromSender {
        channel: 0,
        session: SESSION,
        one_way: false,
        body,
    }
    .encode(&mut out);
    out
}

fn channel(number: ChannelNo, group: SocketAddr) -> ChannelInfo {
    ChannelInfo {
        number,
        tier: 0,
        group,
        source: None,
        rate: Rate::from_bps(100_000_000),
        feedback: Feedback::Sender,
    }
}

/// A receiver that has been offered a film of 1 MiB.
fn film_receiver() -> Receiver {
    let mut r = receiver(7, to_group(), |_| {});
    let datagram = offer(0, 1, "film", 1 << 20, Some(channel(0, group())));
    r.handle_datagram(ms(1), host(1), Via::Group, &datagram);
    drain_receiver(&mut r, ms(1));
    r
}

fn data(block: u32, symbol: u16, number: u64) -> DataHeader {
    DataHeader {
        channel: 0,
        session: SESSION,
        coding: film("film", 1 << 20).coding().short(),
        packet: number,
        block,
        symbol,
        repair: false,
        one_way: false,
        part: None,
    }
}

/// With the checksum that it ought to have.
fn sealed(mut datagram: Vec<u8>) -> Vec<u8> {
    let (packet, crc) = datagram.split_last_chunk_mut::<4>().unwrap();
    *crc = crc32fast::hash(packet).to_be_bytes();
    datagram
}

#[test]
fn packets_cut_short_or_damaged_are_counted() {
    let mut s = film_sender();
    let given = join(&mut s, ms(1), 5, host(9), Stage::JoinGroup);
    drain(&mut s, ms(1));
    all_events(&mut s);
    let bodies = [
        request(Stage::Ask),
        nak(vec![Need::Blocks { first: 1, count: 2 }], 9),
        ReceiverBody::Report(Report::default()),
        ReceiverBody::Ack(Ack {
            ranges: vec![(3, 5)],
            delay: Duration::ZERO,
            largest_heard: 0,
        }),
        ReceiverBody::Done(Vec::new()),
    ];
    let mut sent = 0;
    for body in bodies {
        let whole = packet(5, 50, SESSION, given, body);
        for len in 0..whole.len() {
            s.handle_datagram(ms(2), host(9), LINK, &whole[..len]);
            sent += 1;
        }
        for at in 0..whole.len().min(200) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            s.handle_datagram(ms(2), host(9), LINK, &damaged);
            sent += 1;
        }
        // Another version with a good checksum.
        let mut other = whole;
        other[0] = 0x20 | (other[0] & 0x0f);
        s.handle_datagram(ms(2), host(9), LINK, &sealed(other));
        sent += 1;
    }
    assert_eq!(s.stats().dropped(DropReason::Malformed), sent);
    assert!(drain(&mut s, ms(2)).control.is_empty() && all_events(&mut s).is_empty());

    let mut r = film_receiver();
    let whole = offer(0, 1, "other", 5_000, None);
    for len in 0..whole.len() {
        r.handle_datagram(ms(2), host(1), Via::Group, &whole[..len]);
    }
    assert_eq!(r.stats().dropped(DropReason::Malformed), whole.len() as u64);
    assert_eq!(r.progress().count(), 1);
}

#[test]
fn other_sessions_are_counted_and_not_answered() {
    let mut s = film_sender();
    let given = join(&mut s, ms(1), 5, host(9), Stage::JoinGroup);
    drain(&mut s, ms(1));
    for (counter, body) in [
        nak(vec![Need::Blocks { first: 1, count: 2 }], 9),
        ReceiverBody::Done(Vec::new()),
        ReceiverBody::Report(Report::default()),
    ]
    .into_iter()
    .enumerate()
    {
        let datagram = packet(5, 9 + counter as u64, SessionId(0x99), given, body);
        s.handle_datagram(ms(2), host(9), LINK, &datagram);
    }
    assert_eq!(s.stats().dropped(DropReason::OtherSession), 3);
    assert!(drain(&mut s, ms(2)).control.is_empty());

    let mut r = film_receiver();
    let mut header = data(1, 0, 0);
    header.session = SessionId(0x99);
    assert_eq!(
        r.handle_data(ms(2), host(1), &header, Via::Group, 1_380),
        Verdict::Ignore
    );
    assert_eq!(r.stats().dropped(DropReason::OtherSession), 1);
    assert_eq!(r.progress().next().unwrap().held, 0);
}

#[test]
fn data_out_of_range_unwanted_or_twice_is_counted() {
    let mut r = film_receiver();
    assert!(matches!(
        r.handle_data(ms(2), host(1), &data(2, 0, 0), Via::Group, 1_380),
        Verdict::Store { .. }
    ));
    let mut other = data(2, 1, 3);
    other.coding = ShortCodingId(1);
    let bad = [
        (data(2, 0, 1), DropReason::Duplicate),
        (data(2, 64, 2), DropReason::OutOfRange),
        (data(u32::MAX, 0, 2), DropReason::OutOfRange),
        (other, DropReason::NotWanted),
    ];
    for (header, reason) in bad {
        let before = r.stats().dropped(reason);
        assert_eq!(
            r.handle_data(ms(2), host(1), &header, Via::Group, 1_380),
            Verdict::Ignore
        );
        assert_eq!(r.stats().dropped(reason), before + 1, "{reason:?}");
    }
    assert_eq!(r.progress().next().unwrap().held, 1);
    // The highest packet number there is; what it makes the receiver say still parses.
    r.handle_data(
        ms(3),
        host(1),
        &data(5, 0, MAX_PACKET_NO),
        Via::Group,
        1_380,
    );
    for t in 3..2_000 {
        r.handle_timeout(ms(t));
        for (_, datagram) in drain_receiver(&mut r, ms(t)) {
            wire::parse(&datagram).unwrap();
        }
    }
}

#[test]
fn absurd_geometry_is_refused() {
    let good = offer(0, 1, "film", 1 << 20, None);
    // Body at 16: sent_at 8, index 4, total 4, grtt 4, receivers 4, content 32, then the geometry.
    let at = 16 + 24 + 32;
    let cases: [(usize, &[u8]); 8] = [
        (at, &[0xff; 8]),
        (at + 40, &[0; 4]),
        (at + 40, &[0xff; 4]),
        (at + 44, &[0, 1]),
        (at + 44, &[0xff, 0xc0]),
        (at + 46, &[0xff, 0xff]),
        (at + 48, &[17]),
        (at + 48, &[0xff]),
    ];
    for (at, bytes) in cases {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        let mut r = receiver(7, to_group(), |_| {});
        r.handle_datagram(ms(1), host(1), Via::Group, &sealed(bad));
        assert_eq!(r.stats().dropped(DropReason::Malformed), 1, "at {at}");
        let opened = core::iter::from_fn(|| r.poll_command());
        assert_eq!(
            opened.filter(|c| matches!(c, Command::Open { .. })).count(),
            0
        );
    }
    // One that is possible but too large for this receiver is refused by name.
    let mut r = receiver(7, to_group(), |c| c.max_size = 1_000);
    r.handle_datagram(ms(1), host(1), Via::Group, &good);
    let failed = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Failed { .. });
    assert!(core::iter::from_fn(|| r.poll_event()).any(|e| failed(&e)));
}

#[test]
fn before_the_cookie_nothing_is_opened_woken_or_counted() {
    let bodies = [
        request(Stage::Ask),
        request(Stage::JoinGroup),
        request(Stage::JoinUnicast),
        nak(vec![Need::Blocks { first: 0, count: 9 }], 0),
        ReceiverBody::Report(Report::default()),
        ReceiverBody::Ack(Ack {
            ranges: Vec::new(),
            delay: Duration::ZERO,
            largest_heard: 0,
        }),
        ReceiverBody::Done(Vec::new()),
    ];
    for groups in [1, 3] {
        let mut s = sender(SESSION.0, |c| {
            c.groups = (0..groups)
                .map(|i| SocketAddr::from(([239, 1, 1, i], 4_700)))
                .collect();
        });
        s.offer(Time::ZERO, film("film", 1 << 20)).unwrap();
        drain(&mut s, Time::ZERO);
        all_events(&mut s);
        for session in [SESSION, SessionId(0)] {
            for given in [Cookie(0), Cookie(77)] {
                for body in &bodies {
                    let datagram = packet(5, 0, session, given, body.clone());
                    s.handle_datagram(ms(1), host(9), LINK, &datagram);
                    let answer = drain(&mut s, ms(1));
                    let bytes: usize = answer.control.iter().map(|(_, d)| d.len()).sum();
                    assert!(bytes <= datagram.len(), "{bytes} for {body:?}");
                    assert!(answer.control.iter().all(|(to, _)| *to == host(9)));
                    assert!(answer.data.is_empty() && s.poll_read().is_none());
                }
            }
        }
        assert_eq!(s.receivers().count(), 0);
        assert_eq!(all_events(&mut s), []);
        let mut now = ms(1);
        for _ in 0..100 {
            now += Duration::from_millis(20);
            s.handle_timeout(now);
            assert!(drain(&mut s, now).data.is_empty());
        }
    }
}

#[test]
fn a_cookie_serves_its_own_receiver_and_address_only() {
    let mut s = film_sender();
    let given = join(&mut s, ms(1), 5, host(9), Stage::JoinGroup);
    drain(&mut s, ms(1));
    for (id, from) in [(6, host(9)), (5, host(10))] {
        let datagram = packet(id, 0, SESSION, given, request(Stage::JoinGroup));
        s.handle_datagram(ms(2), from, LINK, &datagram);
    }
    assert_eq!(s.receivers().count(), 1);
    assert_eq!(s.stats().dropped(DropReason::Cookie), 3);
}

#[test]
fn counters_count_once() {
    let mut s = film_sender();
    let given = join(&mut s, ms(1), 5, host(9), Stage::JoinGroup);
    let missing: SymbolSet = [1].into_iter().collect();
    let entries = vec![Need::Symbols { block: 3, missing }];
    let datagram = packet(5, 2, SESSION, given, nak(entries, 0));
    for _ in 0..10 {
        s.handle_datagram(ms(2), host(9), LINK, &datagram);
    }
    assert_eq!(s.stats().dropped(DropReason::Replayed), 9);
    assert_eq!(s.receivers().next().unwrap().naks, 1);
    let old = packet(5, 1, SESSION, given, request(Stage::JoinUnicast));
    s.handle_datagram(ms(2), host(9), LINK, &old);
    assert!(!s.receivers().next().unwrap().unicast);
}

#[test]
fn naks_out_of_range_or_from_the_future_do_no_harm() {
    for stage in [Stage::JoinGroup, Stage::JoinUnicast] {
        let mut s = film_sender();
        let given = join(&mut s, ms(1), 5, host(9), stage);
        // A second one, so that there is somebody to confirm to.
        join(&mut s, ms(1), 6, host(10), stage);
        drain(&mut s, ms(1));
        let all: SymbolSet = (0..=SymbolSet::MAX).collect();
        let one: SymbolSet = [SymbolSet::MAX].into_iter().collect();
        // Two at a time, so that they are confirmed together.
        let last = || Need::Blocks {
            first: u32::MAX,
            count: 1,
        };
        let second: SymbolSet = [2].into_iter().collect();
        for (counter, entries) in [
            vec![
                Need::Symbols {
                    block: 3,
                    missing: second,
                },
                last(),
            ],
            vec![last()],
        ]
        .into_iter()
        .enumerate()
        {
            let datagram = packet(5, 2 + counter as u64, SESSION, given, nak(entries, 0));
            s.handle_datagram(ms(1), host(9), LINK, &datagram);
        }
        drain(&mut s, ms(1));
        let needs = [
            Need::Blocks {
                first: u32::MAX,
                count: 1,
            },
            Need::Blocks {
                first: 0,
                count: u32::MAX,
            },
            Need::Blocks {
                first: 1 << 31,
                count: 1 << 31,
            },
            Need::Count {
                block: u32::MAX,
                lacking: u16::MAX,
            },
            Need::Symbols {
                block: u32::MAX,
                missing: all.clone(),
            },
            Need::Symbols {
                block: 1,
                missing: one,
            },
            Need::Symbols {
                block: 3,
                missing: all,
            },
        ];
        let mut now = ms(2);
        let mut counter = 4;
        for need in needs {
            for seen_to in [0, 5, MAX_PACKET_NO] {
                let datagram = packet(5, counter, SESSION, given, nak(vec![need.clone()], seen_to));
                counter += 1;
                s.handle_datagram(now, host(9), LINK, &datagram);
                for _ in 0..5 {
                    now += Duration::from_millis(1);
                    s.handle_timeout(now);
                    let sent = drain(&mut s, now);
                    let g = film("film", 1 << 20).geometry;
                    assert!(sent.data.iter().all(|(_, h, _)| g.has(h.block, h.symbol)));
                    for (_, datagram) in sent.control {
                        wire::parse(&datagram).unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn acks_of_what_was_never_sent_open_no_window() {
    let mut s = film_sender();
    let given = join(&mut s, ms(1), 5, host(9), Stage::JoinUnicast);
    let first = drain(&mut s, ms(1)).data.len();
    let mut sent = first;
    let mut now = ms(1);
    for counter in 2..40 {
        let body = ReceiverBody::Ack(Ack {
            ranges: vec![(1 << 40, 1 << 41), (0, 1 << 30)],
            delay: Duration::from_secs(3_000),
            largest_heard: u16::MAX,
        });
        let datagram = packet(5, counter, SESSION, given, body);
        for channel in [0x8000_u16, 0, 0xffff] {
            let mut on = datagram.clone();
            on[2..4].copy_from_slice(&channel.to_be_bytes());
            s.handle_datagram(now, host(9), LINK, &sealed(on));
        }
        now += Duration::from_micros(100);
        s.handle_timeout(now);
        sent += drain(&mut s, now).data.len();
    }
    assert!(sent <= 10, "{sent} packets in the first window");
}

#[test]
fn a_flood_of_requests_with_made_up_ids_leaves_nothing_behind() {
    let mut s = film_sender();
    all_events(&mut s);
    for id in 1..30_000 {
        let from = host((id % 60_000) as u16);
        let datagram = packet(id, 0, SessionId(0), Cookie(0), request(Stage::JoinGroup));
        s.handle_datagram(ms(1), from, LINK, &datagram);
        if id % 1_000 == 0 {
            s.check_bounds().unwrap();
        }
    }
    assert_eq!(s.receivers().count(), 0);
    let answer = drain(&mut s, ms(1));
    assert!(answer.control.len() <= 8_192);
    assert_eq!(all_events(&mut s), []);
}

#[test]
fn a_flood_of_offers_is_bounded() {
    let mut r = receiver(7, to_group(), |_| {});
    // Ever more objects, all of one session.
    for i in 0..5_000 {
        let datagram = offer(i, u32::MAX, &format!("film {i}"), 1_000, None);
        r.handle_datagram(ms(1), host(1), Via::Group, &datagram);
    }
    drain_receiver(&mut r, ms(1));
    assert_eq!(r.progress().count(), 5_000);
    // One object, with ever other indices and groups.
    for i in 0..150_000_u32 {
        let [_, a, b, c] = i.to_be_bytes();
        let other = SocketAddr::from(([239, a, b, c], 4_700));
        let number = (i % 0x8000) as u16;
        let datagram = offer(
            i * 2,
            u32::MAX,
            "film 0",
            1_000,
            Some(channel(number, other)),
        );
        r.handle_datagram(ms(2), host(1), Via::Group, &datagram);
        if i % 1_000 == 0 {
            drain_receiver(&mut r, ms(2));
        }
    }
    drain_receiver(&mut r, ms(2));
    // Ever other channels and sessions.
    for i in 0..50_000_u64 {
        let mut header = data(1, 0, i);
        header.channel = (i % 0x1_0000) as u16;
        r.handle_data(ms(3), host(1), &header, Via::Group, 1_380);
        let body = SenderBody::Heard(Vec::new());
        let mut datagram = Vec::new();
        FromSender {
            channel: 0,
            session: SessionId(1_000 + i),
            one_way: false,
            body,
        }
        .encode(&mut datagram);
        r.handle_datagram(ms(3), host(1), Via::Group, &datagram);
    }
    drain_receiver(&mut r, ms(3));
}

#[test]
fn of_two_senders_on_one_group_the_first_is_followed() {
    let mut net = Net::default();
    let mut first = sender(0x11, |_| {});
    first.offer(Time::ZERO, film("film", 2 << 20)).unwrap();
    let mut second = sender(0x22, |_| {});
    second.offer(Time::ZERO, film("other", 1 << 20)).unwrap();
    let address = net.add_sender(first);
    net.add_receiver(receiver(7, to_group(), |_| {}));
    net.run(20);
    net.add_sender(second);
    net.run(3_000);
    let found: Vec<_> = net.events[0]
        .iter()
        .filter(|e| matches!(e, ReceiverEvent::SenderFound { .. }))
        .collect();
    assert_eq!(
        found,
        [&ReceiverEvent::SenderFound {
            session: SessionId(0x11),
            address
        }]
    );
    let others = net.events[0]
        .iter()
        .filter(|e| matches!(e, ReceiverEvent::OtherSession { .. }));
    assert_eq!(others.count(), 1);
    assert!(net.events[0].contains(&ReceiverEvent::Finished));
    assert!(net.receivers[0].1.stats().dropped(DropReason::OtherSession) > 0);
    assert_eq!(net.senders[1].1.receivers().count(), 0);
    // Each sender, hearing the other, says so once.
    let mut s = film_sender();
    let datagram = {
        let mut other = sender(0x22, |_| {});
        other.offer(Time::ZERO, film("film", 5)).unwrap();
        other.handle_timeout(Time::ZERO);
        drain(&mut other, Time::ZERO).control[0].1.clone()
    };
    all_events(&mut s);
    for _ in 0..3 {
        s.handle_datagram(ms(1), host(2), LINK, &datagram);
    }
    assert_eq!(
        all_events(&mut s),
        [SenderEvent::OtherSession {
            session: SessionId(0x22),
            address: host(2)
        }]
    );
}

#[test]
fn who_lacks_an_object_names_those_who_have_it() {
    let mut net = Net::default();
    let second = host(2);
    let mut lacks = sender(0x11, |c| c.elsewhere = vec![second]);
    lacks.offer(Time::ZERO, film("other", 5)).unwrap();
    let mut has = sender(0x22, |_| {});
    has.offer(Time::ZERO, film("film", 2 << 20)).unwrap();
    let first = net.add_sender(lacks);
    assert_eq!(net.add_sender(has), second);
    let named = |c: &mut loopcast::engine::ReceiverConfig| c.name = Some("film".to_owned());
    net.add_receiver(receiver(7, Target::Host(first), named));
    net.run(3_000);
    assert!(
        net.events[0].contains(&ReceiverEvent::Redirected { address: second }),
        "{:?}",
        net.events[0]
    );
    assert!(net.events[0].contains(&ReceiverEvent::Finished));
    assert!(net.receivers[0].1.progress().all(|p| p.complete));
}

#[test]
fn who_asks_for_what_nobody_has_is_told() {
    let mut net = Net::default();
    let mut lacks = sender(0x11, |_| {});
    lacks.offer(Time::ZERO, film("other", 5)).unwrap();
    let first = net.add_sender(lacks);
    net.add_receiver(receiver(7, Target::Host(first), |c| {
        c.name = Some("film".to_owned());
    }));
    net.run(1_000);
    let gave_up = |e: &&ReceiverEvent| matches!(e, ReceiverEvent::GaveUp { reason, .. } if reason.contains("film"));
    assert!(
        net.events[0].iter().any(|e| gave_up(&e)),
        "{:?}",
        net.events[0]
    );
    assert_eq!(net.receivers[0].1.stats().sent(PacketKind::Done).packets, 0);
}

#[test]
fn a_done_is_believed_of_its_sender_only() {
    let mut s = film_sender();
    join(&mut s, ms(1), 5, host(9), Stage::JoinGroup);
    let all = vec![Done {
        coding: ShortCodingId(0),
        outcome: Outcome::Complete,
    }];
    let forged = packet(5, 9, SESSION, Cookie(12), ReceiverBody::Done(all));
    s.handle_datagram(ms(2), host(10), LINK, &forged);
    assert_eq!(s.receivers().next().unwrap().outcome, None);
}

/// The largest object that a description can tell of: what is kept for it does not grow with what
/// it claims, and symbols of blocks that it does not have are refused.
#[test]
fn claims_of_eib_cost_nothing_before_the_disk_agrees() {
    let huge = Description::pretend("huge", (1 << 55) - 1, 8_896, 65_536).unwrap();
    let (geometry, coding) = (huge.geometry, huge.coding().short());
    let body = SenderBody::Offer(Box::new(Offer {
        sent_at: 1,
        index: 0,
        total: 1,
        grtt: Duration::from_millis(5),
        receivers: 1,
        signature: Signature::of(SESSION, &huge, &key(0x11)),
        description: huge,
        channels: vec![channel(0, group())],
    }));
    let mut datagram = Vec::new();
    let packet = FromSender {
        channel: 0,
        session: SESSION,
        one_way: false,
        body,
    };
    packet.encode(&mut datagram);
    let mut r = receiver(7, to_group(), |_| {});
    r.handle_datagram(ms(1), host(1), Via::Group, &datagram);
    let opened = core::iter::from_fn(|| r.poll_command());
    assert_eq!(
        opened.filter(|c| matches!(c, Command::Open { .. })).count(),
        1
    );
    let wrong = [
        (geometry.blocks(), 0),
        (u32::MAX, 0),
        (0, geometry.symbols(0)),
        (geometry.blocks() - 1, u16::MAX),
    ];
    for (number, (block, symbol)) in (0..).zip(wrong) {
        let header = DataHeader {
            coding,
            ..data(block, symbol, number)
        };
        let verdict = r.handle_data(ms(2), host(1), &header, Via::Group, 8_976);
        assert_eq!(verdict, Verdict::Ignore, "{block} {symbol}");
    }
    assert_eq!(r.stats().dropped(DropReason::OutOfRange), 4);
    assert_eq!(r.check_bounds(), Ok(()));
}
