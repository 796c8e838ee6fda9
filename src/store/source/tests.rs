//! A source against files that stay, change, shrink and are not there, and against the cache.

use super::*;
use crate::fec::Encoder;
use crate::object::{PageChecker, PageTree};
use crate::store::test_files::{K, SYMBOL, bytes, file, open, open_with, source};
use std::time::{Duration, SystemTime};

fn go(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn with_cache(path: &Path, cache: &HashCache) -> (Source, u32) {
    let mut calls = 0;
    let count = |_, _| {
        calls += 1;
        ControlFlow::Continue(())
    };
    let source =
        Source::open(path, "file.bin", SYMBOL, Some(K), Codec::None, cache, count).unwrap();
    (source, calls)
}

fn set_time(path: &Path, seconds_ago: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds_ago);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

#[test]
fn blocks_are_the_file() {
    for len in [0, 1, 1_023, 1_024, 4_096, 4_097, 100_000, 1_000_003] {
        let (_dir, s, content) = source(len, 1);
        let g = s.description().geometry;
        assert_eq!(
            s.description().content.0,
            *blake3::hash(&content).as_bytes()
        );
        let checker = PageChecker::new(g, s.description().hash_root);
        let mut hashes = Vec::new();
        let mut read = Vec::new();
        for block in 0..g.blocks() {
            let mut slot = vec![0xee; usize::from(K) * usize::from(SYMBOL) + 5];
            let n = s.read_block(block, &mut slot).unwrap();
            assert_eq!(n, usize::from(g.symbols(block)) * usize::from(SYMBOL));
            match g.kind(block) {
                BlockKind::Table => {
                    let table =
                        FileTable::parse(&slot[..g.table_len() as usize], g.length()).unwrap();
                    assert_eq!(table.entries()[0].path.as_str(), "file.bin");
                    assert!(slot[g.table_len() as usize..n].iter().all(|&b| b == 0));
                }
                BlockKind::Pages { first_page } => {
                    for (page, symbol) in (first_page..).zip(slot[..n].chunks(SYMBOL.into())) {
                        hashes.extend_from_slice(checker.check(page, symbol).unwrap().hashes());
                    }
                }
                BlockKind::Content { index, len, .. } => {
                    assert_eq!(hashes[index as usize], block_hash(&slot[..len as usize]));
                    read.extend_from_slice(&slot[..len as usize]);
                    assert!(slot[len as usize..n].iter().all(|&b| b == 0));
                }
            }
        }
        assert!(read == content);
        assert_eq!(
            PageTree::build(g, &hashes).unwrap().root(),
            s.description().hash_root
        );
        let mut slot = vec![0; usize::from(K) * usize::from(SYMBOL)];
        assert!(s.read_block(g.blocks(), &mut slot).is_err());
        assert!(s.read_block(0, &mut slot[..100]).is_err());
    }
}

#[test]
fn k_goes_by_size() {
    let (_dir, path) = file(b"small");
    let k = |path: &Path| {
        let s = Source::open(path, "f", 1_344, None, Codec::None, &HashCache::none(), go).unwrap();
        s.description().geometry.k()
    };
    assert_eq!(k(&path), config::SMALL_K);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(config::LARGE_OBJECT)
        .unwrap();
    assert_eq!(k(&path), config::LARGE_K);
}

fn read_all(s: &Source) -> Result<(), StoreFault> {
    let mut slot = vec![0; usize::from(K) * usize::from(SYMBOL)];
    (0..s.description().geometry.blocks()).try_for_each(|b| s.read_block(b, &mut slot).map(|_| ()))
}

fn reason(result: Result<(), StoreFault>) -> String {
    match result {
        Err(fault) if fault.kind() == FaultKind::Changed => fault.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn changes_are_noticed() {
    use std::io::Write;
    let edit = |change: &dyn Fn(&Path)| {
        let (_dir, path) = file(&bytes(100_000, 2));
        set_time(&path, 100);
        let s = open(&path);
        read_all(&s).unwrap();
        change(&path);
        reason(read_all(&s))
    };
    let opened = |path: &Path| File::options().write(true).open(path).unwrap();
    assert!(edit(&|p| opened(p).set_len(50_000).unwrap()).contains("50000"));
    assert!(
        edit(&|p| File::options()
            .append(true)
            .open(p)
            .unwrap()
            .write_all(b"x")
            .unwrap())
        .contains("100001")
    );
    assert!(edit(&|p| opened(p).write_all(b"other").unwrap()).contains("written"));
    // Same length, and the time set back: only the hash can tell.
    let sneaky = edit(&|p| {
        let time = std::fs::metadata(p).unwrap().modified().unwrap();
        let mut f = opened(p);
        f.write_all(b"other").unwrap();
        f.set_modified(time).unwrap();
    });
    assert!(sneaky.contains("bytes from 0"), "{sneaky}");
    let replaced = edit(&|p| {
        std::fs::write(p.with_extension("new"), bytes(100_000, 3)).unwrap();
        std::fs::rename(p.with_extension("new"), p).unwrap();
    });
    assert!(replaced.contains("taken its place"), "{replaced}");
}

#[test]
fn a_removed_file_is_still_sent() {
    let (_dir, path) = file(&bytes(100_000, 2));
    let s = open(&path);
    std::fs::remove_file(&path).unwrap();
    read_all(&s).unwrap();
}

#[test]
fn what_can_not_be_offered_is_named() {
    let (dir, path) = file(b"x");
    let open = |path: &Path, name: &str, size, k| {
        Source::open(path, name, size, k, Codec::None, &HashCache::none(), go)
    };
    assert!(matches!(
        open(&path.with_extension("no"), "f", SYMBOL, None),
        Err(SourceError::Open { .. })
    ));
    assert!(matches!(
        open(dir.path(), "f", SYMBOL, None),
        Err(SourceError::NotAFile { .. })
    ));
    assert!(matches!(
        open(Path::new("/dev/null"), "f", SYMBOL, None),
        Err(SourceError::NotAFile { .. })
    ));
    assert!(matches!(
        open(&path, "../f", SYMBOL, None),
        Err(SourceError::Name { .. })
    ));
    assert!(matches!(
        open(&path, "f", 1_000, None),
        Err(SourceError::Geometry { .. })
    ));
    let stop = |_, _| ControlFlow::Break(());
    let stopped = Source::open(
        &path,
        "f",
        SYMBOL,
        None,
        Codec::None,
        &HashCache::none(),
        stop,
    );
    assert!(matches!(stopped, Err(SourceError::Stopped { .. })));
}

#[test]
fn a_file_that_keeps_changing_is_named() {
    let (_dir, path) = file(&bytes(10_000, 1));
    let mut len = 10_000;
    let shrink = |_, _| {
        len -= 100;
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(len)
            .unwrap();
        ControlFlow::Continue(())
    };
    let result = Source::open(
        &path,
        "f",
        SYMBOL,
        None,
        Codec::None,
        &HashCache::none(),
        shrink,
    );
    assert!(
        matches!(result, Err(SourceError::Unsteady { .. })),
        "{result:?}"
    );
    // One that changes once is hashed again.
    let mut calls = 0;
    let once = |_, _| {
        calls += 1;
        if calls == 2 {
            std::fs::write(&path, b"different").unwrap();
        }
        ControlFlow::Continue(())
    };
    let s = Source::open(
        &path,
        "f",
        SYMBOL,
        None,
        Codec::None,
        &HashCache::none(),
        once,
    )
    .unwrap();
    assert_eq!(
        s.description().content.0,
        *blake3::hash(b"different").as_bytes()
    );
}

#[test]
fn hashes_are_remembered() {
    let cache_dir = tempfile::tempdir().unwrap();
    let cache = HashCache::at(&cache_dir.path().join("new"), 1 << 20);
    let (_dir, path) = file(&bytes(100_000, 1));
    // Too young to be remembered.
    assert!(with_cache(&path, &cache).1 > 0);
    assert!(with_cache(&path, &cache).1 > 0);
    set_time(&path, 100);
    let (first, calls) = with_cache(&path, &cache);
    assert!(calls > 0);
    let (second, calls) = with_cache(&path, &cache);
    assert_eq!(calls, 0);
    assert_eq!(first.description(), second.description());
    read_all(&second).unwrap();
    // Another geometry, another time, another length: found anew.
    let other = Source::open(&path, "file.bin", 2_048, Some(K), Codec::None, &cache, go).unwrap();
    assert_ne!(other.description().hash_root, first.description().hash_root);
    set_time(&path, 99);
    assert!(with_cache(&path, &cache).1 > 0);
    assert_eq!(with_cache(&path, &cache).1, 0);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(90_000)
        .unwrap();
    set_time(&path, 99);
    assert!(with_cache(&path, &cache).1 > 0);
}

#[test]
fn a_lie_in_the_cache_is_forgotten() {
    let cache_dir = tempfile::tempdir().unwrap();
    let cache = HashCache::at(cache_dir.path(), 1 << 20);
    let (_dir, path) = file(&bytes(100_000, 1));
    set_time(&path, 100);
    let (s, _) = with_cache(&path, &cache);
    assert_eq!(with_cache(&path, &cache).1, 0);
    // Any bit of a cached file that flips is noticed.
    let cached = std::fs::read_dir(cache_dir.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let good = std::fs::read(&cached).unwrap();
    for at in (0..good.len()).step_by(37) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&cached, &bad).unwrap();
        assert!(
            cache.load(&s.looks, &s.description().geometry).is_none(),
            "{at}"
        );
    }
    std::fs::write(&cached, &good[..good.len() - 1]).unwrap();
    assert!(cache.load(&s.looks, &s.description().geometry).is_none());
    std::fs::write(&cached, &good).unwrap();
    assert!(cache.load(&s.looks, &s.description().geometry).is_some());
    // The bytes change behind the file's back: the entry goes, or the file would be offered so again.
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, bytes(100_000, 2)).unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    reason(read_all(&s));
    assert!(!cached.exists());
}

#[test]
fn the_cache_has_a_size() {
    let cache_dir = tempfile::tempdir().unwrap();
    let cache = HashCache::at(cache_dir.path(), 3_000);
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10 {
        let path = dir.path().join(format!("{i}"));
        std::fs::write(&path, bytes(100_000, i)).unwrap();
        set_time(&path, 100);
        with_cache(&path, &cache);
    }
    let total: u64 = std::fs::read_dir(cache_dir.path())
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(total > 0 && total <= 3_000, "{total}");
    assert_eq!(with_cache(&dir.path().join("9"), &cache).1, 0);
}

#[test]
fn a_cache_that_can_not_be_is_no_error() {
    let (_dir, path) = file(&bytes(100_000, 1));
    set_time(&path, 100);
    let cache = HashCache::at(&path.join("under-a-file"), 1 << 20);
    assert!(with_cache(&path, &cache).1 > 0);
    assert!(with_cache(&path, &cache).1 > 0);
}

/// Many tiny blocks, so that the list of hashes lives on disk.
#[test]
fn a_long_list_is_read_from_disk() {
    let cache_dir = tempfile::tempdir().unwrap();
    let (_dir, path) = file(&bytes(100, 1));
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(33_000 * 1_024)
        .unwrap();
    set_time(&path, 100);
    for cache in [HashCache::at(cache_dir.path(), 1 << 30), HashCache::none()] {
        for _ in 0..2 {
            let s = Source::open(&path, "f", SYMBOL, Some(1), Codec::None, &cache, go).unwrap();
            assert!(s.hashes.is_on_disk());
            let g = s.description().geometry;
            let checker = PageChecker::new(g, s.description().hash_root);
            let mut slot = vec![0; SYMBOL.into()];
            for page in [0, 1, g.pages() - 1] {
                s.read_block(g.place_of_page(page).0, &mut slot).unwrap();
                checker.check(page, &slot).unwrap();
            }
            s.read_block(g.first_content_block(), &mut slot).unwrap();
            s.read_block(g.blocks() - 1, &mut slot).unwrap();
        }
    }
}

#[test]
fn any_thread_may_read() {
    fn check<T: Send + Sync>() {}
    check::<Source>();
}

#[test]
fn parity_stands_behind_the_source_symbols() {
    let (_dir, path) = file(&bytes(11 * 1_024 + 5, 9));
    let s = open_with(&path, Codec::ReedSolomon);
    let g = s.description().geometry;
    assert_eq!((g.m(), s.description().codec), (K, Codec::ReedSolomon));
    assert_ne!(s.description().coding(), open(&path).description().coding());
    let size = usize::from(SYMBOL);
    let mut encoder = Encoder::new();
    let mut decoder = crate::fec::Decoder::new();
    for block in 0..g.blocks() {
        let (mut plain, mut slot) = (vec![1; 4 * size], vec![2; 8 * size]);
        let len = s.read_block(block, &mut plain).unwrap();
        let all = s
            .read_block_with_parity(block, &mut slot, &mut encoder)
            .unwrap();
        assert_eq!(slot[..len], plain[..len]);
        let (n, m) = (g.symbols(block), g.parity(block));
        assert_eq!(all, usize::from(n + m) * size);
        assert!(slot[all..].iter().all(|&b| b == 2));
        if m == 0 {
            continue;
        }
        let mut decoding = decoder.begin(n, m, size).unwrap();
        for symbol in m..m + n {
            let start = usize::from(symbol) * size;
            decoding.add(symbol, &slot[start..start + size]).unwrap();
        }
        let mut restored = slot[..len].to_vec();
        restored[..usize::from(m.min(n)) * size].fill(0);
        decoding.restore(&mut restored).unwrap();
        assert_eq!(restored, plain[..len]);
        let short = s.read_block_with_parity(block, &mut slot[..all - 1], &mut encoder);
        assert!(short.is_err());
    }
}
