//! Which symbol goes next on a channel, and why: in the course of a cycle, or as a repair.
//!
//! Takes what receivers lack and how many packets may leave; gives runs of symbols of one block and
//! the position to tell in SYNC. It knows no packet, no address and no time.
//!
//! * [`Carousel`]: one object on one channel, fresh symbols and repairs in turn; made of
//! * [`Walk`]: cycle after cycle over one object's blocks;
//! * [`Repairs`]: what NAKs have asked for and has not been sent;
//! * [`Ring`]: the symbols of each block that are next, source and parity in turn;
//! * [`Surplus`]: parity that goes out without being asked for;
//! * [`depth`]: over how many blocks a burst of losses is spread;
//! * [`SentLog`]: what left on a channel under which packet numbers, so that a NAK that was
//!   overtaken by a repair is not answered twice.

mod depth;
mod order;
mod repairs;
mod ring;
mod sent_log;
mod surplus;
mod walk;

pub use depth::depth;
pub use order::{Carousel, NextRun, Piece};
pub use repairs::{Pending, Repairs};
pub use ring::Ring;
pub use sent_log::SentLog;
pub use surplus::Surplus;
pub use walk::Walk;
