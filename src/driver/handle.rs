//! The handles that a program holds: events, stop, join.

use std::net::SocketAddr;
use std::path::PathBuf;

use crossbeam_channel as channel;

use crate::driver::{
    DriverError, ReceiverBuilder, ReceiverEvent, ReceiverSummary, SenderBuilder, SenderEvent,
    SenderSummary, StartError,
};
use crate::ids::{ReceiverId, SessionId};

/// A running sender, on threads of its own. Dropping it stops them without a farewell to receivers;
/// [`stop`](Sender::stop) and [`join`](Sender::join) end it in good order.
#[derive(Debug)]
pub struct Sender {}

/// Stops a sender or receiver from any thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopper {}

impl Stopper {
    /// Asks it to end in good order: it says farewell, and `join` returns soon. Harmless when it
    /// has ended already.
    pub fn stop(&self) {
        todo!()
    }
}

impl Sender {
    /// What to tell a sender before it starts.
    pub fn builder() -> SenderBuilder {
        SenderBuilder::default()
    }

    pub(crate) fn start(builder: SenderBuilder) -> Result<Sender, StartError> {
        let _ = builder;
        todo!()
    }

    /// The session's identity.
    pub fn session(&self) -> SessionId {
        todo!()
    }

    /// Local unicast addresses at which requests are answered.
    pub fn addresses(&self) -> &[SocketAddr] {
        todo!()
    }

    /// What it has to tell; disconnected when it has ended and all is read.
    pub fn events(&self) -> &channel::Receiver<SenderEvent> {
        todo!()
    }

    /// Offers another file or directory. What can't be read is told by
    /// [`SenderEvent::OfferFailed`].
    pub fn offer(&self, path: impl Into<PathBuf>) {
        let _ = path.into();
        todo!()
    }

    /// Asks it to end: receivers are told, and [`join`](Sender::join) returns soon.
    pub fn stop(&self) {
        todo!()
    }

    /// Something that stops it from elsewhere, a signal handler's thread for example.
    pub fn stopper(&self) -> Stopper {
        todo!()
    }

    /// Waits until it has ended and gives its figures. Events still unread are lost unless a clone
    /// of [`events`](Sender::events) is kept.
    pub fn join(self) -> Result<SenderSummary, DriverError> {
        todo!()
    }
}

/// A running receiver, on threads of its own. Dropping it stops them; what is half received stays on
/// disk as a `.part` file.
#[derive(Debug)]
pub struct Receiver {}

impl Receiver {
    /// What to tell a receiver before it starts.
    pub fn builder() -> ReceiverBuilder {
        ReceiverBuilder::default()
    }

    pub(crate) fn start(builder: ReceiverBuilder) -> Result<Receiver, StartError> {
        let _ = builder;
        todo!()
    }

    /// Its identity.
    pub fn id(&self) -> ReceiverId {
        todo!()
    }

    /// What it has to tell; disconnected when it has ended and all is read.
    pub fn events(&self) -> &channel::Receiver<ReceiverEvent> {
        todo!()
    }

    /// Asks it to end: the sender is told, and [`join`](Receiver::join) returns soon.
    pub fn stop(&self) {
        todo!()
    }

    /// Something that stops it from elsewhere, a signal handler's thread for example.
    pub fn stopper(&self) -> Stopper {
        todo!()
    }

    /// Waits until it has ended and gives its figures. Events still unread are lost unless a clone
    /// of [`events`](Receiver::events) is kept.
    pub fn join(self) -> Result<ReceiverSummary, DriverError> {
        todo!()
    }
}
