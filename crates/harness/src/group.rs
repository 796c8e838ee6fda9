//! A group's envelopes at both ends: what one end seals the other must open, once and to the same
//! bytes, and nobody else may seal anything.
//!
//! As a fuzz target it takes bytes for datagrams, whatever they are, and for what is done to them
//! on their way.

use std::collections::BTreeMap;

use loopcast::envelope::{ReceiverEnvelopes, Refused, Seal, SenderEnvelopes};
use loopcast::ids::{Cookie, ReceiverId, SessionId};
use loopcast::seal::GroupKey;
use loopcast::secret::Secret;
use loopcast::time::Time;
use loopcast::wire::{Challenge, FromSender, SenderBody};

use crate::bytes::{Bytes, sealed};

/// The members of a group: senders by their sessions, and receivers.
pub struct Group {
    senders: BTreeMap<SessionId, SenderEnvelopes>,
    receivers: BTreeMap<ReceiverId, ReceiverEnvelopes>,
    /// The last datagram on the path.
    caught: Vec<u8>,
}

fn key() -> GroupKey {
    GroupKey::new(Secret::new([0x6b; 32]))
}

impl Group {
    /// Senders, and receivers that know all their sessions.
    pub fn new(sessions: &[SessionId], receivers: impl IntoIterator<Item = u64>) -> Group {
        let end = |id| (id, ReceiverEnvelopes::new(key(), id));
        let session = |&id: &SessionId| (id, SenderEnvelopes::new(key(), id, [id.0 as u8; 16]));
        let mut group = Group {
            senders: sessions.iter().map(session).collect(),
            receivers: receivers.into_iter().map(ReceiverId).map(end).collect(),
            caught: Vec::new(),
        };
        let all = sessions
            .iter()
            .flat_map(|s| group.ids().into_iter().map(|id| (*s, id)));
        for (session, at) in all.collect::<Vec<_>>() {
            let mut hello = Vec::new();
            FromSender {
                channel: 0,
                session,
                one_way: false,
                body: SenderBody::Challenge(Challenge {
                    receiver: at,
                    cookie: Cookie(1),
                    sent_at: 1,
                }),
            }
            .encode(&mut hello);
            assert!(group.down(session, at, &hello).is_some());
        }
        group
    }

    fn ids(&self) -> Vec<ReceiverId> {
        self.receivers.keys().copied().collect()
    }

    /// A sender's datagram as a receiver opens it; none if it is not sent, or refused.
    pub fn down(&mut self, from: SessionId, at: ReceiverId, plain: &[u8]) -> Option<Vec<u8>> {
        let (sender, receiver) = (self.senders.get_mut(&from)?, self.receivers.get_mut(&at)?);
        let open = |d: &mut [u8]| receiver.open(Time::ZERO, d);
        pass(sender, open, plain, &mut self.caught)
    }

    /// A receiver's datagram as the sender of its session opens it, the first one if it knows none.
    pub fn up(&mut self, from: ReceiverId, plain: &[u8]) -> Option<Vec<u8>> {
        let session = plain.get(8..16)?.try_into().map(u64::from_be_bytes);
        let at = match SessionId(session.ok()?) {
            SessionId(0) => *self.senders.keys().next()?,
            session => session,
        };
        let (sender, receiver) = (self.senders.get_mut(&at)?, self.receivers.get_mut(&from)?);
        pass(receiver, |d| sender.open(d), plain, &mut self.caught)
    }

    /// A receiver's datagram as another opens it, where NAKs go to the group.
    pub fn across(&mut self, from: ReceiverId, at: ReceiverId, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sending = self.receivers.remove(&from)?;
        let hearing = self.receivers.get_mut(&at);
        let opened = hearing.and_then(|r| {
            pass(
                &mut sending,
                |d| r.open(Time::ZERO, d),
                plain,
                &mut self.caught,
            )
        });
        self.receivers.insert(from, sending);
        opened
    }

    /// Somebody without the key says something, and changes what was said last.
    pub fn attack(&mut self, said: &[u8], at: u8) {
        let mut changed = self.caught.clone();
        let at = usize::from(at) * 7 % changed.len().max(1);
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= said.first().copied().unwrap_or_default().max(1);
        }
        for datagram in [said.to_vec(), sealed(said), changed] {
            for sender in self.senders.values_mut() {
                assert!(sender.open(&mut datagram.clone()).is_err(), "{datagram:?}");
            }
            for receiver in self.receivers.values_mut() {
                let opened = receiver.open(Time::ZERO, &mut datagram.clone());
                assert!(opened.is_err(), "{datagram:?}");
            }
        }
    }
}

/// Seals and opens; what is opened is what was sealed, and opens no second time.
fn pass(
    seal: &mut impl Seal,
    mut open: impl FnMut(&mut [u8]) -> Result<core::ops::Range<usize>, Refused>,
    plain: &[u8],
    caught: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let mut datagram = plain.to_vec();
    seal.seal(&mut datagram, 0);
    if datagram.is_empty() {
        return None;
    }
    caught.clone_from(&datagram);
    let opened = open(&mut datagram);
    if opened.is_ok() && caught.get(8..16) != Some(&[0; 8]) {
        assert_eq!(open(&mut caught.clone()), Err(Refused::Replayed));
    }
    let opened = datagram[opened.ok()?].to_vec();
    assert!(opened == sealed(plain), "{plain:?} came as {opened:?}");
    Some(opened)
}

/// Datagrams of any shape from everybody to everybody.
pub fn run(data: &[u8]) {
    let mut input = Bytes::new(data);
    let mut group = Group::new(&[SessionId(1), SessionId(2)], [1, 2]);
    while !input.is_empty() {
        let how = input.u8();
        let (session, one) = (u64::from(how >> 4 & 3), u64::from(1 + (how >> 6 & 1)));
        let len = usize::from(input.u16() % 1_500);
        let mut plain = input.take(len).to_vec();
        // Mostly of a session and a receiver that there are.
        for (bit, at, id) in [(1, 8, session), (2, 16, one)] {
            if let (0, Some(field)) = (how & bit, plain.get_mut(at..at + 8)) {
                field.copy_from_slice(&id.to_be_bytes());
            }
        }
        group.up(ReceiverId(one), &plain);
        group.across(ReceiverId(one), ReceiverId(3 - one), &plain);
        for at in [1, 2] {
            group.down(SessionId(session), ReceiverId(at), &plain);
        }
        group.attack(&plain, input.u8());
    }
}
