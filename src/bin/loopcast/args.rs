//! The command line, a contract with scripts.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use loopcast::driver::{DEFAULT_URL, FeedbackMode, Parity, Via};
use loopcast::object::Geometry;
use loopcast::seal::Fingerprint;
use loopcast::units::{ByteLen, Rate, RateError};
use loopcast::url::Url;
use loopcast_lab::comparison::matrix::{self, Loss, Pace};
use loopcast_lab::comparison::tool::{Mode, Peer};

use crate::selection::Selection;

/// Cycles of a session without a way back: whoever loses up to 40 % has it all after two, with
/// parity, and a receiver that joins within the first gets a whole one.
const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

const EXIT_CODES: &str = "\
Exit codes:
  0  complete: everything asked for is done
  1  some or all of it failed; what is complete stays
  2  usage: the command line can't be
  3  environment: a file, folder, interface, port or permission is in the way
  4  timed out: no sender was heard in time
  5  interrupted by SIGINT or SIGTERM (a second one ends it at once)
  6  evicted: the sender does not serve this receiver any more, and says why; what came stays

Errors go to standard error and say what to do.";

const EVENTS: &str = "\
With --json, every line of standard output is one JSON object with `event`, its name, and `t`, \
seconds since the start; the last one is `end` with `outcome` and `exit_code`. README.md lists them all.";

const BENCH: &str = "\
As root, with ip, bridge, nft, tc and ethtool, it builds networks of namespaces whose links lose packets, \
and removes them. Otherwise it runs on loopback, where receivers discard packets themselves, without other tools.

Figures: seconds from a sender's start to the last copy (synced, and compared with the file); that over the \
best other tool's of the same run; bytes that left the sender's device over the file's (on loopback, the IP \
bytes it counts); processor seconds of the sender and of all receivers; peak memory of the sender and of the \
largest receiver. docs/BENCHMARKS.md tells how the other tools are run.";

const BENCH_CODES: &str = "\
Exit codes:
  0  complete: every copy of loopcast's is there, and no copy of any tool is wrong
  1  failed: a copy of loopcast's is missing, or a copy of any tool is wrong
  2  usage: the command line can't be
  3  environment: a tool, file, folder or permission is in the way
  5  interrupted by SIGINT or SIGTERM

That another tool does not deliver is a result, told in the table.";

/// Sends files by multicast, once for everyone, to any number of receivers that join at any moment.
#[derive(Parser, Debug)]
#[command(name = "loopcast", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Loop files over multicast until everyone who came has them
    ///
    /// What is offered is signed with this sender's key, which is made at the first start (see
    /// `loopcast keygen`). Its fingerprint stands in the URLs that are printed, for receivers that
    /// take nothing else.
    Send(Send),
    /// Receive what a sender loops
    Receive(Receive),
    /// Seal files into an archive, which only its key opens
    Pack(Pack),
    /// Open an archive with its key
    Unpack(Unpack),
    /// Make and show keys: this sender's own, or a group's
    Keygen(Keygen),
    /// Show it on this machine: one sender and four receivers on loopback
    Demo(Demo),
    /// Measure it, beside other tools, on a test network that loses packets
    Bench(Bench),
}

#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EVENTS}\n\n{EXIT_CODES}"))]
pub(crate) struct Send {
    /// Files and directories to send, at most 10,000 files; a directory's files keep their paths in
    /// it
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Group, or range of groups, to send to: loopcast://[SOURCE@]GROUP[/PREFIX]:PORT
    ///
    /// The first group of a range carries announcements, and every object gets one of the others
    /// while somebody wants it. A single group loops all objects. Requests are answered on PORT at
    /// this machine's own addresses; PORT+1 of the group is used too.
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL, value_parser = place_to_send)]
    pub(crate) to: Url,

    /// Interface for the groups, by name or address [default: the one the system routes them to]
    #[arg(long, value_name = "NAME|IP")]
    pub(crate) interface: Option<String>,

    /// Most IP bits a second of all it sends, like 800k, 100M or 1.5G; auto is what the interface
    /// carries, with --one-way 100M
    #[arg(long, value_name = "RATE|auto", default_value = "auto")]
    pub(crate) rate: Auto<Rate>,

    /// Rates of the speed tiers, like 10M,50M,200M: a receiver that can't keep up with one takes a
    /// slower; auto is the most it sends and halves of that, with --one-way just that
    ///
    /// Each tier has a group of its own, and is sent to only while somebody listens on it. Of a
    /// single group given by --to, the ones that follow it are used.
    #[arg(long, value_name = "RATE,...|auto", default_value = "auto")]
    pub(crate) tiers: Auto<Rates>,

    /// Whose throughput the rate of a tier follows; fixed keeps to the tier's own
    #[arg(long, value_enum, default_value_t = Adapt::Average)]
    pub(crate) adapt: Adapt,

    /// The least that a receiver must get, like 2M: one that stays below it for 5 s is told to use
    /// unicast, or to leave where that would be slower still [default: none]
    ///
    /// No tier is slower than that. Who has to leave says why, ends with exit code 6, and keeps
    /// what came.
    #[arg(long, value_name = "RATE", conflicts_with = "one_way")]
    pub(crate) min_rate: Option<Rate>,

    /// Start data once N receivers have asked [default: with the first]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) wait_for: u32,

    /// Serve on when all who came are done or gone
    #[arg(long)]
    pub(crate) stay: bool,

    /// No way back (satellite, data diode): receivers send nothing, data starts at once and each
    /// file goes out in --cycles cycles, or in cycles without end with --stay
    #[arg(long, conflicts_with_all = ["wait_for", "feedback"])]
    pub(crate) one_way: bool,

    /// Cycles of --one-way [default: 2]
    #[arg(long, value_name = "N", default_value_t = TWO, hide_default_value = true, requires = "one_way", conflicts_with = "stay")]
    pub(crate) cycles: NonZeroU32,

    /// Routers that multicast packets may pass: 1 is this network only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) ttl: u8,

    /// Bytes of content in a packet: a multiple of 64 from 1024 to 8896; more than the default
    /// needs jumbo frames
    #[arg(long, value_name = "N", default_value_t = loopcast::config::DEFAULT_SYMBOL_SIZE, value_parser = symbol_size)]
    pub(crate) symbol_size: u16,

    /// Parity, from which receivers restore what they lost whatever it was: auto, N% or none
    ///
    /// auto sends it for what is asked for and in every other cycle, and with every block as much
    /// as suits the loss that receivers report (with --one-way: as makes up for 5 % of loss). N%
    /// sends so much with every block instead, at least 2 packets. none sends lost packets again.
    #[arg(long, value_name = "auto|N%|none", default_value = "auto", value_parser = parity)]
    pub(crate) parity: Parity,

    /// Where receivers send NAKs: to the sender, or to a group that all of them hear
    #[arg(long, value_enum, default_value_t = Feedback::Sender)]
    pub(crate) feedback: Feedback,

    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Tell receivers whose files and folders are, by number; they apply it with --owner too
    #[arg(long)]
    pub(crate) owner: bool,

    /// Tell receivers extended attributes; they apply them with --xattrs too
    #[arg(long)]
    pub(crate) xattrs: bool,

    /// Pack everything into one sealed archive, and send that
    ///
    /// Its key is made with it and stays in a file here; receivers need it to unpack. The archive
    /// is a temporary file (set TMPDIR for another place) as large as all files together.
    #[arg(long, conflicts_with_all = ["include", "exclude", "owner", "xattrs"])]
    pub(crate) encrypt: bool,

    /// Where to keep the key of what --encrypt seals; it must not be there yet
    /// [default: the archive's name with .key, here]
    #[arg(long, value_name = "KEYFILE", requires = "encrypt")]
    pub(crate) key: Option<PathBuf>,

    /// Seal every packet with the group key in this file: who has it not can read nothing, and not
    /// take part
    ///
    /// `loopcast keygen --group FILE` makes one. Receivers need the same file.
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) group_key: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: Output,

    /// Folder in which hashes of files are remembered [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) hash_cache: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EVENTS}\n\n{EXIT_CODES}"))]
pub(crate) struct Receive {
    /// Where the sender is, and who: loopcast://[SOURCE@]HOST-OR-GROUP:PORT[/NAME][#FINGERPRINT],
    /// an IPv6 address in brackets, with %INTERFACE if need be
    ///
    /// With a group, it listens there and, hearing nothing, multicasts its request to the group.
    /// With a host, it asks that host and is told the group. Without NAME it gets all that is
    /// offered. NAME/PATTERN is a part of the folder NAME: photos/2024 that folder or file in it,
    /// 'photos/**/*.jpg' what the pattern means, as --include has them. With FINGERPRINT, which
    /// `send` prints, it takes what that sender has signed and nothing else; without, it stays with
    /// the first sender it meets and says who that is.
    #[arg(value_name = "URL")]
    pub(crate) url: Url,

    /// Interface to join groups on, by name or address [default: the one the system routes them to]
    #[arg(long, value_name = "NAME|IP")]
    pub(crate) interface: Option<String>,

    /// Folder to put files in
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) into: PathBuf,

    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Replace files that are there with other content; without, they are kept and named
    ///
    /// What this run has put there itself is replaced by a new version in any case.
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Remove from a folder that is received what the sender's has not
    ///
    /// Never outside that folder, and nothing where its content comes right into --into.
    #[arg(long)]
    pub(crate) delete: bool,

    /// Set user and group by number, where the sender told them
    #[arg(long)]
    pub(crate) owner: bool,

    /// Set extended attributes, where the sender told them
    #[arg(long)]
    pub(crate) xattrs: bool,

    /// Make symbolic links of a folder that lead out of it; without, they are left out and named
    #[arg(long)]
    pub(crate) outside_links: bool,

    /// Folder in which hashes of files are remembered [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) hash_cache: Option<PathBuf>,

    /// Which path data may take
    #[arg(long, value_enum, default_value_t = Path::Auto)]
    pub(crate) via: Path,

    /// Send no UDP datagram at all, not even when something is lost; needs a group in the URL
    ///
    /// Receivers of a `send --one-way` do so by themselves once they hear it. What is lost comes
    /// with the sender's next cycle; a sender that is not one-way is heard for as long as it sends
    /// to others.
    #[arg(long, conflicts_with = "via")]
    pub(crate) one_way: bool,

    /// With --one-way: send no IGMP or MLD to join the group either
    ///
    /// The network must bring the group's packets here by itself: a switch port that is a static
    /// member of the group, or a direct cable. They are read off the interface, which needs Linux
    /// and root (or CAP_NET_RAW).
    #[arg(long, requires = "one_way")]
    pub(crate) no_join: bool,

    /// Seconds to wait for a sign of life on the group before unicast is used
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    pub(crate) sync_timeout: Duration,

    /// Seconds to wait for a sender
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// What the downlink carries, like 50M: it begins on the fastest tier that fits, and goes to no
    /// faster one [default: found out]
    #[arg(long, value_name = "RATE")]
    pub(crate) downlink: Option<Rate>,

    /// Share of arriving packets to discard at random, like 5%, for benchmarking
    #[arg(long, value_name = "SHARE", default_value = "0%", hide_default_value = true, value_parser = share)]
    pub(crate) drop: f64,

    /// Seed of timers and of what --drop discards, so that a run can be repeated [default: random]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Most bytes that an object may have, like 800M or 4.7G; larger ones are refused [default: any
    /// that has room]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<ByteLen>,

    /// Take what the sender with this key has signed and nothing else; the same as #FINGERPRINT in
    /// the URL
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) trust: Option<Fingerprint>,

    /// Unpack archives that have come with this key; the archives stay too
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) key: Option<PathBuf>,

    /// Take what is sealed with the group key in this file, and nothing else
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) group_key: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: Output,

    /// Discard everything that comes by a group, as a network without multicast does
    #[arg(long, hide = true)]
    pub(crate) deaf: bool,
}

/// What `send` and `receive` have in common.
#[derive(clap::Args, Debug)]
pub(crate) struct Output {
    /// Write a JSON summary to FILE at exit
    #[arg(long, value_name = "FILE")]
    pub(crate) stats: Option<PathBuf>,

    /// Write one JSON event a line to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,

    /// Send and receive packets one by one, without segmentation offload.
    #[arg(long, hide = true)]
    pub(crate) no_offload: bool,

    /// End when standard input does.
    #[arg(long, hide = true)]
    pub(crate) tied: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EVENTS}\n\n{EXIT_CODES}"))]
pub(crate) struct Pack {
    /// Files and directories to pack; a directory's files keep their paths in it
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// The archive to make
    #[arg(long, value_name = "ARCHIVE")]
    pub(crate) out: PathBuf,

    /// Where to keep its key, which is made with it; whoever has this file can read the archive
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) key: PathBuf,

    /// Compress with zstd, from level 1 (fast) to 19 (small)
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "3",
          value_parser = clap::value_parser!(i32).range(level_range()))]
    pub(crate) compress: Option<i32>,

    /// Replace archive and key file if they are there
    #[arg(long)]
    pub(crate) force: bool,

    /// Write one JSON event a line to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EVENTS}\n\n{EXIT_CODES}"))]
pub(crate) struct Unpack {
    /// The archive
    pub(crate) archive: PathBuf,

    /// Its key
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) key: PathBuf,

    /// Folder to put files in
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) into: PathBuf,

    /// Write one JSON event a line to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EVENTS}\n\n{EXIT_CODES}"))]
pub(crate) struct Keygen {
    /// Make a group key in FILE [default: this sender's own key, unless it is there, in
    /// $XDG_CONFIG_HOME/loopcast/sender.key]
    #[arg(long, value_name = "FILE")]
    pub(crate) group: Option<PathBuf>,

    /// Replace the group key if it is there
    #[arg(long, requires = "group")]
    pub(crate) force: bool,

    /// Show the sender's key and make none
    #[arg(long, conflicts_with = "group")]
    pub(crate) show: bool,

    /// Write one JSON event a line to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Demo {
    /// File to send [default: 64 MB of made-up bytes]
    pub(crate) file: Option<PathBuf>,

    /// Most IP bits a second of all the sender sends
    #[arg(long, default_value = "100M")]
    pub(crate) rate: Rate,
}

#[derive(clap::Args, Debug)]
#[command(after_help = BENCH_CODES, after_long_help = format!("{BENCH}\n\n{BENCH_CODES}"))]
pub(crate) struct Bench {
    /// Per cent of packets that each receiver loses by itself [default: 0,1,5,20; with --quick 0,5]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) loss: Vec<Loss>,

    /// How many receivers
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "4", value_parser = matrix::receivers)]
    pub(crate) receivers: Vec<usize>,

    /// Most IP bits a second of all a sender sends, like 100M, or `unlimited`
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "unlimited",
        value_parser = pace
    )]
    pub(crate) rate: Vec<Pace>,

    /// How loopcast sends [default: parity]
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    pub(crate) mode: Vec<Mode>,

    /// Other tools to run in the same networks, or `none` [default: those that are installed]
    #[arg(long, value_name = "LIST", value_parser = peers)]
    pub(crate) peers: Option<Peers>,

    /// Times that everything is run, in turn; what is told is the median (lowest..highest)
    /// [default: 3; with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) runs: Option<u8>,

    /// Size of the file, or of all files together [default: 64M; with --quick 16M]
    #[arg(long, value_name = "BYTES", value_parser = matrix::size)]
    pub(crate) size: Option<u64>,

    /// Files that the size is split into; udpcast, which takes one, sends one of that size
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) files: u16,

    /// Seed of the file's bytes and of what receivers do at random; the network's loss has none
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// A small file, two losses, one run: under half a minute
    #[arg(long)]
    pub(crate) quick: bool,

    /// Let bursts pass through the network in one piece, as between virtual machines of one host
    #[arg(long, conflicts_with = "loopback")]
    pub(crate) offload: bool,

    /// Use loopback even where a network of namespaces could be built
    #[arg(long)]
    pub(crate) loopback: bool,

    /// Folder for the file and its copies [default: /dev/shm, so that no disk is measured]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Write all figures of all runs to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the table to FILE, for a document
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
}

/// How fast a sender may send.
fn pace(text: &str) -> Result<Pace, String> {
    if text == "unlimited" {
        return Ok(Pace::Unlimited);
    }
    let rate: Rate = text.parse().map_err(|e: RateError| e.to_string())?;
    Ok(Pace::At {
        bps: rate.as_bps(),
        words: rate.to_string(),
    })
}

/// Tools of others; a name for clap, which takes a bare `Vec` apart.
pub(crate) type Peers = std::sync::Arc<[Peer]>;

fn peers(text: &str) -> Result<Peers, String> {
    if text == "none" {
        return Ok(Peers::default());
    }
    text.split(',')
        .map(|name| Peer::from_str(name, true))
        .collect()
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Path {
    /// The group, and unicast while nothing comes that way
    Auto,
    /// The group only
    Multicast,
    /// Unicast only
    Unicast,
}

impl From<Path> for Via {
    fn from(path: Path) -> Via {
        match path {
            Path::Auto => Via::Auto,
            Path::Multicast => Via::Multicast,
            Path::Unicast => Via::Unicast,
        }
    }
}

/// Found out by itself, or as given.
#[derive(Clone, Debug)]
pub(crate) enum Auto<T> {
    Auto,
    Given(T),
}

impl<T: FromStr> FromStr for Auto<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Auto<T>, T::Err> {
        match text {
            "auto" => Ok(Auto::Auto),
            _ => text.parse().map(Auto::Given),
        }
    }
}

/// Rates with commas between them.
#[derive(Clone, Debug)]
pub(crate) struct Rates(pub(crate) Vec<Rate>);

impl FromStr for Rates {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Rates, RateError> {
        let rates = text.split(',').map(str::parse);
        rates.collect::<Result<_, _>>().map(Rates)
    }
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Adapt {
    /// The average of its receivers'
    Average,
    /// The slowest receiver's
    Lowest,
    /// Nobody's
    Fixed,
}

impl From<Adapt> for loopcast::rate::Adapt {
    fn from(adapt: Adapt) -> loopcast::rate::Adapt {
        match adapt {
            Adapt::Average => loopcast::rate::Adapt::Average,
            Adapt::Lowest => loopcast::rate::Adapt::Lowest,
            Adapt::Fixed => loopcast::rate::Adapt::Fixed,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feedback {
    /// To the sender, which confirms them to everyone
    Sender,
    /// To a group
    Group,
}

impl From<Feedback> for FeedbackMode {
    fn from(feedback: Feedback) -> FeedbackMode {
        match feedback {
            Feedback::Sender => FeedbackMode::Sender,
            Feedback::Group => FeedbackMode::Group,
        }
    }
}

fn place_to_send(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|e: loopcast::url::UrlError| e.to_string())?;
    url.to_send_to().map_err(|e| e.to_string())?;
    Ok(url)
}

fn level_range() -> std::ops::RangeInclusive<i64> {
    let levels = loopcast::store::LEVELS;
    i64::from(*levels.start())..=i64::from(*levels.end())
}

fn symbol_size(text: &str) -> Result<u16, String> {
    let size = text
        .parse()
        .map_err(|_| "it takes a number of bytes, like 1344".to_owned())?;
    // The smallest object tells whether any can have symbols of this size.
    Geometry::new(0, size, 1, 0, 1).map_err(|e| e.to_string())?;
    Ok(size)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).trim_end();
    let seconds: f64 = number
        .parse()
        .map_err(|_| "it takes seconds, like 2 or 0.5".to_owned())?;
    if !(0.0..=1e9).contains(&seconds) {
        return Err("it takes seconds from 0 to a billion".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn parity(text: &str) -> Result<Parity, String> {
    match text {
        "auto" => Ok(Parity::Auto),
        "none" => Ok(Parity::None),
        "100%" => Ok(Parity::Share(1.0)),
        share_of => share(share_of)
            .map(Parity::Share)
            .map_err(|_| "it takes auto, none, or a share from 0% to 100%".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share: f64 = number
        .parse()
        .map_err(|_| "it takes a share like 5% or 0.05".to_owned())?;
    let share = share / whole;
    if !(0.0..1.0).contains(&share) {
        return Err("it takes a share from 0% to below 100%".to_owned());
    }
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn shares() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.05"), Ok(0.05));
        assert_eq!(share("0"), Ok(0.0));
        for bad in ["5", "100%", "-1%", "nan", "five", ""] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parities() {
        assert_eq!(parity("auto"), Ok(Parity::Auto));
        assert_eq!(parity("10%"), Ok(Parity::Share(0.1)));
        assert_eq!(parity("100%"), Ok(Parity::Share(1.0)));
        assert!(parity("101%").is_err() && parity("some").is_err());
    }

    #[test]
    fn paces() {
        assert_eq!(pace("unlimited"), Ok(Pace::Unlimited));
        let (bps, words) = (100_000_000, "100 Mbit/s".to_owned());
        assert_eq!(pace("100M"), Ok(Pace::At { bps, words }));
        assert!(pace("0").is_err() && pace("fast").is_err());
    }

    #[test]
    fn times() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("2s"), Ok(Duration::from_secs(2)));
        for bad in ["-1", "inf", "nan", "1e300", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn symbols() {
        assert_eq!(symbol_size("1344"), Ok(1344));
        for bad in ["0", "1345", "9000", "70000", "x"] {
            assert!(symbol_size(bad).is_err(), "{bad}");
        }
    }
}
