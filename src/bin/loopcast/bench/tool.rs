//! The tools that are measured, and how each is run: ours, and those that people could take instead
//! with the settings that served them best here (docs/BENCHMARKS.md gives the reasons).

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use super::ground::Ground;
use super::matrix::{Pace, Setting};
use super::process::Marks;
use crate::subject::Subject;

/// Bytes of socket buffer asked for wherever a tool can be told, the most that ours asks for too.
const BUFFER: &str = "4194304";

/// How our own program sends.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Multicast, repaired with parity
    Parity,
    /// Multicast, lost packets sent again
    None,
    /// To each receiver by itself
    Unicast,
    /// Like parity, without segmentation offload at either end
    Singly,
}

/// A tool of others.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// UFTP
    Uftp,
    /// UDPcast
    Udpcast,
    /// The FLUTE programs of the crate of that name
    Flute,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tool {
    Ours(Mode),
    Peer(Peer),
}

/// One transfer, as a tool needs to know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    pub(super) setting: Setting,
    pub(super) ground: &'a Ground,
    /// One file for a tool that takes no more.
    pub(super) files: &'a [Subject],
    /// For what a tool writes beside the copies.
    pub(super) folder: &'a Path,
    pub(super) seed: u64,
}

impl<'a> Job<'a> {
    fn paths(&self) -> impl Iterator<Item = &'a Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// The only file, for a tool that takes one.
    fn file(&self) -> &'a Path {
        self.paths().next().unwrap_or(Path::new(""))
    }
}

impl Peer {
    /// Those that are installed.
    pub(super) fn installed() -> Vec<Peer> {
        let all = Peer::value_variants().iter().copied();
        all.filter(|peer| peer.missing().is_none()).collect()
    }

    /// The first of its programs that is not there.
    pub(super) fn missing(self) -> Option<&'static str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&path).collect();
        let there = |program: &&str| folders.iter().any(|dir| dir.join(program).is_file());
        self.programs().into_iter().find(|p| !there(p))
    }

    /// Its sender and its receiver.
    fn programs(self) -> [&'static str; 2] {
        match self {
            Peer::Uftp => ["uftp", "uftpd"],
            Peer::Udpcast => ["udp-sender", "udp-receiver"],
            Peer::Flute => ["flute-sender", "flute-receiver"],
        }
    }
}

impl Tool {
    /// What tables call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Ours(Mode::Parity) => "loopcast",
            Tool::Ours(Mode::None) => "loopcast, no parity",
            Tool::Ours(Mode::Unicast) => "loopcast, unicast",
            Tool::Ours(Mode::Singly) => "loopcast, singly",
            Tool::Peer(Peer::Uftp) => "uftp",
            Tool::Peer(Peer::Udpcast) => "udpcast",
            Tool::Peer(Peer::Flute) => "flute",
        }
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Tool::Ours(_))
    }

    /// Whether its receivers end by themselves; others serve on until they are killed.
    pub(super) fn receivers_end(self) -> bool {
        !matches!(self, Tool::Peer(Peer::Uftp | Peer::Flute))
    }

    /// Whether its sender ends by itself.
    pub(super) fn sender_ends(self) -> bool {
        self != Tool::Peer(Peer::Flute)
    }

    /// Whether it sends several files at a time.
    pub(super) fn takes_several_files(self) -> bool {
        self != Tool::Peer(Peer::Udpcast)
    }

    /// What its receivers say.
    pub(super) fn receiver_marks(self, files: usize) -> Marks {
        let (ready, complete) = match self {
            Tool::Ours(_) => (r#""event":"ready""#, r#""event":"complete""#),
            Tool::Peer(Peer::Uftp) => ("RSA key", "File transfer complete"),
            Tool::Peer(Peer::Udpcast) => ("UDP receiver for", "Transfer complete"),
            Tool::Peer(Peer::Flute) => ("Join multicast", "is completed !"),
        };
        Marks {
            ready,
            complete,
            files,
        }
    }

    /// What its sender says.
    pub(super) fn sender_marks(self) -> Marks {
        let complete = match self {
            // Its receivers say it half a second late, which they wait for a lost acknowledgement.
            Tool::Peer(Peer::Udpcast) => "Transfer complete",
            _ => "",
        };
        Marks {
            ready: "",
            complete,
            files: 1,
        }
    }

    /// Receives on host `i`, from 1, into a folder.
    pub(super) fn receiver(self, job: &Job, i: usize, into: &Path) -> Command {
        let host = |program: &str| job.ground.command(i, program.as_ref());
        match self {
            Tool::Ours(mode) => {
                let mut command = job.ground.command(i, &job.ground.program());
                command
                    .args(["receive", "--json", "--tied", "--interface"])
                    .arg(job.ground.interface())
                    .args(["--seed", &job.seed.wrapping_add(i as u64).to_string()])
                    .arg("--into")
                    .arg(into);
                if let Some(drop) = job.ground.drop_by_receiver(job.setting.loss) {
                    command.args(["--drop", &drop]);
                }
                if mode == Mode::Singly {
                    command.arg("--no-offload");
                }
                if mode == Mode::Unicast {
                    command.args(["--via", "unicast", &job.ground.host_url()]);
                } else {
                    command.arg(job.ground.group_url());
                }
                command
            }
            Tool::Peer(Peer::Uftp) => {
                let mut command = host("uftpd");
                command
                    .args([
                        "-d",
                        "-q",
                        "-I",
                        job.ground.interface(),
                        "-M",
                        "239.192.8.1",
                    ])
                    .args(["-B", BUFFER, "-D"])
                    .arg(into);
                command
            }
            Tool::Peer(Peer::Udpcast) => {
                let mut command = host("udp-receiver");
                command
                    .args(["--nokbd", "--no-progress", "--rcvbuf", BUFFER])
                    .args(["--interface", job.ground.interface(), "--file"])
                    .arg(into.join(job.file().file_name().unwrap_or_default()));
                command
            }
            Tool::Peer(Peer::Flute) => {
                let mut command = host("flute-receiver");
                command
                    .env("RUST_LOG", "info")
                    .args(["-g", "239.192.8.3", "-i", &job.ground.address(i)])
                    .arg(into);
                command
            }
        }
    }

    /// Sends the files from host 0.
    pub(super) fn sender(self, job: &Job) -> Command {
        let host = |program: &str| job.ground.command(0, program.as_ref());
        let Setting {
            loss,
            receivers,
            pace,
        } = job.setting;
        match self {
            Tool::Ours(mode) => {
                let rate = match pace {
                    Pace::At(rate) => format!("{}bps", rate.as_bps()),
                    Pace::Unlimited => "auto".to_owned(),
                };
                let mut command = job.ground.command(0, &job.ground.program());
                command
                    .args(["send", "--json", "--tied", "--interface"])
                    .arg(job.ground.interface())
                    .args(["--to", &job.ground.group_url()])
                    .args(["--wait-for", &receivers.to_string()])
                    .args(["--rate", &rate])
                    .args(["--parity", if mode == Mode::None { "none" } else { "auto" }])
                    .arg("--stats")
                    .arg(job.folder.join("sender.json"))
                    // A hash that is remembered from another run would hide what hashing costs.
                    .arg("--hash-cache")
                    .arg(job.folder.join("hashes"))
                    .args(job.paths())
                    .env("XDG_CONFIG_HOME", job.folder.join("config"));
                if mode == Mode::Singly {
                    command.arg("--no-offload");
                }
                command
            }
            Tool::Peer(Peer::Uftp) => {
                let rate = match pace {
                    Pace::At(rate) => (rate.as_bps() / 1_000).to_string(),
                    Pace::Unlimited => "-1".to_owned(),
                };
                // A closed group starts when all are there, an open one after a fixed time.
                let members: Vec<String> = (1..=receivers).map(|i| job.ground.uftp_id(i)).collect();
                let mut command = host("uftp");
                command
                    .args(["-I", job.ground.interface(), "-M", "239.192.8.1"])
                    .args(["-P", "239.192.8.2", "-R", &rate, "-B", BUFFER])
                    .args(["-b", "1400", "-r", "0.05:0.01:15", "-H", &members.join(",")])
                    .args(job.paths());
                command
            }
            Tool::Peer(Peer::Udpcast) => {
                let mut command = host("udp-sender");
                command
                    .args(["--nokbd", "--no-progress", "--full-duplex"])
                    .args(["--interface", job.ground.interface()])
                    .args(["--min-receivers", &receivers.to_string()])
                    // It looks whether all are there when it says hello, every two seconds without.
                    .args(["--rexmit-hello-interval", "50"]);
                if let Pace::At(rate) = pace {
                    command.args(["--max-bitrate", &rate.as_bps().to_string()]);
                }
                command.arg("--file").arg(job.file());
                command
            }
            Tool::Peer(Peer::Flute) => {
                // It hears nothing back: the rate must be one that loses nothing by itself, and the
                // parity is told the loss beforehand.
                let kbit = match pace {
                    Pace::At(rate) => rate.as_bps() / 1_000,
                    Pace::Unlimited => 100_000,
                };
                let parity = (loss.share() * 200.0).ceil() as u32 + 5;
                let mut command = host("flute-sender");
                command
                    .args(["-d", "239.192.8.3", "--bind"])
                    .arg(format!("{}:0", job.ground.address(0)))
                    .args(["--bitrate", &kbit.to_string(), "--fec", "raptorq"])
                    .args(["--source-block-length", "1000", "--no-md5"])
                    .args(["--parity-percentage", &parity.to_string()])
                    .args(["--parity-symbols", "1000"])
                    .args(job.paths());
                command
            }
        }
    }
}
