//! Places on this machine's own loopback.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

/// A group and port that nobody on this machine uses. Receivers' sockets share their port, so only
/// the sender's can be in somebody's way.
pub fn free_group() -> Result<(Ipv4Addr, u16), String> {
    let no_port = |e: io::Error| format!("can't get a UDP port on loopback: {e}");
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_port)?;
        let port = one.local_addr().map_err(no_port)?.port();
        let next = port.checked_add(1).filter(|&p| p != u16::MAX);
        match next.map(|next| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, next))) {
            Some(Ok(_)) => {
                // A group of its own for the port: others on this machine have other ports.
                let [high, low] = port.to_be_bytes();
                return Ok((Ipv4Addr::new(239, 193, high, low), port));
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
    fn groups_are_groups() {
        let (group, port) = free_group().unwrap();
        assert!(group.is_multicast() && port > 0);
    }
}
