//! What is done once per packet with plain values: symbol sets, range sets and the pacer.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use loopcast::range_set::RangeSet;
use loopcast::rate::Pacer;
use loopcast::rng::Rng;
use loopcast::symbol_set::SymbolSet;
use loopcast::time::Time;
use loopcast::units::Rate;

const K: u16 = 1_024;

/// The numbers below `n`, in an order of chance.
fn shuffled(n: u64) -> Vec<u64> {
    let mut rng = Rng::new(1);
    let mut numbers: Vec<_> = (0..n).collect();
    for i in (1..n).rev() {
        numbers.swap(i as usize, rng.below(i + 1) as usize);
    }
    numbers
}

fn symbol_set(c: &mut Criterion) {
    let mut group = c.benchmark_group("symbol_set");
    group.throughput(Throughput::Elements(u64::from(K)));
    group.bench_function("insert a block's symbols", |b| {
        b.iter_batched_ref(
            || SymbolSet::with_capacity(K),
            |set| (0..K).filter(|&s| set.insert(black_box(s))).count(),
            BatchSize::SmallInput,
        );
    });
    let holes: SymbolSet = (0..K).filter(|s| s % 20 != 0).collect();
    group.bench_function("walk a block with 5 % missing, by ranges", |b| {
        b.iter(|| black_box(&holes).ranges().count());
    });
    group.finish();
}

fn range_set(c: &mut Criterion) {
    const N: u64 = 10_000;
    let mut group = c.benchmark_group("range_set");
    group.throughput(Throughput::Elements(N));
    for (name, numbers) in [
        ("insert in order", (0..N).collect::<Vec<_>>()),
        (
            "insert in order, 5 % missing",
            (0..N + N / 19)
                .filter(|n| n % 20 != 0)
                .take(N as usize)
                .collect(),
        ),
        ("insert in an order of chance", shuffled(N)),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                RangeSet::new,
                |set| numbers.iter().map(|&n| set.insert(n..n + 1)).sum::<u64>(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn pacer(c: &mut Criterion) {
    const PACKETS: u64 = 1_000;
    let mut group = c.benchmark_group("pacer");
    group.throughput(Throughput::Elements(PACKETS));
    group.bench_function("ask, send, next", |b| {
        let mut pacer = Pacer::new(Rate::from_bps(1_000_000_000), 1_440, Time::ZERO);
        let mut now = Time::ZERO;
        b.iter(|| {
            for _ in 0..PACKETS {
                if pacer.may_send(black_box(now)) >= 1_440 {
                    pacer.sent(1_440);
                }
                now = now.max(pacer.next_at(1_440));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, symbol_set, range_set, pacer);
criterion_main!(benches);
