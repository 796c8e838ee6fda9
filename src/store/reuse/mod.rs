//! What of an object that comes is on this disk already.
//!
//! Takes the file table of an object and the folder where its files will be, gives ranges of its
//! content with the files, or zeros, that they can be read from. Names do not count: a file that
//! was moved or renamed below that folder is found by size and hash. It writes nothing but the
//! cache of hashes, and what it reads is to be verified like anything that comes.

mod content;
mod find;
mod reader;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod walk;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::ids::{ContentId, Hash};
use crate::store::looks::{Looks, Stamp};

pub(crate) use find::{Ask, Modes, find};
pub(crate) use reader::Reader;

/// A range of an object's content, and where its bytes can be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) content: Range<u64>,
    pub(crate) from: Origin,
}

/// Where bytes can be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// From a file of [`Reuse::files`], beginning at a place in it.
    File { index: u32, at: u64 },
    /// Nowhere: the bytes are zeros.
    Zeros,
}

/// A file that was there when it was looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OnDisk {
    /// Relative to [`Reuse::place`].
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// How much of an entry of the table is under its own path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Here {
    /// Nothing, or something else.
    No,
    /// What it is, but with another time or mode.
    Content,
    /// All of it.
    Whole,
}

/// A single file that is there under its name with other content, and may share blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Old {
    /// The file's number in [`Reuse::files`].
    pub(crate) index: u32,
    pub(crate) content: ContentId,
    /// Hashes of its blocks, by [`block_hash`](crate::object::hash_tree::block_hash); that of a
    /// file of one block is its content id.
    pub(crate) blocks: Vec<Hash>,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Reuse {
    place: PathBuf,
    found: Vec<Found>,
    files: Vec<OnDisk>,
    here: Vec<Here>,
    old: Option<Old>,
    /// Block size that the content of a single file was hashed with.
    block: u64,
}

impl Reuse {
    /// Ranges of content, sorted and apart.
    pub(crate) fn found(&self) -> &[Found] {
        &self.found
    }

    /// The files that ranges come from.
    pub(crate) fn files(&self) -> &[OnDisk] {
        &self.files
    }

    /// The folder that their paths begin in.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// How much of an entry of the table is here.
    pub(crate) fn here(&self, entry: usize) -> Here {
        self.here.get(entry).copied().unwrap_or(Here::No)
    }

    /// Whether there is nothing left to be written: every entry is here with time and mode.
    pub(crate) fn is_complete(&self) -> bool {
        self.here.iter().all(|h| *h == Here::Whole)
    }

    /// Bytes that were found.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        let lengths = self.found.iter().map(|f| f.content.end - f.content.start);
        lengths.sum()
    }

    /// A single file of which some blocks may be as they were.
    pub(crate) fn old(&self) -> Option<&Old> {
        self.old.as_ref()
    }

    /// Looks of one of the files as it was found.
    fn looks(&self, index: u32) -> Option<Looks> {
        let file = self.files.get(index as usize)?;
        Some(file.stamp.at(&self.place.join(&file.path)))
    }
}

/// Zeros, and between them the ranges of files; both are sorted and apart.
fn lay(files: Vec<Found>, holes: impl Iterator<Item = Range<u64>>) -> Vec<Found> {
    let zeros = |content| Found {
        content,
        from: Origin::Zeros,
    };
    let mut out = Vec::new();
    let mut holes = holes.filter(|h| !h.is_empty()).peekable();
    // End of the last hole.
    let mut done = 0;
    for file in files {
        let mut at = file.content.start.max(done);
        while at < file.content.end {
            if let Some(hole) = holes.next_if(|h| h.start <= at) {
                done = hole.end;
                at = at.max(done);
                out.push(zeros(hole));
                continue;
            }
            let next = holes.peek().map_or(u64::MAX, |h| h.start);
            let end = file.content.end.min(next);
            out.push(file.part(at..end));
            at = end;
        }
    }
    out.extend(holes.map(zeros));
    out
}

impl Found {
    /// A part of the range.
    fn part(&self, content: Range<u64>) -> Found {
        let from = match self.from {
            Origin::File { index, at } => Origin::File {
                index,
                at: at + (content.start - self.content.start),
            },
            Origin::Zeros => Origin::Zeros,
        };
        Found { content, from }
    }
}
