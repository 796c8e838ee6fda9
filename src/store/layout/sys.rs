//! The steps of a layout on the file system, each of one name in an opened folder: the seam where
//! tests break it. No step follows a link.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A pipe under a file's name must not make us wait for its other end.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    Read,
    Write,
    /// For writing, made with these permission bits if it is not there.
    Make(u32),
}

#[cfg(not(test))]
fn step() -> Result<(), Errno> {
    Ok(())
}

#[cfg(test)]
use seam::step;

fn name_of(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

pub(super) fn open_folder(at: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    step()?;
    rustix::fs::openat(at, name_of(name), FOLDER, Mode::empty())
}

/// For its owner only.
pub(super) fn make_folder(at: impl AsFd, name: &[u8], mode: u32) -> Result<(), Errno> {
    step()?;
    rustix::fs::mkdirat(at, name_of(name), mode_of(mode))
}

pub(super) fn open_file(at: impl AsFd, name: &[u8], how: How) -> Result<File, Errno> {
    step()?;
    let (flags, mode) = match how {
        How::Read => (OFlags::RDONLY, 0),
        How::Write => (OFlags::RDWR, 0),
        How::Make(mode) => (OFlags::RDWR | OFlags::CREATE, mode),
    };
    let mode = mode_of(mode);
    rustix::fs::openat(at, name_of(name), FILE | flags, mode).map(File::from)
}

/// What has a name, if anything has.
pub(super) fn look(at: impl AsFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    step()?;
    match rustix::fs::statat(at, name_of(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Permission bits, set-id bits and the sticky bit.
#[allow(
    clippy::unnecessary_cast,
    reason = "the field's type differs between systems"
)]
pub(super) fn bits(stat: &Stat) -> u32 {
    stat.st_mode as u32 & 0o7777
}

#[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
fn mode_of(bits: u32) -> Mode {
    Mode::from_raw_mode(bits as rustix::fs::RawMode)
}

/// What tells files apart: the file system, and the number on it.
#[allow(
    clippy::unnecessary_cast,
    reason = "the fields' types differ between systems"
)]
pub(super) fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

pub(super) fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn target(at: impl AsFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    step()?;
    let target = rustix::fs::readlinkat(at, name_of(name), Vec::new())?;
    Ok(target.into_bytes())
}

/// Names in a folder, sorted, with what each is.
pub(super) fn list(folder: impl AsFd) -> Result<Vec<(Vec<u8>, FileType)>, Errno> {
    step()?;
    let mut all = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        let name = name.to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let Some(stat) = look(&folder, name)? else {
                continue;
            };
            kind = kind_of(&stat);
        }
        all.push((name.to_vec(), kind));
    }
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

pub(super) fn unlink(at: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    step()?;
    rustix::fs::unlinkat(at, name_of(name), AtFlags::empty())
}

pub(super) fn remove_folder(at: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    step()?;
    rustix::fs::unlinkat(at, name_of(name), AtFlags::REMOVEDIR)
}

/// In place of what has the name.
pub(super) fn rename(from: impl AsFd, name: &[u8], to: impl AsFd, new: &[u8]) -> Result<(), Errno> {
    step()?;
    rustix::fs::renameat(from, name_of(name), to, name_of(new))
}

/// Unless something has the new name; where the system has no such thing, as long as the caller has
/// looked.
pub(super) fn rename_new(
    from: impl AsFd,
    name: &[u8],
    to: impl AsFd,
    new: &[u8],
) -> Result<(), Errno> {
    step()?;
    let (name, new) = (name_of(name), name_of(new));
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::RenameFlags;
        match rustix::fs::renameat_with(&from, name, &to, new, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            result => return result,
        }
    }
    rustix::fs::renameat(&from, name, &to, new)
}

pub(super) fn make_link(at: impl AsFd, name: &[u8], target: &[u8]) -> Result<(), Errno> {
    step()?;
    rustix::fs::symlinkat(name_of(target), at, name_of(name))
}

pub(super) fn write(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    if let Err(e) = step() {
        // What a killed process leaves.
        let _ = file.write_all_at(&bytes[..bytes.len() / 2], at);
        return Err(e.into());
    }
    file.write_all_at(bytes, at)
}

pub(super) fn set_len(file: &File, length: u64) -> io::Result<()> {
    step()?;
    file.set_len(length)
}

pub(crate) fn set_mode(fd: impl AsFd, mode: u32) -> Result<(), Errno> {
    step()?;
    rustix::fs::fchmod(fd, mode_of(mode))
}

pub(super) fn set_times(fd: impl AsFd, times: &Timestamps) -> Result<(), Errno> {
    step()?;
    rustix::fs::futimens(fd, times)
}

pub(super) fn set_link_times(at: impl AsFd, name: &[u8], times: &Timestamps) -> Result<(), Errno> {
    step()?;
    rustix::fs::utimensat(at, name_of(name), times, AtFlags::SYMLINK_NOFOLLOW)
}

pub(super) fn set_owner(fd: impl AsFd, user: Uid, group: Gid) -> Result<(), Errno> {
    step()?;
    rustix::fs::fchown(fd, Some(user), Some(group))
}

pub(super) fn set_link_owner(
    at: impl AsFd,
    name: &[u8],
    user: Uid,
    group: Gid,
) -> Result<(), Errno> {
    step()?;
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(at, name_of(name), Some(user), Some(group), flags)
}

pub(super) fn set_attribute(fd: impl AsFd, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    step()?;
    rustix::fs::fsetxattr(fd, name_of(name), value, XattrFlags::empty())
}

/// Makes all of a file system last that was written to it.
pub(super) fn sync(folder: impl AsFd) -> Result<(), Errno> {
    step()?;
    #[cfg(target_os = "linux")]
    return rustix::fs::syncfs(&folder);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        rustix::fs::sync();
        Ok(())
    }
}

/// Permission bits that the user's umask leaves, where the system tells without being written to.
pub(crate) fn allowed() -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let umask = status.lines().find_map(|l| l.strip_prefix("Umask:"))?;
        let umask = u32::from_str_radix(umask.trim(), 8).ok()?;
        Some(0o777 & !umask)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Where tests count steps, and let one and all after it fail, as if the process had been killed.
#[cfg(test)]
pub(super) mod seam {
    use super::Errno;
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    }

    /// Lets `steps` of this thread pass; all after them fail.
    pub(crate) fn fail_after(steps: u64) {
        LEFT.set(steps);
    }

    /// Steps that may still pass.
    pub(crate) fn left() -> u64 {
        LEFT.get()
    }

    pub(super) fn step() -> Result<(), Errno> {
        match LEFT.get() {
            0 => Err(Errno::IO),
            left => {
                LEFT.set(left - 1);
                Ok(())
            }
        }
    }
}
