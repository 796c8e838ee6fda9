//! The corpora of the fuzz targets, replayed without libFuzzer.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loopcast::rng::Rng;
use loopcast_harness::{archive, group, receiver_stream, sender_stream, texts, wire_parse};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

/// Gives each file of a corpus to `run`, and says which one it was if it panics.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    let mut files = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| run(&data));
        assert!(result.is_ok(), "{} fails", path.display());
        files += 1;
    }
    assert!(files > 0, "{} is empty", corpus.display());
}

#[test]
fn archive_survives_its_corpus() {
    replay("archive", archive::run);
}

#[test]
fn group_survives_its_corpus() {
    replay("group", group::run);
}

#[test]
fn texts_survives_its_corpus() {
    replay("texts", texts::run);
}

#[test]
fn wire_parse_survives_its_corpus() {
    replay("wire_parse", wire_parse::run);
}

#[test]
fn sender_stream_survives_its_corpus() {
    replay("sender_stream", sender_stream::run);
}

#[test]
fn receiver_stream_survives_its_corpus() {
    replay("receiver_stream", receiver_stream::run);
}

/// A fuzz target's name, and what it does with its input.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 6] = [
    ("archive", archive::run),
    ("group", group::run),
    ("texts", texts::run),
    ("sender_stream", sender_stream::run),
    ("receiver_stream", receiver_stream::run),
    ("wire_parse", wire_parse::run),
];

#[test]
fn a_few_random_streams() {
    for target in TARGETS {
        mutate(target, 0, |runs| runs < 500);
    }
}

/// Where there is no cargo-fuzz: mutates the corpora at random for `LOOPCAST_FUZZ_SECONDS` (60)
/// each, from `LOOPCAST_SEED` (0) on. `cargo test --release --test fuzz_corpus -- --ignored
/// --nocapture`
#[test]
#[ignore = "it takes minutes"]
fn random_streams() {
    let number = |name: &str, default| {
        let set = std::env::var(name).ok();
        set.map_or(default, |v| v.parse().unwrap())
    };
    let seconds = number("LOOPCAST_FUZZ_SECONDS", 60);
    for target in TARGETS {
        let end = Instant::now() + Duration::from_secs(seconds);
        let runs = mutate(target, number("LOOPCAST_SEED", 0), |_| Instant::now() < end);
        eprintln!("{}: {runs} runs", target.0);
    }
}

/// Gives mutants of its corpus to a target while `more` says so of their number, which it returns,
/// and keeps what fails in fuzz/artifacts.
fn mutate((target, run): Target, seed: u64, more: impl Fn(u64) -> bool) -> u64 {
    let mut rng = Rng::new(seed);
    let files = fs::read_dir(corpus(target)).unwrap();
    let mut seeds: Vec<Vec<u8>> = files
        .map(|e| fs::read(e.unwrap().path()).unwrap())
        .collect();
    // A folder tells them in any order.
    seeds.sort_unstable();
    let mut runs = 0;
    while more(runs) {
        let data = mutant(&seeds, &mut rng);
        if std::panic::catch_unwind(|| run(&data)).is_err() {
            let kept = corpus("../artifacts").join(format!("{target}-{runs}"));
            fs::create_dir_all(corpus("../artifacts")).unwrap();
            fs::write(&kept, &data).unwrap();
            panic!("{} fails", kept.display());
        }
        runs += 1;
    }
    runs
}

/// Random bytes, or a few changes to one of the seeds.
fn mutant(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let random = |rng: &mut Rng, len| (0..len).map(|_| rng.next_u64() as u8).collect::<Vec<u8>>();
    if rng.chance(0.3) {
        let len = rng.below(6_000);
        return random(rng, len);
    }
    let pick = |rng: &mut Rng| &seeds[rng.below(seeds.len() as u64) as usize];
    let mut data = pick(rng).clone();
    for _ in 0..1 + rng.below(12) {
        let at = rng.below(data.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 if at < data.len() => data[at] = rng.next_u64() as u8,
            1 => {
                let len = rng.below(60);
                let new = random(rng, len);
                data.splice(at..at, new);
            }
            2 => {
                let end = (at + rng.below(80) as usize).min(data.len());
                data.drain(at..end);
            }
            3 => {
                let other = pick(rng);
                let from = rng.below(other.len() as u64 + 1) as usize;
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            _ if at < data.len() => data[at] ^= 1 << rng.below(8),
            _ => {}
        }
    }
    data
}
