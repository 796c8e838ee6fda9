//! The group that every transfer here uses, and plain sockets of a host that speak to it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::network::Host;

/// Address of the group.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 7, 1);
/// Port of the group and of its sender.
pub const PORT: u16 = 4_700;
/// How long a socket waits for a datagram.
pub const TICK: Duration = Duration::from_millis(50);
/// Room in a socket for what comes while the machine is busy.
const BUFFER: usize = 8 << 20;

/// The group, with one of its ports.
pub fn group(port: u16) -> SocketAddr {
    SocketAddr::new(GROUP.into(), port)
}

/// A socket on a host's own address that sends to the group there.
pub fn at(host: &Host, port: u16) -> io::Result<UdpSocket> {
    open(host, |socket| {
        socket.set_multicast_if_v4(&host.address)?;
        socket.set_multicast_loop_v4(false)?;
        socket.bind(&SocketAddrV4::new(host.address, port).into())
    })
}

/// A socket that hears the group on a host.
pub fn on_group(host: &Host, port: u16) -> io::Result<UdpSocket> {
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
