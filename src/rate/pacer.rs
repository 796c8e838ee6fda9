//! When the next bytes may leave: a token bucket in exact integers.
//!
//! Takes a rate and what was sent; gives how much may leave now and when more may. It does not
//! know what is sent or to whom, and never sleeps.

use core::time::Duration;

use crate::time::Time;
use crate::units::Rate;

/// What a bucket holds, as time at the rate. Below a millisecond or so a driver's timers are too
/// coarse to keep the rate; above a few, bursts overrun the buffers of a cheap switch.
const BURST_TIME: Duration = Duration::from_millis(2);
/// Two segmented sends, which the buffers of cheap switches hold. A bucket holds as much where that is more, as
/// a busy machine wakes a sender some milliseconds late, and what the bucket does not hold is lost to it. At
/// 100 Mbit/s, nine processes on two cores, with 2 ms 5 % were, with one send 2 % (`benches/acceptance`).
const BURST_BYTES: u64 = 131_072;
/// That again as time, at most: for a slow link 128 KB are a long queue. At 12 ms a TCP flow beside kept 0.22 to 0.36
/// of 50 Mbit/s, at 8 ms 0.26 to 0.40 (group_beside_tcp).
const MAX_BURST_TIME: Duration = Duration::from_millis(8);

/// What late wakes cost is made up for if it is no more than this, as time at the rate: the time for which a busy
/// machine's other processes keep a sender from its core (28 ms when eight receivers beside it restored their first
/// block, on two cores). Who is away for longer had nothing to send, as had who says so ([`Pacer::rest`]).
const MAX_LATE: Duration = Duration::from_millis(50);
/// The part of the rate by which what is made up for goes out on top: no burst, and a link of just that rate, which
/// stood idle meanwhile, has a queue of a quarter of that time.
const CATCH_UP: i128 = 4;

const NANOBITS_PER_BYTE: i128 = 8_000_000_000;

/// A token bucket over IP bytes (payload plus UDP and IP headers).
///
/// It holds a burst of 2 ms of the rate, or 128 KiB where that is more and no more than 8 ms, and at
/// least one packet. What a caller who is late lost beyond it, up to 50 ms of the rate, comes back as a quarter of
/// the rate on top. So in any stretch of time what [`may_send`](Pacer::may_send) allows is at most
/// [`excess`](Pacer::excess) plus the rate times the stretch, and at most [`burst`](Pacer::burst) plus 1.25 times that.
/// Credit is counted in billionths of a bit, which makes a nanosecond at any rate a whole number: nothing drifts.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: Rate,
    packet: u64,
    /// When `credit` was right.
    at: Time,
    /// Nanobits that may leave before the bucket owes. A packet may leave when it owes nothing, so
    /// the bucket is full one packet short of a burst, and owes a packet at most.
    credit: i128,
    /// Nanobits that late wakes cost, to be made up for.
    late: i128,
}

impl Pacer {
    /// A full bucket at `rate`, for packets of at most `packet` IP bytes.
    pub fn new(rate: Rate, packet: u64, now: Time) -> Pacer {
        let mut pacer = Pacer {
            rate,
            packet,
            at: now,
            credit: 0,
            late: 0,
        };
        pacer.credit = pacer.cap();
        pacer
    }

    /// Goes on at `rate` from `now` on. At rate zero nothing may leave.
    pub fn set_rate(&mut self, now: Time, rate: Rate) {
        self.refill(now);
        self.rate = rate;
        self.credit = self.credit.min(self.cap());
        self.late = self.late.min(self.max_late());
    }

    /// The rate that it keeps.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// IP bytes that may leave at once when nothing left for a while.
    pub fn burst(&self) -> u64 {
        let small = BURST_BYTES.min(self.rate.bytes_in(MAX_BURST_TIME));
        self.rate.bytes_in(BURST_TIME).max(small).max(self.packet)
    }

    /// IP bytes by which any stretch of time may exceed the rate: a burst, and what late wakes cost before.
    pub fn excess(&self) -> u64 {
        self.burst().saturating_add(self.rate.bytes_in(MAX_LATE))
    }

    /// IP bytes that may leave now: nothing, or at least one packet, and at most a burst.
    pub fn may_send(&mut self, now: Time) -> u64 {
        self.refill(now);
        if self.credit < 0 || self.rate.is_zero() {
            return 0;
        }
        u64::try_from(self.credit / NANOBITS_PER_BYTE)
            .unwrap_or(u64::MAX)
            .saturating_add(self.packet)
    }

    /// Takes note that `bytes` IP bytes left. More than was allowed is taken too, and paid for
    /// before anything else may leave.
    pub fn sent(&mut self, bytes: u64) {
        self.credit = self
            .credit
            .saturating_sub(i128::from(bytes) * NANOBITS_PER_BYTE);
    }

    /// Nothing waits to be sent: who is late from now on has missed nothing.
    pub fn rest(&mut self) {
        self.late = 0;
    }

    /// When [`may_send`](Pacer::may_send) will allow `bytes` (a burst at most), if nothing is sent
    /// before; a moment in the past if it does already. Never at rate zero.
    pub fn next_at(&self, bytes: u64) -> Time {
        let rate = i128::from(self.rate.as_bps());
        if rate == 0 {
            return Time::NEVER;
        }
        let beyond_packet = bytes.min(self.burst()).saturating_sub(self.packet);
        let lacking = i128::from(beyond_packet) * NANOBITS_PER_BYTE - self.credit;
        if lacking <= 0 {
            return self.at;
        }
        let nanos = |credit: i128, rate: i128| credit / rate + i128::from(credit % rate != 0);
        let made_up = nanos(lacking * CATCH_UP, rate * (CATCH_UP + 1));
        let nanos = made_up.max(nanos(lacking - self.late, rate));
        u64::try_from(nanos).map_or(Time::NEVER, |n| self.at + Duration::from_nanos(n))
    }

    fn refill(&mut self, now: Time) {
        let elapsed = now.since(self.at);
        if elapsed.is_zero() {
            return;
        }
        self.at = now;
        let earned = elapsed
            .as_nanos()
            .saturating_mul(u128::from(self.rate.as_bps()));
        let earned = i128::try_from(earned).unwrap_or(i128::MAX);
        let room = self.cap() - self.credit;
        if earned > room {
            self.credit = self.cap();
            let lost = if elapsed > MAX_LATE { 0 } else { earned - room };
            self.late = self.late.saturating_add(lost).min(self.max_late());
        } else {
            let made_up = self.late.min(earned / CATCH_UP).min(room - earned);
            self.credit += earned + made_up;
            self.late -= made_up;
        }
    }

    fn cap(&self) -> i128 {
        i128::from(self.burst() - self.packet) * NANOBITS_PER_BYTE
    }

    fn max_late(&self) -> i128 {
        i128::from(self.rate.bytes_in(MAX_LATE)) * NANOBITS_PER_BYTE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One wake-up: how long after the last, what part of the allowance is used (of 4; 5 asks
    /// [`Pacer::next_at`] and waits for it), and whether the rate changes.
    fn schedule() -> impl Strategy<Value = Vec<(u64, u8)>> {
        let gap = prop_oneof![
            Just(0u64),
            0u64..50_000,
            0u64..5_000_000,
            0u64..60_000_000,
            0u64..3_000_000_000
        ];
        prop::collection::vec((gap, 0u8..=5), 1..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_window_exceeds_a_burst_and_the_rate(
            bps in prop_oneof![1u64..100_000, 1_000_000u64..20_000_000_000, Just(u64::MAX / 2)],
            packet in 1u64..9_100,
            schedule in schedule(),
        ) {
            let mut now = Time::from_millis(7);
            let rate = Rate::from_bps(bps);
            let mut pacer = Pacer::new(rate, packet, now);
            let mut sends: Vec<(Time, u64)> = Vec::new();
            for (gap, part) in schedule {
                now += Duration::from_nanos(gap);
                if part == 5 {
                    now = now.max(pacer.next_at(packet).min(now + Duration::from_secs(10)));
                }
                let allowed = pacer.may_send(now);
                prop_assert!(allowed == 0 || (packet..=pacer.burst()).contains(&allowed));
                let bytes = (u128::from(allowed) * u128::from(part.min(4)) / 4) as u64;
                pacer.sent(bytes);
                sends.push((now, bytes));
            }
            let (burst, excess) = (u128::from(pacer.burst()), u128::from(pacer.excess()));
            for (i, (from, _)) in sends.iter().enumerate() {
                let mut sum = 0u128;
                for (to, bytes) in &sends[i..] {
                    sum += u128::from(*bytes) * 8_000_000_000;
                    let earned = u128::from(bps) * to.since(*from).as_nanos();
                    prop_assert!(sum <= excess * 8_000_000_000 + earned);
                    prop_assert!(sum <= burst * 8_000_000_000 + earned + earned / 4);
                }
            }
        }

        #[test]
        fn next_at_is_the_first_moment_allowed(bps in 1_000u64..10_000_000_000, packet in 100u64..2_000, asked in 1u64..100_000, debt in 0u64..50_000, late in 0u64..60) {
            let mut pacer = Pacer::new(Rate::from_bps(bps), packet, Time::from_millis(5));
            let now = Time::from_millis(5 + late);
            pacer.may_send(now);
            pacer.sent(debt);
            let at = pacer.next_at(asked);
            let enough = asked.min(pacer.burst());
            prop_assert!(pacer.clone().may_send(at) >= enough);
            if at > now {
                prop_assert!(pacer.may_send(at - Duration::from_nanos(1)) < enough);
            }
        }
    }

    #[test]
    fn a_busy_sender_gets_just_its_rate() {
        let rate = Rate::from_bps(99_999_989);
        let mut now = Time::ZERO;
        let mut pacer = Pacer::new(rate, 1_440, now);
        let mut total = 0;
        while now < Time::from_millis(10_000) {
            while pacer.may_send(now) >= 1_440 {
                pacer.sent(1_440);
                total += 1_440;
            }
            now = pacer.next_at(1_440);
        }
        let earned = rate.bytes_in(now.since(Time::ZERO));
        assert!(total <= earned + pacer.burst() && total + pacer.burst() >= earned);
    }

    #[test]
    fn late_wakes_cost_nothing_in_the_end_and_rest_earns_nothing() {
        let rate = Rate::from_bps(100_000_000);
        let goes_out = |wakes: &[u64]| {
            let mut pacer = Pacer::new(rate, 1_500, Time::ZERO);
            let mut sums = Vec::new();
            let mut sum = 0;
            for &ms in wakes {
                let allowed = pacer.may_send(Time::from_millis(ms));
                pacer.sent(allowed);
                sum += allowed;
                sums.push(sum);
            }
            (sums, pacer.burst())
        };
        let on_time: Vec<u64> = (0..500).collect();
        let late: Vec<u64> = (0..100).chain(140..500).collect();
        let (all, burst) = goes_out(&on_time);
        let (made_up, _) = goes_out(&late);
        // 40 ms late: 8 of them are in the bucket, the rest comes back within four times that.
        assert!(all[140] - made_up[100] > 32 * 12_500 - burst / 8);
        assert!(all[150] > made_up[110] + 300_000, "at once");
        assert!(all[499] - made_up[459] <= 1_500);
        let rested: Vec<u64> = (0..100).chain(400..500).collect();
        let (rest, _) = goes_out(&rested);
        assert!(rest[199] - rest[99] <= burst + 99 * 12_500 + 1_500);
    }

    #[test]
    fn years_of_rest_earn_one_burst() {
        let mut pacer = Pacer::new(Rate::from_bps(u64::MAX), 1_500, Time::ZERO);
        let allowed = pacer.may_send(Time::from_nanos(u64::MAX - 1));
        assert_eq!(allowed, pacer.burst());
        pacer.sent(u64::MAX);
        pacer.sent(u64::MAX);
        assert_eq!(pacer.may_send(Time::NEVER), 0);
        assert!(pacer.next_at(1) >= Time::NEVER - Duration::from_secs(1));
    }

    #[test]
    fn a_change_of_rate_counts_from_then_on() {
        let mut pacer = Pacer::new(Rate::from_bps(8_000), 1_000, Time::ZERO);
        pacer.sent(1_000);
        assert_eq!(pacer.next_at(1_000), Time::from_millis(1_000));
        pacer.set_rate(Time::from_millis(500), Rate::from_bps(80_000));
        assert_eq!(pacer.next_at(1_000), Time::from_millis(550));
        pacer.set_rate(Time::from_millis(520), Rate::ZERO);
        assert_eq!(pacer.next_at(1_000), Time::NEVER);
        assert_eq!(pacer.may_send(Time::from_millis(5_000)), 0);
        pacer.set_rate(Time::from_millis(6_000), Rate::from_bps(8_000_000_000));
        assert_eq!(pacer.burst(), 2_000_000);
        assert_eq!(pacer.may_send(Time::from_millis(7_000)), 2_000_000);
        pacer.set_rate(Time::from_millis(7_000), Rate::from_bps(8_000));
        assert_eq!(pacer.may_send(Time::from_millis(7_000)), 1_000);
    }
}
