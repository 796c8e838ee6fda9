//! A staged tree becomes whole, and gets its name.

use std::io;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::clear::{self, Verdict};
use super::content::{holes_of, is_about_name, is_missing};
use super::files::{Files, split};
use super::sys::How;
use super::{Layout, Stage, fault, sys};
use crate::object::ObjectKind;
use crate::object::table::{Entry, EntryKind};
use crate::store::{Remarks, SinkError};

/// Why an entry can't be made: it is left out, or nothing can go on.
pub(super) enum Refused {
    LeftOut(String),
    Fault(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Fault(error)
    }
}

/// An error of a step that makes a name.
fn of_name(error: impl Into<io::Error>) -> Refused {
    let error = error.into();
    match is_about_name(&error) {
        true => Refused::LeftOut(format!("left out: {error}")),
        false => Refused::Fault(error),
    }
}

/// Makes a link, which not all file systems have.
fn of_link(error: Errno) -> Refused {
    match error {
        Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS => {
            Refused::LeftOut(format!("left out: links can't be made here: {error}"))
        }
        _ => of_name(error),
    }
}

impl Layout {
    /// Makes everything last and gives it its name. After an error it can be tried again.
    pub(crate) fn finish(&mut self) -> Result<(), SinkError> {
        let path = self.staging_path();
        let fault = |e| SinkError::write(&path, e);
        if self.stage < Stage::Placed {
            self.remarks = Remarks::default();
        }
        if self.stage == Stage::Staged {
            let exists = self.exists()?;
            // What is open may not be what has the names now.
            self.opened().close_all();
            self.check_staging()?;
            self.make_rest(exists)?;
            self.opened().close_all();
            if self.found && !exists {
                self.remove_strangers().map_err(fault)?;
            }
            let root = self.opened().staged.root().clone();
            sys::sync(&root).map_err(|e| fault(e.into()))?;
            let named = match exists {
                true => Err(Errno::EXIST),
                false => sys::rename_new(&self.base, &self.staging, &self.base, &self.name),
            };
            match named {
                Ok(()) => self.stage = Stage::Named,
                Err(Errno::EXIST | Errno::NOTEMPTY) => {
                    self.exists()?;
                    self.move_in()?;
                    sys::sync(&self.base).map_err(|e| fault(e.into()))?;
                    self.stage = Stage::Placed;
                }
                Err(e) => return Err(fault(e.into())),
            }
        }
        if self.stage == Stage::Named {
            let root = self.opened().staged.root().try_clone().map_err(fault)?;
            self.dress_folders(Files::new(root));
            sys::sync(&self.base).map_err(|e| fault(e.into()))?;
            self.tell_left_out();
            self.stage = Stage::Finished;
        }
        if self.stage == Stage::Placed {
            self.clear_staging()?;
            self.tell_left_out();
            self.stage = Stage::Finished;
        }
        Ok(())
    }

    /// The staging folder is still the one that was opened.
    fn check_staging(&self) -> Result<(), SinkError> {
        let path = self.staging_path();
        let root = self.opened().staged.root().clone();
        let named = super::files::enter(&self.base, &self.staging, false);
        let named = named.and_then(|named| rustix::fs::fstat(&named));
        let named = named.map_err(|e| fault(&path, &[], e.into()))?;
        let ours = rustix::fs::fstat(&root).map_err(|e| fault(&path, &[], e.into()))?;
        if sys::id(&ours) != sys::id(&named) {
            return Err(SinkError::Occupied { path });
        }
        Ok(())
    }

    fn tell_left_out(&mut self) {
        let wanted = |&(index, _): &(usize, _)| !self.unwanted.contains(index as u32);
        for (index, why) in self.left_out.iter().filter(wanted) {
            self.remarks.add(self.table.path(index), why);
        }
    }

    /// Makes in the staging folder what no byte has made: empty files and, where the tree gets its
    /// name at once, folders and links.
    fn make_rest(&mut self, exists: bool) -> Result<(), SinkError> {
        let table = self.table.clone();
        for index in 0..table.len() {
            if self.dressed.contains(index as u32) || self.is_left_out(index) {
                continue;
            }
            let entry = table.entry(index);
            let made = match &entry.kind {
                EntryKind::Folder | EntryKind::Link { .. } if exists => Ok(()),
                EntryKind::Folder => {
                    let made = self.opened().staged.folder(entry.path, true);
                    made.map(|_| ()).map_err(of_name)
                }
                EntryKind::File { length, .. } => self.complete(index, &entry, *length, exists),
                EntryKind::Link { target } => {
                    let (folder, name) = split(entry.path);
                    let folder = self.opened().staged.folder(folder, true);
                    folder.map_err(of_name).and_then(|folder| {
                        clear::remove_all(&folder, name).map_err(of_name)?;
                        self.make_link(&folder, name, target, &entry)
                    })
                }
            };
            match made {
                Ok(()) => {}
                Err(Refused::LeftOut(why)) => self.leave_out(index, why),
                Err(Refused::Fault(e)) => return Err(self.staging_fault(index, e)),
            }
        }
        Ok(())
    }

    /// Gives a staged file its length, mode and time. Its bytes must be there.
    fn complete(
        &mut self,
        index: usize,
        entry: &Entry<'_>,
        length: u64,
        exists: bool,
    ) -> Result<(), Refused> {
        if self.there.contains(index as u32) {
            let gone = || io::Error::new(io::ErrorKind::NotFound, "what had its name is gone");
            return if exists { Ok(()) } else { Err(gone().into()) };
        }
        // What may be zeros without having been written begins here.
        let data = match holes_of(&entry.kind).last() {
            Some(hole) if hole.end == length => hole.start,
            _ => length,
        };
        let how = match data {
            0 => How::Make(self.dress.mode(entry) & 0o777 | 0o600),
            _ => How::Write,
        };
        let opened = self.opened().staged.staged(index, entry.path, how);
        let (file, _) = match opened {
            Err(e) if exists && is_missing(&e) && self.is_in_place(index) => return Ok(()),
            result => result.map_err(of_name)?,
        };
        let now = rustix::fs::fstat(&file).map_err(io::Error::from)?;
        if (now.st_size as u64) < data {
            let text = "bytes that had been written are gone";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into());
        }
        if now.st_size as u64 != length {
            sys::set_len(&file, length)?;
        }
        if let Err(why) = self.dress.file(&*file, entry, sys::bits(&now)) {
            self.remarks.add(entry.path, why);
        }
        self.opened().staged.close(index);
        Ok(())
    }

    fn is_in_place(&self, index: usize) -> bool {
        self.is_placed(&mut self.opened(), index)
    }

    pub(super) fn make_link(
        &mut self,
        folder: impl std::os::fd::AsFd,
        name: &[u8],
        target: &[u8],
        entry: &Entry<'_>,
    ) -> Result<(), Refused> {
        sys::make_link(&folder, name, target).map_err(of_link)?;
        if let Err(why) = self.dress.link(folder, name, entry) {
            self.remarks.add(entry.path, why);
        }
        Ok(())
    }

    /// Removes from the staging folder what is no part of the object: an earlier run may have left
    /// it.
    fn remove_strangers(&mut self) -> io::Result<()> {
        let root = self.opened().staged.root().try_clone()?;
        let mut judge = |path: &[u8], kind| match self.table.find(path) {
            Some(index) if self.is_left_out(index) => Verdict::Remove,
            Some(_) if kind == FileType::Directory => Verdict::Enter,
            Some(_) => Verdict::Keep,
            None => Verdict::Remove,
        };
        let mut result = Ok(());
        clear::prune(root, &mut judge, &mut |_, gone| {
            if result.is_ok() {
                result = gone;
            }
        })?;
        result
    }

    /// Gives folders their modes and times, those that are deepest first.
    pub(super) fn dress_folders(&mut self, mut files: Files) {
        let table = self.table.clone();
        for index in (0..table.len()).rev() {
            if table.length(index) > 0 || self.is_left_out(index) {
                continue;
            }
            let entry = table.entry(index);
            let is_receivers = self.kind == ObjectKind::Inside && entry.path.is_empty();
            if entry.kind != EntryKind::Folder || is_receivers {
                continue;
            }
            let dressed = match files.folder(entry.path, false) {
                Ok(folder) => self.dress.folder(&folder, &entry),
                Err(e) => Err(format!("its mode and time can't be set: {e}")),
            };
            if let Err(why) = dressed {
                self.remarks.add(entry.path, why);
            }
        }
    }

    /// A fault of what gets its name in a folder that is there.
    pub(super) fn place_fault(&self, index: usize, error: io::Error) -> SinkError {
        fault(&self.place_path(), self.table.path(index), error)
    }
}

impl Refused {
    /// Why it is left out, where it is that.
    pub(super) fn left_out(self) -> io::Result<String> {
        match self {
            Refused::LeftOut(why) => Ok(why),
            Refused::Fault(e) => Err(e),
        }
    }
}
