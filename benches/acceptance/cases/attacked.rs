//! Cases with somebody on the path who has no key.

use super::{GROUP, Wanted, group_receivers, time_at, transfer};
use crate::bench::Bench;
use crate::forger::Forger;
use loopcast_lab::attacker::Attack;
use loopcast_lab::desk::Desk;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::Net;
use loopcast_lab::program::Program;
use loopcast_lab::wait::pause;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// They all sit on one tier, which runs on the group that the attacker hears.
const RECEIVERS: usize = 4;

fn group_key(desk: &Desk) -> Result<String, String> {
    let path = desk.path("group.key").display().to_string();
    let mut command = Command::new(&desk.loopcast.program);
    command.args(["keygen", "--group", &path]);
    let deadline = Instant::now() + Duration::from_secs(10);
    Program::start("keygen".into(), &mut command, None)?.succeed(deadline)?;
    Ok(path)
}

/// All receivers of the group, started with these options.
fn with_options<'a>(options: &'a [&'a str]) -> Vec<Wanted<'a>> {
    let all = group_receivers(RECEIVERS).into_iter();
    all.map(|w| Wanted { args: options, ..w }).collect()
}

/// The speed with a group key over that without, taken by turns.
pub(crate) fn group_key_speed(bench: &Bench) -> Result<Vec<Measure>, String> {
    const RUNS: usize = 5;
    let bytes = bench.mib(256, 64);
    let net = Net::new(1 + RECEIVERS)?;
    let once = |sealed: bool| -> Result<f64, String> {
        let desk = bench.desk()?;
        let file = desk.file("film", bytes)?;
        let key = group_key(&desk)?;
        let options = ["--group-key", key.as_str()];
        let options = if sealed { &options[..] } else { &[] };
        let args: Vec<&str> = ["--wait-for", "4"].iter().chain(options).copied().collect();
        let within = Duration::from_secs(60);
        let done = transfer(&desk, &net, &file, &with_options(options), &args, within)?;
        Ok(done.last().as_secs_f64())
    };
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        plain.push(once(false)?);
        sealed.push(once(true)?);
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[RUNS / 2]
    };
    let (plain, sealed) = (median(&mut plain), median(&mut sealed));
    Ok(vec![
        Measure::new(
            "speed with a key / without",
            plain / sealed,
            "",
            Limit::AtLeast(0.8),
        )
        .timed(),
        Measure::new("last copy, with a key", sealed, "s", Limit::Free),
        Measure::new("last copy, without", plain, "s", Limit::Free),
    ])
}

/// With a group key: the time to the last copy under attack, over that without.
pub(crate) fn attacked_group(bench: &Bench) -> Result<Vec<Measure>, String> {
    let bytes = bench.mib(32, 16);
    let net = Net::new(RECEIVERS + 2)?;
    let within = Duration::from_secs(90);
    let once = |attacked: bool| -> Result<(f64, f64), String> {
        let desk = bench.desk()?;
        let file = desk.file("film", bytes)?;
        let key = group_key(&desk)?;
        let options = ["--group-key", key.as_str()];
        let wanted = with_options(&options);
        let mut attack = attacked
            .then(|| Attack::start(net.host(RECEIVERS + 1), net.host(0), Forger::default()))
            .transpose()?;
        let args = ["--wait-for", "4", "--tiers", "50M", options[0], options[1]];
        let done = transfer(&desk, &net, &file, &wanted, &args, within)?;
        let rate = attack.as_mut().map_or(0.0, Attack::stop);
        Ok((done.last().as_secs_f64(), rate))
    };
    let (undisturbed, _) = once(false)?;
    let (attacked, rate) = once(true)?;
    Ok(vec![
        Measure::new(
            "last copy, attacked / not",
            attacked / undisturbed,
            "",
            Limit::AtMost(1.3),
        ),
        forged(rate),
        Measure::new("last copy, not attacked", undisturbed, "s", Limit::Free),
    ])
}

/// Without one: nobody gets wrong bytes or dies, and all complete once it is over.
pub(crate) fn attacked_plain(bench: &Bench) -> Result<Vec<Measure>, String> {
    let bytes = bench.mib(32, 16);
    let net = Net::new(RECEIVERS + 2)?;
    let desk = bench.desk()?;
    let file = desk.file("film", bytes)?;
    let mut receivers = Vec::new();
    for i in 1..=RECEIVERS {
        let into = desk.inbox(i);
        let receiver = desk.loopcast.receive(net.host(i), &into, &[], GROUP)?;
        receiver.wait_until_up()?;
        receivers.push(receiver);
    }
    let mut attack = Attack::start(net.host(RECEIVERS + 1), net.host(0), Forger::default())?;
    let args = ["--to", GROUP, "--tiers", "50M", "--wait-for", "4"];
    let sender = desk
        .loopcast
        .send(net.host(0), &args, &[Path::new(&file)])?;
    pause(2 * time_at(bytes, 50))?;
    // Who is done is done, with the right bytes; nobody else has ended.
    let mut alive = 0;
    for (i, receiver) in (1..).zip(&receivers) {
        alive += usize::from(receiver.is_running() || desk.verify(i, &file).is_ok());
    }
    let rate = attack.stop();
    let over = Instant::now();
    for (i, receiver) in (1..).zip(&receivers) {
        let said = |e| format!("{e}the sender said:\n{}", sender.tail());
        receiver
            .succeed(over + Duration::from_secs(90))
            .map_err(said)?;
        desk.verify(i, &file)?;
    }
    let after = over.elapsed().as_secs_f64();
    sender.succeed(Instant::now() + Duration::from_secs(30))?;
    Ok(vec![
        Measure::new(
            "receivers alive, or done and right",
            alive as f64,
            "of 4",
            Limit::AtLeast(4.0),
        ),
        forged(rate),
        Measure::new("from its end to the last copy", after, "s", Limit::Free),
    ])
}

/// That the attack was one.
fn forged(rate: f64) -> Measure {
    let limit = Limit::AtLeast(9_000.0);
    Measure::new("the attacker's packets", rate, "/s", limit)
}
