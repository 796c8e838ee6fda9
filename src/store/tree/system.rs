//! What the sender's side of a tree asks the system: the one place with system calls.
//!
//! Everything but the PATH that the user named is opened by one component within an opened folder,
//! and links are not followed: nobody can lead us out of the tree by swapping a folder for a link.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

/// Holes shorter than this are read as the zeros that they are: a file of many small ones would
/// have a table longer than its bytes.
const MIN_HOLE: u64 = 64 << 10;
/// Most bytes of a list of extended attributes, and of the value of one: Linux has no longer ones.
const MAX_XATTR: usize = 64 << 10;
/// Most bytes of all of an entry.
const MAX_XATTRS: usize = crate::object::table::MAX_ATTRIBUTES;

/// What something on disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    /// Anything else, by name.
    Other(&'static str),
}

/// What the system says of a file, folder or link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// Bytes that are on disk.
    pub(super) allocated: u64,
    pub(super) mtime: i64,
    pub(super) ctime: i64,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) mode: u16,
    pub(super) owner: (u32, u32),
}

// The types of these fields differ between systems.
#[allow(clippy::unnecessary_cast)]
impl Status {
    fn of(stat: &Stat) -> Status {
        let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
        Status {
            kind: match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Folder,
                FileType::Symlink => Kind::Link,
                FileType::Fifo => Kind::Other("a pipe"),
                FileType::Socket => Kind::Other("a socket"),
                FileType::CharacterDevice | FileType::BlockDevice => Kind::Other("a device"),
                _ => Kind::Other("of an unknown kind"),
            },
            size: u64::try_from(stat.st_size).unwrap_or(0),
            allocated: (stat.st_blocks as u64).saturating_mul(512),
            mtime: ns(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: ns(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            mode: (stat.st_mode & 0o7777) as u16,
            owner: (stat.st_uid, stat.st_gid),
        }
    }
}

/// What is at a path that the user named, where a link leads to.
pub(super) fn status_of(path: &Path) -> io::Result<Status> {
    Ok(Status::of(&rustix::fs::stat(path)?))
}

/// What is open.
pub(super) fn status(open: &OwnedFd) -> io::Result<Status> {
    Ok(Status::of(&rustix::fs::fstat(open)?))
}

/// What is in a folder under a name; of a link, the link.
pub(super) fn status_at(folder: &OwnedFd, name: &[u8]) -> io::Result<Status> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(Status::of(&stat))
}

/// Opens what is at a path that the user named, where a link leads to.
pub(super) fn open_root(path: &Path, folder: bool) -> io::Result<OwnedFd> {
    let kind = if folder {
        OFlags::DIRECTORY
    } else {
        OFlags::NONBLOCK
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | kind;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens a folder in a folder.
pub(super) fn open_folder(folder: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

/// Opens a file in a folder. What is opened may be anything but a link; it does not wait.
pub(super) fn open_file(folder: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    // NONBLOCK: a pipe put there meanwhile must not make us wait for its other end.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

/// Tells the system that a file will be read from front to end, so that it reads ahead further.
pub(super) fn will_read_in_order(file: &OwnedFd) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        // Advice only: what it says does not matter if it is refused.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = file;
}

/// Tells the system that these bytes will be read soon.
pub(super) fn will_read(file: &OwnedFd, bytes: Range<u64>) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        let len = std::num::NonZeroU64::new(bytes.end.saturating_sub(bytes.start));
        // Without a length it would mean all of the rest.
        if len.is_some() {
            let advice = rustix::fs::Advice::WillNeed;
            let _ = rustix::fs::fadvise(file, bytes.start, len, advice);
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = (file, bytes);
}

/// Reads from a place in a file until `into` is full; an early end is
/// [`io::ErrorKind::UnexpectedEof`].
pub(super) fn read_at(file: &OwnedFd, mut into: &mut [u8], mut at: u64) -> io::Result<()> {
    while !into.is_empty() {
        match rustix::io::pread(file, &mut *into, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                into = into.get_mut(n..).unwrap_or_default();
                at += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Whether a file has a byte to read, whatever its length is said to be.
pub(super) fn has_bytes(file: &OwnedFd) -> io::Result<bool> {
    match read_at(file, &mut [0], 0) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        // A file that makes readers wait for bytes.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(e) => Err(e),
    }
}

/// Tells all names in a folder but `.` and `..`.
pub(super) fn list(folder: &OwnedFd, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name);
        }
    }
    Ok(())
}

/// Where a link in a folder points to.
pub(super) fn read_link(folder: &OwnedFd, name: &[u8]) -> io::Result<Vec<u8>> {
    let target = rustix::fs::readlinkat(folder, name, Vec::new())?;
    Ok(target.into_bytes())
}

/// Finds the long holes of a file; at most `most`, the rest counts as data.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd"
))]
pub(super) fn holes(file: &OwnedFd, length: u64, most: usize) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < length && found.len() < most {
        // A file system that knows no holes, or an error: then all of it is read.
        let Ok(start) = rustix::fs::seek(file, SeekFrom::Hole(at)) else {
            break;
        };
        let end = match rustix::fs::seek(file, SeekFrom::Data(start)) {
            Ok(end) => end.min(length),
            Err(Errno::NXIO) => length,
            Err(_) => break,
        };
        if start < end && end - start >= MIN_HOLE {
            found.push(start..end);
        }
        if end <= at {
            break;
        }
        at = end;
    }
    found
}

/// Elsewhere all of a file is read.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd"
)))]
pub(super) fn holes(_file: &OwnedFd, _length: u64, _most: usize) -> Vec<Range<u64>> {
    Vec::new()
}

/// Extended attributes of something open, sorted by name. What can't be read, or is more than a
/// table takes, is left out.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
pub(super) fn xattrs(open: &OwnedFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = Vec::with_capacity(MAX_XATTR);
    let spare = rustix::buffer::spare_capacity(&mut list);
    if !rustix::fs::flistxattr(open, spare).is_ok_and(|n| n > 0) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut total = 0;
    let mut value = Vec::with_capacity(MAX_XATTR);
    for name in list.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        value.clear();
        let spare = rustix::buffer::spare_capacity(&mut value);
        let read = rustix::fs::fgetxattr(open, name, spare).is_ok();
        if read && total + name.len() + value.len() <= MAX_XATTRS {
            total += name.len() + value.len();
            found.push((name.to_vec(), value.clone()));
        }
    }
    found.sort();
    found
}

/// Elsewhere they are left out.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub(super) fn xattrs(_open: &OwnedFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    Vec::new()
}
