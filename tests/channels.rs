//! Several channels and large groups: which of what is heard goes for whom.

#![allow(clippy::unwrap_used)]

mod engines;

use core::net::SocketAddr;
use core::time::Duration;

use engines::{
    drain, drain_receiver, film, group, host, join, key, packet, receiver, request, sender,
    to_group,
};
use loopcast::engine::{
    Backlog, Link, ObjectKey, PacketKind, Receiver, ReceiverEvent, Sender, SenderEvent, Timer, Via,
};
use loopcast::ids::{ChannelNo, Cookie, ReceiverId, SessionId, ShortCodingId};
use loopcast::rate::Adapt;
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{
    self, Challenge, ChannelInfo, DataHeader, Done, Feedback, FromSender, MoveCause, NoticeCode,
    Offer, Outcome, Packet, Position, ReceiverBody, Report, SenderBody, Signature, Stage, Sync,
};

const SESSION: SessionId = SessionId(0x11);
const BLOCKS: u64 = 12;
const LENGTH: u64 = BLOCKS * 64 * 1_344;

fn ms(n: u64) -> Time {
    Time::from_millis(n)
}

fn channel(number: ChannelNo, rate: u64) -> ChannelInfo {
    ChannelInfo {
        number,
        tier: number as u8,
        group: SocketAddr::new(group().ip(), 4_700 + number * 2),
        source: None,
        rate: Rate::from_bps(rate),
        feedback: Feedback::Sender,
    }
}

fn tell(r: &mut Receiver, now: Time, channel: ChannelNo, body: SenderBody) {
    let mut out = Vec::new();
    FromSender {
        channel,
        session: SESSION,
        one_way: false,
        body,
    }
    .encode(&mut out);
    r.handle_datagram(now, host(1), Via::Group, &out);
    drain_receiver(r, now);
}

fn sync(block: u32, next_packet: u64, idle: bool) -> SenderBody {
    SenderBody::Sync(Sync {
        coding: film("film", LENGTH).coding().short(),
        next_packet,
        position: Position {
            cycle: 0,
            block,
            symbol: 0,
        },
        sent_at: 5,
        grtt: Duration::from_millis(5),
        k: 1,
        receivers: 1,
        next_sync: Duration::from_millis(100),
        rate: Rate::from_bps(10_000_000),
        report_interval: Duration::from_secs(20),
        path_loss: 0,
        query: false,
        idle,
        padded_to: 0,
    })
}

/// A packet of the block that the tiers are at.
fn data(r: &mut Receiver, now: Time, channel: ChannelNo, block: u32, packet: u64) {
    let header = header(channel, block, packet);
    r.handle_data(now, host(1), &header, Via::Group, 1_380);
    drain_receiver(r, now);
}

fn header(channel: ChannelNo, block: u32, packet: u64) -> DataHeader {
    DataHeader {
        channel,
        session: SESSION,
        coding: film("film", LENGTH).coding().short(),
        packet,
        block,
        symbol: (packet % 64) as u16,
        repair: false,
        one_way: false,
        part: None,
    }
}

fn naks_after(r: &mut Receiver, from: Time, milliseconds: u64) -> u64 {
    for at in 0..milliseconds {
        let now = from + Duration::from_millis(at);
        if r.poll_timeout().is_some_and(|(due, _)| due <= now) {
            r.handle_timeout(now);
        }
        drain_receiver(r, now);
    }
    r.stats().sent(PacketKind::Nak).packets
}

/// A receiver that takes 12 Mbit/s, so sits on the slower of two tiers.
fn on_the_slow_tier() -> Receiver {
    let mut r = receiver(7, to_group(), |c| {
        c.downlink = Some(Rate::from_bps(12_000_000));
    });
    let tiers = [channel(0, 100_000_000), channel(1, 10_000_000)];
    tell(&mut r, ms(1), 0, offer(&tiers));
    r
}

fn offer(channels: &[ChannelInfo]) -> SenderBody {
    SenderBody::Offer(Box::new(Offer {
        sent_at: 1,
        index: 0,
        total: 1,
        grtt: Duration::from_millis(5),
        receivers: 1,
        signature: Signature::of(SESSION, &film("film", LENGTH), &key(0x11)),
        description: film("film", LENGTH),
        channels: channels.to_vec(),
    }))
}

/// The fastest tier rests, or is somewhere else in its walk: nobody on another has missed anything.
#[test]
fn a_position_goes_for_its_own_channel() {
    let mut r = on_the_slow_tier();
    data(&mut r, ms(2), 1, 0, 0);
    tell(&mut r, ms(3), 0, sync(BLOCKS as u32 - 1, 500, false));
    tell(&mut r, ms(4), 0, sync(0, 500, true));
    data(&mut r, ms(5), 0, 9, 501);
    data(&mut r, ms(6), 1, 0, 1);
    assert_eq!(naks_after(&mut r, ms(7), 500), 0);
    // What its own channel says counts.
    data(&mut r, ms(600), 1, 2, 2);
    assert!(naks_after(&mut r, ms(601), 500) > 0);
}

/// What was asked for would find no room; it is asked for when there is some.
#[test]
fn a_receiver_whose_buffers_are_full_asks_for_nothing() {
    let full = |filled| Backlog {
        filled,
        ..Backlog::default()
    };
    let mut r = on_the_slow_tier();
    data(&mut r, ms(2), 1, 0, 0);
    r.set_backlog(ms(3), full(0.9));
    data(&mut r, ms(4), 1, 2, 2);
    r.handle_refused(ms(4), ObjectKey(0), &header(1, 2, 2));
    assert_eq!(naks_after(&mut r, ms(5), 500), 0);
    assert!(r.poll_timeout().is_some_and(|(due, _)| due > ms(504)));
    r.set_backlog(ms(600), full(0.1));
    assert_eq!(r.poll_timeout().unwrap().1, Timer::Nak);
    assert!(naks_after(&mut r, ms(600), 100) > 0);
}

/// It goes over to unicast, and its join will tell all that it lacks.
#[test]
fn what_is_refused_on_the_way_to_unicast_is_not_asked_for_on_the_group() {
    let mut r = on_the_slow_tier();
    data(&mut r, ms(2), 1, 0, 0);
    r.handle_join_failed(ms(3), &channel(1, 10_000_000));
    r.handle_refused(ms(4), ObjectKey(0), &header(1, 0, 0));
    assert_eq!(naks_after(&mut r, ms(5), 500), 0);
}

/// Announcements get through and the group of its tier does not: it is served by unicast.
#[test]
fn another_group_is_no_proof_of_ones_own() {
    let mut r = on_the_slow_tier();
    for at in 0..40 {
        let now = ms(100 + at * 100);
        if r.poll_timeout().is_some_and(|(due, _)| due <= now) {
            r.handle_timeout(now);
        }
        let SenderBody::Sync(mut told) = sync(0, 0, true) else {
            panic!();
        };
        told.padded_to = 1_380;
        tell(&mut r, now, 0, SenderBody::Sync(told));
    }
    let mut events = core::iter::from_fn(|| r.poll_event());
    let fell = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Path(path) if path.is_unicast());
    assert!(events.any(|e| fell(&e)));
}

/// Of a large group each may report once a minute. When the others are done the last may report more
/// often, and is not given up for the time in which it did not know.
#[test]
fn who_was_told_to_report_rarely_is_waited_for() {
    const OTHERS: u16 = 300;
    let mut s = sender(SESSION.0, |c| {
        c.rate = Rate::from_bps(4_000_000);
        c.wait_for = u32::from(OTHERS) + 1;
    });
    s.offer(Time::ZERO, film("film", 1 << 20)).unwrap();
    drain(&mut s, Time::ZERO);
    let all = |s: &mut Sender, to: u64| {
        while let Some((due, _)) = s.poll_timeout().filter(|(due, _)| *due <= ms(to)) {
            s.handle_timeout(due);
            drain(s, due);
        }
    };
    let mut cookies = Vec::new();
    for n in 0..=OTHERS {
        cookies.push(join(
            &mut s,
            ms(u64::from(n) * 10),
            u64::from(n) + 5,
            host(n + 10),
            Stage::JoinGroup,
        ));
    }
    all(&mut s, 4_000);
    // One report, after which it waits for its turn.
    let report = |s: &mut Sender, n: u16, counter, body: ReceiverBody| {
        let id = u64::from(n) + 5;
        let datagram = packet(id, counter, SESSION, cookies[usize::from(n)], body);
        s.handle_datagram(ms(4_000), host(n + 10), Link(1), &datagram);
    };
    report(&mut s, OTHERS, 2, ReceiverBody::Report(Default::default()));
    for n in 0..OTHERS {
        let all = vec![Done {
            coding: ShortCodingId(0),
            outcome: Outcome::Complete,
        }];
        report(&mut s, n, 2, ReceiverBody::Done(all));
    }
    all(&mut s, 30_000);
    let mut events = core::iter::from_fn(|| s.poll_event());
    assert!(!events.any(|e| matches!(e, SenderEvent::Gone { .. })));
    all(&mut s, 600_000);
    let mut events = core::iter::from_fn(|| s.poll_event());
    assert!(events.any(|e| matches!(e, SenderEvent::Gone { .. })));
}

/// As after a switch was away for longer than the sender waits.
#[test]
fn who_fell_silent_and_joins_again_is_told_of() {
    let mut s = sender(SESSION.0, |c| c.stay = true);
    s.offer(Time::ZERO, film("film", 1 << 20)).unwrap();
    drain(&mut s, Time::ZERO);
    let cookie = join(&mut s, ms(10), 5, host(10), Stage::JoinGroup);
    while let Some((due, _)) = s.poll_timeout().filter(|(due, _)| *due <= ms(60_000)) {
        s.handle_timeout(due);
        drain(&mut s, due);
    }
    let mut events = core::iter::from_fn(|| s.poll_event());
    assert!(events.any(|e| matches!(e, SenderEvent::Gone { .. })));
    let again = packet(5, 9, SESSION, cookie, request(Stage::JoinGroup));
    s.handle_datagram(ms(60_001), host(10), Link(1), &again);
    let events: Vec<_> = core::iter::from_fn(|| s.poll_event()).collect();
    let receiver = ReceiverId(5);
    let returned = SenderEvent::Returned {
        receiver,
        outcome: None,
    };
    assert!(events.contains(&returned), "{events:?}");
}

/// All of it comes, and the disk has time for a third: the rate follows the disk.
#[test]
fn what_a_disk_has_no_time_for_came_too_fast() {
    const DISK: u64 = 30_000_000;
    let mut s = sender(SESSION.0, |c| c.adapt = Adapt::Average);
    s.offer(Time::ZERO, film("film", 1 << 30)).unwrap();
    drain(&mut s, Time::ZERO);
    let cookie = join(&mut s, ms(1), 5, host(10), Stage::JoinGroup);
    let (mut packets, mut bytes, mut stalled, mut counter) = (0, 0, 0, 2);
    for at in 2..6_000 {
        let now = ms(at);
        if s.poll_timeout().is_some_and(|(due, _)| due <= now) {
            s.handle_timeout(now);
        }
        let sent = drain(&mut s, now).data;
        packets += sent.len() as u64;
        bytes += sent.iter().map(|(_, _, len)| *len as u64).sum::<u64>();
        if at % 50 == 0 && packets > 0 {
            let rate = Rate::from_bps(bytes * 8 * 20);
            stalled += packets.saturating_sub(packets * DISK / rate.as_bps().max(DISK));
            let report = Report {
                coding: film("film", 1 << 30).coding().short(),
                throughput: rate,
                measured: Duration::from_millis(50),
                packets: core::mem::take(&mut packets) + s.receivers().next().unwrap().packets,
                stalled,
                ..Report::default()
            };
            bytes = 0;
            let datagram = packet(5, counter, SESSION, cookie, ReceiverBody::Report(report));
            s.handle_datagram(now, host(10), Link(1), &datagram);
            counter += 1;
        }
    }
    let rate = s.channels().next().unwrap().rate.as_bps();
    assert!((DISK / 2..DISK * 5 / 4).contains(&rate), "{rate}");
}

/// A NAK takes what it is long on the wire from its receiver's share.
#[test]
fn naks_count_envelopes() {
    for (sealed, around) in [(false, 28), (true, 40)] {
        let mut r = receiver(7, to_group(), |c| c.sealed = sealed);
        let challenge = SenderBody::Challenge(Challenge {
            receiver: ReceiverId(7),
            cookie: Cookie(1),
            sent_at: 1,
        });
        tell(&mut r, ms(1), 0, challenge);
        tell(&mut r, ms(1), 0, offer(&[channel(0, 1_000_000)]));
        // Each of ten may spend 500 bit/s.
        let told = |block, packet| match sync(block, packet, false) {
            SenderBody::Sync(sync) => SenderBody::Sync(Sync {
                receivers: 10,
                rate: Rate::from_bps(1_000_000),
                ..sync
            }),
            other => other,
        };
        let mut naks = Vec::new();
        for at in 2..4_000 {
            // One symbol of each block comes, so that each is asked for by itself.
            let block = at / 50;
            if at % 50 == 0 && block < BLOCKS {
                data(&mut r, ms(at), 0, block as u32 - 1, 64 * block);
                tell(&mut r, ms(at), 0, told(block as u32, 64 * block + 64));
            }
            if r.poll_timeout().is_some_and(|(due, _)| due <= ms(at)) {
                r.handle_timeout(ms(at));
            }
            drain_receiver(&mut r, ms(at));
            let sent = r.stats().sent(PacketKind::Nak);
            if sent.packets > naks.len() as u64 {
                naks.push((ms(at), sent.bytes));
            }
        }
        // The next waits until all but what was saved up, a second's worth, is paid.
        let [(first, bytes), (next, _), ..] = naks[..] else {
            panic!("{naks:?}");
        };
        let paid = Duration::from_millis((bytes + around) * 16);
        let due = first + paid - Duration::from_secs(1);
        assert!(
            next >= due && next <= due + Duration::from_millis(1),
            "{sealed}: {naks:?}"
        );
    }
}

/// One that was sent to unicast and fell silent there is told to ask anew, as anybody else.
#[test]
fn who_was_sent_away_and_fell_silent_may_come_back() {
    let mut s = sender(SESSION.0, |c| c.min_rate = Rate::from_bps(50_000_000));
    s.offer(Time::ZERO, film("film", 1 << 30)).unwrap();
    drain(&mut s, Time::ZERO);
    let cookie = join(&mut s, ms(1), 5, host(10), Stage::JoinGroup);
    let told = |sent: &[(SocketAddr, Vec<u8>)]| {
        let mut notices = sent.iter().rev().filter_map(|(_, d)| match wire::parse(d) {
            Ok(Packet::FromSender(p)) => match p.body {
                SenderBody::Notice(n) => Some((n.code, n.cause)),
                _ => None,
            },
            _ => None,
        });
        notices.next()
    };
    let mut last = None;
    for at in 2..30_000 {
        let now = ms(at);
        if s.poll_timeout().is_some_and(|(due, _)| due <= now) {
            s.handle_timeout(now);
        }
        // It gets nothing and says so, is silent from 8 s on, and speaks again after 29 s.
        if at % 100 == 0 && !(8_000..29_000).contains(&at) {
            let body = ReceiverBody::Report(Report::default());
            let datagram = packet(5, at, SESSION, cookie, body);
            s.handle_datagram(now, host(10), Link(1), &datagram);
        }
        last = told(&drain(&mut s, now).control).or(last);
        if at == 7_000 {
            assert_eq!(last, Some((NoticeCode::UseUnicast, MoveCause::TooSlow)));
        }
    }
    assert_eq!(last, Some((NoticeCode::Evicted, MoveCause::Silent)));
    let datagram = packet(5, 30_000, SESSION, cookie, request(Stage::JoinUnicast));
    s.handle_datagram(ms(30_000), host(10), Link(1), &datagram);
    assert!(s.receivers().all(|r| r.unicast));
}
