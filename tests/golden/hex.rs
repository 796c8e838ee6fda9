//! Reads the golden files: `#` starts a comment, `a5*1024` is a byte repeated.

use std::fs;
use std::path::Path;

/// The bytes of a file in tests/golden.
pub(super) fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    for word in text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().split_whitespace())
    {
        let (byte, times) = word.split_once('*').unwrap_or((word, "1"));
        let byte = u8::from_str_radix(byte, 16).unwrap();
        bytes.resize(bytes.len() + times.parse::<usize>().unwrap(), byte);
    }
    bytes
}
