#![allow(clippy::single_range_in_vec_init, reason = "a file may have one hole")]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const HASH: Hash = Hash([7; 32]);

fn entry<'a>(path: &'a str, kind: EntryKind<'a>) -> Entry<'a> {
    Entry {
        path: path.as_bytes(),
        kind,
        mtime: -5,
        mode: 0o644,
        owner: None,
        xattrs: Vec::new(),
    }
}

fn file(path: &str, length: u64) -> Entry<'_> {
    let hash = (length > 0).then_some(HASH);
    let kind = EntryKind::File {
        length,
        hash,
        holes: Vec::new(),
    };
    entry(path, kind)
}

fn folder(path: &str) -> Entry<'_> {
    entry(path, EntryKind::Folder)
}

fn link<'a>(path: &'a str, target: &'a [u8]) -> Entry<'a> {
    entry(path, EntryKind::Link { target })
}

fn written(entries: &[Entry<'_>]) -> Result<(Vec<u8>, u64), TableError> {
    let mut writer = TableWriter::new();
    entries.iter().try_for_each(|e| writer.push(e))?;
    let len = writer.content_len();
    Ok((writer.finish(), len))
}

/// The same bytes as `written`, whatever the entries are.
fn forged(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = vec![2, entries.len() as u8];
    for e in entries {
        let mut one = TableWriter::new();
        one.push(&folder("")).unwrap();
        let plain = Entry {
            path: b"x",
            kind: EntryKind::Folder,
            ..e.clone()
        };
        one.push(&plain).unwrap();
        let tail = one.finish()[2 + 12 + 3 + 10..].to_vec();
        let (kind, body) = match &e.kind {
            EntryKind::Folder => (1, Vec::new()),
            EntryKind::Link { target } => (2, [&[target.len() as u8][..], target].concat()),
            EntryKind::File { length, hash, .. } => {
                let hash_bytes = hash.iter().flat_map(|h| h.0);
                let body = core::iter::once(*length as u8).chain(hash_bytes).collect();
                (if hash.is_some() { 4 } else { 0 }, body)
            }
        };
        bytes.push(kind);
        bytes.push(e.path.len() as u8);
        bytes.extend(e.path);
        bytes.extend((e.mode as u16).to_be_bytes());
        bytes.extend(e.mtime.to_be_bytes());
        bytes.extend(body);
        bytes.extend(tail);
    }
    bytes
}

#[test]
fn golden_bytes() {
    let mut first = file("a", 300);
    first.owner = Some((1_000, 5));
    first.xattrs = vec![(b"user.x", b"v")];
    first.kind = EntryKind::File {
        length: 300,
        hash: Some(HASH),
        holes: vec![0..128, 256..300],
    };
    let (bytes, len) = written(&[folder(""), first, link("b", b"a")]).unwrap();
    #[rustfmt::skip]
    let mut golden = vec![
        2, 3,
        1, 0, 0x01, 0xa4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb,
        0x3c, 1, b'a', 0x01, 0xa4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb, 0xac, 0x02,
    ];
    golden.extend([7; 32]);
    #[rustfmt::skip]
    golden.extend([
        2, 0, 0x80, 0x01, 0x80, 0x01, 44,
        0xe8, 0x07, 5,
        1, 6, b'u', b's', b'e', b'r', b'.', b'x', 1, b'v',
        2, 1, b'b', 0x01, 0xa4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb, 1, b'a',
    ]);
    assert_eq!(bytes, golden);
    let table = FileTable::parse(bytes, len).unwrap();
    assert_eq!((table.len(), table.content_len()), (3, 300));
    assert!(table.holes().eq([0..128, 256..300]));
    assert_eq!(table.entry(2), link("b", b"a"));
}

#[test]
fn wrong_entries_are_named() {
    let long = "n".repeat(256);
    let deep = vec!["d"; 513].join("/");
    let path = "p/".repeat(2_048) + "p";
    let cases = [
        (vec![], TableError::Empty),
        (vec![file("", 0)], TableError::Root),
        (vec![folder("a")], TableError::Root),
        (vec![file("a/b", 0)], TableError::Root),
        (vec![link("a", b"b")], TableError::Root),
        (vec![file("a", 0), file("b", 0)], TableError::Root),
        (vec![folder(""), folder("")], TableError::Root),
        (
            vec![folder(""), file("a", 1), file("a", 1)],
            TableError::Twice,
        ),
        (
            vec![folder(""), folder("a"), file("a", 1)],
            TableError::Twice,
        ),
        (
            vec![folder(""), file("b", 1), file("a", 1)],
            TableError::Order,
        ),
        (
            vec![folder(""), file("a b", 1), folder("a"), file("a/b", 1)],
            TableError::Order,
        ),
        (vec![folder(""), file("a/b", 1)], TableError::Parent),
        (
            vec![folder(""), file("a", 1), file("a/b", 1)],
            TableError::Parent,
        ),
        (
            vec![folder(""), link("a", b"/"), file("a/b", 1)],
            TableError::Parent,
        ),
        (
            vec![folder(""), folder("a"), file("a/b/c", 1)],
            TableError::Parent,
        ),
        (
            vec![folder(""), folder("a"), file("ab/c", 1)],
            TableError::Parent,
        ),
        (vec![folder(""), file("/a", 1)], TableError::Absolute),
        (vec![folder(""), file("../a", 1)], TableError::Dots),
        (vec![folder(""), file(".", 1)], TableError::Dots),
        (
            vec![folder(""), folder("a"), file("a/", 1)],
            TableError::EmptyName,
        ),
        (vec![folder(""), file("a//b", 1)], TableError::EmptyName),
        (vec![folder(""), file("a\0", 1)], TableError::Nul),
        (vec![folder(""), link("a", b"b\0")], TableError::Nul),
        (vec![folder(""), link("a", b"")], TableError::Target),
    ];
    for (entries, error) in cases {
        let parsed = FileTable::parse(forged(&entries), 0).unwrap_err();
        assert_eq!(parsed, error, "{entries:?}");
        if !entries.is_empty() && error != TableError::Root {
            assert_eq!(written(&entries).unwrap_err(), error, "{entries:?}");
        }
    }
    for (name, error) in [
        (&long, TableError::NameTooLong),
        (&deep, TableError::TooDeep),
        (&path, TableError::PathTooLong),
    ] {
        assert_eq!(written(&[folder(""), file(name, 1)]).unwrap_err(), error);
    }
}

#[test]
fn wrong_files_are_named() {
    let of = |length, hash, holes| EntryKind::File {
        length,
        hash,
        holes,
    };
    let kinds = [
        (of(1, None, vec![]), TableError::Hash),
        (of(0, Some(HASH), vec![]), TableError::Hash),
        (of(9, Some(HASH), vec![0..0]), TableError::Holes),
        (of(9, Some(HASH), vec![3..10]), TableError::Holes),
        (of(9, Some(HASH), vec![0..3, 3..4]), TableError::Holes),
        (of(9, Some(HASH), vec![2..4, 0..1]), TableError::Holes),
        (of(9, Some(HASH), vec![0..4, 2..5]), TableError::Holes),
    ];
    for (kind, error) in kinds {
        let made = written(&[folder(""), entry("a", kind)]);
        assert_eq!(made.unwrap_err(), error);
    }
    let single = entry("a", of(1, Some(HASH), vec![]));
    assert_eq!(written(&[single]).unwrap_err(), TableError::Hash);
    let mut xattrs = folder("");
    xattrs.xattrs = vec![(b"b", b""), (b"a", b"")];
    assert_eq!(
        written(&[xattrs.clone()]).unwrap_err(),
        TableError::Attributes
    );
    let value = vec![0; MAX_VALUE];
    xattrs.xattrs = vec![(b"a", &value), (b"b", &value)];
    assert_eq!(written(&[xattrs]).unwrap_err(), TableError::Attributes);
}

#[test]
fn claims_cost_nothing_and_are_named() {
    let huge = |length| {
        let kind = EntryKind::File {
            length,
            hash: None,
            holes: Vec::new(),
        };
        written(&[entry("a", kind)]).unwrap()
    };
    let (bytes, len) = huge(1 << 63);
    assert!(FileTable::parse(bytes.clone(), len).is_ok());
    assert_eq!(FileTable::parse(bytes, 5), Err(TableError::Length(5)));
    let two = [folder(""), file("a", u64::MAX), file("b", 1)];
    assert_eq!(written(&two), Err(TableError::Length(u64::MAX)));
    let with = |head: &[u8]| FileTable::parse(head.to_vec(), 0).unwrap_err();
    assert_eq!(with(&[]), TableError::Short);
    assert_eq!(with(&[3, 1]), TableError::Version(3));
    assert_eq!(with(&[2, 0]), TableError::Empty);
    assert_eq!(with(&[2, 0x80, 0]), TableError::Number);
    assert_eq!(with(&[2, 0xff, 0xff, 0x7f]), TableError::Short);
    let many = [2, 0x81, 0xad, 0xe2, 0x04];
    assert_eq!(with(&many), TableError::TooMany(10_000_001));
    let all = [0xff; 9];
    assert_eq!(
        with(&[&[2][..], &all, &[1]].concat()),
        TableError::TooMany(u64::MAX)
    );
    assert_eq!(with(&[&[2][..], &all, &[3]].concat()), TableError::Number);
    let (mut good, len) = written(&[folder("")]).unwrap();
    good.push(0);
    assert_eq!(FileTable::parse(good.clone(), len), Err(TableError::Long));
    good.pop();
    for (at, byte) in [(2, 3), (2, 5), (2, 64), (4, 0x10)] {
        let mut other = good.clone();
        other[at] = byte;
        assert_eq!(FileTable::parse(other, len), Err(TableError::Kind));
    }
}

#[test]
fn names_that_clash_by_case_are_found_with_all_under_them() {
    let entries = [
        folder(""),
        folder("Docs"),
        file("Docs/x", 1),
        file("README", 1),
        folder("docs"),
        file("docs/x", 1),
        file("other", 1),
        file("readme", 1),
    ];
    let (bytes, len) = written(&entries).unwrap();
    let table = FileTable::parse(bytes, len).unwrap();
    assert_eq!(table.clashes_by_case(), [4, 7]);
    assert_eq!(table.find(b"docs/x"), Some(5));
    assert_eq!((table.find(b""), table.find(b"docs/y")), (Some(0), None));
}

/// Paths to what is there, as a tree that can be.
fn tree() -> impl Strategy<Value = BTreeMap<Vec<Vec<u8>>, (u64, u8)>> {
    let name = prop::sample::select(vec![&b"a"[..], b"a b", b"a-", b"b", b"\xff", b"."]);
    let path = prop::collection::vec(name, 1..4);
    let what = (0u64..40, 0u8..4);
    prop::collection::vec((path, what), 0..30).prop_map(|all| {
        let mut tree = BTreeMap::new();
        for (path, what) in all {
            let path: Vec<Vec<u8>> = path
                .into_iter()
                .map(|name| match name {
                    b"." => b"..x".to_vec(),
                    name => name.to_vec(),
                })
                .collect();
            let above = |n: usize| tree.get(&path[..n]).is_none_or(|&(_, kind)| kind == 3);
            let is_above_some = tree.keys().any(|k: &Vec<Vec<u8>>| k.starts_with(&path));
            if is_above_some || !(1..path.len()).all(above) {
                continue;
            }
            for n in 1..path.len() {
                tree.insert(path[..n].to_vec(), (0, 3));
            }
            tree.insert(path, what);
        }
        tree
    })
}

proptest! {
    #[test]
    fn it_agrees_with_a_plain_map(tree in tree(), from in 0u64..600, len in 0u64..200) {
        let mut writer = TableWriter::new();
        writer.push(&folder("")).unwrap();
        // The map's order of lists of components is the table's.
        let mut owner = Vec::new();
        let mut zeros = Vec::new();
        let paths: Vec<Vec<u8>> = tree.keys().map(|path| path.join(&b'/')).collect();
        for (index, (path, &(length, kind))) in paths.iter().zip(tree.values()).enumerate() {
            let hole = (kind == 1 && length > 4).then_some(1..length / 2);
            let kind = match kind {
                0 | 1 => {
                    owner.extend((0..length).map(|at| (index + 1, at)));
                    let is_zero = |at| hole.as_ref().is_some_and(|h| h.contains(&at));
                    zeros.extend((0..length).map(is_zero));
                    let hash = (length > 0).then_some(HASH);
                    EntryKind::File { length, hash, holes: hole.into_iter().collect() }
                }
                2 => EntryKind::Link { target: b"anywhere" },
                _ => EntryKind::Folder,
            };
            writer.push(&Entry { path, ..entry("", kind) }).unwrap();
        }
        prop_assert_eq!(writer.content_len(), owner.len() as u64);
        let bytes = writer.finish();
        let table = FileTable::parse(bytes.clone(), owner.len() as u64).unwrap();
        prop_assert_eq!(table.as_bytes(), &bytes);
        let mut again = TableWriter::new();
        table.entries().for_each(|e| again.push(&e).unwrap());
        prop_assert_eq!(again.finish(), bytes);
        prop_assert!((1..table.len()).all(|i| table.path(i) == paths[i - 1]));
        prop_assert!((1..table.len()).all(|i| table.find(&paths[i - 1]) == Some(i)));
        let hole_bytes: Vec<u64> = table.holes().flatten().collect();
        let naive: Vec<u64> = (0..).zip(&zeros).filter(|(_, z)| **z).map(|(at, _)| at).collect();
        prop_assert_eq!(hole_bytes, naive);
        let mut found = Vec::new();
        for piece in table.pieces(from..from + len) {
            prop_assert!(piece.len > 0 && piece.content == from + found.len() as u64);
            found.extend((piece.at..piece.at + piece.len).map(|at| (piece.entry, at)));
        }
        let range = from.min(owner.len() as u64)..(from + len).min(owner.len() as u64);
        prop_assert_eq!(&found, &owner[range.start as usize..range.end as usize]);
    }

    #[test]
    fn damage_does_not_panic(cut in 0usize..200, at in 0usize..200, value: u8) {
        let entries = [folder(""), folder("a"), file("a/b", 3), link("a/c", b"b"), file("d", 4)];
        let (good, len) = written(&entries).unwrap();
        let mut bytes = good.clone();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        if let Ok(table) = FileTable::parse(bytes, len) {
            prop_assert!(table.entries().all(|e| super::parse::check_entry(&e).is_ok()));
            prop_assert!((1..table.len()).all(|i| compare_paths(table.path(i - 1), table.path(i)).is_lt()));
        }
        let cut = cut.min(good.len() - 1);
        prop_assert!(FileTable::parse(good[..cut].to_vec(), len).is_err());
    }

    #[test]
    fn noise_does_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), len: u64) {
        if let Some(first) = bytes.first_mut() {
            *first = 2;
        }
        let _ = FileTable::parse(bytes, len);
    }
}
