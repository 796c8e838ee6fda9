//! The search of the receiver's folder for what an object has there already.
//!
//! It may have to hash many files, so it has a thread of its own, which stops when nobody waits for
//! it any more.

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::TreeOptions;
use super::existing::{Existing, Have};
use crate::ids::{ContentId, Hash};
use crate::object::table::FileTable;
use crate::store::KnownHashes;
use crate::store::disk::Disk;
use crate::store::reuse::{Ask, Here, Modes, Origin, Reader, Reuse, find};

/// The longest that one step waits for the search.
const PATIENCE: Duration = Duration::from_millis(20);

/// A search that may still go on.
pub(crate) struct Looking {
    found: Mutex<Receiver<Box<dyn Existing>>>,
    stop: Arc<AtomicBool>,
}

/// Where the search of an object is.
#[derive(Clone, Debug)]
pub(crate) struct Where {
    /// The folder that the table's paths begin in.
    pub(crate) place: PathBuf,
    /// Content id of the object, and the size of its blocks.
    pub(crate) object: (ContentId, u64),
    /// The object comes right into the place.
    pub(crate) inside: bool,
    /// A folder with what was staged of other versions.
    pub(crate) leftovers: Option<PathBuf>,
}

/// The modes of what arrives, as far as the system tells without being written to.
fn modes(options: TreeOptions) -> Modes {
    #[cfg(unix)]
    let allowed = match options.owner {
        true => Some(0o777),
        false => crate::store::layout::allowed(),
    };
    #[cfg(not(unix))]
    let allowed = options.owner.then_some(0o777);
    match allowed {
        Some(left) => Modes { left, known: 0o777 },
        // No usual umask takes these.
        None => Modes {
            left: 0o777,
            known: 0o700,
        },
    }
}

impl Looking {
    /// A search with this result.
    #[cfg(test)]
    pub(crate) fn done(existing: Box<dyn Existing>) -> Looking {
        let (give, found) = channel::<Box<dyn Existing>>();
        let _ = give.send(existing);
        Looking {
            found: Mutex::new(found),
            stop: Arc::default(),
        }
    }

    /// Starts to search for what would be applied with these options.
    pub(crate) fn start(
        at: Where,
        table: Arc<FileTable>,
        known: KnownHashes,
        options: TreeOptions,
    ) -> Looking {
        let (give, found) = channel::<Box<dyn Existing>>();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let search = move || {
            let ask = Ask {
                table: &table,
                place: &at.place,
                object: at.object,
                modes: modes(options),
                inside: at.inside,
                leftovers: at.leftovers.as_deref(),
            };
            let go_on = |_| match stopped.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            if let Some(reuse) = find(&ask, &known, &go_on) {
                let existing = OnDisk::new(reuse, known, at.object.1);
                let _ = give.send(Box::new(existing));
            }
        };
        // Without a thread nothing is found.
        let named = std::thread::Builder::new().name("loopcast-reuse".to_owned());
        let _ = named.spawn(search);
        Looking {
            found: Mutex::new(found),
            stop,
        }
    }

    /// The result, waiting for a moment; `None` if the search goes on.
    pub(super) fn wait(&self) -> Option<Box<dyn Existing>> {
        let found = match self.found.lock() {
            Ok(found) => found.recv_timeout(PATIENCE),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        match found {
            Ok(existing) => Some(existing),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Box::new(Nothing)),
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Nothing is there.
struct Nothing;

impl Existing for Nothing {
    fn is_complete(&self) -> bool {
        false
    }

    fn ranges(&self, _: Range<u64>) -> Vec<Have> {
        Vec::new()
    }

    fn read(&self, _: Range<u64>, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Files that were found in the folder.
struct OnDisk {
    reuse: Arc<Reuse>,
    reader: Mutex<Reader>,
    known: KnownHashes,
    /// The single file that is there with other content.
    old: Option<File>,
    block: u64,
}

impl OnDisk {
    fn new(reuse: Reuse, known: KnownHashes, block: u64) -> OnDisk {
        let reuse = Arc::new(reuse);
        let index = reuse.old().map(|old| old.index as usize);
        let old = index.and_then(|index| reuse.files().get(index));
        OnDisk {
            old: old.and_then(|old| File::open(reuse.place().join(&old.path)).ok()),
            reader: Mutex::new(Reader::new(reuse.clone())),
            reuse,
            known,
            block,
        }
    }
}

impl Existing for OnDisk {
    fn is_complete(&self) -> bool {
        self.reuse.is_complete()
    }

    fn ranges(&self, content: Range<u64>) -> Vec<Have> {
        let Ok(reader) = self.reader.lock() else {
            return Vec::new();
        };
        let found = self.reuse.found();
        let first = found.partition_point(|f| f.content.end <= content.start);
        let met = found.iter().skip(first);
        let met = met.take_while(|f| f.content.start < content.end);
        let there = met.filter(|f| match f.from {
            Origin::File { index, .. } => !reader.is_gone(index),
            Origin::Zeros => true,
        });
        let have = there.map(|f| Have {
            content: f.content.clone(),
            zeros: f.from == Origin::Zeros,
        });
        have.collect()
    }

    fn read(&self, content: Range<u64>, into: &mut [u8]) -> io::Result<()> {
        let read = self.reader.lock().map(|mut r| r.read(content.start, into));
        match read {
            Ok(true) => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_there(&self, entry: usize) -> bool {
        self.reuse.here(entry) >= Here::Content
    }

    fn disprove(&self, content: Range<u64>) {
        // Of several files nobody can say which one it was.
        if let ([_], Ok(mut reader)) = (&*self.ranges(content.clone()), self.reader.lock()) {
            reader.disprove(content.start, &self.known);
        }
    }

    fn old(&self, block: u32) -> Option<Hash> {
        self.reuse.old()?.blocks.get(block as usize).copied()
    }

    fn read_old(&self, block: u32, into: &mut [u8]) -> io::Result<()> {
        let file = self.old.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Disk::read_at(file, into, u64::from(block) * self.block)
    }
}
