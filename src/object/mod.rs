//! What an object is: bytes, blocks and symbols; its file table; its hashes; safe names.
//!
//! Takes lengths and bytes, gives places and hashes. It reads no file and decides nothing about
//! when anything is sent.

mod description;
mod geometry;

pub use description::{Codec, Description};
pub use geometry::{BlockKind, Geometry, GeometryError};
