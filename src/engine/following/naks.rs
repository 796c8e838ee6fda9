//! What a receiver lacks and has got, said while data comes: NAKs, and acknowledgements on unicast.

use core::net::SocketAddr;

use crate::engine::following::Following;
use crate::engine::following::context::Context;
use crate::engine::following::needs::needs_of;
use crate::engine::following::unicast::UnicastRx;
use crate::engine::{Library, ObjectKey, PacketKind, ip_len};
use crate::ids::{BlockNo, ChannelNo};
use crate::nak::own_share;
use crate::time::Time;
use crate::wire::{self, Ack, ChannelInfo, Nak, Need, Needs, ReceiverBody};

/// Blocks looked at for one round of NAKs.
const MAX_BLOCKS: usize = 256;

impl Following {
    /// What it may spend on NAKs, in bytes a second.
    pub(super) fn own_share(&self) -> f64 {
        own_share(self.timing().receivers, self.channel_rate())
    }

    /// When a NAK may be due.
    pub(super) fn nak_due(&self, library: &Library) -> Option<Time> {
        let lacking = self.objects.lacking(library);
        let nak = lacking.filter_map(|(rx, _)| rx.naks.next_due()).min();
        let nak = nak.map(|at| at.max(self.nak_share.next_at(self.own_share())));
        let unicast_nak = self.unicast.as_ref().and_then(|u| u.nak_due);
        nak.into_iter().chain(unicast_nak).min()
    }

    /// Sends the NAKs that are due: on the group those whose waits have ended, on unicast all that
    /// is lacking.
    pub(super) fn send_due_naks(&mut self, cx: &mut Context<'_>) {
        if !cx.machine.has_room() {
            return;
        }
        let unicast_nak = self.unicast.as_ref().and_then(|u| u.nak_due);
        if unicast_nak.is_some_and(|at| at <= cx.now) {
            self.send_unicast_naks(cx);
        }
        if self.nak_share.next_at(self.own_share()) > cx.now {
            return;
        }
        let Some(sender) = self.sender() else {
            return;
        };
        let is_due = |at: Time| at <= cx.now;
        let due = self.objects.lacking(cx.library);
        let due = due.filter(|(rx, _)| rx.naks.next_due().is_some_and(is_due));
        let due: Vec<ObjectKey> = due.map(|(rx, _)| rx.key()).collect();
        for key in due {
            let Some((channel, needs, more)) = self.take_due(cx, key) else {
                continue;
            };
            let to = channel.feedback_group().unwrap_or(sender);
            if !needs.entries.is_empty() {
                let needs: usize = needs.entries.iter().map(Need::encoded_len).sum();
                let envelope = PacketKind::Nak.envelope(cx.config.sealed);
                let bytes = ip_len(to, wire::NAK_EMPTY_LEN + needs + envelope);
                self.nak_share.sent(cx.now, bytes, self.own_share());
            }
            self.send_nak(cx, to, channel.number, needs, more);
        }
    }

    /// What is due to be asked for of an object; on which channel, and whether it lacks more.
    fn take_due(
        &mut self,
        cx: &mut Context<'_>,
        key: ObjectKey,
    ) -> Option<(ChannelInfo, Needs, bool)> {
        let timing = self.timing();
        let object = cx.library.get(key)?;
        let rx = self.objects.get_mut(key)?;
        let Some(channel) = rx.channel else {
            // Its data is heard, but not yet where it runs: the end of the cycle asks again.
            rx.naks.clear();
            return None;
        };
        let mut blocks = Vec::new();
        rx.naks
            .take_due(cx.now, MAX_BLOCKS, timing, cx.rng, &mut blocks);
        // All that is held back is asked for anew when the table is here.
        blocks.retain(|&b| {
            let asks = object.may_ask_for(b);
            if !asks {
                rx.naks.filled(b);
            }
            asks
        });
        let runs = blocks.iter().map(|&b| b..b + 1);
        let (entries, next) = needs_of(object.holdings(), runs, true);
        if let Some(next) = next {
            let rest: Vec<BlockNo> = blocks.into_iter().filter(|&b| b >= next).collect();
            rx.naks.put_back(cx.now, &rest);
        }
        // A block of which nothing is here comes with the next cycle once the sender knows of it:
        // until that has passed, or the sender asks again, there is nothing to repeat.
        for entry in &entries {
            if let Need::Blocks { first, count } = *entry {
                (first..first.saturating_add(count)).for_each(|b| rx.naks.filled(b));
            }
        }
        let coding = object.coding();
        Some((channel, Needs { coding, entries }, next.is_some()))
    }

    /// All that is lacking of every object, as far as a packet for each can say.
    pub(super) fn send_unicast_naks(&mut self, cx: &mut Context<'_>) {
        let channel = self.unicast.as_mut().map(|path| {
            path.nak_due = None;
            path.nak_sent = Some(cx.now);
            path.channel
        });
        let Some(to) = self.sender() else {
            return;
        };
        let lacking = self.objects.lacking(cx.library);
        let lacking: Vec<ObjectKey> = lacking.map(|(rx, _)| rx.key()).collect();
        for key in lacking {
            let Some(object) = cx.library.get(key).filter(|o| !o.needs_nothing()) else {
                continue;
            };
            let holdings = object.holdings();
            let (entries, next) = needs_of(holdings, holdings.incomplete(), false);
            let coding = object.coding();
            let on_group = self.objects.get_mut(key).and_then(|rx| rx.channel);
            let number = channel.unwrap_or_else(|| on_group.map_or(0, |c| c.number));
            let more = next.is_some();
            self.send_nak(cx, to, number, Needs { coding, entries }, more);
        }
    }

    fn send_nak(
        &mut self,
        cx: &mut Context<'_>,
        to: SocketAddr,
        channel: ChannelNo,
        needs: Needs,
        more: bool,
    ) {
        if needs.entries.is_empty() {
            return;
        }
        let seen_to = self.channels.get(channel).seen_to;
        let nak = Nak {
            seen_to,
            needs,
            more,
        };
        self.send(cx, to, channel, ReceiverBody::Nak(nak), PacketKind::Nak);
    }

    /// Acknowledges what came over unicast, if that is due.
    pub(super) fn send_due_acks(&mut self, cx: &mut Context<'_>) {
        let is_due = |u: &&mut UnicastRx| u.ack_due.is_some_and(|at| at <= cx.now);
        let Some(path) = self.unicast.as_mut().filter(is_due) else {
            return;
        };
        let (ranges, delay) = path.take_ack(cx.now);
        let channel = path.channel;
        let ack = Ack {
            ranges,
            delay,
            largest_heard: self.channels.largest_heard(),
        };
        let Some(to) = self.sender() else {
            return;
        };
        self.send(cx, to, channel, ReceiverBody::Ack(ack), PacketKind::Ack);
    }

    /// What an object lacks was not asked for until now, and is from now on.
    pub(crate) fn lack_all(&mut self, cx: &mut Context<'_>, key: ObjectKey) {
        let timing = self.timing();
        let on_unicast = self.path.is_unicast();
        match &mut self.unicast {
            Some(path) if on_unicast => path.ask_soon(cx.now, timing.grtt),
            _ if on_unicast || self.silent || self.session.is_none() => {}
            _ => {
                let object = cx.library.get(key);
                let rx = self.objects.get_mut(key);
                if let (Some(object), Some(rx)) = (object, rx) {
                    rx.catch_up(cx.now, object.holdings(), timing, cx.rng);
                }
            }
        }
    }

    /// A block that was here is lacking after all: it is asked for like any other.
    pub(crate) fn lack(&mut self, cx: &mut Context<'_>, key: ObjectKey, block: BlockNo) {
        let timing = self.timing();
        let on_unicast = self.path.is_unicast();
        if !self.objects.has(key) {
            return;
        }
        match &mut self.unicast {
            Some(path) if on_unicast => path.ask_soon(cx.now, timing.grtt),
            // All that is lacking is told when the join is heard.
            _ if on_unicast || self.silent || self.session.is_none() => {}
            _ => {
                if let Some(rx) = self.objects.get_mut(key) {
                    rx.naks.passed(cx.now, block, timing, cx.rng);
                }
            }
        }
    }
}
