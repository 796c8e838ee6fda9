use super::*;
use crate::store::tree::{HashError, Why};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

fn go(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn append(path: &Path) {
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(b"more").unwrap();
}

#[test]
fn one_read_gives_all_hashes() {
    for sizes in [
        &[][..],
        &[0],
        &[1],
        &[0, 100_000, 0],
        &[65_536],
        &[65_536, 1],
        &[30_000, 0, 40_000, 5, 300_000, 65_536, 1],
        &[9_000_000, 10, 5_000_000, 4_194_304, 77],
    ] {
        let dir = tempfile::tempdir().unwrap();
        for (n, size) in sizes.iter().enumerate() {
            write(
                dir.path(),
                format!("{n}").as_bytes(),
                &bytes(n as u32, *size),
            );
        }
        verify(hashed(dir.path()));
        if let [size] = sizes {
            let done = hashed(&dir.path().join("0"));
            assert_eq!(done.tree.content_len(), *size as u64);
            verify(done);
        }
    }
}

#[test]
fn blocks_of_other_sizes_give_the_same_content() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..30u32 {
        write(
            dir.path(),
            format!("{n}").as_bytes(),
            &bytes(n, n as usize * 3_001),
        );
    }
    let id = |block| hash(scanned(dir.path()), block, go).unwrap().content;
    let first = id(1_024);
    for block in [4_096, 1 << 20, 8 << 20] {
        assert_eq!(id(block), first);
    }
    for block in [0, 512, 3_000] {
        let error = hash(scanned(dir.path()), block, go).unwrap_err();
        assert!(matches!(error, HashError::Block(_)), "{error}");
    }
}

#[test]
fn files_that_changed_after_the_scan_are_looked_at_anew() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..200u32 {
        write(
            dir.path(),
            format!("{}/{n}", n % 7).as_bytes(),
            &bytes(n, 3_000),
        );
    }
    let tree = scanned(dir.path());
    append(&dir.path().join("0/0"));
    fs::write(dir.path().join("3/3"), bytes(9, 200_000)).unwrap();
    fs::write(dir.path().join("4/11"), b"").unwrap();
    fs::remove_file(dir.path().join("5/12")).unwrap();
    fs::remove_dir_all(dir.path().join("2")).unwrap();
    let done = hash(tree, BLOCK, go).unwrap();
    let gone = done.tree.skipped();
    assert_eq!(gone.len(), 1 + (2..200).step_by(7).count());
    assert!(gone.iter().all(|skipped| matches!(skipped.why, Why::Gone)));
    verify(done);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_no_mixture() {
    let dir = tempfile::tempdir().unwrap();
    let big = dir.path().join("m");
    write(dir.path(), b"a", &bytes(1, 100_000));
    write(dir.path(), b"m", &bytes(2, 40 << 20));
    write(dir.path(), b"z", &bytes(3, 100_000));
    for shorter in [false, true] {
        let mut passes = 0;
        let mut done_once = false;
        let done = hash(scanned(dir.path()), BLOCK, |done, _| {
            passes += u32::from(done < (4 << 20));
            if done >= (4 << 20) && !done_once {
                done_once = true;
                let file = File::options().write(true).open(&big).unwrap();
                file.write_all_at(b"other", 1_000_000).unwrap();
                if shorter {
                    file.set_len(7 << 20).unwrap();
                }
            }
            ControlFlow::Continue(())
        });
        assert_eq!(passes, 2);
        let done = done.unwrap();
        assert_eq!(done.tree.skipped().len(), 0);
        verify(done);
    }
}

#[test]
fn a_file_that_keeps_changing_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("m/log");
    for name in ["a", "m/b", "m/log", "m/x", "z"] {
        write(dir.path(), name.as_bytes(), &bytes(1, 50_000));
    }
    let done = hash(scanned(dir.path()), BLOCK, |done, _| {
        if done < 150_000 {
            append(&log);
        }
        ControlFlow::Continue(())
    });
    let done = done.unwrap();
    assert_eq!(
        skipped(&done.tree),
        ["m/log: it keeps changing while it is read"]
    );
    assert_eq!(paths(&done.tree), ["", "a", "m", "m/b", "m/x", "z"]);
    verify(done);
    let error = hash(scanned(&log), BLOCK, |_, _| {
        append(&log);
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(HashError::Unsteady { .. })));
    let mut once = true;
    let done = hash(scanned(&log), BLOCK, |_, _| {
        if std::mem::take(&mut once) {
            append(&log);
        }
        ControlFlow::Continue(())
    });
    verify(done.unwrap());
}

#[test]
fn an_empty_file_that_grows_beside_the_only_one_with_bytes_gets_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), b"a", &bytes(1, 5_000_000));
    write(dir.path(), b"b", b"");
    let tree = scanned(dir.path());
    append(&dir.path().join("a"));
    append(&dir.path().join("b"));
    let done = hash(tree, BLOCK, go).unwrap();
    assert_eq!(done.tree.content_len(), 5_000_008);
    verify(done);
}

#[test]
fn a_file_that_nobody_may_read_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        write(dir.path(), name.as_bytes(), &bytes(1, 50_000));
    }
    let mode = fs::Permissions::from_mode(0o0);
    fs::set_permissions(dir.path().join("b"), mode).unwrap();
    let readable = File::open(dir.path().join("b")).is_ok();
    let done = hashed(dir.path());
    // Root may read everything.
    assert_eq!(done.tree.skipped().len(), usize::from(!readable));
    if readable {
        verify(done);
    } else {
        assert!(matches!(done.tree.skipped()[0].why, Why::Unreadable(_)));
        fs::set_permissions(dir.path().join("b"), fs::Permissions::from_mode(0o600)).unwrap();
        verify(done);
    }
}

#[test]
fn the_caller_can_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), b"a", &bytes(1, 20 << 20));
    let mut calls = 0;
    let result = hash(scanned(dir.path()), BLOCK, |_, all| {
        assert_eq!(all, 20 << 20);
        calls += 1;
        if calls < 3 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert!(matches!(result, Err(HashError::Stopped { .. })));
    assert_eq!(calls, 3);
}
