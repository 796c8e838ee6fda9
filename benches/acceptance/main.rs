//! The acceptance bench: what the first release promises of a real network, measured.
//!
//! `cargo bench --bench acceptance -- [--list] [--quick] [--peers] [--keep] [--program PATH]
//! [CASE...]`, as root: each case builds a network of namespaces, runs the program there and prints
//! its figures beside their limits. The limits are ratios, so that they hold on slow machines and
//! fast ones. A case that fails by a speed or a time alone runs twice more, and the median counts.
//! Ends with 1 if any case failed; without root it says that it measures nothing and ends with 0.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod cases;
mod forger;
mod options;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use loopcast_lab::busy::Loops;
use loopcast_lab::machine;
use loopcast_lab::measure::Measure;
use loopcast_lab::network;
use loopcast_lab::wait::interrupted;

use bench::Bench;
use cases::Case;
use options::Options;

fn main() -> ExitCode {
    let options = match Options::from_args(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(complaint) => {
            eprintln!("{complaint}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        for case in cases::ALL {
            println!("{:32} {}", case.name, case.promise);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(why) = network::missing() {
        eprintln!("SKIPPED, NOTHING MEASURED: no network namespaces here: {why}");
        return ExitCode::SUCCESS;
    }
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Without the handler an interrupted run leaves its namespaces to the next one to remove.
        let _ = signal_hook::flag::register(signal, interrupted().clone());
    }

    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            println!("{failed} failed");
            ExitCode::FAILURE
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// The figures of a case: of one run, or of three where one missed nothing but a time or a speed.
fn measure(case: &Case, bench: &Bench) -> Result<Vec<Measure>, String> {
    let first = (case.run)(bench)?;
    let mut failed = first.iter().filter(|m| !m.passed()).peekable();
    if failed.peek().is_none() || !failed.all(Measure::may_be_chance) {
        return Ok(first);
    }
    let mut runs = vec![first];
    for _ in 0..2 {
        runs.push((case.run)(bench)?);
    }
    let show = |run: &Vec<Measure>| run.iter().for_each(|m| eprintln!("{:32} {m}", case.name));
    runs.iter().for_each(show);
    let mut runs: Vec<_> = runs.into_iter().map(Vec::into_iter).collect();
    let next = || {
        runs.iter_mut()
            .map(Iterator::next)
            .collect::<Option<Vec<_>>>()
    };
    Ok(std::iter::from_fn(next)
        .filter_map(Measure::of_runs)
        .collect())
}

/// Runs the chosen cases; how many of them failed.
fn run(options: &Options) -> Result<usize, String> {
    let bench = Bench::new(options.program.clone(), options.quick, options.keep)?;
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
        eprintln!("{cores} cores, load before this run: {}", load.trim());
    }
    let _awake = Loops::that_keep_awake();
    let mut failed = 0;
    let chosen = cases::ALL.iter().filter(|case| options.chose(case.name));
    for case in chosen {
        let (started, stolen) = (Instant::now(), machine::stolen());
        let result = measure(case, &bench);
        let passed = match &result {
            Ok(measures) => {
                measures
                    .iter()
                    .for_each(|m| println!("{:32} {m}", case.name));
                measures.iter().all(|m| m.passed())
            }
            Err(why) => {
                println!("{:32} FAIL: {}", case.name, why.trim_end());
                false
            }
        };
        failed += usize::from(!passed);
        let took = started.elapsed().as_secs_f64();
        let stolen = machine::stolen()
            .zip(stolen)
            .map_or(0.0, |(now, then)| now - then);
        eprintln!(
            "{:32} took {took:.1} s, without {stolen:.1} s of a processor that the host gave to others",
            case.name
        );
        if interrupted().load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
    }
    Ok(failed)
}
