//! Bytes of the content, written to and read from the files that they are of.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;

use super::sys::{self, How};
use super::{Files, Layout, Stage, fault};
use crate::object::table::{EntryKind, FileTable, Piece};
use crate::store::SinkError;

/// What is open, and what was looked up last.
#[derive(Debug)]
pub(super) struct Open {
    /// Of the staging folder.
    pub(super) staged: Files,
    /// Of the object's own folder, for reading only.
    placed: Option<Files>,
    /// The holes of the file that was used last, which may be many.
    holes: Option<(usize, Arc<[Range<u64>]>)>,
}

impl Open {
    pub(super) fn new(staged: Files) -> Open {
        Open {
            staged,
            placed: None,
            holes: None,
        }
    }

    pub(super) fn close_all(&mut self) {
        self.staged.close_all();
        self.placed = None;
    }

    fn holes(&mut self, table: &FileTable, index: usize) -> Arc<[Range<u64>]> {
        match &self.holes {
            Some((last, holes)) if *last == index => holes.clone(),
            _ => {
                let holes: Arc<[_]> = holes_of(&table.entry(index).kind).into();
                self.holes = Some((index, holes.clone()));
                holes
            }
        }
    }
}

/// The holes of an entry.
pub(super) fn holes_of<'a>(kind: &'a EntryKind<'_>) -> &'a [Range<u64>] {
    match kind {
        EntryKind::File { holes, .. } => holes,
        _ => &[],
    }
}

/// What of a range of a file is no hole.
fn data_in(holes: &[Range<u64>], range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let first = holes.partition_point(|hole| hole.end <= range.start);
    let holes = holes.iter().skip(first).take_while({
        let end = range.end;
        move |hole| hole.start < end
    });
    let ends = std::iter::once(range.end..range.end);
    let mut from = range.start;
    let between = holes.cloned().chain(ends).map(move |hole| {
        let data = from..hole.start.max(from);
        from = hole.end;
        data
    });
    between.filter(|data| !data.is_empty())
}

/// Whether an error is about one name, not about the disk.
pub(super) fn is_about_name(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ))
}

pub(super) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

impl Layout {
    /// Puts bytes of the content where they belong. Holes are not written.
    pub(crate) fn write(&mut self, content: Range<u64>, bytes: &[u8]) -> Result<(), SinkError> {
        let table = self.table.clone();
        for piece in table.pieces(content.clone()) {
            if self.there.contains(piece.entry as u32) || self.is_left_out(piece.entry) {
                continue;
            }
            let start = (piece.content - content.start) as usize;
            let Some(part) = bytes.get(start..start + piece.len as usize) else {
                let e = io::Error::from(io::ErrorKind::InvalidInput);
                return Err(self.staging_fault(piece.entry, e));
            };
            self.write_piece(&table, &piece, part)?;
        }
        Ok(())
    }

    fn write_piece(
        &mut self,
        table: &FileTable,
        piece: &Piece,
        bytes: &[u8],
    ) -> Result<(), SinkError> {
        let (index, path) = (piece.entry, table.path(piece.entry));
        let length = table.length(index);
        // Most files are small, and come in one piece.
        let whole = (piece.len == length).then(|| table.entry(index));
        let holes = match &whole {
            Some(entry) => holes_of(&entry.kind).into(),
            None => self.opened().holes(table, index),
        };
        let end = piece.at + piece.len;
        let mut data = data_in(&holes, piece.at..end).peekable();
        if data.peek().is_none() {
            return Ok(());
        }
        let mode = whole
            .as_ref()
            .map_or(0, |entry| self.dress.mode(entry) & 0o777);
        let opened = self
            .opened()
            .staged
            .staged(index, path, How::Make(mode | 0o600));
        let (file, stat) = match opened {
            Err(e) if is_about_name(&e) => {
                self.leave_out(index, format!("left out: {e}"));
                return Ok(());
            }
            result => result.map_err(|e| self.staging_fault(index, e))?,
        };
        let fault = |layout: &Layout, e: io::Error| layout.staging_fault(index, e);
        for range in data {
            let of_piece = (range.start - piece.at) as usize..(range.end - piece.at) as usize;
            sys::write(&file, &bytes[of_piece], range.start).map_err(|e| fault(self, e))?;
        }
        let Some(entry) = whole else {
            self.dressed.set(index as u32, false);
            return Ok(());
        };
        let now = match stat {
            Some(stat) if holes.is_empty() && stat.st_size as u64 <= length => sys::bits(&stat),
            _ => {
                sys::set_len(&file, length).map_err(|e| fault(self, e))?;
                // Nobody knows: it is set.
                u32::MAX
            }
        };
        // What is refused is told when all is there.
        let is_dressed = self.dress.file(&*file, &entry, now).is_ok();
        self.dressed.set(index as u32, is_dressed);
        self.opened().staged.close(index);
        Ok(())
    }

    /// Reads bytes of the content; zeros of what is left out.
    pub(crate) fn read(&self, content: Range<u64>, into: &mut [u8]) -> Result<(), SinkError> {
        for piece in self.table.pieces(content.clone()) {
            let start = (piece.content - content.start) as usize;
            let Some(part) = into.get_mut(start..start + piece.len as usize) else {
                continue;
            };
            part.fill(0);
            if self.is_left_out(piece.entry) {
                continue;
            }
            self.read_piece(&piece, part)?;
        }
        Ok(())
    }

    fn read_piece(&self, piece: &Piece, into: &mut [u8]) -> Result<(), SinkError> {
        let (index, path) = (piece.entry, self.table.path(piece.entry));
        let is_staged = self.stage == Stage::Staged && !self.there.contains(index as u32);
        let root = match is_staged {
            true => self.staging_path(),
            false => self.place_path(),
        };
        let mut read = || -> io::Result<()> {
            let mut open = self.opened();
            let holes = open.holes(&self.table, index);
            let mut data = data_in(&holes, piece.at..piece.at + piece.len).peekable();
            if data.peek().is_none() {
                return Ok(());
            }
            let file = match is_staged {
                true => match open.staged.staged(index, path, How::Read) {
                    // A run that was killed while files got their names had moved it.
                    Err(e) if is_missing(&e) && self.is_placed(&mut open, index) => {
                        self.placed(&mut open)?.placed(index, path)?
                    }
                    result => result?.0,
                },
                false => self.placed(&mut open)?.placed(index, path)?,
            };
            drop(open);
            for range in data {
                let of_piece = (range.start - piece.at) as usize..(range.end - piece.at) as usize;
                file.read_exact_at(&mut into[of_piece], range.start)?;
            }
            Ok(())
        };
        read().map_err(|e| match fault(&root, path, e) {
            SinkError::Write { path, source } => SinkError::Read { path, source },
            other => other,
        })
    }

    /// The object's own folder, opened for reading.
    pub(super) fn placed<'a>(&self, open: &'a mut Open) -> io::Result<&'a mut Files> {
        let files = match open.placed.take() {
            Some(files) => files,
            None => Files::new(self.place(false)?),
        };
        Ok(open.placed.insert(files))
    }
}
