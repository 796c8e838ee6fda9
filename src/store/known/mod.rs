//! Remembers the hashes of files and objects, so that they are hashed once and not at each start.
//!
//! Takes what files look like ([`Looks`]: path, size, times, inode) and gives their hashes if they
//! looked the same when those were found. It is one file for all of them, `hashes`, bounded, and
//! shared by the threads of a process and by processes. A cache that can't be read or written is no
//! error: hashing takes its time then. It opens none of the files that it knows.
//!
//! A hash says what a file held when it was hashed. Whoever relies on it checks the bytes when they
//! are read, and has the hash forgotten if they are others.

mod log;
mod record;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use self::log::Log;
use self::record::{Head, Key, Kind, MAX_RECORD};
use crate::ids::{ContentId, Hash};
use crate::store::looks::Looks;

/// Bytes that the cache may take when nothing else is said: three million files, or hashes of
/// some 4 TiB.
const DEFAULT_LIMIT: u64 = 256 << 20;

/// A file that was written so shortly ago could be written again without its time changing (git
/// calls such an entry racily clean).
const RACY: Duration = Duration::from_secs(2);

/// Bytes of new records that are collected before they are written.
const BATCH: u64 = 1 << 20;
/// Bytes of new records that wait while another process writes; beyond that they are not kept.
const MAX_WAITING: u64 = 16 << 20;

/// Hashes of files and objects that were hashed before, shared by all clones.
#[derive(Clone, Debug)]
pub struct KnownHashes(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limit: u64,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Read when it is first asked.
    log: Option<Log>,
    /// Records that are not written yet.
    waiting: Vec<u8>,
    /// Where in `waiting` a key's record is.
    fresh: HashMap<Key, std::ops::Range<usize>>,
}

/// An object by the files it is made of and the size of its blocks, built file by file.
#[derive(Clone, Debug)]
pub(crate) struct ObjectKey {
    hasher: blake3::Hasher,
    newest: i64,
}

impl ObjectKey {
    /// An object without files yet, in blocks of this many bytes.
    pub(crate) fn new(block: u64) -> ObjectKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"object");
        hasher.update(&block.to_be_bytes());
        let newest = i64::MIN;
        ObjectKey { hasher, newest }
    }

    /// Adds the next file, in the order in which their bytes make up the object.
    pub(crate) fn push(&mut self, looks: &Looks) {
        self.hasher.update(&encode(looks));
        self.newest = self.newest.max(looks.mtime);
    }

    fn key(&self) -> Key {
        key(&self.hasher)
    }
}

impl KnownHashes {
    /// The user's cache: `$XDG_CACHE_HOME/loopcast`, or `~/.cache/loopcast`; none if neither is
    /// known.
    pub fn of_user() -> KnownHashes {
        let set = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        match base {
            Some(base) => KnownHashes::at(&base.join("loopcast"), DEFAULT_LIMIT),
            None => KnownHashes::none(),
        }
    }

    /// A cache in `folder`, which is made when first needed, of at most `limit` bytes.
    pub fn at(folder: &Path, limit: u64) -> KnownHashes {
        KnownHashes(Some(Arc::new(Shared {
            folder: folder.to_path_buf(),
            limit,
            state: RwLock::default(),
        })))
    }

    /// No cache.
    pub fn none() -> KnownHashes {
        KnownHashes(None)
    }

    /// The hash of a file's bytes.
    pub(crate) fn file(&self, looks: &Looks) -> Option<Hash> {
        let key = file_key(looks);
        let record = self.0.as_ref()?.find(&key)?;
        let (head, _) = Head::parse(&record)?;
        (head.kind == Kind::File).then_some(head.hash)
    }

    /// Remembers the hash of a file, unless it is too young for its time to tell whether it
    /// changes.
    pub(crate) fn keep_file(&self, looks: &Looks, hash: &Hash) {
        if is_settled(looks.mtime) {
            self.keep(Kind::File, file_key(looks), *hash, &[]);
        }
    }

    /// Forgets a file whose bytes turned out to be others than its looks say.
    pub(crate) fn forget_file(&self, looks: &Looks) {
        self.forget(file_key(looks));
    }

    /// The content id of an object and the hashes of its blocks.
    pub(crate) fn object(&self, object: &ObjectKey) -> Option<(ContentId, Vec<Hash>)> {
        let record = self.0.as_ref()?.find(&object.key())?;
        let (head, blocks) = Head::parse(&record)?;
        let blocks = || blocks.iter().map(|b| Hash(*b)).collect();
        (head.kind == Kind::Object).then(|| (head.hash, blocks()))
    }

    /// Remembers an object, unless one of its files is too young for its time to tell whether it
    /// changes.
    pub(crate) fn keep_object(&self, object: &ObjectKey, content: &ContentId, blocks: &[Hash]) {
        if is_settled(object.newest) {
            self.keep(Kind::Object, object.key(), *content, blocks);
        }
    }

    /// Forgets an object whose bytes turned out to be others.
    pub(crate) fn forget_object(&self, object: &ObjectKey) {
        self.forget(object.key());
    }

    /// Writes what is not written yet. Without this it is written from time to time, and when the
    /// last clone is dropped.
    pub fn save(&self) {
        if let Some(shared) = &self.0 {
            shared.save(&mut shared.change());
        }
    }

    fn keep(&self, kind: Kind, key: Key, hash: Hash, blocks: &[Hash]) {
        let Some(shared) = &self.0 else { return };
        let Ok(count) = u32::try_from(blocks.len()) else {
            return;
        };
        let head = Head {
            kind,
            key,
            hash,
            blocks: count,
        };
        shared.push(&head, blocks);
    }

    fn forget(&self, key: Key) {
        self.keep(Kind::Forgotten, key, Hash::default(), &[]);
    }
}

impl Shared {
    fn find(&self, key: &Key) -> Option<Vec<u8>> {
        let mut state = self.look();
        if state.log.is_none() {
            drop(state);
            self.change().log(&self.folder);
            state = self.look();
        }
        if let Some(place) = state.fresh.get(key) {
            return state.waiting.get(place.clone()).map(<[u8]>::to_vec);
        }
        let spot = state.log.as_ref()?.find(key, self.limit)?;
        drop(state);
        let record = spot.read(key)?;
        if spot.old {
            // Used again: it goes where it is not evicted soon.
            self.add(&mut self.change(), *key, &record);
        }
        Some(record)
    }

    /// Adds a record to those that wait.
    fn push(&self, head: &Head, blocks: &[Hash]) {
        // Two of them leave room for what is to stay.
        if head.tail() + record::UNIT as u64 > (self.limit / 4).min(MAX_RECORD) {
            return;
        }
        let mut record = Vec::new();
        head.write(blocks, &mut record);
        let mut state = self.change();
        if head.kind == Kind::Forgotten {
            let known = state.fresh.remove(&head.key).is_some();
            if !state.log(&self.folder).remove(&head.key) && !known {
                return;
            }
        }
        self.add(&mut state, head.key, &record);
        if head.kind == Kind::Forgotten {
            state.fresh.remove(&head.key);
        }
    }

    /// Adds a whole record; writes all that wait when they are many.
    fn add(&self, state: &mut State, key: Key, record: &[u8]) {
        let start = state.waiting.len();
        state.waiting.extend(record);
        state.fresh.insert(key, start..state.waiting.len());
        let batch = BATCH.min(self.limit / 4).max(1);
        if start as u64 / batch != state.waiting.len() as u64 / batch {
            self.save(state);
        }
    }

    fn save(&self, state: &mut State) {
        if state.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut state.waiting);
        let log = state.log(&self.folder);
        let most = MAX_WAITING.min(self.limit / 2);
        match log.append(&self.folder, self.limit, &waiting) {
            // The next time, then.
            Err(e)
                if e.kind() == std::io::ErrorKind::WouldBlock && waiting.len() as u64 <= most =>
            {
                state.waiting = waiting;
            }
            _ => state.fresh.clear(),
        }
    }

    fn look(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn log(&mut self, folder: &Path) -> &mut Log {
        self.log.get_or_insert_with(|| Log::load(folder))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.save(&mut self.change());
    }
}

fn file_key(looks: &Looks) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"file");
    hasher.update(&encode(looks));
    key(&hasher)
}

fn key(hasher: &blake3::Hasher) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Key(key)
}

/// All that tells files apart. The mode does not: whoever changes it changes the time of the inode.
fn encode(looks: &Looks) -> [u8; 72] {
    let mut out = [0; 72];
    out[..32].copy_from_slice(&looks.path.0);
    out[32..40].copy_from_slice(&looks.device.to_be_bytes());
    out[40..48].copy_from_slice(&looks.inode.to_be_bytes());
    out[48..56].copy_from_slice(&looks.size.to_be_bytes());
    out[56..64].copy_from_slice(&looks.mtime.to_be_bytes());
    out[64..].copy_from_slice(&looks.ctime.to_be_bytes());
    out
}

fn is_settled(mtime: i64) -> bool {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i128::from(mtime) + (RACY.as_nanos() as i128) < now.as_nanos() as i128
}
