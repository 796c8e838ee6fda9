//! What a receiver is told at its start, and may change by nothing that it hears.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config;
use crate::engine::Via;
use crate::ids::ReceiverId;
use crate::object::pattern::part_of;
use crate::seal::Fingerprint;
use crate::units::Rate;

/// Where a receiver looks for its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Listen to this group; hearing nothing, ask `GROUP:PORT+1`.
    Group {
        /// Group and port.
        group: SocketAddr,
        /// The only source to take its packets from (SSM).
        source: Option<core::net::IpAddr>,
    },
    /// Ask this host.
    Host(SocketAddr),
}

/// Whose descriptions a receiver takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// Those of the sender that it first has one of.
    #[default]
    First,
    /// Those of the sender with this key.
    Only(Fingerprint),
}

/// What a receiver is told at its start.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its identity, from 64 random bits.
    pub id: ReceiverId,
    /// Seeds timers.
    pub seed: u64,
    /// Where to look for the sender.
    pub target: Target,
    /// The object wanted; everything that the session offers when none.
    pub name: Option<String>,
    /// Whose descriptions to take.
    pub trust: Trust,
    /// All that it hears comes in a group's envelopes: a sender must answer it before it is
    /// followed, unless nothing can be asked.
    pub sealed: bool,
    /// Use this path only; by itself finds out when none.
    pub via: Option<Via>,
    /// Send nothing at all, whatever the session is like: the target must be a group.
    pub one_way: bool,
    /// How long to wait to hear SYNC or data on the group.
    pub sync_timeout: Duration,
    /// How long to wait for a sender to answer.
    pub sender_timeout: Duration,
    /// What the downlink carries, if known: it sits on no faster tier.
    pub downlink: Option<Rate>,
    /// The most bytes an object may have to be accepted.
    pub max_size: u64,
}

impl ReceiverConfig {
    /// The defaults for a target.
    pub fn new(id: ReceiverId, seed: u64, target: Target) -> ReceiverConfig {
        ReceiverConfig {
            id,
            seed,
            target,
            name: None,
            trust: Trust::First,
            sealed: false,
            via: None,
            one_way: false,
            sync_timeout: config::SYNC_TIMEOUT,
            sender_timeout: config::SENDER_TIMEOUT,
            downlink: None,
            max_size: u64::MAX,
        }
    }

    /// Whether something of this name is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        match &self.name {
            None => true,
            Some(wanted) => part_of(wanted, name).is_some(),
        }
    }

    /// Whether a sender must have answered before it is followed: what was caught of a group's old
    /// session could be told again.
    pub(super) fn takes_answers_only(&self) -> bool {
        self.sealed && !self.one_way
    }

    /// It may use unicast only.
    pub(super) fn is_unicast_only(&self) -> bool {
        self.via == Some(Via::Unicast)
    }
}
