//! Figures of receivers and channels, for people.

use core::net::SocketAddr;

use crate::ids::ReceiverId;
use crate::units::Rate;
use crate::wire::Outcome;

/// A receiver as the sender knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceiverFigures {
    /// Who.
    pub receiver: ReceiverId,
    /// Where it sends from.
    pub address: SocketAddr,
    /// It uses unicast.
    pub unicast: bool,
    /// What the tier that it listens on, or did last, stands for.
    pub tier: Rate,
    /// How it ended, if it did.
    pub outcome: Option<Outcome>,
    /// Symbols it has said that it holds, over all objects.
    pub symbols_held: u64,
    /// Symbols of all that it wants, or has finished with.
    pub symbols_wanted: u64,
    /// Bytes of the symbols that it wants and does not hold.
    pub bytes_left: u64,
    /// The throughput it last reported.
    pub throughput: Rate,
    /// Data packets it has received.
    pub packets: u64,
    /// Packets it has lost in the network.
    pub lost: u64,
    /// Packets it has lost in its own socket buffer.
    pub overflowed: u64,
    /// Packets that its disk had no time for.
    pub stalled: u64,
    /// NAKs it has sent.
    pub naks: u64,
}

/// A channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ChannelFigures {
    /// Its group.
    pub group: SocketAddr,
    /// What its tier stands for.
    pub tier: Rate,
    /// Part of its tier's rate: that over the tier's running channels.
    pub rate: Rate,
    /// Receivers that listen on it and lack something.
    pub listeners: u32,
    /// Data packets that have left on it.
    pub sent: u64,
}
