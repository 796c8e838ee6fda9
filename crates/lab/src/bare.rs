//! The least that sending a file to several receivers can cost on this machine: one thread reads
//! the file and sends it in segmented runs at a fixed rate, one for each receiver takes what the
//! system put together and writes it to a file that it syncs. No protocol, no hashes, no way back:
//! what is lost is lost, and told.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::group::{PORT, at, group, on_group};
use crate::network::{Host, Net};

/// The bytes of the file in a packet, behind their offset: packets as long as the program's.
const PIECE: usize = 1_372;
const OFFSET: usize = 8;
const PACKET: usize = OFFSET + PIECE;
/// Packets in a segmented send.
const RUN: usize = 44;
/// Written at once.
const CHUNK: usize = 764 * PIECE;
/// A receiver that heard nothing for so long has lost the end.
const SILENCE: Duration = Duration::from_millis(300);
const WITH_HEADERS: f64 = (PACKET + 28) as f64;

/// How a transfer went.
pub struct Went {
    /// From the first read to the last sync.
    pub took: Duration,
    /// Packets that some receiver did not get.
    pub lost: u64,
}

/// Sends `file` from host 0 to all others at `bps` IP bits a second; each writes its copy to its
/// path.
pub fn transfer(net: &Net, file: &Path, copies: &[PathBuf], bps: f64) -> io::Result<Went> {
    let bytes = std::fs::metadata(file)?.len();
    let sockets = (1..=copies.len()).map(|i| on_group(net.host(i), PORT));
    let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = sockets
            .into_iter()
            .zip(copies)
            .map(|(socket, copy)| scope.spawn(move || receive(socket, copy, bytes)))
            .collect();
        let started = Instant::now();
        send(net.host(0), file, bps)?;
        let mut went = Went {
            took: Duration::ZERO,
            lost: 0,
        };
        for thread in threads {
            let (ended, lost) = thread
                .join()
                .map_err(|_| io::Error::other("a receiver died"))??;
            went.took = went.took.max(ended.saturating_duration_since(started));
            went.lost += lost;
        }
        Ok(went)
    })
}

fn send(host: &Host, file: &Path, bps: f64) -> io::Result<()> {
    let socket = at(host, PORT)?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let file = File::open(file)?;
    let mut contents = vec![0; RUN * PIECE];
    let mut packets = Vec::with_capacity(RUN * PACKET);
    let (mut offset, mut due) = (0u64, Instant::now());
    loop {
        let len = file.read_at(&mut contents, offset)?;
        if len == 0 {
            return Ok(());
        }
        packets.clear();
        for piece in contents[..len].chunks(PIECE) {
            packets.extend_from_slice(&offset.to_le_bytes());
            packets.extend_from_slice(piece);
            offset += piece.len() as u64;
        }
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        due += Duration::from_secs_f64(len.div_ceil(PIECE) as f64 * WITH_HEADERS * 8.0 / bps);
        let transmit = Transmit {
            destination: group(PORT),
            ecn: None,
            contents: &packets,
            segment_size: Some(PACKET),
            src_ip: None,
        };
        while let Err(e) = state.try_send(UdpSockRef::from(&socket), &transmit) {
            if e.kind() != io::ErrorKind::WouldBlock {
                return Err(e);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// When all of it was synced, and how many packets never came.
fn receive(socket: std::net::UdpSocket, copy: &Path, bytes: u64) -> io::Result<(Instant, u64)> {
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    let mut socket = mio::net::UdpSocket::from_std(socket);
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut socket, Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(1);
    let mut copy = Copy::create(copy)?;
    let mut buffer = vec![0; 65_536];
    let mut all = bytes.div_ceil(PIECE as u64);
    let (mut begun, mut meta) = (false, [RecvMeta::default()]);
    while all > 0 {
        let mut buffers = [IoSliceMut::new(&mut buffer)];
        match state.recv(UdpSockRef::from(&socket), &mut buffers, &mut meta) {
            Ok(_) => {
                begun = true;
                for packet in buffer[..meta[0].len].chunks(meta[0].stride.max(1)) {
                    copy.take(packet)?;
                    all -= 1;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                poll.poll(&mut events, Some(SILENCE))?;
                if events.is_empty() && begun {
                    break;
                }
            }
            Err(e) => return Err(e),
        }
    }
    copy.write()?;
    copy.file.sync_all()?;
    Ok((Instant::now(), all))
}

/// A file that is written in large pieces.
struct Copy {
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Copy {
    fn create(path: &Path) -> io::Result<Copy> {
        Ok(Copy {
            file: File::create(path)?,
            at: 0,
            bytes: Vec::with_capacity(CHUNK),
        })
    }

    fn take(&mut self, packet: &[u8]) -> io::Result<()> {
        let Some((offset, piece)) = packet.split_first_chunk::<OFFSET>() else {
            return Ok(());
        };
        let offset = u64::from_le_bytes(*offset);
        if offset != self.at + self.bytes.len() as u64 || self.bytes.len() == CHUNK {
            self.write()?;
            self.at = offset;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.at)?;
        self.bytes.clear();
        Ok(())
    }
}
