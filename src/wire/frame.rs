//! What all packets share: first bytes, control header, extensions, trailer.

use super::fields::{Put, Reader};
use super::{
    CONTROL_HEADER_LEN, DATA_HEADER_LEN, MAX_PACKET_LEN, PART_HEADER_LEN, TRAILER_LEN, WireError,
};
use crate::ids::{ChannelNo, SessionId};

/// The version of the format, in the high half of the first byte.
const VERSION: u8 = 1;

/// More than any datagram has.
const MAX_DATAGRAM_LEN: usize = u16::MAX as usize;

/// Flag of all packets: a tag stands in place of the checksum.
const TAGGED: u8 = 0x01;
/// Flag of all packets from a sender: the session has no way back.
pub(super) const ONE_WAY: u8 = 0x80;
/// Flag of DATA and PART: sent out of turn.
pub(super) const REPAIR: u8 = 0x02;
/// Flag of SYNC: the cycle is at its end, say what you lack.
pub(super) const QUERY: u8 = 0x02;
/// Flag of SYNC: no data is being sent.
pub(super) const IDLE: u8 = 0x04;
/// Flag of HEARD: its receivers are not listed.
pub(super) const UNLISTED: u8 = 0x02;
/// Flag of NAK: more is lacking than it says.
pub(super) const MORE: u8 = 0x02;
/// Flag of REQUEST: the receiver holds part of what it wants.
pub(super) const HOLDS: u8 = 0x02;
/// Flag of REPORT: the receiver is on unicast.
pub(super) const UNICAST: u8 = 0x02;

/// [`ONE_WAY`] or nothing.
pub(super) fn one_way(is: bool) -> u8 {
    if is { ONE_WAY } else { 0 }
}

/// Extension type that is skipped without being an extension.
const PADDING: u8 = 0;
/// Type, zero and length before an extension's value.
const EXTENSION_HEADER_LEN: usize = 4;

macro_rules! kinds {
    ($($name:ident = $number:literal,)*) => {
        /// A packet's type, in the low half of the first byte.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Kind {
            $($name = $number,)*
        }

        impl Kind {
            fn from_number(n: u8) -> Option<Kind> {
                match n {
                    $($number => Some(Kind::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    Data = 1,
    Part = 2,
    Sync = 3,
    Offer = 4,
    Confirm = 5,
    Heard = 6,
    Notice = 7,
    Challenge = 8,
    Request = 9,
    Nak = 10,
    Report = 11,
    Ack = 12,
    Done = 13,
}

impl Kind {
    fn min_len(self) -> usize {
        let header = match self {
            Kind::Data => DATA_HEADER_LEN,
            Kind::Part => PART_HEADER_LEN,
            _ => CONTROL_HEADER_LEN,
        };
        header + TRAILER_LEN
    }
}

/// Checks version, type, size and checksum. Gives the type, the flags, and the packet without its
/// trailer, which is at least as long as the type's header.
pub(super) fn open(datagram: &[u8]) -> Result<(Kind, u8, &[u8]), WireError> {
    let &[first, flags, ..] = datagram else {
        return Err(WireError::TooShort);
    };
    if first >> 4 != VERSION {
        return Err(WireError::Version);
    }
    if datagram.len() > MAX_PACKET_LEN {
        return Err(WireError::TooLong);
    }
    let kind = Kind::from_number(first & 0x0f).ok_or(WireError::Type)?;
    if flags & TAGGED != 0 {
        return Err(WireError::Tagged);
    }
    if datagram.len() < kind.min_len() {
        return Err(WireError::TooShort);
    }
    let (packet, crc) = datagram
        .split_last_chunk::<TRAILER_LEN>()
        .ok_or(WireError::TooShort)?;
    if crc32fast::hash(packet) != u32::from_be_bytes(*crc) {
        return Err(WireError::Checksum);
    }
    Ok((kind, flags, packet))
}

/// Where a datagram's parts stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// A header of so many bytes, then payload.
    Data {
        /// Bytes of it.
        header: usize,
    },
    /// A control packet from a sender.
    FromSender,
    /// A control packet from a receiver.
    FromReceiver,
}

/// A datagram's layout, and whether it carries a tag; none of what is no packet of this version, or too short
/// to have a header. Nothing else of it is checked.
pub(crate) fn layout(datagram: &[u8]) -> Option<(Layout, bool)> {
    let &[first, flags, ..] = datagram else {
        return None;
    };
    let kind = Kind::from_number(first & 0x0f).filter(|_| first >> 4 == VERSION)?;
    let fits = (kind.min_len()..=MAX_DATAGRAM_LEN).contains(&datagram.len());
    let layout = match kind {
        Kind::Data => Layout::Data {
            header: DATA_HEADER_LEN,
        },
        Kind::Part => Layout::Data {
            header: PART_HEADER_LEN,
        },
        Kind::Sync | Kind::Offer | Kind::Confirm | Kind::Heard | Kind::Notice | Kind::Challenge => {
            Layout::FromSender
        }
        Kind::Request | Kind::Nak | Kind::Report | Kind::Ack | Kind::Done => Layout::FromReceiver,
    };
    fits.then_some((layout, flags & TAGGED != 0))
}

/// Says whether a datagram carries a tag.
pub(crate) fn set_tagged(datagram: &mut [u8], tagged: bool) {
    if let Some(flags) = datagram.get_mut(1) {
        *flags = *flags & !TAGGED | if tagged { TAGGED } else { 0 };
    }
}

/// Makes a datagram whose tag was good, and whose last bytes are free, one with a checksum.
pub(crate) fn make_plain(datagram: &mut [u8]) {
    set_tagged(datagram, false);
    if let Some((packet, crc)) = datagram.split_last_chunk_mut::<TRAILER_LEN>() {
        *crc = crc32fast::hash(packet).to_be_bytes();
    }
}

/// The first bytes of every packet: version, type, flags, channel.
pub(super) fn first_bytes(kind: Kind, flags: u8, channel: ChannelNo) -> [u8; 4] {
    let [high, low] = channel.to_be_bytes();
    [VERSION << 4 | kind as u8, flags, high, low]
}

/// Appends the checksum of what stands from `start` on.
pub(super) fn seal(out: &mut Vec<u8>, start: usize) {
    debug_assert!(
        out.len() - start + TRAILER_LEN <= MAX_PACKET_LEN,
        "a packet longer than any receiver takes"
    );
    let crc = crc32fast::hash(&out[start..]);
    out.put_u32(crc);
}

/// The header of a control packet, and its body.
pub(super) struct Control<'a> {
    pub(super) channel: ChannelNo,
    pub(super) session: SessionId,
    pub(super) body: Reader<'a>,
}

/// Splits a control packet (without trailer) and checks that its extensions are well formed.
pub(super) fn open_control(packet: &[u8]) -> Result<Control<'_>, WireError> {
    let mut header = Reader::new(packet);
    header.take(2)?;
    let channel = header.u16()?;
    let body_len = header.u16()?;
    // Reserved: whoever gives it a meaning sees to it that ignoring it does no harm.
    header.u16()?;
    let session = SessionId(header.u64()?);
    let body = header.take(usize::from(body_len))?;
    skip_extensions(header)?;
    Ok(Control {
        channel,
        session,
        body: Reader::new(body),
    })
}

/// Version 1 knows no extension, so all are stepped over.
fn skip_extensions(mut rest: Reader<'_>) -> Result<(), WireError> {
    while !rest.is_empty() {
        let value = rest
            .take(2)
            .and_then(|_| rest.u16())
            .and_then(|len| rest.take(usize::from(len)));
        value.map_err(|_| WireError::Extension)?;
    }
    Ok(())
}

/// A control packet that is being appended to a buffer.
pub(super) struct ControlWriter<'a> {
    pub(super) out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> ControlWriter<'a> {
    pub(super) fn new(
        out: &'a mut Vec<u8>,
        kind: Kind,
        flags: u8,
        channel: ChannelNo,
        session: SessionId,
    ) -> Self {
        let start = out.len();
        out.put_bytes(&first_bytes(kind, flags, channel));
        out.put_u32(0);
        out.put_u64(session.0);
        ControlWriter { out, start }
    }

    /// Ends the body; pads the packet to `size` bytes with its trailer, if it is shorter by at least
    /// an extension's header.
    pub(super) fn finish(self, size: usize) {
        let ControlWriter { out, start } = self;
        let body_len = out.len() - start - CONTROL_HEADER_LEN;
        // A body beyond 64 KiB breaks `seal`'s assertion anyway; the packet is then refused by all.
        let body_len = u16::try_from(body_len).unwrap_or(u16::MAX);
        out[start + 4..start + 6].copy_from_slice(&body_len.to_be_bytes());
        if let Some(padding) = padding(out.len() - start + TRAILER_LEN, size) {
            out.put_u8(PADDING);
            out.put_u8(0);
            out.put_u16(padding);
            out.resize(out.len() + usize::from(padding), 0);
        }
        seal(out, start);
    }
}

/// The length of the padding's value that brings a packet of `len` bytes to `size`; none when there
/// is no room for a padding.
pub(super) fn padding(len: usize, size: usize) -> Option<u16> {
    let value = size.checked_sub(len + EXTENSION_HEADER_LEN)?;
    u16::try_from(value).ok()
}
