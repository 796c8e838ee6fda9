//! What all cases share: the options, the program under test and a folder for files.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use loopcast_lab::desk::Desk;
use loopcast_lab::machine;

use crate::cases;

/// What the command line asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Name the cases and end.
    pub(crate) list: bool,
    /// Smaller files, where the ratio still means the same.
    pub(crate) quick: bool,
    /// Run what compares with the tools that users could pick instead, and without names only that.
    peers: bool,
    /// Leave files, copies and statistics behind.
    pub(crate) keep: bool,
    program: Option<PathBuf>,
    chosen: Vec<String>,
}

impl Options {
    pub(crate) fn from_args(args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => options.list = true,
                "--quick" => options.quick = true,
                "--keep" => options.keep = true,
                "--peers" => options.peers = true,
                // `cargo bench` adds it.
                "--bench" => {}
                "--program" => {
                    let path = args.next().ok_or("--program needs the path of a program")?;
                    options.program = Some(PathBuf::from(path));
                }
                name if cases::ALL.iter().any(|c| c.name == name) => {
                    options.chosen.push(arg);
                }
                _ => return Err(format!("no option or case `{arg}`; --list names the cases")),
            }
        }
        Ok(options)
    }

    /// Whether a case is to run.
    pub(crate) fn chose(&self, name: &str) -> bool {
        let with_peers = cases::PEERS.contains(&name);
        if self.chosen.is_empty() && !self.peers {
            return !with_peers && !cases::BY_NAME.contains(&name);
        }
        self.chosen.iter().any(|c| c == name) || (self.peers && with_peers)
    }
}

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
    pub(crate) fn new(options: &Options) -> Result<Bench, String> {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_loopcast"));
        let program = options.program.clone().unwrap_or(built);
        // In memory where that is: the network is under test, not this machine's disk.
        let parent = match std::env::var_os("LOOPCAST_BENCH_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => machine::in_memory(),
        };
        let folder = tempfile::Builder::new()
            .prefix("loopcast-bench-")
            .disable_cleanup(options.keep)
            .tempdir_in(&parent);
        let folder = folder.map_err(|e| format!("{}: {e}", parent.display()))?;
        if options.keep {
            eprintln!("files stay in {}", folder.path().display());
        }
        Ok(Bench {
            quick: options.quick,
            program,
            keep: options.keep,
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
