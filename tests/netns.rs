//! The program on real sockets, in network namespaces: loss is repaired, and a receiver that
//! multicast does not reach gets its file all the same. Needs root and iproute2, nftables and
//! ethtool; skips loudly without. The acceptance bench measures the same at full size.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "support/content.rs"]
mod content;
#[path = "../src/bin/loopcast/bench/network.rs"]
mod netns;
#[path = "support/program.rs"]
mod program;

use netns::{Blocked, Net, Traffic};
use program::{Loopcast, Program};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const GROUP: &str = "loopcast://239.192.7.1:4700";
/// Host 0 of every network.
const SENDER: &str = "loopcast://10.77.0.1:4700";

fn network(hosts: usize) -> Option<Net> {
    if let Some(why) = netns::missing() {
        eprintln!("SKIPPED: no test network here: {why}");
        return None;
    }
    Some(Net::new(hosts).unwrap())
}

/// A folder with a file of seeded content, and the program to send it with.
struct Desk {
    folder: tempfile::TempDir,
    file: PathBuf,
    loopcast: Loopcast,
}

impl Desk {
    fn new(bytes: u64) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("film");
        content::write_seeded(&file, bytes, 7).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_loopcast"));
        let scratch = folder.path().to_path_buf();
        Desk {
            folder,
            file,
            loopcast: Loopcast { program, scratch },
        }
    }

    fn inbox(&self, i: usize) -> PathBuf {
        self.folder.path().join(format!("into-{i}"))
    }

    /// A receiver on host `i`, which is up on return.
    fn receive(&self, net: &Net, i: usize, args: &[&str], url: &str) -> Program {
        let mut receiver = self
            .loopcast
            .receive(net.host(i), &self.inbox(i), args, url)
            .unwrap();
        receiver.wait_until_up().unwrap();
        receiver
    }

    /// Sends the file; every receiver must end well, with an exact copy.
    fn send(&self, net: &Net, args: &[&str], receivers: &mut [Program]) -> Program {
        let args = [&["--to", GROUP, "--rate", "50M"], args].concat();
        let file: &Path = &self.file;
        let mut sender = self.loopcast.send(net.host(0), &args, &[file]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        for (receiver, i) in receivers.iter_mut().zip(1..) {
            if let Err(e) = receiver.succeed(deadline) {
                panic!("{e}the sender said:\n{}", sender.tail());
            }
            content::compare(file, &self.inbox(i).join("film")).unwrap();
        }
        sender.succeed(deadline).unwrap();
        sender
    }
}

#[test]
fn what_is_lost_is_asked_for_and_repaired() {
    let Some(net) = network(3) else { return };
    let desk = Desk::new(3 << 20);
    net.lose(1, Traffic::Udp, 50).unwrap();
    net.lose(2, Traffic::Udp, 50).unwrap();
    let mut receivers = [1, 2].map(|i| desk.receive(&net, i, &[], GROUP));
    let sender = desk.send(&net, &["--wait-for", "2"], &mut receivers);

    assert!(
        net.lost(1).unwrap().1 > 20,
        "nothing was lost, so nothing was tested"
    );
    assert!(receivers.iter().all(|r| !r.took_unicast()));
    let stats = sender.stats().unwrap();
    assert!(stats["repairs"].as_u64().unwrap() > 0, "{stats}");
    assert!(stats["naks_received"].as_u64().unwrap() > 0, "{stats}");
}

#[test]
fn blocked_multicast_is_found_out_and_gone_round() {
    let Some(net) = network(3) else { return };
    let desk = Desk::new(1 << 20);
    net.block_multicast(1, Blocked::Inbound).unwrap();
    let short = ["--sync-timeout", "0.5"];
    let mut receivers = [
        desk.receive(&net, 1, &short, GROUP),
        desk.receive(&net, 2, &short, GROUP),
    ];
    desk.send(&net, &["--wait-for", "2"], &mut receivers);
    assert!(receivers[0].took_unicast());
    assert!(!receivers[1].took_unicast());
}

#[test]
fn a_receiver_without_any_multicast_asks_the_host() {
    let Some(net) = network(2) else { return };
    let desk = Desk::new(1 << 20);
    net.block_multicast(1, Blocked::Both).unwrap();
    let short = ["--sync-timeout", "0.5"];
    let mut receivers = [desk.receive(&net, 1, &short, SENDER)];
    desk.send(&net, &[], &mut receivers);
    assert!(receivers[0].took_unicast());
}
