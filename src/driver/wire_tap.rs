//! Datagrams of a group taken off the wire: what a host hears that has not joined.
//!
//! A system gives multicast only to hosts that have joined the group, and joining is told to the
//! network by IGMP or MLD. Where not even that may go out, packets are read as they come from the
//! device. Finds the datagram in an IP packet; decides nothing about what is in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;

/// Whose datagrams are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireTap {
    pub(crate) group: SocketAddr,
    /// The only source to take them from.
    pub(crate) source: Option<IpAddr>,
}

impl WireTap {
    /// The sender and the payload's place in an IP packet, if it is a whole datagram to the group.
    pub(crate) fn find(&self, packet: &[u8]) -> Option<(SocketAddr, Range<usize>)> {
        let (from, to, header) = match packet.first()? >> 4 {
            4 => v4(packet)?,
            6 => v6(packet)?,
            _ => return None,
        };
        let udp = packet.get(header..)?;
        let field = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
        let (from_port, to_port, len) = (field(0)?, field(2)?, usize::from(field(4)?));
        let wanted = SocketAddr::new(to, to_port)
            == SocketAddr::new(self.group.ip(), self.group.port())
            && self.source.is_none_or(|source| source == from);
        if !wanted || !(UDP_HEADER..=udp.len()).contains(&len) {
            return None;
        }
        let payload = header + UDP_HEADER..header + len;
        Some((SocketAddr::new(from, from_port), payload))
    }
}

/// Source, destination, and where UDP begins. Ours are never fragments: they leave with DF set.
fn v4(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    if header[9] != UDP || fragment != 0 {
        return None;
    }
    let ip = |at: usize| Some(Ipv4Addr::from(*header[at..].first_chunk::<4>()?));
    let len = usize::from(header[0] & 0xf) * 4;
    Some((ip(12)?.into(), ip(16)?.into(), len.max(20)))
}

/// The same of IPv6. Extension headers are not looked behind: ours have none.
fn v6(packet: &[u8]) -> Option<(IpAddr, IpAddr, usize)> {
    let header: &[u8; 40] = packet.first_chunk()?;
    if header[6] != UDP {
        return None;
    }
    let ip = |at: usize| Some(Ipv6Addr::from(*header[at..].first_chunk::<16>()?));
    Some((ip(8)?.into(), ip(24)?.into(), 40))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4_packet(payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 1, UDP, 0, 0];
        p.extend([10, 0, 0, 5, 239, 192, 7, 1]);
        p.extend(udp(payload));
        p
    }

    fn udp(payload: &[u8]) -> Vec<u8> {
        let mut p = Vec::new();
        for field in [4_700, 4_701, (UDP_HEADER + payload.len()) as u16, 0] {
            p.extend(u16::to_be_bytes(field));
        }
        p.extend(payload);
        p
    }

    fn tap(group: &str) -> WireTap {
        WireTap {
            group: group.parse().unwrap(),
            source: None,
        }
    }

    #[test]
    fn the_group_s_datagrams_are_found() {
        let mut packet = v4_packet(b"data");
        packet.extend([0; 14]);
        let from = "10.0.0.5:4700".parse().unwrap();
        assert_eq!(tap("239.192.7.1:4701").find(&packet), Some((from, 28..32)));
        assert_eq!(tap("239.192.7.1:4700").find(&packet), None);
        assert_eq!(tap("239.192.7.2:4701").find(&packet), None);
        let source = |ip: &str| WireTap {
            source: Some(ip.parse().unwrap()),
            ..tap("239.192.7.1:4701")
        };
        assert!(source("10.0.0.5").find(&packet).is_some());
        assert!(source("10.0.0.6").find(&packet).is_none());
        packet[6] = 0x20;
        assert_eq!(tap("239.192.7.1:4701").find(&packet), None, "a fragment");
    }

    #[test]
    fn over_ipv6_too() {
        let (from, to): (Ipv6Addr, Ipv6Addr) =
            ("fd00::5".parse().unwrap(), "ff15::7".parse().unwrap());
        let mut packet = vec![0x60, 0, 0, 0, 0, 12, UDP, 1];
        packet.extend(from.octets());
        packet.extend(to.octets());
        packet.extend(udp(b"data"));
        let found = tap("[ff15::7]:4701").find(&packet);
        assert_eq!(found, Some((SocketAddr::new(from.into(), 4_700), 48..52)));
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(mut packet in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..40) {
            let _ = tap("239.192.7.1:4701").find(&packet);
            packet.splice(..cut.min(packet.len()), v4_packet(b"").into_iter().take(cut));
            if let Some((_, payload)) = tap("239.192.7.1:4701").find(&packet) {
                prop_assert!(payload.end <= packet.len());
            }
        }
    }
}
