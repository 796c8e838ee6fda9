//! The system's own tools, run to their end.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where iproute2 keeps the namespaces that have names.
const NAMESPACES: &str = "/run/netns";

/// Runs a command to its end; its standard output, or what it complained of.
pub(super) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

fn run_with_input(command: &mut Command, input: &str) -> Result<(), String> {
    let fail = |e: std::io::Error| e.to_string();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(fail)?;
    }
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "{command:?}: {}\nwith input:\n{input}",
        complaint.trim()
    ))
}

pub(super) fn ip_batch(namespace: Option<&str>, lines: &str) -> Result<(), String> {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-n", namespace]);
    }
    run_with_input(ip.args(["-batch", "-"]), lines)
}

pub(super) fn nft(namespace: &str, rules: &str) -> Result<(), String> {
    let mut nft = Command::new("ip");
    run_with_input(
        nft.args(["netns", "exec", namespace, "nft", "-f", "-"]),
        rules,
    )
}

/// Kills what still runs in a namespace whose maker is no more.
pub(super) fn kill_inside(name: &str) {
    let pids = run(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    for pid in pids.split_whitespace() {
        let _ = run(Command::new("kill").args(["-KILL", pid]));
    }
}

pub(super) fn delete_namespace(name: &str) {
    if Path::new(NAMESPACES).join(name).exists() {
        let _ = run(Command::new("ip").args(["netns", "delete", name]));
    }
}

/// The names of all namespaces of this machine.
pub(super) fn namespaces() -> Vec<String> {
    let entries = std::fs::read_dir(NAMESPACES).into_iter().flatten();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
