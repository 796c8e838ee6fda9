//! What a sender tells.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::driver::figures::{DeliveryPath, ReceiverStanding, SenderTier, SmallBuffer};
#[cfg(feature = "serde")]
use crate::driver::json;
use crate::ids::{CodingId, ContentId, ReceiverId, SessionId};
use crate::seal::Fingerprint;
use crate::units::Rate;
use crate::url::Url;
use crate::wire::{MoveCause, Outcome};

/// What a [`Sender`](crate::driver::Sender) reports.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "event", rename_all = "snake_case")
)]
pub enum SenderEvent {
    /// The user had no sender's key yet; one was made.
    KeyMade {
        /// Its file.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
    },
    /// The user's key can't be kept, so this run has one of its own.
    KeyNotKept {
        /// Why.
        reason: String,
    },
    /// It is ready: requests are answered at these addresses.
    Listening {
        /// The session's identity, fresh at each start.
        session: SessionId,
        /// The base group and its port; none when it serves unicast only.
        group: Option<SocketAddr>,
        /// The interface that the group's packets leave by.
        interface: String,
        /// Local unicast addresses on which requests are answered.
        addresses: Vec<SocketAddr>,
        /// Of the key that signs what is offered.
        fingerprint: Fingerprint,
        /// What leads receivers to this sender, and to no other, by its base group.
        url: Box<Url>,
        /// What leads there by this machine's own address, if others can reach one.
        #[cfg_attr(feature = "serde", serde(skip))]
        host_url: Option<Box<Url>>,
    },
    /// Packets from receivers may be lost here under load, because the buffer is small.
    SmallBuffer(SmallBuffer),
    /// A file is being hashed; sent a few times a second.
    Hashing {
        /// The name it will be offered under.
        name: String,
        /// Bytes hashed.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// An object is on offer: it is hashed, and receivers can have it.
    Offered {
        /// The name it is offered under.
        name: String,
        /// The file.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
        /// Its length in bytes.
        bytes: u64,
        /// Hash of its bytes.
        content: ContentId,
        /// Identity of the way it is cut and coded.
        coding: CodingId,
        /// Its hashes came from the cache.
        cached: bool,
        /// It replaces a version of the file that changed.
        again: bool,
    },
    /// A file can't be offered. The others go on.
    OfferFailed {
        /// The file.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
        /// Why, with what to do.
        reason: String,
    },
    /// Something in a folder can't be sent (a device, what may not be read) and is left out.
    PathSkipped {
        /// What it is.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An object is no longer sent because its file changed or can't be read any more.
    Withdrawn {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A receiver has asked and proved its address.
    Joined {
        /// Its identity.
        receiver: ReceiverId,
        /// Where it asked from.
        address: SocketAddr,
        /// How it wants to be served.
        path: DeliveryPath,
    },
    /// A receiver that had fallen silent asks again.
    Returned {
        /// Its identity.
        receiver: ReceiverId,
    },
    /// A receiver went over to another tier or to unicast, or came back.
    Moved {
        /// Its identity.
        receiver: ReceiverId,
        /// How it is served from now on.
        path: DeliveryPath,
        /// The rate of the tier that it listens on, or did last.
        #[cfg_attr(feature = "serde", serde(rename = "tier_bps"))]
        tier: Rate,
        /// Why, as it says; or was told to.
        #[cfg_attr(feature = "serde", serde(rename = "why"))]
        cause: MoveCause,
    },
    /// A receiver has finished with an object or, without a name, with the session.
    Done {
        /// Its identity.
        receiver: ReceiverId,
        /// The object's name.
        name: Option<String>,
        /// How it ended.
        outcome: Outcome,
    },
    /// A receiver was forgotten, or has to leave.
    Gone {
        /// Its identity.
        receiver: ReceiverId,
        /// Why, in words.
        reason: String,
        /// Why.
        #[cfg_attr(feature = "serde", serde(rename = "why"))]
        cause: MoveCause,
    },
    /// Data of an object starts to flow on a channel.
    Started {
        /// The object's name.
        name: String,
        /// The group it is sent to.
        group: SocketAddr,
    },
    /// A pass over an object is over.
    CycleEnded {
        /// The object's name.
        name: String,
        /// The pass, from 0.
        cycle: u32,
        /// Blocks that the next pass will carry.
        blocks_left: u32,
    },
    /// An object's channel was given up, because nobody has asked for it for a while.
    Stopped {
        /// The object's name.
        name: String,
    },
    /// Figures, about five times a second.
    Progress(SenderProgress),
    /// Another sender uses this group: receivers stay with the one that they heard first.
    AnotherSender {
        /// Its session.
        session: SessionId,
        /// Where its packets come from.
        address: SocketAddr,
    },
    /// A local address could not be bound, so requests sent to it are not answered.
    AddressSkipped {
        /// The address.
        address: IpAddr,
        /// Why.
        reason: String,
    },
    /// Packets of this size don't fit the interface, so nothing leaves.
    TooLarge {
        /// Bytes of UDP payload.
        size: usize,
    },
    /// Packets can't leave, for a reason told once.
    CannotSend {
        /// Where they were to go.
        to: SocketAddr,
        /// Why.
        reason: String,
    },
    /// All is done; the last event.
    Finished,
}

/// A sender's running figures.
#[derive(Clone, PartialEq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SenderProgress {
    /// IP bytes sent so far.
    pub sent_bytes: u64,
    /// IP bytes sent a second, over about the last second.
    #[cfg_attr(feature = "serde", serde(rename = "rate_bps"))]
    pub rate: Rate,
    /// Receivers that are here now, [`unlisted`](Self::unlisted) ones included.
    pub receivers: u32,
    /// Those that the sender has no room to list, an estimate.
    pub unlisted: u32,
    /// Receivers that said they have everything.
    pub done: u32,
    /// Symbols sent because of NAKs so far.
    pub repairs: u64,
    /// NAK packets heard so far.
    pub naks: u64,
    /// The tiers that are sent to, or listened to, the fastest first.
    pub tiers: Vec<SenderTier>,
    /// The receivers that will take longest, at most eight, the last first.
    pub slowest: Vec<ReceiverStanding>,
}
