//! Random packets for the tests, all within their fields' ranges.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::ids::{
    Cookie, Hash, MAX_PACKET_NO, PacketNo, ReceiverId, SessionId, ShortCodingId, UNICAST_CHANNELS,
};
use crate::object::{Codec, Description, Geometry, ObjectKind};
use crate::units::Rate;

fn coding() -> impl Strategy<Value = ShortCodingId> {
    any::<u64>().prop_map(ShortCodingId)
}

fn packet_no() -> impl Strategy<Value = PacketNo> {
    prop_oneof![0..=MAX_PACKET_NO, Just(0), Just(MAX_PACKET_NO)]
}

fn micros(max: u32) -> impl Strategy<Value = Duration> {
    (1..=max).prop_map(|us| Duration::from_micros(u64::from(us)))
}

fn grtt() -> impl Strategy<Value = Duration> {
    (1_000_u64..=15_000_000).prop_map(Duration::from_micros)
}

fn report_interval() -> impl Strategy<Value = Duration> {
    (2_000..=u64::from(u32::MAX)).prop_map(Duration::from_micros)
}

fn kbps() -> impl Strategy<Value = Rate> {
    any::<u32>().prop_map(|kbps| Rate::from_bps(u64::from(kbps) * 1_000))
}

fn rate() -> impl Strategy<Value = Rate> {
    (0..=fields::MAX_RATE_BPS).prop_map(Rate::from_bps)
}

fn text(max_chars: usize) -> impl Strategy<Value = String> {
    vec(
        any::<char>().prop_filter("control", |c| !c.is_control()),
        0..=max_chars,
    )
    .prop_map(String::from_iter)
}

fn name() -> impl Strategy<Value = String> {
    text(63).prop_filter("empty", |s| !s.is_empty())
}

fn host() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (1_u32..=0xdfff_ffff).prop_map(|n| IpAddr::from(Ipv4Addr::from(n))),
        (0_u128..=u128::MAX >> 1).prop_map(|n| IpAddr::from(Ipv6Addr::from(n + 1))),
    ]
}

fn group() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        (0xe000_0000_u32..=0xefff_ffff).prop_map(|n| IpAddr::from(Ipv4Addr::from(n))),
        (0xff_u128 << 120..=u128::MAX).prop_map(|n| IpAddr::from(Ipv6Addr::from(n))),
    ];
    (ip, 1..=u16::MAX).prop_map(SocketAddr::from)
}

/// Payloads as long as some symbol, or a piece of one.
pub(crate) fn data() -> impl Strategy<Value = (DataHeader, Vec<u8>)> {
    let payload = prop_oneof![
        (16_usize..=40).prop_map(|n| (None, n * 64)),
        (any::<u16>(), 1_usize..2_000)
            .prop_map(|(offset, len)| (Some(offset % (config::MAX_SYMBOL_SIZE - 2_000)), len)),
    ];
    let ids = (any::<u16>(), any::<u64>(), coding(), packet_no());
    let flags = (any::<bool>(), any::<bool>());
    let place = (any::<u32>(), 0..=MAX_SYMBOL, flags);
    (ids, place, payload, any::<u8>()).prop_map(|(ids, place, (part, len), byte)| {
        let (channel, session, coding, packet) = ids;
        let (block, symbol, (repair, one_way)) = place;
        let session = SessionId(session);
        let header = DataHeader {
            channel,
            session,
            coding,
            packet,
            block,
            symbol,
            repair,
            one_way,
            part,
        };
        (header, vec![byte; len])
    })
}

fn sync() -> impl Strategy<Value = Sync> {
    let position =
        (any::<u32>(), any::<u32>(), 0..=MAX_SYMBOL).prop_map(|(cycle, block, symbol)| Position {
            cycle,
            block,
            symbol,
        });
    (
        (coding(), packet_no(), position, 1..=u64::MAX),
        (
            grtt(),
            1_u8..=63,
            1..=u32::MAX,
            micros(u32::MAX),
            kbps(),
            report_interval(),
        ),
        (
            any::<u8>(),
            any::<bool>(),
            any::<bool>(),
            prop_oneof![Just(0_u16), 80_u16..=8_944],
        ),
    )
        .prop_map(
            |((coding, next_packet, position, sent_at), timing, flags)| {
                let (grtt, k, receivers, next_sync, rate, report_interval) = timing;
                let (path_loss, query, idle, padded_to) = flags;
                Sync {
                    coding,
                    next_packet,
                    position,
                    sent_at,
                    grtt,
                    k,
                    receivers,
                    next_sync,
                    rate,
                    report_interval,
                    path_loss,
                    query,
                    idle,
                    padded_to,
                }
            },
        )
}

fn description() -> impl Strategy<Value = Description> {
    let geometry = (
        any::<u64>(),
        0..=48_u32,
        16_u16..=139,
        0..=16_u32,
        1_u32..=1 << 24,
        prop_oneof![Just(0), 1..=config::MAX_M],
    );
    let geometry =
        geometry.prop_filter_map("impossible", |(length, shift, size, log, table, m)| {
            Geometry::new(length >> 16 >> shift, size * 64, 1 << log, m, table).ok()
        });
    (
        name(),
        any::<[u8; 32]>(),
        geometry,
        any::<[u8; 32]>(),
        0..=2_u8,
    )
        .prop_map(|(name, content, geometry, table, kind)| Description {
            name,
            kind: ObjectKind::from_number(kind).unwrap_or_default(),
            content: Hash(content),
            table: Hash(table),
            geometry,
            codec: if geometry.m() == 0 {
                Codec::None
            } else {
                Codec::ReedSolomon
            },
        })
}

fn channel() -> impl Strategy<Value = ChannelInfo> {
    let feedback = any::<u16>().prop_map(|port| match port {
        0 => Feedback::Sender,
        port => Feedback::Group { port },
    });
    (
        (0..UNICAST_CHANNELS, 0..MAX_CHANNELS as u8),
        group(),
        option::of(host()),
        kbps(),
        feedback,
    )
        .prop_map(|((number, tier), group, source, rate, feedback)| {
            let source = source.filter(|s| s.is_ipv4() == group.is_ipv4());
            ChannelInfo {
                number,
                tier,
                group,
                source,
                rate,
                feedback,
            }
        })
}

fn signature() -> impl Strategy<Value = Signature> {
    (any::<[u8; 32]>(), any::<[[u8; 32]; 2]>()).prop_map(|(key, halves)| Signature {
        key,
        bytes: core::array::from_fn(|i| halves[i / 32][i % 32]),
    })
}

fn offer() -> impl Strategy<Value = Offer> {
    let place = (0..u32::MAX, 1..=u32::MAX).prop_map(|(i, n)| (i, i.saturating_add(n)));
    (
        1..=u64::MAX,
        place,
        grtt(),
        1..=u32::MAX,
        (description(), signature()),
        vec(channel(), 0..=MAX_CHANNELS),
    )
        .prop_map(
            |(sent_at, (index, total), grtt, receivers, (description, signature), channels)| {
                Offer {
                    sent_at,
                    index,
                    total,
                    grtt,
                    receivers,
                    description,
                    signature,
                    channels,
                }
            },
        )
}

fn symbols() -> impl Strategy<Value = SymbolSet> {
    let dense = (0..=MAX_SYMBOL - 600, vec(any::<bool>(), 1..600)).prop_map(|(first, bits)| {
        let mut set = SymbolSet::new();
        set.insert(first);
        for (i, bit) in bits.into_iter().enumerate() {
            if bit {
                set.insert(first + i as u16);
            }
        }
        set
    });
    let sparse = vec((0..=MAX_SYMBOL, 1_u16..100), 1..20).prop_map(|runs| {
        let mut set = SymbolSet::new();
        for (from, len) in runs {
            set.insert_range(from..(from + len).min(MAX_SYMBOL + 1));
        }
        set
    });
    prop_oneof![dense, sparse]
}

pub(super) fn needs() -> impl Strategy<Value = Needs> {
    let what = prop_oneof![
        (1_u32..1_000).prop_map(|count| Need::Blocks { first: 0, count }),
        (1..=u16::MAX).prop_map(|lacking| Need::Count { block: 0, lacking }),
        symbols().prop_map(|missing| Need::Symbols { block: 0, missing }),
    ];
    let entries = vec((0_u32..100_000, what), 0..8);
    (coding(), 0..=u32::MAX - 1_000_000, entries).prop_map(|(coding, mut at, mut entries)| {
        for (gap, need) in &mut entries {
            at += *gap;
            match need {
                Need::Blocks { first, count } => {
                    *first = at;
                    at += *count;
                }
                Need::Count { block, .. } | Need::Symbols { block, .. } => {
                    *block = at;
                    at += 1;
                }
            }
        }
        Needs {
            coding,
            entries: entries.into_iter().map(|(_, need)| need).collect(),
        }
    })
}

fn heard() -> impl Strategy<Value = Vec<Heard>> {
    let one = (any::<u64>(), any::<u32>()).prop_map(|(receiver, counter)| Heard {
        receiver: ReceiverId(receiver),
        counter,
    });
    vec(one, 0..=80)
}

fn cause() -> impl Strategy<Value = MoveCause> {
    prop_oneof![
        Just(MoveCause::None),
        Just(MoveCause::Congestion),
        Just(MoveCause::SocketBuffer),
        Just(MoveCause::Disk),
        Just(MoveCause::Clean),
        Just(MoveCause::PathLoss),
        Just(MoveCause::TooSlow),
        Just(MoveCause::AsksTooMuch),
        Just(MoveCause::Silent),
    ]
}

fn notice() -> impl Strategy<Value = Notice> {
    let code = prop_oneof![
        Just(NoticeCode::NotFound),
        Just(NoticeCode::Elsewhere),
        Just(NoticeCode::Withdrawn),
        Just(NoticeCode::Ended),
        Just(NoticeCode::Evicted),
        Just(NoticeCode::UseUnicast),
    ];
    let address = (host(), 1..=u16::MAX).prop_map(SocketAddr::from);
    (
        any::<u64>(),
        coding(),
        code,
        cause(),
        text(50),
        vec(address, 0..=MAX_ADDRESSES),
    )
        .prop_map(|(receiver, coding, code, cause, text, addresses)| Notice {
            receiver: ReceiverId(receiver),
            coding,
            code,
            cause,
            text,
            addresses,
        })
}

fn challenge() -> impl Strategy<Value = Challenge> {
    (1..=u64::MAX, 1..=u64::MAX, 1..=u64::MAX).prop_map(|(receiver, cookie, sent_at)| Challenge {
        receiver: ReceiverId(receiver),
        cookie: Cookie(cookie),
        sent_at,
    })
}

pub(crate) fn from_sender() -> impl Strategy<Value = FromSender> {
    let body = prop_oneof![
        sync().prop_map(SenderBody::Sync),
        offer().prop_map(|offer| SenderBody::Offer(Box::new(offer))),
        needs().prop_map(SenderBody::Confirm),
        heard().prop_map(SenderBody::Heard),
        heard().prop_map(SenderBody::Unlisted),
        notice().prop_map(SenderBody::Notice),
        challenge().prop_map(SenderBody::Challenge),
    ];
    let flag = any::<bool>();
    (any::<u16>(), any::<u64>(), flag, body).prop_map(|(channel, session, one_way, body)| {
        FromSender {
            channel,
            session: SessionId(session),
            one_way,
            body,
        }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let wanted = prop_oneof![
        any::<u32>().prop_map(|from| Wanted::All { from }),
        name().prop_map(Wanted::Name),
        vec(coding(), 1..=MAX_CODINGS).prop_map(Wanted::Codings),
    ];
    let stage = prop_oneof![
        Just(Stage::Ask),
        Just(Stage::JoinGroup),
        Just(Stage::JoinUnicast)
    ];
    (
        wanted,
        (stage, any::<bool>()),
        kbps(),
        any::<u16>(),
        cause(),
    )
        .prop_map(
            |(wanted, (stage, holds), downlink, largest_heard, cause)| Request {
                wanted,
                stage,
                holds,
                downlink,
                cause,
                largest_heard,
            },
        )
}

fn report() -> impl Strategy<Value = Report> {
    (
        coding(),
        rate(),
        any::<[u64; 6]>(),
        any::<u32>(),
        micros(u32::MAX),
        any::<(bool, u8)>(),
    )
        .prop_map(
            |(
                coding,
                throughput,
                [symbols_held, packets, lost, overflowed, damaged, stalled],
                longest_run,
                measured,
                (unicast, behind),
            )| Report {
                coding,
                symbols_held,
                throughput,
                measured,
                packets,
                lost,
                overflowed,
                damaged,
                stalled,
                longest_run,
                unicast,
                behind,
            },
        )
}

fn ack() -> impl Strategy<Value = Ack> {
    let steps = vec((1_u64..1 << 40, 1_u64..1 << 40), 0..=MAX_ACK_RANGES);
    (steps, micros(u32::MAX), any::<u16>()).prop_map(|(steps, delay, largest_heard)| {
        let mut top = MAX_PACKET_NO + 2;
        let ranges = steps.into_iter().map(|(gap, len)| {
            let to = top - gap;
            top = to - len;
            (top, to)
        });
        Ack {
            ranges: ranges.collect(),
            delay,
            largest_heard,
        }
    })
}

fn done() -> impl Strategy<Value = Vec<Done>> {
    let outcome = prop_oneof![
        Just(Outcome::Complete),
        Just(Outcome::Failed),
        Just(Outcome::Left)
    ];
    vec(
        (coding(), outcome).prop_map(|(coding, outcome)| Done { coding, outcome }),
        0..=MAX_CODINGS,
    )
}

pub(crate) fn from_receiver() -> impl Strategy<Value = FromReceiver> {
    let nak = (packet_no(), needs(), any::<bool>());
    let body = prop_oneof![
        request().prop_map(ReceiverBody::Request),
        nak.prop_map(|(seen_to, needs, more)| ReceiverBody::Nak(Nak {
            seen_to,
            needs,
            more
        })),
        report().prop_map(ReceiverBody::Report),
        ack().prop_map(ReceiverBody::Ack),
        done().prop_map(ReceiverBody::Done),
    ];
    let echo = option::of((1..=u64::MAX, micros(3_600_000_000)))
        .prop_map(|echo| echo.map(|(sent_at, held)| Echo { sent_at, held }));
    (
        any::<u16>(),
        any::<u64>(),
        1..=u64::MAX,
        any::<u64>(),
        any::<u64>(),
        echo,
        body,
    )
        .prop_map(
            |(channel, session, receiver, counter, cookie, echo, body)| FromReceiver {
                channel,
                session: SessionId(session),
                receiver: ReceiverId(receiver),
                counter,
                cookie: Cookie(cookie),
                echo,
                body,
            },
        )
}

/// One datagram of any type.
pub(super) fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let encoded = |packet: &Packet<'_>| {
        let mut out = Vec::new();
        packet.encode(&mut out);
        out
    };
    prop_oneof![
        data().prop_map(move |(header, payload)| encoded(&Packet::Data(header, &payload))),
        from_sender().prop_map(move |packet| encoded(&Packet::FromSender(packet))),
        from_receiver().prop_map(move |packet| encoded(&Packet::FromReceiver(packet))),
    ]
}
