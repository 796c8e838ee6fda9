//! One receiver's unicast path, for what the group does not bring to it: what it lacks, and how
//! fast and in what pieces it is sent.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::engine::sender::channel::{MAX_RUN, MAX_RUN_BYTES};
use crate::engine::sender::lacking::Lacking;
use crate::engine::sender::offers::Offers;
use crate::engine::sender::session::Session;
use crate::engine::sender::slots::Slots;
use crate::engine::{Burst, Link, ObjectKey, PacketKind, Run};
use crate::ids::{BlockNo, ChannelNo, PacketNo, ShortCodingId, SymbolNo};
use crate::object::Geometry;
use crate::range_set::RangeSet;
use crate::time::Time;
use crate::unicast_fallback::{CongestionPath, Tag};
use crate::wire::{self, Ack, DataHeader, Need};

/// A data packet in parts is no larger than this in UDP payload: with IPv6 it stays below 1,280
/// bytes, which every path carries (RFC 8200 §5).
const NARROW_PAYLOAD: u16 = 1_200;
/// Full-sized SYNCs that a receiver must have missed before the path counts as narrow.
const NARROW_PROBES: u32 = 3;

/// One receiver's path and what it lacks.
#[derive(Debug)]
pub(super) struct UnicastPath {
    /// The path's own channel number.
    channel: ChannelNo,
    next_packet: PacketNo,
    congestion: CongestionPath,
    /// IP bytes that a symbol takes, in one packet or in parts.
    symbol_len: u64,
    needs: BTreeMap<ObjectKey, Lacking>,
    /// The largest UDP payload that the receiver has heard on this path.
    largest_heard: u16,
    sync_due: Time,
    syncs: u32,
    /// Full-sized SYNCs sent.
    padded: u32,
    /// Full-sized SYNCs sent before the receiver was last heard.
    padded_then_heard: u32,
}

/// What a SYNC on the path tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PathSync {
    pub(super) channel: ChannelNo,
    pub(super) next_packet: PacketNo,
    /// Time until the SYNC after it.
    pub(super) next_sync: Duration,
    /// Nothing is to be sent as far as is known.
    pub(super) idle: bool,
    /// A full-sized one goes along.
    pub(super) padded: bool,
}

/// A run of symbols that was put into a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PathSent {
    /// IP bytes.
    pub(super) bytes: u64,
    /// Data packets.
    pub(super) packets: u64,
    /// Bytes of UDP payload, before packets are sealed.
    pub(super) payload: u64,
}

/// In what pieces symbols leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cut {
    /// The length of parts, if symbols do not leave whole.
    part_len: Option<u16>,
    /// Parts of a symbol.
    parts: u16,
    /// UDP payload of each.
    payload: usize,
}

impl UnicastPath {
    pub(super) fn new(
        now: Time,
        (channel, next_packet): (ChannelNo, PacketNo),
        packet_len: u64,
        rtt: Option<Duration>,
    ) -> UnicastPath {
        UnicastPath {
            channel,
            next_packet,
            congestion: CongestionPath::new(now, packet_len, rtt),
            symbol_len: packet_len,
            needs: BTreeMap::new(),
            largest_heard: 0,
            sync_due: now,
            syncs: 0,
            padded: 0,
            padded_then_heard: 0,
        }
    }

    /// The path's own channel number.
    pub(super) fn channel(&self) -> ChannelNo {
        self.channel
    }

    /// The next packet's number.
    pub(super) fn next_packet(&self) -> PacketNo {
        self.next_packet
    }

    /// The receiver lacks all of the object, of which `missing` blocks are not here.
    pub(super) fn needs_all(&mut self, object: ObjectKey, geometry: Geometry, missing: &RangeSet) {
        self.needs.insert(object, Lacking::all(geometry, missing));
    }

    /// A block of an object that was missing is here.
    pub(super) fn handle_block(&mut self, object: ObjectKey, block: BlockNo) {
        if let Some(lacking) = self.needs.get_mut(&object) {
            lacking.handle_block(block);
        }
    }

    /// A NAK says what the receiver lacks of the object, and takes the place of what was known; if
    /// it had `more` to say, only as far as it goes. What left in packets from `seen_to` on is on
    /// its way.
    pub(super) fn handle_needs(
        &mut self,
        object: ObjectKey,
        (geometry, missing): (Geometry, &RangeSet),
        seen_to: PacketNo,
        needs: &[Need],
        more: bool,
    ) {
        let mut lacking = Lacking::named(geometry, missing, needs);
        if more && let (Some(last), Some(known)) = (needs.last(), self.needs.get(&object)) {
            lacking.add_beyond(last.first_block(), known);
        }
        for (_, tag) in self.congestion.in_flight_from(seen_to) {
            if tag.object == object.0 {
                lacking.remove(tag.block, tag.symbol);
            }
        }
        self.needs.insert(object, lacking);
    }

    /// A packet with this symbol was lost.
    fn needs_again(&mut self, object: ObjectKey, block: BlockNo, symbol: SymbolNo) {
        if let Some(lacking) = self.needs.get_mut(&object) {
            lacking.add(block, symbol);
        }
    }

    /// The receiver has finished with the object, or it is gone.
    pub(super) fn forget(&mut self, object: ObjectKey) {
        self.needs.remove(&object);
    }

    /// What the receiver lacks of the object that goes first.
    fn first(&self) -> Option<(ObjectKey, &Lacking)> {
        let mut needs = self.needs.iter().map(|(&object, l)| (object, l));
        needs.find(|(_, l)| !l.is_empty())
    }

    /// The block that the next symbols come from, which is taken up.
    fn current(&mut self) -> Option<(ObjectKey, BlockNo)> {
        let (object, _) = self.first()?;
        let block = self.needs.get_mut(&object)?.begin()?;
        Some((object, block))
    }

    /// The block that the next symbols come from, without taking it up.
    pub(super) fn next(&self) -> Option<(ObjectKey, BlockNo)> {
        let (object, lacking) = self.first()?;
        lacking.next().map(|block| (object, block))
    }

    /// The block after that, to be read ahead.
    pub(super) fn upcoming(&self) -> Option<(ObjectKey, BlockNo)> {
        let (object, lacking) = self.first()?;
        lacking.upcoming().map(|block| (object, block))
    }

    /// Takes up to `max` symbols of the block to send.
    fn take(&mut self, object: ObjectKey, block: BlockNo, max: usize, symbols: &mut Vec<SymbolNo>) {
        if let Some(lacking) = self.needs.get_mut(&object) {
            lacking.take(block, max, symbols);
        }
    }

    /// Nothing is to be sent as far as is known.
    pub(super) fn is_idle(&self) -> bool {
        self.needs.values().all(Lacking::is_empty)
    }

    /// Packets that were lost, as far as is known now, are needed again.
    fn collect_lost(&mut self) {
        while let Some(tag) = self.congestion.poll_lost() {
            self.needs_again(ObjectKey(tag.object), tag.block, tag.symbol);
        }
    }

    /// The receiver acknowledges data.
    pub(super) fn handle_ack(&mut self, now: Time, ack: &Ack) {
        self.heard(ack.largest_heard);
        self.congestion.on_ack(now, ack);
        self.collect_lost();
    }

    /// Time has passed: packets that are not acknowledged may be lost.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.congestion.poll_timeout().is_some_and(|at| at <= now) {
            self.congestion.on_timeout(now);
            // At once, so that its block is read again if it is not in memory any more.
            self.collect_lost();
        }
    }

    /// When it is to be looked at next, for a loss or a SYNC.
    pub(super) fn next_due(&self) -> Time {
        let congestion = self.congestion.poll_timeout().unwrap_or(Time::NEVER);
        congestion.min(self.sync_due)
    }

    /// When data may leave next; none if no block that is needed is in memory.
    pub(super) fn next_send_at(&self, slots: &Slots) -> Option<Time> {
        let (object, block) = self.next()?;
        let is_ready = slots.is_ready(object, block, false);
        is_ready.then(|| self.congestion.next_send_at(self.symbol_len))
    }

    /// The next SYNC goes out at once.
    pub(super) fn hurry_sync(&mut self, now: Time) {
        self.sync_due = now;
    }

    /// The SYNC that is due, if one is.
    pub(super) fn poll_sync(&mut self, now: Time) -> Option<PathSync> {
        if self.sync_due > now {
            return None;
        }
        let padded = self.syncs < 3 || self.syncs.is_multiple_of(4);
        let interval = match self.syncs {
            0 => Duration::from_millis(20),
            1..8 => Duration::from_millis(100),
            _ => Duration::from_millis(500),
        };
        self.sync_due = now + interval;
        self.sync_sent(padded);
        Some(PathSync {
            channel: self.channel,
            next_packet: self.next_packet,
            next_sync: interval,
            idle: self.is_idle(),
            padded,
        })
    }

    /// A SYNC left, padded to full size or not.
    fn sync_sent(&mut self, padded: bool) {
        self.syncs += 1;
        self.padded += u32::from(padded);
    }

    /// Fills `burst` with a run of about `credit` IP bytes, if the path allows one and the block is
    /// in memory.
    pub(super) fn burst(
        &mut self,
        now: Time,
        credit: u64,
        (to, link): (SocketAddr, Link),
        (session, offers): (Session, &Offers),
        slots: &mut Slots,
        burst: &mut Burst,
    ) -> Option<PathSent> {
        self.collect_lost();
        let (object, block) = self.current()?;
        let slot = slots.ready(object, block, false)?;
        let offered = offers.get(object);
        let cut = self.cut(offered.geometry().symbol_size(), session);
        let parts = u64::from(cut.parts);
        let part = session.ip_len(to, PacketKind::UnicastData, cut.payload);
        let each = part * parts;
        self.symbol_len = each;
        let allowed = credit.min(self.congestion.allowance(now));
        if !self.congestion.may_send(now, each) {
            return None;
        }
        let max = ((allowed / each).max(1) as usize)
            .min(MAX_RUN)
            .min(MAX_RUN_BYTES / cut.payload / usize::from(cut.parts));
        burst.symbols.clear();
        self.take(object, block, max.max(1), &mut burst.symbols);
        let &symbol = burst.symbols.first()?;
        let first = self.header((session, offered.coding()), block, symbol, cut);
        if self.is_idle() {
            // The end is told at once, behind the last data.
            self.sync_due = now;
        }
        self.note_sent(now, (object, block), &burst.symbols, cut.parts, part as u32);
        burst.to = to;
        burst.link = link;
        burst.kind = PacketKind::UnicastData;
        burst.control.clear();
        burst.run = Some(Run {
            first,
            object,
            slot,
            part_len: cut.part_len,
        });
        let packets = burst.symbols.len() as u64 * parts;
        Some(PathSent {
            bytes: packets * part,
            packets,
            payload: packets * cut.payload as u64,
        })
    }

    /// The header of the first packet of a run.
    fn header(
        &self,
        (session, coding): (Session, ShortCodingId),
        block: BlockNo,
        symbol: SymbolNo,
        cut: Cut,
    ) -> DataHeader {
        DataHeader {
            channel: self.channel,
            session: session.id,
            coding,
            packet: self.next_packet,
            block,
            symbol,
            repair: false,
            one_way: false,
            part: cut.part_len.map(|_| 0),
        }
    }

    /// Symbols of a block leave in `parts` packets each, of `part` IP bytes.
    fn note_sent(
        &mut self,
        now: Time,
        (object, block): (ObjectKey, BlockNo),
        symbols: &[SymbolNo],
        parts: u16,
        part: u32,
    ) {
        for &symbol in symbols {
            let tag = Tag {
                object: object.0,
                block,
                symbol,
            };
            for _ in 0..parts {
                self.congestion.on_sent(now, self.next_packet, part, tag);
                self.next_packet += 1;
            }
        }
    }

    /// In what pieces symbols of this size leave.
    fn cut(&self, symbol_size: u16, session: Session) -> Cut {
        let part_len = self.part_len(symbol_size, session);
        let (payload, parts) = match part_len {
            Some(len) => (
                usize::from(len) + wire::PART_HEADER_LEN + wire::TRAILER_LEN,
                symbol_size.div_ceil(len),
            ),
            None => (wire::data_packet_len(symbol_size), 1),
        };
        Cut {
            part_len,
            parts,
            payload,
        }
    }

    /// The receiver was heard, and the largest UDP payload that it has heard is this.
    pub(super) fn heard(&mut self, largest_heard: u16) {
        self.largest_heard = self.largest_heard.max(largest_heard);
        self.padded_then_heard = self.padded;
    }

    /// The length of parts to send symbols in, when several full-sized packets were lost while
    /// smaller ones came back.
    fn part_len(&self, symbol_size: u16, session: Session) -> Option<u16> {
        let narrow = self.padded_then_heard >= NARROW_PROBES
            && self.largest_heard < session.padded_len(symbol_size);
        narrow.then(|| {
            let sealed = session.sealed;
            let around = PacketKind::UnicastData.envelope(sealed) + wire::PART_HEADER_LEN;
            let room = NARROW_PAYLOAD - (around + wire::TRAILER_LEN) as u16;
            let parts = symbol_size.div_ceil(room);
            symbol_size.div_ceil(parts).next_multiple_of(64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SessionId;

    fn path() -> (UnicastPath, Geometry) {
        let g = Geometry::new(20 * 1024, 1024, 4, 0, 64).unwrap();
        (UnicastPath::new(Time::ZERO, (0x8000, 0), 1_100, None), g)
    }

    fn session() -> Session {
        Session {
            id: SessionId(1),
            one_way: false,
            sealed: false,
        }
    }

    fn all(p: &mut UnicastPath) -> Vec<(BlockNo, SymbolNo)> {
        let mut out = Vec::new();
        while let Some((object, block)) = p.current() {
            let mut symbols = Vec::new();
            p.take(object, block, 3, &mut symbols);
            out.extend(symbols.into_iter().map(|s| (block, s)));
        }
        out
    }

    #[test]
    fn everything_leaves_once_in_order() {
        let (mut p, g) = path();
        p.needs_all(ObjectKey(1), g, &RangeSet::new());
        let got = all(&mut p);
        assert_eq!(got.len() as u64, g.total_symbols());
        assert!(got.windows(2).all(|w| w[0] < w[1]) && p.is_idle());
    }

    #[test]
    fn what_is_on_its_way_is_not_sent_again() {
        let (mut p, g) = path();
        for (packet, symbol) in [(0, 0), (1, 1)] {
            p.congestion.on_sent(
                Time::ZERO,
                packet,
                1_100,
                Tag {
                    object: 1,
                    block: 3,
                    symbol,
                },
            );
        }
        let needs = [Need::Blocks { first: 3, count: 1 }];
        let here = RangeSet::new();
        p.handle_needs(ObjectKey(1), (g, &here), 1, &needs, false);
        assert_eq!(
            all(&mut p),
            [(3, 0), (3, 2), (3, 3)],
            "packet 0 was seen as lost, packet 1 not yet"
        );
    }

    #[test]
    fn a_narrow_path_is_told_from_a_lossy_one() {
        let (mut p, _) = path();
        for _ in 0..3 {
            p.sync_sent(true);
        }
        assert_eq!(
            p.part_len(1_344, session()),
            None,
            "the receiver has not been heard since"
        );
        p.heard(80);
        let part = p.part_len(1_344, session()).unwrap();
        assert!(part % 64 == 0 && part < 1_200 && part * 2 >= 1_344);
        p.heard(1_380);
        assert_eq!(p.part_len(1_344, session()), None);
    }
}
