//! Whether and when a receiver asks for what it lacks, and what a sender makes of being asked.
//!
//! * [`NakTable`]: the receiver's entries, one a block, each in its suppression or data wait;
//! * [`backoff`](backoff::backoff): how long a suppression wait is (RFC 5401 §5.2.2);
//! * [`NakShare`]: how often one of many may ask;
//! * [`RepairShare`]: how much one of many may ask for;
//! * [`Hearing`]: the sender's view of the NAKs for one block, which tells when to send it whole.
//!
//! It takes what is lacking as plain sets and gives block numbers and times; it sends nothing.

pub mod backoff;
mod hearing;
mod repair_share;
mod share;
mod table;

pub use hearing::Hearing;
pub use repair_share::{REPAIR_SHARE, RepairShare};
pub use share::{NAK_SHARE, NakShare, own_share};
pub use table::{NakTable, Timing};
