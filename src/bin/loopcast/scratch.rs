//! A folder of the program's own for a while, and a group that nobody else uses.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

use loopcast::url::Url;

use crate::exit::{End, Exit};
use crate::human;
use crate::subject::cannot_write;

/// A folder, removed with all in it when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Makes a folder nobody else has in `base`, with room for so many bytes.
    pub(crate) fn new(base: &Path, prefix: &str, bytes: u64) -> Result<Scratch, End> {
        if base.to_str().is_none() {
            let text = format!("{} is not UTF-8: name another folder", base.display());
            return Err(End::error(Exit::Environment, text));
        }
        // Where the system does not say, writing will.
        if let Ok(fs) = rustix::fs::statvfs(base) {
            let room = fs.f_bavail.saturating_mul(fs.f_frsize);
            if room < bytes {
                let text = format!(
                    "this needs {} in {}, where {} are free: name another folder or a smaller file",
                    human::bytes(bytes),
                    base.display(),
                    human::bytes(room)
                );
                return Err(End::error(Exit::Environment, text));
            }
        }
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(base);
        Ok(Scratch(folder.map_err(|e| cannot_write(base, &e))?))
    }

    /// The path of a name in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A group and port that nobody on this machine uses. Receivers' sockets share their port, so only
/// the sender's can be in somebody's way.
pub(crate) fn free_group() -> Result<Url, End> {
    let no_port = |e: io::Error| {
        End::error(
            Exit::Environment,
            format!("can't get a UDP port on loopback: {e}"),
        )
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_port)?;
        let port = one.local_addr().map_err(no_port)?.port();
        let next = port.checked_add(1).filter(|&p| p != u16::MAX);
        match next.map(|next| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, next))) {
            Some(Ok(_)) => {
                // A group of its own for the port: other demos on this machine have other ports.
                let [high, low] = port.to_be_bytes();
                let group = Ipv4Addr::new(239, 193, high, low);
                return Url::address(group.into(), port)
                    .map_err(|e| End::error(Exit::Environment, e));
            }
            Some(Err(e)) => last = e,
            None => {}
        }
    }
    Err(no_port(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Scratch::new(dir.path(), "x-", 1).is_ok());
        let full = Scratch::new(dir.path(), "x-", u64::MAX);
        assert_eq!(full.unwrap_err().exit, Exit::Environment);
    }

    #[test]
    fn groups_are_groups() {
        assert!(free_group().unwrap().to_send_to().is_ok());
    }
}
