//! What no safe crate offers, in the one file with `unsafe`: some socket options, and a vector instruction.
//!
//! Linux has all the options. Elsewhere sources can't be told apart by the system, which is an error for
//! those who ask for one source only, and drops in the socket's buffer are not counted.

#[cfg(all(feature = "driver", target_os = "linux"))]
pub(crate) use linux::{
    block_source, join_source, leave_source, receive_buffer, receive_plainly, receive_singly,
    wire_socket,
};
#[cfg(all(feature = "driver", not(target_os = "linux")))]
pub(crate) use portable::{
    block_source, join_source, leave_source, receive_buffer, receive_plainly, receive_singly,
    wire_socket,
};

/// How a socket's receive buffer is doing; all zero where the system does not tell.
#[cfg(feature = "driver")]
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ReceiveBuffer {
    /// Bytes, the system's own included, that wait to be read.
    pub(crate) used: u32,
    /// The most that may.
    pub(crate) size: u32,
    /// Datagrams, or runs of them, dropped since the socket was made because it was full. Wraps at 2^32.
    pub(crate) drops: u32,
}

#[cfg(all(feature = "driver", target_os = "linux"))]
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

#[cfg(all(feature = "driver", not(target_os = "linux")))]
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

/// A matrix of 8 by 8 bits times 32 or 64 bytes, in one instruction (Intel SDM, GF2P8AFFINEQB).
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
pub(crate) mod gfni {
    use std::arch::x86_64::*;

    /// 32 low bytes, then as many high ones.
    type Piece = [u8; 64];

    /// From low and high bytes to low and high ones: low to low, low to high, high to low, high to high. The last byte
    /// of a matrix is its first row.
    pub(crate) type Matrices = [u64; 4];

    /// Shows that the processor has the instructions.
    pub(crate) struct Gfni {
        /// For 64 bytes, too.
        wide: bool,
    }

    impl Gfni {
        /// `None` where it lacks them.
        pub(crate) fn new() -> Option<Gfni> {
            let has = is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx2");
            let wide = is_x86_feature_detected!("avx512f");
            has.then_some(Gfni { wide })
        }

        /// The same, for 32 bytes only.
        #[cfg(test)]
        pub(crate) fn narrow() -> Option<Gfni> {
            Gfni::new().map(|_| Gfni { wide: false })
        }

        /// Adds `symbol`, multiplied by the matrices of each, to `sums`.
        pub(crate) fn add_products<'a>(
            &self,
            sums: impl Iterator<Item = (&'a mut [u8], Matrices)>,
            symbol: &[Piece],
        ) {
            // SAFETY: who has a `Gfni` has the instructions, those for 64 bytes if it says so.
            unsafe {
                if self.wide {
                    add_wide_products(sums, symbol);
                } else {
                    add_products(sums, symbol);
                }
            }
        }
    }

    #[target_feature(enable = "gfni,avx512f")]
    fn add_wide_products<'a>(
        sums: impl Iterator<Item = (&'a mut [u8], Matrices)>,
        symbol: &[Piece],
    ) {
        let halves = |low: u64, high: u64| {
            let low = _mm512_set1_epi64(low.cast_signed());
            _mm512_inserti64x4::<1>(low, _mm256_set1_epi64x(high.cast_signed()))
        };
        for (sum, [low_low, low_high, high_low, high_high]) in sums {
            let (stay, change) = (halves(low_low, high_high), halves(high_low, low_high));
            let (sum, _) = sum.as_chunks_mut();
            for (sum, piece) in sum.iter_mut().zip(symbol) {
                let sum: &mut Piece = sum;
                // SAFETY: each is 64 bytes, one vector, and these loads and stores need no alignment.
                unsafe {
                    let piece = _mm512_loadu_si512(piece.as_ptr().cast());
                    let other = _mm512_shuffle_i64x2::<0b01_00_11_10>(piece, piece);
                    let sum = sum.as_mut_ptr().cast();
                    let product = _mm512_xor_si512(
                        _mm512_gf2p8affine_epi64_epi8::<0>(piece, stay),
                        _mm512_gf2p8affine_epi64_epi8::<0>(other, change),
                    );
                    _mm512_storeu_si512(sum, _mm512_xor_si512(_mm512_loadu_si512(sum), product));
                }
            }
        }
    }

    #[target_feature(enable = "gfni,avx2")]
    fn add_products<'a>(sums: impl Iterator<Item = (&'a mut [u8], Matrices)>, symbol: &[Piece]) {
        for (sum, matrices) in sums {
            let [low_low, low_high, high_low, high_high] =
                matrices.map(|m| _mm256_set1_epi64x(m.cast_signed()));
            let (sum, _) = sum.as_chunks_mut();
            for (sum, piece) in sum.iter_mut().zip(symbol) {
                let sum: &mut Piece = sum;
                // SAFETY: each is 64 bytes, two vectors, and these loads and stores need no alignment.
                unsafe {
                    let piece = piece.as_ptr().cast::<__m256i>();
                    let (low, high) = (_mm256_loadu_si256(piece), _mm256_loadu_si256(piece.add(1)));
                    let sum = sum.as_mut_ptr().cast::<__m256i>();
                    let times = |a, b| {
                        _mm256_xor_si256(
                            _mm256_gf2p8affine_epi64_epi8::<0>(low, a),
                            _mm256_gf2p8affine_epi64_epi8::<0>(high, b),
                        )
                    };
                    let to_low =
                        _mm256_xor_si256(_mm256_loadu_si256(sum), times(low_low, high_low));
                    let to_high = _mm256_xor_si256(
                        _mm256_loadu_si256(sum.add(1)),
                        times(low_high, high_high),
                    );
                    _mm256_storeu_si256(sum, to_low);
                    _mm256_storeu_si256(sum.add(1), to_high);
                }
            }
        }
    }
}
