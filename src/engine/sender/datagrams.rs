//! Control datagrams in the order they are to leave.

use core::net::SocketAddr;
use std::collections::VecDeque;

use crate::engine::{Burst, Link, PacketKind};

/// Control datagrams that wait, at most [`Datagrams::MAX`]. What is beyond is dropped, since every
/// receiver repeats what it needs an answer to.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    queue: VecDeque<Datagram>,
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Datagram {
    to: SocketAddr,
    link: Link,
    kind: PacketKind,
    bytes: Vec<u8>,
}

impl Datagrams {
    pub(super) const MAX: usize = 8_192;

    /// Adds the datagram that `write` writes; gives its length, 0 if there is no room.
    pub(super) fn push(
        &mut self,
        to: SocketAddr,
        link: Link,
        kind: PacketKind,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        if self.queue.len() >= Datagrams::MAX {
            return 0;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        write(&mut bytes);
        let len = bytes.len();
        self.queue.push_back(Datagram {
            to,
            link,
            kind,
            bytes,
        });
        len
    }

    /// Moves the next datagram into `burst`.
    pub(super) fn pop(&mut self, burst: &mut Burst) -> bool {
        let Some(mut datagram) = self.queue.pop_front() else {
            return false;
        };
        core::mem::swap(&mut burst.control, &mut datagram.bytes);
        burst.to = datagram.to;
        burst.link = datagram.link;
        burst.kind = datagram.kind;
        burst.run = None;
        burst.symbols.clear();
        if self.spare.len() < 64 {
            self.spare.push(datagram.bytes);
        }
        true
    }

    /// Number of datagrams that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
