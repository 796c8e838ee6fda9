//! A run is killed at each of its steps, and a later run goes on.

use super::*;
use crate::store::layout::sys::seam;

/// What there is before an object comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    Nothing,
    /// A folder of its name with other files under its names; they are replaced.
    Replaced,
    /// The object's content comes right into the receiver's folder.
    Inside,
}

const OLD: &[u8] = b"what was there";

fn prepare(dir: &Path, before: Before) -> PathBuf {
    let place = match before {
        Before::Inside => dir.to_path_buf(),
        _ => dir.join("set"),
    };
    if before != Before::Nothing {
        fs::create_dir_all(place.join("a/deep")).unwrap();
        for name in ["a/1", "a/deep/3", "mine"] {
            fs::write(place.join(name), OLD).unwrap();
        }
        symlink("mine", place.join("link")).unwrap();
    }
    fs::write(dir.join("beside"), OLD).unwrap();
    place
}

fn run(
    dir: &Path,
    before: Before,
    table: &Arc<FileTable>,
    content: &[u8],
) -> Result<(), SinkError> {
    let kind = match before {
        Before::Inside => ObjectKind::Inside,
        _ => ObjectKind::Folder,
    };
    let options = LayoutOptions {
        overwrite: true,
        delete: before == Before::Replaced,
        ..LayoutOptions::default()
    };
    let mut layout = Layout::open(dir, "set", kind, table.clone(), options, &|_| false)?;
    for (at, bytes) in (0..).step_by(150).zip(content.chunks(150)) {
        layout.write(at..at + bytes.len() as u64, bytes)?;
    }
    layout.finish()
}

/// Each name has the old bytes, or the new, or nothing where nothing was.
fn check_names(place: &Path, before: Before) {
    for (path, (what, _)) in some() {
        let path = path.join(&b'/');
        let here = place.join(OsStr::from_bytes(&path));
        let had = before != Before::Nothing && [&b"a/1"[..], b"a/deep/3"].contains(&&*path);
        match what {
            What::File(new) => match fs::read(&here) {
                Ok(bytes) => assert!(bytes == new || had && bytes == OLD, "{}", here.display()),
                Err(e) => assert!(!had && e.kind() == io::ErrorKind::NotFound, "{e}"),
            },
            What::Link(target) if before != Before::Nothing => {
                let found = fs::read_link(&here).unwrap();
                let found = found.as_os_str().as_bytes();
                assert!(found == target || found == b"mine");
            }
            _ => {}
        }
    }
}

#[test]
fn a_run_that_is_killed_at_any_step_leaves_old_or_new_and_a_later_one_completes() {
    let (table, content) = object(&some(), 0o555);
    for before in [Before::Nothing, Before::Replaced, Before::Inside] {
        let mut steps = 0;
        loop {
            let dir = folder();
            let place = prepare(dir.path(), before);
            seam::fail_after(steps);
            let result = run(dir.path(), before, &table, &content);
            let killed = seam::left() == 0;
            seam::fail_after(u64::MAX);
            check_names(&place, before);
            if result.is_ok() && !killed {
                break;
            }
            run(dir.path(), before, &table, &content).unwrap();
            assert_eq!(fs::read(dir.path().join("beside")).unwrap(), OLD);
            match before {
                Before::Nothing => {}
                Before::Replaced => assert!(!place.join("mine").exists()),
                Before::Inside => {
                    assert_eq!(fs::read(place.join("mine")).unwrap(), OLD);
                    fs::remove_file(place.join("mine")).unwrap();
                    fs::remove_file(place.join("beside")).unwrap();
                }
            }
            check(&place, &some());
            let beside = if before == Before::Inside { 0 } else { 2 };
            assert_eq!(
                count(dir.path()),
                some().len() + beside,
                "{before:?} {steps}"
            );
            steps += 1;
        }
        assert!(steps > 40, "{before:?}: {steps}");
    }
}

#[test]
fn a_run_that_was_killed_while_files_got_their_names_need_not_write_them_again() {
    let (table, content) = object(&some(), 0o755);
    for before in [Before::Nothing, Before::Replaced, Before::Inside] {
        let mut steps = 0;
        loop {
            let dir = folder();
            let place = prepare(dir.path(), before);
            let kind = match before {
                Before::Inside => ObjectKind::Inside,
                _ => ObjectKind::Folder,
            };
            let options = LayoutOptions {
                overwrite: true,
                ..LayoutOptions::default()
            };
            let table = table.clone();
            let again = || {
                Layout::open(dir.path(), "set", kind, table.clone(), options, &|_| false).unwrap()
            };
            let mut layout = again();
            layout.write(0..content.len() as u64, &content).unwrap();
            seam::fail_after(steps);
            let result = layout.finish();
            let killed = seam::left() == 0;
            seam::fail_after(u64::MAX);
            if result.is_ok() && !killed {
                break;
            }
            // The same run tries again, or a later one does.
            if steps % 2 == 0 {
                drop(layout);
                layout = again();
            }
            let mut back = vec![0; content.len()];
            layout.read(0..content.len() as u64, &mut back).unwrap();
            assert!(back == content, "{before:?} {steps}");
            layout.finish().unwrap();
            assert_eq!(layout.remarks(), &Remarks::default(), "{before:?} {steps}");
            for name in ["mine", "beside"] {
                let _ = fs::remove_file(place.join(name));
            }
            // Something that is no part of the object went from its folder.
            let _ = fs::File::open(&place).and_then(|folder| {
                folder.set_modified(
                    std::time::UNIX_EPOCH + std::time::Duration::from_nanos(TIME as u64),
                )
            });
            check(&place, &some());
            steps += 1;
        }
    }
}
