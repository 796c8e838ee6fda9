//! What is confirmed to everybody: the echo of NAKs, so that those who did not hear them are
//! suppressed too.

use crate::engine::sender::Sender;
use crate::engine::sender::carousel::Carousel;
use crate::engine::{Link, PacketKind};
use crate::ids::{BlockNo, ChannelNo};
use crate::time::Time;
use crate::wire::{self, Need, Needs, SenderBody};

/// A confirm is kept to this many bytes of UDP payload.
const CONFIRM_LEN: usize = 1_200;

impl Sender {
    /// Writes what is to be confirmed.
    pub(super) fn make_confirms(&mut self, now: Time) {
        // What waits covers all the more of what is asked for meanwhile.
        if !self.answers.is_open(now) {
            return;
        }
        for number in 0..self.channels.len() {
            let keys = self.channels[number].carousels.iter();
            let waits = |c: &Carousel| !c.confirm.is_empty() || !c.confirm_whole.is_empty();
            let Some((&key, _)) = keys.clone().find(|(_, c)| waits(c)) else {
                continue;
            };
            let carousels = self.channels[number].carousels.range_mut(key..);
            let packets: Vec<_> = carousels
                .filter(|(_, c)| waits(c))
                .flat_map(|(_, c)| c.take_confirms())
                .collect();
            for needs in packets {
                let body = SenderBody::Confirm(needs);
                let group = self.channels[number].group;
                self.reply(
                    now,
                    (group, Link::GROUP),
                    number as ChannelNo,
                    body,
                    PacketKind::Confirm,
                );
            }
        }
    }
}

impl Carousel {
    /// For each block all that is about to be repaired, so that it covers the needs of many.
    fn take_confirms(&mut self) -> Vec<Needs> {
        let coding = self.coding;
        let whole = core::mem::take(&mut self.confirm_whole);
        let blocks = core::mem::take(&mut self.confirm);
        let repairs = blocks.into_iter().filter_map(|block| {
            let pending = self.repairs.pending(block)?;
            if pending.any > 0 {
                let lacking = (pending.any + pending.named.len()) as u16;
                return Some(Need::Count { block, lacking });
            }
            let missing = &pending.named;
            Some(
                if missing.len() == usize::from(self.geometry.symbols(block)) {
                    Need::Blocks {
                        first: block,
                        count: 1,
                    }
                } else {
                    Need::Symbols {
                        block,
                        missing: missing.clone(),
                    }
                },
            )
        });
        let packets = pack(whole, repairs.collect());
        packets
            .into_iter()
            .map(|entries| Needs { coding, entries })
            .collect()
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
