//! Archives: an object prepared once, sealed frame by frame, so that sending it costs nothing more.
//!
//! Takes bytes of frames and gives them back sealed or opened, in place; `docs/ARCHIVE.md` is the
//! format. It decides what holds and what does not. It touches no file, draws no entropy, and
//! neither compresses nor restores: that is [`store`](crate::store)'s, which knows files and cores.
//!
//! An archive is its header, then frames: 0 is the file table, then the content's, and the last one
//! is the index, which tells how long each of the content's is. Each is sealed under a key of its
//! own with the archive's header and its own as associated data, so none can be taken for another.

mod frame;
mod header;
mod index;
mod table;

pub use frame::{Coding, FRAME_HEADER_LEN, FRAME_OVERHEAD, Opened, TAG_LEN};
pub use header::{ARCHIVE_HEADER_LEN, DEFAULT_FRAME_SHIFT, Header, MAX_FRAMES, SHIFTS};
pub use index::Layout;
pub use table::{FileEntry, FileTable, TableError};

use thiserror::Error;

use crate::secret::Secret;

/// An archive's header together with its master key: seals and opens its frames.
#[derive(Clone, Debug)]
pub struct Archive {
    header: Header,
    master: Secret,
}

/// Why bytes are no archive, or not one that this key opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ArchiveError {
    /// It does not begin like one.
    #[error("this is not a loopcast archive")]
    NotAnArchive,
    /// It begins like one of a later format.
    #[error("this archive is of a format that a newer loopcast makes")]
    Version,
    /// The header asks for what can't be: a frame size out of range, a table of no or too many
    /// bytes, more than [`MAX_FRAMES`].
    #[error("the archive's header is damaged")]
    Header,
    /// The key is another than the one that the archive was made with.
    #[error("this key file is not for this archive")]
    WrongKey,
    /// It ends before its frames do.
    #[error("the archive is cut short")]
    Short,
    /// A frame is not what was sealed: changed, moved, of another archive, or cut.
    #[error("frame {0} of the archive is damaged or not its own")]
    Frame(u32),
    /// The index does not fit the archive that it is in.
    #[error("the archive's index does not fit it: it is damaged or cut short")]
    Index,
}
