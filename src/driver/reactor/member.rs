//! One engine in a reactor, with its sockets and what leaves by them.

use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;

use super::departures::Departures;
use super::engine::Engine;
use super::sockets::Sockets;
use crate::driver::DriverError;
use crate::driver::clock::Clock;
use crate::driver::control::{Control, Wish};
use crate::driver::socket::Batch;
use crate::time::Time;

/// Figures go to the program this often.
const FIGURES: Duration = Duration::from_millis(200);
/// Batches received from one socket before the others are looked at again.
const BATCHES_A_ROUND: usize = 8;

/// What a round has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Round {
    /// There is nothing to do until something happens.
    Waits,
    /// There is more to do at once.
    HasMore,
    /// The engine has ended.
    Over,
}

/// An engine, its sockets, and what it has to send.
#[derive(Debug)]
pub(super) struct Member<E: Engine> {
    engine: E,
    sockets: Sockets<E::By>,
    departures: Departures,
    control: Arc<Control>,
    figures_at: Time,
}

impl<E: Engine> Member<E> {
    pub(super) fn new(engine: E, sockets: Sockets<E::By>, control: Arc<Control>) -> Member<E> {
        Member {
            engine,
            sockets,
            departures: Departures::new(),
            control,
            figures_at: Time::ZERO,
        }
    }

    /// Does what can be done without waiting, up to a limit.
    pub(super) fn round(&mut self, clock: Clock, batch: &mut Batch) -> Result<Round, DriverError> {
        let now = clock.now();
        match self.control.wish() {
            Wish::None => {}
            Wish::Stop => self.engine.stop(now),
            Wish::Abort => return Ok(Round::Over),
        }
        if self.engine.ending().until().is_some_and(|at| at <= now) {
            return Ok(Round::Over);
        }
        self.take_messages(clock, now);
        self.on_time(now);
        self.engine.work(now, &mut self.sockets);
        let mut more = self.transmit(clock);
        let received = self.receive(clock, batch);
        more |= received;
        let watched = self.sockets.keep_rhythm();
        watched.map_err(|source| DriverError::Socket {
            what: "watch the groups",
            source,
        })?;
        self.engine.on_round(clock.now(), received, &self.sockets);
        let ending = self.engine.ending();
        if let Some(thread) = ending.broken() {
            return Err(DriverError::Panicked(thread));
        }
        Ok(match more {
            _ if ending.is_finished() && self.departures.is_empty() => Round::Over,
            true => Round::HasMore,
            false => Round::Waits,
        })
    }

    /// Tells the program the last figures, and that it is over.
    pub(super) fn close(mut self, now: Time) -> E::Remains {
        self.engine.figures(now, &self.sockets);
        self.engine.close(&self.sockets)
    }

    /// The next moment at which something is due.
    pub(super) fn wake_at(&self, now: Time) -> Option<Time> {
        let engine = self.engine.next();
        let times = [
            engine.map(|at| self.departures.after_wait(now, at)),
            self.departures.retry_at(),
            self.engine.ending().until(),
            Some(self.figures_at),
            self.sockets.next(),
        ];
        times.into_iter().flatten().min()
    }

    /// One of its sockets can be read or written; false if it is another's.
    pub(super) fn on_event(&mut self, event: &Event) -> bool {
        let Some(number) = self.sockets.number(event.token()) else {
            return false;
        };
        if event.is_writable() {
            self.departures.is_writable(number, &mut self.sockets);
        }
        if event.is_readable() {
            self.sockets.is_readable(number);
        }
        true
    }

    fn take_messages(&mut self, clock: Clock, now: Time) {
        while self.engine.take_message(now) {
            self.settle(clock, now);
        }
    }

    fn on_time(&mut self, now: Time) {
        if self.engine.next().is_some_and(|at| at <= now) {
            self.engine.on_time(now, &self.sockets);
        }
        self.departures.on_time(now);
        self.sockets.on_time(now);
        if self.figures_at <= now {
            self.figures_at = now + FIGURES;
            self.engine.figures(now, &self.sockets);
        }
    }

    /// Does what the engine asks for after one thing that happened.
    fn settle(&mut self, clock: Clock, now: Time) {
        self.engine.work(now, &mut self.sockets);
        if E::ANSWERS_AT_ONCE {
            self.transmit(clock);
        }
    }

    fn transmit(&mut self, clock: Clock) -> bool {
        let (engine, sockets) = (&mut self.engine, &mut self.sockets);
        self.departures.transmit(clock, engine, sockets)
    }

    /// Receives a bounded number of datagrams; true when there may be more.
    fn receive(&mut self, clock: Clock, batch: &mut Batch) -> bool {
        let mut ready = self.sockets.take_ready();
        let at_times = self.sockets.any_at_times(&ready);
        ready.retain(|&number| self.receive_from(clock, number, batch));
        self.sockets.looked(clock.now(), at_times, ready)
    }

    /// Receives from one socket; true when it may have more.
    fn receive_from(&mut self, clock: Clock, number: usize, batch: &mut Batch) -> bool {
        for _ in 0..BATCHES_A_ROUND {
            let (socket, by) = (self.sockets.get(number), self.sockets.by(number));
            let Some((socket, by)) = socket.zip(by) else {
                return false;
            };
            let runs = match socket.receive(batch) {
                Ok(0) => return false,
                Ok(runs) => runs,
                // An answer to something that we sent (a port is closed there); there may be more.
                Err(_) => continue,
            };
            let now = clock.now();
            let mut datagrams = 0;
            for (from, datagram) in batch.datagrams() {
                self.engine.on_datagram(now, from, by, datagram);
                self.settle(clock, now);
                datagrams += 1;
            }
            self.sockets.received(number, datagrams);
            self.engine.on_batch(runs, datagrams);
            self.take_messages(clock, now);
            self.settle_batch(clock, now);
        }
        true
    }

    /// Does what the engine asks for after a batch of datagrams.
    fn settle_batch(&mut self, clock: Clock, now: Time) {
        if !E::ANSWERS_AT_ONCE {
            self.engine.work(now, &mut self.sockets);
            self.transmit(clock);
        }
    }
}
