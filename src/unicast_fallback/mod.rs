//! When to stop using the group, and how unicast is served instead.
//!
//! * [`Probe`]: a receiver's judgement of its group, and the [`PathChoice`] that comes of it;
//! * [`CongestionPath`]: a sender's pace on one unicast path.

#[cfg(test)]
mod bottleneck;
mod choice;
mod cubic;
mod hystart;
mod in_flight;
mod path;
mod probe;
mod rtt;

pub use choice::PathChoice;
pub use in_flight::{AckOutcome, Tag};
pub use path::CongestionPath;
pub use probe::Probe;
pub use rtt::{MAX_ACK_DELAY, Rtt};
