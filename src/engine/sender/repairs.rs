//! What receivers lack, and what is put in line for it.

use crate::carousel::Surplus;
use crate::engine::sender::{Channel, Sender};
use crate::engine::{DropReason, ObjectKey};
use crate::ids::{BlockNo, ChannelNo, MAX_PACKET_NO, PacketNo, ReceiverId, UNICAST_CHANNELS};
use crate::nak::backoff::k_for;
use crate::symbol_set::SymbolSet;
use crate::time::Time;
use crate::wire::{self, Nak, Need};

/// So few source symbols go out by name when all who ask lack the same: nobody has to decode.
const FEW: usize = 3;

impl Sender {
    pub(super) fn handle_nak(&mut self, now: Time, id: ReceiverId, channel: ChannelNo, nak: &Nak) {
        let Some(&key) = self.by_coding.get(&nak.needs.coding) else {
            return self.stats.dropped.add(DropReason::NotWanted);
        };
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        member.naks += 1;
        let geometry = self.objects[key.0 as usize].description.geometry;
        if let Some(path) = &mut member.unicast {
            if path.channel == channel || channel < UNICAST_CHANNELS {
                // Before it has heard anything on the path, nothing of it is on its way.
                let seen_to = if path.channel == channel {
                    nak.seen_to
                } else {
                    MAX_PACKET_NO
                };
                path.handle_needs(key, geometry, seen_to, &nak.needs.entries, nak.more);
            }
            if channel < UNICAST_CHANNELS {
                self.handle_exile(now, id);
            }
            return;
        }
        let carousels = self.channels.get(usize::from(channel));
        if carousels.is_none_or(|c| !c.carousels.contains_key(&key)) {
            return self.stats.dropped.add(DropReason::NotWanted);
        }
        if !member.lacks(key) {
            // It had said that it was done; it knows better now.
            member.want(key);
            self.recount = true;
        }
        self.answer(now, id, key, channel, nak);
    }

    /// Puts what a NAK asks for in line, of whole blocks no more than `room` symbols need.
    pub(super) fn handle_need(
        &mut self,
        now: Time,
        key: ObjectKey,
        channel: ChannelNo,
        seen_to: PacketNo,
        need: &Need,
        room: u64,
    ) {
        let grtt = self.grtt();
        let group_feedback = self.config.group_feedback;
        let Channel { log, carousels, .. } = &mut self.channels[usize::from(channel)];
        let Some(carousel) = carousels.get_mut(&key) else {
            return;
        };
        let geometry = carousel.geometry;
        let receivers = carousel.listeners.max(1);
        let k = u32::from(k_for(group_feedback, receivers));
        match need {
            Need::Blocks { first, count } => {
                let blocks = room.div_ceil(u64::from(geometry.k()));
                let count = u32::try_from(blocks).unwrap_or(u32::MAX).min(*count);
                let end = first.saturating_add(count).min(geometry.blocks());
                let Some(count) = end.checked_sub(*first).filter(|&n| n > 0) else {
                    return;
                };
                carousel.walk.want(*first..end);
                if receivers > 1 && carousel.confirm_whole.len() < wire::MAX_NEEDS {
                    let first = *first;
                    carousel.confirm_whole.push(Need::Blocks { first, count });
                }
            }
            Need::Count { block, lacking } if geometry.parity(*block) > 0 => {
                let lacking = usize::from((*lacking).min(geometry.symbols(*block)));
                self.repair_any(key, channel, seen_to, *block, lacking, None);
            }
            // Which they are was not said, and nothing else will do.
            Need::Count { block, .. } => carousel.walk.want(*block..block.saturating_add(1)),
            Need::Symbols { block, missing } if geometry.parity(*block) > 0 => {
                let mut named = missing.clone();
                named.intersect_with(&SymbolSet::full(geometry.symbols(*block)));
                self.repair_any(key, channel, seen_to, *block, named.len(), Some(named));
            }
            Need::Symbols { block, missing } => {
                if carousel.walk.is_ahead(*block) {
                    return;
                }
                let all = geometry.symbols(*block);
                let mut lacking = missing.clone();
                lacking.intersect_with(&SymbolSet::full(all));
                if let Some(from) = carousel.walk.brings_from(*block) {
                    lacking.remove_range(from..all);
                }
                log.subtract_since(seen_to, key.0, *block, &mut lacking);
                if lacking.is_empty() {
                    return;
                }
                let pending = carousel.repairs.pending(*block);
                if pending.is_none_or(|p| !lacking.is_subset(&p.named)) {
                    let hearing = carousel.hearing(now, *block, grtt * (k + 2));
                    hearing.heard(&lacking);
                    if hearing.wants_whole(all, receivers) {
                        carousel.forget_hearing(*block);
                        lacking = SymbolSet::full(all);
                        log.subtract_since(seen_to, key.0, *block, &mut lacking);
                    }
                    carousel.repairs.add(*block, &lacking);
                }
                if receivers > 1 && carousel.repairs.pending(*block).is_some() {
                    carousel.confirm.insert(*block);
                }
            }
        }
    }

    /// A block with parity lacks `lacking` symbols: as many fresh ones serve everybody, so what anyone
    /// lacks most is sent once.
    fn repair_any(
        &mut self,
        key: ObjectKey,
        channel: ChannelNo,
        seen_to: PacketNo,
        block: BlockNo,
        lacking: usize,
        named: Option<SymbolSet>,
    ) {
        let Channel {
            log,
            carousels,
            tier,
            ..
        } = &mut self.channels[usize::from(channel)];
        let loss = self.tiers[tier.unwrap_or(0)].loss;
        let Some(carousel) = carousels.get_mut(&key) else {
            return;
        };
        if carousel.walk.is_ahead(block) || carousel.walk.brings_from(block).is_some() {
            return;
        }
        let lacking = lacking.saturating_sub(log.count_since(seen_to, key.0, block));
        if lacking == 0 {
            return;
        }
        let few = named.filter(|n| n.len() <= FEW && n.len() == lacking);
        let more = if carousel.walk.is_at_end() {
            let lacking = u16::try_from(lacking).unwrap_or(u16::MAX);
            usize::from(Surplus::for_last(loss, carousel.listeners, lacking))
        } else {
            0
        };
        let few = few.filter(|_| more == 0);
        carousel
            .repairs
            .add_lacking(block, lacking + more, few.as_ref());
        if carousel.listeners > 1 {
            carousel.confirm.insert(block);
        }
    }
}
