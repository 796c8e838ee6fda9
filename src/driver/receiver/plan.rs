//! Where a receiver looks for its sender, whom it believes, and on which interface it listens.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use crate::driver::interface::{self, Interface};
use crate::driver::socket::{self, Socket};
use crate::driver::{DEFAULT_URL, ReceiverBuilder, StartError, entropy};
use crate::engine::{Target, Trust};
use crate::seal::Fingerprint;
use crate::url::{Place, Url};

/// What the builder's settings come to on this machine.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) url: Url,
    pub(super) trust: Trust,
    pub(super) target: Target,
    /// An address at the target, of its family.
    pub(super) address: SocketAddr,
    /// Nothing is sent.
    pub(super) silent: bool,
    pub(super) interface: Interface,
}

impl Plan {
    pub(super) fn new(builder: &ReceiverBuilder) -> Result<Plan, StartError> {
        if !(0.0..1.0).contains(&builder.drop_rate) {
            return Err(StartError::DropRate(builder.drop_rate));
        }
        let url = match &builder.from {
            Some(url) => url.clone(),
            None => DEFAULT_URL.parse::<Url>()?,
        };
        check_folder(&builder.into)?;
        let trust = trust(&url, builder.trust)?;
        let (target, address) = target(&url)?;
        let silent = builder.one_way || builder.no_join;
        if silent && !url.is_group() {
            return Err(StartError::NoGroup);
        }
        let wanted = builder.interface.as_deref().or(url.interface());
        let interface = interface::choose(wanted, address)?;
        if builder.no_join {
            // Whether it may is better known before than after a minute of silence.
            Socket::off_the_wire(address, url.source(), &interface)?;
        }
        Ok(Plan {
            url,
            trust,
            target,
            address,
            silent,
            interface,
        })
    }
}

/// Who is to be believed: the URL may say it, or the program.
fn trust(url: &Url, given: Option<Fingerprint>) -> Result<Trust, StartError> {
    match (url.fingerprint(), given) {
        (Some(url), Some(given)) if url != given => Err(StartError::TwoSenders { url, given }),
        (one, other) => Ok(one.or(other).map_or(Trust::First, Trust::Only)),
    }
}

/// Where to look for the sender, and an address there that tells the family and the interface.
fn target(url: &Url) -> Result<(Target, SocketAddr), StartError> {
    let port = url.port();
    match url.place() {
        Place::Groups(range) => {
            let group = SocketAddr::new(range.first(), port);
            Ok((
                Target::Group {
                    group,
                    source: url.source(),
                },
                group,
            ))
        }
        Place::Address(ip) => {
            let index = url.interface().and_then(interface_index).unwrap_or(0);
            let host = socket::scoped(*ip, port, index);
            Ok((Target::Host(host), host))
        }
        Place::Name(host) => {
            let unknown = |source| StartError::UnknownHost {
                host: host.clone(),
                source,
            };
            let mut found = (host.as_str(), port).to_socket_addrs().map_err(unknown)?;
            let none = || unknown(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
            let address = found.next().ok_or_else(none)?;
            Ok((Target::Host(address), address))
        }
    }
}

fn interface_index(text: &str) -> Option<u32> {
    let all = interface::list().ok()?;
    all.iter()
        .find(|i| i.name == text || text.parse().is_ok_and(|n: u32| n == i.index))
        .map(|i| i.index)
}

/// Makes the folder if it is not there, and tries whether files can be made in it.
fn check_folder(folder: &Path) -> Result<(), StartError> {
    let unwritable = |source| StartError::Unwritable {
        path: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(unwritable)?;
    let name = format!(".loopcast-{:016x}.part", entropy::nonzero()?);
    let trial = folder.join(name);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&trial)
        .map_err(unwritable)?;
    fs::remove_file(&trial).map_err(unwritable)
}
