//! What is there already under the names of a tree.

use super::*;

#[test]
fn what_is_there_is_kept_unless_it_may_be_replaced() {
    for overwrite in [false, true] {
        let dir = folder();
        let set = dir.path().join("set");
        fs::create_dir_all(set.join("a")).unwrap();
        fs::write(set.join("a/1"), "mine").unwrap();
        fs::write(set.join("mine too"), "x").unwrap();
        symlink("elsewhere", set.join("link")).unwrap();
        let (table, content) = object(&some(), 0o755);
        let options = LayoutOptions {
            overwrite,
            ..LayoutOptions::default()
        };
        let mut layout = open(dir.path(), &table, options);
        for (at, bytes) in (0..).step_by(64).zip(content.chunks(64)) {
            layout.write(at..at + bytes.len() as u64, bytes).unwrap();
        }
        layout.finish().unwrap();
        let told = told(&layout);
        if overwrite {
            assert!(told.is_empty(), "{told:?}");
            fs::remove_file(set.join("mine too")).unwrap();
            let folder = fs::File::open(&set).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(TIME as u64);
            folder.set_modified(time).unwrap();
            check(&set, &some());
        } else {
            assert_eq!(told, [&b"a/1"[..], b"link"]);
            assert_eq!(fs::read(set.join("a/1")).unwrap(), b"mine");
            assert_eq!(fs::read(set.join("mine too")).unwrap(), b"x");
            assert!(
                fs::read_link(set.join("link"))
                    .unwrap()
                    .ends_with("elsewhere")
            );
            assert!(set.join("a/deep/3").is_file());
        }
        assert!(!dir.path().join("set.part").exists());
    }
}

#[test]
fn other_kinds_in_the_way_are_kept_with_all_that_would_be_in_them() {
    let dir = folder();
    let outside = folder();
    let set = dir.path().join("set");
    fs::create_dir_all(set.join("a/1")).unwrap();
    symlink(outside.path(), set.join("a/deep")).unwrap();
    let (table, content) = object(&some(), 0o755);
    let options = LayoutOptions {
        overwrite: true,
        ..LayoutOptions::default()
    };
    let mut layout = open(dir.path(), &table, options);
    layout.write(0..content.len() as u64, &content).unwrap();
    layout.finish().unwrap();
    let told = told(&layout);
    assert!(
        told.contains(&&b"a/1"[..]) && told.contains(&&b"a/deep"[..]),
        "{told:?}"
    );
    assert_eq!(count(outside.path()), 0);
    assert!(set.join("a/2").is_file() && set.join("a/1").is_dir());
}

#[test]
fn what_the_object_lacks_is_removed_when_asked_for_and_nothing_else() {
    let dir = folder();
    let outside = folder();
    fs::write(outside.path().join("precious"), "x").unwrap();
    let set = dir.path().join("set");
    fs::create_dir_all(set.join("old/deep")).unwrap();
    fs::write(set.join("old/deep/f"), "x").unwrap();
    fs::write(set.join("mine.part"), "x").unwrap();
    fs::write(dir.path().join("beside"), "x").unwrap();
    symlink(outside.path(), set.join("old/link")).unwrap();
    symlink(outside.path(), set.join("link2")).unwrap();
    let (table, content) = object(&some(), 0o755);
    let options = LayoutOptions {
        delete: true,
        ..LayoutOptions::default()
    };
    let mut layout = open(dir.path(), &table, options);
    layout.write(0..content.len() as u64, &content).unwrap();
    layout.finish().unwrap();
    assert_eq!((layout.remarks().deleted, layout.remarks().count), (5, 0));
    assert!(outside.path().join("precious").exists() && dir.path().join("beside").exists());
    assert!(set.join("mine.part").exists() && !set.join("old").exists());
    assert!(set.join("a/1").exists());
}

#[test]
fn content_comes_right_into_the_folder() {
    let dir = folder();
    fs::write(dir.path().join("beside"), "x").unwrap();
    let (table, content) = object(&some(), 0o755);
    let options = LayoutOptions {
        delete: true,
        ..LayoutOptions::default()
    };
    let kind = ObjectKind::Inside;
    let mut layout = Layout::open(dir.path(), "set", kind, table, options, &|_| false).unwrap();
    layout.write(0..content.len() as u64, &content).unwrap();
    layout.finish().unwrap();
    assert_eq!(layout.remarks().deleted, 0);
    fs::remove_file(dir.path().join("beside")).unwrap();
    check(dir.path(), &some());
}

#[test]
fn what_was_there_and_is_gone_is_an_error() {
    for exists in [false, true] {
        let dir = folder();
        if exists {
            fs::create_dir(dir.path().join("set")).unwrap();
        }
        let (table, content) = object(&some(), 0o755);
        let (options, kind) = (LayoutOptions::default(), ObjectKind::Folder);
        let there = |index| table.path(index) == b"a/1";
        let layout = Layout::open(dir.path(), "set", kind, table.clone(), options, &there);
        assert!(put_all(&mut layout.unwrap(), &content).is_err());
        assert!(!dir.path().join("set/a/1").exists());
    }
}

#[test]
fn a_later_version_goes_into_folders_that_are_not_to_be_written() {
    let dir = folder();
    let (table, content) = object(&some(), 0o555);
    put_all(
        &mut open(dir.path(), &table, LayoutOptions::default()),
        &content,
    )
    .unwrap();
    let mut later = some();
    later.extend(tree(&[
        ("a/deep/3", file(33), 0o444),
        ("a/deep/new", file(34), 0o444),
    ]));
    let (table, content) = object(&later, 0o555);
    let options = LayoutOptions {
        overwrite: true,
        ..LayoutOptions::default()
    };
    let mut layout = open(dir.path(), &table, options);
    put_all(&mut layout, &content).unwrap();
    assert_eq!(layout.remarks(), &Remarks::default());
    check(&dir.path().join("set"), &later);
}

#[test]
fn what_stays_in_a_folder_that_should_go_is_told() {
    let dir = folder();
    let set = dir.path().join("set");
    fs::create_dir_all(set.join("old/deep")).unwrap();
    fs::write(set.join("old/deep/x.part"), "x").unwrap();
    fs::write(set.join("old/y"), "x").unwrap();
    let (table, content) = object(&some(), 0o755);
    let options = LayoutOptions {
        delete: true,
        ..LayoutOptions::default()
    };
    let mut layout = open(dir.path(), &table, options);
    put_all(&mut layout, &content).unwrap();
    assert_eq!(layout.remarks().deleted, 1);
    assert_eq!(told(&layout), [&b"old/deep"[..], b"old"]);
    assert!(set.join("old/deep/x.part").exists());
}

#[test]
fn a_file_of_another_time_does_not_stand_in_for_lost_bytes() {
    for is_of_time in [false, true] {
        let dir = folder();
        let set = dir.path().join("set");
        fs::create_dir_all(set.join("a")).unwrap();
        let What::File(bytes) = file(1) else { return };
        fs::write(set.join("a/1"), bytes).unwrap();
        if is_of_time {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(TIME as u64);
            let there = fs::File::options().write(true).open(set.join("a/1"));
            there.unwrap().set_modified(time).unwrap();
        }
        let (table, content) = object(&some(), 0o755);
        let mut layout = open(dir.path(), &table, LayoutOptions::default());
        layout.write(0..content.len() as u64, &content).unwrap();
        layout.abandon(true).unwrap();
        fs::remove_file(dir.path().join("set.part/a/1")).unwrap();
        let mut layout = open(dir.path(), &table, LayoutOptions::default());
        assert_eq!(layout.finish().is_ok(), is_of_time);
    }
}
