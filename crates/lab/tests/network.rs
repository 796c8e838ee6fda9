//! The test network itself, with plain sockets: what it loses, blocks, counts and limits. Figures
//! taken on it mean something only if these hold. Needs root and iproute2, nftables and ethtool;
//! skips loudly without.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use loopcast_lab::network::{self, Blocked, Net, Traffic};
use loopcast_lab::tcp;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 7, 9);
const PORT: u16 = 4_750;
const LENGTH: usize = 1_400;

fn network(hosts: usize) -> Option<Net> {
    if let Some(why) = network::missing() {
        eprintln!("SKIPPED: no test network here: {why}");
        return None;
    }
    Some(Net::new(hosts).unwrap())
}

fn listener(net: &Net, host: usize) -> UdpSocket {
    let listen = || -> std::io::Result<UdpSocket> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        let socket = UdpSocket::from(socket);
        socket.join_multicast_v4(&GROUP, &net.host(host).address)?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        Ok(socket)
    };
    let socket = net.host(host).inside(listen).unwrap().unwrap();
    // Linux lets 2 jiffies pass before it reports a new membership, up to 20 ms.
    std::thread::sleep(Duration::from_millis(100));
    socket
}

/// Sends `count` numbered packets as bursts that the kernel cuts; fewer than a socket buffer holds.
fn burst(net: &Net, from: usize, to: Ipv4Addr, count: u32) {
    let send = || -> std::io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let state = quinn_udp::UdpSocketState::new((&socket).into())?;
        assert!(state.max_gso_segments() >= 20, "this kernel cuts no bursts");
        let numbers: Vec<u32> = (0..count).collect();
        for run in numbers.chunks(20) {
            let mut contents = vec![0; run.len() * LENGTH];
            for (packet, number) in contents.chunks_mut(LENGTH).zip(run) {
                packet[..4].copy_from_slice(&number.to_be_bytes());
            }
            let transmit = quinn_udp::Transmit {
                destination: SocketAddrV4::new(to, PORT).into(),
                ecn: None,
                contents: &contents,
                segment_size: Some(LENGTH),
                src_ip: None,
            };
            while let Err(e) = state.try_send((&socket).into(), &transmit) {
                assert_eq!(e.kind(), ErrorKind::WouldBlock);
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    };
    net.host(from).inside(send).unwrap().unwrap();
}

/// The numbers of the packets that arrived, until none came for 300 ms.
fn arrived(socket: &UdpSocket) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut packet = [0; 65_536];
    while let Ok(length) = socket.recv(&mut packet) {
        assert_eq!(length, LENGTH);
        numbers.push(u32::from_be_bytes([
            packet[0], packet[1], packet[2], packet[3],
        ]));
    }
    numbers
}

#[test]
fn loss_hits_single_packets_and_bytes_are_counted() {
    let Some(net) = network(3) else { return };
    net.lose(1, Traffic::Multicast, 50).unwrap();
    let (lossy, whole) = (listener(&net, 1), listener(&net, 2));
    let before = net.host(0).sent_bytes().unwrap();
    burst(&net, 0, GROUP, 2_000);

    assert_eq!(
        arrived(&whole).len(),
        2_000,
        "a host without loss misses packets"
    );
    let numbers = arrived(&lossy);
    let lost = 2_000 - numbers.len();
    assert!(
        (55..=150).contains(&lost),
        "5 % of 2,000 are 100, lost {lost}"
    );
    let gap = numbers.windows(2).map(|w| w[1] - w[0]).max().unwrap();
    assert!(
        gap < 8,
        "{gap} packets lost in one piece: bursts are lost whole"
    );
    assert_eq!(net.lost(1).unwrap(), (2_000, lost as u64));

    let bytes = net.host(0).sent_bytes().unwrap() - before;
    let expected = 2_000 * (LENGTH as u64 + 42);
    assert!(
        (expected..expected + 4_000).contains(&bytes),
        "{bytes} instead of {expected}"
    );
}

#[test]
fn loss_is_replaced_and_kinds_of_traffic_are_apart() {
    let Some(net) = network(2) else { return };
    let socket = listener(&net, 1);
    let to = net.host(1).address;
    let through = |to: Ipv4Addr| {
        burst(&net, 0, to, 500);
        arrived(&socket).len()
    };
    net.set_loss(1, Traffic::Udp, 1_000).unwrap();
    assert_eq!(through(to), 0);
    net.set_loss(1, Traffic::Udp, 300).unwrap();
    let most = through(to);
    assert!((300..400).contains(&most), "30 % lost: {most} of 500 came");
    net.set_loss(1, Traffic::Multicast, 1_000).unwrap();
    net.set_loss(1, Traffic::Udp, 0).unwrap();
    assert_eq!((through(GROUP), through(to)), (0, 500));
    net.set_loss(1, Traffic::Multicast, 0).unwrap();
    assert_eq!(through(GROUP), 500);
}

#[test]
fn multicast_reaches_only_who_joined() {
    let Some(net) = network(3) else { return };
    let joined = listener(&net, 1);
    let before = net.host(2).received_packets().unwrap();
    burst(&net, 0, GROUP, 500);
    assert_eq!(arrived(&joined).len(), 500);
    let stray = net.host(2).received_packets().unwrap() - before;
    assert!(stray < 20, "{stray} packets at a host that never joined");
}

#[test]
fn blocked_multicast_is_blocked_and_unicast_is_not() {
    let Some(net) = network(4) else { return };
    net.block_multicast(1, Blocked::Inbound).unwrap();
    net.block_multicast(2, Blocked::Both).unwrap();
    let sockets: Vec<UdpSocket> = (1..4).map(|i| listener(&net, i)).collect();
    burst(&net, 0, GROUP, 100);
    let counts: Vec<usize> = sockets.iter().map(|s| arrived(s).len()).collect();
    assert_eq!(counts, [0, 0, 100]);
    burst(&net, 1, GROUP, 100);
    assert_eq!(
        arrived(&sockets[2]).len(),
        100,
        "inbound only: what it sends gets through"
    );
    burst(&net, 2, GROUP, 100);
    assert_eq!(
        arrived(&sockets[2]).len(),
        0,
        "both directions: nor does what it sends"
    );
    burst(&net, 0, net.host(2).address, 100);
    assert_eq!(arrived(&sockets[1]).len(), 100);
}

#[test]
fn a_bucket_drops_what_exceeds_it_and_counts() {
    let Some(net) = network(2) else { return };
    net.limit(1, 10).unwrap();
    let socket = listener(&net, 1);
    burst(&net, 0, GROUP, 500);
    let got = arrived(&socket).len() as u64;
    let bucket = net.bucket(1).unwrap();
    assert!(bucket.dropped > 100, "{bucket:?}");
    assert!(
        bucket.sent >= got && bucket.sent <= got + 20,
        "{bucket:?}, arrived {got}"
    );
}

#[test]
fn packets_larger_than_a_link_vanish_silently() {
    let Some(net) = network(3) else { return };
    net.set_mtu(1, 1_400).unwrap();
    let (narrow, wide) = (listener(&net, 1), listener(&net, 2));
    burst(&net, 0, GROUP, 100); // 1,428 bytes of IP each
    assert_eq!(arrived(&narrow).len(), 0);
    assert_eq!(arrived(&wide).len(), 100);
}

#[test]
fn one_tcp_flow_fills_a_bucket() {
    let Some(net) = network(2) else { return };
    net.limit(1, 100).unwrap();
    let mbit = tcp::alone(&net, 1, Duration::from_secs(2)).unwrap();
    assert!((80.0..98.0).contains(&mbit), "{mbit} Mbit/s of 100");
    eprintln!("one TCP flow through 100 Mbit/s: {mbit:.1} Mbit/s");
}
