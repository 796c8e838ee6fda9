//! What is there already: all of an object, parts of it, holes, and lies.

use super::existing::Have;
use super::fixture::{
    Carrier, SIZE, TIME, There, blocks, bytes, names, offer, part_of, real, replacing, source,
    source_with_parity, with_existing,
};
use super::*;
use crate::object::Codec;
use crate::store::{Memory, Store};
use proptest::prelude::*;

fn open(into: &Path, s: &Memory, there: There) -> Sink {
    let means = with_existing(real(), there);
    Sink::open_with(into, s.description(), means).unwrap()
}

fn have(content: std::ops::Range<u64>) -> Have {
    Have {
        content,
        zeros: false,
    }
}

#[test]
fn a_complete_copy_is_left_as_it_is() {
    let (s, content) = source_with_parity(100_001, 1);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let there = There {
        complete: true,
        content: content.clone(),
        ..There::default()
    };
    let mut sink = open(into.path(), &s, there);
    let mut c = Carrier::new(&s);
    c.bring_kinds(&mut sink, &s, &["table"], 1);
    c.after_table(&mut sink).unwrap();
    assert_eq!(sink.lacking(), 0);
    let content_blocks: Vec<BlockNo> = (g.first_content_block()..g.blocks()).collect();
    assert!(c.here.iter().eq(&content_blocks));
    assert_eq!(names(into.path()), ["file.bin.part.state"]);
    assert_eq!(sink.io().written, u64::from(g.table_len()));
    let (mut ours, mut theirs) = (vec![0; 4 * SIZE], vec![0; 4 * SIZE]);
    for block in content_blocks {
        let read = sink.read_block(block, &mut ours);
        assert_eq!(read, s.read_block(block, &mut theirs));
        assert_eq!(ours, theirs);
    }
    sink.finish().unwrap();
    assert!(names(into.path()).is_empty());
}

#[test]
fn what_only_seems_complete_comes() {
    for cut in [0, 60_000] {
        let (s, content) = source(100_001, 1);
        let into = tempfile::tempdir().unwrap();
        let mut wrong = content.clone();
        wrong[50_000] ^= 1;
        wrong.truncate(wrong.len() - cut);
        let there = There {
            complete: true,
            have: vec![have(0..100_001)],
            content: wrong,
        };
        let mut sink = open(into.path(), &s, there);
        let mut c = Carrier::new(&s);
        c.bring_kinds(&mut sink, &s, &["pages"], 1);
        c.bring_rest(&mut sink, &s).unwrap();
        let g = s.description().geometry;
        assert!(!c.here.contains(&g.content_block_at(50_000)));
        assert!(c.here.contains(&g.content_block_at(20_000)));
        assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
    }
}

#[test]
fn all_content_needs_no_page() {
    let (s, content) = source(100_001, 1);
    let into = tempfile::tempdir().unwrap();
    let there = There {
        have: vec![have(0..70_000), have(70_000..100_001)],
        content: content.clone(),
        ..There::default()
    };
    let mut sink = open(into.path(), &s, there);
    let mut c = Carrier::new(&s);
    c.bring_kinds(&mut sink, &s, &["table"], 1);
    c.after_table(&mut sink).unwrap();
    assert_eq!(sink.lacking(), 0);
    drop(sink);
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    assert_eq!(sink.lacking(), 0, "for a later run too");
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

#[test]
fn nothing_is_written_for_holes() {
    use std::os::unix::fs::MetadataExt;
    let len = 40 << 20;
    let mut content = vec![0; len];
    content[20 << 20..(20 << 20) + 10_000].copy_from_slice(&bytes(10_000, 1));
    let s = offer(&content, 0o644, Codec::None);
    let into = tempfile::tempdir().unwrap();
    let zeros = |content| Have {
        content,
        zeros: true,
    };
    let there = There {
        have: vec![zeros(0..20 << 20), zeros((20 << 20) + 10_000..len as u64)],
        ..There::default()
    };
    let mut sink = open(into.path(), &s, there);
    let mut c = Carrier::new(&s);
    c.bring_kinds(&mut sink, &s, &["table"], 1);
    let steps = c.after_table(&mut sink).unwrap();
    assert!(steps >= 3, "40 MiB are more than one step: {steps}");
    let all = s.description().geometry.data_blocks(Part::Content) as usize;
    assert_eq!(c.here.len(), all - 2, "the last of three is here in part");
    c.bring_rest(&mut sink, &s).unwrap();
    let io = sink.io();
    assert!(io.written < 40_000, "{io:?}");
    let path = sink.finish().unwrap();
    assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 100_000);
    assert!(std::fs::read(path).unwrap() == content);
}

#[test]
fn holes_are_zeros_where_a_wrong_block_was() {
    let content = vec![0; 40_000];
    let s = offer(&content, 0o644, Codec::None);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let there = There {
        have: vec![Have {
            content: 0..40_000,
            zeros: true,
        }],
        ..There::default()
    };
    let mut sink = open(into.path(), &s, there);
    let mut c = Carrier::new(&s);
    let block = g.data_block(Part::Content, 3);
    for symbol in 0..4 {
        c.bring(&mut sink, block, symbol, &[7; 1_024]).unwrap();
    }
    c.bring_kinds(&mut sink, &s, &["pages", "table"], 1);
    assert_eq!(c.bad, [block]);
    c.after_table(&mut sink).unwrap();
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

/// A folder with a version of the file, of the offered time.
fn folder_with(content: &[u8]) -> tempfile::TempDir {
    let into = tempfile::tempdir().unwrap();
    let path = into.path().join("file.bin");
    std::fs::write(&path, content).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(system_time(TIME).unwrap()).unwrap();
    into
}

#[test]
fn the_file_itself_is_found_and_left() {
    use std::os::unix::fs::MetadataExt;
    let (s, content) = source(100_001, 1);
    let into = folder_with(&content);
    let path = into.path().join("file.bin");
    let before = std::fs::metadata(&path).unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = Carrier::new(&s);
    c.bring_kinds(&mut sink, &s, &["table"], 1);
    c.after_table(&mut sink).unwrap();
    assert_eq!(sink.lacking(), 0);
    assert_eq!(
        sink.io().written,
        u64::from(s.description().geometry.table_len())
    );
    assert_eq!(sink.finish().unwrap(), path);
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(
        (after.ino(), after.ctime_nsec()),
        (before.ino(), before.ctime_nsec())
    );
    assert_eq!(names(into.path()), ["file.bin"]);
}

#[test]
fn blocks_of_an_old_version_are_used_as_their_pages_come() {
    for pages_first in [true, false] {
        let (s, content) = source(100_001, 1);
        let g = s.description().geometry;
        let mut old = content.clone();
        old[50_000] ^= 1;
        old.truncate(90_000);
        let into = folder_with(&old);
        let mut sink = Sink::open_with(into.path(), s.description(), replacing()).unwrap();
        let mut c = Carrier::new(&s);
        if pages_first {
            c.bring_kinds(&mut sink, &s, &["pages"], 1);
        }
        c.bring_kinds(&mut sink, &s, &["table"], 1);
        c.after_table(&mut sink).unwrap();
        c.bring_kinds(&mut sink, &s, &["pages"], 1);
        let lacking = |b: &BlockNo| !sink.held().contains(u64::from(*b));
        let lacking: Vec<BlockNo> = (0..g.blocks()).filter(lacking).collect();
        let changed = g.content_block_at(50_000);
        let from = g.content_block_at(90_000);
        let expected = blocks(&g, &["content"]);
        let expected = expected.into_iter().filter(|&b| b == changed || b >= from);
        assert!(lacking.iter().copied().eq(expected), "{lacking:?}");
        c.bring_rest(&mut sink, &s).unwrap();
        assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
    }
}

#[test]
fn without_loss_nothing_is_read_again() {
    let (s, content) = source_with_parity(3_000_000, 1);
    let into = tempfile::tempdir().unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = Carrier::with_memory(&s, 1 << 20);
    c.bring_rest(&mut sink, &s).unwrap();
    assert_eq!(c.evictions, 0);
    let io = sink.io();
    assert!(io.read_back * 100 <= io.written, "{io:?}");
    let once = content.len() as u64 + u64::from(s.description().geometry.table_len());
    assert_eq!(io.written, once, "every byte once");
    assert_eq!(names(into.path()), ["file.bin.part", "file.bin.part.state"]);
    assert_eq!(std::fs::read(sink.finish().unwrap()).unwrap(), content);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_parts_are_used(
        len in 1usize..60_000,
        cuts in proptest::collection::vec((0usize..60_000, 0usize..12_000, any::<bool>()), 0..6),
        wrong in proptest::option::of(0usize..60_000),
        pages_first: bool,
        seed: u64,
    ) {
        let (s, content) = source_with_parity(len, seed);
        let g = s.description().geometry;
        let mut there = There { content: content.clone(), ..There::default() };
        if let Some(at) = wrong.filter(|&at| at < len) {
            there.content[at] ^= 1;
        }
        let mut at = 0;
        for (from, count, skipped) in cuts {
            let from = at + from / 8 * usize::from(skipped);
            let to = (from + count).min(len);
            if from < to {
                there.have.push(have(from as u64..to as u64));
                at = to;
            }
        }
        let into = tempfile::tempdir().unwrap();
        let have = there.have.clone();
        let mut sink = open(into.path(), &s, there);
        let mut c = Carrier::new(&s);
        if pages_first {
            c.bring_kinds(&mut sink, &s, &["pages"], seed);
        }
        c.bring_rest(&mut sink, &s).unwrap();
        // A wrong symbol makes its block bad; it comes again without what was there.
        let bad = std::mem::take(&mut c.bad);
        prop_assert!(bad.len() <= usize::from(wrong.is_some()));
        c.bring_all(&mut sink, &s, &bad, &mut crate::rng::Rng::new(seed)).unwrap();
        c.bring_kinds(&mut sink, &s, &["pages"], seed);
        let bad = std::mem::take(&mut c.bad);
        c.bring_all(&mut sink, &s, &bad, &mut crate::rng::Rng::new(seed)).unwrap();
        prop_assert!(c.bad.is_empty() && sink.lacking() == 0);
        // Every block that is there without gap and right need not come.
        for block in blocks(&g, &["content"]) {
            let range = sink.data(block).unwrap().range();
            let covers = |h: &Have| h.content.start <= range.start && range.end <= h.content.end;
            let is_there = have.iter().any(covers);
            let is_wrong = wrong.is_some_and(|at| range.contains(&(at as u64)));
            prop_assert!(!is_there || is_wrong || c.here.contains(&block));
        }
        prop_assert!(std::fs::read(sink.finish().unwrap()).unwrap() == content);
        prop_assert!(!part_of(into.path()).exists());
    }
}
