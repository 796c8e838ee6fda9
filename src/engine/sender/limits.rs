//! What one receiver may cost the others: how much it may ask for, how little it may take, and what becomes of
//! one that goes beyond. It is sent to unicast, which has a share of its own; where that is not to be had, or
//! would not do either, it has to leave. `nak` and `rate` decide, this file gives them the figures.

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::sender::carousel::Carousel;
use crate::engine::sender::roster::Exile;
use crate::engine::sender::unicast::UnicastPath;
use crate::engine::sender::{Sender, usual_packet};
use crate::engine::{Link, ObjectKey, PacketKind, SenderEvent};
use crate::ids::{ChannelNo, ReceiverId, ShortCodingId};
use crate::nak::{REPAIR_SHARE, RepairShare};
use crate::rate::{Lag, RateControl};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{MoveCause, Nak, Need, Notice, NoticeCode, SenderBody};

/// Receivers whose share of a channel's repairs is looked at; where more ask for much, no single one is to
/// blame.
pub(super) const MAX_ASKERS: usize = 1_024;
/// How long a receiver that was told to leave the groups may go on to ask there: it has been told again each
/// time.
const LEAVING: Duration = Duration::from_secs(10);

impl Sender {
    /// Answers what a NAK asks for, as far as its receiver has room for it on a channel where others listen.
    pub(super) fn answer(
        &mut self,
        now: Time,
        id: ReceiverId,
        key: ObjectKey,
        number: ChannelNo,
        nak: &Nak,
    ) {
        let at = usize::from(number);
        let grtt = self.grtt();
        let each = self.packet_len(self.channels[at].group, key);
        let rate = self.repair_rate(number);
        let channel = &mut self.channels[at];
        let busy = channel.carousels.values().any(Carousel::has_work);
        let idle = (!busy).then_some(grtt);
        let share = self.share_of(now, number, id);
        let room = share.map_or(u64::MAX, |s| s.room(now, rate, idle).div_ceil(each));
        // Whoever joined with nothing has had everything put into a cycle by that.
        let held = self.roster.members.get(&id).is_some_and(|m| m.held);
        let (mut asked, mut refused) = (0, false);
        for need in &nak.needs.entries {
            let Some(carousel) = self.channels[at].carousels.get(&key) else {
                return;
            };
            let before = carousel.waiting();
            let free = match need {
                Need::Blocks { .. } if held => carousel.claim(id),
                _ => 0,
            };
            let left = room.saturating_sub(asked).saturating_add(free);
            refused = left == 0;
            if refused {
                break;
            }
            self.handle_need(now, key, number, nak.seen_to, need, left);
            let Some(carousel) = self.channels[at].carousels.get_mut(&key) else {
                return;
            };
            let more = carousel.waiting().saturating_sub(before);
            carousel.use_claim(id, more.min(free));
            asked += more.saturating_sub(free);
        }
        let Some(share) = self.share_of(now, number, id) else {
            return;
        };
        if busy {
            share.granted(now, rate, asked * each);
        }
        if refused && share.refused(now) {
            self.send_away(now, id, number, MoveCause::AsksTooMuch);
        }
    }

    /// Whether one that joins anew, as it may do over and over, is to have all of an object again.
    pub(super) fn may_have_all(
        &mut self,
        now: Time,
        id: ReceiverId,
        number: ChannelNo,
        bytes: u64,
    ) -> bool {
        let rate = self.repair_rate(number);
        let Some(share) = self.share_of(now, number, id) else {
            return true;
        };
        let may = share.is_paid(now);
        if may {
            share.granted(now, rate, bytes);
        }
        may
    }

    /// The rate of which a receiver's repairs may take their share: more where the paths lose more
    /// than that.
    fn repair_rate(&self, number: ChannelNo) -> Rate {
        let channel = &self.channels[usize::from(number)];
        let control = self.tiers[channel.tier.unwrap_or(0)].control.as_ref();
        let lost = control.map_or(0.0, RateControl::path_loss);
        // One that lies about what it loses gets no more than twice its share by it.
        channel
            .pacer
            .rate()
            .mul_f64((lost / REPAIR_SHARE).clamp(1.0, 2.0))
    }

    /// What a receiver may ask for on a channel's tier, where it is not the only one.
    fn share_of(
        &mut self,
        now: Time,
        number: ChannelNo,
        id: ReceiverId,
    ) -> Option<&mut RepairShare> {
        let channel = &self.channels[usize::from(number)];
        if !channel.is_shared {
            return None;
        }
        let asked = &mut self.tiers[channel.tier.unwrap_or(0)].asked;
        if asked.len() >= MAX_ASKERS && !asked.contains_key(&id) {
            asked.retain(|_, share| !share.is_paid(now));
            if asked.len() >= MAX_ASKERS {
                return None;
            }
        }
        Some(asked.entry(id).or_default())
    }

    /// The rate control of a channel's tier, while it runs.
    pub(super) fn control_of(&mut self, number: ChannelNo) -> Option<&mut RateControl> {
        let channel = self.channels.get(usize::from(number))?;
        let tier = self.tiers.get_mut(channel.tier.unwrap_or(0))?;
        tier.control.as_mut()
    }

    /// It reported that so much came on a channel: whether it is served on.
    pub(super) fn follow_lag(
        &mut self,
        now: Time,
        id: ReceiverId,
        number: ChannelNo,
        delivered: Rate,
    ) {
        let least = self.config.min_rate;
        let member = self.roster.members.get_mut(&id);
        let Some(member) = member.filter(|m| m.is_active()) else {
            return;
        };
        let sent = match (&member.unicast, self.channels.get(usize::from(number))) {
            (Some(path), _) if !path.is_idle() => {
                part(self.unicast_pacer.rate(), self.unicast_members.len())
            }
            (None, Some(channel)) => {
                let next = channel.next_packet;
                let packets = next.saturating_sub(core::mem::replace(&mut member.passed, next));
                let bytes = packets * usual_packet(channel.group, self.config.sealed);
                let over = now.since(member.lag.since()).as_secs_f64();
                Rate::from_bps((bytes as f64 * 8.0 / over.max(1e-3)) as u64)
            }
            _ => Rate::ZERO,
        };
        if member.lag.handle(now, delivered, sent, least) {
            self.send_away(now, id, number, MoveCause::TooSlow);
        }
    }

    /// A receiver is too much for its groups: from now on it is served by unicast, or not at all.
    fn send_away(&mut self, now: Time, id: ReceiverId, number: ChannelNo, cause: MoveCause) {
        let others = self.unicast_members.len() + 1;
        // Unicast gets everything once nobody is left on a group.
        let rate = match self.active > others {
            true => self.unicast_pacer.rate(),
            false => self.config.rate,
        };
        let fits = part(rate, others);
        let possible = self.has_unicast_channel() && fits >= self.config.min_rate;
        if let Some(control) = self.control_of(number) {
            control.handle_fled(now, id);
        }
        let Some(member) = self.roster.members.get(&id) else {
            return;
        };
        if member.unicast.is_some() || !possible {
            return self.evict(now, id, cause);
        }
        let (address, link, tier) = (member.address, member.link, member.tier);
        let wanted = (0..self.objects.len() as u32).map(ObjectKey);
        let Some(wanted) = wanted.into_iter().find(|&key| member.lacks(key)) else {
            return;
        };
        let packet_len = self.packet_len(address, wanted);
        let (channel, next_packet) = self.new_unicast_channel();
        // What it lacks it says when it is asked there.
        let path = UnicastPath::new(now, channel, next_packet, packet_len, None);
        self.member(id, |m| {
            m.unicast = Some(Box::new(path));
            m.exile = Some(Exile::Unicast(cause, now));
            m.lag = Lag::new(now);
        });
        self.recount = true;
        self.events.push_back(SenderEvent::Moved {
            receiver: id,
            unicast: true,
            tier: self.tier_rate(tier),
            cause,
        });
        self.tell_exile(now, address, link, id);
    }

    fn evict(&mut self, now: Time, id: ReceiverId, cause: MoveCause) {
        let Some(member) = self.roster.members.get_mut(&id) else {
            return;
        };
        member.gone = true;
        member.exile = Some(Exile::Everything(cause));
        if let Some(path) = member.unicast.take() {
            self.unicast_channels.insert(path.channel, path.next_packet);
        }
        let (address, link) = (member.address, member.link);
        self.recount = true;
        self.events.push_back(SenderEvent::Gone {
            receiver: id,
            cause,
            reason: self.in_words(cause),
        });
        self.tell_exile(now, address, link, id);
    }

    /// One that was told to leave the groups has spoken there: it is told again, until that is enough.
    pub(super) fn handle_exile(&mut self, now: Time, id: ReceiverId) {
        let Some(member) = self.roster.members.get(&id) else {
            return;
        };
        let (address, link) = (member.address, member.link);
        match member.exile {
            Some(Exile::Unicast(cause, at)) if now.since(at) > LEAVING => {
                self.evict(now, id, cause)
            }
            Some(_) => self.tell_exile(now, address, link, id),
            None => {}
        }
    }

    /// Tells a receiver what it is to do, if it may not do as it likes; a stranger may ask anew.
    pub(super) fn tell_exile(&mut self, now: Time, to: SocketAddr, link: Link, id: ReceiverId) {
        let member = self.roster.members.get(&id);
        let (code, cause) = match member.map(|m| (m.exile, m.gone)) {
            Some((Some(Exile::Everything(cause)), _)) => (NoticeCode::Evicted, cause),
            Some((Some(Exile::Unicast(cause, _)), false)) => (NoticeCode::UseUnicast, cause),
            Some(_) => (NoticeCode::Evicted, MoveCause::Silent),
            None => (NoticeCode::Evicted, MoveCause::None),
        };
        let text = match cause {
            MoveCause::None => "not known here: ask again".to_owned(),
            cause => self.in_words(cause),
        };
        let notice = Notice {
            receiver: id,
            coding: ShortCodingId(0),
            code,
            cause,
            text,
            addresses: Vec::new(),
        };
        self.reply(
            now,
            (to, link),
            0,
            SenderBody::Notice(notice),
            PacketKind::Notice,
        );
    }

    fn in_words(&self, cause: MoveCause) -> String {
        match cause {
            MoveCause::TooSlow => {
                let least = self.config.min_rate;
                format!("it gets less than {least}, the least rate that is served here")
            }
            cause => cause.reason().to_owned(),
        }
    }
}

/// What each of so many has of a rate.
fn part(rate: Rate, of: usize) -> Rate {
    rate.mul_f64(1.0 / of.max(1) as f64)
}
