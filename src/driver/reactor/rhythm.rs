//! Whether a network thread looks at a receiver's groups when something has come, or at times.
//!
//! Waking a thread costs as much as receiving several packets. Where they come fast and one by one,
//! as from a sender without segmentation offload, it looks every half a millisecond instead, as
//! network cards moderate their interrupts. This decides by what comes;
//! `Sockets::keep_rhythm` does it.

use std::time::Duration;

use crate::time::Time;

/// How often it looks.
const PERIOD: Duration = Duration::from_micros(500);
/// A receive buffer of so many bytes holds what comes meanwhile: 600 KB at 10 Gbit/s, with what the
/// system adds to a packet
/// 1.1 MB.
pub(crate) const AMPLE: usize = 2 << 20;
/// What comes is counted for so long.
const WINDOW: Duration = Duration::from_millis(10);
/// With so many looks in a window, fewer are enough.
const OFTEN: u32 = 25;
/// So many datagrams in a window, 90 Mbit/s, are worth it, and half as many still are.
const MANY: u64 = 80;

/// What it goes by.
#[derive(Debug)]
pub(crate) struct Rhythm {
    allowed: bool,
    since: Time,
    looks: u32,
    datagrams: u64,
    next: Option<Time>,
}

impl Rhythm {
    /// At the start it waits for what comes.
    pub(crate) fn new(now: Time) -> Rhythm {
        Rhythm {
            allowed: true,
            since: now,
            looks: 0,
            datagrams: 0,
            next: None,
        }
    }

    /// From now on it looks when something comes, because a buffer is less than [`AMPLE`].
    pub(crate) fn forbid(&mut self) {
        self.allowed = false;
        self.next = None;
    }

    /// There is nothing to look at now.
    pub(crate) fn pause(&mut self) {
        self.next = None;
    }

    /// When it looks next, whatever comes; `None` if it waits for something to come.
    pub(crate) fn next(&self) -> Option<Time> {
        self.next
    }

    /// So many datagrams were there.
    pub(crate) fn received(&mut self, datagrams: u64) {
        self.datagrams += datagrams;
    }

    /// It has looked.
    pub(crate) fn looked(&mut self, now: Time) {
        self.looks += 1;
        if now.since(self.since) >= WINDOW {
            let goes_on = match self.next {
                None => self.looks >= OFTEN && self.datagrams >= MANY,
                Some(_) => self.datagrams >= MANY / 2,
            };
            self.next = (goes_on && self.allowed).then_some(now);
            (self.since, self.looks, self.datagrams) = (now, 0, 0);
        }
        self.next = self.next.map(|_| now + PERIOD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `datagrams` at each of so many looks, evenly spread over 20 ms.
    fn looks(rhythm: &mut Rhythm, now: &mut Time, count: u32, datagrams: u64) {
        for _ in 0..count {
            *now += Duration::from_millis(20) / count;
            rhythm.received(datagrams);
            rhythm.looked(*now);
        }
    }

    #[test]
    fn it_looks_at_times_while_much_comes() {
        let mut now = Time::ZERO;
        let mut rhythm = Rhythm::new(now);
        looks(&mut rhythm, &mut now, 200, 1);
        assert_eq!(rhythm.next(), Some(now + PERIOD));
        looks(&mut rhythm, &mut now, 40, 3);
        assert_eq!(rhythm.next(), Some(now + PERIOD));
        looks(&mut rhythm, &mut now, 40, 0);
        assert_eq!(rhythm.next(), None);
    }

    #[test]
    fn few_datagrams_and_few_looks_wait_for_what_comes() {
        let mut now = Time::ZERO;
        let mut rhythm = Rhythm::new(now);
        looks(&mut rhythm, &mut now, 100, 1);
        assert_eq!(rhythm.next(), None, "45 Mbit/s");
        looks(&mut rhythm, &mut now, 20, 40);
        assert_eq!(rhythm.next(), None, "a burst a millisecond");
    }

    #[test]
    fn nothing_is_due_where_there_is_nothing_to_look_at() {
        let mut now = Time::ZERO;
        let mut rhythm = Rhythm::new(now);
        looks(&mut rhythm, &mut now, 200, 1);
        rhythm.pause();
        assert_eq!(rhythm.next(), None);
        looks(&mut rhythm, &mut now, 200, 1);
        assert_eq!(rhythm.next(), Some(now + PERIOD), "groups are joined again");
    }

    #[test]
    fn small_buffers_forbid_it() {
        let mut now = Time::ZERO;
        let mut rhythm = Rhythm::new(now);
        looks(&mut rhythm, &mut now, 200, 1);
        rhythm.forbid();
        assert_eq!(rhythm.next(), None);
        looks(&mut rhythm, &mut now, 200, 1);
        assert_eq!(rhythm.next(), None);
    }
}
