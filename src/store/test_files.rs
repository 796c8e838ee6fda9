//! Files for the store's tests, and a sender and receiver joined by a function call.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::fec::Encoder;
use crate::ids::BlockNo;
use crate::object::{BlockKind, Codec, Geometry};
use crate::rng::Rng;
use crate::store::{BlockPool, BlockResult, HashCache, Put, Sink, SinkError, Source, Store};
use crate::symbol_set::SymbolSet;

/// Symbol size and k of most tests: 4 KiB blocks.
pub(crate) const SYMBOL: u16 = 1_024;
pub(crate) const K: u16 = 4;

pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

/// A folder with a file of these bytes.
pub(crate) fn file(content: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.bin");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

pub(crate) fn open(path: &Path) -> Source {
    open_with(path, Codec::None)
}

pub(crate) fn open_with(path: &Path, codec: Codec) -> Source {
    Source::open(
        path,
        "file.bin",
        SYMBOL,
        Some(K),
        codec,
        &HashCache::none(),
        |_, _| ControlFlow::Continue(()),
    )
    .unwrap()
}

/// A source over random bytes, and the bytes.
pub(crate) fn source(len: usize, seed: u64) -> (TempDir, Source, Vec<u8>) {
    let content = bytes(len, seed);
    let (dir, path) = file(&content);
    let source = open(&path);
    (dir, source, content)
}

/// The same with parity.
pub(crate) fn source_with_parity(len: usize, seed: u64) -> (TempDir, Source, Vec<u8>) {
    let content = bytes(len, seed);
    let (dir, path) = file(&content);
    let source = open_with(&path, Codec::ReedSolomon);
    (dir, source, content)
}

/// All blocks of one kind or several.
pub(crate) fn blocks(g: &Geometry, kinds: &[&str]) -> Vec<BlockNo> {
    let is_one = |b: &BlockNo| match g.kind(*b) {
        BlockKind::Table => kinds.contains(&"table"),
        BlockKind::Pages { .. } => kinds.contains(&"pages"),
        BlockKind::Content { .. } => kinds.contains(&"content"),
    };
    (0..g.blocks()).filter(is_one).collect()
}

/// What the driver and the engine do between a source and a sink, without loss.
pub(crate) struct Carrier {
    pub(crate) pool: BlockPool,
    /// Which symbols of each block have been given to the sink since it was last finished.
    have: Vec<SymbolSet>,
    /// Blocks that came out bad.
    pub(crate) bad: Vec<BlockNo>,
    pub(crate) evictions: usize,
}

impl Carrier {
    pub(crate) fn new(g: &Geometry, limit: usize) -> Carrier {
        let mut pool = BlockPool::new(limit);
        pool.open(1, g);
        Carrier {
            pool,
            have: vec![SymbolSet::new(); g.blocks() as usize],
            bad: Vec::new(),
            evictions: 0,
        }
    }

    /// Brings one symbol, and finishes its block if it was the last.
    pub(crate) fn bring(
        &mut self,
        sink: &mut Sink,
        g: &Geometry,
        block: BlockNo,
        symbol: u16,
        payload: &[u8],
    ) -> Result<(), SinkError> {
        if let Some(page) = g.page_at(block, symbol) {
            let settled = sink.store_page(page, payload)?;
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
        let have = &mut self.have[block as usize];
        have.insert(symbol);
        if have.len() >= usize::from(g.symbols(block)) {
            have.clear();
            self.finish(sink, block)?;
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut Sink, block: BlockNo) -> Result<(), SinkError> {
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

    /// Brings all source symbols of these blocks, in an order of `rng`'s.
    pub(crate) fn bring_all(
        &mut self,
        sink: &mut Sink,
        source: &Source,
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
    pub(crate) fn bring_enough(
        &mut self,
        sink: &mut Sink,
        source: &Source,
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
        source: &Source,
        mut all: Vec<(BlockNo, u16)>,
        rng: &mut Rng,
    ) -> Result<(), SinkError> {
        let g = source.description().geometry;
        shuffle(&mut all, rng);
        let size = usize::from(g.symbol_size());
        let mut slot = vec![0xaa; usize::from(g.k() + g.m()) * size];
        let mut encoder = Encoder::new();
        for (block, symbol) in all {
            source
                .read_block_with_parity(block, &mut slot, &mut encoder)
                .unwrap();
            let start = usize::from(symbol) * size;
            self.bring(sink, &g, block, symbol, &slot[start..start + size])?;
        }
        Ok(())
    }
}

fn shuffle<T>(all: &mut [T], rng: &mut Rng) {
    for i in (1..all.len()).rev() {
        all.swap(i, rng.below(i as u64 + 1) as usize);
    }
}
