//! Somebody on the path: hears the group, and sends 10,000 packets a second of its own to the group
//! and its sender. What it says is up to its [`Mind`].

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::group::{PORT, at, group, on_group};
use crate::network::Host;

const PER_SECOND: u64 = 10_000;
/// Longest datagram that it hears whole.
const LONGEST: usize = 10_000;

/// What an attacker knows and says.
pub trait Mind: Send + 'static {
    /// Hears a datagram of somebody else.
    fn catch(&mut self, datagram: &[u8]);

    /// The datagram to send next.
    fn next(&mut self) -> Vec<u8>;
}

/// An attack, from its start until it is stopped or dropped.
pub struct Attack {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    started: Instant,
}

impl Attack {
    /// Starts one on the host `from`, against the sender on the host `sender` and all who hear the
    /// group.
    pub fn start(from: &Host, sender: &Host, mut mind: impl Mind) -> Result<Attack, String> {
        let sockets = || Ok::<_, std::io::Error>((on_group(from, PORT)?, at(from, 0)?));
        let (hearing, speaking) = sockets().map_err(|e| format!("the attacker's sockets: {e}"))?;
        let set = hearing.set_nonblocking(true);
        set.map_err(|e| format!("the attacker's sockets: {e}"))?;
        let own = from.address;
        let targets = [group(PORT), group(PORT + 1), (sender.address, PORT).into()];
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, count) = (stop.clone(), sent.clone());
        let started = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut buf = vec![0; LONGEST];
            while !stopped.load(Ordering::Relaxed) {
                while let Ok((len, from)) = hearing.recv_from(&mut buf) {
                    if from.ip() != own {
                        mind.catch(&buf[..len]);
                    }
                }
                let due = started.elapsed().as_micros() as u64 * PER_SECOND / 1_000_000;
                speak(&speaking, &targets, &mut mind, &count, due);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Ok(Attack {
            stop,
            sent,
            thread: Some(thread),
            started,
        })
    }

    /// Ends it; gives the packets that it sent in a second.
    pub fn stop(&mut self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.sent.load(Ordering::Relaxed) as f64 / self.started.elapsed().as_secs_f64()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends until `due` packets are out, to each target in turn.
fn speak(
    socket: &UdpSocket,
    targets: &[SocketAddr],
    mind: &mut impl Mind,
    count: &AtomicU64,
    due: u64,
) {
    while count.load(Ordering::Relaxed) < due {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let to = targets[n as usize % targets.len()];
        let _ = socket.send_to(&mind.next(), to);
    }
}
