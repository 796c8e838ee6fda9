//! Archives as files: packed from files and unpacked into a folder, with all cores.
//!
//! The format and what holds are [`archive`](crate::archive)'s; here is where bytes are read,
//! compressed and written. A worker takes one frame at a time, from the read of its content to the
//! write of what it became, in one buffer: frames stay in a core's cache, and memory is two frames
//! a core, whatever the archive's size.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use thiserror::Error;

use crate::archive::ArchiveError;
use crate::archive::TableError;
use crate::object::NameError;
use crate::store::SinkError;

mod pack;
mod spans;
mod staging;
mod unpack;

#[cfg(test)]
#[cfg(unix)]
mod tests;

pub use pack::{LEVELS, Pack, Packed};
pub use unpack::{ArchiveFile, Unpacked, is_archive};

/// How far a run has come, and whether it is still wanted; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// Bytes of content that are done, and of all; both 0 until the run knows.
    pub fn get(&self) -> (u64, u64) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed), total)
    }

    /// Asks the run to end: it removes what it has made and says [`PackError::Stopped`].
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn start(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) -> Result<(), PackError> {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.stop.load(Ordering::Relaxed) {
            return Err(PackError::Stopped);
        }
        Ok(())
    }
}

/// Why an archive was not packed or unpacked. Nothing stands under a final name then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file can't be read.
    #[error("{}: can't read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a device or the like.
    #[error("{}: not a plain file: only plain files can be packed", path.display())]
    NotAFile {
        /// What it is.
        path: PathBuf,
    },
    /// A file was written to meanwhile.
    #[error("{}: changed while it was packed; leave it alone and pack again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The output's name can't be one.
    #[error("{}: the archive can't have this name: {why}", path.display())]
    Name {
        /// The output.
        path: PathBuf,
        /// What is wrong with it.
        why: NameError,
    },
    /// The output is there already.
    #[error("{}: is there already; remove it, name another, or use --force", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The files' names and lengths need a table larger than can be, or the content more frames.
    #[error(
        "too many files or bytes for one archive: its table would have {0} bytes; pack them in parts, or as one tar file"
    )]
    TooMuch(usize),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Entropy(String),
    /// Writing failed, or something is in the way.
    #[error(transparent)]
    Write(#[from] SinkError),
    /// The archive does not hold, or the key is not its own.
    #[error("{}: {why}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        why: ArchiveError,
    },
    /// A frame holds, but what its maker put into it is no zstd, or of another length.
    #[error("{}: frame {number} can't be decompressed: whoever made the archive did so wrongly", path.display())]
    Compressed {
        /// The archive.
        path: PathBuf,
        /// The frame.
        number: u32,
    },
    /// The archive holds, but the table that its maker put into it makes no sense.
    #[error("{}: the archive's file table is refused: {why}", path.display())]
    Table {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        why: TableError,
    },
    /// It was asked to.
    #[error("stopped")]
    Stopped,
    /// Compression failed, which it does only without memory.
    #[error("can't compress: {0}")]
    Zstd(#[source] io::Error),
}

impl PackError {
    fn read(path: &std::path::Path) -> impl Fn(io::Error) -> PackError + '_ {
        move |source| PackError::Read {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// Runs `work` once on every core; the first error counts.
fn on_all_cores(work: impl Fn() -> Result<(), PackError> + Sync) -> Result<(), PackError> {
    rayon::broadcast(|_| work()).into_iter().collect()
}
