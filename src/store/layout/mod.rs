//! Where a tree that comes is put, and how it becomes a tree under its name.
//!
//! Takes verified bytes of the content, and puts them into files of a staging folder beside the
//! place: the folder `NAME.part`, or `.NAME.part` in the receiver's folder for what comes right
//! into that. In the end files get their names: all by one rename of the top where NAME is not
//! there yet, else one by one.
//!
//! Decisions:
//!
//! * Nothing that exists is replaced unless that was asked for. Of a file that is there with the
//!   right bytes nothing is written; it is given time and mode. What is of another kind stays in
//!   any case.
//! * What can't be stored here (a name that the file system refuses) is left out and told, with all
//!   that is in it; the rest arrives.
//! * Links are made as they are in the table, after all files are written; nothing is written
//!   through a link, whoever made it. Those that lead out of the object are made only if that was
//!   asked for.
//! * Bytes are safe before anything gets its name: one sync of the file system, not of each file.
//!   Folders get their modes and times last: until then they are their owner's to write, also for a
//!   later run.
//! * A file that is to get its name but has lost its bytes is an error: never does a hole stand in
//!   for them.
//! * Of modes, what the user's umask takes from new files is taken here too.

mod clear;
mod content;
mod dress;
mod files;
mod leftovers;
mod names;
mod place;
mod room;
mod settle;
mod single;
mod sys;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::object::ObjectKind;
use crate::object::table::FileTable;
use crate::store::bitmap::Bitmap;
use crate::store::{Remarks, SinkError, TreeOptions as LayoutOptions};
use content::Open;
use dress::Dress;
use files::Files;
pub(crate) use leftovers::Leftovers;
use names::LeftOut;
pub(crate) use single::{Named, Single, dress};
pub(crate) use sys::{allowed, set_mode};

/// How far an object is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    /// Files are staged.
    Staged,
    /// The staging folder has got the object's name.
    Named,
    /// All is in its place; the staging folder may still be there.
    Placed,
    /// Nothing is left to do.
    Finished,
}

/// A tree that is being put on disk. Belongs to one thread at a time, but for what is read.
#[derive(Debug)]
pub(crate) struct Layout {
    table: Arc<FileTable>,
    kind: ObjectKind,
    options: LayoutOptions,
    dress: Dress,
    /// The folder that the object comes into.
    base: OwnedFd,
    base_path: PathBuf,
    /// The object's name in it, and that of the staging folder.
    name: Vec<u8>,
    staging: Vec<u8>,
    /// An earlier run had left the staging folder.
    found: bool,
    /// Names that differ by case are one here.
    folds: bool,
    open: Mutex<Open>,
    /// Files that are there already, with any time and mode.
    there: Bitmap,
    /// Entries that nobody asked for.
    unwanted: Bitmap,
    /// Files that have their bytes, mode and time.
    dressed: Bitmap,
    left_out: LeftOut,
    remarks: Remarks,
    stage: Stage,
}

/// Opens the folder that the user named: links in it are meant.
fn open_base(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The name of the staging folder.
fn staging_name(name: &str, kind: ObjectKind) -> String {
    match kind {
        ObjectKind::Inside => format!(".{name}.part"),
        _ => format!("{name}.part"),
    }
}

/// The mode that a new folder gets here from 0o777, and whether names that differ by case are one.
fn probe(at: impl AsFd) -> io::Result<(u32, bool)> {
    let [name, other] = [&b"loopcast-probe.part"[..], b"LOOPCAST-PROBE.part"];
    clear::remove_all(&at, name)?;
    sys::make_folder(&at, name, 0o777)?;
    let mode = sys::look(&at, name)?.map_or(0o700, |stat| sys::bits(&stat) & 0o777);
    let folds = sys::look(&at, other)?.is_some();
    sys::remove_folder(&at, name)?;
    Ok((mode, folds))
}

/// What stands in the way of a path in a folder that no link may lead out of, or what else went
/// wrong.
fn fault(root: &Path, path: &[u8], error: io::Error) -> SinkError {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    let mut at = root.to_path_buf();
    let names = std::iter::once(&b""[..]).chain(path.split(|&b| b == b'/'));
    for name in names.filter(|_| matches!(code, Some(Errno::LOOP | Errno::NOTDIR))) {
        if !name.is_empty() {
            at.push(OsStr::from_bytes(name));
        }
        match at.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => return SinkError::Link { path: at },
            Ok(meta) if !meta.is_dir() => return SinkError::Occupied { path: at },
            _ => {}
        }
    }
    SinkError::write(&root.join(OsStr::from_bytes(path)), error)
}

impl Layout {
    /// A layout of all that is in the table.
    #[cfg(test)]
    pub(crate) fn open(
        into: &Path,
        name: &str,
        kind: ObjectKind,
        table: Arc<FileTable>,
        options: LayoutOptions,
        is_there: &dyn Fn(usize) -> bool,
    ) -> Result<Layout, SinkError> {
        Layout::open_part(into, name, kind, table, options, is_there, &|_| true)
    }

    /// Makes the staging folder of an object that comes into `into`, or finds it again. `is_there`
    /// says of which files the right bytes are under their name already, `is_wanted` which entries
    /// are to come.
    pub(crate) fn open_part(
        into: &Path,
        name: &str,
        kind: ObjectKind,
        table: Arc<FileTable>,
        options: LayoutOptions,
        is_there: &dyn Fn(usize) -> bool,
        is_wanted: &dyn Fn(usize) -> bool,
    ) -> Result<Layout, SinkError> {
        let base = open_base(into).map_err(|source| SinkError::Folder {
            path: into.to_path_buf(),
            source,
        })?;
        let staging = staging_name(name, kind);
        let path = into.join(&staging);
        let staging = staging.into_bytes();
        let found = match sys::make_folder(&base, &staging, 0o700) {
            Ok(()) => false,
            Err(Errno::EXIST) => true,
            Err(e) => return Err(fault(&path, &[], e.into())),
        };
        let staged = files::enter(&base, &staging, false);
        let staged = staged.map_err(|e| fault(&path, &[], e.into()))?;
        let (allowed, folds) = probe(&staged).map_err(|e| fault(&path, &[], e))?;
        let mut there = Bitmap::new(u32::try_from(table.len()).unwrap_or(u32::MAX));
        for index in (0..table.len()).filter(|&i| table.length(i) > 0 && is_there(i)) {
            there.set(index as u32, true);
        }
        let mut unwanted = Bitmap::new(there.len());
        let mut need_no_room = there.clone();
        for index in (0..table.len()).filter(|&i| !is_wanted(i)) {
            unwanted.set(index as u32, true);
            need_no_room.set(index as u32, true);
        }
        let mut files = Files::new(staged);
        let left = found.then_some(&mut files);
        room::check(&path, &base, left, &table, &need_no_room)?;
        Ok(Layout {
            dressed: Bitmap::new(there.len()),
            left_out: LeftOut::by_name(&table, folds, options.outside_links),
            remarks: Remarks::default(),
            stage: Stage::Staged,
            open: Mutex::new(Open::new(files)),
            base_path: into.to_path_buf(),
            name: name.as_bytes().to_vec(),
            dress: Dress {
                allowed,
                owner: options.owner,
                xattrs: options.xattrs,
            },
            base,
            staging,
            found,
            folds,
            there,
            unwanted,
            options,
            kind,
            table,
        })
    }

    fn staging_path(&self) -> PathBuf {
        self.base_path.join(OsStr::from_bytes(&self.staging))
    }

    /// Where the object's own folder is.
    fn place_path(&self) -> PathBuf {
        match self.kind {
            ObjectKind::Inside => self.base_path.clone(),
            _ => self.base_path.join(OsStr::from_bytes(&self.name)),
        }
    }

    /// Why an entry can't be staged.
    fn staging_fault(&self, index: usize, error: io::Error) -> SinkError {
        fault(&self.staging_path(), self.table.path(index), error)
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_left_out(&self, index: usize) -> bool {
        self.unwanted.contains(index as u32) || self.left_out.why(&self.table, index).is_some()
    }

    fn leave_out(&mut self, index: usize, why: impl Into<String>) {
        self.left_out.add(&self.table, index, why);
    }

    /// Remarks, once it is finished.
    pub(crate) fn remarks(&self) -> &Remarks {
        &self.remarks
    }

    /// The folder that the object is, or comes into; with `make` it is made if it is not there.
    fn place(&self, make: bool) -> io::Result<OwnedFd> {
        match self.kind {
            ObjectKind::Inside => Ok(self.base.try_clone()?),
            _ => Ok(files::enter(&self.base, &self.name, make)?),
        }
    }

    /// Whether the object's name is taken by a folder, which nothing but a folder may be.
    fn exists(&self) -> Result<bool, SinkError> {
        if self.kind == ObjectKind::Inside {
            return Ok(true);
        }
        let path = self.place_path();
        match sys::look(&self.base, &self.name).map(|stat| stat.map(|s| sys::kind_of(&s))) {
            Ok(None) => Ok(false),
            Ok(Some(FileType::Directory)) => Ok(true),
            Ok(Some(FileType::Symlink)) => Err(SinkError::Link { path }),
            Ok(Some(_)) => Err(SinkError::Occupied { path }),
            Err(e) => Err(SinkError::write(&path, e.into())),
        }
    }

    /// Gives up. With `keep` what was written stays for a later run.
    pub(crate) fn abandon(&mut self, keep: bool) -> Result<(), SinkError> {
        self.opened().close_all();
        if keep || self.stage != Stage::Staged {
            return Ok(());
        }
        self.clear_staging()
    }

    fn clear_staging(&self) -> Result<(), SinkError> {
        let removed = clear::remove_all(&self.base, &self.staging);
        removed.map_err(|e| SinkError::write(&self.staging_path(), e))
    }
}
