//! A file that has the name of a single file that comes.

use super::fixture::{
    Carrier, TIME, file, names, offer_table, part_of, real, replacing, source, table,
};
use super::*;
use crate::fault::{FaultKind, StoreFault};
use crate::object::Codec;
use crate::store::{Memory, Remarks, Store};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

const ALL: &[&str] = &["table", "pages", "content"];

fn is_kept<T: std::fmt::Debug>(result: Result<T, SinkError>, into: &Path) {
    let error = result.unwrap_err();
    let there = into.join("file.bin");
    assert!(
        matches!(&error, SinkError::Kept { path } if *path == there),
        "{error}"
    );
    let text =
        "another file has this name; --overwrite replaces it, or receive into another folder";
    assert_eq!(error.to_string(), format!("{}: {text}", there.display()));
    assert_eq!(StoreFault::from(error).kind(), FaultKind::Denied);
}

#[test]
fn another_file_is_told_of_before_content_comes_and_what_has_come_stays() {
    let (s, content) = source(100_001, 1);
    let into = tempfile::tempdir().unwrap();
    let path = into.path().join("file.bin");
    std::fs::write(&path, "mine").unwrap();
    let mut sink = Sink::open(into.path(), s.description()).unwrap();
    let mut c = Carrier::new(&s);
    c.bring_kinds(&mut sink, &s, &["table"], 1);
    is_kept(c.after_table(&mut sink), into.path());
    sink.abandon(true).unwrap();
    drop(sink);
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    assert_eq!(names(into.path()), ["file.bin", "file.bin.part.state"]);
    // Once it may be replaced, the table need not come again.
    let mut sink = Sink::open_with(into.path(), s.description(), replacing()).unwrap();
    assert!(sink.held().contains(0));
    Carrier::new(&s).bring_rest(&mut sink, &s).unwrap();
    sink.finish().unwrap();
    assert!(std::fs::read(&path).unwrap() == content);
    assert_eq!(names(into.path()), ["file.bin"]);
}

#[test]
fn a_file_with_the_same_bytes_is_the_object_and_is_left_as_it_is() {
    // Before the search, or after it has ended; with content that came unasked, too.
    for looked in [true, false] {
        for len in [0, 3, 100_001] {
            let (s, content) = source(len, 1);
            let into = tempfile::tempdir().unwrap();
            let path = into.path().join("file.bin");
            std::fs::write(&path, &content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
            let looks = || {
                let meta = std::fs::metadata(&path).unwrap();
                (meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.mode())
            };
            let before = looks();
            let mut sink = Sink::open(into.path(), s.description()).unwrap();
            let mut c = Carrier::new(&s);
            if looked {
                c.bring_kinds(&mut sink, &s, &["table"], 1);
                c.after_table(&mut sink).unwrap();
                assert!(!part_of(into.path()).exists());
            } else {
                c.bring_kinds(&mut sink, &s, ALL, 1);
            }
            assert_eq!(sink.lacking(), 0);
            let mut back = vec![1; len];
            Store::read_at(&sink, 0, &mut back).unwrap();
            assert!(back == content);
            sink.finish().unwrap();
            Store::read_at(&sink, 0, &mut back).unwrap();
            assert!(back == content);
            assert_eq!(
                (looks(), names(into.path())),
                (before, vec!["file.bin".into()])
            );
        }
    }
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced() {
    for other in [&b"mine"[..], &[7; 20_000]] {
        let (s, content) = source(20_000, 1);
        let into = tempfile::tempdir().unwrap();
        let path = into.path().join("file.bin");
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        Carrier::new(&s).bring_rest(&mut sink, &s).unwrap();
        std::fs::write(&path, other).unwrap();
        is_kept(sink.finish(), into.path());
        assert_eq!(std::fs::read(&path).unwrap(), other);
        assert!(std::fs::read(part_of(into.path())).unwrap() == content);
        drop(sink);
        let mut sink = Sink::open(into.path(), s.description()).unwrap();
        assert_eq!(sink.lacking(), 0);
        is_kept(sink.finish(), into.path());
        // It goes away.
        std::fs::remove_file(&path).unwrap();
        sink.finish().unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
    }
}

/// Brings an object through a destination.
fn bring(to: &Means, into: &Path, s: &Memory) -> Result<PathBuf, SinkError> {
    let mut sink = Sink::open_with(into, s.description(), to.clone())?;
    let mut c = Carrier::new(s);
    c.bring_rest(&mut sink, s)?;
    c.bring_kinds(&mut sink, s, &["pages"], 1);
    c.bring_rest(&mut sink, s)?;
    sink.finish()
}

#[test]
fn a_new_version_replaces_what_this_run_has_finished_and_nobody_has_written_since() {
    let versions: Vec<(Memory, Vec<u8>)> = (1..4).map(|n| source(20_000, n)).collect();
    let into = tempfile::tempdir().unwrap();
    let path = into.path().join("file.bin");
    let run = real();
    for (s, content) in &versions[..2] {
        bring(&run, into.path(), s).unwrap();
        assert!(std::fs::read(&path).unwrap() == *content);
    }
    // Another run has not finished it.
    is_kept(bring(&real(), into.path(), &versions[2].0), into.path());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    bring(&run, into.path(), &versions[2].0).unwrap();
    std::fs::write(&path, "mine").unwrap();
    is_kept(bring(&run, into.path(), &versions[0].0), into.path());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_file_that_was_there_is_not_this_runs_own() {
    let (s, content) = source(20_000, 1);
    let into = tempfile::tempdir().unwrap();
    std::fs::write(into.path().join("file.bin"), &content).unwrap();
    let run = real();
    bring(&run, into.path(), &s).unwrap();
    is_kept(bring(&run, into.path(), &source(20_000, 2).0), into.path());
}

#[test]
fn owner_and_attributes_are_applied_when_asked_for() {
    let content = b"text";
    let mut entry = file("file.bin", content.len(), 0o4644);
    entry.owner = Some((12_345, 12_346));
    entry.xattrs = vec![(b"nowhere.x", b"1")];
    let s = offer_table(&table(&[entry]), content, ObjectKind::File, Codec::None);
    for asked in [false, true] {
        let into = tempfile::tempdir().unwrap();
        let options = TreeOptions {
            owner: asked,
            xattrs: asked,
            ..TreeOptions::default()
        };
        let means = Means::real(KnownHashes::none(), options);
        let mut sink = Sink::open_with(into.path(), s.description(), means).unwrap();
        Carrier::new(&s).bring_rest(&mut sink, &s).unwrap();
        let meta = std::fs::metadata(sink.finish().unwrap()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(TIME as u64);
        assert_eq!(meta.modified().unwrap(), time);
        let is_owned = (meta.uid(), meta.gid()) == (12_345, 12_346);
        assert!(asked || !is_owned);
        let mode = if is_owned { 0o4644 } else { 0o644 };
        assert_eq!(meta.permissions().mode() & 0o7777 & !mode, 0);
        assert_eq!(meta.permissions().mode() & 0o4600, mode & 0o4600);
        match asked {
            // There is no such attribute anywhere.
            true => assert_eq!(Store::remarks(&sink).count, 1),
            false => assert_eq!(Store::remarks(&sink), Remarks::default()),
        }
    }
}
