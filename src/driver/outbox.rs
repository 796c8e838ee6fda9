//! Events on their way to the program: never lost for a short delay, never waited for.
//!
//! Takes events from a network thread. Figures are left out while the program is behind: newer ones
//! follow. Everything else waits, up to a limit.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Events in the channel before the program is behind.
const CHANNEL: usize = 1_024;
/// Events that wait beyond that; then the oldest are given up. A program that is so far behind does
/// not read them at all.
const WAITING: usize = 8_192;

/// The sending end.
#[derive(Debug)]
pub(crate) struct Outbox<E> {
    channel: Sender<E>,
    waiting: VecDeque<E>,
}

impl<E> Outbox<E> {
    /// An outbox and what the program reads.
    pub(crate) fn new() -> (Outbox<E>, Receiver<E>) {
        let (channel, receiver) = bounded(CHANNEL);
        let waiting = VecDeque::new();
        (Outbox { channel, waiting }, receiver)
    }

    /// Tells the program something that it must not miss.
    pub(crate) fn tell(&mut self, event: E) {
        self.waiting.push_back(event);
        self.flush();
        if self.waiting.len() > WAITING {
            self.waiting.pop_front();
        }
    }

    /// Tells the program figures that later ones replace.
    pub(crate) fn tell_figures(&mut self, event: E) {
        self.flush();
        if self.waiting.is_empty() {
            // Full or without a reader: both are fine.
            let _ = self.channel.try_send(event);
        }
    }

    /// Passes on what waits, as far as there is room.
    pub(crate) fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match self.channel.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => self.waiting.clear(),
            }
        }
    }

    /// Passes on all that waits, giving a slow reader up to a second.
    pub(crate) fn close(mut self) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(1);
        for event in self.waiting.drain(..) {
            if self.channel.send_deadline(event, end).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_matters_is_lost_and_figures_are() {
        let (mut outbox, events) = Outbox::new();
        for n in 0..CHANNEL as u32 + 10 {
            outbox.tell(n);
        }
        outbox.tell_figures(u32::MAX);
        let mut got: Vec<u32> = Vec::new();
        while let Ok(n) = events.try_recv() {
            got.push(n);
            outbox.flush();
        }
        assert_eq!(got, (0..CHANNEL as u32 + 10).collect::<Vec<_>>());
        outbox.tell_figures(7);
        assert_eq!(events.try_recv(), Ok(7));
    }

    #[test]
    fn a_program_that_never_reads_costs_bounded_memory() {
        let (mut outbox, _events) = Outbox::new();
        for n in 0..50_000u32 {
            outbox.tell(n);
        }
        assert_eq!(outbox.waiting.len(), WAITING);
    }
}
