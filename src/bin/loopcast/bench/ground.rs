//! Where transfers run: a network of namespaces whose links lose packets, or loopback, where our own
//! receivers discard them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use loopcast::url::Url;

use super::matrix::Loss;
use super::network::{Bursts, Net, Traffic};
use crate::exit::{End, Exit};
use crate::scratch;

/// A place with a sender's host, 0, and receivers' hosts from 1.
pub(super) enum Ground {
    Namespaces { net: Net, program: PathBuf },
    Loopback { group: Url, program: PathBuf },
}

impl std::fmt::Debug for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ground::Namespaces { .. } => "Namespaces",
            Ground::Loopback { .. } => "Loopback",
        })
    }
}

impl Ground {
    /// Builds a network on which each receiver loses that share of UDP packets.
    pub(super) fn namespaces(receivers: usize, loss: Loss, bursts: Bursts) -> Result<Ground, End> {
        let build = || {
            let net = Net::with(1 + receivers, bursts)?;
            if loss.per_mille() > 0 {
                (1..=receivers).try_for_each(|i| net.lose(i, Traffic::Udp, loss.per_mille()))?;
            }
            Ok(net)
        };
        let net = build().map_err(|e: String| End::error(Exit::Environment, e))?;
        let program = program()?;
        Ok(Ground::Namespaces { net, program })
    }

    /// This machine's loopback, as it is.
    pub(super) fn loopback() -> Result<Ground, End> {
        Ok(Ground::Loopback {
            group: scratch::free_group()?,
            program: program()?,
        })
    }

    /// A command on host `i`.
    pub(super) fn command(&self, i: usize, program: &OsStr) -> Command {
        match self {
            Ground::Namespaces { net, .. } => net.host(i).command(program),
            Ground::Loopback { .. } => Command::new(program),
        }
    }

    /// This program.
    pub(super) fn program(&self) -> std::ffi::OsString {
        let (Ground::Namespaces { program, .. } | Ground::Loopback { program, .. }) = self;
        program.clone().into_os_string()
    }

    /// The device of every host, as our own options take it.
    pub(super) fn interface(&self) -> &'static str {
        match self {
            Ground::Namespaces { .. } => "eth0",
            Ground::Loopback { .. } => "127.0.0.1",
        }
    }

    /// The address of host `i`.
    pub(super) fn address(&self, i: usize) -> String {
        match self {
            Ground::Namespaces { net, .. } => net.host(i).address.to_string(),
            Ground::Loopback { .. } => "127.0.0.1".to_owned(),
        }
    }

    /// How uftp calls host `i` unless told otherwise.
    pub(super) fn uftp_id(&self, i: usize) -> String {
        match self {
            Ground::Namespaces { net, .. } => format!("0x{:08x}", net.host(i).address.to_bits()),
            Ground::Loopback { .. } => "0x7f000001".to_owned(),
        }
    }

    /// The group that our own sender sends to.
    pub(super) fn group_url(&self) -> String {
        match self {
            Ground::Namespaces { .. } => "loopcast://239.192.7.1:4700".to_owned(),
            Ground::Loopback { group, .. } => group.to_string(),
        }
    }

    /// Our own sender's address.
    pub(super) fn host_url(&self) -> String {
        let group = self.group_url();
        let port = group.rsplit(':').next().unwrap_or_default();
        format!("loopcast://{}:{port}", self.address(0))
    }

    /// What receivers must discard themselves because the network does not.
    pub(super) fn drop_by_receiver(&self, loss: Loss) -> Option<String> {
        match self {
            Ground::Namespaces { .. } => None,
            Ground::Loopback { .. } => Some(loss.share().to_string()),
        }
    }

    /// Bytes that left the sender's device so far, Ethernet headers included; nothing on loopback,
    /// which all that runs here shares.
    pub(super) fn sent_bytes(&self) -> Result<Option<u64>, End> {
        match self {
            Ground::Namespaces { net, .. } => match net.host(0).sent_bytes() {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) => Err(End::error(Exit::Environment, e)),
            },
            Ground::Loopback { .. } => Ok(None),
        }
    }
}

fn program() -> Result<PathBuf, End> {
    std::env::current_exe().map_err(|e| {
        let text = format!("can't start another process of this program: {e}");
        End::error(Exit::Environment, text)
    })
}
