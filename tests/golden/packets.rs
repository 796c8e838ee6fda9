//! The packets that the golden files hold, as values.

use std::time::Duration;

use loopcast::ids::{Cookie, Hash, ReceiverId, SessionId, ShortCodingId};
use loopcast::object::{Codec, Description, Geometry, ObjectKind};
use loopcast::seal::SigningKey;
use loopcast::secret::Secret;
use loopcast::symbol_set::SymbolSet;
use loopcast::units::Rate;
use loopcast::wire::*;

const SESSION: SessionId = SessionId(0x1122_3344_5566_7788);
const CODING: ShortCodingId = ShortCodingId(0xc0d1_c0d1_c0d1_c0d1);
const OTHER_CODING: ShortCodingId = ShortCodingId(0xc0d2_c0d2_c0d2_c0d2);
const RECEIVER: ReceiverId = ReceiverId(0xaaaa_aaaa_aaaa_aaa1);
const COOKIE: Cookie = Cookie(0x00c0_0c1e);
const UNICAST: u16 = 0x8001;

/// Each golden file's name and packet.
pub(super) fn all() -> Vec<(&'static str, Packet<'static>)> {
    let mut all = vec![
        ("data", Packet::Data(data(None), &[0xa5; 1_024])),
        ("part", Packet::Data(data(Some(512)), b"piece")),
        (
            "data_one_way",
            Packet::Data(one_way(data(None)), &[0xa5; 1_024]),
        ),
    ];
    all.extend(from_sender().map(|(name, channel, body)| {
        let packet = FromSender {
            channel,
            session: SESSION,
            one_way: name.ends_with("one_way"),
            body,
        };
        (name, Packet::FromSender(packet))
    }));
    all.extend(from_receiver().map(|(name, packet)| (name, Packet::FromReceiver(packet))));
    all
}

fn one_way(header: DataHeader) -> DataHeader {
    DataHeader {
        one_way: true,
        ..header
    }
}

fn data(part: Option<u16>) -> DataHeader {
    DataHeader {
        channel: 3,
        session: SESSION,
        coding: CODING,
        packet: 0xa1b2_c3d4_e5f6,
        block: 0x0102_0304,
        symbol: 0x01ff,
        repair: part.is_some(),
        one_way: false,
        part,
    }
}

fn from_sender() -> [(&'static str, u16, SenderBody); 12] {
    let padded = Sync {
        query: false,
        idle: true,
        padded_to: 1_380,
        path_loss: 51,
        ..sync()
    };
    let confirm = Needs {
        coding: CODING,
        entries: entries()[..2].to_vec(),
    };
    [
        ("sync", 3, SenderBody::Sync(sync())),
        ("sync_one_way", 3, SenderBody::Sync(sync())),
        ("sync_padded", 3, SenderBody::Sync(padded)),
        (
            "offer",
            0,
            SenderBody::Offer(Box::new(offer("film.mkv", channels()))),
        ),
        (
            "offer_idle",
            0,
            SenderBody::Offer(Box::new(offer("größe", Vec::new()))),
        ),
        (
            "offer_parity",
            0,
            SenderBody::Offer(Box::new(offer_with_parity("größe"))),
        ),
        ("confirm", 3, SenderBody::Confirm(confirm)),
        ("heard", 3, SenderBody::Heard(heard())),
        (
            "heard_unlisted",
            3,
            SenderBody::Unlisted(heard()[..1].to_vec()),
        ),
        ("notice", 0, SenderBody::Notice(notice())),
        ("notice_unicast", 3, SenderBody::Notice(told_to_leave())),
        ("challenge", 0, SenderBody::Challenge(challenge())),
    ]
}

fn sync() -> Sync {
    Sync {
        coding: CODING,
        next_packet: 1_000_000,
        position: Position {
            cycle: 2,
            block: 40,
            symbol: 17,
        },
        sent_at: 123_456_789_012,
        grtt: Duration::from_millis(20),
        k: 4,
        receivers: 1_000,
        next_sync: Duration::from_millis(100),
        rate: Rate::from_bps(50_000_000),
        report_interval: Duration::from_millis(200),
        path_loss: 0,
        query: true,
        idle: false,
        padded_to: 0,
    }
}

fn offer(name: &str, channels: Vec<ChannelInfo>) -> Offer {
    let description = description(name);
    Offer {
        signature: Signature::of(SESSION, &description, &key()),
        sent_at: 5_000_000,
        index: 1,
        total: 2,
        grtt: Duration::from_millis(50),
        receivers: 8,
        description,
        channels,
    }
}

fn description(name: &str) -> Description {
    Description {
        name: name.to_owned(),
        content: Hash([0x11; 32]),
        geometry: Geometry::new(64 << 20, 1_344, 512, 0, 70).unwrap(),
        codec: Codec::None,
        table: Hash([0x22; 32]),
        kind: ObjectKind::File,
    }
}

fn key() -> SigningKey {
    SigningKey::new(&Secret::new([7; 32]))
}

fn offer_with_parity(name: &str) -> Offer {
    let mut offer = offer(name, Vec::new());
    offer.description.geometry = Geometry::new(64 << 20, 1_344, 512, 391, 70).unwrap();
    offer.description.codec = Codec::ReedSolomon;
    offer.signature = Signature::of(SESSION, &offer.description, &key());
    offer
}

fn channels() -> Vec<ChannelInfo> {
    vec![
        ChannelInfo {
            number: 1,
            tier: 0,
            group: "239.192.7.1:4700".parse().unwrap(),
            source: None,
            rate: Rate::from_bps(100_000_000),
            feedback: Feedback::Sender,
        },
        ChannelInfo {
            number: 2,
            tier: 1,
            group: "[ff3e::4321:1234]:4702".parse().unwrap(),
            source: Some("2001:db8::1".parse().unwrap()),
            rate: Rate::from_bps(10_000_000),
            feedback: Feedback::Group { port: 4_703 },
        },
    ]
}

/// One entry of each form, the last of them a bitmap.
fn entries() -> Vec<Need> {
    let mut few = SymbolSet::new();
    few.insert(3);
    few.insert_range(100..110);
    let mut every_other = SymbolSet::new();
    for symbol in (10..=40).step_by(2) {
        every_other.insert(symbol);
    }
    vec![
        Need::Blocks { first: 0, count: 2 },
        Need::Count {
            block: 5,
            lacking: 17,
        },
        Need::Symbols {
            block: 7,
            missing: few,
        },
        Need::Symbols {
            block: 8,
            missing: every_other,
        },
    ]
}

fn heard() -> Vec<Heard> {
    vec![
        Heard {
            receiver: RECEIVER,
            counter: 3,
        },
        Heard {
            receiver: ReceiverId(RECEIVER.0 + 1),
            counter: 4_000_000_000,
        },
    ]
}

fn notice() -> Notice {
    Notice {
        receiver: RECEIVER,
        coding: ShortCodingId(0),
        code: NoticeCode::Elsewhere,
        cause: MoveCause::None,
        text: "ask one of these".to_owned(),
        addresses: vec![
            "192.0.2.7:4700".parse().unwrap(),
            "[2001:db8::7]:4701".parse().unwrap(),
        ],
    }
}

fn told_to_leave() -> Notice {
    Notice {
        receiver: RECEIVER,
        coding: ShortCodingId(0),
        code: NoticeCode::UseUnicast,
        cause: MoveCause::TooSlow,
        text: "too slow".to_owned(),
        addresses: Vec::new(),
    }
}

fn challenge() -> Challenge {
    Challenge {
        receiver: RECEIVER,
        cookie: COOKIE,
        sent_at: 987_654_321,
    }
}

fn from_receiver() -> [(&'static str, FromReceiver); 7] {
    let packet = |channel, counter, echo: Option<(u64, u64)>, body| FromReceiver {
        channel,
        session: SESSION,
        receiver: RECEIVER,
        counter,
        cookie: COOKIE,
        echo: echo.map(|(sent_at, us)| Echo {
            sent_at,
            held: Duration::from_micros(us),
        }),
        body,
    };
    let first = FromReceiver {
        session: SessionId(0),
        cookie: Cookie(0),
        ..packet(0, 1, None, ReceiverBody::Request(request_all()))
    };
    let nak = Nak {
        seen_to: 1_000_001,
        needs: Needs {
            coding: CODING,
            entries: entries(),
        },
        more: true,
    };
    let ack = Ack {
        ranges: vec![(95, 104), (0, 94)],
        delay: Duration::from_micros(250),
        largest_heard: 1_380,
    };
    let done = vec![
        Done {
            coding: CODING,
            outcome: Outcome::Complete,
        },
        Done {
            coding: OTHER_CODING,
            outcome: Outcome::Left,
        },
    ];
    let by_name = ReceiverBody::Request(request_name());
    [
        ("request_all", first),
        (
            "request_name",
            packet(0, 2, Some((987_654_321, 1_500)), by_name),
        ),
        (
            "request_codings",
            packet(3, 3, None, ReceiverBody::Request(request_codings())),
        ),
        (
            "nak",
            packet(3, 4, Some((123_456_789_012, 2_000)), ReceiverBody::Nak(nak)),
        ),
        (
            "report",
            packet(UNICAST, 5, None, ReceiverBody::Report(report())),
        ),
        (
            "ack",
            packet(UNICAST, 6, Some((5_000_000, 0)), ReceiverBody::Ack(ack)),
        ),
        ("done", packet(3, 7, None, ReceiverBody::Done(done))),
    ]
}

fn request_all() -> Request {
    Request {
        wanted: Wanted::All { from: 0 },
        stage: Stage::Ask,
        holds: false,
        downlink: Rate::ZERO,
        largest_heard: 0,
        cause: MoveCause::None,
    }
}

fn request_name() -> Request {
    Request {
        wanted: Wanted::Name("film.mkv".to_owned()),
        stage: Stage::JoinUnicast,
        downlink: Rate::from_bps(100_000_000),
        largest_heard: 1_240,
        ..request_all()
    }
}

fn request_codings() -> Request {
    Request {
        wanted: Wanted::Codings(vec![CODING, OTHER_CODING]),
        stage: Stage::JoinGroup,
        holds: true,
        cause: MoveCause::Congestion,
        ..request_all()
    }
}

fn report() -> Report {
    Report {
        coding: CODING,
        symbols_held: 40_000,
        throughput: Rate::from_bps(94_000_000),
        measured: Duration::from_millis(200),
        packets: 41_000,
        lost: 2_000,
        overflowed: 30,
        damaged: 4,
        stalled: 5,
        longest_run: 6,
        unicast: true,
        behind: 7,
    }
}
