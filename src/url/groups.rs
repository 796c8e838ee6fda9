//! Ranges of multicast groups.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::UrlError;

/// Most groups in a range: each may become a channel, and a sender keeps state for every one.
pub const MAX_GROUPS: u16 = 1_024;

/// A power of two of consecutive groups, 1 to [`MAX_GROUPS`]; the first one's host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GroupRange {
    first: IpAddr,
    prefix: u8,
}

impl GroupRange {
    pub(super) fn one(group: IpAddr) -> GroupRange {
        GroupRange {
            first: group,
            prefix: bits(group),
        }
    }

    /// The groups that share `first`'s leading `prefix` bits.
    ///
    /// # Errors
    ///
    /// [`UrlError::NotAGroup`] and [`UrlError::Unusable`] when `first` is no group that can be used,
    /// [`UrlError::Prefix`] for more than [`MAX_GROUPS`] groups, [`UrlError::HostBits`] when `first`
    /// is not the first of them.
    pub fn new(first: IpAddr, prefix: u8) -> Result<GroupRange, UrlError> {
        if let Some(why) = unusable(first) {
            return Err(UrlError::Unusable(first, why));
        }
        if !first.is_multicast() {
            return Err(UrlError::NotAGroup(first.to_string()));
        }
        let most = bits(first);
        let least = most - MAX_GROUPS.ilog2() as u8;
        if !(least..=most).contains(&prefix) {
            return Err(UrlError::Prefix {
                prefix: prefix.to_string(),
                least,
                most,
            });
        }
        let start = mask(first, prefix);
        if start != first {
            return Err(UrlError::HostBits {
                given: first,
                prefix,
                first: start,
            });
        }
        Ok(GroupRange { first, prefix })
    }

    /// The base group, on which the session is announced.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Leading bits that all groups share: 22 to 32 for IPv4, 118 to 128 for IPv6.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// How many groups: 1 to [`MAX_GROUPS`].
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u16 {
        1 << (bits(self.first) - self.prefix)
    }

    /// Group `n`, counted from the first, or `None` beyond the last.
    pub fn get(&self, n: u16) -> Option<IpAddr> {
        if n >= self.len() {
            return None;
        }
        // The bits behind the prefix are zero and `n` fits them, so nothing carries.
        Some(match self.first {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() | u32::from(n)).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() | u128::from(n)).into(),
        })
    }

    /// All groups, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let range = *self;
        (0..range.len()).filter_map(move |n| range.get(n))
    }

    /// Whether all of it is set aside for source-specific multicast (232.0.0.0/8, ff3x::/32), where
    /// routers forward nothing to receivers that name no source (RFC 4607).
    pub fn wants_source(&self) -> bool {
        match self.first {
            IpAddr::V4(ip) => ip.octets()[0] == 232,
            IpAddr::V6(ip) => ip.segments()[0] & 0xfff0 == 0xff30 && ip.segments()[1] == 0,
        }
    }
}

/// Why nobody can be reached at `ip`, or no session may run there.
pub(super) fn unusable(ip: IpAddr) -> Option<&'static str> {
    let control = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0));
    if ip.is_unspecified() {
        Some("it means any address; write the one that is meant")
    } else if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("it is the broadcast address; use a multicast group, as 239.192.7.1")
    } else if ip.is_ipv4() && mask(ip, 24) == control {
        // Switches flood these to every port and routers never forward them (RFC 5771 §4).
        Some("224.0.0.0/24 is for routing protocols; use a group from 239.0.0.0/8")
    } else {
        None
    }
}

/// Bits in an address of `ip`'s family.
fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// `ip` with all bits behind the first `prefix` (at most those it has) cleared.
pub(super) fn mask(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}
