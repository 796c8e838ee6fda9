//! UDP sockets as senders and receivers need them.
//!
//! Makes them: with DF set, segmentation offload both ways, groups joined on one interface, and
//! buffers as large as the system allows. Sends runs of equal-sized datagrams in one call, receives
//! several at once. It parses nothing.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket as RawSocket, Type};

use crate::driver::interface::{Interface, is_link_local};
use crate::driver::wire_tap::WireTap;
use crate::driver::{SmallBuffer, StartError};
use crate::sys;
use crate::sys::ReceiveBuffer;

/// Most bytes in one segmented send: a UDP datagram's limit less room for any IP header.
const MAX_RUN: usize = 65_000;
/// Datagrams (or runs of them) received in one call.
const BATCH: usize = 16;
/// Room for one received run; the system never makes longer ones.
const MAX_RECEIVED: usize = 65_536;

/// What keeps a datagram from leaving.
#[derive(Debug)]
pub(crate) enum SendFault {
    /// The socket is full: it will tell when it can be written again.
    Full,
    /// The device's queue is full and won't tell: try a little later.
    NoBuffers,
    /// Larger than the interface carries, and DF is set.
    TooLarge,
    /// Anything else; the datagram is lost.
    Other(io::Error),
}

impl SendFault {
    fn from_error(error: io::Error) -> SendFault {
        #[cfg(unix)]
        if error.raw_os_error() == Some(libc::ENOBUFS) {
            return SendFault::NoBuffers;
        }
        if error.kind() == io::ErrorKind::WouldBlock {
            SendFault::Full
        } else if quinn_udp::is_msg_size_err(&error) {
            SendFault::TooLarge
        } else {
            SendFault::Other(error)
        }
    }
}

/// How datagrams come and go.
#[derive(Debug)]
enum Kind {
    /// As the system sorts them.
    Udp(UdpSocketState),
    /// Among all that the device hears; none can be sent.
    Wire(WireTap),
}

/// A UDP socket that never blocks.
#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    kind: Kind,
    local: SocketAddr,
    /// Runs go out in one call. Switched off for good when a device refuses them.
    offload: bool,
}

impl Socket {
    /// A sender's socket at one of this machine's addresses. It does not share its port, so that a
    /// second sender on the same port notices.
    pub(crate) fn at_own_address(ip: IpAddr, port: u16, index: u32) -> Result<Socket, StartError> {
        let address = scoped(ip, port, index);
        let raw = make(address)?;
        bind(&raw, address)?;
        finish(raw, address)
    }

    /// A socket at any address and a port that the system chooses.
    pub(crate) fn anywhere(v4: bool) -> Result<Socket, StartError> {
        let ip: IpAddr = if v4 {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let address = SocketAddr::new(ip, 0);
        let raw = make(address)?;
        bind(&raw, address)?;
        finish(raw, address)
    }

    /// A socket that hears what is sent to `group` and its port, from `source` only if given, on one
    /// interface. Others on this machine may have the same.
    pub(crate) fn on_group(
        group: SocketAddr,
        source: Option<IpAddr>,
        interface: &Interface,
    ) -> Result<Socket, StartError> {
        let bound_to = scoped_group(group, interface.index);
        let raw = make(bound_to)?;
        let set_up = || {
            raw.set_reuse_address(true)?;
            #[cfg(all(unix, not(target_os = "linux")))]
            raw.set_reuse_port(true)?;
            // Otherwise the socket hears every group that anybody here has joined on this port.
            #[cfg(target_os = "linux")]
            if group.is_ipv4() {
                raw.set_multicast_all_v4(false)?;
            } else {
                raw.set_multicast_all_v6(false)?;
            }
            io::Result::Ok(())
        };
        set_up().map_err(|e| trouble("set up a socket for a group", e))?;
        // Windows can't bind a group's address.
        let wildcard = SocketAddr::new(
            if group.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            },
            group.port(),
        );
        bind(&raw, if cfg!(windows) { wildcard } else { bound_to })?;
        join(&raw, group.ip(), source, interface).map_err(|source| StartError::Join {
            group,
            interface: interface.name.clone(),
            source,
        })?;
        finish(raw, bound_to)
    }

    /// The same without joining, so that nothing at all is sent: reads what the device hears. Takes the
    /// right to do so (CAP_NET_RAW), and Linux.
    pub(crate) fn off_the_wire(
        group: SocketAddr,
        source: Option<IpAddr>,
        interface: &Interface,
    ) -> Result<Socket, StartError> {
        let raw = sys::wire_socket(interface.index, group.ip()).map_err(|e| {
            trouble(
                "hear a group without joining it (needs CAP_NET_RAW, and Linux)",
                e,
            )
        })?;
        raw.set_nonblocking(true)
            .map_err(|e| trouble("set up a socket for a group", e))?;
        Ok(Socket {
            io: UdpSocket::from_std(raw.into()),
            kind: Kind::Wire(WireTap { group, source }),
            local: group,
            offload: false,
        })
    }

    /// Whether others may cut up and put together datagrams for it, as they do from the start: for comparison, and
    /// devices that do it badly.
    pub(crate) fn with_offload(mut self, offload: bool) -> Socket {
        if !offload {
            self.offload = false;
            sys::receive_singly(&self.io);
        }
        self
    }

    /// Leaves the group joined at the start; closing the socket does so too, but the system may take
    /// its time then.
    pub(crate) fn leave(&self, group: IpAddr, source: Option<IpAddr>, interface: &Interface) {
        if matches!(self.kind, Kind::Wire(_)) {
            return;
        }
        // Nothing is lost if it fails: the socket is closed next.
        let _ = match (group, source) {
            (_, Some(source)) => sys::leave_source(&self.io, interface.index, group, source),
            (IpAddr::V4(group), None) => SockRef::from(&self.io)
                .leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface.index)),
            (IpAddr::V6(group), None) => {
                SockRef::from(&self.io).leave_multicast_v6(&group, interface.index)
            }
        };
    }

    /// Hears all in the group joined at the start but `source`: what this machine sends itself.
    pub(crate) fn block_source(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: &Interface,
    ) -> io::Result<()> {
        sys::block_source(&self.io, interface.index, group, source)
    }

    /// Sets what goes to groups: the interface that it leaves by, how many routers it may pass, and
    /// whether this machine hears it too.
    pub(crate) fn send_groups_by(
        &self,
        interface: &Interface,
        ttl: u8,
        heard_here: bool,
    ) -> io::Result<()> {
        let socket = SockRef::from(&self.io);
        if self.local.is_ipv4() {
            if let Some(IpAddr::V4(ip)) = interface.address(true) {
                socket.set_multicast_if_v4(&ip)?;
            }
            socket.set_multicast_ttl_v4(ttl.into())?;
            socket.set_multicast_loop_v4(heard_here)
        } else {
            socket.set_multicast_if_v6(interface.index)?;
            socket.set_multicast_hops_v6(ttl.into())?;
            socket.set_multicast_loop_v6(heard_here)
        }
    }

    /// Asks for a receive buffer of `wanted` bytes, by force where that is allowed; tells when the
    /// system gave less.
    pub(crate) fn want_receive_buffer(&self, wanted: usize) -> Option<SmallBuffer> {
        let socket = SockRef::from(&self.io);
        #[cfg(target_os = "linux")]
        let forced =
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&self.io, wanted).is_ok();
        #[cfg(not(target_os = "linux"))]
        let forced = false;
        if !forced {
            // Refused or cut: what counts is what is read back.
            let _ = socket.set_recv_buffer_size(wanted);
        }
        let got = socket.recv_buffer_size().unwrap_or(0);
        // Linux doubles what is asked for, to count its own overhead, and tells the doubled value.
        let got = if cfg!(target_os = "linux") {
            got / 2
        } else {
            got
        };
        (got < wanted).then_some(SmallBuffer { wanted, got })
    }

    /// Asks for a send buffer of `wanted` bytes, so that a few runs fit.
    pub(crate) fn want_send_buffer(&self, wanted: usize) {
        #[cfg(target_os = "linux")]
        if rustix::net::sockopt::set_socket_send_buffer_size_force(&self.io, wanted).is_ok() {
            return;
        }
        let _ = SockRef::from(&self.io).set_send_buffer_size(wanted);
    }

    /// The address that it is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// How its receive buffer is doing.
    pub(crate) fn receive_buffer(&self) -> ReceiveBuffer {
        sys::receive_buffer(&self.io)
    }

    /// Wakes a mio loop when it can be read.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.io, token, Interest::READABLE)
    }

    /// Whether it wakes the loop when it can be written again, too. Only for as long as it is full:
    /// every datagram that leaves would wake it.
    pub(crate) fn wake_when_writable(
        &mut self,
        registry: &Registry,
        token: Token,
        wake: bool,
    ) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.reregister(
            &mut self.io,
            token,
            if wake { both } else { Interest::READABLE },
        )
    }

    /// Takes it out of a mio loop.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.io)
    }

    /// Sends `bytes` as datagrams of `segment` bytes each (the last may be shorter), in as few calls
    /// as possible. Gives how many bytes have left, and what kept the rest.
    pub(crate) fn send_run(
        &mut self,
        to: SocketAddr,
        bytes: &[u8],
        segment: usize,
    ) -> (usize, Option<SendFault>) {
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            let segments = if let (true, Kind::Udp(state)) = (self.offload, &self.kind) {
                state.max_gso_segments().min(MAX_RUN / segment).max(1)
            } else {
                1
            };
            let now = rest.len().min(segments * segment);
            let Err(error) = self.send_one(to, &rest[..now], segment) else {
                sent += now;
                continue;
            };
            if now > segment && refuses_offload(&error) {
                // Singly, to tell a device that can't segment from segments too large for it.
                match self.send_one(to, &rest[..segment], segment) {
                    Ok(()) => {
                        sent += segment;
                        self.offload = false;
                        continue;
                    }
                    Err(error) => return (sent, Some(SendFault::from_error(error))),
                }
            }
            return (sent, Some(SendFault::from_error(error)));
        }
        (sent, None)
    }

    fn send_one(&self, to: SocketAddr, bytes: &[u8], segment: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: (bytes.len() > segment).then_some(segment),
            src_ip: None,
        };
        match &self.kind {
            Kind::Udp(state) => state.try_send(UdpSockRef::from(&self.io), &transmit),
            Kind::Wire(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Receives what has come, at most as much as fits `batch`; gives the number of runs, 0 when
    /// nothing has come.
    pub(crate) fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        let state = match &self.kind {
            Kind::Udp(state) => state,
            Kind::Wire(tap) => return batch.tap(&self.io, tap),
        };
        let mut rooms = batch.bytes.chunks_exact_mut(MAX_RECEIVED);
        let mut slices: [IoSliceMut<'_>; BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        let socket = UdpSockRef::from(&self.io);
        match state.recv(socket, &mut slices, &mut batch.metas) {
            Ok(runs) => {
                batch.runs = runs;
                Ok(runs)
            }
            Err(error) => {
                batch.runs = 0;
                match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(0),
                    _ => Err(error),
                }
            }
        }
    }

    /// Whether datagrams may be cut up on the way: DF could not be set.
    #[cfg(test)]
    fn may_fragment(&self) -> bool {
        matches!(&self.kind, Kind::Udp(state) if state.may_fragment())
    }
}

/// Buffers for what [`Socket::receive`] gives; one serves many sockets.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH],
    runs: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch {
            bytes: vec![0; BATCH * MAX_RECEIVED],
            metas: [RecvMeta::default(); BATCH],
            runs: 0,
        }
    }

    /// Takes what has come off the wire; what is not wanted of it leaves its room empty.
    fn tap(&mut self, io: &UdpSocket, tap: &WireTap) -> io::Result<usize> {
        self.runs = 0;
        let rooms = self.bytes.chunks_exact_mut(MAX_RECEIVED);
        for (room, meta) in rooms.zip(&mut self.metas) {
            let packet = match io.recv(room) {
                Ok(len) => &room[..len],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let found = tap.find(packet);
            let (from, payload) = found.unwrap_or((tap.group, 0..0));
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, payload.len(), payload.len());
            room.copy_within(payload, 0);
            self.runs += 1;
        }
        Ok(self.runs)
    }

    /// Every datagram received last, with the address that it came from.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        let rooms = self.bytes.chunks_exact_mut(MAX_RECEIVED);
        rooms
            .zip(&self.metas)
            .take(self.runs)
            .flat_map(|(room, meta)| {
                let run = &mut room[..meta.len];
                // An empty datagram has a stride of 0.
                run.chunks_mut(meta.stride.max(1))
                    .map(|datagram| (meta.addr, datagram))
            })
    }
}

/// What a device that can't segment answers; also segments that are too large.
fn refuses_offload(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        matches!(
            error.raw_os_error(),
            Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)
        )
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

fn trouble(what: &str, source: io::Error) -> StartError {
    let what = what.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => StartError::NotPermitted { what, source },
        _ => StartError::Socket { what, source },
    }
}

fn make(address: SocketAddr) -> Result<RawSocket, StartError> {
    let domain = Domain::for_address(address);
    let raw = RawSocket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(|e| trouble("make a UDP socket", e))?;
    if address.is_ipv6() {
        // The IPv4 port of the same number is another's.
        raw.set_only_v6(true)
            .map_err(|e| trouble("set up an IPv6 socket", e))?;
    }
    Ok(raw)
}

fn bind(raw: &RawSocket, address: SocketAddr) -> Result<(), StartError> {
    raw.bind(&address.into()).map_err(|e| match e.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        _ => trouble(&format!("use {address}"), e),
    })
}

fn join(
    raw: &RawSocket,
    group: IpAddr,
    source: Option<IpAddr>,
    interface: &Interface,
) -> io::Result<()> {
    match (group, source) {
        (_, Some(source)) => sys::join_source(raw, interface.index, group, source),
        (IpAddr::V4(group), None) => {
            raw.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface.index))
        }
        (IpAddr::V6(group), None) => raw.join_multicast_v6(&group, interface.index),
    }
}

fn finish(raw: RawSocket, bound_to: SocketAddr) -> Result<Socket, StartError> {
    let set_up = || {
        raw.set_nonblocking(true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&raw))?;
        sys::receive_plainly(&raw);
        io::Result::Ok(state)
    };
    let state = set_up().map_err(|e| trouble("set up a UDP socket", e))?;
    let io = UdpSocket::from_std(raw.into());
    let local = io.local_addr().unwrap_or(bound_to);
    Ok(Socket {
        io,
        kind: Kind::Udp(state),
        local,
        offload: true,
    })
}

/// `ip` with the interface beside it when it needs one.
pub(crate) fn scoped(ip: IpAddr, port: u16, index: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(v6) if is_link_local(ip) => SocketAddrV6::new(v6, port, 0, index).into(),
        _ => SocketAddr::new(ip, port),
    }
}

/// A group's address with the interface beside it when it needs one (RFC 4291 §2.7: scopes 1, 2).
fn scoped_group(group: SocketAddr, index: u32) -> SocketAddr {
    match group {
        SocketAddr::V6(v6) if matches!(v6.ip().segments()[0] & 0xf, 1 | 2) => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, index).into()
        }
        _ => group,
    }
}

#[cfg(test)]
mod tests;
