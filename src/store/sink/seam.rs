//! A sink as a [`Store`]: the folder that objects come into, and reading back what is verified.

use std::path::PathBuf;

use super::Sink;
use crate::fault::StoreFault;
use crate::ids::BlockNo;
use crate::object::{BlockKind, Description};
use crate::range_set::RangeSet;
use crate::store::traits::{content_blocks, fitting, not_held, source_len};
use crate::store::{BlockBuf, BlockResult, Destination, Opened, Settled, Store};

/// A folder that objects come into, each as a file of the name that it is offered under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FolderDestination {
    folder: PathBuf,
}

impl FolderDestination {
    /// Takes a folder, which is made when the first object comes.
    pub fn new(folder: impl Into<PathBuf>) -> FolderDestination {
        let folder = folder.into();
        FolderDestination { folder }
    }
}

impl Destination for FolderDestination {
    fn open(&mut self, description: &Description) -> Result<Opened, StoreFault> {
        let sink = Sink::open(&self.folder, description)?;
        Ok(Opened {
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
        if !self.verified.contains(block) {
            return Err(not_held(block));
        }
        match g.kind(block) {
            BlockKind::Table => {
                let (table, rest) = slot.split_at_mut(g.table_len() as usize);
                rest.fill(0);
                self.sidecar.read_table(table, 0)?;
            }
            BlockKind::Pages { first_page } => {
                let symbols = slot.chunks_exact_mut(g.symbol_size().into());
                for (page, symbol) in (first_page..).zip(symbols) {
                    self.sidecar.read_page(page, symbol)?;
                }
            }
            BlockKind::Content { offset, len, .. } => {
                let (content, rest) = slot.split_at_mut(len as usize);
                rest.fill(0);
                self.read_part(content, offset)?;
            }
        }
        Ok(bytes)
    }

    /// Reads from the file in one go.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StoreFault> {
        let g = &self.description.geometry;
        let end = offset.saturating_add(bytes.len() as u64);
        let mut blocks = content_blocks(g, offset..end)?;
        if let Some(block) = blocks.find(|&block| !self.verified.contains(block)) {
            return Err(not_held(block));
        }
        Ok(self.read_part(bytes, offset)?)
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

    fn store_page(&mut self, page: u32, symbol: &[u8]) -> Result<Settled, StoreFault> {
        Ok(Sink::store_page(self, page, symbol)?)
    }

    fn finish(&mut self) -> Result<(), StoreFault> {
        Sink::finish(self)?;
        Ok(())
    }

    fn abandon(&mut self, keep: bool) -> Result<(), StoreFault> {
        Ok(Sink::abandon(self, keep)?)
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "seam_tests.rs"]
mod tests;
