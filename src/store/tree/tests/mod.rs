//! Trees of real files: odd names, links, holes, and what changes meanwhile.

mod changes;
mod hashing;
mod reading;
mod scanning;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::object::pattern::{Filter, Pattern};
use crate::object::table::FileTable;
use crate::store::tree::{ContentReader, Hashed, ScanOptions, Tree, hash, scan};

const BLOCK: u32 = 64 << 10;

fn write(root: &Path, name: &[u8], bytes: &[u8]) {
    let path = root.join(OsStr::from_bytes(name));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Bytes that differ between seeds and places.
fn bytes(seed: u32, len: usize) -> Vec<u8> {
    let byte = |n: u32| n.wrapping_mul(2_654_435_761).wrapping_add(seed << 7) >> 13;
    (0..len as u32).map(|n| byte(n + 1) as u8).collect()
}

fn scanned(path: &Path) -> Tree {
    scanned_with(path, &ScanOptions::default())
}

fn scanned_with(path: &Path, options: &ScanOptions) -> Tree {
    scan(path, options, |_| ControlFlow::Continue(())).unwrap()
}

fn hashed(path: &Path) -> Hashed {
    hash(scanned(path), BLOCK, |_, _| ControlFlow::Continue(())).unwrap()
}

fn filter(rules: &[&str]) -> Filter {
    let mut filter = Filter::new();
    for rule in rules {
        let pattern = Pattern::new(&rule.as_bytes()[1..]).unwrap();
        match rule.as_bytes()[0] {
            b'+' => filter.include(pattern),
            _ => filter.exclude(pattern),
        };
    }
    filter
}

fn paths(tree: &Tree) -> Vec<String> {
    let path = |index| String::from_utf8_lossy(&tree.path(index)).into_owned();
    (0..tree.len()).map(path).collect()
}

fn skipped(tree: &Tree) -> Vec<String> {
    tree.skipped().iter().map(ToString::to_string).collect()
}

fn content(tree: &Arc<Tree>) -> Vec<u8> {
    let mut all = vec![1; tree.content_len() as usize];
    let reader = ContentReader::new(Arc::clone(tree));
    reader.read(0..tree.content_len(), &mut all).unwrap();
    all
}

/// What must hold of any tree that was hashed while nothing changes any more: the table can be
/// read, every hash is that of what is on disk.
fn verify(hashed: Hashed) -> FileTable {
    let root = hashed.tree.root().to_path_buf();
    let single = hashed.tree.is_single();
    let length = hashed.tree.content_len();
    let table = FileTable::parse(hashed.table, length).unwrap();
    let mut all = Vec::new();
    for (index, entry) in table.entries().enumerate() {
        assert_eq!(hashed.tree.path(index), entry.path);
        let crate::object::table::EntryKind::File { length, hash, .. } = entry.kind else {
            continue;
        };
        let path = if single {
            root.clone()
        } else {
            root.join(OsStr::from_bytes(entry.path))
        };
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, length, "{}", path.display());
        assert_eq!(hash.is_some(), length > 0 && !single, "{}", path.display());
        if let Some(hash) = hash {
            assert_eq!(
                hash.0,
                *blake3::hash(&bytes).as_bytes(),
                "{}",
                path.display()
            );
        }
        assert_eq!(table.offset(index), all.len() as u64);
        all.extend(bytes);
    }
    assert_eq!(hashed.content.0, *blake3::hash(&all).as_bytes());
    assert_eq!(hashed.blocks.len(), all.len().div_ceil(BLOCK as usize));
    assert!(content(&Arc::new(hashed.tree)) == all);
    table
}

/// A file of this length with bytes in these places.
fn sparse(path: &Path, length: u64, data: &[(u64, &[u8])]) {
    let file = File::create(path).unwrap();
    file.set_len(length).unwrap();
    for (at, bytes) in data {
        file.write_all_at(bytes, *at).unwrap();
    }
}
