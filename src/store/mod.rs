//! Where objects are kept: files, or memory.
//!
//! [`Store`] is the seam: one object, of which blocks are read, written, checked and finished.
//! Behind it:
//!
//! * [`Source`]: a file or folder that is offered. Hashed once with all cores ([`KnownHashes`]
//!   remembers), then read block by block, each read checked.
//! * [`Sink`]: an object on the receiver's disk, worked by a disk thread. It restores what parity
//!   stands in for. A file gets its name only when every hash holds and it is synced.
//!   [`FolderDestination`] makes one for each object that comes.
//! * [`Memory`]: an object in memory, offered or coming in, for simulations, tests and small
//!   objects.
//!
//! Beside it:
//!
//! * [`BlockPool`]: where a receiver's network thread puts symbols, one copy each, until a block is
//!   whole, or can be restored from parity.
//! * [`Incoming`]: a pool and stores in one thread, for simulations and loops of one's own.
//! * [`tree`]: a path that is sent, scanned, hashed, and read by its bytes' places.
//! * [`Pack`] and [`ArchiveFile`]: archives, made and opened; [`NewKey`]: the files of their keys.
//!
//! It takes block numbers and bytes; which symbol is wanted when is decided elsewhere. Nothing
//! here has a thread that outlives a call but the search for files that are there, reads a clock
//! for anything but the age of files, or keeps memory that grows with a file beyond bitmaps and
//! the tree over hash pages. All that touches files needs the feature `store`.

mod incoming;
mod memory;
mod places;
mod pool;
mod remarks;
mod traits;

#[cfg(feature = "store")]
mod archive;
#[cfg(feature = "store")]
mod bitmap;
#[cfg(feature = "store")]
mod disk;
#[cfg(feature = "store")]
mod folder;
#[cfg(feature = "store")]
mod key_file;
#[cfg(feature = "store")]
mod known;
#[cfg(unix)]
#[cfg(feature = "store")]
mod layout;
#[cfg(feature = "store")]
mod looks;
#[cfg(feature = "store")]
pub(crate) mod random;
#[cfg(feature = "store")]
mod recover;
#[cfg(feature = "store")]
mod reuse;
#[cfg(feature = "store")]
mod selection;
#[cfg(feature = "store")]
mod sender_key;
#[cfg(feature = "store")]
mod sidecar;
#[cfg(feature = "store")]
mod sink;
#[cfg(feature = "store")]
mod sink_error;
#[cfg(feature = "store")]
mod source;
#[cfg(feature = "store")]
mod table_bytes;
#[cfg(unix)]
#[cfg(feature = "store")]
pub mod tree;

pub use incoming::Incoming;
pub use memory::Memory;
pub use pool::{BlockBuf, BlockPool, DEFAULT_POOL, Put};
pub use remarks::{Remark, Remarks};
pub use traits::{BlockResult, Destination, MovedAside, Opened, Settled, Store};

#[cfg(feature = "store")]
pub use self::{
    archive::{ArchiveFile, LEVELS, Pack, PackError, Packed, Progress, Unpacked, is_archive},
    key_file::{KeyFileError, NewKey, read_key},
    known::KnownHashes,
    selection::Selection,
    sender_key::{read_sender_key, sender_key, sender_key_path},
    sink::{FolderDestination, Io, Sink, TreeOptions},
    sink_error::SinkError,
    source::{Cut, Source, SourceError},
};
