//! Loss and group size, simulated: what the sender puts on the wire, over what the file has, with
//! parity and without.
//!
//! `cargo run --release --example simulate_loss`

#![expect(clippy::print_stdout, reason = "printing is what it does")]

use core::time::Duration;

use loopcast::object::Description;
use loopcast::sim::{Config, Link, Loss, World};
use loopcast::time::Time;

const LENGTH: u64 = 16_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("16 MB at 100 Mbit/s, 20 ms round trip: data over file, NAK packets, seconds");
    println!(
        "{:>9} {:>6} {:>28} {:>28}",
        "receivers", "loss", "without parity", "with parity"
    );
    for receivers in [1, 10, 100] {
        for percent in [1, 5, 20] {
            let plain = run(receivers, percent, false)?;
            let parity = run(receivers, percent, true)?;
            println!("{receivers:>9} {percent:>4} % {plain:>28} {parity:>28}");
        }
    }
    Ok(())
}

/// One transfer to so many receivers that each lose so many packets in a hundred.
fn run(receivers: u32, percent: u32, parity: bool) -> Result<String, Box<dyn std::error::Error>> {
    let config = Config {
        wait_for: receivers,
        ..Config::new(1)
    };
    let mut world = World::new(config)?;
    let mut film = Description::pretend("film", LENGTH, 1_344, 512)?;
    if parity {
        film = film.with_parity()?;
    }
    world.offer(film)?;
    for _ in 0..receivers {
        let loss = Loss::Random(f64::from(percent) / 100.0);
        world.add_receiver(Time::ZERO, Link::lossy(Duration::from_millis(10), loss));
    }
    if !world.run(Time::from_millis(600_000)) {
        return Ok("not done in 600 s".to_owned());
    }
    let totals = world.totals();
    let sent = totals.data_packets as f64 * 1_344.0 / LENGTH as f64;
    let seconds = world.now().as_secs_f64();
    Ok(format!("{sent:.2} x, {} NAKs, {seconds:.1} s", totals.naks))
}
