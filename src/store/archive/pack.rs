//! From files to an archive.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::archive::{
    Archive, Coding, DEFAULT_FRAME_SHIFT, FRAME_HEADER_LEN, FRAME_OVERHEAD, Layout, MAX_FRAMES,
    SHIFTS,
};
use crate::archive::{FileEntry, FileTable};
use crate::config;
use crate::object::SafeName;
use crate::secret::Secret;
use crate::store::archive::spans::spans;
use crate::store::archive::{PackError, Progress, on_all_cores};
use crate::store::disk::Disk;
use crate::store::folder::{Folder, Kind};
use crate::store::looks::Looks;
use crate::store::{SinkError, random};

/// Levels of zstd that can be asked for: from fast to small. Those above need gigabytes of memory.
pub const LEVELS: RangeInclusive<i32> = 1..=19;

/// What to pack, and how.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Files, and the names that they have in the archive, which must differ from each other.
    pub files: Vec<(PathBuf, SafeName)>,
    /// The archive to be made.
    pub out: PathBuf,
    /// Its master key, which should be no other archive's.
    pub key: Secret,
    /// zstd's level, within [`LEVELS`]; none leaves bytes as they are, as films and images want it.
    pub level: Option<i32>,
    /// Whether a file that has the archive's name already may be replaced.
    pub force: bool,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packed {
    /// Bytes of content.
    pub content: u64,
    /// Bytes of the archive.
    pub archive: u64,
    /// How many files it holds.
    pub files: usize,
}

impl Pack {
    /// Packs. The archive gets its name when it is whole and synced; until then it is `NAME.part`.
    ///
    /// # Errors
    ///
    /// [`PackError`]; nothing is left of the archive then.
    pub fn run(&self, progress: &Progress) -> Result<Packed, PackError> {
        let sources = Sources::open(&self.files)?;
        let content = sources.looks.iter().map(|l| l.size).sum();
        let table = sources.table.encode();
        let frames_shift = |shift: &u8| content <= MAX_FRAMES << shift;
        let shift = (DEFAULT_FRAME_SHIFT..=*SHIFTS.end()).find(frames_shift);
        let (Some(shift), true) = (shift, table.len() <= config::MAX_ARCHIVE_TABLE as usize) else {
            return Err(PackError::TooMuch(table.len()));
        };
        let archive = Archive::new(
            self.key.clone(),
            random::bytes().map_err(PackError::Entropy)?,
            shift,
            content,
            table.len() as u32,
        )
        .map_err(|_| PackError::TooMuch(table.len()))?;
        progress.start(content);

        let target = Target::create(&self.out, self.force)?;
        if self.level.is_none() {
            target.check_space(content)?;
        }
        let order = Order::new(archive.header().content_start());
        let job = Job {
            pack: self,
            archive: &archive,
            sources: &sources,
            order: &order,
            file: &target.file,
            progress,
        };
        on_all_cores(|| job.work().inspect_err(|_| order.give_up()))?;
        sources.check()?;

        let (end, lengths) = order.placed();
        job.write(&archive.header().encode(), 0)?;
        job.write_one(0, &table, archive.header().table_place().start)?;
        job.write_one(
            archive.header().index_number(),
            &Layout::index(&lengths),
            end,
        )?;
        target.finish()?;
        Ok(Packed {
            content,
            archive: end + archive.header().index_len() as u64,
            files: sources.looks.len(),
        })
    }
}

/// What all workers have before them.
struct Job<'a> {
    pack: &'a Pack,
    archive: &'a Archive,
    sources: &'a Sources,
    order: &'a Order,
    file: &'a File,
    progress: &'a Progress,
}

impl Job<'_> {
    /// Takes frame after frame until there are no more.
    fn work(&self) -> Result<(), PackError> {
        let header = self.archive.header();
        let room = || vec![0; header.frame_size() + FRAME_OVERHEAD];
        let (mut frame, mut small) = (room(), Vec::new());
        let mut compressor = None;
        if let Some(level) = self.pack.level {
            small = room();
            compressor = Some(zstd::bulk::Compressor::new(level).map_err(PackError::Zstd)?);
        }
        let mut opened = None;
        while let Some(number) = self.order.next(header.content_frames()) {
            let len = header.plain_len(number).unwrap_or_default();
            // What is not compressed has its place at once, and nobody waits long.
            let known = compressor.is_none().then(|| self.order.place(number, len));
            let start = u64::from(number - 1) * header.frame_size() as u64;
            let plain = &mut frame[FRAME_HEADER_LEN..][..len];
            self.sources.read(start, plain, &mut opened)?;

            let mut coding = Coding::Plain;
            let mut sealed = len;
            if let Some(compressor) = &mut compressor {
                // With room for less than it is; what does not fit stays as it is.
                let room = &mut small[FRAME_HEADER_LEN..][..len - 1];
                if let Ok(less) = compressor.compress_to_buffer(plain, room)
                    && less > 0
                {
                    (coding, sealed) = (Coding::Zstd, less);
                }
            }
            let whole = match coding {
                Coding::Plain => &mut frame,
                Coding::Zstd => &mut small,
            };
            let whole = &mut whole[..sealed + FRAME_OVERHEAD];
            self.seal(number, coding, whole)?;
            let Some(at) = known.unwrap_or_else(|| self.order.place(number, sealed)) else {
                return Ok(());
            };
            self.write(whole, at)?;
            self.progress.add(len)?;
        }
        Ok(())
    }

    fn seal(&self, number: u32, coding: Coding, frame: &mut [u8]) -> Result<(), PackError> {
        let key = random::bytes().map_err(PackError::Entropy)?;
        self.archive
            .seal(number, coding, key, frame)
            .map_err(|why| PackError::Archive {
                path: self.pack.out.clone(),
                why,
            })
    }

    /// Seals and writes a frame that is not content.
    fn write_one(&self, number: u32, bytes: &[u8], at: u64) -> Result<(), PackError> {
        let mut frame = vec![0; bytes.len() + FRAME_OVERHEAD];
        frame[FRAME_HEADER_LEN..][..bytes.len()].copy_from_slice(bytes);
        self.seal(number, Coding::Plain, &mut frame)?;
        self.write(&frame, at)
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), PackError> {
        let written = self.file.write_at(bytes, at);
        Ok(written.map_err(|e| SinkError::write(&self.pack.out, e))?)
    }
}

/// Gives out frames, and their places in order.
struct Order {
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    next: u32,
    end: u64,
    /// Bytes sealed in each frame that has a place.
    lengths: Vec<u32>,
    given_up: bool,
}

impl Order {
    fn new(start: u64) -> Order {
        Order {
            state: Mutex::new(State {
                next: 1,
                end: start,
                lengths: Vec::new(),
                given_up: false,
            }),
            moved: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame to do, of so many.
    fn next(&self, frames: u32) -> Option<u32> {
        let mut state = self.lock();
        let number = state.next;
        (number <= frames && !state.given_up).then(|| {
            state.next += 1;
            number
        })
    }

    /// Where a frame goes in which so many bytes are sealed. Waits for the frames before it, which
    /// other workers have in hand; `None` if one of them failed.
    fn place(&self, number: u32, sealed: usize) -> Option<u64> {
        let mut state = self
            .moved
            .wait_while(self.lock(), |s| {
                !s.given_up && s.lengths.len() as u32 + 1 != number
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.given_up {
            return None;
        }
        let at = state.end;
        state.end += (sealed + FRAME_OVERHEAD) as u64;
        state.lengths.push(sealed as u32);
        self.moved.notify_all();
        Some(at)
    }

    /// Lets nobody wait for a frame that does not come.
    fn give_up(&self) {
        self.lock().given_up = true;
        self.moved.notify_all();
    }

    /// Where the last frame ends, and how many bytes are sealed in each.
    fn placed(&self) -> (u64, Vec<u32>) {
        let mut state = self.lock();
        (state.end, std::mem::take(&mut state.lengths))
    }
}

/// The files to be packed, and how they looked at first.
struct Sources {
    paths: Vec<PathBuf>,
    looks: Vec<Looks>,
    table: FileTable,
}

impl Sources {
    fn open(files: &[(PathBuf, SafeName)]) -> Result<Sources, PackError> {
        let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
        let looks = paths
            .iter()
            .map(|p| look(p))
            .collect::<Result<Vec<_>, _>>()?;
        let mut offset = 0u64;
        let mut entries = Vec::with_capacity(files.len());
        for ((_, name), looks) in files.iter().zip(&looks) {
            entries.push(FileEntry {
                path: name.clone(),
                offset,
                length: looks.size,
                mtime: Some(looks.mtime),
                mode: looks.mode,
            });
            offset = offset
                .checked_add(looks.size)
                .ok_or(PackError::TooMuch(0))?;
        }
        let table = FileTable::new(entries).map_err(|why| PackError::Table {
            path: paths.first().cloned().unwrap_or_default(),
            why,
        })?;
        Ok(Sources {
            paths,
            looks,
            table,
        })
    }

    /// Fills `bytes` with content from `start` on. `opened` is the file that was read last.
    fn read(
        &self,
        start: u64,
        bytes: &mut [u8],
        opened: &mut Option<(usize, File)>,
    ) -> Result<(), PackError> {
        for span in spans(self.table.entries(), start, bytes.len()) {
            let path = &self.paths[span.file];
            let file = match opened.take() {
                Some((index, file)) if index == span.file => file,
                _ => File::open(path).map_err(PackError::read(path))?,
            };
            let read = file.read_at(&mut bytes[span.bytes], span.offset);
            *opened = Some((span.file, file));
            read.map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => PackError::Changed { path: path.clone() },
                _ => PackError::read(path)(e),
            })?;
        }
        Ok(())
    }

    /// Whether all files still look as they did.
    fn check(&self) -> Result<(), PackError> {
        for (path, looks) in self.paths.iter().zip(&self.looks) {
            if look(path)? != *looks {
                return Err(PackError::Changed { path: path.clone() });
            }
        }
        Ok(())
    }
}

fn look(path: &Path) -> Result<Looks, PackError> {
    let meta = std::fs::metadata(path).map_err(PackError::read(path))?;
    if !meta.is_file() {
        return Err(PackError::NotAFile {
            path: path.to_path_buf(),
        });
    }
    Ok(Looks::of(path, &meta))
}

/// The archive while it is not whole. Removed when dropped before it is.
struct Target {
    folder: Folder,
    name: String,
    part: String,
    file: File,
    whole: bool,
}

impl Target {
    fn create(out: &Path, force: bool) -> Result<Target, PackError> {
        let name = out.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        SafeName::offered(name).map_err(|why| PackError::Name {
            path: out.to_path_buf(),
            why,
        })?;
        let parent = out.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = Folder::open(parent.unwrap_or(Path::new(".")), &[])?;
        match folder.kind(name).map_err(|e| SinkError::write(out, e))? {
            None => {}
            Some(Kind::File) if force => {}
            Some(_) => {
                return Err(PackError::Exists {
                    path: out.to_path_buf(),
                });
            }
        }
        let part = format!("{name}.part");
        let file = folder.open_locked(&part)?;
        file.set_len(0).map_err(|e| SinkError::write(out, e))?;
        Ok(Target {
            name: name.to_owned(),
            folder,
            part,
            file,
            whole: false,
        })
    }

    fn check_space(&self, need: u64) -> Result<(), PackError> {
        match self.folder.free() {
            Some(free) if free < need => Err(PackError::Write(SinkError::NoSpace {
                path: self.folder.path_of(&self.name),
                need,
                free,
            })),
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), PackError> {
        let path = self.folder.path_of(&self.name);
        let finished = self
            .file
            .sync_all()
            .and_then(|()| self.folder.rename(&self.part, &self.name))
            .and_then(|()| self.folder.sync());
        finished.map_err(|e| SinkError::write(&path, e))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.whole {
            let _ = self.folder.remove(&self.part);
        }
    }
}
