//! A test network: hosts in network namespaces of their own, joined by a bridge that snoops IGMP.
//!
//! Takes in what the network should do to each host (loss, blocked multicast, a token bucket, a
//! smaller MTU); gives out commands and sockets inside the hosts, and counters. Needs root and the
//! tools of [`TOOLS`]. Everything it made goes away when the [`Net`] is dropped; what an earlier,
//! killed run left behind goes when the next network is built.

mod links;
mod system;

pub use links::{Blocked, Bucket, Traffic};

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use system::{delete_namespace, ip_batch, namespaces, run};

use crate::machine::is_installed;

/// The programs that the network is built with.
pub const TOOLS: [&str; 5] = ["ip", "bridge", "nft", "tc", "ethtool"];

/// Namespaces of this code are named `lc<pid>n<network>h<host>`; `br` in place of `h..` is the
/// bridge's.
const PREFIX: &str = "lc";
const MULTICAST: &str = "224.0.0.0/4";

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
    /// At the sender's own device, so that loss, queues and counters meet single packets as on a
    /// real wire.
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
    if let Some(tool) = TOOLS.into_iter().find(|tool| !is_installed(tool)) {
        return Some(format!("`{tool}` is not installed"));
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

    /// A port drops everything until the bridge has heard of its carrier, which takes up to a
    /// second; the report of a group joined in that time would be lost, and with it the membership.
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
    pub fn hosts(&self) -> usize {
        self.hosts.len()
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

    /// Bytes of multicast that came in for groups somebody here was in, IP headers included.
    pub fn heard_bytes(&self) -> Result<u64, String> {
        let text = run(self.command("cat").arg("/proc/net/netstat"))?;
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("IpExt:")).collect();
        let words = |row: &&str| row.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = rows.iter().map(words).collect();
        let [names, figures] = &rows[..] else {
            return Err(format!("no IpExt of {}: {text}", self.namespace));
        };
        let at = names.iter().position(|n| n == "InMcastOctets");
        let figure = at.and_then(|at| figures.get(at)?.parse().ok());
        figure.ok_or_else(|| format!("no InMcastOctets of {}: {text}", self.namespace))
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

/// Deletes the networks of processes that are no more.
fn remove_stale() {
    for name in namespaces() {
        let maker = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('n'));
        let Some((pid, _)) = maker else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            system::kill_inside(&name);
            delete_namespace(&name);
        }
    }
}
