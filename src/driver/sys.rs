//! The socket options that no safe crate offers: with `fec/product.rs` the only file with `unsafe`.
//!
//! Linux has them all. Elsewhere sources can't be told apart by the system, which is an error for
//! those who ask for one source only, and drops in the socket's buffer are not counted.

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    block_source, join_source, leave_source, receive_buffer, receive_plainly, receive_singly,
    wire_socket,
};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{
    block_source, join_source, leave_source, receive_buffer, receive_plainly, receive_singly,
    wire_socket,
};

/// How a socket's receive buffer is doing; all zero where the system does not tell.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ReceiveBuffer {
    /// Bytes, the system's own included, that wait to be read.
    pub(crate) used: u32,
    /// The most that may.
    pub(crate) size: u32,
    /// Datagrams, or runs of them, dropped since the socket was made because it was full. Wraps at 2^32.
    pub(crate) drops: u32,
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod linux {
    use std::io;
    use std::mem::{self, MaybeUninit};
    use std::net::IpAddr;
    use std::os::fd::{AsFd, AsRawFd};
    use std::ptr;

    use super::ReceiveBuffer;
    use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

    /// Hears `group` on an interface from `source` only (RFC 3678 §5.1).
    pub(crate) fn join_source(
        socket: &impl AsFd,
        index: u32,
        group: IpAddr,
        source: IpAddr,
    ) -> io::Result<()> {
        source_option(socket, libc::MCAST_JOIN_SOURCE_GROUP, index, group, source)
    }

    /// Takes [`join_source`] back.
    pub(crate) fn leave_source(
        socket: &impl AsFd,
        index: u32,
        group: IpAddr,
        source: IpAddr,
    ) -> io::Result<()> {
        source_option(socket, libc::MCAST_LEAVE_SOURCE_GROUP, index, group, source)
    }

    /// Hears everybody in a group joined before but `source`.
    pub(crate) fn block_source(
        socket: &impl AsFd,
        index: u32,
        group: IpAddr,
        source: IpAddr,
    ) -> io::Result<()> {
        source_option(socket, libc::MCAST_BLOCK_SOURCE, index, group, source)
    }

    /// A socket that gives every IP packet that an interface hears, of `group`'s family, from the IP
    /// header on (packet(7)). The device is told to hear the group; nobody else is.
    pub(crate) fn wire_socket(index: u32, group: IpAddr) -> io::Result<Socket> {
        let (protocol, mac) = match group {
            IpAddr::V4(ip) => {
                let [_, b, c, d] = ip.octets();
                (libc::ETH_P_IP, [0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(ip) => {
                let [.., a, b, c, d] = ip.octets();
                (libc::ETH_P_IPV6, [0x33, 0x33, a, b, c, d])
            }
        };
        let protocol = (protocol as u16).to_be();
        // Deaf until it is bound, else it would begin with what other interfaces hear.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?;
        let mut request = libc::packet_mreq {
            mr_ifindex: index as libc::c_int,
            mr_type: libc::PACKET_MR_MULTICAST as u16,
            mr_alen: mac.len() as u16,
            mr_address: [0; 8],
        };
        request.mr_address[..mac.len()].copy_from_slice(&mac);
        // SAFETY: the socket is open, and the pointer and length are those of a live `packet_mreq`,
        // which is what this option reads.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                ptr::from_ref(&request).cast(),
                mem::size_of_val(&request) as libc::socklen_t,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: a storage has room and alignment for any address, and a `sockaddr_ll` is plain
        // integers, for which zeros are a value.
        let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index as libc::c_int;
        let len = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the storage holds a `sockaddr_ll`, whose family and length these are.
        let address = unsafe { SockAddr::new(storage, len) };
        socket.bind(&address)?;
        Ok(socket)
    }

    fn source_option(
        socket: &impl AsFd,
        option: libc::c_int,
        index: u32,
        group: IpAddr,
        source: IpAddr,
    ) -> io::Result<()> {
        let level = if group.is_ipv4() {
            libc::IPPROTO_IP
        } else {
            libc::IPPROTO_IPV6
        };
        // SAFETY: `group_source_req` is plain integers, for which all zeros is a value.
        let mut request: libc::group_source_req = unsafe { mem::zeroed() };
        request.gsr_interface = index;
        request.gsr_group = storage(group);
        request.gsr_source = storage(source);
        // SAFETY: the file descriptor is open for as long as `socket` is borrowed, and the pointer
        // and length are those of a live `group_source_req`, which is what these options read.
        let result = unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                level,
                option,
                ptr::from_ref(&request).cast(),
                mem::size_of_val(&request) as libc::socklen_t,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    fn storage(ip: IpAddr) -> libc::sockaddr_storage {
        let address = SockAddr::from(std::net::SocketAddr::new(ip, 0));
        let mut whole = SockAddrStorage::zeroed();
        // SAFETY: a socket2 storage has the layout of `sockaddr_storage` (that is its purpose), and
        // the bytes copied are an address's own, which is never longer.
        unsafe {
            let to = whole.view_as::<libc::sockaddr_storage>();
            ptr::copy_nonoverlapping(
                address.as_ptr().cast::<u8>(),
                ptr::from_mut(to).cast::<u8>(),
                address.len() as usize,
            );
            *to
        }
    }

    /// Datagrams come one by one, and no runs of them (udp(7), UDP_GRO).
    pub(crate) fn receive_singly(socket: &impl AsFd) {
        switch_off(socket, libc::SOL_UDP, libc::UDP_GRO);
    }

    /// Nothing is told of each datagram that nobody here reads, as quinn-udp asks for: when it came, where to, and its
    /// traffic class. That cost receivers 6 % of their processor time (`benches/acceptance`, peers_speed).
    pub(crate) fn receive_plainly(socket: &impl AsFd) {
        for (level, option) in [
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
            (libc::IPPROTO_IP, libc::IP_PKTINFO),
            (libc::IPPROTO_IP, libc::IP_RECVTOS),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
        ] {
            switch_off(socket, level, option);
        }
    }

    /// Where an option is not known there is nothing to switch off.
    fn switch_off(socket: &impl AsFd, level: libc::c_int, option: libc::c_int) {
        let off: libc::c_int = 0;
        // SAFETY: the file descriptor is open for as long as `socket` is borrowed, and the pointer and
        // length are those of a live integer, which is what these options read.
        unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                level,
                option,
                ptr::from_ref(&off).cast(),
                mem::size_of_val(&off) as libc::socklen_t,
            );
        }
    }

    /// How a socket's receive buffer is doing.
    pub(crate) fn receive_buffer(socket: &impl AsFd) -> ReceiveBuffer {
        const FIGURES: usize = libc::SK_MEMINFO_DROPS as usize + 1;
        let mut figures = MaybeUninit::<[u32; FIGURES]>::zeroed();
        let mut len = mem::size_of::<[u32; FIGURES]>() as libc::socklen_t;
        // SAFETY: the file descriptor is open for as long as `socket` is borrowed; the system writes
        // at most `len` bytes, the size of the array behind the pointer.
        let _ = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                figures.as_mut_ptr().cast(),
                &mut len,
            )
        };
        // SAFETY: the array was zeroed, which is all that a failure leaves, and every bit pattern is a `u32`.
        let figures = unsafe { figures.assume_init() };
        ReceiveBuffer {
            used: figures[libc::SK_MEMINFO_RMEM_ALLOC as usize],
            size: figures[libc::SK_MEMINFO_RCVBUF as usize],
            drops: figures[libc::SK_MEMINFO_DROPS as usize],
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use super::ReceiveBuffer;
    use std::io;
    use std::net::IpAddr;

    fn unsupported() -> io::Error {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "one source of a group can't be named on this system",
        )
    }

    pub(crate) fn join_source<S>(_: &S, _: u32, _: IpAddr, _: IpAddr) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn leave_source<S>(_: &S, _: u32, _: IpAddr, _: IpAddr) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn block_source<S>(_: &S, _: u32, _: IpAddr, _: IpAddr) -> io::Result<()> {
        Err(unsupported())
    }

    pub(crate) fn wire_socket(_: u32, _: IpAddr) -> io::Result<socket2::Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn receive_singly<S>(_: &S) {}

    pub(crate) fn receive_plainly<S>(_: &S) {}

    pub(crate) fn receive_buffer<S>(_: &S) -> ReceiveBuffer {
        ReceiveBuffer::default()
    }
}
