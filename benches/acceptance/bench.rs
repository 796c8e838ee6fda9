//! What all cases share: the options, the program under test, a folder for files, and the form of a
//! figure with its limit.

use crate::cases;
use crate::content;
use crate::program::{Loopcast, Program};
use std::cell::OnceCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
            None if Path::new("/dev/shm").is_dir() => PathBuf::from("/dev/shm"),
            None => std::env::temp_dir(),
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
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .disable_cleanup(self.keep)
            .tempdir_in(self.folder.path());
        let folder = folder.map_err(|e| e.to_string())?;
        let scratch = folder.path().to_path_buf();
        let loopcast = Loopcast {
            program: self.program.clone(),
            scratch,
        };
        Ok(Desk { folder, loopcast })
    }
}

/// The files of one run, and the program that works on them.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) loopcast: Loopcast,
}

impl Desk {
    /// Where a file of this name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes down what a program said, for `--keep`.
    pub(crate) fn keep(&self, name: &str, program: &Program) -> Result<(), String> {
        let said: Vec<String> = program.output().into_iter().map(|l| l.text).collect();
        let path = self.path(&format!("{name}.jsonl"));
        std::fs::write(&path, said.join("\n")).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// A file of seeded content; the same name and size give the same bytes.
    pub(crate) fn file(&self, name: &str, bytes: u64) -> Result<PathBuf, String> {
        let path = self.path(name);
        let seed = name
            .bytes()
            .fold(bytes, |seed, b| seed.wrapping_mul(31) + u64::from(b));
        content::write_seeded(&path, bytes, seed)?;
        Ok(path)
    }

    /// The folder that the receiver on host `i` writes into.
    pub(crate) fn inbox(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("into-{i}"))
    }

    /// Takes away what host `i` has received.
    pub(crate) fn empty(&self, i: usize) -> Result<(), String> {
        match std::fs::remove_dir_all(self.inbox(i)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.to_string()),
            _ => Ok(()),
        }
    }

    /// An error unless host `i` holds an exact copy of `original` under its name.
    pub(crate) fn verify(&self, i: usize, original: &Path) -> Result<(), String> {
        let name = original.file_name().unwrap_or_default();
        content::compare(original, &self.inbox(i).join(name))
    }
}

/// What a figure must keep.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// Told for information.
    Free,
}

/// A figure of a case.
pub(crate) struct Measure {
    what: String,
    figure: f64,
    unit: &'static str,
    limit: Limit,
    is_timed: bool,
}

impl Measure {
    pub(crate) fn new(
        what: impl Into<String>,
        figure: f64,
        unit: &'static str,
        limit: Limit,
    ) -> Measure {
        Measure {
            what: what.into(),
            figure,
            unit,
            limit,
            is_timed: false,
        }
    }

    /// A time or a speed, which what else the machine does has a part in.
    pub(crate) fn timed(self) -> Measure {
        Measure {
            is_timed: true,
            ..self
        }
    }

    /// It does not hold, and one run does not say why.
    pub(crate) fn may_be_chance(&self) -> bool {
        self.is_timed && !self.passed()
    }

    /// The same figure of several runs of its case: the median of those that are timed. Anything else must hold in each.
    pub(crate) fn of_runs(mut runs: Vec<Measure>) -> Option<Measure> {
        if !runs.first()?.is_timed {
            let failed = runs.iter().position(|m| !m.passed());
            return Some(runs.swap_remove(failed.unwrap_or(0)));
        }
        runs.sort_by(|a, b| a.figure.total_cmp(&b.figure));
        Some(runs.swap_remove(runs.len() / 2))
    }

    pub(crate) fn passed(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.figure <= limit,
            Limit::AtLeast(limit) => self.figure >= limit,
            Limit::Free => true,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measure {
            what,
            figure,
            unit,
            limit,
            ..
        } = self;
        write!(f, "{what:44} {figure:8.3} {unit:6} ")?;
        let verdict = if self.passed() { "PASS" } else { "FAIL" };
        match limit {
            Limit::AtMost(limit) => write!(f, "limit <= {limit:7.3}  {verdict}"),
            Limit::AtLeast(limit) => write!(f, "limit >= {limit:7.3}  {verdict}"),
            Limit::Free => write!(f, "for information"),
        }
    }
}
