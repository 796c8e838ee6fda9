//! What can't be started is refused with an error that names the thing and says what to do; what
//! others send is counted and does no harm.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod loopback_support;

use std::net::{Ipv4Addr, UdpSocket};

use loopback_support::{Place, finish, random_file, wait_for};
use loopcast::driver::{ReceiverEvent, RunOutcome, SenderEvent};
use loopcast::ids::{SessionId, ShortCodingId};
use loopcast::wire::{FromSender, Packet, Position, SenderBody, Sync};
use loopcast::{Receiver, Sender};
use socket2::SockRef;

fn refused<T, E: ToString>(started: Result<T, E>, words: &[&str]) {
    let text = started.err().expect("an error").to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn senders_that_can_not_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = random_file(folder.path(), "x.bin", 100);
    let sender = || Sender::builder().interface("lo").offer_path(&file);
    let to = |url: &str| sender().to(url.parse().unwrap());

    refused(Sender::builder().start(), &["nothing to send"]);
    let gone = folder.path().join("gone.bin");
    refused(
        sender().offer_path(&gone).start(),
        &["gone.bin", "can't read"],
    );
    refused(
        to("loopcast://127.0.0.1:4700").start(),
        &["127.0.0.1", "239."],
    );
    refused(
        sender().interface("nosuch0").start(),
        &["nosuch0", "there are", "127.0.0.1"],
    );
    refused(
        sender().interface("10.255.1.2").start(),
        &["10.255.1.2", "there are"],
    );
    refused(sender().symbol_size(1_000).start(), &["1000", "64"]);
    refused(sender().symbol_size(9_024).start(), &["9024", "8896"]);
    refused(
        sender().rate("0".parse().unwrap_or_default()).start(),
        &["rate"],
    );
}

#[test]
fn receivers_that_can_not_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = random_file(folder.path(), "in-the-way", 1);
    let receiver = || {
        Receiver::builder()
            .interface("lo")
            .into_dir(folder.path().join("into"))
    };

    refused(
        receiver().into_dir(file.join("sub")).start(),
        &["in-the-way", "another folder"],
    );
    refused(
        receiver().interface("nosuch0").start(),
        &["nosuch0", "there are"],
    );
    refused(receiver().drop_rate(1.0).start(), &["1"]);
    refused(receiver().drop_rate(f64::NAN).start(), &["NaN"]);
    let unknown = "loopcast://no-such-host.invalid:4700".parse().unwrap();
    refused(
        receiver().from(unknown).start(),
        &["no-such-host.invalid", "IP address"],
    );
}

#[test]
fn another_sender_on_the_group_is_told_and_does_no_harm() {
    let Some(place) = Place::new("other", 48_110) else {
        return;
    };
    let file = random_file(&place.from(), "mine.bin", 2_000_000);
    let rate = "40M".parse().unwrap();
    let sender = place.sender().rate(rate).offer_path(&file).start().unwrap();
    let receiver = place.receiver(0).start().unwrap();
    let heard = |e: &ReceiverEvent| matches!(e, ReceiverEvent::Heard { .. });
    assert!(wait_for(receiver.events(), heard));

    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    SockRef::from(&other)
        .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
        .unwrap();
    let sync = Sync {
        coding: ShortCodingId(5),
        next_packet: 9,
        position: Position::default(),
        sent_at: 1,
        grtt: std::time::Duration::from_millis(50),
        k: 6,
        receivers: 1,
        next_sync: std::time::Duration::from_secs(1),
        rate: loopcast::units::Rate::from_bps(1_000_000),
        report_interval: std::time::Duration::from_secs(1),
        path_loss: 0,
        query: true,
        idle: false,
        padded_to: 0,
    };
    let session = SessionId(77);
    let packet = FromSender {
        channel: 0,
        session,
        one_way: false,
        body: SenderBody::Sync(sync),
    };
    let mut bytes = Vec::new();
    Packet::FromSender(packet).encode(&mut bytes);
    let group = ("239.192.48.1", place.port());
    for _ in 0..3 {
        other.send_to(&bytes, group).unwrap();
        other.send_to(b"not a packet at all", group).unwrap();
    }
    let ours = |e: &SenderEvent| {
        matches!(
            e,
            SenderEvent::AnotherSender {
                session: SessionId(77),
                ..
            }
        )
    };
    assert!(wait_for(sender.events(), ours), "the sender did not notice");
    let theirs = |e: &ReceiverEvent| {
        matches!(
            e,
            ReceiverEvent::AnotherSender {
                session: SessionId(77),
                ..
            }
        )
    };
    assert!(
        wait_for(receiver.events(), theirs),
        "the receiver did not notice"
    );
    let summary = finish(receiver);
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    let dropped: u64 = summary.loss.dropped.iter().map(|(_, n)| n).sum();
    assert!(dropped >= 6, "{summary:?}");
    place.assert_same(0, "mine.bin", &file);
    assert_eq!(sender.join().unwrap().outcome, RunOutcome::Complete);
}
