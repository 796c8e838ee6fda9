//! Files of known content: made from a seed, and compared byte by byte.

// Each program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// Makes a file of `bytes` bytes that `seed` names.
pub fn write_seeded(path: &Path, bytes: u64, seed: u64) -> Result<(), String> {
    let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    fill(file, path, bytes, seed)
}

/// Overwrites the first `bytes` bytes of a file in place; it is never shorter in between.
pub fn overwrite_seeded(path: &Path, bytes: u64, seed: u64) -> Result<(), String> {
    let file = File::options().write(true).open(path);
    fill(
        file.map_err(|e| format!("{}: {e}", path.display()))?,
        path,
        bytes,
        seed,
    )
}

fn fill(file: File, path: &Path, bytes: u64, seed: u64) -> Result<(), String> {
    let write = || -> std::io::Result<()> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut out = BufWriter::new(file);
        let mut chunk = vec![0; 1 << 16];
        let mut left = bytes;
        while left > 0 {
            let length = left.min(chunk.len() as u64) as usize;
            rng.fill(&mut chunk[..length]);
            out.write_all(&chunk[..length])?;
            left -= length as u64;
        }
        out.flush()
    };
    write().map_err(|e| format!("{}: {e}", path.display()))
}

/// Whether `copy` is there and holds exactly the bytes of `original`; else how they differ.
pub fn compare(original: &Path, copy: &Path) -> Result<(), String> {
    let open = |p: &Path| File::open(p).map_err(|e| format!("{}: {e}", p.display()));
    let read = |f: &mut File, into: &mut Vec<u8>| -> Result<(), String> {
        into.clear();
        f.take(1 << 20)
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
