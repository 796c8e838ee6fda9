//! What an object is: bytes, blocks and symbols; its file table; its hashes; safe names.
//!
//! Takes lengths and bytes, gives places and hashes. It reads no file and decides nothing about
//! when anything is sent.

mod description;
mod geometry;
pub mod hash_tree;
mod pages;
mod safe_name;
mod table;

pub use description::{Codec, Description};
pub use geometry::{BlockKind, Geometry, GeometryError};
pub use pages::{
    PageChecker, PageError, PageHashes, PageTree, PageTreeBuilder, block_hash, verify_page,
};
pub use safe_name::{
    MAX_COMPONENT, MAX_DEPTH, MAX_OFFERED_NAME, MAX_TABLE_PATH, NameError, SafeName,
};
pub use table::{FileEntry, FileTable, TableError};
