//! The sending end of a session.
//!
//! [`Sender`] is its face: a [`Library`] of what is here, and a session that serves it.
//! [`serving`] has the session's parts and what passes between them. A part owns what it keeps:
//!
//! * what is sent: [`offers`], [`transmission`] (one object on one channel, with [`sync_timer`],
//!   [`passes`], [`hearings`], [`confirms`], [`askers`]), [`channel`], [`channels`];
//! * to whom: [`member`] (with [`wants`], [`replay_window`]), [`members`], [`unlisted`], [`tally`];
//! * how fast: [`tier`], [`tiers`], [`losses`];
//! * by unicast: [`lacking`], [`unicast_path`], [`unicast`], [`lent`];
//! * from what: [`slots`]; what comes out: [`outbox`], [`datagrams`], [`acknowledgements`],
//!   [`notices`];
//! * how far: [`lifecycle`], [`absence`]; beside whom: [`other_sessions`]; what all packets have in
//!   common: [`session`]; who asks to be served: [`join`].

mod absence;
mod acknowledgements;
mod askers;
mod channel;
mod channels;
mod config;
mod confirms;
mod datagrams;
mod figures;
mod hearings;
mod join;
mod lacking;
mod lent;
mod lifecycle;
mod losses;
mod member;
mod members;
mod notices;
mod offers;
mod other_sessions;
mod outbox;
mod passes;
mod replay_window;
mod serving;
mod session;
mod slots;
mod sync_timer;
mod tally;
mod tier;
mod tiers;
mod transmission;
mod unicast;
mod unicast_path;
mod unlisted;
mod wants;

pub use config::{SenderConfig, SenderError};
pub use figures::{ChannelFigures, ReceiverFigures};

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::sender::serving::Serving;
use crate::engine::{
    Burst, Library, Link, ObjectKey, ReadCommand, SenderEvent, SenderStats, Slot, Timer,
};
use crate::envelope::Refused;
use crate::fault::StoreFault;
use crate::ids::{BlockNo, Cookie, ReceiverId};
use crate::object::{Description, Zeros};
use crate::range_set::RangeSet;
use crate::time::Time;
use crate::wire::Outcome;

/// The sending end of a session: see the [module](crate::engine) for how to drive it.
#[derive(Debug)]
pub struct Sender {
    library: Library,
    serving: Serving,
}

impl Sender {
    /// A sender that starts at `now`.
    ///
    /// # Errors
    /// What of the configuration can't be.
    pub fn new(config: SenderConfig, now: Time) -> Result<Sender, SenderError> {
        config.check()?;
        Ok(Sender {
            library: Library::new(),
            serving: Serving::new(config, now),
        })
    }

    /// Offers an object from now on.
    ///
    /// # Errors
    /// The object is on offer already, or too many are.
    pub fn offer(&mut self, now: Time, description: Description) -> Result<ObjectKey, SenderError> {
        self.offer_sparse(now, description, &RangeSet::new())
    }

    /// Offers an object whose content has `holes` by its table: what lies in them goes out only to
    /// those who ask for it, as whoever has the table knows it.
    ///
    /// # Errors
    /// The object is on offer already, or too many are.
    pub fn offer_sparse(
        &mut self,
        now: Time,
        description: Description,
        holes: &RangeSet,
    ) -> Result<ObjectKey, SenderError> {
        self.serving.check_offer(&description)?;
        let zeros = Zeros::of(&description.geometry, holes);
        let object = self.library.add_whole(description);
        self.library.set_zeros(object, zeros);
        self.begin(now, object);
        Ok(object)
    }

    /// Offers an object of which only the blocks in `held` are here yet. Others that receivers lack
    /// go out when [`handle_block`](Sender::handle_block) says that they have come; nothing on the
    /// wire tells which they are.
    ///
    /// # Errors
    /// The object is on offer already, or too many are.
    pub fn offer_partial(
        &mut self,
        now: Time,
        description: Description,
        held: &RangeSet,
    ) -> Result<ObjectKey, SenderError> {
        self.serving.check_offer(&description)?;
        let object = self.library.add_wanted(description);
        self.library.open(object, held);
        self.begin(now, object);
        Ok(object)
    }

    /// Serves an object of the library.
    fn begin(&mut self, now: Time, object: ObjectKey) {
        if let Some(stored) = self.library.get(object) {
            let served = self.serving.offer(now, stored);
            debug_assert_eq!(served, object, "keys of both are given one after the other");
        }
    }

    /// A block of an object has come and can be read from now on.
    pub fn handle_block(&mut self, now: Time, object: ObjectKey, block: BlockNo) {
        self.library.add_block(object, block);
        if self.library.finish(object) {
            self.library.end(object, Outcome::Complete);
        }
        self.serving.handle_block(now, object, block);
    }

    /// Stops sending an object and tells everybody why.
    pub fn withdraw(&mut self, now: Time, object: ObjectKey, reason: &str) {
        if self.serving.withdraw(now, object, reason) {
            self.library.withdraw(now, object);
        }
    }

    /// Says that more objects are about to be offered (hashing goes on), so that the sender neither
    /// ends nor says that it lacks something.
    pub fn set_preparing(&mut self, now: Time, preparing: bool) {
        self.serving.set_preparing(now, preparing);
    }

    /// Tells everybody that the session ends, and then [`SenderEvent::Finished`].
    pub fn stop(&mut self, now: Time) {
        self.serving.stop(now);
    }

    /// A datagram came from `from` on the socket `link`.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, link: Link, datagram: &[u8]) {
        self.serving.handle_datagram(now, from, link, datagram);
    }

    /// A datagram came that the group's envelopes refuse: it is counted.
    pub fn handle_unopened(&mut self, refused: Refused) {
        self.serving.handle_unopened(refused);
    }

    /// A block that [`poll_read`](Sender::poll_read) asked for is in its slot, or can't be had.
    pub fn handle_read(&mut self, now: Time, slot: Slot, result: Result<(), StoreFault>) {
        if let Some((object, reason)) = self.serving.handle_read(slot, result) {
            self.withdraw(now, object, &reason);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.serving.handle_timeout(now);
    }

    /// The next block to read.
    pub fn poll_read(&mut self) -> Option<ReadCommand> {
        self.serving.poll_read()
    }

    /// Fills `burst` with what is to be sent now; false when nothing is, until the next input or
    /// timeout.
    pub fn poll_transmit(&mut self, now: Time, burst: &mut Burst) -> bool {
        self.serving.poll_transmit(now, burst)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.serving.poll_event()
    }

    /// When to call [`handle_timeout`](Sender::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        self.serving.poll_timeout()
    }

    /// Figures since the start.
    pub fn stats(&self) -> &SenderStats {
        self.serving.stats()
    }

    /// The receivers it knows, in the order of their ids.
    pub fn receivers(&self) -> impl Iterator<Item = ReceiverFigures> + '_ {
        self.serving.receivers()
    }

    /// Receivers that are here and not listed, as far as can be told.
    pub fn unlisted(&self) -> u32 {
        self.serving.unlisted()
    }

    /// The channels that run.
    pub fn channels(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        self.serving.channels()
    }

    /// The channels that data has left on.
    pub fn channels_used(&self) -> impl Iterator<Item = ChannelFigures> + '_ {
        self.serving.channels_used()
    }

    /// What it was told at its start.
    pub fn config(&self) -> &SenderConfig {
        self.serving.config()
    }

    /// What an object is.
    pub fn description(&self, object: ObjectKey) -> Option<&Description> {
        self.library.description(object)
    }

    /// What is here of the objects that it offers.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The group round-trip time as receivers are told it.
    pub fn grtt(&self) -> Duration {
        self.serving.grtt()
    }

    /// All has been said and done: nothing more will be sent.
    pub fn is_finished(&self) -> bool {
        self.serving.is_over()
    }

    pub(crate) fn cookie(&self, from: SocketAddr, id: ReceiverId) -> Cookie {
        self.serving.cookie(from, id)
    }

    /// Whether every queue, table and set is within its cap, and tables agree with each other. For
    /// tests: it looks at every receiver and object.
    ///
    /// # Errors
    /// What is not so.
    pub fn check_bounds(&self) -> Result<(), &'static str> {
        self.serving.check_bounds()
    }
}

#[cfg(test)]
mod tests;
