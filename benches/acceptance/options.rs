//! The bench's own command line.

use std::path::PathBuf;

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
    /// The program under test, if it is not the one that was built.
    pub(crate) program: Option<PathBuf>,
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
