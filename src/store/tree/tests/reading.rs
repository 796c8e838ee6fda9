use super::*;
use crate::fault::FaultKind;
use std::os::unix::fs::symlink;

fn read(reader: &ContentReader, index: usize) -> Result<Vec<u8>, crate::fault::StoreFault> {
    let place = reader.tree().place(index).unwrap();
    let mut into = vec![1; (place.end - place.start) as usize];
    reader.read(place, &mut into).map(|()| into)
}

fn changed(reader: &ContentReader, index: usize, text: &str) {
    let fault = read(reader, index).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Changed);
    let name = String::from_utf8(reader.tree().path(index)).unwrap();
    assert!(fault.to_string().contains(&name), "{fault}");
    assert!(fault.to_string().contains(text), "{fault}");
}

#[test]
fn any_range_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for n in 0..50u32 {
        let content = bytes(n, (n as usize * 37) % 400);
        write(dir.path(), format!("{n:02}/f").as_bytes(), &content);
        all.extend(content);
    }
    let tree = Arc::new(scanned(dir.path()));
    assert_eq!(tree.content_len(), all.len() as u64);
    let reader = ContentReader::new(tree);
    for start in (0..all.len()).step_by(97) {
        for len in [0, 1, 5, 300, 2_000] {
            let end = (start + len).min(all.len());
            let mut into = vec![1; end - start];
            reader.read(start as u64..end as u64, &mut into).unwrap();
            assert_eq!(into, all[start..end]);
        }
    }
    let end = all.len() as u64;
    assert!(reader.read(end..end + 1, &mut [0]).is_err());
    assert!(reader.read(0..2, &mut [0]).is_err());
    assert!(reader.read(end..end, &mut []).is_ok());
}

#[test]
fn files_that_change_are_faults_with_their_path() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "grown", "moved", "shrunk", "same", "swapped", "touched", "written",
    ] {
        write(dir.path(), name.as_bytes(), &bytes(1, 1_000));
    }
    let path = |name: &str| dir.path().join(name);
    let reader = ContentReader::new(Arc::new(scanned(dir.path())));
    // One that is open already, too.
    let start = reader.tree().place(7).unwrap().start;
    reader.read(start..start + 10, &mut [0; 10]).unwrap();
    fs::write(path("grown"), bytes(1, 1_001)).unwrap();
    fs::rename(path("moved"), path("elsewhere")).unwrap();
    fs::write(path("shrunk"), bytes(1, 999)).unwrap();
    fs::rename(path("elsewhere"), path("swapped")).unwrap();
    File::open(path("touched"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let long_ago = fs::metadata(path("written")).unwrap().modified().unwrap();
    fs::write(path("written"), bytes(2, 1_000)).unwrap();
    let later = long_ago + std::time::Duration::from_secs(1);
    File::open(path("written"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    changed(&reader, 1, "1001 bytes now, and had 1000");
    changed(&reader, 2, "gone");
    assert_eq!(read(&reader, 3).unwrap(), bytes(1, 1_000));
    changed(&reader, 4, "999 bytes now");
    changed(&reader, 5, "another file");
    changed(&reader, 6, "written");
    let fault = reader
        .read(start + 10..start + 20, &mut [0; 10])
        .unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Changed);
    changed(&reader, 7, "written");
}

#[test]
fn a_folder_that_is_swapped_for_a_link_is_not_entered() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("set");
    for n in 0..20 {
        write(&root, format!("{n:02}/f").as_bytes(), b"mine");
        write(dir.path(), format!("evil/{n:02}/f").as_bytes(), b"evil");
    }
    let reader = ContentReader::new(Arc::new(scanned(&root)));
    assert_eq!(read(&reader, 2).unwrap(), b"mine");
    for n in 1..20 {
        let (folder, evil) = (format!("{n:02}"), dir.path().join(format!("evil/{n:02}")));
        fs::rename(root.join(&folder), dir.path().join(&folder)).unwrap();
        if n % 2 == 0 {
            symlink(evil, root.join(&folder)).unwrap();
        } else {
            fs::rename(evil, root.join(&folder)).unwrap();
        }
        let how = ["something else", "has been replaced"][n % 2];
        changed(&reader, 2 + n * 2, how);
    }
    // A file that is swapped for a link or a pipe is not read either, and nobody waits for it.
    fs::remove_file(root.join("00/f")).unwrap();
    symlink(dir.path().join("evil/02/f"), root.join("00/f")).unwrap();
    changed(&reader, 2, "something else");
}

#[test]
fn a_single_file_may_be_renamed_but_not_replaced_or_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, bytes(1, 1_000)).unwrap();
    let reader = ContentReader::new(Arc::new(scanned(&path)));
    fs::rename(&path, dir.path().join("g")).unwrap();
    assert_eq!(read(&reader, 0).unwrap(), bytes(1, 1_000));
    fs::write(&path, bytes(1, 1_000)).unwrap();
    changed(&reader, 0, "another file");
    fs::rename(dir.path().join("g"), &path).unwrap();
    assert!(read(&reader, 0).is_ok());
    fs::write(&path, bytes(1, 1_002)).unwrap();
    changed(&reader, 0, "1002 bytes");
}

#[test]
fn thousands_of_files_need_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..3_000u32 {
        write(
            dir.path(),
            format!("{}/{n}", n % 60).as_bytes(),
            &bytes(n, 500),
        );
    }
    // Other tests of this process have others open.
    let open = || {
        let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = all.filter_map(|fd| fs::read_link(fd.path()).ok());
        targets.filter(|t| t.starts_with(dir.path())).count()
    };
    let tree = Arc::new(hashed(dir.path()).tree);
    let reader = ContentReader::new(Arc::clone(&tree));
    let mut most = 0;
    for start in (0..tree.content_len()).step_by(4_321) {
        let end = (start + 4_321).min(tree.content_len());
        let mut into = vec![0; (end - start) as usize];
        reader.read(start..end, &mut into).unwrap();
        most = most.max(open());
    }
    assert!(most > 0 && most <= 60, "{most}");
}

#[test]
fn holes_are_found_and_read_as_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let (mib, data) = (1 << 20, bytes(1, 5_000));
    sparse(
        &dir.path().join("a"),
        8 * mib,
        &[(0, &data), (3 * mib + 100, &data)],
    );
    sparse(&dir.path().join("b"), 5 * mib, &[]);
    write(dir.path(), b"c", &data);
    let done = hashed(dir.path());
    let holes: Vec<_> = (1..4).map(|n| done.tree.holes_of(n).to_vec()).collect();
    assert_eq!(holes[0].len(), 2);
    assert!(holes[0][0].start >= 5_000 && holes[0][0].start < mib && holes[0][0].end > 2 * mib);
    assert_eq!(holes[0][1].end, 8 * mib);
    assert!(holes[1].len() == 1 && holes[1][0] == (0..5 * mib));
    assert_eq!(holes[2], []);
    let table = verify(done);
    assert_eq!(table.holes().count(), 3);
}

#[test]
fn threads_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..40u32 {
        write(
            dir.path(),
            format!("{n:02}/f").as_bytes(),
            &bytes(n, 10_000),
        );
    }
    let reader = ContentReader::new(Arc::new(scanned(dir.path())));
    let all = content(reader.tree());
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let (reader, all) = (&reader, &all);
            scope.spawn(move || {
                for n in 0..400usize {
                    let start = (n * 7_919 + thread * 104_729) % (all.len() - 3_000);
                    let mut into = vec![0; 3_000];
                    reader
                        .read(start as u64..start as u64 + 3_000, &mut into)
                        .unwrap();
                    assert!(into == all[start..start + 3_000]);
                }
            });
        }
    });
}
