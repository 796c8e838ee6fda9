//! The groups that a receiver has joined.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::driver::interface::Interface;
use crate::driver::outbox::Outbox;
use crate::driver::reactor::{AMPLE, Look, Sockets};
use crate::driver::socket::Socket;
use crate::driver::{ReceiverEvent, StartError};
use crate::engine::Via;
use crate::wire::ChannelInfo;

/// Groups that can't be joined, told one by one.
const TOLD: usize = 100;

/// How groups are heard.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub(crate) interface: Interface,
    /// Groups are heard without joining them.
    pub(crate) no_join: bool,
    pub(crate) offload: bool,
    /// Receive buffer of a group's socket in bytes.
    pub(crate) buffer: usize,
    /// The program knows already that buffers are small.
    pub(crate) small_buffer_told: bool,
}

/// Groups that are joined, by the number of their socket.
#[derive(Debug)]
pub(crate) struct Groups {
    hearing: Hearing,
    joined: HashMap<usize, Joined>,
    /// Groups that the program knows can't be joined.
    refused: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Joined {
    group: SocketAddr,
    source: Option<IpAddr>,
    /// Groups of the channels that it was joined for.
    channels: Vec<Address>,
}

impl Groups {
    pub(crate) fn new(hearing: Hearing) -> Groups {
        Groups {
            hearing,
            joined: HashMap::new(),
            refused: Vec::new(),
        }
    }

    /// Joins a channel's groups, for data and for feedback. False if its data can't be heard,
    /// without which it is of no use; without others' NAKs a receiver just asks more often.
    pub(crate) fn join(
        &mut self,
        channel: &ChannelInfo,
        sockets: &mut Sockets<Via>,
        outbox: &mut Outbox<ReceiverEvent>,
    ) -> bool {
        for address in addresses(channel) {
            let Err(error) = self.join_one(data(channel), address, sockets, outbox) else {
                continue;
            };
            let (group, reason) = (address.0, error.to_string());
            // It is tried again with each announcement.
            if !self.refused.contains(&group) && self.refused.len() < TOLD {
                self.refused.push(group);
                outbox.tell(ReceiverEvent::JoinFailed { group, reason });
            }
            return group != channel.group;
        }
        true
    }

    fn join_one(
        &mut self,
        channel: Address,
        (group, source): Address,
        sockets: &mut Sockets<Via>,
        outbox: &mut Outbox<ReceiverEvent>,
    ) -> Result<(), StartError> {
        let same = |j: &&mut Joined| j.group == group && j.source == source;
        if let Some(joined) = self.joined.values_mut().find(same) {
            if !joined.channels.contains(&channel) {
                joined.channels.push(channel);
            }
            return Ok(());
        }
        let hearing = &mut self.hearing;
        let hear = if hearing.no_join {
            Socket::off_the_wire
        } else {
            Socket::on_group
        };
        let socket = hear(group, source, &hearing.interface)?.with_offload(hearing.offload);
        let small = socket.want_receive_buffer(hearing.buffer);
        let added = sockets.add(socket, Via::Group, Look::AtTimes);
        let number = added.map_err(|source| StartError::Socket {
            what: "watch a group's socket".to_owned(),
            source,
        })?;
        let channels = vec![channel];
        let joined = Joined {
            group,
            source,
            channels,
        };
        self.joined.insert(number, joined);
        if small.is_some_and(|small| small.got < AMPLE) {
            sockets.forbid_rhythm();
        }
        if let Some(small) = small.filter(|_| !hearing.small_buffer_told) {
            hearing.small_buffer_told = true;
            outbox.tell(ReceiverEvent::SmallBuffer(small));
        }
        Ok(())
    }

    /// Leaves a channel's groups that no other channel needs.
    pub(crate) fn leave(&mut self, channel: &ChannelInfo, sockets: &mut Sockets<Via>) {
        let interface = &self.hearing.interface;
        let addresses: Vec<_> = addresses(channel).collect();
        self.joined.retain(|&number, joined| {
            if !addresses.contains(&(joined.group, joined.source)) {
                return true;
            }
            joined.channels.retain(|c| *c != data(channel));
            if !joined.channels.is_empty() {
                return true;
            }
            if let Some(socket) = sockets.remove(number) {
                socket.leave(joined.group.ip(), joined.source, interface);
            }
            false
        });
    }
}

/// A group, and whom it is heard from if not from everybody.
type Address = (SocketAddr, Option<IpAddr>);

/// The group of a channel's data. Sessions number their channels each by itself.
fn data(channel: &ChannelInfo) -> Address {
    (channel.group, channel.source)
}

/// Where to listen for a channel: its group, and the group that its NAKs go to. NAKs come from
/// everybody, so a source counts for data only.
fn addresses(channel: &ChannelInfo) -> impl Iterator<Item = Address> {
    let feedback = channel.feedback_group().map(|group| (group, None));
    std::iter::once(data(channel)).chain(feedback)
}
