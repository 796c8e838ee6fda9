//! An object of 4 TiB: joined in the middle, a few blocks of it, little memory, few bytes of
//! hashes.
//!
//! A test binary of its own, because it looks at the memory of its process.

#![allow(clippy::unwrap_used)]

use core::time::Duration;

use loopcast::object::{Description, Part};
use loopcast::range_set::RangeSet;
use loopcast::sim::{Config, Link, Loss, World};
use loopcast::time::Time;
use loopcast::units::Rate;

const TIB: u64 = 1 << 40;

/// Bytes of memory that the process has in use; none where that can't be told.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

#[test]
fn four_tebibytes_are_joined_in_the_middle() {
    let film = Description::pretend("film", 4 * TIB, 1_344, 1_024).unwrap();
    let g = film.geometry;
    let hashes = u64::from(g.pages(Part::Content)) * u64::from(g.symbol_size());
    assert!(hashes * 5_000 <= g.length(), "{hashes} bytes of hashes");

    let before = resident();
    let mut world = World::new(Config {
        rate: Rate::from_bps(1_000_000_000),
        stay: true,
        ..Config::new(1)
    })
    .unwrap();
    world.check_every_step();
    world.offer(film).unwrap();
    let link = || Link::lossy(Duration::from_millis(2), Loss::Random(0.01));
    // One has the first half from an earlier run, so that the sender begins in the middle.
    let half = u64::from(g.blocks() / 2);
    let mut kept = RangeSet::new();
    kept.insert(0..half);
    let first = world.add_receiver(Time::ZERO, link());
    world.keep_blocks(first, kept);
    world.run_while(Time::from_millis(800), |_| true);
    // The other has nothing and takes up the cycle where it is.
    let late = world.add_receiver(world.now(), link());
    world.run_while(Time::from_millis(2_000), |_| true);

    let held = |i| world.receiver(i).progress().next().unwrap();
    let from_half: u64 = (0..g.blocks() / 2).map(|b| u64::from(g.symbols(b))).sum();
    let new = held(first).held - from_half;
    assert!(new > 100_000, "{new} symbols of the second half");
    assert!(held(late).held > 70_000, "{:?}", held(late));
    // What was passed was asked for and repaired, all but the last moments.
    let sent = world.totals().data_packets;
    assert!(new > sent / 100 * 95, "{new} of {sent}");
    assert!(
        world.receiver(first).blocks_waiting() < 8 && world.receiver(late).blocks_waiting() < 8
    );
    assert!(held(late).verified > 60_000 * 1_344);
    assert_eq!(world.receiver(late).stats().bad_blocks, 0);
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after.saturating_sub(before);
        assert!(grown < 48 << 20, "{grown} bytes of memory");
    }
}
