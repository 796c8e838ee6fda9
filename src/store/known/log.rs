//! The file of known hashes: found by key, appended to, and rewritten when it is full.
//!
//! Takes records and keys, gives records. One process writes at a time: whoever writes holds a lock
//! on a file beside it, and first reads what others have appended. Readers hold no lock: what they
//! read is checked, and a record that has moved is a miss.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{self, Head, Key, Kind, UNIT, Version};
use crate::store::disk::Disk;

const NAME: &str = "hashes";
const LOCK: &str = "hashes.lock";
const TEMPORARY: &str = "hashes.tmp";

/// Bytes read or written at once.
const BUFFER: usize = 1 << 20;
/// A file below this is not worth rewriting only because most of it is outdated.
const SMALL: u64 = 64 << 10;

/// Where a record is, in units of 64 bytes from the file's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    at: u32,
    units: u32,
}

/// A record found: where to read it, and whether it is among those to be evicted next.
#[derive(Debug)]
pub(super) struct Spot {
    file: Arc<File>,
    place: Place,
    pub(super) old: bool,
}

/// The file, and where its records are.
#[derive(Debug, Default)]
pub(super) struct Log {
    file: Option<Arc<File>>,
    /// Another version of this program writes it: it is left alone.
    foreign: bool,
    index: HashMap<Key, Place>,
    /// Bytes that hold; what may follow is cut off before anything is appended.
    end: u64,
    /// Units of records that are in the index.
    live: u64,
}

impl Log {
    /// Reads the file in `folder`; whatever is wrong with it, what holds is there.
    pub(super) fn load(folder: &Path) -> Log {
        let mut log = Log::default();
        let path = folder.join(NAME);
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .or_else(|_| File::open(&path));
        if let Ok(file) = file {
            // A fault of the disk ends what holds, like anything else.
            let _ = log.take_in(Arc::new(file));
        }
        log
    }

    fn take_in(&mut self, file: Arc<File>) -> io::Result<()> {
        let mut first = [0; UNIT];
        if file.read_at(&mut first, 0).is_ok() {
            match record::version(&first) {
                Version::Ours => self.end = UNIT as u64,
                Version::Other => self.foreign = true,
                Version::Garbage => {}
            }
        }
        self.file = Some(file);
        self.read_on()
    }

    /// Reads the records after those that are known.
    fn read_on(&mut self) -> io::Result<()> {
        let Some(file) = self.file.clone().filter(|_| self.end > 0) else {
            return Ok(());
        };
        let base = self.end;
        let len = file
            .metadata()?
            .len()
            .min(u64::from(u32::MAX) * UNIT as u64);
        let mut from = BufReader::with_capacity(BUFFER, &*file);
        from.seek(SeekFrom::Start(base))?;
        self.absorb(from, base, len.saturating_sub(base))
    }

    /// Takes records that begin at `base` into the index.
    fn absorb(&mut self, from: impl Read, base: u64, len: u64) -> io::Result<()> {
        let (index, live) = (&mut self.index, &mut self.live);
        let mut end = base;
        let result = record::scan(from, len, |at, head, bytes| {
            let (at, units) = (((base + at) / UNIT as u64) as u32, bytes.len() / UNIT);
            end = u64::from(at) * UNIT as u64 + bytes.len() as u64;
            let place = Place {
                at,
                units: units as u32,
            };
            let old = if head.kind == Kind::Forgotten {
                index.remove(&head.key)
            } else {
                *live += u64::from(place.units);
                index.insert(head.key, place)
            };
            *live -= old.map_or(0, |o| u64::from(o.units));
            Ok(())
        });
        self.end = end;
        result.map(|_| ())
    }

    /// Where the record of `key` is. `limit` is that of the file, and tells which are old.
    pub(super) fn find(&self, key: &Key, limit: u64) -> Option<Spot> {
        let place = *self.index.get(key)?;
        let at = u64::from(place.at) * UNIT as u64;
        Some(Spot {
            file: self.file.clone()?,
            place,
            // What waits and the quarter that is to be free push out less than half.
            old: self.end > limit / 2 && at < self.end / 2,
        })
    }

    /// Does as if there were no record of `key`, until the file is read again.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let old = self.index.remove(key);
        self.live -= old.map_or(0, |o| u64::from(o.units));
        old.is_some()
    }

    /// Appends whole records to the file in `folder`, which then takes at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if another process is writing, anything else if it can't be
    /// done. Then nothing is lost of what was there before.
    pub(super) fn append(&mut self, folder: &Path, limit: u64, records: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))?;
        // Held until it is dropped.
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(e) => e,
        })?;
        self.catch_up(folder)?;
        if self.foreign {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let whole = self.end + records.len() as u64;
        let dead = self.end.saturating_sub(self.live * UNIT as u64);
        let file = match &self.file {
            Some(file)
                if self.end > 0 && whole <= limit && (dead <= whole / 2 || whole < SMALL) =>
            {
                file.clone()
            }
            _ => {
                let result = self.rewrite(folder, limit, records);
                if result.is_err() {
                    *self = Log::load(folder);
                }
                return result;
            }
        };
        file.set_len(self.end)?;
        if let Err(e) = file.write_at(records, self.end) {
            let _ = file.set_len(self.end);
            return Err(e);
        }
        self.absorb(records, self.end, records.len() as u64)
    }

    /// Reads what other processes have written since.
    fn catch_up(&mut self, folder: &Path) -> io::Result<()> {
        let here = self.file.as_ref().map(|f| f.metadata()).transpose()?;
        match (here, std::fs::metadata(folder.join(NAME))) {
            (Some(here), Ok(there)) if is_same(&here, &there) && there.len() >= self.end => {
                self.read_on()
            }
            (None, Err(_)) => Ok(()),
            _ => {
                *self = Log::load(folder);
                Ok(())
            }
        }
    }

    /// Writes a new file of the records that count and of `records`, without the oldest if they are
    /// too many. A quarter of the limit stays free, so that it takes a while until the next time.
    fn rewrite(&mut self, folder: &Path, limit: u64, records: &[u8]) -> io::Result<()> {
        let temporary = Temporary::create(folder.join(TEMPORARY))?;
        let mut out = BufWriter::with_capacity(BUFFER, &temporary.file);
        out.write_all(&record::header())?;
        let room = (limit / 4 * 3).saturating_sub(records.len() as u64 + UNIT as u64);
        let mut excess = self.live.saturating_sub(room / UNIT as u64);
        let mut end = UNIT as u64;
        let mut live = 0;
        if let Some(file) = self.file.as_ref().filter(|_| self.end > 0) {
            let mut from = BufReader::with_capacity(BUFFER, &**file);
            from.seek(SeekFrom::Start(UNIT as u64))?;
            let index = &mut self.index;
            let len = self.end - UNIT as u64;
            let read = record::scan(from, len, |at, head: &Head, bytes| {
                let at = at / UNIT as u64 + 1;
                let Entry::Occupied(mut found) = index.entry(head.key) else {
                    return Ok(());
                };
                // The place of a key's last record, which is the one that counts, is not changed
                // before that record comes.
                if u64::from(found.get().at) != at {
                    return Ok(());
                }
                let units = u64::from(found.get().units);
                if excess > 0 {
                    excess = excess.saturating_sub(units);
                    found.remove();
                    return Ok(());
                }
                found.get_mut().at = (end / UNIT as u64) as u32;
                end += bytes.len() as u64;
                live += units;
                out.write_all(bytes)
            })?;
            if read != len {
                // It was damaged meanwhile: what could be read is kept, and read again.
                self.end = 0;
            }
        }
        out.write_all(records)?;
        out.flush()?;
        drop(out);
        if self.file.is_some() && self.end == 0 {
            temporary.rename(&folder.join(NAME))?;
            *self = Log::load(folder);
            return Ok(());
        }
        let file = temporary.rename(&folder.join(NAME))?;
        (self.file, self.end, self.live) = (Some(Arc::new(file)), end, live);
        self.absorb(records, end, records.len() as u64)
    }
}

impl Spot {
    /// The bytes of the record, if it is still there and holds.
    pub(super) fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let mut record = vec![0; self.place.units as usize * UNIT];
        let at = u64::from(self.place.at) * UNIT as u64;
        self.file.read_at(&mut record, at).ok()?;
        let (head, _) = Head::parse(&record)?;
        (head.key == *key).then_some(record)
    }
}

/// A file that is removed unless it gets its name.
struct Temporary {
    path: PathBuf,
    file: File,
    named: bool,
}

impl Temporary {
    fn create(path: PathBuf) -> io::Result<Temporary> {
        let mut options = File::options();
        options.create(true).truncate(true).read(true).write(true);
        Ok(Temporary {
            file: options.open(&path)?,
            path,
            named: false,
        })
    }

    fn rename(mut self, to: &Path) -> io::Result<File> {
        std::fs::rename(&self.path, to)?;
        self.named = true;
        self.file.try_clone()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether two are one file; where the system does not tell, they are not.
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = (a, b);
        false
    }
}
