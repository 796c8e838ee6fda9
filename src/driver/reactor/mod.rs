//! The loop that waits: poll, alarm and clock around any number of engines.
//!
//! Takes [`Engine`]s with their sockets, gives what is left of each when all have ended. It waits
//! for nothing but the poll, and knows nothing of what the engines are for.

mod departures;
mod ending;
mod engine;
mod member;
mod rhythm;
mod sockets;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

pub(crate) use ending::Ending;
pub(crate) use engine::Engine;
pub(crate) use rhythm::AMPLE;
pub(crate) use sockets::{Look, Sockets};

use member::{Member, Round};

use crate::driver::clock::{Alarm, Clock};
use crate::driver::control::Control;
use crate::driver::socket::Batch;
use crate::driver::{DriverError, StartError};

const WAKER: Token = Token(0);
const ALARM: Token = Token(1);
/// First token of the sockets.
const SOCKETS: usize = 2;

/// Engines of one kind that share a thread.
pub(crate) struct Reactor<E: Engine> {
    clock: Clock,
    poll: Poll,
    waker: Arc<Waker>,
    alarm: Alarm,
    /// Engines that were given sockets.
    given: usize,
    members: Vec<Member<E>>,
    batch: Box<Batch>,
}

impl<E: Engine> Reactor<E> {
    pub(crate) fn new(clock: Clock) -> Result<Reactor<E>, StartError> {
        let set_up = || {
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
            let alarm = Alarm::new(poll.registry(), ALARM)?;
            io::Result::Ok((poll, waker, alarm))
        };
        let (poll, waker, alarm) = set_up().map_err(|source| StartError::Socket {
            what: "set up polling".to_owned(),
            source,
        })?;
        Ok(Reactor {
            clock,
            poll,
            waker,
            alarm,
            given: 0,
            members: Vec::new(),
            batch: Box::default(),
        })
    }

    /// What wakes it for one more engine, and tells it what is wanted of that.
    pub(crate) fn control(&self) -> Arc<Control> {
        Arc::new(Control::new(self.waker.clone()))
    }

    /// Room for the sockets of one more engine.
    pub(crate) fn sockets(&mut self) -> Result<Sockets<E::By>, DriverError> {
        let registry = self.poll.registry().try_clone();
        let registry = registry.map_err(|source| DriverError::Socket {
            what: "watch sockets",
            source,
        })?;
        let base = SOCKETS + self.given * sockets::SPAN;
        self.given += 1;
        Ok(Sockets::new(self.clock.now(), registry, base))
    }

    /// Takes an engine with the sockets that it was given.
    pub(crate) fn add(&mut self, engine: E, sockets: Sockets<E::By>, control: Arc<Control>) {
        self.members.push(Member::new(engine, sockets, control));
    }

    /// Runs until all engines have ended, gives what is left of them in the order in which they
    /// did. If one fails, all end.
    pub(crate) fn run(mut self) -> Result<Vec<E::Remains>, DriverError> {
        let mut events = Events::with_capacity(64);
        let mut remains = Vec::new();
        while !self.members.is_empty() {
            let more = self.round(&mut remains)?;
            if !self.members.is_empty() {
                self.wait(more, &mut events)?;
            }
        }
        Ok(remains)
    }

    /// The same of the only engine.
    pub(crate) fn run_one(self) -> Result<E::Remains, DriverError> {
        let remains = self.run()?.pop();
        remains.ok_or(DriverError::Panicked("network"))
    }

    /// Lets each engine do what it can; true if one can do more at once.
    fn round(&mut self, remains: &mut Vec<E::Remains>) -> Result<bool, DriverError> {
        let mut more = false;
        let mut n = 0;
        while let Some(member) = self.members.get_mut(n) {
            match member.round(self.clock, &mut self.batch)? {
                Round::Over => {
                    let ended = self.members.remove(n);
                    remains.push(ended.close(self.clock.now()));
                    continue;
                }
                Round::HasMore => more = true,
                Round::Waits => {}
            }
            n += 1;
        }
        Ok(more)
    }

    /// Waits until something happens or is due, but not if there is `more` to do.
    fn wait(&mut self, more: bool, events: &mut Events) -> Result<(), DriverError> {
        let timeout = if more {
            Some(Duration::ZERO)
        } else {
            let now = self.clock.now();
            let wake_at = self.members.iter().filter_map(|m| m.wake_at(now)).min();
            let alarm = self.alarm.set(self.clock.now(), wake_at);
            alarm.map_err(|source| DriverError::Socket {
                what: "set a timer",
                source,
            })?
        };
        match self.poll.poll(events, timeout) {
            Err(source) if source.kind() != io::ErrorKind::Interrupted => {
                return Err(DriverError::Socket {
                    what: "wait for packets",
                    source,
                });
            }
            _ => {}
        }
        for event in &*events {
            // The waker and the alarm have done their work by waking it.
            self.members.iter_mut().any(|m| m.on_event(event));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
