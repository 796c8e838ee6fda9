//! An object on a receiver's disk.
//!
//! Takes blocks and pages, puts bytes where they belong, says which blocks hold, and in the end
//! gives the object its name. It decides nothing about what is asked for, and trusts no byte
//! before its hash.
//!
//! Decisions:
//!
//! * A block is written once, when it is whole and its hash is computed, and not read again.
//!   Symbols that have to leave memory before wait in a [spool](spool), as do whole blocks of a
//!   tree whose file table has not come.
//! * Data goes to the disk before the bit that says that it is there. So what a crash leaves is too
//!   little, never wrong, and a later run checks it all the same.
//! * What is under the object's name already stays as it is until the object is complete, and then
//!   too unless replacing was asked for or this run had put it there ([`SinkError::Kept`]). Where
//!   it has the same bytes it is the object.
//! * An incomplete file of another content (the sender's file has changed) is not written over: it
//!   becomes `NAME.part.old` (an older one of that name goes), and [`Sink::moved_aside`] says so.
//! * What was staged of another version of a tree is kept apart until what this one can use of it
//!   has been copied. A folder of that name that is of no version is not touched.
//! * A later run finds whole blocks again, not single symbols.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fec::Decoder;
use crate::ids::BlockNo;
use crate::object::table::FileTable;
use crate::object::{Checker, Description, Geometry, ObjectKind, Part, SafeName};
use crate::range_set::RangeSet;
use crate::store::bitmap::Bitmap;
use crate::store::disk::Disk;
use crate::store::folder::Folder;
use crate::store::recover::Found;
use crate::store::selection::{Chosen, Wanted};
use crate::store::sidecar::{Sidecar, State, Whose};
use crate::store::{KnownHashes, MovedAside, SinkError};

mod blocks;
mod existing;
mod kept;
mod look;
mod place;
mod seam;
mod spool;
mod table;
mod tree;

use existing::Search;
use kept::Replaces;
use look::{Looking, Where};
use place::{At, OneFile, check_space, move_aside};
pub(crate) use place::{Place, check_target, set_mode, system_time};
pub use seam::FolderDestination;
use spool::Spool;
pub use tree::TreeOptions;
use tree::{Leftovers, Tree};

/// An object that is being written. Belongs to one thread at a time.
pub struct Sink {
    description: Description,
    checker: Checker,
    name: SafeName,
    into: PathBuf,
    folder: Arc<Folder>,
    /// Of a tree.
    leftovers: Option<Leftovers>,
    means: Means,
    sidecar: Sidecar,
    spool: Spool,
    /// Where content goes, once the first of it does.
    place: Option<Box<dyn Place>>,
    bits: Bits,
    /// Blocks that an earlier run of a tree put where only the file table can tell, which it lost.
    late: Bitmap,
    table: Option<Arc<FileTable>>,
    /// Ranges of the content that are zeros and take no room, by the table.
    holes: RangeSet,
    /// The wanted part, where that is not all.
    chosen: Option<Chosen>,
    search: Search,
    decoder: Decoder,
    scratch: Vec<u8>,
    io: Io,
    moved_aside: Option<MovedAside>,
}

/// A bit for each block.
struct Bits {
    /// Blocks that hold, pages too.
    verified: Bitmap,
    /// Blocks whose page has not come.
    unproven: Bitmap,
    /// Whole blocks, verified or unproven, that wait in the spool.
    spooled: Bitmap,
    /// Blocks of which this run has put symbols into the spool.
    begun: Bitmap,
}

/// Bytes of blocks that went to and from the disk, beside what [`Store`](crate::store::Store) was
/// asked to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Io {
    /// Read of what had been written before.
    pub read_back: u64,
    /// Written, to the object's place or to the spool.
    pub written: u64,
}

/// Means of a sink; tests put others in.
#[derive(Clone)]
pub(crate) struct Means {
    /// Puts something between a file and its writer.
    pub(crate) wrap: Arc<dyn Fn(File) -> Box<dyn Disk> + Send + Sync>,
    /// Makes the place of a tree in a folder, or finds what an earlier run left of it.
    pub(crate) tree: MakeTree,
    /// Looks for what is there already of an object.
    pub(crate) existing: FindExisting,
    /// Options for a single file.
    pub(crate) options: TreeOptions,
    /// The part of the object that is wanted.
    pub(crate) wanted: Wanted,
    /// Files that a single file may take its name from.
    pub(crate) replaces: Replaces,
}

/// See [`Means::tree`].
pub(crate) type MakeTree =
    Arc<dyn Fn(&Tree<'_>) -> Result<Box<dyn Place>, SinkError> + Send + Sync>;

/// See [`Means::existing`].
pub(crate) type FindExisting = Arc<dyn Fn(Where, &Arc<FileTable>) -> Looking + Send + Sync>;

impl Sink {
    /// Makes a place for an object in `into` (made if it is not there), or finds what an earlier
    /// run left of it. Reads what was left once, which takes as long as that takes.
    pub fn open(into: &Path, description: &Description) -> Result<Sink, SinkError> {
        let means = Means::real(KnownHashes::none(), TreeOptions::default());
        Sink::open_with(into, description, means)
    }

    pub(crate) fn open_with(
        into: &Path,
        description: &Description,
        means: Means,
    ) -> Result<Sink, SinkError> {
        let safe = SafeName::offered(&description.name).map_err(|why| SinkError::Name {
            name: description.name.clone(),
            why,
        })?;
        let (folders, name) = safe.split();
        let folder = Arc::new(Folder::open(into, &folders)?);
        let g = description.geometry;
        let is_file = description.kind == ObjectKind::File;
        if is_file {
            check_target(&folder, name)?;
        }
        let leftovers =
            (!is_file).then(|| Leftovers::new(&in_folder(into, &safe), name, description.kind));
        let (state, resumed) = open_state(&folder, name, description, leftovers.as_ref())?;
        let mut spool = Spool::new(&folder, name, &g);
        let mut moved_aside = None;
        if !resumed {
            spool.remove(&folder)?;
        }
        if is_file {
            if !resumed {
                moved_aside = move_aside(&folder, name)?;
            }
            // Nothing is to be written where another file keeps the name, or is the object.
            if means.replaces.another(&folder, name)?.is_none()
                && let Err(e) = check_space(&folder, name, g.length(), Sidecar::size(&g))
            {
                if !resumed {
                    let _ = folder.remove(&suffixed(name, "part.state"));
                }
                return Err(e);
            }
        }
        let path = folder.path_of(&suffixed(name, "part.state"));
        let fault = |e| SinkError::write(&path, e);
        state.set_len(Sidecar::size(&g)).map_err(fault)?;
        let sidecar = Sidecar::new((means.wrap)(state), path, &g);
        let mut sink = Sink {
            description: description.clone(),
            checker: Checker::new(description),
            name: safe,
            into: into.to_path_buf(),
            folder,
            leftovers,
            means,
            sidecar,
            spool,
            place: None,
            bits: Bits::new(&g),
            late: Bitmap::new(g.blocks()),
            table: None,
            holes: RangeSet::new(),
            chosen: None,
            search: Search::new(resumed),
            decoder: Decoder::new(),
            scratch: Vec::new(),
            io: Io::default(),
            moved_aside,
        };
        if resumed {
            sink.resume()?;
        } else {
            sink.sidecar.start(&description.coding())?;
        }
        Ok(sink)
    }

    fn resume(&mut self) -> Result<(), SinkError> {
        let mut found = Found::new(&self.checker);
        let from_table = |block, bytes: &mut [u8]| {
            let offset = u64::from(block_index(&self.description.geometry, block))
                * u64::from(self.description.geometry.block_size());
            self.sidecar.read_table(bytes, offset).is_ok()
        };
        found.look(Part::Table, &self.checker, &self.sidecar, &from_table)?;
        self.bits.verified = found.verified;
        self.bits.unproven = found.unproven;
        // A table that is refused is just one that has not come.
        if self.take_table().is_err() {
            let g = self.description.geometry;
            for block in g.blocks_of(Part::Table) {
                self.bits.verified.set(block, false);
            }
        }
        self.resume_content()
    }

    fn resume_content(&mut self) -> Result<(), SinkError> {
        self.bits.spooled = self.sidecar.states(State::Spooled)?;
        if self.bits.spooled.ones() > 0 {
            self.spool.open(&self.folder, &self.means)?;
        }
        let in_place = self.said_in_place()?;
        let mut late = Bitmap::new(in_place.len());
        match self.description.kind {
            // Made anew it would be zeros, which nobody has said.
            ObjectKind::File if !self.has_part()? => {}
            _ if in_place.ones() == 0 => {}
            kind if kind == ObjectKind::File || self.table.is_some() => _ = self.place()?,
            _ => late = in_place,
        }
        let mut found = Found {
            verified: self.bits.verified.clone(),
            unproven: self.bits.unproven.clone(),
        };
        let read = |block, bytes: &mut [u8]| self.read_data(block, 0, bytes).is_ok();
        found.look(Part::Content, &self.checker, &self.sidecar, &read)?;
        found.settle(&self.sidecar, &late)?;
        (self.bits.verified, self.bits.unproven, self.late) =
            (found.verified, found.unproven, late);
        let spooled = self.bits.spooled.iter();
        let wrong: Vec<BlockNo> = spooled.filter(|&b| !self.bits.whole(b)).collect();
        for block in wrong {
            self.mark(State::Spooled, block, false)?;
        }
        if self.bits.spooled.ones() == 0 {
            return self.spool.remove(&self.folder);
        }
        self.spool.keep_only(&self.bits.spooled);
        Ok(())
    }

    /// Blocks of content that an earlier run says are where they belong.
    fn said_in_place(&self) -> Result<Bitmap, SinkError> {
        let verified = self.sidecar.states(State::Verified)?;
        let unproven = self.sidecar.states(State::Unproven)?;
        let mut said = Bitmap::new(verified.len());
        for block in self.description.geometry.blocks_of(Part::Content) {
            let is_said = verified.contains(block) || unproven.contains(block);
            said.set(block, is_said && !self.bits.spooled.contains(block));
        }
        Ok(said)
    }

    /// Blocks that are written and hold, those of an earlier run too.
    pub fn held(&self) -> RangeSet {
        let blocks = self.bits.verified.iter().map(u64::from);
        blocks.map(|block| block..block + 1).collect()
    }

    /// Blocks that are written but not proven: those of an earlier run whose page has not come, and
    /// those that [`finish_block`](Sink::finish_block) said so of.
    pub fn unproven(&self) -> impl Iterator<Item = BlockNo> + '_ {
        self.bits.unproven.iter()
    }

    /// What became of an incomplete file of another content, if there was one.
    pub fn moved_aside(&self) -> Option<&MovedAside> {
        self.moved_aside.as_ref()
    }

    /// Where the object will be; of one that comes into the receiver's own folder, that folder.
    pub fn path(&self) -> PathBuf {
        match self.description.kind {
            ObjectKind::Inside => self.into.clone(),
            _ => self.folder.path_of(self.name.split().1),
        }
    }

    /// Blocks that are not verified yet, and wanted.
    pub fn lacking(&self) -> u32 {
        let all = self.description.geometry.blocks();
        all - self.bits.verified.ones() - self.unwanted().map_or(0, Bitmap::ones)
    }

    /// Blocks that are neither wanted nor verified.
    fn unwanted(&self) -> Option<&Bitmap> {
        self.chosen.as_ref().map(|chosen| &chosen.unwanted)
    }

    /// Bytes that this run has written, and read of that.
    pub fn io(&self) -> Io {
        self.io
    }

    /// Makes the object last and gives it its name.
    pub fn finish(&mut self) -> Result<PathBuf, SinkError> {
        let Some(table) = self.table.clone().filter(|_| self.lacking() == 0) else {
            return Err(SinkError::Incomplete(self.lacking()));
        };
        if self.search.whole().is_some() && self.applies_more() {
            // One that was opened before knows nothing of what is there.
            self.place = None;
            self.place()?.finish(&table)?;
        } else if self.search.whole().is_some() {
            match self.place.take() {
                Some(mut place) => place.abandon(false)?,
                None => self.abandon_unopened()?,
            }
        } else {
            while self.place_spooled(u64::MAX)? {}
            self.place()?.finish(&table)?;
        }
        // The object is whole whatever happens to these.
        let _ = self.spool.remove(&self.folder);
        let _ = self.clear_leftovers();
        let _ = self.folder.remove(&self.beside("part.state"));
        Ok(self.path())
    }

    /// Whether more is done about a tree that is there whole than to look at it.
    fn applies_more(&self) -> bool {
        let o = self.means.options;
        self.description.kind != ObjectKind::File && (o.delete || o.owner || o.xattrs)
    }

    /// Gives up. With `keep` a later run goes on from here, else what there is is removed.
    pub fn abandon(&mut self, keep: bool) -> Result<(), SinkError> {
        if !keep || self.bits.spooled.ones() == 0 {
            self.spool.remove(&self.folder)?;
            self.bits.begun = Bitmap::new(self.bits.begun.len());
        }
        match &mut self.place {
            Some(place) => place.abandon(keep)?,
            None if keep => {}
            None => self.abandon_unopened()?,
        }
        if keep {
            return Ok(());
        }
        self.clear_leftovers()?;
        let state = self.beside("part.state");
        self.folder
            .remove(&state)
            .map_err(|e| SinkError::write(&self.folder.path_of(&state), e))
    }

    /// Removes what there is of other versions of a tree.
    fn clear_leftovers(&self) -> Result<(), SinkError> {
        self.leftovers.as_ref().map_or(Ok(()), Leftovers::clear)
    }

    fn has_part(&self) -> Result<bool, SinkError> {
        let part = self.beside("part");
        let kind = self.folder.kind(&part);
        let kind = kind.map_err(|e| SinkError::read(&self.folder.path_of(&part), e))?;
        Ok(kind.is_some())
    }

    /// Removes what an earlier run may have left where this one has put nothing yet.
    fn abandon_unopened(&mut self) -> Result<(), SinkError> {
        if let Some(leftovers) = &self.leftovers {
            return leftovers.clear_staged();
        }
        let part = self.beside("part");
        self.folder
            .remove(&part)
            .map_err(|e| SinkError::write(&self.folder.path_of(&part), e))
    }

    /// The place where content goes, made if it is not there; the table of a tree must have come.
    fn place(&mut self) -> Result<&mut (dyn Place + 'static), SinkError> {
        let lacking = self.lacking();
        if self.place.is_none() {
            let kind = self.description.kind;
            let place: Box<dyn Place> = match (kind, &self.table) {
                (ObjectKind::File, _) => {
                    let at = At {
                        folder: self.folder.clone(),
                        into: self.into.clone(),
                        name: self.name.clone(),
                    };
                    let length = self.description.geometry.length();
                    Box::new(OneFile::open(at, length, &self.holes, &self.means)?)
                }
                (_, Some(table)) => self.tree_place(table)?,
                (_, None) => return Err(SinkError::Incomplete(lacking)),
            };
            self.place = Some(place);
        }
        let place = self.place.as_deref_mut();
        place.ok_or(SinkError::Incomplete(lacking))
    }

    /// The place of a tree; where that needs more room than there is, other versions make it.
    fn tree_place(&self, table: &Arc<FileTable>) -> Result<Box<dyn Place>, SinkError> {
        let tree = Tree {
            folder: &self.in_folder(),
            name: self.name.split().1,
            kind: self.description.kind,
            table,
            is_there: &|entry| self.search.is_there(entry),
            is_wanted: &|entry| {
                let chosen = self.chosen.as_ref();
                chosen.is_none_or(|chosen| chosen.entries.contains(entry as u32))
            },
        };
        let leftovers = self.leftovers.as_ref();
        match (self.means.tree)(&tree) {
            Err(SinkError::NoSpace { .. } | SinkError::NoFiles { .. })
                if leftovers.is_some_and(|l| l.is_any().unwrap_or(false)) =>
            {
                self.clear_leftovers()?;
                (self.means.tree)(&tree)
            }
            made => made,
        }
    }

    /// Where what is there already is looked for.
    fn looks_where(&self) -> Where {
        let d = &self.description;
        Where {
            place: match d.kind {
                ObjectKind::File => self.in_folder(),
                ObjectKind::Folder | ObjectKind::Inside => self.path(),
            },
            object: (d.content, u64::from(d.geometry.block_size())),
            inside: d.kind == ObjectKind::Inside,
            leftovers: self.leftovers.as_ref().map(Leftovers::path),
        }
    }

    /// The folder that the object's name is in.
    fn in_folder(&self) -> PathBuf {
        in_folder(&self.into, &self.name)
    }

    /// Whether content has a place now. Nothing is made for it before it is known what is there.
    fn has_place(&self) -> bool {
        match self.description.kind {
            _ if self.place.is_some() => true,
            ObjectKind::File => !self.search.is_comparing(),
            _ => self.table.is_some() && self.search.has_looked(),
        }
    }

    fn beside(&self, suffix: &str) -> String {
        suffixed(self.name.split().1, suffix)
    }

    fn mark(&mut self, which: State, block: BlockNo, value: bool) -> Result<(), SinkError> {
        let bits = match which {
            State::Verified => &mut self.bits.verified,
            State::Unproven => &mut self.bits.unproven,
            State::Spooled => &mut self.bits.spooled,
        };
        let changed = bits.set(block, value);
        self.sidecar.set_state(which, changed)
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("path", &self.path())
            .field("lacking", &self.lacking())
            .finish_non_exhaustive()
    }
}

impl Means {
    /// The disk as it is, hashes of files on it, and what may be done to what is there.
    fn real(known: KnownHashes, options: TreeOptions) -> Means {
        Means {
            wrap: Arc::new(|file| Box::new(file)),
            tree: Arc::new(move |tree| tree::make(tree, options)),
            existing: Arc::new(move |at, table| {
                Looking::start(at, table.clone(), known.clone(), options)
            }),
            wanted: Wanted::default(),
            replaces: Replaces::default().all(options.overwrite),
            options,
        }
    }
}

impl Bits {
    fn new(g: &Geometry) -> Bits {
        let none = || Bitmap::new(g.blocks());
        Bits {
            verified: none(),
            unproven: none(),
            spooled: none(),
            begun: none(),
        }
    }

    /// Whether a block is whole, whether proven or not.
    fn whole(&self, block: BlockNo) -> bool {
        self.verified.contains(block) || self.unproven.contains(block)
    }
}

/// The folder that a name is in.
fn in_folder(into: &Path, name: &SafeName) -> PathBuf {
    let (folders, _) = name.split();
    folders.iter().fold(into.to_path_buf(), |at, f| at.join(f))
}

/// The name of what belongs to an object, beside it.
fn suffixed(name: &str, suffix: &str) -> String {
    format!("{name}.{suffix}")
}

/// The number of a block among those of its part.
fn block_index(g: &Geometry, block: BlockNo) -> u32 {
    match g.kind(block) {
        crate::object::BlockKind::Data { index, .. } => index,
        crate::object::BlockKind::Page { number, .. } => number,
    }
}

/// Opens the sidecar, locked, and emptied unless it is of this coding. Gives whether it is.
fn open_state(
    folder: &Folder,
    name: &str,
    description: &Description,
    leftovers: Option<&Leftovers>,
) -> Result<(File, bool), SinkError> {
    let state = suffixed(name, "part.state");
    let path = folder.path_of(&state);
    let fault = |e| SinkError::write(&path, e);
    if let Some(l) = leftovers
        && folder.kind(&state).map_err(fault)?.is_none()
        && l.is_staged()?
    {
        // Nobody who receives left that.
        let path = l.staging_path();
        return Err(SinkError::Occupied { path });
    }
    let file = folder.open_locked(&state)?;
    match Sidecar::whose(&file, &description.coding()) {
        Whose::Ours => Ok((file, true)),
        Whose::Newer => Err(SinkError::Newer { path }),
        Whose::Other => {
            // First, as a run that is killed in between does it again.
            leftovers.map_or(Ok(()), Leftovers::keep_staged)?;
            file.set_len(0).map_err(fault)?;
            Ok((file, false))
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod crash_tests;
#[cfg(test)]
#[cfg(unix)]
mod existing_tests;
#[cfg(test)]
#[cfg(unix)]
mod fixture;
#[cfg(test)]
#[cfg(unix)]
mod kept_tests;
#[cfg(test)]
#[cfg(unix)]
mod parity_tests;
#[cfg(test)]
#[cfg(unix)]
mod tests;
#[cfg(test)]
#[cfg(unix)]
mod there_tests;
#[cfg(test)]
#[cfg(unix)]
mod tree_tests;
