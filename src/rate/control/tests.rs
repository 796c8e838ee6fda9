//! Channels that look for their rate behind simulated bottlenecks.

use proptest::prelude::*;

use std::collections::VecDeque;

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
            behind: 0.0,
            whole: true,
        }
    }
}

/// A machine that sends as fast as it is told to.
const FAST: Rate = Rate::from_bps(1_000_000_000_000);

const SLICE: Duration = Duration::from_millis(10);

/// A channel that looks for its rate.
fn looking() -> RateControl {
    RateControl::new(Time::ZERO, Adapt::Average, limits(10_000), None)
}

/// Runs for so many seconds on a machine that can't send faster than `most`; gives the mean of what
/// was sent, a second, in the last half.
fn run(
    most: Rate,
    control: &mut RateControl,
    paths: &mut [Path],
    from: Time,
    seconds: u64,
    rng: &mut Rng,
) -> f64 {
    run_for(
        most,
        control,
        paths,
        from,
        Duration::from_secs(seconds),
        rng,
    )
}

fn run_for(
    most: Rate,
    control: &mut RateControl,
    paths: &mut [Path],
    from: Time,
    time: Duration,
    rng: &mut Rng,
) -> f64 {
    run_with(most, control, paths, from, time, None, rng)
}

/// The same with as many milliseconds between the reports of each, where they are so many.
fn run_with(
    most: Rate,
    control: &mut RateControl,
    paths: &mut [Path],
    from: Time,
    time: Duration,
    interval: Option<u64>,
    rng: &mut Rng,
) -> f64 {
    const STEP: Duration = Duration::from_micros(500);
    let end = from + time;
    let half = from + time / 2;
    let (mut now, mut late, count) = (from, 0.0, paths.len() as u32);
    while now < end {
        let bits = control.rate().min(most).as_bps() as f64 * STEP.as_secs_f64();
        control.handle_sent((bits / 8.0) as u64);
        now += STEP;
        let least = if control.is_searching() { 5 } else { 50 };
        let interval = Duration::from_millis(interval.unwrap_or(least));
        for (id, path) in paths.iter_mut().enumerate() {
            path.carry(bits, STEP);
            if path.due <= now {
                path.due = now + interval.mul_f64(0.5 + rng.unit());
                let sample = path.sample(now);
                control.handle_report(now, ReceiverId(id as u64 + 1), sample, count);
            }
        }
        if control.poll_timeout().is_some_and(|at| at <= now) {
            control.handle_timeout(now, GRTT, count, interval);
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
        let mean = run(FAST, &mut control, &mut paths, Time::ZERO, 40, &mut rng) / 1e6;
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
    let mut control = looking();
    let mut paths = [Path::new(mbps(5_000), 0.0, Duration::from_millis(20))];
    run(most, &mut control, &mut paths, Time::ZERO, 1, &mut rng);
    assert!(control.rate() > most);
    paths[0] = Path::new(mbps(1_600), 0.0, Duration::from_millis(20));
    paths[0].since = Time::from_millis(1_000);
    let from = Time::from_millis(1_000);
    let mean = run(most, &mut control, &mut paths, from, 4, &mut rng) / 1e6;
    assert!((1_350.0..1_650.0).contains(&mean), "{mean}");
}

/// What was sent shows no more than that; the rest of a rate that was never used is not kept for a better moment.
#[test]
fn a_rate_that_is_not_used_for_long_is_given_up() {
    let mut rng = Rng::new(3);
    let mut control = looking();
    let mut paths = [Path::new(mbps(5_000), 0.0, Duration::from_millis(20))];
    let most = mbps(700);
    run(most, &mut control, &mut paths, Time::ZERO, 1, &mut rng);
    let rate = control.rate().as_bps() as f64 / 1e6;
    assert!((700.0..1_100.0).contains(&rate), "{rate}");
}

/// The sender's processors are busy with something else, and then they are not.
#[test]
fn a_rate_that_is_not_used_any_more_is_not_kept_for_later() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut control = looking();
        let path = || Path::new(mbps(400), 0.2, Duration::from_millis(50));
        let mut paths = [path(), path(), path(), path()];
        run(FAST, &mut control, &mut paths, Time::ZERO, 2, &mut rng);
        let now = Time::from_millis(2_000);
        run(mbps(150), &mut control, &mut paths, now, 4, &mut rng);
        let rate = control.rate().as_bps() as f64 / 1e6;
        assert!((170.0..230.0).contains(&rate), "seed {seed}: {rate}");
        // Little to send says nothing.
        let now = Time::from_millis(6_000);
        run(mbps(10), &mut control, &mut paths, now, 4, &mut rng);
        let rate = control.rate().as_bps() as f64 / 1e6;
        assert!(rate > 60.0, "seed {seed}: {rate}");
        let now = Time::from_millis(10_000);
        let sent = run(FAST, &mut control, &mut paths, now, 8, &mut rng) / 1e6;
        assert!((300.0..420.0).contains(&sent), "seed {seed}: {sent}");
    }
}

/// A sender that reads its file slowly at first has not found a slow path.
#[test]
fn nothing_to_send_is_no_rate() {
    let mut rng = Rng::new(4);
    let mut control = looking();
    let mut paths = [Path::new(mbps(5_000), 0.0, Duration::from_millis(20))];
    run(
        Rate::ZERO,
        &mut control,
        &mut paths,
        Time::ZERO,
        2,
        &mut rng,
    );
    assert_eq!(control.rate(), START);
}

/// A queue that fills while the rate doubles, on paths that lose a fifth at any rate: what stands in it was not lost, but will
/// not come either, and what the path loses was known before.
#[test]
fn a_lossy_path_with_a_queue_is_found_in_one_fall() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut control = looking();
        let path = || Path::new(mbps(200), 0.2, Duration::from_millis(50));
        let mut paths = [path(), path(), path(), path()];
        let mut now = Time::ZERO;
        while now < Time::from_millis(3_000) {
            run_for(FAST, &mut control, &mut paths, now, SLICE, &mut rng);
            now += SLICE;
            let rate = control.rate().as_bps() as f64 / 1e6;
            let allowed = if now < Time::from_millis(300) {
                20.0..=640.0
            } else {
                130.0..=230.0
            };
            assert!(allowed.contains(&rate), "seed {seed}: {rate} at {now:?}");
        }
    }
}

#[test]
fn what_the_path_loses_lowers_no_rate() {
    let mut rng = Rng::new(5);
    let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(300), None);
    let path = || Path::new(mbps(10_000), 0.2, Duration::from_millis(20));
    let mut paths = [path(), path(), path()];
    let mean = run(FAST, &mut control, &mut paths, Time::ZERO, 5, &mut rng) / 1e6;
    assert!(mean > 290.0, "{mean}");
}

/// A short round that happens to lose nothing proves no path that loses nothing: with 129 packets and
/// one loss in a hundred, one in four does.
#[test]
fn a_lucky_round_is_no_measure() {
    let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(100), Some(mbps(100)));
    let mut now = Time::ZERO;
    let losses = [0.0, 0.0067, 0.011, 0.0109, 0.0118];
    for (lost, packets) in losses
        .into_iter()
        .zip([129.0, 422.0, 7_546.0, 6_863.0, 8_667.0])
    {
        let over = Duration::from_secs_f64(packets * 1_408.0 * 8.0 / 100e6);
        now += over + GRTT;
        control.handle_sent((100e6 / 8.0 * over.as_secs_f64()) as u64);
        let delivered = mbps(100).mul_f64(1.0 - lost);
        let sample = Sample {
            delivered,
            lost,
            over,
            behind: 0.0,
            whole: true,
        };
        control.handle_report(now, ReceiverId(1), sample, 1);
        control.handle_timeout(now, GRTT, 1, over);
        assert_eq!(control.rate(), mbps(100), "{lost} of {packets}");
    }
}

#[test]
fn the_average_or_the_lowest_is_followed() {
    // One seed's mean is 105 to 131 for the average, which is 105.
    const SEEDS: u64 = 10;
    for (adapt, low, high) in [(Adapt::Average, 100.0, 120.0), (Adapt::Lowest, 17.0, 21.0)] {
        let one = |seed| {
            let mut rng = Rng::new(seed);
            let mut control = RateControl::new(Time::ZERO, adapt, limits(1_000), None);
            let path = |n| Path::new(mbps(n), 0.0, Duration::from_millis(50));
            let mut paths = [path(20), path(100), path(150), path(150)];
            run(FAST, &mut control, &mut paths, Time::ZERO, 20, &mut rng) / 1e6
        };
        let mean = (0..SEEDS).map(one).sum::<f64>() / SEEDS as f64;
        assert!((low..high).contains(&mean), "{adapt:?}: {mean}");
    }
}

/// The slow one of two has everything, says so or not, and the other has a link ten times as wide.
#[test]
fn who_has_left_holds_nobody_back() {
    for (adapt, told) in [
        (Adapt::Lowest, true),
        (Adapt::Lowest, false),
        (Adapt::Average, false),
    ] {
        let mut rng = Rng::new(6);
        let mut control = RateControl::new(Time::ZERO, adapt, limits(1_000), None);
        let path = |n| Path::new(mbps(n), 0.0, Duration::from_millis(50));
        let mut paths = vec![path(100), path(10)];
        run(FAST, &mut control, &mut paths, Time::ZERO, 10, &mut rng);
        let now = Time::from_millis(10_000);
        if told {
            control.forget(now, ReceiverId(2));
        }
        assert!(!control.is_searching());
        paths.pop();
        let mean = run(FAST, &mut control, &mut paths, now, 60, &mut rng) / 1e6;
        assert!(mean > 85.0, "{adapt:?}, told {told}: {mean}");
    }
}

/// All but a few of many have everything, one after another.
#[test]
fn many_who_are_done_do_not_disturb_those_who_stay() {
    let mut rng = Rng::new(8);
    let mut control = looking();
    let path = |_| Path::new(mbps(100), 0.0, Duration::from_millis(50));
    let mut paths: Vec<Path> = (0..40).map(path).collect();
    run(FAST, &mut control, &mut paths, Time::ZERO, 10, &mut rng);
    let mut now = Time::from_millis(10_000);
    while paths.len() > 4 {
        control.forget(now, ReceiverId(paths.len() as u64));
        paths.pop();
        run_for(FAST, &mut control, &mut paths, now, SLICE * 5, &mut rng);
        now += SLICE * 5;
        let rate = control.rate().as_bps() as f64 / 1e6;
        assert!(
            (80.0..130.0).contains(&rate) && !control.is_searching(),
            "{rate}"
        );
    }
}

/// What brings the rate down and flees is made up for at once; who flees while all is well was not too slow for it.
#[test]
fn only_who_brought_the_rate_down_starts_a_search_by_leaving() {
    let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), Some(mbps(100)));
    let mut now = Time::ZERO;
    for _ in 0..20 {
        round(&mut control, &mut now, 200, mbps(1_000));
    }
    control.handle_fled(now, ReceiverId(9));
    assert!(!control.is_searching());
    let before = control.rate();
    while control.rate() >= before {
        round(&mut control, &mut now, 200, mbps(20));
    }
    let mut left = control.clone();
    left.forget(now, ReceiverId(1));
    let starts = |c: &RateControl| matches!(c.phase, Phase::Start { .. });
    assert!(!starts(&left));
    control.handle_fled(now, ReceiverId(1));
    assert!(starts(&control));
}

/// A thousand behind one bottleneck, of whom a few report in each round: too much is found to be
/// too much.
#[test]
fn a_bottleneck_of_many_is_found() {
    for (receivers, interval) in [(100, 400), (1_000, 1_600)] {
        let mut rng = Rng::new(receivers);
        let limits = limits(1_000);
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits, Some(mbps(100)));
        let path = |_| Path::new(mbps(50), 0.0, Duration::from_millis(50));
        let mut paths: Vec<Path> = (0..receivers).map(path).collect();
        for path in &mut paths {
            path.due = Time::ZERO + rng.duration(Duration::from_millis(interval));
        }
        let time = Duration::from_secs(30);
        let mean = run_with(
            FAST,
            &mut control,
            &mut paths,
            Time::ZERO,
            time,
            Some(interval),
            &mut rng,
        );
        assert!((40e6..53e6).contains(&mean), "{receivers}: {mean}");
    }
}

/// One that reports what no link carries, and does so in trials only, decides nothing for others.
#[test]
fn one_liar_decides_no_trial() {
    for lie in [0, 1_000, 1_000_000_000_000] {
        let mut rng = Rng::new(lie);
        let mut control = looking();
        let path = |_| Path::new(mbps(50), 0.0, Duration::from_millis(50));
        let mut paths: Vec<Path> = (0..10).map(path).collect();
        let (mut now, mut sent) = (Time::ZERO, 0.0);
        while now < Time::from_millis(30_000) {
            sent += run_for(FAST, &mut control, &mut paths, now, SLICE, &mut rng);
            now += SLICE;
            let delivered = if control.is_trying() {
                Rate::from_bps(lie)
            } else {
                mbps(1)
            };
            let sample = Sample {
                delivered,
                lost: 0.0,
                over: SLICE,
                behind: 0.0,
                whole: true,
            };
            control.handle_report(now, ReceiverId(99), sample, 11);
        }
        let mean = sent / 3_000.0 / 1e6;
        assert!((38.0..60.0).contains(&mean), "{lie}: {mean}");
    }
}

/// One of 300 becomes slow: the one with the lowest id, as it may be any.
#[test]
fn the_lowest_of_more_than_are_kept_is_followed() {
    let mut rng = Rng::new(9);
    let mut control = RateControl::new(Time::ZERO, Adapt::Lowest, limits(1_000), None);
    let path = |n| Path::new(mbps(n), 0.0, Duration::from_millis(50));
    let mut paths: Vec<Path> = (0..300).map(|_| path(100)).collect();
    run(FAST, &mut control, &mut paths, Time::ZERO, 5, &mut rng);
    paths[0] = path(20);
    let now = Time::from_millis(5_000);
    paths[0].since = now;
    let mean = run(FAST, &mut control, &mut paths, now, 20, &mut rng) / 1e6;
    assert!((14.0..40.0).contains(&mean), "{mean}");
}

#[test]
fn a_link_that_falls_is_followed_down_and_up() {
    for queue in [20, 50, 200, 500] {
        let mut rng = Rng::new(7);
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), None);
        let link = |n| [Path::new(mbps(n), 0.0, Duration::from_millis(queue))];
        run(FAST, &mut control, &mut link(100), Time::ZERO, 5, &mut rng);
        let low = run(
            FAST,
            &mut control,
            &mut link(5),
            Time::from_millis(5_000),
            10,
            &mut rng,
        ) / 1e6;
        assert!((3.0..7.0).contains(&low), "{low} with {queue} ms");
        let back = run(
            FAST,
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
        control.handle_report(at, ReceiverId(1), path.sample(at), 1);
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
    assert!(!control.handle_timeout(Time::from_millis(900), GRTT, 1, Duration::from_millis(200)));
    assert!(control.handle_timeout(
        Time::from_millis(1_100),
        GRTT,
        1,
        Duration::from_millis(200)
    ));
    assert_eq!(control.rate(), mbps(40));
}

/// Whatever a caller may say.
const BEHIND: prop::num::f64::Any = prop::num::f64::ANY;

proptest! {
    #[test]
    fn whatever_is_reported_the_limits_hold(
        reports in prop::collection::vec((0u64..3_000_000_000, 0.0f64..=1.0, 0u64..500, 1u64..2_000, BEHIND), 1..200),
        ceiling in 1u64..2_000,
    ) {
        let limits = limits(ceiling);
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits, None);
        let mut now = Time::ZERO;
        for (bps, lost, gap, who, behind) in reports {
            now += Duration::from_millis(gap);
            control.handle_sent(bps / 80);
            let sample = Sample { delivered: Rate::from_bps(bps), lost, over: Duration::from_millis(gap), behind, whole: true };
            control.handle_report(now, ReceiverId(who), sample, 3);
            control.handle_timeout(now, GRTT, 3, Duration::from_millis(50));
            let rate = control.rate();
            prop_assert!(limits.floor <= rate && rate <= limits.ceiling);
            prop_assert!(control.paths.is_bounded());
            prop_assert!(control.poll_timeout().is_some_and(|at| at > now));
        }
    }

    /// Whatever was reported, pauses of the sender and of all receivers among it: once a path of
    /// 100 Mbit/s is as good as new, the rate is back within 12 s, the wait for a TCP flow
    /// included.
    #[test]
    fn no_state_is_for_good(
        reports in prop::collection::vec((0u64..400_000_000, 0.0f64..=1.0, 0u64..400, 1u64..4, 0u8..12), 1..200),
        seed in any::<u64>(),
    ) {
        let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), None);
        let mut now = Time::ZERO;
        for (bps, lost, gap, who, what) in reports {
            now += Duration::from_millis(gap);
            let over = Duration::from_millis(gap);
            match what {
                0 => control.forget(now, ReceiverId(who)),
                1 => control.handle_fled(now, ReceiverId(who)),
                2 => control.handle_refugee(now, ReceiverId(who)),
                3 => control.handle_absence(now),
                4 => now += Duration::from_secs(2),
                _ => {
                    control.handle_sent(control.rate().bytes_in(over));
                    let sample = Sample { delivered: Rate::from_bps(bps), lost, over, behind: 0.0, whole: true };
                    control.handle_report(now, ReceiverId(who), sample, 3);
                }
            }
            control.handle_timeout(now, GRTT, 3, Duration::from_millis(50));
        }
        let mut paths = [Path::new(mbps(100), 0.0, Duration::from_millis(20))];
        paths[0].since = now;
        paths[0].due = now;
        let mut rng = Rng::new(seed);
        let mean = run_for(FAST, &mut control, &mut paths, now, Duration::from_secs(24), &mut rng) / 1e6;
        prop_assert!(mean > 85.0, "{mean}");
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

/// Reports of one receiver on all that was sent for so many milliseconds, of which `carried` came; and the end of
/// that round.
fn round(control: &mut RateControl, now: &mut Time, ms: u64, carried: Rate) {
    let over = Duration::from_millis(ms);
    let rate = control.rate();
    control.handle_sent(rate.bytes_in(over + GRTT));
    *now += over + GRTT;
    let delivered = rate.min(carried);
    let sample = Sample {
        delivered,
        lost: 1.0 - delivered.as_bps() as f64 / rate.as_bps() as f64,
        over,
        behind: 0.0,
        whole: true,
    };
    control.handle_report(*now, ReceiverId(1), sample, 1);
    control.handle_timeout(*now, GRTT, 1, over);
}

/// A flow that gives way makes room for what is too much; it is still too much.
#[test]
fn what_a_flow_beside_leaves_is_not_ours_to_double_into() {
    let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), None);
    let mut now = Time::ZERO;
    for carried in [50, 50] {
        round(&mut control, &mut now, 60, mbps(carried));
    }
    assert_eq!(control.rate(), mbps(80));
    round(&mut control, &mut now, 60, mbps(50));
    assert_eq!(control.rate(), mbps(80), "one round may be chance");
    round(&mut control, &mut now, 60, mbps(65));
    assert!(control.rate() < mbps(65), "{:?}", control.rate());
}

/// Where less comes through than at the last congestion, somebody else has come.
#[test]
fn who_comes_later_is_given_room() {
    let mut control = RateControl::new(Time::ZERO, Adapt::Average, limits(1_000), Some(mbps(100)));
    let mut now = Time::ZERO;
    for _ in 0..3 {
        round(&mut control, &mut now, 200, mbps(100));
    }
    for carried in [100, 90] {
        while control.rate() <= mbps(carried + 1) {
            round(&mut control, &mut now, 600, mbps(carried));
        }
        let before = control.rate();
        while control.rate() >= before {
            round(&mut control, &mut now, 600, mbps(carried));
        }
        let share = control.rate().as_bps() as f64 / mbps(carried).as_bps() as f64;
        let expected = if carried == 100 { BACK_OFF } else { MAKE_ROOM };
        assert!((share - expected).abs() < 0.01, "{share} of {carried}");
    }
}

/// The first of eight say that their buffers are full.
fn say_full(control: &mut RateControl, now: Time, receivers: u64) {
    for who in 0..receivers {
        let sample = Sample {
            delivered: START,
            lost: 0.0,
            over: Duration::from_millis(1),
            behind: 1.0,
            whole: true,
        };
        control.handle_report(now, ReceiverId(who), sample, 8);
    }
}

/// A channel that has sent something or not, and so many of eight say so.
fn full(adapt: Adapt, sent: u64, receivers: u64) -> RateControl {
    let mut control = RateControl::new(Time::ZERO, adapt, limits(1_000), None);
    control.handle_sent(sent);
    say_full(&mut control, Time::from_millis(1), receivers);
    control
}

#[test]
fn full_buffers_hold_back_a_channel_that_follows_them() {
    let one = full(Adapt::Average, 1_000, 1);
    assert_eq!(one.rate(), START.mul_f64(15.0 / 16.0));
    assert!(one.is_searching(), "one of many does not end the doubling");
    let two = full(Adapt::Average, 1_000, 2);
    assert_eq!(two.rate(), START.mul_f64(15.0 * 15.0 / 256.0));
    assert!(!two.is_searching());
    let lowest = full(Adapt::Lowest, 1_000, 1);
    assert_eq!(lowest.rate(), START.mul_f64(0.5));
    assert!(!lowest.is_searching());
    // Nothing was sent that could have filled them.
    let early = full(Adapt::Average, 0, 8);
    assert_eq!((early.rate(), early.is_searching()), (START, true));
    let fixed = full(Adapt::Fixed, 1_000, 8);
    assert_eq!((fixed.rate(), fixed.poll_timeout()), (mbps(1_000), None));
}

#[test]
fn full_buffers_hold_back_for_a_moment() {
    let mut control = full(Adapt::Average, 1_000, 8);
    assert!(control.rate() < START.mul_f64(0.6));
    let (mut now, mut wakes) = (Time::ZERO, 0);
    while control.rate() < START {
        now = control.poll_timeout().unwrap();
        control.handle_sent(1_000);
        say_full(&mut control, now, 8);
        control.handle_timeout(now, GRTT, 8, Duration::from_millis(200));
        wakes += 1;
    }
    // A second of patience, and then it grows from a sixteenth.
    let waited = now.as_nanos() / 1_000_000;
    assert!((1_000..1_700).contains(&waited), "{waited} ms");
    assert!(wakes < waited / 10, "{wakes} in {waited} ms");
}
