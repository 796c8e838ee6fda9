//! What packing and unpacking have in common, by themselves or as part of a transfer.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use loopcast::secret::{KeyKind, Secret};
use loopcast::store::{
    ArchiveFile, KeyFileError, NewKey, Pack, PackError, Packed, Progress, Unpacked, read_key,
};

use crate::bars::Bars;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::human;
use crate::interrupt::Interrupt;
use crate::own_event::OwnEvent;

/// How often progress is shown and a signal looked for.
const TICK: Duration = Duration::from_millis(50);
/// Between events about progress.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// Reads the key of an archive.
pub(crate) fn archive_key(path: &Path) -> Result<Secret, End> {
    Ok(read_key(path, KeyKind::Archive)?)
}

/// Packs with a key that is made with it, and says so.
pub(crate) fn pack(
    pack: &Pack,
    key: NewKey,
    key_path: &Path,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Packed, End> {
    let start = Instant::now();
    let event = |done, total| OwnEvent::Packing { done, total };
    let packed = watch("packing", event, console, interrupt, |p| pack.run(p))?;
    if let Err(e) = key.keep() {
        // Nobody could ever open it.
        let _ = fs::remove_file(&pack.out);
        return Err(e.into());
    }
    console.event(&OwnEvent::Packed {
        archive: pack.out.to_string_lossy(),
        key: key_path.to_string_lossy(),
        files: packed.files,
        bytes: packed.content,
        archive_bytes: packed.archive,
    });
    console.say(format!(
        "packed {} ({}) into {} ({}) in {}",
        human::count(packed.files as u64, "file"),
        human::bytes(packed.content),
        human::plain(&pack.out.to_string_lossy()),
        human::bytes(packed.archive),
        human::seconds(start.elapsed()),
    ));
    console.say(format!(
        "the key is in {}: whoever has it can read the archive, and nobody can without it",
        human::plain(&key_path.to_string_lossy())
    ));
    Ok(packed)
}

/// Unpacks an archive into a folder, and says what came out.
pub(crate) fn unpack(
    archive: &Path,
    key: Secret,
    into: &Path,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Vec<Unpacked>, End> {
    let archive = ArchiveFile::open(archive, key)?;
    let event = |done, total| OwnEvent::Unpacking { done, total };
    let files = watch("unpacking", event, console, interrupt, |p| {
        archive.unpack(into, p)
    })?;
    for file in &files {
        console.event(&OwnEvent::Unpacked {
            name: file.name.as_str(),
            path: file.path.to_string_lossy(),
            bytes: file.bytes,
        });
        console.say(format!(
            "unpacked and verified: {} ({})",
            human::plain(&file.path.to_string_lossy()),
            human::bytes(file.bytes)
        ));
    }
    Ok(files)
}

/// Works in a thread, while this one shows how far it is and looks for a signal.
fn watch<T: Send>(
    name: &str,
    event: impl Fn(u64, u64) -> OwnEvent<'static>,
    console: &Console,
    interrupt: &Interrupt,
    work: impl FnOnce(&Progress) -> Result<T, PackError> + Send,
) -> Result<T, End> {
    let progress = Progress::default();
    let mut bars = Bars::new(console);
    let mut told = Instant::now();
    let result = thread::scope(|scope| {
        let (over, ended) = crossbeam_channel::bounded::<()>(0);
        let working = scope.spawn(|| {
            // Dropped when the work is over, however it ends.
            let _over = over;
            work(&progress)
        });
        while let Err(crossbeam_channel::RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
            let (done, total) = progress.get();
            bars.update(name, done, total, &format!("of {}", human::bytes(total)));
            if told.elapsed() >= EVENT_EVERY {
                told = Instant::now();
                console.event(&event(done, total));
            }
            if interrupt.came() {
                progress.stop();
            }
        }
        working.join()
    });
    bars.clear();
    match result {
        Ok(result) => Ok(result?),
        Err(_) => Err(End::error(
            Exit::Failed,
            "the archive's thread panicked: this is a bug in loopcast",
        )),
    }
}

/// Files packed for one transfer. The archive goes when this is dropped; the key stays.
pub(crate) struct Encrypted {
    folder: PathBuf,
    /// What is to be sent in their place.
    pub(crate) paths: Vec<PathBuf>,
}

impl Encrypted {
    /// Packs into a folder of its own among the temporary files. The archive's name tells nothing of
    /// what is in it, as names of objects can be read by everybody.
    pub(crate) fn pack(
        files: &[PathBuf],
        key: Option<&Path>,
        console: &Console,
        interrupt: &Interrupt,
    ) -> Result<Encrypted, End> {
        let name = format!("archive-{:08x}", RandomState::new().hash_one(0) as u32);
        let key_path = key.map_or_else(|| format!("{name}.key").into(), Path::to_path_buf);
        let files = files_at(files, console)?;
        let folder = std::env::temp_dir().join(format!("loopcast-{name}"));
        let mut private = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private.create(&folder).map_err(|e| {
            let text = format!(
                "can't make the folder {}: {e}; set TMPDIR",
                folder.display()
            );
            End::error(Exit::Environment, text)
        })?;
        let encrypted = Encrypted {
            paths: vec![folder.join(format!("{name}.lca"))],
            folder,
        };
        let key = NewKey::create(&key_path, KeyKind::Archive, false)?;
        let job = Pack {
            files,
            out: encrypted.paths[0].clone(),
            key: key.secret().clone(),
            level: None,
            force: false,
        };
        pack(&job, key, &key_path, console, interrupt)?;
        Ok(encrypted)
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The files at these paths and what they are called, as `send` would offer them.
pub(crate) fn files_at(
    paths: &[PathBuf],
    console: &Console,
) -> Result<Vec<(PathBuf, loopcast::object::SafeName)>, End> {
    let found = loopcast::driver::expand(paths)?;
    for path in &found.skipped {
        console.warn(format!(
            "{} is no regular file and is left out: name what a link leads to if it is meant",
            human::plain(&path.to_string_lossy())
        ));
    }
    Ok(found.files.into_iter().map(|f| (f.path, f.name)).collect())
}

impl From<PackError> for End {
    fn from(error: PackError) -> End {
        use PackError as E;
        let exit = match &error {
            E::Archive { .. } | E::Compressed { .. } | E::Table { .. } | E::Changed { .. } => {
                Exit::Failed
            }
            E::Name { .. } | E::TooMuch(_) => Exit::Usage,
            E::Stopped => {
                return End::error(Exit::Interrupted, "interrupted: nothing was made");
            }
            _ => Exit::Environment,
        };
        End::error(exit, human::plain(&error.to_string()))
    }
}

impl From<KeyFileError> for End {
    fn from(error: KeyFileError) -> End {
        End::error(Exit::Environment, human::plain(&error.to_string()))
    }
}
