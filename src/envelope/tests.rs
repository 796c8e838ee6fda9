use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ids::{Cookie, MAX_PACKET_NO, ReceiverId, ShortCodingId};
use crate::seal::GroupKey;
use crate::secret::Secret;
use crate::time::Time;
use crate::wire::strategies::{data, from_receiver, from_sender};
use crate::wire::{
    Challenge, DataHeader, FromReceiver, FromSender, Packet, ReceiverBody, SenderBody, parse,
};

const SESSION: SessionId = SessionId(0x5e55);
const ID: ReceiverId = ReceiverId(7);
const NOW: Time = Time::ZERO;

fn group(n: u8) -> GroupKey {
    GroupKey::new(Secret::new([n; 32]))
}

fn sender() -> SenderEnvelopes {
    SenderEnvelopes::new(group(1), SESSION, [9; 16])
}

fn receiver() -> ReceiverEnvelopes {
    ReceiverEnvelopes::new(group(1), ID)
}

fn challenge(session: SessionId) -> Vec<u8> {
    let challenge = Challenge {
        receiver: ID,
        cookie: Cookie(1),
        sent_at: 1,
    };
    plain(&Packet::FromSender(FromSender {
        channel: 0,
        session,
        one_way: false,
        body: SenderBody::Challenge(challenge),
    }))
}

fn done(session: SessionId, id: ReceiverId, counter: u64) -> Vec<u8> {
    plain(&Packet::FromReceiver(FromReceiver {
        channel: 3,
        session,
        receiver: id,
        counter,
        cookie: Cookie(1),
        echo: None,
        body: ReceiverBody::Done(Vec::new()),
    }))
}

fn plain(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(&mut out);
    out
}

/// Sealed behind something else.
fn sealed(by: &mut impl Seal, plain: &[u8]) -> Vec<u8> {
    let mut out = [&[0xee; 5], plain].concat();
    by.seal(&mut out, 5);
    out.split_off(5)
}

fn opened(
    sealed: &[u8],
    open: impl FnOnce(&mut [u8]) -> Result<Range<usize>, Refused>,
) -> Result<Vec<u8>, Refused> {
    let mut datagram = sealed.to_vec();
    open(&mut datagram).map(|range| datagram[range].to_vec())
}

/// A receiver that knows the session.
fn met(sender: &mut SenderEnvelopes) -> ReceiverEnvelopes {
    let mut receiver = receiver();
    let first = sealed(sender, &challenge(SESSION));
    assert!(opened(&first, |d| receiver.open(NOW, d)).is_ok());
    receiver
}

/// Vectors made with Python's hmac and cryptography: the packets of docs/PROTOCOL.md.
#[test]
fn golden_envelopes() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let group = || GroupKey::new(Secret::new(core::array::from_fn(|i| i as u8)));
    let (session, id) = (
        SessionId(0x1122_3344_5566_7788),
        ReceiverId(0xaaaa_aaaa_aaaa_aaa1),
    );
    let mut s = SenderEnvelopes::new(group(), session, [0x5e; 16]);
    let mut r = ReceiverEnvelopes::new(group(), id);
    assert_eq!(hex(&sealed(&mut r, &done(SessionId(0), id, 5))), ASKING);
    let mut plain_challenge = challenge(session);
    plain_challenge[16..24].copy_from_slice(&id.0.to_be_bytes());
    let first = sealed(&mut s, &plain_challenge);
    assert_eq!(hex(&first), CHALLENGE);
    opened(&first, |d| r.open(NOW, d)).unwrap();
    assert_eq!(hex(&sealed(&mut r, &done(session, id, 5))), DONE);
    let header = DataHeader {
        channel: 1,
        session,
        coding: ShortCodingId(3),
        packet: 0xa1b2_c3d4_e5f6,
        block: 2,
        symbol: 4,
        repair: false,
        one_way: false,
        part: None,
    };
    let data = sealed(&mut s, &plain(&Packet::Data(header, &[0xa5; 1_024])));
    assert_eq!(hex(&data[..48]), DATA_START);
    assert_eq!(hex(&data[data.len() - 16..]), DATA_TAG);
}
const CHALLENGE: &str = "180100000018000011223344556677885e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e00000000000000008fb34a2c0c4d2ca3426a36b8b244b18484ef8cddbe3dd4ca718ab401e44d7e005195329f9e32b6f2";
const DONE: &str = "1d010003002800001122334455667788aaaaaaaaaaaaaaa10000000000000005c499e030d41a94f9d03fc90b334912ab128a07adc646b28c6036ba1f53f247d1216ba4c0c52838f3";
const ASKING: &str = "1d010003002800000000000000000000aaaaaaaaaaaaaaa100000000000000058ed4d6c3e053062716a76f1b25ec935598d2afd13c452733ce7f06526854c6fd8a5e92a2f8a50c09";
const DATA_START: &str = "110100010000000211223344556677880000000000000003a1b2c3d4e5f600044ad5d314537b1acc0867d552d84bdff2";
const DATA_TAG: &str = "c49a2f1e3927c7021062fc4a4a7d701e";

#[test]
fn what_is_no_members_is_refused() {
    let (mut s, mut r) = (sender(), receiver());
    let mut foreign = SenderEnvelopes::new(group(2), SESSION, [9; 16]);
    let plain = challenge(SESSION);
    for datagram in [
        plain.clone(),
        sealed(&mut foreign, &plain),
        vec![0x18, 1],
        vec![],
    ] {
        assert_eq!(
            opened(&datagram, |d| r.open(NOW, d)),
            Err(Refused::Unsealed)
        );
    }
    let mut foreign = ReceiverEnvelopes::new(group(2), ID);
    let ask = done(SessionId(0), ID, 0);
    for datagram in [ask.clone(), sealed(&mut foreign, &ask)] {
        assert_eq!(opened(&datagram, |d| s.open(d)), Err(Refused::Unsealed));
    }
    // What the sender itself sent, and what is for another session.
    let reflected = sealed(&mut s, &plain);
    assert_eq!(opened(&reflected, |d| s.open(d)), Err(Refused::WrongEnd));
    let mut other = SenderEnvelopes::new(group(1), SessionId(2), [8; 16]);
    let first = sealed(&mut other, &challenge(SessionId(2)));
    opened(&first, |d| r.open(NOW, d)).unwrap();
    let lost = sealed(&mut r, &done(SessionId(2), ID, 1));
    assert_eq!(opened(&lost, |d| s.open(d)), Err(Refused::OtherSession));
    // A session that it has not met: there is no key to seal with.
    assert!(sealed(&mut r, &done(SESSION, ID, 2)).is_empty());
}

#[test]
fn each_is_taken_once_but_a_question_to_whoever_is_there() {
    let mut s = sender();
    let mut r = met(&mut s);
    let again = sealed(&mut s, &challenge(SESSION));
    assert!(opened(&again, |d| r.open(NOW, d)).is_ok());
    assert_eq!(opened(&again, |d| r.open(NOW, d)), Err(Refused::Replayed));
    let done_once = sealed(&mut r, &done(SESSION, ID, 4));
    assert!(opened(&done_once, |d| s.open(d)).is_ok());
    assert_eq!(opened(&done_once, |d| s.open(d)), Err(Refused::Replayed));
    let ask = sealed(&mut r, &done(SessionId(0), ID, 5));
    for _ in 0..2 {
        assert!(opened(&ask, |d| s.open(d)).is_ok());
    }
    // A sender that is started anew takes nothing of before, whatever its number.
    let mut anew = SenderEnvelopes::new(group(1), SESSION, [10; 16]);
    assert_eq!(opened(&done_once, |d| anew.open(d)), Err(Refused::Unsealed));
}

#[test]
fn others_replies_are_heard_and_memory_is_bounded() {
    let mut s = sender();
    let mut r = met(&mut s);
    for id in 100..100 + 3_000 {
        let mut other = ReceiverEnvelopes::new(group(1), ReceiverId(id));
        let first = sealed(&mut s, &challenge(SESSION));
        opened(&first, |d| other.open(NOW, d)).unwrap();
        let nak = sealed(&mut other, &done(SESSION, ReceiverId(id), 0));
        // What some said must not be forgotten for others.
        let heard = opened(&nak, |d| r.open(NOW, d));
        assert_eq!(heard.err(), (id >= 100 + 2_048).then_some(Refused::Full));
    }
    // Old sessions that are told again make room for each other, and not for the one followed.
    r.follow(SESSION);
    let last = sealed(&mut r, &done(SESSION, ID, 1));
    for n in 10..100 {
        let mut other = SenderEnvelopes::new(group(1), SessionId(n), [n as u8; 16]);
        for at in 0..2 {
            let told = sealed(&mut other, &challenge(SessionId(n)));
            let now = NOW + Duration::from_millis(at);
            assert!(opened(&told, |d| r.open(now, d)).is_ok());
        }
    }
    assert!(opened(&last, |d| s.open(d)).is_ok());
    assert!(!sealed(&mut r, &done(SESSION, ID, 2)).is_empty());
    assert!(sealed(&mut r, &done(SessionId(10), ID, 3)).is_empty());
}

#[test]
fn numbers_end_before_nonces_come_again() {
    let mut s = sender();
    let mut r = met(&mut s);
    assert!(!sealed(&mut r, &done(SESSION, ID, MAX_PACKET_NO)).is_empty());
    assert!(sealed(&mut r, &done(SESSION, ID, MAX_PACKET_NO + 1)).is_empty());
}

proptest! {
    #[test]
    fn a_senders_packets_come_as_they_were(
        mut packet in from_sender(),
        (mut header, payload) in data(),
        at: prop::sample::Index,
        flip in 1u8..,
    ) {
        let mut s = sender();
        let mut r = met(&mut s);
        packet.session = SESSION;
        header.session = SESSION;
        for (packet, overhead) in [
            (Packet::FromSender(packet), CONTROL_OVERHEAD),
            (Packet::Data(header, &payload), OVERHEAD),
        ] {
            let bytes = plain(&packet);
            let sent = sealed(&mut s, &bytes);
            prop_assert_eq!(sent.len(), bytes.len() + overhead);
            let mut changed = sent.clone();
            changed[at.index(sent.len())] ^= flip;
            prop_assert!(opened(&changed, |d| r.open(NOW, d)).is_err());
            for len in [sent.len() - 1, sent.len() / 2, 20, 3] {
                prop_assert!(opened(&sent[..len], |d| r.open(NOW, d)).is_err());
            }
            let came = opened(&sent, |d| r.open(NOW, d));
            prop_assert_eq!(came.as_ref(), Ok(&bytes));
            prop_assert_eq!(parse(&bytes), Ok(packet));
            prop_assert_eq!(opened(&sent, |d| r.open(NOW, d)), Err(Refused::Replayed));
        }
    }

    #[test]
    fn a_receivers_packets_come_as_they_were(
        mut packet in from_receiver(),
        known: bool,
        at: prop::sample::Index,
        flip in 1u8..,
    ) {
        let mut s = sender();
        let mut r = met(&mut s);
        packet.session = if known { SESSION } else { SessionId(0) };
        packet.receiver = ID;
        packet.counter &= MAX_PACKET_NO;
        let bytes = plain(&Packet::FromReceiver(packet));
        let sent = sealed(&mut r, &bytes);
        prop_assert_eq!(sent.len(), bytes.len() + OVERHEAD);
        let mut changed = sent.clone();
        changed[at.index(sent.len())] ^= flip;
        prop_assert!(opened(&changed, |d| s.open(d)).is_err());
        prop_assert!(opened(&sent[..sent.len() - 1], |d| s.open(d)).is_err());
        prop_assert_eq!(opened(&sent, |d| s.open(d)), Ok(bytes));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 1u8..14) {
        let mut s = sender();
        let mut r = met(&mut s);
        let mut bytes = bytes;
        for first in [bytes.first().copied().unwrap_or_default(), 0x10 | kind] {
            if let [a, b, ..] = &mut bytes[..] {
                (*a, *b) = (first, *b | 1);
            }
            prop_assert!(opened(&bytes, |d| s.open(d)).is_err());
            prop_assert!(opened(&bytes, |d| r.open(NOW, d)).is_err());
        }
    }
}
