//! How many receivers there are of those that are not known one by one.
//!
//! Each joins once and then reports as often as it is told, so the reports that come, over those that each must have
//! sent meanwhile, are how many there are. Takes what was told and who was heard; gives a number, and since when
//! somebody has been silent. It keeps no more than the few that were heard last.

use core::time::Duration;
use std::collections::BTreeSet;

use crate::ids::ReceiverId;
use crate::rng::Rng;
use crate::time::Time;

/// More are not reckoned with: beyond it no timer or share would change any more.
const MOST: f64 = 10_000_000.0;
/// Reporters after which a window may end: enough to know their number to a tenth, and few enough to notice soon that they
/// have left.
const MAX_HEARD: usize = 64;
/// Told intervals after which it ends at the latest. Nobody reports twice in less.
const WINDOW: f64 = 0.5;
/// Standard deviations that what is heard of a window may be off before it ends: it is looked at with every report.
const DEVIATIONS: f64 = 4.0;
/// Of as many who were expected none may have come: once in 3,000 times.
const NONE: f64 = 8.0;
/// So long may a report be on its way, or wait to be read, so that many come at once.
const LATE: Duration = Duration::from_millis(100);
/// Whoever was not heard for so many told intervals is not there any more: two reports or more were due.
const SILENT: f64 = 4.0;

/// How long one who joins a group that reports evenly waits for its first report, when the mean time between two of them is
/// `interval` and each is half to one and a half times that: so that at any time as many report as at any other.
pub fn first_report(interval: Duration, rng: &mut Rng) -> Duration {
    let u = rng.unit();
    // The inverse of the distribution of what is left of such a time at any moment.
    let part = if u < 0.5 {
        u
    } else {
        1.5 - (2.0 * (1.0 - u)).sqrt()
    };
    interval.mul_f64(part)
}

/// An estimate of how many listen somewhere.
#[derive(Clone, Debug)]
pub struct Population {
    interval: Duration,
    at: Time,
    /// Reports that each must have sent, all in all.
    told: f64,
    /// The same of this window, and who did.
    due: f64,
    heard: BTreeSet<ReceiverId>,
    /// Reports that came in this window.
    came: f64,
    /// Those to be added so that whoever joined or left in it was here from its start or not at all.
    added: f64,
    /// Reports that came in windows before, and that each must have sent then; half as much with every window.
    past: (f64, f64),
    /// Joins that were heard: there are no more than that.
    joins: f64,
    count: f64,
}

/// When somebody was heard.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    at: Time,
    told: f64,
}

impl Population {
    /// Nobody is there yet; who comes knows that reports are wanted every `interval`.
    pub fn new(now: Time, interval: Duration) -> Population {
        Population {
            interval,
            at: now,
            told: 0.0,
            due: 0.0,
            heard: BTreeSet::new(),
            came: 0.0,
            added: 0.0,
            past: (0.0, 0.0),
            joins: 0.0,
            count: 0.0,
        }
    }

    /// All were told to report every `interval` on average.
    pub fn tell(&mut self, now: Time, interval: Duration) {
        self.advance(now);
        self.interval = interval;
    }

    /// One more has come.
    pub fn joined(&mut self, now: Time) {
        self.advance(now);
        self.joins += 1.0;
        self.count += 1.0;
        self.past.0 += self.past.1;
        self.added += self.due;
        self.judge();
    }

    /// One has left, or says so once more.
    pub fn left(&mut self, now: Time) {
        self.advance(now);
        self.count = (self.count - 1.0).max(0.0);
        self.past.0 = (self.past.0 - self.past.1).max(0.0);
        self.added -= self.due;
        self.judge();
    }

    /// A report came.
    pub fn reported(&mut self, now: Time, id: ReceiverId) {
        self.advance(now);
        // Of a crowd so large nobody is likely to come twice.
        if self.heard.len() >= MAX_HEARD || self.heard.insert(id) {
            self.came += 1.0;
        }
        self.judge();
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Time) {
        let passed = now.since(self.at).as_secs_f64() / self.told_interval();
        self.at = self.at.max(now);
        self.told += passed;
        self.due += passed;
        self.judge();
    }

    /// In seconds, and never none.
    fn told_interval(&self) -> f64 {
        self.interval.as_secs_f64().max(1e-3)
    }

    /// What is heard of this window corrects the estimate as soon as chance can't explain it; the window's end makes
    /// a new one.
    fn judge(&mut self) {
        let reports = (self.came + self.added).max(0.0);
        // Chance is in what came, from those who have left since as well.
        let spread = DEVIATIONS * self.came.max(reports).sqrt();
        let late = LATE.as_secs_f64() / self.told_interval();
        let least = (reports - spread).max(0.0) / (self.due + late);
        let most = (reports + spread + NONE) / (self.due - late).max(1e-9);
        self.count = self.count.clamp(least, most);
        if self.heard.len() >= MAX_HEARD && self.due > late || self.due >= WINDOW {
            self.past = (self.past.0 / 2.0 + reports, self.past.1 / 2.0 + self.due);
            self.count = self.past.0 / self.past.1;
            self.heard.clear();
            self.came = 0.0;
            self.added = 0.0;
            self.due = 0.0;
        }
        self.count = self.count.min(self.joins).min(MOST);
    }

    /// How many there are; at least one, as it is asked while there may be somebody.
    pub fn estimate(&self) -> u32 {
        (self.count.round() as u32).max(1)
    }

    /// Somebody is heard now.
    pub fn mark(&mut self, now: Time) -> Mark {
        self.advance(now);
        Mark {
            at: now,
            told: self.told,
        }
    }

    /// Somebody who was heard at `mark`, or after, must have been heard since, if that is `patience` ago as well: reports may
    /// be lost, and so may what tells how often they are wanted.
    pub fn is_silent(&self, mark: Mark, patience: Duration) -> bool {
        self.told - mark.told > SILENT && self.at.since(mark.at) > patience
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    /// Receivers that report as they are told, on a virtual clock.
    struct Crowd {
        population: Population,
        now: Time,
        interval: Duration,
        due: Vec<Time>,
        rng: Rng,
    }

    const TICK: Duration = Duration::from_millis(10);

    impl Crowd {
        fn new(seed: u64, interval: Duration) -> Crowd {
            let now = Time::from_millis(1_000);
            Crowd {
                population: Population::new(now, interval),
                now,
                interval,
                due: Vec::new(),
                rng: Rng::new(seed),
            }
        }

        fn join(&mut self, many: usize) {
            for _ in 0..many {
                self.population.joined(self.now);
                let first = self.now + first_report(self.interval, &mut self.rng);
                self.due.push(first);
            }
        }

        fn run(&mut self, over: Duration) {
            let end = self.now + over;
            while self.now < end {
                self.now += TICK;
                for (id, due) in self.due.iter_mut().enumerate() {
                    if *due <= self.now {
                        self.population.reported(self.now, ReceiverId(id as u64));
                        *due = self.now + self.interval.mul_f64(0.5 + self.rng.unit());
                    }
                }
                self.population.advance(self.now);
                assert!(self.population.heard.len() <= MAX_HEARD);
            }
        }

        fn tell(&mut self, interval: Duration) {
            self.population.tell(self.now, interval);
            let part = interval.as_secs_f64() / self.interval.as_secs_f64();
            for due in &mut self.due {
                *due = self.now + due.since(self.now).mul_f64(part);
            }
            self.interval = interval;
        }
    }

    /// Some join, are told several intervals of so many milliseconds; then only one in `left` stays, and the others
    /// leave with a word or without.
    fn counted(
        seed: u64,
        many: usize,
        left: usize,
        tell: bool,
        intervals: &[u64],
    ) -> Result<(), TestCaseError> {
        let mut crowd = Crowd::new(seed, Duration::from_millis(intervals[0]));
        crowd.join(many);
        prop_assert_eq!(crowd.population.estimate(), many as u32);
        for &interval in intervals {
            crowd.tell(Duration::from_millis(interval));
            crowd.run(Duration::from_millis(interval * 2));
            let part = f64::from(crowd.population.estimate()) / many as f64;
            prop_assert!((0.5..=1.0).contains(&part), "{part} of {many}");
        }
        let stay = many / left;
        crowd.due.truncate(stay);
        if tell {
            (stay..many).for_each(|_| crowd.population.left(crowd.now));
            let part = f64::from(crowd.population.estimate()) / stay as f64;
            prop_assert!(part < 1.5 || stay < 20, "{part} of {stay} at once");
        }
        crowd.run(crowd.interval * 4);
        let part = f64::from(crowd.population.estimate()) / stay as f64;
        prop_assert!((0.4..2.5).contains(&part) || stay < 20, "{part} of {stay}");
        Ok(())
    }

    /// What is heard of many says little of the few who stay.
    #[test]
    fn many_leave_at_once() {
        counted(
            17_762_362_738_037_921_385,
            878,
            12,
            true,
            &[3_682, 4_936, 3_666, 4_702],
        )
        .unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        /// Whatever they are told meanwhile, they are counted; and when some leave, that is noticed.
        #[test]
        fn as_many_are_counted_as_there_are(
            seed in any::<u64>(),
            many in 20usize..1_500,
            left in 1usize..20,
            tell in any::<bool>(),
            intervals in prop::collection::vec(200u64..8_000, 1..5),
        ) {
            counted(seed, many, left, tell, &intervals)?;
        }

        /// Whoever says what and how often: nobody makes more of them than joined.
        #[test]
        fn there_are_no_more_than_joined(words in prop::collection::vec((0u8..5, any::<u64>(), 0u64..500), 1..400)) {
            let mut now = Time::from_millis(1);
            let mut population = Population::new(now, Duration::ZERO);
            let mut joins = 0;
            for (kind, value, pause) in words {
                now += Duration::from_millis(pause);
                match kind {
                    3 => population.left(now),
                    0 => {
                        population.joined(now);
                        joins += 1;
                    }
                    1 => population.tell(now, Duration::from_micros(value % 10_000_000)),
                    _ => population.reported(now, ReceiverId(value)),
                }
                prop_assert!(population.estimate() <= joins.max(1), "{population:?}");
            }
        }
    }

    #[test]
    fn silence_is_noticed_soon_and_believed_after_four_intervals() {
        let patience = Duration::from_secs(4);
        let mut crowd = Crowd::new(1, Duration::from_secs(6));
        crowd.join(450);
        crowd.run(Duration::from_secs(10));
        crowd.due.clear();
        let mark = crowd.population.mark(crowd.now);
        crowd.run(Duration::from_secs(3));
        assert!(crowd.population.estimate() < 250);
        crowd.run(Duration::from_secs(3));
        assert!(!crowd.population.is_silent(mark, patience));
        crowd.tell(Duration::from_millis(200));
        crowd.run(Duration::from_millis(700));
        assert!(crowd.population.is_silent(mark, patience) && crowd.population.estimate() == 1);
        let late = crowd.population.mark(crowd.now);
        crowd.run(Duration::from_secs(3));
        assert!(!crowd.population.is_silent(late, patience));
    }
}
