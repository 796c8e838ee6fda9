//! Reads content from the files where it was found.
//!
//! Takes places in the content, gives bytes. A file that has changed since it was found is a miss
//! from then on, and no error. At most eight files are open.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

use super::content::open_plain;
use super::{Origin, Reuse};
use crate::store::disk::Disk;
use crate::store::known::{KnownHashes, ObjectKey};
use crate::store::looks::Stamp;

/// Files that are open at once.
const OPEN: usize = 8;

/// Bytes that are here already, read by place in the content.
#[derive(Debug)]
pub(crate) struct Reader {
    reuse: Arc<Reuse>,
    /// The last used is the last.
    open: Vec<(u32, File)>,
    gone: HashSet<u32>,
}

impl Reader {
    pub(crate) fn new(reuse: Arc<Reuse>) -> Reader {
        Reader {
            reuse,
            open: Vec::new(),
            gone: HashSet::new(),
        }
    }

    /// Fills `into` with the content from `at` on; false if not all of it is here any more, and
    /// then what `into` holds means nothing.
    pub(crate) fn read(&mut self, at: u64, mut into: &mut [u8]) -> bool {
        let reuse = self.reuse.clone();
        let first = reuse.found.partition_point(|f| f.content.end <= at);
        let mut next = at;
        for found in reuse.found.iter().skip(first) {
            if into.is_empty() {
                return true;
            }
            if found.content.start > next {
                return false;
            }
            let len = (found.content.end - next).min(into.len() as u64);
            let (piece, rest) = into.split_at_mut(len as usize);
            match found.from {
                Origin::Zeros => piece.fill(0),
                Origin::File { index, at } => {
                    let place = at + (next - found.content.start);
                    if !self.read_file(index, place, piece) {
                        return false;
                    }
                }
            }
            into = rest;
            next += len;
        }
        into.is_empty()
    }

    /// Whether a file has changed since it was found: nothing is read from it any more.
    pub(crate) fn is_gone(&self, index: u32) -> bool {
        self.gone.contains(&index)
    }

    /// Bytes read at this place in the content turned out to be others than those of the object:
    /// the file is not read any more, and what is known of its hash is forgotten.
    pub(crate) fn disprove(&mut self, at: u64, known: &KnownHashes) {
        let first = self.reuse.found.partition_point(|f| f.content.end <= at);
        let found = self.reuse.found.get(first);
        let Some(found) = found.filter(|f| f.content.start <= at) else {
            return;
        };
        let Origin::File { index, .. } = found.from else {
            return;
        };
        if let Some(looks) = self.reuse.looks(index) {
            known.forget_file(&looks);
            let mut key = ObjectKey::new(self.reuse.block);
            key.push(&looks);
            known.forget_object(&key);
        }
        self.lose(index);
    }

    fn read_file(&mut self, index: u32, at: u64, into: &mut [u8]) -> bool {
        let read = self.try_read(index, at, into).is_some();
        if !read {
            self.lose(index);
        }
        read
    }

    fn try_read(&mut self, index: u32, at: u64, into: &mut [u8]) -> Option<()> {
        if self.gone.contains(&index) {
            return None;
        }
        let reuse = self.reuse.clone();
        let wanted = reuse.files.get(index as usize)?;
        if let Some(place) = self.open.iter().position(|(i, _)| *i == index) {
            self.open.get_mut(place..)?.rotate_left(1);
        } else {
            let (file, _) = open_plain(&reuse.place.join(&wanted.path)).ok()?;
            if self.open.len() >= OPEN {
                self.open.remove(0);
            }
            self.open.push((index, file));
        }
        let (_, file) = self.open.last()?;
        let unchanged = || {
            let meta = file.metadata().ok()?;
            (Stamp::of(&meta) == wanted.stamp).then_some(())
        };
        unchanged()?;
        file.read_at(into, at).ok()?;
        unchanged()
    }

    fn lose(&mut self, index: u32) {
        self.open.retain(|(i, _)| *i != index);
        self.gone.insert(index);
    }
}
