//! The rate of a channel, from what its receivers report.
//!
//! A channel may have one of two reasons for losing packets, and only one of them is answered by
//! sending less. So nothing is concluded from a loss alone: the rate is lowered once, and where the
//! loss stays the same it is the path's, paid in parity, and the rate goes back at once. No cut is
//! made upon a cut before the first one is judged, and none below the share that came: with 95 %
//! delivered no sequence of judgements leads below 0.8 of what a path carries.
//!
//! Three phases: [`Start`](Phase::Start) doubles while twice the rate brings more;
//! [`Follow`](Phase::Follow) grows by steps; [`Trial`](Phase::Trial) is a cut that is being judged.
//! `docs/PROTOCOL.md`, Rates, tells the whole of it.
//!
//! The rate is a permission: what the receivers take. What the sender grants of it, for want of a
//! larger total, is told by [`set_grant`](RateControl::set_grant) and changes no conclusion.

use core::time::Duration;

use crate::ids::ReceiverId;
use crate::rate::back_pressure::BackPressure;
use crate::rate::paths::{Estimate, Paths, Round, SHORTEST, Sample};
use crate::rate::silence::Silence;
use crate::rate::usage::Usage;
use crate::time::Time;
use crate::units::Rate;

/// Whose throughput a channel follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Adapt {
    /// The average of its receivers: a few slow ones do not hold up the rest, and move.
    #[default]
    Average,
    /// The slowest of them.
    Lowest,
    /// Nobody's: it keeps to its ceiling.
    Fixed,
}

/// What a rate is kept between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Never below this.
    pub floor: Rate,
    /// Never above this; at least the floor.
    pub ceiling: Rate,
}

/// Rate of a channel whose receivers are not known to take more or less. From here doubling every
/// 2 ms or round trip finds any LAN's rate in a tenth of a second, and a link of 10 Mbit/s sees no
/// more than a router's queue holds.
pub const START: Rate = Rate::from_bps(20_000_000);

/// A receiver silent for this long, or for four report intervals, has left.
const GONE: Duration = Duration::from_secs(4);
/// Packets that a round's reports must tell of.
const ENOUGH: f64 = 64.0;
/// Packets of a round outside of Start, where their number is weighed; and the time after which a
/// round counts with fewer, so that a slow channel grows too.
const FEW: f64 = 8.0;
const LONG: Duration = Duration::from_millis(100);
/// Packets of a round while the rate is not used, when congestion is only one of two possible
/// reasons.
const MANY: f64 = 1_000.0;
/// Reports that make a round, of as many receivers. With [`Adapt::Lowest`] all must report.
const REPORTERS: usize = 4;
/// Listeners of whom few report in a round, so that it matters who does.
const MANY_LISTEN: u32 = 16;

/// Start: twice the rate must bring this much more, else a bottleneck is reached. With loss that
/// stays it brings twice as much, behind a bottleneck the same.
const GROWS: f64 = 1.5;
/// Once twice the rate seemed to bring no more, only this share of what came at half the rate shows
/// that it did after all: a TCP flow beside gives way to what is too much, so that more comes.
const CLEARS: f64 = 0.9;
/// Twice the rate that brought less than this much more shows that the rate before was too much as
/// well, and what was lost there is not the path's.
const BELOW: f64 = 1.1;
/// Less that comes than is sent, without loss, means a queue that grows, or receivers that were
/// late to look: nothing is concluded before it lasted this long. Four busy receivers on two cores
/// are late by 5 ms and more (`benches/acceptance`).
const LASTS: Duration = Duration::from_millis(20);

/// Less than this share of the rate sent: something other than the rate is slower.
const USED: f64 = 0.85;
/// A rate unused for this long is given up, but for [`SPARE`] times what was sent (RFC 7661 §4):
/// while it doubles, and later, when a disk may hesitate for a moment.
const SEARCHES: Duration = Duration::from_millis(200);
const UNUSED: Duration = Duration::from_millis(500);
const SPARE: f64 = 1.25;
/// Less than this share sent: there is nothing else to send.
const LITTLE: f64 = 0.25;

/// Loss beyond the path's that is let pass. A TCP flow beside loses as much: at 2 % it gets
/// 2 Mbit/s at a round trip of 60 ms (Mathis et al., 1997), at this a little over 3.
const CONGESTED: f64 = 0.005;
/// Standard deviations that a loss must be beyond the path's, in a round or in ten of them.
const DEVIATIONS: f64 = 5.0;
/// A cut goes to this share of what came through, so that queues drain and a TCP flow beside finds
/// room (CUBIC goes to 0.7 of what it sent, RFC 9438 §4.6).
pub const BACK_OFF: f64 = 0.85;
/// Congestion below this share of what the last one left means that somebody has come who takes
/// room: the cut goes to [`MAKE_ROOM`], and the plateau to the middle between (CUBIC's fast
/// convergence, RFC 9438 §4.7).
const TAKEN: f64 = 0.97;
const MAKE_ROOM: f64 = 0.7;
/// No cut goes below this share of what was sent: where nearly all is lost, so little comes at the
/// lower rate that nothing could be judged by it.
const DEEPEST: f64 = 1.0 / 8.0;

/// Trial: the loss is the path's if it fell by less than this share of what a bottleneck would
/// show.
const STAYED: f64 = 0.5;
/// Standard deviations between the two outcomes, and how long they are waited for.
const SURE: f64 = 4.0;
const DECIDES: Duration = Duration::from_millis(300);
/// A cut that would spare less than this share of the loss is not kept, but for what the paths
/// carry.
const VAIN: f64 = 0.25;
/// How long a queue that was filled before the cut may take to empty. Cheap routers hold half a
/// second.
const DRAINS: Duration = Duration::from_secs(1);
/// If what comes fell by less than this share of what the rate did, over so long, there is such a
/// queue.
const HALF: f64 = 0.5;
const QUEUED: Duration = Duration::from_millis(50);
/// More than this share of what is sent comes: a queue empties. Less than this: one fills, or
/// receivers look late, and the rate does not go up.
const EMPTIES: f64 = 1.05;
const FILLS: f64 = 0.93;
/// How long reports after a cut may still tell of losses before it.
const ECHOES: Duration = Duration::from_millis(500);
/// For this long a loss that was judged to be the path's is not judged again when it comes back, if
/// it is no higher and the rate is no higher: a path that loses in turns is tried once in so long.
const REMEMBERED: Duration = Duration::from_secs(10);
/// But no loss higher than this.
const MOST_REMEMBERED: f64 = 0.35;

/// Follow: steps by this share of the rate, doubling with each clean round up to [`MOST`].
const STEP: f64 = 0.02;
const MOST: f64 = 0.25;
/// The first step back to a rate that was good; steps double up to the whole rate.
const BACK: f64 = 0.1;
/// The first step from a rate that receivers said they take: that was some time ago, and elsewhere.
const HINTED: f64 = 0.1;
/// Clean rounds before the rate goes up again after it came down.
const REST: u32 = 2;
/// After congestion the rate stays below this share of what came through for so long: a TCP flow
/// beside takes some seconds to come back to what it had, 4.4 at 25 Mbit/s and 50 ms (K of RFC 9438
/// §4.2), and gets no further where we are back first. On 50 Mbit/s with a queue of 50 ms TCP keeps
/// 0.28 to 0.46 of the link (`benches/acceptance`, group_beside_tcp), with 3 s 0.24 to 0.40.
const PLATEAU: f64 = 0.96;
const WAIT: Duration = Duration::from_secs(5);
/// Wait after congestion while the rate is far below one that was good: the reason may be over at
/// any time.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// Least share of a rate that was good that a flow beside leaves. Less than that has another
/// reason.
const DEEP: f64 = 0.7;

/// How long a switch goes on forwarding a group after the last receiver behind a port has left: two
/// last-member query intervals of a second (RFC 2236 §8.8), and some for the way.
pub const LEAVE_TIME: Duration = Duration::from_millis(2_300);
/// A receiver that flees this soon after a cut was the reason for it.
const SOON: Duration = Duration::from_secs(2);
/// Least time between two searches that receivers start by fleeing: one may come and flee again and
/// again.
const AGAIN: Duration = Duration::from_secs(1);

/// The rate of a channel. With several objects on a tier it is that of the tier: what one receiver
/// of all of them gets.
#[derive(Clone, Debug)]
pub struct RateControl {
    adapt: Adapt,
    limits: Limits,
    /// The permission, and what of it the sender grants, in bits a second.
    rate: f64,
    grant: f64,
    phase: Phase,
    paths: Paths,
    usage: Usage,
    /// When the round is looked at next.
    look_due: Time,
    /// The GRTT, and what it was when the rate changed: too high a rate builds a queue and
    /// lengthens it, but the first packets at that rate have not met the queue.
    grtt: Duration,
    grtt_before: Duration,
    /// The last rate with which nothing was lost beyond the paths' own.
    good: f64,
    /// When the rate was last lowered because of losses, and last looked for anew because of who
    /// left.
    fell: Option<Time>,
    searched_at: Option<Time>,
    /// A loss that was judged to be the path's.
    judged: Option<Judged>,
    silence: Silence,
    back_pressure: BackPressure,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Doubling: the share that came at half the rate, and whether twice the rate seemed to bring
    /// no more once already.
    Start { before: Option<f64>, doubt: bool },
    /// Growing, as long as nothing is lost beyond the paths' own.
    Follow(Follow),
    /// Lowered to see whether the loss falls.
    Trial(Trial),
}

#[derive(Clone, Copy, Debug)]
struct Follow {
    /// Clean rounds since the rate came down.
    clean: u32,
    step: f64,
    /// What came through at the last congestion, and until when the rate stays below.
    plateau: f64,
    until: Time,
    /// When the next step may be.
    grows_at: Time,
    /// A rate that was good before the rate fell far below, to come back to quickly.
    target: f64,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    since: Time,
    /// Where the rate goes back to, how it followed there, and what was sent then.
    rate: f64,
    follow: Follow,
    sent: f64,
    /// The loss beyond the paths' own that is judged.
    excess: f64,
    /// Where it stays below if that was congestion.
    plateau: f64,
}

/// Outcome of a trial.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// The loss stayed, or what was in the way is gone: the rate was not the reason.
    NotTheRate,
    /// The loss fell with the rate; in `vain` by little, as a few receivers take far less than the
    /// others.
    Congestion { vain: bool },
}

#[derive(Clone, Copy, Debug)]
struct Judged {
    until: Time,
    rate: f64,
    excess: f64,
}

impl Follow {
    fn new(now: Time, plateau: f64, clean: u32, step: f64) -> Follow {
        Follow {
            clean,
            step,
            plateau,
            until: now,
            grows_at: now,
            target: 0.0,
        }
    }
}

impl RateControl {
    /// A channel that begins at what its receivers are known to take; at [`START`] if that is not
    /// known, to look for it.
    pub fn new(now: Time, adapt: Adapt, limits: Limits, known: Option<Rate>) -> RateControl {
        let start = known.unwrap_or(START).as_bps() as f64;
        let mut control = RateControl {
            adapt,
            limits,
            rate: 0.0,
            grant: f64::INFINITY,
            phase: match known {
                Some(_) => Phase::Follow(Follow::new(now, 0.0, 0, HINTED)),
                None => Phase::Start {
                    before: None,
                    doubt: false,
                },
            },
            paths: Paths::new(adapt),
            usage: Usage::new(now),
            look_due: now,
            grtt: Duration::ZERO,
            grtt_before: Duration::ZERO,
            good: 0.0,
            fell: None,
            searched_at: None,
            judged: None,
            silence: Silence::new(now),
            back_pressure: BackPressure::new(adapt),
        };
        control.set(now, start);
        control
    }

    /// What the channel may send at now.
    pub fn rate(&self) -> Rate {
        let rate = self.rate.min(self.back_pressure.limit()) * self.silence.share();
        let most = self.limits.ceiling.max(self.limits.floor);
        Rate::from_bps(rate as u64).clamp(self.limits.floor, most)
    }

    /// What the sender lets the channel have of that.
    pub fn set_grant(&mut self, grant: Rate) {
        self.grant = grant.as_bps() as f64;
    }

    /// Something is to be found out: reports are wanted as often as can be.
    pub fn is_searching(&self) -> bool {
        self.adapt != Adapt::Fixed && !matches!(self.phase, Phase::Follow(_))
    }

    /// The rate was lowered because of losses that are being judged.
    pub fn is_trying(&self) -> bool {
        matches!(self.phase, Phase::Trial(_))
    }

    /// The figures of one of `listeners` receivers came.
    pub fn handle_report(&mut self, now: Time, who: ReceiverId, sample: Sample, listeners: u32) {
        self.follow_buffers(now, who, &sample, listeners);
        let sample = self.paths.complete(who, sample);
        // Where nothing came, nothing is known of what was lost either.
        let tells = !sample.delivered.is_zero();
        if tells && self.silence.end(now) {
            // What was sent meanwhile is no measure of what comes now.
            self.begin_search(now);
        }
        // Loss may be what it left behind elsewhere; none is none.
        let unsettled = self.ignores(now, who) && sample.lost > CONGESTED;
        let fresh = tells && !unsettled && self.counts(now, &sample);
        let fresh = fresh && sample.over >= SHORTEST;
        // Of few, each has as much say as the others however often it speaks.
        let pause = match listeners > MANY_LISTEN {
            true => self.silence.interval() / 4,
            false => Duration::ZERO,
        };
        self.paths.handle_report(now, who, sample, fresh, pause);
    }

    /// A receiver has left the channel, or lacks nothing any more: it has no say in the rate of those who stay.
    pub fn forget(&mut self, now: Time, who: ReceiverId) {
        self.paths.forget(who);
        self.back_pressure.handle_keeps_up(now, who);
    }

    /// A receiver has left because it could not keep up. If it was what brought the rate down, that is over.
    pub fn handle_fled(&mut self, now: Time, who: ReceiverId) {
        self.forget(now, who);
        let fell = self.fell.is_some_and(|at| now.since(at) < SOON);
        let again = self.searched_at.is_some_and(|at| now.since(at) < AGAIN);
        if fell && !again && !matches!(self.phase, Phase::Start { .. }) {
            self.searched_at = Some(now);
            self.paths.reject();
            self.phase = Phase::Start {
                before: None,
                doubt: false,
            };
            self.begin_search(now);
        }
    }

    /// A receiver has come that could not keep up elsewhere. What it listened to may still fill its
    /// link until the network has heard that it left: what it reports meanwhile says nothing of
    /// this channel.
    pub fn handle_refugee(&mut self, now: Time, who: ReceiverId) {
        self.paths.ignore(who, now + LEAVE_TIME);
    }

    /// Whether this receiver's losses may be those of what it left behind elsewhere.
    pub fn ignores(&self, now: Time, who: ReceiverId) -> bool {
        self.paths.is_ignored(now, who)
    }

    /// Losses that are told now may be of a rate that was too high: the paths themselves lose this
    /// share, as far as is known.
    pub fn path_after_fall(&self, now: Time) -> Option<f64> {
        let echoes = self.fell.is_some_and(|at| now.since(at) < ECHOES);
        let tries = matches!(self.phase, Phase::Trial(_));
        (tries || echoes).then(|| self.paths.own())
    }

    /// Share that the paths lose at any rate, as far as is known: the mean, or that of whoever
    /// loses most.
    pub fn path_loss(&self) -> f64 {
        self.paths.own().clamp(0.0, 1.0)
    }

    /// The sender was not at work for a while: what left and came meanwhile is no measure.
    pub fn handle_absence(&mut self, now: Time) {
        self.silence.defer(now);
        if let Phase::Trial(trial) = &mut self.phase {
            trial.since = now;
        }
        self.begin_search(now);
    }

    /// IP bytes of data left on the channel.
    pub fn handle_sent(&mut self, bytes: u64) {
        self.usage.handle_sent(bytes);
    }

    /// When [`handle_timeout`](RateControl::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        let back_pressure = self.back_pressure.poll_timeout().unwrap_or(self.look_due);
        (self.adapt != Adapt::Fixed).then_some(self.look_due.min(back_pressure))
    }

    /// What its own machine can't take shows in a receiver's buffers before anything is lost.
    fn follow_buffers(&mut self, now: Time, who: ReceiverId, sample: &Sample, listeners: u32) {
        let behind = sample.behind.clamp(0.0, 1.0);
        if behind == 0.0 {
            return self.back_pressure.handle_keeps_up(now, who);
        }
        if self.adapt == Adapt::Fixed || self.ignores(now, who) || self.usage.is_unused() {
            return;
        }
        if self.is_trying() {
            // Less is sent already, and for long enough for them to empty.
            return;
        }
        // The processors may send less than the rate allows, and there may be nothing to send.
        let rate = self.rate().as_bps() as f64;
        let sending = if self.usage.lasts(now) < LASTS {
            rate
        } else {
            self.usage.sending(now).clamp(rate / 4.0, rate)
        };
        self.back_pressure
            .handle_behind(now, who, behind, sending, listeners);
        // Twice as much is not what they wait for; one of many does not hold up the rest.
        if matches!(self.phase, Phase::Start { .. }) && self.back_pressure.waits(now, 4, listeners)
        {
            self.phase = Phase::Follow(Follow::new(now, 0.0, 0, STEP));
        }
    }

    /// Time has passed: true if the rate changed. `listeners` may report, each about every
    /// `interval`.
    pub fn handle_timeout(
        &mut self,
        now: Time,
        grtt: Duration,
        listeners: u32,
        interval: Duration,
    ) -> bool {
        if self.adapt == Adapt::Fixed {
            return false;
        }
        let before = self.rate();
        self.back_pressure.handle_timeout(now, self.rate, listeners);
        if now >= self.look_due {
            self.look(now, grtt, listeners, interval);
        }
        self.rate() != before
    }

    fn look(&mut self, now: Time, grtt: Duration, listeners: u32, interval: Duration) {
        // What is too much delays its own reports, so that a round trip may be a long time to go on
        // with it.
        let pause = match self.phase {
            Phase::Follow(_) => grtt.clamp(Duration::from_millis(25), Duration::from_millis(200)),
            _ => grtt.clamp(Duration::from_millis(2), Duration::from_millis(5)),
        };
        self.look_due = now + pause;
        self.grtt = grtt;
        let silence = self.silence.expect(interval, grtt);
        self.paths.forget_silent(now, silence.max(GONE));
        if !self.usage.is_unused() && self.silence.begins(now, self.usage.began()) {
            return self.begin_search(now);
        }
        let Some(round) = self.paths.round(self.usage.sending(now)) else {
            return;
        };
        let lasts = self.usage.lasts(now);
        let all = if self.adapt == Adapt::Lowest {
            usize::MAX
        } else {
            REPORTERS
        };
        let some = round.reporters >= (listeners as usize).clamp(1, all) || lasts >= interval * 3;
        // However slow a channel is, it grows by time and not by packets.
        let enough = match self.phase {
            Phase::Start { .. } => round.packets >= ENOUGH || lasts > interval * 8,
            _ => round.packets >= FEW || lasts >= LONG,
        };
        if !some || !enough {
            return;
        }
        match self.phase {
            Phase::Start { before, doubt } => {
                let unsure = doubt || self.seems_queued(before, &round, now);
                // Somebody who has left tells of no more.
                if !unsure || round.over >= LASTS || lasts >= LASTS.max(interval) * 3 {
                    self.start(now, before, doubt, &round);
                }
            }
            Phase::Follow(follow) => self.follow(now, follow, &round),
            Phase::Trial(trial) => self.judge(now, trial, interval),
        }
    }

    /// Figures that came at `now` tell what this rate does, and nothing of the one before.
    fn counts(&self, now: Time, sample: &Sample) -> bool {
        let settled = match self.phase {
            // The rate is still the same.
            Phase::Start { doubt: true, .. } | Phase::Follow(_) => Duration::ZERO,
            _ => self.grtt.min(self.grtt_before),
        };
        let since = self.usage.began() + settled;
        now >= since && now.since(since) >= sample.over
    }

    fn start(&mut self, now: Time, before: Option<f64>, doubt: bool, round: &Round) {
        let uses_it = self.usage.reaches(now, USED * self.rate);
        let got = self.paths.got(self.usage.sending(now));
        let need = if doubt { CLEARS } else { GROWS / 2.0 };
        let no_more = before.is_some_and(|before| got < before * need);
        // What is sent is less than the rate allows, and may still be too much.
        let carried = self.paths.capacity(self.usage.sending(now));
        let too_much = !uses_it && round.packets >= MANY && self.is_congestion(round, carried);
        let no_more = no_more || too_much;
        if no_more && !doubt {
            self.phase = Phase::Start {
                before,
                doubt: true,
            };
            self.begin_round(now);
        } else if no_more {
            // Where no more came than at half the rate, what was lost there was lost for the same
            // reason.
            if before.is_none_or(|before| got < before * BELOW / 2.0) {
                self.paths.forget_own();
            }
            // What still stands in the queue will not come either.
            let carried = self.paths.capacity(self.usage.sending(now));
            self.cut(now, Follow::new(now, 0.0, 0, STEP), carried, round);
        } else if !uses_it {
            // Something else is slower; the next round may be a better one.
            self.begin_round(now);
            if self.usage.unused(now) >= SEARCHES {
                self.phase = Phase::Follow(Follow::new(now, 0.0, 0, STEP));
                self.give_up(now);
            }
        } else if self.rate >= self.limits.ceiling.as_bps() as f64 {
            self.paths.learn(true);
            self.phase = Phase::Follow(Follow::new(now, 0.0, 0, STEP));
            self.begin_round(now);
        } else {
            self.paths.learn(true);
            if round.excess.mean <= CONGESTED {
                self.good = self.rate;
            }
            self.phase = Phase::Start {
                before: Some(got),
                doubt: false,
            };
            self.set(now, self.rate * 2.0);
        }
    }

    fn follow(&mut self, now: Time, mut follow: Follow, round: &Round) {
        let uses_it = self.usage.reaches(now, USED * self.rate);
        if round.arrived > EMPTIES && self.fell.is_some_and(|at| now.since(at) < DRAINS) {
            // What comes was sent before the rate came down.
            return self.begin_round(now);
        }
        let carried = self.paths.capacity(self.usage.sending(now).min(self.rate));
        // Little that is sent shows nothing of what is too much.
        let shows = uses_it || self.is_held_back() || self.usage.sending(now) >= LITTLE * self.rate;
        if shows && self.is_congestion(round, carried) {
            if !self.was_judged(now, round) {
                return self.cut(now, follow, carried, round);
            }
            self.paths.accept(1.0);
        } else {
            let clean = !loses(round);
            self.paths.learn(clean);
            if clean {
                self.good = self.rate;
            }
        }
        let unused = self.usage.unused(now) >= UNUSED;
        if unused && self.usage.sending(now) >= LITTLE * self.rate && !self.is_held_back() {
            follow.step = MOST;
            self.phase = Phase::Follow(follow);
            return self.give_up(now);
        }
        self.grow(now, follow, round, uses_it);
    }

    /// Takes a step up, if one is due and may be.
    fn grow(&mut self, now: Time, mut follow: Follow, round: &Round, uses_it: bool) {
        if now < follow.grows_at {
            return self.begin_round(now);
        }
        let returns = self.rate < follow.target;
        follow.grows_at = now
            + match returns {
                true => (self.grtt * 2).max(Duration::from_millis(50)),
                false => (self.grtt * 4).max(Duration::from_millis(100)),
            };
        follow.clean += 1;
        let most = if now < follow.until {
            follow.plateau * PLATEAU
        } else {
            f64::INFINITY
        };
        let highest = self.rate >= most.min(self.limits.ceiling.as_bps() as f64);
        if follow.clean <= REST || !uses_it || highest || round.arrived < FILLS {
            self.phase = Phase::Follow(follow);
            return self.begin_round(now);
        }
        let near = (0.9..1.1).contains(&(self.rate / follow.plateau.max(1.0)));
        if near && follow.plateau >= DEEP * follow.target {
            // Beyond, it begins with small steps again.
            follow.step = STEP;
        }
        let largest = if returns { 1.0 } else { MOST };
        follow.step = follow.step.min(largest);
        let most = most
            .min(self.usage.may_be_sending(now) * (1.0 + largest))
            .max(self.rate);
        let rate = (self.rate * (1.0 + follow.step)).min(most);
        // Beyond a rate that was good it is not known how much further it goes.
        let rate = if returns {
            rate.min(follow.target)
        } else {
            rate
        };
        follow.step = (follow.step * 2.0).min(largest);
        self.phase = Phase::Follow(follow);
        self.set(now, rate);
    }

    fn judge(&mut self, now: Time, trial: Trial, interval: Duration) {
        let lasts = now.since(trial.since);
        let ratio = self.usage.sending(now) / trial.sent.max(1.0);
        let Some(response) = self.paths.response(ratio, trial.sent) else {
            if lasts > DRAINS.max(interval * 4) {
                // Nothing comes at the lower rate either.
                self.end_trial(now, trial, ratio, Verdict::NotTheRate);
            }
            return;
        };
        let vain = response.expected < VAIN * trial.excess;
        // More comes than before although less is sent, or less is lost than behind any bottleneck:
        // what was in the way is gone.
        let gone = response.fell - response.expected > SURE * response.deviation.max(CONGESTED);
        if gone
            || response.flow > 1.0 + HALF * (1.0 - ratio).max(BACK_OFF / 4.0)
                && response.over >= LASTS
        {
            return self.end_trial(now, trial, ratio, Verdict::NotTheRate);
        }
        // As much comes as before although less is sent: it stood in the queue of a bottleneck.
        let flows = (response.flow - ratio) / (1.0 - ratio).max(0.01);
        if flows > HALF && response.over >= QUEUED {
            return self.end_trial(now, trial, ratio, Verdict::Congestion { vain });
        }
        if flows > HALF / 2.0 && lasts < DRAINS {
            if response.over >= QUEUED {
                self.begin_round(now);
            }
            return;
        }
        let sure = response.expected >= SURE * response.deviation;
        let decides = if vain { DECIDES / 3 } else { DECIDES };
        if sure || lasts >= decides {
            let verdict = match response.fell < STAYED * response.expected {
                true => Verdict::NotTheRate,
                false => Verdict::Congestion { vain },
            };
            self.end_trial(now, trial, ratio, verdict);
        }
    }

    fn end_trial(&mut self, now: Time, trial: Trial, ratio: f64, verdict: Verdict) {
        let Verdict::Congestion { vain } = verdict else {
            self.paths.accept(ratio);
            self.judged = Some(Judged {
                until: now + REMEMBERED,
                rate: trial.rate,
                excess: trial.excess.min(MOST_REMEMBERED),
            });
            self.fell = None;
            self.phase = Phase::Follow(trial.follow);
            return self.set(now, trial.rate);
        };
        self.paths.reject();
        let mut follow = Follow::new(now, trial.plateau, 0, STEP);
        follow.until = trial.since + WAIT;
        follow.target = trial.follow.target;
        if trial.plateau < DEEP * self.good {
            // It is not somebody who takes a share, and may be over at any time.
            (follow.plateau, follow.until) = (0.0, now);
            (follow.step, follow.target) = (BACK, self.good);
        } else if trial.plateau < DEEP * follow.target {
            follow.until = trial.since + SHORT_WAIT;
        }
        self.phase = Phase::Follow(follow);
        if vain {
            return self.set(now, trial.plateau);
        }
        self.begin_search(now);
    }

    /// This loss was the path's a moment ago, at no lower rate.
    fn was_judged(&self, now: Time, round: &Round) -> bool {
        self.judged.is_some_and(|judged| {
            let known = judged.excess * 1.25 + DEVIATIONS * round.excess.deviation();
            now < judged.until && self.rate <= judged.rate * 1.1 && round.excess.mean <= known
        })
    }

    /// A rate that is not used is not kept for a better moment: [`SPARE`] times what was sent is.
    fn give_up(&mut self, now: Time) {
        // Perhaps there was little to send.
        let least = START.as_bps() as f64;
        self.set(now, self.rate.min((self.usage.most() * SPARE).max(least)));
    }

    /// The sender gives the channel less than it may have.
    fn is_held_back(&self) -> bool {
        self.grant.min(self.rate().as_bps() as f64) < self.rate * USED
    }

    /// While it starts: nothing is lost, and yet no more comes than at half the rate.
    fn seems_queued(&self, before: Option<f64>, round: &Round, now: Time) -> bool {
        let got = self.paths.got(self.usage.sending(now));
        before.is_some_and(|before| got < before * GROWS / 2.0) && round.lost <= CONGESTED
    }

    /// More is lost than the paths lose at any rate, surely enough, and they carry less than is
    /// sent.
    fn is_congestion(&self, round: &Round, carried: f64) -> bool {
        loses(round) && carried < self.rate * (1.0 - CONGESTED)
    }

    /// The paths carry less than is sent, by what they lose: less is sent, to see whether that
    /// helps.
    fn cut(&mut self, now: Time, follow: Follow, carried: f64, round: &Round) {
        let sent = self.usage.sending(now).min(self.rate);
        let carried = carried.min(sent);
        let taken = carried < follow.plateau * TAKEN;
        let (share, plateau) = match taken {
            true => (MAKE_ROOM, carried * (1.0 + MAKE_ROOM) / 2.0),
            false => (BACK_OFF, carried),
        };
        self.paths.remember();
        self.phase = Phase::Trial(Trial {
            since: now,
            rate: self.rate,
            follow,
            sent,
            excess: round.excess.mean.max(round.recent.mean),
            plateau,
        });
        self.fell = Some(now);
        self.set(now, (carried * share).max(sent * DEEPEST));
    }

    fn set(&mut self, now: Time, rate: f64) {
        let (floor, ceiling) = (self.limits.floor.as_bps(), self.limits.ceiling.as_bps());
        let ceiling = ceiling.max(floor) as f64;
        let before = core::mem::replace(&mut self.rate, rate.clamp(floor as f64, ceiling));
        self.back_pressure.follow(self.rate / before);
        if self.adapt == Adapt::Fixed {
            self.rate = ceiling;
        }
        self.begin_search(now);
        self.grtt_before = self.grtt;
    }

    /// Reports of times before tell nothing.
    fn begin_round(&mut self, now: Time) {
        self.usage.begin_round(now);
        self.paths.begin_round();
    }

    /// Begins a round, and forgets what the rounds before have sent.
    fn begin_search(&mut self, now: Time) {
        self.usage.begin_search(now);
        self.paths.begin_round();
    }
}

/// Surely more is lost than the paths lose at any rate.
fn loses(round: &Round) -> bool {
    let beyond = [round.excess, round.recent];
    let surely = |e: &Estimate| e.mean > CONGESTED.max(DEVIATIONS * e.deviation());
    beyond.iter().any(surely)
}

#[cfg(test)]
mod tests;
