//! The program on real sockets, in network namespaces: loss is repaired, and a receiver that
//! multicast does not reach gets its file all the same. Needs root and iproute2, nftables and
//! ethtool; skips loudly without. The acceptance bench measures the same at full size.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use loopcast_lab::desk::Desk;
use loopcast_lab::network::{self, Blocked, Net, Traffic};
use loopcast_lab::program::Program;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const GROUP: &str = "loopcast://239.192.7.1:4700";
/// Host 0 of every network.
const SENDER: &str = "loopcast://10.77.0.1:4700";

fn network(hosts: usize) -> Option<Net> {
    if let Some(why) = network::missing() {
        eprintln!("SKIPPED: no test network here: {why}");
        return None;
    }
    Some(Net::new(hosts).unwrap())
}

/// A file of seeded content, and the program to send it with.
struct Film {
    desk: Desk,
    file: PathBuf,
}

impl Film {
    fn new(bytes: u64) -> Film {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_loopcast"));
        let desk = Desk::new(&std::env::temp_dir(), program, false).unwrap();
        let file = desk.file("film", bytes).unwrap();
        Film { desk, file }
    }

    /// A receiver on host `i`, which is up on return.
    fn receive(&self, net: &Net, i: usize, args: &[&str], url: &str) -> Program {
        let (host, inbox) = (net.host(i), self.desk.inbox(i));
        let receiver = self.desk.loopcast.receive(host, &inbox, args, url);
        let receiver = receiver.unwrap();
        receiver.wait_until_up().unwrap();
        receiver
    }

    /// Sends the file; every receiver must end well, with an exact copy.
    fn send(&self, net: &Net, args: &[&str], receivers: &[Program]) -> Program {
        let args = [&["--to", GROUP, "--rate", "50M"], args].concat();
        let sender = self.desk.loopcast.send(net.host(0), &args, &[&self.file]);
        let sender = sender.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        for (receiver, i) in receivers.iter().zip(1..) {
            if let Err(e) = receiver.succeed(deadline) {
                panic!("{e}the sender said:\n{}", sender.tail());
            }
            self.desk.verify(i, &self.file).unwrap();
        }
        sender.succeed(deadline).unwrap();
        sender
    }
}

#[test]
fn what_is_lost_is_asked_for_and_repaired() {
    let Some(net) = network(3) else { return };
    let film = Film::new(3 << 20);
    net.lose(1, Traffic::Udp, 50).unwrap();
    net.lose(2, Traffic::Udp, 50).unwrap();
    let receivers = [1, 2].map(|i| film.receive(&net, i, &[], GROUP));
    let sender = film.send(&net, &["--wait-for", "2"], &receivers);

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
    let film = Film::new(1 << 20);
    net.block_multicast(1, Blocked::Inbound).unwrap();
    let short = ["--sync-timeout", "0.5"];
    let receivers = [
        film.receive(&net, 1, &short, GROUP),
        film.receive(&net, 2, &short, GROUP),
    ];
    film.send(&net, &["--wait-for", "2"], &receivers);
    assert!(receivers[0].took_unicast());
    assert!(!receivers[1].took_unicast());
}

#[test]
fn a_receiver_without_any_multicast_asks_the_host() {
    let Some(net) = network(2) else { return };
    let film = Film::new(1 << 20);
    net.block_multicast(1, Blocked::Both).unwrap();
    let short = ["--sync-timeout", "0.5"];
    let receivers = [film.receive(&net, 1, &short, SENDER)];
    film.send(&net, &[], &receivers);
    assert!(receivers[0].took_unicast());
}
