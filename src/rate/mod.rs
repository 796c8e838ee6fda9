//! How fast, on which tier, and when the next burst may leave.
//!
//! Takes rates, times, bytes sent, what receivers report and measured round-trip times; gives
//! permission to send, the rate of each channel, the tier of each receiver, who is too slow for any, how many there are
//! beyond those who are known one by one, and the group round-trip time that all timers are multiples of. It does not choose what is sent.

mod allowance;
mod back_pressure;
mod control;
mod grtt;
mod ladder;
mod lag;
mod lending;
mod pacer;
mod paths;
mod placement;
mod population;
mod silence;
mod usage;

pub use allowance::Allowance;
pub use control::{Adapt, BACK_OFF, LEAVE_TIME, Limits, RateControl, START};
pub use grtt::Grtt;
pub use ladder::{LadderError, halves, shares, tiers};
pub use lag::{LAG, Lag};
pub use lending::{LOOK, Lending};
pub use pacer::Pacer;
pub use paths::Sample;
pub use placement::{Cause, Move, Placement, Round};
pub use population::{Mark, Population, first_report};
