//! Round trips, and what must be refused.

use core::net::SocketAddr;
use core::time::Duration;

use proptest::prelude::*;

use super::strategies as any_;
use super::*;
use crate::ids::{Hash, ReceiverId, SessionId, ShortCodingId};
use crate::object::{Codec, Description, Geometry, ObjectKind};
use crate::units::Rate;

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    // Something before it, so that an encoder that counts from 0 is found out.
    let mut out = vec![0xee; 3];
    packet.encode(&mut out);
    out.split_off(3)
}

/// Gives a changed packet the checksum it needs to get as far as the other checks.
fn with_crc(mut packet: Vec<u8>) -> Vec<u8> {
    let at = packet.len() - TRAILER_LEN;
    let crc = crc32fast::hash(&packet[..at]);
    packet[at..].copy_from_slice(&crc.to_be_bytes());
    packet
}

fn from_sender(body: SenderBody) -> FromSender {
    FromSender {
        channel: 0,
        session: SessionId(7),
        one_way: false,
        body,
    }
}

fn from_receiver(body: ReceiverBody) -> FromReceiver {
    FromReceiver {
        channel: 0,
        session: SessionId(7),
        receiver: ReceiverId(8),
        counter: 0,
        cookie: Default::default(),
        echo: None,
        body,
    }
}

fn sync(padded_to: u16) -> Sync {
    Sync {
        coding: ShortCodingId(1),
        next_packet: 2,
        position: Position::default(),
        sent_at: 3,
        grtt: Duration::from_millis(4),
        k: 4,
        receivers: 1,
        next_sync: Duration::from_millis(100),
        rate: Rate::from_bps(1_000_000),
        report_interval: Duration::from_secs(1),
        path_loss: 0,
        query: false,
        idle: false,
        padded_to,
    }
}

fn offer(name: &str, channels: Vec<ChannelInfo>) -> Offer {
    Offer {
        sent_at: 1,
        index: 0,
        total: 1,
        grtt: Duration::from_millis(50),
        receivers: 1,
        description: Description {
            name: name.to_owned(),
            kind: ObjectKind::File,
            content: Hash([1; 32]),
            table: Hash([2; 32]),
            geometry: Geometry::new(1 << 42, 1_344, 1_024, 0, 64).unwrap(),
            codec: Codec::None,
        },
        signature: Signature {
            key: [4; 32],
            bytes: [5; 64],
        },
        channels,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn data_comes_back((header, payload) in any_::data()) {
        let bytes = encoded(&Packet::Data(header, &payload));
        if header.part.is_none() {
            prop_assert_eq!(bytes.len(), data_packet_len(payload.len() as u16));
        }
        prop_assert_eq!(parse(&bytes), Ok(Packet::Data(header, &payload)));
    }

    #[test]
    fn packets_from_senders_come_back(packet in any_::from_sender()) {
        let bytes = encoded(&Packet::FromSender(packet.clone()));
        match &packet.body {
            SenderBody::Sync(sync) if sync.padded_to != 0 => {
                prop_assert_eq!(bytes.len(), usize::from(sync.padded_to));
            }
            SenderBody::Confirm(needs) => {
                let entries: usize = needs.entries.iter().map(Need::encoded_len).sum();
                prop_assert_eq!(bytes.len(), CONFIRM_EMPTY_LEN + entries);
            }
            _ => {}
        }
        prop_assert_eq!(parse(&bytes), Ok(Packet::FromSender(packet)));
    }

    #[test]
    fn packets_from_receivers_come_back(packet in any_::from_receiver()) {
        let bytes = encoded(&Packet::FromReceiver(packet.clone()));
        match &packet.body {
            ReceiverBody::Request(_) => prop_assert_eq!(bytes.len(), 1_200),
            ReceiverBody::Nak(nak) => {
                let needs = nak.needs.encoded_len() - Needs::EMPTY_LEN;
                prop_assert_eq!(bytes.len(), NAK_EMPTY_LEN + needs);
            }
            ReceiverBody::Report(_) => prop_assert_eq!(bytes.len(), REPORT_LEN),
            _ => {}
        }
        prop_assert_eq!(parse(&bytes), Ok(Packet::FromReceiver(packet)));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 1_u8..14) {
        let _ = parse(&bytes);
        if bytes.len() > 24 {
            let mut bytes = bytes;
            bytes[0] = 0x10 | kind;
            bytes[1] &= !1;
            let _ = parse(&with_crc(bytes));
        }
    }

    #[test]
    fn damage_is_survived(
        bytes in any_::datagram(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut damaged = bytes.clone();
        for (at, byte) in flips {
            // Mostly in the first bytes, where the structure is.
            let at = if byte & 1 == 0 { at.index(bytes.len().min(80)) } else { at.index(bytes.len()) };
            damaged[at] = byte;
        }
        if damaged != bytes {
            prop_assert!(parse(&damaged).is_err());
        }
        // What a hostile sender would do: the checksum holds.
        let damaged = with_crc(damaged);
        if let Ok(packet) = parse(&damaged) {
            let again = encoded(&packet);
            prop_assert_eq!(parse(&again), Ok(packet));
        }
    }

    #[test]
    fn every_prefix_is_refused(bytes in any_::datagram()) {
        for len in 0..bytes.len() {
            prop_assert!(parse(&bytes[..len]).is_err(), "prefix of {} bytes", len);
        }
    }

    #[test]
    fn symbols_take_the_shorter_form(needs in any_::needs()) {
        for need in &needs.entries {
            let Need::Symbols { missing, .. } = need else { continue };
            let last = missing.iter().last().unwrap();
            let bitmap = 9 + usize::from(last - missing.first().unwrap()) / 8 + 1;
            let ranges: usize = missing.ranges().map(|r| if r.len() == 1 { 2 } else { 4 }).sum();
            let possible = missing.ranges().count() <= 255;
            let shortest = if possible { bitmap.min(6 + ranges) } else { bitmap };
            prop_assert_eq!(need.encoded_len(), shortest);
        }
    }
}

#[test]
fn a_large_offer_fits_the_answer_to_a_request() {
    let channel = ChannelInfo {
        number: 1,
        tier: 0,
        group: "[ff3e::4321:1234]:4700".parse().unwrap(),
        source: Some("2001:db8::1".parse().unwrap()),
        rate: Rate::from_bps(1_000_000_000),
        feedback: Feedback::Group { port: 4_701 },
    };
    let packet = from_sender(SenderBody::Offer(Box::new(offer(
        &"n".repeat(255),
        vec![channel; MAX_CHANNELS],
    ))));
    let bytes = encoded(&Packet::FromSender(packet.clone()));
    assert_eq!(bytes.len(), 1_020);
    assert!(bytes.len() <= usize::from(config::REQUEST_SIZE));
    assert_eq!(parse(&bytes), Ok(Packet::FromSender(packet)));
}

#[test]
fn default_packets_fit_their_path() {
    let default = config::DEFAULT_SYMBOL_SIZE;
    // With a tag in place of the checksum, UDP and IPv6, over PPPoE.
    assert!(DATA_HEADER_LEN + usize::from(default) + TAG_LEN + 8 + 40 <= 1_492);
    const { assert!(MAX_PACKET_LEN + 8 + 40 <= 9_000) };
    assert_eq!(data_packet_len(default), 1_380);
}

#[test]
fn what_is_refused_has_its_reason() {
    let good = encoded(&Packet::FromSender(from_sender(SenderBody::Sync(sync(0)))));
    assert!(parse(&good).is_ok());
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&with_crc(bytes)).unwrap_err()
    };
    assert_eq!(parse(&[]), Err(WireError::TooShort));
    assert_eq!(parse(&good[..19]), Err(WireError::TooShort));
    assert_eq!(parse(&good[..20]), Err(WireError::Checksum));
    assert_eq!(parse(&[0x13; MAX_PACKET_LEN + 1]), Err(WireError::TooLong));
    assert_eq!(changed(0, 0x23), WireError::Version);
    assert_eq!(changed(0, 0x10), WireError::Type);
    assert_eq!(changed(0, 0x1e), WireError::Type);
    assert_eq!(changed(1, 0x01), WireError::Tagged);
    assert_eq!(changed(5, 55), WireError::Extension);
    assert_eq!(changed(5, 57), WireError::Body);
    assert_eq!(changed(4, 1), WireError::Body);
    assert_eq!(changed(16 + 52, 0), WireError::Range);
    assert_eq!(changed(16 + 52, 64), WireError::Range);
    assert_eq!(changed(16 + 55, 75), WireError::Range);
}

#[test]
fn unknown_flags_and_extensions_are_ignored() {
    let packet = from_sender(SenderBody::Sync(sync(0)));
    let mut bytes = encoded(&Packet::FromSender(packet.clone()));
    bytes[1] |= 0x70;
    bytes[7] = 9;
    bytes.truncate(bytes.len() - TRAILER_LEN);
    bytes.extend([0x81, 0, 0, 3, 1, 2, 3, 0x05, 0xff, 0, 0]);
    bytes.extend([0; TRAILER_LEN]);
    assert_eq!(
        parse(&with_crc(bytes.clone())),
        Ok(Packet::FromSender(packet))
    );
    let len = bytes.len() - TRAILER_LEN - 1;
    bytes[len] = 1;
    assert_eq!(parse(&with_crc(bytes)), Err(WireError::Extension));
}

#[test]
fn a_short_request_is_refused() {
    let request = Request {
        wanted: Wanted::All { from: 0 },
        stage: Stage::Ask,
        holds: false,
        downlink: Rate::ZERO,
        cause: MoveCause::None,
        largest_heard: 0,
    };
    let mut bytes = encoded(&Packet::FromReceiver(from_receiver(ReceiverBody::Request(
        request,
    ))));
    assert_eq!(bytes.len(), 1_200);
    // One byte of padding less, all else in order.
    bytes.truncate(1_199);
    let at = 16 + 40 + 20 + 2;
    let padding = u16::from_be_bytes([bytes[at], bytes[at + 1]]) - 1;
    bytes[at..at + 2].copy_from_slice(&padding.to_be_bytes());
    assert_eq!(parse(&with_crc(bytes)), Err(WireError::TooShort));
}

#[test]
fn a_sync_that_cannot_be_padded_says_so() {
    for padded_to in [1, 67, 69, 71] {
        let bytes = encoded(&Packet::FromSender(from_sender(SenderBody::Sync(sync(
            padded_to,
        )))));
        assert_eq!(
            parse(&bytes),
            Ok(Packet::FromSender(from_sender(SenderBody::Sync(sync(0)))))
        );
    }
}

#[test]
fn needs_must_be_in_order_and_say_something() {
    let first = Need::Blocks { first: 5, count: 3 };
    let second = Need::Count {
        block: 8,
        lacking: 1,
    };
    let needs = Needs {
        coding: ShortCodingId(1),
        entries: vec![first, second],
    };
    let good = encoded(&Packet::FromSender(from_sender(SenderBody::Confirm(needs))));
    assert!(parse(&good).is_ok());
    let entry = 16 + Needs::EMPTY_LEN;
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&with_crc(bytes)).map(|_| ())
    };
    assert_eq!(changed(entry + 8, 4), Err(WireError::Order));
    assert_eq!(changed(entry + 8, 0), Err(WireError::Range));
    assert_eq!(changed(entry + 5, 0xff), Err(WireError::Order));
    assert_eq!(changed(entry + 9 + 4, 7), Err(WireError::Order));
    assert_eq!(changed(entry + 9 + 6, 0), Err(WireError::Range));
    assert_eq!(changed(entry, 4), Err(WireError::Range));
    assert_eq!(changed(16 + 8, 2), Err(WireError::Count));
    assert_eq!(changed(16 + 9, 1), Err(WireError::Body));
    assert_eq!(changed(16 + 9, 3), Err(WireError::Body));
}

#[test]
fn the_largest_list_of_needs_parses_and_one_more_is_refused() {
    let needs = |count: u32| {
        let mut high = SymbolSet::new();
        high.insert(MAX_SYMBOL);
        let entries = (0..count).map(|block| Need::Symbols {
            block,
            missing: high.clone(),
        });
        Needs {
            coding: ShortCodingId(1),
            entries: entries.collect(),
        }
    };
    let packet = from_sender(SenderBody::Confirm(needs(MAX_NEEDS as u32)));
    let mut bytes = encoded(&Packet::FromSender(packet.clone()));
    assert_eq!(parse(&bytes), Ok(Packet::FromSender(packet)));
    let count = 16 + 8;
    bytes[count..count + 2].copy_from_slice(&(MAX_NEEDS as u16 + 1).to_be_bytes());
    assert_eq!(parse(&with_crc(bytes)), Err(WireError::Count));
}

#[test]
fn offers_that_could_do_harm_are_refused() {
    let channel = ChannelInfo {
        number: 1,
        tier: 0,
        group: SocketAddr::from(([239, 192, 7, 1], 4_700)),
        source: None,
        rate: Rate::from_bps(1),
        feedback: Feedback::Sender,
    };
    let good = encoded(&Packet::FromSender(from_sender(SenderBody::Offer(
        Box::new(offer("f", vec![channel])),
    ))));
    assert!(parse(&good).is_ok());
    let changed = |at: usize, bytes: &[u8]| {
        let mut packet = good.clone();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&with_crc(packet)).map(|_| ())
    };
    let description = 16 + 24;
    assert_eq!(changed(16, &[0; 8]), Err(WireError::Range));
    assert_eq!(changed(16 + 8, &[0, 0, 0, 1]), Err(WireError::Range));
    assert_eq!(
        changed(description + 32, &[0xff; 8]),
        Err(WireError::Geometry)
    );
    let impossible: [(usize, &[u8]); 9] = [
        (72, &[0; 4]),
        (72, &[0xff; 4]),
        (76, &[0, 1]),
        (78, &[0, 1]),
        (78, &[0, 0, 10, 1]),
        (78, &[0x20, 1, 10, 1]),
        (80, &[17]),
        (80, &[31]),
        (80, &[63]),
    ];
    for (at, bytes) in impossible {
        let refused = changed(description + at, bytes);
        assert_eq!(refused, Err(WireError::Geometry), "{bytes:?} at {at}");
    }
    assert_eq!(changed(description + 78, &[0, 1, 10, 1]), Ok(()));
    assert_eq!(changed(description + 78, &[0x20, 0, 10, 1]), Ok(()));
    assert_eq!(changed(description + 81, &[9]), Err(WireError::Range));
    assert_eq!(changed(description + 82, &[3]), Err(WireError::Range));
    assert_eq!(changed(description + 83, &[0]), Err(WireError::Range));
    assert_eq!(changed(description + 84, &[0x0a]), Err(WireError::Text));
    assert_eq!(changed(description + 84, &[0xc3]), Err(WireError::Text));
    let channels = description + 85 + 96;
    assert_eq!(changed(channels, &[13]), Err(WireError::Count));
    let channel = channels + 1;
    assert_eq!(changed(channel, &[0x80, 0]), Err(WireError::Range));
    assert_eq!(changed(channel + 2, &[12]), Err(WireError::Range));
    assert_eq!(changed(channel + 7, &[5]), Err(WireError::Address));
    assert_eq!(changed(channel + 8, &[10]), Err(WireError::Address));
    assert_eq!(changed(channel + 12, &[0, 0]), Err(WireError::Address));
}

#[test]
fn texts_are_cut_between_characters_and_cleaned() {
    let notice = Notice {
        receiver: ReceiverId(0),
        coding: ShortCodingId(0),
        code: NoticeCode::Ended,
        cause: MoveCause::None,
        text: format!("a\n\u{85}{}", "é".repeat(200)),
        addresses: Vec::new(),
    };
    let bytes = encoded(&Packet::FromSender(from_sender(SenderBody::Notice(notice))));
    let Ok(Packet::FromSender(FromSender {
        body: SenderBody::Notice(back),
        ..
    })) = parse(&bytes)
    else {
        panic!("refused");
    };
    assert_eq!(back.text, format!("a  {}", "é".repeat(98)));
}

#[test]
fn every_reason_has_its_own_name() {
    let mut names: Vec<_> = WireError::ALL.iter().map(|e| e.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), WireError::ALL.len());
    assert!(core::mem::size_of::<WireError>() == 1);
}
