//! Beside the tools that users could pick instead, as `loopcast bench` measures them.

use crate::bench::{Bench, Limit, Measure};
use crate::program::Program;
use std::process::Command;
use std::time::{Duration, Instant};

/// With each loss, the time over that of the better of uftp and udpcast in the same run: at the same rate,
/// and as fast as each goes, where the processors of one machine are shared by nine programs.
pub(crate) fn peers_loss(bench: &Bench) -> Result<Vec<Measure>, String> {
    let desk = bench.desk()?;
    let json = desk.path("bench.json");
    let (losses, size, runs) = if bench.quick {
        ("5", "16M", "1")
    } else {
        ("1,5,20", "64M", "3")
    };
    let mut command = Command::new(&desk.loopcast.program);
    command
        .args(["bench", "--receivers", "8", "--peers", "uftp,udpcast"])
        .args(["--loss", losses, "--size", size, "--runs", runs])
        .args(["--rate", "100M,unlimited", "--json"])
        .arg(&json)
        .arg("--dir")
        .arg(desk.path(""));
    let deadline = Instant::now() + Duration::from_secs(600);
    Program::start("loopcast bench".into(), &mut command, None)?.succeed(deadline)?;

    let text = std::fs::read(&json).map_err(|e| format!("{}: {e}", json.display()))?;
    let report: serde_json::Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let rows = report["rows"].as_array().ok_or("no rows")?;
    let mut measures = Vec::new();
    for row in rows {
        let rate = row["rate"].as_str().unwrap_or_default();
        let tool = row["tool"].as_str().unwrap_or_default();
        let loss = row["loss"].as_f64().unwrap_or(f64::NAN) * 100.0;
        let median = |what: &str| row[what]["median"].as_f64().unwrap_or(f64::NAN);
        if tool == "loopcast" {
            measures.push(Measure::new(
                format!("{loss} % lost, {rate}: time / best peer's"),
                median("to_best_peer"),
                "",
                Limit::AtMost(1.0),
            ));
        }
        let what = format!("{loss} % lost, {rate}: {tool}, start to last copy");
        measures.push(Measure::new(what, median("seconds"), "s", Limit::Free));
    }
    Ok(measures)
}
