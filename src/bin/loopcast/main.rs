//! The program: sends, receives and demonstrates. It knows people: arguments, progress, exit codes.

use std::process::ExitCode;

use clap::Parser as _;

mod advice;
mod args;
mod bars;
mod console;
mod demo;
mod exit;
mod fields;
mod human;
mod interrupt;
mod receive;
mod receiver_json;
mod run;
mod send;
mod sender_json;
mod stats;

use args::{Args, Command};
use interrupt::Interrupt;

fn main() -> ExitCode {
    let args = Args::parse();
    let interrupt = Interrupt::install();
    let end = match args.command {
        Command::Send(send) => send::run(send, &interrupt),
        Command::Receive(receive) => receive::run(receive, &interrupt),
        Command::Demo(demo) => demo::run(demo, &interrupt),
    };
    end.into()
}
