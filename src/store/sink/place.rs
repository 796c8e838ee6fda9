//! Where an object's content is put: the seam, and the one file of an object that is a file.
//!
//! Only bytes of whole blocks come here, each once. Nothing under the object's name is touched
//! before [`finish`](Place::finish).

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::kept::Replaces;
use super::table::met;
use super::{Means, suffixed};
use crate::object::SafeName;
use crate::object::table::FileTable;
use crate::range_set::RangeSet;
use crate::store::disk::Disk;
use crate::store::folder::{Folder, Kind, allocated};
#[cfg(unix)]
use crate::store::layout::{self, Named, Single, dress};
use crate::store::{MovedAside, Remarks, SinkError, TreeOptions};

/// Fate of a file that was to get a name.
#[cfg(not(unix))]
#[allow(dead_code, reason = "files are compared on Unix only")]
enum Named {
    Done,
    Same,
    Taken,
}

/// Where the bytes of an object's content are put.
pub(crate) trait Place: Send + Sync {
    /// Puts bytes of the content where they belong.
    fn write(&mut self, content: Range<u64>, bytes: &[u8]) -> Result<(), SinkError>;

    /// Reads bytes of the content, also after the object is finished.
    fn read(&self, content: Range<u64>, into: &mut [u8]) -> Result<(), SinkError>;

    /// Makes everything last and gives it its name.
    fn finish(&mut self, table: &FileTable) -> Result<(), SinkError>;

    /// Remarks about what is not as the object has it, once it is finished.
    fn remarks(&self) -> Remarks {
        Remarks::default()
    }

    /// Gives up. With `keep` what was written stays for a later run.
    fn abandon(&mut self, keep: bool) -> Result<(), SinkError>;
}

/// The incomplete file of an object that is one file: `NAME.part`.
pub(super) struct OneFile {
    at: At,
    path: PathBuf,
    disk: Box<dyn Disk>,
    file: File,
    holes: RangeSet,
    /// Holes may have bytes: an earlier run's file is the user's as well.
    found: bool,
    options: TreeOptions,
    replaces: Replaces,
    remarks: Remarks,
}

/// Where a file is to be.
pub(super) struct At {
    pub(super) folder: Arc<Folder>,
    /// The receiver's folder, and what the file's name has of folders in it.
    pub(super) into: PathBuf,
    pub(super) name: SafeName,
}

impl At {
    fn part(&self) -> String {
        suffixed(self.name.split().1, "part")
    }
}

impl OneFile {
    /// Opens the incomplete file, or makes it: of full length from the start, as a hole.
    ///
    /// Space is not reserved: where the file system can't do that cheaply it would write the whole
    /// file once more. The check of free space when the object is opened finds most of what a
    /// reservation would.
    pub(super) fn open(
        at: At,
        length: u64,
        holes: &RangeSet,
        means: &Means,
    ) -> Result<OneFile, SinkError> {
        let part = at.part();
        let path = at.folder.path_of(&part);
        let found = at.folder.kind(&part);
        let found = found.map_err(|e| SinkError::write(&path, e))?.is_some();
        let file = at.folder.open_file(&part)?;
        let fault = |e| SinkError::write(&path, e);
        file.set_len(length).map_err(fault)?;
        let handle = file.try_clone().map_err(fault)?;
        Ok(OneFile {
            disk: (means.wrap)(handle),
            options: means.options,
            replaces: means.replaces.clone(),
            remarks: Remarks::default(),
            holes: holes.clone(),
            found,
            at,
            file,
            path,
        })
    }

    /// Gives the file its name, in place of one that may be replaced.
    fn name(&self) -> Result<Named, SinkError> {
        let fault = |e| SinkError::write(&self.path, e);
        let At { folder, into, name } = &self.at;
        let (folders, name) = name.split();
        let part = self.at.part();
        if self.replaces.another(folder, name)?.is_none() {
            // What may be replaced is there, or nothing.
            if folder.kind(name).map_err(fault)?.is_some() {
                folder.rename(&part, name).map_err(fault)?;
                return Ok(Named::Done);
            }
        }
        #[cfg(unix)]
        {
            let single = Single::open(into, &folders).map_err(fault)?;
            single.name(&part, name).map_err(fault)
        }
        #[cfg(not(unix))]
        {
            let _ = (into, folders);
            if folder.kind(name).map_err(fault)?.is_some() {
                return Ok(Named::Taken);
            }
            folder.rename(&part, name).map_err(fault)?;
            Ok(Named::Done)
        }
    }
}

impl Place for OneFile {
    /// Holes, whose bytes are zeros, take no room.
    fn write(&mut self, content: Range<u64>, bytes: &[u8]) -> Result<(), SinkError> {
        let fault = |e| SinkError::write(&self.path, e);
        let of = |range: &Range<u64>| {
            let start = (range.start - content.start) as usize;
            bytes.get(start..start + (range.end - range.start) as usize)
        };
        for range in self.holes.gaps(content.clone()) {
            let bytes = of(&range).ok_or(std::io::ErrorKind::InvalidInput.into());
            let written = bytes.and_then(|bytes| self.disk.write_at(bytes, range.start));
            written.map_err(fault)?;
        }
        for hole in met(&self.holes, content.clone()).filter(|_| self.found) {
            let mut there = vec![0; (hole.end - hole.start) as usize];
            self.disk.read_at(&mut there, hole.start).map_err(fault)?;
            if there.iter().any(|&b| b != 0) {
                there.fill(0);
                self.disk.write_at(&there, hole.start).map_err(fault)?;
            }
        }
        Ok(())
    }

    fn read(&self, content: Range<u64>, into: &mut [u8]) -> Result<(), SinkError> {
        self.disk
            .read_at(into, content.start)
            .map_err(|e| SinkError::read(&self.path, e))
    }

    /// What has the name and may not be replaced stays; with the same bytes it is the object.
    ///
    /// Of the mode, what the user's umask takes from new files is taken here too, and the owner can
    /// always read. A file system that can't keep times or modes does not keep a file from being
    /// complete.
    fn finish(&mut self, table: &FileTable) -> Result<(), SinkError> {
        let fault = |e| SinkError::write(&self.path, e);
        let folder = &self.at.folder;
        let name = self.at.name.split().1;
        check_target(folder, name)?;
        let entry = table.entry(0);
        self.remarks = Remarks::default();
        // Writable until it has its name, or a later run could not go on after a crash here.
        #[cfg(unix)]
        let (mode, refused) = dress(&self.file, &entry, self.options).map_err(fault)?;
        #[cfg(not(unix))]
        if let Some(time) = system_time(entry.mtime) {
            let _ = (self.file.set_modified(time), self.options);
        }
        self.file.sync_all().map_err(fault)?;
        match self.name()? {
            Named::Done => {}
            Named::Same => return Ok(()),
            Named::Taken => {
                check_target(folder, name)?;
                let path = folder.path_of(name);
                return Err(SinkError::Kept { path });
            }
        }
        #[cfg(unix)]
        {
            let _ = layout::set_mode(&self.file, mode);
            if let Err(why) = refused {
                self.remarks.add(&[], why);
            }
        }
        self.replaces.finished(folder.path_of(name), &self.file);
        folder.sync().map_err(fault)
    }

    fn remarks(&self) -> Remarks {
        self.remarks.clone()
    }

    fn abandon(&mut self, keep: bool) -> Result<(), SinkError> {
        if keep {
            return Ok(());
        }
        let fault = |e| SinkError::write(&self.path, e);
        self.at.folder.remove(&self.at.part()).map_err(fault)
    }
}

/// Moves what there is of another content out of the way, to `NAME.part.old`. One of that name from
/// before goes.
pub(super) fn move_aside(folder: &Folder, name: &str) -> Result<Option<MovedAside>, SinkError> {
    let (part, old) = (suffixed(name, "part"), suffixed(name, "part.old"));
    let path = folder.path_of(&part);
    let fault = |e| SinkError::write(&path, e);
    if folder.kind(&part).map_err(fault)?.is_none() {
        return Ok(None);
    }
    let is_empty = folder.open_file(&part)?.metadata().map_err(fault)?.len() == 0;
    if is_empty {
        return Ok(None);
    }
    check_target(folder, &old)?;
    let replaced = folder.kind(&old).map_err(fault)?.is_some();
    folder.rename(&part, &old).map_err(fault)?;
    let path = folder.path_of(&old);
    Ok(Some(MovedAside { path, replaced }))
}

/// Only a plain file may be replaced.
pub(crate) fn check_target(folder: &Folder, name: &str) -> Result<(), SinkError> {
    let path = folder.path_of(name);
    match folder.kind(name) {
        Ok(None | Some(Kind::File)) => Ok(()),
        Ok(Some(Kind::Link)) => Err(SinkError::Link { path }),
        Ok(Some(Kind::Other)) => Err(SinkError::Occupied { path }),
        Err(e) => Err(SinkError::write(&path, e)),
    }
}

/// Whether what is still to come of a file has room beside `more` bytes.
pub(super) fn check_space(
    folder: &Folder,
    name: &str,
    length: u64,
    more: u64,
) -> Result<(), SinkError> {
    let part = suffixed(name, "part");
    let here = match folder.kind(&part) {
        Ok(Some(Kind::File)) => allocated(&folder.open_file(&part)?),
        _ => 0,
    };
    let need = length.saturating_sub(here).saturating_add(more);
    match folder.free() {
        Some(free) if free < need => Err(SinkError::NoSpace {
            path: folder.path_of(&part),
            need,
            free,
        }),
        _ => Ok(()),
    }
}

/// Gives the file the sender's permissions, less what the umask takes and set-id bits.
///
/// The umask shows in what mode the incomplete file was made with: who may not write that may not
/// write this, and so on. So a second call can take away, but not give.
pub(crate) fn set_mode(file: &File, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let Ok(made) = file.metadata().map(|m| m.permissions().mode()) else {
            return;
        };
        let read_write = made & 0o666;
        let execute = (read_write & 0o444) >> 2;
        let mode = (mode & (read_write | execute)) | 0o400;
        let _ = file.set_permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = (file, mode);
}

/// A table's time for the system; `None` where it has no such time.
pub(crate) fn system_time(ns: i64) -> Option<SystemTime> {
    let away = Duration::from_nanos(ns.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    if ns < 0 {
        epoch.checked_sub(away)
    } else {
        epoch.checked_add(away)
    }
}
