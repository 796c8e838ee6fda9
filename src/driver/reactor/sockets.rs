//! The sockets of one engine: which may have something to receive, and which wake the loop.

use std::io;

use mio::{Registry, Token};

use super::rhythm::Rhythm;
use crate::driver::socket::Socket;
use crate::sys::ReceiveBuffer;
use crate::time::Time;

/// Tokens that one engine's sockets may have.
pub(super) const SPAN: usize = 1 << 16;

/// When a socket is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// When something has come.
    WhenReady,
    /// At times while much comes, as [`Rhythm`] has it.
    AtTimes,
}

#[derive(Debug)]
struct Place<By> {
    socket: Socket,
    by: By,
    look: Look,
    /// What comes wakes the loop.
    watched: bool,
}

/// One engine's sockets by number. The first have the numbers 0, 1, 2... in the order they are
/// added; numbers of those that are gone are given again.
#[derive(Debug)]
pub(crate) struct Sockets<By> {
    registry: Registry,
    /// Token of the socket with number 0.
    base: usize,
    places: Vec<Option<Place<By>>>,
    /// Numbers of those that may have something to receive.
    ready: Vec<usize>,
    rhythm: Rhythm,
    /// Those that are looked at at times wake the loop, as far as this knows.
    watches: bool,
    /// Runs of datagrams that sockets which are gone have dropped.
    dropped_before: u64,
}

impl<By: Copy> Sockets<By> {
    pub(super) fn new(now: Time, registry: Registry, base: usize) -> Sockets<By> {
        Sockets {
            registry,
            base,
            places: Vec::new(),
            ready: Vec::new(),
            rhythm: Rhythm::new(now),
            watches: true,
            dropped_before: 0,
        }
    }

    /// Takes a socket, gives its number.
    pub(crate) fn add(&mut self, mut socket: Socket, by: By, look: Look) -> io::Result<usize> {
        let free = self.places.iter().position(Option::is_none);
        let number = free.unwrap_or(self.places.len());
        if number >= SPAN {
            return Err(io::Error::other("too many sockets"));
        }
        socket.register(&self.registry, self.token(number))?;
        let place = Some(Place {
            socket,
            by,
            look,
            watched: true,
        });
        match self.places.get_mut(number) {
            Some(free) => *free = place,
            None => self.places.push(place),
        }
        self.ready.push(number);
        if look == Look::AtTimes {
            self.watches = true;
        }
        Ok(number)
    }

    /// Gives a socket back.
    pub(crate) fn remove(&mut self, number: usize) -> Option<Socket> {
        let mut place = self.places.get_mut(number)?.take()?;
        self.ready.retain(|&n| n != number);
        self.dropped_before += u64::from(place.socket.receive_buffer().drops);
        if !(0..self.places.len()).any(|n| self.is_at_times(n)) {
            self.rhythm.pause();
        }
        // Closing takes it out anyway.
        let _ = place.socket.deregister(&self.registry);
        Some(place.socket)
    }

    /// Looks at all sockets when something has come, because a buffer holds too little of what
    /// comes meanwhile.
    pub(crate) fn forbid_rhythm(&mut self) {
        self.rhythm.forbid();
    }

    /// How the sockets' buffers are doing.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = ReceiveBuffer> {
        let places = self.places.iter().flatten();
        places.map(|place| place.socket.receive_buffer())
    }

    /// Runs of datagrams that sockets which are gone have dropped.
    pub(crate) fn dropped_before(&self) -> u64 {
        self.dropped_before
    }

    pub(crate) fn get(&self, number: usize) -> Option<&Socket> {
        Some(&self.places.get(number)?.as_ref()?.socket)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Socket> {
        Some(&mut self.places.get_mut(number)?.as_mut()?.socket)
    }

    /// What tells its datagrams apart from those of others.
    pub(super) fn by(&self, number: usize) -> Option<By> {
        Some(self.places.get(number)?.as_ref()?.by)
    }

    /// The number of the socket with this token, if it is one of these.
    pub(super) fn number(&self, token: Token) -> Option<usize> {
        let number = token.0.checked_sub(self.base)?;
        (number < self.places.len()).then_some(number)
    }

    fn token(&self, number: usize) -> Token {
        Token(self.base + number)
    }

    /// Something may have come there.
    pub(super) fn is_readable(&mut self, number: usize) {
        if !self.ready.contains(&number) {
            self.ready.push(number);
        }
    }

    /// Those that may have something to receive; what is left of them comes back with
    /// [`looked`](Sockets::looked).
    pub(super) fn take_ready(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.ready)
    }

    /// Whether one of them is looked at at times.
    pub(super) fn any_at_times(&self, numbers: &[usize]) -> bool {
        numbers.iter().any(|&number| self.is_at_times(number))
    }

    fn is_at_times(&self, number: usize) -> bool {
        let place = self.places.get(number).and_then(Option::as_ref);
        place.is_some_and(|place| place.look == Look::AtTimes)
    }

    /// `datagrams` were received from a socket.
    pub(super) fn received(&mut self, number: usize, datagrams: u64) {
        if self.is_at_times(number) {
            self.rhythm.received(datagrams);
        }
    }

    /// Sockets have been looked at, with `at_times` some of those that are at times. `left` may
    /// have more. True if any may.
    pub(super) fn looked(&mut self, now: Time, at_times: bool, mut left: Vec<usize>) -> bool {
        if at_times {
            self.rhythm.looked(now);
        }
        // Handling what came may have added sockets.
        self.ready.append(&mut left);
        !self.ready.is_empty()
    }

    /// When sockets are looked at next, whatever comes.
    pub(super) fn next(&self) -> Option<Time> {
        self.rhythm.next()
    }

    /// Looks at sockets when it is time to.
    pub(super) fn on_time(&mut self, now: Time) {
        if self.next().is_none_or(|at| at > now) {
            return;
        }
        for number in 0..self.places.len() {
            if self.is_at_times(number) {
                self.is_readable(number);
            }
        }
    }

    /// Sockets wake the loop while it waits for what comes, and not while it looks at times.
    pub(super) fn keep_rhythm(&mut self) -> io::Result<()> {
        let watch = self.rhythm.next().is_none();
        if watch == self.watches {
            return Ok(());
        }
        self.watches = watch;
        for (number, place) in self.places.iter_mut().enumerate() {
            let Some(place) = place.as_mut().filter(|p| p.look == Look::AtTimes) else {
                continue;
            };
            let token = Token(self.base + number);
            match (place.watched, watch) {
                (false, true) => place.socket.register(&self.registry, token)?,
                (true, false) => place.socket.deregister(&self.registry)?,
                _ => {}
            }
            place.watched = watch;
        }
        Ok(())
    }

    /// Whether a socket wakes the loop when it can be written again, too.
    pub(super) fn wake_when_writable(&mut self, number: usize, wake: bool) -> io::Result<()> {
        let token = self.token(number);
        let registry = &self.registry;
        match self.places.get_mut(number).and_then(Option::as_mut) {
            Some(place) => place.socket.wake_when_writable(registry, token, wake),
            None => Ok(()),
        }
    }
}
