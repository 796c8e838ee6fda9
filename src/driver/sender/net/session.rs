//! The engine of a sender, what it tells the program, and how it comes to its end.

use std::net::SocketAddr;
use std::time::Duration;

use crate::driver::SenderEvent;
use crate::driver::outbox::Outbox;
use crate::driver::reactor::Ending;
use crate::driver::socket::SendFault;
use crate::engine;
use crate::time::Time;

/// How long the engine has to say farewell.
const FAREWELL: Duration = Duration::from_secs(3);
/// Faults told to the program, at most.
const TOLD: usize = 100;

/// What every part of a sender's network thread needs.
pub(super) struct Session {
    pub(super) engine: engine::Sender,
    pub(super) outbox: Outbox<SenderEvent>,
    pub(super) ending: Ending,
    /// Faults that the program knows of: they come back with every packet.
    told: Vec<String>,
}

impl Session {
    pub(super) fn new(engine: engine::Sender, outbox: Outbox<SenderEvent>) -> Session {
        Session {
            engine,
            outbox,
            ending: Ending::default(),
            told: Vec::new(),
        }
    }

    /// Begins to say farewell, because the program `told` it to or nothing is left to do.
    pub(super) fn stop(&mut self, now: Time, told: bool) {
        if self.ending.begin(now + FAREWELL, told) {
            self.engine.stop(now);
        }
    }

    /// Datagrams of `size` bytes can't leave.
    pub(super) fn on_unsent(&mut self, to: SocketAddr, size: usize, fault: SendFault) {
        match fault {
            SendFault::TooLarge => {
                if self.is_new(format!("{size}")) {
                    self.outbox.tell(SenderEvent::TooLarge { size });
                }
            }
            SendFault::Other(error) => self.cannot_send(to, error.to_string()),
            // They wait.
            SendFault::Full | SendFault::NoBuffers => {}
        }
    }

    /// Tells the program, once, that nothing goes there.
    pub(super) fn cannot_send(&mut self, to: SocketAddr, reason: String) {
        if self.is_new(reason.clone()) {
            self.outbox.tell(SenderEvent::CannotSend { to, reason });
        }
    }

    fn is_new(&mut self, fault: String) -> bool {
        let new = !self.told.contains(&fault) && self.told.len() < TOLD;
        if new {
            self.told.push(fault);
        }
        new
    }
}
