//! Real files: what a sender reads and a receiver writes.
//!
//! * [`Source`]: a file that is offered. Hashed once with all cores ([`HashCache`] remembers), then
//!   read block by block, each read checked.
//! * [`BlockPool`]: where a receiver's network thread puts symbols, one copy each, until a block is
//!   whole, or can be restored from parity.
//! * [`Sink`]: an object on the receiver's disk, worked by a disk thread. It restores what parity stands
//!   in for. A file gets its name only when every hash holds and it is synced.
//! * [`Pack`] and [`ArchiveFile`]: archives, made and opened; [`NewKey`]: the files of their keys.
//!
//! It takes block numbers and bytes; which symbol is wanted when is decided elsewhere. Nothing here
//! has a thread that outlives a call, reads a clock for anything but the age of files, or keeps
//! memory that grows with a file beyond bitmaps and the tree over hash pages.

mod archive;
mod bitmap;
mod disk;
mod folder;
mod hash_cache;
mod hash_list;
mod hashing;
mod key_file;
mod places;
mod pool;
pub(crate) mod random;
mod recover;
mod sender_key;
mod sidecar;
mod sink;
mod sink_error;
mod source;
#[cfg(test)]
#[cfg(unix)]
mod test_files;

pub use archive::{ArchiveFile, LEVELS, Pack, PackError, Packed, Progress, Unpacked, is_archive};
pub use hash_cache::HashCache;
pub use key_file::{KeyFileError, NewKey, read_key};
pub use pool::{BlockBuf, BlockPool, DEFAULT_POOL, Put};
pub use sender_key::{read_sender_key, sender_key, sender_key_path};
pub use sink::{BlockResult, MovedAside, Settled, Sink};
pub use sink_error::SinkError;
pub use source::{Source, SourceError};
