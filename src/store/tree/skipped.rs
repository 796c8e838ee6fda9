//! What is in a tree and is not sent, and why.

use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::store::tree::system::Kind;

/// Something in a tree that is not sent.
#[derive(Debug)]
pub struct Skipped {
    /// The path within the tree.
    pub path: Vec<u8>,
    /// Why it is not sent.
    pub why: Why,
}

/// Why something in a tree is not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// Something that is no file, folder or link.
    #[error("it is {0}")]
    Kind(&'static str),
    /// The system does not let us read it.
    #[error("it can't be read: {0}")]
    Unreadable(io::Error),
    /// A file of a length that the system does not tell, as in `/proc`.
    #[error("it has bytes, but its length is said to be 0")]
    NoLength,
    /// A file that changed each time it was read.
    #[error("it keeps changing while it is read")]
    Unsteady,
    /// Something that was there when the tree was scanned, and is not any more.
    #[error("it is gone, or something else has taken its place")]
    Gone,
    /// A folder or link with a name that receivers use for incomplete files.
    #[error("its name ends like that of an incomplete file (.part)")]
    Reserved,
    /// With it the object would be longer than any can be.
    #[error("it is too large")]
    TooLarge,
    /// A path, or a link's target, that is longer than tables have, or of too many components.
    #[error("its path, or where it points to, is too long")]
    TooLong,
}

impl Skipped {
    /// Where it is, in the tree at `root`.
    pub fn full_path(&self, root: &std::path::Path) -> std::path::PathBuf {
        root.join(std::ffi::OsStr::from_bytes(&self.path))
    }
}

impl Why {
    pub(super) fn of_kind(kind: Kind) -> Why {
        match kind {
            Kind::Other(what) => Why::Kind(what),
            _ => Why::Gone,
        }
    }
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = std::ffi::OsStr::from_bytes(&self.path);
        write!(f, "{}: {}", path.display(), self.why)
    }
}
