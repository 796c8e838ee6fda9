//! Cases of whole folders: their time beside that of one file and a local copy, and what a second
//! run, a change, a crash or damage costs.

use super::scheduled::{ratio, told};
use super::{RANGE_BASE, Wanted, since, start_receivers};
use crate::bench::Bench;
use loopcast_lab::content;
use loopcast_lab::desk::Desk;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::{Net, Traffic};
use loopcast_lab::process::{Marks, Process};
use loopcast_lab::program::Program;
use loopcast_lab::tree::{self, Shape};
use loopcast_lab::wait::{pause, poll_until};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Receivers of each transfer.
const RECEIVERS: usize = 4;
/// Files that each program may have open.
const OPEN_FILES: u32 = 64;
/// The most that one transfer may take, whatever its figures.
const PATIENCE: Duration = Duration::from_secs(400);
/// A tree of many small files.
const SMALL: Shape = Shape {
    files: 3_000,
    bytes: 17_000_000,
};
/// A tree of a hundred thousand.
const LARGE: Shape = Shape {
    files: 100_000,
    bytes: 1_000_000_000,
};
/// Name of the tree.
const TREE: &str = "tree";

/// A transfer in which all went well.
struct Went {
    /// From the sender's start to the last copy.
    took: Duration,
    /// Bytes that left the sender's device, Ethernet headers included.
    sent: u64,
    /// The most memory that one of the programs had, in bytes.
    memory: u64,
}

impl Went {
    fn memory(&self, most: f64) -> Measure {
        let mb = self.memory as f64 / 1e6;
        Measure::new("peak memory of one program", mb, "MB", Limit::AtMost(most))
    }

    fn wire(&self, what: &str, bytes: u64, most: f64) -> Measure {
        let ratio = self.sent as f64 / bytes as f64;
        Measure::new(what, ratio, "", Limit::AtMost(most))
    }
}

/// A network for trees, and the folder of a run.
struct Ground {
    net: Net,
    desk: Desk,
}

impl Ground {
    fn new(bench: &Bench, receivers: usize) -> Result<Ground, String> {
        let mut desk = bench.desk()?;
        desk.loopcast.open_files = Some(OPEN_FILES);
        let net = Net::new(1 + receivers)?;
        Ok(Ground { net, desk })
    }

    fn tree(&self) -> PathBuf {
        self.desk.path(TREE)
    }

    /// Where the copy on a host is.
    fn copy(&self, host: usize) -> PathBuf {
        self.desk.inbox(host).join(TREE)
    }

    /// Sends a path to all; the receivers were there first.
    fn send(&self, path: &Path, args: &[&str]) -> Result<Went, String> {
        let Ground { net, desk } = self;
        let on = |host| Wanted {
            host,
            url: RANGE_BASE,
            args,
        };
        let wanted: Vec<Wanted> = (1..net.hosts()).map(on).collect();
        let receivers = start_receivers(desk, net, &wanted)?;
        let before = net.host(0).sent_bytes()?;
        let all = wanted.len().to_string();
        let sender = desk
            .loopcast
            .send(net.host(0), &["--wait-for", &all], &[path])?;
        let deadline = sender.started() + PATIENCE;
        let mut took = Duration::ZERO;
        for receiver in &receivers {
            receiver
                .succeed(deadline)
                .map_err(|e| format!("{e}the sender said:\n{}", sender.tail()))?;
            took = took.max(since(sender.started(), receiver.completed_at())?);
        }
        sender.succeed(deadline)?;
        desk.keep("sender", &sender)?;
        let programs = receivers.iter().chain([&sender]);
        Ok(Went {
            took,
            sent: net.host(0).sent_bytes()? - before,
            memory: programs.filter_map(Program::memory).max().unwrap_or(0),
        })
    }

    fn compare(&self) -> Result<(), String> {
        (1..self.net.hosts()).try_for_each(|i| tree::compare(&self.tree(), &self.copy(i)))
    }

    fn empty(&self) -> Result<(), String> {
        (1..self.net.hosts()).try_for_each(|i| self.desk.empty(i))
    }
}

/// How long it takes to copy a tree as often as there are receivers, all at the same time.
fn local_copies(ground: &Ground) -> Result<Duration, String> {
    let started = Instant::now();
    let copy = |i| {
        let to = ground.desk.path(&format!("local-{i}"));
        let mut cp = Command::new("cp");
        cp.arg("-r").arg(ground.tree()).arg(&to);
        cp.spawn()
            .map(|child| (child, to))
            .map_err(|e| e.to_string())
    };
    let copies: Result<Vec<_>, String> = (1..ground.net.hosts()).map(copy).collect();
    let mut copies = copies?;
    for (child, _) in &mut copies {
        child.wait().map_err(|e| e.to_string())?;
    }
    let took = started.elapsed();
    copies
        .iter()
        .try_for_each(|(_, to)| std::fs::remove_dir_all(to))
        .map_err(|e| e.to_string())?;
    Ok(took)
}

/// A tree to four receivers, beside one file of its bytes and local copies; the same again; and
/// once more after some of it was changed and renamed.
fn whole(bench: &Bench, shape: Shape, loss: u32) -> Result<Vec<Measure>, String> {
    let ground = Ground::new(bench, RECEIVERS)?;
    tree::make(&ground.tree(), shape, 1)?;
    let bytes = tree::bytes(&ground.tree())?;
    for host in 1..=RECEIVERS {
        ground.net.set_loss(host, Traffic::Udp, loss)?;
    }
    let file = ground.desk.file("one-file", bytes)?;
    let one = ground.send(&file, &[])?;
    ground.empty()?;
    std::fs::remove_file(&file).map_err(|e| e.to_string())?;
    let local = local_copies(&ground)?;

    let first = ground.send(&ground.tree(), &[])?;
    ground.compare()?;
    let before = tree::traces(&ground.copy(1))?;
    let again = ground.send(&ground.tree(), &[])?;
    if tree::traces(&ground.copy(1))? != before {
        return Err("the second run has written something".into());
    }
    tree::change(&ground.tree(), shape.files, 2)?;
    let changed = ground.send(&ground.tree(), &["--overwrite", "--delete"])?;
    ground.compare()?;
    let most = first.memory.max(again.memory).max(changed.memory);
    Ok(vec![
        ratio(
            "time / (one file + local copies)",
            first.took,
            one.took + local,
            1.3,
        ),
        told("start to last copy", first.took),
        told("one file of its bytes", one.took),
        told("four simultaneous cp -r", local),
        first.wire(
            "wire / its bytes",
            bytes,
            1.10 / (1.0 - f64::from(loss) / 1e3),
        ),
        Went {
            memory: most,
            ..first
        }
        .memory(128.0),
        again.wire("the same again: wire / its bytes", bytes, 0.01),
        told("the same again", again.took),
        changed.wire("1 % changed, 1 % renamed: wire", bytes, 0.04),
        told("1 % changed, 1 % renamed", changed.took),
    ])
}

pub(crate) fn tree_of_3000(bench: &Bench) -> Result<Vec<Measure>, String> {
    whole(bench, SMALL, 0)
}

pub(crate) fn tree_of_3000_loss2(bench: &Bench) -> Result<Vec<Measure>, String> {
    whole(bench, SMALL, 20)
}

pub(crate) fn tree_of_100000(bench: &Bench) -> Result<Vec<Measure>, String> {
    whole(bench, LARGE, 0)
}

/// A million empty files to one receiver.
pub(crate) fn tree_of_empty_files(bench: &Bench) -> Result<Vec<Measure>, String> {
    let shape = Shape {
        files: if bench.quick { 100_000 } else { 1_000_000 },
        bytes: 0,
    };
    let ground = Ground::new(bench, 1)?;
    tree::make(&ground.tree(), shape, 1)?;
    let went = ground.send(&ground.tree(), &[])?;
    ground.compare()?;
    Ok(vec![
        went.memory(512.0),
        told("start to last copy", went.took),
        Measure::new("wire", went.sent as f64 / 1e6, "MB", Limit::Free),
    ])
}

/// How long `b3sum` takes for a file, with one thread and without a map, which would give holes in
/// memory room; none where it is not installed.
fn b3sum(path: &Path) -> Result<Option<Duration>, String> {
    let started = Instant::now();
    let mut b3sum = Command::new("b3sum");
    let ran = b3sum
        .args(["--num-threads", "1", "--no-mmap"])
        .arg(path)
        .output();
    match ran {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        ran => ran
            .map(|_| Some(started.elapsed()))
            .map_err(|e| e.to_string()),
    }
}

/// An image that is nearly all holes. To one receiver: each hashes all that is zeros, and several
/// would share the processors of one machine.
fn image(bench: &Bench, timed: bool) -> Result<Vec<Measure>, String> {
    const PIECE: u64 = 1_000_000;
    const RECEIVERS: usize = 1;
    let (length, data) = (bench.mb(10_000, 1_000), bench.mb(100, 10));
    let ground = Ground::new(bench, RECEIVERS)?;
    let Ground { desk, .. } = &ground;
    let full = desk.file("full", data)?;
    let pieces = std::fs::read(&full).map_err(|e| e.to_string())?;
    let image = desk.path("image");
    let made = std::fs::File::create(&image).and_then(|file| {
        file.set_len(length)?;
        let apart = length / (data / PIECE);
        let mut numbered = (0..).zip(pieces.chunks(PIECE as usize));
        numbered.try_for_each(|(number, piece)| file.write_all_at(piece, number * apart))
    });
    made.map_err(|e| format!("{}: {e}", image.display()))?;
    let id = content::hash(&image)?;
    let hashing = if timed { b3sum(&image)? } else { None };

    let one = ground.send(&full, &[])?;
    ground.empty()?;
    let went = ground.send(&image, &[])?;
    let blocks = |path: &Path| std::fs::metadata(path).map(|m| m.blocks() * 512);
    let size = blocks(&image).map_err(|e| e.to_string())?;
    let mut most: f64 = 0.0;
    for host in 1..=RECEIVERS {
        let copy = desk.inbox(host).join("image");
        most = most.max(blocks(&copy).map_err(|e| e.to_string())? as f64 / size as f64);
        if content::hash(&copy)? != id {
            return Err(format!("{} differs", copy.display()));
        }
    }
    let mut measures = Vec::new();
    match hashing {
        Some(hashing) => {
            let allowed = hashing + one.took.mul_f64(1.3);
            let what = "time / (b3sum + 1.3 x its data)";
            measures.push(ratio(what, went.took, allowed, 1.0));
            measures.push(told("b3sum of it, one thread", hashing));
        }
        None if timed => return Err("b3sum is not installed".into()),
        None => {}
    }
    measures.extend([
        told("start to last copy", went.took),
        told("one file of its data", one.took),
        Measure::new(
            "room on disk / the original's",
            most,
            "",
            Limit::AtMost(1.05),
        ),
        went.wire("wire / its data", data, 1.10),
    ]);
    Ok(measures)
}

pub(crate) fn sparse_image(bench: &Bench) -> Result<Vec<Measure>, String> {
    image(bench, false)
}

pub(crate) fn sparse_image_time(bench: &Bench) -> Result<Vec<Measure>, String> {
    image(bench, true)
}

/// One receiver that is killed at random moments of a transfer. With `damage`, bytes of what it has
/// left are changed each time.
fn killed(bench: &Bench, damage: bool) -> Result<Vec<Measure>, String> {
    const MOST: f64 = 1.2;
    let kills = if bench.quick { 5 } else { 50 };
    let shape = Shape {
        files: if bench.quick { 10_000 } else { 100_000 },
        bytes: bench.mb(1_000, 100),
    };
    let ground = Ground::new(bench, 1)?;
    let Ground { net, desk } = &ground;
    tree::make(&ground.tree(), shape, 3)?;
    let bytes = tree::bytes(&ground.tree())?;
    let all = Duration::from_secs_f64(bytes as f64 * 8.0 / 100e6);
    let mut dice = fastrand::Rng::with_seed(7);
    let start = |path: &str| {
        let url = format!("{RANGE_BASE}{path}");
        desk.loopcast
            .receive(net.host(1), &desk.inbox(1), &["--via", "multicast"], &url)
    };
    let sender = desk.loopcast.send(
        net.host(0),
        &["--rate", "100M", "--stay"],
        &[&ground.tree()],
    )?;
    sender.wait_until_up()?;
    let mut unfinished = 0;
    for _ in 0..kills {
        let receiver = start("")?;
        // They end, all in all, when four fifths of the time are over.
        pause(all.mul_f64(dice.f64() * 1.6 / f64::from(kills)) + START)?;
        unfinished += u32::from(receiver.is_running());
        receiver.kill();
        if damage {
            spoil(&desk.inbox(1), &mut dice)?;
        }
    }
    let receiver = start("")?;
    receiver.succeed(Instant::now() + PATIENCE)?;
    desk.keep("receiver", &receiver)?;
    tree::compare(&ground.tree(), &ground.copy(1))?;
    drop(receiver);
    let heard = net.host(1).heard_bytes()?;
    let mut measures = vec![Measure::new(
        "killed before it was done",
        f64::from(unfinished),
        "times",
        Limit::AtLeast(f64::from(kills) * 0.8),
    )];
    let limit = if damage {
        Limit::Free
    } else {
        Limit::AtMost(MOST)
    };
    let wire = heard as f64 / bytes as f64;
    measures.push(Measure::new("received / its bytes", wire, "", limit));
    Ok(measures)
}

/// Time in which a receiver is up and has asked.
const START: Duration = Duration::from_millis(60);

/// Changes a byte in each of some files that lie about.
fn spoil(folder: &Path, dice: &mut fastrand::Rng) -> Result<(), String> {
    const FILES: usize = 5;
    let all = tree::list(folder)?;
    let files = all.iter().filter(|(_, m)| m.is_file() && m.len() > 0);
    let files: Vec<_> = files.collect();
    for _ in 0..FILES.min(files.len()) {
        let (path, meta) = files[dice.usize(..files.len())];
        let spoilt = std::fs::File::options().write(true).open(folder.join(path));
        let spoilt = spoilt.and_then(|f| f.write_all_at(&[dice.u8(..)], dice.u64(..meta.len())));
        spoilt.map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

pub(crate) fn tree_killed(bench: &Bench) -> Result<Vec<Measure>, String> {
    killed(bench, false)
}

pub(crate) fn tree_damaged(bench: &Bench) -> Result<Vec<Measure>, String> {
    killed(bench, true)
}

/// Processes of another tool: those on hosts 1 and up first, then the sender's.
struct Others {
    receivers: Vec<Process>,
    sender: Process,
}

impl Others {
    /// How long it took from the sender's start until all that end by themselves have.
    fn took(&self, name: &str) -> Result<Duration, String> {
        let deadline = self.sender.started() + PATIENCE;
        poll_until(deadline, || !self.sender.is_running())?;
        let ended = self.sender.ended().filter(|e| e.status.success());
        let ended = ended.ok_or_else(|| format!("{name}: {}", self.sender.last_words()))?;
        let mut last = ended.at;
        for receiver in &self.receivers {
            poll_until(deadline, || !receiver.is_running())?;
            last = last.max(receiver.ended().map_or(last, |e| e.at));
        }
        Ok(last.saturating_duration_since(self.sender.started()))
    }
}

fn start(name: &str, command: &mut Command) -> Result<Process, String> {
    let process = Process::start(name.to_owned(), command, Marks::default());
    process.map_err(|e| format!("{name}: {e}"))
}

/// `uftp` on the tree. Its receivers are daemons, which have everything when the sender ends.
fn by_uftp(ground: &Ground) -> Result<Duration, String> {
    let Ground { net, desk } = ground;
    let mut daemons = Vec::new();
    let mut members = Vec::new();
    for host in 1..net.hosts() {
        let into = desk.path(&format!("uftp-{host}"));
        std::fs::create_dir_all(&into).map_err(|e| e.to_string())?;
        let id = format!("0x{:08X}", u32::from(net.host(host).address));
        let mut daemon = net.host(host).command("uftpd");
        daemon.args([
            "-d",
            "-q",
            "-I",
            "eth0",
            "-M",
            "239.192.8.1",
            "-B",
            "4194304",
        ]);
        daemon.args(["-U", &id, "-D"]).arg(&into);
        daemons.push(start("uftpd", &mut daemon)?);
        members.push(id);
    }
    // They say nothing when they are ready.
    pause(Duration::from_millis(500))?;
    let mut uftp = net.host(0).command("uftp");
    uftp.args([
        "-I",
        "eth0",
        "-M",
        "239.192.8.1",
        "-P",
        "239.192.8.2",
        "-R",
        "-1",
    ]);
    uftp.args(["-B", "4194304", "-b", "1400", "-r", "0.05:0.01:15"]);
    uftp.args(["-H", &members.join(",")]).arg(ground.tree());
    let others = Others {
        receivers: Vec::new(),
        sender: start("uftp", &mut uftp)?,
    };
    let took = others.took("uftp")?;
    all_came(ground, "uftp")?;
    Ok(took)
}

/// As many bytes are here as were sent. `tar` keeps no parts of a second, and `uftp` no modes.
fn all_came(ground: &Ground, name: &str) -> Result<(), String> {
    let ours = tree::bytes(&ground.tree())?;
    for host in 1..ground.net.hosts() {
        let copy = ground.desk.path(&format!("{name}-{host}")).join(TREE);
        let theirs = tree::bytes(&copy)?;
        if ours != theirs {
            return Err(format!("{name}: {theirs} of {ours} bytes came"));
        }
    }
    Ok(())
}

/// `tar` through `udp-sender` and `udp-receiver`.
fn by_udpcast(ground: &Ground) -> Result<Duration, String> {
    let Ground { net, desk } = ground;
    let mut receivers = Vec::new();
    for host in 1..net.hosts() {
        let into = desk.path(&format!("udpcast-{host}"));
        std::fs::create_dir_all(&into).map_err(|e| e.to_string())?;
        let mut receiver = net.host(host).command("sh");
        receiver.arg("-c").arg(format!(
            "udp-receiver --nokbd --no-progress --rcvbuf 4194304 --interface eth0 | \
             tar x -C '{}'",
            into.display()
        ));
        receivers.push(start("udp-receiver", &mut receiver)?);
    }
    let parent = ground.tree();
    let parent = parent.parent().unwrap_or(Path::new("/"));
    let mut sender = net.host(0).command("sh");
    sender.arg("-c").arg(format!(
        "tar c -C '{}' {TREE} | udp-sender --nokbd --no-progress --full-duplex --interface eth0 \
         --min-receivers {} --rexmit-hello-interval 50",
        parent.display(),
        receivers.len()
    ));
    let others = Others {
        sender: start("udp-sender", &mut sender)?,
        receivers,
    };
    let took = others.took("udp-sender")?;
    all_came(ground, "udpcast")?;
    Ok(took)
}

/// A tree beside the tools that users could pick instead.
pub(crate) fn tree_peers(bench: &Bench) -> Result<Vec<Measure>, String> {
    let mut measures = Vec::new();
    let shapes: &[Shape] = match bench.quick {
        true => &[SMALL],
        false => &[SMALL, LARGE],
    };
    for &shape in shapes {
        let files = shape.files;
        let mut ground = Ground::new(bench, RECEIVERS)?;
        tree::make(&ground.tree(), shape, 1)?;
        let ours = ground.send(&ground.tree(), &[])?.took;
        ground.compare()?;
        ground.empty()?;
        ground.desk.loopcast.open_files = None;
        let (udpcast, uftp) = (by_udpcast(&ground), by_uftp(&ground));
        let best = [&uftp, &udpcast].into_iter().flatten().min();
        let best = *best.ok_or_else(|| format!("{uftp:?}, {udpcast:?}"))?;
        measures.push(ratio(
            format!("{files} files: time / best peer's"),
            ours,
            best,
            0.5,
        ));
        measures.push(told(format!("{files} files: loopcast"), ours));
        for (name, took) in [("uftp", uftp), ("tar | udp-sender", udpcast)] {
            match took {
                Ok(took) => measures.push(told(format!("{files} files: {name}"), took)),
                Err(why) => eprintln!("{why}"),
            }
        }
    }
    Ok(measures)
}
