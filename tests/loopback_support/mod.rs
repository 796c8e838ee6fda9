//! Folders, ports and files for the tests on the loopback.

// Each test file uses some of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver as Events;
use loopcast::driver::{ReceiverBuilder, ReceiverSummary, SenderBuilder};
use loopcast::seal::SigningKey;
use loopcast::secret::Secret;
use loopcast::{Receiver, Sender};
use tempfile::TempDir;

/// Longer than any of these takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A group, a port and folders for one test.
pub(crate) struct Place {
    folder: TempDir,
    port: u16,
}

impl Place {
    /// `None`, and a loud word, when this machine forbids multicast on its loopback.
    pub(crate) fn new(test: &str, port: u16) -> Option<Place> {
        if !multicast_works(test) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("from")).unwrap();
        Some(Place { folder, port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn url(&self) -> String {
        format!("loopcast://239.192.48.1:{}", self.port)
    }

    /// Where files to send are.
    pub(crate) fn from(&self) -> PathBuf {
        self.folder.path().join("from")
    }

    /// Where receiver `n` puts its files.
    pub(crate) fn folder_of(&self, n: usize) -> PathBuf {
        self.folder.path().join(format!("into{n}"))
    }

    pub(crate) fn sender(&self) -> SenderBuilder {
        Sender::builder()
            .to(self.url().parse().unwrap())
            .interface("127.0.0.1")
            .rate("400M".parse().unwrap())
            .hash_cache(self.folder.path().join("cache"))
            .key(key(self.port as u8))
    }

    pub(crate) fn receiver(&self, n: usize) -> ReceiverBuilder {
        Receiver::builder()
            .from(self.url().parse().unwrap())
            .interface("127.0.0.1")
            .timeout(Duration::from_secs(10))
            .into_dir(self.folder_of(n))
    }

    /// Receiver `n` has the file, byte for byte.
    pub(crate) fn assert_same(&self, n: usize, name: &str, original: &Path) {
        let got = fs::read(self.folder_of(n).join(name)).unwrap();
        assert!(
            got == fs::read(original).unwrap(),
            "receiver {n}: {name} differs"
        );
    }
}

/// A sender's key.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::new(&Secret::new([seed; 32]))
}

/// A file of random bytes; the same name gives the same bytes.
pub(crate) fn random_file(folder: &Path, name: &str, len: usize) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut rng = fastrand::Rng::with_seed(len as u64);
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    fs::write(&path, bytes).unwrap();
    path
}

/// Waits until an event fits.
pub(crate) fn wait_for<E>(events: &Events<E>, fits: impl Fn(&E) -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while let Ok(event) = events.recv_deadline(end) {
        if fits(&event) {
            return true;
        }
    }
    false
}

/// Waits until a receiver has ended; stops it when that takes too long.
pub(crate) fn finish(receiver: Receiver) -> ReceiverSummary {
    let began = Instant::now();
    let end = began + PATIENCE;
    while let Ok(event) = receiver.events().recv_deadline(end) {
        // Shown when the test fails.
        eprintln!("{:.3} {event:?}", began.elapsed().as_secs_f64());
    }
    if Instant::now() >= end {
        receiver.stop();
    }
    receiver.join().unwrap()
}

/// Whether a datagram to a group comes back on the loopback.
pub(crate) fn multicast_works(test: &str) -> bool {
    static WORKS: OnceLock<Result<(), String>> = OnceLock::new();
    let works = WORKS.get_or_init(|| try_multicast().map_err(|e| e.to_string()));
    if let Err(why) = works {
        eprintln!("SKIPPED {test}: multicast on the loopback is not possible here: {why}");
    }
    works.is_ok()
}

fn try_multicast() -> std::io::Result<()> {
    use socket2::{Domain, SockRef, Socket, Type};
    let lo = std::net::Ipv4Addr::LOCALHOST;
    let group = std::net::Ipv4Addr::new(239, 192, 48, 99);
    let hearing = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    hearing.bind(&std::net::SocketAddrV4::new(group, 0).into())?;
    hearing.join_multicast_v4(&group, &lo)?;
    let hearing: std::net::UdpSocket = hearing.into();
    hearing.set_read_timeout(Some(Duration::from_secs(1)))?;
    let sending = std::net::UdpSocket::bind((lo, 0))?;
    SockRef::from(&sending).set_multicast_if_v4(&lo)?;
    sending.send_to(b"?", (group, hearing.local_addr()?.port()))?;
    hearing.recv(&mut [0; 16]).map(|_| ())
}
