//! The URLs that lead to a sender, and to no other.

use std::net::{IpAddr, SocketAddr};

use crate::seal::Fingerprint;
use crate::url::{GroupRange, Url};

/// By the base group, and by the address that others reach this machine at, if it has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Urls {
    pub(super) group: Url,
    pub(super) host: Option<Url>,
}

impl Urls {
    /// The URLs of a sender that sends `to` its groups on an interface with the addresses
    /// `of_interface` and answers at `listening`.
    pub(super) fn new(
        to: &Url,
        groups: GroupRange,
        of_interface: &[IpAddr],
        listening: &[SocketAddr],
        fingerprint: Fingerprint,
    ) -> Urls {
        let v4 = groups.first().is_ipv4();
        let reachable = |ip: &IpAddr| listening.iter().any(|l| l.ip() == *ip);
        // A link-local address needs the name of an interface of the other machine.
        let usable = |ip: &IpAddr| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let mut candidates: Vec<IpAddr> = of_interface
            .iter()
            .copied()
            .filter(reachable)
            .filter(usable)
            .collect();
        candidates.sort_by_key(|ip| ip.is_ipv4() != v4);
        let own = candidates.first().copied();

        let group = Url::address(groups.first(), to.port()).unwrap_or_else(|_| to.clone());
        let source = to
            .source()
            .or(own.filter(|ip| groups.wants_source() && ip.is_ipv4() == v4));
        let group = match source {
            Some(source) => group.clone().with_source(source).unwrap_or(group),
            None => group,
        };
        Urls {
            group: group.with_fingerprint(fingerprint),
            host: own
                .and_then(|ip| Url::address(ip, to.port()).ok())
                .map(|url| url.with_fingerprint(fingerprint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: &str = "plc4qwd2asa72a64ge33sfzpme4okp2p";

    fn at(place: &str) -> String {
        format!("loopcast://{place}#{PRINT}")
    }

    fn urls(to: &str, of_interface: &[&str], listening: &[&str]) -> Urls {
        let to: Url = to.parse().unwrap();
        let ip = |t: &&str| t.parse().unwrap();
        let at = |t: &&str| SocketAddr::new(t.parse().unwrap(), to.port());
        let of_interface: Vec<IpAddr> = of_interface.iter().map(ip).collect();
        let listening: Vec<SocketAddr> = listening.iter().map(at).collect();
        let fingerprint = PRINT.parse().unwrap();
        Urls::new(
            &to,
            to.to_send_to().unwrap(),
            &of_interface,
            &listening,
            fingerprint,
        )
    }

    #[test]
    fn both_are_told() {
        let w = urls(
            "loopcast://239.192.7.0/24:4700",
            &["fd00::1", "10.0.0.5"],
            &["127.0.0.1", "10.0.0.5", "fd00::1"],
        );
        assert_eq!(w.group.to_string(), at("239.192.7.0:4700"));
        assert_eq!(w.host.unwrap().to_string(), at("10.0.0.5:4700"));
    }

    #[test]
    fn the_source_goes_into_a_group_that_wants_one() {
        let w = urls("loopcast://232.1.1.1:4700", &["10.0.0.5"], &["10.0.0.5"]);
        assert_eq!(w.group.to_string(), at("10.0.0.5@232.1.1.1:4700"));
        let w = urls(
            "loopcast://10.0.0.6@239.1.1.1:4700",
            &["10.0.0.5"],
            &["10.0.0.5"],
        );
        assert_eq!(w.group.to_string(), at("10.0.0.6@239.1.1.1:4700"));
    }

    #[test]
    fn link_local_and_unbound_addresses_lead_nowhere() {
        let w = urls(
            "loopcast://[ff15::7%eth0]:4700",
            &["fe80::1", "10.0.0.5"],
            &["fe80::1"],
        );
        assert_eq!(w.host, None);
        assert_eq!(w.group.to_string(), at("[ff15::7]:4700"));
    }
}
