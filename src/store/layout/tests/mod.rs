//! Trees on a real disk, in a folder of their own.

mod attacks;
mod crashes;
mod there;
mod trees;

use super::*;
use crate::ids::Hash;
use crate::object::table::{Entry, EntryKind, TableWriter};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

const TIME: i64 = 1_600_000_000_123_456_789;

#[derive(Clone)]
enum What {
    File(Vec<u8>),
    Sparse(u64, Vec<Range<u64>>),
    Folder,
    Link(&'static [u8]),
}

/// A tree in memory, by path.
type Tree = BTreeMap<Vec<Vec<u8>>, (What, u32)>;

fn tree(entries: &[(&str, What, u32)]) -> Tree {
    let components = |path: &str| path.split('/').map(|c| c.as_bytes().to_vec()).collect();
    let entries = entries.iter().cloned();
    entries
        .map(|(path, what, mode)| (components(path), (what, mode)))
        .collect()
}

fn entry<'a>(path: &'a [u8], kind: EntryKind<'a>, mode: u32) -> Entry<'a> {
    Entry {
        path,
        kind,
        mtime: TIME,
        mode,
        owner: None,
        xattrs: Vec::new(),
    }
}

/// The table and the content of a tree.
fn object(tree: &Tree, root_mode: u32) -> (Arc<FileTable>, Vec<u8>) {
    let mut writer = TableWriter::new();
    let mut content = Vec::new();
    writer
        .push(&entry(b"", EntryKind::Folder, root_mode))
        .unwrap();
    for (path, (what, mode)) in tree {
        let path = path.join(&b'/');
        let file = |length: u64, holes| EntryKind::File {
            length,
            hash: (length > 0).then_some(Hash([1; 32])),
            holes,
        };
        let kind = match what {
            What::File(bytes) => {
                content.extend(bytes);
                file(bytes.len() as u64, Vec::new())
            }
            What::Sparse(length, holes) => {
                let in_hole = |at| holes.iter().any(|h| h.contains(&at));
                content.extend((0..*length).map(|at| u8::from(!in_hole(at))));
                file(*length, holes.clone())
            }
            What::Folder => EntryKind::Folder,
            What::Link(target) => EntryKind::Link { target },
        };
        writer.push(&entry(&path, kind, *mode)).unwrap();
    }
    let len = content.len() as u64;
    (
        Arc::new(FileTable::parse(writer.finish(), len).unwrap()),
        content,
    )
}

fn open(into: &Path, table: &Arc<FileTable>, options: LayoutOptions) -> Layout {
    let kind = ObjectKind::Folder;
    Layout::open(into, "set", kind, table.clone(), options, &|_| false).unwrap()
}

/// Writes all content in pieces of `step` bytes, and finishes.
fn put(layout: &mut Layout, content: &[u8], step: usize) {
    for (at, bytes) in (0..).step_by(step).zip(content.chunks(step)) {
        layout.write(at..at + bytes.len() as u64, bytes).unwrap();
    }
    let mut back = vec![9; content.len()];
    layout.read(0..content.len() as u64, &mut back).unwrap();
    assert!(back == content);
    layout.finish().unwrap();
    layout.finish().unwrap();
    layout.read(0..content.len() as u64, &mut back).unwrap();
    assert!(back == content);
}

/// Whether a folder is what the tree says, and nothing else.
fn check(folder: &Path, tree: &Tree) {
    let mut seen = 0;
    for (path, (what, mode)) in tree {
        let path = folder.join(OsStr::from_bytes(&path.join(&b'/')));
        let meta = fs::symlink_metadata(&path).unwrap();
        match what {
            What::File(bytes) => assert_eq!(&fs::read(&path).unwrap(), bytes),
            What::Sparse(length, holes) => {
                let bytes = fs::read(&path).unwrap();
                let is_right =
                    |(at, &b): (u64, &u8)| (b == 0) == holes.iter().any(|h| h.contains(&at));
                assert!(bytes.len() as u64 == *length && (0..).zip(&bytes).all(is_right));
                let zeros: u64 = holes.iter().map(|h| h.end - h.start).sum();
                assert!(
                    meta.blocks() * 512 <= length - zeros + 65_536,
                    "{}",
                    meta.blocks()
                );
            }
            What::Folder => assert!(meta.is_dir()),
            What::Link(target) => {
                assert_eq!(
                    fs::read_link(&path).unwrap().as_os_str().as_bytes(),
                    *target
                );
            }
        }
        if !meta.is_symlink() {
            assert_eq!(
                meta.permissions().mode() & 0o777,
                *mode,
                "{}",
                path.display()
            );
        }
        assert_eq!(
            meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            TIME,
            "{}",
            path.display()
        );
        seen += 1;
    }
    assert_eq!(count(folder), seen);
}

fn count(folder: &Path) -> usize {
    // Closed before what is in it is opened: a deep tree is not to take a descriptor for each
    // folder.
    let inner = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let inner: Vec<_> = inner
        .map(|entry| (entry.path(), entry.file_type().unwrap().is_dir()))
        .collect();
    let of = |(path, is_dir): &(PathBuf, bool)| 1 + if *is_dir { count(path) } else { 0 };
    inner.iter().map(of).sum()
}

fn file(n: u8) -> What {
    What::File((0..200u8).map(|b| b ^ n).collect())
}

fn some() -> Tree {
    tree(&[
        ("a", What::Folder, 0o755),
        ("a/1", file(1), 0o644),
        ("a/2", file(2), 0o600),
        ("a/deep", What::Folder, 0o555),
        ("a/deep/3", file(3), 0o444),
        ("empty", What::Folder, 0o700),
        ("link", What::Link(b"a/../odd"), 0o777),
        ("nothing", What::File(Vec::new()), 0o640),
        ("odd\n\u{fc}", file(4), 0o755),
    ])
}

/// A folder that is removed with all in it, also what its owner may not write.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let opened = open_base(self.path());
        let _ = opened.and_then(|folder| {
            let all = sys::list(&folder)?;
            all.iter()
                .try_for_each(|(name, _)| clear::remove_all(&folder, name))
        });
    }
}

/// A folder in memory where there is one: disks that others use too take long to sync.
fn folder() -> Scratch {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    Scratch(made.unwrap())
}

/// The paths that were told of.
fn told(layout: &Layout) -> Vec<&[u8]> {
    layout.remarks().named.iter().map(|r| &*r.path).collect()
}

/// Writes all content at once, and finishes.
fn put_all(layout: &mut Layout, content: &[u8]) -> Result<(), SinkError> {
    layout.write(0..content.len() as u64, content)?;
    layout.finish()
}
