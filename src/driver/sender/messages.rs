//! What the sender's threads and its handle tell one another.

use std::path::PathBuf;
use std::sync::Arc;

use crate::driver::StartError;
use crate::driver::sender::naming::PathToOffer;
use crate::engine::{ObjectKey, ReadCommand};
use crate::fault::StoreFault;
use crate::object::Description;
use crate::store::Store;

/// To the hashing thread.
#[derive(Debug)]
pub(crate) enum Job {
    /// Find out what a path is to be offered as.
    Name(PathBuf),
    /// Make an object ready.
    Prepare(Prepare),
    /// See whether it is still what was offered.
    Look {
        object: ObjectKey,
        source: Arc<dyn Store>,
    },
}

/// An object to make ready.
#[derive(Debug)]
pub(crate) struct Prepare {
    pub(crate) path: PathToOffer,
    /// How often it has been offered before and withdrawn because it changed.
    pub(crate) attempt: u32,
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
    /// From the hashing thread: what a path is to be offered as, or why it can't be.
    Named {
        path: PathBuf,
        named: Result<PathToOffer, StartError>,
    },
    /// From the hashing thread: an object is what was offered, or not.
    Looked {
        object: ObjectKey,
        result: Result<(), StoreFault>,
    },
    /// From the hashing thread: so much of an object is hashed.
    Hashing { name: String, done: u64, total: u64 },
    /// From the hashing thread: an object is ready.
    Prepared(Box<Prepared>),
    /// From the hashing thread: a path can't be offered.
    Unprepared { path: PathBuf, reason: String },
    /// From the handle: offer more.
    Offer(PathBuf),
}

/// An object that can be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) path: PathToOffer,
    pub(crate) attempt: u32,
    pub(crate) source: Arc<dyn Store>,
    pub(crate) description: Description,
    /// The hashes were known.
    pub(crate) cached: bool,
    /// Paths of a folder that are not sent.
    pub(crate) skipped: Vec<(PathBuf, String)>,
}
