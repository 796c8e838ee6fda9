//! The program: sends, receives, packs, demonstrates and measures. It knows people: arguments,
//! progress, exit codes.

use std::process::ExitCode;

use clap::Parser as _;

mod advice;
mod archiving;
mod args;
mod bars;
mod bench;
mod console;
mod demo;
mod exit;
#[cfg(test)]
mod golden_json;
mod human;
mod interrupt;
mod keygen;
mod own_event;
mod pack;
mod receive;
mod run;
mod scratch;
mod selection;
mod send;
mod stats;

use args::{Args, Command};
use interrupt::Interrupt;

fn main() -> ExitCode {
    let args = Args::parse();
    let interrupt = Interrupt::install();
    let end = match args.command {
        Command::Send(send) => send::run(send, &interrupt),
        Command::Receive(receive) => receive::run(receive, &interrupt),
        Command::Pack(args) => pack::run(&args, &interrupt),
        Command::Unpack(args) => pack::unpack(&args, &interrupt),
        Command::Keygen(args) => keygen::run(&args),
        Command::Demo(demo) => demo::run(demo, &interrupt),
        Command::Bench(bench) => bench::run(bench, &interrupt),
    };
    end.into()
}
