//! The objects on offer: what they are, by key, by coding and by name, and which is announced next.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::sender::config::SenderError;
use crate::engine::{Object, ObjectKey};
use crate::ids::{BlockNo, SessionId, ShortCodingId};
use crate::object::pattern::part_of;
use crate::object::{Description, Geometry, Zeros};
use crate::range_set::RangeSet;
use crate::seal::SigningKey;
use crate::time::Time;
use crate::wire::{ChannelInfo, Offer, SenderBody, Signature, Wanted};

/// Offers a session can make at a time.
const MAX_OFFERS: usize = 100_000;

/// An object on offer.
#[derive(Debug)]
pub(super) struct Offered {
    description: Arc<Description>,
    /// Ours, of the description in this session.
    signature: Signature,
    coding: ShortCodingId,
    /// Blocks that are not here yet, and can't be sent.
    missing: RangeSet,
    /// Symbols that need not be sent unasked.
    zeros: Zeros,
    /// Why it is no longer offered, if it is not.
    withdrawn: Option<String>,
}

impl Offered {
    pub(super) fn geometry(&self) -> Geometry {
        self.description.geometry
    }

    pub(super) fn coding(&self) -> ShortCodingId {
        self.coding
    }

    /// Blocks that are not here yet.
    pub(super) fn missing(&self) -> &RangeSet {
        &self.missing
    }

    /// Symbols that need not be sent unasked.
    pub(super) fn zeros(&self) -> &Zeros {
        &self.zeros
    }

    /// Blocks that who lacks everything is not sent: those that are not here, or that are zeros.
    pub(super) fn not_sent(&self) -> RangeSet {
        let mut blocks = self.missing.clone();
        blocks.union_with(self.zeros.blocks());
        blocks
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.is_some()
    }

    pub(super) fn symbols(&self) -> u64 {
        self.description.geometry.total_symbols()
    }
}

/// What an offer tells of the session beside the object.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) grtt: Duration,
    /// Receivers that are here or waited for.
    pub(super) receivers: u32,
    /// More objects are about to be offered.
    pub(super) preparing: bool,
    /// The object's channels, one for each tier.
    pub(super) channels: Vec<ChannelInfo>,
}

/// All objects that are or were on offer.
#[derive(Debug)]
pub(super) struct Offers {
    /// By key; withdrawn ones stay, so that keys are never used twice.
    objects: Vec<Offered>,
    by_coding: BTreeMap<ShortCodingId, ObjectKey>,
    announce_due: Time,
    announce_next: usize,
}

impl Offers {
    pub(super) fn new(now: Time) -> Offers {
        Offers {
            objects: Vec::new(),
            by_coding: BTreeMap::new(),
            announce_due: now,
            announce_next: 0,
        }
    }

    /// Whether an object can be offered.
    pub(super) fn check(&self, description: &Description) -> Result<(), SenderError> {
        if self.live().count() >= MAX_OFFERS {
            return Err(SenderError::TooMany(MAX_OFFERS));
        }
        match self.by_coding(description.coding().short()) {
            Some(twin) => {
                let name = self.get(twin).description.name.clone();
                Err(SenderError::Twice(name))
            }
            None => Ok(()),
        }
    }

    /// Adds the object that a library gave the next key, to be announced at once.
    pub(super) fn add(
        &mut self,
        now: Time,
        session: SessionId,
        object: &Object,
        key: &SigningKey,
    ) -> ObjectKey {
        let description = object.shared_description();
        let number = ObjectKey(self.objects.len() as u32);
        self.by_coding.insert(object.coding(), number);
        self.objects.push(Offered {
            signature: Signature::of(session, &description, key),
            coding: object.coding(),
            missing: object.unverified(),
            zeros: object.zeros().clone(),
            withdrawn: None,
            description,
        });
        self.announce_due = now;
        self.announce_next = number.0 as usize;
        number
    }

    /// A block that was missing is here.
    pub(super) fn handle_block(&mut self, object: ObjectKey, block: BlockNo) {
        if let Some(offered) = self.objects.get_mut(object.0 as usize) {
            let block = u64::from(block);
            offered.missing.remove(block..block + 1);
        }
    }

    /// Takes an object off; gives its coding, none if it was not on offer.
    pub(super) fn withdraw(&mut self, object: ObjectKey, reason: &str) -> Option<ShortCodingId> {
        let offered = self.objects.get_mut(object.0 as usize)?;
        if offered.is_withdrawn() {
            return None;
        }
        offered.withdrawn = Some(reason.to_owned());
        self.by_coding.remove(&offered.coding);
        Some(offered.coding)
    }

    /// An object that was added.
    pub(super) fn get(&self, object: ObjectKey) -> &Offered {
        &self.objects[object.0 as usize]
    }

    /// An object, if there is one of that key.
    pub(super) fn find(&self, object: ObjectKey) -> Option<&Offered> {
        self.objects.get(object.0 as usize)
    }

    /// The object on offer with a coding.
    pub(super) fn by_coding(&self, coding: ShortCodingId) -> Option<ObjectKey> {
        self.by_coding.get(&coding).copied()
    }

    /// Number of objects that were ever on offer; keys are below it.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// The objects on offer.
    pub(super) fn live(&self) -> impl Iterator<Item = (ObjectKey, &Offered)> {
        let objects = self.objects.iter().enumerate();
        let live = objects.filter(|(_, o)| !o.is_withdrawn());
        live.map(|(key, o)| (ObjectKey(key as u32), o))
    }

    /// The objects on offer that a request asks for.
    pub(super) fn resolve(&self, wanted: &Wanted) -> Vec<ObjectKey> {
        match wanted {
            Wanted::All { .. } => self.live().map(|(key, _)| key).collect(),
            Wanted::Name(name) => {
                let named = |full: &str| part_of(name, full).is_some();
                self.live()
                    .filter(|(_, o)| named(&o.description.name))
                    .map(|(key, _)| key)
                    .collect()
            }
            Wanted::Codings(codings) => codings.iter().filter_map(|&c| self.by_coding(c)).collect(),
        }
    }

    /// Says in a few words that nothing of this name is on offer, and what is.
    pub(super) fn refusal(&self, name: &str) -> String {
        let names = self.live().map(|(_, o)| o.description.name.as_str());
        let names: Vec<&str> = names.take(5).collect();
        let text = format!(
            "no object named {name} here; on offer: {}",
            names.join(", ")
        );
        text.chars().filter(|c| !c.is_control()).take(60).collect()
    }

    /// The offer of an object as it stands.
    pub(super) fn offer(&self, now: Time, object: ObjectKey, terms: Terms) -> SenderBody {
        let offered = self.get(object);
        SenderBody::Offer(Box::new(Offer {
            sent_at: now.as_nanos().max(1),
            index: self.live().take_while(|&(key, _)| key < object).count() as u32,
            // One more than there is tells a receiver of all to wait for what is being prepared.
            total: self.live().count() as u32 + u32::from(terms.preparing),
            grtt: terms.grtt,
            receivers: terms.receivers,
            description: Description::clone(&offered.description),
            signature: offered.signature,
            channels: terms.channels,
        }))
    }

    /// When the next object is announced; never, if there is none.
    pub(super) fn announce_due(&self) -> Time {
        self.announce_due
    }

    /// The next object is announced at once.
    pub(super) fn announce_now(&mut self, now: Time) {
        self.announce_due = now;
    }

    /// The object to announce, if one is due.
    pub(super) fn next_announced(&mut self, now: Time) -> Option<ObjectKey> {
        if self.announce_due > now {
            return None;
        }
        let count = self.objects.len();
        let next = (0..count)
            .map(|i| (self.announce_next + i) % count)
            .find(|&k| !self.objects[k].is_withdrawn());
        if next.is_none() {
            self.announce_due = Time::NEVER;
        }
        next.map(|key| ObjectKey(key as u32))
    }

    /// An object was announced. Each is announced once in a `round`, and no two closer together
    /// than `least`.
    pub(super) fn announced(
        &mut self,
        now: Time,
        object: ObjectKey,
        round: Duration,
        least: Duration,
    ) {
        self.announce_next = object.0 as usize + 1;
        let each = round / self.live().count().max(1) as u32;
        self.announce_due = now + each.max(least);
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.by_coding.len() <= MAX_OFFERS
    }
}
