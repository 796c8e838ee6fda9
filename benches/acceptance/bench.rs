//! What all cases share: the program under test and a folder for files.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use loopcast_lab::desk::Desk;
use loopcast_lab::machine;

/// The bench while it runs.
pub(crate) struct Bench {
    /// Smaller files.
    pub(crate) quick: bool,
    program: PathBuf,
    keep: bool,
    folder: tempfile::TempDir,
    /// How long four receivers need undisturbed, which two cases compare with.
    pub(crate) four_undisturbed: OnceCell<Duration>,
    /// The same of three receivers, for the cases with outages.
    pub(crate) three_undisturbed: OnceCell<Duration>,
}

impl Bench {
    /// A bench of a program, or of the one that was built; with `quick` of smaller files. `keep`
    /// leaves what it makes behind.
    pub(crate) fn new(program: Option<PathBuf>, quick: bool, keep: bool) -> Result<Bench, String> {
        let built = || PathBuf::from(env!("CARGO_BIN_EXE_loopcast"));
        let program = program.unwrap_or_else(built);
        // In memory where that is: the network is under test, not this machine's disk.
        let parent = match std::env::var_os("LOOPCAST_BENCH_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => machine::in_memory(),
        };
        let folder = tempfile::Builder::new()
            .prefix("loopcast-bench-")
            .disable_cleanup(keep)
            .tempdir_in(&parent);
        let folder = folder.map_err(|e| format!("{}: {e}", parent.display()))?;
        if keep {
            eprintln!("files stay in {}", folder.path().display());
        }
        Ok(Bench {
            quick,
            program,
            keep,
            folder,
            four_undisturbed: OnceCell::new(),
            three_undisturbed: OnceCell::new(),
        })
    }

    /// A number of bytes: full size, or the smaller one with `--quick`.
    pub(crate) fn mib(&self, full: u64, quick: u64) -> u64 {
        (if self.quick { quick } else { full }) << 20
    }

    /// The same in millions of bytes.
    pub(crate) fn mb(&self, full: u64, quick: u64) -> u64 {
        (if self.quick { quick } else { full }) * 1_000_000
    }

    /// A fresh folder for one run, removed with all in it when dropped.
    pub(crate) fn desk(&self) -> Result<Desk, String> {
        Desk::new(self.folder.path(), self.program.clone(), self.keep)
    }
}
