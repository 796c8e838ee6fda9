//! A group key over real sockets: who has it takes part, who has not reads, hinders and forges nothing.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod loopback_support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use loopback_support::{Place, finish, key, random_file};
use loopcast::Receiver;
use loopcast::driver::{FeedbackMode, ReceiverSummary, RunOutcome, Via};
use loopcast::engine::{DropReason, PacketKind};
use loopcast::ids::{ReceiverId, SessionId, ShortCodingId};
use loopcast::object::Description;
use loopcast::seal::GroupKey;
use loopcast::secret::Secret;
use loopcast::wire::{
    Done, FromReceiver, FromSender, MoveCause, Notice, NoticeCode, Offer, Outcome, ReceiverBody,
    SenderBody, Signature,
};
use socket2::{Domain, SockRef, Socket, Type};

fn group(n: u8) -> GroupKey {
    GroupKey::new(Secret::new([n; 32]))
}

/// Receivers 0 and 1, which have the key and lose so much.
fn two_members(place: &Place, loses: f64) -> Vec<Receiver> {
    let members = (0..2).map(|n| place.receiver(n).group_key(group(1)).seed(n as u64));
    members
        .map(|member| member.drop_rate(loses).start().unwrap())
        .collect()
}

fn dropped(summary: &ReceiverSummary, reason: DropReason) -> u64 {
    let of = summary.loss.dropped.iter().find(|(r, _)| *r == reason);
    of.map_or(0, |(_, n)| *n)
}

#[test]
fn members_get_it_by_every_way_and_others_do_not() {
    let Some(place) = Place::new("members", 48_130) else {
        return;
    };
    let file = random_file(&place.from(), "secret.bin", 1_000_000);
    let sender = place.sender().group_key(group(1)).stay(true);
    let sender = sender.offer_path(&file).start().unwrap();
    let ways = [Via::Auto, Via::Multicast, Via::Unicast];
    for (n, via) in ways.into_iter().enumerate() {
        let member = place.receiver(n).group_key(group(1)).via(via);
        let summary = finish(member.drop_rate(0.02).seed(n as u64).start().unwrap());
        assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
        assert_eq!(dropped(&summary, DropReason::Unsealed), 0);
        place.assert_same(n, "secret.bin", &file);
    }
    // The group is told of it once a second.
    let soon = Duration::from_millis(2_500);
    let without = place.receiver(3).timeout(soon).start().unwrap();
    let wrong = place.receiver(4).group_key(group(2)).timeout(soon);
    for (receiver, reason) in [
        (without, DropReason::Sealed),
        (wrong.start().unwrap(), DropReason::Unsealed),
    ] {
        let summary = finish(receiver);
        assert_eq!(summary.outcome, RunOutcome::TimedOut, "{summary:?}");
        assert!(summary.objects.is_empty() && summary.session.is_none());
        assert!(dropped(&summary, reason) > 0, "{summary:?}");
    }
    sender.stop();
    let summary = sender.join().unwrap();
    // The two who asked in vain are not among them.
    assert_eq!(summary.receivers_known, 3);
}

#[test]
fn members_hear_each_others_naks() {
    let Some(place) = Place::new("sealed feedback", 48_160) else {
        return;
    };
    let file = random_file(&place.from(), "naks.bin", 3_000_000);
    let sender = place.sender().group_key(group(1)).wait_for(2);
    let sender = sender.feedback(FeedbackMode::Group).offer_path(&file);
    let sender = sender.start().unwrap();
    let members = two_members(&place, 0.05);
    let mut heard = 0;
    for (n, member) in members.into_iter().enumerate() {
        let summary = finish(member);
        assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
        assert_eq!(dropped(&summary, DropReason::Unsealed), 0, "{summary:?}");
        heard += summary.received.get(PacketKind::Nak).packets;
        place.assert_same(n, "naks.bin", &file);
    }
    assert!(heard > 0);
    sender.join().unwrap();
}

#[test]
fn one_way_works_sealed() {
    let Some(place) = Place::new("sealed one-way", 48_140) else {
        return;
    };
    let file = random_file(&place.from(), "oneway.bin", 500_000);
    let member = place.receiver(0).group_key(group(1)).one_way(true);
    let member = member.start().unwrap();
    let sender = place.sender().group_key(group(1));
    let sender = sender.one_way(NonZeroU32::new(2).unwrap());
    let sender = sender.offer_path(&file).start().unwrap();
    let summary = finish(member);
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert_eq!(summary.sent.total().packets, 0);
    place.assert_same(0, "oneway.bin", &file);
    sender.join().unwrap();
}

/// Somebody on the path: repeats all that it hears on the group, to everybody, and forges what it can.
struct Attacker {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Attacker {
    fn start(port: u16) -> Attacker {
        let group = Ipv4Addr::new(239, 192, 48, 1);
        let hearing = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        hearing.set_reuse_address(true).unwrap();
        let at = SocketAddr::from((group, port));
        hearing.bind(&at.into()).unwrap();
        hearing
            .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
            .unwrap();
        let hearing: UdpSocket = hearing.into();
        hearing
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        let speaking = UdpSocket::bind("127.0.0.3:0").unwrap();
        let own = speaking.local_addr().unwrap();
        SockRef::from(&speaking)
            .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
            .unwrap();
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, count) = (stop.clone(), sent.clone());
        let thread = thread::spawn(move || {
            let targets = [at, (group, port + 1).into(), ([127, 0, 0, 1], port).into()];
            let mut buf = vec![0; 10_000];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = hearing.recv_from(&mut buf) else {
                    continue;
                };
                // Not what it said itself.
                if from == own || len < 24 {
                    continue;
                }
                let heard = &buf[..len];
                let session = SessionId(u64::from_be_bytes(heard[8..16].try_into().unwrap()));
                let mut said = forgeries(session);
                said.push(heard.to_vec());
                let mut changed = heard.to_vec();
                changed[len / 2] ^= 1;
                said.push(changed);
                for datagram in said {
                    for to in targets {
                        let _ = speaking.send_to(&datagram, to);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Attacker { stop, sent, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

/// Well-formed packets of a session that end it, and that offer something else.
fn forgeries(session: SessionId) -> Vec<Vec<u8>> {
    let notice = |code, coding| {
        SenderBody::Notice(Notice {
            receiver: ReceiverId(0),
            coding: ShortCodingId(coding),
            code,
            cause: MoveCause::None,
            text: "it is over".to_owned(),
            addresses: Vec::new(),
        })
    };
    let description = Description::pretend("worm", 50_000, 1_344, 64).unwrap();
    let offer = SenderBody::Offer(Box::new(Offer {
        sent_at: 1,
        index: 0,
        total: 1,
        grtt: Duration::from_millis(5),
        receivers: 1,
        signature: Signature::of(session, &description, &key(0xee)),
        description,
        channels: Vec::new(),
    }));
    let mut all = Vec::new();
    for body in [notice(NoticeCode::Ended, 0), offer] {
        let mut out = Vec::new();
        let packet = FromSender {
            channel: 0,
            session,
            one_way: false,
            body,
        };
        packet.encode(&mut out);
        all.push(out);
    }
    let done = Done {
        coding: ShortCodingId(0),
        outcome: Outcome::Complete,
    };
    let mut out = Vec::new();
    FromReceiver {
        channel: 0,
        session,
        receiver: ReceiverId(77),
        counter: 1 << 40,
        cookie: Default::default(),
        echo: None,
        body: ReceiverBody::Done(vec![done]),
    }
    .encode(&mut out);
    all.push(out.clone());
    // With the flag of a tag, and none behind it.
    out[1] |= 1;
    all.push(out);
    all
}

#[test]
fn who_repeats_and_forges_on_the_path_hinders_nobody() {
    let Some(place) = Place::new("attacked", 48_150) else {
        return;
    };
    let file = random_file(&place.from(), "held.bin", 2_000_000);
    let attacker = Attacker::start(place.port());
    let sender = place.sender().group_key(group(1)).wait_for(2);
    // One tier: what the attacker hears is all that there is.
    let sender = sender.tiers(vec!["20M".parse().unwrap()]).offer_path(&file);
    let sender = sender.start().unwrap();
    let members = two_members(&place, 0.01);
    for (n, member) in members.into_iter().enumerate() {
        let summary = finish(member);
        assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
        assert_eq!(summary.objects.len(), 1, "{summary:?}");
        assert_eq!(summary.bad_blocks, 0);
        assert!(dropped(&summary, DropReason::Unsealed) > 100, "{summary:?}");
        assert!(dropped(&summary, DropReason::Replayed) > 100, "{summary:?}");
        place.assert_same(n, "held.bin", &file);
    }
    let summary = sender.join().unwrap();
    assert_eq!(summary.outcome, RunOutcome::Complete, "{summary:?}");
    assert_eq!(summary.receivers_known, 2);
    assert!(attacker.stop() > 1_000);
}
