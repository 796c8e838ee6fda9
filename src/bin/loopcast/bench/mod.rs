//! `loopcast bench`: how fast files get through networks that lose packets, by this program and by
//! others, side by side. Every copy is compared with the file; every tool gets the same network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopcast::units::Rate;

use crate::args;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::human;
use crate::interrupt::Interrupt;
use crate::scratch::Scratch;
use crate::subject::{Subject, cannot_write};

mod figures;
mod ground;
mod machine;
pub(crate) mod matrix;
mod network;
mod process;
mod report;
pub(crate) mod tool;
mod transfer;

use ground::Ground;
use machine::Machine;
use matrix::{Loss, Pace, Setting};
use network::Bursts;
use report::{Report, Row};
use tool::{Job, Mode, Peer, Tool};
use transfer::Failure;

/// What copies are written at, at least, where no rate is given: a slow disk's 20 MB/s.
const SLOWEST: Rate = Rate::from_bps(160_000_000);
/// Time for a transfer besides what its rate asks for: several times what the slowest tool took.
const LIMIT: Duration = Duration::from_secs(30);
/// The same with `--quick`, whose file is small.
const QUICK_LIMIT: Duration = Duration::from_secs(10);

/// Runs it all.
pub(crate) fn run(args: args::Bench, interrupt: &Interrupt) -> End {
    let console = Console::new(false);
    match Bench::prepare(args, interrupt, &console).and_then(Bench::measure) {
        Ok(()) => End::quiet(Exit::Complete),
        Err(end) => end,
    }
}

struct Bench<'a> {
    args: args::Bench,
    interrupt: &'a Interrupt,
    console: &'a Console,
    loopback: bool,
    tools: Vec<Tool>,
    settings: Vec<Setting>,
    runs: usize,
    /// The size, in as many files as asked for.
    files: Vec<Subject>,
    /// The same size in one file, for tools that take no more.
    whole: Vec<Subject>,
    size: u64,
    scratch: Scratch,
    report: Report,
}

impl<'a> Bench<'a> {
    fn prepare(
        args: args::Bench,
        interrupt: &'a Interrupt,
        console: &'a Console,
    ) -> Result<Bench<'a>, End> {
        // Better refused now than after all the work.
        for file in [&args.json, &args.markdown].into_iter().flatten() {
            fs::write(file, "").map_err(|e| cannot_write(file, &e))?;
        }
        let loopback = on_loopback(&args, console)?;
        let peers = peers(&args, loopback)?;
        let modes = if args.mode.is_empty() {
            vec![Mode::Parity]
        } else {
            args.mode.clone()
        };
        let mut tools: Vec<Tool> = modes.into_iter().map(Tool::Ours).collect();
        tools.extend(peers.into_iter().map(Tool::Peer));

        let losses = match args.loss.as_slice() {
            [] if args.quick => [0, 50].map(Loss::of_thousand).to_vec(),
            [] => [0, 10, 50, 200].map(Loss::of_thousand).to_vec(),
            named => named.to_vec(),
        };
        let settings = matrix::settings(&losses, &args.receivers, &args.rate);
        let size = args
            .size
            .unwrap_or(if args.quick { 16 << 20 } else { 64 << 20 });
        let most = settings.iter().map(|s| s.receivers).max().unwrap_or(1);
        let base = args.dir.clone().unwrap_or_else(in_memory);
        let scratch = Scratch::new(
            &base,
            "loopcast-bench-",
            // One size more for the file of tools that take one.
            size.saturating_mul(most as u64 + if args.files > 1 { 2 } else { 1 }),
        )?;
        let make = |name: String, size| Subject::make_up(scratch.path(&name), size, args.seed);
        let number = u64::from(args.files);
        let (files, whole) = if number == 1 {
            (vec![make("image".to_owned(), size)?], Vec::new())
        } else {
            let part = |i| size * (i + 1) / number - size * i / number;
            let files = (0..number).map(|i| make(format!("part-{i:03}"), part(i)));
            let whole = tools.iter().any(|t| !t.takes_several_files());
            let whole = whole.then(|| make("image".to_owned(), size));
            (
                files.collect::<Result<_, _>>()?,
                whole.into_iter().collect::<Result<_, _>>()?,
            )
        };
        let runs = args.runs.unwrap_or(if args.quick { 1 } else { 3 }).into();

        let network = network_in_words(loopback, args.offload, size, args.files);
        let machine = Machine::here();
        console.say(format!("{network}, {}", base.display()));
        console.say(machine.words());
        Ok(Bench {
            interrupt,
            console,
            loopback,
            tools,
            settings,
            runs,
            files,
            whole,
            size,
            report: Report {
                command: command_line(),
                network,
                machine,
                size,
                files: args.files.into(),
                seed: args.seed,
                rows: Vec::new(),
            },
            scratch,
            args,
        })
    }

    /// Measures, tells, and judges: an error unless all copies of ours are there and none is wrong.
    fn measure(mut self) -> Result<(), End> {
        let mut wrong = Vec::new();
        for setting in std::mem::take(&mut self.settings) {
            let rows = self.one_setting(setting, &mut wrong)?;
            self.report.rows.extend(rows);
        }
        let notes = self.report.notes();
        let lines = self.report.table().into_iter().chain(notes);
        lines.for_each(|l| self.console.say(l));
        if let Some(path) = &self.args.markdown {
            fs::write(path, self.report.markdown()).map_err(|e| cannot_write(path, &e))?;
        }
        if let Some(path) = &self.args.json {
            let text = format!("{:#}\n", self.report.json());
            fs::write(path, text).map_err(|e| cannot_write(path, &e))?;
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(End::error(Exit::Failed, wrong.join("\n")))
    }

    /// What a tool sends.
    fn files_for(&self, tool: Tool) -> &[Subject] {
        if tool.takes_several_files() || self.whole.is_empty() {
            &self.files
        } else {
            &self.whole
        }
    }

    /// All tools in turn, as often as told, so that what else the machine does hits all alike.
    fn one_setting(&self, setting: Setting, wrong: &mut Vec<String>) -> Result<Vec<Row>, End> {
        let ground = if self.loopback {
            Ground::loopback()?
        } else {
            let bursts = if self.args.offload {
                Bursts::Whole
            } else {
                Bursts::Cut
            };
            Ground::namespaces(setting.receivers, setting.loss, bursts)?
        };
        let limit = match setting.pace {
            // A unicast sender has to send as often as there are receivers.
            Pace::At(rate) => rate.time_for(self.size * setting.receivers as u64 * 2),
            Pace::Unlimited => SLOWEST.time_for(self.size * setting.receivers as u64),
        };
        let mut rows: Vec<Row> = self.tools.iter().map(|&t| Row::new(setting, t)).collect();
        for run in 1..=self.runs {
            for row in &mut rows {
                if row.failure.is_some() {
                    row.runs.push(None);
                    continue;
                }
                let folder = self.scratch.path("run");
                fs::create_dir(&folder).map_err(|e| cannot_write(&folder, &e))?;
                let job = Job {
                    setting,
                    ground: &ground,
                    files: self.files_for(row.tool),
                    folder: &folder,
                    seed: self.args.seed.wrapping_add(run as u64 * 1_000),
                };
                let limit = limit + if self.args.quick { QUICK_LIMIT } else { LIMIT };
                let result = transfer::run(row.tool, &job, limit, self.interrupt);
                fs::remove_dir_all(&folder).map_err(|e| cannot_write(&folder, &e))?;
                let name = row.tool.name();
                let words = match result {
                    Ok(figures) => {
                        row.runs.push(Some(figures));
                        human::seconds(Duration::from_secs_f64(figures.seconds))
                    }
                    Err(Failure::End(end)) => return Err(end),
                    Err(Failure::Missing(why)) => {
                        if row.tool.is_ours() {
                            wrong.push(format!("{setting}, {name}: {why}"));
                        }
                        row.fail(why)
                    }
                    Err(Failure::Wrong(why)) => {
                        wrong.push(format!("{setting}, {name}: {why}"));
                        row.fail(why)
                    }
                };
                self.console
                    .say(format!("{setting}, run {run}, {name}: {words}"));
            }
        }
        Ok(rows)
    }
}

/// Whether transfers run on loopback, with a word about why.
fn on_loopback(args: &args::Bench, console: &Console) -> Result<bool, End> {
    if args.loopback {
        return Ok(true);
    }
    let Some(why) = network::missing() else {
        return Ok(false);
    };
    if args.offload {
        let text = format!("--offload needs network namespaces, and there are none: {why}");
        return Err(End::error(Exit::Environment, text));
    }
    console.warn(format!(
        "no network namespaces: {why}. Measuring on loopback, where receivers discard packets \
         themselves and other tools can't be measured"
    ));
    Ok(true)
}

/// The tools of others to run.
fn peers(args: &args::Bench, loopback: bool) -> Result<Vec<Peer>, End> {
    let Some(named) = &args.peers else {
        return Ok(if loopback {
            Vec::new()
        } else {
            Peer::installed()
        });
    };
    if loopback && !named.is_empty() {
        let text = "other tools lose nothing on loopback, so they can't be compared there: \
                    run as root, without --loopback, or with --peers none";
        return Err(End::error(Exit::Environment, text));
    }
    if let Some(program) = named.iter().find_map(|peer| peer.missing()) {
        let text = format!("`{program}` is not installed: install it or leave it out of --peers");
        return Err(End::error(Exit::Environment, text));
    }
    Ok(named.to_vec())
}

/// What was typed.
fn command_line() -> String {
    let args = std::env::args().skip(1);
    std::iter::once("loopcast".to_owned())
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What the table is about.
fn network_in_words(loopback: bool, offload: bool, size: u64, files: u16) -> String {
    let network = match (loopback, offload) {
        (true, _) => "loopback, loss injected by the receivers",
        (false, true) => "namespaces on a bridge, MTU 1500, super-packets let through",
        (false, false) => "namespaces on a bridge, MTU 1500, bursts cut at the sender's device",
    };
    let files = match files {
        1 => String::new(),
        files => format!(" in {files} files"),
    };
    format!("{} MiB ({size} bytes){files}, {network}", size >> 20)
}

/// Memory if files can be there: networks are measured, not this machine's disk.
fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}
