//! An object on a receiver's disk.
//!
//! Takes blocks and pages, puts bytes where they belong in `NAME.part`, says which blocks hold, and in
//! the end gives the file its name. It decides nothing about what is asked for, and trusts no byte
//! of content before its hash.
//!
//! Decisions:
//!
//! * The file has its full length from the start, as a hole. Space is not reserved: where the file
//!   system can't do that cheaply it would write the whole file once more. The check of free space
//!   when the object is opened finds most of what a reservation would.
//! * The file is named as the object is offered. Of the table's one entry the time and mode are
//!   used; its path need only be safe.
//! * What is under the name already is replaced, at once and whole, if it is a plain file, and never
//!   touched otherwise. Until then it stays as it is.
//! * An incomplete file of another content (the sender's file has changed) is not written over: it
//!   becomes `NAME.part.old` (an older one of that name goes), and [`Sink::moved_aside`] says so.
//! * A later run finds whole blocks again, not single symbols.
//! * Parity of a block that must leave memory incomplete waits on disk where source symbols are missing
//!   ([`places`](crate::store::places)); which symbol stands where is in the sidecar, so that memory
//!   stays one bit a block.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::fec::Decoder;
use crate::ids::BlockNo;
use crate::object::{
    BlockKind, Description, FileEntry, FileTable, Geometry, PageChecker, PageHashes, SafeName,
    block_hash,
};
use crate::range_set::RangeSet;
use crate::store::bitmap::Bitmap;
use crate::store::disk::Disk;
use crate::store::folder::Folder;
use crate::store::recover::recover;
use crate::store::sidecar::{Sidecar, State};
use crate::store::{BlockBuf, BlockResult, MovedAside, Settled, SinkError};

mod parity;
mod place;
mod seam;

use parity::Gathered;
use place::{check_space, open_part, part, state};
pub(crate) use place::{check_target, set_mode, system_time};
pub use seam::FolderDestination;

/// More gaps than this in a block are written over (with the bytes that are there already) rather
/// than around: a call costs as much as copying some 10 KB.
const MANY_RUNS: usize = 8;

/// An object that is being written. Belongs to one thread at a time.
pub struct Sink {
    description: Description,
    checker: PageChecker,
    folder: Folder,
    name: String,
    part: Box<dyn Disk>,
    file: File,
    sidecar: Sidecar,
    pages: Bitmap,
    verified: Bitmap,
    unproven: Bitmap,
    /// Content blocks with parity of which this run has written a part; the sidecar has their places.
    begun: Bitmap,
    /// What waits in the last place of the object, where the file ends before the symbol does.
    tail: Vec<u8>,
    decoder: Decoder,
    table: Option<FileEntry>,
    scratch: Vec<u8>,
    moved_aside: Option<MovedAside>,
}

/// Puts something between a file and its writer; tests break writes with it.
type Wrap<'a> = &'a dyn Fn(File) -> Box<dyn Disk>;

impl Sink {
    /// Makes a place for an object in `into` (made if it is not there), or finds what an earlier run
    /// left of it. Reads what was left once, which takes as long as that takes.
    pub fn open(into: &Path, description: &Description) -> Result<Sink, SinkError> {
        Sink::open_with(into, description, &|file| Box::new(file))
    }

    fn open_with(
        into: &Path,
        description: &Description,
        wrap: Wrap<'_>,
    ) -> Result<Sink, SinkError> {
        let safe = SafeName::offered(&description.name).map_err(|why| SinkError::Name {
            name: description.name.clone(),
            why,
        })?;
        let (folders, name) = safe.split();
        let folder = Folder::open(into, &folders)?;
        check_target(&folder, name)?;
        let (file, resumed, moved_aside) = open_part(&folder, name, description)?;
        let g = &description.geometry;
        let path = folder.path_of(&part(name));
        if let Err(e) = check_space(&folder, &path, &file, g) {
            if !resumed {
                let _ = folder.remove(&part(name));
            }
            return Err(e);
        }
        file.set_len(g.length())
            .map_err(|e| SinkError::write(&path, e))?;

        let sidecar = open_sidecar(&folder, name, g, resumed, wrap)?;
        let handle = file.try_clone().map_err(|e| SinkError::write(&path, e))?;
        let mut sink = Sink {
            description: description.clone(),
            checker: PageChecker::new(*g, description.hash_root),
            name: name.to_owned(),
            folder,
            part: wrap(handle),
            file,
            sidecar,
            pages: Bitmap::new(g.pages()),
            verified: Bitmap::new(g.blocks()),
            unproven: Bitmap::new(g.blocks()),
            begun: Bitmap::new(g.blocks()),
            tail: Vec::new(),
            decoder: Decoder::new(),
            table: None,
            scratch: Vec::new(),
            moved_aside,
        };
        if resumed {
            sink.resume()?;
        } else {
            sink.sidecar.start(&description.coding())?;
        }
        Ok(sink)
    }

    fn resume(&mut self) -> Result<(), SinkError> {
        let found = recover(&self.description, &*self.part, &self.sidecar)?;
        (self.pages, self.verified, self.unproven) = (found.pages, found.verified, found.unproven);
        let g = self.description.geometry;
        for block in 1..g.first_content_block() {
            if self.has_pages_of(block) {
                self.verified.set(block, true);
            }
        }
        // A table that does not hold, or is refused, is just one that has not come.
        if self.take_table().is_ok_and(|holds| holds) {
            self.verified.set(0, true);
        }
        Ok(())
    }

    /// Blocks that are written and hold, those of an earlier run too.
    pub fn held(&self) -> RangeSet {
        let blocks = self.verified.iter().map(u64::from);
        blocks.map(|block| block..block + 1).collect()
    }

    /// Blocks that are written but not proven: those of an earlier run whose page has not come, and
    /// those that [`finish_block`](Sink::finish_block) said so of.
    pub fn unproven(&self) -> impl Iterator<Item = BlockNo> + '_ {
        self.unproven.iter()
    }

    /// What became of an incomplete file of another content, if there was one.
    pub fn moved_aside(&self) -> Option<&MovedAside> {
        self.moved_aside.as_ref()
    }

    /// Where the file will be.
    pub fn path(&self) -> PathBuf {
        self.folder.path_of(&self.name)
    }

    /// Where it is until then.
    fn part_path(&self) -> PathBuf {
        self.folder.path_of(&part(&self.name))
    }

    /// Blocks that are not verified yet.
    pub fn lacking(&self) -> u32 {
        self.description.geometry.blocks() - self.verified.ones()
    }

    /// Writes the symbols of a block that could not wait in memory until it was whole.
    pub fn write_partial(&mut self, buf: &BlockBuf) -> Result<(), SinkError> {
        let block = buf.block();
        // What holds is never written over by what has not been checked.
        if self.verified.contains(block) || self.unproven.contains(block) {
            return Ok(());
        }
        if self.description.geometry.parity(block) > 0 {
            return self.write_places(block, buf);
        }
        self.write_present(block, buf, false)
    }

    /// Checks a block of which enough symbols have come (in `buf` or written before), and writes what
    /// is not written yet. The buffer may be given back to the pool then.
    ///
    /// Where there is parity, as many symbols of any kind are enough as the block has source
    /// symbols; those that are missing are restored first. With fewer it is `Bad`.
    ///
    /// A block of hash pages is `Verified` when all its pages are stored.
    pub fn finish_block(
        &mut self,
        block: BlockNo,
        buf: Option<&mut BlockBuf>,
    ) -> Result<BlockResult, SinkError> {
        if self.verified.contains(block) {
            return Ok(BlockResult::Verified);
        }
        match self.description.geometry.kind(block) {
            BlockKind::Table => {
                if let Some(buf) = buf {
                    self.write_present(block, buf, false)?;
                }
                let holds = self.take_table()?;
                self.verified.set(0, holds);
                Ok(if holds {
                    BlockResult::Verified
                } else {
                    BlockResult::Bad
                })
            }
            BlockKind::Pages { .. } => Ok(BlockResult::Bad),
            BlockKind::Content { len: 0, .. } => Ok(BlockResult::Bad),
            BlockKind::Content { index, offset, len } => {
                self.finish_content(block, index, offset, len, buf)
            }
        }
    }

    fn finish_content(
        &mut self,
        block: BlockNo,
        index: u32,
        offset: u64,
        len: u32,
        mut buf: Option<&mut BlockBuf>,
    ) -> Result<BlockResult, SinkError> {
        if self.unproven.contains(block) {
            return Ok(BlockResult::Unproven);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let gathered = self.gather(block, buf.as_deref_mut(), &mut scratch);
        let result = gathered.and_then(|gathered| {
            let bytes = buf.as_ref().map_or(&*scratch, |b| b.bytes());
            let bytes = bytes.get(..len as usize).unwrap_or_default();
            let hash = match gathered {
                Gathered::TooFew => return Ok(BlockResult::Bad),
                Gathered::All | Gathered::Restored => block_hash(bytes),
            };
            let proven = self
                .pages
                .contains(self.description.geometry.page_of(index).0);
            if proven && self.sidecar.expected(index)? != hash {
                return Ok(BlockResult::Bad);
            }
            match (gathered, &buf) {
                (Gathered::Restored, _) => self.write_part(bytes, offset)?,
                (_, Some(buf)) => self.write_present(block, buf, true)?,
                (_, None) => {}
            }
            if proven {
                self.mark(State::Verified, block, true)?;
                return Ok(BlockResult::Verified);
            }
            self.sidecar.write_computed(index, &hash)?;
            self.mark(State::Unproven, block, true)?;
            Ok(BlockResult::Unproven)
        });
        self.scratch = scratch;
        // Whatever comes of this block after this, it begins anew.
        self.begun.set(block, false);
        result
    }

    /// Brings all source symbols of a content block together, in `buf` or else in `scratch`.
    fn gather(
        &mut self,
        block: BlockNo,
        buf: Option<&mut BlockBuf>,
        scratch: &mut Vec<u8>,
    ) -> Result<Gathered, SinkError> {
        let BlockKind::Content { offset, len, .. } = self.description.geometry.kind(block) else {
            return Ok(Gathered::TooFew);
        };
        if self.description.geometry.parity(block) > 0 {
            let written = self.places_written(block)?;
            if self.lacks_source(block, &written, buf.as_deref()) {
                return self.restore(block, &written, buf, scratch);
            }
        }
        match buf {
            Some(buf) => self.fill(buf, offset, len)?,
            None => {
                scratch.resize(scratch.len().max(len as usize), 0);
                self.read_part(&mut scratch[..len as usize], offset)?;
            }
        }
        Ok(Gathered::All)
    }

    /// Keeps a page, after checking it (again: it may have been on the way for a while), and settles
    /// the blocks that waited for it. A page that does not hold settles nothing.
    pub fn store_page(&mut self, page: u32, symbol: &[u8]) -> Result<Settled, SinkError> {
        let mut settled = Settled::default();
        if self.pages.contains(page) {
            return Ok(settled);
        }
        let Ok(hashes) = self.checker.check(page, symbol) else {
            settled.refused = true;
            return Ok(settled);
        };
        self.sidecar.write_page(page, symbol)?;
        self.pages.set(page, true);
        let (block, _) = self.description.geometry.place_of_page(page);
        if self.has_pages_of(block) {
            self.verified.set(block, true);
        }
        self.settle(&hashes, &mut settled)?;
        Ok(settled)
    }

    fn settle(&mut self, hashes: &PageHashes, settled: &mut Settled) -> Result<(), SinkError> {
        let first = self.description.geometry.first_content_block();
        for (index, hash) in hashes.iter() {
            let block = first + index;
            if !self.unproven.contains(block) {
                continue;
            }
            let holds = self.sidecar.computed(index)? == hash;
            self.mark(State::Unproven, block, false)?;
            if holds {
                self.mark(State::Verified, block, true)?;
                settled.verified.push(block);
            } else {
                settled.bad.push(block);
            }
        }
        Ok(())
    }

    /// Makes the file last and gives it its name: time and mode, sync, rename, sync of the folder.
    ///
    /// Of the mode, what the user's umask takes from new files is taken here too, and the owner can
    /// always read. A file system that can't keep times or modes does not keep a file from being
    /// complete.
    pub fn finish(&mut self) -> Result<PathBuf, SinkError> {
        let Some(entry) = self.table.as_ref().filter(|_| self.lacking() == 0) else {
            return Err(SinkError::Incomplete(self.lacking()));
        };
        let part_path = self.part_path();
        let fault = |e| SinkError::write(&part_path, e);
        check_target(&self.folder, &self.name)?;
        // Writable until it has its name, or a later run could not go on after a crash here.
        if let Some(mode) = entry.mode {
            set_mode(&self.file, mode | 0o200);
        }
        if let Some(time) = entry.mtime.and_then(system_time) {
            let _ = self.file.set_modified(time);
        }
        self.file.sync_all().map_err(fault)?;
        self.folder
            .rename(&part(&self.name), &self.name)
            .map_err(fault)?;
        if let Some(mode) = entry.mode {
            set_mode(&self.file, mode);
        }
        self.folder.sync().map_err(fault)?;
        // The file is whole whatever happens to the sidecar.
        let _ = self.folder.remove(&state(&self.name));
        Ok(self.path())
    }

    /// Gives up. With `keep` a later run goes on from here, else what there is is removed.
    pub fn abandon(&mut self, keep: bool) -> Result<(), SinkError> {
        if keep {
            return Ok(());
        }
        for name in [state(&self.name), part(&self.name)] {
            self.folder
                .remove(&name)
                .map_err(|e| SinkError::write(&self.folder.path_of(&name), e))?;
        }
        Ok(())
    }

    fn mark(&mut self, which: State, block: BlockNo, value: bool) -> Result<(), SinkError> {
        let bits = if which == State::Verified {
            &mut self.verified
        } else {
            &mut self.unproven
        };
        let changed = bits.set(block, value);
        self.sidecar.set_state(which, changed)
    }

    fn has_pages_of(&self, block: BlockNo) -> bool {
        let g = &self.description.geometry;
        let mut pages = (0..g.symbols(block)).map(|s| g.page_at(block, s));
        pages.all(|page| page.is_some_and(|p| self.pages.contains(p)))
    }

    /// Checks and reads the table as it is in the sidecar; false if it has not the right hash.
    fn take_table(&mut self) -> Result<bool, SinkError> {
        let g = &self.description.geometry;
        let mut bytes = vec![0; g.table_len() as usize];
        self.sidecar.read_table(&mut bytes, 0)?;
        if block_hash(&bytes) != self.description.table_hash {
            return Ok(false);
        }
        let table = FileTable::parse(&bytes, g.length())?;
        match table.entries() {
            [one] => self.table = Some(one.clone()),
            many => return Err(SinkError::ManyFiles(many.len())),
        }
        Ok(true)
    }

    /// Reads into the buffer what it lacks of a content block.
    fn fill(&self, buf: &mut BlockBuf, offset: u64, len: u32) -> Result<(), SinkError> {
        let size = usize::from(self.description.geometry.symbol_size());
        let symbols = self.description.geometry.symbols(buf.block());
        let mut at = 0;
        while at < symbols {
            let start = buf.present().next_absent_at(at).min(symbols);
            at = buf.present().next_at(start).unwrap_or(symbols).min(symbols);
            let bytes = clip(start..at, size, len);
            self.read_part(
                &mut buf.bytes_mut()[bytes.clone()],
                offset + bytes.start as u64,
            )?;
        }
        Ok(())
    }

    fn write_part(&self, bytes: &[u8], offset: u64) -> Result<(), SinkError> {
        self.part
            .write_at(bytes, offset)
            .map_err(|e| SinkError::write(&self.part_path(), e))
    }

    fn read_part(&self, bytes: &mut [u8], offset: u64) -> Result<(), SinkError> {
        self.part
            .read_at(bytes, offset)
            .map_err(|e| SinkError::read(&self.part_path(), e))
    }

    /// Writes the source symbols that the buffer has of its block, in few calls. `filled` says that
    /// its gaps hold what was written before, so that they may be written over.
    fn write_present(&self, block: BlockNo, buf: &BlockBuf, filled: bool) -> Result<(), SinkError> {
        let g = &self.description.geometry;
        let size = usize::from(g.symbol_size());
        let symbols = g.symbols(block);
        let runs = || {
            let runs = buf.present().ranges();
            let source = runs.take_while(move |run| run.start < symbols);
            source.map(move |run| run.start..run.end.min(symbols))
        };
        match g.kind(block) {
            BlockKind::Table => runs().try_for_each(|run| {
                let bytes = usize::from(run.start) * size..usize::from(run.end) * size;
                self.sidecar
                    .write_table(&buf.bytes()[bytes.clone()], bytes.start as u64)
            }),
            BlockKind::Pages { .. } => Ok(()),
            BlockKind::Content { offset, len, .. } => {
                let write = |run: Range<u16>| {
                    let bytes = clip(run, size, len);
                    self.write_part(&buf.bytes()[bytes.clone()], offset + bytes.start as u64)
                };
                match (runs().next(), runs().last()) {
                    (Some(first), Some(last)) if filled && runs().nth(MANY_RUNS).is_some() => {
                        write(first.start..last.end)
                    }
                    _ => runs().try_for_each(write),
                }
            }
        }
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("path", &self.path())
            .field("lacking", &self.lacking())
            .finish_non_exhaustive()
    }
}

/// Opens the sidecar, emptied unless it is of this coding.
fn open_sidecar(
    folder: &Folder,
    name: &str,
    g: &Geometry,
    resumed: bool,
    wrap: Wrap<'_>,
) -> Result<Sidecar, SinkError> {
    let path = folder.path_of(&state(name));
    let fault = |e| SinkError::write(&path, e);
    let file = folder.open_file(&state(name))?;
    if !resumed {
        file.set_len(0).map_err(fault)?;
    }
    file.set_len(Sidecar::size(g)).map_err(fault)?;
    Ok(Sidecar::new(wrap(file), path, g))
}

/// The bytes of a run of symbols, the last one cut where the block's content ends.
fn clip(run: Range<u16>, symbol_size: usize, len: u32) -> Range<usize> {
    let end = (usize::from(run.end) * symbol_size).min(len as usize);
    (usize::from(run.start) * symbol_size).min(end)..end
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
