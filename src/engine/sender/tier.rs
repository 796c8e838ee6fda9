//! One tier: what its channels have in common, and the rate that follows its receivers.

use core::time::Duration;

use crate::engine::sender::askers::Shares;
use crate::engine::sender::losses::GroupLoss;
use crate::ids::ReceiverId;
use crate::nak::{REPAIR_SHARE, RepairShare};
use crate::rate::{Pacer, RateControl, Sample};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::Report;

/// No queue drops every packet for this long at the rate: one place is free as soon as a packet
/// leaves it.
const OUTAGE: Duration = Duration::from_millis(20);
/// From this share of losses on, what is news is said several times.
const LOSSY: f64 = 0.1;
/// Packets beside a run of losses that tell what is lost otherwise.
const TELLING: u64 = 32;

/// What the channels of a tier have in common: a receiver listens on one tier, to as many of its
/// channels as it wants objects, and reports what it gets of all of them.
#[derive(Debug)]
pub(super) struct Tier {
    /// Rate that one receiver may get, while any of the tier's channels runs.
    control: Option<RateControl>,
    /// Rate of all its channels together.
    pacer: Pacer,
    /// Rate of all channels over that of one receiver: 1 where some receiver wants all that runs,
    /// more where they want different objects.
    spread: f64,
    /// Receivers that lack something.
    listeners: u32,
    /// Repair share of each receiver that asks here.
    shares: Shares,
    /// What its receivers lose.
    loss: GroupLoss,
}

/// What a report tells beyond the report before it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct News {
    /// Data packets that came.
    pub(super) came: u64,
    /// Data packets that the network lost.
    pub(super) lost: u64,
    /// Data packets that the receiver's socket buffer lost.
    overflowed: u64,
    /// Data packets that its disk had no time for.
    stalled: u64,
    /// Packets lost one after another, at most.
    longest_run: u32,
    /// IP bytes that came, as a rate.
    delivered: Rate,
    /// Time that it is of.
    over: Duration,
    /// How far the receiver's machine is behind, in 255ths.
    behind: u8,
    /// All that is sent on the tier is sent to this receiver.
    whole: bool,
}

impl News {
    pub(super) fn new(before: &Report, report: &Report, delivered: Rate, whole: bool) -> News {
        News {
            came: report.packets.saturating_sub(before.packets),
            lost: report.lost.saturating_sub(before.lost),
            overflowed: report.overflowed.saturating_sub(before.overflowed),
            stalled: report.stalled.saturating_sub(before.stalled),
            longest_run: report.longest_run,
            delivered,
            over: report.measured,
            behind: report.behind,
            whole,
        }
    }

    /// Packets that the receiver's own machine could not take.
    fn untaken(&self) -> u64 {
        self.overflowed.saturating_add(self.stalled)
    }

    /// What rate control follows, on a channel at `rate`.
    fn sample(&self, rate: Rate) -> Sample {
        let lost = self.lost_to_rate(rate).saturating_add(self.overflowed);
        let sent = self.came.saturating_add(lost).max(1);
        Sample {
            delivered: match self.came {
                0 => Rate::ZERO,
                _ => self.delivered,
            },
            // What its own buffer or disk could not take came too fast as well.
            lost: lost.saturating_add(self.stalled.min(self.came)) as f64 / sent as f64,
            over: self.over,
            behind: match self.untaken() {
                0 => f64::from(self.behind) / 255.0,
                _ => 1.0,
            },
            whole: self.whole,
        }
    }

    /// Packets lost without an outage: a run of losses longer than any queue makes, with packets
    /// before or after it that tell what is lost otherwise, says nothing of the rate.
    fn lost_to_rate(&self, rate: Rate) -> u64 {
        let run = u64::from(self.longest_run);
        let rest = self.came.saturating_add(self.lost).saturating_sub(run);
        let longest = rate.bytes_in(OUTAGE) / 1_408;
        if run > longest.max(1) && rest >= TELLING {
            self.lost.saturating_sub(run)
        } else {
            self.lost
        }
    }
}

impl Tier {
    pub(super) fn new(pacer: Pacer, burst: Duration) -> Tier {
        Tier {
            control: None,
            pacer,
            spread: 1.0,
            listeners: 0,
            shares: Shares::default(),
            loss: GroupLoss::new(burst),
        }
    }

    /// One of its channels runs.
    pub(super) fn runs(&self) -> bool {
        self.control.is_some()
    }

    /// One of its channels begins to run, with a rate control; or all rest.
    pub(super) fn set_control(&mut self, control: Option<RateControl>) {
        self.control = control;
    }

    pub(super) fn control(&self) -> Option<&RateControl> {
        self.control.as_ref()
    }

    pub(super) fn control_mut(&mut self) -> Option<&mut RateControl> {
        self.control.as_mut()
    }

    /// It looks for its rate.
    pub(super) fn is_searching(&self) -> bool {
        self.control().is_some_and(RateControl::is_searching)
    }

    /// It tries a lower rate.
    pub(super) fn is_trying(&self) -> bool {
        self.control().is_some_and(RateControl::is_trying)
    }

    /// Share of packets that the paths of its receivers lose whatever the rate, 0 to 1.
    pub(super) fn path_loss(&self) -> f64 {
        self.control().map_or(0.0, RateControl::path_loss)
    }

    /// The paths lose so much that one SYNC may not be heard, and the rate is found.
    pub(super) fn is_lossy(&self) -> bool {
        self.path_loss() > LOSSY && !self.is_searching()
    }

    pub(super) fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    pub(super) fn pacer_mut(&mut self) -> &mut Pacer {
        &mut self.pacer
    }

    /// Receivers that lack something, at least one.
    pub(super) fn listeners(&self) -> u32 {
        self.listeners.max(1)
    }

    /// Receivers that lack something were counted, and `spread` anew; true if that changed.
    pub(super) fn set_listeners(&mut self, listeners: u32, spread: f64) -> bool {
        self.listeners = listeners;
        core::mem::replace(&mut self.spread, spread) != spread
    }

    /// The rate that all its channels would take together.
    pub(super) fn demand(&self) -> Rate {
        let rate = self.control().map_or(Rate::ZERO, RateControl::rate);
        rate.mul_f64(self.spread)
    }

    /// It is granted `rate` for all its channels; gives what one receiver may get, if its pace is
    /// another now or is to be `renewed`.
    pub(super) fn grant(&mut self, now: Time, rate: Rate, renewed: bool) -> Option<Rate> {
        let control = self.control.as_mut()?;
        let each = rate.mul_f64(1.0 / self.spread);
        control.set_grant(each);
        if self.pacer.rate() == rate && !renewed {
            return None;
        }
        self.pacer.set_rate(now, rate);
        Some(each)
    }

    /// IP bytes left on one of its channels.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.pacer.sent(bytes);
        if let Some(control) = &mut self.control {
            control.handle_sent((bytes as f64 / self.spread) as u64);
        }
    }

    /// A round of rate control, if one is due: whether the rate changed, and whether reports of it
    /// are wanted at once.
    pub(super) fn adapt(
        &mut self,
        now: Time,
        grtt: Duration,
        report_interval: Duration,
    ) -> (bool, bool) {
        let listeners = self.listeners();
        let Some(control) = &mut self.control else {
            return (false, false);
        };
        if control.poll_timeout().is_none_or(|at| at > now) {
            return (false, false);
        }
        let searched = control.is_searching();
        let moved = control.handle_timeout(now, grtt, listeners, report_interval);
        let searches = control.is_searching();
        if moved && control.path_after_fall(now).is_some() {
            self.loss.hurry(now);
        }
        // Reports of the new rate are wanted at once, and fewer when it is found.
        (moved, searched != searches || searches && moved)
    }

    /// What a receiver loses here counts as its path's.
    pub(super) fn counts_losses(&self, now: Time, id: ReceiverId) -> bool {
        let counts = |c: &RateControl| !c.ignores(now, id) && c.path_after_fall(now).is_none();
        self.control().is_some_and(counts)
    }

    /// A receiver reports, on a channel at `rate`; true if the tier's rate changed.
    pub(super) fn handle_report(
        &mut self,
        now: Time,
        id: ReceiverId,
        news: &News,
        rate: Rate,
    ) -> bool {
        let listeners = self.listeners();
        let Some(control) = &mut self.control else {
            return false;
        };
        let ignored = control.ignores(now, id);
        let before = control.rate();
        control.handle_report(now, id, news.sample(rate), listeners);
        let changed = control.rate() != before;
        if !ignored && news.untaken() == 0 {
            self.loss.handle_burst(news.longest_run, rate);
        }
        changed
    }

    pub(super) fn loss(&self) -> &GroupLoss {
        &self.loss
    }

    pub(super) fn loss_mut(&mut self) -> &mut GroupLoss {
        &mut self.loss
    }

    /// Loss of the paths, just after the rate fell: what was lost before, because too much was
    /// sent, says nothing of what will be.
    pub(super) fn path_after_fall(&self, now: Time) -> Option<f64> {
        self.control()?.path_after_fall(now)
    }

    /// What a receiver may ask for; none where too many ask to tell them apart.
    pub(super) fn share_of(&mut self, now: Time, id: ReceiverId) -> Option<&mut RepairShare> {
        self.shares.of(now, id)
    }

    /// Of which multiple of the rate a receiver's repairs may take their share: more where the
    /// paths lose more than that.
    pub(super) fn repair_factor(&self) -> f64 {
        // One that lies about what it loses gets no more than twice its share by it.
        (self.path_loss() / REPAIR_SHARE).clamp(1.0, 2.0)
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.shares.is_bounded()
    }
}
