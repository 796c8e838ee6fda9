//! When to stop using the group, and how unicast is served instead.
//!
//! * [`Probe`]: a receiver's judgement of its group;
//! * [`CongestionPath`]: a sender's pace on one unicast path.

#[cfg(test)]
mod bottleneck;
mod cubic;
mod hystart;
mod in_flight;
mod path;
mod probe;
mod rtt;

pub use in_flight::{AckOutcome, Tag};
pub use path::CongestionPath;
pub use probe::{Course, Probe};
pub use rtt::{MAX_ACK_DELAY, Rtt};
