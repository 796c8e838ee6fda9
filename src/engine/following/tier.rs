//! The tier that a receiver listens on: `rate::Placement` judges round by round, this file measures
//! the rounds.

use core::time::Duration;

use crate::engine::following::backlog::Backlog;
use crate::engine::following::channel::ChannelRx;
use crate::rate::{self, Cause, Move, Placement, Round};
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{ChannelInfo, MoveCause};

/// The tier that is listened to, and what was heard on it in this round.
#[derive(Debug)]
pub(super) struct TierPosition {
    placement: Placement,
    /// What is offered: rates and tiers, slowest first.
    tiers: Vec<(Rate, u8)>,
    tier: Option<u8>,
    /// What the sender said that the channel sends at.
    sending: Rate,
    /// The share that it said that paths lose at any rate.
    path_loss: f64,
    /// Why the next request asks for this tier.
    cause: MoveCause,
    /// What it got before it moved, as a hint for the sender.
    delivered: Option<Rate>,
    round: Heard,
    due: Option<Time>,
}

/// What had been heard on the channel at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    at: Time,
    bytes: u64,
    packets: u64,
    lost: u64,
    overflowed: u64,
    stalled: u64,
}

impl Heard {
    /// What was heard on the channels that are listened to: the objects share what comes on them.
    pub(super) fn of(now: Time, channels: &[&ChannelRx], backlog: &Backlog) -> Heard {
        let count = |of: fn(&ChannelRx) -> u64| channels.iter().map(|c| of(c)).sum::<u64>();
        Heard {
            at: now,
            bytes: count(|c| c.bytes),
            packets: count(|c| c.packets),
            lost: count(|c| c.lost),
            overflowed: backlog.overflowed,
            stalled: backlog.stalled,
        }
    }
}

impl TierPosition {
    pub(super) fn new(now: Time) -> TierPosition {
        TierPosition {
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

    /// The channel to listen on, of those that an object runs on. The first offer decides on a
    /// tier: the one that `downlink` suggests, else the fastest, which finds its rate by itself.
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

    /// What SYNC told that the channel sends at, and what paths lose at any rate.
    pub(super) fn hear_rate(&mut self, sending: Rate, path_loss: f64) {
        self.sending = sending;
        self.path_loss = path_loss;
    }

    /// What the channel that is listened to may send at, once it has said so.
    pub(super) fn sending(&self) -> Option<Rate> {
        Some(self.sending).filter(|r| !r.is_zero())
    }

    /// Why the next request asks for this tier.
    pub(super) fn cause(&self) -> MoveCause {
        self.cause
    }

    /// The sender told why the receiver is to move.
    pub(super) fn set_cause(&mut self, cause: MoveCause) {
        self.cause = cause;
    }

    /// What came through on the tier before, as a hint for the sender.
    pub(super) fn delivered(&self) -> Option<Rate> {
        self.delivered
    }

    /// A round begins.
    pub(super) fn begin_round(&mut self, heard: Heard, grtt: Duration) {
        self.round = heard;
        self.due = Some(heard.at + Placement::round_length(grtt));
    }

    /// A round ends, and the next begins; tells where to move, and why. A receiver that `listens`
    /// to no tier judges none.
    pub(super) fn end_round(
        &mut self,
        heard: Heard,
        grtt: Duration,
        listens: bool,
        downlink: Option<Rate>,
        rng: &mut Rng,
    ) -> Option<(Move, Cause)> {
        let before = self.round;
        self.begin_round(heard, grtt);
        let Some(at) = self.at().filter(|_| listens) else {
            self.stop();
            return None;
        };
        let mut round = measure(&before, &heard, self.sending);
        round.path_loss = self.path_loss;
        let mut rates: Vec<Rate> = self.tiers.iter().map(|t| t.0).collect();
        if let Some(downlink) = downlink {
            rates.truncate(at.max(Placement::start(&rates, downlink)) + 1);
        }
        let placement = &mut self.placement;
        let (to, cause) = placement.handle_round(heard.at, &rates, at, round, rng)?;
        self.cause = match cause {
            Cause::Congestion => MoveCause::Congestion,
            Cause::SocketBuffer => MoveCause::SocketBuffer,
            Cause::Disk => MoveCause::Disk,
            Cause::Clean => MoveCause::Clean,
            Cause::PathLoss => MoveCause::PathLoss,
        };
        self.delivered = match to {
            Move::Down(_) | Move::Unicast => Some(round.delivered.mul_f64(rate::BACK_OFF)),
            Move::Up(_) => None,
        };
        Some((to, cause))
    }

    /// Moves to a tier for this reason; gives its rate and number.
    pub(super) fn move_to(&mut self, now: Time, to: usize, cause: Cause) -> Option<(Rate, u8)> {
        let (rate, tier) = *self.tiers.get(to)?;
        let up = self.at().is_some_and(|at| to > at);
        self.tier = Some(tier);
        (self.sending, self.path_loss) = (Rate::ZERO, 0.0);
        self.placement.moved(now, up, cause);
        self.stop();
        Some((rate, tier))
    }

    fn at(&self) -> Option<usize> {
        self.tiers.iter().position(|&(_, t)| Some(t) == self.tier)
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
