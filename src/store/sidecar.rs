//! What a receiver keeps about an incomplete file, beside it on disk: `NAME.part.state`.
//!
//! Takes pages, hashes and states, gives them back, also to a later run. It trusts nothing of a
//! later run's find: pages are proven again and blocks hashed again ([`recover`](super::recover)).
//!
//! ```text
//!      0  magic `LOOPSTA1`, coding id (32), BLAKE3 of these 40 bytes (32), zeros
//!   4096  a bit per block: verified; then a bit per block: unproven
//!         pages, as they came, one symbol each
//!         hashes of content blocks whose page has not come, 32 each
//!         symbols of the file table
//!         for each content block, where there is parity: which symbol stands in which place
//! ```
//!
//! The last part holds for one run only, and only for blocks that had to leave memory incomplete.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::ids::{CodingId, Hash};
use crate::object::Geometry;
use crate::store::SinkError;
use crate::store::bitmap::Bitmap;
use crate::store::disk::Disk;
use crate::store::places::Places;

const MAGIC: &[u8; 8] = b"LOOPSTA1";
const HEADER: u64 = 4_096;

/// The sidecar of one incomplete file.
pub(crate) struct Sidecar {
    file: Box<dyn Disk>,
    path: PathBuf,
    geometry: Geometry,
    states: u64,
    pages: u64,
    computed: u64,
    table: u64,
    places: u64,
}

/// Which of a block's two bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Verified,
    Unproven,
}

impl Sidecar {
    /// The most bytes that the sidecar of such an object can come to.
    pub(crate) fn size(geometry: &Geometry) -> u64 {
        let blocks = if geometry.m() > 0 {
            geometry.content_blocks()
        } else {
            0
        };
        Sidecar::layout(geometry).4 + u64::from(blocks) * Sidecar::places_len(geometry)
    }

    /// Bytes of the places of one content block: two for each.
    fn places_len(g: &Geometry) -> u64 {
        2 * u64::from(g.symbols(g.first_content_block()))
    }

    fn layout(g: &Geometry) -> (u64, u64, u64, u64, u64) {
        let states = u64::from(g.blocks().div_ceil(8));
        let pages = HEADER + 2 * states;
        let computed = pages + u64::from(g.pages()) * u64::from(g.symbol_size());
        let table = computed + u64::from(g.content_blocks()) * 32;
        let places = table + u64::from(g.symbols(0)) * u64::from(g.symbol_size());
        (states, pages, computed, table, places)
    }

    /// Takes an opened file for a sidecar; nothing is read or written yet.
    pub(crate) fn new(file: Box<dyn Disk>, path: PathBuf, geometry: &Geometry) -> Sidecar {
        let (states, pages, computed, table, places) = Sidecar::layout(geometry);
        Sidecar {
            file,
            path,
            geometry: *geometry,
            states,
            pages,
            computed,
            table,
            places,
        }
    }

    /// Whether `file` is the sidecar of this coding.
    pub(crate) fn is_of(file: &File, coding: &CodingId) -> bool {
        let mut found = [0; 72];
        file.read_at(&mut found, 0).is_ok() && found == header(coding)
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
        HEADER
            + if which == State::Verified {
                0
            } else {
                self.states
            }
    }

    /// Keeps a page.
    pub(crate) fn write_page(&self, page: u32, symbol: &[u8]) -> Result<(), SinkError> {
        self.write(symbol, self.place_of_page(page))
    }

    /// Reads a page, or zeros.
    pub(crate) fn read_page(&self, page: u32, symbol: &mut [u8]) -> Result<(), SinkError> {
        self.read(symbol, self.place_of_page(page))
    }

    /// A content block's hash, from a page that was kept.
    pub(crate) fn expected(&self, index: u32) -> Result<Hash, SinkError> {
        let (page, place) = self.geometry.page_of(index);
        self.hash(self.place_of_page(page) + place as u64 * 32)
    }

    fn place_of_page(&self, page: u32) -> u64 {
        self.pages + u64::from(page) * u64::from(self.geometry.symbol_size())
    }

    /// Keeps the hash that an unproven content block was found to have.
    pub(crate) fn write_computed(&self, index: u32, hash: &Hash) -> Result<(), SinkError> {
        self.write(&hash.0, self.computed + u64::from(index) * 32)
    }

    /// The hash that an unproven content block was found to have.
    pub(crate) fn computed(&self, index: u32) -> Result<Hash, SinkError> {
        self.hash(self.computed + u64::from(index) * 32)
    }

    /// Keeps bytes of the file table.
    pub(crate) fn write_table(&self, bytes: &[u8], offset: u64) -> Result<(), SinkError> {
        self.write(bytes, self.table + offset)
    }

    /// Reads bytes of the file table, or zeros.
    pub(crate) fn read_table(&self, bytes: &mut [u8], offset: u64) -> Result<(), SinkError> {
        self.read(bytes, self.table + offset)
    }

    /// Keeps which symbols stand where in content block `index`.
    pub(crate) fn write_places(&self, index: u32, places: &Places) -> Result<(), SinkError> {
        self.write(&places.to_bytes(), self.place_of_places(index))
    }

    /// Which symbols stand where in content block `index`, as last kept.
    pub(crate) fn places(&self, index: u32) -> Result<Places, SinkError> {
        let g = &self.geometry;
        let block = g.first_content_block() + index;
        let symbols = g.symbols(block);
        let mut bytes = vec![0; 2 * usize::from(symbols)];
        self.read(&mut bytes, self.place_of_places(index))?;
        Ok(Places::from_bytes(&bytes, symbols + g.parity(block)))
    }

    fn place_of_places(&self, index: u32) -> u64 {
        self.places + u64::from(index) * Sidecar::places_len(&self.geometry)
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

fn header(coding: &CodingId) -> [u8; 72] {
    let mut bytes = [0; 72];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..40].copy_from_slice(&coding.0.0);
    let sum = blake3::hash(&bytes[..40]);
    bytes[40..].copy_from_slice(sum.as_bytes());
    bytes
}
