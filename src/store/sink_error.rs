//! What can keep a receiver from storing an object.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fault::{FaultKind, StoreFault};
use crate::object::NameError;
use crate::object::table::TableError;

/// Why an object can't be stored. What is on disk stays as it is.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The name that the object is offered under is not safe to use.
    #[error("the name {name:?} is refused: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// A folder could not be made or opened.
    #[error("{}: can't use this folder: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link stands where a folder or file of the object should be; following it could
    /// lead anywhere.
    #[error("{}: a symbolic link is in the way; remove it or receive into another folder", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Something that is no plain file has the name already.
    #[error("{}: something that is not a file has this name; move it or receive into another folder", path.display())]
    Occupied {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another file has the name, and was not to be replaced.
    #[error("{}: another file has this name; --overwrite replaces it, or receive into another folder", path.display())]
    Kept {
        /// The file, as it was.
        path: PathBuf,
    },
    /// The part that was asked for is not in the object.
    #[error("nothing in it matches {0:?}; check what follows its name in the URL")]
    NoSuchPart(String),
    /// Another receiver is writing the same file.
    #[error("{}: another receiver is writing this file; stop it or receive into another folder", path.display())]
    Busy {
        /// The incomplete file.
        path: PathBuf,
    },
    /// The file system has too little room.
    #[error("{}: {need} bytes are needed and {free} are free; make room or receive into another folder", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Bytes still to be written.
        need: u64,
        /// Bytes that this user may still write.
        free: u64,
    },
    /// The file system has room for too few files.
    #[error("{}: {need} files are needed and there is room for {free}; receive into another file system", path.display())]
    NoFiles {
        /// Where they would be.
        path: PathBuf,
        /// Files and folders of the object.
        need: u64,
        /// Files that this user may still make.
        free: u64,
    },
    /// The disk filled up (or a quota) while writing.
    #[error("{}: the disk is full; make room and start again: what has come is kept", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// A write (or what belongs to it: sync, rename) failed.
    #[error("{}: can't write: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A read of what had been written failed.
    #[error("{}: can't read back: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file table has the right hash but makes no sense.
    #[error("the sender's file table is refused: {0}")]
    Table(#[from] TableError),
    /// The file table can't be read, or is not one of such an object.
    #[error("the sender's file table is refused: {0}")]
    BadTable(String),
    /// What a newer version left of the object.
    #[error("{}: a newer loopcast has left this; finish with that, or remove it", path.display())]
    Newer {
        /// What is known about the incomplete object.
        path: PathBuf,
    },
    /// Blocks are still lacking.
    #[error("{0} blocks are not verified yet")]
    Incomplete(u32),
}

impl SinkError {
    /// A failed write, a full disk told from the rest.
    pub(crate) fn write(path: &Path, source: io::Error) -> SinkError {
        let path = path.to_path_buf();
        match FaultKind::from(&source) {
            FaultKind::NoSpace => SinkError::Full { path },
            _ => SinkError::Write { path, source },
        }
    }

    pub(crate) fn read(path: &Path, source: io::Error) -> SinkError {
        SinkError::Read {
            path: path.to_path_buf(),
            source,
        }
    }

    /// What sort of fault it is.
    pub fn kind(&self) -> FaultKind {
        match self {
            SinkError::NoSpace { .. } | SinkError::NoFiles { .. } | SinkError::Full { .. } => {
                FaultKind::NoSpace
            }
            SinkError::Link { .. } | SinkError::Occupied { .. } | SinkError::Kept { .. } => {
                FaultKind::Denied
            }
            SinkError::NoSuchPart(_) => FaultKind::Gone,
            SinkError::Busy { .. } => FaultKind::Busy,
            SinkError::Folder { source, .. }
            | SinkError::Write { source, .. }
            | SinkError::Read { source, .. } => FaultKind::from(source),
            SinkError::Name { .. }
            | SinkError::Table(_)
            | SinkError::BadTable(_)
            | SinkError::Newer { .. }
            | SinkError::Incomplete(_) => FaultKind::Other,
        }
    }
}

impl From<SinkError> for StoreFault {
    fn from(error: SinkError) -> StoreFault {
        StoreFault::new(error.kind(), error.to_string())
    }
}
