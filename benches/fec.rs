//! How fast parity is made and used, in bytes of content a second: alone, and on a receiver's whole
//! way from symbols to disk (files in the page cache).

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loopcast::fec::{Decoder, Encoder};
use loopcast::object::Codec;
use loopcast::rng::Rng;
use loopcast::store::{BlockPool, BlockResult, DEFAULT_POOL, HashCache, Put, Sink, Source};

const SYMBOL: usize = 1_344;
const LEN: usize = 64 << 20;

fn bytes(len: usize) -> Vec<u8> {
    let mut rng = Rng::new(1);
    (0..len.div_ceil(8))
        .flat_map(|_| rng.next_u64().to_le_bytes())
        .take(len)
        .collect()
}

fn alone(c: &mut Criterion) {
    let mut group = c.benchmark_group("parity");
    for n in [512_u16, 1_024] {
        let source = bytes(usize::from(n) * SYMBOL);
        let mut parity = vec![0; source.len()];
        group.throughput(Throughput::Bytes(source.len() as u64));
        for m in [64, n] {
            let mut encoder = Encoder::new();
            group.bench_function(format!("make {m} for {n}"), |b| {
                let parity = &mut parity[..usize::from(m) * SYMBOL];
                b.iter(|| encoder.encode(SYMBOL, &source, black_box(parity)));
            });
        }
        for lost in [1, n / 20, n] {
            let mut decoder = Decoder::new();
            let mut block = source.clone();
            group.bench_function(format!("restore {lost} of {n}"), |b| {
                b.iter(|| {
                    let mut decoding = decoder.begin(n, n, SYMBOL).expect("a shape");
                    let here = (lost..).zip(source.chunks(SYMBOL).skip(lost.into()));
                    let parity = (n..).zip(parity.chunks(SYMBOL).take(lost.into()));
                    for (symbol, bytes) in here.chain(parity) {
                        decoding.add(symbol, bytes).expect("a symbol");
                    }
                    decoding.restore(black_box(&mut block)).expect("enough")
                });
            });
            assert!(block == source, "restored");
        }
    }
    group.finish();
}

fn open(path: &Path, codec: Codec) -> Source {
    let progress = |_, _| ControlFlow::Continue(());
    let cache = HashCache::none();
    Source::open(path, "file", SYMBOL as u16, None, codec, &cache, progress).expect("a source")
}

/// Every block of the object with its parity, as a sender has it in its slots.
fn slots(source: &Source) -> Vec<Vec<u8>> {
    let g = source.description().geometry;
    let mut encoder = Encoder::new();
    let block = |block| {
        let mut slot = vec![0; usize::from(g.k() + g.m()) * SYMBOL];
        let len = source.read_block_with_parity(block, &mut slot, &mut encoder);
        slot.truncate(len.expect("a block"));
        slot
    };
    (0..g.blocks()).map(block).collect()
}

/// A sink that has all pages, so that blocks are proven at once.
fn ready_sink(into: &Path, source: &Source, slots: &[Vec<u8>]) -> Sink {
    let mut sink = Sink::open(into, source.description()).expect("a sink");
    let g = source.description().geometry;
    for page in 0..g.pages() {
        let (block, symbol) = g.place_of_page(page);
        let bytes = &slots[block as usize][usize::from(symbol) * SYMBOL..][..SYMBOL];
        sink.store_page(page, bytes).expect("a page kept");
    }
    sink
}

/// Every content block to disk, with parity for each source symbol whose number `lost` divides.
fn receive(sink: &mut Sink, source: &Source, slots: &[Vec<u8>], lost: Option<u16>) {
    let g = source.description().geometry;
    let mut pool = BlockPool::new(DEFAULT_POOL);
    pool.open(1, &g);
    for block in g.first_content_block()..g.blocks() {
        let n = g.symbols(block);
        let came = |s: &u16| lost.is_none_or(|every| !s.is_multiple_of(every));
        let source = (0..n).filter(came);
        let parity = (n..).take(usize::from(n) - source.clone().count());
        for symbol in source.chain(parity) {
            let payload = &slots[block as usize][usize::from(symbol) * SYMBOL..][..SYMBOL];
            assert!(matches!(pool.put(1, block, symbol, payload), Put::Kept));
        }
        let mut buf = pool.take(1, block);
        let result = sink.finish_block(block, buf.as_mut());
        assert_eq!(result.expect("a block written"), BlockResult::Verified);
        buf.into_iter().for_each(|b| pool.give_back(b));
    }
}

fn to_disk(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    std::fs::write(&path, bytes(LEN)).expect("a file");
    let source = open(&path, Codec::ReedSolomon);
    let all = slots(&source);

    let mut group = c.benchmark_group("store with parity");
    group
        .sample_size(10)
        .throughput(Throughput::Bytes(LEN as u64));
    group.bench_function("read, check and make parity", |b| {
        let g = source.description().geometry;
        let mut slot = vec![0; usize::from(g.k() + g.m()) * SYMBOL];
        let mut encoder = Encoder::new();
        b.iter(|| {
            for block in 0..g.blocks() {
                let read = source.read_block_with_parity(block, &mut slot, &mut encoder);
                black_box(read.expect("a block"));
            }
        });
    });
    let losses = [
        ("nothing lost", None),
        ("1 % lost", Some(100)),
        ("5 % lost", Some(20)),
        ("all lost", Some(1)),
    ];
    for (name, lost) in losses {
        let fresh = || {
            let into = tempfile::tempdir().expect("a folder");
            let sink = ready_sink(into.path(), &source, &all);
            (into, sink)
        };
        let run = |(into, mut sink): (tempfile::TempDir, Sink)| {
            receive(&mut sink, &source, &all, lost);
            (into, sink)
        };
        group.bench_function(format!("symbols to disk, {name}"), |b| {
            b.iter_batched(fresh, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, alone, to_disk);
criterion_main!(benches);
