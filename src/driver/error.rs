//! Why a sender or receiver does not start, or does not go on. Each error says what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::engine::SenderError;
use crate::object::GeometryError;
use crate::object::pattern::PatternError;
use crate::rate::LadderError;
use crate::seal::Fingerprint;
use crate::store::KeyFileError;
use crate::units::Rate;
use crate::url::UrlError;

/// Why a sender or receiver does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Nothing to send was named.
    #[error("nothing to send: name at least one file, or a directory with files in it")]
    NothingToSend,
    /// A file or directory can't be read.
    #[error("can't read {}: {source}; check the name and its permissions", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path is no file and no directory.
    #[error("{} is neither a file nor a directory, so it has no length to send", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file's name can't be offered.
    #[error("{} can't be offered: {reason}; rename it", path.display())]
    BadName {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        reason: String,
    },
    /// There are more files than are offered at a time.
    #[error("there are more than {0} files to send: put them into one, as tar does")]
    TooManyFiles(usize),
    /// Two files would be offered under one name.
    #[error("{} and {} would both be offered as {name:?}; rename one or send them apart", first.display(), second.display())]
    NameClash {
        /// The name.
        name: String,
        /// The first file.
        first: PathBuf,
        /// The second.
        second: PathBuf,
    },
    /// A name in the URL is followed by something that is no pattern.
    #[error("{name:?}: {source}")]
    Pattern {
        /// The name in the URL.
        name: String,
        /// The pattern's fault.
        source: PatternError,
    },
    /// The folder can't be written.
    #[error("can't write into {}: {source}; choose another folder", path.display())]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The URL does not lead where it must: a sender needs a multicast group, for example.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A host has no address.
    #[error("can't find the host {host:?}: {source}; check the name, or give its IP address")]
    UnknownHost {
        /// The host.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Without a way back no host can be asked where its group is.
    #[error("one-way receiving asks nobody, so it needs the group: loopcast://GROUP:PORT")]
    NoGroup,
    /// There is no such interface.
    #[error("no interface {wanted:?}{reason}; there are: {available}")]
    UnknownInterface {
        /// What was asked for.
        wanted: String,
        /// More about it, as ` that ...`, or empty.
        reason: String,
        /// Those that exist, with their addresses.
        available: String,
    },
    /// There is no interface of the family needed.
    #[error("no interface has an IPv{family} address; there are: {available}")]
    NoInterface {
        /// 4 or 6.
        family: u8,
        /// Those that exist, with their addresses.
        available: String,
    },
    /// The interfaces can't be listed.
    #[error("can't list the network interfaces: {0}")]
    Interfaces(#[source] io::Error),
    /// Somebody has the port.
    #[error("port {} of {} is in use, perhaps by another sender; stop it or use another port", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// The system does not allow it.
    #[error("not permitted to {what}: {source}; use a port above 1023, or ask for the right to")]
    NotPermitted {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A socket can't be made or set up.
    #[error("can't {what}: {source}")]
    Socket {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The group can't be joined.
    #[error(
        "can't join {group} on {interface}: {source}; choose another interface, or receive by unicast"
    )]
    Join {
        /// The group.
        group: SocketAddr,
        /// The interface.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
    /// The symbol size can't be.
    #[error(transparent)]
    SymbolSize(GeometryError),
    /// Packets of that symbol size don't fit the interface.
    #[error(
        "symbols of {size} bytes make packets of {packet}, and {interface} carries {mtu}; use --symbol-size {fits} or less"
    )]
    SymbolTooLarge {
        /// Bytes in a symbol.
        size: u16,
        /// IP bytes of a packet.
        packet: u32,
        /// The interface.
        interface: String,
        /// IP bytes that it carries.
        mtu: u32,
        /// The largest symbol size that fits.
        fits: u32,
    },
    /// The rate is zero.
    #[error("a rate of 0 sends nothing; give one like 100M")]
    NoRate,
    /// A tier, or all that is sent, is slower than the least rate that is to be served.
    #[error("no receiver can get {least} of {slow}; use a lower --min-rate or a higher rate")]
    MinRate {
        /// What each receiver must get.
        least: Rate,
        /// What is sent at.
        slow: Rate,
    },
    /// The rates can't be tiers.
    #[error(transparent)]
    Tiers(#[from] LadderError),
    /// The share to drop is not from 0 to below 1.
    #[error("a share of {0} can't be dropped; give one from 0 to below 1")]
    DropRate(f64),
    /// The share of parity is not from 0 to 1.
    #[error("parity of {0} times the content is not possible; give a share from 0 to 1")]
    ParityShare(f64),
    /// The session can't be.
    #[error(transparent)]
    Session(#[from] SenderError),
    /// The sender's key is there and can't be used; it is never replaced.
    #[error(transparent)]
    Key(KeyFileError),
    /// Two senders are to be the only one.
    #[error(
        "the URL says that the sender is {url}, and {given} is to be trusted; give one of them"
    )]
    TwoSenders {
        /// The URL's.
        url: Fingerprint,
        /// The other.
        given: Fingerprint,
    },
    /// A thread can't be started.
    #[error("can't start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Entropy(String),
}

/// Why a running sender or receiver had to end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A socket failed for good.
    #[error("can't {what}: {source}")]
    Socket {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A thread of ours panicked: a bug of ours, worth reporting.
    #[error("the {0} thread panicked: this is a bug in loopcast")]
    Panicked(&'static str),
}
