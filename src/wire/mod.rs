//! The formats on the wire, version 1 (docs/PROTOCOL.md draws them).
//!
//! Takes datagrams in, gives checked packets out, and the other way round. Nothing above this
//! module sees an unchecked length, range or checksum. It decides nothing.

mod packets;

pub use packets::*;
