//! The groups that a receiver has joined.

use std::collections::HashMap;
use std::net::SocketAddr;

use mio::{Registry, Token};

use crate::driver::interface::Interface;
use crate::driver::socket::Socket;
use crate::driver::{SmallBuffer, StartError};
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

    /// Joins a channel's group and its feedback group. Gives the tokens of new sockets, and what
    /// the buffers lack.
    pub(crate) fn join(
        &mut self,
        channel: &ChannelInfo,
        buffer: usize,
        registry: &Registry,
    ) -> Result<(Vec<usize>, Option<SmallBuffer>), StartError> {
        let mut new = Vec::new();
        let mut small = None;
        for (group, source) in addresses(channel) {
            let same = |j: &&mut Joined| j.group == group && j.source == source;
            if let Some(joined) = self.sockets.values_mut().find(same) {
                if !joined.channels.contains(&channel.number) {
                    joined.channels.push(channel.number);
                }
                continue;
            }
            let hear = if self.no_join {
                Socket::off_the_wire
            } else {
                Socket::on_group
            };
            let socket = hear(group, source, &self.interface)?;
            let mut socket = socket.with_offload(self.offload);
            small = small.or(socket.want_receive_buffer(buffer));
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
                    channels: vec![channel.number],
                },
            );
            new.push(token);
        }
        Ok((new, small))
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
            *dropped_before += u64::from(joined.socket.drops());
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

    /// Datagrams dropped in these sockets' buffers since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped_before
            + self
                .sockets
                .values()
                .map(|j| u64::from(j.socket.drops()))
                .sum::<u64>()
    }
}

/// Where to listen for a channel: its group, and the group that its NAKs go to. NAKs come from
/// everybody, so a source counts for data only.
fn addresses(
    channel: &ChannelInfo,
) -> impl Iterator<Item = (SocketAddr, Option<std::net::IpAddr>)> {
    let feedback = channel.feedback_group().map(|group| (group, None));
    std::iter::once((channel.group, channel.source)).chain(feedback)
}
