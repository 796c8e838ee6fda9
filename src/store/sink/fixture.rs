//! Objects for the tests of sinks, and a sender and receiver joined by a function call.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::existing::{Existing, Have};
use super::look::Looking;
use super::{Means, Place};
use crate::fec::Encoder;
use crate::ids::{BlockNo, Hash};
use crate::object::table::{Entry, EntryKind, FileTable, TableWriter};
use crate::object::{BlockKind, Codec, Geometry, ObjectKind, Part, SafeName};
use crate::rng::Rng;
use crate::store::disk::Disk;
use crate::store::table_bytes::pack;
use crate::store::{
    BlockBuf, BlockPool, BlockResult, KnownHashes, Memory, Put, Sink, SinkError, Store,
};
use crate::symbol_set::SymbolSet;

/// Symbol size and source symbols a block of most tests: 4 KiB blocks.
pub(super) const SYMBOL: u16 = 1_024;
pub(super) const K: u16 = 4;
pub(super) const SIZE: usize = SYMBOL as usize;

/// The time and mode of the files.
pub(super) const TIME: i64 = 1_000_000_000_123_456_789;

pub(super) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

/// A file of these bytes, offered.
pub(super) fn offer(content: &[u8], mode: u32, codec: Codec) -> Memory {
    let table = table(&[file("file.bin", content.len(), mode)]);
    offer_table(&table, content, ObjectKind::File, codec)
}

/// A table's entry of a file.
pub(super) fn file(path: &str, length: usize, mode: u32) -> Entry<'_> {
    Entry {
        path: path.as_bytes(),
        kind: EntryKind::File {
            length: length as u64,
            hash: None,
            holes: Vec::new(),
        },
        mtime: TIME,
        mode,
        owner: None,
        xattrs: Vec::new(),
    }
}

/// A table's entry of a folder.
pub(super) fn folder(path: &str) -> Entry<'_> {
    Entry {
        kind: EntryKind::Folder,
        ..file(path, 0, 0o755)
    }
}

/// A table of these entries, as it travels. Files of a folder have a hash, which nobody looks at.
pub(super) fn table(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut writer = TableWriter::new();
    for mut entry in entries.iter().cloned() {
        if let EntryKind::File { hash, .. } = &mut entry.kind
            && entries.len() > 1
        {
            *hash = Some(Hash::default());
        }
        writer.push(&entry).unwrap();
    }
    pack(writer.finish())
}

/// The means as they are.
pub(super) fn real() -> Means {
    Means::real(KnownHashes::none(), super::TreeOptions::default())
}

/// The same, and what is there may be replaced.
pub(super) fn replacing() -> Means {
    let options = super::TreeOptions {
        overwrite: true,
        ..super::TreeOptions::default()
    };
    Means::real(KnownHashes::none(), options)
}

/// An object of any table, offered.
pub(super) fn offer_table(table: &[u8], content: &[u8], kind: ObjectKind, codec: Codec) -> Memory {
    let name = SafeName::offered("file.bin").unwrap();
    Memory::of(&name, kind, table, content, (SYMBOL, u32::from(K), codec)).unwrap()
}

/// An object of random bytes, and the bytes.
pub(super) fn source(len: usize, seed: u64) -> (Memory, Vec<u8>) {
    let content = bytes(len, seed);
    (offer(&content, 0o644, Codec::None), content)
}

/// The same with parity.
pub(super) fn source_with_parity(len: usize, seed: u64) -> (Memory, Vec<u8>) {
    let content = bytes(len, seed);
    (offer(&content, 0o644, Codec::ReedSolomon), content)
}

/// All blocks of one kind or several.
pub(super) fn blocks(g: &Geometry, kinds: &[&str]) -> Vec<BlockNo> {
    let kind = |block| match g.kind(block) {
        BlockKind::Data {
            part: Part::Content,
            ..
        } => "content",
        BlockKind::Data { .. } => "table",
        BlockKind::Page { .. } => "pages",
    };
    (0..g.blocks())
        .filter(|&b| kinds.contains(&kind(b)))
        .collect()
}

/// A block's symbols, parity too.
pub(super) fn symbols(s: &dyn Store, block: BlockNo) -> Vec<Vec<u8>> {
    let g = s.description().geometry;
    let mut slot = vec![0xaa; usize::from(g.symbols(block) + g.parity(block)) * SIZE];
    s.read_block_with_parity(block, &mut slot, &mut Encoder::new())
        .unwrap();
    slot.chunks(SIZE).map(<[u8]>::to_vec).collect()
}

/// A buffer of one block with these of its symbols.
pub(super) fn buffer(g: &Geometry, block: BlockNo, all: &[Vec<u8>], which: &[u16]) -> BlockBuf {
    let mut pool = BlockPool::new(0);
    pool.open(1, g);
    for &symbol in which {
        let put = pool.put(1, block, symbol, &all[usize::from(symbol)]);
        assert!(matches!(put, Put::Kept), "{put:?}");
    }
    pool.take(1, block).unwrap()
}

/// Names in a folder.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The incomplete file.
pub(super) fn part_of(into: &Path) -> PathBuf {
    into.join("file.bin.part")
}

/// What the driver and the engine do between a source and a sink, without loss.
pub(super) struct Carrier {
    pub(super) pool: BlockPool,
    /// Which symbols of each block have been given to the sink since it was last finished.
    have: Vec<SymbolSet>,
    /// Blocks that came out bad.
    pub(super) bad: Vec<BlockNo>,
    /// Blocks that were said to be here without having come.
    pub(super) here: BTreeSet<BlockNo>,
    pub(super) evictions: usize,
}

impl Carrier {
    pub(super) fn new(s: &Memory) -> Carrier {
        Carrier::with_memory(s, 0)
    }

    pub(super) fn with_memory(s: &Memory, limit: usize) -> Carrier {
        let g = s.description().geometry;
        let mut pool = BlockPool::new(limit);
        pool.open(1, &g);
        Carrier {
            pool,
            have: vec![SymbolSet::new(); g.blocks() as usize],
            bad: Vec::new(),
            here: BTreeSet::new(),
            evictions: 0,
        }
    }

    /// Brings one symbol, and finishes its block if it was the last that it needs.
    pub(super) fn bring(
        &mut self,
        sink: &mut Sink,
        block: BlockNo,
        symbol: u16,
        payload: &[u8],
    ) -> Result<(), SinkError> {
        let g = sink.description().geometry;
        if g.is_page(block) {
            let settled = sink.store_page(block, payload)?;
            self.bad.extend(settled.bad);
            return Ok(());
        }
        match self.pool.put(1, block, symbol, payload) {
            Put::Kept => {}
            Put::Evicted(buf) => {
                self.evictions += 1;
                let result = sink.write_partial(&buf);
                self.pool.give_back(buf);
                result?;
            }
            other => panic!("{other:?}"),
        }
        self.have[block as usize].insert(symbol);
        self.finish_if_enough(sink, block)
    }

    fn finish_if_enough(&mut self, sink: &mut Sink, block: BlockNo) -> Result<(), SinkError> {
        let have = &mut self.have[block as usize];
        if have.len() < usize::from(sink.description().geometry.symbols(block)) {
            return Ok(());
        }
        have.clear();
        let mut buf = self.pool.take(1, block);
        let result = sink.finish_block(block, buf.as_mut());
        if let Some(buf) = buf {
            self.pool.give_back(buf);
        }
        if result? == BlockResult::Bad {
            self.bad.push(block);
        }
        Ok(())
    }

    /// Lets the sink use what there is already, to the end. Gives how many steps that took.
    pub(super) fn after_table(&mut self, sink: &mut Sink) -> Result<usize, SinkError> {
        for step in 1.. {
            let settled = sink.after_table()?;
            self.here.extend(settled.verified);
            for (block, symbols) in settled.here {
                self.here.insert(block);
                self.have[block as usize].union_with(&symbols);
                self.finish_if_enough(sink, block)?;
            }
            if !settled.more {
                return Ok(step);
            }
        }
        unreachable!()
    }

    /// Brings all source symbols of these blocks, in an order of `rng`'s.
    pub(super) fn bring_all(
        &mut self,
        sink: &mut Sink,
        source: &Memory,
        blocks: &[BlockNo],
        rng: &mut Rng,
    ) -> Result<(), SinkError> {
        let g = source.description().geometry;
        let all = blocks
            .iter()
            .flat_map(|&b| (0..g.symbols(b)).map(move |s| (b, s)));
        self.bring_these(sink, source, all.collect(), rng)
    }

    /// Brings of each block as many symbols as are enough, source or parity as `rng` draws, some of
    /// them twice, in an order of `rng`'s.
    pub(super) fn bring_enough(
        &mut self,
        sink: &mut Sink,
        source: &Memory,
        blocks: &[BlockNo],
        rng: &mut Rng,
    ) -> Result<(), SinkError> {
        let g = source.description().geometry;
        let mut all = Vec::new();
        for &block in blocks {
            let mut symbols: Vec<u16> = (0..g.symbols(block) + g.parity(block)).collect();
            shuffle(&mut symbols, rng);
            symbols.truncate(g.symbols(block).into());
            let twice = rng.below(3) as usize;
            all.extend(symbols.iter().take(twice).map(|&s| (block, s)));
            all.extend(symbols.iter().map(|&s| (block, s)));
        }
        self.bring_these(sink, source, all, rng)
    }

    fn bring_these(
        &mut self,
        sink: &mut Sink,
        source: &Memory,
        mut all: Vec<(BlockNo, u16)>,
        rng: &mut Rng,
    ) -> Result<(), SinkError> {
        shuffle(&mut all, rng);
        for (block, symbol) in all {
            let bytes = symbols(source, block).swap_remove(symbol.into());
            self.bring(sink, block, symbol, &bytes)?;
        }
        Ok(())
    }

    /// Brings everything of some kinds.
    pub(super) fn bring_kinds(&mut self, sink: &mut Sink, s: &Memory, kinds: &[&str], seed: u64) {
        let which = blocks(&s.description().geometry, kinds);
        self.bring_all(sink, s, &which, &mut Rng::new(seed))
            .unwrap();
    }

    /// Brings what is not held yet, block after block, the table first.
    pub(super) fn bring_rest(&mut self, sink: &mut Sink, s: &Memory) -> Result<(), SinkError> {
        let g = s.description().geometry;
        for block in 0..g.blocks() {
            for symbol in 0..g.symbols(block) {
                if sink.bits.whole(block) || self.have[block as usize].contains(symbol) {
                    continue;
                }
                let bytes = symbols(s, block).swap_remove(symbol.into());
                self.bring(sink, block, symbol, &bytes)?;
            }
            if block + 1 == g.first_content_block() {
                self.after_table(sink)?;
            }
        }
        Ok(())
    }
}

fn shuffle<T>(all: &mut [T], rng: &mut Rng) {
    for i in (1..all.len()).rev() {
        all.swap(i, rng.below(i as u64 + 1) as usize);
    }
}

/// The means as they are, with something between files and their writers.
pub(super) fn wrapping(wrap: impl Fn(File) -> Box<dyn Disk> + Send + Sync + 'static) -> Means {
    Means {
        wrap: Arc::new(wrap),
        ..real()
    }
}

/// A tree that is one file named `tree`, by place in the content; complete it is `tree.done`.
struct FlatTree {
    into: PathBuf,
    disk: Box<dyn Disk>,
}

impl Place for FlatTree {
    fn write(&mut self, content: Range<u64>, bytes: &[u8]) -> Result<(), SinkError> {
        let result = self.disk.write_at(bytes, content.start);
        result.map_err(|e| SinkError::write(&self.into, e))
    }

    fn read(&self, content: Range<u64>, into: &mut [u8]) -> Result<(), SinkError> {
        let result = self.disk.read_at(into, content.start);
        result.map_err(|e| SinkError::read(&self.into, e))
    }

    fn finish(&mut self, _: &FileTable) -> Result<(), SinkError> {
        std::fs::rename(self.into.join("tree"), self.into.join("tree.done")).unwrap();
        Ok(())
    }

    fn abandon(&mut self, keep: bool) -> Result<(), SinkError> {
        if !keep {
            std::fs::remove_file(self.into.join("tree")).unwrap();
        }
        Ok(())
    }
}

/// These means, with trees that are one file.
pub(super) fn with_trees(means: Means, len: u64) -> Means {
    let wrap = means.wrap.clone();
    Means {
        tree: Arc::new(move |tree| {
            let path = tree.folder.join("tree");
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).open(&path);
            let file = file.map_err(|e| SinkError::write(&path, e))?;
            file.set_len(len).unwrap();
            Ok(Box::new(FlatTree {
                into: tree.folder.to_path_buf(),
                disk: wrap(file),
            }))
        }),
        ..means
    }
}

/// What is there already, in memory.
#[derive(Clone, Default)]
pub(super) struct There {
    pub(super) complete: bool,
    pub(super) have: Vec<Have>,
    pub(super) content: Vec<u8>,
}

impl Existing for There {
    fn is_complete(&self) -> bool {
        self.complete
    }

    fn ranges(&self, content: Range<u64>) -> Vec<Have> {
        let meets = |h: &&Have| h.content.start < content.end && content.start < h.content.end;
        self.have.iter().filter(meets).cloned().collect()
    }

    fn read(&self, content: Range<u64>, into: &mut [u8]) -> std::io::Result<()> {
        let bytes = self
            .content
            .get(content.start as usize..content.end as usize);
        into.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// These means, with something there already.
pub(super) fn with_existing(means: Means, there: There) -> Means {
    Means {
        existing: Arc::new(move |_, _| Looking::done(Box::new(there.clone()))),
        ..means
    }
}
