//! How long packets of many receivers are spread over, so that they do not come at once.

use core::time::Duration;

use crate::units::Rate;

/// The longest window that joins and dones are spread over.
const MAX_WINDOW: Duration = Duration::from_secs(5);

/// Time over which packets of so many bytes from `receivers` receivers take `share` of the rate.
pub(super) fn window(receivers: u32, bytes: u64, rate: Rate, share: f64) -> Duration {
    let all = bytes * u64::from(receivers.max(1));
    rate.mul_f64(share).time_for(all).min(MAX_WINDOW)
}
