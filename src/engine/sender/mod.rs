//! The sending end of a session.

use core::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::engine::{
    Burst, Link, ObjectKey, ReadCommand, ReadFault, SenderEvent, SenderStats, Slot, Timer,
};
use crate::ids::{ReceiverId, SessionId};
use crate::object::Description;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::Outcome;

/// What a sender is told at its start.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The session's identity, from 64 random bits.
    pub session: SessionId,
    /// Seeds timers and samples.
    pub seed: u64,
    /// Makes cookies; from 32 random bytes that nobody else knows.
    pub secret: [u8; 32],
    /// The groups it may use, at least one. The first carries announcements; with one, it carries
    /// everything.
    pub groups: Vec<SocketAddr>,
    /// The only source receivers shall take groups' packets from (SSM).
    pub source: Option<IpAddr>,
    /// NAKs go to `GROUP:PORT+1`, where all hear them, rather than to the sender alone.
    pub group_feedback: bool,
    /// The most it sends, counted in IP bytes, over everything.
    pub rate: Rate,
    /// Receivers that must have asked before data starts; 0 and 1 start with the first.
    pub wait_for: u32,
    /// Serve on when all are done.
    pub stay: bool,
    /// Buffers for blocks that the driver has, 2 to 4,096.
    pub slots: u16,
    /// Senders to name to those who ask for what this one lacks.
    pub elsewhere: Vec<SocketAddr>,
}

/// Why a sender can't start or take an object.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SenderError {
    /// No group was given.
    #[error("no multicast group to send to")]
    NoGroup,
    /// An address that is no multicast group.
    #[error("{0} is not a multicast address: use one from 224.0.0.0/4 or ff00::/8")]
    NotMulticast(IpAddr),
    /// Groups of both families.
    #[error("groups of IPv4 and IPv6 in one session")]
    MixedFamilies,
    /// The feedback port is one more than the port.
    #[error("port {0} can't be used: the next port up is needed too, for requests")]
    Port(u16),
    /// Fewer than two buffers.
    #[error("{0} buffers for blocks; 2 to 4096 are possible")]
    Slots(u16),
    /// An object of the same coding and name is on offer.
    #[error("{0} is already on offer")]
    Twice(String),
    /// More offers than a session can have.
    #[error("a session can make at most {0} offers")]
    TooMany(usize),
}

/// A receiver as the sender knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceiverFigures {
    /// Who.
    pub receiver: ReceiverId,
    /// Where it sends from.
    pub address: SocketAddr,
    /// It uses unicast.
    pub unicast: bool,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// Symbols it has said that it holds, over all objects.
    pub symbols_held: u64,
    /// The throughput it last reported.
    pub throughput: Rate,
    /// Data packets it has received.
    pub packets: u64,
    /// Packets it has lost in the network.
    pub lost: u64,
    /// Packets it has lost in its own socket buffer.
    pub overflowed: u64,
    /// NAKs it has sent.
    pub naks: u64,
}

/// The sending end of a session: see the [module](crate::engine) for how to drive it.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    stats: SenderStats,
}

impl Sender {
    /// A sender that starts at `now`.
    pub fn new(config: SenderConfig, now: Time) -> Result<Sender, SenderError> {
        let _ = now;
        Ok(Sender {
            config,
            stats: SenderStats::default(),
        })
    }

    /// Offers an object from now on.
    pub fn offer(&mut self, now: Time, description: Description) -> Result<ObjectKey, SenderError> {
        let _ = (now, description);
        Ok(ObjectKey(0))
    }

    /// Stops sending an object and tells everybody why.
    pub fn withdraw(&mut self, now: Time, object: ObjectKey, reason: &str) {
        let _ = (now, object, reason);
    }

    /// Says that more objects are about to be offered (hashing goes on), so that the sender neither
    /// ends nor says that it lacks something.
    pub fn set_preparing(&mut self, now: Time, preparing: bool) {
        let _ = (now, preparing);
    }

    /// Tells everybody that the session ends, and then [`SenderEvent::Finished`].
    pub fn stop(&mut self, now: Time) {
        let _ = now;
    }

    /// A datagram came from `from` on the socket `link`.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, link: Link, datagram: &[u8]) {
        let _ = (now, from, link, datagram);
    }

    /// A block that [`poll_read`](Sender::poll_read) asked for is in its slot, or can't be had.
    pub fn handle_read(&mut self, now: Time, slot: Slot, result: Result<(), ReadFault>) {
        let _ = (now, slot, result);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let _ = now;
    }

    /// Fills `burst` with what is to be sent now; false when nothing is, until the next input or timeout.
    pub fn poll_transmit(&mut self, now: Time, burst: &mut Burst) -> bool {
        let _ = (now, burst);
        false
    }

    /// The next block to read.
    pub fn poll_read(&mut self) -> Option<ReadCommand> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        None
    }

    /// When to call [`handle_timeout`](Sender::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        None
    }

    /// Figures since the start.
    pub fn stats(&self) -> &SenderStats {
        &self.stats
    }

    /// The receivers it knows, in no stated order.
    pub fn receivers(&self) -> impl Iterator<Item = ReceiverFigures> + '_ {
        core::iter::empty()
    }

    /// What it was told at its start.
    pub fn config(&self) -> &SenderConfig {
        &self.config
    }
}
