//! Remembers the hashes of files, so that a file is hashed once and not at each start.
//!
//! Takes what a file looks like (path, size, times, inode) and gives its hashes if it looked the
//! same when they were found. A cache that can't be read or written is no error: hashing takes its
//! time then. Each file of the cache holds one source:
//!
//! ```text
//!   0  magic `LOOPHSH1`
//!   8  BLAKE3 of the file's path (32)
//!  40  u64 size, i64 mtime ns, i64 ctime ns, u64 device, u64 inode
//!  80  u16 symbol size, u16 k, u32 content blocks
//!  88  content id (32)
//! 120  BLAKE3 of all block hashes (32)
//! 152  BLAKE3 of the 152 bytes before (32), zeros
//! 256  block hashes, 32 each
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::ids::{ContentId, Hash};
use crate::object::Geometry;
use crate::store::disk::Disk;
use crate::store::hash_list::{HashList, HashRecorder, LIST_START, Recorded, own_number};
use crate::store::source::Looks;

const MAGIC: &[u8; 8] = b"LOOPHSH1";
const EXTENSION: &str = "hashes";
const TEMPORARY: &str = "hashes-tmp";

/// Bytes that the cache may take when nothing else is said: hashes of some 8 TiB.
const DEFAULT_LIMIT: u64 = 256 << 20;

/// A file that was written so shortly ago could be written again without its time changing (git
/// calls such an entry racily clean).
const RACY: Duration = Duration::from_secs(2);

/// Leftovers of hashing that was broken off are removed when they are this old.
const STALE: Duration = Duration::from_secs(86_400);

/// Where hashes of files are remembered.
#[derive(Clone, Debug)]
pub struct HashCache {
    folder: Option<PathBuf>,
    limit: u64,
}

impl HashCache {
    /// The user's cache: `$XDG_CACHE_HOME/loopcast`, or `~/.cache/loopcast`; none if neither is
    /// known.
    pub fn of_user() -> HashCache {
        let set = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        HashCache {
            folder: base.map(|b| b.join("loopcast")),
            limit: DEFAULT_LIMIT,
        }
    }

    /// A cache in `folder`, which is made when first needed, of at most `limit` bytes.
    pub fn at(folder: &Path, limit: u64) -> HashCache {
        HashCache {
            folder: Some(folder.to_path_buf()),
            limit,
        }
    }

    /// No cache.
    pub fn none() -> HashCache {
        HashCache {
            folder: None,
            limit: 0,
        }
    }

    /// What is remembered of a file that looks like this.
    pub(crate) fn load(&self, looks: &Looks, geometry: &Geometry) -> Option<(ContentId, HashList)> {
        let path = self.place_of(looks, geometry)?;
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .or_else(|_| File::open(&path))
            .ok()?;
        let mut found = [0; LIST_START as usize];
        file.read_at(&mut found, 0).ok()?;
        let content = Hash(found.get(88..120)?.try_into().ok()?);
        let sum = Hash(found.get(120..152)?.try_into().ok()?);
        if found != header(looks, geometry, &content, &sum) {
            return None;
        }
        // Used now: others are evicted before it.
        let _ = file.set_modified(SystemTime::now());
        let (list, real_sum) = HashList::load(*geometry, file)?;
        (real_sum == sum).then_some((content, list))
    }

    /// Starts the list of a file's hashes, near where it will stay.
    pub(crate) fn record(&self, looks: &Looks, geometry: &Geometry) -> HashRecorder {
        let temporary = self.place_of(looks, geometry).and_then(|path| {
            std::fs::create_dir_all(path.parent()?).ok()?;
            Some(path.with_extension(format!("{}.{TEMPORARY}", own_number())))
        });
        HashRecorder::new(*geometry, temporary)
    }

    /// Remembers a list that has been recorded, unless the file is too young for its time to tell
    /// whether it changes, or there is no place.
    pub(crate) fn keep(
        &self,
        looks: &Looks,
        geometry: &Geometry,
        content: &ContentId,
        recorded: Recorded,
    ) -> HashList {
        let Some(temporary) = recorded.path else {
            return recorded.list;
        };
        let kept = self
            .place_of(looks, geometry)
            .filter(|_| is_settled(looks))
            .and_then(|path| {
                let file = File::options().write(true).open(&temporary).ok()?;
                file.write_at(&header(looks, geometry, content, &recorded.sum), 0)
                    .ok()?;
                std::fs::rename(&temporary, path).ok()
            });
        if kept.is_none() {
            let _ = std::fs::remove_file(&temporary);
        }
        self.evict();
        recorded.list
    }

    /// Forgets a file whose bytes turned out to be others than its looks say.
    pub(crate) fn forget(&self, looks: &Looks, geometry: &Geometry) {
        if let Some(path) = self.place_of(looks, geometry) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// One place for each path and geometry: a file that has changed takes the place it had.
    fn place_of(&self, looks: &Looks, geometry: &Geometry) -> Option<PathBuf> {
        let mut name = blake3::Hasher::new();
        name.update(&looks.path.0);
        name.update(&geometry.symbol_size().to_be_bytes());
        name.update(&geometry.k().to_be_bytes());
        let name = name.finalize().to_hex();
        Some(
            self.folder
                .as_ref()?
                .join(&name[..40])
                .with_extension(EXTENSION),
        )
    }

    fn evict(&self) {
        let Some(Ok(entries)) = self.folder.as_ref().map(std::fs::read_dir) else {
            return;
        };
        let now = SystemTime::now();
        let mut total = 0;
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(meta) = entry.metadata() else { continue };
            let Ok(time) = meta.modified() else { continue };
            match path.extension().and_then(|e| e.to_str()) {
                Some(EXTENSION) => {
                    total += meta.len();
                    files.push((time, meta.len(), path));
                }
                Some(TEMPORARY) if now.duration_since(time).is_ok_and(|age| age > STALE) => {
                    let _ = std::fs::remove_file(path);
                }
                _ => {}
            }
        }
        files.sort();
        for (_, len, path) in files {
            if total <= self.limit {
                return;
            }
            total -= len;
            let _ = std::fs::remove_file(path);
        }
    }
}

fn is_settled(looks: &Looks) -> bool {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i128::from(looks.mtime) + (RACY.as_nanos() as i128) < now.as_nanos() as i128
}

fn header(
    looks: &Looks,
    geometry: &Geometry,
    content: &ContentId,
    sum: &Hash,
) -> [u8; LIST_START as usize] {
    let mut out = Vec::with_capacity(LIST_START as usize);
    out.extend(MAGIC);
    out.extend(looks.path.0);
    out.extend(looks.size.to_be_bytes());
    out.extend(looks.mtime.to_be_bytes());
    out.extend(looks.ctime.to_be_bytes());
    out.extend(looks.device.to_be_bytes());
    out.extend(looks.inode.to_be_bytes());
    out.extend(geometry.symbol_size().to_be_bytes());
    out.extend(geometry.k().to_be_bytes());
    out.extend(geometry.content_blocks().to_be_bytes());
    out.extend(content.0);
    out.extend(sum.0);
    let check = blake3::hash(&out);
    out.extend(check.as_bytes());
    let mut fixed = [0; LIST_START as usize];
    fixed[..out.len()].copy_from_slice(&out);
    fixed
}
