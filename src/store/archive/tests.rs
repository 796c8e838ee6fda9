use super::*;
use crate::object::SafeName;
use crate::secret::Secret;
use crate::store::disk::Disk;
use proptest::prelude::*;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const KEY: [u8; 32] = [3; 32];

/// Bytes of a kind that zstd can make shorter by half.
fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = crate::rng::Rng::new(seed);
    (0..len).map(|_| rng.next_u64() as u8 & 15).collect()
}

fn pack(dir: &Path, files: &[(&str, Vec<u8>)], level: Option<i32>) -> Pack {
    let files = files.iter().enumerate().map(|(i, (name, bytes))| {
        let path = dir.join(format!("in{i}"));
        fs::write(&path, bytes).unwrap();
        (path, SafeName::offered(name).unwrap())
    });
    Pack {
        files: files.collect(),
        out: dir.join("a.lca"),
        key: Secret::new(KEY),
        level,
        force: false,
    }
}

fn open(path: &Path) -> Result<ArchiveFile, PackError> {
    ArchiveFile::open(path, Secret::new(KEY))
}

/// Names of what is in a folder.
fn list(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_come_back_with_names_times_and_modes() {
    for level in [None, Some(1)] {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("none", Vec::new()),
            ("d/long", content(5 << 20 | 77, 1)),
            ("d/s", content(3, 2)),
            ("also none", Vec::new()),
            ("exactly", content(2 << 20, 3)),
        ];
        let job = pack(dir.path(), &files, level);
        fs::set_permissions(&job.files[1].0, fs::Permissions::from_mode(0o640)).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let long = File::options().write(true).open(&job.files[1].0).unwrap();
        long.set_modified(time).unwrap();
        let progress = Progress::default();
        let packed = job.run(&progress).unwrap();
        let total: u64 = files.iter().map(|f| f.1.len() as u64).sum();
        assert_eq!((packed.content, progress.get()), (total, (total, total)));
        assert_eq!(packed.archive, fs::metadata(&job.out).unwrap().len());
        assert_eq!(level.is_some(), packed.archive < total * 3 / 4);

        let archive = open(&job.out).unwrap();
        let whole: Vec<u8> = files.iter().flat_map(|f| f.1.clone()).collect();
        for (number, chunk) in (1..)
            .zip(whole.chunks(1 << 20))
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            assert!(
                archive.frame(*number).unwrap() == *chunk,
                "frame {number} alone"
            );
        }
        assert!(archive.frame(0).is_err() && archive.frame(9).is_err());

        let into = dir.path().join("new/out");
        let unpacked = archive.unpack(&into, &Progress::default()).unwrap();
        assert_eq!(unpacked.len(), 5);
        for ((name, bytes), file) in files.iter().zip(unpacked) {
            assert_eq!((file.name.as_str(), &file.path), (*name, &into.join(name)));
            assert!(fs::read(&file.path).unwrap() == *bytes, "{name}");
        }
        let meta = fs::metadata(into.join("d/long")).unwrap();
        assert_eq!(
            (meta.permissions().mode() & 0o777, meta.modified().unwrap()),
            (0o640, time)
        );
        assert_eq!(list(&into), ["also none", "d", "exactly", "none"]);
    }
}

#[test]
fn a_damaged_archive_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("a", content(3 << 20, 1)), ("b", content(10, 2))];
    let job = pack(dir.path(), &files, None);
    let packed = job.run(&Progress::default()).unwrap();
    let mut options = File::options();
    let file = options.read(true).write(true).open(&job.out).unwrap();
    // In the last frame of content: all others hold.
    let mut byte = [0];
    file.read_at(&mut byte, packed.archive - 100).unwrap();
    byte[0] ^= 1;
    file.write_at(&byte, packed.archive - 100).unwrap();
    let into = dir.path().join("out");
    fs::create_dir(&into).unwrap();
    fs::write(into.join("a"), "what was here").unwrap();
    let error = open(&job.out).unwrap().unpack(&into, &Progress::default());
    let why = ArchiveError::Frame(4);
    assert!(matches!(error, Err(PackError::Archive { why: w, .. }) if w == why));
    assert_eq!(list(&into), ["a"]);
    assert_eq!(fs::read(into.join("a")).unwrap(), b"what was here");

    file.set_len(packed.archive - 1).unwrap();
    assert!(matches!(open(&job.out), Err(PackError::Archive { .. })));
    file.set_len(40).unwrap();
    let why = ArchiveError::NotAnArchive;
    assert!(matches!(open(&job.out), Err(PackError::Archive { why: w, .. }) if w == why));
}

#[test]
fn another_key_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let job = pack(dir.path(), &[("a", content(10, 1))], None);
    job.run(&Progress::default()).unwrap();
    let error = ArchiveFile::open(&job.out, Secret::new([4; 32])).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("this key file is not for this archive"),
        "{error}"
    );
    assert!(is_archive(&job.out) && !is_archive(&job.files[0].0));
}

#[test]
fn what_is_there_is_not_written_over_and_what_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = pack(dir.path(), &[("a", content(2 << 20, 1))], None);
    fs::write(&job.out, "precious").unwrap();
    let error = job.run(&Progress::default()).unwrap_err();
    assert!(matches!(error, PackError::Exists { .. }), "{error}");
    let stopped = Progress::default();
    stopped.stop();
    job.force = true;
    assert!(matches!(job.run(&stopped), Err(PackError::Stopped)));
    job.files
        .push((dir.path().join("gone"), SafeName::offered("b").unwrap()));
    assert!(matches!(
        job.run(&Progress::default()),
        Err(PackError::Read { .. })
    ));
    job.files[1] = (dir.path().to_owned(), SafeName::offered("b").unwrap());
    assert!(matches!(
        job.run(&Progress::default()),
        Err(PackError::NotAFile { .. })
    ));
    job.files[1] = job.files[0].clone();
    assert!(matches!(
        job.run(&Progress::default()),
        Err(PackError::Table { .. })
    ));
    assert_eq!(fs::read(&job.out).unwrap(), b"precious");
    assert_eq!(list(dir.path()), ["a.lca", "in0"]);
    job.files.pop();
    job.run(&Progress::default()).unwrap();
    let into = dir.path().join("out");
    let unpack = |p: &Progress| open(&job.out).unwrap().unpack(&into, p);
    assert!(matches!(unpack(&stopped), Err(PackError::Stopped)));
    assert_eq!(list(&into), [""; 0]);
    unpack(&Progress::default()).unwrap();
}

#[test]
fn links_in_the_way_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("a", content(9, 1)), ("d/b", content(9, 2))];
    let job = pack(dir.path(), &files, None);
    job.run(&Progress::default()).unwrap();
    let into = dir.path().join("out");
    let outside = dir.path().join("outside");
    fs::create_dir(&into).unwrap();
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, into.join("d")).unwrap();
    let error = open(&job.out).unwrap().unpack(&into, &Progress::default());
    assert!(matches!(
        error,
        Err(PackError::Write(SinkError::Link { .. }))
    ));
    assert_eq!(
        (list(&outside).len(), list(&into)),
        (0, vec!["d".to_owned()])
    );
}

/// What a maker with the key, but not with this program, may have sealed.
#[test]
fn what_was_sealed_wrongly_is_refused() {
    use crate::archive::FileTable;
    use crate::archive::{Archive, Coding, FRAME_HEADER_LEN, FRAME_OVERHEAD, Layout};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.lca");
    let make = |table: &[u8], length: u64, frame: &[u8]| {
        let key = Secret::new(KEY);
        let archive = Archive::new(key, [0; 16], 16, length, table.len() as u32).unwrap();
        let index = Layout::index(&[frame.len() as u32]);
        let mut out = archive.header().encode().to_vec();
        let frames = [
            (Coding::Plain, table),
            (Coding::Zstd, frame),
            (Coding::Plain, &index),
        ];
        for (number, (coding, bytes)) in (0..).zip(frames) {
            let mut sealed = vec![0; bytes.len() + FRAME_OVERHEAD];
            sealed[FRAME_HEADER_LEN..][..bytes.len()].copy_from_slice(bytes);
            archive
                .seal(number, coding, [number as u8; 32], &mut sealed)
                .unwrap();
            out.extend(sealed);
        }
        fs::write(&path, out).unwrap();
        let into = dir.path().join("out");
        let error = open(&path).and_then(|a| a.unpack(&into, &Progress::default()));
        assert!(!into.exists() || list(&into).is_empty());
        error.map(drop).unwrap_err()
    };
    let table = |length| {
        let name = SafeName::in_table("f").unwrap();
        FileTable::single(name, length, None, None).encode()
    };
    let zstd = |len| zstd::bulk::compress(&content(len, 1), 1).unwrap();
    for frame in [b"no zstd".to_vec(), zstd(999), zstd(1_001)] {
        let error = make(&table(1_000), 1_000, &frame);
        assert!(
            matches!(error, PackError::Compressed { number: 1, .. }),
            "{error}"
        );
    }
    let error = make(&table(999), 1_000, &zstd(1_000));
    assert!(matches!(error, PackError::Table { .. }), "{error}");
    let up = String::from_utf8_lossy(&table(1_000))
        .replace("f", "/")
        .into_bytes();
    let error = make(&up, 1_000, b"x");
    assert!(matches!(error, PackError::Table { .. }), "{error}");
}

proptest! {
    #[test]
    fn spans_are_the_bytes_of_the_files(
        lengths in prop::collection::vec(0u64..5, 1..8),
        from: prop::sample::Index,
        len: prop::sample::Index,
    ) {
        let mut offset = 0;
        let mut entries = Vec::new();
        let mut naive = Vec::new();
        for (file, &length) in lengths.iter().enumerate() {
            let path = SafeName::in_table("x").unwrap();
            entries.push(crate::archive::FileEntry { path, offset, length, mtime: None, mode: None });
            naive.extend((0..length).map(|at| (file, at)));
            offset += length;
        }
        let from = from.index(naive.len() + 1);
        let len = len.index(naive.len() - from + 1);
        let mut found = Vec::new();
        for span in spans::spans(&entries, from as u64, len) {
            prop_assert_eq!(span.bytes.start, found.len());
            prop_assert!(!span.bytes.is_empty());
            found.extend((span.offset..).take(span.bytes.len()).map(|at| (span.file, at)));
        }
        prop_assert_eq!(found, naive[from..from + len].to_vec());
    }
}
