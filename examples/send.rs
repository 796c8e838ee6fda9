//! Sends a file to everybody who asks, until they all have it.
//!
//! `cargo run --release --example send -- FILE [loopcast://239.192.7.1:4700]`

#![allow(clippy::print_stdout)]

use std::error::Error;

use loopcast::Sender;
use loopcast::driver::{DEFAULT_URL, SenderEvent};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("which file?")?;
    let url = args.next().unwrap_or_else(|| DEFAULT_URL.to_owned());

    let sender = Sender::builder()
        .to(url.parse()?)
        .offer_path(file)
        .start()?;
    for event in sender.events() {
        match event {
            SenderEvent::Offered { name, content, .. } => println!("offering {name}, {content}"),
            SenderEvent::Joined {
                receiver, address, ..
            } => println!("{receiver} at {address} joined"),
            SenderEvent::Done {
                receiver, outcome, ..
            } => println!("{receiver}: {outcome:?}"),
            _ => {}
        }
    }
    let summary = sender.join()?;
    println!(
        "{:?}: sent {} bytes",
        summary.outcome,
        summary.sent.total().bytes
    );
    Ok(())
}
