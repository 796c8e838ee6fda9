//! One object on offer: what it is, and where it runs.

use crate::ids::{ChannelNo, SessionId, ShortCodingId};
use crate::object::Description;
use crate::seal::SigningKey;
use crate::time::Time;
use crate::wire::Signature;

/// An object on offer.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) description: Description,
    /// Ours, of the description in this session.
    pub(super) signature: Signature,
    pub(super) coding: ShortCodingId,
    /// Its channel on each tier, once it was wanted.
    pub(super) channels: Vec<ChannelNo>,
    /// When a receiver last lacked something.
    pub(super) wanted_at: Time,
    /// Why it is no longer offered, if it is not.
    pub(super) withdrawn: Option<String>,
}

impl Offered {
    pub(super) fn symbols(&self) -> u64 {
        self.description.geometry.total_symbols()
    }

    pub(super) fn new(
        now: Time,
        session: SessionId,
        description: Description,
        key: &SigningKey,
    ) -> Offered {
        Offered {
            signature: Signature::of(session, &description, key),
            coding: description.coding().short(),
            channels: Vec::new(),
            wanted_at: now,
            withdrawn: None,
            description,
        }
    }

    /// Its channel on a tier; on the last that it has, when there are fewer channels than tiers.
    pub(super) fn channel(&self, tier: usize) -> Option<ChannelNo> {
        self.channels.get(tier).or(self.channels.last()).copied()
    }
}
