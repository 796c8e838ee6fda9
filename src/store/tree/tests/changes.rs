use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn changes(tree: &Tree) -> Vec<String> {
    let found = tree.changes(1_000);
    assert!(!found.more);
    found.named.iter().map(ToString::to_string).collect()
}

fn tree() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a/1", "a/2", "b/c/3", "b/c/4", "b/d.txt", "e"] {
        write(dir.path(), name.as_bytes(), name.as_bytes());
    }
    symlink("e", dir.path().join("link")).unwrap();
    let filter = filter(&["-*.bak"]);
    let tree = scanned_with(
        dir.path(),
        &ScanOptions {
            filter,
            ..ScanOptions::default()
        },
    );
    (dir, tree)
}

#[test]
fn a_tree_that_nobody_touched_has_no_changes() {
    let (_dir, tree) = tree();
    assert_eq!(tree.changes(10), crate::store::tree::Changes::default());
}

#[test]
fn changes_are_named() {
    let (dir, tree) = tree();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("a/1"), "longer than it was").unwrap();
    fs::remove_file(path("a/2")).unwrap();
    fs::write(path("b/c/0"), "").unwrap();
    fs::write(path("b/c/5"), "").unwrap();
    fs::create_dir(path("b/new")).unwrap();
    fs::remove_file(path("link")).unwrap();
    fs::write(path("link"), "e").unwrap();
    fs::set_permissions(path("b/c"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(
        changes(&tree),
        [
            "a/1 has been changed",
            "a/2 is gone",
            "b/new is new",
            "b/c has another mode",
            "b/c/0 is new",
            "b/c/5 is new",
            "link has been replaced",
        ]
    );
    let few = tree.changes(2);
    assert!(few.more && few.named.len() == 2);
}

#[test]
fn what_would_not_be_sent_is_no_change() {
    let (dir, tree) = tree();
    fs::write(dir.path().join("a/x.bak"), "").unwrap();
    fs::write(dir.path().join("a/x.part"), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("b/s")).unwrap();
    fs::write(dir.path().join("passing"), "").unwrap();
    fs::remove_file(dir.path().join("passing")).unwrap();
    assert_eq!(changes(&tree), [""; 0]);
}

#[test]
fn a_folder_that_is_gone_or_swapped_is_named_once() {
    let (dir, tree) = tree();
    fs::rename(dir.path().join("b"), dir.path().join("x")).unwrap();
    symlink("x", dir.path().join("b")).unwrap();
    fs::remove_dir_all(dir.path().join("a")).unwrap();
    assert_eq!(
        changes(&tree),
        ["x is new", "a is gone", "b has been replaced"]
    );
}

#[test]
fn a_single_file_is_checked_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "1").unwrap();
    let tree = scanned(&path);
    assert_eq!(changes(&tree), [""; 0]);
    fs::rename(&path, dir.path().join("g")).unwrap();
    assert_eq!(changes(&tree), [""; 0]);
    fs::write(&path, "1").unwrap();
    assert_eq!(changes(&tree), ["f has been replaced"]);
    fs::rename(dir.path().join("g"), &path).unwrap();
    fs::write(&path, "22").unwrap();
    assert_eq!(changes(&tree), ["f has been changed"]);
}
