//! What the receivers of a channel report of their paths, and what that says about the rate.
//!
//! Every figure is a share of what was sent *to that receiver*, by packet numbers, so a receiver
//! that was sent less (because the sender shared its total differently) does not look like one that
//! gets less. Losses are compared receiver by receiver: with itself earlier, never with others.
//!
//! Takes reports; gives the loss beyond what each path loses at any rate, with its standard
//! deviation, and whether a lower rate lowered the loss. It knows no rate and no time of its own.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::ids::ReceiverId;
use crate::rate::Adapt;
use crate::time::Time;
use crate::units::Rate;

/// Receivers that are told apart; of more, those heard first are a sample.
const MAX_KEPT: usize = 256;
/// IP bytes of a packet with the default symbol.
const PACKET: f64 = 1_408.0;
/// Each round's counts weigh this much less in the next, so that `recent` covers some ten rounds.
const FADES: f64 = 0.9;
/// A lower loss than was known counts when so many packets tell it.
const KNOWN: f64 = 256.0;
/// A report of less time tells of no rate.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// What one report may say that comes, over what was sent: no one of many outweighs the others.
const MOST_FLOW: f64 = 1.5;
/// Reports of nothing for longer are an outage.
const OUTAGE: Duration = Duration::from_millis(250);
/// Loss beyond its own with which a path still carries all that is sent.
const PASSES: f64 = 0.005;
/// Standard deviations within which two shares may be the same.
const LUCK: f64 = 3.0;

/// A receiver's figures over the time since its last report.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// IP bytes of data that came, a second.
    pub delivered: Rate,
    /// The share of data packets that did not come, 0 to 1.
    pub lost: f64,
    /// The time that both were measured over.
    pub over: Duration,
    /// How full the receiver's own buffers are, 0 to 1; 1 if they have overflowed, 0 while it keeps
    /// up.
    pub behind: f64,
    /// Whether all that the channel sends was sent to it, so that what came can be compared with
    /// that.
    pub whole: bool,
}

impl Sample {
    /// Both together, where `next` was measured after this one.
    fn and_then(&self, next: &Sample) -> Sample {
        let over = self.over + next.over;
        let (came, all) = (self.came() + next.came(), self.sent() + next.sent());
        Sample {
            delivered: Rate::from_bps((came / over.as_secs_f64().max(1e-6)) as u64),
            lost: if all > 0.0 {
                1.0 - came / all
            } else {
                next.lost
            },
            over,
            behind: next.behind,
            whole: self.whole && next.whole,
        }
    }

    /// Bits that came.
    fn came(&self) -> f64 {
        self.delivered.as_bps() as f64 * self.over.as_secs_f64()
    }

    /// Bits that were sent to it.
    fn sent(&self) -> f64 {
        self.came() / (1.0 - self.lost).max(0.001)
    }

    fn packets(&self) -> f64 {
        self.sent() / 8.0 / PACKET
    }

    /// The share of `sending` that has come or is known to be lost: less than 1 while a queue
    /// fills.
    fn arrived(&self, sending: f64) -> f64 {
        let seconds = self.over.as_secs_f64().max(1e-6);
        if self.whole && self.over >= SHORTEST {
            (self.sent() / seconds / sending.max(1.0)).min(MOST_FLOW)
        } else {
            1.0
        }
    }
}

/// Packets sent to a receiver and lost on the way.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    sent: f64,
    lost: f64,
}

impl Counts {
    fn of(sample: &Sample) -> Counts {
        let sent = sample.packets();
        Counts {
            sent,
            lost: sent * sample.lost,
        }
    }

    fn add(&mut self, other: Counts) {
        self.sent += other.sent;
        self.lost += other.lost;
    }

    fn fade(&mut self) {
        self.sent *= FADES;
        self.lost *= FADES;
    }

    fn share(&self) -> f64 {
        self.lost / self.sent.max(1e-9)
    }

    /// Variance of the share, if each packet is lost with the chance `at`. No loss in few packets
    /// is no proof of none (Jeffreys' prior).
    fn variance(&self, at: f64) -> f64 {
        let likely = (at * self.sent + 0.5) / (self.sent + 1.0);
        likely * (1.0 - likely) / self.sent.max(1.0)
    }
}

/// One receiver's path.
#[derive(Clone, Copy, Debug)]
struct Path {
    heard_at: Time,
    /// Reports until then tell of what it left behind elsewhere.
    unsettled_until: Time,
    /// The share lost at any rate, and the packets that tell it; none while nothing is known.
    own: Option<Counts>,
    /// Time of reports that nothing came, since one that something did.
    quiet: Duration,
    /// What came and was lost in this round.
    round: Option<Sample>,
    /// Packets sent and lost over some ten rounds.
    recent: Counts,
    /// The round before.
    last: Option<Sample>,
    /// The round after which the rate was lowered to see whether the loss falls.
    before: Option<Sample>,
    /// Bits a second that it has carried; that it carries, where it loses to congestion.
    carries: f64,
}

impl Path {
    fn new() -> Path {
        Path {
            heard_at: Time::ZERO,
            unsettled_until: Time::ZERO,
            own: None,
            quiet: Duration::ZERO,
            round: None,
            recent: Counts::default(),
            last: None,
            before: None,
            carries: 0.0,
        }
    }

    fn own(&self) -> f64 {
        self.own.map_or(0.0, |own| own.share())
    }

    /// Loss at `ratio` of the rate if all that was lost before was too much for a bottleneck: that
    /// lets through as much as before of what is less now.
    fn behind_bottleneck(&self, before: &Sample, ratio: f64) -> f64 {
        let full = 1.0 - (1.0 - before.lost) / ratio.max(1e-3);
        full.max(self.own()).min(before.lost)
    }

    /// Loss beyond its own as a share of what its path lets through, with the variance that chance
    /// gives it.
    fn excess(&self, counts: Counts) -> Estimate {
        let own = self.own();
        let passes = (1.0 - own).max(0.001);
        let unsure = self.own.map_or(0.0, |known| known.variance(own));
        Estimate {
            mean: (counts.share() - own) / passes,
            variance: (counts.variance(own) + unsure) / (passes * passes),
        }
    }
}

/// A mean and the variance that chance alone gives it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Estimate {
    pub(super) fn deviation(&self) -> f64 {
        self.variance.sqrt()
    }
}

/// What the reports of a round come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Loss beyond the paths' own, in this round.
    pub(super) excess: Estimate,
    /// Loss beyond the paths' own over the last ten rounds or so.
    pub(super) recent: Estimate,
    /// The share that did not come.
    pub(super) lost: f64,
    /// The share of what is sent that has come or was lost: less than 1 while queues fill, more
    /// while they empty.
    pub(super) arrived: f64,
    /// Packets that it tells of.
    pub(super) packets: f64,
    /// Receivers that have reported.
    pub(super) reporters: usize,
    /// The shortest time that one of them tells of.
    pub(super) over: Duration,
}

/// What a lower rate did to the losses, over the receivers that reported before and after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    /// How far the loss would have fallen if all of it had been too much for a bottleneck.
    pub(super) expected: f64,
    /// How far it fell.
    pub(super) fell: f64,
    /// Standard deviation of the difference of both.
    pub(super) deviation: f64,
    /// What comes now over what came before: 1 while a queue that was filled before still empties.
    pub(super) flow: f64,
    /// The shortest time that it is measured over.
    pub(super) over: Duration,
    pub(super) reporters: usize,
}

/// What is known of the receivers of a channel.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    adapt: Adapt,
    known: BTreeMap<ReceiverId, Path>,
}

impl Paths {
    pub(super) fn new(adapt: Adapt) -> Paths {
        Paths {
            adapt,
            known: BTreeMap::new(),
        }
    }

    /// Figures of a receiver over all the time that they are of: where few packets come, some
    /// reports are of none, and the next one tells what was lost meanwhile.
    pub(super) fn complete(&mut self, who: ReceiverId, sample: Sample) -> Sample {
        let Some(path) = self.known.get_mut(&who) else {
            return sample;
        };
        if sample.delivered.is_zero() {
            path.quiet += sample.over;
            return sample;
        }
        let quiet = core::mem::take(&mut path.quiet);
        if quiet.is_zero() || quiet > OUTAGE {
            return sample;
        }
        let over = sample.over + quiet;
        let share = sample.over.as_secs_f64() / over.as_secs_f64();
        Sample {
            delivered: sample.delivered.mul_f64(share),
            over,
            ..sample
        }
    }

    /// A report came, `pause` or more after the one before unless it is out of turn. One that is
    /// not `fresh` tells of a rate before, and only that its sender is there.
    pub(super) fn handle_report(
        &mut self,
        now: Time,
        who: ReceiverId,
        sample: Sample,
        fresh: bool,
        pause: Duration,
    ) {
        if !self.has_room(who) {
            return;
        }
        let path = self.known.entry(who).or_insert(Path::new());
        // One that speaks more often than the others has no more say.
        let in_turn = now.since(path.heard_at) >= pause;
        path.heard_at = now;
        if fresh && in_turn {
            let all = path
                .round
                .map_or(sample, |earlier| earlier.and_then(&sample));
            path.round = Some(all);
        }
        self.bound();
    }

    /// Whether `who` is told apart, or may be. Known receivers stay, so that each can be compared
    /// with itself; with [`Adapt::Lowest`] the one that loses least makes room.
    fn has_room(&self, who: ReceiverId) -> bool {
        self.adapt == Adapt::Lowest || self.known.len() < MAX_KEPT || self.known.contains_key(&who)
    }

    fn bound(&mut self) {
        if self.known.len() <= MAX_KEPT {
            return;
        }
        let lost = |p: &Path| p.round.map_or(p.recent.share(), |r| r.lost);
        let known = self.known.iter();
        let least = known.min_by(|a, b| lost(a.1).total_cmp(&lost(b.1)));
        if let Some(&who) = least.map(|(who, _)| who) {
            self.known.remove(&who);
        }
    }

    /// Nothing that this receiver reports until `until` counts.
    pub(super) fn ignore(&mut self, who: ReceiverId, until: Time) {
        if !self.has_room(who) {
            return;
        }
        let path = self.known.entry(who).or_insert(Path::new());
        (path.unsettled_until, path.round) = (until, None);
        path.heard_at = path.heard_at.max(until);
        self.bound();
    }

    pub(super) fn is_ignored(&self, now: Time, who: ReceiverId) -> bool {
        let path = self.known.get(&who);
        path.is_some_and(|path| now < path.unsettled_until)
    }

    pub(super) fn forget(&mut self, who: ReceiverId) {
        self.known.remove(&who);
    }

    /// Forgets those not heard for `long`.
    pub(super) fn forget_silent(&mut self, now: Time, long: Duration) {
        self.known
            .retain(|_, path| now.since(path.heard_at) <= long);
    }

    /// Reports from now on belong to another round.
    pub(super) fn begin_round(&mut self) {
        for path in self.known.values_mut() {
            path.round = None;
        }
    }

    /// The reports since the round began: their mean, or with [`Adapt::Lowest`] whoever loses most.
    pub(super) fn round(&self, sending: f64) -> Option<Round> {
        let reported = self.known.values().filter_map(|p| Some((p, p.round?)));
        let all: Vec<(&Path, Sample)> = match self.adapt {
            Adapt::Lowest => reported
                .max_by(|(a, ra), (b, rb)| {
                    let beyond = |p: &Path, r: &Sample| p.excess(Counts::of(r)).mean;
                    beyond(a, ra).total_cmp(&beyond(b, rb))
                })
                .into_iter()
                .collect(),
            _ => reported.collect(),
        };
        let over = all.iter().map(|(_, sample)| sample.over).min()?;
        let count = all.len() as f64;
        let mean = |of: &dyn Fn(&Path, &Sample) -> f64| {
            all.iter()
                .map(|(path, sample)| of(path, sample))
                .sum::<f64>()
                / count
        };
        let estimate = |counts: &dyn Fn(&Path, &Sample) -> Counts| Estimate {
            mean: mean(&|p, s| p.excess(counts(p, s)).mean),
            variance: mean(&|p, s| p.excess(counts(p, s)).variance) / count,
        };
        let recent = |p: &Path, s: &Sample| {
            let mut both = p.recent;
            both.add(Counts::of(s));
            both
        };
        let reporters = self.known.values().filter(|p| p.round.is_some()).count();
        Some(Round {
            excess: estimate(&|_, s| Counts::of(s)),
            recent: estimate(&recent),
            lost: mean(&|_, s| s.lost),
            arrived: mean(&|_, s| s.arrived(sending)),
            packets: all.iter().map(|(_, sample)| sample.packets()).sum(),
            reporters,
            over,
        })
    }

    /// What the paths carry, in bits a second: the mean, or the least. `sending` was sent in this
    /// round; what stands in queues has not come.
    pub(super) fn capacity(&mut self, sending: f64) -> f64 {
        for path in self.known.values_mut() {
            let Some(sample) = path.round else { continue };
            let got = (1.0 - sample.lost) * sample.arrived(sending).min(1.0);
            let came = sending * (got / (1.0 - path.own()).max(0.01)).min(1.0);
            let excess = path.excess(Counts::of(&sample));
            let fits = excess.mean <= PASSES.max(2.0 * excess.deviation());
            path.carries = if fits { path.carries.max(came) } else { came };
        }
        let all = self.known.values().map(|path| path.carries);
        let all = all.filter(|&carries| carries > 0.0);
        match self.adapt {
            Adapt::Lowest => all.reduce(f64::min).unwrap_or(sending),
            _ => mean(all).unwrap_or(sending),
        }
    }

    /// The mean, or least, share that came of what was sent at `sending` bits a second: by what
    /// came, not only by what was lost, because a deep queue loses nothing until it is full.
    pub(super) fn got(&self, sending: f64) -> f64 {
        let got = |s: &Sample| (1.0 - s.lost) * s.arrived(sending).min(1.0);
        let all = self
            .known
            .values()
            .filter_map(|p| p.round.as_ref())
            .map(got);
        match self.adapt {
            Adapt::Lowest => all.reduce(f64::min).unwrap_or(1.0),
            _ => mean(all).unwrap_or(1.0),
        }
    }

    /// The share that paths lose at any rate: the mean, or that of whoever loses most.
    pub(super) fn own(&self) -> f64 {
        let all = self.known.values().filter_map(|p| p.own);
        let all = all.map(|own| own.share());
        match self.adapt {
            Adapt::Lowest => all.reduce(f64::max).unwrap_or(0.0),
            _ => mean(all).unwrap_or(0.0),
        }
    }

    /// A path loses no more at any rate than it did of late; in a `clean` round that is true of
    /// those that nothing is known of, too.
    pub(super) fn learn(&mut self, clean: bool) {
        for path in self.known.values_mut() {
            let Some(sample) = path.round.take() else {
                continue;
            };
            path.last = Some(sample);
            path.recent.fade();
            path.recent.add(Counts::of(&sample));
            let recent = path.recent;
            let Some(own) = path.own else {
                path.own = clean.then_some(recent);
                continue;
            };
            let more = recent.share() - own.share();
            let at = recent.share();
            let chance = LUCK * (own.variance(at) + recent.variance(at)).sqrt();
            // Few packets told less than is known now; and a path may come to lose less.
            let was_luck = more < chance && own.sent * 1.5 < recent.sent;
            if was_luck || (more <= 0.0 && recent.sent >= KNOWN) {
                path.own = Some(recent);
            }
        }
    }

    /// Takes what is lost now for the paths' own, but of those whose loss fell with the rate, which
    /// became `ratio` of what it was.
    pub(super) fn accept(&mut self, ratio: f64) {
        for path in self.known.values_mut() {
            let rounds = [path.before.take(), path.round.take()];
            if let [Some(_), None] = rounds {
                continue;
            }
            if let [Some(before), Some(now)] = rounds {
                let expected = before.lost - path.behind_bottleneck(&before, ratio);
                if before.lost - now.lost > expected / 2.0 {
                    continue;
                }
            }
            let mut counts = Counts::default();
            rounds
                .iter()
                .flatten()
                .for_each(|r| counts.add(Counts::of(r)));
            if counts.sent > 0.0 {
                (path.recent, path.own) = (counts, Some(counts));
            }
        }
    }

    /// Forgets what was lost of late: it was too much for a bottleneck and says nothing of the
    /// paths.
    pub(super) fn reject(&mut self) {
        for path in self.known.values_mut() {
            (path.before, path.round) = (None, None);
            path.recent = Counts::default();
        }
    }

    /// Nothing is known of what paths lose.
    pub(super) fn forget_own(&mut self) {
        for path in self.known.values_mut() {
            (path.own, path.recent) = (None, Counts::default());
        }
    }

    /// The rate is about to fall: what is lost now is compared with what will be.
    pub(super) fn remember(&mut self) {
        for path in self.known.values_mut() {
            // Of many, few have reported since: of the others it is the last that is known.
            path.before = path.round.take().or(path.last);
        }
    }

    /// Effect of a rate that became `ratio` of `sent`, which it was.
    pub(super) fn response(&self, ratio: f64, sent: f64) -> Option<Response> {
        let pairs = self.known.values();
        let pairs = pairs.filter_map(|p| Some((p, p.before?, p.round?)));
        let mut all = Response {
            expected: 0.0,
            fell: 0.0,
            deviation: 0.0,
            flow: 0.0,
            over: Duration::MAX,
            reporters: 0,
        };
        let (mut came, mut comes, mut largest) = (0.0, 0.0, f64::NEG_INFINITY);
        for (path, before, now) in pairs {
            let expected = before.lost - path.behind_bottleneck(&before, ratio);
            let fell = before.lost - now.lost;
            let (was, is) = (Counts::of(&before), Counts::of(&now));
            let variance =
                was.variance(was.share()) + is.variance(is.share().max(was.share() / 2.0));
            if self.adapt == Adapt::Lowest {
                if expected <= largest {
                    continue;
                }
                largest = expected;
                (came, comes) = (0.0, 0.0);
                all = Response {
                    expected: 0.0,
                    fell: 0.0,
                    deviation: 0.0,
                    flow: 0.0,
                    over: Duration::MAX,
                    reporters: 0,
                };
            }
            // To none of many comes more than was sent, and some for late looks.
            let most = sent * MOST_FLOW;
            came += (before.delivered.as_bps() as f64).min(most);
            comes += (now.delivered.as_bps() as f64).min(most);
            all.expected += expected;
            all.fell += fell;
            all.deviation += variance;
            all.over = all.over.min(now.over);
            all.reporters += 1;
        }
        let count = all.reporters as f64;
        (all.reporters > 0).then(|| Response {
            expected: all.expected / count,
            fell: all.fell / count,
            deviation: all.deviation.sqrt() / count,
            flow: comes / f64::max(came, 1.0),
            over: all.over,
            reporters: all.reporters,
        })
    }

    #[cfg(test)]
    pub(super) fn is_bounded(&self) -> bool {
        self.known.len() <= MAX_KEPT
    }
}

fn mean(all: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = all.fold((0.0, 0.0), |(sum, n), one| (sum + one, n + 1.0));
    (count > 0.0).then(|| sum / count)
}
