//! Trees that come whole, in pieces, or with what can't be had here.

use super::*;

#[test]
fn a_new_tree_gets_its_name_at_once() {
    for step in [7, 150, 10_000] {
        let dir = folder();
        let (table, content) = object(&some(), 0o750);
        let mut layout = open(dir.path(), &table, LayoutOptions::default());
        put(&mut layout, &content, step);
        assert_eq!(layout.remarks(), &Remarks::default());
        check(&dir.path().join("set"), &some());
        assert_eq!(count(dir.path()), some().len() + 1, "no staging is left");
    }
}

#[test]
fn holes_stay_holes() {
    let dir = folder();
    let mib = 1 << 20;
    let sparse = tree(&[
        (
            "image",
            What::Sparse(8 * mib, vec![0..mib, 2 * mib..8 * mib]),
            0o644,
        ),
        (
            "z",
            What::Sparse(mib, std::iter::once(0..mib).collect()),
            0o644,
        ),
    ]);
    let (table, content) = object(&sparse, 0o755);
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    put(&mut layout, &content, 300_000);
    check(&dir.path().join("set"), &sparse);
}

#[test]
fn a_later_run_goes_on_and_giving_up_leaves_nothing() {
    let dir = folder();
    let (table, content) = object(&some(), 0o755);
    let half = content.len() / 2;
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    layout.write(0..half as u64, &content[..half]).unwrap();
    layout.abandon(true).unwrap();
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    let mut back = vec![0; half];
    layout.read(0..half as u64, &mut back).unwrap();
    assert!(back == content[..half]);
    layout
        .write(half as u64..content.len() as u64, &content[half..])
        .unwrap();
    layout.finish().unwrap();
    check(&dir.path().join("set"), &some());
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    layout.write(0..half as u64, &content[..half]).unwrap();
    layout.abandon(false).unwrap();
    assert!(!dir.path().join("set.part").exists());
}

#[test]
fn names_that_are_the_stores_are_left_out_with_all_in_them() {
    let dir = folder();
    let mut bad = some();
    bad.extend(tree(&[
        ("b.part", What::Folder, 0o755),
        ("b.part/5", file(5), 0o644),
        ("c.part", file(6), 0o644),
    ]));
    let (table, content) = object(&bad, 0o755);
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    layout.write(0..content.len() as u64, &content).unwrap();
    layout.finish().unwrap();
    let told = told(&layout);
    assert_eq!(told, [&b"b.part"[..], b"c.part"]);
    check(&dir.path().join("set"), &some());
}

#[test]
fn few_files_are_open_at_a_time() {
    let dir = folder();
    let name = |n: u32| format!("d{}/{n}", n % 50);
    let mut many = Tree::new();
    for n in 0..3_000 {
        let folder = format!("d{}", n % 50);
        many.extend(tree(&[
            (&folder, What::Folder, 0o755),
            (&name(n), file(n as u8), 0o644),
        ]));
    }
    let (table, content) = object(&many, 0o755);
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    for (at, bytes) in (0..).step_by(50_000).zip(content.chunks(50_000)) {
        layout.write(at..at + bytes.len() as u64, bytes).unwrap();
        assert!(open_in(dir.path()) <= 16);
    }
    layout.finish().unwrap();
    check(&dir.path().join("set"), &many);
}

#[test]
fn links_that_may_lead_out_are_made_only_when_asked_for() {
    let targets: [(&[u8], bool); 9] = [
        (b"a/1", false),
        (b"a/../odd", false),
        (b"./a/deep/..", false),
        (b"/etc/passwd", true),
        (b"..", true),
        (b"a/../../x", true),
        // Where these go up from is a link, a file, or nothing.
        (b"link/../x", true),
        (b"a/1/../../..", true),
        (b"none/..", true),
    ];
    for (target, leads_out) in targets {
        for outside_links in [false, true] {
            let dir = folder();
            let mut links = some();
            links.extend(tree(&[("zlink", What::Link(target), 0o777)]));
            let (table, content) = object(&links, 0o755);
            let options = LayoutOptions {
                outside_links,
                ..LayoutOptions::default()
            };
            let mut layout = open(dir.path(), &table, options);
            put_all(&mut layout, &content).unwrap();
            if leads_out && !outside_links {
                assert_eq!(told(&layout), [b"zlink"], "{}", target.escape_ascii());
                check(&dir.path().join("set"), &some());
            } else {
                assert_eq!(layout.remarks().count, 0, "{}", target.escape_ascii());
                check(&dir.path().join("set"), &links);
            }
        }
    }
}

#[test]
fn a_link_inside_a_folder_may_go_up_to_the_object_and_no_further() {
    for (target, leads_out) in [(&b"../empty"[..], false), (b"../../empty", true)] {
        let dir = folder();
        let mut links = some();
        links.extend(tree(&[("a/up", What::Link(target), 0o777)]));
        let (table, content) = object(&links, 0o755);
        let mut layout = open(dir.path(), &table, LayoutOptions::default());
        put_all(&mut layout, &content).unwrap();
        assert_eq!(layout.remarks().count, u64::from(leads_out));
    }
}

#[test]
fn lost_bytes_are_an_error_and_no_hole() {
    let (table, content) = object(&some(), 0o755);
    let spoils: [fn(&Path); 3] = [
        |file| fs::remove_file(file).unwrap(),
        |file| fs::write(file, "short").unwrap(),
        |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(),
    ];
    for spoil in spoils {
        for exists in [false, true] {
            let dir = folder();
            if exists {
                fs::create_dir(dir.path().join("set")).unwrap();
            }
            let mut layout = open(dir.path(), &table, LayoutOptions::default());
            layout.write(0..content.len() as u64, &content).unwrap();
            drop(layout);
            spoil(&dir.path().join("set.part/a/1"));
            let mut layout = open(dir.path(), &table, LayoutOptions::default());
            assert!(layout.finish().is_err());
            assert!(!dir.path().join("set/a/1").exists());
            put_all(&mut layout, &content).unwrap();
            check(&dir.path().join("set"), &some());
        }
    }
}

#[test]
fn what_an_earlier_version_staged_does_not_get_a_name() {
    let dir = folder();
    let mut earlier = some();
    earlier.extend(tree(&[
        ("gone", What::Folder, 0o755),
        ("gone/x", file(7), 0o644),
        ("a/gone", file(8), 0o644),
    ]));
    let (table, content) = object(&earlier, 0o755);
    let mut layout = open(dir.path(), &table, LayoutOptions::default());
    layout.write(0..content.len() as u64, &content).unwrap();
    layout.abandon(true).unwrap();
    let (table, content) = object(&some(), 0o755);
    put_all(
        &mut open(dir.path(), &table, LayoutOptions::default()),
        &content,
    )
    .unwrap();
    check(&dir.path().join("set"), &some());
}

#[test]
fn a_deep_tree_takes_few_descriptors() {
    let dir = folder();
    let mut deep = Tree::new();
    let mut path = String::new();
    for depth in 0..400 {
        path.push_str(if depth == 0 { "d" } else { "/d" });
        deep.extend(tree(&[(&path, What::Folder, 0o755)]));
    }
    path.push_str("/f");
    deep.extend(tree(&[(&path, file(1), 0o644)]));
    let (table, content) = object(&deep, 0o755);
    let options = LayoutOptions {
        delete: true,
        ..LayoutOptions::default()
    };
    for exists in [false, true] {
        if exists {
            fs::rename(dir.path().join("set/d"), dir.path().join("set/other")).unwrap();
        }
        let mut layout = open(dir.path(), &table, options);
        layout.write(0..content.len() as u64, &content).unwrap();
        assert!(open_in(dir.path()) <= 16);
        layout.finish().unwrap();
        assert_eq!(layout.remarks().deleted, if exists { 401 } else { 0 });
        check(&dir.path().join("set"), &deep);
    }
}

#[test]
fn owners_and_attributes_are_set_or_told_and_only_when_asked_for() {
    let mut writer = TableWriter::new();
    writer.push(&entry(b"", EntryKind::Folder, 0o755)).unwrap();
    let kind = EntryKind::File {
        length: 0,
        hash: None,
        holes: Vec::new(),
    };
    let mut special = entry(b"f", kind, 0o4755);
    special.owner = Some((12_345, 12_346));
    special.xattrs = vec![(b"nowhere.x", b"1"), (b"user.loopcast", b"2")];
    writer.push(&special).unwrap();
    let table = Arc::new(FileTable::parse(writer.finish(), 0).unwrap());
    for asked in [false, true] {
        let dir = folder();
        let options = LayoutOptions {
            owner: asked,
            xattrs: asked,
            ..LayoutOptions::default()
        };
        let mut layout = open(dir.path(), &table, options);
        layout.finish().unwrap();
        let path = dir.path().join("set/f");
        let meta = fs::metadata(&path).unwrap();
        let mode = meta.permissions().mode() & 0o7777;
        if !asked {
            assert_eq!((mode, layout.remarks().count), (0o755, 0));
            continue;
        }
        // There is no such attribute anywhere.
        assert_eq!(told(&layout), [b"f"]);
        let is_owned = (meta.uid(), meta.gid()) == (12_345, 12_346);
        assert_eq!(mode, if is_owned { 0o4755 } else { 0o755 });
    }
}

#[test]
fn room_for_the_whole_is_looked_at_first_and_holes_take_none() {
    let length = 1 << 42;
    for is_hole in [false, true] {
        let mut writer = TableWriter::new();
        writer.push(&entry(b"", EntryKind::Folder, 0o755)).unwrap();
        let kind = EntryKind::File {
            length,
            hash: Some(Hash([1; 32])),
            holes: if is_hole {
                std::iter::once(0..length).collect()
            } else {
                Vec::new()
            },
        };
        writer.push(&entry(b"image", kind, 0o644)).unwrap();
        let table = Arc::new(FileTable::parse(writer.finish(), length).unwrap());
        let dir = folder();
        let (options, kind) = (LayoutOptions::default(), ObjectKind::Folder);
        let layout = Layout::open(dir.path(), "set", kind, table, options, &|_| false);
        if !is_hole {
            let need = length + 2 * 4_096;
            let refused = layout.unwrap_err();
            assert!(matches!(refused, SinkError::NoSpace { need: n, .. } if n == need));
            continue;
        }
        // No byte of it need come.
        let mut layout = layout.unwrap();
        let mut back = [9; 100];
        layout.read(length - 100..length, &mut back).unwrap();
        assert_eq!(back, [0; 100]);
        layout.finish().unwrap();
        let meta = fs::metadata(dir.path().join("set/image")).unwrap();
        assert!(meta.len() == length && meta.blocks() < 1_000);
    }
}

/// How many descriptors are open on a folder and what is in it.
fn open_in(folder: &Path) -> usize {
    let all = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let targets = all.filter_map(|fd| fs::read_link(fd.path()).ok());
    targets.filter(|target| target.starts_with(folder)).count()
}
