//! Moves between tiers and paths, and which groups are left for them.

use crate::engine::ReceiverEvent;
use crate::engine::following::Following;
use crate::engine::following::channel::ChannelRx;
use crate::engine::following::config::Target;
use crate::engine::following::context::Context;
use crate::engine::following::object::ObjectRx;
use crate::engine::following::tier::Heard;
use crate::rate::{Cause, LEAVE_TIME, Move};
use crate::unicast_fallback::PathChoice;
use crate::units::Rate;
use crate::wire::ChannelInfo;

impl Following {
    /// SYNC told what the channel sends at; with the first, rounds begin.
    pub(super) fn hear_rate(&mut self, cx: &mut Context<'_>, sending: Rate, path_loss: f64) {
        self.tier.hear_rate(sending, path_loss);
        // Other tiers of a session that waits to be asked may not run.
        if self.silent && self.session.as_ref().is_none_or(|s| !s.is_one_way()) {
            return;
        }
        if self.tier.due().is_none() && !cx.config.is_unicast_only() {
            let heard = self.heard_so_far(cx);
            self.tier.begin_round(heard, self.timing().grtt);
        }
    }

    fn heard_so_far(&self, cx: &Context<'_>) -> Heard {
        // All that it listens to on its tier: the objects share what it gets there.
        let listens = |c: &&ChannelRx| {
            let mut lacking = self.objects.lacking(cx.library);
            lacking.any(|(rx, _)| rx.runs_on(c.number))
        };
        let channels: Vec<_> = self.channels.iter().filter(listens).collect();
        Heard::of(cx.now, &channels, cx.machine.backlog())
    }

    /// Ends the round that is due, and moves if it says so.
    pub(super) fn end_due_round(&mut self, cx: &mut Context<'_>) {
        if self.tier.due().is_none_or(|at| at > cx.now) {
            return;
        }
        let heard = self.heard_so_far(cx);
        let grtt = self.timing().grtt;
        let listens = !self.path.is_unicast();
        let downlink = cx.config.downlink;
        match self.tier.end_round(heard, grtt, listens, downlink, cx.rng) {
            Some((Move::Down(to) | Move::Up(to), cause)) => self.move_to(cx, to, cause),
            Some((Move::Unicast, _)) if cx.config.via.is_none() => {
                if let Some(choice) = self.path.probe().too_slow(cx.now) {
                    self.leave_tiers(cx, None);
                    self.take_path(cx, Some(choice));
                }
            }
            Some((Move::Unicast, _)) | None => {}
        }
    }

    /// Leaves the tier's groups, and only then joins the other's: the link may be the bottleneck.
    fn move_to(&mut self, cx: &mut Context<'_>, to: usize, cause: Cause) {
        let Some((rate, tier)) = self.tier.move_to(cx.now, to, cause) else {
            return;
        };
        self.leave_tiers(cx, Some(tier));
        let mut joins = Vec::new();
        for rx in self.objects.iter_mut() {
            if cx.library.has_ended(rx.key()) {
                continue;
            }
            let channel = rx.channels.iter().find(|c| c.tier == tier).copied();
            if channel.is_some() && channel != rx.channel {
                rx.channel = channel;
                rx.lose_position();
                joins.extend(channel);
            }
        }
        for channel in joins {
            self.channels.get(channel.number).begin_anew();
            self.groups.join(channel, cx.out, cx.stats);
        }
        self.path.probe().moved(cx.now, LEAVE_TIME);
        self.joining.must_join(cx.now);
        let cause = self.tier.cause();
        cx.out.event(ReceiverEvent::Tier { rate, cause });
    }

    /// The path may have changed.
    pub(super) fn take_path(&mut self, cx: &mut Context<'_>, choice: Option<PathChoice>) {
        let Some(choice) = choice else { return };
        let Some(before) = self.path.take(choice) else {
            return;
        };
        cx.out.event(ReceiverEvent::Path(choice));
        self.objects.lose_position();
        if !choice.is_unicast() {
            self.unicast = None;
        }
        let settles = before.is_none() && !choice.is_unicast();
        if !settles {
            self.joining.must_join(cx.now);
            if let Some(session) = &mut self.session {
                session.set_unlisted(false);
            }
        }
    }

    /// A group could not be joined: it goes on by unicast.
    pub(crate) fn join_failed(&mut self, cx: &mut Context<'_>, channel: &ChannelInfo) {
        self.groups.join_failed(channel.group);
        let choice = self.path.probe().cannot_join(cx.now);
        self.take_path(cx, choice);
    }

    /// Stops listening to the groups of all tiers but one. A group that carries announcements only
    /// stays.
    pub(super) fn leave_tiers(&mut self, cx: &mut Context<'_>, but: Option<u8>) {
        let objects = &self.objects;
        let tier_of = |c: &ChannelInfo| {
            let mut channels = objects.iter().flat_map(|rx| &rx.channels);
            channels.find(|o| o.group == c.group).map(|o| o.tier)
        };
        let left = |c: &ChannelInfo| tier_of(c).is_some_and(|t| Some(t) != but);
        self.groups.leave(left, cx.out);
    }

    /// Leaves the groups of what has ended. That the sender has heard of it comes on them.
    pub(super) fn leave_settled(&mut self, cx: &mut Context<'_>) {
        for coding in self.joining.dones_mut().take_settled() {
            let key = cx.library.latest(coding);
            if let Some(rx) = key.and_then(|key| self.objects.get_mut(key)) {
                let channel = rx.channel;
                self.leave_if_unused(cx, channel);
            }
        }
    }

    /// Stops listening to the group that an object was on, unless something that is wanted runs on
    /// it, or announcements come on it.
    pub(super) fn leave_if_unused(&mut self, cx: &mut Context<'_>, channel: Option<ChannelInfo>) {
        let Some(group) = channel.map(|c| c.group) else {
            return;
        };
        let target = self.joining.target();
        let announces = matches!(target, Target::Group { group: g, .. } if g == group);
        let runs_here = |rx: &ObjectRx| rx.channel.is_some_and(|c| c.group == group);
        let mut active = self.objects.active(cx.library);
        if !announces && !active.any(|(rx, _)| runs_here(rx)) {
            self.groups.leave(|c| c.group == group, cx.out);
        }
    }

    /// What the channel that it listens on may send at; the first of the session's while it has not
    /// said so.
    pub(super) fn channel_rate(&self) -> Rate {
        let session = self.session.as_ref().map_or(Rate::ZERO, |s| s.rate());
        self.tier.sending().unwrap_or(session)
    }
}
