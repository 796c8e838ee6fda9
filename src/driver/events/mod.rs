//! What senders and receivers tell the program while they run.
//!
//! Events come over a bounded channel. A program that doesn't read them loses nothing but the
//! events: figures (`Progress`, `Hashing`) are left out first, the newest always tells all.
//!
//! With the feature `serde` each event is an object with its name under `event`: the program's
//! `--json`.

mod receiver;
mod sender;

pub use receiver::{ReceiverEvent, ReceiverProgress};
pub use sender::{SenderEvent, SenderProgress};
