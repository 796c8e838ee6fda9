//! Looks for an object's files where they will be.
//!
//! Takes a file table and a folder. First every entry is looked at under its own path; that is all
//! where nothing has changed. Only if files are lacking then, all others below the folder that have
//! the size of one are hashed, and those of an unfinished version before.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::content::{LARGE, Progress, content_of, read_hash};
use super::walk::walk;
use super::{Found, Here, Old, OnDisk, Origin, Reuse, lay};
use crate::ids::{ContentId, Hash};
use crate::object::table::{Entry, EntryKind, FileTable};
use crate::store::known::KnownHashes;
use crate::store::looks::{Stamp, mode_of};

/// Files under other names that are looked at: more are passed over.
const MAX_CANDIDATES: usize = 1 << 20;

/// No file: there are fewer.
const NONE: u32 = u32::MAX;

/// Object that is looked for, and where.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) table: &'a FileTable,
    /// The folder that the table's paths begin in.
    pub(crate) place: &'a Path,
    /// Content id of the object, and the size of its blocks: what there is of a single file, whose
    /// table has no hash.
    pub(crate) object: (ContentId, u64),
    pub(crate) modes: Modes,
    /// The object comes right into `place`, whose own time and mode are the receiver's.
    pub(crate) inside: bool,
    /// A folder beside the place whose files are of use as well, wherever in it they are.
    pub(crate) leftovers: Option<&'a Path>,
}

/// The modes of what arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Modes {
    /// Bits of the table's that are set here; the others are taken away.
    pub(crate) left: u32,
    /// Bits of which that is known.
    pub(crate) known: u32,
}

/// A file under its own path, as large as it should be.
struct Own {
    entry: usize,
    stamp: Stamp,
    mode: Option<u32>,
    hash: Option<Hash>,
}

/// Content that is wanted, by size and hash, and the entry that wants it; sorted.
type Wanted = Vec<(u64, Hash, usize)>;

/// The work so far.
struct Search<'a> {
    ask: &'a Ask<'a>,
    known: &'a KnownHashes,
    progress: Progress<'a>,
    stopped: AtomicBool,
    place: PathBuf,
    here: Vec<Here>,
    /// For each entry the file that has its content.
    serves: Vec<u32>,
    files: Vec<OnDisk>,
    old: Option<Old>,
}

/// Finds what is here. Files whose hash is not known are read; `progress` is told of that, and
/// stops the search by breaking: then there is no result.
pub(crate) fn find(ask: &Ask<'_>, known: &KnownHashes, progress: Progress<'_>) -> Option<Reuse> {
    let place = std::path::absolute(ask.place).ok()?;
    let mut search = Search {
        ask,
        known,
        progress,
        stopped: AtomicBool::new(false),
        place,
        here: vec![Here::No; ask.table.len()],
        serves: vec![NONE; ask.table.len()],
        files: Vec::new(),
        old: None,
    };
    search.run();
    known.save();
    if search.stopped.load(Ordering::Relaxed) {
        return None;
    }
    Some(search.result())
}

impl Search<'_> {
    fn run(&mut self) {
        let paths = self.under_own_paths();
        let own = self.look_at(&paths);
        let mut others: Vec<(PathBuf, Stamp, Hash)> = Vec::new();
        let mut seen: HashSet<(u64, u64)> = HashSet::new();
        for own in own {
            let entry = self.ask.table.entry(own.entry);
            let path = || os_path(entry.path);
            let (EntryKind::File { length, hash, .. }, Some(path)) = (&entry.kind, path()) else {
                continue;
            };
            if *length == 0 || (own.hash.is_some() && own.hash == *hash) {
                let here = dressed(&entry, own.stamp.mtime, own.mode, self.ask.modes);
                set(&mut self.here, own.entry, here);
                if *length > 0 {
                    let index = self.add(path, own.stamp);
                    set(&mut self.serves, own.entry, index);
                }
            } else if let Some(hash) = own.hash {
                seen.insert((own.stamp.device, own.stamp.inode));
                others.push((path, own.stamp, hash));
            }
        }
        let mut wanted = self.wanted();
        if wanted.is_empty() {
            return;
        }
        self.among_own(&wanted);
        for (path, stamp, hash) in others {
            self.serve(&wanted, path, stamp, &hash);
        }
        wanted.retain(|(_, _, entry)| self.serves.get(*entry) == Some(&NONE));
        if !wanted.is_empty() {
            seen.extend(self.files.iter().map(|f| (f.stamp.device, f.stamp.inode)));
            self.elsewhere(&wanted, &seen);
        }
    }

    /// Looks at folders and links, and gives the entries of files whose folders are there.
    fn under_own_paths(&mut self) -> Vec<usize> {
        let table = self.ask.table;
        let mut files = Vec::new();
        // What is below a path that is no folder is not looked at: a link might lead elsewhere.
        let mut closed: Option<&[u8]> = None;
        for index in 0..table.len() {
            let path = table.path(index);
            if closed.is_some_and(|folder| is_below(path, folder)) {
                continue;
            }
            let entry = table.entry(index);
            let full = os_path(path).map(|p| self.place.join(p));
            let here = match &entry.kind {
                EntryKind::File { length, hash, .. } => {
                    if *length == 0 || hash.is_some() {
                        files.push(index);
                        continue;
                    }
                    full.map_or(Here::No, |full| self.single(index, &entry, &full))
                }
                EntryKind::Link { target } => {
                    let there = full.and_then(|f| std::fs::read_link(f).ok());
                    let same = there.is_some_and(|t| t.as_os_str().as_encoded_bytes() == *target);
                    if same { Here::Whole } else { Here::No }
                }
                EntryKind::Folder => {
                    let meta = full.and_then(|f| std::fs::symlink_metadata(f).ok());
                    let meta = meta.filter(std::fs::Metadata::is_dir);
                    if meta.is_none() {
                        closed = Some(path);
                    }
                    let is_receivers = self.ask.inside && path.is_empty();
                    meta.map_or(Here::No, |meta| {
                        if is_receivers {
                            return Here::Whole;
                        }
                        let mtime = Stamp::of(&meta).mtime;
                        dressed(&entry, mtime, mode_of(&meta), self.ask.modes)
                    })
                }
            };
            set(&mut self.here, index, here);
        }
        files
    }

    /// The only file of an object, which has no hash but the content id.
    fn single(&mut self, index: usize, entry: &Entry<'_>, full: &Path) -> Here {
        let (id, block) = self.ask.object;
        if self.ask.table.len() != 1 {
            return Here::No;
        }
        let content = content_of(full, block, self.known, &|n| self.step(n));
        let (Some(content), Some(path)) = (content, os_path(entry.path)) else {
            return Here::No;
        };
        let file = self.add(path, content.stamp);
        if content.id != id || content.stamp.size != self.ask.table.content_len() {
            self.old = Some(Old {
                index: file,
                content: content.id,
                blocks: content.blocks,
            });
            return Here::No;
        }
        set(&mut self.serves, index, file);
        let meta = std::fs::symlink_metadata(full);
        match meta {
            Ok(meta) if Stamp::of(&meta) == content.stamp => {
                dressed(entry, content.stamp.mtime, mode_of(&meta), self.ask.modes)
            }
            _ => Here::No,
        }
    }

    /// Files that are under their own paths with the right size, and their hashes.
    fn look_at(&self, entries: &[usize]) -> Vec<Own> {
        let table = self.ask.table;
        let look = |full: &mut PathBuf, &entry: &usize| {
            let path = os_path(table.path(entry))?;
            full.clone_from(&self.place);
            full.push(path);
            let meta = std::fs::symlink_metadata(&*full).ok()?;
            let stamp = Stamp::of(&meta);
            let EntryKind::File { length, .. } = table.entry(entry).kind else {
                return None;
            };
            if !meta.is_file() || stamp.size != length {
                return None;
            }
            let hash = if length == 0 {
                None
            } else {
                self.known.file(&stamp.at(full))
            };
            let hash = hash.or_else(|| self.small_hash(full, &stamp));
            let mode = mode_of(&meta);
            Some(Own {
                entry,
                stamp,
                mode,
                hash,
            })
        };
        let entries = entries.par_iter();
        let found = entries.map_init(PathBuf::new, look);
        let mut found: Vec<Own> = found.flatten_iter().collect();
        for own in &mut found {
            if own.hash.is_none()
                && own.stamp.size >= LARGE
                && let Some(path) = os_path(table.path(own.entry))
            {
                own.hash = self.hash(&self.place.join(path), &own.stamp);
            }
        }
        found
    }

    /// Entries that no file was found for, sorted.
    fn wanted(&self) -> Wanted {
        let mut wanted = Vec::new();
        for (index, serves) in self.serves.iter().enumerate() {
            if *serves == NONE
                && let EntryKind::File { length, hash, .. } = self.ask.table.entry(index).kind
                && let Some(hash) = hash.filter(|_| length > 0)
            {
                wanted.push((length, hash, index));
            }
        }
        wanted.sort_unstable();
        wanted
    }

    /// Entries with the same content as one that is here.
    fn among_own(&mut self, wanted: &Wanted) {
        for index in 0..self.serves.len() {
            let file = self.serves.get(index).copied().unwrap_or(NONE);
            if file == NONE {
                continue;
            }
            if let EntryKind::File { length, hash, .. } = self.ask.table.entry(index).kind
                && let Some(hash) = hash
            {
                for entry in wanting(wanted, length, &hash) {
                    set(&mut self.serves, entry, file);
                }
            }
        }
    }

    /// Lets a file serve all entries that want its content.
    fn serve(&mut self, wanted: &Wanted, path: PathBuf, stamp: Stamp, hash: &Hash) {
        let mut free = wanting(wanted, stamp.size, hash).peekable();
        let Some(first) = free.peek() else { return };
        if self.serves.get(*first) != Some(&NONE) {
            return;
        }
        let index = self.add(path, stamp);
        free.for_each(|entry| set(&mut self.serves, entry, index));
    }

    /// Files that were renamed or moved.
    fn elsewhere(&mut self, wanted: &Wanted, seen: &HashSet<(u64, u64)>) {
        let sizes: HashSet<u64> = wanted.iter().map(|(size, _, _)| *size).collect();
        let mut candidates = Vec::new();
        let mut look = |root: &Path, is_place: bool| {
            walk(root, |path, stamp| {
                if sizes.contains(&stamp.size) && !seen.contains(&(stamp.device, stamp.inode)) {
                    let path = if is_place { path } else { root.join(path) };
                    candidates.push((path, stamp));
                }
                candidates.len() < MAX_CANDIDATES
            });
        };
        if let Some(leftovers) = self.ask.leftovers.and_then(|l| std::path::absolute(l).ok()) {
            look(&leftovers, false);
        }
        look(&self.place, true);
        let hashes: Vec<Option<Hash>> = candidates
            .par_iter()
            .map(|(path, stamp)| {
                let full = self.place.join(path);
                let known = self.known.file(&stamp.at(&full));
                known.or_else(|| self.small_hash(&full, stamp))
            })
            .collect();
        for ((path, stamp), hash) in candidates.into_iter().zip(hashes) {
            let large = || (stamp.size >= LARGE).then(|| self.place.join(&path));
            let hash = hash.or_else(|| self.hash(&large()?, &stamp));
            if let Some(hash) = hash {
                self.serve(wanted, path, stamp, &hash);
            }
        }
    }

    /// The hash of a file that is read here and now, by one thread.
    fn small_hash(&self, full: &Path, stamp: &Stamp) -> Option<Hash> {
        if stamp.size == 0 || stamp.size >= LARGE {
            return None;
        }
        self.hash(full, stamp)
    }

    fn hash(&self, full: &Path, stamp: &Stamp) -> Option<Hash> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        read_hash(full, stamp, self.known, &|n| self.step(n))
    }

    fn step(&self, bytes: u64) -> ControlFlow<()> {
        let flow = (self.progress)(bytes);
        if flow.is_break() {
            self.stopped.store(true, Ordering::Relaxed);
        }
        flow
    }

    fn add(&mut self, path: PathBuf, stamp: Stamp) -> u32 {
        let index = self.files.len() as u32;
        self.files.push(OnDisk { path, stamp });
        index
    }

    fn result(self) -> Reuse {
        let table = self.ask.table;
        let mut files = Vec::new();
        for (entry, &index) in self.serves.iter().enumerate() {
            let size = self.files.get(index as usize).map_or(0, |f| f.stamp.size);
            if size > 0 {
                let start = table.offset(entry);
                files.push(Found {
                    content: start..start + size,
                    from: Origin::File { index, at: 0 },
                });
            }
        }
        Reuse {
            place: self.place,
            found: lay(files, table.holes()),
            files: self.files,
            here: self.here,
            block: self.ask.object.1,
            old: self.old,
        }
    }
}

/// Entries that want this content.
fn wanting(wanted: &Wanted, size: u64, hash: &Hash) -> impl Iterator<Item = usize> {
    let first = wanted.partition_point(|(s, h, _)| (s, h) < (&size, hash));
    let same = wanted.iter().skip(first).take_while({
        let hash = *hash;
        move |(s, h, _)| (*s, *h) == (size, hash)
    });
    same.map(|(_, _, entry)| *entry)
}

/// How much of an entry is here whose content is.
fn dressed(entry: &Entry<'_>, mtime: i64, mode: Option<u32>, modes: Modes) -> Here {
    // What is here can always be read by its owner, and folders entered.
    let least = match entry.kind {
        EntryKind::Folder => 0o500,
        _ => 0o400,
    };
    let set = entry.mode & modes.left | least;
    let same_mode = mode.is_none_or(|mode| (mode ^ set) & modes.known == 0);
    if mtime == entry.mtime && same_mode {
        Here::Whole
    } else {
        Here::Content
    }
}

/// Whether a path is of something in a folder, at any depth.
fn is_below(path: &[u8], folder: &[u8]) -> bool {
    match path.strip_prefix(folder) {
        Some(rest) => folder.is_empty() || rest.first() == Some(&b'/'),
        None => false,
    }
}

/// A table's path as the system has it; `None` if it can't have it.
fn os_path(path: &[u8]) -> Option<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
    }
    #[cfg(not(unix))]
    std::str::from_utf8(path).ok().map(PathBuf::from)
}

fn set<T>(list: &mut [T], index: usize, value: T) {
    if let Some(slot) = list.get_mut(index) {
        *slot = value;
    }
}
