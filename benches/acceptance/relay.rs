//! A relay between two test networks, as a long and rough path would be: everything from the sender's
//! group on one network goes to the same group on the other, and what receivers send there goes to
//! the sender; each packet late, some out of order, twice or never, by a seeded generator.
//!
//! It works on whole UDP datagrams. To receivers it has the sender's address and port; to the sender
//! each receiver has a port of the relay's.

use crate::netns::{Host, Net};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 7, 1);
pub(crate) const PORT: u16 = 4_700;
/// How often a thread looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);
/// Room for what comes while the machine is busy.
const BUFFER: usize = 8 << 20;

/// What the path does to packets; shares are of 1.
#[derive(Clone, Copy, Default)]
pub(crate) struct Path {
    /// Each way.
    pub(crate) delay: Duration,
    /// Overtaken: later by up to [`late`](Path::late).
    pub(crate) reordered: f64,
    pub(crate) late: Duration,
    /// Come twice.
    pub(crate) repeated: f64,
    /// Of what receivers send, lost.
    pub(crate) feedback_lost: f64,
}

/// Runs until dropped.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<BinaryHeap<Reverse<Waiting>>>,
    changed: Condvar,
    stop: AtomicBool,
}

/// A datagram on its way. Ordered by when it is due, then as they came.
struct Waiting {
    due: Instant,
    number: u64,
    by: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// One direction of the path.
struct Direction {
    shared: Arc<Shared>,
    path: Path,
    lost: f64,
    dice: fastrand::Rng,
    number: u64,
}

impl Direction {
    fn pass(&mut self, by: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        if self.dice.f64() < self.lost {
            return;
        }
        let copies = 1 + u32::from(self.dice.f64() < self.path.repeated);
        for _ in 0..copies {
            let mut due = Instant::now() + self.path.delay;
            if self.dice.f64() < self.path.reordered {
                due += self.path.late.mul_f64(self.dice.f64());
            }
            self.number += 1;
            let waiting = Waiting {
                due,
                number: self.number,
                by: by.clone(),
                to,
                bytes: bytes.to_vec(),
            };
            let queue = self.shared.queue.lock();
            queue
                .unwrap_or_else(PoisonError::into_inner)
                .push(Reverse(waiting));
            self.shared.changed.notify_one();
        }
    }
}

impl Relay {
    /// From host 0 of `near`, the sender, by its host 1, to the hosts of `far` by its host 0, which
    /// has the sender's address there.
    pub(crate) fn start(near: &Net, far: &Net, path: Path, seed: u64) -> Result<Relay, String> {
        Relay::build(near, far, path, seed).map_err(|e| format!("the relay: {e}"))
    }

    fn build(near: &Net, far: &Net, path: Path, seed: u64) -> io::Result<Relay> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let mut relay = Relay {
            shared,
            threads: Vec::new(),
        };
        let from_sender = on_group(near.host(1), PORT)?;
        let requests = on_group(far.host(0), PORT + 1)?;
        let to_receivers = Arc::new(at(far.host(0), PORT)?);
        let sender = SocketAddr::new(near.host(0).address.into(), PORT);

        // Each receiver has a socket towards the sender, and is where it was last heard from.
        let mut up = Vec::new();
        for i in 1..far.len() {
            let ip = IpAddr::V4(far.host(i).address);
            let socket = Arc::new(at(near.host(1), 0)?);
            let place = Arc::new(Mutex::new(SocketAddr::new(ip, PORT)));
            up.push((ip, socket, place));
        }
        let mut seed = seed;
        let mut direction = |lost| {
            seed += 1;
            Direction {
                shared: relay.shared.clone(),
                path,
                lost,
                dice: fastrand::Rng::with_seed(seed),
                number: 0,
            }
        };
        let mut down = direction(0.0);
        let by = to_receivers.clone();
        let mut listeners: Vec<Listener> = vec![(
            Arc::new(from_sender),
            Box::new(move |_, bytes| down.pass(&by, group(PORT), bytes)),
        )];
        for (socket, to) in [
            (to_receivers.clone(), sender),
            (Arc::new(requests), group(PORT + 1)),
        ] {
            let (mut feedback, up) = (direction(path.feedback_lost), up.clone());
            let pass = move |from: SocketAddr, bytes: &[u8]| {
                if let Some((_, by, place)) = up.iter().find(|(ip, ..)| *ip == from.ip()) {
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = from;
                    feedback.pass(by, to, bytes);
                }
            };
            listeners.push((socket, Box::new(pass)));
        }
        for (_, socket, place) in up {
            let (mut answers, by) = (direction(0.0), to_receivers.clone());
            let pass = move |_, bytes: &[u8]| {
                let to = *place.lock().unwrap_or_else(PoisonError::into_inner);
                answers.pass(&by, to, bytes);
            };
            listeners.push((socket, Box::new(pass)));
        }
        for (socket, pass) in listeners {
            let shared = relay.shared.clone();
            relay
                .threads
                .push(std::thread::spawn(move || listen(&shared, &socket, pass)));
        }
        let shared = relay.shared.clone();
        relay
            .threads
            .push(std::thread::spawn(move || shared.deliver()));
        Ok(relay)
    }
}

type Listener = (Arc<UdpSocket>, Box<dyn FnMut(SocketAddr, &[u8]) + Send>);

fn listen(shared: &Shared, socket: &UdpSocket, mut pass: impl FnMut(SocketAddr, &[u8])) {
    let mut buffer = vec![0; 65_536];
    while !shared.stop.load(Ordering::Relaxed) {
        // An error is the end of a wait, or word of a port that is closed by now.
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            pass(from, &buffer[..len]);
        }
    }
}

impl Shared {
    fn deliver(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let due = queue.peek().map(|Reverse(next)| next.due);
            if due.is_some_and(|due| due <= now) {
                let Some(Reverse(next)) = queue.pop() else {
                    continue;
                };
                drop(queue);
                // What does not leave is lost, as on any path.
                let _ = next.by.send_to(&next.bytes, next.to);
                queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let wait = due.map_or(TICK, |due| due.duration_since(now).min(TICK));
            queue = match self.changed.wait_timeout(queue, wait) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The group, with one of its ports.
pub(crate) fn group(port: u16) -> SocketAddr {
    SocketAddr::new(GROUP.into(), port)
}

/// A socket on a host's own address that sends to the group there.
pub(crate) fn at(host: &Host, port: u16) -> io::Result<UdpSocket> {
    open(host, |socket| {
        socket.set_multicast_if_v4(&host.address)?;
        socket.set_multicast_loop_v4(false)?;
        socket.bind(&SocketAddrV4::new(host.address, port).into())
    })
}

/// A socket that hears the group on a host.
pub(crate) fn on_group(host: &Host, port: u16) -> io::Result<UdpSocket> {
    open(host, |socket| {
        socket.bind(&SocketAddrV4::new(GROUP, port).into())?;
        socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Address(host.address))
    })
}

fn open(host: &Host, set_up: impl Fn(&Socket) -> io::Result<()> + Sync) -> io::Result<UdpSocket> {
    let socket = host.inside(|| -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        set_up(&socket)?;
        Ok(socket)
    })??;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    socket.set_read_timeout(Some(TICK))?;
    Ok(socket.into())
}
