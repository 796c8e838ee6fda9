//! From an archive to files.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::archive::FileTable;
use crate::archive::{
    ARCHIVE_HEADER_LEN, Archive, ArchiveError, Coding, FRAME_OVERHEAD, Header, Layout,
};
use crate::secret::Secret;
use crate::store::SinkError;
use crate::store::archive::spans::spans;
use crate::store::archive::staging::Staging;
use crate::store::archive::{PackError, Progress, on_all_cores};
use crate::store::disk::Disk;

/// An archive on disk, with its key: its table and index hold.
#[derive(Debug)]
pub struct ArchiveFile {
    path: PathBuf,
    file: File,
    archive: Archive,
    table: FileTable,
    layout: Layout,
}

/// A file that was unpacked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpacked {
    /// Its name in the archive.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Whether a file begins like an archive, of this format or a later one; false if it can't be read.
pub fn is_archive(path: &Path) -> bool {
    let header = File::open(path).and_then(|file| read_header(&file));
    header.is_ok_and(|h| Header::parse(&h) != Err(ArchiveError::NotAnArchive))
}

fn read_header(file: &File) -> io::Result<[u8; ARCHIVE_HEADER_LEN]> {
    let mut header = [0; ARCHIVE_HEADER_LEN];
    file.read_at(&mut header, 0)?;
    Ok(header)
}

impl ArchiveFile {
    /// Opens an archive and checks its key, its table and its index.
    ///
    /// # Errors
    ///
    /// [`PackError::Archive`] if the key is another one's or the archive is damaged, and the
    /// reasons of the system.
    pub fn open(path: &Path, key: Secret) -> Result<ArchiveFile, PackError> {
        let file = File::open(path).map_err(PackError::read(path))?;
        let meta = file.metadata().map_err(PackError::read(path))?;
        if !meta.is_file() {
            return Err(PackError::NotAFile {
                path: path.to_path_buf(),
            });
        }
        let fault = |why| PackError::Archive {
            path: path.to_path_buf(),
            why,
        };
        let header = read_header(&file).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => fault(ArchiveError::NotAnArchive),
            _ => PackError::read(path)(e),
        })?;
        let archive = Archive::open(key, &header).map_err(fault)?;
        let header = archive.header();
        // First, as it tells whether what is allocated for is there at all.
        let index_place = header.index_place(meta.len()).map_err(fault)?;
        let mut buf = Vec::new();
        let mut open = |number, place: Range<u64>| {
            buf.resize((place.end - place.start) as usize, 0);
            read_frame(path, &file, place, &mut buf)?;
            let opened = archive.open_frame(number, &mut buf).map_err(fault)?;
            Ok::<_, PackError>(opened.bytes.to_vec())
        };
        let table = open(0, header.table_place())?;
        let table = FileTable::parse(&table, header.length()).map_err(|why| PackError::Table {
            path: path.to_path_buf(),
            why,
        })?;
        let index = open(header.index_number(), index_place)?;
        let layout = Layout::new(header, &index, meta.len()).map_err(fault)?;
        Ok(ArchiveFile {
            path: path.to_path_buf(),
            file,
            table,
            layout,
            archive,
        })
    }

    /// What stands in its header.
    pub fn header(&self) -> &Header {
        self.archive.header()
    }

    /// The files in it.
    pub fn table(&self) -> &FileTable {
        &self.table
    }

    /// Opens one frame of content alone, numbers from 1: the content from
    /// `(number - 1) * frame_size` on.
    ///
    /// # Errors
    ///
    /// [`PackError::Archive`] if there is none of that number or it does not hold.
    pub fn frame(&self, number: u32) -> Result<Vec<u8>, PackError> {
        let mut worker = Worker::new(self)?;
        Ok(worker.open(number)?.to_vec())
    }

    /// Unpacks everything into a folder, which is made if it is not there. Files get their names
    /// when every frame has been found to hold; a plain file of such a name is replaced then.
    ///
    /// # Errors
    ///
    /// [`PackError`]; nothing has got its name then, unless giving names is what failed.
    pub fn unpack(&self, into: &Path, progress: &Progress) -> Result<Vec<Unpacked>, PackError> {
        progress.start(self.header().length());
        let staging = Staging::create(into, self.header().length())?;
        for (number, entry) in self.table.entries().iter().enumerate() {
            staging.make(number, entry.length)?;
        }
        let (next, failed) = (AtomicU32::new(1), AtomicBool::new(false));
        on_all_cores(|| {
            let work = || {
                let mut worker = Worker::new(self)?;
                let mut opened = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let frames = self.header().content_frames();
                    if number > frames || failed.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    let bytes = worker.open(number)?;
                    self.write(&staging, number, bytes, &mut opened)?;
                    progress.add(bytes.len())?;
                }
            };
            work().inspect_err(|_| failed.store(true, Ordering::Relaxed))
        })?;
        let entries = self.table.entries();
        let paths = staging.finish(entries)?;
        let unpacked = entries.iter().zip(paths).map(|(entry, path)| Unpacked {
            name: entry.path.as_str().to_owned(),
            path,
            bytes: entry.length,
        });
        Ok(unpacked.collect())
    }

    /// Writes a frame's content where it belongs. `opened` is the file that was written last.
    fn write(
        &self,
        staging: &Staging,
        number: u32,
        bytes: &[u8],
        opened: &mut Option<(usize, File)>,
    ) -> Result<(), PackError> {
        let entries = self.table.entries();
        let start = u64::from(number - 1) * self.header().frame_size() as u64;
        for span in spans(entries, start, bytes.len()) {
            let file = match opened.take() {
                Some((index, file)) if index == span.file => file,
                _ => staging.file(span.file)?,
            };
            let written = file.write_at(&bytes[span.bytes], span.offset);
            *opened = Some((span.file, file));
            let name = entries[span.file].path.to_path();
            written.map_err(|e| SinkError::write(&name, e))?;
        }
        Ok(())
    }
}

/// Opens frames one after the other, in buffers of its own.
struct Worker<'a> {
    of: &'a ArchiveFile,
    frame: Vec<u8>,
    plain: Vec<u8>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl<'a> Worker<'a> {
    fn new(of: &'a ArchiveFile) -> Result<Worker<'a>, PackError> {
        Ok(Worker {
            of,
            frame: Vec::with_capacity(of.header().frame_size() + FRAME_OVERHEAD),
            plain: Vec::new(),
            decompressor: zstd::bulk::Decompressor::new().map_err(PackError::Zstd)?,
        })
    }

    fn open(&mut self, number: u32) -> Result<&[u8], PackError> {
        let path = &self.of.path;
        let fault = |why| PackError::Archive {
            path: path.clone(),
            why,
        };
        let no_such = || fault(ArchiveError::Frame(number));
        let place = self.of.layout.place(number).ok_or_else(no_such)?;
        let len = self.of.header().plain_len(number).ok_or_else(no_such)?;
        // The index is authentic, but its maker may have written anything into it.
        let sealed = (place.end - place.start) as usize;
        if sealed > len + FRAME_OVERHEAD {
            return Err(no_such());
        }
        self.frame.resize(sealed, 0);
        read_frame(path, &self.of.file, place, &mut self.frame)?;
        let opened = self
            .of
            .archive
            .open_frame(number, &mut self.frame)
            .map_err(fault)?;
        if opened.coding == Coding::Plain {
            return Ok(opened.bytes);
        }
        self.plain.resize(len, 0);
        let restored = self
            .decompressor
            .decompress_to_buffer(opened.bytes, &mut self.plain[..]);
        if restored.is_ok_and(|n| n == len) {
            return Ok(&self.plain);
        }
        Err(PackError::Compressed {
            path: path.clone(),
            number,
        })
    }
}

fn read_frame(
    path: &Path,
    file: &File,
    place: Range<u64>,
    buf: &mut [u8],
) -> Result<(), PackError> {
    file.read_at(buf, place.start).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => PackError::Archive {
            path: path.to_path_buf(),
            why: ArchiveError::Short,
        },
        _ => PackError::read(path)(e),
    })
}
