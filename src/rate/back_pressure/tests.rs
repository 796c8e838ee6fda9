//! Receivers that fall behind, recover, and lie.

use super::*;

const RATE: f64 = 1e9;
const ME: ReceiverId = ReceiverId(1);

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn back_pressure() -> BackPressure {
    BackPressure::new(Adapt::Average)
}

/// Lets time pass, a millisecond after the other; gives the mean of what might be sent, a share of the rate, where
/// `says` tells what the first of `listeners` says at each.
fn run(
    back_pressure: &mut BackPressure,
    ms: core::ops::Range<u64>,
    listeners: u32,
    mut says: impl FnMut(u64) -> Option<f64>,
) -> f64 {
    let (mut sum, mut wakes) = (0.0, 0);
    for i in ms.clone() {
        if back_pressure.poll_timeout().is_some_and(|due| due <= at(i)) {
            back_pressure.handle_timeout(at(i), RATE, listeners);
            wakes += 1;
            assert!(back_pressure.poll_timeout().is_none_or(|due| due > at(i)));
        }
        let sending = back_pressure.limit().min(RATE);
        match says(i) {
            Some(0.0) => back_pressure.handle_keeps_up(at(i), ME),
            Some(filled) => back_pressure.handle_behind(at(i), ME, filled, sending, listeners),
            None => {}
        }
        sum += back_pressure.limit().min(RATE);
    }
    let ms = ms.end - ms.start;
    assert!(wakes <= ms / 20 + 1, "{wakes} in {ms} ms");
    sum / ms as f64 / RATE
}

#[test]
fn each_takes_its_part_off() {
    let mut r = back_pressure();
    assert_eq!((r.limit(), r.poll_timeout()), (f64::INFINITY, None));
    r.handle_behind(at(0), ME, 0.5, RATE, 4);
    let first = RATE * (1.0 - 0.25 / 4.0);
    assert_eq!(r.limit(), first);
    r.handle_behind(at(1), ReceiverId(2), 1.0, r.limit(), 4);
    let both = first * (1.0 - 0.5 / 4.0);
    assert_eq!(r.limit(), both);
    // What it says before the rate can have had an effect changes nothing, nor does less than before.
    r.handle_behind(at(49), ME, 1.0, r.limit(), 4);
    r.handle_behind(at(51), ReceiverId(2), 0.9, r.limit(), 4);
    assert_eq!(r.limit(), both);
    r.handle_behind(at(52), ME, 1.0, r.limit(), 4);
    assert_eq!(r.limit(), both * (1.0 - 0.5 / 4.0));
}

#[test]
fn the_lowest_counts_alone() {
    let mut r = BackPressure::new(Adapt::Lowest);
    r.handle_behind(at(0), ME, 0.5, RATE, 100);
    assert_eq!(r.limit(), RATE * 0.75);
    assert!(r.waits(at(0), 1, 100));
}

#[test]
fn it_holds_while_buffers_empty_and_is_gone_soon_after() {
    let mut r = back_pressure();
    r.handle_behind(at(0), ME, 1.0, RATE, 1);
    let mean = run(&mut r, 1..300, 1, |i| Some(1.0 - i as f64 / 300.0));
    assert!((mean - 0.5).abs() < 1e-9, "{mean}");
    let limit = |r: &BackPressure| r.limit() / RATE;
    run(&mut r, 300..320, 1, |_| Some(0.0));
    let before = limit(&r);
    assert!(before < 0.6, "{before}");
    run(&mut r, 320..380, 1, |_| None);
    let growth = limit(&r) / before;
    assert!((growth - 1.1f64.powi(3)).abs() < 1e-9, "{growth}");
    run(&mut r, 380..500, 1, |_| None);
    assert_eq!((r.limit(), r.poll_timeout()), (f64::INFINITY, None));
}

#[test]
fn few_of_many_do_not_hold_it() {
    for (listeners, holds) in [(16, true), (17, false)] {
        let mut r = back_pressure();
        r.handle_behind(at(0), ME, 1.0, RATE, listeners);
        run(&mut r, 1..100, listeners, |_| None);
        assert_eq!(r.limit() < RATE, holds, "{listeners}");
    }
}

/// There is more room: it doubles, and so does what is less for those behind.
#[test]
fn a_rate_that_grows_takes_it_along() {
    let mut r = back_pressure();
    r.follow(2.0);
    assert_eq!(r.limit(), f64::INFINITY);
    r.handle_behind(at(0), ME, 1.0, RATE, 8);
    let before = r.limit();
    r.follow(2.0);
    assert_eq!(r.limit(), 2.0 * before);
    r.follow(0.5);
    assert_eq!(r.limit(), 2.0 * before);
}

/// It is the rate that is followed then.
#[test]
fn who_stays_behind_is_not_waited_for_any_longer() {
    for listeners in [1, 8] {
        let mut r = back_pressure();
        let waits = |r: &BackPressure, ms| r.waits(at(ms), 16, listeners);
        let mean = run(&mut r, 0..1_000, listeners, |_| Some(1.0));
        assert!((0.08..0.7).contains(&mean), "{mean}");
        run(&mut r, 1_000..1_700, listeners, |_| Some(1.0));
        assert_eq!((r.limit(), waits(&r, 1_700)), (f64::INFINITY, false));
        // It keeps up for so long as gives it a quarter of a second.
        run(&mut r, 4_000..5_000, listeners, |_| Some(0.0));
        run(&mut r, 5_000..5_240, listeners, |_| Some(1.0));
        assert!(waits(&r, 5_240));
        run(&mut r, 5_240..5_260, listeners, |_| Some(1.0));
        assert!(!waits(&r, 5_260));
    }
}

/// Whatever the turns in which it says that it is behind, and that it is not.
#[test]
fn who_lies_costs_little_for_long() {
    const LONG: u64 = 60_000;
    for (listeners, most) in [(2, 0.27), (4, 0.2), (8, 0.1), (17, 0.01), (100, 0.01)] {
        let mut worst = 0.0f64;
        for pause in [1, 2, 20, 49, 51, 100, 300, 1_000, 3_000] {
            for lasts in [1, 50, 250, 1_000] {
                let mut r = back_pressure();
                let mean = run(&mut r, 0..LONG, listeners, |i| {
                    Some(f64::from(u8::from(i % (pause + lasts) < lasts)))
                });
                worst = worst.max(1.0 - mean);
            }
        }
        assert!(worst < most, "{worst} of {listeners}");
    }
}

#[test]
fn of_more_than_it_looks_after_those_behind_first_count() {
    let mut r = back_pressure();
    for who in 0..2 * MAX_BEHIND as u64 {
        r.handle_behind(at(0), ReceiverId(who), 1.0, RATE, 1_000);
    }
    assert_eq!(r.receivers.len(), MAX_BEHIND);
    let share = (1.0f64 - 0.5 / 1_000.0).powi(256);
    assert!((r.limit() / RATE - share).abs() < 1e-9);
    // Those that recover make room.
    r.handle_keeps_up(at(60), ReceiverId(0));
    r.handle_behind(at(70), ReceiverId(9_999), 1.0, RATE, 1_000);
    assert!(r.receivers.contains_key(&ReceiverId(9_999)));
    assert!(!r.receivers.contains_key(&ReceiverId(0)));
}
