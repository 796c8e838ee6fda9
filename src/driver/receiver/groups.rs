//! The groups that a receiver has joined.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use mio::{Registry, Token};

use crate::driver::interface::Interface;
use crate::driver::socket::Socket;
use crate::driver::{SmallBuffer, StartError};
use crate::sys::ReceiveBuffer;
use crate::wire::ChannelInfo;

/// First token for sockets of groups.
const FIRST: usize = 100;

/// Sockets of joined groups, by token.
#[derive(Debug)]
pub(crate) struct Groups {
    interface: Interface,
    /// Groups are heard without joining them.
    no_join: bool,
    offload: bool,
    sockets: HashMap<usize, Joined>,
    next: usize,
    /// Drops in sockets that are closed.
    dropped_before: u64,
}

#[derive(Debug)]
struct Joined {
    socket: Socket,
    group: SocketAddr,
    source: Option<std::net::IpAddr>,
    /// Channels that it was joined for.
    channels: Vec<u16>,
    /// What comes wakes the loop.
    watched: bool,
}

impl Groups {
    pub(crate) fn new(interface: Interface, no_join: bool, offload: bool) -> Groups {
        Groups {
            interface,
            no_join,
            offload,
            sockets: HashMap::new(),
            next: FIRST,
            dropped_before: 0,
        }
    }

    /// Joins one of a channel's groups, for data or for feedback. Gives the token of the socket, if it is new, and
    /// what its buffer lacks.
    pub(crate) fn join(
        &mut self,
        channel: u16,
        (group, source): Address,
        buffer: usize,
        registry: &Registry,
    ) -> Result<Option<(usize, Option<SmallBuffer>)>, StartError> {
        let same = |j: &&mut Joined| j.group == group && j.source == source;
        if let Some(joined) = self.sockets.values_mut().find(same) {
            if !joined.channels.contains(&channel) {
                joined.channels.push(channel);
            }
            return Ok(None);
        }
        let hear = if self.no_join {
            Socket::off_the_wire
        } else {
            Socket::on_group
        };
        let socket = hear(group, source, &self.interface)?;
        let mut socket = socket.with_offload(self.offload);
        let small = socket.want_receive_buffer(buffer);
        let token = self.next;
        socket
            .register(registry, Token(token))
            .map_err(|source| StartError::Socket {
                what: "watch a group's socket".to_owned(),
                source,
            })?;
        self.next += 1;
        self.sockets.insert(
            token,
            Joined {
                socket,
                group,
                source,
                channels: vec![channel],
                watched: true,
            },
        );
        Ok(Some((token, small)))
    }

    /// Leaves a channel's groups that no other channel needs.
    pub(crate) fn leave(&mut self, channel: &ChannelInfo, registry: &Registry) {
        let interface = &self.interface;
        let dropped_before = &mut self.dropped_before;
        let addresses: Vec<_> = addresses(channel).collect();
        self.sockets.retain(|_, joined| {
            if !addresses.contains(&(joined.group, joined.source)) {
                return true;
            }
            joined.channels.retain(|c| *c != channel.number);
            if !joined.channels.is_empty() {
                return true;
            }
            *dropped_before += u64::from(joined.socket.receive_buffer().drops);
            joined
                .socket
                .leave(joined.group.ip(), joined.source, interface);
            // Closing takes it out anyway.
            let _ = joined.socket.deregister(registry);
            false
        });
    }

    pub(crate) fn get(&self, token: usize) -> Option<&Socket> {
        self.sockets.get(&token).map(|j| &j.socket)
    }

    /// All sockets' tokens.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = usize> {
        self.sockets.keys().copied()
    }

    /// Whether what comes wakes the loop; it does on those that were just joined.
    pub(crate) fn watch(&mut self, registry: &Registry, watch: bool) -> io::Result<()> {
        for (&token, joined) in &mut self.sockets {
            match (joined.watched, watch) {
                (false, true) => joined.socket.register(registry, Token(token))?,
                (true, false) => joined.socket.deregister(registry)?,
                _ => {}
            }
            joined.watched = watch;
        }
        Ok(())
    }

    /// How the sockets' buffers are doing.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = ReceiveBuffer> {
        self.sockets.values().map(|j| j.socket.receive_buffer())
    }

    /// Runs of datagrams that sockets which are closed have dropped.
    pub(crate) fn dropped_before(&self) -> u64 {
        self.dropped_before
    }
}

/// A group, and whom it is heard from if not from everybody.
pub(crate) type Address = (SocketAddr, Option<std::net::IpAddr>);

/// Where to listen for a channel: its group, and the group that its NAKs go to. NAKs come from
/// everybody, so a source counts for data only.
pub(crate) fn addresses(channel: &ChannelInfo) -> impl Iterator<Item = Address> {
    let feedback = channel.feedback_group().map(|group| (group, None));
    std::iter::once((channel.group, channel.source)).chain(feedback)
}
