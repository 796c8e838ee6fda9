//! Folders as they are found, against tables of what comes.

#![allow(clippy::single_range_in_vec_init, reason = "a file may have one hole")]

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::content::{LARGE, content_of};
use super::*;
use crate::object::hash_tree::{block_hash, content_hash};
use crate::object::table::{Entry, EntryKind, FileTable, TableWriter};
use crate::store::known::KnownHashes;

const BLOCK: u64 = 1_024;
/// In ns.
const TIME: i64 = 1_700_000_000_000_000_005;

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    let mut out = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]);
    hasher.finalize_xof().fill(&mut out);
    out
}

fn folder(path: &str) -> Entry<'_> {
    Entry {
        path: path.as_bytes(),
        kind: EntryKind::Folder,
        mtime: TIME,
        mode: 0o755,
        owner: None,
        xattrs: Vec::new(),
    }
}

fn file<'a>(path: &'a str, content: &[u8], holes: Vec<Range<u64>>) -> Entry<'a> {
    let kind = EntryKind::File {
        length: content.len() as u64,
        hash: (!content.is_empty()).then(|| content_hash(content)),
        holes,
    };
    Entry {
        kind,
        mode: 0o644,
        ..folder(path)
    }
}

fn table(entries: &[Entry<'_>]) -> FileTable {
    let mut writer = TableWriter::new();
    let mut total = 0;
    for entry in entries {
        if let EntryKind::File { length, .. } = entry.kind {
            total += length;
        }
        writer.push(entry).unwrap();
    }
    FileTable::parse(writer.finish(), total).unwrap()
}

fn settle(path: &Path, mode: u32) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(TIME as u64);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn put(dir: &Path, path: &str, content: &[u8]) {
    let full = dir.join(path);
    fs::create_dir_all(full.parent().unwrap()).unwrap();
    fs::write(&full, content).unwrap();
    settle(&full, 0o644);
}

fn ask<'a>(table: &'a FileTable, dir: &'a TempDir) -> Ask<'a> {
    Ask {
        table,
        place: dir.path(),
        object: (Hash::default(), BLOCK),
        modes: Modes {
            left: 0o777,
            known: 0o777,
        },
        inside: false,
        leftovers: None,
    }
}

fn go(ask: &Ask<'_>, known: &KnownHashes) -> Reuse {
    find(ask, known, &|_| ControlFlow::Continue(())).unwrap()
}

/// All that was found, read, with `None` for what was not.
fn read(reuse: &Reuse, length: u64) -> Vec<Option<u8>> {
    let mut reader = Reader::new(Arc::new(reuse.clone()));
    let mut out = vec![None; length as usize];
    for found in reuse.found() {
        let range = found.content.start as usize..found.content.end as usize;
        let mut buf = vec![0xee; range.len()];
        assert!(reader.read(found.content.start, &mut buf));
        out[range].iter_mut().zip(buf).for_each(|(o, b)| {
            assert_eq!(o.replace(b), None, "ranges overlap");
        });
    }
    out
}

#[test]
fn a_tree_that_has_not_changed_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(cache.path(), 1 << 20);
    let (a, b) = (bytes(5_000, 1), bytes(700, 2));
    put(dir.path(), "a", &a);
    put(dir.path(), "sub/b", &b);
    put(dir.path(), "sub/empty", b"");
    symlink("../a", dir.path().join("sub/link")).unwrap();
    settle(&dir.path().join("sub"), 0o755);
    settle(dir.path(), 0o755);
    let link = EntryKind::Link { target: b"../a" };
    let table = table(&[
        folder(""),
        file("a", &a, vec![]),
        folder("sub"),
        file("sub/b", &b, vec![]),
        file("sub/empty", b"", vec![]),
        Entry {
            kind: link,
            ..folder("sub/link")
        },
    ]);
    let reuse = go(&ask(&table, &dir), &known);
    assert!(reuse.is_complete(), "{reuse:?}");
    let all: Vec<_> = a.iter().chain(&b).copied().map(Some).collect();
    assert_eq!(read(&reuse, 5_700), all);
    // No byte is read the second time.
    let nothing = |_| panic!("a file was read");
    let again = find(&ask(&table, &dir), &known, &nothing).unwrap();
    assert_eq!(again.found(), reuse.found());
    // Each difference shows.
    settle(&dir.path().join("a"), 0o600);
    let reuse = go(&ask(&table, &dir), &known);
    assert_eq!((reuse.here(1), reuse.is_complete()), (Here::Content, false));
    fs::write(dir.path().join("a"), bytes(5_000, 9)).unwrap();
    settle(&dir.path().join("a"), 0o644);
    let reuse = go(&ask(&table, &dir), &known);
    assert_eq!((reuse.here(1), reuse.bytes()), (Here::No, 700));
    fs::remove_file(dir.path().join("sub/link")).unwrap();
    fs::remove_file(dir.path().join("sub/empty")).unwrap();
    let reuse = go(&ask(&table, &dir), &known);
    assert_eq!(
        [3, 4, 5].map(|e| reuse.here(e)),
        [Here::Whole, Here::No, Here::No]
    );
}

#[test]
fn modes_are_compared_with_those_that_would_be_set_here() {
    let dir = tempfile::tempdir().unwrap();
    let content = bytes(500, 1);
    put(dir.path(), "f", &content);
    let table = table(&[
        Entry {
            mode: 0o1277,
            ..folder("")
        },
        Entry {
            mode: 0o4266,
            ..file("f", &content, vec![])
        },
    ]);
    let is_complete = |left, known, root, mode| {
        settle(&dir.path().join("f"), mode);
        settle(dir.path(), root);
        let modes = Modes { left, known };
        let ask = Ask {
            modes,
            ..ask(&table, &dir)
        };
        go(&ask, &KnownHashes::none()).is_complete()
    };
    assert!(is_complete(0o755, 0o777, 0o755, 0o644));
    assert!(!is_complete(0o755, 0o777, 0o775, 0o644));
    assert!(!is_complete(0o755, 0o777, 0o755, 0o664));
    assert!(!is_complete(0o755, 0o777, 0o755, 0o640));
    assert!(is_complete(0o777, 0o777, 0o777, 0o666));
    // What the umask takes is not known.
    assert!(is_complete(0o777, 0o700, 0o700, 0o600));
    assert!(!is_complete(0o777, 0o700, 0o500, 0o600));
}

#[test]
fn the_receivers_own_folder_has_its_own_time() {
    let dir = tempfile::tempdir().unwrap();
    let content = bytes(500, 1);
    put(dir.path(), "f", &content);
    let table = table(&[folder(""), file("f", &content, vec![])]);
    for inside in [false, true] {
        let ask = Ask {
            inside,
            ..ask(&table, &dir)
        };
        assert_eq!(go(&ask, &KnownHashes::none()).is_complete(), inside);
    }
}

#[test]
fn moved_renamed_and_doubled_files_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let parts: Vec<Vec<u8>> = (0..4).map(|n| bytes(3_000, n)).collect();
    // Two have changed places, one has moved and been renamed, one is there once and wanted twice.
    put(dir.path(), "a", &parts[1]);
    put(dir.path(), "b", &parts[0]);
    put(dir.path(), "other/deep/name", &parts[2]);
    put(dir.path(), "d", &parts[3]);
    put(dir.path(), "unfinished.part", &bytes(3_000, 7));
    put(dir.path(), "folder.part/f", &bytes(3_000, 7));
    let lost = bytes(3_000, 7);
    let contents = [&parts[0], &parts[1], &parts[2], &parts[3], &parts[3], &lost];
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut entries = vec![folder("")];
    entries.extend(names.iter().zip(contents).map(|(n, c)| file(n, c, vec![])));
    let table = table(&entries);
    let reuse = go(&ask(&table, &dir), &KnownHashes::none());
    let mut all: Vec<_> = contents.into_iter().flatten().copied().map(Some).collect();
    all[15_000..].fill(None);
    assert_eq!(read(&reuse, 18_000), all);
    let here = [
        Here::No,
        Here::No,
        Here::No,
        Here::Whole,
        Here::No,
        Here::No,
    ];
    assert_eq!([1, 2, 3, 4, 5, 6].map(|e| reuse.here(e)), here);
    assert_eq!(reuse.files().len(), 4);
}

#[test]
fn links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let content = bytes(2_000, 1);
    put(outside.path(), "f", &content);
    symlink(outside.path(), dir.path().join("sub")).unwrap();
    symlink(outside.path().join("f"), dir.path().join("f")).unwrap();
    let entries = [
        folder(""),
        file("f", &content, vec![]),
        folder("sub"),
        file("sub/f", &content, vec![]),
    ];
    let table = table(&entries);
    let reuse = go(&ask(&table, &dir), &KnownHashes::none());
    assert!(reuse.found().is_empty(), "{reuse:?}");
    assert_eq!([1, 2, 3].map(|e| reuse.here(e)), [Here::No; 3]);
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("none");
    let table = table(&[folder(""), file("f", &bytes(10, 1), vec![2..6])]);
    let ask = Ask {
        place: &place,
        ..ask(&table, &dir)
    };
    let reuse = go(&ask, &KnownHashes::none());
    let zeros = Found {
        content: 2..6,
        from: Origin::Zeros,
    };
    assert_eq!((reuse.found(), reuse.is_complete()), (&[zeros][..], false));
}

#[test]
fn large_files_are_hashed_alike() {
    let dir = tempfile::tempdir().unwrap();
    let content = bytes(LARGE as usize + 77, 3);
    put(dir.path(), "here", &content);
    put(dir.path(), "elsewhere", &content[1..]);
    let entries = [
        folder(""),
        file("here", &content, vec![]),
        file("moved", &content[1..], vec![]),
    ];
    let table = table(&entries);
    let reuse = go(&ask(&table, &dir), &KnownHashes::none());
    assert_eq!(reuse.bytes(), table.content_len());
    let stopped = find(&ask(&table, &dir), &KnownHashes::none(), &|_| {
        ControlFlow::Break(())
    });
    assert!(stopped.is_none());
}

fn single(path: &str, length: usize) -> Entry<'_> {
    let kind = EntryKind::File {
        length: length as u64,
        hash: None,
        holes: Vec::new(),
    };
    Entry {
        kind,
        mode: 0o644,
        ..folder(path)
    }
}

#[test]
fn a_single_file_is_compared_by_content_id() {
    let dir = tempfile::tempdir().unwrap();
    let content = bytes(5_000, 1);
    put(dir.path(), "image", &content);
    let table = table(&[single("image", 5_000)]);
    let ask = Ask {
        object: (content_hash(&content), BLOCK),
        ..ask(&table, &dir)
    };
    let reuse = go(&ask, &KnownHashes::none());
    assert!(reuse.is_complete() && reuse.old().is_none());
    assert_eq!(reuse.bytes(), 5_000);
}

#[test]
fn blocks_of_an_old_image_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(cache.path(), 1 << 20);
    let new = bytes(5_000, 1);
    let mut old = new.clone();
    old[1_500] ^= 1;
    old.truncate(4_600);
    put(dir.path(), "image", &old);
    let table = table(&[single("image", 5_000)]);
    let ask = Ask {
        object: (content_hash(&new), BLOCK),
        ..ask(&table, &dir)
    };
    for _ in 0..2 {
        let reuse = go(&ask, &known);
        assert_eq!((reuse.here(0), reuse.bytes()), (Here::No, 0));
        let blocks = &reuse.old().unwrap().blocks;
        let proven = new.chunks(1_024).enumerate();
        let proven = proven.map(|(i, b)| block_hash(i as u64 * BLOCK, b));
        let same = blocks.iter().zip(proven).enumerate();
        let same: Vec<u64> = same
            .filter(|(_, (a, b))| **a == *b)
            .map(|(i, _)| i as u64)
            .collect();
        assert_eq!(same, [0, 2, 3]);
    }
}

#[test]
fn a_file_that_changes_is_a_miss() {
    let dir = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(cache.path(), 1 << 20);
    let content: Vec<Vec<u8>> = (0..20).map(|n| bytes(100, n)).collect();
    let names: Vec<String> = (10..30).map(|n| n.to_string()).collect();
    let mut entries = vec![folder("")];
    for (name, content) in names.iter().zip(&content) {
        put(dir.path(), name, content);
        entries.push(file(name, content, vec![]));
    }
    let table = table(&entries);
    let reuse = Arc::new(go(&ask(&table, &dir), &known));
    let mut reader = Reader::new(reuse.clone());
    let mut all = vec![0; 2_000];
    assert!(reader.read(0, &mut all));
    assert_eq!(all, content.concat());
    assert!(!reader.read(1_901, &mut all[..100]), "beyond the end");
    // Written to while it is open; replaced while it is not.
    fs::write(dir.path().join("29"), bytes(100, 99)).unwrap();
    fs::remove_file(dir.path().join("10")).unwrap();
    put(dir.path(), "10", &content[0]);
    assert!(!reader.read(1_950, &mut all[..10]));
    assert!(!reader.read(50, &mut all[..100]));
    assert!(reader.read(100, &mut all[..1_800]));
    assert!(reader.is_gone(0) && reader.is_gone(19) && !reader.is_gone(1));
    // Bytes that were not what the cache says.
    let looks = reuse.looks(1).unwrap();
    assert!(known.file(&looks).is_some());
    reader.disprove(150, &known);
    assert!(known.file(&looks).is_none() && !reader.read(150, &mut all[..10]));
}

#[test]
fn content_of_files_of_all_lengths() {
    let dir = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let known = KnownHashes::at(cache.path(), 1 << 20);
    for len in [0, 1, 1_023, 1_024, 1_025, 2_048, 10_000] {
        let content = bytes(len, 5);
        let name = len.to_string();
        put(dir.path(), &name, &content);
        for _ in 0..2 {
            let path = dir.path().join(&name);
            let found = content_of(&path, BLOCK, &known, &|_| ControlFlow::Continue(())).unwrap();
            assert_eq!(found.id, content_hash(&content));
            assert_eq!(found.blocks.len(), len.div_ceil(1_024));
        }
    }
    let none = content_of(dir.path(), BLOCK, &known, &|_| ControlFlow::Continue(()));
    assert_eq!(none, None);
}

#[derive(Clone, Debug)]
struct Case {
    /// Content, by number, of each file of the table.
    table: Vec<u8>,
    /// Content of files on disk, by name.
    disk: HashMap<u8, u8>,
    holes: Vec<(u8, u8)>,
}

fn case() -> impl Strategy<Value = Case> {
    let disk = prop::collection::hash_map(0u8..12, 0u8..12, 0..12);
    let table = prop::collection::vec(0u8..12, 1..10);
    let holes = prop::collection::vec((any::<u8>(), 1u8..60), 0..3);
    (table, disk, holes).prop_map(|(table, disk, holes)| Case { table, disk, holes })
}

/// Some have the same length.
fn numbered(n: u8, holes: &[(u8, u8)]) -> (Vec<u8>, Vec<Range<u64>>) {
    let mut content = bytes(100 * usize::from(n % 4), n);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (gap, len) in holes {
        let start = ranges.last().map_or(0, |r| r.end + 1) + u64::from(*gap);
        let range = start..start + u64::from(*len);
        if range.end as usize <= content.len() {
            content[start as usize..range.end as usize].fill(0);
            ranges.push(range);
        }
    }
    (content, ranges)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn finds_all_that_is_here_and_nothing_else(case in case()) {
        let dir = tempfile::tempdir().unwrap();
        for (name, n) in &case.disk {
            let name = if name % 3 == 0 { format!("sub/{name}") } else { format!("{name:02}") };
            put(dir.path(), &name, &numbered(*n, &case.holes).0);
        }
        let contents: Vec<_> = case.table.iter().map(|n| numbered(*n, &case.holes)).collect();
        let names: Vec<String> = (0..case.table.len()).map(|n| format!("{n:02}")).collect();
        let mut entries = vec![folder("")];
        for (name, (content, holes)) in names.iter().zip(&contents) {
            entries.push(file(name, content, holes.clone()));
        }
        let table = table(&entries);
        let reuse = go(&ask(&table, &dir), &KnownHashes::none());
        let mut naive = Vec::new();
        for (content, holes) in &contents {
            let here = case.disk.values().any(|d| numbered(*d, &case.holes).0 == *content);
            let in_hole = |at: usize| holes.iter().any(|h| h.contains(&(at as u64)));
            let bytes = content.iter().enumerate();
            naive.extend(bytes.map(|(at, b)| (here || in_hole(at)).then_some(*b)));
        }
        prop_assert_eq!(read(&reuse, table.content_len()), naive);
        prop_assert!(reuse.found().windows(2).all(|w| w[0].content.end <= w[1].content.start));
    }
}
