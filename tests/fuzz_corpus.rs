//! The corpora of the fuzz targets, replayed without libFuzzer.

#![allow(clippy::unwrap_used)]

// Public where it lives, in the fuzzing crate.
#[allow(unreachable_pub)]
#[path = "../fuzz/src/wire_parse.rs"]
mod wire_parse;

use std::fs;
use std::path::Path;

/// Gives each file of a corpus to `run`, and says which one it was if it panics.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
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
fn wire_parse_survives_its_corpus() {
    replay("wire_parse", wire_parse::run);
}
