//! Objects that are there already, whole or in other dress, and what an earlier version has left.

use super::fixture::{buffer, bytes, file, folder, names, offer_table, symbols};
use super::*;
use crate::ids::Hash;
use crate::object::Codec;
use crate::object::pattern::{Filter, Pattern};
use crate::object::table::{Entry, EntryKind, TableWriter};
use crate::store::{BlockResult, Destination, Memory, Selection, Store};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

/// A table with these entries and the hashes of their files, and the object.
fn object(kind: ObjectKind, entries: &[Entry<'_>], content: &[u8]) -> Memory {
    let mut writer = TableWriter::new();
    let mut at = 0;
    for mut entry in entries.iter().cloned() {
        if let EntryKind::File { length, hash, .. } = &mut entry.kind {
            let of_file = &content[at..at + *length as usize];
            let is_hashed = *length > 0 && kind != ObjectKind::File;
            *hash = is_hashed.then(|| Hash(*blake3::hash(of_file).as_bytes()));
            at += of_file.len();
        }
        writer.push(&entry).unwrap();
    }
    offer_table(&writer.finish(), content, kind, Codec::ReedSolomon)
}

/// An object of a kind, and its content.
fn some(kind: ObjectKind) -> (Memory, Vec<u8>) {
    let content = bytes(9_000, 5);
    if kind == ObjectKind::File {
        let entries = [file("file.bin", 9_000, 0o640)];
        return (object(kind, &entries, &content), content);
    }
    let mut link = folder("b/link");
    link.kind = EntryKind::Link { target: b"../a" };
    let entries = [
        folder(""),
        file("a", 2_500, 0o644),
        folder("b"),
        file("b/c", 6_500, 0o600),
        link,
        file("empty", 0, 0o644),
    ];
    (object(kind, &entries, &content), content)
}

/// Brings blocks of the table, then of the rest what is not held once what is there was looked for.
fn bring(store: &mut dyn Store, s: &Memory, all: bool) -> Result<(), crate::fault::StoreFault> {
    let g = s.description().geometry;
    for block in 0..g.blocks() {
        if block == g.first_content_block() {
            while store.after_table()?.more {}
            if !all {
                return Ok(());
            }
        }
        if store.held().contains(u64::from(block)) {
            continue;
        }
        let symbols = symbols(s, block);
        if g.is_page(block) {
            store.store_page(block, &symbols[0])?;
            continue;
        }
        let which: Vec<u16> = (0..g.symbols(block)).collect();
        let mut buf = buffer(&g, block, &symbols, &which);
        assert_ne!(store.finish_block(block, Some(&mut buf))?, BlockResult::Bad);
    }
    Ok(())
}

fn receive(into: &Path, s: &Memory, options: TreeOptions) -> Box<dyn Store> {
    let mut to = FolderDestination::new(into).tree_options(options);
    let mut store = to.open(s.description()).unwrap().store;
    bring(&mut *store, s, true).unwrap();
    store.finish().unwrap();
    store
}

/// Everything in a folder, with what changes when it is touched.
fn looks(folder: &Path) -> Vec<(PathBuf, u64, i64, i64, i64)> {
    let mut all = Vec::new();
    for name in names(folder) {
        let path = folder.join(name);
        let meta = path.symlink_metadata().unwrap();
        let (a, b, c) = (meta.ctime(), meta.ctime_nsec(), meta.mtime_nsec());
        all.push((path.clone(), meta.ino(), a, b, c));
        if meta.is_dir() {
            all.extend(looks(&path));
        }
    }
    all
}

/// Options by which what is there is replaced, or not.
fn replacing(overwrite: bool) -> TreeOptions {
    TreeOptions {
        overwrite,
        ..TreeOptions::default()
    }
}

const KINDS: [ObjectKind; 3] = [ObjectKind::File, ObjectKind::Folder, ObjectKind::Inside];

#[test]
fn of_an_object_that_is_there_nothing_is_written() {
    for kind in KINDS {
        for overwrite in [false, true] {
            let (s, content) = some(kind);
            let into = tempfile::tempdir().unwrap();
            let options = replacing(overwrite);
            receive(into.path(), &s, options);
            let before = looks(into.path());
            assert!(before.iter().all(|(path, ..)| {
                let name = path.to_str().unwrap();
                !name.contains(".part")
            }));
            let mut to = FolderDestination::new(into.path()).tree_options(options);
            let mut store = to.open(s.description()).unwrap().store;
            bring(&mut *store, &s, false).unwrap();
            assert_eq!(store.held(), s.held(), "{kind:?}: no content need come");
            let state = into.path().join("file.bin.part.state");
            let now = looks(into.path()).into_iter().filter(|l| l.0 != state);
            assert!(now.eq(before.iter().cloned()), "{kind:?}");
            let mut back = vec![0; content.len()];
            store.read_at(0, &mut back).unwrap();
            assert!(back == content);
            store.finish().unwrap();
            assert_eq!(looks(into.path()), before, "{kind:?}");
        }
    }
}

#[test]
fn files_with_the_right_bytes_get_time_and_mode_and_are_not_written() {
    for kind in [ObjectKind::Folder, ObjectKind::Inside] {
        for overwrite in [false, true] {
            let (s, content) = some(kind);
            let into = tempfile::tempdir().unwrap();
            let options = replacing(overwrite);
            receive(into.path(), &s, options);
            let before = looks(into.path());
            let root = match kind {
                ObjectKind::Inside => into.path().to_path_buf(),
                _ => into.path().join("file.bin"),
            };
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
            let modes = || ["a", "b/c", "empty", "b"].map(|f| mode(&root.join(f)));
            let right = modes();
            let set = |f: &str, mode| {
                let path = root.join(f);
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            set("a", 0o400);
            set("b", 0o700);
            for name in ["b/c", "empty"] {
                let there = File::open(root.join(name)).unwrap();
                there.set_modified(SystemTime::now()).unwrap();
            }
            let mut to = FolderDestination::new(into.path()).tree_options(options);
            let mut store = to.open(s.description()).unwrap().store;
            bring(&mut *store, &s, false).unwrap();
            assert_eq!(store.held(), s.held(), "no content need come");
            for name in [".file.bin.part", "file.bin.part"] {
                assert!(!into.path().join(name).join("a").exists());
            }
            let mut back = vec![0; content.len()];
            store.read_at(0, &mut back).unwrap();
            assert!(back == content);
            store.finish().unwrap();
            assert_eq!(store.remarks().count, 0);
            assert_eq!(modes(), right);
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(super::fixture::TIME as u64);
            for name in ["a", "b/c", "empty", "b"] {
                let meta = root.join(name).metadata().unwrap();
                assert_eq!(meta.modified().unwrap(), time, "{name}");
            }
            let inodes = |all: &[(PathBuf, u64, i64, i64, i64)]| -> Vec<(PathBuf, u64)> {
                let files = all.iter().filter(|l| !l.0.ends_with("empty"));
                files.map(|l| (l.0.clone(), l.1)).collect()
            };
            assert_eq!(inodes(&looks(into.path())), inodes(&before));
        }
    }
}

#[test]
fn what_a_whole_folder_has_beside_the_object_is_removed_when_asked_for() {
    let (s, _) = some(ObjectKind::Folder);
    let into = tempfile::tempdir().unwrap();
    receive(into.path(), &s, TreeOptions::default());
    let root = into.path().join("file.bin");
    let before = looks(&root);
    std::fs::write(root.join("b/mine"), "x").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(super::fixture::TIME as u64);
    let settle = || File::open(root.join("b")).unwrap().set_modified(time);
    settle().unwrap();
    let options = TreeOptions {
        delete: true,
        ..TreeOptions::default()
    };
    let mut to = FolderDestination::new(into.path()).tree_options(options);
    let mut store = to.open(s.description()).unwrap().store;
    bring(&mut *store, &s, false).unwrap();
    assert_eq!(store.held(), s.held());
    store.finish().unwrap();
    let remarks = store.remarks();
    assert_eq!((remarks.deleted, remarks.count), (1, 0));
    let files = |all: &[(PathBuf, u64, i64, i64, i64)]| -> Vec<_> {
        all.iter().map(|l| (l.0.clone(), l.1)).collect()
    };
    assert_eq!(files(&looks(&root))[..3], files(&before)[..3]);
    assert_eq!(names(&root.join("b")), ["c", "link"]);
    assert_eq!(names(into.path()), ["file.bin"]);
}

#[test]
fn nothing_of_what_was_staged_of_another_version_gets_a_name() {
    let kinds = [
        (ObjectKind::Folder, false),
        (ObjectKind::Folder, true),
        (ObjectKind::Inside, true),
    ];
    for (kind, exists) in kinds {
        let content = bytes(30_000, 5);
        let entries = [
            folder(""),
            file("a", 20_000, 0o644),
            folder("gone"),
            file("gone/x", 10_000, 0o600),
        ];
        let earlier = object(kind, &entries, &content);
        let into = tempfile::tempdir().unwrap();
        let (root, staging) = match kind {
            ObjectKind::Inside => (into.path().to_path_buf(), ".file.bin.part"),
            _ => (into.path().join("file.bin"), "file.bin.part"),
        };
        if exists {
            std::fs::create_dir_all(&root).unwrap();
        }
        let mut to = FolderDestination::new(into.path());
        let mut store = to.open(earlier.description()).unwrap().store;
        bring(&mut *store, &earlier, true).unwrap();
        store.abandon(true).unwrap();
        drop(store);
        assert!(into.path().join(staging).join("gone/x").exists());
        // Of this version the file has a hole, where the earlier one had bytes.
        let mut content = bytes(20_000, 6);
        content[4_096..16_384].fill(0);
        let mut hole = file("a", 20_000, 0o644);
        if let EntryKind::File { holes, .. } = &mut hole.kind {
            *holes = std::iter::once(4_096..16_384).collect();
        }
        let s = object(kind, &[folder(""), hole], &content);
        // A run that is killed before it has put anything there.
        drop(
            FolderDestination::new(into.path())
                .open(s.description())
                .unwrap(),
        );
        let store = receive(into.path(), &s, TreeOptions::default());
        assert_eq!(store.remarks().count, 0);
        assert_eq!(names(&root), ["a"]);
        assert!(std::fs::read(root.join("a")).unwrap() == content);
        assert_eq!(names(into.path()).len(), 1);
    }
}

#[test]
fn what_was_staged_of_another_version_is_used() {
    for kind in [ObjectKind::Folder, ObjectKind::Inside] {
        let entries = |name, new| {
            [
                folder(""),
                file("a", 20_000, 0o644),
                folder("b"),
                file(name, 10_000, 0o600),
                file("c", new, 0o644),
            ]
        };
        let into = tempfile::tempdir().unwrap();
        let mut content = bytes(30_900, 5);
        let earlier = object(kind, &entries("b/x", 900), &content);
        let mut to = FolderDestination::new(into.path());
        let mut store = to.open(earlier.description()).unwrap().store;
        bring(&mut *store, &earlier, true).unwrap();
        store.abandon(true).unwrap();
        drop(store);
        // One file is renamed and one is new; two runs see only the table.
        content.truncate(30_000);
        content.extend(bytes(4_000, 6));
        let s = object(kind, &entries("b/y", 4_000), &content);
        let g = s.description().geometry;
        for _ in 0..2 {
            let mut store = to.open(s.description()).unwrap().store;
            bring(&mut *store, &s, false).unwrap();
            for number in 0..g.pages(Part::Content) {
                let page = g.page_block(Part::Content, number);
                store.store_page(page, &symbols(&s, page)[0]).unwrap();
            }
            // All that is new is in the last two blocks.
            let mut back = vec![0; 28_672];
            store.read_at(0, &mut back).unwrap();
            assert!(back == content[..28_672]);
            let last = 28_672..g.length();
            let mut back = vec![0; (last.end - last.start) as usize];
            assert!(store.read_at(last.start, &mut back).is_err());
            store.abandon(true).unwrap();
            drop(store);
        }
        let left = |name: &&String| name.contains(".part.old");
        assert_eq!(names(into.path()).iter().find(left), None);
        receive(into.path(), &s, TreeOptions::default());
        let root = match kind {
            ObjectKind::Inside => into.path().to_path_buf(),
            _ => into.path().join("file.bin"),
        };
        assert!(std::fs::read(root.join("b/y")).unwrap() == content[20_000..30_000]);
        assert_eq!(names(&root), ["a", "b", "c"]);
    }
}

#[test]
fn a_folder_that_nobody_who_receives_has_left_stays() {
    let (s, _) = some(ObjectKind::Folder);
    let into = tempfile::tempdir().unwrap();
    let own = into.path().join("file.bin.part");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("a"), "mine").unwrap();
    for _ in 0..2 {
        let refused = FolderDestination::new(into.path()).open(s.description());
        let text = refused.err().unwrap().to_string();
        assert!(text.contains("file.bin.part: "), "{text}");
    }
    assert_eq!(std::fs::read(own.join("a")).unwrap(), b"mine");
    assert_eq!(names(into.path()), ["file.bin.part"]);
}

#[test]
fn what_was_staged_is_given_up_without_its_table() {
    let (s, _) = some(ObjectKind::Folder);
    let into = tempfile::tempdir().unwrap();
    let mut to = FolderDestination::new(into.path());
    let mut store = to.open(s.description()).unwrap().store;
    bring(&mut *store, &s, true).unwrap();
    store.abandon(true).unwrap();
    drop(store);
    let mut store = to.open(s.description()).unwrap().store;
    store.abandon(false).unwrap();
    assert!(names(into.path()).is_empty());
}

#[test]
fn held_blocks_of_holes_are_read_before_any_file_is_made() {
    let mut content = vec![0; 60_000];
    content[50_000..].copy_from_slice(&bytes(10_000, 5));
    let with_hole = |path, length, range| {
        let mut entry = file(path, length, 0o644);
        if let EntryKind::File { holes, .. } = &mut entry.kind {
            *holes = std::iter::once(range).collect();
        }
        entry
    };
    let entries = [
        folder(""),
        with_hole("all", 30_000, 0..30_000),
        with_hole("some", 30_000, 0..20_000),
    ];
    let s = object(ObjectKind::Folder, &entries, &content);
    let g = s.description().geometry;
    let into = tempfile::tempdir().unwrap();
    let mut to = FolderDestination::new(into.path());
    let mut store = to.open(s.description()).unwrap().store;
    bring(&mut *store, &s, false).unwrap();
    for number in 0..g.pages(Part::Content) {
        let page = g.page_block(Part::Content, number);
        store.store_page(page, &symbols(&s, page)[0]).unwrap();
    }
    let mut back = vec![1; 49_000];
    store.read_at(0, &mut back).unwrap();
    assert!(back.iter().all(|&b| b == 0));
    store.abandon(true).unwrap();
    drop(store);
    // A later run knows of them, and the rest comes.
    let mut store = to.open(s.description()).unwrap().store;
    store.read_at(0, &mut back).unwrap();
    assert!(back.iter().all(|&b| b == 0));
    bring(&mut *store, &s, true).unwrap();
    store.finish().unwrap();
    let root = into.path().join("file.bin");
    assert!(std::fs::read(root.join("all")).unwrap() == content[..30_000]);
    assert!(std::fs::read(root.join("some")).unwrap() == content[30_000..]);
}

#[test]
fn of_a_selection_only_its_blocks_come() {
    let content = bytes(60_000, 5);
    let entries = [
        folder(""),
        file("a.txt", 20_000, 0o644),
        folder("b"),
        file("b/c.bin", 20_000, 0o644),
        folder("b/d"),
        file("b/d/e.txt", 10_000, 0o600),
        file("f.bin", 10_000, 0o644),
    ];
    let s = object(ObjectKind::Folder, &entries, &content);
    let g = s.description().geometry;
    type Case<'a> = (&'a [&'a str], Option<&'a str>, &'a [&'a str], usize);
    let cases: [Case<'_>; 5] = [
        (&["*.txt"], None, &["a.txt", "b", "b/d", "b/d/e.txt"], 9),
        (&[], Some("file.bin/b/d"), &["b", "b/d", "b/d/e.txt"], 4),
        (&["*.bin"], Some("file.bin/b/**"), &["b", "b/c.bin"], 6),
        (&[], Some("file.bin/*.bin/"), &["f.bin"], 3),
        (
            &[],
            Some("file.bin/"),
            &["a.txt", "b", "b/c.bin", "b/d", "b/d/e.txt", "f.bin"],
            15,
        ),
    ];
    for (include, asked, there, blocks) in cases {
        let mut filter = Filter::new();
        for pattern in include {
            filter.include(Pattern::new(pattern.as_bytes()).unwrap());
        }
        let selection = Selection::new(filter).asked(asked).unwrap();
        let into = tempfile::tempdir().unwrap();
        // Once interrupted, once from the start, once where it is all.
        for round in 0..3 {
            let mut to = FolderDestination::new(into.path()).select(selection.clone());
            let opened = to.open(s.description()).unwrap();
            assert!(opened.looks || asked == Some("file.bin/"));
            let mut store = opened.store;
            bring(&mut *store, &s, false).unwrap();
            let mut need: Vec<BlockNo> = (g.first_content_block()..g.blocks()).collect();
            let mut again = FolderDestination::new(into.path()).select(selection.clone());
            drop(store);
            let mut store = again.open(s.description()).unwrap().store;
            loop {
                let settled = store.after_table().unwrap();
                need.retain(|b| !settled.unwanted.contains(b));
                if !settled.more {
                    break;
                }
            }
            need.retain(|&b| !store.held().contains(b.into()));
            let data = need.iter().filter(|&&b| !g.is_page(b)).count();
            assert!(
                round > 0 || data == blocks,
                "{include:?} {asked:?}: {need:?}"
            );
            for &block in need.iter().take(if round == 0 { 3 } else { usize::MAX }) {
                let symbols = symbols(&s, block);
                if g.is_page(block) {
                    store.store_page(block, &symbols[0]).unwrap();
                    continue;
                }
                let which: Vec<u16> = (0..g.symbols(block)).collect();
                let mut buf = buffer(&g, block, &symbols, &which);
                let came = store.finish_block(block, Some(&mut buf)).unwrap();
                assert_ne!(came, BlockResult::Bad);
            }
            match round {
                0 => store.abandon(true).unwrap(),
                _ => store.finish().unwrap(),
            }
            assert_eq!(store.remarks().count, 0);
        }
        let root = into.path().join("file.bin");
        let found: Vec<String> = looks(&root)
            .iter()
            .map(|l| {
                l.0.strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(found, there, "{include:?} {asked:?}");
        assert_eq!(names(into.path()), ["file.bin"]);
        for (path, range) in [("a.txt", 0..20_000), ("b/d/e.txt", 40_000..50_000)] {
            if there.contains(&path) {
                assert!(std::fs::read(root.join(path)).unwrap() == content[range]);
            }
        }
    }
    for asked in ["file.bin/nothing", "file.bin/a.txt/x"] {
        let selection = Selection::default().asked(Some(asked)).unwrap();
        let into = tempfile::tempdir().unwrap();
        let mut to = FolderDestination::new(into.path()).select(selection);
        let mut store = to.open(s.description()).unwrap().store;
        let refused = bring(&mut *store, &s, false).unwrap_err().to_string();
        assert!(refused.contains("nothing in it matches"), "{refused}");
    }
    assert!(Selection::default().asked(Some("file.bin/[")).is_err());
}
