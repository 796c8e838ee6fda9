//! What is to happen, and in which turn.

use core::cmp::Ordering;
use core::net::SocketAddr;
use core::ops::Range;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::{ObjectKey, Slot, Via};
use crate::ids::BlockNo;
use crate::sim::Link;
use crate::time::Time;
use crate::wire::{self, DataHeader};

#[derive(Debug)]
pub(super) enum Event {
    /// A server's process starts anew.
    ServerStart(u32),
    ServerWake(u32),
    /// End of a pause of a server's process, unless a later pause has extended it.
    ServerResume(u32),
    Wake(u32),
    Start(u32),
    /// Change of a receiver's link.
    Link(u32, Box<Link>),
    /// Packets for a receiver.
    Down(u32, Arc<Packets>, Via),
    /// Those packets of a run that their bits say reach a receiver.
    DownSome(u32, Arc<Packets>, u64, Via),
    /// One of the packets.
    DownOne(u32, Arc<Packets>, u16, Via),
    /// A datagram of somebody else's for a receiver, by the group, and the address on it.
    Foreign(u32, SocketAddr, Arc<Vec<u8>>),
    /// A datagram of a receiver's for a server.
    Up(u32, u32, Arc<Vec<u8>>),
    /// One for the first server from somebody who is not simulated.
    Said(SocketAddr, Vec<u8>),
    /// A block is read, for a server's run of this number.
    Read(u32, u32, Slot, ObjectKey, BlockNo),
    Checked(u32, ObjectKey, BlockNo),
    Finished(u32, ObjectKey),
}

impl Event {
    /// The server whose process handles it.
    pub(super) fn server(&self) -> Option<u32> {
        match *self {
            Event::ServerWake(server) | Event::Up(_, server, _) | Event::Read(server, ..) => {
                Some(server)
            }
            Event::Said(..) => Some(0),
            _ => None,
        }
    }
}

/// An event in its turn: by time, then in the order of making.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) at: Time,
    pub(super) id: u64,
    pub(super) event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.id == other.id
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest, as a heap gives the greatest first.
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (other.at, other.id).cmp(&(self.at, self.id))
    }
}

/// What was sent at once, and from where.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) from: SocketAddr,
    pub(super) what: What,
}

/// One control packet, or a run of data packets.
#[derive(Debug)]
pub(super) enum What {
    Control(Vec<u8>),
    Data {
        headers: Vec<DataHeader>,
        /// Bytes of each packet's UDP payload, but for a last part.
        len: usize,
        symbol_size: u16,
        bytes: Option<Vec<Vec<u8>>>,
    },
}

/// Datagrams that somebody who listens in remembers.
const REMEMBERED: usize = 64;

impl Packets {
    /// Adds those with real bytes to what somebody remembers.
    pub(super) fn write_to(&self, heard: &mut VecDeque<Vec<u8>>) {
        let all = match &self.what {
            What::Control(bytes) => core::slice::from_ref(bytes),
            What::Data { bytes, .. } => bytes.as_deref().unwrap_or_default(),
        };
        heard.extend(all.iter().cloned());
        heard.drain(..heard.len().saturating_sub(REMEMBERED));
    }

    pub(super) fn count(&self) -> usize {
        match &self.what {
            What::Control(_) => 1,
            What::Data { headers, .. } => headers.len(),
        }
    }

    /// Bytes of the UDP payload of one of them.
    pub(super) fn payload(&self, i: usize) -> usize {
        match &self.what {
            What::Control(bytes) => bytes.len(),
            What::Data { headers, len, .. } if headers[i].part.is_none() => *len,
            What::Data { .. } => self.piece(i).len() + wire::PART_HEADER_LEN + wire::TRAILER_LEN,
        }
    }

    /// Where in the symbol the payload of one of them lies; all of it, but for a part.
    pub(super) fn piece(&self, i: usize) -> Range<u16> {
        let What::Data {
            headers,
            len,
            symbol_size,
            ..
        } = &self.what
        else {
            return 0..0;
        };
        match headers[i].part {
            None => 0..*symbol_size,
            Some(offset) => {
                let step = (len - wire::PART_HEADER_LEN - wire::TRAILER_LEN) as u16;
                offset..symbol_size.min(&(offset + step)).to_owned()
            }
        }
    }
}
