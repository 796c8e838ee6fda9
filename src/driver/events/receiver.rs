//! What a receiver tells.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::figures::SmallBuffer;
#[cfg(feature = "serde")]
use crate::driver::json;
use crate::engine::PathChoice;
use crate::ids::{BlockNo, ContentId, ReceiverId, SessionId};
use crate::seal::Fingerprint;
use crate::units::Rate;
use crate::wire::{MoveCause, NoticeCode};

/// What a [`Receiver`](crate::driver::Receiver) reports.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "event", rename_all = "snake_case")
)]
pub enum ReceiverEvent {
    /// It is ready and looks for a sender.
    Ready {
        /// Its identity, fresh at each start.
        receiver: ReceiverId,
        /// The interface that groups are joined on.
        interface: String,
        /// The address that it asks from and hears unicast at.
        address: SocketAddr,
    },
    /// Packets may be lost in this machine under load, because the socket's buffer is small.
    SmallBuffer(SmallBuffer),
    /// A sender was heard for the first time: from now on this session is the one.
    Heard {
        /// Its session.
        session: SessionId,
        /// Where its packets come from.
        address: SocketAddr,
    },
    /// Another session's packets come on the same group; they are counted and left alone.
    AnotherSender {
        /// Its session.
        session: SessionId,
        /// Where its packets come from.
        address: SocketAddr,
    },
    /// A sender's signature held: what others describe is refused from now on.
    SenderKnown {
        /// Of its key.
        fingerprint: Fingerprint,
        /// It is the one that was asked for; otherwise the first that was met.
        trusted: bool,
    },
    /// Somebody other than the sender trusted describes objects, which are refused. Told once of
    /// each key.
    StrangerMet {
        /// Of the key that is said to be theirs.
        fingerprint: Fingerprint,
        /// Where it came from.
        address: SocketAddr,
    },
    /// An object is being stored.
    Opened {
        /// Its name.
        name: String,
        /// The file it will become.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
        /// Its length in bytes.
        bytes: u64,
        /// Hash of its bytes.
        content: ContentId,
    },
    /// An earlier run left an incomplete file of another content, which is kept under another name.
    MovedAside {
        /// The object's name.
        name: String,
        /// Where that file is now.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
        /// An older one was there, which is gone.
        replaced: bool,
    },
    /// A path of an object is not here as the object has it: what is there was kept, or it can't be
    /// stored. The rest is here.
    LeftOut {
        /// The object's name.
        name: String,
        /// The path in the object; empty for the object itself.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
        /// What is so, and why.
        reason: String,
    },
    /// The session has no way back: this receiver sends nothing from now on.
    NoWayBack,
    /// How data comes from now on, and why.
    #[cfg_attr(feature = "serde", serde(rename = "path"))]
    PathChosen(PathChoice),
    /// It listens on another tier from now on.
    #[cfg_attr(feature = "serde", serde(rename = "tier"))]
    TierChosen {
        /// What the tier stands for.
        #[cfg_attr(feature = "serde", serde(rename = "rate_bps"))]
        rate: Rate,
        /// Why.
        #[cfg_attr(feature = "serde", serde(rename = "why"))]
        cause: MoveCause,
    },
    /// Figures, about five times a second for each object under way.
    Progress(ReceiverProgress),
    /// Every byte of an object is verified, synced to disk, and under its name.
    Complete {
        /// Its name.
        name: String,
        /// The file.
        #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
        path: PathBuf,
        /// Its length in bytes.
        bytes: u64,
        /// Hash of its bytes.
        content: ContentId,
        /// Time since it was opened.
        #[cfg_attr(
            feature = "serde",
            serde(rename = "seconds", serialize_with = "json::seconds")
        )]
        took: Duration,
    },
    /// An object can't be kept. The others go on.
    Failed {
        /// Its name.
        name: String,
        /// Why, with what to do.
        reason: String,
    },
    /// The sender no longer sends an object; what came of it is thrown away.
    Withdrawn {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The sender knows as many receivers as it can and has no room to serve this one by unicast.
    /// It goes on asking.
    NoRoom,
    /// The sender does not hold what was asked for and named another, which is asked next.
    Redirected {
        /// Whom.
        to: SocketAddr,
    },
    /// The sender said something that concerns this receiver.
    Notice {
        /// What.
        code: NoticeCode,
        /// In words.
        text: String,
        /// Why.
        #[cfg_attr(feature = "serde", serde(rename = "why"))]
        cause: MoveCause,
    },
    /// A block had a wrong hash and is fetched anew.
    BadBlock {
        /// The object's name.
        name: String,
        /// The block.
        block: BlockNo,
        /// Where its data came from.
        from: Vec<SocketAddr>,
    },
    /// No data is taken from an address for a minute: blocks with some from there were wrong, and
    /// right without.
    ShutOut {
        /// The address. Others may have used it.
        address: SocketAddr,
    },
    /// No sender was heard in time, or it fell silent for good, or ended too early.
    GaveUp {
        /// What happened and what was tried.
        reason: String,
        /// Why the sender serves it no more, if that is what happened.
        evicted: Option<MoveCause>,
    },
    /// A group can't be joined.
    JoinFailed {
        /// The group.
        group: SocketAddr,
        /// Why.
        reason: String,
    },
    /// All is done; the last event.
    Finished,
}

/// A receiver's running figures on one object.
#[derive(Clone, PartialEq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ReceiverProgress {
    /// The object's name.
    pub name: String,
    /// Bytes of it that are here.
    pub have: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes of it that are verified.
    pub verified: u64,
    /// Payload bytes that came a second, over about the last second.
    #[cfg_attr(feature = "serde", serde(rename = "rate_bps"))]
    pub rate: Rate,
    /// Packets that never came so far, over all objects.
    pub lost: u64,
    /// NAK packets sent so far, over all objects.
    pub naks: u64,
}
