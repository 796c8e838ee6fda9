//! Which tier a receiver listens on.
//!
//! Takes what each round of a receiver brought and the rates of the tiers; says when to move, where
//! to and why. It knows neither groups nor packets.

use core::time::Duration;

use crate::rate::control::LEAVE_TIME;
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;

/// What one round of [`Placement::round_length`] brought.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// IP bytes of data that came, a second.
    pub delivered: Rate,
    /// What the sender says that it may send on this tier.
    pub sending: Rate,
    /// Data packets that came or were lost.
    pub packets: u64,
    /// The share of them that the network lost.
    pub lost: f64,
    /// The share that was lost in the receiver's own socket buffer.
    pub overflowed: f64,
    /// The share that its disk had no time for.
    pub stalled: f64,
    /// The share that the sender says is lost at any rate on this channel.
    pub path_loss: f64,
    /// Data was flowing: without it, a round says nothing.
    pub carried: bool,
}

impl Round {
    /// The share that did not come, for whatever reason.
    fn missed(&self) -> f64 {
        (self.lost + self.overflowed + self.stalled).min(1.0)
    }

    /// The share of what a path does not lose anyway that did not come.
    fn beyond(&self, path: f64) -> f64 {
        ((self.missed() - path) / (1.0 - path).max(0.01)).max(0.0)
    }
}

/// Where to go. Tiers are numbered from the slowest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// To a slower tier.
    Down(usize),
    /// To a faster one.
    Up(usize),
    /// Even the slowest is too fast.
    Unicast,
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The network lost more than its own share.
    Congestion,
    /// The socket buffer overflowed.
    SocketBuffer,
    /// The disk did not keep up.
    Disk,
    /// Nothing was lost but the path's own share for a while.
    Clean,
    /// The slower tier lost as much, so what is lost is the path's.
    PathLoss,
}

/// A receiver moves down where no more than this share of what is sent comes (but for the path's
/// loss): half the rate then carries about as much. Above it the faster tier brings more, and what
/// is lost is made up by parity.
const KEEPS_UP: f64 = 0.6;
/// For so long after a first round it can't keep up in another, before a receiver moves down: a
/// channel that looks for its rate comes down by itself in less, and a sender that has found the
/// loss to be the path's has said so.
const BAD_TIME: Duration = Duration::from_millis(150);
/// A slower tier will do if it carries this share of what comes now.
const CARRIES: f64 = 0.8;
/// Standard deviations of what a path loses at random that are chance: one round in 700.
const DEVIATIONS: f64 = 3.0;
/// A round is clean when no more than this is lost beyond the path's own share.
const CLEAN: f64 = 0.02;
/// Clean rounds before a faster tier is tried.
const CLEAN_ROUNDS: u32 = 10;
/// Clean rounds with so much more than came when it could not keep up show that this is over.
const OVER_ROUNDS: u32 = 3;
const MORE: f64 = 1.25;
/// Clean rounds in which a channel reaches what a link carries, if that is why a receiver came
/// here: a link that carries 5 Mbit/s of a channel that begins at 4.25 loses after less than a
/// second.
const GROWN_ROUNDS: u32 = 15;
/// The same where the channel does not use all that it may.
const STUCK_ROUNDS: u32 = 100;
/// Rounds on a slower tier that show whether the loss fell with the rate.
const JUDGE_ROUNDS: u32 = 2;
/// If this share of the loss is still there on the slower tier, it is the path's.
const STAYED: f64 = 0.7;
/// Rounds in which even the slowest tier was too fast, before it is given up.
const LAST_ROUNDS: u32 = 10;
/// How long a receiver that could not keep up stays before it tries again; as much again is drawn at
/// random by halves, so that not all come at once. It doubles each time a faster tier fails.
const HOLD: Duration = Duration::from_secs(10);
const MAX_HOLD: Duration = Duration::from_secs(300);
/// A faster tier that is left within this time has failed.
const FAILED_WITHIN: Duration = Duration::from_secs(5);

/// The judgement of one receiver.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The share that the path loses at any rate.
    path: f64,
    /// The share that it lost in the mean of the last ten rounds or so in which it kept up.
    usual: f64,
    /// Clean rounds in a row.
    clean: u32,
    /// When the first of the rounds in a row ended in which it could not keep up, and what was being sent in the last.
    bad: Option<(Time, Rate)>,
    /// The most that came in one of them.
    came: Rate,
    /// Packets of the rounds in a row in which it could not keep up, and those that it missed.
    doubt: (f64, f64),
    /// Rounds in a row in which the slowest tier was too fast.
    drowning: u32,
    /// Where it came down from, what it lost there, and rounds since.
    fell: Option<Fall>,
    /// The tier that it last sat on before it could not keep up, and what came there then.
    home: Option<(usize, Rate)>,
    /// Since then it has lost something here that the path does not explain: its link is near.
    limited: bool,
    moved_at: Time,
    went_up: bool,
    /// It has drawn when to try a faster tier.
    tries: bool,
    hold: Duration,
    /// It does not go up before.
    up_from: Time,
}

#[derive(Clone, Copy, Debug)]
struct Fall {
    from: usize,
    missed: f64,
    rounds: u32,
}

impl Placement {
    /// A receiver that begins to listen.
    pub fn new(now: Time) -> Placement {
        Placement {
            path: 0.0,
            usual: 0.0,
            clean: 0,
            bad: None,
            came: Rate::ZERO,
            doubt: (0.0, 0.0),
            drowning: 0,
            fell: None,
            home: None,
            limited: false,
            moved_at: now,
            went_up: false,
            tries: false,
            hold: HOLD,
            up_from: now,
        }
    }

    /// The tier to begin on with a downlink that is known: the fastest that fits, else the slowest.
    /// `tiers` are rates, slowest first.
    pub fn start(tiers: &[Rate], downlink: Rate) -> usize {
        tiers
            .iter()
            .rposition(|&rate| rate <= downlink)
            .unwrap_or(0)
    }

    /// How long a receiver measures before it judges.
    pub fn round_length(grtt: Duration) -> Duration {
        (grtt * 4).max(Duration::from_millis(100))
    }

    /// A round on tier `at` of `tiers` (rates, slowest first) is over. Says where to go, if anywhere;
    /// whoever goes says so by [`moved`](Placement::moved).
    pub fn handle_round(
        &mut self,
        now: Time,
        tiers: &[Rate],
        at: usize,
        round: Round,
        rng: &mut Rng,
    ) -> Option<(Move, Cause)> {
        if !round.carried || at >= tiers.len() {
            return None;
        }
        let missed = round.missed();
        let settled = now.since(self.moved_at) >= LEAVE_TIME;
        if settled && let Some(from) = self.judge_fall(missed, tiers.len()) {
            self.path = missed;
            return Some((Move::Up(from), Cause::PathLoss));
        }
        let path = self.path.max(round.path_loss);
        let beyond = round.beyond(path);
        if 1.0 - beyond <= KEEPS_UP {
            self.doubt.0 += round.packets as f64;
            self.doubt.1 += round.packets as f64 * missed;
            if is_chance(self.doubt, path) {
                return None;
            }
            self.clean = 0;
            if self.fell.is_some() && !settled {
                // What it left may still fill its link.
                return None;
            }
            let sending = round.sending.mul_f64(1.0 - path);
            let taken = round.delivered.mul_f64(1.0 - round.stalled.min(1.0));
            if taken > sending.mul_f64(KEEPS_UP) {
                // More was sent than is now: a channel that looks for its rate has come down to what fits.
                (self.bad, self.drowning) = (None, 0);
                return None;
            }
            return self.cannot_keep_up(now, tiers, at, round, rng);
        }
        self.keeps_up(now, tiers, at, round, rng)
    }

    /// Where to go back to, if as much is lost on the slower tier as where it came down from.
    fn judge_fall(&mut self, missed: f64, tiers: usize) -> Option<usize> {
        let fall = self.fell.as_mut()?;
        fall.rounds += 1;
        let fall = *fall;
        if fall.rounds < JUDGE_ROUNDS {
            return None;
        }
        self.fell = None;
        (missed >= STAYED * fall.missed && fall.from < tiers).then_some(fall.from)
    }

    fn keeps_up(
        &mut self,
        now: Time,
        tiers: &[Rate],
        at: usize,
        round: Round,
        rng: &mut Rng,
    ) -> Option<(Move, Cause)> {
        let missed = round.missed();
        let beyond = round.beyond(self.path.max(round.path_loss));
        self.doubt = (0.0, 0.0);
        self.drowning = 0;
        self.bad = None;
        let usual = self.usual;
        self.usual += (missed - usual) * 0.1;
        if beyond > CLEAN && missed > usual + CLEAN {
            self.clean = 0;
            self.limited = true;
            return None;
        }
        // What the path loses may become less.
        self.path = self.path.min(missed.max(self.path * 0.9));
        self.clean += 1;
        let home = self.home.filter(|&(home, _)| home > at);
        let up = home.map_or(at + 1, |(home, _)| home);
        if up >= tiers.len() {
            return None;
        }
        // Either more comes than its link seemed to carry, or a channel that grows as far as it may
        // has not reached what the link carries: that it could not keep up is over.
        let is_over = home.is_some_and(|(_, came)| {
            let more = round.delivered > came.mul_f64(MORE) && self.clean >= OVER_ROUNDS;
            more || !self.limited && self.clean >= GROWN_ROUNDS
        });
        if is_over && self.hold == HOLD {
            return Some((Move::Up(up), Cause::Clean));
        }
        // A channel that comes near the next tier shows that there is room; one that does not is held
        // back by somebody, perhaps by us.
        let full = round.sending.as_bps() as f64 >= 0.75 * tiers[at + 1].as_bps() as f64;
        let enough = if full { CLEAN_ROUNDS } else { STUCK_ROUNDS };
        if self.clean < enough || now < self.up_from {
            return None;
        }
        // All who share a tier come to this at once; each waits a while of its own.
        if !self.tries {
            self.tries = true;
            self.up_from = now + rng.duration(Duration::from_secs(1));
            return None;
        }
        Some((Move::Up(up), Cause::Clean))
    }

    fn cannot_keep_up(
        &mut self,
        now: Time,
        tiers: &[Rate],
        at: usize,
        round: Round,
        rng: &mut Rng,
    ) -> Option<(Move, Cause)> {
        let cause = if round.stalled >= round.lost.max(round.overflowed) {
            Cause::Disk
        } else if round.overflowed >= round.lost {
            Cause::SocketBuffer
        } else {
            Cause::Congestion
        };
        // A channel that comes down is about to fit; only one that does not is left.
        let falls = self
            .bad
            .is_some_and(|(_, sending)| round.sending < sending.mul_f64(0.9));
        let since = self.bad.filter(|_| !falls).map_or(now, |(since, _)| since);
        self.bad = Some((since, round.sending));
        // The sender may have tried a lower rate meanwhile.
        self.came = match since == now {
            true => round.delivered,
            false => self.came.max(round.delivered),
        };
        if now.since(since) < BAD_TIME {
            return None;
        }
        let wanted = self.came.mul_f64(CARRIES);
        let slower = tiers[..at].iter().position(|&rate| rate >= wanted);
        let Some(to) = slower.or(at.checked_sub(1)) else {
            self.drowning += 1;
            return (self.drowning >= LAST_ROUNDS).then_some((Move::Unicast, cause));
        };
        if self.went_up && now.since(self.moved_at) < FAILED_WITHIN {
            self.hold = (self.hold * 2).min(MAX_HOLD);
        } else if !self.went_up {
            self.hold = HOLD;
        }
        self.up_from = now + self.hold + rng.duration(self.hold / 2);
        // A queue that still emptied brought more than the link carries.
        let came = tiers.get(to).map_or(self.came, |&rate| self.came.min(rate));
        self.home = Some((at, came));
        self.fell = Some(Fall {
            from: at,
            missed: round.missed(),
            rounds: 0,
        });
        Some((Move::Down(to), cause))
    }

    /// It sits on another tier now, to which it went `up` or down for this reason.
    pub fn moved(&mut self, now: Time, up: bool, cause: Cause) {
        self.moved_at = now;
        // Whoever comes back for the path's loss tries nothing that could fail.
        self.went_up = up && cause == Cause::Clean;
        self.tries = false;
        self.clean = 0;
        self.doubt = (0.0, 0.0);
        self.drowning = 0;
        self.bad = None;
        self.limited = false;
        if up {
            self.fell = None;
            self.home = None;
        }
    }
}

/// So much is missed of so few packets now and then on a path that loses its usual share.
fn is_chance((packets, missed): (f64, f64), path: f64) -> bool {
    missed - path * packets < DEVIATIONS * (packets * path * (1.0 - path)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3.125 to 100 Mbit/s by doubling.
    fn ladder() -> Vec<Rate> {
        let mut tiers = crate::rate::halves(Rate::from_bps(100_000_000));
        tiers.truncate(6);
        tiers.reverse();
        tiers
    }

    /// A receiver whose link carries and loses so much, on channels that run at their tier's rate.
    struct Listener {
        placement: Placement,
        at: usize,
        moves: Vec<(Time, usize, Cause)>,
        unicast: bool,
        rng: Rng,
    }

    impl Listener {
        fn new(at: usize) -> Listener {
            Listener {
                placement: Placement::new(Time::ZERO),
                at,
                moves: Vec::new(),
                unicast: false,
                rng: Rng::new(9),
            }
        }

        fn listen(&mut self, from: u64, to: u64, mbps: f64, loses: f64) {
            let tiers = ladder();
            for at in (from * 10..to * 10).map(|n| Time::from_millis(n * 100)) {
                let sending = tiers[self.at].as_bps() as f64;
                let came = sending.min(mbps * 1e6) * (1.0 - loses);
                let round = Round {
                    delivered: Rate::from_bps(came as u64),
                    sending: tiers[self.at],
                    packets: tiers[self.at].as_bps() / 110_000,
                    lost: 1.0 - came / sending,
                    overflowed: 0.0,
                    stalled: 0.0,
                    path_loss: 0.0,
                    carried: true,
                };
                let decided =
                    self.placement
                        .handle_round(at, &tiers, self.at, round, &mut self.rng);
                match decided {
                    Some((Move::Down(to) | Move::Up(to), cause)) => {
                        self.placement.moved(at, to > self.at, cause);
                        self.at = to;
                        self.moves.push((at, to, cause));
                    }
                    Some((Move::Unicast, _)) => self.unicast = true,
                    None => {}
                }
            }
        }
    }

    #[test]
    fn a_known_downlink_decides_where_to_begin() {
        let tiers = ladder();
        let start = |bps| Placement::start(&tiers, Rate::from_bps(bps));
        assert_eq!(start(100_000_000), 5);
        assert_eq!(start(99_000_000), 4);
        assert_eq!(start(1), 0);
    }

    #[test]
    fn a_tenth_of_the_rate_goes_straight_to_its_tier() {
        let mut listener = Listener::new(5);
        listener.listen(0, 8, 10.0, 0.0);
        let [(at, to, cause)] = listener.moves[..] else {
            panic!("{:?}", listener.moves);
        };
        assert!(at <= Time::from_millis(200));
        assert_eq!(
            (to, cause),
            (2, Cause::Congestion),
            "12.5 Mbit/s, of which 10 come"
        );
    }

    /// It doubled to three times what comes, and came down while two rounds were measured.
    #[test]
    fn a_channel_that_comes_down_by_itself_is_not_left() {
        let (tiers, mut rng) = (ladder(), Rng::new(1));
        let mut placement = Placement::new(Time::ZERO);
        let rounds = [(96, 0.6), (96, 0.66), (28, 0.5), (28, 0.0)];
        for (n, (sending, lost)) in (1..).zip(rounds) {
            let round = Round {
                delivered: Rate::from_bps(32_000_000),
                sending: Rate::from_bps(sending * 1_000_000),
                packets: sending * 9,
                lost,
                overflowed: 0.0,
                stalled: 0.0,
                path_loss: 0.0,
                carried: true,
            };
            let now = Time::from_millis(100 * n);
            let decided = placement.handle_round(now, &tiers, 5, round, &mut rng);
            assert_eq!(decided, None, "at {now:?}");
        }
    }

    #[test]
    fn what_comes_and_finds_no_disk_is_not_kept_up_with() {
        let (tiers, mut rng) = (ladder(), Rng::new(1));
        let mut placement = Placement::new(Time::ZERO);
        let round = Round {
            delivered: tiers[5],
            sending: tiers[5],
            packets: 900,
            lost: 0.0,
            overflowed: 0.0,
            stalled: 0.6,
            path_loss: 0.0,
            carried: true,
        };
        let moves = (1..=3).filter_map(|n| {
            let now = Time::from_millis(100 * n);
            placement.handle_round(now, &tiers, 5, round, &mut rng)
        });
        let moves: Vec<_> = moves.collect();
        assert!(
            matches!(moves[..], [(Move::Down(_), Cause::Disk)]),
            "{moves:?}"
        );
    }

    #[test]
    fn random_loss_moves_nobody_and_heavy_loss_comes_back() {
        let mut listener = Listener::new(5);
        listener.listen(0, 60, 1_000.0, 0.2);
        assert_eq!(listener.moves, []);
        listener.listen(60, 120, 1_000.0, 0.5);
        let causes: Vec<Cause> = listener.moves.iter().map(|m| m.2).collect();
        assert_eq!(causes, [Cause::Congestion, Cause::PathLoss]);
        assert_eq!(listener.at, 5);
    }

    #[test]
    fn moves_a_minute_are_few_when_nothing_changes() {
        for mbps in [3.2, 5.0, 7.0, 11.0, 13.0, 24.0, 26.0, 49.0, 51.0, 90.0] {
            let mut listener = Listener::new(5);
            listener.listen(0, 600, mbps, 0.0);
            for minute in 0..10 {
                let (from, to) = (minute * 60_000, (minute + 1) * 60_000);
                let within = |m: &&(Time, usize, Cause)| {
                    Time::from_millis(from) <= m.0 && m.0 < Time::from_millis(to)
                };
                let count = listener.moves.iter().filter(within).count();
                assert!(
                    count <= 6,
                    "{count} moves in minute {minute} at {mbps} Mbit/s"
                );
            }
            let last = listener
                .moves
                .iter()
                .filter(|m| m.0 > Time::from_millis(300_000));
            assert!(last.count() <= 6, "failed attempts come ever more seldom");
        }
    }

    #[test]
    fn what_is_less_than_the_slowest_tier_goes_to_unicast() {
        let mut listener = Listener::new(0);
        listener.listen(0, 5, 1.0, 0.0);
        assert!(listener.unicast);
    }

    #[test]
    fn a_link_that_comes_back_is_taken_up_again() {
        let mut listener = Listener::new(5);
        listener.listen(0, 5, 100.0, 0.0);
        listener.listen(5, 15, 5.0, 0.0);
        listener.listen(15, 60, 100.0, 0.0);
        assert_eq!(listener.at, 5);
        assert!(listener.moves.len() <= 3, "{:?}", listener.moves);
    }
}
