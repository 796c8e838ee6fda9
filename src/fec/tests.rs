//! Against the definition, against loss of every kind, and against other machines' arithmetic.

use super::direct::Direct;
use super::field::Field;
use super::product::Product;
use super::*;
use crate::rng::Rng;
use proptest::prelude::*;
use reed_solomon_simd::engine::{Naive, NoSimd};
use reed_solomon_simd::rate::{LowRateEncoder, RateEncoder};

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn encode(size: usize, source: &[u8], parity: usize) -> Vec<u8> {
    let mut out = vec![0xee; parity * size];
    Encoder::new().encode(size, source, &mut out).unwrap();
    out
}

/// Symbol numbers in an order of `rng`'s.
fn shuffled(count: u16, rng: &mut Rng) -> Vec<u16> {
    let mut all: Vec<u16> = (0..count).collect();
    for i in (1..all.len()).rev() {
        all.swap(i, rng.below(i as u64 + 1) as usize);
    }
    all
}

/// Gives the decoder these symbols of a block, and the block with holes; true if it comes out whole.
fn comes_back(
    decoder: &mut Decoder,
    size: usize,
    source: &[u8],
    parity: &[u8],
    given: &[u16],
) -> bool {
    let n = (source.len() / size) as u16;
    let m = (parity.len() / size) as u16;
    let all: Vec<&[u8]> = source.chunks(size).chain(parity.chunks(size)).collect();
    let mut decoding = decoder.begin(n, m, size).unwrap();
    let mut block = vec![0xee; source.len()];
    let mut missing = n;
    for &symbol in given {
        let bytes = all[usize::from(symbol)];
        decoding.add(symbol, bytes).unwrap();
        if symbol < n {
            let start = usize::from(symbol) * size;
            block[start..start + size].copy_from_slice(bytes);
            missing -= 1;
        }
    }
    let restored = decoding.restore(&mut block).unwrap();
    restored == missing && block == source
}

#[test]
fn golden_bytes() {
    // The example of docs/PROTOCOL.md: three symbols of 64 bytes that count on.
    let source: Vec<u8> = (0..192).collect();
    let parity = encode(64, &source, 2);
    let hex: Vec<String> = parity
        .chunks(64)
        .map(|p| p.iter().map(|b| format!("{b:02x}")).collect())
        .collect();
    assert_eq!(
        hex,
        [
            "321ac4ec765e80a85b73ad851f37e9c1b49c426af0d8062eddf52b0399b16f47\
             030a0f0600090c05070e0b02040d080191989d94929b9e97959c9990969f9a93",
            "c124ab4eb154db3ed83db257a84dc2279673fc19e6038c698f6ae500ff1a9570\
             2e25212a262d2922242f2b202c272328909b9f949893979c9a91959e92999d96"
        ]
    );
}

#[test]
fn it_is_what_the_definition_says() {
    let field = Field::new();
    for n in [1, 2, 3, 4, 5, 7, 8, 9, 17] {
        let source = bytes(n * 128, n as u64);
        for m in [1, 2, 3, 8, 20] {
            let parity = encode(128, &source, m);
            for (number, symbol) in (0..).zip(parity.chunks(128)) {
                assert_eq!(
                    symbol,
                    field.parity(128, &source, number),
                    "n {n}, m {m}, parity {number}"
                );
            }
        }
    }
}

#[test]
fn parity_does_not_depend_on_how_much_there_is() {
    let source = bytes(100 * 64, 1);
    let most = encode(64, &source, 300);
    for m in [1, 2, 63, 64, 100, 128, 129, 299] {
        assert_eq!(encode(64, &source, m), most[..m * 64]);
    }
}

#[test]
fn every_way_to_compute_gives_the_same_bytes() {
    let (n, m, size) = (37, 45, 64);
    let source = bytes(n * size, 1);
    let fast = encode(size, &source, m);
    let mut plain = LowRateEncoder::new(n, m, size, NoSimd::new(), None).unwrap();
    let mut naive = LowRateEncoder::new(n, m, size, Naive::new(), None).unwrap();
    for symbol in source.chunks(size) {
        plain.add_original_shard(symbol).unwrap();
        naive.add_original_shard(symbol).unwrap();
    }
    assert!(
        fast.chunks(size)
            .eq(plain.encode().unwrap().recovery_iter())
    );
    assert!(
        fast.chunks(size)
            .eq(naive.encode().unwrap().recovery_iter())
    );
}

#[test]
fn few_are_computed_the_same_with_and_without_gfni() {
    let (size, mut rng) = (1_344, Rng::new(1));
    for (n, lost) in [(1, 1), (37, 30), (64, 20), (300, 21), (512, 64)] {
        let source = bytes(n * size, n as u64);
        let parity = encode(size, &source, 2 * lost);
        let mut lacking = shuffled(n as u16, &mut rng);
        lacking.truncate(lost);
        lacking.sort_unstable();
        let mut numbers = shuffled(2 * lost as u16, &mut rng);
        numbers.truncate(lost);
        for product in [Product::new(), Product::of_the_crate()] {
            let mut given: Vec<u8> = Vec::new();
            for &number in &numbers {
                given.extend(&parity[usize::from(number) * size..][..size]);
            }
            let mut block = source.clone();
            for &symbol in &lacking {
                block[usize::from(symbol) * size..][..size].fill(7);
            }
            let mut direct = Direct::with(product);
            direct.restore(size, &mut block, &lacking, &numbers, &mut given);
            assert!(block == source, "{lost} of {n}");
        }
    }
}

#[test]
fn one_symbol_is_enough_for_a_block_of_one() {
    let source = bytes(1_344, 1);
    let parity = encode(1_344, &source, 1);
    let mut decoder = Decoder::new();
    assert!(comes_back(&mut decoder, 1_344, &source, &parity, &[1]));
    assert!(comes_back(&mut decoder, 1_344, &source, &parity, &[0]));
}

#[test]
fn the_largest_blocks_come_back() {
    for (n, m) in [(8_192, 8_192), (8_192, 1), (1, 8_192), (4_097, 8_192)] {
        let source = bytes(n * 64, 1);
        let parity = encode(64, &source, m);
        let mut order = shuffled((n + m) as u16, &mut Rng::new(1));
        order.truncate(n);
        assert!(comes_back(
            &mut Decoder::new(),
            64,
            &source,
            &parity,
            &order
        ));
    }
}

#[test]
fn what_is_wrong_is_named() {
    let mut e = Encoder::new();
    let mut out = [7; 128];
    assert_eq!(e.encode(64, &[], &mut out), Err(FecError::Symbols(0)));
    assert_eq!(
        e.encode(0, &[0; 64], &mut out),
        Err(FecError::SymbolSize(0))
    );
    assert_eq!(
        e.encode(32, &[0; 64], &mut out),
        Err(FecError::SymbolSize(32))
    );
    assert_eq!(e.encode(64, &[0; 65], &mut out), Err(FecError::Length(65)));
    assert_eq!(
        e.encode(64, &[0; 64], &mut out[..100]),
        Err(FecError::Length(100))
    );
    assert_eq!(
        e.encode(64, &vec![0; 8_193 * 64], &mut out),
        Err(FecError::Symbols(8_193))
    );
    assert_eq!(
        e.encode(64, &[0; 64], &mut vec![0; 8_193 * 64]),
        Err(FecError::Parity(8_193))
    );
    assert_eq!(e.encode(64, &[0; 64], &mut []), Ok(()));
    assert_eq!(out, [7; 128]);

    let mut d = Decoder::new();
    assert_eq!(d.begin(0, 1, 64).err(), Some(FecError::Symbols(0)));
    assert_eq!(d.begin(8_193, 1, 64).err(), Some(FecError::Symbols(8_193)));
    assert_eq!(d.begin(1, 8_193, 64).err(), Some(FecError::Parity(8_193)));
    assert_eq!(d.begin(1, 1, 100).err(), Some(FecError::SymbolSize(100)));
    let mut b = d.begin(2, 1, 64).unwrap();
    assert_eq!(b.add(3, &[0; 64]), Err(FecError::Symbol(3)));
    assert_eq!(b.add(u16::MAX, &[0; 64]), Err(FecError::Symbol(u16::MAX)));
    assert_eq!(b.add(2, &[0; 65]), Err(FecError::Length(65)));
    assert_eq!(b.add(2, &[0; 64]), Ok(()));
    assert_eq!(b.add(2, &[1; 64]), Ok(()), "again is skipped");
    let lacking = FecError::Lacking {
        given: 1,
        needed: 2,
    };
    assert_eq!(b.restore(&mut out), Err(lacking));
    let mut b = d.begin(2, 0, 64).unwrap();
    assert_eq!(b.add(2, &[0; 64]), Err(FecError::Symbol(2)));
    b.add(0, &[0; 64]).unwrap();
    assert_eq!(b.restore(&mut out[..64]), Err(FecError::Length(64)));
    assert_eq!(out, [7; 128]);
}

#[test]
fn both_sides_move_to_their_threads() {
    fn check<T: Send>() {}
    check::<Encoder>();
    check::<Decoder>();
}

proptest! {
    #[test]
    fn any_n_symbols_restore_the_block(
        blocks in proptest::collection::vec((1..60u16, 0..60u16, 1..=4usize, any::<u64>()), 1..6),
    ) {
        // One after the other in the same work memory, larger and smaller ones.
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for (n, m, pieces, seed) in blocks {
            let size = pieces * 64;
            let source = bytes(usize::from(n) * size, seed);
            let mut parity = vec![0; usize::from(m) * size];
            encoder.encode(size, &source, &mut parity).unwrap();
            let mut rng = Rng::new(seed);
            let mut order = shuffled(n + m, &mut rng);
            order.truncate(usize::from(n) + rng.below(u64::from(m) + 1) as usize);
            prop_assert!(comes_back(&mut decoder, size, &source, &parity, &order));
        }
    }

    #[test]
    fn never_panics(n: u16, m: u16, size in 0..300usize, symbols in proptest::collection::vec(0..200u16, 0..20)) {
        let mut decoder = Decoder::new();
        for (n, m) in [(n, m), (n % 100, m % 100)] {
            let Ok(mut decoding) = decoder.begin(n, m, size) else { continue };
            for &symbol in &symbols {
                let _ = decoding.add(symbol, &vec![1; size]);
            }
            let _ = decoding.restore(&mut vec![0; usize::from(n) * size]);
        }
    }
}
