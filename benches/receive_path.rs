//! A receiver's whole path from packets to disk, decoding included, in bytes of content a second:
//! packets parsed and checked, symbols put together, what was lost restored from parity, blocks
//! hashed and written (to the page cache).

use std::ops::ControlFlow;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loopcast::fec::Encoder;
use loopcast::ids::{SessionId, ShortCodingId};
use loopcast::object::{Codec, ObjectKind, Part, SafeName};
use loopcast::rng::Rng;
use loopcast::store::tree::ScanOptions;
use loopcast::store::{
    BlockPool, BlockResult, Cut, DEFAULT_POOL, KnownHashes, Put, Sink, Source, Store,
};
use loopcast::wire::{self, DataHeader, Packet};

const SYMBOL: usize = 1_344;
const LEN: usize = 64 << 20;

/// Every block's packets, source and parity, in order and of one length.
struct Sent {
    source: Source,
    blocks: Vec<Vec<u8>>,
}

impl Sent {
    fn new(dir: &Path) -> Sent {
        let path = dir.join("file");
        let mut rng = Rng::new(1);
        let content = (0..LEN / 8).flat_map(|_| rng.next_u64().to_le_bytes());
        std::fs::write(&path, content.collect::<Vec<_>>()).expect("a file");
        let go_on = |_, _| ControlFlow::Continue(());
        let known = KnownHashes::none();
        let cut = Cut {
            symbol_size: SYMBOL as u16,
            block_kib: None,
            codec: Codec::ReedSolomon,
        };
        let (name, kind) = (SafeName::offered("file").expect("a name"), ObjectKind::File);
        let options = ScanOptions::default();
        let source = Source::open(&path, &name, kind, &options, cut, &known, go_on);
        let source = source.expect("a source");

        let g = source.description().geometry;
        let mut encoder = Encoder::new();
        let mut slot = vec![0; usize::from(g.k() + g.m()) * SYMBOL];
        let mut packets = |block| {
            let len = source.read_block_with_parity(block, &mut slot, &mut encoder);
            let mut out = Vec::new();
            let symbols = slot[..len.expect("a block")].chunks(SYMBOL);
            for (symbol, payload) in (0..).zip(symbols) {
                let header = DataHeader {
                    channel: 0,
                    session: SessionId(1),
                    coding: ShortCodingId(1),
                    packet: 0,
                    block,
                    symbol,
                    repair: false,
                    one_way: false,
                    part: None,
                };
                wire::write_data(&header, payload, &mut out);
            }
            out
        };
        let blocks = (0..g.blocks()).map(&mut packets).collect();
        Sent { source, blocks }
    }

    fn packet(&self, block: u32, symbol: u16) -> (DataHeader, &[u8]) {
        let len = wire::data_packet_len(SYMBOL as u16);
        let packet = &self.blocks[block as usize][usize::from(symbol) * len..][..len];
        match wire::parse(packet) {
            Ok(Packet::Data(header, payload)) => (header, payload),
            other => panic!("no data packet: {other:?}"),
        }
    }

    /// A sink that has all pages, so that blocks are proven at once.
    fn sink(&self, into: &Path) -> Sink {
        let mut sink = Sink::open(into, self.source.description()).expect("a sink");
        let g = self.source.description().geometry;
        for page in g.page_blocks() {
            let (_, payload) = self.packet(page, 0);
            sink.store_page(page, payload).expect("a page kept");
        }
        sink
    }

    /// Every content block to disk, with parity for each source symbol whose number `lost` divides.
    fn receive(&self, sink: &mut Sink, lost: Option<u16>) {
        let g = self.source.description().geometry;
        let mut pool = BlockPool::new(DEFAULT_POOL);
        pool.open(1, &g);
        for block in g.blocks_of(Part::Content) {
            let n = g.symbols(block);
            let came = |s: &u16| lost.is_none_or(|every| !s.is_multiple_of(every));
            let source = (0..n).filter(came);
            let parity = (n..).take(usize::from(n) - source.clone().count());
            for symbol in source.chain(parity) {
                let (header, payload) = self.packet(block, symbol);
                let put = pool.put(1, header.block, header.symbol, payload);
                assert!(matches!(put, Put::Kept));
            }
            let mut buf = pool.take(1, block);
            let result = sink.finish_block(block, buf.as_mut());
            assert_eq!(result.expect("a block written"), BlockResult::Verified);
            buf.into_iter().for_each(|b| pool.give_back(b));
        }
    }
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let sent = Sent::new(dir.path());
    let mut group = c.benchmark_group("packets to disk");
    group
        .sample_size(10)
        .throughput(Throughput::Bytes(LEN as u64));
    let losses = [
        ("nothing lost", None),
        ("1 % lost", Some(100)),
        ("5 % lost", Some(20)),
        ("20 % lost", Some(5)),
        ("all lost", Some(1)),
    ];
    for (name, lost) in losses {
        let fresh = || {
            let into = tempfile::tempdir().expect("a folder");
            let sink = sent.sink(into.path());
            (into, sink)
        };
        let run = |(into, mut sink): (tempfile::TempDir, Sink)| {
            sent.receive(&mut sink, lost);
            (into, sink)
        };
        group.bench_function(name, |b| {
            b.iter_batched(fresh, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
