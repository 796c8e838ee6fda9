//! What senders and receivers tell the program while they run.
//!
//! Events come over a bounded channel. A program that doesn't read them loses nothing but the
//! events: figures (`Progress`, `Hashing`) are left out first, the newest always tells all.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::summary::{SenderReceiver, SenderTier};
use crate::engine::PathChoice;
use crate::ids::{BlockNo, CodingId, ContentId, ReceiverId, SessionId};
use crate::seal::Fingerprint;
use crate::units::Rate;
use crate::wire::{MoveCause, NoticeCode, Outcome};

/// The way an object's packets take to a receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryPath {
    /// By the group, once for everybody.
    Multicast,
    /// By UDP unicast to this receiver alone.
    Unicast,
}

impl DeliveryPath {
    pub(crate) fn of(unicast: bool) -> DeliveryPath {
        if unicast {
            DeliveryPath::Unicast
        } else {
            DeliveryPath::Multicast
        }
    }

    /// `multicast` or `unicast`.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryPath::Multicast => "multicast",
            DeliveryPath::Unicast => "unicast",
        }
    }
}

/// A socket got a smaller receive buffer than it asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SmallBuffer {
    /// Bytes asked for.
    pub wanted: usize,
    /// Bytes that the system allows.
    pub got: usize,
}

impl SmallBuffer {
    /// How long a stall of this process the buffer bridges at `rate` before packets are lost.
    pub fn bridges(&self, rate: Rate) -> Duration {
        let bits = self.got as f64 * 8.0;
        Duration::from_secs_f64(bits / (rate.as_bps() as f64).max(1.0))
    }
}

/// What a [`Sender`](crate::driver::Sender) reports.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum SenderEvent {
    /// The user had no sender's key yet; one was made.
    KeyMade {
        /// Its file.
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
        path: PathBuf,
        /// Why, with what to do.
        reason: String,
    },
    /// Something in a directory is no regular file (a link, a device), and so is not offered.
    PathSkipped {
        /// What it is.
        path: PathBuf,
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
        tier: Rate,
        /// Why, as it says; or was told to.
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
        /// Why.
        cause: MoveCause,
        /// Why, in words.
        reason: String,
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
pub struct SenderProgress {
    /// IP bytes sent so far.
    pub sent_bytes: u64,
    /// IP bytes sent a second, over about the last second.
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
    pub slowest: Vec<SenderReceiver>,
}

/// What a [`Receiver`](crate::driver::Receiver) reports.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
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
    /// Somebody other than the sender trusted describes objects, which are refused. Told once of each key.
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
        path: PathBuf,
        /// An older one was there, which is gone.
        replaced: bool,
    },
    /// The session has no way back: this receiver sends nothing from now on.
    NoWayBack,
    /// How data comes from now on, and why.
    PathChosen(PathChoice),
    /// It listens on another tier from now on.
    TierChosen {
        /// What the tier stands for.
        rate: Rate,
        /// Why.
        cause: MoveCause,
    },
    /// Figures, about five times a second for each object under way.
    Progress(ReceiverProgress),
    /// Every byte of an object is verified, synced to disk, and under its name.
    Complete {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        bytes: u64,
        /// Hash of its bytes.
        content: ContentId,
        /// Time since it was opened.
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
    /// The sender knows as many receivers as it can and has no room to serve this one by unicast. It goes on asking.
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
        /// Why.
        cause: MoveCause,
        /// In words.
        text: String,
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
    /// No data is taken from an address for a minute: blocks with some from there were wrong, and right without.
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
    pub rate: Rate,
    /// Packets that never came so far, over all objects.
    pub lost: u64,
    /// NAK packets sent so far, over all objects.
    pub naks: u64,
}
