use std::time::{Duration, Instant};

use super::*;
use crate::driver::interface;

fn lo() -> Interface {
    interface::list()
        .unwrap()
        .into_iter()
        .find(|i| i.loopback)
        .expect("a loopback")
}

/// Receives until `count` datagrams have come or a second is over.
fn receive_all(socket: &Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut batch = Batch::new();
    let mut all = Vec::new();
    let end = Instant::now() + Duration::from_secs(1);
    while all.len() < count && Instant::now() < end {
        if socket.receive(&mut batch).unwrap() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        all.extend(batch.datagrams().map(|(from, d)| (from, d.to_vec())));
    }
    all
}

/// A run of `count` datagrams of `size` bytes, each full of its number.
fn run(count: usize, size: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| std::iter::repeat_n(n as u8, size))
        .collect()
}

/// A sending and a hearing socket on the loopback, or why this machine forbids it.
fn pair(group: &str, port: u16, source: Option<IpAddr>) -> Result<(Socket, Socket), String> {
    let group = SocketAddr::new(group.parse().unwrap(), port);
    let lo = lo();
    let v4 = group.is_ipv4();
    let own = lo.address(v4).ok_or("no such address on the loopback")?;
    let sender = Socket::at_own_address(own, 0, lo.index).map_err(|e| e.to_string())?;
    sender
        .send_groups_by(&lo, 1, true)
        .map_err(|e| e.to_string())?;
    let hearing = Socket::on_group(group, source, &lo).map_err(|e| e.to_string())?;
    Ok((sender, hearing))
}

fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: multicast on the loopback is not possible here: {why}");
}

#[test]
fn a_run_over_unicast_arrives_whole_for_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let Ok(mut sender) = Socket::at_own_address(ip.parse().unwrap(), 0, 1) else {
            eprintln!("SKIPPED {ip}: no such address here");
            continue;
        };
        let receiver = Socket::at_own_address(ip.parse().unwrap(), 0, 1).unwrap();
        let bytes = run(100, 1_380);
        let (sent, fault) = sender.send_run(receiver.local(), &bytes, 1_380);
        assert!(fault.is_none(), "{fault:?}");
        assert_eq!(sent, bytes.len());
        let got = receive_all(&receiver, 100);
        assert_eq!(got.len(), 100);
        for (n, (from, datagram)) in got.iter().enumerate() {
            assert_eq!(*from, sender.local());
            assert_eq!(*datagram, vec![n as u8; 1_380]);
        }
    }
}

#[test]
fn a_run_to_a_group_arrives_whole_for_both_families() {
    for (group, port) in [("239.192.7.41", 47_041), ("ff15::741", 47_042)] {
        let (mut sender, hearing) = match pair(group, port, None) {
            Ok(pair) => pair,
            Err(why) => {
                skip(group, &why);
                continue;
            }
        };
        let bytes = run(30, 1_380);
        let to = SocketAddr::new(group.parse().unwrap(), port);
        let (sent, fault) = sender.send_run(to, &bytes, 1_380);
        if let Some(fault) = fault {
            skip(group, &format!("{fault:?}"));
            continue;
        }
        assert_eq!(sent, bytes.len());
        let got = receive_all(&hearing, 30);
        if got.is_empty() && to.is_ipv6() {
            skip(group, "Linux does not loop IPv6 groups back on lo");
            continue;
        }
        assert_eq!(got.len(), 30, "{group}");
        assert!(
            got.iter()
                .enumerate()
                .all(|(n, (_, d))| *d == vec![n as u8; 1_380])
        );
    }
}

#[test]
fn one_source_is_heard_and_another_is_not() {
    for (group, own, other) in [
        ("232.1.7.43", "127.0.0.1", "127.0.0.2"),
        ("ff35::743", "::1", "fd00::77"),
    ] {
        for (port, source, heard) in [(47_043, own, true), (47_044, other, false)] {
            let (mut sender, hearing) = match pair(group, port, source.parse().ok()) {
                Ok(pair) => pair,
                Err(why) => {
                    skip(group, &why);
                    continue;
                }
            };
            let to = SocketAddr::new(group.parse().unwrap(), port);
            if let (_, Some(fault)) = sender.send_run(to, b"hello", 5) {
                skip(group, &format!("{fault:?}"));
                continue;
            }
            let wait = if heard {
                receive_all(&hearing, 1)
            } else {
                receive_briefly(&hearing)
            };
            if wait.is_empty() && heard && to.is_ipv6() {
                skip(group, "Linux does not loop IPv6 groups back on lo");
                continue;
            }
            assert_eq!(wait.len(), usize::from(heard), "{group} from {source}");
            hearing.leave(to.ip(), source.parse().ok(), &lo());
        }
    }
}

fn receive_briefly(socket: &Socket) -> Vec<(SocketAddr, Vec<u8>)> {
    std::thread::sleep(Duration::from_millis(30));
    let mut batch = Batch::new();
    socket.receive(&mut batch).unwrap();
    batch
        .datagrams()
        .map(|(from, d)| (from, d.to_vec()))
        .collect()
}

#[test]
fn own_packets_can_be_kept_out() {
    let group = "239.192.7.45";
    let (mut sender, hearing) = match pair(group, 47_045, None) {
        Ok(pair) => pair,
        Err(why) => return skip(group, &why),
    };
    let lo = lo();
    let to = SocketAddr::new(group.parse().unwrap(), 47_045);
    hearing
        .block_source(to.ip(), "127.0.0.1".parse().unwrap(), &lo)
        .unwrap();
    assert!(sender.send_run(to, b"mine", 4).1.is_none());
    assert!(receive_briefly(&hearing).is_empty());
    let mut other = Socket::at_own_address("127.0.0.2".parse().unwrap(), 0, lo.index).unwrap();
    other.send_groups_by(&lo, 1, true).unwrap();
    let (_, fault) = other.send_run(to, b"other", 5);
    assert!(fault.is_none(), "{fault:?}");
    assert_eq!(receive_all(&hearing, 1)[0].1, b"other");
}

#[test]
fn other_groups_on_the_same_port_are_not_heard() {
    let (mut sender, first) = match pair("239.192.7.46", 47_046, None) {
        Ok(pair) => pair,
        Err(why) => return skip("239.192.7.46", &why),
    };
    let (_, second) = pair("239.192.7.47", 47_046, None).unwrap();
    let to = SocketAddr::from(([239, 192, 7, 47], 47_046));
    assert!(sender.send_run(to, b"second", 6).1.is_none());
    assert_eq!(receive_all(&second, 1).len(), 1);
    assert!(receive_briefly(&first).is_empty());
}

#[test]
fn df_is_set_for_both_families() {
    for v4 in [true, false] {
        let Ok(socket) = Socket::anywhere(v4) else {
            continue;
        };
        assert!(!socket.may_fragment());
        #[cfg(target_os = "linux")]
        if v4 {
            use rustix::net::sockopt;
            let mode = sockopt::ip_mtu_discover(&socket.io).unwrap();
            assert_eq!(mode, sockopt::Ipv4PathMtuDiscovery::PROBE);
        }
    }
}

#[test]
fn too_large_is_told_from_full_and_does_not_switch_offload_off() {
    let mut sender = Socket::at_own_address("127.0.0.1".parse().unwrap(), 0, 1).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], 9));
    let (sent, fault) = sender.send_run(to, &[0; 65_530], 65_530);
    assert_eq!(sent, 0);
    assert!(matches!(fault, Some(SendFault::TooLarge)), "{fault:?}");
    assert!(sender.offload);
}

#[test]
fn a_port_in_use_is_named() {
    let first = Socket::at_own_address("127.0.0.1".parse().unwrap(), 0, 1).unwrap();
    let port = first.local().port();
    let error = Socket::at_own_address("127.0.0.1".parse().unwrap(), port, 1).unwrap_err();
    assert!(
        matches!(error, StartError::PortInUse(a) if a.port() == port),
        "{error}"
    );
    assert!(error.to_string().contains(&port.to_string()));
}

#[test]
fn a_group_that_is_none_can_not_be_joined() {
    let group = SocketAddr::from(([127, 0, 0, 1], 0));
    let error = Socket::on_group(group, None, &lo()).unwrap_err();
    assert!(matches!(error, StartError::Join { .. }), "{error}");
}

#[test]
fn drops_in_the_buffer_are_counted() {
    let mut sender = Socket::at_own_address("127.0.0.1".parse().unwrap(), 0, 1).unwrap();
    let receiver = Socket::at_own_address("127.0.0.1".parse().unwrap(), 0, 1).unwrap();
    let _ = SockRef::from(&receiver.io).set_recv_buffer_size(8_192);
    assert_eq!(receiver.receive_buffer().drops, 0);
    for _ in 0..200 {
        sender.send_run(receiver.local(), &[0; 1_380], 1_380);
    }
    if cfg!(target_os = "linux") {
        let got = receive_all(&receiver, 200).len() as u32;
        assert!(
            receiver.receive_buffer().drops >= 200 - got && got < 200,
            "{got} and {}",
            receiver.receive_buffer().drops
        );
    }
}

#[test]
fn a_buffer_beyond_reason_is_reported() {
    let socket = Socket::anywhere(true).unwrap();
    assert_eq!(socket.want_receive_buffer(4_096), None);
    // More than the system's counters hold: it is cut, by force or not.
    let small = socket
        .want_receive_buffer(1 << 31)
        .expect("less than 2 GiB");
    assert!(small.got < small.wanted);
}

#[test]
fn without_offload_datagrams_leave_and_come_one_by_one() {
    let at_home = || Socket::at_own_address([127, 0, 0, 1].into(), 0, 1).unwrap();
    for (sends_runs, takes_runs) in [(true, false), (false, true)] {
        let mut sender = at_home().with_offload(sends_runs);
        let receiver = at_home().with_offload(takes_runs);
        let bytes = run(8, 1_380);
        assert_eq!(
            sender.send_run(receiver.local(), &bytes, 1_380).0,
            8 * 1_380
        );
        let mut batch = Batch::new();
        let mut came = 0;
        while came < 8 {
            receiver.receive(&mut batch).unwrap();
            let runs = &batch.metas[..batch.runs];
            assert!(runs.iter().all(|run| run.len == 1_380), "{runs:?}");
            came += batch.runs;
        }
    }
}
