//! What a receiver lacks and has got, said while data comes: NAKs, and acknowledgements on unicast.

use core::ops::Range;

use crate::assemble::Holdings;
use crate::engine::receiver::Receiver;
use crate::engine::{PacketKind, ip_len};
use crate::ids::{BlockNo, ChannelNo, ShortCodingId};
use crate::time::Time;
use crate::wire::{self, Ack, Nak, Need, Needs, ReceiverBody};

/// A NAK is kept to this many bytes of UDP payload.
const NAK_LEN: usize = 1_200;
/// So few missing symbols are named even where a number would do.
const FEW: usize = 3;
/// Blocks looked at for one round of NAKs.
const MAX_BLOCKS: usize = 256;

impl Receiver {
    /// Sends the NAKs that are due: on the group those whose waits have ended, on unicast all that
    /// is lacking.
    pub(super) fn send_due_naks(&mut self, now: Time) {
        if !self.has_room() {
            return;
        }
        if self
            .unicast
            .as_ref()
            .and_then(|u| u.nak_due)
            .is_some_and(|at| at <= now)
        {
            self.send_unicast_naks(now);
        }
        if self.nak_share.next_at(self.own_share()) > now {
            return;
        }
        let timing = self.timing();
        let Some(sender) = self.session.as_ref().map(|s| s.address) else {
            return;
        };
        for at in 0..self.objects.len() {
            let rx = &mut self.objects[at];
            let object = self.library.get(rx.key).filter(|o| o.is_lacking());
            let is_due = rx.naks.next_due().is_some_and(|due| due <= now);
            let Some(object) = object.filter(|_| is_due) else {
                continue;
            };
            let Some(channel) = rx.channel else {
                // Its data is heard, but not yet where it runs: the end of the cycle asks again.
                rx.naks.clear();
                continue;
            };
            let mut blocks = Vec::new();
            rx.naks
                .take_due(now, MAX_BLOCKS, timing, &mut self.rng, &mut blocks);
            let runs = blocks.iter().map(|&b| b..b + 1);
            let (entries, next) = needs_of(object.holdings(), runs, true);
            if let Some(next) = next {
                let rest: Vec<BlockNo> = blocks.into_iter().filter(|&b| b >= next).collect();
                rx.naks.put_back(now, &rest);
            }
            // A block of which nothing is here comes with the next cycle once the sender knows of it:
            // until that has passed, or the sender asks again, there is nothing to repeat.
            for entry in &entries {
                if let Need::Blocks { first, count } = *entry {
                    (first..first.saturating_add(count)).for_each(|b| rx.naks.filled(b));
                }
            }
            let coding = object.coding();
            let to = channel.feedback_group().unwrap_or(sender);
            if !entries.is_empty() {
                let needs: usize = entries.iter().map(Need::encoded_len).sum();
                let envelope = PacketKind::Nak.envelope(self.config.sealed);
                let bytes = ip_len(to, wire::NAK_EMPTY_LEN + needs + envelope);
                self.nak_share.sent(now, bytes, self.own_share());
            }
            self.send_nak(now, to, channel.number, coding, entries, next.is_some());
        }
    }

    /// All that is lacking of every object, as far as a packet for each can say.
    pub(super) fn send_unicast_naks(&mut self, now: Time) {
        let channel = match &mut self.unicast {
            Some(path) => {
                path.nak_due = None;
                path.nak_sent = Some(now);
                Some(path.channel)
            }
            None => None,
        };
        let Some(to) = self.session.as_ref().map(|s| s.address) else {
            return;
        };
        for at in 0..self.objects.len() {
            let rx = &self.objects[at];
            let object = self.library.get(rx.key);
            let Some(object) = object.filter(|o| !o.needs_nothing()) else {
                continue;
            };
            let holdings = object.holdings();
            let (entries, next) = needs_of(holdings, holdings.incomplete(), false);
            let number = channel.unwrap_or_else(|| rx.channel.map_or(0, |c| c.number));
            let coding = object.coding();
            self.send_nak(now, to, number, coding, entries, next.is_some());
        }
    }

    fn send_nak(
        &mut self,
        now: Time,
        to: core::net::SocketAddr,
        channel: ChannelNo,
        coding: ShortCodingId,
        entries: Vec<Need>,
        more: bool,
    ) {
        if entries.is_empty() {
            return;
        }
        let seen_to = self.channel(channel).seen_to;
        let nak = Nak {
            seen_to,
            needs: Needs { coding, entries },
            more,
        };
        self.send(now, to, channel, ReceiverBody::Nak(nak), PacketKind::Nak);
    }

    /// Acknowledges what came over unicast, if that is due.
    pub(super) fn send_due_acks(&mut self, now: Time) {
        let Some(path) = self
            .unicast
            .as_mut()
            .filter(|u| u.ack_due.is_some_and(|at| at <= now))
        else {
            return;
        };
        let (ranges, delay) = path.take_ack(now);
        let channel = path.channel;
        let ack = Ack {
            ranges,
            delay,
            largest_heard: self.largest_heard,
        };
        let Some(to) = self.session.as_ref().map(|s| s.address) else {
            return;
        };
        self.send(now, to, channel, ReceiverBody::Ack(ack), PacketKind::Ack);
    }
}

/// What the blocks lack, as entries that fit a NAK, lowest first; and the first block that did not
/// fit. Of blocks with parity it may be enough to say how many symbols, `by_number`.
fn needs_of(
    holdings: &Holdings,
    runs: impl Iterator<Item = Range<BlockNo>>,
    by_number: bool,
) -> (Vec<Need>, Option<BlockNo>) {
    let mut entries: Vec<Need> = Vec::new();
    let mut room = NAK_LEN - wire::NAK_EMPTY_LEN;
    for run in runs {
        let mut block = run.start;
        while block < run.end {
            let end = holdings.absent_until(block, run.end);
            let lacking = holdings.lacking(block);
            let need = if end > block {
                Need::Blocks {
                    first: block,
                    count: end - block,
                }
            } else if by_number && lacking > FEW && holdings.geometry().parity(block) > 0 {
                Need::Count {
                    block,
                    lacking: lacking as u16,
                }
            } else {
                Need::Symbols {
                    block,
                    missing: holdings.missing(block),
                }
            };
            let at = block;
            block = end.max(at + 1);
            if holdings.is_complete(at) {
                continue;
            }
            if let (Need::Blocks { count: more, .. }, Some(Need::Blocks { first, count })) =
                (&need, entries.last_mut())
                && *first + *count == at
            {
                *count += more;
                continue;
            }
            let len = need.encoded_len();
            if len > room || entries.len() >= wire::MAX_NEEDS {
                return (entries, Some(at));
            }
            room -= len;
            entries.push(need);
        }
    }
    (entries, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Geometry;

    #[test]
    fn runs_of_absent_blocks_are_one_entry_and_the_packet_is_kept_to() {
        let g = Geometry::new(10_000 * 512 * 1024, 1024, 512, 0, 64).unwrap();
        let mut h = Holdings::new(g);
        let (entries, next) = needs_of(&h, h.incomplete(), false);
        assert_eq!(
            (entries, next),
            (
                vec![Need::Blocks {
                    first: 0,
                    count: g.blocks()
                }],
                None
            )
        );
        for block in 0..g.blocks() {
            for symbol in (0..g.symbols(block)).step_by(2) {
                h.insert(block, symbol);
            }
        }
        let (entries, next) = needs_of(&h, h.incomplete(), false);
        let len: usize = entries.iter().map(Need::encoded_len).sum();
        assert!(len + wire::NAK_EMPTY_LEN <= NAK_LEN && entries.len() > 5);
        assert_eq!(next, Some(entries.last().unwrap().first_block() + 1));
    }
}
