//! Cases in which something dies or changes half way.

use super::{GROUP, RANGE, RANGE_BASE, since, time_at};
use crate::bench::Bench;
use loopcast_lab::content;
use loopcast_lab::desk::Desk;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::Net;
use loopcast_lab::program::Program;
use loopcast_lab::wait::{pause, poll_until};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) fn killed_receiver(bench: &Bench) -> Result<Vec<Measure>, String> {
    let bytes = bench.mib(64, 32);
    let net = Net::new(5)?;
    let desk = bench.desk()?;
    let file = desk.file("film", bytes)?;
    let mut receivers = Vec::new();
    for i in 1..=4 {
        let receiver = desk
            .loopcast
            .receive(net.host(i), &desk.inbox(i), &[], GROUP)?;
        receiver.wait_until_up()?;
        receivers.push(receiver);
    }
    let args = ["--to", GROUP, "--rate", "100M", "--wait-for", "4"];
    let sender = desk.loopcast.send(net.host(0), &args, &[&file])?;
    pause(time_at(bytes, 100) / 2)?;
    let victim = receivers.remove(0);
    if !victim.is_running() {
        return Err(format!("done before it could be killed\n{}", victim.tail()));
    }
    victim.kill();

    let deadline = sender.started() + Duration::from_secs(90);
    for (receiver, i) in receivers.iter().zip(2..) {
        receiver.succeed(deadline)?;
        desk.verify(i, &file)?;
    }
    let last = receivers.iter().filter_map(|r| r.ended_at()).max();
    sender.wait(deadline)?;
    let after = match (last, sender.ended_at()) {
        (Some(last), Some(end)) => end.saturating_duration_since(last).as_secs_f64(),
        _ => return Err("a program ended without a trace of when".into()),
    };
    let total = since(sender.started(), last)?.as_secs_f64();
    Ok(vec![
        Measure::new(
            "last live receiver to sender's end",
            after,
            "s",
            Limit::AtMost(5.0),
        ),
        Measure::new(
            "sender's start to last live receiver",
            total,
            "s",
            Limit::Free,
        ),
    ])
}

/// Files that change while they are sent.
const CHANGED: [&str; 2] = ["shrinking", "rewritten"];

/// Two files on offer; a third of the way one is cut to half and the other overwritten.
pub(crate) fn source_truncated_and_rewritten(bench: &Bench) -> Result<Vec<Measure>, String> {
    let bytes = bench.mib(32, 16);
    let net = Net::new(3)?;
    let desk = bench.desk()?;
    let old = bench.desk()?;
    let mut files = Vec::new();
    for name in CHANGED {
        files.push(desk.file(name, bytes)?);
        old.file(name, bytes)?;
    }
    let mut receivers = Vec::new();
    for i in [1, 2] {
        let receiver = desk
            .loopcast
            .receive(net.host(i), &desk.inbox(i), &[], RANGE_BASE)?;
        receiver.wait_until_up()?;
        receivers.push(receiver);
    }
    let args = ["--to", RANGE, "--rate", "100M", "--wait-for", "2"];
    let paths: Vec<&Path> = files.iter().map(|f| f.as_path()).collect();
    let sender = desk.loopcast.send(net.host(0), &args, &paths)?;
    // Both are hashed and offered before anything changes.
    let offered = Instant::now() + Duration::from_secs(20);
    if !poll_until(offered, || sender.events("offered").len() == 2)? {
        return Err(format!("does not offer two files\n{}", sender.tail()));
    }
    pause(time_at(2 * bytes, 100) / 3)?;
    let shrinking = OpenOptions::new().write(true).open(&files[0]);
    shrinking
        .and_then(|f| f.set_len(bytes / 2))
        .map_err(|e| e.to_string())?;
    // In place, as an editor that does not rename would; the length stays.
    content::overwrite_seeded(&files[1], bytes, 99)?;

    let deadline = Instant::now() + Duration::from_secs(90);
    for receiver in &receivers {
        receiver
            .wait(deadline)
            .map_err(|e| format!("{e}the sender said:\n{}", sender.tail()))?;
    }
    sender.wait(deadline)?;

    let mut measures = named(&sender);
    measures.extend(copies(&desk, &old, &files));
    Ok(measures)
}

/// What a sender says of its files that changed.
fn named(sender: &Program) -> Vec<Measure> {
    let withdrawn = sender.events("withdrawn");
    let told = |name: &str| withdrawn.iter().any(|(_, event)| event["name"] == name);
    let named = CHANGED.iter().filter(|n| told(n)).count();
    let offers = sender.events("offered");
    let again = offers.iter().filter(|(_, event)| event["again"] == true);
    let again = again.count() as f64;
    if named < CHANGED.len() {
        eprintln!("the sender said:\n{}", sender.tail());
    }
    let (named, all) = (named as f64, Limit::AtLeast(2.0));
    vec![
        Measure::new("changed files named by the sender", named, "of 2", all),
        Measure::new("changed files offered again", again, "of 2", Limit::Free),
    ]
}

/// What is in place at the two receivers: each copy as a file is now, as it was, or a mixture.
fn copies(desk: &Desk, old: &Desk, files: &[PathBuf]) -> Vec<Measure> {
    let (mut mixtures, mut copies, mut new) = (0.0, 0.0, 0.0);
    for i in [1, 2] {
        for (name, file) in CHANGED.iter().zip(files) {
            let copy = desk.inbox(i).join(name);
            if !copy.exists() {
                continue;
            }
            copies += 1.0;
            let is_new = content::compare(file, &copy).is_ok();
            let is_old = content::compare(&old.path(name), &copy).is_ok();
            new += f64::from(u8::from(is_new));
            mixtures += f64::from(u8::from(!is_new && !is_old));
        }
    }
    let none = Limit::AtMost(0.0);
    vec![
        Measure::new("copies that are a mixture", mixtures, "", none),
        Measure::new("copies in place", copies, "of 4", Limit::Free),
        Measure::new("of these, the new version", new, "", Limit::Free),
    ]
}
