//! The description: all a receiver needs to store an object's symbols.

use crate::config;
use crate::ids::{CodingId, ContentId, Hash};
use crate::object::{Geometry, GeometryError};

/// Kind of an object at a receiver.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum ObjectKind {
    /// A file of the object's name.
    #[default]
    File,
    /// A folder of the object's name.
    Folder,
    /// The content of a folder, which comes into the receiver's own.
    Inside,
}

impl ObjectKind {
    /// The kind's number on the wire.
    pub fn number(self) -> u8 {
        match self {
            ObjectKind::File => 0,
            ObjectKind::Folder => 1,
            ObjectKind::Inside => 2,
        }
    }

    /// The kind of a number on the wire.
    pub fn from_number(n: u8) -> Option<ObjectKind> {
        let all = [ObjectKind::File, ObjectKind::Folder, ObjectKind::Inside];
        all.into_iter().find(|kind| kind.number() == n)
    }
}

/// How parity symbols are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Codec {
    /// There are none: what is lost is sent again.
    #[default]
    None,
    /// Reed-Solomon ([`fec`](crate::fec)): any n symbols of a content block with n source symbols
    /// restore it.
    ReedSolomon,
}

impl Codec {
    /// Its number on the wire and in a coding id.
    pub fn number(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::ReedSolomon => 1,
        }
    }

    /// The codec of a number on the wire.
    pub fn from_number(n: u8) -> Option<Codec> {
        match n {
            0 => Some(Codec::None),
            1 => Some(Codec::ReedSolomon),
            _ => None,
        }
    }

    /// Whether it makes so many parity symbols a block: none makes 0, Reed-Solomon 1 to
    /// [`MAX_M`](crate::config::MAX_M).
    pub fn makes(self, m: u16) -> bool {
        match self {
            Codec::None => m == 0,
            Codec::ReedSolomon => (1..=config::MAX_M).contains(&m),
        }
    }

    /// The parity symbols a block can have where nothing else is said: with Reed-Solomon as many as
    /// source symbols. That is enough for a receiver that has lost half of what was sent, and
    /// what more of it would cost (to make, and in memory) grows faster than its use.
    pub fn default_parity(self, k: u16) -> u16 {
        match self {
            Codec::None => 0,
            Codec::ReedSolomon => k.min(config::MAX_M),
        }
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
    /// Its kind at a receiver.
    pub kind: ObjectKind,
    /// BLAKE3 of the content, which is the root of the tree that its pages lead to.
    pub content: ContentId,
    /// The same of the encoded file table.
    pub table: ContentId,
    /// Lengths, symbol size and block size.
    pub geometry: Geometry,
    /// How parity is made.
    pub codec: Codec,
}

impl Description {
    /// The coding id: hash of both ids and lengths, kind, block size, symbol size, m, codec and
    /// name. So two objects of the same bytes are told apart by what they are called.
    pub fn coding(&self) -> CodingId {
        let g = &self.geometry;
        let mut h = blake3::Hasher::new_derive_key("loopcast v2 coding id");
        h.update(&self.content.0);
        h.update(&g.length().to_be_bytes());
        h.update(&self.table.0);
        h.update(&g.table_len().to_be_bytes());
        h.update(&g.block_kib().to_be_bytes());
        h.update(&g.symbol_size().to_be_bytes());
        h.update(&g.m().to_be_bytes());
        h.update(&[self.codec.number(), self.kind.number()]);
        h.update(self.name.as_bytes());
        CodingId(Hash(*h.finalize().as_bytes()))
    }

    /// A description of `length` bytes with made-up hashes, for simulations that move no bytes, in
    /// blocks of `block_kib` KiB. It has no parity.
    pub fn pretend(
        name: &str,
        length: u64,
        symbol_size: u16,
        block_kib: u32,
    ) -> Result<Description, GeometryError> {
        let content = Hash(*blake3::hash(name.as_bytes()).as_bytes());
        Ok(Description {
            name: name.to_owned(),
            kind: ObjectKind::File,
            content,
            table: content,
            geometry: Geometry::new(length, symbol_size, block_kib, 0, 64)?,
            codec: Codec::None,
        })
    }

    /// The same with as much parity as source.
    pub fn with_parity(mut self) -> Result<Description, GeometryError> {
        let g = &self.geometry;
        let m = Codec::ReedSolomon.default_parity(g.k());
        let (length, size) = (g.length(), g.symbol_size());
        self.geometry = Geometry::new(length, size, g.block_kib(), m, g.table_len())?;
        self.codec = Codec::ReedSolomon;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_have_their_numbers() {
        for codec in [Codec::None, Codec::ReedSolomon] {
            assert_eq!(Codec::from_number(codec.number()), Some(codec));
            assert!(codec.makes(codec.default_parity(1)));
            assert!(codec.makes(codec.default_parity(config::MAX_K)));
        }
        assert!((2..=u8::MAX).all(|n| Codec::from_number(n).is_none()));
        assert!(!Codec::None.makes(1) && !Codec::ReedSolomon.makes(0));
        assert!(!Codec::ReedSolomon.makes(config::MAX_M + 1));
    }

    #[test]
    fn golden_coding_ids() {
        let mut d = Description::pretend("x", 1 << 20, 1_344, 512).unwrap();
        let none = d.coding().0.to_string();
        d.geometry = Geometry::new(1 << 20, 1_344, 512, 391, 64).unwrap();
        d.codec = Codec::ReedSolomon;
        let parity = d.coding().0.to_string();
        assert_eq!(
            [none, parity],
            [
                "eec2a1b02ab3302721403e81d387c39c284c5ca5ac8dbdc9e6420e7ac13028d2",
                "1407c3c977db0d858145ca6a492216220bf726b771c3e3cee6c3aea5e74e1a6b"
            ]
        );
    }
}
