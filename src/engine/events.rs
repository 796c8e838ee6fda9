//! What an engine tells the application.

use core::net::SocketAddr;

use crate::engine::ObjectKey;
use crate::ids::{ChannelNo, ReceiverId, SessionId};
use crate::seal::Fingerprint;
use crate::unicast_fallback::PathChoice;
use crate::units::Rate;
use crate::wire::{MoveCause, NoticeCode, Outcome};

/// What a sender has to tell.
#[derive(Clone, PartialEq, Debug)]
pub enum SenderEvent {
    /// A receiver joined for the first time.
    Joined {
        /// Who.
        receiver: ReceiverId,
        /// Where it sent from.
        address: SocketAddr,
        /// It asked for unicast.
        unicast: bool,
    },
    /// A receiver that had ended joined again.
    Returned {
        /// Who.
        receiver: ReceiverId,
        /// How it had ended; none when it had fallen silent.
        outcome: Option<Outcome>,
    },
    /// An object began to run on a channel.
    Started {
        /// Which.
        object: ObjectKey,
        /// Where.
        channel: ChannelNo,
        /// The channel's group.
        group: SocketAddr,
    },
    /// A receiver went over to another tier, to unicast or back.
    Moved {
        /// Who.
        receiver: ReceiverId,
        /// It uses unicast now.
        unicast: bool,
        /// What the tier that it listens on, or did last, stands for.
        tier: Rate,
        /// Why, as it says; or was told to.
        cause: MoveCause,
    },
    /// A channel came to the end of a cycle over an object.
    CycleEnded {
        /// The object.
        object: ObjectKey,
        /// The cycle that ended, from 0.
        cycle: u32,
        /// Blocks that the next one will carry.
        blocks_left: u32,
    },
    /// A receiver finished with an object (with everything, when `object` is none).
    Done {
        /// Who.
        receiver: ReceiverId,
        /// With what.
        object: Option<ObjectKey>,
        /// How.
        outcome: Outcome,
    },
    /// A receiver was forgotten, or has to leave.
    Gone {
        /// Who.
        receiver: ReceiverId,
        /// Why.
        cause: MoveCause,
        /// Why, in words.
        reason: String,
    },
    /// An object is no longer sent.
    Withdrawn {
        /// Which.
        object: ObjectKey,
        /// Why.
        reason: String,
    },
    /// An object's channel was given up, because nobody has asked for it for a while.
    Stopped {
        /// Which.
        object: ObjectKey,
    },
    /// Another sender uses our group.
    OtherSession {
        /// Its session.
        session: SessionId,
        /// Its address.
        address: SocketAddr,
    },
    /// All whom the sender waited for are done or gone, and the end has been announced.
    Finished,
}

/// What a receiver has to tell.
#[derive(Clone, PartialEq, Debug)]
pub enum ReceiverEvent {
    /// A sender was heard for the first time.
    SenderFound {
        /// Its session.
        session: SessionId,
        /// Where it answers.
        address: SocketAddr,
    },
    /// A sender's signature held: descriptions of others are refused from now on.
    SenderKnown {
        /// Of its key.
        fingerprint: Fingerprint,
        /// It is the one that was asked for; otherwise the first that was met.
        trusted: bool,
    },
    /// A description was refused because its key is not that of the sender trusted. Told once of each key,
    /// which may be anybody's: nothing proves it.
    StrangerMet {
        /// Of the key.
        fingerprint: Fingerprint,
        /// Where the description came from.
        address: SocketAddr,
    },
    /// It began to receive an object.
    Started {
        /// Its number from now on.
        object: ObjectKey,
        /// The name it is offered under.
        name: String,
        /// Its length in bytes.
        length: u64,
    },
    /// The session has no way back: it sends nothing from now on.
    NoWayBack,
    /// It chose a path for its data, or changed it.
    Path(PathChoice),
    /// It moved to another tier.
    Tier {
        /// What the tier stands for.
        rate: Rate,
        /// Why.
        cause: MoveCause,
    },
    /// The object is complete, verified, synced and under its name.
    Complete {
        /// Which.
        object: ObjectKey,
    },
    /// The object can't be kept; the text says why and what to do.
    Failed {
        /// Which.
        object: ObjectKey,
        /// Why.
        reason: String,
    },
    /// The sender no longer sends the object, because its file changed; what came of it is thrown away.
    Withdrawn {
        /// Which.
        object: ObjectKey,
        /// Why.
        reason: String,
    },
    /// A block had a wrong hash and is fetched anew.
    BadBlock {
        /// The object.
        object: ObjectKey,
        /// The block.
        block: u32,
        /// Where its symbols came from.
        from: Vec<SocketAddr>,
    },
    /// Nothing is taken from an address for a while: blocks that its symbols were in were wrong, and right without.
    ShutOut {
        /// The address. Others may have used it.
        address: SocketAddr,
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
    /// The sender has no room to serve it by unicast. It goes on asking.
    NoRoom,
    /// Another sender was heard on the group; its packets are ignored.
    OtherSession {
        /// Its session.
        session: SessionId,
        /// Its address.
        address: SocketAddr,
    },
    /// The request was sent on to another sender, as the first one said.
    Redirected {
        /// Where to.
        address: SocketAddr,
    },
    /// Nothing is left to do: everything wanted has ended one way or another, and the sender knows
    /// or can't be told.
    Finished,
    /// No sender was heard in time, or it fell silent for good, or it ended before we had everything.
    GaveUp {
        /// What happened, in words.
        reason: String,
        /// Why the sender serves it no more, if that is what happened.
        evicted: Option<MoveCause>,
    },
}
