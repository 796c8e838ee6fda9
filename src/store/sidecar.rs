//! What a receiver keeps about an incomplete object, beside it on disk: `NAME.part.state`.
//!
//! Takes pages, hashes, the file table and states, gives them back, also to a later run. It trusts
//! nothing of a later run's find: pages are proven again and blocks hashed again
//! ([`recover`](super::recover)).
//!
//! ```text
//!      0  magic `LOOPSTA`, version `2`, coding id (32), BLAKE3 of these 40 bytes (32), zeros
//!   4096  a bit per block: verified; a bit per block: unproven; a bit per block: in the spool
//!         pages as they came, one symbol each, the table's first
//!         hashes of blocks whose page has not come, 32 each, the table's first
//!         the file table as it travels
//! ```
//!
//! The first 72 bytes are the same in all versions, so that a newer one is known as such.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::ids::{BlockNo, CodingId, Hash};
use crate::object::{BlockKind, Geometry, Part};
use crate::store::SinkError;
use crate::store::bitmap::Bitmap;
use crate::store::disk::Disk;

const MAGIC: &[u8; 7] = b"LOOPSTA";
const VERSION: u8 = b'2';
const HEADER: u64 = 4_096;

/// The sidecar of one incomplete object.
pub(crate) struct Sidecar {
    file: Box<dyn Disk>,
    path: PathBuf,
    geometry: Geometry,
    states: u64,
    pages: u64,
    computed: u64,
    table: u64,
}

/// Which of a block's bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Verified,
    Unproven,
    Spooled,
}

/// Whose sidecar a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// The state of the coding asked for.
    Ours,
    /// The state of another, or none.
    Other,
    /// The state of a version that is not known here.
    Newer,
}

impl Sidecar {
    /// Bytes of the sidecar of such an object; most of them a hole.
    pub(crate) fn size(geometry: &Geometry) -> u64 {
        Sidecar::layout(geometry).3 + u64::from(geometry.table_len())
    }

    fn layout(g: &Geometry) -> (u64, u64, u64, u64) {
        let both =
            |of: &dyn Fn(Part) -> u32| u64::from(of(Part::Table)) + u64::from(of(Part::Content));
        let states = u64::from(g.blocks().div_ceil(8));
        let pages = HEADER + 3 * states;
        let computed = pages + both(&|part| g.pages(part)) * u64::from(g.symbol_size());
        let table = computed + both(&|part| g.data_blocks(part)) * 32;
        (states, pages, computed, table)
    }

    /// Takes an opened file for a sidecar; nothing is read or written yet.
    pub(crate) fn new(file: Box<dyn Disk>, path: PathBuf, geometry: &Geometry) -> Sidecar {
        let (states, pages, computed, table) = Sidecar::layout(geometry);
        Sidecar {
            file,
            path,
            geometry: *geometry,
            states,
            pages,
            computed,
            table,
        }
    }

    /// Whose sidecar `file` is.
    pub(crate) fn whose(file: &File, coding: &CodingId) -> Whose {
        let mut found = [0; 72];
        if file.read_at(&mut found, 0).is_err() || !sealed(&found) || !found.starts_with(MAGIC) {
            return Whose::Other;
        }
        match found[MAGIC.len()] {
            version if version > VERSION => Whose::Newer,
            _ if found == header(coding) => Whose::Ours,
            _ => Whose::Other,
        }
    }

    /// Makes it a fresh one; the file must be empty.
    pub(crate) fn start(&self, coding: &CodingId) -> Result<(), SinkError> {
        self.write(&header(coding), 0)
    }

    /// The bits that an earlier run left; zeros where it wrote none.
    pub(crate) fn states(&self, which: State) -> Result<Bitmap, SinkError> {
        let mut bytes = vec![0; self.states as usize];
        self.read(&mut bytes, self.place_of(which))?;
        Ok(Bitmap::from_bytes(bytes, self.geometry.blocks()))
    }

    /// Keeps a byte that [`Bitmap::set`] changed.
    pub(crate) fn set_state(
        &self,
        which: State,
        changed: Option<(u64, u8)>,
    ) -> Result<(), SinkError> {
        match changed {
            Some((at, byte)) => self.write(&[byte], self.place_of(which) + at),
            None => Ok(()),
        }
    }

    fn place_of(&self, which: State) -> u64 {
        let before = match which {
            State::Verified => 0,
            State::Unproven => 1,
            State::Spooled => 2,
        };
        HEADER + before * self.states
    }

    /// Keeps a page.
    pub(crate) fn write_page(&self, block: BlockNo, symbol: &[u8]) -> Result<(), SinkError> {
        match self.place_of_page(block) {
            Some(at) => self.write(symbol, at),
            None => Ok(()),
        }
    }

    /// Reads a page, or zeros.
    pub(crate) fn read_page(&self, block: BlockNo, symbol: &mut [u8]) -> Result<(), SinkError> {
        match self.place_of_page(block) {
            Some(at) => self.read(symbol, at),
            None => {
                symbol.fill(0);
                Ok(())
            }
        }
    }

    fn place_of_page(&self, block: BlockNo) -> Option<u64> {
        let BlockKind::Page { part, number } = self.geometry.kind(block) else {
            return None;
        };
        let before = match part {
            Part::Table => 0,
            Part::Content => self.geometry.pages(Part::Table),
        };
        let slot = u64::from(before) + u64::from(number);
        Some(self.pages + slot * u64::from(self.geometry.symbol_size()))
    }

    /// The hash that a block of data should have, from its page, which must have been kept.
    pub(crate) fn expected(&self, block: BlockNo) -> Result<Hash, SinkError> {
        let (page, place) = self.geometry.page_of(block).unwrap_or_default();
        match self.place_of_page(page) {
            Some(at) => self.hash(at + place as u64 * 32),
            None => Ok(Hash::default()),
        }
    }

    /// Keeps the hash that an unproven block was found to have.
    pub(crate) fn write_computed(&self, block: BlockNo, hash: &Hash) -> Result<(), SinkError> {
        self.write(&hash.0, self.place_of_computed(block))
    }

    /// The hash that an unproven block was found to have.
    pub(crate) fn computed(&self, block: BlockNo) -> Result<Hash, SinkError> {
        self.hash(self.place_of_computed(block))
    }

    fn place_of_computed(&self, block: BlockNo) -> u64 {
        self.computed + data_number(&self.geometry, block) * 32
    }

    /// Keeps bytes of the file table.
    pub(crate) fn write_table(&self, bytes: &[u8], offset: u64) -> Result<(), SinkError> {
        self.write(bytes, self.table + offset)
    }

    /// Reads bytes of the file table, or zeros.
    pub(crate) fn read_table(&self, bytes: &mut [u8], offset: u64) -> Result<(), SinkError> {
        self.read(bytes, self.table + offset)
    }

    fn hash(&self, offset: u64) -> Result<Hash, SinkError> {
        let mut hash = Hash::default();
        self.read(&mut hash.0, offset)?;
        Ok(hash)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), SinkError> {
        self.file
            .write_at(bytes, offset)
            .map_err(|e| SinkError::write(&self.path, e))
    }

    /// The file is set to its full length at the start, so only one that was cut ends early.
    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), SinkError> {
        match self.file.read_at(bytes, offset) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                bytes.fill(0);
                Ok(())
            }
            result => result.map_err(|e| SinkError::read(&self.path, e)),
        }
    }
}

/// The number of a block of data among all such blocks, the table's first.
pub(crate) fn data_number(g: &Geometry, block: BlockNo) -> u64 {
    match g.kind(block) {
        BlockKind::Data { part, index, .. } => {
            let before = match part {
                Part::Table => 0,
                Part::Content => g.data_blocks(Part::Table),
            };
            u64::from(before) + u64::from(index)
        }
        BlockKind::Page { .. } => 0,
    }
}

fn header(coding: &CodingId) -> [u8; 72] {
    let mut bytes = [0; 72];
    bytes[..7].copy_from_slice(MAGIC);
    bytes[7] = VERSION;
    bytes[8..40].copy_from_slice(&coding.0.0);
    let sum = blake3::hash(&bytes[..40]);
    bytes[40..].copy_from_slice(sum.as_bytes());
    bytes
}

fn sealed(header: &[u8; 72]) -> bool {
    blake3::hash(&header[..40]).as_bytes()[..] == header[40..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_version_is_known_as_such() {
        let coding = CodingId(Hash([7; 32]));
        let whose = |bytes: &[u8]| {
            let file = tempfile::tempfile().unwrap();
            Disk::write_at(&file, bytes, 0).unwrap();
            Sidecar::whose(&file, &coding)
        };
        let ours = header(&coding);
        assert_eq!(whose(&ours), Whose::Ours);
        assert_eq!(whose(&header(&CodingId::default())), Whose::Other);
        assert_eq!(whose(&ours[..71]), Whose::Other);
        assert_eq!(whose(&[]), Whose::Other);
        let mut newer = ours;
        newer[7] = b'3';
        assert_eq!(whose(&newer), Whose::Other, "damage is no newer version");
        let sum = blake3::hash(&newer[..40]);
        newer[40..].copy_from_slice(sum.as_bytes());
        assert_eq!(whose(&newer), Whose::Newer);
    }

    #[test]
    fn nothing_lies_over_anything_else() {
        let g = Geometry::new(300_000, 1_024, 1, 0, 100_000).unwrap();
        let file = Box::new(tempfile::tempfile().unwrap());
        let s = Sidecar::new(file, PathBuf::new(), &g);
        let mark = |n: u32| Hash([n.to_be_bytes(); 8].concat().try_into().unwrap());
        for block in 0..g.blocks() {
            match g.kind(block) {
                BlockKind::Page { .. } => s.write_page(block, &mark(block).0.repeat(32)).unwrap(),
                BlockKind::Data { .. } => s.write_computed(block, &mark(block)).unwrap(),
            }
        }
        s.write_table(&[9; 100_000], 0).unwrap();
        let states = [State::Verified, State::Unproven, State::Spooled];
        for (state, byte) in states.into_iter().zip(1..) {
            let bytes = g.blocks().div_ceil(8) as u64;
            (0..bytes).for_each(|at| s.set_state(state, Some((at, byte))).unwrap());
        }
        for block in 0..g.blocks() {
            match g.kind(block) {
                BlockKind::Page { .. } => {
                    let mut page = vec![0; 1_024];
                    s.read_page(block, &mut page).unwrap();
                    assert_eq!(page, mark(block).0.repeat(32));
                }
                BlockKind::Data { .. } => assert_eq!(s.computed(block).unwrap(), mark(block)),
            }
            if let Some((page, _)) = g.page_of(block) {
                assert_eq!(s.expected(block).unwrap(), mark(page));
            }
        }
        let mut table = vec![0; 100_000];
        s.read_table(&mut table, 0).unwrap();
        assert_eq!(table, [9; 100_000]);
        assert!(
            s.states(State::Unproven)
                .unwrap()
                .iter()
                .all(|b| b % 8 == 1)
        );
    }
}
