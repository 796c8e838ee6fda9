//! `loopcast bench`: how fast files get through networks that lose packets, by this program and by
//! others, side by side. Every copy is compared with the file; every tool gets the same network.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use loopcast::units::Rate;
use loopcast_lab::comparison::figures::Figures;
use loopcast_lab::comparison::ground::Ground;
use loopcast_lab::comparison::matrix::{self, Loss, Pace, Setting};
use loopcast_lab::comparison::report::{Report, Row};
use loopcast_lab::comparison::tool::{Job, Mode, Peer, Tool};
use loopcast_lab::comparison::transfer::{self, Failure};
use loopcast_lab::machine::{self, Machine};
use loopcast_lab::network::{self, Bursts};
use loopcast_lab::subject::{self, Subject};

use crate::args;
use crate::console::Console;
use crate::exit::{End, Exit};
use crate::human;
use crate::interrupt::Interrupt;
use crate::scratch::Scratch;

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
        let tools = tools(&args, loopback)?;
        let settings = settings(&args);
        let size = args
            .size
            .unwrap_or(if args.quick { 16 << 20 } else { 64 << 20 });
        let most = settings.iter().map(|s| s.receivers).max().unwrap_or(1);
        let base = args.dir.clone().unwrap_or_else(machine::in_memory);
        let scratch = Scratch::new(
            &base,
            "loopcast-bench-",
            // One size more for the file of tools that take one.
            size.saturating_mul(most as u64 + if args.files > 1 { 2 } else { 1 }),
        )?;
        let files = files(&args, size, &scratch)?;
        let is_whole_needed = args.files > 1 && tools.iter().any(|t| !t.takes_several_files());
        let whole = is_whole_needed.then(|| make_up(&args, &scratch, "image", size));
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
            whole: whole.into_iter().collect::<Result<_, _>>()?,
            size,
            report: Report {
                version: env!("CARGO_PKG_VERSION"),
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
        let ground = self.ground(&setting)?;
        let tools = self.tools.iter();
        let mut rows: Vec<Row> = tools.map(|&t| Row::new(setting.clone(), t)).collect();
        for run in 1..=self.runs {
            for row in &mut rows {
                if row.failure.is_some() {
                    row.runs.push(None);
                    continue;
                }
                let name = row.tool.name();
                let words = match self.transfer(&setting, &ground, row.tool, run)? {
                    Ok(figures) => {
                        row.runs.push(Some(figures));
                        human::seconds(Duration::from_secs_f64(figures.seconds))
                    }
                    Err(Failed { why, is_wrong }) => {
                        if is_wrong || row.tool.is_ours() {
                            wrong.push(format!("{setting}, {name}: {why}"));
                        }
                        row.fail(why)
                    }
                };
                self.console
                    .say(format!("{setting}, run {run}, {name}: {words}"));
            }
        }
        Ok(rows)
    }

    fn ground(&self, setting: &Setting) -> Result<Ground, End> {
        let program = std::env::current_exe().map_err(|e| {
            End::environment(format!("can't start another process of this program: {e}"))
        })?;
        let ground = if self.loopback {
            Ground::loopback(program)
        } else {
            let bursts = if self.args.offload {
                Bursts::Whole
            } else {
                Bursts::Cut
            };
            Ground::namespaces(program, setting.receivers, setting.loss, bursts)
        };
        ground.map_err(End::environment)
    }

    /// One transfer: its figures or why it has none; an error if nothing more can be measured.
    fn transfer(
        &self,
        setting: &Setting,
        ground: &Ground,
        tool: Tool,
        run: usize,
    ) -> Result<Result<Figures, Failed>, End> {
        let folder = self.scratch.path("run");
        fs::create_dir(&folder).map_err(|e| cannot_write(&folder, &e))?;
        let job = Job {
            setting,
            ground,
            files: self.files_for(tool),
            folder: &folder,
            seed: self.args.seed.wrapping_add(run as u64 * 1_000),
        };
        let result = transfer::run(tool, &job, self.limit(setting), self.interrupt.flag());
        fs::remove_dir_all(&folder).map_err(|e| cannot_write(&folder, &e))?;
        let failed = |why: &str, is_wrong| {
            // It may quote what programs said.
            let lines: Vec<_> = why.lines().map(human::plain).collect();
            let why = lines.join("\n");
            Ok(Err(Failed { why, is_wrong }))
        };
        match result {
            Ok(figures) => Ok(Ok(figures)),
            Err(Failure::Missing(why)) => failed(&why, false),
            Err(Failure::Wrong(why)) => failed(&why, true),
            Err(Failure::Refused(why)) => Err(End::environment(why)),
            Err(Failure::Interrupted) => {
                let text = "interrupted: processes, network and files are removed";
                Err(End::error(Exit::Interrupted, text))
            }
        }
    }

    /// The time that a transfer may take.
    fn limit(&self, setting: &Setting) -> Duration {
        let receivers = setting.receivers as u64;
        let sending = match setting.pace {
            // A unicast sender has to send as often as there are receivers.
            Pace::At { bps, .. } => Rate::from_bps(bps).time_for(self.size * receivers * 2),
            Pace::Unlimited => SLOWEST.time_for(self.size * receivers),
        };
        sending + if self.args.quick { QUICK_LIMIT } else { LIMIT }
    }
}

/// A transfer without figures.
struct Failed {
    why: String,
    /// Whether a copy has other bytes than the file.
    is_wrong: bool,
}

/// What is measured, ours first.
fn tools(args: &args::Bench, loopback: bool) -> Result<Vec<Tool>, End> {
    let modes = match args.mode.as_slice() {
        [] => &[Mode::Parity],
        named => named,
    };
    let ours = modes.iter().map(|&mode| Tool::Ours(mode));
    let peers = peers(args, loopback)?.into_iter().map(Tool::Peer);
    Ok(ours.chain(peers).collect())
}

/// The settings that were asked for.
fn settings(args: &args::Bench) -> Vec<Setting> {
    let losses = match args.loss.as_slice() {
        [] if args.quick => [0, 50].map(Loss::of_thousand).to_vec(),
        [] => [0, 10, 50, 200].map(Loss::of_thousand).to_vec(),
        named => named.to_vec(),
    };
    matrix::settings(&losses, &args.receivers, &args.rate)
}

/// The size, in as many files as asked for.
fn files(args: &args::Bench, size: u64, scratch: &Scratch) -> Result<Vec<Subject>, End> {
    let number = u64::from(args.files);
    if number == 1 {
        return Ok(vec![make_up(args, scratch, "image", size)?]);
    }
    let part = |i| size * (i + 1) / number - size * i / number;
    let make = |i| make_up(args, scratch, &format!("part-{i:03}"), part(i));
    (0..number).map(make).collect()
}

fn make_up(args: &args::Bench, scratch: &Scratch, name: &str, size: u64) -> Result<Subject, End> {
    Subject::make_up(scratch.path(name), size, args.seed).map_err(End::environment)
}

/// The end when a file can't be written.
fn cannot_write(path: &Path, error: &io::Error) -> End {
    End::environment(subject::cannot_write(path, error))
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
