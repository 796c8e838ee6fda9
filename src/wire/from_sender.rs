//! Packets from a sender: SYNC, OFFER, CONFIRM, HEARD, NOTICE, CHALLENGE.

use core::net::SocketAddr;
use core::time::Duration;

use super::fields::{Put, Reader, clip};
use super::frame::{self, ControlWriter, Kind};
use super::{
    CONTROL_HEADER_LEN, Challenge, FromSender, Heard, MAX_ADDRESSES, MAX_HEARD, MAX_NOTICE_TEXT,
    MAX_SYMBOL, MoveCause, Needs, Notice, NoticeCode, Offer, Position, SenderBody, Sync,
    TRAILER_LEN, WireError,
};
use crate::config::{MAX_GRTT, MIN_GRTT, MIN_REPORT_INTERVAL};
use crate::ids::{Cookie, ReceiverId, ShortCodingId};

const SYNC_LEN: usize = 56;
const HEARD_LEN: usize = 12;

impl FromSender {
    /// Appends it to `out` as one datagram, the checksum included.
    ///
    /// A SYNC is padded to [`Sync::padded_to`] bytes. Padding takes 4 bytes at least: where it has
    /// no room, the packet goes unpadded and says so.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, flags) = match &self.body {
            SenderBody::Sync(sync) => (Kind::Sync, sync_flags(sync)),
            SenderBody::Offer(_) => (Kind::Offer, 0),
            SenderBody::Confirm(_) => (Kind::Confirm, 0),
            SenderBody::Heard(_) => (Kind::Heard, 0),
            SenderBody::Unlisted(_) => (Kind::Heard, frame::UNLISTED),
            SenderBody::Notice(_) => (Kind::Notice, 0),
            SenderBody::Challenge(_) => (Kind::Challenge, 0),
        };
        let flags = flags | frame::one_way(self.one_way);
        let writer = ControlWriter::new(out, kind, flags, self.channel, self.session);
        let mut size = 0;
        match &self.body {
            SenderBody::Sync(sync) => size = write_sync(sync, writer.out),
            SenderBody::Offer(offer) => offer.write(writer.out),
            SenderBody::Confirm(needs) => needs.write(writer.out),
            SenderBody::Heard(heard) | SenderBody::Unlisted(heard) => {
                write_heard(heard, writer.out)
            }
            SenderBody::Notice(notice) => write_notice(notice, writer.out),
            SenderBody::Challenge(challenge) => write_challenge(challenge, writer.out),
        }
        writer.finish(size);
    }
}

/// Reads a control packet from a sender, without its trailer. `datagram_len` counts the trailer.
pub(super) fn read(
    kind: Kind,
    flags: u8,
    packet: &[u8],
    datagram_len: usize,
) -> Result<FromSender, WireError> {
    let control = frame::open_control(packet)?;
    let mut r = control.body;
    let body = match kind {
        Kind::Sync => SenderBody::Sync(read_sync(flags, &mut r, datagram_len)?),
        Kind::Offer => SenderBody::Offer(Box::new(Offer::read(&mut r)?)),
        Kind::Confirm => SenderBody::Confirm(Needs::read(&mut r)?),
        Kind::Heard if flags & frame::UNLISTED != 0 => SenderBody::Unlisted(read_heard(&mut r)?),
        Kind::Heard => SenderBody::Heard(read_heard(&mut r)?),
        Kind::Notice => SenderBody::Notice(read_notice(&mut r)?),
        Kind::Challenge => SenderBody::Challenge(read_challenge(&mut r)?),
        _ => return Err(WireError::Type),
    };
    if !r.is_empty() {
        return Err(WireError::Body);
    }
    Ok(FromSender {
        channel: control.channel,
        session: control.session,
        one_way: flags & frame::ONE_WAY != 0,
        body,
    })
}

fn sync_flags(sync: &Sync) -> u8 {
    let query = if sync.query { frame::QUERY } else { 0 };
    let idle = if sync.idle { frame::IDLE } else { 0 };
    query | idle
}

/// Gives the size to pad the packet to, 0 for none.
fn write_sync(sync: &Sync, out: &mut Vec<u8>) -> usize {
    let unpadded = CONTROL_HEADER_LEN + SYNC_LEN + TRAILER_LEN;
    let wanted = usize::from(sync.padded_to);
    let reachable = wanted == unpadded || frame::padding(unpadded, wanted).is_some();
    let padded_to = if reachable { sync.padded_to } else { 0 };
    out.put_u64(sync.coding.0);
    out.put_u48(sync.next_packet);
    out.put_u16(sync.position.symbol.min(MAX_SYMBOL));
    out.put_u32(sync.position.cycle);
    out.put_u32(sync.position.block);
    out.put_u64(sync.sent_at);
    out.put_micros(sync.grtt.clamp(MIN_GRTT, MAX_GRTT));
    out.put_micros(sync.next_sync);
    out.put_kbps(sync.rate);
    out.put_micros(sync.report_interval.max(MIN_REPORT_INTERVAL));
    out.put_u32(sync.receivers.max(1));
    out.put_u8(sync.k.clamp(1, 63));
    out.put_u8(sync.path_loss);
    out.put_u16(padded_to);
    usize::from(padded_to)
}

fn read_sync(flags: u8, r: &mut Reader<'_>, datagram_len: usize) -> Result<Sync, WireError> {
    let coding = ShortCodingId(r.u64()?);
    let next_packet = r.u48()?;
    let symbol = r.u16()?;
    let cycle = r.u32()?;
    let block = r.u32()?;
    let sent_at = r.nonzero_u64()?;
    let grtt = r.micros_in(MIN_GRTT, MAX_GRTT)?;
    let next_sync = r.micros()?;
    let rate = r.kbps()?;
    let report_interval = r.micros_in(MIN_REPORT_INTERVAL, Duration::MAX)?;
    let receivers = r.u32_from(1)?;
    let k = r.u8()?;
    let path_loss = r.u8()?;
    let padded_to = r.u16()?;
    let size_holds = padded_to == 0 || usize::from(padded_to) == datagram_len;
    if symbol > MAX_SYMBOL || !(1..=63).contains(&k) || !size_holds {
        return Err(WireError::Range);
    }
    Ok(Sync {
        coding,
        next_packet,
        position: Position {
            cycle,
            block,
            symbol,
        },
        sent_at,
        grtt,
        k,
        receivers,
        next_sync,
        rate,
        report_interval,
        path_loss,
        query: flags & frame::QUERY != 0,
        idle: flags & frame::IDLE != 0,
        padded_to,
    })
}

fn write_heard(heard: &[Heard], out: &mut Vec<u8>) {
    debug_assert!(heard.len() <= MAX_HEARD);
    for h in heard.iter().take(MAX_HEARD) {
        out.put_u64(h.receiver.0);
        out.put_u32(h.counter);
    }
}

fn read_heard(r: &mut Reader<'_>) -> Result<Vec<Heard>, WireError> {
    let mut heard = Vec::with_capacity((r.len() / HEARD_LEN).min(MAX_HEARD));
    while !r.is_empty() {
        if heard.len() == MAX_HEARD {
            return Err(WireError::Count);
        }
        heard.push(Heard {
            receiver: ReceiverId(r.u64()?),
            counter: r.u32()?,
        });
    }
    Ok(heard)
}

impl NoticeCode {
    fn number(self) -> u8 {
        match self {
            NoticeCode::NotFound => 1,
            NoticeCode::Elsewhere => 2,
            NoticeCode::Withdrawn => 3,
            NoticeCode::Ended => 4,
            NoticeCode::Evicted => 5,
            NoticeCode::UseUnicast => 6,
        }
    }

    fn from_number(n: u8) -> Result<NoticeCode, WireError> {
        match n {
            1 => Ok(NoticeCode::NotFound),
            2 => Ok(NoticeCode::Elsewhere),
            3 => Ok(NoticeCode::Withdrawn),
            4 => Ok(NoticeCode::Ended),
            5 => Ok(NoticeCode::Evicted),
            6 => Ok(NoticeCode::UseUnicast),
            _ => Err(WireError::Range),
        }
    }
}

fn write_notice(notice: &Notice, out: &mut Vec<u8>) {
    debug_assert!(notice.addresses.len() <= MAX_ADDRESSES);
    let text = clip(&notice.text, MAX_NOTICE_TEXT);
    let addresses = &notice.addresses[..notice.addresses.len().min(MAX_ADDRESSES)];
    out.put_u64(notice.receiver.0);
    out.put_u64(notice.coding.0);
    out.put_u8(notice.code.number());
    let len_at = out.len();
    out.put_u8(0);
    out.put_u8(addresses.len() as u8);
    out.put_u8(notice.cause.number());
    let text_at = out.len();
    // The reason may quote a file's name or the system, and receivers refuse control characters.
    let mut buf = [0; 4];
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        out.put_bytes(c.encode_utf8(&mut buf).as_bytes());
    }
    out[len_at] = (out.len() - text_at) as u8;
    for &address in addresses {
        out.put_socket(Some(address));
    }
}

fn read_notice(r: &mut Reader<'_>) -> Result<Notice, WireError> {
    let receiver = ReceiverId(r.u64()?);
    let coding = ShortCodingId(r.u64()?);
    let code = NoticeCode::from_number(r.u8()?)?;
    let text_len = usize::from(r.u8()?);
    let count = usize::from(r.u8()?);
    let cause = MoveCause::from_number(r.u8()?);
    if text_len > MAX_NOTICE_TEXT || count > MAX_ADDRESSES {
        return Err(WireError::Count);
    }
    let text = r.text(text_len)?;
    let mut addresses = Vec::with_capacity(count);
    for _ in 0..count {
        let address = r.socket()?.filter(is_host).ok_or(WireError::Address)?;
        addresses.push(address);
    }
    Ok(Notice {
        receiver,
        coding,
        code,
        cause,
        text,
        addresses,
    })
}

/// Whether one host may be asked at this address.
fn is_host(address: &SocketAddr) -> bool {
    !address.ip().is_multicast() && !address.ip().is_unspecified()
}

fn write_challenge(challenge: &Challenge, out: &mut Vec<u8>) {
    out.put_u64(challenge.receiver.0);
    out.put_u64(challenge.cookie.0);
    out.put_u64(challenge.sent_at);
}

fn read_challenge(r: &mut Reader<'_>) -> Result<Challenge, WireError> {
    let receiver = ReceiverId(r.nonzero_u64()?);
    let cookie = Cookie(r.nonzero_u64()?);
    let sent_at = r.nonzero_u64()?;
    Ok(Challenge {
        receiver,
        cookie,
        sent_at,
    })
}
