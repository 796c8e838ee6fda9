//! The tools that are measured, and how each is run: ours, and those that people could take instead
//! with the settings that served them best here (docs/BENCHMARKS.md gives the reasons).

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use super::ground::Ground;
use super::matrix::Setting;
use crate::machine::is_installed;
use crate::process::Marks;
use crate::subject::Subject;

mod ours;
mod peers;

/// How our own program sends.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
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
pub enum Peer {
    /// UFTP
    Uftp,
    /// UDPcast
    Udpcast,
    /// The FLUTE programs of the crate of that name
    Flute,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// This program.
    Ours(Mode),
    /// Another.
    Peer(Peer),
}

/// One transfer, as a tool needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What the network and the rate are.
    pub setting: &'a Setting,
    /// Where it runs.
    pub ground: &'a Ground,
    /// One file for a tool that takes no more.
    pub files: &'a [Subject],
    /// For what a tool writes beside the copies.
    pub folder: &'a Path,
    /// What receivers of ours do at random.
    pub seed: u64,
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
    pub fn installed() -> Vec<Peer> {
        let all = Peer::value_variants().iter().copied();
        all.filter(|peer| peer.missing().is_none()).collect()
    }

    /// The first of its programs that is not there.
    pub fn missing(self) -> Option<&'static str> {
        let mut programs = self.programs().into_iter();
        programs.find(|program| !is_installed(program))
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
    pub fn name(self) -> &'static str {
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

    /// Whether it is this program.
    pub fn is_ours(self) -> bool {
        matches!(self, Tool::Ours(_))
    }

    /// Whether its receivers end by themselves; others serve on until they are killed.
    pub fn receivers_end(self) -> bool {
        !matches!(self, Tool::Peer(Peer::Uftp | Peer::Flute))
    }

    /// Whether its sender ends by itself.
    pub fn sender_ends(self) -> bool {
        self != Tool::Peer(Peer::Flute)
    }

    /// Whether it sends several files at a time.
    pub fn takes_several_files(self) -> bool {
        self != Tool::Peer(Peer::Udpcast)
    }

    /// What its receivers say.
    pub fn receiver_marks(self, files: usize) -> Marks {
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
    pub fn sender_marks(self) -> Marks {
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
    pub fn receiver(self, job: &Job, i: usize, into: &Path) -> Command {
        match self {
            Tool::Ours(mode) => ours::receiver(mode, job, i, into),
            Tool::Peer(Peer::Uftp) => peers::uftp_receiver(job, i, into),
            Tool::Peer(Peer::Udpcast) => peers::udpcast_receiver(job, i, into),
            Tool::Peer(Peer::Flute) => peers::flute_receiver(job, i, into),
        }
    }

    /// Sends the files from host 0.
    pub fn sender(self, job: &Job) -> Command {
        match self {
            Tool::Ours(mode) => ours::sender(mode, job),
            Tool::Peer(Peer::Uftp) => peers::uftp_sender(job),
            Tool::Peer(Peer::Udpcast) => peers::udpcast_sender(job),
            Tool::Peer(Peer::Flute) => peers::flute_sender(job),
        }
    }
}
