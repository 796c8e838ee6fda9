//! The rate of one channel, from what its receivers report.
//!
//! Two kinds of loss look alike, and only one falls when the rate does. So a channel does not follow
//! loss but what is delivered: it goes up while more comes at the receivers, and where no more comes
//! it goes to what did. A share that is lost at any rate is the path's, paid in parity.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use crate::config::INITIAL_GRTT;
use crate::ids::ReceiverId;
use crate::rate::relief::Relief;
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

/// A receiver's figures over the time since its last report.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// IP bytes of data that came, a second.
    pub delivered: Rate,
    /// The share of data packets that did not come, 0 to 1.
    pub lost: f64,
    /// The time that both were measured over.
    pub over: Duration,
    /// How full the receiver's own buffers are, 0 to 1; 1 if they have overflowed, 0 while it keeps up.
    pub behind: f64,
}

impl Sample {
    /// Both together, where `next` was measured after this one.
    fn and_then(&self, next: &Sample) -> Sample {
        let over = self.over + next.over;
        let bits = |s: &Sample| s.delivered.as_bps() as f64 * s.over.as_secs_f64();
        let sent = |s: &Sample| bits(s) / (1.0 - s.lost).max(0.01);
        let (came, all) = (bits(self) + bits(next), sent(self) + sent(next));
        Sample {
            delivered: Rate::from_bps((came / over.as_secs_f64().max(1e-6)) as u64),
            lost: if all > 0.0 {
                1.0 - came / all
            } else {
                next.lost
            },
            over,
            behind: next.behind,
        }
    }

    /// Packets that it tells of.
    fn packets(&self) -> f64 {
        let bits = self.delivered.as_bps() as f64 * self.over.as_secs_f64();
        bits / 8.0 / PACKET / (1.0 - self.lost).max(0.01)
    }
}

/// What a channel begins with. From here doubling every 2 ms or round trip finds any LAN's rate in
/// a tenth of a second, and a link of 10 Mbit/s sees no more than a router's queue holds.
pub const START: Rate = Rate::from_bps(20_000_000);

/// Receivers whose reports are kept; of more, those heard last are a sample.
const MAX_KEPT: usize = 256;
/// One who has not reported for so long, or for four intervals, has left or is done, whether it was heard to say so or not.
const GONE: Duration = Duration::from_secs(4);
/// Packets that must have been sent to the reporters for a round to say something.
const ENOUGH: f64 = 64.0;
/// The same where more than one of two things may be the reason.
const MANY: f64 = 1_000.0;
/// IP bytes of a packet with the default symbol.
const PACKET: f64 = 1_408.0;
/// Twice the rate must bring this much more, or a bottleneck is reached. With loss that stays, it
/// brings twice as much; with a bottleneck, the same.
const GROWS: f64 = 1.5;
/// Once it seemed to bring no more, only this share of what came at half the rate clears it: a TCP flow beside
/// gives way to what is too much, so that more and more comes.
const CLEARS: f64 = 0.9;
/// Twice the rate that brought this much more shows that the rate before was below the bottleneck.
const BELOW: f64 = 1.1;
/// Less that comes than is sent, and no loss, means a queue that grows, or receivers that were late to look:
/// nothing is made of it before it lasted so long. Four busy receivers on two cores are late by 5 ms and
/// more (`benches/acceptance`); a link of 10 Mbit/s queues 75 KB more meanwhile.
const LASTS: Duration = Duration::from_millis(20);
/// A rate of which less than this share is sent is not used: something else is slower, or there is little to send. One that
/// is used is sent to 0.95 and more (`benches/acceptance`, random_loss_auto).
const USED: f64 = 0.85;
/// One that is not used for so long, while it looks for its rate and later, is given up, but for so much more than what was
/// sent: what is slower may be gone at once, like a processor that was busy with others (RFC 7661 §4). Later a disk
/// may hesitate for a while, and where less than a quarter is sent there is nothing else to send.
const SEARCHES: Duration = Duration::from_millis(200);
const UNUSED: Duration = Duration::from_millis(500);
const LITTLE: f64 = 0.25;
/// No step up goes beyond this either.
const SPARE: f64 = 1.25;
/// Losing more than this beyond the path's share is congestion. What is let pass starves a TCP flow
/// beside: at 2 % it gets 2 Mbit/s at a round trip of 60 ms (Mathis et al., 1997), at this a little over 3.
const CONGESTED: f64 = 0.005;
/// Congestion brings the rate to this share of what was delivered, so that queues drain and a TCP
/// flow beside finds room (CUBIC itself goes to 0.7, RFC 9438 §4.6).
pub const BACK_OFF: f64 = 0.85;
/// Congestion below this share of what the last one left means that somebody has come who takes room:
/// the rate goes to [`MAKE_ROOM`] of what was delivered, and waits below the middle between (CUBIC's fast convergence and its
/// decrease, RFC 9438 §4.6 and §4.7).
const TAKEN: f64 = 0.97;
const MAKE_ROOM: f64 = 0.7;
/// Standard deviations that a round's loss must be above the path's share; one of them because that is
/// a mean of the lowest rounds.
const DEVIATIONS: f64 = 5.0;
/// After a decrease, a path that loses the same share at any rate still does, and a bottleneck loses
/// less or nothing. Within this share of the difference it is the path's.
const STAYED: f64 = 0.25;
/// The deepest queue that is reckoned with, as time: cheap routers hold half a second.
const DEEP_QUEUE: Duration = Duration::from_millis(500);
/// Steps up by this share of the rate, doubling with each round that is clean up to the most.
const STEP: f64 = 0.02;
const MOST: f64 = 0.25;
/// Clean rounds before the rate goes up again after it came down.
const REST: u32 = 2;
/// It waits at this share of what the last congestion left, until so long after the rate came down:
/// a TCP flow beside takes some seconds to come back to what it had, 4.4 at 25 Mbit/s and 50 ms (K of RFC 9438 §4.2, which
/// waits on such a plateau too), and gets no further where we are back first. On 50 Mbit/s with a queue of 50 ms TCP keeps
/// 0.28 to 0.46 of the link (`benches/acceptance`, group_beside_tcp, eight runs), with 3 s 0.24 to 0.40; without [`CLEARS`] and [`MAKE_ROOM`] it
/// kept 0.16 to 0.44 (trials of 110 MB, six of each: 0.35 to 0.47 with them).
const PLATEAU: f64 = 0.96;
const WAIT: Duration = Duration::from_secs(5);
/// Losses of so many rounds are remembered; the lowest quarter of them is the path's.
const ROUNDS: usize = 20;
/// While it doubles, of so many: a bottleneck may have begun to show at half the rate, and surely not at a quarter.
const DOUBLINGS: usize = 2;
/// How long a switch goes on forwarding a group after the last receiver behind a port has left: two
/// last-member query intervals of a second (RFC 2236 §8.8), and some for the way.
pub const LEAVE_TIME: Duration = Duration::from_millis(2_300);
/// A channel that a receiver flees from this soon after it came down looks for its rate anew.
const SOON: Duration = Duration::from_secs(2);

/// The rate of one channel.
#[derive(Clone, Debug)]
pub struct RateControl {
    adapt: Adapt,
    limits: Limits,
    rate: f64,
    phase: Phase,
    kept: BTreeMap<ReceiverId, (Time, Sample)>,
    known: BTreeMap<ReceiverId, Known>,
    /// The rate is what it is since then, and the round began; reports of times before say nothing about it.
    changed_at: Time,
    round_due: Time,
    /// When it last came down because too much was sent.
    fell_at: Option<Time>,
    /// The group's round-trip time when the last round ended.
    grtt: Duration,
    /// The same when the rate changed: what is too much makes it longer, and what comes first is not delayed by that.
    grtt_before: Duration,
    /// Since when rounds have sent less than the rate allows, and the most bits a second that one did.
    unused_since: Time,
    most_used: f64,
    /// Until then, reports are not taken for what they seem.
    held_until: Time,
    /// The last sign of life, and IP bytes sent since the rate changed.
    heard_at: Time,
    sent: u64,
    losses: VecDeque<Loss>,
    relief: Relief,
}

/// What is known of a receiver's path.
#[derive(Clone, Copy, Debug)]
struct Known {
    heard_at: Time,
    /// Bits a second that it has carried; that it carries, where it loses to congestion.
    carries: f64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Doubling: what share of what was sent came at half the rate, and whether twice the rate seemed
    /// to bring no more once already.
    Starting { before: Option<f64>, doubt: bool },
    /// Following.
    Steady {
        clean: u32,
        /// What the last congestion left, and until when the rate stays below.
        plateau: f64,
        until: Time,
        /// Why it just came down.
        fell: Option<Fall>,
    },
}

impl Phase {
    /// Following, `clean` rounds after it came down to `plateau`, above which it may go at once; 0 if it did not.
    fn following(now: Time, plateau: f64, clean: u32) -> Phase {
        Phase::Steady {
            clean,
            plateau,
            until: now,
            fell: None,
        }
    }
}

/// What was sent and lost when the rate fell.
#[derive(Clone, Copy, Debug)]
struct Fall {
    /// Bits a second that left, which may be less than the rate allowed.
    rate: f64,
    lost: f64,
    /// The share that the path was known to lose.
    path: f64,
}

/// What a round lost, of so many packets.
#[derive(Clone, Copy, Debug, Default)]
struct Loss {
    share: f64,
    packets: f64,
}

/// What the reports of a round come to.
struct Outcome {
    delivered: f64,
    lost: f64,
    packets: f64,
    /// The shortest time that one of them tells of.
    over: Duration,
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
            phase: match known {
                Some(_) => Phase::following(now, start, 0),
                None => Phase::Starting {
                    before: None,
                    doubt: false,
                },
            },
            held_until: now,
            kept: BTreeMap::new(),
            known: BTreeMap::new(),
            changed_at: now,
            round_due: now,
            fell_at: None,
            grtt: INITIAL_GRTT,
            grtt_before: INITIAL_GRTT,
            unused_since: now,
            most_used: 0.0,
            heard_at: now,
            sent: 0,
            losses: VecDeque::new(),
            relief: Relief::new(adapt),
        };
        control.set(now, start);
        // No rate came before that could have been too much.
        control.grtt_before = Duration::MAX;
        control
    }

    /// What the channel may send at now.
    pub fn rate(&self) -> Rate {
        let limit = self.relief.limit().max(self.limits.floor.as_bps() as f64);
        Rate::from_bps(self.rate.min(limit) as u64)
    }

    /// It still doubles: reports are wanted as often as can be.
    pub fn is_starting(&self) -> bool {
        self.adapt != Adapt::Fixed && matches!(self.phase, Phase::Starting { .. })
    }

    /// The figures of one of `listeners` receivers came.
    pub fn handle_report(&mut self, now: Time, who: ReceiverId, sample: Sample, listeners: u32) {
        self.heard_at = now;
        if let Some(path) = self.known.get_mut(&who) {
            path.heard_at = now;
        }
        self.follow_buffers(now, who, &sample, listeners);
        let before = self.kept.get(&who).copied();
        // While reports are so short that several make a round, all since the rate changed count.
        let before = before.filter(|(at, s)| self.is_starting() && self.counts(*at, s));
        let sample = before.map_or(sample, |(_, earlier)| earlier.and_then(&sample));
        self.kept.insert(who, (now, sample));
        if self.kept.len() > MAX_KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, (at, _))| *at);
            if let Some(&id) = oldest.map(|(id, _)| id) {
                self.kept.remove(&id);
            }
        }
    }

    /// A receiver has left the channel, or lacks nothing any more: it has no say in the rate of those who stay.
    pub fn forget(&mut self, now: Time, who: ReceiverId) {
        self.kept.remove(&who);
        self.known.remove(&who);
        self.relief.handle_keeps_up(now, who);
    }

    /// A receiver has left because it could not keep up. If it was what brought the rate down, that is over.
    pub fn handle_fled(&mut self, now: Time, who: ReceiverId) {
        self.forget(now, who);
        let fell = self.fell_at.is_some_and(|at| now.since(at) < SOON);
        if fell && matches!(self.phase, Phase::Steady { .. }) {
            let path = self.path_loss().share;
            self.phase = Phase::Starting {
                before: (!self.losses.is_empty()).then_some(1.0 - path),
                doubt: false,
            };
            self.kept.clear();
            self.begin_search(now);
        }
    }

    /// A receiver has come that could not keep up elsewhere. What it listened to may still fill its
    /// link until the network has heard that it left.
    pub fn handle_refugee(&mut self, now: Time) {
        self.held_until = now + LEAVE_TIME;
    }

    /// What is lost now may be what a refugee left behind elsewhere, and says nothing of the channel.
    pub fn is_held(&self, now: Time) -> bool {
        now < self.held_until
    }

    /// The rate has just come down from what was too much, and not all that was lost there has been told yet: the path
    /// itself loses this share, as far as is known.
    pub fn path_after_fall(&self, now: Time) -> Option<f64> {
        let fell = matches!(self.phase, Phase::Steady { fell: Some(_), .. });
        (fell && now < self.changed_at + self.deep_queue()).then(|| self.path_loss().share)
    }

    /// IP bytes of data left on the channel.
    pub fn handle_sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// When a round is at its end.
    pub fn poll_timeout(&self) -> Option<Time> {
        let relief = self.relief.poll_timeout().unwrap_or(self.round_due);
        (self.adapt != Adapt::Fixed).then_some(self.round_due.min(relief))
    }

    /// What its own machine can't take shows in a receiver's buffers before anything is lost.
    fn follow_buffers(&mut self, now: Time, who: ReceiverId, sample: &Sample, listeners: u32) {
        let behind = sample.behind.clamp(0.0, 1.0);
        if behind == 0.0 {
            return self.relief.handle_keeps_up(now, who);
        }
        if self.adapt == Adapt::Fixed || self.is_held(now) || self.sent == 0 {
            return;
        }
        // The processors may send less than the rate allows, and there may be nothing to send.
        let rate = self.rate().as_bps() as f64;
        let sending = if now.since(self.changed_at) < LASTS {
            rate
        } else {
            self.sending(now).clamp(rate / 4.0, rate)
        };
        self.relief
            .handle_behind(now, who, behind, sending, listeners);
        // Twice as much is not what they wait for; one of many does not hold up the rest.
        if self.is_starting() && self.relief.waits(now, 4, listeners) {
            self.phase = Phase::following(now, 0.0, 0);
        }
    }

    /// A round is at its end: true if the rate changed. `listeners` may report, each about every
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
        self.relief.handle_timeout(now, self.rate, listeners);
        if now >= self.round_due {
            self.end_round(now, grtt, listeners, interval);
        }
        self.rate() != before
    }

    fn end_round(&mut self, now: Time, grtt: Duration, listeners: u32, interval: Duration) {
        let pause = if self.is_starting() {
            // What is too much delays its own reports, so that a round trip may be a long time to go on with it.
            grtt.clamp(Duration::from_millis(2), Duration::from_millis(5))
        } else {
            (grtt * 4).max(Duration::from_millis(100))
        };
        self.round_due = now + pause;
        let silence = (interval * 4).max(pause * 4).max(Duration::from_secs(1));
        let gone = silence.max(GONE);
        self.known
            .retain(|_, path| now.since(path.heard_at) <= gone);
        if self.is_held(now) {
            self.begin_search(now);
            self.kept.clear();
            self.heard_at = now;
            return;
        }
        if self.sent > 0 && now.since(self.heard_at.max(self.changed_at)) > silence {
            return self.fall(now, self.rate / 2.0);
        }
        self.grtt = grtt;
        let fresh: Vec<Sample> = self
            .kept
            .values()
            .filter(|(at, sample)| self.counts(*at, sample))
            .map(|&(_, sample)| sample)
            .collect();
        let patient = now.since(self.changed_at) < interval * 3;
        let some = fresh.len() >= (listeners as usize).clamp(1, 4) || !patient;
        let Some(outcome) = summary(&fresh, self.adapt).filter(|_| some) else {
            return;
        };
        let enough = outcome.packets >= ENOUGH || now.since(self.changed_at) > interval * 8;
        let waits = self.is_in_doubt() || self.seems_queued(&outcome, now);
        // Somebody who has left tells of no more.
        let waited = now.since(self.changed_at) >= LASTS.max(interval) * 3;
        if enough && (outcome.over >= LASTS || !waits || waited) {
            self.judge(now, &outcome);
        }
    }

    /// Figures that came at `at` tell what this rate does, and nothing of the one before.
    fn counts(&self, at: Time, sample: &Sample) -> bool {
        let settled = match self.phase {
            // The rate is still the same.
            Phase::Starting { doubt: true, .. } => Duration::ZERO,
            // What was dropped before the rate fell is missed only when what stood in the queue before it
            // has come.
            Phase::Steady { fell: Some(_), .. } => self.deep_queue(),
            _ => self.grtt.min(self.grtt_before),
        };
        let since = self.changed_at + settled;
        at >= since && at.since(since) >= sample.over
    }

    /// How long the deepest queue that is reckoned with takes to empty.
    fn deep_queue(&self) -> Duration {
        self.grtt.max(DEEP_QUEUE)
    }

    fn judge(&mut self, now: Time, outcome: &Outcome) {
        let uses_it = self.sending(now) >= USED * self.rate;
        if uses_it {
            self.unused_since = now;
            self.most_used = 0.0;
        } else {
            self.most_used = self.most_used.max(self.sending(now));
        }
        let fresh = core::mem::take(&mut self.kept);
        let path = self.path_loss().share.min(outcome.lost);
        for (who, (heard_at, sample)) in fresh {
            let came = sample.delivered.as_bps() as f64;
            let fits = sample.lost <= path + CONGESTED;
            let known = self.known.get(&who).filter(|_| fits);
            let carries = known.map_or(came, |known| known.carries.max(came));
            self.known.insert(who, Known { heard_at, carries });
        }
        self.bound_known();
        match self.phase {
            Phase::Starting { before, doubt } => {
                let got = self.got(outcome, now);
                let need = if doubt { CLEARS } else { GROWS / 2.0 };
                let no_more = before.is_some_and(|before| got < before * need);
                // What is sent is less than the rate allows, and may still be too much.
                let too_much = !uses_it && outcome.packets >= MANY && self.is_congestion(outcome);
                let no_more = no_more || too_much;
                if no_more && !doubt {
                    self.phase = Phase::Starting {
                        before,
                        doubt: true,
                    };
                    self.begin_round(now);
                } else if no_more {
                    // That is the bottleneck. Where no more came than at half the rate, what was lost there may have
                    // been lost for the same reason.
                    if before.is_none_or(|before| got < before * BELOW / 2.0) {
                        self.losses.pop_back();
                    }
                    // What still stands in the queue will not come either.
                    self.congested(now, outcome, 1.0 - got);
                } else if !uses_it {
                    // Something else is slower; the next round may be a better one.
                    self.begin_round(now);
                    if now.since(self.unused_since) >= SEARCHES {
                        self.phase = Phase::following(now, 0.0, 0);
                        self.give_up(now);
                    }
                } else if self.rate >= self.limits.ceiling.as_bps() as f64 {
                    self.remember(outcome, DOUBLINGS);
                    self.phase = Phase::following(now, 0.0, 0);
                } else {
                    self.remember(outcome, DOUBLINGS);
                    self.phase = Phase::Starting {
                        before: Some(got),
                        doubt: false,
                    };
                    self.set(now, self.rate * 2.0);
                }
            }
            Phase::Steady {
                clean,
                plateau,
                until,
                fell,
            } => {
                if let Some(fall) = fell
                    && fall.is_of_the_path(outcome.lost, self.rate)
                {
                    // The rate fell and the loss did not.
                    self.losses.clear();
                    self.remember(outcome, ROUNDS);
                    self.phase = Phase::following(now, 0.0, REST);
                    return self.set(now, fall.rate.max(self.rate));
                }
                let congestion = self.is_congestion(outcome);
                if !congestion && outcome.packets >= MANY {
                    // Few packets, as while it started, tell a share that is far off.
                    self.losses.retain(|l| l.packets >= MANY);
                }
                if congestion {
                    self.congested(now, outcome, outcome.lost);
                    return self.remember(outcome, ROUNDS);
                }
                self.remember(outcome, ROUNDS);
                let clean = clean + 1;
                self.phase = Phase::Steady {
                    clean,
                    plateau,
                    until,
                    fell: None,
                };
                let most = if now < until {
                    plateau * PLATEAU
                } else {
                    f64::INFINITY
                };
                let unused = now.since(self.unused_since) >= UNUSED;
                if unused && self.sending(now) >= LITTLE * self.rate {
                    return self.give_up(now);
                }
                if clean <= REST || !uses_it || self.rate >= most {
                    self.begin_round(now);
                    return;
                }
                let near = (0.9..1.1).contains(&(self.rate / plateau.max(1.0)));
                if near && let Phase::Steady { clean, .. } = &mut self.phase {
                    // Beyond, it begins with small steps again.
                    *clean = REST;
                }
                let doublings = if near { 0 } else { clean - REST };
                let step = (STEP * f64::from(1 << doublings.min(5))).min(MOST);
                let most = most.min(self.sending(now) * SPARE).max(self.rate);
                self.set(now, (self.rate * (1.0 + step)).min(most));
            }
        }
    }

    /// Of more than are kept, those who were heard last are a sample, and of the lowest the lowest.
    fn bound_known(&mut self) {
        let excess = self.known.len().saturating_sub(MAX_KEPT);
        for _ in 0..excess {
            let known = self.known.iter();
            let least = match self.adapt {
                Adapt::Lowest => known.max_by(|a, b| a.1.carries.total_cmp(&b.1.carries)),
                _ => known.min_by_key(|(_, path)| path.heard_at),
            };
            if let Some(&who) = least.map(|(who, _)| who) {
                self.known.remove(&who);
            }
        }
    }

    /// A rate that is not used is not kept for a better moment: so much more than what was sent is.
    fn give_up(&mut self, now: Time) {
        // Perhaps there was little to send.
        let least = START.as_bps() as f64;
        self.set(now, self.rate.min((self.most_used * SPARE).max(least)));
    }

    /// The share that came of what was sent: by what came, not only by what was lost, because a deep queue
    /// loses nothing until it is full.
    fn got(&self, outcome: &Outcome, now: Time) -> f64 {
        (1.0 - outcome.lost).min(outcome.delivered / self.sending(now).max(1.0))
    }

    /// IP bits of data that left, a second, since the rate changed.
    fn sending(&self, now: Time) -> f64 {
        let seconds = now.since(self.changed_at).as_secs_f64();
        self.sent as f64 * 8.0 / seconds.max(1e-6)
    }

    /// Twice the rate seemed to bring no more.
    fn is_in_doubt(&self) -> bool {
        matches!(self.phase, Phase::Starting { doubt: true, .. })
    }

    /// While it starts: nothing is lost, and yet no more comes than at half the rate.
    fn seems_queued(&self, outcome: &Outcome, now: Time) -> bool {
        let Phase::Starting { before, .. } = self.phase else {
            return false;
        };
        let less = before.is_some_and(|before| self.got(outcome, now) < before * GROWS / 2.0);
        less && outcome.lost <= CONGESTED
    }

    /// What the paths of those who report carry: the mean, or the least.
    fn capacity(&self) -> f64 {
        let all = self.known.values().map(|path| path.carries);
        match self.adapt {
            Adapt::Lowest => all.reduce(f64::min).unwrap_or(self.rate),
            _ => all.sum::<f64>() / self.known.len().max(1) as f64,
        }
    }

    /// More is lost than the path loses at any rate, and less carried than sent.
    fn is_congestion(&self, outcome: &Outcome) -> bool {
        let Loss {
            share: path,
            packets,
        } = self.path_loss();
        let beyond = (outcome.lost - path) / (1.0 - path).max(0.01);
        // Few packets without a loss don't tell that nothing is lost (Jeffreys' prior).
        let likely = (path * packets + 0.5) / (packets + 1.0);
        let known = 1.0 / packets.max(1.0) + 1.0 / outcome.packets.max(1.0);
        let noise = DEVIATIONS * (likely * (1.0 - likely) * known).sqrt();
        let carried = self.capacity() / (1.0 - path).max(0.01);
        beyond > CONGESTED.max(noise) && carried < self.rate * (1.0 - CONGESTED)
    }

    /// More is sent than comes, and this share of it never will: the rate goes below what does.
    fn congested(&mut self, now: Time, outcome: &Outcome, lost: f64) {
        let path = self.path_loss().share.min(outcome.lost);
        let carried = (self.capacity() / (1.0 - path).max(0.01)).min(self.rate);
        let fell = Some(Fall {
            rate: self.sending(now).min(self.rate),
            lost,
            path,
        });
        let taken = match self.phase {
            Phase::Steady { plateau, .. } => carried < plateau * TAKEN,
            Phase::Starting { .. } => false,
        };
        let (share, plateau) = match taken {
            true => (MAKE_ROOM, carried * (1.0 + MAKE_ROOM) / 2.0),
            false => (BACK_OFF, carried),
        };
        self.fall(now, carried * share);
        self.phase = Phase::Steady {
            clean: 0,
            plateau,
            until: now + WAIT,
            fell,
        };
    }

    fn fall(&mut self, now: Time, rate: f64) {
        self.phase = Phase::following(now, rate, 0);
        self.fell_at = Some(now);
        self.set(now, rate);
    }

    fn set(&mut self, now: Time, rate: f64) {
        let (floor, ceiling) = (self.limits.floor.as_bps(), self.limits.ceiling.as_bps());
        let ceiling = ceiling.max(floor) as f64;
        let before = core::mem::replace(&mut self.rate, rate.clamp(floor as f64, ceiling));
        self.relief.follow(self.rate / before);
        if self.adapt == Adapt::Fixed {
            self.rate = ceiling;
        }
        self.begin_search(now);
        self.grtt_before = self.grtt;
    }

    /// Reports of times before tell nothing.
    fn begin_round(&mut self, now: Time) {
        self.changed_at = now;
        self.sent = 0;
    }

    /// The same, and what rounds before have sent tells nothing either.
    fn begin_search(&mut self, now: Time) {
        self.begin_round(now);
        self.unused_since = now;
        self.most_used = 0.0;
    }

    fn remember(&mut self, outcome: &Outcome, rounds: usize) {
        self.losses.push_back(Loss {
            share: outcome.lost,
            packets: outcome.packets,
        });
        while self.losses.len() > rounds {
            self.losses.pop_front();
        }
    }

    /// What is lost at any rate: the mean of the lowest quarter of what was, and how many packets would
    /// tell it as surely.
    fn path_loss(&self) -> Loss {
        let mut losses: Vec<Loss> = self.losses.iter().copied().collect();
        losses.sort_unstable_by(|a, b| a.share.total_cmp(&b.share));
        losses.truncate(losses.len().div_ceil(4));
        let unsure: f64 = losses.iter().map(|l| 1.0 / l.packets.max(1.0)).sum();
        let share: f64 = losses.iter().map(|l| l.share).sum();
        let rounds = losses.len().max(1) as f64;
        Loss {
            share: share / rounds,
            packets: rounds * rounds / unsure.max(1e-9),
        }
    }
}

impl Fall {
    /// Whether what is lost at `rate`, `lost`, is what was lost at the higher rate before and not what a
    /// bottleneck would lose, which loses no less than the path was known to.
    fn is_of_the_path(&self, lost: f64, rate: f64) -> bool {
        let bottleneck = 1.0 - (1.0 - self.lost) * self.rate / rate.max(1.0);
        let difference = self.lost - bottleneck.max(self.path);
        difference > 0.0 && (lost - self.lost).abs() <= STAYED * difference
    }
}

fn summary(samples: &[Sample], adapt: Adapt) -> Option<Outcome> {
    let rate = |s: &Sample| s.delivered.as_bps() as f64;
    let count = samples.len() as f64;
    let (delivered, lost) = match adapt {
        Adapt::Lowest => {
            let slowest = samples.iter().min_by(|a, b| rate(a).total_cmp(&rate(b)))?;
            (rate(slowest), slowest.lost)
        }
        _ if samples.is_empty() => return None,
        _ => {
            let delivered: f64 = samples.iter().map(rate).sum();
            let lost: f64 = samples.iter().map(|s| s.lost).sum();
            (delivered / count, lost / count)
        }
    };
    let packets = samples.iter().map(Sample::packets).sum();
    Some(Outcome {
        delivered,
        lost,
        packets,
        over: samples.iter().map(|s| s.over).min().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
