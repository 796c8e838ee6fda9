//! Senders and receivers that run by themselves: sockets, threads and the clock around the engines.
//!
//! Takes what a [`SenderBuilder`] or [`ReceiverBuilder`] was told, gives a [`Sender`] or
//! [`Receiver`] that runs on its own threads, tells [events](SenderEvent) over a channel, and ends
//! with a [summary](SenderSummary). It decides nothing of the protocol: that is
//! [`engine`](crate::engine)'s.
//!
//! A network thread does all sending and receiving and never waits for a disk; other threads read,
//! hash and write. The handles are `Send`, and their event channels can be waited on from async code
//! with a blocking task.

mod builder;
mod clock;
mod control;
mod entropy;
mod error;
mod events;
mod figures;
mod handle;
mod interface;
#[cfg(feature = "serde")]
mod json;
mod outbox;
mod outgoing;
mod paths;
mod reactor;
mod receiver;
mod sender;
mod socket;
mod speed;
mod summary;
mod wire_tap;

pub use builder::{FeedbackMode, Parity, ReceiverBuilder, SenderBuilder, Via};
pub use error::{DriverError, StartError};
pub use events::{ReceiverEvent, ReceiverProgress, SenderEvent, SenderProgress};
pub use figures::{DeliveryPath, ReceiverStanding, SenderTier, SmallBuffer};
pub use handle::{Receiver, Sender, Stopper};
pub use paths::{FileToOffer, Found, expand};
pub use summary::{
    BadSource, Count, Loss, NotOffered, ReceiverObject, ReceiverSummary, RunOutcome, SenderObject,
    SenderReceiver, SenderSummary, Spent, Traffic,
};

/// The URL that is used when none is given: a range of groups for use within an organisation
/// (RFC 2365) and a port of no other service.
pub const DEFAULT_URL: &str = "loopcast://239.192.7.0/24:4700";
