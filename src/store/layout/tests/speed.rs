//! How long many small files take, beside `cp`.

use super::*;
use std::process::Command;
use std::time::Instant;

/// 100,000 files of 10 kB in 1,000 folders, in memory: run it alone, with `--release --ignored
/// --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn many_small_files_beside_cp() {
    let dir = folder();
    let mut writer = TableWriter::new();
    writer.push(&entry(b"", EntryKind::Folder, 0o755)).unwrap();
    let kind = EntryKind::File {
        length: 10_000,
        hash: Some(Hash([1; 32])),
        holes: Vec::new(),
    };
    for folder in 0..1_000 {
        let path = format!("d{folder:03}");
        let of_folder = entry(path.as_bytes(), EntryKind::Folder, 0o755);
        writer.push(&of_folder).unwrap();
        for file in 0..100 {
            let path = format!("{path}/file-{file:02}");
            writer
                .push(&entry(path.as_bytes(), kind.clone(), 0o644))
                .unwrap();
        }
    }
    let length = 1_000_000_000;
    let table = Arc::new(FileTable::parse(writer.finish(), length).unwrap());
    let block = vec![7; 512 << 10];
    let kinds = [ObjectKind::Folder, ObjectKind::Inside];
    for kind in kinds.into_iter().cycle().take(6) {
        let into = dir.path().join("into");
        fs::create_dir(&into).unwrap();
        let start = Instant::now();
        let (options, of) = (LayoutOptions::default(), table.clone());
        let layout = Layout::open(&into, "set", kind, of, options, &|_| false);
        let mut layout = layout.unwrap();
        for at in (0..length).step_by(block.len()) {
            let end = (at + block.len() as u64).min(length);
            layout
                .write(at..end, &block[..(end - at) as usize])
                .unwrap();
        }
        let written = start.elapsed();
        layout.finish().unwrap();
        let all = start.elapsed();
        let start = Instant::now();
        let copied = Command::new("cp")
            .arg("-r")
            .args([into.clone(), dir.path().join("copy")])
            .status();
        let cp = start.elapsed();
        assert!(copied.unwrap().success());
        println!("{kind:?}: written {written:?}, with finish {all:?}; cp -r {cp:?}");
        for name in ["into", "copy"] {
            fs::remove_dir_all(dir.path().join(name)).unwrap();
        }
    }
}
