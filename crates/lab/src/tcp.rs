//! The flow to compare with: plain TCP (CUBIC, where the kernel has it) between two hosts of the
//! test network, in the same run.

use crate::network::Net;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PORT: u16 = 5_001;

/// A flow from host 0 that sends as much as TCP lets it, until dropped.
pub struct Flow {
    stream: TcpStream,
    received: Arc<AtomicU64>,
}

impl Flow {
    /// Starts a flow to host `to`.
    pub fn start(net: &Net, to: usize) -> Result<Flow, String> {
        let fail = |e: std::io::Error| format!("TCP reference flow: {e}");
        let address = net.host(to).address;
        let listener = net.host(to).inside(|| TcpListener::bind((address, PORT)));
        let listener = listener.map_err(fail)?.map_err(fail)?;
        let connect = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            // What nearly every machine uses, so that the comparison is the same on all of them;
            // where the kernel lacks it, its default stays.
            let _ = socket.set_tcp_congestion(b"cubic");
            socket.connect(&SocketAddr::from((address, PORT)).into())?;
            Ok(socket.into())
        };
        let stream = net.host(0).inside(connect).map_err(fail)?.map_err(fail)?;
        let (mut incoming, _) = listener.accept().map_err(fail)?;
        let mut outgoing = stream.try_clone().map_err(fail)?;
        let received = Arc::new(AtomicU64::new(0));
        let counter = received.clone();
        // Both threads end when the flow is dropped and the connection with it.
        std::thread::spawn(move || {
            let chunk = vec![0x5a; 1 << 16];
            while outgoing.write_all(&chunk).is_ok() {}
        });
        std::thread::spawn(move || {
            let mut chunk = vec![0; 1 << 16];
            while let Ok(length @ 1..) = incoming.read(&mut chunk) {
                counter.fetch_add(length as u64, Ordering::Relaxed);
            }
        });
        Ok(Flow { stream, received })
    }

    /// Bytes that have arrived so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// What one TCP flow alone delivers to host `to`, in Mbit/s of content, over `time`.
pub fn alone(net: &Net, to: usize, time: Duration) -> Result<f64, String> {
    let flow = Flow::start(net, to)?;
    let started = Instant::now();
    std::thread::sleep(time);
    Ok(mbit(flow.received(), started.elapsed()))
}

/// Mbit/s.
pub fn mbit(bytes: u64, time: Duration) -> f64 {
    bytes as f64 * 8.0 / 1e6 / time.as_secs_f64()
}
