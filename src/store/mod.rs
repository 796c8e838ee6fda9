//! Where objects are kept: files, or memory.
//!
//! [`Store`] is the seam: one object, of which blocks are read, written, checked and finished.
//! Behind it:
//!
//! * [`Source`]: a file that is offered. Hashed once with all cores ([`HashCache`] remembers), then
//!   read block by block, each read checked.
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
//! * [`Pack`] and [`ArchiveFile`]: archives, made and opened; [`NewKey`]: the files of their keys.
//!
//! It takes block numbers and bytes; which symbol is wanted when is decided elsewhere. Nothing here
//! has a thread that outlives a call, reads a clock for anything but the age of files, or keeps
//! memory that grows with a file beyond bitmaps and the tree over hash pages. All that touches files
//! needs the feature `store`.

mod incoming;
mod memory;
mod places;
mod pool;
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
mod hash_cache;
#[cfg(feature = "store")]
mod hash_list;
#[cfg(feature = "store")]
mod hashing;
#[cfg(feature = "store")]
mod key_file;
#[cfg(feature = "store")]
pub(crate) mod random;
#[cfg(feature = "store")]
mod recover;
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
#[cfg(test)]
#[cfg(unix)]
#[cfg(feature = "store")]
mod test_files;

pub use incoming::Incoming;
pub use memory::Memory;
pub use pool::{BlockBuf, BlockPool, DEFAULT_POOL, Put};
pub use traits::{BlockResult, Destination, MovedAside, Opened, Settled, Store};

#[cfg(feature = "store")]
pub use self::{
    archive::{ArchiveFile, LEVELS, Pack, PackError, Packed, Progress, Unpacked, is_archive},
    hash_cache::HashCache,
    key_file::{KeyFileError, NewKey, read_key},
    sender_key::{read_sender_key, sender_key, sender_key_path},
    sink::{FolderDestination, Sink},
    sink_error::SinkError,
    source::{Source, SourceError},
};
