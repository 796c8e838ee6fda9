//! The seam between what moves bytes and what keeps them.
//!
//! A [`Store`] keeps one object: a file that is offered, a file that is coming in, or bytes in
//! memory. A [`Destination`] makes stores for objects that come. Whoever moves bytes (the driver's
//! threads, the simulator, a loop of one's own) calls a store once for each block, never for each
//! packet.

use core::fmt;
use std::path::PathBuf;

use crate::fault::{FaultKind, StoreFault};
use crate::fec::Encoder;
use crate::ids::BlockNo;
use crate::object::{BlockKind, Description, Geometry, Part};
use crate::range_set::RangeSet;
use crate::store::{BlockBuf, Remarks};
use crate::symbol_set::SymbolSet;

/// One object in storage: blocks are read through a shared reference, by any thread, and written by
/// one thread at a time.
///
/// Blocks, not symbols, are the unit. What is written is not believed before its hash holds, and
/// nothing can be read before that. A store that is only read from need not have the methods that
/// write: they refuse with [`FaultKind::Denied`].
pub trait Store: fmt::Debug + Send + Sync {
    /// What the object is and how it is cut up.
    fn description(&self) -> &Description;

    /// Blocks that are here and whose hashes hold, those of an earlier run too. They need not come
    /// again, and can be read.
    fn held(&self) -> RangeSet;

    /// Ranges of the content that are zeros by the table, which need not be sent to who has that.
    fn holes(&self) -> RangeSet {
        RangeSet::new()
    }

    /// Whether what is kept still looks like what was offered, without reading it; a fault of
    /// [`FaultKind::Changed`] if not.
    fn check(&self) -> Result<(), StoreFault> {
        Ok(())
    }

    /// Reads all source symbols of a block that is held into the start of `slot` (at least as many
    /// bytes as those symbols have), the last one filled up with zeros. Gives how many bytes.
    ///
    /// Where others can change what is kept, the block is checked; a block that is not what was
    /// offered is [`FaultKind::Changed`].
    fn read_block(&self, block: BlockNo, slot: &mut [u8]) -> Result<usize, StoreFault>;

    /// Reads a block like [`read_block`](Store::read_block), with all
    /// [`parity`](Geometry::parity) symbols of the block behind its source symbols: symbol s at s
    /// times the symbol size. The slot must hold them all.
    fn read_block_with_parity(
        &self,
        block: BlockNo,
        slot: &mut [u8],
        encoder: &mut Encoder,
    ) -> Result<usize, StoreFault> {
        let g = self.description().geometry;
        let size = usize::from(g.symbol_size());
        let source = self.read_block(block, slot)?;
        let bytes = source + usize::from(g.parity(block)) * size;
        let slot = fitting(&g, block, bytes, slot)?;
        let (source, parity) = slot.split_at_mut(source);
        encoder.encode(size, source, parity).map_err(|error| {
            let text = format!("parity of block {block}: {error}");
            StoreFault::new(FaultKind::Other, text)
        })?;
        Ok(bytes)
    }

    /// Reads `bytes` of the content from `offset` on; all blocks that they lie in must be held.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StoreFault> {
        let g = self.description().geometry;
        let end = offset.saturating_add(bytes.len() as u64);
        let mut block_bytes = Vec::new();
        for block in content_blocks(&g, offset..end)? {
            let BlockKind::Data {
                offset: start, len, ..
            } = g.kind(block)
            else {
                continue;
            };
            block_bytes.resize(source_len(&g, block), 0);
            self.read_block(block, &mut block_bytes)?;
            let (from, to) = (offset.max(start), end.min(start + u64::from(len)));
            let wanted = &block_bytes[(from - start) as usize..(to - start) as usize];
            bytes[(from - offset) as usize..(to - offset) as usize].copy_from_slice(wanted);
        }
        Ok(())
    }

    /// Writes the symbols of a block that could not wait in memory until it was whole.
    fn write_partial(&mut self, buf: &BlockBuf) -> Result<(), StoreFault> {
        Err(read_only(buf.block()))
    }

    /// Checks a block of which enough symbols have come (in `buf` or written before), and writes
    /// what is not written yet. The buffer may be given back to the pool then.
    ///
    /// Where there is parity, as many symbols of any kind are enough as the block has source
    /// symbols; those that are missing are restored first. With fewer it is [`BlockResult::Bad`].
    fn finish_block(
        &mut self,
        block: BlockNo,
        buf: Option<&mut BlockBuf>,
    ) -> Result<BlockResult, StoreFault> {
        let _ = buf;
        Err(read_only(block))
    }

    /// Checks and keeps a page of hashes, and settles the blocks that waited for it. A page that
    /// does not prove itself settles nothing.
    fn store_page(&mut self, block: BlockNo, symbol: &[u8]) -> Result<Settled, StoreFault> {
        let _ = symbol;
        Err(read_only(block))
    }

    /// Uses what else is here of the object: files of an earlier version, places that are zeros.
    ///
    /// Called when every block of the table is held, and again as long as the answer says that
    /// there is [`more`](Settled::more); a call reads or writes some 32 MiB, or hashes some 256 MiB
    /// of zeros. Blocks may come in between.
    fn after_table(&mut self) -> Result<Settled, StoreFault> {
        Ok(Settled::default())
    }

    /// Makes an object last of which every block is held, and gives it its name.
    fn finish(&mut self) -> Result<(), StoreFault> {
        Err(read_only(0))
    }

    /// What there is to tell of an object that was finished: what of it is not here as it should
    /// be.
    fn remarks(&self) -> Remarks {
        Remarks::default()
    }

    /// Gives up an object. With `keep` a later run goes on from what is held, else what there is is
    /// removed.
    fn abandon(&mut self, keep: bool) -> Result<(), StoreFault> {
        let _ = keep;
        Err(read_only(0))
    }
}

/// Where objects that come in go to: makes a store for each.
pub trait Destination: fmt::Debug + Send {
    /// Makes a place for an object, or finds what an earlier run left of it.
    fn open(&mut self, description: &Description) -> Result<Opened, StoreFault>;
}

/// An object that has its place.
#[derive(Debug)]
pub struct Opened {
    /// The object's store.
    pub store: Box<dyn Store>,
    /// Where the object will be.
    pub path: PathBuf,
    /// Some of it may be here, or not all of it is wanted:
    /// [`after_table`](Store::after_table) tells, and until it has, only the table is asked for.
    pub looks: bool,
    /// What became of an incomplete file of another content, if there was one.
    pub moved_aside: Option<MovedAside>,
}

/// What became of an incomplete file of another content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedAside {
    /// Where it is now.
    pub path: PathBuf,
    /// An older one was there, which is gone.
    pub replaced: bool,
}

/// How a block came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockResult {
    /// It has the hash that it should and is written.
    Verified,
    /// It is written, but the page with its hash has not come; [`Store::store_page`] will tell.
    Unproven,
    /// It has another hash: all its symbols are to be fetched anew.
    Bad,
}

/// What has been settled of blocks by what came of others: a page, or the file table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// The page does not prove itself and is not kept.
    pub refused: bool,
    /// Blocks that hold now: those that waited for it, and pages and blocks that need not come.
    pub verified: Vec<BlockNo>,
    /// Blocks that waited for it and don't hold: all their symbols are to be fetched anew.
    pub bad: Vec<BlockNo>,
    /// Symbols that are here now without having come. Of a block that has enough with them,
    /// [`finish_block`](Store::finish_block) is to be asked for.
    pub here: Vec<(BlockNo, SymbolSet)>,
    /// Blocks that need not come, though they are not here: nobody wants what is in them.
    pub unwanted: Vec<BlockNo>,
    /// [`after_table`](Store::after_table) is to be called again.
    pub more: bool,
}

/// Bytes of a block's source symbols.
pub(crate) fn source_len(g: &Geometry, block: BlockNo) -> usize {
    usize::from(g.symbols(block)) * usize::from(g.symbol_size())
}

/// The first `bytes` of a slot, which a block needs.
pub(crate) fn fitting<'a>(
    g: &Geometry,
    block: BlockNo,
    bytes: usize,
    slot: &'a mut [u8],
) -> Result<&'a mut [u8], StoreFault> {
    let len = slot.len();
    let has_block = g.symbols(block) > 0;
    slot.get_mut(..bytes).filter(|_| has_block).ok_or_else(|| {
        let text = format!("block {block} of {bytes} bytes does not fit a slot of {len}");
        StoreFault::new(FaultKind::Other, text)
    })
}

/// The blocks that a range of the content lies in.
pub(crate) fn content_blocks(
    g: &Geometry,
    range: core::ops::Range<u64>,
) -> Result<impl Iterator<Item = BlockNo> + use<>, StoreFault> {
    if range.end > g.length() {
        let length = g.length();
        let text = format!("byte {} of an object of {length} bytes", range.end);
        return Err(StoreFault::new(FaultKind::Gone, text));
    }
    let size = u64::from(g.block_size());
    let indices = match range.is_empty() {
        true => 0..0,
        false => range.start / size..range.end.div_ceil(size),
    };
    let g = *g;
    Ok(indices.map(move |index| g.data_block(Part::Content, index as u32)))
}

/// A block that is to be read is not here.
pub(crate) fn not_held(block: BlockNo) -> StoreFault {
    StoreFault::new(FaultKind::Gone, format!("block {block} is not here"))
}

fn read_only(block: BlockNo) -> StoreFault {
    let text = format!("block {block} is in a store that is only read from");
    StoreFault::new(FaultKind::Denied, text)
}
