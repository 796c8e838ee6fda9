//! The formats on the wire, version 1 (docs/PROTOCOL.md draws them).
//!
//! Takes datagrams in, gives checked packets out, and the other way round. Nothing above this
//! module sees an unchecked length, range or checksum. It decides nothing.
//!
//! One datagram is one packet. [`parse`] refuses what is damaged, of another version, or outside
//! its fields' ranges, with a [`WireError`] to count. Encoding can't fail: a value beyond what its
//! field can say becomes the nearest that it can, and lists and texts that are too long are cut
//! (each field's range is told in the packets' own documentation).

use crate::config;
use crate::ids::SymbolNo;
use crate::symbol_set::SymbolSet;

mod data;
mod error;
mod fields;
mod frame;
mod from_receiver;
mod from_sender;
mod needs;
mod offer;
mod packets;
#[cfg(test)]
pub(crate) mod strategies;
#[cfg(test)]
mod tests;

pub use data::write_data;
pub use error::WireError;
pub use packets::*;

use frame::Kind;
pub(crate) use frame::{Layout, layout, make_plain, set_tagged};

/// Bytes before the payload of a DATA packet.
pub const DATA_HEADER_LEN: usize = 32;
/// Bytes before the piece in a PART packet.
pub const PART_HEADER_LEN: usize = DATA_HEADER_LEN + 4;
/// Bytes before the body of every other packet.
pub const CONTROL_HEADER_LEN: usize = 16;
/// Bytes that the body of a packet from a receiver starts with: who, which, cookie, echo.
pub const RECEIVER_PREFIX_LEN: usize = 40;
/// Bytes of the CRC32 at the end of every packet.
pub const TRAILER_LEN: usize = 4;
/// Bytes of the tag that stands in place of the CRC32 in a packet that is sealed.
pub const TAG_LEN: usize = 16;
/// The longest packet: the largest symbol with header and tag.
pub const MAX_PACKET_LEN: usize = DATA_HEADER_LEN + config::MAX_SYMBOL_SIZE as usize + TAG_LEN;
/// UDP payload of a NAK without entries.
pub const NAK_EMPTY_LEN: usize =
    CONTROL_HEADER_LEN + RECEIVER_PREFIX_LEN + 6 + Needs::EMPTY_LEN + TRAILER_LEN;
/// UDP payload of a report.
pub const REPORT_LEN: usize = CONTROL_HEADER_LEN + RECEIVER_PREFIX_LEN + 8 * 8 + 9 + TRAILER_LEN;
/// UDP payload of a confirm without entries.
pub const CONFIRM_EMPTY_LEN: usize = CONTROL_HEADER_LEN + Needs::EMPTY_LEN + TRAILER_LEN;

/// The largest symbol number.
pub const MAX_SYMBOL: SymbolNo = SymbolSet::MAX;
/// Most entries in [`Needs`]. More than fit 1,200 bytes; bounds what a small datagram can make a
/// receiver allocate, as an entry of 8 bytes can name a symbol far up in a bitmap.
pub const MAX_NEEDS: usize = 256;
/// Most channels in an [`Offer`].
pub const MAX_CHANNELS: usize = 12;
/// Most entries in [`SenderBody::Heard`].
pub const MAX_HEARD: usize = 512;
/// Most bytes in the text of a [`Notice`].
pub const MAX_NOTICE_TEXT: usize = 200;
/// Most addresses in a [`Notice`].
pub const MAX_ADDRESSES: usize = 8;
/// Most bytes in a name.
pub const MAX_NAME_LEN: usize = 255;
/// Most objects in [`Wanted::Codings`] and in [`ReceiverBody::Done`].
pub const MAX_CODINGS: usize = 100;
/// Most ranges in an [`Ack`].
pub const MAX_ACK_RANGES: usize = 32;

/// UDP payload of a DATA packet with a symbol of `symbol_size` bytes.
pub const fn data_packet_len(symbol_size: u16) -> usize {
    DATA_HEADER_LEN + symbol_size as usize + TRAILER_LEN
}

/// What a datagram holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Packet<'a> {
    /// A symbol, or with [`DataHeader::part`] a piece of one.
    Data(DataHeader, &'a [u8]),
    /// Anything else from a sender.
    FromSender(FromSender),
    /// Anything from a receiver.
    FromReceiver(FromReceiver),
}

impl Packet<'_> {
    /// Appends it to `out` as one datagram.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Packet::Data(header, payload) => write_data(header, payload, out),
            Packet::FromSender(packet) => packet.encode(out),
            Packet::FromReceiver(packet) => packet.encode(out),
        }
    }
}

/// Reads one datagram (a UDP payload) and checks all that can be checked without knowing anything
/// else: sizes, checksum, ranges, order of lists, texts, geometry.
///
/// Never panics. Data packets allocate nothing; of the others a list of needs can take most, at
/// [`MAX_NEEDS`] sets of symbols of 2 KiB each, whatever the datagram says.
///
/// # Errors
/// The first reason found to refuse the datagram; see [`WireError`].
pub fn parse(bytes: &[u8]) -> Result<Packet<'_>, WireError> {
    let (kind, flags, packet) = frame::open(bytes)?;
    match kind {
        Kind::Data | Kind::Part => {
            data::read(kind, flags, packet).map(|(header, payload)| Packet::Data(header, payload))
        }
        Kind::Sync | Kind::Offer | Kind::Confirm | Kind::Heard | Kind::Notice | Kind::Challenge => {
            from_sender::read(kind, flags, packet, bytes.len()).map(Packet::FromSender)
        }
        Kind::Request | Kind::Nak | Kind::Report | Kind::Ack | Kind::Done => {
            from_receiver::read(kind, flags, packet, bytes.len()).map(Packet::FromReceiver)
        }
    }
}
