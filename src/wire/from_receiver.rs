//! Packets from a receiver: REQUEST, NAK, REPORT, ACK, DONE.

use core::time::Duration;

use super::fields::{Put, Reader, clip};
use super::frame::{self, ControlWriter, Kind};
use super::{
    Ack, Done, Echo, FromReceiver, MAX_ACK_RANGES, MAX_CODINGS, MAX_NAME_LEN, MoveCause, Nak,
    Needs, Outcome, ReceiverBody, Report, Request, Stage, Wanted, WireError,
};
use crate::config::REQUEST_SIZE;
use crate::ids::{Cookie, MAX_PACKET_NO, ReceiverId, ShortCodingId};

/// The longest that a time can be held before it is echoed.
const MAX_HELD: Duration = Duration::from_secs(3_600);

const WANTED_ALL: u8 = 0;
const WANTED_NAME: u8 = 1;
const WANTED_CODINGS: u8 = 2;

impl FromReceiver {
    /// Appends it to `out` as one datagram, the checksum included. A request is always
    /// [`REQUEST_SIZE`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, flags) = match &self.body {
            ReceiverBody::Request(request) => {
                (Kind::Request, if request.holds { frame::HOLDS } else { 0 })
            }
            ReceiverBody::Nak(nak) => (Kind::Nak, if nak.more { frame::MORE } else { 0 }),
            ReceiverBody::Report(report) => (
                Kind::Report,
                if report.unicast { frame::UNICAST } else { 0 },
            ),
            ReceiverBody::Ack(_) => (Kind::Ack, 0),
            ReceiverBody::Done(_) => (Kind::Done, 0),
        };
        let writer = ControlWriter::new(out, kind, flags, self.channel, self.session);
        self.write_prefix(writer.out);
        let mut size = 0;
        match &self.body {
            ReceiverBody::Request(request) => {
                write_request(request, writer.out);
                size = usize::from(REQUEST_SIZE);
            }
            ReceiverBody::Nak(nak) => write_nak(nak, writer.out),
            ReceiverBody::Report(report) => write_report(report, writer.out),
            ReceiverBody::Ack(ack) => write_ack(ack, writer.out),
            ReceiverBody::Done(done) => write_done(done, writer.out),
        }
        writer.finish(size);
    }

    fn write_prefix(&self, out: &mut Vec<u8>) {
        let echo = self.echo.unwrap_or(Echo {
            sent_at: 0,
            held: Duration::ZERO,
        });
        out.put_u64(self.receiver.0);
        out.put_u64(self.counter);
        out.put_u64(self.cookie.0);
        out.put_u64(echo.sent_at);
        out.put_micros(echo.held.min(MAX_HELD));
        out.put_u32(0);
    }
}

/// Reads a packet from a receiver, without its trailer. `datagram_len` counts the trailer.
pub(super) fn read(
    kind: Kind,
    flags: u8,
    packet: &[u8],
    datagram_len: usize,
) -> Result<FromReceiver, WireError> {
    // Whoever asks must have sent as much as the answer may have (RFC 9000, section 8.1).
    if kind == Kind::Request && datagram_len < usize::from(REQUEST_SIZE) {
        return Err(WireError::TooShort);
    }
    let control = frame::open_control(packet)?;
    let mut r = control.body;
    let receiver = ReceiverId(r.nonzero_u64()?);
    let counter = r.u64()?;
    let cookie = Cookie(r.u64()?);
    let sent_at = r.u64()?;
    let held = r.micros_in(Duration::ZERO, MAX_HELD)?;
    r.u32()?;
    let body = match kind {
        Kind::Request => ReceiverBody::Request(read_request(flags, &mut r)?),
        Kind::Nak => ReceiverBody::Nak(read_nak(flags, &mut r)?),
        Kind::Report => ReceiverBody::Report(read_report(flags, &mut r)?),
        Kind::Ack => ReceiverBody::Ack(read_ack(&mut r)?),
        Kind::Done => ReceiverBody::Done(read_done(&mut r)?),
        _ => return Err(WireError::Type),
    };
    if !r.is_empty() {
        return Err(WireError::Body);
    }
    Ok(FromReceiver {
        channel: control.channel,
        session: control.session,
        receiver,
        counter,
        cookie,
        echo: (sent_at != 0).then_some(Echo { sent_at, held }),
        body,
    })
}

impl MoveCause {
    pub(super) const fn number(self) -> u8 {
        match self {
            MoveCause::None => 0,
            MoveCause::Congestion => 1,
            MoveCause::SocketBuffer => 2,
            MoveCause::Disk => 3,
            MoveCause::Clean => 4,
            MoveCause::PathLoss => 5,
            MoveCause::TooSlow => 6,
            MoveCause::AsksTooMuch => 7,
            MoveCause::Silent => 8,
        }
    }

    /// A number that is not known yet says nothing.
    pub(super) const fn from_number(n: u8) -> MoveCause {
        match n {
            1 => MoveCause::Congestion,
            2 => MoveCause::SocketBuffer,
            3 => MoveCause::Disk,
            4 => MoveCause::Clean,
            5 => MoveCause::PathLoss,
            6 => MoveCause::TooSlow,
            7 => MoveCause::AsksTooMuch,
            8 => MoveCause::Silent,
            _ => MoveCause::None,
        }
    }
}

impl Stage {
    fn number(self) -> u8 {
        match self {
            Stage::Ask => 0,
            Stage::JoinGroup => 1,
            Stage::JoinUnicast => 2,
        }
    }

    fn from_number(n: u8) -> Result<Stage, WireError> {
        match n {
            0 => Ok(Stage::Ask),
            1 => Ok(Stage::JoinGroup),
            2 => Ok(Stage::JoinUnicast),
            _ => Err(WireError::Range),
        }
    }
}

fn write_request(request: &Request, out: &mut Vec<u8>) {
    let (kind, count) = match &request.wanted {
        Wanted::All { .. } => (WANTED_ALL, 0),
        Wanted::Name(name) => (WANTED_NAME, clip(name, MAX_NAME_LEN).len()),
        Wanted::Codings(codings) => (WANTED_CODINGS, codings.len().min(MAX_CODINGS)),
    };
    out.put_u8(kind);
    out.put_u8(request.stage.number());
    out.put_u16(0);
    out.put_kbps(request.downlink);
    out.put_u32(0);
    out.put_u16(request.largest_heard);
    out.put_u8(count as u8);
    out.put_u8(request.cause.number());
    match &request.wanted {
        Wanted::All { from } => out.put_u32(*from),
        Wanted::Name(name) => out.put_bytes(&name.as_bytes()[..count]),
        Wanted::Codings(codings) => {
            debug_assert!((1..=MAX_CODINGS).contains(&codings.len()));
            for coding in &codings[..count] {
                out.put_u64(coding.0);
            }
        }
    }
}

fn read_request(flags: u8, r: &mut Reader<'_>) -> Result<Request, WireError> {
    let kind = r.u8()?;
    let stage = Stage::from_number(r.u8()?)?;
    r.u16()?;
    let downlink = r.kbps()?;
    r.u32()?;
    let largest_heard = r.u16()?;
    let count = usize::from(r.u8()?);
    let cause = MoveCause::from_number(r.u8()?);
    let wanted = match kind {
        WANTED_ALL => Wanted::All { from: r.u32()? },
        WANTED_NAME if count == 0 => return Err(WireError::Range),
        WANTED_NAME => Wanted::Name(r.text(count)?),
        WANTED_CODINGS if count == 0 => return Err(WireError::Range),
        WANTED_CODINGS if count > MAX_CODINGS => return Err(WireError::Count),
        WANTED_CODINGS => {
            let codings = (0..count).map(|_| r.u64().map(ShortCodingId));
            Wanted::Codings(codings.collect::<Result<_, _>>()?)
        }
        _ => return Err(WireError::Range),
    };
    Ok(Request {
        wanted,
        stage,
        holds: flags & frame::HOLDS != 0,
        downlink,
        largest_heard,
        cause,
    })
}

fn write_nak(nak: &Nak, out: &mut Vec<u8>) {
    out.put_u48(nak.seen_to);
    nak.needs.write(out);
}

fn read_nak(flags: u8, r: &mut Reader<'_>) -> Result<Nak, WireError> {
    let seen_to = r.u48()?;
    let needs = Needs::read(r)?;
    Ok(Nak {
        seen_to,
        needs,
        more: flags & frame::MORE != 0,
    })
}

fn write_report(report: &Report, out: &mut Vec<u8>) {
    out.put_u64(report.coding.0);
    out.put_u64(report.symbols_held);
    out.put_rate(report.throughput);
    out.put_u64(report.packets);
    out.put_u64(report.lost);
    out.put_u64(report.overflowed);
    out.put_u64(report.damaged);
    out.put_u64(report.stalled);
    out.put_u32(report.longest_run);
    out.put_micros(report.measured);
    out.put_u8(report.behind);
}

fn read_report(flags: u8, r: &mut Reader<'_>) -> Result<Report, WireError> {
    Ok(Report {
        coding: ShortCodingId(r.u64()?),
        symbols_held: r.u64()?,
        throughput: r.rate()?,
        packets: r.u64()?,
        lost: r.u64()?,
        overflowed: r.u64()?,
        damaged: r.u64()?,
        stalled: r.u64()?,
        longest_run: r.u32()?,
        measured: r.micros()?,
        behind: r.u8()?,
        unicast: flags & frame::UNICAST != 0,
    })
}

fn write_ack(ack: &Ack, out: &mut Vec<u8>) {
    debug_assert!(ack.ranges.iter().all(|(from, to)| from < to));
    debug_assert!(
        ack.ranges.windows(2).all(|pair| pair[1].1 < pair[0].0)
            && ack.ranges.len() <= MAX_ACK_RANGES
    );
    // The highest are the ones that tell something new.
    let ranges = &ack.ranges[..ack.ranges.len().min(MAX_ACK_RANGES)];
    out.put_micros(ack.delay);
    out.put_u16(ack.largest_heard);
    out.put_u8(ranges.len() as u8);
    out.put_u8(0);
    for &(from, to) in ranges {
        out.put_u48(from);
        out.put_u48(to.saturating_sub(1));
    }
}

fn read_ack(r: &mut Reader<'_>) -> Result<Ack, WireError> {
    let delay = r.micros()?;
    let largest_heard = r.u16()?;
    let count = usize::from(r.u8()?);
    r.u8()?;
    if count > MAX_ACK_RANGES {
        return Err(WireError::Count);
    }
    let mut ranges = Vec::with_capacity(count);
    let mut below = MAX_PACKET_NO + 2;
    for _ in 0..count {
        let from = r.u48()?;
        let to = r.u48()? + 1;
        if from >= to {
            return Err(WireError::Range);
        }
        if to >= below {
            return Err(WireError::Order);
        }
        below = from;
        ranges.push((from, to));
    }
    Ok(Ack {
        ranges,
        delay,
        largest_heard,
    })
}

impl Outcome {
    fn number(self) -> u8 {
        match self {
            Outcome::Complete => 1,
            Outcome::Failed => 2,
            Outcome::Left => 3,
        }
    }

    fn from_number(n: u8) -> Result<Outcome, WireError> {
        match n {
            1 => Ok(Outcome::Complete),
            2 => Ok(Outcome::Failed),
            3 => Ok(Outcome::Left),
            _ => Err(WireError::Range),
        }
    }
}

fn write_done(done: &[Done], out: &mut Vec<u8>) {
    debug_assert!(done.len() <= MAX_CODINGS);
    for d in done.iter().take(MAX_CODINGS) {
        out.put_u64(d.coding.0);
        out.put_u8(d.outcome.number());
    }
}

fn read_done(r: &mut Reader<'_>) -> Result<Vec<Done>, WireError> {
    let mut done = Vec::new();
    while !r.is_empty() {
        if done.len() == MAX_CODINGS {
            return Err(WireError::Count);
        }
        done.push(Done {
            coding: ShortCodingId(r.u64()?),
            outcome: Outcome::from_number(r.u8()?)?,
        });
    }
    Ok(done)
}
