//! Which network interface groups are sent to or heard on.
//!
//! Takes a name, an address or an index, or nothing, and the family that is needed. Gives one
//! interface with its addresses, or an error that names those there are.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use if_addrs::IfOperStatus;

use crate::driver::StartError;
use crate::units::Rate;

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Interface {
    /// Its name: `eth0`.
    pub(crate) name: String,
    /// Its index, as the system numbers them.
    pub(crate) index: u32,
    /// Its addresses, in the system's order.
    pub(crate) addresses: Vec<IpAddr>,
    /// It is this machine alone.
    pub(crate) loopback: bool,
    /// It is up, or does not say.
    pub(crate) up: bool,
}

impl Interface {
    /// Its first address of a family, link-local ones last: receivers beyond the link can't answer
    /// those.
    pub(crate) fn address(&self, v4: bool) -> Option<IpAddr> {
        let mut of_family = self.addresses.iter().filter(|a| a.is_ipv4() == v4);
        let global = of_family.clone().find(|a| !is_link_local(**a));
        global.or_else(|| of_family.next()).copied()
    }

    /// What it carries, where the system says so.
    pub(crate) fn speed(&self) -> Option<Rate> {
        let path = format!("/sys/class/net/{}/speed", self.name);
        let mbps: u64 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
        let speed = Rate::from_bps(mbps.saturating_mul(1_000_000));
        Some(speed).filter(|s| !s.is_zero())
    }

    /// The largest IP packet that it carries, where the system says so.
    pub(crate) fn mtu(&self) -> Option<u32> {
        let text = std::fs::read_to_string(format!("/sys/class/net/{}/mtu", self.name)).ok()?;
        text.trim().parse().ok()
    }

    /// Whether it carries multicast; the loopback does, though it does not say so.
    fn multicast(&self) -> bool {
        const IFF_MULTICAST: u32 = 0x1000;
        let flags = std::fs::read_to_string(format!("/sys/class/net/{}/flags", self.name));
        let flags = flags
            .ok()
            .and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
        self.loopback || flags.is_none_or(|flags| flags & IFF_MULTICAST != 0)
    }
}

/// Whether an IPv6 address needs an interface beside it to mean anything.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// All interfaces that have an address.
pub(crate) fn list() -> Result<Vec<Interface>, StartError> {
    let mut found: Vec<Interface> = Vec::new();
    for entry in if_addrs::get_if_addrs().map_err(StartError::Interfaces)? {
        let Some(index) = entry.index else { continue };
        let ip = entry.ip();
        let down = [
            IfOperStatus::Down,
            IfOperStatus::NotPresent,
            IfOperStatus::LowerLayerDown,
        ];
        match found.iter_mut().find(|i| i.index == index) {
            Some(known) => known.addresses.push(ip),
            None => found.push(Interface {
                name: entry.name.clone(),
                index,
                addresses: vec![ip],
                loopback: entry.is_loopback(),
                up: !down.contains(&entry.oper_status),
            }),
        }
    }
    Ok(found)
}

/// The interface for groups of `to`'s family: the one `wanted` by name, address or index, or else
/// the one that the system would send to `to` from, or else any that can, or else the loopback.
pub(crate) fn choose(wanted: Option<&str>, to: SocketAddr) -> Result<Interface, StartError> {
    let all = list()?;
    choose_from(&all, wanted, to.is_ipv4(), || routed_address(to))
}

fn choose_from(
    all: &[Interface],
    wanted: Option<&str>,
    v4: bool,
    routed: impl FnOnce() -> Option<IpAddr>,
) -> Result<Interface, StartError> {
    if let Some(wanted) = wanted {
        let named = |i: &&Interface| {
            i.name == wanted
                || wanted
                    .parse()
                    .is_ok_and(|ip: IpAddr| i.addresses.contains(&ip))
                || wanted.parse().is_ok_and(|index: u32| i.index == index)
        };
        let problem = |reason: String| StartError::UnknownInterface {
            wanted: wanted.to_owned(),
            reason,
            available: describe(all),
        };
        let found = all
            .iter()
            .find(named)
            .ok_or_else(|| problem(String::new()))?;
        if !found.up {
            return Err(problem(" that is up".to_owned()));
        }
        if found.address(v4).is_none() {
            return Err(problem(format!(" with an IPv{} address", family(v4))));
        }
        return Ok(found.clone());
    }
    let can = |i: &&Interface| i.up && i.address(v4).is_some() && i.multicast();
    let routed = routed().and_then(|ip| all.iter().find(|i| i.addresses.contains(&ip)));
    let chosen = routed
        .filter(can)
        .or_else(|| all.iter().filter(can).find(|i| !i.loopback))
        .or_else(|| all.iter().find(can));
    chosen.cloned().ok_or_else(|| StartError::NoInterface {
        family: family(v4),
        available: describe(all),
    })
}

/// The local address that the system would send to `to` from; nothing is sent.
fn routed_address(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if to.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn family(v4: bool) -> u8 {
    if v4 { 4 } else { 6 }
}

fn describe(all: &[Interface]) -> String {
    let one = |i: &Interface| {
        let addresses: Vec<String> = i.addresses.iter().map(IpAddr::to_string).collect();
        let state = if i.up { "" } else { ", down" };
        format!("{} ({}{state})", i.name, addresses.join(", "))
    };
    let all: Vec<String> = all.iter().map(one).collect();
    if all.is_empty() {
        "none".to_owned()
    } else {
        all.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretend(name: &str, index: u32, addresses: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            index,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            loopback: name == "lo",
            up: true,
        }
    }

    fn machine() -> Vec<Interface> {
        vec![
            pretend("lo", 1, &["127.0.0.1", "::1"]),
            pretend("nosuch0", 2, &["10.0.0.1", "fe80::1", "fd00::1"]),
            pretend("nosuch1", 3, &["10.1.0.1"]),
        ]
    }

    #[test]
    fn by_name_address_and_index() {
        let all = machine();
        for wanted in ["nosuch1", "10.1.0.1", "3"] {
            let found = choose_from(&all, Some(wanted), true, || None).unwrap();
            assert_eq!(found.name, "nosuch1");
        }
        let v6 = choose_from(&all, Some("nosuch0"), false, || None).unwrap();
        assert_eq!(v6.address(false), Some("fd00::1".parse().unwrap()));
    }

    #[test]
    fn unknown_ones_are_refused_by_name_and_with_what_there_is() {
        let all = machine();
        let error = choose_from(&all, Some("eth9"), true, || None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("eth9") && error.contains("nosuch0 (10.0.0.1"),
            "{error}"
        );
        let error = choose_from(&all, Some("nosuch1"), false, || None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("IPv6"), "{error}");
    }

    #[test]
    fn by_default_the_routed_one_then_a_real_one_then_the_loopback() {
        let mut all = machine();
        let routed = || Some("10.1.0.1".parse().unwrap());
        assert_eq!(
            choose_from(&all, None, true, routed).unwrap().name,
            "nosuch1"
        );
        assert_eq!(
            choose_from(&all, None, true, || None).unwrap().name,
            "nosuch0"
        );
        all[1].up = false;
        all.truncate(2);
        assert_eq!(choose_from(&all, None, true, || None).unwrap().name, "lo");
        assert!(choose_from(&all[1..], None, true, || None).is_err());
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let all = list().unwrap();
        let lo = all
            .iter()
            .find(|i| i.loopback)
            .expect("a loopback interface");
        assert!(lo.up && lo.index > 0);
    }
}
