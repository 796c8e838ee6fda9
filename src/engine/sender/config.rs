//! What a sender is told at its start, and why it may refuse.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;

use thiserror::Error;

use crate::carousel::Surplus;
use crate::ids::SessionId;
use crate::rate::Adapt;
use crate::seal::SigningKey;
use crate::units::Rate;

/// What a sender is told at its start.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The session's identity, from 64 random bits.
    pub session: SessionId,
    /// Seeds timers and samples.
    pub seed: u64,
    /// Makes cookies; from 32 random bytes that nobody else knows.
    pub secret: [u8; 32],
    /// Signs what it describes.
    pub key: SigningKey,
    /// All that it sends goes out in a group's envelopes, which its rate is to have room for.
    pub sealed: bool,
    /// The groups it may use, at least one. The first carries announcements; with no more groups
    /// than tiers, data too.
    pub groups: Vec<SocketAddr>,
    /// The only source receivers shall take groups' packets from (SSM).
    pub source: Option<IpAddr>,
    /// NAKs go to `GROUP:PORT+1`, where all hear them, rather than to the sender alone.
    pub group_feedback: bool,
    /// The most it sends, counted in IP bytes, over everything.
    pub rate: Rate,
    /// The rates of its tiers, fastest first, at most
    /// [`MAX_CHANNELS`](crate::wire::MAX_CHANNELS); one tier at `rate` when empty.
    pub tiers: Vec<Rate>,
    /// A tier's channel may use the room up to the next faster tier; otherwise it keeps to its
    /// rate.
    pub ladder: bool,
    /// Whose throughput a channel's rate follows.
    pub adapt: Adapt,
    /// The least that a receiver must get, in IP bytes: one that stays below it for longer than it
    /// takes to find a slower tier is told to use unicast, or to leave where that would be slower
    /// still. Zero: any rate will do.
    pub min_rate: Rate,
    /// Receivers known one by one, at most. Those beyond are served on groups all the same, but by
    /// number only, and not by unicast.
    pub roster: u32,
    /// Receivers that must have asked before data starts; 0 and 1 start with the first.
    pub wait_for: u32,
    /// Serve on when all are done.
    pub stay: bool,
    /// The session has no way back: receivers send nothing and nothing is taken from them. Data
    /// starts with the first offer, and each object goes out in so many cycles; with
    /// [`stay`](Self::stay), in cycles without end. `wait_for` does not count.
    pub one_way: Option<NonZeroU32>,
    /// Parity that goes out with each block without being asked for. [`Surplus::Reported`] follows
    /// the receivers' reports, channel by channel.
    pub surplus: Surplus,
    /// The longest loss of everything that is to take only part of the surplus of each block, which
    /// then go out several in turn; zero: one by one. For sessions without a way back: otherwise it
    /// follows what receivers report.
    pub fade: Duration,
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

impl SenderConfig {
    /// Whether a sender can start with it.
    pub(super) fn check(&self) -> Result<(), SenderError> {
        let first = *self.groups.first().ok_or(SenderError::NoGroup)?;
        for group in &self.groups {
            if !group.ip().is_multicast() {
                return Err(SenderError::NotMulticast(group.ip()));
            }
            if group.is_ipv4() != first.is_ipv4() {
                return Err(SenderError::MixedFamilies);
            }
            if group.port() == u16::MAX || group.port() == 0 {
                return Err(SenderError::Port(group.port()));
            }
        }
        if !(2..=4_096).contains(&self.slots) {
            return Err(SenderError::Slots(self.slots));
        }
        Ok(())
    }

    /// Passes over each object, where there is no way back: none for passes without end.
    pub(super) fn passes(&self) -> Option<Option<u32>> {
        let cycles = self.one_way?;
        Some((!self.stay).then_some(cycles.get()))
    }
}

#[cfg(test)]
impl SenderConfig {
    /// One group at a steady 100 Mbit/s, without parity, which stays.
    pub(super) fn for_tests() -> SenderConfig {
        use crate::config;
        use crate::secret::Secret;
        SenderConfig {
            session: SessionId(1),
            seed: 1,
            secret: [1; 32],
            key: SigningKey::new(&Secret::new([1; 32])),
            sealed: false,
            groups: vec![SocketAddr::from(([239, 192, 7, 1], 4_700))],
            source: None,
            group_feedback: false,
            rate: Rate::from_bps(100_000_000),
            tiers: Vec::new(),
            ladder: false,
            adapt: Adapt::Fixed,
            min_rate: Rate::ZERO,
            roster: config::MAX_ROSTER,
            wait_for: 1,
            stay: true,
            one_way: None,
            surplus: Surplus::None,
            fade: config::FADE,
            slots: 8,
            elsewhere: Vec::new(),
        }
    }
}
