//! What the sender's threads and its handle tell one another.

use std::path::PathBuf;
use std::sync::Arc;

use crate::driver::StartError;
use crate::driver::paths::{FileToOffer, Found};
use crate::engine::ReadCommand;
use crate::fault::StoreFault;
use crate::ids::ContentId;
use crate::object::Description;
use crate::store::Store;

/// To the hashing thread.
#[derive(Debug)]
pub(crate) enum Job {
    /// Find the files there.
    Find(PathBuf),
    /// Make a file ready.
    Prepare(Prepare),
}

/// A file to make ready.
#[derive(Debug)]
pub(crate) struct Prepare {
    pub(crate) file: FileToOffer,
    /// How often it has been offered before and withdrawn because it changed.
    pub(crate) attempt: u32,
    /// Source symbols in a block, when not as usual.
    pub(crate) k: Option<u16>,
}

/// To the reading thread: fill this buffer.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) command: ReadCommand,
    pub(crate) source: Arc<dyn Store>,
    pub(crate) buffer: Vec<u8>,
}

/// To the network thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// From the reading thread: a buffer, filled or not.
    Read {
        command: ReadCommand,
        buffer: Vec<u8>,
        result: Result<(), StoreFault>,
    },
    /// From the hashing thread: the files at a path, or why they can't be offered.
    Found {
        path: PathBuf,
        found: Result<Found, StartError>,
    },
    /// From the hashing thread: so much of a file is hashed.
    Hashing { name: String, done: u64, total: u64 },
    /// From the hashing thread: a file is ready.
    Prepared(Box<Prepared>),
    /// From the hashing thread: a file can't be offered.
    Unprepared { path: PathBuf, reason: String },
    /// From the handle: offer more.
    Offer(PathBuf),
}

/// A file that can be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) file: FileToOffer,
    pub(crate) attempt: u32,
    pub(crate) source: Arc<dyn Store>,
    pub(crate) description: Description,
    pub(crate) content: ContentId,
    pub(crate) cached: bool,
}
