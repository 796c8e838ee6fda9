//! What the network does to one host's link: losses, blocked multicast, a token bucket, a smaller
//! MTU, and the packets that its rules count.

use std::process::Command;

use super::system::{ip_batch, nft, run};
use super::{MULTICAST, Net};

/// What a rule of loss applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Every UDP packet to the host.
    Udp,
    /// UDP packets to a group only.
    Multicast,
}

/// Which multicast a blocked host is without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Nothing sent to a group reaches it.
    Inbound,
    /// Nor does anything it sends to a group leave.
    Both,
}

/// What a token bucket let through and what it dropped, in packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// Let through.
    pub sent: u64,
    /// Dropped.
    pub dropped: u64,
}

impl Net {
    /// Loses `per_mille` of `traffic` on its way into host `i`, each packet by itself.
    pub fn lose(&self, i: usize, traffic: Traffic, per_mille: u32) -> Result<(), String> {
        let which = match traffic {
            Traffic::Udp => "meta l4proto udp".to_string(),
            Traffic::Multicast => format!("ip daddr {MULTICAST} meta l4proto udp"),
        };
        let chain = ingress("loss", "arriving", "eth0", 0);
        let rule = format!("add rule netdev loss arriving {which}");
        let some = format!("numgen random mod 1000 < {per_mille}");
        let rules = format!("{chain}{rule} counter\n{rule} {some} counter drop\n");
        nft(&self.hosts[i].namespace, &rules)
    }

    /// Sets the loss of `traffic` into host `i` to `per_mille`, replacing what was set before.
    ///
    /// One transaction of nft: packets meet the old rule or the new one, never none. 0 loses
    /// nothing, 1,000 everything. Kinds of traffic have rules of their own, beside those of
    /// [`Net::lose`].
    pub fn set_loss(&self, i: usize, traffic: Traffic, per_mille: u32) -> Result<(), String> {
        let (chain, which) = match traffic {
            Traffic::Udp => ("any_udp", "meta l4proto udp".to_string()),
            Traffic::Multicast => (
                "to_groups",
                format!("ip daddr {MULTICAST} meta l4proto udp"),
            ),
        };
        let mut rules = ingress("changing", chain, "eth0", 1);
        rules += &format!("flush chain netdev changing {chain}\n");
        // nft refuses a comparison that holds for every number.
        let some = match per_mille {
            1_000.. => String::new(),
            _ => format!("numgen random mod 1000 < {per_mille} "),
        };
        if per_mille > 0 {
            rules += &format!("add rule netdev changing {chain} {which} {some}counter drop\n");
        }
        nft(&self.hosts[i].namespace, &rules)
    }

    /// What the rule of [`Net::lose`] saw and dropped at host `i`, in packets.
    pub fn lost(&self, i: usize) -> Result<(u64, u64), String> {
        let mut list = self.hosts[i].command("nft");
        let text = run(list.args(["list", "chain", "netdev", "loss", "arriving"]))?;
        let mut counts = text.split("packets ").skip(1).map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(0)
        });
        match (counts.next(), counts.next()) {
            (Some(seen), Some(dropped)) => Ok((seen, dropped)),
            _ => Err(format!("host {i} has no rule of loss")),
        }
    }

    /// Counts UDP and IGMP packets that host `i` sends from now on.
    pub fn count_sent(&self, i: usize) -> Result<(), String> {
        let rules = "add table inet sent\n\
             add chain inet sent leaving { type filter hook output priority 0 ; }\n\
             add rule inet sent leaving meta l4proto udp counter\n\
             add rule inet sent leaving meta l4proto igmp counter\n";
        nft(&self.hosts[i].namespace, rules)
    }

    /// What [`Net::count_sent`] has counted at host `i`: of UDP, and of IGMP.
    pub fn sent_udp_and_igmp(&self, i: usize) -> Result<(u64, u64), String> {
        let mut list = self.hosts[i].command("nft");
        let text = run(list.args(["list", "chain", "inet", "sent", "leaving"]))?;
        let counts = text.split("packets ").skip(1);
        let mut counts = counts.map(|rest| rest.split(' ').next()?.parse().ok());
        match (counts.next().flatten(), counts.next().flatten()) {
            (Some(udp), Some(igmp)) => Ok((udp, igmp)),
            _ => Err(format!("host {i} does not count: {text}")),
        }
    }

    /// Makes the port of host `i` a static member of a group, as a switch is told to.
    pub fn add_static_member(&self, i: usize, group: &str) -> Result<(), String> {
        let line = format!("mdb add dev br0 port p{i} grp {group} permanent");
        run(Command::new("bridge")
            .args(["-n", &self.bridge])
            .args(line.split(' ')))
        .map(drop)
    }

    /// Takes multicast from host `i`, in the network: the host itself sees no refusal.
    pub fn block_multicast(&self, i: usize, blocked: Blocked) -> Result<(), String> {
        let mut inbound = ingress("blocked", "arriving", "eth0", -10);
        inbound += &format!("add rule netdev blocked arriving ip daddr {MULTICAST} counter drop\n");
        nft(&self.hosts[i].namespace, &inbound)?;
        if blocked == Blocked::Both {
            let table = format!("blocked{i}");
            let mut outbound = ingress(&table, "leaving", &format!("p{i}"), 0);
            outbound +=
                &format!("add rule netdev {table} leaving ip daddr {MULTICAST} counter drop\n");
            nft(&self.bridge, &outbound)?;
        }
        Ok(())
    }

    /// Puts a token bucket of `mbit` Mbit/s with a queue of 50 ms on the way to host `i`, in the
    /// place of another if there is one.
    pub fn limit(&self, i: usize, mbit: u32) -> Result<(), String> {
        // A burst of 2 ms, but never below what one segmented TCP packet with headers needs.
        let burst = (mbit * 1_000_000 / 8 / 500).max(6_000);
        let line =
            format!("qdisc replace dev p{i} root tbf rate {mbit}mbit burst {burst} latency 50ms");
        run(Command::new("tc")
            .args(["-n", &self.bridge])
            .args(line.split(' ')))
        .map(drop)
    }

    /// What the bucket of [`Net::limit`] did so far.
    pub fn bucket(&self, i: usize) -> Result<Bucket, String> {
        let mut tc = Command::new("tc");
        tc.args(["-n", &self.bridge, "-s", "qdisc", "show", "dev"])
            .arg(format!("p{i}"));
        let text = run(&mut tc)?;
        // " Sent 1466 bytes 1 pkt (dropped 0, overlimits 0 requeues 0)"
        let number_before =
            |end: &str| -> Option<u64> { text.split(end).next()?.rsplit(' ').next()?.parse().ok() };
        let number_after = |start: &str| -> Option<u64> {
            text.split(start).nth(1)?.split(',').next()?.parse().ok()
        };
        match (number_before(" pkt"), number_after("(dropped ")) {
            (Some(sent), Some(dropped)) => Ok(Bucket { sent, dropped }),
            _ => Err(format!("host {i} has no bucket: {text}")),
        }
    }

    /// Sets the MTU of the link of host `i`, at both ends. The bridge drops what is larger without
    /// telling anybody.
    pub fn set_mtu(&self, i: usize, mtu: u32) -> Result<(), String> {
        let line = format!("link set {} mtu {mtu}\n", "eth0");
        ip_batch(Some(&self.hosts[i].namespace), &line)?;
        ip_batch(Some(&self.bridge), &format!("link set p{i} mtu {mtu}\n"))
    }
}

/// Commands of nft that make a table with a chain of what arrives at a device.
fn ingress(table: &str, chain: &str, device: &str, priority: i32) -> String {
    let hook = format!("type filter hook ingress device \"{device}\" priority {priority} ;");
    format!("add table netdev {table}\nadd chain netdev {table} {chain} {{ {hook} }}\n")
}
