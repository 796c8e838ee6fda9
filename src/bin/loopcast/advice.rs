//! What to type elsewhere, and what to look at when nothing comes.

use std::net::IpAddr;

use loopcast::url::Url;

use crate::human;

/// How receivers get to a sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ways {
    /// By the base group.
    group: Url,
    /// By the address that others reach this machine at, if it has one.
    host: Option<Url>,
    /// Options that receivers need.
    options: &'static str,
}

impl Ways {
    /// The ways to a sender at these URLs that is like this.
    pub(crate) fn new(group: &Url, host: Option<&Url>, one_way: bool, sealed: bool) -> Ways {
        let options = match (one_way, sealed) {
            (false, false) => "",
            (true, false) => " --one-way",
            (false, true) => " --group-key KEYFILE",
            (true, true) => " --one-way --group-key KEYFILE",
        };
        Ways {
            group: group.clone(),
            host: host.cloned(),
            options,
        }
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

    fn ways(group: &str, one_way: bool, sealed: bool) -> Ways {
        Ways::new(&group.parse().unwrap(), None, one_way, sealed)
    }

    #[test]
    fn receivers_are_told_what_they_need() {
        let w = ways("loopcast://239.1.1.1:4700", true, true);
        let command = "  loopcast receive --one-way --group-key KEYFILE ";
        assert_eq!(w.one_way_lines()[1], format!("{command}{}", w.group));
    }

    #[test]
    fn brackets_are_kept_from_the_shell() {
        let w = ways("loopcast://[ff15::7]:4700", false, false);
        let command = "  loopcast receive 'loopcast://[ff15::7]:4700'";
        assert_eq!(w.lines()[1], command);
    }
}
