//! What leaves next: control, then unicast within its share, then repairs and fresh data of the
//! channels in turn; all of it through one pacer.

use core::ops::Bound;

use crate::config;
use crate::engine::Link;
use crate::engine::sender::offered::{Offered, Phase};
use crate::engine::sender::{Sender, ip_len};
use crate::engine::{Burst, ObjectKey, PacketKind, Run};
use crate::ids::{BlockNo, ChannelNo, ReceiverId};
use crate::time::Time;
use crate::wire::{self, DataHeader, Need, Needs, SenderBody};
use core::time::Duration;

/// Packets in a run: what fits one segmented send of 64 KB with the default symbol.
const MAX_RUN: usize = 44;
/// The most UDP payload in one segmented send.
const MAX_RUN_BYTES: usize = 65_000;
/// The time at the rate that one run should fill.
const RUN_TIME: Duration = Duration::from_millis(1);
/// A confirm is kept to this many bytes of UDP payload.
const CONFIRM_LEN: usize = 1_200;

impl Sender {
    /// Fills `burst` with what is to be sent now; false when nothing is, until the next input or timeout.
    pub fn poll_transmit(&mut self, now: Time, burst: &mut Burst) -> bool {
        if self.finished {
            return false;
        }
        if core::mem::take(&mut self.recheck) {
            self.update(now);
            self.send_syncs(now);
        }
        let credit = self.pacer.may_send(now);
        if credit == 0 {
            return false;
        }
        self.make_confirms();
        if self.outbox.pop(burst) {
            let bytes = ip_len(burst.to, burst.control.len());
            self.pacer.sent(bytes);
            self.stats
                .sent
                .add(burst.kind, 1, burst.control.len() as u64);
            return true;
        }
        if credit < self.quantum() || !self.started || self.ending.is_some() {
            return false;
        }
        self.unicast_burst(now, credit, burst) || self.group_burst(now, credit, burst)
    }

    /// IP bytes that a run waits for: about 1 ms of the rate, at least a packet.
    fn quantum(&self) -> u64 {
        let run = self.config.rate.bytes_in(RUN_TIME).min(self.pacer.burst());
        let first = self.config.groups[0];
        run.clamp(
            1,
            ip_len(first, wire::data_packet_len(config::DEFAULT_SYMBOL_SIZE)) * MAX_RUN as u64,
        )
    }

    /// When the pacer, or a unicast path, lets the next thing leave that waits; none if nothing does.
    pub(super) fn next_transmit(&self) -> Option<Time> {
        if !self.outbox.is_empty() {
            return Some(self.pacer.next_at(1));
        }
        if !self.started || self.ending.is_some() {
            return None;
        }
        let at = self.pacer.next_at(self.quantum());
        if self
            .objects
            .iter()
            .any(|o| o.phase == Phase::Running && self.has_resident_work(o))
        {
            return Some(at);
        }
        let share = self.unicast_pacer.next_at(1);
        let paths = self.unicast_paths();
        let waits = paths.filter(|p| {
            p.next()
                .is_some_and(|(key, block)| self.slots.is_ready(key, block, false))
        });
        let ready = waits.map(|p| p.congestion.next_send_at(p.symbol_len)).min();
        ready
            .filter(|&t| t != Time::NEVER)
            .map(|t| t.max(at).max(share))
    }

    /// Some block with work is in its slot; otherwise the read's end is the next event.
    fn has_resident_work(&self, offered: &Offered) -> bool {
        let Some(&key) = self.by_coding.get(&offered.coding) else {
            return false;
        };
        let blocks = [offered.next_repair(), offered.next_fresh()];
        blocks
            .into_iter()
            .flatten()
            .any(|(block, parity)| self.slots.is_ready(key, block, parity))
    }

    /// Writes what is to be confirmed: for each block all that is about to be repaired, so that it
    /// covers the needs of many.
    fn make_confirms(&mut self) {
        for key in 0..self.objects.len() {
            let offered = &mut self.objects[key];
            if offered.confirm.is_empty() && offered.confirm_whole.is_empty() {
                continue;
            }
            let Some(channel) = offered.channel else {
                continue;
            };
            let coding = offered.coding;
            let geometry = offered.description.geometry;
            let whole = core::mem::take(&mut offered.confirm_whole);
            let blocks = core::mem::take(&mut offered.confirm);
            let repairs = blocks.into_iter().filter_map(|block| {
                let pending = offered.repairs.pending(block)?;
                if pending.any > 0 {
                    let lacking = (pending.any + pending.named.len()) as u16;
                    return Some(Need::Count { block, lacking });
                }
                let missing = &pending.named;
                Some(if missing.len() == usize::from(geometry.symbols(block)) {
                    Need::Blocks {
                        first: block,
                        count: 1,
                    }
                } else {
                    Need::Symbols {
                        block,
                        missing: missing.clone(),
                    }
                })
            });
            let packets = pack(whole, repairs.collect());
            for entries in packets {
                let body = SenderBody::Confirm(Needs { coding, entries });
                self.send_to_channel(channel, body, PacketKind::Confirm);
            }
        }
    }

    fn group_burst(&mut self, now: Time, credit: u64, burst: &mut Burst) -> bool {
        let channels = self.channels.len();
        for i in 0..channels {
            let number = (self.turn + i) % channels;
            for at in 0..self.channels[number].objects.len() {
                let key = self.channels[number].objects[at];
                if self.object_burst(now, key, number as ChannelNo, credit, burst) {
                    self.turn = number + 1;
                    return true;
                }
            }
        }
        false
    }

    fn object_burst(
        &mut self,
        now: Time,
        key: ObjectKey,
        number: ChannelNo,
        credit: u64,
        burst: &mut Burst,
    ) -> bool {
        let offered = &mut self.objects[key.0 as usize];
        if offered.phase != Phase::Running {
            return false;
        }
        let geometry = offered.description.geometry;
        let channel = &mut self.channels[usize::from(number)];
        let payload = wire::data_packet_len(geometry.symbol_size());
        let each = ip_len(channel.group, payload);
        let max = ((credit / each).max(1) as usize)
            .min(MAX_RUN)
            .min(MAX_RUN_BYTES / payload);
        // A little to repair goes first, because somebody's timer runs; a lot takes turns with fresh
        // data, so that no receiver's losses hold up the others.
        let backlog = offered.repairs.len() > 2 * usize::from(geometry.k());
        let repairs_first = !backlog || self.repair_turn;
        let slots = &mut self.slots;
        let ready = |next: Option<(BlockNo, bool)>| {
            next.filter(|&(b, parity)| slots.is_ready(key, b, parity))
        };
        let repair = ready(offered.next_repair());
        let fresh = ready(offered.next_fresh());
        let ((block, parity), is_repair) = match (repair, fresh) {
            (Some(next), None) => (next, true),
            (Some(next), Some(_)) if repairs_first => (next, true),
            (_, Some(next)) => (next, false),
            (None, None) => return false,
        };
        let Some(slot) = slots.ready(key, block, parity) else {
            return false;
        };
        burst.symbols.clear();
        if is_repair {
            offered.repairs.take_named(block, max, &mut burst.symbols);
            let any = offered.repairs.take_any(block, max - burst.symbols.len());
            offered.ring.take(block, any, &mut burst.symbols);
            self.stats.repairs += burst.symbols.len() as u64;
        } else if let Some((_, count)) = offered.walk.take(max) {
            offered.ring.take(block, count, &mut burst.symbols);
        }
        if backlog {
            self.repair_turn = !is_repair;
        }
        let first = DataHeader {
            channel: number,
            session: self.config.session,
            coding: offered.coding,
            packet: channel.next_packet,
            block,
            symbol: burst.symbols[0],
            repair: is_repair,
            part: None,
        };
        channel
            .log
            .sent(channel.next_packet, key.0, block, &burst.symbols);
        let count = burst.symbols.len() as u64;
        channel.next_packet += count;
        channel.full_at = Some(now);
        self.pacer.sent(count * each);
        let kind = if is_repair {
            PacketKind::Repair
        } else {
            PacketKind::Data
        };
        self.stats.sent.add(kind, count, count * payload as u64);
        burst.to = channel.group;
        burst.link = Link::GROUP;
        burst.kind = kind;
        burst.control.clear();
        burst.run = Some(Run {
            first,
            object: key,
            slot,
            part_len: None,
        });
        let offered = &self.objects[key.0 as usize];
        if !offered.has_work() || !is_repair && offered.walk.current().is_none() {
            self.recheck = true;
        }
        true
    }

    /// A run for one receiver on unicast, if the share for unicast and a path allow it.
    fn unicast_burst(&mut self, now: Time, credit: u64, burst: &mut Burst) -> bool {
        if self.unicast_members.is_empty() {
            return false;
        }
        let credit = credit.min(self.unicast_pacer.may_send(now));
        if credit == 0 {
            return false;
        }
        // The one after the last served goes first.
        let after = self.unicast_turn.map_or(Bound::Unbounded, Bound::Excluded);
        let order: Vec<ReceiverId> = self
            .unicast_members
            .range((after, Bound::Unbounded))
            .chain(self.unicast_members.range((
                Bound::Unbounded,
                self.unicast_turn.map_or(Bound::Unbounded, Bound::Included),
            )))
            .copied()
            .take(self.unicast_members.len())
            .collect();
        for id in order {
            if self.member_burst(now, id, credit, burst) {
                self.unicast_turn = Some(id);
                return true;
            }
        }
        false
    }

    fn member_burst(&mut self, now: Time, id: ReceiverId, credit: u64, burst: &mut Burst) -> bool {
        let Some(member) = self.roster.members.get_mut(&id) else {
            return false;
        };
        let (to, link) = (member.address, member.link);
        let Some(path) = member.unicast.as_deref_mut() else {
            return false;
        };
        while let Some(tag) = path.congestion.poll_lost() {
            path.needs_again(ObjectKey(tag.object), tag.block, tag.symbol);
        }
        let Some((key, block)) = path.current() else {
            return false;
        };
        let Some(slot) = self.slots.ready(key, block, false) else {
            return false;
        };
        let offered = &self.objects[key.0 as usize];
        let symbol_size = offered.description.geometry.symbol_size();
        let part_len = path.part_len(symbol_size);
        let (payload, parts) = match part_len {
            Some(len) => (
                usize::from(len) + wire::PART_HEADER_LEN + wire::TRAILER_LEN,
                symbol_size.div_ceil(len),
            ),
            None => (wire::data_packet_len(symbol_size), 1),
        };
        let each = ip_len(to, payload) * u64::from(parts);
        path.symbol_len = each;
        let allowed = credit.min(path.congestion.allowance(now));
        if !path.congestion.may_send(now, each) {
            return false;
        }
        let max = ((allowed / each).max(1) as usize)
            .min(MAX_RUN)
            .min(MAX_RUN_BYTES / payload / usize::from(parts));
        burst.symbols.clear();
        path.take(key, block, max.max(1), &mut burst.symbols);
        let Some(&symbol) = burst.symbols.first() else {
            return false;
        };
        let first = DataHeader {
            channel: path.channel,
            session: self.config.session,
            coding: offered.coding,
            packet: path.next_packet,
            block,
            symbol,
            repair: false,
            part: part_len.map(|_| 0),
        };
        if path.is_idle() {
            // The end is told at once, behind the last data.
            path.sync_due = now;
        }
        for &symbol in &burst.symbols {
            let tag = crate::unicast_fallback::Tag {
                object: key.0,
                block,
                symbol,
            };
            for _ in 0..parts {
                path.congestion.on_sent(
                    now,
                    path.next_packet,
                    (each / u64::from(parts)) as u32,
                    tag,
                );
                path.next_packet += 1;
            }
        }
        let symbols = burst.symbols.len() as u64;
        self.pacer.sent(symbols * each);
        self.unicast_pacer.sent(symbols * each);
        let packets = symbols * u64::from(parts);
        let bytes = symbols * (each - u64::from(parts) * ip_len(to, 0));
        self.stats.sent.add(PacketKind::UnicastData, packets, bytes);
        burst.to = to;
        burst.link = link;
        burst.kind = PacketKind::UnicastData;
        burst.control.clear();
        burst.run = Some(Run {
            first,
            object: key,
            slot,
            part_len,
        });
        true
    }
}

/// Puts needs into packets: whole blocks first, in order and without overlap, then the rest.
fn pack(mut whole: Vec<Need>, repairs: Vec<Need>) -> Vec<Vec<Need>> {
    whole.sort_by_key(Need::first_block);
    let mut runs: Vec<Need> = Vec::new();
    for need in whole {
        let Need::Blocks { first, count } = need else {
            continue;
        };
        let end = first.saturating_add(count);
        match runs.last_mut() {
            Some(Need::Blocks { first: f, count: c }) if *f + *c >= first => {
                *c = (*c).max(end - *f)
            }
            _ => runs.push(Need::Blocks { first, count }),
        }
    }
    let covered = |block: BlockNo| {
        runs.iter().any(|n| matches!(n, Need::Blocks { first, count } if (*first..*first + *count).contains(&block)))
    };
    let mut all: Vec<Need> = repairs
        .into_iter()
        .filter(|n| !covered(n.first_block()))
        .collect();
    all.extend(runs);
    all.sort_by_key(Need::first_block);
    let mut packets: Vec<Vec<Need>> = Vec::new();
    let mut room = 0;
    for need in all {
        let len = need.encoded_len();
        if len > room || packets.last().is_none_or(|p| p.len() >= wire::MAX_NEEDS) {
            packets.push(Vec::new());
            room = CONFIRM_LEN - wire::CONFIRM_EMPTY_LEN;
        }
        room = room.saturating_sub(len);
        if let Some(packet) = packets.last_mut() {
            packet.push(need);
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SymbolNo;
    use crate::symbol_set::SymbolSet;

    fn symbols(block: BlockNo, symbols: &[SymbolNo]) -> Need {
        let mut missing = SymbolSet::new();
        symbols.iter().for_each(|&s| {
            missing.insert(s);
        });
        Need::Symbols { block, missing }
    }

    #[test]
    fn confirms_are_in_order_and_do_not_overlap() {
        let whole = vec![
            Need::Blocks { first: 9, count: 3 },
            Need::Blocks { first: 4, count: 2 },
            Need::Blocks { first: 5, count: 3 },
        ];
        let packets = pack(
            whole,
            vec![symbols(2, &[1]), symbols(5, &[7]), symbols(12, &[3])],
        );
        let want = [
            symbols(2, &[1]),
            Need::Blocks { first: 4, count: 4 },
            Need::Blocks { first: 9, count: 3 },
            symbols(12, &[3]),
        ];
        assert_eq!(packets, [want.to_vec()]);
    }

    #[test]
    fn confirms_fit_their_packets() {
        let many: Vec<SymbolNo> = (0..512).step_by(2).collect();
        let repairs: Vec<Need> = (0..100).map(|b| symbols(b, &many)).collect();
        let packets = pack(Vec::new(), repairs);
        assert!(packets.len() > 1);
        for p in packets {
            let len: usize = p.iter().map(Need::encoded_len).sum();
            assert!(len + wire::CONFIRM_EMPTY_LEN <= CONFIRM_LEN);
        }
    }
}
