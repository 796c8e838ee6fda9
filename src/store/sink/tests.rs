//! A sink against files: any order, little memory, broken runs, broken disks, hostile names.

use super::fixture::{
    Carrier, K, SYMBOL, TIME, blocks, bytes, file, folder, names, offer, offer_table, part_of,
    replacing, source, table, wrapping,
};
use super::*;
use crate::fault::{FaultKind, StoreFault};
use crate::object::{BlockKind, Codec};
use crate::rng::Rng;
use crate::store::{BlockPool, BlockResult, Memory, Settled, Store};
use proptest::prelude::*;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const ALL: &[&str] = &["table", "pages", "content"];

fn bring(c: &mut Carrier, sink: &mut Sink, s: &Memory, kinds: &[&str], seed: u64) {
    c.bring_kinds(sink, s, kinds, seed);
}

/// Damages the incomplete file.
fn damage(into: &Path, offset: u64) {
    let file = File::options().write(true).open(part_of(into)).unwrap();
    Disk::write_at(&file, b"damage", offset).unwrap();
}

fn content_blocks(s: &Memory) -> usize {
    s.description().geometry.data_blocks(Part::Content) as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_order_gives_the_file(len in 0usize..120_000, seed: u64) {
        let (s, content) = source(len, seed);
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
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
    let (s, content) = source(1_000_000, 1);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = Carrier::new(&s);
    bring(&mut c, &mut sink, &s, &["content"], 1);
    let g = s.description().geometry;
    assert_eq!(sink.unproven().count(), content_blocks(&s));
    assert_eq!(sink.lacking(), g.blocks());
    bring(&mut c, &mut sink, &s, &["pages", "table"], 2);
    assert_eq!((sink.lacking(), sink.unproven().count()), (0, 0));
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn time_and_mode_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, kept, required) in [(0o6755, 0o755, 0o500), (0o440, 0o440, 0o400)] {
        let into = tempfile::tempdir().unwrap();
        let s = offer(b"text", mode, Codec::None);
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        bring(&mut Carrier::new(&s), &mut sink, &s, ALL, 1);
        let meta = std::fs::metadata(sink.finish().unwrap()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(TIME as u64);
        assert_eq!(meta.modified().unwrap(), time);
        let mode = meta.permissions().mode() & 0o7777;
        assert_eq!(mode & !kept, 0, "{mode:o}");
        assert_eq!(mode & required, required);
    }
}

#[test]
fn a_damaged_block_is_bad_and_comes_again() {
    for pages_first in [true, false] {
        let (s, content) = source(50_000, 3);
        let g = s.description().geometry;
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
        if pages_first {
            bring(&mut c, &mut sink, &s, &["pages"], 1);
        }
        let block = g.data_block(Part::Content, 2);
        for symbol in 0..g.symbols(block) {
            c.bring(&mut sink, block, symbol, &[symbol as u8; 1_024])
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
    let (s, content) = source(50_000, 3);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = Carrier::new(&s);
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
    let (s, _) = source(150_000, 3);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let before = sink.lacking();
    for block in [0, g.page_block(Part::Content, 0), g.blocks(), u32::MAX] {
        let refused = Settled {
            refused: true,
            ..Settled::default()
        };
        assert_eq!(sink.store_page(block, &[1; 1_024]).unwrap(), refused);
    }
    assert_eq!(sink.lacking(), before);
    assert!(matches!(sink.finish(), Err(SinkError::Incomplete(n)) if n == before));
}

#[test]
fn a_later_run_goes_on() {
    for pages_first in [true, false] {
        let (s, content) = source(200_000, 4);
        let g = s.description().geometry;
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        assert!(sink.held().is_empty());
        let mut c = Carrier::new(&s);
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
        let all = blocks(&g, &["content"]);
        let (first, second) = all.split_at(all.len() / 2);
        c.bring_all(&mut sink, &s, first, &mut Rng::new(1)).unwrap();
        // A block that is damaged on disk meanwhile is not counted as here.
        let damaged = first[1];
        let BlockKind::Data { offset, .. } = g.kind(damaged) else {
            panic!()
        };
        damage(into.path(), offset);
        drop(sink);

        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut again = Vec::from(second);
        if pages_first {
            let recovered: u64 = sink.held().iter().map(|r| r.end - r.start).sum();
            let pages = g.pages(Part::Content) as usize;
            assert_eq!(recovered as usize, 1 + pages + first.len() - 1);
            assert!(!sink.held().contains(damaged.into()));
            again.push(damaged);
        } else {
            assert!(sink.held().contains(0) && sink.held().last() == Some(0));
            assert_eq!(sink.unproven().count(), first.len());
        }
        let mut c = Carrier::new(&s);
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
    let (s, content) = source(200_000, 4);
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
    bring(&mut Carrier::new(&s), &mut sink, &s, &["table", "pages"], 1);
    assert_eq!(sink.unproven().count(), 0, "zeros are not the file");
    drop(sink);
    // Cut, and it says the same: what can't be read has not come.
    std::fs::write(&state, &bytes[..4_500]).unwrap();
    let sink = Sink::open(into.path(), s.description()).unwrap();
    assert_eq!(sink.unproven().count(), 0);
    drop(sink);
    // Zeros are unproven until their page comes.
    let bits = s.description().geometry.blocks().div_ceil(8) as usize;
    bytes[4_096 + 2 * bits..4_096 + 3 * bits].fill(0);
    std::fs::write(&state, &bytes[..4_500]).unwrap();
    std::fs::write(part_of(into.path()), vec![0; content.len()]).unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    assert_eq!(sink.unproven().count(), content_blocks(&s));
    let mut c = Carrier::new(&s);
    bring(&mut c, &mut sink, &s, &["table", "pages"], 1);
    let bad = c.bad.clone();
    assert_eq!(bad.len(), content_blocks(&s));
    c.bring_all(&mut sink, &s, &bad, &mut Rng::new(1)).unwrap();
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn another_content_is_moved_aside() {
    let (old, _) = source(20_000, 5);
    let (new, content) = source(20_000, 6);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), old.description()).unwrap();
    bring(&mut Carrier::new(&old), &mut sink, &old, ALL, 1);
    let half_done = std::fs::read(part_of(into.path())).unwrap();
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
    // Nothing has come of it, so there is nothing to move.
    let mut sink = Sink::open(into.path(), old.description()).unwrap();
    assert_eq!(sink.moved_aside(), None);
    bring(&mut Carrier::new(&old), &mut sink, &old, &["content"], 1);
    drop(sink);
    let sink = Sink::open(into.path(), new.description()).unwrap();
    assert_eq!(sink.moved_aside(), Some(&moved(true)));
    drop(sink);
    let mut sink = Sink::open(into.path(), new.description()).unwrap();
    bring(&mut Carrier::new(&new), &mut sink, &new, ALL, 1);
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn a_finished_file_is_replaced_only_by_a_finished_one() {
    let (s, content) = source(20_000, 5);
    let into = tempfile::tempdir().unwrap();
    let path = into.path().join("file.bin");
    std::fs::write(&path, "before").unwrap();
    let mut sink = Sink::open_with(into.path(), s.description(), replacing()).unwrap();
    bring(&mut Carrier::new(&s), &mut sink, &s, ALL, 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
    sink.finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn only_plain_files_are_replaced() {
    let (s, _) = source(20_000, 5);
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
    bring(&mut Carrier::new(&s), &mut sink, &s, ALL, 1);
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
    let (s, content) = source(20_000, 5);
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
    bring(&mut Carrier::new(&s), &mut sink, &s, ALL, 1);
    assert_eq!(sink.finish().unwrap(), into.join("a/b/f"));
    assert_eq!(std::fs::read(into.join("a/b/f")).unwrap(), content);
}

#[test]
fn two_receivers_do_not_share_a_file() {
    let (s, _) = source(20_000, 5);
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
    let huge = Description::pretend("huge", 1 << 54, 8_896, 65_536).unwrap();
    assert!(matches!(
        Sink::open(into.path(), &huge),
        Err(SinkError::NoSpace { .. })
    ));
    assert!(names(into.path()).is_empty());
}

#[test]
fn a_folder_that_can_not_be_is_named() {
    let (s, _) = source(20_000, 5);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(
        Sink::open(&file.path().join("x"), s.description()),
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
    let (s, content) = source(200_000, 7);
    let which = blocks(&s.description().geometry, ALL);
    for room in [0, 71, 3_000, 10_000, 50_000, 150_000] {
        let into = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicU64::new(room));
        let means = wrapping(move |file| Box::new(Filling(file, left.clone())));
        if let Ok(mut sink) = Sink::open_with(into.path(), s.description(), means) {
            let result = Carrier::new(&s).bring_all(&mut sink, &s, &which, &mut Rng::new(1));
            assert!(matches!(result, Err(SinkError::Full { .. })), "{result:?}");
            sink.abandon(true).unwrap();
        }
        assert!(!into.path().join("file.bin").exists());
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        bring(&mut Carrier::new(&s), &mut sink, &s, ALL, 1);
        assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
    }
}

#[test]
fn a_refused_table_is_said_with_its_reason() {
    let content = bytes(20_000, 5);
    let other = table(&[file("a", 20_001, 0o644)]);
    let tree = table(&[folder(""), file("a", 20_000, 0o644)]);
    let bomb = zstd::bulk::compress(&vec![1; 64 << 20], 19).unwrap();
    let broken = zstd::bulk::compress(&other, 3).unwrap()[..20].to_vec();
    let cut = other[..other.len() - 1].to_vec();
    for table in [other, tree, bomb, broken, cut] {
        let s = offer_table(&table, &content, ObjectKind::File, Codec::None);
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
        let which = blocks(&s.description().geometry, ALL);
        let result = c.bring_all(&mut sink, &s, &which, &mut Rng::new(1));
        let error = StoreFault::from(result.unwrap_err());
        assert_eq!(error.kind(), FaultKind::Other);
        assert!(error.to_string().contains("table is refused: "), "{error}");
        drop(sink);
        // Nor does a later run take it.
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        assert!(!sink.held().contains(0));
        assert!(matches!(sink.finish(), Err(SinkError::Incomplete(_))));
    }
}

#[test]
fn a_wrong_table_is_bad() {
    let (s, _) = source(20_000, 5);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = Carrier::new(&s);
    c.bring(&mut sink, 0, 0, &[1; 1_024]).unwrap();
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

#[test]
fn what_a_newer_version_left_is_not_touched() {
    let (s, _) = source(20_000, 5);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    bring(&mut Carrier::new(&s), &mut sink, &s, &["content"], 1);
    drop(sink);
    let state = into.path().join("file.bin.part.state");
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[7] = b'3';
    let sum = blake3::hash(&bytes[..40]);
    bytes[40..72].copy_from_slice(sum.as_bytes());
    std::fs::write(&state, &bytes).unwrap();
    let part = std::fs::read(part_of(into.path())).unwrap();
    let error = Sink::open(into.path(), s.description()).unwrap_err();
    assert!(
        matches!(&error, SinkError::Newer { path } if *path == state),
        "{error}"
    );
    assert_eq!(std::fs::read(&state).unwrap(), bytes);
    assert_eq!(std::fs::read(part_of(into.path())).unwrap(), part);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_state_that_is_cut_or_changed_does_no_harm(
        cut in 0usize..12_000,
        changes in proptest::collection::vec((0usize..12_000, any::<u8>()), 0..20),
        seed: u64,
    ) {
        let (s, content) = source(100_000, seed);
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        bring(&mut Carrier::new(&s), &mut sink, &s, &["table", "content"], seed);
        drop(sink);
        let state = into.path().join("file.bin.part.state");
        let mut bytes = std::fs::read(&state).unwrap();
        for (at, byte) in changes {
            if let Some(b) = bytes.get_mut(at) {
                *b = byte;
            }
        }
        bytes.truncate(cut);
        std::fs::write(&state, &bytes).unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
        c.bring_rest(&mut sink, &s).unwrap();
        let bad = std::mem::take(&mut c.bad);
        c.bring_all(&mut sink, &s, &bad, &mut Rng::new(seed)).unwrap();
        prop_assert!(c.bad.is_empty());
        prop_assert!(std::fs::read(sink.finish().unwrap()).unwrap() == content);
    }
}
