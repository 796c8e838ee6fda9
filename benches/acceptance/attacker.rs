//! Somebody on the path who has no key: hears the group, tells again what it caught, and makes up the rest.

use crate::netns::Host;
use loopcast::ids::ReceiverId;
use loopcast::wire::{
    self, Done, FromReceiver, Nak, Need, Needs, Outcome, Packet, ReceiverBody, write_data,
};
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 7, 1);
const PORT: u16 = 4_700;
const PER_SECOND: u64 = 10_000;
/// Packets that it remembers.
const CAUGHT: usize = 2_000;

/// An attack, from its start until it is stopped.
pub(crate) struct Attack {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    started: Instant,
}

impl Attack {
    /// Starts one on a host, against the sender at `sender` and all who hear the group.
    pub(crate) fn start(host: &Host, sender: Ipv4Addr) -> Result<Attack, String> {
        let own = host.address;
        let sockets = host
            .inside(move || sockets(own))
            .map_err(|e| e.to_string())?;
        let (hearing, speaking) = sockets.map_err(|e| format!("the attacker's sockets: {e}"))?;
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, count) = (stop.clone(), sent.clone());
        let targets = [
            SocketAddr::from((GROUP, PORT)),
            (GROUP, PORT + 1).into(),
            (sender, PORT).into(),
        ];
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            let mut mind = Mind::default();
            let mut buf = vec![0; 10_000];
            while !stopped.load(Ordering::Relaxed) {
                while let Ok((len, from)) = hearing.recv_from(&mut buf) {
                    if from.ip() != own {
                        mind.catch(&buf[..len]);
                    }
                }
                let due = start.elapsed().as_micros() as u64 * PER_SECOND / 1_000_000;
                while count.load(Ordering::Relaxed) < due {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    let to = targets[n as usize % targets.len()];
                    let _ = speaking.send_to(&mind.next(), to);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Ok(Attack {
            stop,
            sent,
            thread: Some(thread),
            started: Instant::now(),
        })
    }

    /// Ends it; gives the packets that it sent in a second.
    pub(crate) fn stop(&mut self) -> f64 {
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

fn sockets(own: Ipv4Addr) -> std::io::Result<(UdpSocket, UdpSocket)> {
    let hearing = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    hearing.set_reuse_address(true)?;
    hearing.bind(&SocketAddr::from((GROUP, PORT)).into())?;
    hearing.join_multicast_v4(&GROUP, &own)?;
    hearing.set_nonblocking(true)?;
    let speaking = UdpSocket::bind((own, 0))?;
    SockRef::from(&speaking).set_multicast_if_v4(&own)?;
    Ok((hearing.into(), speaking))
}

/// What it knows, and what it says next.
#[derive(Default)]
struct Mind {
    caught: VecDeque<Vec<u8>>,
    rng: fastrand::Rng,
}

impl Mind {
    fn catch(&mut self, datagram: &[u8]) {
        if self.caught.len() == CAUGHT {
            self.caught.pop_front();
        }
        self.caught.push_back(datagram.to_vec());
    }

    fn next(&mut self) -> Vec<u8> {
        let caught = self.rng.usize(..self.caught.len().max(1));
        let Some(caught) = self.caught.get(caught).filter(|d| d.len() >= 32).cloned() else {
            return self.random();
        };
        match self.rng.u8(..5) {
            0 => self.random(),
            1 => self.changed(caught),
            2 => self.false_data(&caught),
            3 => self.false_feedback(&caught),
            _ => caught,
        }
    }

    fn random(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.rng.usize(1..1_400)];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// Other bytes, and the checksum that they need.
    fn changed(&mut self, mut datagram: Vec<u8>) -> Vec<u8> {
        let at = self.rng.usize(16..datagram.len());
        datagram[at] ^= 1 << self.rng.u8(..8);
        if let Some((packet, crc)) = datagram.split_last_chunk_mut::<4>() {
            *crc = crc32fast::hash(packet).to_be_bytes();
        }
        datagram
    }

    /// A symbol of what is being sent, with bytes that are not its own.
    fn false_data(&mut self, caught: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match wire::parse(caught) {
            Ok(Packet::Data(mut header, payload)) => {
                // One that is still to come, so that it is taken.
                header.packet += self.rng.u64(..100);
                header.block += self.rng.u32(..3);
                header.symbol = self.rng.u16(..512);
                let mut payload = payload.to_vec();
                self.rng.fill(&mut payload);
                write_data(&header, &payload, &mut out);
            }
            // Sealed: the header can be read all the same.
            _ => {
                out.extend_from_slice(caught);
                self.rng.fill(&mut out[24..]);
            }
        }
        out
    }

    /// A NAK or a done of somebody.
    fn false_feedback(&mut self, caught: &[u8]) -> Vec<u8> {
        let u64_at = |at: usize| {
            let bytes = caught[at..at + 8].try_into();
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        let (session, coding) = (u64_at(8), u64_at(16));
        let coding = loopcast::ids::ShortCodingId(coding);
        let entries = vec![Need::Blocks {
            first: self.rng.u32(..100),
            count: 50,
        }];
        let body = if self.rng.bool() {
            ReceiverBody::Nak(Nak {
                seen_to: self.rng.u64(..100_000),
                needs: Needs { coding, entries },
                more: false,
            })
        } else {
            ReceiverBody::Done(vec![Done {
                coding,
                outcome: Outcome::Complete,
            }])
        };
        let mut out = Vec::new();
        FromReceiver {
            channel: 0,
            session: loopcast::ids::SessionId(session),
            receiver: ReceiverId(self.rng.u64(1..)),
            counter: self.rng.u64(..1 << 40),
            cookie: loopcast::ids::Cookie(self.rng.u64(..)),
            echo: None,
            body,
        }
        .encode(&mut out);
        out
    }
}
