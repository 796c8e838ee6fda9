//! A sink against files: any order, little memory, broken runs, broken disks, hostile names.

use super::*;
use crate::object::Geometry;
use crate::rng::Rng;
use crate::store::test_files::{Carrier, K, SYMBOL, blocks, file, open, source};
use crate::store::{BlockPool, Store};
use proptest::prelude::*;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const ALL: &[&str] = &["table", "pages", "content"];

fn carrier(s: &crate::store::Source) -> Carrier {
    Carrier::new(&s.description().geometry, 0)
}

fn bring(c: &mut Carrier, sink: &mut Sink, s: &crate::store::Source, kinds: &[&str], seed: u64) {
    let which = blocks(&s.description().geometry, kinds);
    c.bring_all(sink, s, &which, &mut Rng::new(seed)).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_order_gives_the_file(len in 0usize..120_000, seed: u64) {
        let (_dir, s, content) = source(len, seed);
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = carrier(&s);
        bring(&mut c, &mut sink, &s, ALL, seed);
        prop_assert_eq!((sink.lacking(), c.bad.len()), (0, 0));
        prop_assert!(c.pool.allocated() <= 4 * usize::from(K) * usize::from(SYMBOL));
        prop_assert!(len < 100_000 || c.evictions > 0);
        let path = sink.finish().unwrap();
        prop_assert!(std::fs::read(&path).unwrap() == content);
        prop_assert_eq!(names(into.path()), vec!["file.bin"]);
    }
}

#[test]
fn blocks_before_pages_are_settled_by_them() {
    let (_dir, s, content) = source(1_000_000, 1);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = carrier(&s);
    bring(&mut c, &mut sink, &s, &["content"], 1);
    let g = s.description().geometry;
    assert_eq!(sink.unproven().count(), g.content_blocks() as usize);
    assert_eq!(sink.lacking(), g.blocks());
    bring(&mut c, &mut sink, &s, &["pages", "table"], 2);
    assert_eq!((sink.lacking(), sink.unproven().count()), (0, 0));
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn time_and_mode_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, path) = file(b"text");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o6755)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    let s = open(&path);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    bring(&mut carrier(&s), &mut sink, &s, ALL, 1);
    let meta = std::fs::metadata(sink.finish().unwrap()).unwrap();
    assert_eq!(meta.modified().unwrap(), time);
    let mode = meta.permissions().mode() & 0o7777;
    assert_eq!(mode & !0o755, 0, "{mode:o}");
    assert_eq!(mode & 0o500, 0o500);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    let s = open(&path);
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    bring(&mut carrier(&s), &mut sink, &s, ALL, 1);
    let meta = std::fs::metadata(sink.finish().unwrap()).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7737, 0o400);
}

#[test]
fn a_damaged_block_is_bad_and_comes_again() {
    for pages_first in [true, false] {
        let (_dir, s, content) = source(50_000, 3);
        let g = s.description().geometry;
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = carrier(&s);
        if pages_first {
            bring(&mut c, &mut sink, &s, &["pages"], 1);
        }
        let block = g.first_content_block() + 2;
        for symbol in 0..g.symbols(block) {
            c.bring(&mut sink, &g, block, symbol, &[symbol as u8; 1_024])
                .unwrap();
        }
        assert_eq!(c.bad, if pages_first { vec![block] } else { vec![] });
        bring(&mut c, &mut sink, &s, &["pages"], 1);
        assert_eq!(c.bad, [block]);
        bring(&mut c, &mut sink, &s, &["content", "table"], 1);
        assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
    }
}

#[test]
fn what_holds_is_not_written_over() {
    let (_dir, s, content) = source(50_000, 3);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = carrier(&s);
    bring(&mut c, &mut sink, &s, ALL, 1);
    for block in blocks(&g, &["content"]) {
        let mut pool = BlockPool::new(0);
        pool.open(1, &g);
        assert!(matches!(
            pool.put(1, block, 0, &[7; 1_024]),
            crate::store::Put::Kept
        ));
        let mut buf = pool.take(1, block).unwrap();
        sink.write_partial(&buf).unwrap();
        assert_eq!(
            sink.finish_block(block, Some(&mut buf)).unwrap(),
            BlockResult::Verified
        );
    }
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn a_wrong_page_settles_nothing() {
    let (_dir, s, _) = source(50_000, 3);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let before = sink.lacking();
    for page in [0, 1_000] {
        let Settled {
            refused,
            verified,
            bad,
        } = sink.store_page(page, &[1; 1_024]).unwrap();
        assert!(refused && verified.is_empty() && bad.is_empty());
    }
    assert_eq!(sink.lacking(), before);
    assert!(matches!(sink.finish(), Err(SinkError::Incomplete(n)) if n == before));
}

#[test]
fn a_later_run_goes_on() {
    for pages_first in [true, false] {
        let (_dir, s, content) = source(200_000, 4);
        let g = s.description().geometry;
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        assert!(sink.held().is_empty());
        let mut c = carrier(&s);
        bring(
            &mut c,
            &mut sink,
            &s,
            if pages_first {
                &["pages", "table"]
            } else {
                &["table"]
            },
            1,
        );
        let content_blocks = blocks(&g, &["content"]);
        let (first, second) = content_blocks.split_at(content_blocks.len() / 2);
        c.bring_all(&mut sink, &s, first, &mut Rng::new(1)).unwrap();
        // A block that is damaged on disk meanwhile is not counted as here.
        let damaged = first[1];
        let BlockKind::Content { offset, .. } = g.kind(damaged) else {
            panic!()
        };
        sink.part.write_at(b"damage", offset).unwrap();
        drop(sink);

        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut again = Vec::from(second);
        if pages_first {
            let recovered: u64 = sink.held().iter().map(|r| r.end - r.start).sum();
            assert_eq!(
                recovered as usize,
                g.first_content_block() as usize + first.len() - 1
            );
            assert!(!sink.held().contains(damaged.into()));
            again.push(damaged);
        } else {
            assert!(sink.held().contains(0) && sink.held().last() == Some(0));
            assert_eq!(sink.unproven().count(), first.len());
        }
        let mut c = carrier(&s);
        c.bring_all(&mut sink, &s, &again, &mut Rng::new(2))
            .unwrap();
        bring(&mut c, &mut sink, &s, &["pages"], 3);
        if !pages_first {
            assert_eq!(c.bad, [damaged]);
            c.bring_all(&mut sink, &s, &[damaged], &mut Rng::new(2))
                .unwrap();
        }
        assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
        assert_eq!(names(into.path()), ["file.bin"]);
    }
}

#[test]
fn a_damaged_sidecar_is_not_believed() {
    let (_dir, s, content) = source(200_000, 4);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let state = into.path().join("file.bin.part.state");
    drop(sink);
    // Says that everything is here, with noise for pages.
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[4_096..].fill(0xff);
    std::fs::write(&state, &bytes).unwrap();
    sink = Sink::open(into.path(), s.description()).unwrap();
    assert!(sink.held().is_empty());
    bring(&mut carrier(&s), &mut sink, &s, &["table", "pages"], 1);
    assert_eq!(sink.unproven().count(), 0, "zeros are not the file");
    drop(sink);
    // Cut, and it says the same: zeros are unproven until their page comes.
    std::fs::write(&state, &bytes[..4_500]).unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    assert_eq!(
        sink.unproven().count() as u32,
        s.description().geometry.content_blocks()
    );
    let mut c = carrier(&s);
    bring(&mut c, &mut sink, &s, &["table", "pages"], 1);
    let bad = c.bad.clone();
    assert_eq!(bad.len() as u32, s.description().geometry.content_blocks());
    c.bring_all(&mut sink, &s, &bad, &mut Rng::new(1)).unwrap();
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn another_content_is_moved_aside() {
    let (_dir, old, _) = source(20_000, 5);
    let (_dir2, new, content) = source(20_000, 6);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), old.description()).unwrap();
    bring(&mut carrier(&old), &mut sink, &old, ALL, 1);
    let half_done = std::fs::read(sink.part_path()).unwrap();
    drop(sink);
    let sink = Sink::open(into.path(), new.description()).unwrap();
    let aside = into.path().join("file.bin.part.old");
    let moved = |replaced| MovedAside {
        path: aside.clone(),
        replaced,
    };
    assert_eq!(sink.moved_aside(), Some(&moved(false)));
    assert_eq!(std::fs::read(&aside).unwrap(), half_done);
    assert!(sink.held().is_empty());
    drop(sink);
    let sink = Sink::open(into.path(), old.description()).unwrap();
    assert_eq!(sink.moved_aside(), Some(&moved(true)));
    drop(sink);
    let mut sink = Sink::open(into.path(), new.description()).unwrap();
    bring(&mut carrier(&new), &mut sink, &new, ALL, 1);
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn a_finished_file_is_replaced_only_by_a_finished_one() {
    let (_dir, s, content) = source(20_000, 5);
    let into = tempfile::tempdir().unwrap();
    let path = into.path().join("file.bin");
    std::fs::write(&path, "before").unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    bring(&mut carrier(&s), &mut sink, &s, ALL, 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
    sink.finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn only_plain_files_are_replaced() {
    let (_dir, s, _) = source(20_000, 5);
    let into = tempfile::tempdir().unwrap();
    let path = into.path().join("file.bin");
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(
        Sink::open(into.path(), s.description()),
        Err(SinkError::Link { .. })
    ));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(
        Sink::open(into.path(), s.description()),
        Err(SinkError::Occupied { .. })
    ));
    assert_eq!(names(into.path()), ["file.bin"]);
    std::fs::remove_dir(&path).unwrap();
    // What comes in between is seen too.
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    bring(&mut carrier(&s), &mut sink, &s, ALL, 1);
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(sink.finish(), Err(SinkError::Occupied { .. })));
    drop(sink);
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", into.path().join("file.bin.part.state.x")).unwrap();
    std::fs::remove_file(into.path().join("file.bin.part.state")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", into.path().join("file.bin.part.state")).unwrap();
    assert!(matches!(
        Sink::open(into.path(), s.description()),
        Err(SinkError::Link { .. })
    ));
}

#[test]
fn names_stay_in_their_folder() {
    let (_dir, s, content) = source(20_000, 5);
    let base = tempfile::tempdir().unwrap();
    let into = base.path().join("into");
    let outside = base.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let mut d = s.description().clone();
    for name in ["../outside/f", "/etc/f", "a/../../f", "", "f.part", "a\\b"] {
        d.name = name.to_owned();
        assert!(
            matches!(Sink::open(&into, &d), Err(SinkError::Name { .. })),
            "{name}"
        );
    }
    std::fs::create_dir(&into).unwrap();
    std::os::unix::fs::symlink(&outside, into.join("link")).unwrap();
    d.name = "link/f".to_owned();
    assert!(matches!(Sink::open(&into, &d), Err(SinkError::Link { .. })));
    assert!(names(&outside).is_empty());
    d.name = "a/b/f".to_owned();
    let mut sink = Sink::open(&into, &d).unwrap();
    bring(&mut carrier(&s), &mut sink, &s, ALL, 1);
    assert_eq!(sink.finish().unwrap(), into.join("a/b/f"));
    assert_eq!(std::fs::read(into.join("a/b/f")).unwrap(), content);
}

#[test]
fn two_receivers_do_not_share_a_file() {
    let (_dir, s, _) = source(20_000, 5);
    let into = tempfile::tempdir().unwrap();
    let mut first = Sink::open(into.path(), s.description()).unwrap();
    assert!(matches!(
        Sink::open(into.path(), s.description()),
        Err(SinkError::Busy { .. })
    ));
    first.abandon(true).unwrap();
    drop(first);
    let mut second = Sink::open(into.path(), s.description()).unwrap();
    second.abandon(false).unwrap();
    assert!(names(into.path()).is_empty());
}

#[test]
fn too_little_room_is_said_at_once() {
    let into = tempfile::tempdir().unwrap();
    let huge = Description::pretend("huge", 1 << 54, 8_896, 8_192).unwrap();
    assert!(matches!(
        Sink::open(into.path(), &huge),
        Err(SinkError::NoSpace { .. })
    ));
    assert!(names(into.path()).is_empty());
}

#[test]
fn a_folder_that_can_not_be_is_named() {
    let (_dir, s, _) = source(20_000, 5);
    let (_dir2, path) = file(b"");
    assert!(matches!(
        Sink::open(&path.join("x"), s.description()),
        Err(SinkError::Folder { .. })
    ));
}

/// A disk that takes so many more bytes and then is full.
struct Filling(File, Arc<AtomicU64>);

impl Disk for Filling {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Disk::read_at(&self.0, buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let len = buf.len() as u64;
        let room = self
            .1
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
                room.checked_sub(len)
            });
        match room {
            Ok(_) => Disk::write_at(&self.0, buf, offset),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

#[test]
fn a_disk_that_fills_up_loses_nothing() {
    let (_dir, s, content) = source(200_000, 7);
    let which = blocks(&s.description().geometry, ALL);
    for room in [0, 71, 3_000, 10_000, 50_000, 150_000] {
        let into = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicU64::new(room));
        let wrap = |file| Box::new(Filling(file, left.clone())) as Box<dyn Disk>;
        if let Ok(mut sink) = Sink::open_with(into.path(), s.description(), &wrap) {
            let result = carrier(&s).bring_all(&mut sink, &s, &which, &mut Rng::new(1));
            assert!(matches!(result, Err(SinkError::Full { .. })), "{result:?}");
            sink.abandon(true).unwrap();
        }
        assert!(!into.path().join("file.bin").exists());
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        bring(&mut carrier(&s), &mut sink, &s, ALL, 1);
        assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
    }
}

#[test]
fn several_files_are_refused_by_name() {
    let (_dir, s, _) = source(20_000, 5);
    let one = |path: &str, offset| FileEntry {
        path: SafeName::in_table(path).unwrap(),
        offset,
        length: 10_000,
        mtime: None,
        mode: None,
    };
    let mut table =
        FileTable::single(SafeName::in_table("a").unwrap(), 20_000, None, None).encode();
    table[4..8].copy_from_slice(&2u32.to_be_bytes());
    table[16 + 12..16 + 20].copy_from_slice(&10_000u64.to_be_bytes());
    let second = FileTable::single(SafeName::in_table("b").unwrap(), 10_000, None, None).encode();
    table.extend(&second[16..]);
    let at = table.len() - 29;
    table[at..at + 8].copy_from_slice(&10_000u64.to_be_bytes());
    let parsed = FileTable::parse(&table, 20_000).unwrap();
    assert_eq!(parsed.entries(), [one("a", 0), one("b", 10_000)]);

    let mut d = s.description().clone();
    d.geometry = Geometry::new(20_000, SYMBOL, K, 0, table.len() as u32).unwrap();
    d.table_hash = block_hash(&table);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), &d).unwrap();
    table.resize(1_024, 0);
    let result = Carrier::new(&d.geometry, 0).bring(&mut sink, &d.geometry, 0, 0, &table);
    assert!(matches!(result, Err(SinkError::ManyFiles(2))), "{result:?}");
}

#[test]
fn a_wrong_table_is_bad() {
    let (_dir, s, _) = source(20_000, 5);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = carrier(&s);
    c.bring(&mut sink, &g, 0, 0, &[1; 1_024]).unwrap();
    assert_eq!(c.bad, [0]);
    bring(&mut c, &mut sink, &s, ALL, 1);
    assert_eq!(sink.lacking(), 0);
}

#[test]
fn a_sink_moves_to_its_thread() {
    fn check<T: Send>() {}
    check::<Sink>();
    check::<crate::store::BlockBuf>();
}
