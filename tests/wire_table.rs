//! What the sender puts on the wire, over loss and group size, as a table to be reviewed.
//!
//! Runs are exact, so the table is compared to the last digit. After a change that is meant to move
//! it: `LOOPCAST_SNAPSHOT=write cargo test --test wire_table`, and look at the difference.

#![allow(clippy::unwrap_used, reason = "a test may")]

use core::fmt::Write as _;
use core::time::Duration;

use loopcast::object::Description;
use loopcast::sim::{Config, Link, Loss, World};
use loopcast::time::Time;
use loopcast::units::Rate;
use loopcast::wire;

const LENGTH: u64 = 2_000_000;
const SNAPSHOT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/snapshots/wire_by_loss_and_group.txt"
);
const HEAD: &str = "\
# All bytes that the sender puts on the wire, IP and UDP headers included, over the 2 MB of the
# file: receivers that each lose so much by themselves, 20 ms of round trip, 20 Mbit/s.
# Least: data packets that one receiver must be sent, on average, with their headers. The answers to
# requests come on top, some 500 bytes a receiver.
";

fn sent(receivers: u32, loss: f64) -> f64 {
    let config = Config {
        wait_for: receivers,
        rate: Rate::from_bps(20_000_000),
        ..Config::new(7)
    };
    let mut world = World::new(config).unwrap();
    let film = Description::pretend("film", LENGTH, 1_344, 512).unwrap();
    world.offer(film.with_parity().unwrap()).unwrap();
    for i in 0..receivers {
        let link = Link::lossy(Duration::from_millis(10), Loss::Random(loss));
        world.add_receiver(Time::from_millis(u64::from(i) % 100), link);
    }
    assert!(world.run(Time::from_millis(120_000)));
    assert_eq!(world.complete(), receivers as usize, "{loss}");
    world.totals().sender_bytes as f64 / LENGTH as f64
}

#[test]
fn wire_by_loss_and_group() {
    const GROUPS: [u32; 4] = [1, 10, 100, 1_000];
    let mut table = format!("{HEAD}\n{:>5} {:>7}", "loss", "least");
    for receivers in GROUPS {
        write!(table, " {receivers:>7}").unwrap();
    }
    table.push('\n');
    let headers = (wire::data_packet_len(1_344) + 28) as f64 / 1_344.0;
    for percent in [0, 1, 5, 20] {
        let loss = f64::from(percent) / 100.0;
        write!(table, "{percent:>3} % {:>7.3}", headers / (1.0 - loss)).unwrap();
        for receivers in GROUPS {
            write!(table, " {:>7.3}", sent(receivers, loss)).unwrap();
        }
        table.push('\n');
    }
    if std::env::var_os("LOOPCAST_SNAPSHOT").is_some_and(|v| v == "write") {
        std::fs::write(SNAPSHOT, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(SNAPSHOT).unwrap();
    assert_eq!(table, reviewed, "\n{table}");
}
