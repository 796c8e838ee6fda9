//! Where transfers run: a network of namespaces whose links lose packets, or loopback, where our
//! own receivers discard them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use super::matrix::Loss;
use crate::loopback;
use crate::network::{Bursts, Net, Traffic};

/// A place with a sender's host, 0, and receivers' hosts from 1.
pub struct Ground {
    place: Place,
    /// The program `loopcast`.
    program: PathBuf,
}

enum Place {
    Namespaces(Net),
    /// With the group that our own sender sends to.
    Loopback(String),
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.place {
            Place::Namespaces(_) => "Namespaces",
            Place::Loopback(_) => "Loopback",
        })
    }
}

impl Ground {
    /// Builds a network on which each receiver loses that share of UDP packets.
    pub fn namespaces(
        program: PathBuf,
        receivers: usize,
        loss: Loss,
        bursts: Bursts,
    ) -> Result<Ground, String> {
        let net = Net::with(1 + receivers, bursts)?;
        if loss.per_mille() > 0 {
            (1..=receivers).try_for_each(|i| net.lose(i, Traffic::Udp, loss.per_mille()))?;
        }
        let place = Place::Namespaces(net);
        Ok(Ground { place, program })
    }

    /// This machine's loopback, as it is.
    pub fn loopback(program: PathBuf) -> Result<Ground, String> {
        let (group, port) = loopback::free_group()?;
        let place = Place::Loopback(format!("loopcast://{group}:{port}"));
        Ok(Ground { place, program })
    }

    /// A command on host `i`.
    pub fn command(&self, i: usize, program: &OsStr) -> Command {
        match &self.place {
            Place::Namespaces(net) => net.host(i).command(program),
            Place::Loopback(_) => Command::new(program),
        }
    }

    /// The program `loopcast` on host `i`.
    pub fn loopcast(&self, i: usize) -> Command {
        self.command(i, self.program.as_os_str())
    }

    /// The device of every host, as our own options take it.
    pub fn interface(&self) -> &'static str {
        match &self.place {
            Place::Namespaces(_) => "eth0",
            Place::Loopback(_) => "127.0.0.1",
        }
    }

    /// The address of host `i`.
    pub fn address(&self, i: usize) -> String {
        match &self.place {
            Place::Namespaces(net) => net.host(i).address.to_string(),
            Place::Loopback(_) => "127.0.0.1".to_owned(),
        }
    }

    /// How uftp calls host `i` unless told otherwise.
    pub fn uftp_id(&self, i: usize) -> String {
        match &self.place {
            Place::Namespaces(net) => format!("0x{:08x}", net.host(i).address.to_bits()),
            Place::Loopback(_) => "0x7f000001".to_owned(),
        }
    }

    /// The group that our own sender sends to.
    pub fn group_url(&self) -> String {
        match &self.place {
            Place::Namespaces(_) => "loopcast://239.192.7.1:4700".to_owned(),
            Place::Loopback(group) => group.clone(),
        }
    }

    /// Our own sender's address.
    pub fn host_url(&self) -> String {
        let group = self.group_url();
        let port = group.rsplit(':').next().unwrap_or_default();
        format!("loopcast://{}:{port}", self.address(0))
    }

    /// What receivers must discard themselves because the network does not.
    pub fn drop_by_receiver(&self, loss: Loss) -> Option<String> {
        match &self.place {
            Place::Namespaces(_) => None,
            Place::Loopback(_) => Some(loss.share().to_string()),
        }
    }

    /// Bytes that left the sender's device so far, Ethernet headers included; nothing on loopback,
    /// which all that runs here shares.
    pub fn sent_bytes(&self) -> Result<Option<u64>, String> {
        match &self.place {
            Place::Namespaces(net) => net.host(0).sent_bytes().map(Some),
            Place::Loopback(_) => Ok(None),
        }
    }
}
