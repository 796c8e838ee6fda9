//! What a file looks like from outside: whether it is still the one that was hashed.
//!
//! Takes a path and what the system says of it, gives plain values to compare. It opens nothing.

use std::fs::Metadata;
use std::path::Path;

use crate::ids::Hash;

/// Signs by which a file is still the one that was hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Looks {
    /// Hash of its absolute path.
    pub(crate) path: Hash,
    pub(crate) size: u64,
    /// In ns since 1970.
    pub(crate) mtime: i64,
    /// Change of the inode, in ns since 1970: it moves also where someone sets mtime back.
    pub(crate) ctime: i64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) mode: Option<u32>,
}

/// What stays the same of an open file for as long as nobody writes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// In ns since 1970.
    pub(crate) mtime: i64,
    pub(crate) ctime: i64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Looks {
    pub(crate) fn of(path: &Path, meta: &Metadata) -> Looks {
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Looks {
            mode: mode_of(meta).map(|mode| mode & 0o777),
            ..Stamp::of(meta).at(&full)
        }
    }
}

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Stamp {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
            Stamp {
                size: meta.len(),
                mtime: ns(meta.mtime(), meta.mtime_nsec()),
                ctime: ns(meta.ctime(), meta.ctime_nsec()),
                device: meta.dev(),
                inode: meta.ino(),
            }
        }
        #[cfg(not(unix))]
        {
            let since =
                |t: std::time::SystemTime| t.duration_since(std::time::SystemTime::UNIX_EPOCH).ok();
            let mtime = meta
                .modified()
                .ok()
                .and_then(since)
                .map_or(0, |d| d.as_nanos() as i64);
            Stamp {
                size: meta.len(),
                mtime,
                ctime: 0,
                device: 0,
                inode: 0,
            }
        }
    }

    /// Looks of a file with this stamp, without its mode, at a path that is absolute as
    /// [`std::path::absolute`] makes it.
    pub(crate) fn at(&self, full: &Path) -> Looks {
        Looks {
            path: Hash(*blake3::hash(full.as_os_str().as_encoded_bytes()).as_bytes()),
            size: self.size,
            mtime: self.mtime,
            ctime: self.ctime,
            device: self.device,
            inode: self.inode,
            mode: None,
        }
    }
}

/// Permission bits, those for set-id and sticky among them; `None` where the system has none.
pub(crate) fn mode_of(meta: &Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        Some(std::os::unix::fs::MetadataExt::mode(meta) & 0o7777)
    }
    #[cfg(not(unix))]
    {
        let _ = meta;
        None
    }
}
