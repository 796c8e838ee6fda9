//! What an engine asks of its driver, and what the driver answers.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::engine::PacketKind;
use crate::ids::{BlockNo, SymbolNo};
use crate::object::Description;
use crate::time::Time;
use crate::wire::{ChannelInfo, DataHeader};

/// The driver's number for one of its local sockets.
///
/// A sender answers a unicast receiver from the socket that heard it, so that the answer comes from
/// the address and port that was asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Link(pub u8);

impl Link {
    /// The sender's socket for what goes to groups.
    pub const GROUP: Link = Link(0);
}

/// How a packet reached a receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// On a socket that has joined a group.
    Group,
    /// On the receiver's own socket.
    Unicast,
}

/// An engine's number for an object, unique for the engine's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ObjectKey(pub u32);

/// One of the sender's buffers for a block's bytes, from 0 to
/// [`SenderConfig::slots`](crate::engine::SenderConfig::slots) - 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Slot(pub u16);

/// What to send next: one control datagram, or a run of data packets of equal size.
///
/// The driver owns one and hands it to `poll_transmit` again and again, so that nothing is
/// allocated per packet.
#[derive(Clone, Debug)]
pub struct Burst {
    /// Where it goes.
    pub to: SocketAddr,
    /// The socket it leaves from. A receiver has one for all it sends and ignores this.
    pub link: Link,
    /// What it is, for figures.
    pub kind: PacketKind,
    /// The control datagram, whole; empty when this is a run of data packets.
    pub control: Vec<u8>,
    /// The run of data packets, when it is one.
    pub run: Option<Run>,
    /// The run's symbols, one after another.
    pub symbols: Vec<SymbolNo>,
}

impl Default for Burst {
    fn default() -> Burst {
        Burst {
            to: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            link: Link::GROUP,
            kind: PacketKind::Data,
            control: Vec::new(),
            run: None,
            symbols: Vec::new(),
        }
    }
}

impl Burst {
    /// Calls `each` with every data packet's header and the range of its payload in its slot.
    ///
    /// Packet numbers count on from the first header's; with parts, each symbol takes several.
    pub fn for_each_packet(
        &self,
        symbol_size: u16,
        mut each: impl FnMut(DataHeader, core::ops::Range<usize>),
    ) {
        let Some(run) = self.run else { return };
        let mut header = run.first;
        for &symbol in &self.symbols {
            let start = usize::from(symbol) * usize::from(symbol_size);
            let step = run.part_len.unwrap_or(symbol_size);
            let mut offset = 0;
            while offset < symbol_size {
                let len = step.min(symbol_size - offset);
                header.symbol = symbol;
                header.part = run.part_len.map(|_| offset);
                let at = start + usize::from(offset);
                each(header, at..at + usize::from(len));
                header.packet += 1;
                offset += len;
            }
        }
    }
}

/// A run of data packets from one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The first packet's header; its symbol is the first of [`Burst::symbols`].
    pub first: DataHeader,
    /// The object.
    pub object: ObjectKey,
    /// The slot that holds the block's bytes: symbol `s` stands at `s` × symbol size.
    pub slot: Slot,
    /// Set when symbols go out in parts of this many bytes (the last may be shorter), for a path
    /// that is too narrow for whole ones.
    pub part_len: Option<u16>,
}

/// A sender's wish for a block's bytes.
///
/// The slot's bytes must not change from [`Sender::handle_read`](crate::engine::Sender::handle_read)
/// until the next command for the same slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadCommand {
    /// Where to put them.
    pub slot: Slot,
    /// Whose they are.
    pub object: ObjectKey,
    /// Which block; its last symbol is to be padded with zeros.
    pub block: BlockNo,
    /// Its parity symbols are needed too, behind the source symbols: symbol `s` stands at `s` ×
    /// symbol size.
    pub parity: bool,
}

/// What to do with a data packet's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Keep it: it is counted as here. If the driver can't, or a hash page does not prove itself, it
    /// says so with [`Receiver::handle_refused`](crate::engine::Receiver::handle_refused).
    Store {
        /// The object that the symbol belongs to.
        object: ObjectKey,
    },
    /// It is a piece of a symbol that is wanted. Put pieces together and, when a symbol is whole,
    /// give it to [`Receiver::handle_assembled`](crate::engine::Receiver::handle_assembled).
    Part {
        /// The object that the symbol belongs to.
        object: ObjectKey,
    },
    /// Throw it away: already here, not wanted, or not ours.
    Ignore,
}

/// What a receiver asks of its driver beside sending.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Listen to a channel's group (and, where feedback goes to a group, to that).
    Join(ChannelInfo),
    /// Stop listening to it.
    Leave(ChannelInfo),
    /// Make a place for an object; answered by
    /// [`Receiver::handle_opened`](crate::engine::Receiver::handle_opened). Symbols may come before the answer.
    Open {
        /// Its number from now on.
        object: ObjectKey,
        /// What it is.
        description: Box<Description>,
    },
    /// All source symbols of the block have been given to the driver: hash it and put it on disk.
    /// Answered by [`Receiver::handle_checked`](crate::engine::Receiver::handle_checked). Not given for blocks of hash pages, whose
    /// symbols prove themselves.
    Check {
        /// The object.
        object: ObjectKey,
        /// The block.
        block: BlockNo,
    },
    /// Every block is verified: sync it and give it its name. Answered by
    /// [`Receiver::handle_finished`](crate::engine::Receiver::handle_finished).
    Finish {
        /// The object.
        object: ObjectKey,
    },
    /// The object will not be completed in this run; what is on disk may stay for the next when
    /// `keep`, and is to be removed otherwise (it was withdrawn).
    Abandon {
        /// The object.
        object: ObjectKey,
        /// Whether what is on disk stays.
        keep: bool,
    },
}

/// What a deadline is for; [`poll_timeout`](crate::engine::Sender::poll_timeout) gives it with the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The pacer lets the next packet leave.
    Pacing,
    /// A SYNC is due.
    Sync,
    /// An offer is due to be announced.
    Announce,
    /// A batch of acknowledgements is due.
    Heard,
    /// A receiver may have to be forgotten.
    Silence,
    /// A unicast path may have lost something, or may send again.
    Unicast,
    /// An end-of-cycle question has waited long enough.
    Query,
    /// A NAK may be due.
    Nak,
    /// A request is to be sent (again).
    Request,
    /// A report is due.
    Report,
    /// The group must have been heard by now.
    Probe,
    /// A done is to be sent (again).
    Done,
    /// An acknowledgement of unicast data is due.
    Ack,
    /// A round of rate control, or of judging a tier, is at its end.
    Rate,
    /// The session is to be closed.
    Close,
}

/// A deadline and what it is for: the first of those that come first.
pub(crate) fn earliest<const N: usize>(
    deadlines: [(Option<Time>, Timer); N],
) -> Option<(Time, Timer)> {
    let mut first: Option<(Time, Timer)> = None;
    for (at, timer) in deadlines {
        if let Some(at) = at
            && first.is_none_or(|(before, _)| at < before)
        {
            first = Some((at, timer));
        }
    }
    first
}

/// IP bytes of a datagram with so many bytes of UDP payload.
pub(super) fn ip_len(to: SocketAddr, payload: usize) -> u64 {
    payload as u64 + if to.is_ipv4() { 28 } else { 48 }
}
