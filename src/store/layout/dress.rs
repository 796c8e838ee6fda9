//! What files and folders are given beside their bytes: mode, time, owner, attributes.
//!
//! A file system that can't keep one of them does not keep an object from being complete; what was
//! asked for and is not permitted is told.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Timespec, Timestamps, UTIME_OMIT, Uid, fstat};

use super::sys;
use crate::object::table::Entry;

/// Modes, times and attributes that are applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dress {
    /// Permission bits that the user's umask leaves.
    pub(super) allowed: u32,
    pub(super) owner: bool,
    pub(super) xattrs: bool,
}

/// A table's time for the system.
fn times(mtime: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT as _,
        },
        last_modification: Timespec {
            tv_sec: mtime.div_euclid(1_000_000_000),
            tv_nsec: mtime.rem_euclid(1_000_000_000),
        },
    }
}

impl Dress {
    /// The permission bits of an entry here: less what the umask takes, unless owners are applied.
    pub(super) fn mode(&self, entry: &Entry<'_>) -> u32 {
        let own = if self.owner { 0o777 } else { self.allowed };
        entry.mode & own
    }

    /// Dresses a file whose mode is `now`. Its owner can always read it.
    pub(super) fn file(&self, fd: impl AsFd, entry: &Entry<'_>, now: u32) -> Result<(), String> {
        let (set_id, refused) = self.extras(&fd, entry);
        let mode = self.mode(entry) | set_id | 0o400;
        // An owner that was set has cleared bits.
        if mode != now & 0o7777 || self.owner {
            let _ = sys::set_mode(&fd, mode);
        }
        let _ = sys::set_times(&fd, &times(entry.mtime));
        refused
    }

    /// Dresses a file that has no name yet: all but the mode that it is to have, which this gives,
    /// and why something was not possible.
    pub(super) fn unnamed(&self, fd: impl AsFd, entry: &Entry<'_>) -> (u32, Result<(), String>) {
        let (set_id, refused) = self.extras(&fd, entry);
        let mode = self.mode(entry) | set_id | 0o400;
        let _ = sys::set_mode(&fd, mode | 0o200);
        let _ = sys::set_times(&fd, &times(entry.mtime));
        (mode, refused)
    }

    /// Dresses a folder. Its owner can always enter it, and what it hands down its group to stays
    /// so.
    pub(super) fn folder(&self, fd: impl AsFd, entry: &Entry<'_>) -> Result<(), String> {
        let now = fstat(&fd).map_or(0, |stat| sys::bits(&stat));
        let (set_id, refused) = self.extras(&fd, entry);
        let inherited = if self.owner { 0 } else { now & 0o2000 };
        let _ = sys::set_mode(&fd, self.mode(entry) | set_id | 0o500 | inherited);
        let _ = sys::set_times(&fd, &times(entry.mtime));
        refused
    }

    /// Owner and attributes, where they were asked for: the set-id bits, which are an entry's only
    /// together with its owner; and why something was not possible.
    fn extras(&self, fd: impl AsFd, entry: &Entry<'_>) -> (u32, Result<(), String>) {
        let mut set_id = 0;
        let mut refused = Ok(());
        if let (true, Some((user, group))) = (self.owner, entry.owner) {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            match sys::set_owner(&fd, user, group) {
                Ok(()) => set_id = entry.mode & 0o7000,
                Err(e) => refused = Err(format!("its owner can't be set: {e}")),
            }
        }
        for (name, value) in entry.xattrs.iter().filter(|_| self.xattrs) {
            if let Err(e) = sys::set_attribute(&fd, name, value) {
                let name = OsStr::from_bytes(name).display();
                refused = Err(format!("its attribute {name} can't be set: {e}"));
            }
        }
        (set_id, refused)
    }

    /// Dresses a link.
    pub(super) fn link(
        &self,
        folder: impl AsFd,
        name: &[u8],
        entry: &Entry<'_>,
    ) -> Result<(), String> {
        let mut refused = Ok(());
        if let (true, Some((user, group))) = (self.owner, entry.owner) {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            if let Err(e) = sys::set_link_owner(&folder, name, user, group) {
                refused = Err(format!("its owner can't be set: {e}"));
            }
        }
        let _ = sys::set_link_times(&folder, name, &times(entry.mtime));
        refused
    }
}
