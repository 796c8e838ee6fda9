//! All channels of a session: which of them each object has, and which may send first.

use core::time::Duration;

use crate::engine::ObjectKey;
use crate::engine::sender::channel::Channel;
use crate::engine::sender::config::SenderConfig;
use crate::engine::sender::tally::Tallies;
use crate::engine::sender::transmission::Transmission;
use crate::ids::{BlockNo, ChannelNo, UNICAST_CHANNELS};
use crate::rate::Pacer;
use crate::time::Time;

/// How long an object keeps its channel after its last receiver.
const LINGER: Duration = Duration::from_secs(5);
/// How often unlisted receivers are looked at while nothing is heard of them.
const LOOK: Duration = Duration::from_millis(100);

/// The channels, and where objects are on them.
#[derive(Debug)]
pub(super) struct Channels {
    channels: Vec<Channel>,
    /// Number of tiers, at least one.
    tiers: usize,
    /// By object key.
    places: Vec<Place>,
    /// The channel that may send first.
    turn: usize,
    /// A repair goes before fresh data, where they take turns.
    repair_turn: bool,
    /// When unlisted receivers are looked at again.
    unlisted_due: Time,
}

/// Where an object is.
#[derive(Debug)]
struct Place {
    /// Its channel on each tier, once it was wanted.
    numbers: Vec<ChannelNo>,
    /// When a receiver last lacked something of it.
    wanted_at: Time,
}

impl Place {
    /// Its channel on a tier; on the last that it has, when there are fewer channels than tiers.
    fn number(&self, tier: usize) -> Option<ChannelNo> {
        self.numbers.get(tier).or(self.numbers.last()).copied()
    }
}

impl Channels {
    /// A channel for each group, with `cap` for each of them.
    pub(super) fn new(config: &SenderConfig, cap: &Pacer) -> Channels {
        let groups = config.groups.iter().take(usize::from(UNICAST_CHANNELS));
        let channels = (0..).zip(groups);
        Channels {
            channels: channels
                .map(|(number, &group)| Channel::new(number, group, cap.clone()))
                .collect(),
            tiers: config.tiers.len().max(1),
            places: Vec::new(),
            turn: 0,
            repair_turn: false,
            unlisted_due: Time::NEVER,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.channels.iter_mut()
    }

    /// A channel, if that is one of a group.
    pub(super) fn find(&self, number: ChannelNo) -> Option<&Channel> {
        self.channels.get(usize::from(number))
    }

    pub(super) fn find_mut(&mut self, number: ChannelNo) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(number))
    }

    /// A channel of a group.
    pub(super) fn get(&self, number: ChannelNo) -> &Channel {
        &self.channels[usize::from(number)]
    }

    pub(super) fn get_mut(&mut self, number: ChannelNo) -> &mut Channel {
        &mut self.channels[usize::from(number)]
    }

    /// The tier that a channel runs at, if something has run on it.
    pub(super) fn known_tier(&self, number: ChannelNo) -> Option<usize> {
        self.find(number)?.known_tier()
    }

    /// The channels of a tier.
    pub(super) fn on_tier(&self, tier: usize) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |c| c.tier() == tier)
    }

    pub(super) fn on_tier_mut(&mut self, tier: usize) -> impl Iterator<Item = &mut Channel> {
        self.channels.iter_mut().filter(move |c| c.tier() == tier)
    }

    /// A tier's channels on which something is sent or asked.
    pub(super) fn running(&self, tier: usize) -> impl Iterator<Item = &Channel> {
        self.on_tier(tier).filter(|c| c.runs())
    }

    /// All objects on all channels.
    pub(super) fn transmissions(&self) -> impl Iterator<Item = (ObjectKey, &Transmission)> {
        self.channels.iter().flat_map(Channel::transmissions)
    }

    pub(super) fn transmissions_mut(
        &mut self,
    ) -> impl Iterator<Item = (ObjectKey, &mut Transmission)> {
        self.channels
            .iter_mut()
            .flat_map(Channel::transmissions_mut)
    }

    /// Every channel is a tier that all objects take turns on. The first carries announcements too,
    /// unless there is one group more than tiers; with still more, objects get channels of their
    /// own.
    pub(super) fn are_shared(&self) -> bool {
        self.channels.len() <= self.tiers + self.apart()
    }

    /// One where the first channel carries announcements only and each tier has one of the others:
    /// nobody's link is filled before it has chosen a tier.
    fn apart(&self) -> usize {
        usize::from(self.tiers > 1 && self.channels.len() > self.tiers)
    }

    /// There is one more object, which has no channel yet.
    pub(super) fn add_object(&mut self, now: Time) {
        self.places.push(Place {
            numbers: Vec::new(),
            wanted_at: now,
        });
    }

    /// A block of an object that was missing is here.
    pub(super) fn handle_block(&mut self, object: ObjectKey, block: BlockNo) {
        for channel in &mut self.channels {
            if let Some(transmission) = channel.transmission(object) {
                transmission.handle_block(block);
            }
        }
    }

    /// An object's channel on a tier.
    pub(super) fn number(&self, object: ObjectKey, tier: usize) -> Option<ChannelNo> {
        self.places[object.0 as usize].number(tier)
    }

    /// An object's channels, one for each tier.
    pub(super) fn numbers(&self, object: ObjectKey) -> &[ChannelNo] {
        &self.places[object.0 as usize].numbers
    }

    /// An object on its channel of a tier.
    pub(super) fn transmission(
        &mut self,
        object: ObjectKey,
        tier: usize,
    ) -> Option<&mut Transmission> {
        let number = self.number(object, tier)?;
        self.get_mut(number).transmission(object)
    }

    /// Gives an object a channel on each tier, if it has none, and begins to run it on `tier`;
    /// gives the channel if it did not run there.
    pub(super) fn open(
        &mut self,
        now: Time,
        object: ObjectKey,
        tier: usize,
        begin: impl FnOnce() -> Transmission,
    ) -> Option<&mut Channel> {
        self.places[object.0 as usize].wanted_at = now;
        if self.numbers(object).is_empty() {
            let tiers = 0..self.tiers.min(self.channels.len());
            let numbers = tiers.map_while(|tier| self.choose(tier)).collect();
            self.places[object.0 as usize].numbers = numbers;
        }
        let number = self.number(object, tier)?;
        let channel = self.get_mut(number);
        if channel.carries(object) {
            return None;
        }
        channel.begin(object, begin());
        Some(channel)
    }

    /// A channel on a tier for one more object.
    fn choose(&mut self, tier: usize) -> Option<ChannelNo> {
        let at = if self.are_shared() {
            tier + self.apart()
        } else {
            let free = |c: &usize| self.channels[*c].known_tier().is_none_or(|t| t == tier);
            // The first is for announcements; of the others the one with the fewest objects.
            let others = (1..self.channels.len()).filter(free);
            others.min_by_key(|&c| self.channels[c].objects())?
        };
        self.channels[at].add_object(tier);
        Some(at as ChannelNo)
    }

    /// Takes an object off its channels; gives them, and whether it ran there.
    pub(super) fn close(&mut self, object: ObjectKey) -> Vec<(ChannelNo, bool)> {
        let numbers = core::mem::take(&mut self.places[object.0 as usize].numbers);
        let close = |number| (number, self.get_mut(number).remove_object(object));
        numbers.into_iter().map(close).collect()
    }

    /// Takes objects off their channels that nobody has wanted for long; gives them.
    pub(super) fn close_unwanted(&mut self, now: Time) -> Vec<ObjectKey> {
        let mut closed = Vec::new();
        for at in 0..self.places.len() {
            let object = ObjectKey(at as u32);
            let lingers = now.since(self.places[at].wanted_at) <= LINGER;
            if !lingers && !self.is_wanted(object) && !self.close(object).is_empty() {
                closed.push(object);
            }
        }
        closed
    }

    /// A receiver lacks something of the object.
    fn is_wanted(&self, object: ObjectKey) -> bool {
        self.channels.iter().any(|c| c.is_wanted_of(object))
    }

    /// Takes over who of the listed receivers lacks what.
    pub(super) fn count_listed(&mut self, now: Time, tallies: &Tallies) {
        for (object, place) in self.places.iter_mut().enumerate() {
            if tallies.is_lacked(object) {
                place.wanted_at = now;
            }
        }
        for channel in &mut self.channels {
            for (object, transmission) in channel.transmissions() {
                if transmission.is_wanted() {
                    self.places[object.0 as usize].wanted_at = now;
                }
            }
            let (number, places) = (channel.address().0, &self.places);
            channel.count_listed(|object| {
                let place = &places[object.0 as usize];
                tallies.listed(object, |tier| place.number(tier) == Some(number))
            });
        }
    }

    /// Number of receivers that are here and not listed, as far as can be told.
    pub(super) fn unlisted(&self) -> u32 {
        let unlisted = self.channels.iter().filter_map(Channel::unlisted);
        unlisted.fold(0, |sum, u| sum.saturating_add(u.estimate()))
    }

    /// An unlisted receiver came: they are looked at soon.
    pub(super) fn expect_unlisted(&mut self, now: Time) {
        self.unlisted_due = self.unlisted_due.min(now + LOOK);
    }

    /// When unlisted receivers are looked at next.
    pub(super) fn unlisted_due(&self) -> Time {
        self.unlisted_due
    }

    /// Looks at unlisted receivers, if that is due: true if their number changed.
    pub(super) fn follow_unlisted(
        &mut self,
        now: Time,
        patience: Duration,
        silence: Duration,
    ) -> bool {
        if now < self.unlisted_due {
            return false;
        }
        self.unlisted_due = Time::NEVER;
        let mut changed = false;
        for channel in self.channels.iter_mut().filter(|c| c.unlisted().is_some()) {
            self.unlisted_due = now + LOOK;
            changed |= channel.follow_unlisted(now, patience, silence);
        }
        changed
    }

    /// The channel that is `nth` to send, counted from 0.
    pub(super) fn nth(&self, nth: usize) -> ChannelNo {
        ((self.turn + nth) % self.channels.len()) as ChannelNo
    }

    /// Channels in the order in which they may send.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Channel> {
        (0..self.channels.len()).map(|nth| self.get(self.nth(nth)))
    }

    pub(super) fn repair_turn(&self) -> bool {
        self.repair_turn
    }

    /// A channel has sent: the one after it may send first. `turn` tells whether it was a repair,
    /// where repairs take turns with fresh data.
    pub(super) fn sent(&mut self, number: ChannelNo, turn: Option<bool>) {
        self.turn = usize::from(number) + 1;
        if let Some(was_repair) = turn {
            self.repair_turn = !was_repair;
        }
    }
}
