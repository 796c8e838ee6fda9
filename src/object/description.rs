//! The description: all a receiver needs to store an object's symbols.

use crate::ids::{CodingId, ContentId, Hash};
use crate::object::{Geometry, GeometryError};

/// How parity symbols are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Codec {
    /// There are none: what is lost is sent again.
    #[default]
    None,
}

impl Codec {
    /// Its number on the wire and in a coding id.
    pub fn number(self) -> u8 {
        match self {
            Codec::None => 0,
        }
    }

    /// The codec of a number on the wire.
    pub fn from_number(n: u8) -> Option<Codec> {
        (n == 0).then_some(Codec::None)
    }
}

/// What an object is and how it is cut up.
///
/// A value of this type has been checked: its geometry is possible and within
/// [`config`](crate::config)'s limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// The name it is offered under, as the sender gave it; not a path until
    /// [`SafeName`](crate::object::SafeName) says so. 1 to 255 bytes.
    pub name: String,
    /// Hash of the object's bytes.
    pub content: ContentId,
    /// Length, symbol size and block sizes.
    pub geometry: Geometry,
    /// How parity is made.
    pub codec: Codec,
    /// Hash of the encoded file table.
    pub table_hash: Hash,
    /// Root of the tree over the pages of block hashes.
    pub hash_root: Hash,
}

impl Description {
    /// The coding id: hash of content id, length, symbol size, k, m and codec.
    pub fn coding(&self) -> CodingId {
        let g = &self.geometry;
        let mut h = blake3::Hasher::new_derive_key("loopcast v1 coding id");
        h.update(&self.content.0);
        h.update(&g.length().to_be_bytes());
        h.update(&g.symbol_size().to_be_bytes());
        h.update(&g.k().to_be_bytes());
        h.update(&g.m().to_be_bytes());
        h.update(&[self.codec.number()]);
        CodingId(Hash(*h.finalize().as_bytes()))
    }

    /// A description of `length` bytes with made-up hashes, for simulations that move no bytes.
    pub fn pretend(
        name: &str,
        length: u64,
        symbol_size: u16,
        k: u16,
    ) -> Result<Description, GeometryError> {
        let content = Hash(*blake3::hash(name.as_bytes()).as_bytes());
        Ok(Description {
            name: name.to_owned(),
            content,
            geometry: Geometry::new(length, symbol_size, k, 0, 64)?,
            codec: Codec::None,
            table_hash: content,
            hash_root: content,
        })
    }
}
