//! Whose descriptions a receiver takes: those of one sender, and what others sign or forge stays
//! outside.

#![allow(clippy::unwrap_used)]

mod engines;

use core::net::SocketAddr;
use core::time::Duration;

use engines::{drain_receiver, film, group, host, key, receiver, to_group};
use loopcast::engine::{DropReason, Receiver, ReceiverEvent, Target, Trust, Via};
use loopcast::ids::{Cookie, Hash, ReceiverId, SessionId};
use loopcast::object::Description;
use loopcast::seal::{Fingerprint, SigningKey};
use loopcast::secret::Secret;
use loopcast::sim::{Config, Content, Link, Loss, Outcome, World};
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire::{Challenge, ChannelInfo, Feedback, FromSender, Offer, SenderBody, Signature};

const GOOD: u8 = 1;
const OTHER: u8 = 2;

fn ms(n: u64) -> Time {
    Time::from_millis(n)
}

fn print(seed: u8) -> Fingerprint {
    key(seed).public().fingerprint()
}

fn encoded(session: u64, body: SenderBody) -> Vec<u8> {
    let mut out = Vec::new();
    FromSender {
        channel: 0,
        session: SessionId(session),
        one_way: false,
        body,
    }
    .encode(&mut out);
    out
}

fn offer(session: u64, description: Description, signature: Signature) -> Vec<u8> {
    let channel = ChannelInfo {
        number: 0,
        tier: 0,
        group: group(),
        source: None,
        rate: Rate::from_bps(100_000_000),
        feedback: Feedback::Sender,
    };
    let offer = Offer {
        sent_at: 1,
        index: 0,
        total: 1,
        grtt: Duration::from_millis(5),
        receivers: 1,
        description,
        signature,
        channels: vec![channel],
    };
    encoded(session, SenderBody::Offer(Box::new(offer)))
}

/// An offer of 1 MiB under a name, signed.
fn signed(session: u64, name: &str, seed: u8) -> Vec<u8> {
    let description = film(name, 1 << 20);
    let signature = Signature::of(SessionId(session), &description, &key(seed));
    offer(session, description, signature)
}

/// The same with a signature that does not hold; `n` makes each another one.
fn forged(session: u64, name: &str, seed: u8, n: u32) -> Vec<u8> {
    let description = film(name, 1 << 20);
    let mut signature = Signature::of(SessionId(session), &description, &key(seed));
    signature.bytes[..4].copy_from_slice(&n.to_be_bytes());
    offer(session, description, signature)
}

struct Ear {
    receiver: Receiver,
    events: Vec<ReceiverEvent>,
}

/// What a sender answers to our requests.
fn answer(session: u64) -> Vec<u8> {
    let challenge = Challenge {
        receiver: ReceiverId(7),
        cookie: Cookie(1),
        sent_at: 1,
    };
    encoded(session, SenderBody::Challenge(challenge))
}

impl Ear {
    fn new(trust: Trust) -> Ear {
        Ear {
            receiver: receiver(7, to_group(), |c| c.trust = trust),
            events: Vec::new(),
        }
    }

    fn hear(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        self.receiver
            .handle_datagram(now, from, Via::Group, datagram);
        drain_receiver(&mut self.receiver, now);
        self.events
            .extend(core::iter::from_fn(|| self.receiver.poll_event()));
    }

    /// The names of what it began to receive.
    fn started(&self) -> Vec<&str> {
        let names = self.events.iter().filter_map(|e| match e {
            ReceiverEvent::Started { name, .. } => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }

    /// Senders that it came to know, and whether they were asked for; and strangers.
    fn met(&self) -> (Vec<(Fingerprint, bool)>, Vec<Fingerprint>) {
        let (mut known, mut strangers) = (Vec::new(), Vec::new());
        for event in &self.events {
            match event {
                ReceiverEvent::SenderKnown {
                    fingerprint,
                    trusted,
                } => known.push((*fingerprint, *trusted)),
                ReceiverEvent::StrangerMet { fingerprint, .. } => strangers.push(*fingerprint),
                _ => {}
            }
        }
        (known, strangers)
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.receiver.stats().dropped(reason)
    }
}

#[test]
fn the_first_sender_met_is_the_only_one() {
    let mut ear = Ear::new(Trust::First);
    ear.hear(ms(1), host(1), &signed(5, "film", GOOD));
    // Into its session, as whoever sees the packets can.
    for n in 0..3 {
        ear.hear(ms(2), host(2), &signed(5, &format!("worm {n}"), OTHER));
    }
    ear.hear(ms(3), host(1), &signed(5, "extra", GOOD));
    assert_eq!(ear.started(), ["film", "extra"]);
    assert_eq!(ear.met(), (vec![(print(GOOD), false)], vec![print(OTHER)]));
    assert_eq!(ear.dropped(DropReason::Untrusted), 3);
}

#[test]
fn the_sender_asked_for_is_found_behind_strangers() {
    let mut ear = Ear::new(Trust::Only(print(GOOD)));
    // A stranger describes something, and has even answered us.
    ear.hear(ms(1), host(2), &signed(6, "film", OTHER));
    ear.hear(ms(2), host(2), &answer(6));
    ear.hear(ms(3), host(2), &signed(6, "film", OTHER));
    assert!(ear.started().is_empty());
    // It makes room at once.
    ear.hear(ms(4), host(1), &signed(5, "film", GOOD));
    assert_eq!(ear.started(), ["film"]);
    assert_eq!(ear.met(), (vec![(print(GOOD), true)], vec![print(OTHER)]));
    // From now on another session is just that, whoever signs in it.
    ear.hear(ms(5), host(2), &signed(6, "old film", GOOD));
    assert_eq!(ear.started(), ["film"]);
    assert_eq!(ear.dropped(DropReason::OtherSession), 1);
}

#[test]
fn what_the_key_did_not_sign_is_refused() {
    for trust in [Trust::First, Trust::Only(print(GOOD))] {
        let mut ear = Ear::new(trust);
        // The right key over another's signature, over one of other bytes, and a key that is none.
        let description = film("film", 1 << 20);
        let mut signature = Signature::of(SessionId(5), &description, &key(OTHER));
        signature.key = key(GOOD).public().to_bytes();
        ear.hear(ms(1), host(2), &offer(5, description.clone(), signature));
        let signature = Signature::of(SessionId(5), &description, &key(GOOD));
        let mut renamed = description.clone();
        renamed.name = "films".to_owned();
        ear.hear(ms(1), host(2), &offer(5, renamed, signature));
        let mut other_root = description.clone();
        other_root.content = Hash([9; 32]);
        ear.hear(ms(1), host(2), &offer(5, other_root, signature));
        assert!(ear.started().is_empty() && ear.met().0.is_empty());
        assert_eq!(ear.dropped(DropReason::Forged), 3);
        ear.hear(ms(1), host(1), &offer(5, description, signature));
        assert_eq!(ear.started(), ["film"]);
    }
    let mut ear = Ear::new(Trust::First);
    let mut weak = Signature::of(SessionId(5), &film("film", 1 << 20), &key(GOOD));
    weak.key = [0; 32];
    ear.hear(ms(1), host(2), &offer(5, film("film", 1 << 20), weak));
    assert!(ear.started().is_empty() && ear.dropped(DropReason::Forged) == 1);
}

#[test]
fn what_was_signed_in_another_session_does_not_hold_in_this_one() {
    let description = film("film", 1 << 20);
    let old = Signature::of(SessionId(4), &description, &key(GOOD));
    let mut ear = Ear::new(Trust::Only(print(GOOD)));
    ear.hear(ms(1), host(1), &signed(5, "new film", GOOD));
    // Caught in an earlier session, and told anew: as it was, and with the number of this one.
    ear.hear(ms(2), host(2), &offer(4, description.clone(), old));
    ear.hear(ms(2), host(2), &offer(5, description, old));
    assert_eq!(ear.started(), ["new film"]);
    assert_eq!(ear.dropped(DropReason::OtherSession), 1);
    assert_eq!(ear.dropped(DropReason::Forged), 1);
}

#[test]
fn a_flood_of_forgeries_costs_so_many_signatures_and_no_more() {
    let mut ear = Ear::new(Trust::Only(print(GOOD)));
    ear.hear(ms(1), host(1), &signed(5, "film", GOOD));
    for n in 0..1_000 {
        ear.hear(ms(2), host(2), &forged(5, "film 2", GOOD, n));
        // What is known word for word costs nothing, and goes on being heard.
        ear.hear(ms(2), host(1), &signed(5, "film", GOOD));
    }
    assert_eq!(ear.dropped(DropReason::Forged), 100);
    assert_eq!(ear.dropped(DropReason::Unchecked), 900);
    // In the next round what is new and true comes through.
    ear.hear(ms(102), host(1), &signed(5, "film 2", GOOD));
    assert_eq!(ear.started(), ["film", "film 2"]);
}

#[test]
fn who_hears_strangers_alone_gives_up_in_time_and_says_whom_it_met() {
    let mut ear = Ear::new(Trust::Only(print(GOOD)));
    let mut gave_up = None;
    for t in (0..120_000).step_by(100) {
        for n in 0..40 {
            // One that keeps talking, and more keys than are remembered.
            let session = 6 + u64::from(n);
            ear.hear(ms(t), host(2), &signed(session, "film", OTHER + n));
        }
        ear.receiver.handle_timeout(ms(t));
        drain_receiver(&mut ear.receiver, ms(t));
        while let Some(event) = ear.receiver.poll_event() {
            if let ReceiverEvent::GaveUp { reason, .. } = event {
                gave_up.get_or_insert((t, reason));
            }
        }
        if gave_up.is_some() {
            break;
        }
    }
    let (at, reason) = gave_up.expect("it waits on and on");
    assert!((60_000..60_200).contains(&at), "{at}");
    for key in [GOOD, OTHER] {
        assert!(reason.contains(&print(key).to_string()), "{reason}");
    }
    assert_eq!(ear.met().1.len(), 16);
    assert!(ear.started().is_empty());
}

/// What somebody without the key makes of the sender's own offer: `n` makes each another one.
fn forgeries(world: &World, n: u32) -> Vec<Vec<u8>> {
    let (session, key) = {
        let config = world.sender().config();
        (config.session.0, config.key.public().to_bytes())
    };
    let false_film = film(&format!("worm {n}"), 50_000);
    // Not the sender's, which is 7 over and over.
    let own = SigningKey::new(&Secret::new([n as u8 | 0x80; 32]));
    let signed = |session| Signature::of(SessionId(session), &false_film, &own);
    let claimed = Signature {
        key,
        ..signed(session)
    };
    // Under its own key, in its own session and in the sender's; and in the sender's name.
    vec![
        offer(n.into(), false_film.clone(), signed(n.into())),
        offer(session, false_film.clone(), signed(session)),
        offer(session, false_film.clone(), claimed),
    ]
}

#[test]
fn a_forger_on_the_path_gets_nothing_in() {
    for (seed, pinned) in [(1, true), (2, true), (3, false)] {
        let mut world = World::new(Config {
            wait_for: 8,
            rate: Rate::from_bps(10_000_000),
            ..Config::new(seed)
        })
        .unwrap();
        world.check_every_step();
        let content = Content::random("film", 3_000_000, 1_344, 64, seed).unwrap();
        world.offer_content(content).unwrap();
        let sender = world.sender().config().key.public().fingerprint();
        let group = Target::Group {
            group: "239.192.7.0:4700".parse().unwrap(),
            source: None,
        };
        for n in 0..8 {
            let link = Link::lossy(Duration::from_millis(2 + n), Loss::Random(0.02));
            world.add_receiver_with(ms(n), link, group, |c| {
                if pinned {
                    c.trust = Trust::Only(sender);
                }
            });
        }
        // 3,000 a second for four seconds: before the sender is heard only where it is known
        // beforehand.
        let first = if pinned { 0 } else { 500 };
        for n in 1..4_000 {
            for datagram in forgeries(&world, n) {
                world.forge(ms(first + u64::from(n)), datagram);
            }
        }
        let ended = world.run(ms(60_000));
        assert!(ended, "seed {seed}: not everybody has ended");
        for i in 0..8 {
            let outcome = world.outcome(i);
            assert!(
                matches!(outcome, Outcome::Complete(_)),
                "{seed}: {outcome:?}"
            );
            let r = world.receiver(i);
            assert_eq!(r.progress().count(), 1, "seed {seed}: receiver {i}");
            assert!(r.stats().dropped(DropReason::Untrusted) > 0);
            assert!(r.stats().dropped(DropReason::Forged) > 0);
            let named = world.receiver_events(i).iter();
            let named = named.filter(|(_, e)| matches!(e, ReceiverEvent::StrangerMet { .. }));
            assert!(named.count() <= 16);
        }
    }
}

#[test]
fn in_a_group_a_session_is_followed_once_it_has_answered() {
    let mut ear = Ear::new(Trust::First);
    ear.receiver = receiver(7, to_group(), |c| c.sealed = true);
    // Every member could have sealed this, yesterday.
    ear.hear(ms(1), host(1), &signed(5, "film", GOOD));
    assert!(ear.started().is_empty());
    // It asks at once who is there.
    ear.receiver.handle_timeout(ms(12));
    assert!(!drain_receiver(&mut ear.receiver, ms(12)).is_empty());
    ear.hear(ms(13), host(1), &answer(6));
    ear.hear(ms(14), host(1), &signed(5, "film", GOOD));
    assert!(ear.started().is_empty());
    ear.hear(ms(15), host(1), &signed(6, "film of today", GOOD));
    assert_eq!(ear.started(), ["film of today"]);
}

#[test]
fn sealed_packets_keep_to_the_rate_and_find_their_sender_again() {
    for seed in 1..4 {
        let mut world = World::new(Config {
            sealed: true,
            stay: true,
            wait_for: 6,
            rate: Rate::from_bps(20_000_000),
            ..Config::new(seed)
        })
        .unwrap();
        // That no stretch of time has more bytes than the rate allows, envelopes included, too.
        world.check_every_step();
        let content = Content::random("film", 2_000_000, 1_344, 64, seed).unwrap();
        world.offer_content(content).unwrap();
        for n in 0..6 {
            let mut link = Link::lossy(Duration::from_millis(3 * n), Loss::Random(0.03));
            // One hears no group, and one but small packets.
            link.mtu_payload = if n == 4 { 1_250 } else { usize::MAX };
            let target = Target::Group {
                group: "239.192.7.0:4700".parse().unwrap(),
                source: None,
            };
            world.add_receiver_with(ms(n), link, target, |c| {
                c.via = (n == 5).then_some(Via::Unicast);
            });
        }
        world.run_while(ms(900), |_| true);
        world.restart_sender(Duration::from_millis(300));
        let all = |w: &World| w.complete() < 6;
        assert!(
            world.run_while(ms(120_000), all),
            "seed {seed}: {}",
            world.complete()
        );
    }
}
