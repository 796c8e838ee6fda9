//! A file that is offered: hashed, described, and read block by block.
//!
//! Takes a path, gives a description and blocks. Each read is checked: a file that changes while it is
//! sent is noticed at the first block that shows it, so receivers never get a mixture. It does not
//! watch the file between reads.

use std::fs::{File, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config;
use crate::fault::{FaultKind, StoreFault};
use crate::ids::{BlockNo, ContentId, Hash};
use crate::object::{
    BlockKind, Codec, Description, FileTable, Geometry, GeometryError, NameError, SafeName,
    block_hash,
};
use crate::range_set::RangeSet;
use crate::store::disk::{Disk, will_read_in_order};
use crate::store::hash_list::HashList;
use crate::store::hashing::{HashingFault, hash_file};
use crate::store::traits::{fitting, source_len};
use crate::store::{HashCache, Store};

/// How often a file is hashed again because it changed meanwhile, before we say so.
const ATTEMPTS: u32 = 3;

/// A file that is offered. Blocks are read through a shared reference, by any thread.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    file: File,
    looks: Looks,
    description: Description,
    table: Vec<u8>,
    hashes: HashList,
    cache: HashCache,
}

/// Why a file can't be offered.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It can't be opened.
    #[error("{}: can't open: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder, a device or the like.
    #[error("{}: not a plain file: only plain files can be sent", path.display())]
    NotAFile {
        /// What it is.
        path: PathBuf,
    },
    /// It can't be read.
    #[error("{}: can't read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Receivers would refuse its name.
    #[error("{name:?} can't be the name of a file at the receivers: {why}; rename it")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// It can't be cut up like that.
    #[error("{}: {why}", path.display())]
    Geometry {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: GeometryError,
    },
    /// It changed each time it was hashed.
    #[error("{}: keeps changing while it is read; send it when nothing writes to it, or send a copy", path.display())]
    Unsteady {
        /// The file.
        path: PathBuf,
    },
    /// The caller stopped it.
    #[error("{}: hashing was stopped", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
}

/// What tells whether a file is still the one that was hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Looks {
    /// Hash of its path.
    pub(crate) path: Hash,
    pub(crate) size: u64,
    /// In ns since 1970.
    pub(crate) mtime: i64,
    /// Change of the inode, in ns since 1970: it moves also where someone sets mtime back.
    pub(crate) ctime: i64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) mode: Option<u32>,
}

impl Source {
    /// Opens a file to be offered under `name`, and hashes it with all cores unless `cache` knows it.
    ///
    /// `k` source symbols go into a block; without it [`config::SMALL_K`] or [`config::LARGE_K`] by
    /// size. With a `codec` that makes parity there is as much of it as it makes by default; nothing
    /// is made before a block is read. `progress` is told bytes done and bytes in all, some times a second, starts over if the
    /// file changes meanwhile, and stops the work by breaking.
    pub fn open(
        path: &Path,
        name: &str,
        symbol_size: u16,
        k: Option<u16>,
        codec: Codec,
        cache: &HashCache,
        mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Source, SourceError> {
        let safe = SafeName::offered(name).map_err(|why| SourceError::Name {
            name: name.to_owned(),
            why,
        })?;
        for _ in 0..ATTEMPTS {
            if let Some(source) =
                Source::attempt(path, &safe, symbol_size, k, codec, cache, &mut progress)?
            {
                return Ok(source);
            }
        }
        Err(SourceError::Unsteady {
            path: path.to_path_buf(),
        })
    }

    /// `None` if the file changed meanwhile.
    fn attempt(
        path: &Path,
        name: &SafeName,
        symbol_size: u16,
        k: Option<u16>,
        codec: Codec,
        cache: &HashCache,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<Source>, SourceError> {
        let file = open_plain(path)?;
        let look = |file: &File| {
            let meta = file.metadata().map_err(|source| SourceError::Read {
                path: path.to_path_buf(),
                source,
            })?;
            Ok(Looks::of(path, &meta))
        };
        let looks = look(&file)?;
        let table =
            FileTable::single(name.clone(), looks.size, Some(looks.mtime), looks.mode).encode();
        let geometry = cut(path, looks.size, table.len(), symbol_size, k, codec)?;
        let (content, hashes) = match cache.load(&looks, &geometry) {
            Some(known) => known,
            None => {
                let Some((content, recorded)) =
                    hash(path, &file, &looks, &geometry, cache, progress)?
                else {
                    return Ok(None);
                };
                if look(&file)? != looks {
                    if let Some(path) = recorded.path {
                        let _ = std::fs::remove_file(path);
                    }
                    return Ok(None);
                }
                (content, cache.keep(&looks, &geometry, &content, recorded))
            }
        };
        let description = Description {
            name: name.as_str().to_owned(),
            content,
            geometry,
            codec,
            table_hash: block_hash(&table),
            hash_root: hashes.root(),
        };
        let path = path.to_path_buf();
        Ok(Some(Source {
            path,
            file,
            looks,
            description,
            table,
            hashes,
            cache: cache.clone(),
        }))
    }

    fn read_content(&self, index: u32, offset: u64, content: &mut [u8]) -> Result<(), StoreFault> {
        let fault = |e| self.refused(&e);
        match self.file.read_at(content, offset) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.check()?;
                let text = "the file has become shorter";
                return Err(StoreFault::new(FaultKind::Changed, text));
            }
            Err(e) => return Err(fault(e)),
        }
        self.check()?;
        if self.hashes.get(index).map_err(fault)? != block_hash(content) {
            // It looks as it did, so the cache would give the same hashes for it again.
            self.cache.forget(&self.looks, &self.description.geometry);
            let text = format!("the file's bytes from {offset} on are not those that were offered");
            return Err(StoreFault::new(FaultKind::Changed, text));
        }
        Ok(())
    }

    /// The system would not let us read the file.
    fn refused(&self, error: &io::Error) -> StoreFault {
        let text = format!("{}: {error}", self.path.display());
        StoreFault::new(error.into(), text)
    }

    /// Checks that the file looks as it did when it was hashed, and that its path still leads to it.
    /// A path that leads nowhere does no harm: the file is still open.
    pub fn check(&self) -> Result<(), StoreFault> {
        let changed = |text: String| Err(StoreFault::new(FaultKind::Changed, text));
        let meta = self.file.metadata().map_err(|e| self.refused(&e))?;
        let now = Looks::of(&self.path, &meta);
        let then = &self.looks;
        if now.size != then.size {
            let (now, then) = (now.size, then.size);
            return changed(format!(
                "the file has {now} bytes now, and had {then} when it was offered"
            ));
        }
        if now.mtime != then.mtime {
            return changed("the file has been written to since it was offered".to_owned());
        }
        if let Ok(there) = std::fs::metadata(&self.path) {
            let there = Looks::of(&self.path, &there);
            if (there.device, there.inode) != (then.device, then.inode) {
                return changed("another file has taken its place since it was offered".to_owned());
            }
        }
        Ok(())
    }
}

impl Store for Source {
    fn description(&self) -> &Description {
        &self.description
    }

    /// All blocks: whether the file has changed shows when a block is read.
    fn held(&self) -> RangeSet {
        let mut all = RangeSet::new();
        all.insert(0..u64::from(self.description.geometry.blocks()));
        all
    }

    /// Content must have the hash that was found when the file was opened, and the file must look
    /// as it did then: else it has changed, and is to be withdrawn.
    fn read_block(&self, block: BlockNo, slot: &mut [u8]) -> Result<usize, StoreFault> {
        let g = &self.description.geometry;
        let size = usize::from(g.symbol_size());
        let bytes = source_len(g, block);
        let slot = fitting(g, block, bytes, slot)?;
        match g.kind(block) {
            BlockKind::Table => {
                slot[..self.table.len()].copy_from_slice(&self.table);
                slot[self.table.len()..].fill(0);
            }
            BlockKind::Pages { first_page } => {
                for (page, symbol) in (first_page..).zip(slot.chunks_exact_mut(size)) {
                    let written = self.hashes.write_page(page, symbol);
                    written.map_err(|e| StoreFault::new(FaultKind::from(&e), e.to_string()))?;
                }
            }
            BlockKind::Content { index, offset, len } => {
                let (content, rest) = slot.split_at_mut(len as usize);
                rest.fill(0);
                self.read_content(index, offset, content)?;
            }
        }
        Ok(bytes)
    }
}

/// How a file of `length` bytes is cut into symbols and blocks.
fn cut(
    path: &Path,
    length: u64,
    table_len: usize,
    symbol_size: u16,
    k: Option<u16>,
    codec: Codec,
) -> Result<Geometry, SourceError> {
    let k = k.unwrap_or(if length < config::LARGE_OBJECT {
        config::SMALL_K
    } else {
        config::LARGE_K
    });
    let m = codec.default_parity(k);
    Geometry::new(length, symbol_size, k, m, table_len as u32).map_err(|why| {
        let path = path.to_path_buf();
        SourceError::Geometry { path, why }
    })
}

fn open_plain(path: &Path) -> Result<File, SourceError> {
    let fault = |source| SourceError::Open {
        path: path.to_path_buf(),
        source,
    };
    // Before opening: a pipe would make us wait for a writer.
    if !std::fs::metadata(path).map_err(fault)?.is_file() {
        return Err(SourceError::NotAFile {
            path: path.to_path_buf(),
        });
    }
    let file = File::open(path).map_err(fault)?;
    will_read_in_order(&file);
    Ok(file)
}

/// `None` if the file turned out shorter than it was.
fn hash(
    path: &Path,
    file: &File,
    looks: &Looks,
    geometry: &Geometry,
    cache: &HashCache,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Option<(ContentId, crate::store::hash_list::Recorded)>, SourceError> {
    let path = || path.to_path_buf();
    let mut recorder = cache.record(looks, geometry);
    match hash_file(file, geometry, |hash| recorder.push(hash), progress) {
        Ok(content) => {
            let lost = || io::Error::other("the list of block hashes could not be kept");
            let recorded = recorder.finish().ok_or_else(lost);
            let recorded = recorded.map_err(|source| SourceError::Read {
                path: path(),
                source,
            })?;
            Ok(Some((content, recorded)))
        }
        Err(HashingFault::Shorter) => Ok(None),
        Err(HashingFault::Stopped) => Err(SourceError::Stopped { path: path() }),
        Err(HashingFault::Io(source)) => Err(SourceError::Read {
            path: path(),
            source,
        }),
    }
}

impl Looks {
    pub(crate) fn of(path: &Path, meta: &Metadata) -> Looks {
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let path = Hash(*blake3::hash(full.as_os_str().as_encoded_bytes()).as_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
            Looks {
                path,
                size: meta.len(),
                mtime: ns(meta.mtime(), meta.mtime_nsec()),
                ctime: ns(meta.ctime(), meta.ctime_nsec()),
                device: meta.dev(),
                inode: meta.ino(),
                mode: Some(meta.mode() & 0o777),
            }
        }
        #[cfg(not(unix))]
        {
            let since =
                |t: std::time::SystemTime| t.duration_since(std::time::SystemTime::UNIX_EPOCH).ok();
            let mtime = meta
                .modified()
                .ok()
                .and_then(since)
                .map_or(0, |d| d.as_nanos() as i64);
            Looks {
                path,
                size: meta.len(),
                mtime,
                ctime: 0,
                device: 0,
                inode: 0,
                mode: None,
            }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
