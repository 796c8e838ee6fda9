//! The rate of one channel, from what its receivers report.
//!
//! Two kinds of loss look alike, and only one falls when the rate does. So a channel does not follow
//! loss but what is delivered: it goes up while more comes at the receivers, and where no more comes
//! it goes to what did. A share that is lost at any rate is the path's, paid in parity.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use crate::ids::ReceiverId;
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
}

/// What a channel begins with. From here doubling every 2 ms or round trip finds any LAN's rate in
/// a tenth of a second, and a link of 10 Mbit/s sees no more than a router's queue holds.
pub const START: Rate = Rate::from_bps(20_000_000);

/// Receivers whose reports are kept; of more, those heard last are a sample.
const MAX_KEPT: usize = 256;
/// Packets that must have been sent to the reporters for a round to say something.
const ENOUGH: f64 = 64.0;
/// The same where more than one of two things may be the reason.
const MANY: f64 = 1_000.0;
/// IP bytes of a packet with the default symbol.
const PACKET: f64 = 1_408.0;
/// Twice the rate must bring this much more, or a bottleneck is reached. With loss that stays, it
/// brings twice as much; with a bottleneck, the same.
const GROWS: f64 = 1.5;
/// Losing more than this beyond the path's share is congestion. What is let pass starves a TCP flow
/// beside: at 2 % it gets 2 Mbit/s at a round trip of 60 ms (Mathis et al., 1997), at this a little over 3.
const CONGESTED: f64 = 0.005;
/// Congestion brings the rate to this share of what was delivered, so that queues drain and a TCP
/// flow beside finds room (CUBIC itself goes to 0.7, RFC 9438 §4.6).
pub const BACK_OFF: f64 = 0.85;
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
/// a TCP flow beside takes some seconds to come back to what it had (CUBIC waits on such a plateau too,
/// RFC 9438 §4.2), and gets no further where we are back first. On 50 Mbit/s with a queue of 50 ms TCP kept
/// 0.26 to 0.35 of the link so, and 0.21 to 0.36 without the wait and with congestion from 2 % of loss
/// (`benches/acceptance`, group_beside_tcp).
const PLATEAU: f64 = 0.96;
const WAIT: Duration = Duration::from_secs(3);
/// Losses of so many rounds are remembered; the lowest quarter of them is the path's.
const ROUNDS: usize = 20;
/// How long a switch goes on forwarding a group after the last receiver behind a port has left: two
/// last-member query intervals of a second (RFC 2236 §8.8), and some for the way.
pub const LEAVE_TIME: Duration = Duration::from_millis(2_300);
/// A channel whose receivers come and go this soon after it came down looks for its rate anew.
const SOON: Duration = Duration::from_secs(2);

/// The rate of one channel.
#[derive(Clone, Debug)]
pub struct RateControl {
    adapt: Adapt,
    limits: Limits,
    rate: f64,
    phase: Phase,
    kept: BTreeMap<ReceiverId, (Time, Sample)>,
    /// What each receiver's path has carried; what it carries, where it loses to congestion.
    known: BTreeMap<ReceiverId, f64>,
    /// The rate is what it is since then; reports of times before say nothing about it.
    changed_at: Time,
    round_due: Time,
    /// Until then, reports are not taken for what they seem.
    held_until: Time,
    /// The last sign of life, and IP bytes sent since the rate changed.
    heard_at: Time,
    sent: u64,
    losses: VecDeque<Loss>,
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
        /// Just came down from this rate, having lost so much.
        fell: Option<(f64, f64)>,
    },
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
                Some(_) => Phase::Steady {
                    clean: 0,
                    plateau: start,
                    until: now,
                    fell: None,
                },
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
            heard_at: now,
            sent: 0,
            losses: VecDeque::new(),
        };
        control.set(now, start);
        control
    }

    /// What the channel may send at now.
    pub fn rate(&self) -> Rate {
        Rate::from_bps(self.rate as u64)
    }

    /// It still doubles: reports are wanted as often as can be.
    pub fn is_starting(&self) -> bool {
        self.adapt != Adapt::Fixed && matches!(self.phase, Phase::Starting { .. })
    }

    /// A receiver's figures came.
    pub fn handle_report(&mut self, now: Time, who: ReceiverId, sample: Sample) {
        self.heard_at = now;
        self.kept.insert(who, (now, sample));
        if self.kept.len() > MAX_KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, (at, _))| *at);
            if let Some(&id) = oldest.map(|(id, _)| id) {
                self.kept.remove(&id);
            }
        }
    }

    /// A receiver left the channel. If it was what brought the rate down, that is over.
    pub fn forget(&mut self, now: Time, who: ReceiverId) {
        self.kept.remove(&who);
        self.known.remove(&who);
        if now.since(self.changed_at) < SOON && matches!(self.phase, Phase::Steady { .. }) {
            self.phase = Phase::Starting {
                before: None,
                doubt: false,
            };
            self.kept.clear();
            self.changed_at = now;
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

    /// IP bytes of data left on the channel.
    pub fn handle_sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// When a round is at its end.
    pub fn poll_timeout(&self) -> Option<Time> {
        (self.adapt != Adapt::Fixed).then_some(self.round_due)
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
        if self.adapt == Adapt::Fixed || now < self.round_due {
            return false;
        }
        let before = self.rate;
        let pause = if self.is_starting() {
            grtt.max(Duration::from_millis(2))
        } else {
            (grtt * 4).max(Duration::from_millis(100))
        };
        self.round_due = now + pause;
        let silence = (interval * 4).max(pause * 4).max(Duration::from_secs(1));
        if self.is_held(now) {
            self.changed_at = now;
            self.kept.clear();
            self.heard_at = now;
            return false;
        }
        if self.sent > 0 && now.since(self.heard_at.max(self.changed_at)) > silence {
            self.fall(now, self.rate / 2.0);
            return self.rate != before;
        }
        // What was dropped before the rate fell is missed only when what stood in the queue before it
        // has come.
        let fell = matches!(self.phase, Phase::Steady { fell: Some(_), .. });
        let since = self.changed_at + if fell { grtt.max(DEEP_QUEUE) } else { grtt };
        let fresh: Vec<Sample> = self
            .kept
            .values()
            .filter(|(at, sample)| at.since(since) >= sample.over && *at >= since)
            .map(|&(_, sample)| sample)
            .collect();
        let patient = now.since(self.changed_at) < interval * 3;
        let some = fresh.len() >= (listeners as usize).clamp(1, 4) || !patient;
        let Some(outcome) = summary(&fresh, self.adapt).filter(|_| some) else {
            return false;
        };
        let enough = outcome.packets >= ENOUGH || now.since(self.changed_at) > interval * 8;
        if enough {
            self.judge(now, &outcome);
        }
        self.rate != before
    }

    fn judge(&mut self, now: Time, outcome: &Outcome) {
        let seconds = now.since(self.changed_at).as_secs_f64();
        let uses_it = self.sent as f64 * 8.0 >= 0.7 * self.rate * seconds;
        let fresh = core::mem::take(&mut self.kept);
        let path = self.path_loss().share.min(outcome.lost);
        for (who, (_, sample)) in fresh {
            let came = sample.delivered.as_bps() as f64;
            let fits = sample.lost <= path + CONGESTED;
            let known = self.known.get(&who).copied().filter(|_| fits);
            self.known
                .insert(who, known.map_or(came, |known| known.max(came)));
        }
        while self.known.len() > MAX_KEPT {
            self.known.pop_first();
        }
        match self.phase {
            Phase::Starting { before, doubt } => {
                // By what came, not only by what was lost: a deep queue loses nothing until it is full.
                let sent = self.sent as f64 * 8.0 / seconds.max(1e-6);
                let got = (1.0 - outcome.lost).min(outcome.delivered / sent.max(1.0));
                let no_more = before.is_some_and(|before| got < before * GROWS / 2.0);
                // What is sent is less than the rate allows, and may still be too much.
                let too_much = !uses_it && outcome.packets >= MANY && self.is_congestion(outcome);
                let no_more = no_more || too_much;
                if no_more && !doubt {
                    self.phase = Phase::Starting {
                        before,
                        doubt: true,
                    };
                    self.changed_at = now;
                    self.sent = 0;
                } else if no_more {
                    // No more comes than at half the rate: that is the bottleneck, and what was lost
                    // below it may have been lost for the same reason.
                    self.losses.clear();
                    self.congested(now, outcome);
                } else if !uses_it {
                    // Something else is slower; the next round may be a better one.
                    self.changed_at = now;
                    self.sent = 0;
                } else if self.rate >= self.limits.ceiling.as_bps() as f64 {
                    self.losses.clear();
                    self.remember(outcome);
                    self.phase = Phase::Steady {
                        clean: 0,
                        plateau: 0.0,
                        until: now,
                        fell: None,
                    };
                } else {
                    self.losses.clear();
                    self.remember(outcome);
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
                if let Some((rate, lost)) = fell
                    && is_of_the_path(lost, rate, outcome.lost, self.rate)
                {
                    // The rate fell and the loss did not.
                    self.losses.clear();
                    self.remember(outcome);
                    self.phase = Phase::Steady {
                        clean: REST,
                        plateau: 0.0,
                        until: now,
                        fell: None,
                    };
                    return self.set(now, rate);
                }
                let congestion = self.is_congestion(outcome);
                self.remember(outcome);
                if congestion {
                    return self.congested(now, outcome);
                }
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
                if clean <= REST || !uses_it || self.rate >= most {
                    self.sent = 0;
                    self.changed_at = now;
                    return;
                }
                let near = (0.9..1.1).contains(&(self.rate / plateau.max(1.0)));
                if near && let Phase::Steady { clean, .. } = &mut self.phase {
                    // Beyond, it begins with small steps again.
                    *clean = REST;
                }
                let doublings = if near { 0 } else { clean - REST };
                let step = (STEP * f64::from(1 << doublings.min(5))).min(MOST);
                self.set(now, (self.rate * (1.0 + step)).min(most));
            }
        }
    }

    /// What the paths of those who report carry: the mean, or the least.
    fn capacity(&self) -> f64 {
        let all = self.known.values();
        match self.adapt {
            Adapt::Lowest => all.copied().reduce(f64::min).unwrap_or(self.rate),
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
        let known = 1.0 / packets.max(1.0) + 1.0 / outcome.packets.max(1.0);
        let noise = 4.0 * (path * (1.0 - path) * known).sqrt();
        let carried = self.capacity() / (1.0 - path).max(0.01);
        beyond > CONGESTED.max(noise) && carried < self.rate * (1.0 - CONGESTED)
    }

    /// More is sent than comes: the rate goes below what does.
    fn congested(&mut self, now: Time, outcome: &Outcome) {
        let path = self.path_loss().share.min(outcome.lost);
        let carried = (self.capacity() / (1.0 - path).max(0.01)).min(self.rate);
        let fell = Some((self.rate, outcome.lost));
        self.fall(now, carried * BACK_OFF);
        self.phase = Phase::Steady {
            clean: 0,
            plateau: carried,
            until: now + WAIT,
            fell,
        };
    }

    fn fall(&mut self, now: Time, rate: f64) {
        self.phase = Phase::Steady {
            clean: 0,
            plateau: rate,
            until: now,
            fell: None,
        };
        self.set(now, rate);
    }

    fn set(&mut self, now: Time, rate: f64) {
        let (floor, ceiling) = (self.limits.floor.as_bps(), self.limits.ceiling.as_bps());
        let ceiling = ceiling.max(floor) as f64;
        self.rate = rate.clamp(floor as f64, ceiling);
        if self.adapt == Adapt::Fixed {
            self.rate = ceiling;
        }
        self.changed_at = now;
        self.sent = 0;
    }

    fn remember(&mut self, outcome: &Outcome) {
        self.losses.push_back(Loss {
            share: outcome.lost,
            packets: outcome.packets,
        });
        if self.losses.len() > ROUNDS {
            self.losses.pop_front();
        }
    }

    /// What is lost at any rate: the mean of the lowest quarter of what was.
    fn path_loss(&self) -> Loss {
        let mut losses: Vec<Loss> = self.losses.iter().copied().collect();
        losses.sort_unstable_by(|a, b| a.share.total_cmp(&b.share));
        let quarter = losses.len().div_ceil(4);
        let (lost, packets) = losses
            .iter()
            .take(quarter)
            .fold((0.0, 0.0), |(l, p), of| (l + of.share, p + of.packets));
        Loss {
            share: lost / quarter.max(1) as f64,
            packets,
        }
    }
}

/// Whether what is lost at `rate`, `lost`, is what was lost at the higher rate before and not what a
/// bottleneck would lose.
fn is_of_the_path(lost_before: f64, rate_before: f64, lost: f64, rate: f64) -> bool {
    let bottleneck = (1.0 - (1.0 - lost_before) * rate_before / rate.max(1.0)).max(0.0);
    let difference = lost_before - bottleneck;
    difference > 0.0 && (lost - lost_before).abs() <= STAYED * difference
}

fn summary(samples: &[Sample], adapt: Adapt) -> Option<Outcome> {
    let rate = |s: &Sample| s.delivered.as_bps() as f64;
    let packets =
        |s: &Sample| rate(s) * s.over.as_secs_f64() / 8.0 / PACKET / (1.0 - s.lost).max(0.01);
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
    let packets = samples.iter().map(packets).sum();
    Some(Outcome {
        delivered,
        lost,
        packets,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    const GRTT: Duration = Duration::from_millis(2);

    fn mbps(n: u64) -> Rate {
        Rate::from_bps(n * 1_000_000)
    }

    fn limits(ceiling: u64) -> Limits {
        Limits {
            floor: Rate::from_bps(64_000),
            ceiling: mbps(ceiling),
        }
    }

    /// A receiver behind a link with a drop-tail queue and loss of its own.
    struct Path {
        carries: f64,
        loses: f64,
        queue: f64,
        waiting: f64,
        came: f64,
        /// What was dropped, and how much stands before it: it is missed when that has come.
        dropped: VecDeque<(f64, f64)>,
        missed: f64,
        since: Time,
        due: Time,
    }

    impl Path {
        fn new(carries: Rate, loses: f64, queue: Duration) -> Path {
            let carries = carries.as_bps() as f64;
            Path {
                carries,
                loses,
                queue: carries * queue.as_secs_f64(),
                waiting: 0.0,
                came: 0.0,
                dropped: VecDeque::new(),
                missed: 0.0,
                since: Time::ZERO,
                due: Time::ZERO,
            }
        }

        /// Bits that were sent in `step`.
        fn carry(&mut self, sent: f64, step: Duration) {
            let out = self.waiting.min(self.carries * step.as_secs_f64());
            self.waiting -= out;
            let taken = sent.min(self.queue + self.carries * step.as_secs_f64() - self.waiting);
            self.waiting += taken;
            if sent > taken {
                self.dropped.push_back((sent - taken, self.waiting));
            }
            for (_, before) in &mut self.dropped {
                *before -= out;
            }
            while let Some(&(bits, before)) = self.dropped.front()
                && before <= 0.0
            {
                self.missed += bits;
                self.dropped.pop_front();
            }
            self.came += out * (1.0 - self.loses);
            self.missed += out * self.loses;
        }

        fn sample(&mut self, now: Time) -> Sample {
            let over = now.since(core::mem::replace(&mut self.since, now));
            let came = core::mem::take(&mut self.came);
            let missed = core::mem::take(&mut self.missed);
            Sample {
                delivered: Rate::from_bps((came / over.as_secs_f64()) as u64),
                lost: missed / (came + missed).max(1.0),
                over,
            }
        }
    }

    /// Runs for so many seconds; gives the mean of what was sent, a second, in the last half.
    fn run(
        control: &mut RateControl,
        paths: &mut [Path],
        from: Time,
        seconds: u64,
        rng: &mut Rng,
    ) -> f64 {
        run_on(mbps(1_000_000), control, paths, from, seconds, rng)
    }

    /// The same on a machine that can't send faster than `most`.
    fn run_on(
        most: Rate,
        control: &mut RateControl,
        paths: &mut [Path],
        from: Time,
        seconds: u64,
        rng: &mut Rng,
    ) -> f64 {
        const STEP: Duration = Duration::from_micros(500);
        let end = from + Duration::from_secs(seconds);
        let half = from + Duration::from_secs(seconds) / 2;
        let (mut now, mut late) = (from, 0.0);
        while now < end {
            let bits = control.rate().min(most).as_bps() as f64 * STEP.as_secs_f64();
            control.handle_sent((bits / 8.0) as u64);
            now += STEP;
            let least = if control.is_starting() { 5 } else { 200 };
            let interval = Duration::from_millis(least);
            for (id, path) in paths.iter_mut().enumerate() {
                path.carry(bits, STEP);
                if path.due <= now {
                    path.due = now + interval.mul_f64(0.5 + rng.unit());
                    let sample = path.sample(now);
                    control.handle_report(now, ReceiverId(id as u64 + 1), sample);
                }
            }
            if control.poll_timeout().is_some_and(|at| at <= now) {
                control.handle_timeout(now, GRTT, paths.len() as u32, interval);
            }
            if now > half {
                late += bits;
            }
        }
        late / (end.since(half)).as_secs_f64()
    }

    #[test]
    fn a_bottleneck_is_filled_and_not_flooded() {
        let links = [
            (10, 20),
            (10, 200),
            (10, 500),
            (50, 50),
            (50, 500),
            (200, 20),
            (900, 50),
        ];
        for (carries, queue) in links {
            let mut rng = Rng::new(carries);
            let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), None);
            let mut paths = [Path::new(mbps(carries), 0.0, Duration::from_millis(queue))];
            let mean = run(&mut control, &mut paths, Time::ZERO, 40, &mut rng) / 1e6;
            let of = carries as f64;
            // What fills half a second of queue is noticed late, and overfills it each time.
            let most = if queue == 500 { 1.15 } else { 1.06 };
            assert!(
                (0.88 * of..most * of).contains(&mean),
                "{mean:.1} of {of} with {queue} ms"
            );
        }
    }

    /// It doubled to more than the machine sends, and only then the receivers could not take it.
    #[test]
    fn a_rate_that_the_machine_does_not_reach_comes_down_all_the_same() {
        let mut rng = Rng::new(7);
        let most = mbps(1_900);
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(10_000), None);
        let mut paths = [Path::new(mbps(5_000), 0.0, Duration::from_millis(20))];
        run_on(most, &mut control, &mut paths, Time::ZERO, 1, &mut rng);
        assert!(control.is_starting() && control.rate() > most);
        paths[0] = Path::new(mbps(1_600), 0.0, Duration::from_millis(20));
        paths[0].since = Time::from_millis(1_000);
        let from = Time::from_millis(1_000);
        let mean = run_on(most, &mut control, &mut paths, from, 4, &mut rng) / 1e6;
        assert!((1_350.0..1_650.0).contains(&mean), "{mean}");
    }

    #[test]
    fn what_the_path_loses_lowers_no_rate() {
        let mut rng = Rng::new(5);
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(300), None);
        let path = || Path::new(mbps(10_000), 0.2, Duration::from_millis(20));
        let mut paths = [path(), path(), path()];
        let mean = run(&mut control, &mut paths, Time::ZERO, 5, &mut rng) / 1e6;
        assert!(mean > 290.0, "{mean}");
    }

    #[test]
    fn the_average_or_the_lowest_is_followed() {
        for (adapt, low, high) in [(Adapt::Average, 60.0, 120.0), (Adapt::Lowest, 17.0, 21.0)] {
            let mut rng = Rng::new(6);
            let mut control = RateControl::new(Time::ZERO, adapt, limits(1_000), None);
            let path = |n| Path::new(mbps(n), 0.0, Duration::from_millis(50));
            let mut paths = [path(20), path(100), path(150), path(150)];
            let mean = run(&mut control, &mut paths, Time::ZERO, 20, &mut rng) / 1e6;
            assert!((low..high).contains(&mean), "{adapt:?}: {mean}");
        }
    }

    #[test]
    fn a_link_that_falls_is_followed_down_and_up() {
        for queue in [20, 50, 200, 500] {
            let mut rng = Rng::new(7);
            let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), None);
            let link = |n| [Path::new(mbps(n), 0.0, Duration::from_millis(queue))];
            run(&mut control, &mut link(100), Time::ZERO, 5, &mut rng);
            let low = run(
                &mut control,
                &mut link(5),
                Time::from_millis(5_000),
                10,
                &mut rng,
            ) / 1e6;
            assert!((3.0..7.0).contains(&low), "{low} with {queue} ms");
            let back = run(
                &mut control,
                &mut link(100),
                Time::from_millis(15_000),
                20,
                &mut rng,
            );
            assert!(back / 1e6 > 75.0, "{back} with {queue} ms");
        }
    }

    #[test]
    fn it_waits_below_what_the_last_congestion_left() {
        const STEP: Duration = Duration::from_millis(50);
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), None);
        let link = |n| Path::new(mbps(n), 0.0, Duration::from_millis(50));
        let round = |control: &mut RateControl, path: &mut Path, at: Time| {
            let bytes = control.rate().bytes_in(STEP);
            control.handle_sent(bytes);
            path.carry(bytes as f64 * 8.0, STEP);
            control.handle_report(at, ReceiverId(1), path.sample(at));
            control.handle_timeout(at, GRTT, 1, STEP);
        };
        let (mut path, mut at, mut before) = (link(50), Time::ZERO, Rate::ZERO);
        while control.rate() >= before {
            before = control.rate();
            at += STEP;
            round(&mut control, &mut path, at);
        }
        // Ten times as much room changes nothing before its time.
        let (mut path, fell, mut highest) = (link(500), at, Rate::ZERO);
        while at < fell + WAIT {
            highest = highest.max(control.rate());
            at += STEP;
            round(&mut control, &mut path, at);
        }
        assert!((mbps(46)..=mbps(49)).contains(&highest), "{highest:?}");
        while at < fell + WAIT + Duration::from_secs(2) {
            at += STEP;
            round(&mut control, &mut path, at);
        }
        assert!(control.rate() > mbps(60), "{:?}", control.rate());
    }

    #[test]
    fn silence_halves_the_rate() {
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(100), Some(mbps(80)));
        control.handle_sent(1);
        assert!(!control.handle_timeout(
            Time::from_millis(900),
            GRTT,
            1,
            Duration::from_millis(200)
        ));
        assert!(control.handle_timeout(
            Time::from_millis(1_100),
            GRTT,
            1,
            Duration::from_millis(200)
        ));
        assert_eq!(control.rate(), mbps(40));
    }

    proptest! {
        #[test]
        fn whatever_is_reported_the_limits_hold(
            reports in prop::collection::vec((0u64..3_000_000_000, 0.0f64..=1.0, 0u64..500, 1u64..2_000), 1..200),
            ceiling in 1u64..2_000,
        ) {
            let limits = limits(ceiling);
            let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits, None);
            let mut now = Time::ZERO;
            for (bps, lost, gap, who) in reports {
                now += Duration::from_millis(gap);
                control.handle_sent(bps / 80);
                let sample = Sample { delivered: Rate::from_bps(bps), lost, over: Duration::from_millis(gap) };
                control.handle_report(now, ReceiverId(who), sample);
                control.handle_timeout(now, GRTT, 3, Duration::from_millis(50));
                let rate = control.rate();
                prop_assert!(limits.floor <= rate && rate <= limits.ceiling);
                prop_assert!(control.kept.len() <= MAX_KEPT);
            }
        }

        #[test]
        fn without_reports_nothing_rises(gaps in prop::collection::vec(1u64..2_000, 1..60)) {
            let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), None);
            let mut now = Time::ZERO;
            for gap in gaps {
                now += Duration::from_millis(gap);
                control.handle_sent(100_000);
                let before = control.rate();
                control.handle_timeout(now, GRTT, 1, Duration::from_millis(5));
                prop_assert!(control.rate() <= before);
            }
        }
    }
}
