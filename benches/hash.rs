//! How fast a source is hashed, read back and checked, and how fast a receiver's blocks are put
//! together, hashed and written. Bytes of file a second, on files in the page cache.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loopcast::object::{BlockKind, Codec, ObjectKind, Part, SafeName};
use loopcast::rng::Rng;
use loopcast::store::tree::ScanOptions;
use loopcast::store::{
    BlockPool, BlockResult, Cut, DEFAULT_POOL, KnownHashes, Put, Sink, Source, Store,
};

const LEN: usize = 64 << 20;
const SYMBOL: u16 = 1_344;

fn open(path: &Path) -> Source {
    let progress = |_, _| ControlFlow::Continue(());
    let cut = Cut {
        symbol_size: SYMBOL,
        block_kib: None,
        codec: Codec::None,
    };
    let name = SafeName::offered("file").expect("a name");
    let (kind, options) = (ObjectKind::File, ScanOptions::default());
    let known = KnownHashes::none();
    Source::open(path, &name, kind, &options, cut, &known, progress).expect("a source")
}

/// A sink that has the table and all pages, so that blocks are proven at once.
fn ready_sink(into: &Path, source: &Source) -> Sink {
    let mut sink = Sink::open(into, source.description()).expect("a sink");
    let g = source.description().geometry;
    let mut slot = vec![0; usize::from(g.k()) * usize::from(SYMBOL)];
    for page in g.page_blocks() {
        source.read_block(page, &mut slot).expect("a page");
        sink.store_page(page, &slot[..usize::from(SYMBOL)])
            .expect("a page kept");
    }
    sink
}

/// Every content block, symbol by symbol as from the network, to disk.
fn receive(sink: &mut Sink, source: &Source, content: &[u8]) {
    let g = source.description().geometry;
    let mut pool = BlockPool::new(DEFAULT_POOL);
    pool.open(1, &g);
    let mut padded = [0; SYMBOL as usize];
    for block in g.blocks_of(Part::Content) {
        let BlockKind::Data { offset, len, .. } = g.kind(block) else {
            continue;
        };
        let bytes = &content[offset as usize..][..len as usize];
        for (symbol, payload) in (0..).zip(bytes.chunks(SYMBOL.into())) {
            padded[..payload.len()].copy_from_slice(payload);
            let payload = if payload.len() == padded.len() {
                payload
            } else {
                &padded
            };
            assert!(matches!(pool.put(1, block, symbol, payload), Put::Kept));
        }
        let mut buf = pool.take(1, block);
        let result = sink
            .finish_block(block, buf.as_mut())
            .expect("a block written");
        assert_eq!(result, BlockResult::Verified);
        buf.into_iter().for_each(|b| pool.give_back(b));
    }
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    let mut rng = Rng::new(1);
    let content: Vec<u8> = (0..LEN / 8)
        .flat_map(|_| rng.next_u64().to_le_bytes())
        .collect();
    std::fs::write(&path, &content).expect("a file");
    let source = open(&path);
    let g = source.description().geometry;

    let mut group = c.benchmark_group("store");
    group
        .sample_size(10)
        .throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("hash a source", |b| b.iter(|| black_box(open(&path))));
    group.bench_function("read and check its blocks", |b| {
        let mut slot = vec![0; usize::from(g.k()) * usize::from(SYMBOL)];
        b.iter(|| {
            (0..g.blocks()).for_each(|n| {
                source.read_block(n, &mut slot).expect("a block");
            })
        });
    });
    group.bench_function("put together, check and write blocks", |b| {
        let fresh = || {
            let into = tempfile::tempdir().expect("a folder");
            let sink = ready_sink(into.path(), &source);
            (into, sink)
        };
        let run = |(into, mut sink): (tempfile::TempDir, Sink)| {
            receive(&mut sink, &source, &content);
            (into, sink)
        };
        b.iter_batched(fresh, run, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
