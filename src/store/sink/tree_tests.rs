//! Trees: content that comes before the table that says where it belongs.

use super::fixture::{
    Carrier, blocks, bytes, file, folder, names, offer_table, real, table, with_trees,
};
use super::*;
use crate::ids::Hash;
use crate::object::Codec;
use crate::object::table::{Entry, EntryKind, TableWriter};
use crate::rng::Rng;
use crate::store::{Memory, Store};

const LEN: usize = 100_001;

fn tree() -> (Memory, Vec<u8>) {
    let content = bytes(LEN, 3);
    let table = table(&[folder(""), file("a", LEN, 0o644)]);
    let s = offer_table(&table, &content, ObjectKind::Folder, Codec::ReedSolomon);
    (s, content)
}

fn open(into: &Path, s: &Memory) -> Sink {
    let means = with_trees(real(), LEN as u64);
    Sink::open_with(into, s.description(), means).unwrap()
}

#[test]
fn content_waits_for_the_table() {
    for (steps, killed) in [(true, false), (false, false), (true, true)] {
        let (s, content) = tree();
        let into = tempfile::tempdir().unwrap();
        let mut sink = open(into.path(), &s);
        let mut c = Carrier::new(&s);
        c.bring_kinds(&mut sink, &s, &["content"], 1);
        assert_eq!(sink.after_table().unwrap(), Default::default());
        c.bring_kinds(&mut sink, &s, &["pages"], 1);
        assert_eq!(sink.lacking(), 1, "only the table");
        assert_eq!(
            names(into.path()),
            ["file.bin.part.spool", "file.bin.part.state"]
        );
        let mut read = vec![0; 50_000];
        Store::read_at(&sink, 30_000, &mut read).unwrap();
        assert!(read == content[30_000..80_000]);
        if killed {
            drop(sink);
            sink = open(into.path(), &s);
            assert_eq!(sink.lacking(), 1);
        }
        c.bring_kinds(&mut sink, &s, &["table"], 1);
        if steps {
            c.after_table(&mut sink).unwrap();
            assert_eq!(sink.bits.spooled.ones(), 0);
        }
        let mut read = vec![0; LEN];
        Store::read_at(&sink, 0, &mut read).unwrap();
        assert!(read == content);
        assert_eq!(sink.finish().unwrap(), into.path().join("file.bin"));
        assert_eq!(
            std::fs::read(into.path().join("tree.done")).unwrap(),
            content
        );
        assert_eq!(names(into.path()), ["tree.done"]);
    }
}

#[test]
fn a_wrong_block_that_waits_comes_again() {
    let (s, content) = tree();
    let into = tempfile::tempdir().unwrap();
    let mut sink = open(into.path(), &s);
    let mut c = Carrier::new(&s);
    let block = s.description().geometry.data_block(Part::Content, 3);
    for symbol in 0..4 {
        c.bring(&mut sink, block, symbol, &[7; 1_024]).unwrap();
    }
    c.bring_kinds(&mut sink, &s, &["pages"], 1);
    assert_eq!((&*c.bad, sink.bits.spooled.ones()), (&[block][..], 0));
    c.bring_kinds(&mut sink, &s, &["content", "table"], 1);
    sink.finish().unwrap();
    assert_eq!(
        std::fs::read(into.path().join("tree.done")).unwrap(),
        content
    );
}

#[test]
fn a_table_that_was_lost_costs_no_content() {
    for pages in [true, false] {
        let (s, content) = tree();
        let g = s.description().geometry;
        let into = tempfile::tempdir().unwrap();
        let mut sink = open(into.path(), &s);
        let mut c = Carrier::new(&s);
        c.bring_kinds(&mut sink, &s, &["table"], 1);
        if pages {
            c.bring_kinds(&mut sink, &s, &["pages"], 1);
        }
        c.after_table(&mut sink).unwrap();
        let all = blocks(&g, &["content"]);
        c.bring_all(&mut sink, &s, &all[..10], &mut Rng::new(1))
            .unwrap();
        sink.sidecar.write_table(b"damage", 0).unwrap();
        drop(sink);
        // Twice: what is said of blocks is not forgotten as long as nobody can tell.
        drop(open(into.path(), &s));
        let mut sink = open(into.path(), &s);
        assert_eq!(
            sink.lacking(),
            g.blocks() - if pages { g.pages(Part::Content) } else { 0 }
        );
        let mut c = Carrier::new(&s);
        c.bring_kinds(&mut sink, &s, &["table"], 1);
        c.after_table(&mut sink).unwrap();
        assert!(c.here.iter().eq(&all[..10]), "{:?}", c.here);
        c.bring_rest(&mut sink, &s).unwrap();
        sink.finish().unwrap();
        assert_eq!(
            std::fs::read(into.path().join("tree.done")).unwrap(),
            content
        );
    }
}

#[test]
fn what_waits_can_be_given_up_or_kept() {
    let (s, _) = tree();
    let into = tempfile::tempdir().unwrap();
    let mut sink = open(into.path(), &s);
    Carrier::new(&s).bring_kinds(&mut sink, &s, &["content"], 1);
    sink.abandon(true).unwrap();
    drop(sink);
    let mut sink = open(into.path(), &s);
    assert_eq!(
        sink.unproven().count(),
        s.description().geometry.data_blocks(Part::Content) as usize
    );
    sink.abandon(false).unwrap();
    assert!(names(into.path()).is_empty());
}

/// A real folder: two files side by side in a block, a link, a folder.
fn real_tree() -> (Memory, Vec<u8>) {
    let content = bytes(9_000, 5);
    let hash =
        |range: std::ops::Range<usize>| Some(Hash(*blake3::hash(&content[range]).as_bytes()));
    let mut writer = TableWriter::new();
    let mut add = |mut entry: Entry<'_>, is: Option<Hash>| {
        if let EntryKind::File { hash, .. } = &mut entry.kind {
            *hash = is;
        }
        writer.push(&entry).unwrap();
    };
    add(folder(""), None);
    add(file("a", 2_500, 0o644), hash(0..2_500));
    add(folder("b"), None);
    add(file("b/c", 6_500, 0o600), hash(2_500..9_000));
    let kind = EntryKind::Link { target: b"../a" };
    let mut link = folder("b/link");
    link.kind = kind;
    add(link, None);
    add(file("empty", 0, 0o644), None);
    let s = offer_table(
        &writer.finish(),
        &content,
        ObjectKind::Folder,
        Codec::ReedSolomon,
    );
    (s, content)
}

#[test]
fn a_folder_arrives_and_a_second_time_nothing_moves() {
    use std::os::unix::fs::MetadataExt;
    for order in [
        &["table", "pages", "content"][..],
        &["content", "pages", "table"],
    ] {
        let (s, content) = real_tree();
        let into = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
        for kind in order {
            c.bring_kinds(&mut sink, &s, &[kind], 1);
            c.after_table(&mut sink).unwrap();
        }
        assert_eq!(sink.lacking(), 0);
        let root = sink.finish().unwrap();
        assert_eq!(names(into.path()), ["file.bin"]);
        assert_eq!(names(&root), ["a", "b", "empty"]);
        assert!(std::fs::read(root.join("a")).unwrap() == content[..2_500]);
        assert!(std::fs::read(root.join("b/c")).unwrap() == content[2_500..]);
        assert!(std::fs::read(root.join("b/link")).unwrap() == content[..2_500]);
        let looks = || ["a", "b/c", "empty"].map(|f| std::fs::metadata(root.join(f)).unwrap());
        let looks = || looks().map(|m| (m.ino(), m.ctime(), m.ctime_nsec()));
        let before = looks();

        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        let mut c = Carrier::new(&s);
        c.bring_kinds(&mut sink, &s, &["table"], 1);
        c.after_table(&mut sink).unwrap();
        assert_eq!(sink.lacking(), 0, "no content need come");
        sink.finish().unwrap();
        assert_eq!(looks(), before);
        assert_eq!(names(into.path()), ["file.bin"]);
        // What was changed is found, and what was not is left.
        std::fs::write(root.join("a"), "changed").unwrap();
        let means = Means::real(
            KnownHashes::none(),
            TreeOptions {
                overwrite: true,
                ..TreeOptions::default()
            },
        );
        let mut sink = Sink::open_with(into.path(), s.description(), means).unwrap();
        let mut c = Carrier::new(&s);
        c.bring_rest(&mut sink, &s).unwrap();
        sink.finish().unwrap();
        assert!(std::fs::read(root.join("a")).unwrap() == content[..2_500]);
        assert_eq!(looks()[1], before[1]);
        assert_eq!(names(into.path()), ["file.bin"]);
    }
}
