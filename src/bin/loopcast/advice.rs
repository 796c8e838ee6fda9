//! What to type elsewhere, and what to look at when nothing comes.

use std::net::{IpAddr, SocketAddr};

use loopcast::seal::Fingerprint;
use loopcast::url::{GroupRange, Url};

use crate::human;

/// The URLs that lead to a sender and to no other: by its group, and by its own address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ways {
    /// By the base group.
    pub(crate) group: Url,
    /// By the address that others reach this machine at, if it has one.
    pub(crate) host: Option<Url>,
    /// Options that receivers need.
    options: &'static str,
}

impl Ways {
    /// The ways to a sender that sends `to` its groups on an interface with the addresses `of_interface`
    /// and answers at `listening`. With one object, `name` is left out: everything is that object.
    pub(crate) fn new(
        to: &Url,
        groups: GroupRange,
        of_interface: &[IpAddr],
        listening: &[SocketAddr],
        fingerprint: Fingerprint,
    ) -> Ways {
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
        Ways {
            group: group.with_fingerprint(fingerprint),
            host: own
                .and_then(|ip| Url::address(ip, to.port()).ok())
                .map(|url| url.with_fingerprint(fingerprint)),
            options: "",
        }
    }

    /// The same to a sender that is like this.
    pub(crate) fn with_options(mut self, one_way: bool, sealed: bool) -> Ways {
        self.options = match (one_way, sealed) {
            (false, false) => "",
            (true, false) => " --one-way",
            (false, true) => " --group-key KEYFILE",
            (true, true) => " --one-way --group-key KEYFILE",
        };
        self
    }

    /// The command that receives from `url`, safe to paste into a shell.
    fn command(&self, url: &Url) -> String {
        let url = url.to_string();
        // Brackets are a pattern to a shell.
        let quote = if url.contains('[') { "'" } else { "" };
        format!("loopcast receive{} {quote}{url}{quote}", self.options)
    }

    /// The lines to print where there is no way back: the group, and that nobody is asked for it.
    pub(crate) fn one_way_lines(&self) -> Vec<String> {
        vec![
            "receive elsewhere with".to_owned(),
            format!("  {}", self.command(&self.group)),
        ]
    }

    /// The lines to print: what to type on other machines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            "receive elsewhere with".to_owned(),
            format!("  {}", self.command(&self.group)),
        ];
        if let Some(host) = &self.host {
            lines.push("or, asking this machine directly,".to_owned());
            lines.push(format!("  {}", self.command(host)));
        }
        lines
    }
}

/// What may be wrong when no receiver came to a sender for `seconds`.
pub(crate) fn nobody_came(
    seconds: u64,
    port: u16,
    interface: &str,
    others: &[String],
    ways: &Ways,
) -> Vec<String> {
    let mut lines = vec![
        format!("no receiver has asked for {seconds} s. If one is running, it may be"),
        format!("  - a firewall: UDP ports {port} and {} must come in here, {port} at the receivers", port + 1),
        wrong_interface(interface, others),
        "  - a switch that snoops IGMP or MLD on a network without a querier: enable one on a switch or router"
            .to_owned(),
        "  - a router in between: multicast needs --ttl here and multicast routing there".to_owned(),
        "  - Wi-Fi, a VPN or a container that carries no multicast".to_owned(),
    ];
    if let Some(host) = &ways.host {
        lines.push(format!(
            "  without multicast it works with: {}",
            ways.command(host)
        ));
    }
    lines
}

/// What to look at when a receiver heard no sender.
pub(crate) fn nothing_heard(
    url: &Url,
    interface: Option<&str>,
    others: &[String],
    one_way: bool,
) -> Vec<String> {
    let port = url.port();
    let mut lines = vec!["check that".to_owned()];
    match url.interface().or(interface) {
        Some(interface) => {
            let right = format!("  - {interface} is the interface towards the sender");
            lines.push(if others.is_empty() {
                right
            } else {
                format!("{right}; --interface chooses from {}", others.join(", "))
            });
        }
        None => lines.push("  - --interface names the interface towards the sender".to_owned()),
    }
    lines.push(format!(
        "  - the sender runs, and its URL is this one: {url}"
    ));
    if one_way {
        lines.push(format!("  - firewalls let UDP port {port} in here"));
        lines.push(
            "  - the network brings the group here, and the sender's --ttl reaches here".to_owned(),
        );
    } else if url.is_group() {
        lines.push(format!(
            "  - firewalls let UDP port {port} in here, and ports {port} and {} in at the sender",
            port + 1
        ));
        lines.push("  - switches that snoop IGMP or MLD have a querier on this network".to_owned());
        lines.push(
            "  - the sender's --ttl reaches here, if there are routers in between".to_owned(),
        );
        lines.push(format!(
            "  without multicast, ask the sender's own address: loopcast receive loopcast://ADDRESS:{port}"
        ));
    } else {
        lines.push(format!(
            "  - firewalls let UDP port {port} in at the sender, and its answers in here"
        ));
    }
    lines
}

fn wrong_interface(interface: &str, others: &[String]) -> String {
    let others = match others {
        [] => String::new(),
        others => format!("; --interface chooses from {}", others.join(", ")),
    };
    format!(
        "  - the wrong interface: packets leave by {}{others}",
        human::plain(interface)
    )
}

/// The addresses of the interface called `name`.
pub(crate) fn addresses_of(name: &str) -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.into_iter()
        .filter(|i| i.name == name)
        .map(|i| i.ip())
        .collect()
}

/// The names of the other interfaces that have an address, loopback aside.
pub(crate) fn other_interfaces(name: &str) -> Vec<String> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    let mut names: Vec<String> = all
        .into_iter()
        .filter(|i| i.name != name && !i.is_loopback())
        .map(|i| i.name)
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: &str = "plc4qwd2asa72a64ge33sfzpme4okp2p";

    fn at(place: &str) -> String {
        format!("loopcast://{place}#{PRINT}")
    }

    fn ways(to: &str, of_interface: &[&str], listening: &[&str]) -> Ways {
        let to: Url = to.parse().unwrap();
        let ip = |t: &&str| t.parse().unwrap();
        let at = |t: &&str| SocketAddr::new(t.parse().unwrap(), to.port());
        let of_interface: Vec<IpAddr> = of_interface.iter().map(ip).collect();
        let listening: Vec<SocketAddr> = listening.iter().map(at).collect();
        let fingerprint = PRINT.parse().unwrap();
        Ways::new(
            &to,
            to.to_send_to().unwrap(),
            &of_interface,
            &listening,
            fingerprint,
        )
    }

    #[test]
    fn both_ways_are_told() {
        let w = ways(
            "loopcast://239.192.7.0/24:4700",
            &["fd00::1", "10.0.0.5"],
            &["127.0.0.1", "10.0.0.5", "fd00::1"],
        );
        assert_eq!(w.group.to_string(), at("239.192.7.0:4700"));
        assert_eq!(w.host.unwrap().to_string(), at("10.0.0.5:4700"));
    }

    #[test]
    fn the_source_goes_into_a_group_that_wants_one() {
        let w = ways("loopcast://232.1.1.1:4700", &["10.0.0.5"], &["10.0.0.5"]);
        assert_eq!(w.group.to_string(), at("10.0.0.5@232.1.1.1:4700"));
        let w = ways(
            "loopcast://10.0.0.6@239.1.1.1:4700",
            &["10.0.0.5"],
            &["10.0.0.5"],
        );
        assert_eq!(w.group.to_string(), at("10.0.0.6@239.1.1.1:4700"));
    }

    #[test]
    fn receivers_are_told_what_they_need() {
        let w = ways("loopcast://239.1.1.1:4700", &[], &[]).with_options(true, true);
        let command = "  loopcast receive --one-way --group-key KEYFILE ";
        assert_eq!(w.one_way_lines()[1], format!("{command}{}", w.group));
    }

    #[test]
    fn link_local_and_unbound_addresses_lead_nowhere() {
        let w = ways(
            "loopcast://[ff15::7%eth0]:4700",
            &["fe80::1", "10.0.0.5"],
            &["fe80::1"],
        );
        assert_eq!(w.host, None);
        assert_eq!(
            w.command(&w.group),
            format!("loopcast receive '{}'", at("[ff15::7]:4700"))
        );
    }
}
