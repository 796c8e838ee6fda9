//! When a receiver stops relying on its group, and when it comes back.

use core::time::Duration;

use crate::time::Time;
use crate::unicast_fallback::choice::PathChoice;

/// Judges the group by what is heard on it.
///
/// Within the timeout from the description, and from then on whenever the sender should have been
/// heard, something as large as data must come: SYNCs that get through while full-sized packets do
/// not are the same as silence. On unicast it goes on listening, if not because the group is too much for its path or the
/// sender wants it so: then from the end of the hold-down on. Two full-sized packets after a
/// hold-down bring it back; each relapse doubles the hold-down. Where unicast brought nothing
/// either, the first on the group does.
#[derive(Clone, Debug)]
pub struct Probe {
    timeout: Duration,
    mode: Mode,
    /// When something full-sized was last heard.
    full: Option<Time>,
    /// When anything was last heard, and the silence that the sender said may follow.
    heard: Option<(Time, Duration)>,
    /// Since when packets have left that did not come.
    starving: Option<Time>,
    hold_down: Duration,
    fulls: u32,
    /// When unicast first brought data since it is relied on.
    unicast: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Forced(Option<PathChoice>),
    Undecided,
    Probing {
        since: Time,
    },
    Group,
    /// `away`: the group is not even listened to for the hold-down, because it is what fills the path, or because the sender
    /// wants it so.
    Unicast {
        since: Time,
        away: bool,
    },
}

/// The first hold-down.
const HOLD_DOWN: Duration = Duration::from_secs(5);
/// The longest.
const MAX_HOLD_DOWN: Duration = Duration::from_secs(300);
/// Full-sized packets that bring a receiver back.
const FULLS_TO_RETURN: u32 = 2;
/// Unicast that brings nothing for so long either shows that not only the group was away.
const AWAY: Duration = Duration::from_millis(500);
/// Where that has come to be so again and again, it is not believed any more: unicast may just take
/// as long to begin.
const OFTEN: Duration = Duration::from_secs(40);
/// What comes on the group so soon after the first by unicast came back together with it: a sender
/// sends it two SYNCs of full size in that time.
const TOGETHER: Duration = Duration::from_millis(2_500);

impl Probe {
    /// A receiver that finds out by itself.
    pub fn new(timeout: Duration) -> Probe {
        Probe {
            timeout,
            mode: Mode::Undecided,
            full: None,
            heard: None,
            starving: None,
            hold_down: HOLD_DOWN,
            fulls: 0,
            unicast: None,
        }
    }

    /// A receiver that was told which way to use.
    pub fn forced(unicast: bool) -> Probe {
        let choice = if unicast {
            PathChoice::UnicastAsked
        } else {
            PathChoice::Group
        };
        Probe {
            mode: Mode::Forced(Some(choice)),
            ..Probe::new(Duration::MAX)
        }
    }

    /// The receiver learned where the group is. Gives its path if that is settled by this.
    pub fn described(&mut self, now: Time) -> Option<PathChoice> {
        match self.mode {
            Mode::Undecided => {
                self.mode = Mode::Probing { since: now };
                // What came on the group before counts.
                if self.full.is_some() {
                    self.settle()
                } else {
                    None
                }
            }
            Mode::Forced(ref mut choice) => choice.take(),
            _ => None,
        }
    }

    fn settle(&mut self) -> Option<PathChoice> {
        self.mode = Mode::Group;
        self.starving = None;
        Some(PathChoice::Group)
    }

    /// A packet as large as data came on the group.
    pub fn heard_full(&mut self, now: Time) -> Option<PathChoice> {
        self.full = Some(now);
        let expect = self.heard.map_or(Duration::ZERO, |(_, d)| d);
        self.heard = Some((now, expect));
        self.starving = None;
        match self.mode {
            Mode::Probing { .. } => self.settle(),
            Mode::Unicast { since, away: false } if self.was_away(now, since) => {
                self.hold_down = (self.hold_down * 2).min(MAX_HOLD_DOWN);
                self.settle()
            }
            Mode::Unicast { since, .. } if now >= since + self.hold_down => {
                self.fulls += 1;
                if self.fulls < FULLS_TO_RETURN {
                    return None;
                }
                self.hold_down = (self.hold_down * 2).min(MAX_HOLD_DOWN);
                self.settle()
            }
            _ => None,
        }
    }

    /// Data came by unicast.
    pub fn heard_unicast(&mut self, now: Time) {
        self.unicast.get_or_insert(now);
    }

    /// Nothing came by unicast either until a moment ago: it was not the group that failed.
    fn was_away(&self, now: Time, since: Time) -> bool {
        let began = self.unicast.unwrap_or(now);
        self.hold_down < OFTEN
            && now >= since + AWAY
            && began >= since + AWAY
            && now.since(began) <= TOGETHER
    }

    /// A SYNC came that was not padded. `missed` tells that data left which did not come, and
    /// `next_sync` how long the sender may now be silent.
    pub fn heard_small(&mut self, now: Time, missed: bool, next_sync: Duration) {
        self.heard = Some((now, next_sync));
        if missed {
            self.starving.get_or_insert(now);
        }
    }

    /// The sender said how long it may be silent (in a padded SYNC).
    pub fn expect(&mut self, now: Time, next_sync: Duration) {
        self.heard = Some((now, next_sync));
    }

    /// Even the slowest group is more than the path carries.
    pub fn too_slow(&mut self, now: Time) -> Option<PathChoice> {
        matches!(self.mode, Mode::Group).then(|| self.fall_back(now, PathChoice::UnicastTooSlow))
    }

    /// The sender wants it to use unicast: it comes back only after the longest hold-down, in case it was not the sender.
    pub fn told(&mut self, now: Time) -> PathChoice {
        self.hold_down = MAX_HOLD_DOWN;
        self.fall_back(now, PathChoice::UnicastTold)
    }

    /// The group is not to be joined now.
    pub fn stays_away(&self, now: Time) -> bool {
        matches!(self.mode, Mode::Unicast { since, away: true } if now < since + self.hold_down)
    }

    /// Another group is listened to from now on: what was heard of the last says nothing of it, and
    /// may still fill the link for `leaving`.
    pub fn moved(&mut self, now: Time, leaving: Duration) {
        self.full = None;
        self.starving = None;
        self.heard = Some((now, leaving));
    }

    /// The group can't be used at all: it could not be joined.
    pub fn cannot_join(&mut self, now: Time) -> Option<PathChoice> {
        match self.mode {
            Mode::Probing { .. } | Mode::Group | Mode::Undecided => {
                Some(self.fall_back(now, PathChoice::UnicastSilent))
            }
            _ => None,
        }
    }

    fn fall_back(&mut self, now: Time, why: PathChoice) -> PathChoice {
        let away = matches!(why, PathChoice::UnicastTooSlow | PathChoice::UnicastTold);
        self.mode = Mode::Unicast { since: now, away };
        self.unicast = None;
        self.fulls = 0;
        self.starving = None;
        why
    }

    /// The group is not relied on now.
    pub fn is_on_unicast(&self) -> bool {
        matches!(self.mode, Mode::Unicast { .. })
    }

    /// When [`handle_timeout`](Probe::handle_timeout) is due.
    pub fn deadline(&self) -> Option<Time> {
        match self.mode {
            Mode::Probing { since } => Some(since + self.timeout),
            Mode::Group => {
                let silent = self
                    .heard
                    .map(|(at, expect)| at + self.timeout.max(expect * 2 + self.timeout / 2));
                let starved = self.starving.map(|at| at + self.timeout);
                silent.into_iter().chain(starved).min()
            }
            _ => None,
        }
    }

    /// Time has passed. Gives the new path if the group has failed.
    pub fn handle_timeout(&mut self, now: Time) -> Option<PathChoice> {
        if self.deadline().is_none_or(|at| at > now) {
            return None;
        }
        let small_only = match self.mode {
            Mode::Probing { .. } => self.heard.is_some(),
            _ => self.starving.is_some(),
        };
        let why = if small_only {
            PathChoice::UnicastNoData
        } else {
            PathChoice::UnicastSilent
        };
        Some(self.fall_back(now, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn silence_sends_it_to_unicast_at_the_deadline() {
        let mut p = Probe::new(2 * S);
        assert_eq!(p.described(at(100)), None);
        assert_eq!(p.deadline(), Some(at(2_100)));
        assert_eq!(p.handle_timeout(at(2_099)), None);
        assert_eq!(p.handle_timeout(at(2_100)), Some(PathChoice::UnicastSilent));
        assert_eq!(p.deadline(), None);
    }

    #[test]
    fn small_syncs_alone_are_silence() {
        let mut p = Probe::new(2 * S);
        p.described(at(0));
        p.heard_small(at(50), true, S / 10);
        assert_eq!(p.handle_timeout(at(2_000)), Some(PathChoice::UnicastNoData));
        let mut p = Probe::new(2 * S);
        p.described(at(0));
        assert_eq!(p.heard_full(at(10)), Some(PathChoice::Group));
        for t in 1..25 {
            p.heard_small(at(t * 100), t > 2, S / 10);
            let change = p.handle_timeout(at(t * 100));
            assert_eq!(
                change,
                (t == 23).then_some(PathChoice::UnicastNoData),
                "at {t}"
            );
            if change.is_some() {
                return;
            }
        }
        panic!("it never noticed");
    }

    #[test]
    fn a_quiet_sender_that_said_so_is_not_silent() {
        let mut p = Probe::new(2 * S);
        p.described(at(0));
        p.heard_full(at(10));
        p.expect(at(20), 30 * S);
        assert_eq!(p.handle_timeout(at(40_000)), None);
        assert_eq!(
            p.handle_timeout(at(61_020)),
            Some(PathChoice::UnicastSilent)
        );
    }

    #[test]
    fn it_comes_back_and_relapses_more_slowly() {
        let mut p = Probe::new(2 * S);
        p.described(at(0));
        p.handle_timeout(at(2_000));
        p.heard_unicast(at(2_001));
        assert_eq!(p.heard_full(at(3_000)), None, "held down");
        assert_eq!(p.heard_full(at(7_000)), None);
        assert_eq!(p.heard_full(at(7_001)), Some(PathChoice::Group));
        assert_eq!(p.handle_timeout(at(9_100)), Some(PathChoice::UnicastSilent));
        p.heard_unicast(at(9_101));
        assert_eq!(
            (p.heard_full(at(15_000)), p.heard_full(at(15_001))),
            (None, None)
        );
        assert_eq!(
            (p.heard_full(at(19_200)), p.heard_full(at(19_201))),
            (None, Some(PathChoice::Group))
        );
    }

    #[test]
    fn what_came_back_together_with_unicast_was_not_the_group_alone() {
        let silent = || {
            let mut p = Probe::new(2 * S);
            p.described(at(0));
            p.heard_full(at(10));
            assert_eq!(p.handle_timeout(at(2_010)), Some(PathChoice::UnicastSilent));
            p
        };
        let mut p = silent();
        p.heard_unicast(at(4_000));
        assert_eq!(p.heard_full(at(4_900)), Some(PathChoice::Group));
        let mut p = silent();
        assert_eq!(
            p.heard_full(at(3_000)),
            Some(PathChoice::Group),
            "nothing by unicast yet"
        );
        let mut p = silent();
        p.heard_unicast(at(2_020));
        assert_eq!(p.heard_full(at(4_000)), None, "unicast works, held down");
        let mut p = silent();
        p.heard_unicast(at(3_000));
        assert_eq!(
            p.heard_full(at(5_600)),
            None,
            "unicast was back long before"
        );
        let mut p = silent();
        let mut returns = 0;
        for round in 1..20 {
            let now = at(20_000 * round);
            returns += u32::from(p.heard_full(now).is_some());
            p.handle_timeout(now + 3 * S);
        }
        assert_eq!(returns, 5, "three at once, then after 40 and 80 s");
    }

    #[test]
    fn what_was_heard_before_the_description_counts() {
        let mut p = Probe::new(2 * S);
        p.heard_full(at(1));
        assert_eq!(p.described(at(2)), Some(PathChoice::Group));
        let mut p = Probe::forced(true);
        assert_eq!(p.described(at(2)), Some(PathChoice::UnicastAsked));
        assert_eq!((p.heard_full(at(3)), p.deadline()), (None, None));
    }
}
