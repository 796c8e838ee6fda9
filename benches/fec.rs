//! How fast parity is made and used, in bytes of content a second: alone, and as a sender reads its
//! file (from the page cache). `receive_path` has the other end.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loopcast::fec::{Decoder, Encoder};
use loopcast::object::{Codec, ObjectKind, SafeName};
use loopcast::rng::Rng;
use loopcast::store::tree::ScanOptions;
use loopcast::store::{Cut, KnownHashes, Source, Store};

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
        for lost in [1, 5, 16, n / 20, 80, n] {
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
    let cut = Cut {
        symbol_size: SYMBOL as u16,
        block_kib: None,
        codec,
    };
    let name = SafeName::offered("file").expect("a name");
    let (kind, options) = (ObjectKind::File, ScanOptions::default());
    let known = KnownHashes::none();
    Source::open(path, &name, kind, &options, cut, &known, progress).expect("a source")
}

fn from_disk(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    std::fs::write(&path, bytes(LEN)).expect("a file");
    let source = open(&path, Codec::ReedSolomon);

    let mut group = c.benchmark_group("read with parity");
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
    group.finish();
}

criterion_group!(benches, alone, from_disk);
criterion_main!(benches);
