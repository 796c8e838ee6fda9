//! The format on the wire, pinned byte by byte.
//!
//! Each file of tests/golden is one datagram in hex, written field by field without this
//! crate's encoder: `#` starts a comment, `a5*1024` is a byte repeated. A change that breaks one of
//! these tests makes a new version of the format.

#![allow(clippy::unwrap_used)]

mod packets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use loopcast::wire;
use loopcast_lab::hex;

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn names_in(path: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder(path))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.is_file());
    let hex = files.filter(|file| file.extension().is_none_or(|e| e == "hex"));
    hex.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn golden(name: &str) -> Vec<u8> {
    hex::read(&folder("tests/golden").join(format!("{name}.hex"))).unwrap()
}

#[test]
fn packets_encode_to_the_golden_bytes() {
    for (name, packet) in packets::all() {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        assert_eq!(bytes, golden(name), "{name}");
    }
}

#[test]
fn the_golden_bytes_parse_to_the_packets() {
    for (name, packet) in packets::all() {
        assert_eq!(wire::parse(&golden(name)), Ok(packet), "{name}");
    }
}

#[test]
fn no_golden_file_is_left_out() {
    let tested: BTreeSet<String> = packets::all()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(tested, names_in("tests/golden"));
}

#[test]
fn every_golden_packet_is_a_seed_of_the_fuzzer() {
    for name in names_in("tests/golden") {
        let seed = folder("fuzz/corpus/wire_parse").join(&name);
        assert_eq!(
            fs::read(&seed).unwrap_or_default(),
            golden(&name),
            "run the ignored test of this file"
        );
    }
}

/// Not a test: brings the fuzzer's seeds up to date with tests/golden.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_seeds() {
    for name in names_in("tests/golden") {
        fs::write(folder("fuzz/corpus/wire_parse").join(&name), golden(&name)).unwrap();
    }
}
