//! What leaves next: control, then unicast within its share, then repairs and fresh data of the
//! channels in turn, then unicast within what is lent to it; all of it through one pacer, and each
//! tier through its own.

use core::time::Duration;

use crate::engine::sender::channel::{Channel, MAX_RUN};
use crate::engine::sender::serving::Serving;
use crate::engine::{Burst, PacketKind};
use crate::ids::{ChannelNo, ReceiverId};
use crate::rate::Pacer;
use crate::time::Time;

/// The time at the rate that one run should fill.
const RUN_TIME: Duration = Duration::from_millis(1);

impl Serving {
    /// Fills `burst` with what is to be sent now; false when nothing is, until the next input or
    /// timeout.
    pub(crate) fn poll_transmit(&mut self, now: Time, burst: &mut Burst) -> bool {
        if self.lifecycle.is_over() {
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
        if let Some(bytes) = self.outbox.pop(burst) {
            self.pacer.sent(bytes);
            if burst.kind == PacketKind::Sync && !burst.to.ip().is_multicast() {
                self.unicast.sent_control(bytes);
            }
            return true;
        }
        if credit < self.quantum(&self.pacer) || !self.lifecycle.sends_data() {
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
        let packet = self.session.usual_packet(self.config.groups[0]);
        run.clamp(1, packet * MAX_RUN as u64)
    }

    /// When the pacer, or a unicast path, lets the next thing leave that waits; none if nothing
    /// does.
    pub(super) fn next_transmit(&self) -> Option<Time> {
        if !self.outbox.is_empty() {
            return Some(self.pacer.next_at(1));
        }
        if !self.lifecycle.sends_data() {
            return None;
        }
        let next_at = |pacer: &Pacer| pacer.next_at(self.quantum(pacer));
        let at = next_at(&self.pacer);
        let tier = |channel: &Channel| self.tiers.get(channel.tier()).pacer();
        let busy = self.channels.iter().filter(|c| self.has_resident_work(c));
        let group = busy.map(|c| next_at(c.cap()).max(next_at(tier(c))).max(at));
        let unicast = self.unicast.next_transmit(&self.slots);
        let unicast = unicast.map(|t| t.max(at));
        group.min().into_iter().chain(unicast).min()
    }

    /// Some block with work is in its slot; otherwise the read's end is the next event.
    fn has_resident_work(&self, channel: &Channel) -> bool {
        let repair_turn = self.channels.repair_turn();
        channel.next_run(repair_turn, &self.slots).is_some()
    }

    fn group_burst(&mut self, now: Time, credit: u64, burst: &mut Burst) -> bool {
        let mut paced = 0_u32;
        for nth in 0..self.channels.len() {
            let number = self.channels.nth(nth);
            let tier = self.channels.get(number).tier();
            let all = self.tiers.get_mut(tier).pacer_mut().may_send(now);
            if all < self.quantum(self.tiers.get(tier).pacer()) {
                paced |= 1 << tier;
                continue;
            }
            let own = self.channels.get_mut(number).cap_mut().may_send(now);
            if own >= self.quantum(self.channels.get(number).cap())
                && self.channel_burst(now, number, credit.min(own).min(all), burst)
            {
                return true;
            }
        }
        // A tier that waits for something to send and not for its pacer has missed nothing.
        self.tiers.rest(paced);
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
        let repair_turn = self.channels.repair_turn();
        let channel = self.channels.get_mut(number);
        let Some(next) = channel.next_run(repair_turn, &self.slots) else {
            channel.cap_mut().rest();
            return false;
        };
        let slots = &mut self.slots;
        let Some(sent) = channel.burst(now, next, credit, self.session, slots, burst) else {
            return false;
        };
        self.recheck |= sent.ended;
        self.pacer.sent(sent.bytes);
        self.unicast.lent_mut().sent_to_group(sent.bytes);
        self.tiers.get_mut(channel.tier()).sent(sent.bytes);
        self.outbox
            .sent_data(burst.kind, sent.packets, sent.payload);
        self.channels.sent(number, sent.turn);
        true
    }

    /// A run for one receiver on unicast, of its share or of what is `lent` to it, if a path allows
    /// it.
    fn unicast_burst(&mut self, now: Time, credit: u64, lent: bool, burst: &mut Burst) -> bool {
        if self.unicast.counted() == 0 {
            return false;
        }
        let credit = credit.min(self.unicast.may_send(now, lent));
        if credit == 0 {
            return false;
        }
        let order: Vec<ReceiverId> = self.unicast.in_turn().collect();
        for id in order {
            if let Some(bytes) = self.member_burst(now, id, credit, burst) {
                self.unicast.sent(id, bytes, lent);
                self.pacer.sent(bytes);
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
        let to = self.members.get(id)?.address();
        let path = self.unicast.path_mut(id)?;
        let known = (self.session, &self.offers);
        let sent = path.burst(now, credit, to, known, &mut self.slots, burst)?;
        self.outbox
            .sent_data(PacketKind::UnicastData, sent.packets, sent.payload);
        Some(sent.bytes)
    }
}
