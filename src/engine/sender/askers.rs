//! What single receivers have asked for, and may still ask for.

use std::collections::BTreeMap;

use crate::ids::ReceiverId;
use crate::nak::RepairShare;
use crate::time::Time;

/// Receivers whose asking is looked at one by one; where more ask for much, no single one is to
/// blame.
const MAX_ASKERS: usize = 1_024;

/// Symbols of whole blocks that receivers have had put into an object's cycles by asking.
#[derive(Debug, Default)]
pub(super) struct Claims {
    used: BTreeMap<ReceiverId, u64>,
}

impl Claims {
    /// What a receiver may still claim of `all`.
    pub(super) fn left(&self, id: ReceiverId, all: u64) -> u64 {
        all.saturating_sub(self.used.get(&id).copied().unwrap_or(0))
    }

    pub(super) fn use_up(&mut self, id: ReceiverId, symbols: u64) {
        if symbols > 0 && (self.used.len() < MAX_ASKERS || self.used.contains_key(&id)) {
            *self.used.entry(id).or_default() += symbols;
        }
    }

    pub(super) fn clear(&mut self) {
        self.used.clear();
    }
}

/// Each receiver's share of a tier's repairs.
#[derive(Debug, Default)]
pub(super) struct Shares {
    of: BTreeMap<ReceiverId, RepairShare>,
}

impl Shares {
    /// The share of a receiver; none where too many are known to tell it apart.
    pub(super) fn of(&mut self, now: Time, id: ReceiverId) -> Option<&mut RepairShare> {
        if self.of.len() >= MAX_ASKERS && !self.of.contains_key(&id) {
            self.of.retain(|_, share| !share.is_paid(now));
            if self.of.len() >= MAX_ASKERS {
                return None;
            }
        }
        Some(self.of.entry(id).or_default())
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.of.len() <= MAX_ASKERS
    }
}
