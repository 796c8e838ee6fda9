//! Whose key a receiver trusts, whom it met, and what it spends on finding out.

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::following::config::Trust;
use crate::engine::following::outbox::Outbox;
use crate::engine::{DropReason, ReceiverEvent};
use crate::ids::SessionId;
use crate::seal::{Fingerprint, PUBLIC_LEN};
use crate::time::Time;
use crate::wire::{Offer, Signature};

/// Signatures that bring nothing, in a [`ROUND`]: at 50 us each a forger costs us 5 % of a core,
/// and chance still lets a good one through.
const VERIFIES: u32 = 100;
const ROUND: Duration = Duration::from_millis(100);
/// Keys that are told of, once each.
const STRANGERS: usize = 16;
/// Other sessions that are told of, once each.
const MAX_OTHERS: usize = 16;

/// The sender's key, once it is known, and keys of others.
#[derive(Debug, Default)]
pub(crate) struct Trusted {
    /// The key whose signature held: no other counts from then on.
    key: Option<[u8; PUBLIC_LEN]>,
    /// Other keys that were met.
    strangers: Vec<Fingerprint>,
    /// Other sessions that were met while one was followed.
    others: Vec<SessionId>,
    /// Signatures that brought nothing since.
    wasted: u32,
    since: Time,
}

impl Trusted {
    pub(super) fn takes(&self, trust: Trust, signature: &Signature) -> bool {
        match (self.key, trust) {
            (Some(key), _) => key == signature.key,
            (None, Trust::First) => true,
            (None, Trust::Only(fingerprint)) => fingerprint == signature.fingerprint(),
        }
    }

    /// Whether the description is its sender's in this session; gives the fingerprint if it is the
    /// first. It is charged for unless it brings something `new`.
    pub(super) fn verify(
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

    /// No key is trusted yet, and none was asked for.
    pub(super) fn is_undecided(&self, trust: Trust) -> bool {
        self.key.is_none() && trust == Trust::First
    }

    /// A key was met that is not trusted. The application is told once of each.
    pub(super) fn meet(&mut self, address: SocketAddr, fingerprint: Fingerprint, out: &mut Outbox) {
        let strangers = &mut self.strangers;
        if strangers.len() < STRANGERS && !strangers.contains(&fingerprint) {
            strangers.push(fingerprint);
            out.event(ReceiverEvent::StrangerMet {
                fingerprint,
                address,
            });
        }
    }

    /// Another session was met than the one that is followed. The application is told once of each.
    pub(super) fn meet_session(
        &mut self,
        session: SessionId,
        address: SocketAddr,
        out: &mut Outbox,
    ) {
        if self.others.len() < MAX_OTHERS && !self.others.contains(&session) {
            self.others.push(session);
            out.event(ReceiverEvent::OtherSession { session, address });
        }
    }

    /// No more keys and sessions are remembered than may be.
    pub(crate) fn is_bounded(&self) -> bool {
        self.strangers.len() <= STRANGERS && self.others.len() <= MAX_OTHERS
    }

    /// What is to be said of the senders met, where only others than the one trusted were.
    pub(crate) fn say_whom_met(&self, trust: Trust) -> String {
        if self.strangers.is_empty() {
            return String::new();
        }
        let wanted = match (self.key, trust) {
            (_, Trust::Only(fingerprint)) => fingerprint.to_string(),
            (Some(key), Trust::First) => Fingerprint::of(&key).to_string(),
            (None, Trust::First) => return String::new(),
        };
        let met: Vec<String> = self.strangers.iter().map(Fingerprint::to_string).collect();
        format!(
            "; the sender trusted has the key {wanted}, and only others were met: {}",
            met.join(", ")
        )
    }
}
