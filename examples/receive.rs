//! Receives all that a session offers into a folder.
//!
//! `cargo run --release --example receive -- FOLDER [loopcast://239.192.7.1:4700]`

#![allow(clippy::print_stdout)]

use std::error::Error;

use loopcast::Receiver;
use loopcast::driver::ReceiverEvent;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("into which folder?")?;
    let url = args
        .next()
        .unwrap_or_else(|| "loopcast://239.192.7.0:4700".to_owned());

    let receiver = Receiver::builder()
        .from(url.parse()?)
        .into_dir(folder)
        .start()?;
    for event in receiver.events() {
        match event {
            ReceiverEvent::PathChosen(path) => println!("by {}: {}", path.name(), path.reason()),
            ReceiverEvent::Progress(p) => println!("{}: {} of {}", p.name, p.have, p.total),
            ReceiverEvent::Complete { path, took, .. } => {
                println!("{} in {took:?}", path.display())
            }
            ReceiverEvent::Failed { name, reason } => println!("{name}: {reason}"),
            ReceiverEvent::GaveUp { reason, .. } => println!("{reason}"),
            _ => {}
        }
    }
    let summary = receiver.join()?;
    println!(
        "{:?}: {} packets lost on the way",
        summary.outcome, summary.loss.network
    );
    Ok(())
}
