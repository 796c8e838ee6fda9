//! The hashes of a source's blocks: in memory when they are few, else in a file.
//!
//! Takes hashes one by one while a file is hashed, then gives them back page by page. What is read
//! from a file is checked against the tree, which is in memory.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::Hash;
use crate::object::{Geometry, PageTree, PageTreeBuilder};
use crate::store::disk::Disk;

/// Where hashes begin in a file; before them is what the cache needs to know.
pub(crate) const LIST_START: u64 = 256;

/// A number for a temporary file that no other list has.
pub(crate) fn own_number() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Hashes that stay in memory: 1 MiB of them, 22 GB of file with blocks of 512 symbols.
const FEW: u32 = 32_768;

/// Block hashes and the tree over them.
#[derive(Debug)]
pub(crate) struct HashList {
    geometry: Geometry,
    tree: PageTree,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<Hash>),
    File(File),
}

/// A hash list in the making.
pub(crate) struct HashRecorder {
    geometry: Geometry,
    tree: PageTreeBuilder,
    few: Vec<Hash>,
    spill: Option<BufWriter<File>>,
    path: Option<PathBuf>,
    sum: blake3::Hasher,
}

/// A hash list that is complete, and the file it was written to, if it was.
pub(crate) struct Recorded {
    pub(crate) list: HashList,
    /// Hash over all hashes.
    pub(crate) sum: Hash,
    /// The temporary file, to be given a name or removed.
    pub(crate) path: Option<PathBuf>,
}

impl HashRecorder {
    /// Starts a list. `temporary` is where a file may be made; without it (or if that fails) long
    /// lists are kept in memory too.
    pub(crate) fn new(geometry: Geometry, temporary: Option<PathBuf>) -> HashRecorder {
        let open = |path: &PathBuf| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)
                .ok()
        };
        let mut path = temporary;
        let mut file = path.as_ref().and_then(open);
        let many = geometry.content_blocks() > FEW;
        if file.is_none() && many {
            path = Some(std::env::temp_dir().join(format!("loopcast-{}.hashes", own_number())));
            file = path.as_ref().and_then(open);
        }
        if file
            .as_mut()
            .is_some_and(|f| f.seek(SeekFrom::Start(LIST_START)).is_err())
        {
            file = None;
        }
        HashRecorder {
            geometry,
            tree: PageTreeBuilder::new(geometry),
            few: Vec::new(),
            path: path.filter(|_| file.is_some()),
            spill: file.map(BufWriter::new),
            sum: blake3::Hasher::new(),
        }
    }

    /// Adds the next block's hash.
    pub(crate) fn push(&mut self, hash: Hash) -> io::Result<()> {
        self.tree.push(hash);
        self.sum.update(&hash.0);
        if self.spill.is_none() || self.geometry.content_blocks() <= FEW {
            self.few.push(hash);
        }
        let Some(spill) = &mut self.spill else {
            return Ok(());
        };
        match spill.write_all(&hash.0) {
            Ok(()) => Ok(()),
            // A short list is in memory anyway and only goes without a cache.
            Err(_) if self.geometry.content_blocks() <= FEW => {
                self.discard();
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn discard(&mut self) {
        self.spill = None;
        if let Some(path) = self.path.take() {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Ends the list; `None` if the number of hashes is not that of the object's blocks, or they
    /// could not be written.
    pub(crate) fn finish(mut self) -> Option<Recorded> {
        let builder = std::mem::replace(&mut self.tree, PageTreeBuilder::new(self.geometry));
        let tree = builder.finish()?;
        let sum = Hash(*self.sum.finalize().as_bytes());
        let file = self.spill.take().and_then(|spill| spill.into_inner().ok());
        let path = if file.is_some() {
            self.path.take()
        } else {
            None
        };
        let place = match file {
            Some(file) if self.geometry.content_blocks() > FEW => Place::File(file),
            _ => Place::Memory(std::mem::take(&mut self.few)),
        };
        let list = HashList {
            geometry: self.geometry,
            tree,
            place,
        };
        list.is_complete().then_some(Recorded { list, sum, path })
    }
}

impl Drop for HashRecorder {
    fn drop(&mut self) {
        self.discard();
    }
}

impl HashList {
    /// Takes over a file of the cache; gives the hash over all hashes too.
    pub(crate) fn load(geometry: Geometry, file: File) -> Option<(HashList, Hash)> {
        let mut tree = PageTreeBuilder::new(geometry);
        let mut sum = blake3::Hasher::new();
        let mut few = Vec::new();
        let mut at = 0;
        let mut bytes = vec![0; 1 << 20];
        while at < geometry.content_blocks() {
            let count = (bytes.len() as u32 / 32).min(geometry.content_blocks() - at);
            let part = &mut bytes[..count as usize * 32];
            file.read_at(part, LIST_START + u64::from(at) * 32).ok()?;
            sum.update(part);
            for hash in part.as_chunks().0 {
                tree.push(Hash(*hash));
                if geometry.content_blocks() <= FEW {
                    few.push(Hash(*hash));
                }
            }
            at += count;
        }
        let tree = tree.finish()?;
        let place = if geometry.content_blocks() <= FEW {
            Place::Memory(few)
        } else {
            Place::File(file)
        };
        Some((
            HashList {
                geometry,
                tree,
                place,
            },
            Hash(*sum.finalize().as_bytes()),
        ))
    }

    fn is_complete(&self) -> bool {
        match &self.place {
            Place::Memory(hashes) => hashes.len() == self.geometry.content_blocks() as usize,
            Place::File(_) => true,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// The root of the tree over the pages.
    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The hash of a content block.
    pub(crate) fn get(&self, index: u32) -> io::Result<Hash> {
        let (page, place) = self.geometry.page_of(index);
        let missing = || io::Error::from(io::ErrorKind::InvalidInput);
        if let Place::Memory(hashes) = &self.place {
            return hashes.get(index as usize).copied().ok_or_else(missing);
        }
        self.page(page)?.get(place).copied().ok_or_else(missing)
    }

    /// Writes a page as it is sent.
    pub(crate) fn write_page(&self, page: u32, symbol: &mut [u8]) -> io::Result<()> {
        let hashes = self.page(page)?;
        self.tree.write_page(page, &hashes, symbol);
        Ok(())
    }

    fn page(&self, page: u32) -> io::Result<Vec<Hash>> {
        let first = u64::from(page) * u64::from(self.geometry.hashes_per_page());
        let count = usize::from(self.geometry.hashes_in(page));
        match &self.place {
            Place::Memory(hashes) => {
                let first = first as usize;
                hashes
                    .get(first..first + count)
                    .map(<[Hash]>::to_vec)
                    .ok_or_else(|| io::ErrorKind::InvalidInput.into())
            }
            Place::File(file) => {
                let mut bytes = vec![0; count * 32];
                file.read_at(&mut bytes, LIST_START + first * 32)?;
                let hashes: Vec<Hash> = bytes.as_chunks().0.iter().map(|h| Hash(*h)).collect();
                if self.tree.holds(page, &hashes) {
                    return Ok(hashes);
                }
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the list of block hashes was damaged on disk",
                ))
            }
        }
    }
}
