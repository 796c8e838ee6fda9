use super::*;
use crate::object::ObjectKind;
use crate::store::tree::{ScanError, Why};
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn entries_are_sorted_as_tables_are_whatever_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let long = vec![b'n'; 255];
    for name in [
        &b"a.b"[..],
        b"a/x",
        b"a-b",
        b"new\nline",
        b"\xff\xfe",
        b"z/\x80/q",
        &long,
    ] {
        write(root, name, name);
    }
    fs::create_dir(root.join("empty")).unwrap();
    let done = hashed(root);
    assert_eq!(done.tree.kind(), ObjectKind::Folder);
    assert_eq!(done.tree.skipped().len(), 0);
    let tree_paths: Vec<Vec<u8>> = (0..done.tree.len()).map(|n| done.tree.path(n)).collect();
    let expected: [&[u8]; 12] = [
        b"",
        b"a",
        b"a/x",
        b"a-b",
        b"a.b",
        b"empty",
        b"new\nline",
        &long,
        b"z",
        b"z/\x80",
        b"z/\x80/q",
        b"\xff\xfe",
    ];
    assert_eq!(tree_paths, expected);
    assert_eq!(verify(done).len(), 12);
}

#[test]
fn a_path_says_what_kind_of_object_it_is() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), b"set/file", b"1");
    let kind = |path: &str| {
        let tree = scanned(&dir.path().join(path));
        (
            tree.kind(),
            String::from_utf8(tree.name().to_vec()).unwrap(),
            tree.len(),
        )
    };
    assert_eq!(kind("set"), (ObjectKind::Folder, "set".into(), 2));
    assert_eq!(kind("set/"), (ObjectKind::Inside, "set".into(), 2));
    assert_eq!(kind("set/."), (ObjectKind::Inside, "set".into(), 2));

    assert_eq!(kind("set/file"), (ObjectKind::File, "file".into(), 1));
    symlink(dir.path().join("set/file"), dir.path().join("link")).unwrap();
    assert_eq!(kind("link"), (ObjectKind::File, "link".into(), 1));
    verify(hashed(&dir.path().join("link")));
}

#[test]
fn links_are_taken_as_links_and_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("set");
    write(&root, b"file", b"1");
    write(dir.path(), b"outside/secret", b"2");
    symlink("../outside", root.join("out")).unwrap();
    symlink("/nowhere", root.join("dead")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    let done = hashed(&root);
    assert_eq!(paths(&done.tree), ["", "dead", "file", "loop", "out"]);
    let table = verify(done);
    let crate::object::table::EntryKind::Link { target } = table.entry(4).kind else {
        panic!("no link");
    };
    assert_eq!(target, b"../outside");
}

#[test]
fn modes_and_times_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), b"file", b"1");
    let path = dir.path().join("file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_234, 567);
    File::open(&path).unwrap().set_modified(time).unwrap();
    let options = ScanOptions {
        owner: true,
        ..ScanOptions::default()
    };
    let done = hash(scanned_with(dir.path(), &options), BLOCK, |_, _| {
        ControlFlow::Continue(())
    });
    let table = verify(done.unwrap());
    let entry = table.entry(1);
    assert_eq!((entry.mode, entry.mtime), (0o4751, 1_234_000_000_567));
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(entry.owner, Some((meta.uid(), meta.gid())));
}

#[test]
fn what_cannot_be_sent_is_named_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, b"good", b"1");
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    write(root, b"x.part/inside", b"1");
    write(root, b"x.PART", b"1");
    write(root, b"y.part.state", b"1");
    write(root, b"y.part.old", b"1");
    let tree = scanned(root);
    assert_eq!(paths(&tree), ["", "good"]);
    let expected = [
        "pipe: it is a pipe",
        "socket: it is a socket",
        "x.part: its name ends like that of an incomplete file (.part)",
    ];
    assert_eq!(skipped(&tree), expected);
    let error = scan(&root.join("pipe"), &ScanOptions::default(), |_| {
        ControlFlow::Continue(())
    });
    assert!(matches!(
        error,
        Err(ScanError::NotAFile { what: "a pipe", .. })
    ));
    let error = scan(&root.join("no"), &ScanOptions::default(), |_| {
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(ScanError::Open { .. })));
    let error = scan(root, &ScanOptions::default(), |_| ControlFlow::Break(()));
    assert!(matches!(error, Err(ScanError::Stopped { .. })));
}

#[test]
fn files_whose_length_nobody_knows_are_named() {
    // Not every file of /proc: one folder of it, of this process.
    let tree = scanned(Path::new("/proc/self/net/stat"));
    let whys = || tree.skipped().iter().map(|skipped| &skipped.why);
    assert!(
        whys().any(|why| matches!(why, Why::NoLength)),
        "{:?}",
        tree.skipped()
    );
    assert_eq!(tree.content_len(), 0);
    let error = scan(
        Path::new("/proc/self/status"),
        &ScanOptions::default(),
        |_| ControlFlow::Continue(()),
    );
    assert!(matches!(error, Err(ScanError::Open { .. })));
}

#[test]
fn deep_folders_need_few_descriptors_and_come_back_to_their_siblings() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().to_path_buf();
    for depth in 0..100 {
        path.push("d");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("z"), depth.to_string()).unwrap();
    }
    let before = fs::read_dir("/proc/self/fd").unwrap().count();
    let mut most = 0;
    let tree = scan(dir.path(), &ScanOptions::default(), |_| {
        most = most.max(fs::read_dir("/proc/self/fd").unwrap().count());
        ControlFlow::Continue(())
    });
    assert!(most < before + 40, "{before} {most}");
    let done = hash(tree.unwrap(), BLOCK, |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(verify(done).len(), 201);
}

#[test]
fn folders_deeper_than_tables_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut at = rustix::fs::open(
        dir.path(),
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..600 {
        rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(
            &at,
            "d",
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
    }
    let done = hashed(dir.path());
    assert_eq!(done.tree.len(), 513);
    assert!(matches!(done.tree.skipped(), [one] if matches!(one.why, Why::TooLong)));
    verify(done);
}

#[test]
fn filters_choose() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "a.jpg",
        "b.txt",
        "docs/c.txt",
        "pics/d.jpg",
        "pics/raw/e.txt",
        "pics/raw/f.jpg",
    ] {
        write(dir.path(), name.as_bytes(), b"1");
    }
    fs::create_dir(dir.path().join("void")).unwrap();
    let with = |rules: &[&str]| {
        let filter = filter(rules);
        let tree = scanned_with(
            dir.path(),
            &ScanOptions {
                filter,
                ..ScanOptions::default()
            },
        );
        let found = paths(&tree);
        verify(hash(tree, BLOCK, |_, _| ControlFlow::Continue(())).unwrap());
        found
    };
    assert_eq!(
        with(&["+*.jpg"]),
        [
            "",
            "a.jpg",
            "pics",
            "pics/d.jpg",
            "pics/raw",
            "pics/raw/f.jpg"
        ]
    );
    assert_eq!(
        with(&["+pics/raw"]),
        ["", "pics", "pics/raw", "pics/raw/e.txt", "pics/raw/f.jpg"]
    );
    let expected = ["", "a.jpg", "pics", "pics/d.jpg", "void"];
    assert_eq!(with(&["-raw/", "-*.txt", "-docs"]), expected);
    assert_eq!(with(&["+*.jpg", "-**"]), ["", "a.jpg"]);
}

#[cfg(target_os = "linux")]
#[test]
fn attributes_are_noted_where_they_are_asked_for() {
    use rustix::fs::{XattrFlags, setxattr};
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), b"d/file", b"1");
    let path = |name: &str| dir.path().join(name);
    let mut set = setxattr(path("d/file"), "user.b", b"two", XattrFlags::empty());
    set = set.and(setxattr(path("d/file"), "user.a", b"", XattrFlags::empty()));
    set = set.and(setxattr(path("d"), "user.c", b"3", XattrFlags::empty()));
    if set.is_err() {
        // A file system without any.
        return;
    }
    let names = |options: &ScanOptions| {
        let tree = scanned_with(dir.path(), options);
        let done = hash(tree, BLOCK, |_, _| ControlFlow::Continue(())).unwrap();
        let table = verify(done);
        let own = |(name, value): &(&[u8], &[u8])| {
            let name = String::from_utf8_lossy(name).into_owned();
            name.starts_with("user.").then_some((name, value.len()))
        };
        let of = |n| {
            table
                .entry(n)
                .xattrs
                .iter()
                .filter_map(own)
                .collect::<Vec<_>>()
        };
        (of(1), of(2))
    };
    let options = ScanOptions {
        xattrs: true,
        ..ScanOptions::default()
    };
    let file = vec![("user.a".to_owned(), 0), ("user.b".to_owned(), 3)];
    assert_eq!(names(&options), (vec![("user.c".to_owned(), 1)], file));
    assert_eq!(names(&ScanOptions::default()), (vec![], vec![]));
}
