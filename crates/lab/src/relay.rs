//! A relay between two test networks, as a long and rough path would be: everything from the
//! sender's group on one network goes to the same group on the other, and what receivers send there
//! goes to the sender; each packet late, some out of order, twice or never, by a seeded generator.
//!
//! It works on whole UDP datagrams. To receivers it has the sender's address and port; to the
//! sender each receiver has a port of the relay's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::group::{PORT, TICK, at, group, on_group};
use crate::network::Net;

/// What the path does to packets; shares are of 1.
#[derive(Clone, Copy, Default)]
pub struct Path {
    /// Each way.
    pub delay: Duration,
    /// Overtaken: later by up to [`late`](Path::late).
    pub reordered: f64,
    /// How much later, at most, what is overtaken comes.
    pub late: Duration,
    /// Come twice.
    pub repeated: f64,
    /// Of what receivers send, lost.
    pub feedback_lost: f64,
}

/// Runs until dropped.
pub struct Relay {
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

    /// Passes all to one place.
    fn down(mut self, by: Arc<UdpSocket>, to: SocketAddr) -> Pass {
        Box::new(move |_, bytes| self.pass(&by, to, bytes))
    }

    /// Passes all to where a receiver was last heard from.
    fn back(mut self, by: Arc<UdpSocket>, place: Arc<Mutex<SocketAddr>>) -> Pass {
        Box::new(move |_, bytes| {
            let to = *place.lock().unwrap_or_else(PoisonError::into_inner);
            self.pass(&by, to, bytes);
        })
    }

    /// Passes what receivers send, each by its own socket.
    fn up(mut self, ups: Vec<Up>, to: SocketAddr) -> Pass {
        Box::new(move |from, bytes| {
            if let Some(up) = ups.iter().find(|up| up.ip == from.ip()) {
                *up.place.lock().unwrap_or_else(PoisonError::into_inner) = from;
                self.pass(&up.socket, to, bytes);
            }
        })
    }
}

impl Relay {
    /// From host 0 of `near`, the sender, by its host 1, to the hosts of `far` by its host 0, which
    /// has the sender's address there.
    pub fn start(near: &Net, far: &Net, path: Path, seed: u64) -> Result<Relay, String> {
        Relay::build(near, far, path, seed).map_err(|e| format!("the relay: {e}"))
    }

    fn build(near: &Net, far: &Net, path: Path, seed: u64) -> io::Result<Relay> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let mut seed = seed;
        let mut direction = |lost| {
            seed += 1;
            Direction {
                shared: shared.clone(),
                path,
                lost,
                dice: fastrand::Rng::with_seed(seed),
                number: 0,
            }
        };
        let from_sender = on_group(near.host(1), PORT)?;
        let requests = on_group(far.host(0), PORT + 1)?;
        let to_receivers = Arc::new(at(far.host(0), PORT)?);
        let sender = SocketAddr::new(near.host(0).address.into(), PORT);
        let ups = (1..far.hosts()).map(|i| Up::open(near, far, i));
        let ups: Vec<Up> = ups.collect::<io::Result<_>>()?;

        let down = direction(0.0).down(to_receivers.clone(), group(PORT));
        let mut listeners: Vec<Listener> = vec![(Arc::new(from_sender), down)];
        for (socket, to) in [
            (to_receivers.clone(), sender),
            (Arc::new(requests), group(PORT + 1)),
        ] {
            let feedback = direction(path.feedback_lost).up(ups.clone(), to);
            listeners.push((socket, feedback));
        }
        for up in ups {
            let answers = direction(0.0).back(to_receivers.clone(), up.place);
            listeners.push((up.socket, answers));
        }
        let hears = listeners.into_iter().map(|(socket, pass)| {
            let shared = shared.clone();
            std::thread::spawn(move || listen(&shared, &socket, pass))
        });
        let mut threads: Vec<_> = hears.collect();
        let delivers = shared.clone();
        threads.push(std::thread::spawn(move || delivers.deliver()));
        Ok(Relay { shared, threads })
    }
}

/// A receiver's way to the sender.
#[derive(Clone)]
struct Up {
    ip: IpAddr,
    /// Its socket towards the sender.
    socket: Arc<UdpSocket>,
    /// Where it was last heard from.
    place: Arc<Mutex<SocketAddr>>,
}

impl Up {
    fn open(near: &Net, far: &Net, i: usize) -> io::Result<Up> {
        let ip = IpAddr::V4(far.host(i).address);
        Ok(Up {
            ip,
            socket: Arc::new(at(near.host(1), 0)?),
            place: Arc::new(Mutex::new(SocketAddr::new(ip, PORT))),
        })
    }
}

type Pass = Box<dyn FnMut(SocketAddr, &[u8]) + Send>;
type Listener = (Arc<UdpSocket>, Pass);

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
