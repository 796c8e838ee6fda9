//! What leaves a receiver: packets, commands and events, in the order in which they came up.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use crate::engine::{Command, PacketKind, ReceiverEvent};
use crate::wire::{ChannelInfo, Feedback, FromReceiver};

/// Most packets that wait to be sent. Every packet of a receiver is repeated until it has done its
/// work, so a full queue may drop.
const MAX_QUEUED: usize = 256;

/// Number of a following in its receiver, from 0.
pub(crate) type FollowingNo = u8;

/// A control packet that waits to be sent.
#[derive(Debug)]
pub(crate) struct Queued {
    /// The following that it is of.
    from: FollowingNo,
    /// Where it goes.
    pub(crate) to: SocketAddr,
    pub(crate) kind: PacketKind,
    pub(crate) bytes: Vec<u8>,
}

/// What is to leave.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    packets: VecDeque<Queued>,
    commands: VecDeque<(FollowingNo, Command)>,
    events: VecDeque<ReceiverEvent>,
    /// Groups that the driver was told to join, and for which followings (a bit each).
    joined: Vec<(SocketAddr, Option<IpAddr>, u64)>,
    /// Number of the next packet.
    counter: u64,
}

impl Outbox {
    /// Number for the next packet.
    pub(super) fn next_counter(&mut self) -> u64 {
        let counter = self.counter;
        self.counter += 1;
        counter
    }

    /// Queues a packet if there is room.
    pub(super) fn send(
        &mut self,
        from: FollowingNo,
        to: SocketAddr,
        kind: PacketKind,
        packet: &FromReceiver,
    ) {
        if self.packets.len() < MAX_QUEUED {
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            self.packets.push_back(Queued {
                from,
                to,
                kind,
                bytes,
            });
        }
    }

    /// Drops the packets of a following.
    pub(super) fn drop_packets_of(&mut self, from: FollowingNo) {
        self.packets.retain(|p| p.from != from);
    }

    /// Drops all packets.
    pub(crate) fn drop_packets(&mut self) {
        self.packets.clear();
    }

    /// Has the driver do something for a following, or for all.
    pub(crate) fn command(&mut self, from: FollowingNo, command: Command) {
        self.commands.push_back((from, command));
    }

    /// Tells the application.
    pub(crate) fn event(&mut self, event: ReceiverEvent) {
        self.events.push_back(event);
    }

    /// The next packet to send.
    pub(crate) fn next_packet(&mut self) -> Option<Queued> {
        self.packets.pop_front()
    }

    /// The next event.
    pub(crate) fn next_event(&mut self) -> Option<ReceiverEvent> {
        self.events.pop_front()
    }

    /// The next command. A group that several followings listen to is left when the last of them
    /// leaves it.
    pub(crate) fn next_command(&mut self) -> Option<Command> {
        while let Some((from, command)) = self.commands.pop_front() {
            let is_needed = match &command {
                Command::Join(channel) => self.joins(from, channel),
                Command::Leave(channel) => self.leaves(from, channel),
                _ => true,
            };
            if is_needed {
                return Some(command);
            }
        }
        None
    }

    fn joins(&mut self, from: FollowingNo, channel: &ChannelInfo) -> bool {
        let by = 1 << from;
        let same = |(g, s, _): &&mut (_, _, u64)| (*g, *s) == (channel.group, channel.source);
        match self.joined.iter_mut().find(same) {
            Some((_, _, whose)) => {
                let others = *whose & !by;
                *whose |= by;
                others == 0 || channel.feedback != Feedback::Sender
            }
            None => {
                self.joined.push((channel.group, channel.source, by));
                true
            }
        }
    }

    fn leaves(&mut self, from: FollowingNo, channel: &ChannelInfo) -> bool {
        let same = |(g, s, _): &(_, _, u64)| (*g, *s) == (channel.group, channel.source);
        let Some(at) = self.joined.iter().position(same) else {
            return true;
        };
        self.joined[at].2 &= !(1 << from);
        let is_last = self.joined[at].2 == 0;
        if is_last {
            self.joined.swap_remove(at);
        }
        is_last
    }

    /// A group could not be joined.
    pub(crate) fn join_failed(&mut self, group: SocketAddr) {
        self.joined.retain(|(g, _, _)| *g != group);
    }

    /// The packets that wait have their cap.
    pub(crate) fn is_bounded(&self) -> bool {
        self.packets.len() <= MAX_QUEUED
    }
}
