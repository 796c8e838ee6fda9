//! Beside the tools that users could pick instead, as `loopcast bench` measures them.

use crate::bench::Bench;
use loopcast_lab::bare;
use loopcast_lab::content;
use loopcast_lab::desk::Desk;
use loopcast_lab::machine::processor_time;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::Net;
use loopcast_lab::program::Program;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// With each loss, the time over that of the better of uftp and udpcast in the same run: at the
/// same rate, and as fast as each goes, where the processors of one machine are shared by nine
/// programs.
pub(crate) fn peers_loss(bench: &Bench) -> Result<Vec<Measure>, String> {
    const RECEIVERS: usize = 8;
    let (losses, size, runs) = if bench.quick {
        ("5", "16M", 1)
    } else {
        ("1,5,20", "64M", 3)
    };
    let desk = bench.desk()?;
    let rows = measure(
        &desk,
        &["--receivers", &RECEIVERS.to_string(), "--loss", losses]
            .into_iter()
            .chain(["--size", size, "--runs", &runs.to_string()])
            .chain(["--rate", "100M,unlimited"])
            .collect::<Vec<_>>(),
    )?;
    let bare = Bare::at_its_best(&desk, RECEIVERS, bench.mib(64, 16), runs)?;
    let what = "a bare pair, nothing lost, as fast as it goes".to_string();
    let mut measures = vec![Measure::new(what, bare.seconds, "s", Limit::Free)];
    for row in &rows {
        let rate = row["rate"].as_str().unwrap_or_default();
        let tool = row["tool"].as_str().unwrap_or_default();
        let loss = row["loss"].as_f64().unwrap_or(f64::NAN) * 100.0;
        if tool == "loopcast" {
            let most = if loss == 5.0 && rate == "unlimited" {
                0.4
            } else {
                1.0
            };
            measures.push(Measure::new(
                format!("{loss} % lost, {rate}: time / best peer's"),
                median(row, "to_best_peer"),
                "",
                Limit::AtMost(most),
            ));
        }
        let what = format!("{loss} % lost, {rate}: {tool}, start to last copy");
        measures.push(Measure::new(what, median(row, "seconds"), "s", Limit::Free));
    }
    Ok(measures)
}

/// As fast as each goes, to four receivers, packets cut at the sender's device: beside uftp and
/// udpcast, and beside the least that it can cost here.
pub(crate) fn peers_speed(bench: &Bench) -> Result<Vec<Measure>, String> {
    const RECEIVERS: usize = 4;
    let desk = bench.desk()?;
    let (size, runs) = if bench.quick { ("64M", 1) } else { ("256M", 5) };
    let rows = measure(
        &desk,
        &["--receivers", "4", "--loss", "0", "--mode", "parity,singly"]
            .into_iter()
            .chain(["--size", size, "--runs", &runs.to_string()])
            .collect::<Vec<_>>(),
    )?;
    let row = |tool: &str| {
        let row = rows.iter().find(|r| r["tool"] == tool);
        row.ok_or(format!("no figures of {tool}"))
    };
    let (ours, singly, uftp) = (row("loopcast")?, row("loopcast, singly")?, row("uftp")?);
    let cpu = |row| median(row, "sender_cpu") + median(row, "receivers_cpu");
    let seconds = |row| median(row, "seconds");

    let bare = Bare::at_its_best(&desk, RECEIVERS, bench.mib(256, 64), runs)?;
    let mut measures = vec![
        Measure::new(
            "time / best peer's",
            median(ours, "to_best_peer"),
            "",
            Limit::AtMost(0.5),
        ),
        Measure::new(
            "a bare pair's time / ours",
            bare.seconds / seconds(ours),
            "",
            Limit::AtLeast(0.6),
        ),
        Measure::new(
            "processor time / uftp's",
            cpu(ours) / cpu(uftp),
            "",
            Limit::AtMost(0.5),
        ),
        Measure::new(
            "without offload: time / uftp's",
            seconds(singly) / seconds(uftp),
            "",
            Limit::AtMost(1.0),
        ),
        Measure::new("start to last copy", seconds(ours), "s", Limit::Free),
        Measure::new("without offload", seconds(singly), "s", Limit::Free),
        Measure::new("uftp", seconds(uftp), "s", Limit::Free),
        Measure::new("udpcast", seconds(row("udpcast")?), "s", Limit::Free),
    ];
    measures.extend(bare.measures(cpu(uftp)));
    Ok(measures)
}

/// A bare pair at the highest rate, in steps of a tenth, at which it loses nothing in several
/// transfers.
struct Bare {
    bps: f64,
    /// The median.
    seconds: f64,
    /// Seconds of processor time for a transfer.
    cpu: f64,
}

impl Bare {
    fn at_its_best(desk: &Desk, receivers: usize, bytes: u64, runs: usize) -> Result<Bare, String> {
        let net = Net::new(1 + receivers)?;
        let file = desk.file("image", bytes)?;
        let copies = (1..=receivers).map(|i| desk.path(&format!("copy-{i}")));
        let copies: Vec<PathBuf> = copies.collect();
        let mut bps = 8e9;
        while bps > 1e8 {
            let before = processor_time()?;
            let mut times = Vec::new();
            while times.len() < runs {
                let went = bare::transfer(&net, &file, &copies, bps);
                let went = went.map_err(|e| format!("a bare pair: {e}"))?;
                if went.lost > 0 {
                    break;
                }
                times.push(went.took.as_secs_f64());
            }
            if times.len() == runs {
                for copy in &copies {
                    content::compare(&file, copy)?;
                }
                times.sort_by(f64::total_cmp);
                let cpu = (processor_time()? - before) / runs as f64;
                let seconds = times[runs / 2];
                return Ok(Bare { bps, seconds, cpu });
            }
            bps *= 0.9;
        }
        Err("a bare pair loses packets at any rate".into())
    }

    /// What is told of it beside a peer that took so much processor time.
    fn measures(&self, peers_cpu: f64) -> [Measure; 3] {
        let (mbit, cpu) = (self.bps / 1e6, self.cpu / peers_cpu);
        [
            Measure::new("a bare pair", self.seconds, "s", Limit::Free),
            Measure::new("its highest rate without loss", mbit, "Mbit/s", Limit::Free),
            Measure::new("its processor time / uftp's", cpu, "", Limit::Free),
        ]
    }
}

/// Rows of `loopcast bench` beside uftp and udpcast.
fn measure(desk: &Desk, args: &[&str]) -> Result<Vec<Value>, String> {
    let json = desk.path("bench.json");
    let mut command = Command::new(&desk.loopcast.program);
    command
        .args(["bench", "--peers", "uftp,udpcast"])
        .args(args)
        .arg("--json")
        .arg(&json)
        .arg("--dir")
        .arg(desk.path(""));
    let deadline = Instant::now() + Duration::from_secs(600);
    Program::start("loopcast bench".into(), &mut command, None)?.succeed(deadline)?;

    let text = std::fs::read(&json).map_err(|e| format!("{}: {e}", json.display()))?;
    let report: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    Ok(report["rows"].as_array().ok_or("no rows")?.clone())
}

fn median(row: &Value, what: &str) -> f64 {
    row[what]["median"].as_f64().unwrap_or(f64::NAN)
}
