//! What unicast may take beyond its share of the rate while groups leave room.
//!
//! Groups go first: what is lent is room that they do not use of a total that was sent before and
//! came through. Beyond that it grows while it is used, until a group loses more than usual just
//! after unicast has risen; then it goes back and stays there for a while.
//!
//! Takes what was sent to groups and by unicast, and whether a group came down; gives a rate. It
//! knows no receivers and no packets.

use core::time::Duration;

use crate::time::Time;
use crate::units::Rate;

/// How often figures are taken.
pub const LOOK: Duration = Duration::from_millis(100);
/// A total counts as carried for this long.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Growth of the total in one look, while unicast uses this share of what it may have.
const GROWS: f64 = 1.25;
const USED: f64 = 0.8;
/// Unicast that is this much above its recent mean may be why a group came down.
const ROSE: f64 = 1.25;
/// Weight of the latest figure in the mean: about a second.
const LATEST: f64 = 0.1;
/// How long it stays where it went back to, doubling each time.
const HOLD: Duration = Duration::from_secs(10);
const MAX_HOLD: Duration = Duration::from_secs(300);

/// What is lent to unicast.
#[derive(Clone, Copy, Debug)]
pub struct Lending {
    /// The largest total that came through of late, in bits a second, and when.
    carried: f64,
    carried_at: Time,
    /// Mean rate of unicast.
    mean: f64,
    lent: f64,
    held_until: Time,
    hold: Duration,
}

impl Lending {
    /// Nothing is known, and nothing lent.
    pub fn new(now: Time) -> Lending {
        Lending {
            carried: 0.0,
            carried_at: now,
            mean: 0.0,
            lent: 0.0,
            held_until: now,
            hold: HOLD,
        }
    }

    /// What unicast may send beyond its share.
    pub fn lent(&self) -> Rate {
        Rate::from_bps(self.lent as u64)
    }

    /// In the last [`LOOK`] so much went out to groups and by unicast, whose own share is `share`. A group is
    /// `settled` if it neither looks for its rate nor came down because of losses; `fell` if one did that.
    pub fn handle_round(
        &mut self,
        now: Time,
        groups: Rate,
        unicast: Rate,
        share: Rate,
        fell: bool,
        settled: bool,
    ) {
        let [groups, unicast, share] = [groups, unicast, share].map(|r| r.as_bps() as f64);
        let total = groups + unicast;
        if fell && unicast > (self.mean * ROSE).max(share) {
            (self.carried, self.carried_at) = (groups + self.mean, now);
            self.held_until = now + self.hold;
            self.hold = (self.hold * 2).min(MAX_HOLD);
        } else {
            if now >= self.held_until + self.hold {
                // It was well for as long as it would be held next.
                self.hold = HOLD;
            }
            if total > self.carried || now.since(self.carried_at) > REMEMBERED {
                (self.carried, self.carried_at) = (total, now);
            }
        }
        let is_used = unicast >= USED * (share + self.lent);
        if is_used && settled && now >= self.held_until {
            self.carried = self.carried.max(total) * GROWS;
            self.carried_at = now;
        }
        self.mean += (unicast - self.mean) * LATEST;
        self.lent = (self.carried - groups - share).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: u64 = 8;

    fn mbps(n: f64) -> Rate {
        Rate::from_bps((n * 1e6) as u64)
    }

    /// An uplink with a group that sends `group` and unicast that takes all it may, up to `most`;
    /// what unicast got.
    fn run(
        lending: &mut Lending,
        now: &mut Time,
        seconds: u64,
        uplink: f64,
        group: f64,
        most: f64,
    ) -> f64 {
        let (mut sum, rounds) = (0.0, seconds * 10);
        for _ in 0..rounds {
            *now += LOOK;
            let unicast = (SHARE as f64 + lending.lent().as_bps() as f64 / 1e6).min(most);
            let fell = group + unicast > uplink;
            lending.handle_round(
                *now,
                mbps(group),
                mbps(unicast),
                mbps(SHARE as f64),
                fell,
                !fell,
            );
            sum += unicast;
        }
        sum / rounds as f64
    }

    #[test]
    fn what_groups_leave_is_lent_at_once() {
        let (mut lending, mut now) = (Lending::new(Time::ZERO), Time::ZERO);
        run(&mut lending, &mut now, 1, 1_000.0, 500.0, 8.0);
        now += LOOK;
        lending.handle_round(now, mbps(20.0), mbps(8.0), mbps(8.0), false, true);
        assert!(lending.lent() >= mbps(480.0), "{:?}", lending.lent());
    }

    #[test]
    fn unknown_room_is_found_and_a_full_uplink_is_left_to_the_groups() {
        let (mut lending, mut now) = (Lending::new(Time::ZERO), Time::ZERO);
        let free = run(&mut lending, &mut now, 3, 1_000.0, 20.0, 200.0);
        assert!(free > 100.0, "{free}");
        let (mut lending, mut now) = (Lending::new(Time::ZERO), Time::ZERO);
        let full = run(&mut lending, &mut now, 60, 108.0, 100.0, 200.0);
        assert!((8.0..10.0).contains(&full), "{full}");
    }

    #[test]
    fn a_group_that_falls_by_itself_takes_nothing_from_steady_unicast() {
        let (mut lending, mut now) = (Lending::new(Time::ZERO), Time::ZERO);
        run(&mut lending, &mut now, 5, 1_000.0, 20.0, 200.0);
        for _ in 0..20 {
            now += LOOK;
            lending.handle_round(now, mbps(17.0), mbps(200.0), mbps(8.0), true, false);
            let unicast = run(&mut lending, &mut now, 5, 1_000.0, 20.0, 200.0);
            assert!(unicast > 190.0, "{unicast}");
        }
    }
}
