//! What a sender sends to one receiver that the group does not reach.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::carousel::Repairs;
use crate::engine::sender::padded_len;
use crate::engine::{ObjectKey, PacketKind};
use crate::ids::{BlockNo, ChannelNo, PacketNo, SymbolNo};
use crate::object::Geometry;
use crate::range_set::RangeSet;
use crate::symbol_set::SymbolSet;
use crate::time::Time;
use crate::unicast_fallback::CongestionPath;
use crate::wire::{self, Need};

/// A data packet in parts is no larger than this in UDP payload: with IPv6 it stays below 1,280
/// bytes, which every path carries (RFC 8200 §5).
const NARROW_PAYLOAD: u16 = 1_200;
/// Full-sized SYNCs that a receiver must have missed before the path counts as narrow.
const NARROW_PROBES: u32 = 3;

/// One receiver's path and what it lacks.
#[derive(Debug)]
pub(super) struct UnicastPath {
    /// The path's own channel number.
    pub(super) channel: ChannelNo,
    pub(super) next_packet: PacketNo,
    pub(super) congestion: CongestionPath,
    /// IP bytes that a symbol takes, in one packet or in parts.
    pub(super) symbol_len: u64,
    needs: BTreeMap<ObjectKey, Lacking>,
    /// The largest UDP payload that the receiver has heard on this path.
    pub(super) largest_heard: u16,
    pub(super) sync_due: Time,
    pub(super) syncs: u32,
    /// Full-sized SYNCs sent, and how many of them before the receiver was last heard.
    padded: u32,
    padded_then_heard: u32,
}

#[derive(Debug)]
struct Lacking {
    geometry: Geometry,
    /// Blocks of which nothing was sent since they were asked for.
    whole: RangeSet,
    /// Symbols of others.
    partial: Repairs,
}

impl UnicastPath {
    pub(super) fn new(
        now: Time,
        channel: ChannelNo,
        next_packet: PacketNo,
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

    /// The receiver lacks all of the object.
    pub(super) fn needs_all(&mut self, object: ObjectKey, geometry: Geometry) {
        let mut whole = RangeSet::new();
        whole.insert(0..u64::from(geometry.blocks()));
        self.needs.insert(
            object,
            Lacking {
                geometry,
                whole,
                partial: Repairs::new(),
            },
        );
    }

    /// A NAK says what the receiver lacks of the object, and takes the place of what was known; if it
    /// had `more` to say, only as far as it goes. What left in packets from `seen_to` on is on its way.
    pub(super) fn handle_needs(
        &mut self,
        object: ObjectKey,
        geometry: Geometry,
        seen_to: PacketNo,
        needs: &[Need],
        more: bool,
    ) {
        let mut lacking = Lacking {
            geometry,
            whole: RangeSet::new(),
            partial: Repairs::new(),
        };
        let blocks = geometry.blocks();
        for need in needs {
            match need {
                Need::Blocks { first, count } => {
                    let end = first.saturating_add(*count).min(blocks);
                    lacking
                        .whole
                        .insert(u64::from(*first)..u64::from(end).max(u64::from(*first)));
                }
                Need::Count { block, .. } if *block < blocks => {
                    lacking
                        .whole
                        .insert(u64::from(*block)..u64::from(*block) + 1);
                }
                Need::Count { .. } => {}
                Need::Symbols { block, missing } => {
                    let mut missing = missing.clone();
                    missing.intersect_with(&SymbolSet::full(geometry.symbols(*block)));
                    lacking.partial.add(*block, &missing);
                }
            }
        }
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
    pub(super) fn needs_again(&mut self, object: ObjectKey, block: BlockNo, symbol: SymbolNo) {
        if let Some(lacking) = self.needs.get_mut(&object)
            && !lacking.whole.contains(u64::from(block))
        {
            let mut set = SymbolSet::new();
            set.insert(symbol);
            lacking.partial.add(block, &set);
        }
    }

    /// The receiver has finished with the object, or it is gone.
    pub(super) fn forget(&mut self, object: ObjectKey) {
        self.needs.remove(&object);
    }

    /// The block that the next symbols come from.
    pub(super) fn current(&mut self) -> Option<(ObjectKey, BlockNo)> {
        let (&key, lacking) = self.needs.iter_mut().find(|(_, l)| !l.is_empty())?;
        if lacking.partial.is_empty()
            && let Some(block) = lacking.whole.first()
        {
            lacking.whole.remove(block..block + 1);
            let block = block as BlockNo;
            lacking
                .partial
                .add(block, &SymbolSet::full(lacking.geometry.symbols(block)));
        }
        lacking.partial.current().map(|block| (key, block))
    }

    /// The same, without taking it up.
    pub(super) fn next(&self) -> Option<(ObjectKey, BlockNo)> {
        let (&key, lacking) = self.needs.iter().find(|(_, l)| !l.is_empty())?;
        let whole = || lacking.whole.first().map(|b| b as BlockNo);
        lacking
            .partial
            .current()
            .or_else(whole)
            .map(|block| (key, block))
    }

    /// The block after that, to be read ahead.
    pub(super) fn upcoming(&self) -> Option<(ObjectKey, BlockNo)> {
        let (&key, lacking) = self.needs.iter().find(|(_, l)| !l.is_empty())?;
        let current = lacking.partial.current();
        let next = current.and_then(|b| lacking.partial.after(b));
        next.or_else(|| lacking.whole.first().map(|b| b as BlockNo))
            .map(|b| (key, b))
    }

    /// Takes up to `max` symbols of the block to send.
    pub(super) fn take(
        &mut self,
        object: ObjectKey,
        block: BlockNo,
        max: usize,
        symbols: &mut Vec<SymbolNo>,
    ) {
        if let Some(lacking) = self.needs.get_mut(&object) {
            lacking.partial.take_named(block, max, symbols);
        }
    }

    /// Nothing is to be sent as far as is known.
    pub(super) fn is_idle(&self) -> bool {
        self.needs.values().all(Lacking::is_empty)
    }

    /// A SYNC left, padded to full size or not.
    pub(super) fn sync_sent(&mut self, padded: bool) {
        self.syncs += 1;
        self.padded += u32::from(padded);
    }

    /// The receiver was heard, and the largest UDP payload that it has heard is this.
    pub(super) fn heard(&mut self, largest_heard: u16) {
        self.largest_heard = self.largest_heard.max(largest_heard);
        self.padded_then_heard = self.padded;
    }

    /// The length of parts to send symbols in, when several full-sized packets were lost while
    /// smaller ones came back.
    pub(super) fn part_len(&self, symbol_size: u16, sealed: bool) -> Option<u16> {
        let narrow = self.padded_then_heard >= NARROW_PROBES
            && self.largest_heard < padded_len(sealed, symbol_size);
        narrow.then(|| {
            let around = PacketKind::UnicastData.envelope(sealed) + wire::PART_HEADER_LEN;
            let room = NARROW_PAYLOAD - (around + wire::TRAILER_LEN) as u16;
            let parts = symbol_size.div_ceil(room);
            symbol_size.div_ceil(parts).next_multiple_of(64)
        })
    }
}

impl Lacking {
    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.partial.is_empty()
    }

    /// Adds what `other` knows of the blocks after `block`.
    fn add_beyond(&mut self, block: BlockNo, other: &Lacking) {
        let beyond = u64::from(block) + 1;
        let ranges = other.whole.iter().filter(|r| r.end > beyond);
        for range in ranges {
            self.whole.insert(range.start.max(beyond)..range.end);
        }
        let mut at = block;
        while let Some(next) = other.partial.after(at) {
            if let Some(pending) = other.partial.pending(next) {
                self.partial.add(next, &pending.named);
            }
            at = next;
        }
    }

    fn remove(&mut self, block: BlockNo, symbol: SymbolNo) {
        if self.whole.remove(u64::from(block)..u64::from(block) + 1) > 0 {
            self.partial
                .add(block, &SymbolSet::full(self.geometry.symbols(block)));
        }
        self.partial.remove(block, symbol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> (UnicastPath, Geometry) {
        let g = Geometry::new(20 * 1024, 1024, 4, 0, 64).unwrap();
        (UnicastPath::new(Time::ZERO, 0x8000, 0, 1_100, None), g)
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
        p.needs_all(ObjectKey(1), g);
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
                crate::unicast_fallback::Tag {
                    object: 1,
                    block: 3,
                    symbol,
                },
            );
        }
        let needs = [Need::Blocks { first: 3, count: 1 }];
        p.handle_needs(ObjectKey(1), g, 1, &needs, false);
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
            p.part_len(1_344, false),
            None,
            "the receiver has not been heard since"
        );
        p.heard(80);
        let part = p.part_len(1_344, false).unwrap();
        assert!(part % 64 == 0 && part < 1_200 && part * 2 >= 1_344);
        p.heard(1_380);
        assert_eq!(p.part_len(1_344, false), None);
    }
}
