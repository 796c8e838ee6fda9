//! What leaves, and what it waits for: one burst at a time.

use std::net::SocketAddr;
use std::time::Duration;

use super::engine::Engine;
use super::sockets::Sockets;
use crate::driver::clock::Clock;
use crate::driver::outgoing::Outgoing;
use crate::driver::socket::SendFault;
use crate::engine::Burst;
use crate::time::Time;

/// How long to wait for a device whose queue is full.
const DEVICE_WAIT: Duration = Duration::from_micros(500);

/// What became of what was to leave.
enum Left {
    /// It has left, or there is no socket for it.
    All,
    /// It has to wait.
    Waits,
    /// The rest, datagrams of this size to this address, can't leave.
    Lost(SocketAddr, usize, SendFault),
}

/// The datagrams of one burst on their way out.
#[derive(Debug)]
pub(super) struct Departures {
    burst: Burst,
    out: Outgoing,
    /// Number of the socket that is full.
    full: Option<usize>,
    retry_at: Option<Time>,
}

impl Departures {
    pub(super) fn new() -> Departures {
        Departures {
            burst: Burst::default(),
            out: Outgoing::new(),
            full: None,
            retry_at: None,
        }
    }

    /// Nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Sends what the engine has to send, at most a round's bursts; true when it may have more.
    pub(super) fn transmit<E: Engine>(
        &mut self,
        clock: Clock,
        engine: &mut E,
        sockets: &mut Sockets<E::By>,
    ) -> bool {
        for _ in 0..E::BURSTS_A_ROUND {
            if !self.out.is_empty() && !self.send(clock, engine, sockets) {
                return false;
            }
            if !engine.load(clock.now(), &mut self.burst, &mut self.out) {
                return false;
            }
        }
        self.out.is_empty() || self.send(clock, engine, sockets)
    }

    /// Sends what is loaded; false when it has to wait.
    fn send<E: Engine>(
        &mut self,
        clock: Clock,
        engine: &mut E,
        sockets: &mut Sockets<E::By>,
    ) -> bool {
        if self.full.is_some() || self.retry_at.is_some() {
            return false;
        }
        let (_, link) = self.out.way();
        match self.try_send(clock, E::socket_of(link), sockets) {
            Left::Waits => return false,
            Left::All => {}
            Left::Lost(to, size, fault) => engine.on_unsent(to, size, fault),
        }
        true
    }

    fn try_send<By: Copy>(
        &mut self,
        clock: Clock,
        number: usize,
        sockets: &mut Sockets<By>,
    ) -> Left {
        let fault = match sockets.get_mut(number).map(|socket| self.out.send(socket)) {
            None | Some(Ok(())) => {
                self.out.clear();
                return Left::All;
            }
            Some(Err(fault)) => fault,
        };
        match fault {
            SendFault::Full if sockets.wake_when_writable(number, true).is_ok() => {
                self.full = Some(number);
                Left::Waits
            }
            SendFault::Full | SendFault::NoBuffers => {
                self.retry_at = Some(clock.now() + DEVICE_WAIT);
                Left::Waits
            }
            fault => {
                let (to, size) = (self.out.way().0, self.out.segment());
                self.out.clear();
                Left::Lost(to, size, fault)
            }
        }
    }

    /// A socket can be written again.
    pub(super) fn is_writable<By: Copy>(&mut self, number: usize, sockets: &mut Sockets<By>) {
        if self.full == Some(number) {
            self.full = None;
            // Otherwise it wakes the loop without need.
            let _ = sockets.wake_when_writable(number, false);
        }
    }

    /// It may be time to try again.
    pub(super) fn on_time(&mut self, now: Time) {
        self.retry_at = self.retry_at.filter(|&at| at > now);
    }

    /// When to try again.
    pub(super) fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    /// A moment at which an engine has something to do, which may be to send: later while what is
    /// on its way has to wait for its socket, rather than at once over and over.
    pub(super) fn after_wait(&self, now: Time, at: Time) -> Time {
        if self.out.is_empty() {
            at
        } else {
            at.max(now + DEVICE_WAIT)
        }
    }
}
