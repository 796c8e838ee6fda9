//! What is staged moves into a folder that is there, entry by entry.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;

use super::clear::{self, Verdict};
use super::content::{Open, is_missing};
use super::files::{Files, split};
use super::names::is_own;
use super::sys::{self, How};
use super::{Layout, fault};
use crate::object::ObjectKind;
use crate::object::table::{Entry, EntryKind};
use crate::store::SinkError;

/// Bytes of files that are compared at a time.
const STEP: usize = 65_536;

const ANOTHER: &str = "kept: something else has this name";

/// A file of the length and time of an entry.
#[allow(
    clippy::unnecessary_cast,
    reason = "the fields' types differ between systems"
)]
fn looks_right(stat: &Stat, entry: &Entry<'_>) -> bool {
    let EntryKind::File { length, .. } = entry.kind else {
        return false;
    };
    let time = i128::from(stat.st_mtime as i64) * 1_000_000_000 + stat.st_mtime_nsec as i128;
    sys::kind_of(stat) == FileType::RegularFile
        && stat.st_size as u64 == length
        && time == i128::from(entry.mtime)
}

impl Layout {
    /// Whether a file that is not staged any more is under its name: an earlier run moved it.
    pub(super) fn is_placed(&self, open: &mut Open, index: usize) -> bool {
        let entry = self.table.entry(index);
        let (folder, name) = split(entry.path);
        let found = self.placed(open).and_then(|files| {
            let folder = files.folder(folder, false)?;
            Ok(sys::look(&folder, name)?)
        });
        matches!(found, Ok(Some(stat)) if looks_right(&stat, &entry))
    }

    /// Moves what is staged into a folder that is there, entry by entry; removes what the object
    /// lacks, if that was asked for.
    pub(super) fn move_in(&mut self) -> Result<(), SinkError> {
        let table = self.table.clone();
        let path = self.place_path();
        let place = self.place(true).map_err(|e| fault(&path, &[], e))?;
        let again = place.try_clone().map_err(|e| fault(&path, &[], e))?;
        let mut there = Files::new(again);
        for index in 0..table.len() {
            if self.is_left_out(index) {
                continue;
            }
            let entry = table.entry(index);
            let moved = match entry.path.is_empty() {
                true => open_up(&place).map(|()| None),
                false => self.move_one(index, &entry, &mut there),
            };
            match moved.map_err(|e| self.place_fault(index, e))? {
                None => {}
                Some(why) => self.leave_out(index, why),
            }
        }
        if self.options.delete {
            let again = place.try_clone().map_err(|e| fault(&path, &[], e))?;
            self.delete(again).map_err(|e| fault(&path, &[], e))?;
        }
        self.dress_folders(Files::new(place));
        Ok(())
    }

    /// Moves one entry to its place; gives why what is there was kept instead.
    fn move_one(
        &mut self,
        index: usize,
        entry: &Entry<'_>,
        there: &mut Files,
    ) -> io::Result<Option<String>> {
        let (above, name) = split(entry.path);
        let folder = there.folder(above, false)?;
        let found = sys::look(&folder, name)?;
        let kind = found.as_ref().map(sys::kind_of);
        match (&entry.kind, kind) {
            (EntryKind::Folder, Some(FileType::Directory)) => {
                open_up(&*there.folder(entry.path, false)?)?;
                Ok(None)
            }
            (EntryKind::Folder, None) => match sys::make_folder(&folder, name, 0o700) {
                Err(e @ (Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ)) => {
                    Ok(Some(format!("left out: {e}")))
                }
                result => Ok(result.map(|()| None)?),
            },
            (EntryKind::Folder, _) => Ok(Some("kept: it is no folder here".to_owned())),
            (_, Some(FileType::Directory)) => Ok(Some("kept: it is a folder here".to_owned())),
            (EntryKind::File { .. }, None | Some(FileType::RegularFile)) => {
                if self.there.contains(index as u32) {
                    let gone = "what had its name is gone";
                    let gone = || io::Error::new(io::ErrorKind::NotFound, gone);
                    let found = found.ok_or_else(gone)?;
                    self.dress_there(entry, &folder, &found);
                    return Ok(None);
                }
                self.move_file(index, entry, &folder, found.as_ref())
            }
            (EntryKind::File { .. }, Some(_)) => Ok(Some(ANOTHER.to_owned())),
            (EntryKind::Link { target }, Some(FileType::Symlink))
                if sys::target(&folder, name)? == *target =>
            {
                Ok(None)
            }
            (EntryKind::Link { target }, found) => {
                let may_replace = matches!(found, Some(FileType::Symlink | FileType::RegularFile));
                if found.is_some() && !(may_replace && self.options.overwrite) {
                    return Ok(Some(ANOTHER.to_owned()));
                }
                // Made aside, so that the name is never without what it had.
                let root = self.opened().staged.root().clone();
                let aside = b"link.part";
                clear::remove_all(&root, aside)?;
                if let Err(refused) = self.make_link(&root, aside, target, entry) {
                    return refused.left_out().map(Some);
                }
                give_name((&root, aside), (&folder, name), found.is_some())
            }
        }
    }

    fn move_file(
        &mut self,
        index: usize,
        entry: &Entry<'_>,
        folder: &OwnedFd,
        found: Option<&Stat>,
    ) -> io::Result<Option<String>> {
        let (above, name) = split(entry.path);
        let moved_before = |e: io::Error| match found {
            Some(stat) if is_missing(&e) && looks_right(stat, entry) => Ok(None),
            _ => Err(e),
        };
        let staged = match self.opened().staged.folder(above, false) {
            Ok(staged) => staged,
            Err(e) => return moved_before(e.into()),
        };
        if let (Some(stat), false) = (found, self.options.overwrite) {
            return match is_same((&staged, name), (folder, name), stat) {
                Ok(true) => {
                    self.dress_there(entry, folder, stat);
                    Ok(None)
                }
                Ok(false) => Ok(Some("kept: another file has this name".to_owned())),
                Err(e) => moved_before(e),
            };
        }
        self.opened().staged.close(index);
        give_name((&staged, name), (folder, name), found.is_some()).or_else(moved_before)
    }

    /// Gives a file that was there with the right bytes its time and mode, unless it has them.
    fn dress_there(&mut self, entry: &Entry<'_>, folder: &OwnedFd, stat: &Stat) {
        let (now, mode) = (sys::bits(stat), self.dress.mode(entry) | 0o400);
        let extras = self.options.owner || self.options.xattrs;
        if looks_right(stat, entry) && now & 0o777 == mode && !extras {
            return;
        }
        let (_, name) = split(entry.path);
        let dressed = match sys::open_file(folder, name, How::Read) {
            Ok(file) if is_still(&file, stat) => self.dress.file(&file, entry, now),
            Ok(_) => Err("its time and mode can't be set: it was replaced".to_owned()),
            Err(e) => Err(format!("its time and mode can't be set: {e}")),
        };
        if let Err(why) = dressed {
            self.remarks.add(entry.path, why);
        }
    }

    /// Removes what the object's folder has and the object lacks.
    fn delete(&mut self, place: OwnedFd) -> io::Result<()> {
        let why = match self.kind {
            ObjectKind::Folder if !self.folds => None,
            ObjectKind::Folder => Some("names that differ by case are one here"),
            _ => Some("its content comes right into the receiver's folder"),
        };
        if let Some(why) = why {
            self.remarks.add(&[], format!("nothing is removed: {why}"));
            return Ok(());
        }
        let table = self.table.clone();
        let mut remarks = std::mem::take(&mut self.remarks);
        let mut judge = |path: &[u8], kind| {
            let found = table.find(path);
            let is_folder = |i| kind == FileType::Directory && !self.is_left_out(i);
            match found {
                _ if is_own(path) => Verdict::Keep,
                Some(index) if is_folder(index) => Verdict::Enter,
                Some(_) => Verdict::Keep,
                None => Verdict::Remove,
            }
        };
        let result = clear::prune(place, &mut judge, &mut |path, gone| match gone {
            Ok(()) => remarks.deleted += 1,
            Err(e) => remarks.add(path, format!("can't be removed: {e}")),
        });
        self.remarks = remarks;
        result
    }
}

/// Whether an open file is the one that was looked at.
fn is_still(file: &File, stat: &Stat) -> bool {
    fstat(file).is_ok_and(|now| sys::id(&now) == sys::id(stat))
}

/// Makes a folder its owner's to write, until it gets its own mode.
fn open_up(folder: &OwnedFd) -> io::Result<()> {
    let mode = sys::bits(&fstat(folder)?);
    if mode & 0o700 != 0o700 {
        // Where that is not permitted, writing tells.
        let _ = sys::set_mode(folder, mode | 0o700);
    }
    Ok(())
}

/// Renames from one folder to another. What has come under the name meanwhile is not replaced.
fn give_name(
    (from, name): (&OwnedFd, &[u8]),
    (to, new): (&OwnedFd, &[u8]),
    replace: bool,
) -> io::Result<Option<String>> {
    let result = match replace {
        true => sys::rename(from, name, to, new),
        false => sys::rename_new(from, name, to, new),
    };
    match result {
        Ok(()) => Ok(None),
        Err(Errno::EXIST) => Ok(Some(ANOTHER.to_owned())),
        Err(Errno::XDEV) => Ok(Some(
            "left out: its place is on another file system".to_owned(),
        )),
        Err(e) => Err(e.into()),
    }
}

/// Whether a file that is there has the bytes of the staged one.
pub(super) fn is_same(
    staged: (&OwnedFd, &[u8]),
    there: (&OwnedFd, &[u8]),
    stat: &Stat,
) -> io::Result<bool> {
    let open = |(at, name): (&OwnedFd, &[u8])| -> io::Result<File> {
        Ok(sys::open_file(at, name, How::Read)?)
    };
    let came = open(staged)?;
    let length = came.metadata()?.len();
    if stat.st_size as u64 != length {
        return Ok(false);
    }
    let here = match open(there) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        result => result?,
    };
    let (mut here, mut came) = (here.take(length), came.take(length));
    let (mut a, mut b) = (Vec::with_capacity(STEP), Vec::with_capacity(STEP));
    loop {
        a.clear();
        b.clear();
        here.by_ref().take(STEP as u64).read_to_end(&mut a)?;
        came.by_ref().take(STEP as u64).read_to_end(&mut b)?;
        if a != b || a.is_empty() {
            return Ok(a == b);
        }
    }
}
