//! What others put in the way: nothing is written through it.

use super::*;

#[test]
fn nothing_is_written_through_what_was_put_in_the_way() {
    let outside = folder();
    fs::write(outside.path().join("precious"), "x").unwrap();
    let (table, content) = object(&some(), 0o755);
    let all = 0..content.len() as u64;
    let attacks: [fn(&Path, &Path); 5] = [
        |set, outside| {
            fs::create_dir_all(set).unwrap();
            symlink(outside, set.join("a")).unwrap();
        },
        |set, outside| {
            fs::create_dir_all(set.join("a")).unwrap();
            symlink(outside.join("precious"), set.join("a/1")).unwrap();
        },
        |set, outside| {
            fs::create_dir_all(set.join("a")).unwrap();
            fs::hard_link(outside.join("precious"), set.join("a/1")).unwrap();
        },
        |set, _| {
            fs::create_dir_all(set.join("a")).unwrap();
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mkfifoat(rustix::fs::CWD, set.join("a/1"), mode).unwrap();
        },
        |set, outside| symlink(outside, set).unwrap(),
    ];
    for attack in attacks {
        let dir = folder();
        attack(&dir.path().join("set.part"), outside.path());
        let (options, kind) = (LayoutOptions::default(), ObjectKind::Folder);
        let layout = Layout::open(dir.path(), "set", kind, table.clone(), options, &|_| false);
        let result = layout.and_then(|mut layout| {
            layout.write(all.clone(), &content)?;
            layout.finish()
        });
        assert!(result.is_err());
        assert_eq!(fs::read(outside.path().join("precious")).unwrap(), b"x");
        assert_eq!(count(outside.path()), 1);
    }
    // The object's own name is a link.
    let dir = folder();
    symlink(outside.path(), dir.path().join("set")).unwrap();
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    layout.write(all.clone(), &content).unwrap();
    assert!(matches!(layout.finish(), Err(SinkError::Link { .. })));
    assert_eq!(count(outside.path()), 1);
    // A folder is swapped for a link between two writes.
    let dir = folder();
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    layout.write(0..100, &content[..100]).unwrap();
    let a = dir.path().join("set.part/a");
    fs::rename(&a, dir.path().join("b")).unwrap();
    symlink(outside.path(), &a).unwrap();
    // Written to is the folder that was made and is still open.
    layout.write(100..all.end, &content[100..]).unwrap();
    assert!(matches!(layout.finish(), Err(SinkError::Link { path }) if path == a));
    assert!(!dir.path().join("set").exists());
    assert_eq!(count(outside.path()), 1);
}

#[test]
fn a_top_that_is_swapped_for_a_link_is_refused_by_name() {
    let outside = folder();
    let dir = folder();
    let (table, content) = object(&some(), 0o755);
    let part = dir.path().join("set.part");
    symlink(outside.path(), &part).unwrap();
    let (options, kind) = (LayoutOptions::default(), ObjectKind::Folder);
    let again = || Layout::open(dir.path(), "set", kind, table.clone(), options, &|_| false);
    assert!(matches!(again(), Err(SinkError::Link { path }) if path == part));
    fs::remove_file(&part).unwrap();
    fs::write(&part, "of a single file").unwrap();
    assert!(matches!(again(), Err(SinkError::Occupied { path }) if path == part));
    fs::remove_file(&part).unwrap();
    // Between opening and finishing: what gets the name is what has the name then, a link.
    let mut layout = again().unwrap();
    layout.write(0..content.len() as u64, &content).unwrap();
    fs::rename(&part, dir.path().join("aside")).unwrap();
    symlink(outside.path(), &part).unwrap();
    assert!(matches!(layout.finish(), Err(SinkError::Link { path }) if path == part));
    assert_eq!(count(outside.path()), 0);
    assert!(!dir.path().join("set").exists());
}

#[test]
fn what_is_no_file_stays_where_files_may_be_replaced() {
    let outside = folder();
    fs::write(outside.path().join("precious"), "x").unwrap();
    let dir = folder();
    let set = dir.path().join("set");
    fs::create_dir_all(set.join("a")).unwrap();
    symlink(outside.path().join("precious"), set.join("a/1")).unwrap();
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, set.join("a/2"), mode).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, set.join("link"), mode).unwrap();
    fs::hard_link(outside.path().join("precious"), set.join("nothing")).unwrap();
    let (table, content) = object(&some(), 0o755);
    for overwrite in [false, true] {
        let options = LayoutOptions {
            overwrite,
            ..LayoutOptions::default()
        };
        let mut layout = open(dir.path(), &table, options);
        put_all(&mut layout, &content).unwrap();
        let mut kept = vec![&b"a/1"[..], b"a/2", b"link"];
        if !overwrite {
            kept.push(b"nothing");
        }
        assert_eq!(told(&layout), kept);
        assert!(set.join("a/1").is_symlink() && set.join("a/deep/3").is_file());
        // Read back is what is not here as zeros, and what is here as it is.
        let mut back = vec![9; content.len()];
        layout.read(0..content.len() as u64, &mut back).unwrap();
        assert!(back[..400].iter().all(|&b| b == 0) && back[400..] == content[400..]);
    }
    assert_eq!(fs::read(outside.path().join("precious")).unwrap(), b"x");
    assert_eq!(fs::metadata(set.join("nothing")).unwrap().len(), 0);
    // And where the object's own name is no folder's.
    for spoil in [
        |set: &Path| fs::write(set, "x").unwrap(),
        |set: &Path| {
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mkfifoat(rustix::fs::CWD, set, mode).unwrap();
        },
    ] {
        let dir = folder();
        spoil(&dir.path().join("set"));
        let mut layout = open(dir.path(), &table, LayoutOptions::default());
        let result = put_all(&mut layout, &content);
        assert!(matches!(result, Err(SinkError::Occupied { .. })));
    }
}
