//! How fast data packets are written and read: what every byte of a transfer passes once at the
//! sender and once at each receiver.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use loopcast::config;
use loopcast::ids::{SessionId, ShortCodingId};
use loopcast::wire::{self, DataHeader};

fn header() -> DataHeader {
    DataHeader {
        channel: 0,
        session: SessionId(0x1122_3344_5566_7788),
        coding: ShortCodingId(0xc0d1_c0d1_c0d1_c0d1),
        packet: 123_456,
        block: 40,
        symbol: 17,
        repair: false,
        one_way: false,
        part: None,
    }
}

fn data_packet(c: &mut Criterion) {
    let sizes = [
        ("default", config::DEFAULT_SYMBOL_SIZE),
        ("jumbo", config::MAX_SYMBOL_SIZE),
    ];
    for (name, symbol_size) in sizes {
        let payload = vec![0xa5; usize::from(symbol_size)];
        let mut packet = Vec::with_capacity(wire::data_packet_len(symbol_size));
        wire::write_data(&header(), &payload, &mut packet);
        let mut group = c.benchmark_group(format!("data_packet_{name}"));
        group.throughput(Throughput::Bytes(u64::from(symbol_size)));
        group.bench_function("write", |b| {
            let mut out = Vec::with_capacity(packet.len());
            b.iter(|| {
                out.clear();
                wire::write_data(black_box(&header()), black_box(&payload), &mut out);
                out.len()
            });
        });
        group.bench_function("parse", |b| {
            b.iter(|| wire::parse(black_box(&packet)).is_ok())
        });
        group.finish();
    }
}

criterion_group!(benches, data_packet);
criterion_main!(benches);
