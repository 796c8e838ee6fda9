//! A reliable multicast file carousel.
//!
//! A sender loops objects over IP multicast; any number of receivers join at any moment, stay until
//! they hold every byte, and leave. `ARCHITECTURE.md` is the map of this crate and
//! `docs/PROTOCOL.md` the format on the wire.
//!
//! Arrows point down only:
//!
//! * [`driver`] (feature `driver`) and [`sim`] know a machine: sockets and threads, or a pretend
//!   one; with the feature `serde` the driver's events and summaries can be serialized, as the
//!   program prints them;
//! * [`store`] keeps bytes: files (feature `store`), or memory;
//! * [`engine`] holds the sender and the receiver, the only place where the parts meet;
//! * [`envelope`] seals and opens the packets of a group;
//! * [`carousel`], [`nak`], [`rate`], [`unicast_fallback`] and [`assemble`] make one decision each;
//! * [`wire`], [`object`], [`archive`] and [`url`] are formats, [`fec`] makes parity, [`seal`] keeps
//!   packets and senders apart; [`config`] the limits and defaults;
//! * [`fault`] says why a store could not do something, in kinds; `sys` has what needs `unsafe`;
//!   the rest are plain values.
//!
//! Nothing from `engine` down reads a clock, opens a socket, touches a file or draws entropy.

pub mod archive;
pub mod assemble;
pub mod carousel;
pub mod config;
#[cfg(feature = "driver")]
pub mod driver;
pub mod engine;
pub mod envelope;
pub mod fault;
pub mod fec;
pub mod ids;
#[cfg(feature = "serde")]
mod json;
pub mod nak;
pub mod object;
pub mod range_set;
pub mod rate;
pub mod rng;
pub mod seal;
pub mod secret;
pub mod sim;
pub mod store;
pub mod symbol_set;
mod sys;
pub mod time;
pub mod unicast_fallback;
pub mod units;
pub mod url;
pub mod wire;

#[cfg(feature = "driver")]
pub use driver::{Receiver, Sender};
