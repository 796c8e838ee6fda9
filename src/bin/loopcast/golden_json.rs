//! Golden lines of every event and of the figures: what scripts read stays byte for byte as it is.
//!
//! `LOOPCAST_WRITE_GOLDEN=1 cargo test --bin loopcast golden` writes the files anew.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopcast::driver::{
    BadSource, DeliveryPath, Loss, NotOffered, ReceiverEvent, ReceiverObject, ReceiverProgress,
    ReceiverStanding, ReceiverSummary, RunOutcome, SenderEvent, SenderObject, SenderProgress,
    SenderReceiver, SenderSummary, SenderTier, SmallBuffer, Spent, Traffic,
};
use loopcast::engine::{DropReason, PacketKind, PathChoice};
use loopcast::ids::{CodingId, Hash, ReceiverId, SessionId};
use loopcast::seal::Fingerprint;
use loopcast::units::Rate;
use loopcast::url::Url;
use loopcast::wire::{MoveCause, NoticeCode, Outcome};

use crate::console::json_line;
use crate::exit::{End, Exit};
use crate::own_event::OwnEvent;
use crate::stats::Figures;

const CAUSES: [MoveCause; 9] = [
    MoveCause::None,
    MoveCause::Congestion,
    MoveCause::SocketBuffer,
    MoveCause::Disk,
    MoveCause::Clean,
    MoveCause::PathLoss,
    MoveCause::TooSlow,
    MoveCause::AsksTooMuch,
    MoveCause::Silent,
];

/// Compares with a file of `tests/golden/json`, or writes it when told to.
fn check(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/json")
        .join(file);
    if std::env::var_os("LOOPCAST_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (n, (golden, found)) in golden.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, golden, "line {} of {file}", n + 1);
    }
    assert_eq!(found.len(), golden.len(), "{file}");
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A path that is no text where the system allows that.
fn odd_path() -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        PathBuf::from(std::ffi::OsStr::from_bytes(b"/srv/\"odd\"\xff/a.iso"))
    }
    #[cfg(not(unix))]
    {
        PathBuf::from("/srv/\"odd\"\u{fffd}/a.iso")
    }
}

fn fingerprint() -> Fingerprint {
    "plc4qwd2asa72a64ge33sfzpme4okp2p".parse().unwrap()
}

fn url(place: &str) -> Url {
    let url: Url = format!("loopcast://{place}").parse().unwrap();
    url.with_fingerprint(fingerprint())
}

fn name() -> String {
    "A/\u{e4} \"b\"\n.iso".to_owned()
}

fn reason() -> String {
    "Why: a\\b, \u{1}, \u{2028} and \u{1f4e6}.".to_owned()
}

fn content() -> Hash {
    Hash(core::array::from_fn(|i| i as u8))
}

fn coding() -> CodingId {
    CodingId(Hash(core::array::from_fn(|i| 255 - i as u8)))
}

const SESSION: SessionId = SessionId(0x0123_4567_89ab_cdef);
const RECEIVER: ReceiverId = ReceiverId(0xa);

fn receiver(path: DeliveryPath, remaining: Option<Duration>) -> SenderReceiver {
    SenderReceiver {
        standing: standing(path, remaining),
        joined: Duration::from_nanos(1_234_567_891),
        left: remaining,
        outcome: remaining.map(|_| Outcome::Complete),
        naks: 7,
    }
}

fn standing(path: DeliveryPath, remaining: Option<Duration>) -> ReceiverStanding {
    ReceiverStanding {
        id: RECEIVER,
        address: at("[fe80::1%3]:4701"),
        path,
        tier: Rate::from_bps(100_000_000),
        moves: 3,
        why: MoveCause::Congestion,
        throughput: Rate::from_bps(95_363_123),
        packets: 1_000,
        lost: 10,
        overflowed: 20,
        stalled: 30,
        progress: 0.1 + 0.2,
        remaining,
    }
}

fn tiers() -> Vec<SenderTier> {
    let busy = SenderTier {
        tier: Rate::from_bps(1_000_000_000),
        group: Some(at("239.192.7.1:4700")),
        rate: Rate::from_bps(990_000_000),
        sent: 5,
        receivers: 6,
        lost: 7,
        overflowed: 8,
        stalled: 9,
        packets: 10,
        progress: 1.0,
        remaining: Some(Duration::from_nanos(12_345_678_500)),
    };
    vec![busy, SenderTier::default()]
}

fn offered(cached: bool, again: bool) -> SenderEvent {
    SenderEvent::Offered {
        name: name(),
        path: odd_path(),
        bytes: u64::MAX,
        content: content(),
        coding: coding(),
        cached,
        again,
    }
}

fn of_receivers() -> Vec<SenderEvent> {
    use SenderEvent as E;
    let paths = [DeliveryPath::Multicast, DeliveryPath::Unicast];
    let outcomes = [Outcome::Complete, Outcome::Failed, Outcome::Left];
    let mut events: Vec<E> = paths
        .into_iter()
        .map(|path| E::Joined {
            receiver: RECEIVER,
            address: at("10.0.0.7:50000"),
            path,
        })
        .collect();
    events.push(E::Returned { receiver: RECEIVER });
    events.extend(CAUSES.into_iter().enumerate().map(|(n, cause)| E::Moved {
        receiver: RECEIVER,
        path: paths[n % 2],
        tier: Rate::from_bps(12_500_000),
        cause,
    }));
    events.extend(
        outcomes
            .into_iter()
            .enumerate()
            .map(|(n, outcome)| E::Done {
                receiver: RECEIVER,
                name: (n > 0).then(name),
                outcome,
            }),
    );
    events.extend(CAUSES.map(|cause| E::Gone {
        receiver: RECEIVER,
        cause,
        reason: reason(),
    }));
    events
}

fn of_objects() -> Vec<SenderEvent> {
    use SenderEvent as E;
    vec![
        E::Hashing {
            name: name(),
            done: 1,
            total: 2,
        },
        offered(true, false),
        offered(false, true),
        E::OfferFailed {
            path: odd_path(),
            reason: reason(),
        },
        E::PathSkipped {
            path: odd_path(),
            reason: reason(),
        },
        E::Withdrawn {
            name: name(),
            reason: reason(),
        },
        E::Started {
            name: name(),
            group: at("239.192.7.1:4700"),
        },
        E::CycleEnded {
            name: name(),
            cycle: 0,
            blocks_left: 12,
        },
        E::Stopped { name: name() },
    ]
}

fn of_sender() -> Vec<SenderEvent> {
    use SenderEvent as E;
    let listening = |group| E::Listening {
        session: SESSION,
        group,
        interface: "eth0".to_owned(),
        addresses: vec![at("10.0.0.5:4700"), at("[fd00::5]:4700")],
        fingerprint: fingerprint(),
        url: Box::new(url("239.192.7.0:4700")),
        host_url: Some(Box::new(url("10.0.0.5:4700"))),
    };
    let progress = SenderProgress {
        sent_bytes: 123,
        rate: Rate::from_bps(456),
        receivers: 7,
        unlisted: 8,
        done: 9,
        repairs: 10,
        naks: 11,
        tiers: tiers(),
        slowest: vec![
            standing(DeliveryPath::Multicast, None),
            standing(DeliveryPath::Unicast, Some(Duration::from_millis(1_500))),
        ],
    };
    vec![
        E::KeyMade { path: odd_path() },
        E::KeyNotKept { reason: reason() },
        listening(Some(at("239.192.7.0:4700"))),
        listening(None),
        E::SmallBuffer(SmallBuffer {
            wanted: 1 << 20,
            got: 212_992,
        }),
        E::Progress(SenderProgress::default()),
        E::Progress(progress),
        E::AnotherSender {
            session: SESSION,
            address: at("10.0.0.6:4700"),
        },
        E::AddressSkipped {
            address: IpAddr::from([10, 0, 0, 9]),
            reason: reason(),
        },
        E::TooLarge { size: 8_950 },
        E::CannotSend {
            to: at("[ff15::7]:4700"),
            reason: reason(),
        },
        E::Finished,
    ]
}

#[test]
fn a_senders_events() {
    let all = [of_sender(), of_objects(), of_receivers()].concat();
    let lines = all.iter().map(|event| json_line(event, 1.5) + "\n");
    check("sender_events.jsonl", &lines.collect::<String>());
}

fn of_files() -> Vec<ReceiverEvent> {
    use ReceiverEvent as E;
    vec![
        E::Opened {
            name: name(),
            path: odd_path(),
            bytes: 0,
            content: content(),
        },
        E::MovedAside {
            name: name(),
            path: odd_path(),
            replaced: true,
        },
        E::LeftOut {
            name: name(),
            path: odd_path(),
            reason: reason(),
        },
        E::Progress(ReceiverProgress::default()),
        E::Progress(ReceiverProgress {
            name: name(),
            have: 1,
            total: 2,
            verified: 3,
            rate: Rate::from_bps(4),
            lost: 5,
            naks: 6,
        }),
        E::Complete {
            name: name(),
            path: odd_path(),
            bytes: 1 << 40,
            content: content(),
            took: Duration::from_nanos(2_000_000_499),
        },
        E::Failed {
            name: name(),
            reason: reason(),
        },
        E::Withdrawn {
            name: name(),
            reason: reason(),
        },
        E::BadBlock {
            name: name(),
            block: 17,
            from: vec![at("10.0.0.5:4700"), at("[fd00::5]:4700")],
        },
        E::BadBlock {
            name: name(),
            block: 0,
            from: Vec::new(),
        },
    ]
}

fn of_session() -> Vec<ReceiverEvent> {
    use ReceiverEvent as E;
    let known = |trusted| E::SenderKnown {
        fingerprint: fingerprint(),
        trusted,
    };
    vec![
        E::Ready {
            receiver: RECEIVER,
            interface: "eth0".to_owned(),
            address: at("0.0.0.0:50000"),
        },
        E::SmallBuffer(SmallBuffer {
            wanted: 8 << 20,
            got: 0,
        }),
        E::Heard {
            session: SESSION,
            address: at("10.0.0.5:4700"),
        },
        E::AnotherSender {
            session: SESSION,
            address: at("10.0.0.6:4700"),
        },
        known(true),
        known(false),
        E::StrangerMet {
            fingerprint: fingerprint(),
            address: at("10.0.0.6:4700"),
        },
        E::NoWayBack,
        E::NoRoom,
        E::Redirected {
            to: at("10.0.0.8:4700"),
        },
        E::ShutOut {
            address: at("10.0.0.6:4700"),
        },
        E::JoinFailed {
            group: at("239.192.7.1:4700"),
            reason: reason(),
        },
        E::GaveUp {
            reason: reason(),
            evicted: None,
        },
        E::GaveUp {
            reason: reason(),
            evicted: Some(MoveCause::TooSlow),
        },
        E::Finished,
    ]
}

const CHOICES: [PathChoice; 6] = [
    PathChoice::Group,
    PathChoice::UnicastAsked,
    PathChoice::UnicastSilent,
    PathChoice::UnicastNoData,
    PathChoice::UnicastTooSlow,
    PathChoice::UnicastTold,
];

#[test]
fn a_receivers_events() {
    let codes = [
        NoticeCode::NotFound,
        NoticeCode::Elsewhere,
        NoticeCode::Withdrawn,
        NoticeCode::Ended,
        NoticeCode::Evicted,
        NoticeCode::UseUnicast,
    ];
    let mut all = [of_session(), of_files()].concat();
    all.extend(CHOICES.map(ReceiverEvent::PathChosen));
    all.extend(CAUSES.map(|cause| ReceiverEvent::TierChosen {
        rate: Rate::from_bps(6_250_000),
        cause,
    }));
    all.extend(codes.map(|code| ReceiverEvent::Notice {
        code,
        cause: MoveCause::Silent,
        text: reason(),
    }));
    let lines = all.iter().map(|event| json_line(event, 0.0) + "\n");
    check("receiver_events.jsonl", &lines.collect::<String>());
}

#[test]
fn the_programs_own_events() {
    let odd = odd_path();
    let path = || odd.to_string_lossy();
    let ends = [
        Exit::Complete,
        Exit::Failed,
        Exit::Usage,
        Exit::Environment,
        Exit::TimedOut,
        Exit::Interrupted,
        Exit::Evicted,
    ];
    let ends: Vec<End> = [End::quiet(Exit::Complete)]
        .into_iter()
        .chain(ends.map(|exit| End::error(exit, reason())))
        .collect();
    let mut all = vec![
        OwnEvent::Packing { done: 1, total: 2 },
        OwnEvent::Unpacking { done: 3, total: 4 },
        OwnEvent::Packed {
            archive: path(),
            key: path(),
            files: 2,
            bytes: 3,
            archive_bytes: 4,
        },
        OwnEvent::Unpacked {
            name: "a/b.iso",
            path: path(),
            bytes: 5,
        },
        OwnEvent::GroupKey { path: path() },
        OwnEvent::SenderKey {
            path: path(),
            fingerprint: fingerprint(),
            made: true,
        },
    ];
    all.extend(ends.iter().map(OwnEvent::End));
    let lines = all.iter().map(|event| json_line(event, 12.345) + "\n");
    check("own_events.jsonl", &lines.collect::<String>());
}

fn traffic(kinds: &[PacketKind]) -> Traffic {
    let mut traffic = Traffic::default();
    for (n, kind) in (1u64..).zip(kinds) {
        traffic.add(*kind, n, n * 1_400);
    }
    traffic
}

fn loss(reasons: &[DropReason]) -> Loss {
    Loss {
        network: 1,
        overflowed: 2,
        stalled: 3,
        discarded: 4,
        dropped: (1u64..).zip(reasons).map(|(n, r)| (*r, n)).collect(),
    }
}

const SPENT: Spent = Spent {
    wall: Duration::from_nanos(8_123_456_789),
    cpu: Duration::from_millis(250),
};

#[test]
fn a_senders_figures() {
    let object = |withdrawn| SenderObject {
        name: name(),
        path: odd_path(),
        bytes: 1,
        content: content(),
        coding: coding(),
        cycles: 2,
        left_out: 1,
        withdrawn,
    };
    let summary = SenderSummary {
        outcome: RunOutcome::Partial,
        session: SESSION,
        fingerprint: fingerprint(),
        sent: traffic(&PacketKind::ALL),
        received: traffic(&[]),
        loss: loss(&[]),
        repairs: 1,
        naks_received: 2,
        receivers_known: 3,
        most_unlisted: 4,
        receivers: vec![
            receiver(DeliveryPath::Unicast, Some(Duration::from_secs(2))),
            receiver(DeliveryPath::Multicast, None),
        ],
        tiers: tiers(),
        objects: vec![object(None), object(Some(reason()))],
        not_offered: vec![NotOffered {
            path: odd_path(),
            reason: reason(),
        }],
        spent: SPENT,
    };
    let end = End::error(Exit::Failed, reason());
    let found = Figures::new("sender", Some(&summary), &end).text();
    check("sender_figures.json", &found.replace(VERSION, "VERSION"));
}

/// Golden files don't name the version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn a_receivers_figures() {
    let object = |path, error: Option<String>| ReceiverObject {
        name: name(),
        path,
        bytes: 1,
        content: content(),
        complete: error.is_none(),
        left_out: 0,
        error,
        took: Duration::from_micros(1),
    };
    let summary = |path| ReceiverSummary {
        outcome: RunOutcome::Partial,
        receiver: RECEIVER,
        session: Some(SESSION),
        sender: Some(fingerprint()),
        path,
        sent: traffic(&[PacketKind::Nak]),
        received: traffic(&PacketKind::ALL),
        loss: loss(&DropReason::ALL),
        duplicates: 1,
        naks_sent: 2,
        naks_suppressed: 3,
        bad_blocks: 4,
        bad_sources: vec![BadSource {
            address: at("10.0.0.5:4700"),
            blocks: 6,
        }],
        objects: vec![object(Some(odd_path()), None), object(None, Some(reason()))],
        gave_up: Some(reason()),
        evicted: Some(MoveCause::AsksTooMuch),
        spent: SPENT,
    };
    let nothing = ReceiverSummary {
        session: None,
        sender: None,
        bad_sources: Vec::new(),
        objects: Vec::new(),
        gave_up: None,
        evicted: None,
        ..summary(None)
    };
    let all = CHOICES.iter().map(|choice| summary(Some(*choice)));
    let end = End::quiet(Exit::Complete);
    let mut found: String = all
        .chain([nothing])
        .map(|summary| Figures::new("receiver", Some(&summary), &end).text())
        .collect();
    let refused = End::error(Exit::Usage, reason());
    for role in ["sender", "receiver"] {
        found += &Figures::new(role, None::<&()>, &refused).text();
    }
    check("receiver_figures.json", &found.replace(VERSION, "VERSION"));
}
