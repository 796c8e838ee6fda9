//! A sink as a [`Store`]: the folder that objects come into, and reading back what is verified.

use std::path::PathBuf;

use super::{Means, Replaces, Sink, TreeOptions};
use crate::fault::StoreFault;
use crate::ids::BlockNo;
use crate::object::{BlockKind, Description};
use crate::range_set::RangeSet;
use crate::store::traits::{content_blocks, fitting, not_held, source_len};
use crate::store::{
    BlockBuf, BlockResult, Destination, KnownHashes, Opened, Remarks, Selection, Settled, Store,
};

/// A folder that objects come into, each as a file or folder of the name that it is offered under.
#[derive(Clone, Debug)]
pub struct FolderDestination {
    folder: PathBuf,
    known: KnownHashes,
    options: TreeOptions,
    replaces: Replaces,
    selection: Selection,
}

impl FolderDestination {
    /// Takes a folder, which is made when the first object comes.
    pub fn new(folder: impl Into<PathBuf>) -> FolderDestination {
        FolderDestination {
            folder: folder.into(),
            known: KnownHashes::none(),
            options: TreeOptions::default(),
            replaces: Replaces::default(),
            selection: Selection::default(),
        }
    }

    /// Options: what of an object is applied, and what may be done to what is there.
    #[must_use]
    pub fn tree_options(mut self, options: TreeOptions) -> FolderDestination {
        self.options = options;
        self
    }

    /// The part of objects that is wanted.
    #[must_use]
    pub fn select(mut self, selection: Selection) -> FolderDestination {
        self.selection = selection;
        self
    }

    /// Takes hashes of files that are there already, so that they need not be read to be found.
    #[must_use]
    pub fn known_hashes(mut self, known: KnownHashes) -> FolderDestination {
        self.known = known;
        self
    }
}

impl Destination for FolderDestination {
    fn open(&mut self, description: &Description) -> Result<Opened, StoreFault> {
        let wanted = self.selection.of(description)?;
        let is_part = !wanted.is_all();
        let means = Means {
            wanted,
            replaces: self.replaces.clone().all(self.options.overwrite),
            ..Means::real(self.known.clone(), self.options)
        };
        let sink = Sink::open_with(&self.folder, description, means)?;
        Ok(Opened {
            looks: is_part || std::fs::symlink_metadata(sink.path()).is_ok(),
            path: sink.path(),
            moved_aside: sink.moved_aside().cloned(),
            store: Box::new(sink),
        })
    }
}

impl Store for Sink {
    fn description(&self) -> &Description {
        &self.description
    }

    fn held(&self) -> RangeSet {
        Sink::held(self)
    }

    fn read_block(&self, block: BlockNo, slot: &mut [u8]) -> Result<usize, StoreFault> {
        let g = &self.description.geometry;
        let bytes = source_len(g, block);
        let slot = fitting(g, block, bytes, slot)?;
        if !self.bits.verified.contains(block) {
            return Err(not_held(block));
        }
        match g.kind(block) {
            BlockKind::Page { .. } => self.sidecar.read_page(block, slot)?,
            BlockKind::Data { len, .. } => {
                let (data, rest) = slot.split_at_mut(len as usize);
                rest.fill(0);
                self.read_data(block, 0, data)?;
            }
        }
        Ok(bytes)
    }

    /// Reads in one go unless blocks wait in the spool.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StoreFault> {
        let g = &self.description.geometry;
        let end = offset.saturating_add(bytes.len() as u64);
        let mut blocks = content_blocks(g, offset..end)?;
        if let Some(block) = blocks.find(|&block| !self.bits.verified.contains(block)) {
            return Err(not_held(block));
        }
        if self.bits.spooled.ones() == 0 && !bytes.is_empty() {
            return Ok(self.read_content(offset, bytes)?);
        }
        for block in content_blocks(g, offset..end)? {
            let Some(data) = self.data(block) else {
                continue;
            };
            let range = data.range();
            let (from, to) = (offset.max(range.start), end.min(range.end));
            let wanted = &mut bytes[(from - offset) as usize..(to - offset) as usize];
            self.read_data(block, from - range.start, wanted)?;
        }
        Ok(())
    }

    fn write_partial(&mut self, buf: &BlockBuf) -> Result<(), StoreFault> {
        Ok(Sink::write_partial(self, buf)?)
    }

    fn finish_block(
        &mut self,
        block: BlockNo,
        buf: Option<&mut BlockBuf>,
    ) -> Result<BlockResult, StoreFault> {
        Ok(Sink::finish_block(self, block, buf)?)
    }

    fn store_page(&mut self, block: BlockNo, symbol: &[u8]) -> Result<Settled, StoreFault> {
        Ok(Sink::store_page(self, block, symbol)?)
    }

    fn after_table(&mut self) -> Result<Settled, StoreFault> {
        Ok(Sink::after_table(self)?)
    }

    fn finish(&mut self) -> Result<(), StoreFault> {
        Sink::finish(self)?;
        Ok(())
    }

    fn remarks(&self) -> Remarks {
        let remarks = self.place.as_ref().map(|place| place.remarks());
        remarks.unwrap_or_default()
    }

    fn abandon(&mut self, keep: bool) -> Result<(), StoreFault> {
        Ok(Sink::abandon(self, keep)?)
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "seam_tests.rs"]
mod tests;
