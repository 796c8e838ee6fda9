//! A test network: hosts in network namespaces of their own, joined by a bridge that snoops IGMP.
//!
//! Takes in what the network should do to each host (loss, blocked multicast, a token bucket, a
//! smaller MTU); gives out commands and sockets inside the hosts, and counters. Needs root and the
//! tools of [`TOOLS`]. Everything it made goes away when the [`Net`] is dropped; what an earlier,
//! killed run left behind goes when the next network is built.

// Each program that includes this file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The programs that the network is built with.
pub const TOOLS: [&str; 5] = ["ip", "bridge", "nft", "tc", "ethtool"];

/// Namespaces of this code are named `lc<pid>n<network>h<host>`; `br` in place of `h..` is the bridge's.
const PREFIX: &str = "lc";
const MULTICAST: &str = "224.0.0.0/4";

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
    pub sent: u64,
    pub dropped: u64,
}

/// One machine of the network, with one device, `eth0`.
pub struct Host {
    /// The name of its namespace.
    pub namespace: String,
    /// Its address, 10.77.0.(number + 1) of a /24.
    pub address: Ipv4Addr,
}

/// A network of hosts; host 0 is the sender's.
pub struct Net {
    hosts: Vec<Host>,
    bridge: String,
}

/// Where a burst that a sender handed over in one piece becomes packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bursts {
    /// At the sender's own device, so that loss, queues and counters meet single packets as on a real
    /// wire.
    Cut,
    /// Never: super-packets go all the way, as between virtual machines of one host.
    Whole,
}

/// Why no network can be built here; `None` if it can.
pub fn missing() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:"));
    if uid.and_then(|l| l.split_whitespace().nth(1)) != Some("0") {
        return Some("not root".into());
    }
    for tool in TOOLS {
        let there = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"]
            .iter()
            .any(|dir| Path::new(dir).join(tool).exists());
        if !there {
            return Some(format!("`{tool}` is not installed"));
        }
    }
    // A container's root may be refused what a namespace needs; a whole small network tells.
    Net::new(1)
        .err()
        .map(|e| format!("this kernel or container refuses: {e}"))
}

impl Net {
    /// Builds `count` hosts and their bridge, with [`Bursts::Cut`].
    pub fn new(count: usize) -> Result<Net, String> {
        Net::with(count, Bursts::Cut)
    }

    /// Builds `count` hosts, at most 254, and their bridge.
    pub fn with(count: usize, bursts: Bursts) -> Result<Net, String> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        remove_stale();
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{PREFIX}{}n{number}", std::process::id());
        let bridge = format!("{tag}br");
        let hosts = (0..count)
            .map(|i| Host {
                namespace: format!("{tag}h{i}"),
                address: Ipv4Addr::new(10, 77, 0, u8::try_from(i + 1).expect("a /24 of hosts")),
            })
            .collect();
        // Made before the commands run, so that a failure half way still cleans up.
        let net = Net { hosts, bridge };
        net.build(bursts)?;
        Ok(net)
    }

    fn build(&self, bursts: Bursts) -> Result<(), String> {
        let bridge = &self.bridge;
        let mut all = format!("netns add {bridge}\n");
        for host in &self.hosts {
            all += &format!("netns add {}\n", host.namespace);
        }
        ip_batch(None, &all)?;

        // Intervals in hundredths of a second. A bridge floods every group until its querier has
        // waited one response interval, 10 s by default; so that one is set before the querier
        // starts. Queries every 10 s keep memberships alive.
        let mut ports = "link add br0 type bridge forward_delay 0 mcast_snooping 1 \
             mcast_igmp_version 3\n\
             link set br0 type bridge mcast_query_response_interval 10\n\
             link set br0 type bridge mcast_query_interval 1000 mcast_startup_query_interval 100\n\
             link set br0 type bridge mcast_querier 1\n\
             link set br0 addrgenmode none\nlink set br0 up\n"
            .to_string();
        for (i, host) in self.hosts.iter().enumerate() {
            ports += &format!(
                "link add p{i} type veth peer name eth0 netns {}\n\
                 link set p{i} addrgenmode none\nlink set p{i} master br0\nlink set p{i} up\n",
                host.namespace
            );
        }
        ip_batch(Some(bridge), &ports)?;

        for host in &self.hosts {
            // No IPv6 link-local address: its duplicate detection would count as wire bytes.
            ip_batch(
                Some(&host.namespace),
                &format!(
                    "link set lo up\nlink set eth0 addrgenmode none\nlink set eth0 up\n\
                     addr add {}/24 brd + dev eth0\nroute add {MULTICAST} dev eth0\n\
                     route add default dev eth0\n",
                    host.address
                ),
            )?;
            if bursts == Bursts::Cut {
                let cut = ["-K", "eth0", "tx-udp-segmentation", "off", "tso", "off"];
                run(host.command("ethtool").args(cut))?;
            }
        }
        self.wait_until_forwarding()
    }

    /// A port drops everything until the bridge has heard of its carrier, which takes up to a second;
    /// the report of a group joined in that time would be lost, and with it the membership.
    fn wait_until_forwarding(&self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let links = run(Command::new("bridge").args(["-n", &self.bridge, "link", "show"]))?;
            if links.matches("state forwarding").count() == self.hosts.len() {
                // One response interval more, for the querier.
                std::thread::sleep(Duration::from_millis(120));
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the bridge does not forward after 10 s:\n{links}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Host `i`.
    pub fn host(&self, i: usize) -> &Host {
        &self.hosts[i]
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Loses `per_mille` of `traffic` on its way into host `i`, each packet by itself.
    pub fn lose(&self, i: usize, traffic: Traffic, per_mille: u32) -> Result<(), String> {
        let which = match traffic {
            Traffic::Udp => "meta l4proto udp".to_string(),
            Traffic::Multicast => format!("ip daddr {MULTICAST} meta l4proto udp"),
        };
        let rules = format!(
            "add table netdev loss\n\
             add chain netdev loss arriving {{ type filter hook ingress device \"eth0\" priority 0 ; }}\n\
             add rule netdev loss arriving {which} counter\n\
             add rule netdev loss arriving {which} numgen random mod 1000 < {per_mille} counter drop\n"
        );
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
        let mut rules = format!(
            "add table netdev changing\n\
             add chain netdev changing {chain} {{ type filter hook ingress device \"eth0\" priority 1 ; }}\n\
             flush chain netdev changing {chain}\n"
        );
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
        let inbound = format!(
            "add table netdev blocked\n\
             add chain netdev blocked arriving {{ type filter hook ingress device \"eth0\" priority -10 ; }}\n\
             add rule netdev blocked arriving ip daddr {MULTICAST} counter drop\n"
        );
        nft(&self.hosts[i].namespace, &inbound)?;
        if blocked == Blocked::Both {
            let outbound = format!(
                "add table netdev blocked{i}\n\
                 add chain netdev blocked{i} leaving {{ type filter hook ingress device \"p{i}\" priority 0 ; }}\n\
                 add rule netdev blocked{i} leaving ip daddr {MULTICAST} counter drop\n"
            );
            nft(&self.bridge, &outbound)?;
        }
        Ok(())
    }

    /// Puts a token bucket of `mbit` Mbit/s with a queue of 50 ms on the way to host `i`, in the place
    /// of another if there is one.
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

impl Host {
    /// A command that will run on this host. It replaces the `ip` that enters the namespace, so the
    /// child's process id is the program's own.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program);
        command
    }

    /// Runs `f` on a thread of this host; sockets that it opens stay on the host wherever they are
    /// used.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> std::io::Result<T> {
        let namespace = File::open(Path::new("/run/netns").join(&self.namespace))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(
                    namespace.as_fd(),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )?;
                Ok(f())
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Bytes that left through `eth0` so far, Ethernet headers included.
    pub fn sent_bytes(&self) -> Result<u64, String> {
        self.counter("tx_bytes")
    }

    /// Packets that left through `eth0` so far.
    pub fn sent_packets(&self) -> Result<u64, String> {
        self.counter("tx_packets")
    }

    /// Packets that arrived at `eth0` so far, before any rule of loss.
    pub fn received_packets(&self) -> Result<u64, String> {
        self.counter("rx_packets")
    }

    fn counter(&self, name: &str) -> Result<u64, String> {
        // `ip netns exec` mounts the namespace's own /sys.
        let text = run(self
            .command("cat")
            .arg(format!("/sys/class/net/eth0/statistics/{name}")))?;
        text.trim()
            .parse()
            .map_err(|e| format!("{name} of {}: {e}", self.namespace))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The bridge first: with it the other end of each veth pair goes.
        delete_namespace(&self.bridge);
        for host in &self.hosts {
            delete_namespace(&host.namespace);
        }
    }
}

/// Runs a command to its end; its standard output, or what it complained of.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

fn run_with_input(command: &mut Command, input: &str) -> Result<(), String> {
    let fail = |e: std::io::Error| e.to_string();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(fail)?;
    }
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "{command:?}: {}\nwith input:\n{input}",
        complaint.trim()
    ))
}

fn ip_batch(namespace: Option<&str>, lines: &str) -> Result<(), String> {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-n", namespace]);
    }
    run_with_input(ip.args(["-batch", "-"]), lines)
}

fn nft(namespace: &str, rules: &str) -> Result<(), String> {
    let mut nft = Command::new("ip");
    run_with_input(
        nft.args(["netns", "exec", namespace, "nft", "-f", "-"]),
        rules,
    )
}

/// Kills what still runs in a namespace whose maker is no more.
fn kill_inside(name: &str) {
    let pids = run(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    for pid in pids.split_whitespace() {
        let _ = run(Command::new("kill").args(["-KILL", pid]));
    }
}

fn delete_namespace(name: &str) {
    if Path::new("/run/netns").join(name).exists() {
        let _ = run(Command::new("ip").args(["netns", "delete", name]));
    }
}

/// Deletes the networks of processes that are no more.
fn remove_stale() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for name in entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
    {
        let Some((pid, _)) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('n'))
        else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            kill_inside(&name);
            delete_namespace(&name);
        }
    }
}
