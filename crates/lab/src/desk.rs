//! A folder for one run, with files to send, a place for each receiver's copies, and the program.

use std::path::{Path, PathBuf};

use crate::content;
use crate::program::{Loopcast, Program};

/// The files of one run, and the program that works on them.
pub struct Desk {
    folder: tempfile::TempDir,
    /// The program; what it leaves beside its output is in the same folder.
    pub loopcast: Loopcast,
}

impl Desk {
    /// A fresh folder in `parent`, for a program at that path. It is removed with all in it when
    /// the desk is dropped, unless it is to be kept.
    pub fn new(parent: &Path, program: PathBuf, keep: bool) -> Result<Desk, String> {
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .disable_cleanup(keep)
            .tempdir_in(parent);
        let folder = folder.map_err(|e| format!("{}: {e}", parent.display()))?;
        let scratch = folder.path().to_path_buf();
        let loopcast = Loopcast {
            program,
            scratch,
            open_files: None,
        };
        Ok(Desk { folder, loopcast })
    }

    /// Where a file of this name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes down what a program said, for `--keep`.
    pub fn keep(&self, name: &str, program: &Program) -> Result<(), String> {
        let said: Vec<String> = program.output().into_iter().map(|l| l.text).collect();
        let path = self.path(&format!("{name}.jsonl"));
        std::fs::write(&path, said.join("\n")).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// A file of seeded content; the same name and size give the same bytes.
    pub fn file(&self, name: &str, bytes: u64) -> Result<PathBuf, String> {
        let path = self.path(name);
        let seed = name
            .bytes()
            .fold(bytes, |seed, b| seed.wrapping_mul(31) + u64::from(b));
        content::write_seeded(&path, bytes, seed)?;
        Ok(path)
    }

    /// The folder that the receiver on host `i` writes into.
    pub fn inbox(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("into-{i}"))
    }

    /// Takes away what host `i` has received.
    pub fn empty(&self, i: usize) -> Result<(), String> {
        match std::fs::remove_dir_all(self.inbox(i)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.to_string()),
            _ => Ok(()),
        }
    }

    /// An error unless host `i` holds an exact copy of `original` under its name.
    pub fn verify(&self, i: usize, original: &Path) -> Result<(), String> {
        let name = original.file_name().unwrap_or_default();
        content::compare(original, &self.inbox(i).join(name))
    }
}
