//! The tier that a receiver listens on: `rate::Placement` judges round by round, this file measures
//! the rounds and carries out the moves.

use core::time::Duration;

use crate::engine::receiver::channel::ChannelRx;
use crate::engine::receiver::object::ObjectRx;
use crate::engine::receiver::{Receiver, Target};
use crate::engine::{Command, ReceiverEvent, Via};
use crate::rate::{self, Cause, LEAVE_TIME, Move, Placement, Round};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{ChannelInfo, MoveCause};

/// Where a receiver sits, and what it has heard there in this round.
#[derive(Debug)]
pub(super) struct Seat {
    placement: Placement,
    /// What is offered: rates and tiers, slowest first.
    tiers: Vec<(Rate, u8)>,
    tier: Option<u8>,
    /// What the sender said that the channel sends at.
    sending: Rate,
    /// The share that it said that paths lose at any rate.
    path_loss: f64,
    /// Why the next request asks for this tier.
    pub(super) cause: MoveCause,
    /// What it got before it moved, as a hint for the sender.
    pub(super) delivered: Option<Rate>,
    round: Heard,
    due: Option<Time>,
}

/// What had been heard on the channel at a time.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Time,
    bytes: u64,
    packets: u64,
    lost: u64,
    overflowed: u64,
    stalled: u64,
}

impl Seat {
    pub(super) fn new(now: Time) -> Seat {
        Seat {
            placement: Placement::new(now),
            tiers: Vec::new(),
            tier: None,
            sending: Rate::ZERO,
            path_loss: 0.0,
            cause: MoveCause::None,
            delivered: None,
            round: Heard {
                at: now,
                bytes: 0,
                packets: 0,
                lost: 0,
                overflowed: 0,
                stalled: 0,
            },
            due: None,
        }
    }

    /// The channel to listen on, of those that an object runs on. The first offer decides on a tier:
    /// the one that `downlink` suggests, else the fastest, which finds its rate by itself.
    pub(super) fn choose(
        &mut self,
        channels: &[ChannelInfo],
        downlink: Option<Rate>,
    ) -> Option<ChannelInfo> {
        let mut tiers: Vec<_> = channels.iter().map(|c| (c.rate, c.tier)).collect();
        tiers.sort_unstable();
        tiers.dedup();
        if self.tier.is_none() && !tiers.is_empty() {
            let rates: Vec<Rate> = tiers.iter().map(|t| t.0).collect();
            let fastest = tiers.len() - 1;
            let at = downlink.map_or(fastest, |d| Placement::start(&rates, d));
            self.tier = Some(tiers[at].1);
        }
        self.tiers = tiers;
        let tier = self.tier?;
        let ours = channels.iter().find(|c| c.tier == tier);
        // Fewer than there were: the sender is another.
        ours.or(channels.last()).copied()
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    pub(super) fn stop(&mut self) {
        self.due = None;
    }

    /// A round lasts no longer than one that begins now.
    pub(super) fn hasten(&mut self, now: Time, grtt: Duration) {
        let most = now + Placement::round_length(grtt);
        self.due = self.due.map(|at| at.min(most));
    }

    fn at(&self) -> Option<usize> {
        self.tiers.iter().position(|&(_, t)| Some(t) == self.tier)
    }
}

impl Receiver {
    /// SYNC told what the channel sends at; with the first, rounds begin.
    pub(super) fn hear_rate(&mut self, now: Time, sending: Rate, path_loss: f64) {
        self.seat.sending = sending;
        self.seat.path_loss = path_loss;
        // Other tiers of a session that waits to be asked may not run.
        if self.silent && self.session.as_ref().is_none_or(|s| !s.one_way) {
            return;
        }
        if self.seat.due.is_none() && self.config.via != Some(Via::Unicast) {
            self.begin_round(now);
        }
    }

    /// What the channel that it listens on may send at; the first of the session's while it has not said so.
    pub(super) fn channel_rate(&self) -> Rate {
        let session = self.session.as_ref().map_or(Rate::ZERO, |s| s.rate);
        Some(self.seat.sending)
            .filter(|r| !r.is_zero())
            .unwrap_or(session)
    }

    fn begin_round(&mut self, now: Time) {
        let grtt = self.timing().grtt;
        self.seat.round = self.heard_so_far(now);
        self.seat.due = Some(now + Placement::round_length(grtt));
    }

    fn heard_so_far(&self, now: Time) -> Heard {
        // All that it listens to on its tier: the objects share what it gets there.
        let listens = |c: &&ChannelRx| {
            self.lacking()
                .any(|(rx, _)| rx.channel.is_some_and(|on| on.number == c.number))
        };
        let channels: Vec<_> = self.channels.iter().filter(listens).collect();
        let count = |of: fn(&ChannelRx) -> u64| channels.iter().map(|c| of(c)).sum::<u64>();
        Heard {
            at: now,
            bytes: count(|c| c.bytes),
            packets: count(|c| c.packets),
            lost: count(|c| c.lost),
            overflowed: self.backlog.overflowed,
            stalled: self.backlog.stalled,
        }
    }

    /// Ends the round that is due, and moves if it says so.
    pub(super) fn end_due_round(&mut self, now: Time) {
        if self.seat.due.is_none_or(|at| at > now) {
            return;
        }
        let before = self.seat.round;
        let heard = self.heard_so_far(now);
        self.begin_round(now);
        let Some(at) = self.seat.at().filter(|_| !self.on_unicast()) else {
            self.seat.stop();
            return;
        };
        let mut round = measure(&before, &heard, self.seat.sending);
        round.path_loss = self.seat.path_loss;
        let mut rates: Vec<Rate> = self.seat.tiers.iter().map(|t| t.0).collect();
        if let Some(downlink) = self.config.downlink {
            rates.truncate(at.max(Placement::start(&rates, downlink)) + 1);
        }
        let decided = self
            .seat
            .placement
            .handle_round(now, &rates, at, round, &mut self.rng);
        let Some((to, cause)) = decided else {
            return;
        };
        self.seat.cause = match cause {
            Cause::Congestion => MoveCause::Congestion,
            Cause::SocketBuffer => MoveCause::SocketBuffer,
            Cause::Disk => MoveCause::Disk,
            Cause::Clean => MoveCause::Clean,
            Cause::PathLoss => MoveCause::PathLoss,
        };
        self.seat.delivered = match to {
            Move::Down(_) | Move::Unicast => Some(round.delivered.mul_f64(rate::BACK_OFF)),
            Move::Up(_) => None,
        };
        match to {
            Move::Down(to) | Move::Up(to) => self.move_to(now, to, cause),
            Move::Unicast if self.config.via.is_none() => {
                if let Some(course) = self.probe.too_slow(now) {
                    self.leave_tiers(None);
                    self.take_course(now, Some(course));
                }
            }
            Move::Unicast => {}
        }
    }

    /// Leaves the tier's groups, and only then joins the other's: the link may be the bottleneck.
    fn move_to(&mut self, now: Time, to: usize, cause: Cause) {
        let Some(&(rate, tier)) = self.seat.tiers.get(to) else {
            return;
        };
        let up = self.seat.at().is_some_and(|at| to > at);
        self.seat.tier = Some(tier);
        (self.seat.sending, self.seat.path_loss) = (Rate::ZERO, 0.0);
        self.seat.placement.moved(now, up, cause);
        self.seat.stop();
        self.leave_tiers(Some(tier));
        let mut joins = Vec::new();
        for rx in &mut self.objects {
            if self.library.has_ended(rx.key) {
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
            self.channel(channel.number).begin_anew();
            self.join(channel);
        }
        self.probe.moved(now, LEAVE_TIME);
        self.joining.must_join(now);
        self.events.push_back(ReceiverEvent::Tier {
            rate,
            cause: self.seat.cause,
        });
    }

    /// Stops listening to the groups of all tiers but one. A group that carries announcements only
    /// stays.
    pub(super) fn leave_tiers(&mut self, but: Option<u8>) {
        let channels = self.objects.iter().flat_map(|rx| &rx.channels);
        let tier_of = |c: &ChannelInfo| {
            channels
                .clone()
                .find(|o| o.group == c.group)
                .map(|o| o.tier)
        };
        let left = |c: &ChannelInfo| tier_of(c).is_some_and(|t| Some(t) != but);
        let (gone, stay) = self.groups.iter().partition(|c| left(c));
        self.leave_groups(gone, stay);
    }

    fn leave_groups(&mut self, gone: Vec<ChannelInfo>, stay: Vec<ChannelInfo>) {
        self.groups = stay;
        self.commands.extend(gone.into_iter().map(Command::Leave));
    }

    /// Leaves the groups of what has ended. That the sender has heard of it comes on them.
    pub(super) fn leave_settled(&mut self) {
        for coding in core::mem::take(&mut self.joining.settled) {
            if let Some(key) = self.library.latest(coding) {
                self.leave_if_unused(self.objects[key.0 as usize].channel);
            }
        }
    }

    /// Stops listening to the group that an object was on, unless something that is wanted runs on it, or announcements
    /// come on it.
    pub(super) fn leave_if_unused(&mut self, channel: Option<ChannelInfo>) {
        let Some(group) = channel.map(|c| c.group) else {
            return;
        };
        let announces = matches!(self.joining.target, Target::Group { group: g, .. } if g == group);
        let runs_here = |rx: &ObjectRx| rx.channel.is_some_and(|c| c.group == group);
        if announces || self.active().any(|(rx, _)| runs_here(rx)) {
            return;
        }
        let (gone, stay) = self.groups.iter().partition(|c| c.group == group);
        self.leave_groups(gone, stay);
    }
}

/// What a round brought.
fn measure(before: &Heard, heard: &Heard, sending: Rate) -> Round {
    let seconds = heard.at.since(before.at).as_secs_f64().max(1e-6);
    let came = heard.packets.saturating_sub(before.packets);
    let bytes = heard.bytes.saturating_sub(before.bytes);
    let gone = heard.lost.saturating_sub(before.lost);
    let overflowed = heard.overflowed.saturating_sub(before.overflowed);
    let stalled = heard.stalled.saturating_sub(before.stalled);
    let lost = gone.saturating_sub(overflowed);
    let all = (came + gone).max(1) as f64;
    let delivered = Rate::from_bps((bytes as f64 * 8.0 / seconds) as u64);
    // What was sent, were all packets as large as those that came.
    let sent = delivered.as_bps() as f64 * all / came.max(1) as f64;
    Round {
        delivered,
        sending,
        packets: came + gone,
        lost: lost as f64 / all,
        overflowed: overflowed.min(gone) as f64 / all,
        stalled: stalled.min(came) as f64 / all,
        path_loss: 0.0,
        carried: came + gone > 0 && (came == 0 || sent >= 0.5 * sending.as_bps() as f64),
    }
}
