//! Caps and times that several parts of a following share.

use core::time::Duration;

/// Silence of a sender that was heard once after which it is looked for anew: it may have been
/// restarted, with another session.
pub(crate) const SENDER_SILENCE: Duration = Duration::from_secs(10);
/// How long an unconfirmed claim (packet number, sender's clock, number of offers) is believed. If
/// the sender's own packets have not caught up by then it was somebody else's: without a group key
/// any host can send one. Packets that overtake each other are milliseconds apart.
pub(crate) const BELIEVED: Duration = Duration::from_secs(1);
/// Most objects that a receiver takes.
pub(crate) const MAX_OBJECTS: usize = 100_000;
