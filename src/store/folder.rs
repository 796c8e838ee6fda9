//! The folder that a received file lives in: opened without following links, then worked by name.
//!
//! On Unix every step goes through the opened folder, so nothing that is swapped for a link
//! meanwhile leads elsewhere. Elsewhere paths are checked first and then used.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::SinkError;

/// What stands under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    File,
    Link,
    Other,
}

/// An opened folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    #[cfg(unix)]
    handle: std::os::fd::OwnedFd,
}

impl Folder {
    /// Opens `base` (made if it is not there, links followed: it is what the user said) and in it
    /// `folders`, each made if it is not there and refused if it is a link.
    pub(crate) fn open(base: &Path, folders: &[&str]) -> Result<Folder, SinkError> {
        let fault = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SinkError::Folder { path, source }
        };
        std::fs::create_dir_all(base).map_err(fault(base))?;
        let mut at = Folder::open_base(base).map_err(fault(base))?;
        for name in folders {
            let path = at.path_of(name);
            at.make(name).map_err(fault(&path))?;
            if at.kind(name).map_err(fault(&path))? == Some(Kind::Link) {
                return Err(SinkError::Link { path });
            }
            at = at.enter(name).map_err(fault(&path))?;
        }
        Ok(at)
    }

    /// Where a name in it is, for people.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a plain file for reading and writing, makes it if it is not there, and locks it.
    pub(crate) fn open_locked(&self, name: &str) -> Result<File, SinkError> {
        let path = self.path_of(name);
        loop {
            let file = self.open_file(name)?;
            if !lock(&file) {
                return Err(SinkError::Busy { path });
            }
            // The one who held the lock may have given the file its final name, or removed it, before
            // we got the lock: then ours is not the file of that name.
            if self
                .is_still(name, &file)
                .map_err(|e| SinkError::write(&path, e))?
            {
                return Ok(file);
            }
        }
    }

    /// Opens a plain file for reading and writing; makes it if it is not there.
    pub(crate) fn open_file(&self, name: &str) -> Result<File, SinkError> {
        let path = self.path_of(name);
        match self.kind(name) {
            Ok(Some(Kind::Link)) => return Err(SinkError::Link { path }),
            Ok(Some(Kind::Other)) => return Err(SinkError::Occupied { path }),
            Ok(_) => {}
            Err(e) => return Err(SinkError::write(&path, e)),
        }
        let file = self
            .open_plain(name)
            .map_err(|e| SinkError::write(&path, e))?;
        match file.metadata() {
            Ok(m) if m.is_file() => Ok(file),
            Ok(_) => Err(SinkError::Occupied { path }),
            Err(e) => Err(SinkError::write(&path, e)),
        }
    }

    /// Makes a folder in it, for its owner only, that must not be there yet.
    pub(crate) fn make_own(&self, name: &str) -> io::Result<Folder> {
        self.make_private(name)?;
        self.enter(name)
    }

    /// Removes a file; it need not be there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match self.unlink(name) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(unix)]
mod imp {
    use super::*;
    use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
    use std::os::unix::fs::MetadataExt;

    const FOLDER: OFlags = OFlags::RDONLY
        .union(OFlags::DIRECTORY)
        .union(OFlags::CLOEXEC);

    impl Folder {
        pub(super) fn open_base(base: &Path) -> io::Result<Folder> {
            let handle = rustix::fs::open(base, FOLDER, Mode::empty())?;
            Ok(Folder {
                path: base.to_path_buf(),
                handle,
            })
        }

        pub(super) fn make(&self, name: &str) -> io::Result<()> {
            match rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(0o777)) {
                Err(rustix::io::Errno::EXIST) => Ok(()),
                result => Ok(result?),
            }
        }

        pub(super) fn enter(&self, name: &str) -> io::Result<Folder> {
            let handle =
                rustix::fs::openat(&self.handle, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            Ok(Folder {
                path: self.path.join(name),
                handle,
            })
        }

        pub(crate) fn kind(&self, name: &str) -> io::Result<Option<Kind>> {
            match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => Kind::File,
                    FileType::Symlink => Kind::Link,
                    _ => Kind::Other,
                })),
                Err(rustix::io::Errno::NOENT) => Ok(None),
                Err(e) => Err(e.into()),
            }
        }

        pub(super) fn open_plain(&self, name: &str) -> io::Result<File> {
            // NONBLOCK: a pipe put there meanwhile must not make us wait for its other end.
            let flags = OFlags::RDWR
                | OFlags::CREATE
                | OFlags::NOFOLLOW
                | OFlags::CLOEXEC
                | OFlags::NONBLOCK;
            let handle = rustix::fs::openat(&self.handle, name, flags, Mode::from_raw_mode(0o666))?;
            Ok(File::from(handle))
        }

        // The types of these fields differ between systems.
        #[allow(clippy::unnecessary_cast)]
        pub(super) fn is_still(&self, name: &str, file: &File) -> io::Result<bool> {
            let ours = file.metadata()?;
            match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(there) => {
                    Ok(there.st_ino as u64 == ours.ino() && there.st_dev as u64 == ours.dev())
                }
                Err(rustix::io::Errno::NOENT) => Ok(false),
                Err(e) => Err(e.into()),
            }
        }

        pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            Ok(rustix::fs::renameat(&self.handle, from, &self.handle, to)?)
        }

        /// Takes a file out of another folder, in place of what has the name here.
        pub(crate) fn take(&self, from: &Folder, name: &str, to: &str) -> io::Result<()> {
            Ok(rustix::fs::renameat(&from.handle, name, &self.handle, to)?)
        }

        pub(super) fn make_private(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::mkdirat(&self.handle, name, Mode::RWXU)?)
        }

        pub(super) fn unlink(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())?)
        }

        /// Makes a rename in it last.
        pub(crate) fn sync(&self) -> io::Result<()> {
            match rustix::fs::fsync(&self.handle) {
                // Some network file systems know no such thing.
                Err(rustix::io::Errno::INVAL) => Ok(()),
                result => Ok(result?),
            }
        }

        /// Bytes that this user may still write; `None` if the file system doesn't say.
        pub(crate) fn free(&self) -> Option<u64> {
            let stat = rustix::fs::fstatvfs(&self.handle).ok()?;
            // File systems that don't know say 0 blocks in all.
            (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
        }
    }

    /// Whether nobody else has it. Where there are no locks, there is nobody to fear either.
    pub(super) fn lock(file: &File) -> bool {
        !matches!(
            rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive),
            Err(rustix::io::Errno::WOULDBLOCK)
        )
    }

    /// Bytes of a file that are on disk, holes not counted.
    pub(crate) fn allocated(file: &File) -> u64 {
        file.metadata().map_or(0, |m| m.blocks() * 512)
    }
}

#[cfg(not(unix))]
mod imp {
    use super::*;

    impl Folder {
        pub(super) fn open_base(base: &Path) -> io::Result<Folder> {
            Ok(Folder {
                path: base.to_path_buf(),
            })
        }

        pub(super) fn make(&self, name: &str) -> io::Result<()> {
            match std::fs::create_dir(self.path.join(name)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                result => result,
            }
        }

        pub(super) fn enter(&self, name: &str) -> io::Result<Folder> {
            let path = self.path.join(name);
            std::fs::read_dir(&path)?;
            Ok(Folder { path })
        }

        pub(crate) fn kind(&self, name: &str) -> io::Result<Option<Kind>> {
            match std::fs::symlink_metadata(self.path.join(name)) {
                Ok(m) if m.is_file() => Ok(Some(Kind::File)),
                Ok(m) if m.is_symlink() => Ok(Some(Kind::Link)),
                Ok(_) => Ok(Some(Kind::Other)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(e),
            }
        }

        pub(super) fn open_plain(&self, name: &str) -> io::Result<File> {
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(self.path.join(name))
        }

        pub(super) fn is_still(&self, _: &str, _: &File) -> io::Result<bool> {
            Ok(true)
        }

        pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            std::fs::rename(self.path.join(from), self.path.join(to))
        }

        /// Takes a file out of another folder, in place of what has the name here.
        pub(crate) fn take(&self, from: &Folder, name: &str, to: &str) -> io::Result<()> {
            std::fs::rename(from.path.join(name), self.path.join(to))
        }

        pub(super) fn make_private(&self, name: &str) -> io::Result<()> {
            std::fs::create_dir(self.path.join(name))
        }

        pub(super) fn unlink(&self, name: &str) -> io::Result<()> {
            std::fs::remove_file(self.path.join(name))
        }

        /// Makes a rename in it last.
        pub(crate) fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        /// Bytes that this user may still write; `None` if the file system doesn't say.
        pub(crate) fn free(&self) -> Option<u64> {
            None
        }
    }

    pub(super) fn lock(_: &File) -> bool {
        true
    }

    /// Bytes of a file that are on disk, holes not counted.
    pub(crate) fn allocated(_: &File) -> u64 {
        0
    }
}

pub(crate) use imp::allocated;
use imp::lock;

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_made_and_links_are_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let made = Folder::open(&base.path().join("new"), &["a", "b"]).unwrap();
        assert!(base.path().join("new/a/b").is_dir());
        assert_eq!(made.path_of("f"), base.path().join("new/a/b/f"));
        symlink(outside.path(), base.path().join("link")).unwrap();
        assert!(matches!(
            Folder::open(base.path(), &["link", "x"]),
            Err(SinkError::Link { .. })
        ));
        assert!(!outside.path().join("x").exists());
        std::fs::write(base.path().join("file"), "").unwrap();
        assert!(matches!(
            Folder::open(base.path(), &["file"]),
            Err(SinkError::Folder { .. })
        ));
        // The folder that the user names may be a link.
        assert!(Folder::open(&base.path().join("link"), &[]).is_ok());
    }

    #[test]
    fn only_plain_files_are_opened() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path(), &[]).unwrap();
        symlink("/etc/passwd", base.path().join("l")).unwrap();
        std::fs::create_dir(base.path().join("d")).unwrap();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            base.path().join("p"),
            rustix::fs::Mode::from_raw_mode(0o600),
        )
        .unwrap();
        assert!(matches!(folder.open_file("l"), Err(SinkError::Link { .. })));
        assert!(matches!(
            folder.open_file("d"),
            Err(SinkError::Occupied { .. })
        ));
        assert!(matches!(
            folder.open_file("p"),
            Err(SinkError::Occupied { .. })
        ));
        assert!(folder.open_file("f").is_ok());
    }

    #[test]
    fn a_lock_is_one_receivers() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path(), &[]).unwrap();
        let first = folder.open_locked("f.part").unwrap();
        assert!(matches!(
            folder.open_locked("f.part"),
            Err(SinkError::Busy { .. })
        ));
        folder.rename("f.part", "f").unwrap();
        let second = folder.open_locked("f.part").unwrap();
        drop((first, second));
        assert!(folder.open_locked("f.part").is_ok());
    }
}
