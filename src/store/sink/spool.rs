//! Blocks that can't be in their place yet: `NAME.part.spool`, a sparse file.
//!
//! Each block of data has a slot: which symbol stands where, then a place of full size for each of
//! its source symbols ([`places`](crate::store::places)). Parity waits in the places of source
//! symbols that have not come. A slot may hold a whole block instead, which waits for the file
//! table that says where its bytes belong. A run without loss whose table comes first makes no
//! such file.
//!
//! Symbols are good for one run only; whole blocks for later ones too.

use std::path::PathBuf;

use super::{Means, suffixed};
use crate::ids::{BlockNo, SymbolNo};
use crate::object::Geometry;
use crate::store::bitmap::Bitmap;
use crate::store::disk::Disk;
use crate::store::folder::Folder;
use crate::store::places::{Merge, Places, Seat};
use crate::store::sidecar::data_number;
use crate::store::{BlockBuf, SinkError};

/// Slots begin at multiples of this, so that each can be given back by itself.
const PAGE: u64 = 4_096;

/// The spool of one object.
pub(super) struct Spool {
    disk: Option<Box<dyn Disk>>,
    name: String,
    path: PathBuf,
    geometry: Geometry,
}

impl Spool {
    /// A spool of which there is no file yet.
    pub(super) fn new(folder: &Folder, name: &str, geometry: &Geometry) -> Spool {
        let name = suffixed(name, "part.spool");
        Spool {
            disk: None,
            path: folder.path_of(&name),
            name,
            geometry: *geometry,
        }
    }

    /// Makes the file if it is not there.
    pub(super) fn open(&mut self, folder: &Folder, means: &Means) -> Result<(), SinkError> {
        if self.disk.is_none() {
            self.disk = Some((means.wrap)(folder.open_file(&self.name)?));
        }
        Ok(())
    }

    /// Gives up the file and all that is in it.
    pub(super) fn remove(&mut self, folder: &Folder) -> Result<(), SinkError> {
        self.disk = None;
        folder
            .remove(&self.name)
            .map_err(|e| SinkError::write(&self.path, e))
    }

    /// Gives back the room of all blocks but these.
    pub(super) fn keep_only(&self, whole: &Bitmap) {
        let Some(disk) = &self.disk else { return };
        let mut from = 0;
        for block in whole.iter() {
            let at = self.slot(block);
            if from < at {
                disk.punch(from..at);
            }
            from = at + self.slot_len();
        }
        let parts = [crate::object::Part::Table, crate::object::Part::Content];
        let slots: u64 = parts
            .iter()
            .map(|&p| u64::from(self.geometry.data_blocks(p)))
            .sum();
        let end = slots * self.slot_len();
        if from < end {
            disk.punch(from..end);
        }
    }

    /// Gives back a block's room.
    pub(super) fn release(&self, block: BlockNo) {
        if let Some(disk) = &self.disk {
            let at = self.slot(block);
            disk.punch(at..at + self.slot_len());
        }
    }

    /// Keeps a whole block.
    pub(super) fn write_whole(&self, block: BlockNo, bytes: &[u8]) -> Result<(), SinkError> {
        self.write(bytes, self.place(block, 0))
    }

    /// Reads from a whole block, from byte `from` on.
    pub(super) fn read_whole(
        &self,
        block: BlockNo,
        from: u64,
        bytes: &mut [u8],
    ) -> Result<(), SinkError> {
        self.read(bytes, self.place(block, 0) + from)
    }

    /// Which symbols of a block are here, and where.
    pub(super) fn places(&self, block: BlockNo) -> Result<Places, SinkError> {
        let g = &self.geometry;
        let symbols = g.symbols(block);
        let mut bytes = vec![0; 2 * usize::from(symbols)];
        self.read(&mut bytes, self.slot(block))?;
        Ok(Places::from_bytes(&bytes, symbols + g.parity(block)))
    }

    /// Adds what the buffer has of its block to what is here. Gives how many bytes were written and
    /// read.
    pub(super) fn add(&self, buf: &BlockBuf, mut places: Places) -> Result<(u64, u64), SinkError> {
        let block = buf.block();
        let size = self.symbol_size();
        let Merge { moves, copies } = places.merge(buf.places());
        // Those that are pushed out are read before anything is written over them.
        let mut pushed_out = vec![0; moves.len() * size];
        for (&(from, _), bytes) in moves.iter().zip(pushed_out.chunks_exact_mut(size)) {
            self.read(bytes, self.place(block, from))?;
        }
        let next_to = |a: &(u16, u16), b: &(u16, u16)| b.0 == a.0 + 1 && b.1 == a.1 + 1;
        for run in copies.chunk_by(next_to) {
            let [(from, to), ..] = *run else { continue };
            let first = usize::from(from) * size;
            let bytes = &buf.bytes()[first..first + run.len() * size];
            self.write(bytes, self.place(block, to))?;
        }
        for (&(_, to), bytes) in moves.iter().zip(pushed_out.chunks_exact(size)) {
            self.write(bytes, self.place(block, to))?;
        }
        self.write_places(block, &places)?;
        let written = (copies.len() + moves.len()) * size;
        Ok((written as u64, pushed_out.len() as u64))
    }

    /// Adds one symbol; who adds the last one writes the places.
    pub(super) fn add_symbol(
        &self,
        block: BlockNo,
        places: &mut Places,
        symbol: SymbolNo,
        bytes: &[u8],
    ) -> Result<(), SinkError> {
        let Seat::At {
            place,
            guest_moves_to,
        } = places.add(symbol)
        else {
            return Ok(());
        };
        if let Some(to) = guest_moves_to {
            let mut guest = vec![0; self.symbol_size()];
            self.read(&mut guest, self.place(block, place))?;
            self.write(&guest, self.place(block, to))?;
        }
        self.write(bytes, self.place(block, place))
    }

    /// Keeps which symbols of a block stand where.
    pub(super) fn write_places(&self, block: BlockNo, places: &Places) -> Result<(), SinkError> {
        self.write(&places.to_bytes(), self.slot(block))
    }

    /// Reads the places of a block that are taken, each at its place in `bytes`. Gives how many
    /// bytes were read.
    pub(super) fn read_places(
        &self,
        block: BlockNo,
        places: &Places,
        bytes: &mut [u8],
    ) -> Result<u64, SinkError> {
        let first = places.occupied().next();
        let (Some((first, _)), Some((last, _))) = (first, places.occupied().last()) else {
            return Ok(0);
        };
        let size = self.symbol_size();
        let taken = usize::from(first) * size..(usize::from(last) + 1) * size;
        let Some(bytes) = bytes.get_mut(taken) else {
            return Ok(0);
        };
        self.read(bytes, self.place(block, first))?;
        Ok(bytes.len() as u64)
    }

    fn symbol_size(&self) -> usize {
        self.geometry.symbol_size().into()
    }

    /// Bytes of a slot's header: two for each place.
    fn header_len(&self) -> u64 {
        (2 * u64::from(self.geometry.most_symbols())).next_multiple_of(PAGE)
    }

    fn slot_len(&self) -> u64 {
        let symbols = u64::from(self.geometry.most_symbols()) * self.symbol_size() as u64;
        self.header_len() + symbols.next_multiple_of(PAGE)
    }

    fn slot(&self, block: BlockNo) -> u64 {
        data_number(&self.geometry, block) * self.slot_len()
    }

    fn place(&self, block: BlockNo, place: u16) -> u64 {
        let before = u64::from(place) * self.symbol_size() as u64;
        self.slot(block) + self.header_len() + before
    }

    fn disk(&self) -> Result<&dyn Disk, SinkError> {
        let gone = || SinkError::read(&self.path, std::io::ErrorKind::NotFound.into());
        self.disk.as_deref().ok_or_else(gone)
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), SinkError> {
        let fault = |e| SinkError::write(&self.path, e);
        self.disk()?.write_at(bytes, at).map_err(fault)
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), SinkError> {
        let fault = |e| SinkError::read(&self.path, e);
        self.disk()?.read_at(bytes, at).map_err(fault)
    }
}
