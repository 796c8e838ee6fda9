//! The handles that a program holds: events, stop, join.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel as channel;

use crate::driver::control::Control;
use crate::driver::sender::Message;
use crate::driver::{
    DriverError, ReceiverBuilder, ReceiverEvent, ReceiverSummary, SenderBuilder, SenderEvent,
    SenderSummary, StartError, receiver, sender,
};
use crate::ids::{ReceiverId, SessionId};

/// Stops a sender or receiver from any thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopper {
    control: Arc<Control>,
}

impl Stopper {
    /// Asks it to end in good order: it says farewell, and `join` returns soon. Harmless when it
    /// has ended already.
    pub fn stop(&self) {
        self.control.stop();
    }
}

/// What both handles are made of. Dropping it ends the threads.
#[derive(Debug)]
struct Threads<S> {
    control: Arc<Control>,
    thread: Option<JoinHandle<Result<S, DriverError>>>,
}

impl<S> Threads<S> {
    fn join(mut self) -> Result<S, DriverError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            _ => Err(DriverError::Panicked("network")),
        }
    }
}

impl<S> Drop for Threads<S> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.control.abort();
            // Its result is not wanted; its sockets and files are closed when this returns.
            let _ = thread.join();
        }
    }
}

impl SenderBuilder {
    /// Binds sockets, joins groups and starts the threads. Files are hashed after that, while
    /// receivers gather.
    pub fn start(self) -> Result<Sender, StartError> {
        Sender::start(self)
    }
}

impl ReceiverBuilder {
    /// Binds sockets, looks at the folder and starts the threads.
    pub fn start(self) -> Result<Receiver, StartError> {
        Receiver::start(self)
    }
}

/// A running sender, on threads of its own. Dropping it stops them without a farewell to receivers;
/// [`stop`](Sender::stop) and [`join`](Sender::join) end it in good order.
#[derive(Debug)]
pub struct Sender {
    session: SessionId,
    addresses: Vec<SocketAddr>,
    events: channel::Receiver<SenderEvent>,
    messages: channel::Sender<Message>,
    threads: Threads<SenderSummary>,
}

impl Sender {
    /// What to tell a sender before it starts.
    pub fn builder() -> SenderBuilder {
        SenderBuilder::default()
    }

    pub(crate) fn start(builder: SenderBuilder) -> Result<Sender, StartError> {
        let running = sender::start(builder)?;
        Ok(Sender {
            session: running.session,
            addresses: running.addresses,
            events: running.events,
            messages: running.messages,
            threads: Threads {
                control: running.control,
                thread: Some(running.thread),
            },
        })
    }

    /// The session's identity.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Local unicast addresses at which requests are answered; the first is the one that groups'
    /// packets come from.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it has to tell; disconnected when it has ended and all is read.
    pub fn events(&self) -> &channel::Receiver<SenderEvent> {
        &self.events
    }

    /// Offers another file or directory. What can't be read is told by
    /// [`SenderEvent::OfferFailed`]. A sender that was not told to stay may have ended meanwhile.
    pub fn offer(&self, path: impl Into<PathBuf>) {
        // It fails when the sender has ended, which the events have told.
        let _ = self.messages.send(Message::Offer(path.into()));
        self.threads.control.wake();
    }

    /// Asks it to end: receivers are told, and [`join`](Sender::join) returns soon.
    pub fn stop(&self) {
        self.threads.control.stop();
    }

    /// Something that stops it from elsewhere, a signal handler's thread for example.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            control: self.threads.control.clone(),
        }
    }

    /// Waits until it has ended and gives its figures. Events still unread are lost unless a clone
    /// of [`events`](Sender::events) is kept.
    pub fn join(self) -> Result<SenderSummary, DriverError> {
        drop(self.events);
        self.threads.join()
    }
}

/// A running receiver, on threads of its own. Dropping it stops them; what is half received stays
/// on disk as a `.part` file.
#[derive(Debug)]
pub struct Receiver {
    id: ReceiverId,
    events: channel::Receiver<ReceiverEvent>,
    threads: Threads<ReceiverSummary>,
}

impl Receiver {
    /// What to tell a receiver before it starts.
    pub fn builder() -> ReceiverBuilder {
        ReceiverBuilder::default()
    }

    pub(crate) fn start(builder: ReceiverBuilder) -> Result<Receiver, StartError> {
        let running = receiver::start(builder)?;
        Ok(Receiver {
            id: running.id,
            events: running.events,
            threads: Threads {
                control: running.control,
                thread: Some(running.thread),
            },
        })
    }

    /// Its identity.
    pub fn id(&self) -> ReceiverId {
        self.id
    }

    /// What it has to tell; disconnected when it has ended and all is read.
    pub fn events(&self) -> &channel::Receiver<ReceiverEvent> {
        &self.events
    }

    /// Asks it to end: the sender is told, and [`join`](Receiver::join) returns soon.
    pub fn stop(&self) {
        self.threads.control.stop();
    }

    /// Something that stops it from elsewhere, a signal handler's thread for example.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            control: self.threads.control.clone(),
        }
    }

    /// Waits until it has ended and gives its figures. Events still unread are lost unless a clone
    /// of [`events`](Receiver::events) is kept.
    pub fn join(self) -> Result<ReceiverSummary, DriverError> {
        drop(self.events);
        self.threads.join()
    }
}
