//! What an object is: bytes, blocks and symbols; its file table; its hashes; safe names.
//!
//! Takes lengths and bytes, gives places and hashes. It reads no file and decides nothing about
//! when anything is sent.

mod description;
mod geometry;
pub mod hash_tree;
mod pages;
pub mod pattern;
mod safe_name;
pub mod table;
mod zeros;

pub use description::{Codec, Description, ObjectKind};
pub use geometry::{BlockKind, Geometry, GeometryError, Part};
pub use pages::{BlockHashes, Checker, PageError, PageHashes, hash_of};
pub use safe_name::{
    MAX_COMPONENT, MAX_DEPTH, MAX_OFFERED_NAME, MAX_TABLE_PATH, NameError, SafeName,
};
pub use zeros::Zeros;
