//! DATA and PART packets: a header and a symbol, or a piece of one.

use super::fields::{Put, Reader};
use super::frame::{self, Kind};
use super::{DATA_HEADER_LEN, DataHeader, MAX_SYMBOL, WireError};
use crate::config::{MAX_SYMBOL_SIZE, MIN_SYMBOL_SIZE};
use crate::ids::{MAX_PACKET_NO, SessionId, ShortCodingId};

/// Appends a data packet: header, `payload`, checksum.
///
/// With [`DataHeader::part`] set, `payload` is a piece of the symbol, else the whole symbol. Takes
/// no memory beside what `out` grows by, so a buffer with room for
/// [`data_packet_len`](super::data_packet_len) bytes makes it free of allocation.
pub fn write_data(header: &DataHeader, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(header.packet <= MAX_PACKET_NO && header.symbol <= MAX_SYMBOL);
    debug_assert!(
        payload_fits(payload.len(), header.part),
        "no symbol has {} bytes",
        payload.len()
    );
    let start = out.len();
    let kind = if header.part.is_some() {
        Kind::Part
    } else {
        Kind::Data
    };
    let repair = if header.repair { frame::REPAIR } else { 0 };
    let flags = repair | frame::one_way(header.one_way);
    let mut bytes = [0; DATA_HEADER_LEN];
    bytes[..4].copy_from_slice(&frame::first_bytes(kind, flags, header.channel));
    bytes[4..8].copy_from_slice(&header.block.to_be_bytes());
    bytes[8..16].copy_from_slice(&header.session.0.to_be_bytes());
    bytes[16..24].copy_from_slice(&header.coding.0.to_be_bytes());
    bytes[24..30].copy_from_slice(&header.packet.to_be_bytes()[2..]);
    bytes[30..].copy_from_slice(&header.symbol.to_be_bytes());
    out.put_bytes(&bytes);
    if let Some(offset) = header.part {
        out.put_u16(offset);
        out.put_u16(0);
    }
    out.put_bytes(payload);
    frame::seal(out, start);
}

/// Reads a data packet without its trailer.
pub(super) fn read(kind: Kind, flags: u8, packet: &[u8]) -> Result<(DataHeader, &[u8]), WireError> {
    let mut r = Reader::new(packet);
    r.take(2)?;
    let channel = r.u16()?;
    let block = r.u32()?;
    let session = SessionId(r.u64()?);
    let coding = ShortCodingId(r.u64()?);
    let number = r.u48()?;
    let symbol = r.u16()?;
    let mut part = None;
    if kind == Kind::Part {
        part = Some(r.u16()?);
        r.u16()?;
    }
    let payload = r.rest();
    if symbol > MAX_SYMBOL || !payload_fits(payload.len(), part) {
        return Err(WireError::Range);
    }
    let repair = flags & frame::REPAIR != 0;
    Ok((
        DataHeader {
            channel,
            session,
            coding,
            packet: number,
            block,
            symbol,
            repair,
            one_way: flags & frame::ONE_WAY != 0,
            part,
        },
        payload,
    ))
}

/// Whether a payload is as long as some symbol, or lies within one.
fn payload_fits(len: usize, part: Option<u16>) -> bool {
    let max = usize::from(MAX_SYMBOL_SIZE);
    match part {
        None => (usize::from(MIN_SYMBOL_SIZE)..=max).contains(&len) && len.is_multiple_of(64),
        Some(offset) => len > 0 && usize::from(offset) + len <= max,
    }
}
