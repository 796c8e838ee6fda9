//! Packets that only a group's members can make or read: each is sealed as it leaves and opened as it comes.
//!
//! Takes plain datagrams of [`wire`] and gives sealed ones, and the other way round, in place. Decides
//! whether a datagram is a member's, of this session, and new. It knows nothing of what packets mean, reads no
//! clock and draws no entropy.
//!
//! A sealed packet has the flag TAGGED. What stands in the clear is authenticated, the rest is encrypted too:
//!
//! ```text
//! data           its header | sealed: payload | tag
//! from a sender  16 of header | 16 of session | u64 number | sealed: body, extensions | tag
//! from receivers 16 of header | u64 receiver | u64 counter | sealed: rest of the body, extensions | tag
//! ```

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use core::ops::Range;
use std::collections::BTreeMap;

use crate::ids::{ChannelNo, PacketNo, SessionId};
use crate::seal::{ReplayWindow, SESSION_LEN, SealKey, TAG_LEN};
use crate::wire::{self, CONTROL_HEADER_LEN, Layout, TRAILER_LEN};

pub use receiver::ReceiverEnvelopes;
pub use sender::SenderEnvelopes;

/// Bytes that an envelope adds to data packets, and to those of receivers.
pub const OVERHEAD: usize = TAG_LEN - TRAILER_LEN;
/// Bytes that it adds to a sender's control packets.
pub const CONTROL_OVERHEAD: usize = OVERHEAD + TOLD_LEN;

/// What a sender's control packets tell in the clear: the session's bytes, and their own number.
const TOLD_LEN: usize = SESSION_LEN + 8;
/// Header, receiver and counter.
const RECEIVER_CLEAR_LEN: usize = CONTROL_HEADER_LEN + 16;

/// Why a datagram was not opened. Nothing of it was looked at further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It is not sealed at all, or not under the group's key.
    Unsealed,
    /// It is of a session whose keys are not known.
    OtherSession,
    /// It came before, or is too old to tell.
    Replayed,
    /// It comes from the wrong end.
    WrongEnd,
    /// It is of one more author than are remembered.
    Full,
}

/// What seals datagrams.
pub trait Seal {
    /// Seals the plain datagram that `out` holds from `start` on. One that can't be sealed is taken out: its
    /// session is not known, or all numbers are used up.
    fn seal(&mut self, out: &mut Vec<u8>, start: usize);
}

/// Somebody whose packets are numbered for themselves.
#[derive(Debug)]
struct Author {
    key: SealKey,
    come: ReplayWindow,
}

impl Author {
    fn new(key: SealKey) -> Author {
        Author {
            key,
            come: ReplayWindow::default(),
        }
    }
}

/// Opens a receiver's packet whose author may be known already. Authors are remembered once a tag was good,
/// at most `most`; then all are forgotten, and the engine's own counters are what is left.
fn open_author(
    authors: &mut BTreeMap<u64, Author>,
    most: usize,
    key: impl FnOnce() -> SealKey,
    datagram: &mut [u8],
) -> Result<Range<usize>, Refused> {
    let id = u64_at(datagram, CONTROL_HEADER_LEN);
    let counter = u64_at(datagram, CONTROL_HEADER_LEN + 8);
    if let Some(author) = authors.get_mut(&id) {
        return open_new(
            &author.key,
            &mut author.come,
            counter,
            datagram,
            RECEIVER_CLEAR_LEN,
        );
    }
    let mut author = Author::new(key());
    let opened = open_new(
        &author.key,
        &mut author.come,
        counter,
        datagram,
        RECEIVER_CLEAR_LEN,
    )?;
    if authors.len() >= most {
        authors.clear();
    }
    authors.insert(id, author);
    Ok(opened)
}

/// Opens a datagram whose number has not come yet, and takes the number.
fn open_new(
    key: &SealKey,
    come: &mut ReplayWindow,
    number: PacketNo,
    datagram: &mut [u8],
    clear: usize,
) -> Result<Range<usize>, Refused> {
    if !come.is_new(number) {
        return Err(Refused::Replayed);
    }
    let opened = open_in_place(key, number, datagram, clear)?;
    come.take(number);
    Ok(opened)
}

/// Opens what stands behind `clear` bytes. What is left is the plain datagram, checksum and all, but for what
/// was told in the clear beside it.
fn open_in_place(
    key: &SealKey,
    number: PacketNo,
    datagram: &mut [u8],
    clear: usize,
) -> Result<Range<usize>, Refused> {
    let channel = channel(datagram);
    let (header, rest) = datagram
        .split_at_mut_checked(clear)
        .ok_or(Refused::Unsealed)?;
    let (payload, tag) = rest
        .split_last_chunk_mut::<TAG_LEN>()
        .ok_or(Refused::Unsealed)?;
    key.open(channel, number, header, payload, tag)
        .map_err(|_| Refused::Unsealed)?;
    let end = datagram.len() - OVERHEAD;
    Ok(0..end)
}

/// Seals what stands behind `clear` bytes from `start` on, and puts the tag in place of the checksum.
fn seal_in_place(
    key: &SealKey,
    number: PacketNo,
    out: &mut Vec<u8>,
    start: usize,
    clear: usize,
) -> bool {
    out.truncate(out.len() - TRAILER_LEN);
    wire::set_tagged(&mut out[start..], true);
    let channel = channel(&out[start..]);
    let Some((header, payload)) = out[start..].split_at_mut_checked(clear) else {
        return false;
    };
    match key.seal(channel, number, header, payload) {
        Some(tag) => {
            out.extend_from_slice(&tag);
            true
        }
        None => false,
    }
}

/// The shape of a sealed datagram.
fn shape(datagram: &[u8]) -> Result<Layout, Refused> {
    match wire::layout(datagram) {
        Some((layout, true)) => Ok(layout),
        _ => Err(Refused::Unsealed),
    }
}

fn channel(datagram: &[u8]) -> ChannelNo {
    u16::from_be_bytes([datagram[2], datagram[3]])
}

fn session(datagram: &[u8]) -> SessionId {
    SessionId(u64_at(datagram, 8))
}

fn u64_at(datagram: &[u8], at: usize) -> u64 {
    let bytes = datagram.get(at..at + 8).and_then(|b| b.try_into().ok());
    // Too short ones fail at their tag.
    u64::from_be_bytes(bytes.unwrap_or_default())
}

fn packet_number(datagram: &[u8]) -> PacketNo {
    // Six bytes at 24, behind two of the coding id.
    u64_at(datagram, 22) & crate::ids::MAX_PACKET_NO
}
