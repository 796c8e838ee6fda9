//! What leaves next: control, then unicast within its share, then repairs and fresh data of the
//! channels in turn, then unicast within what is lent to it; all of it through one pacer, and each
//! tier through its own.

use core::ops::Bound;

use crate::engine::Link;
use crate::engine::sender::{Channel, Sender, usual_packet};
use crate::engine::{Burst, ObjectKey, PacketKind, Run, ip_len};
use crate::ids::{ChannelNo, ReceiverId};
use crate::rate::Pacer;
use crate::time::Time;
use crate::wire::{self, DataHeader};
use core::time::Duration;

/// Packets in a run: what fits one segmented send of 64 KB with the default symbol.
const MAX_RUN: usize = 44;
/// The most UDP payload in one segmented send.
const MAX_RUN_BYTES: usize = 65_000;
/// The time at the rate that one run should fill.
const RUN_TIME: Duration = Duration::from_millis(1);

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
        self.make_confirms(now);
        if self.outbox.pop(burst) {
            let bytes = ip_len(
                burst.to,
                burst.control.len() + burst.kind.envelope(self.config.sealed),
            );
            self.pacer.sent(bytes);
            if burst.kind == PacketKind::Sync && !burst.to.ip().is_multicast() {
                // What a path of one receiver costs beside its data is of unicast's share.
                self.unicast_pacer.sent(bytes);
            }
            self.stats
                .sent
                .add(burst.kind, 1, burst.control.len() as u64);
            return true;
        }
        if credit < self.quantum(&self.pacer) || !self.started || self.ending.is_some() {
            return false;
        }
        let sends = self.unicast_burst(now, credit, false, burst)
            || self.group_burst(now, credit, burst)
            || self.unicast_burst(now, credit, true, burst);
        if !sends && self.next_transmit().is_none() {
            self.pacer.rest();
        }
        sends
    }

    /// IP bytes that a run waits for: about 1 ms of the rate, at least a packet.
    fn quantum(&self, pacer: &Pacer) -> u64 {
        let run = pacer.rate().bytes_in(RUN_TIME).min(pacer.burst());
        let first = self.config.groups[0];
        run.clamp(1, usual_packet(first, self.config.sealed) * MAX_RUN as u64)
    }

    /// When the pacer, or a unicast path, lets the next thing leave that waits; none if nothing does.
    pub(super) fn next_transmit(&self) -> Option<Time> {
        if !self.outbox.is_empty() {
            return Some(self.pacer.next_at(1));
        }
        if !self.started || self.ending.is_some() {
            return None;
        }
        let at = self.pacer.next_at(self.quantum(&self.pacer));
        let busy = self.channels.iter().filter(|c| self.has_resident_work(c));
        let next_at = |pacer: &Pacer| pacer.next_at(self.quantum(pacer));
        let group = busy
            .map(|c| {
                let tier = &self.tiers[c.tier.unwrap_or(0)];
                next_at(&c.pacer).max(next_at(&tier.pacer)).max(at)
            })
            .min();
        let unicast = self.next_unicast().map(|t| t.max(at));
        group.into_iter().chain(unicast).min()
    }

    fn next_unicast(&self) -> Option<Time> {
        let share = self
            .unicast_pacer
            .next_at(1)
            .min(self.lent_pacer.next_at(1));
        let paths = self.unicast_paths();
        let waits = paths.filter(|p| {
            p.next()
                .is_some_and(|(key, block)| self.slots.is_ready(key, block, false))
        });
        let ready = waits.map(|p| p.congestion.next_send_at(p.symbol_len)).min();
        ready.filter(|&t| t != Time::NEVER).map(|t| t.max(share))
    }

    /// Some block with work is in its slot; otherwise the read's end is the next event.
    fn has_resident_work(&self, channel: &Channel) -> bool {
        channel.carousels.iter().any(|(&key, c)| {
            let is_ready = |block, parity| self.slots.is_ready(key, block, parity);
            c.next_run(self.repair_turn, is_ready).is_some()
        })
    }

    fn group_burst(&mut self, now: Time, credit: u64, burst: &mut Burst) -> bool {
        let channels = self.channels.len();
        let mut paced = 0_u32;
        for i in 0..channels {
            let number = (self.turn + i) % channels;
            let tier = self.channels[number].tier.unwrap_or(0);
            let all = self.tiers[tier].pacer.may_send(now);
            if all < self.quantum(&self.tiers[tier].pacer) {
                paced |= 1 << tier;
                continue;
            }
            let own = self.channels[number].pacer.may_send(now);
            if own >= self.quantum(&self.channels[number].pacer)
                && self.channel_burst(now, number as ChannelNo, credit.min(own).min(all), burst)
            {
                self.turn = number + 1;
                return true;
            }
        }
        // A tier that waits for something to send and not for its pacer has missed nothing.
        for (number, tier) in self.tiers.iter_mut().enumerate() {
            if paced & 1 << number == 0 {
                tier.pacer.rest();
            }
        }
        false
    }

    /// A run of the first object on a channel that has something to send in memory.
    fn channel_burst(
        &mut self,
        now: Time,
        number: ChannelNo,
        credit: u64,
        burst: &mut Burst,
    ) -> bool {
        let one_way = self.config.one_way.is_some();
        let around = PacketKind::Data.envelope(self.config.sealed);
        let channel = &mut self.channels[usize::from(number)];
        let slots = &mut self.slots;
        let turn = self.repair_turn;
        let next = channel
            .carousels
            .iter()
            .find_map(|(&key, c)| Some((key, c.next_run(turn, |b, p| slots.is_ready(key, b, p))?)));
        let Some((key, next)) = next else {
            channel.pacer.rest();
            return false;
        };
        let (Some(carousel), Some(slot)) = (
            channel.carousels.get_mut(&key),
            slots.ready(key, next.block, next.parity),
        ) else {
            return false;
        };
        let payload = wire::data_packet_len(carousel.geometry.symbol_size());
        let each = ip_len(channel.group, payload + around);
        let max = ((credit / each).max(1) as usize)
            .min(MAX_RUN)
            .min(MAX_RUN_BYTES / payload);
        burst.symbols.clear();
        let tells = !next.is_repair && next.block == carousel.walk.position().block;
        carousel.take_run(next, max, &mut burst.symbols);
        if one_way && !next.is_repair {
            carousel.repeat_description(burst.symbols.len());
        }
        let ended = !carousel.has_work() || !next.is_repair && carousel.walk.current().is_none();
        self.recheck |= ended;
        if next.backlog {
            self.repair_turn = !next.is_repair;
        }
        let first = DataHeader {
            channel: number,
            session: self.config.session,
            coding: carousel.coding,
            packet: channel.next_packet,
            block: next.block,
            symbol: burst.symbols[0],
            repair: !tells,
            one_way,
            part: None,
        };
        channel
            .log
            .sent(channel.next_packet, key.0, next.block, &burst.symbols);
        let count = burst.symbols.len() as u64;
        channel.next_packet += count;
        channel.full_at = Some(now);
        self.pacer.sent(count * each);
        self.went.0 += count * each;
        channel.pacer.sent(count * each);
        let tier = &mut self.tiers[channel.tier.unwrap_or(0)];
        tier.pacer.sent(count * each);
        if let Some(control) = &mut tier.control {
            control.handle_sent(((count * each) as f64 / tier.spread) as u64);
        }
        // Where nobody asks, what goes out of turn is no repair.
        let kind = if next.is_repair && !one_way {
            self.stats.repairs += count;
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
        true
    }

    /// A run for one receiver on unicast, of its share or of what is `lent` to it, if a path allows
    /// it.
    fn unicast_burst(&mut self, now: Time, credit: u64, lent: bool, burst: &mut Burst) -> bool {
        if self.unicast_members.is_empty() {
            return false;
        }
        let pacer = match lent {
            true => &mut self.lent_pacer,
            false => &mut self.unicast_pacer,
        };
        let credit = credit.min(pacer.may_send(now));
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
            if let Some(bytes) = self.member_burst(now, id, credit, burst) {
                let pacer = match lent {
                    true => &mut self.lent_pacer,
                    false => &mut self.unicast_pacer,
                };
                pacer.sent(bytes);
                self.pacer.sent(bytes);
                self.went.1 += bytes;
                self.unicast_turn = Some(id);
                return true;
            }
        }
        false
    }

    /// IP bytes of a run for a receiver, if its path allows one.
    fn member_burst(
        &mut self,
        now: Time,
        id: ReceiverId,
        credit: u64,
        burst: &mut Burst,
    ) -> Option<u64> {
        let sealed = self.config.sealed;
        let around = PacketKind::UnicastData.envelope(sealed);
        let member = self.roster.members.get_mut(&id)?;
        let (to, link) = (member.address, member.link);
        let path = member.unicast.as_deref_mut()?;
        while let Some(tag) = path.congestion.poll_lost() {
            path.needs_again(ObjectKey(tag.object), tag.block, tag.symbol);
        }
        let (key, block) = path.current()?;
        let slot = self.slots.ready(key, block, false)?;
        let offered = &self.objects[key.0 as usize];
        let symbol_size = offered.description.geometry.symbol_size();
        let part_len = path.part_len(symbol_size, sealed);
        let (payload, parts) = match part_len {
            Some(len) => (
                usize::from(len) + wire::PART_HEADER_LEN + wire::TRAILER_LEN,
                symbol_size.div_ceil(len),
            ),
            None => (wire::data_packet_len(symbol_size), 1),
        };
        let each = ip_len(to, payload + around) * u64::from(parts);
        path.symbol_len = each;
        let allowed = credit.min(path.congestion.allowance(now));
        if !path.congestion.may_send(now, each) {
            return None;
        }
        let max = ((allowed / each).max(1) as usize)
            .min(MAX_RUN)
            .min(MAX_RUN_BYTES / payload / usize::from(parts));
        burst.symbols.clear();
        path.take(key, block, max.max(1), &mut burst.symbols);
        let &symbol = burst.symbols.first()?;
        let first = DataHeader {
            channel: path.channel,
            session: self.config.session,
            coding: offered.coding,
            packet: path.next_packet,
            block,
            symbol,
            repair: false,
            one_way: false,
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
        let packets = symbols * u64::from(parts);
        let bytes = symbols * (each - u64::from(parts) * ip_len(to, around));
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
        Some(symbols * each)
    }
}
