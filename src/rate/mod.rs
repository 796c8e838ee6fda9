//! How fast, and when the next burst may leave.
//!
//! Takes rates, times, bytes sent and measured round-trip times; gives permission to send and the
//! group round-trip time that all timers are multiples of. It does not choose what is sent.

mod grtt;
mod pacer;

pub use grtt::Grtt;
pub use pacer::Pacer;
