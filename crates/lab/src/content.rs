//! Files of known content: made from a seed, and compared byte by byte.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

/// Bytes that are made, and compared, at a time.
const CHUNK: usize = 1 << 20;

/// Makes a file of `bytes` bytes that `seed` names, and that nothing can compress or guess; `seen`
/// is given all of it, in pieces.
pub fn make(path: &Path, bytes: u64, seed: u64, seen: impl FnMut(&[u8])) -> io::Result<()> {
    fill(File::create(path)?, bytes, seed, seen)
}

/// Makes a file of `bytes` bytes that `seed` names.
pub fn write_seeded(path: &Path, bytes: u64, seed: u64) -> Result<(), String> {
    make(path, bytes, seed, |_| {}).map_err(|e| format!("{}: {e}", path.display()))
}

/// Overwrites the first `bytes` bytes of a file in place; it is never shorter in between.
pub fn overwrite_seeded(path: &Path, bytes: u64, seed: u64) -> Result<(), String> {
    let file = File::options().write(true).open(path);
    let filled = file.and_then(|file| fill(file, bytes, seed, |_| {}));
    filled.map_err(|e| format!("{}: {e}", path.display()))
}

fn fill(mut file: File, bytes: u64, seed: u64, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    let mut stream = blake3::Hasher::new_derive_key("loopcast made-up file")
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut chunk = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(CHUNK as u64) as usize;
        stream.fill(&mut chunk[..length]);
        seen(&chunk[..length]);
        file.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    Ok(())
}

/// The BLAKE3 hash of a file, as one thread computes it.
pub fn hash(path: &Path) -> Result<String, String> {
    let fault = |e: io::Error| format!("{}: {e}", path.display());
    let mut file = File::open(path).map_err(fault)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).map_err(fault)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            length => hasher.update(&chunk[..length]),
        };
    }
}

/// Whether `copy` is there and holds exactly the bytes of `original`; else how they differ.
pub fn compare(original: &Path, copy: &Path) -> Result<(), String> {
    let open = |p: &Path| File::open(p).map_err(|e| format!("{}: {e}", p.display()));
    let read = |f: &mut File, into: &mut Vec<u8>| -> Result<(), String> {
        into.clear();
        f.take(CHUNK as u64)
            .read_to_end(into)
            .map(drop)
            .map_err(|e| e.to_string())
    };
    let (mut a, mut b) = (open(original)?, open(copy)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut offset = 0;
    loop {
        read(&mut a, &mut left)?;
        read(&mut b, &mut right)?;
        if left != right {
            let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count() as u64;
            return Err(format!(
                "{} differs at byte {}",
                copy.display(),
                offset + same
            ));
        }
        if left.is_empty() {
            return Ok(());
        }
        offset += left.len() as u64;
    }
}
