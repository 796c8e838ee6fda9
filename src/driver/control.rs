//! What the holder of a handle wants of the network thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mio::Waker;

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// That it goes on.
    None,
    /// That it says farewell and ends.
    Stop,
    /// That it ends at once.
    Abort,
}

/// A wish, and the means to be noticed.
#[derive(Debug)]
pub(crate) struct Control {
    wish: AtomicU8,
    waker: Arc<Waker>,
}

impl Control {
    pub(crate) fn new(waker: impl Into<Arc<Waker>>) -> Control {
        Control {
            wish: AtomicU8::new(0),
            waker: waker.into(),
        }
    }

    pub(crate) fn stop(&self) {
        self.raise(1);
    }

    pub(crate) fn abort(&self) {
        self.raise(2);
    }

    /// A wish never gets weaker.
    fn raise(&self, wish: u8) {
        self.wish.fetch_max(wish, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::SeqCst) {
            0 => Wish::None,
            1 => Wish::Stop,
            _ => Wish::Abort,
        }
    }

    /// Makes the network thread look at its messages.
    pub(crate) fn wake(&self) {
        // It fails only when too many wakes are pending, so one is.
        let _ = self.waker.wake();
    }
}
