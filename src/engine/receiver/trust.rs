//! Whose descriptions a receiver takes, and what it spends on finding out.

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::receiver::{Receiver, Session};
use crate::engine::{DropReason, ReceiverEvent};
use crate::ids::SessionId;
use crate::object::Description;
use crate::seal::{Fingerprint, PUBLIC_LEN};
use crate::time::Time;
use crate::wire::{Offer, Signature};

/// Signatures that bring nothing, in a [`ROUND`]: at 50 us each a forger costs us 5 % of a core, and
/// chance still lets a good one through.
const VERIFIES: u32 = 100;
const ROUND: Duration = Duration::from_millis(100);
/// Keys that are told of, once each.
const STRANGERS: usize = 16;

/// Whose descriptions a receiver takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// Those of the sender that it first has one of.
    #[default]
    First,
    /// Those of the sender with this key.
    Only(Fingerprint),
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Trusted {
    /// The key whose signature held: no other counts from then on.
    key: Option<[u8; PUBLIC_LEN]>,
    /// Others that were met.
    strangers: Vec<Fingerprint>,
    /// Only others were met since a sender was last known to be the right one.
    pub(super) estranged: bool,
    /// Signatures that brought nothing since.
    wasted: u32,
    since: Time,
}

impl Trusted {
    fn takes(&self, trust: Trust, signature: &Signature) -> bool {
        match (self.key, trust) {
            (Some(key), _) => key == signature.key,
            (None, Trust::First) => true,
            (None, Trust::Only(fingerprint)) => fingerprint == signature.fingerprint(),
        }
    }

    /// Whether the description is its sender's in this session; gives the fingerprint if it is the first. It is
    /// charged for unless it brings something `new`.
    fn verify(
        &mut self,
        now: Time,
        session: SessionId,
        offer: &Offer,
        new: bool,
    ) -> Result<Option<Fingerprint>, DropReason> {
        if now.since(self.since) >= ROUND {
            (self.wasted, self.since) = (0, now);
        }
        if self.wasted >= VERIFIES {
            return Err(DropReason::Unchecked);
        }
        let signature = &offer.signature;
        let verdict = signature.verify(session, &offer.description);
        self.wasted += u32::from(!new || verdict.is_err());
        verdict.map_err(|_| DropReason::Forged)?;
        let first = self.key.replace(signature.key).is_none();
        Ok(first.then(|| signature.fingerprint()))
    }
}

impl Receiver {
    /// Whether an offer may be acted on: what it describes is signed by the sender trusted, as far as it is
    /// wanted. What is known word for word is not verified again.
    pub(super) fn is_trusted(
        &mut self,
        now: Time,
        from: SocketAddr,
        id: SessionId,
        offer: &Offer,
    ) -> bool {
        // Those of other sessions than the one followed are dropped as such: see `is_our_session`.
        let undecided = self.trusted.key.is_none() && self.config.trust == Trust::First;
        let follows_other = |s: &Session| s.id != id && (s.vouched || undecided);
        let followed = |s: &Session| s.id == id;
        if self.session.as_ref().is_some_and(follows_other)
            || self.takes_answers_only() && !self.session.as_ref().is_some_and(followed)
        {
            return true;
        }
        if !self.trusted.takes(self.config.trust, &offer.signature) {
            self.stats.dropped.add(DropReason::Untrusted);
            self.meet_stranger(from, offer.signature.fingerprint());
            return false;
        }
        if !self.is_wanted(&offer.description.name) {
            return true;
        }
        let vouched = self
            .session
            .as_ref()
            .is_some_and(|s| s.id == id && s.vouched);
        let known = self.known(offer).filter(|_| vouched);
        if known != Some(&offer.description) {
            let new = known.is_none();
            match self.trusted.verify(now, id, offer, new) {
                Ok(None) => {}
                Ok(Some(fingerprint)) => self.events.push_back(ReceiverEvent::SenderKnown {
                    fingerprint,
                    trusted: matches!(self.config.trust, Trust::Only(_)),
                }),
                Err(reason) => {
                    self.stats.dropped.add(reason);
                    return false;
                }
            }
        }
        self.vouch(now, id);
        true
    }

    /// What was caught of a group's old session could be told again: one is followed that has answered, where any
    /// can be asked.
    pub(super) fn takes_answers_only(&self) -> bool {
        self.config.sealed && !self.config.one_way
    }

    /// What is known under the coding of an offer.
    fn known(&self, offer: &Offer) -> Option<&Description> {
        let coding = offer.description.coding().short();
        self.library.description(self.library.latest(coding)?)
    }

    /// A session is that of the sender trusted: one that nobody has vouched for makes room.
    fn vouch(&mut self, now: Time, id: SessionId) {
        self.trusted.estranged = false;
        match &mut self.session {
            Some(session) if session.id == id => session.vouched = true,
            Some(session) if !session.vouched => self.lose_session(now),
            _ => {}
        }
    }

    fn meet_stranger(&mut self, address: SocketAddr, fingerprint: Fingerprint) {
        if self.session.as_ref().is_none_or(|s| !s.vouched) {
            self.trusted.estranged = true;
        }
        let strangers = &mut self.trusted.strangers;
        if strangers.len() < STRANGERS && !strangers.contains(&fingerprint) {
            strangers.push(fingerprint);
            self.events.push_back(ReceiverEvent::StrangerMet {
                fingerprint,
                address,
            });
        }
    }

    /// What is to be said of the senders met, where only others than the one trusted were.
    pub(super) fn say_whom_met(&self) -> String {
        let strangers = &self.trusted.strangers;
        if !self.trusted.estranged || strangers.is_empty() {
            return String::new();
        }
        let wanted = match (self.trusted.key, self.config.trust) {
            (_, Trust::Only(fingerprint)) => fingerprint.to_string(),
            (Some(key), Trust::First) => Fingerprint::of(&key).to_string(),
            (None, Trust::First) => return String::new(),
        };
        let met: Vec<String> = strangers.iter().map(Fingerprint::to_string).collect();
        format!(
            "; the sender trusted has the key {wanted}, and only others were met: {}",
            met.join(", ")
        )
    }
}
