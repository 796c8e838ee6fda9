//! Cases of several objects: their time over that of one object of their bytes, or of the wire.

use super::scheduled::{CUT, Plan, Went, ratio, run, told};
use super::{RANGE_BASE, Wanted, since};
use crate::bench::Bench;
use loopcast_lab::desk::Desk;
use loopcast_lab::measure::Measure;
use loopcast_lab::network::{Net, Traffic};
use loopcast_lab::schedule::{Schedule, wire_floor};
use loopcast_lab::wait::pause;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Limit of a transfer that others are compared with.
const REFERENCE: Duration = Duration::from_secs(30);

/// `count` files that are `bytes` together.
fn files(desk: &Desk, count: u64, bytes: u64) -> Result<Vec<PathBuf>, String> {
    let part = |i: u64| bytes * (i + 1) / count - bytes * i / count;
    (0..count)
        .map(|i| desk.file(&format!("object-{i:03}"), part(i)))
        .collect()
}

/// Sends `bytes` in `count` files; the sender chooses the groups.
fn send(
    bench: &Bench,
    net: &Net,
    (count, bytes): (u64, u64),
    wanted: &[Wanted],
    args: &[&str],
    limit: Duration,
) -> Result<Went, String> {
    let desk = bench.desk()?;
    let files = files(&desk, count, bytes)?;
    let plan = Plan {
        files: &files,
        wanted,
        args,
        schedule: Schedule::default(),
        limit,
    };
    run(&desk, net, &plan)
}

/// Receivers on hosts 1 to `count` that name the default groups.
fn receivers(count: usize) -> Vec<Wanted<'static>> {
    let on = |host| Wanted {
        host,
        url: RANGE_BASE,
        args: &[],
    };
    (1..=count).map(on).collect()
}

/// Ten files on one machine, over its loopback interface.
pub(crate) fn many_objects(bench: &Bench) -> Result<Vec<Measure>, String> {
    const FILES: u64 = 10;
    const RUNS: usize = 3;
    const MOST: f64 = 1.3;
    let args = ["--interface", "lo"];
    let net = Net::new(1)?;
    let wanted = [Wanted {
        host: 0,
        url: RANGE_BASE,
        args: &args,
    }];
    let bytes = FILES * bench.mb(60, 16);
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let whole = send(bench, &net, (1, bytes), &wanted, &args, REFERENCE)?;
        one.push(whole.whole("one file")?.last());
        let limit = one[one.len() - 1].mul_f64(MOST);
        many.push(send(bench, &net, (FILES, bytes), &wanted, &args, limit)?.last());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[RUNS / 2]
    };
    let (one, many) = (median(&mut one), median(&mut many));
    Ok(vec![
        ratio("time of ten files / of one", many, one, MOST),
        told("ten files", many),
        told("one file of their bytes", one),
    ])
}

/// Ten files to three receivers: as fast as it goes, and at a rate near to what two cores can do.
pub(crate) fn many_objects_net(bench: &Bench) -> Result<Vec<Measure>, String> {
    const FILES: u64 = 10;
    const RECEIVERS: usize = 3;
    const MOST: f64 = 1.3;
    let net = Net::new(1 + RECEIVERS)?;
    let wanted = receivers(RECEIVERS);
    let bytes = FILES * bench.mb(60, 16);
    let losses: &[u32] = if bench.quick { &[20] } else { &[0, 20] };
    let mut measures = Vec::new();
    for &loss in losses {
        for i in 1..=RECEIVERS {
            net.set_loss(i, Traffic::Udp, loss)?;
        }
        for rate in ["auto", "800M"] {
            let what = format!("{} % lost, --rate {rate}", loss / 10);
            let args = ["--wait-for", "3", "--rate", rate];
            let one = send(bench, &net, (1, bytes), &wanted, &args, REFERENCE)?;
            let one = one.whole(&format!("{what}, one file"))?.last();
            let limit = one.mul_f64(MOST);
            let many = send(bench, &net, (FILES, bytes), &wanted, &args, limit)?.last();
            measures.push(ratio(format!("{what}: ten files / one"), many, one, MOST));
            measures.push(told(format!("{what}: one file"), one));
        }
    }
    Ok(measures)
}

/// Thirty files of 1.6 MB to one receiver.
pub(crate) fn thirty_files(bench: &Bench) -> Result<Vec<Measure>, String> {
    const BYTES: u64 = 47_000_000;
    const MOST: f64 = 1.15;
    let net = Net::new(2)?;
    let losses: &[u32] = if bench.quick { &[20] } else { &[0, 20] };
    let mut measures = Vec::new();
    for &loss in losses {
        net.set_loss(1, Traffic::Udp, loss)?;
        let floor = wire_floor(BYTES, 100).div_f64(1.0 - f64::from(loss) / 1e3);
        let (wanted, args) = (receivers(1), ["--rate", "100M"]);
        let limit = floor.mul_f64(MOST);
        let took = send(bench, &net, (30, BYTES), &wanted, &args, limit)?.last();
        let what = format!("{} % lost: time / the wire's floor", loss / 10);
        measures.push(ratio(what, took, floor, MOST));
    }
    Ok(measures)
}

/// A hundred files of 1 MB to two receivers.
pub(crate) fn hundred_objects(bench: &Bench) -> Result<Vec<Measure>, String> {
    const BYTES: u64 = 100_000_000;
    const MOST: f64 = 1.3;
    let net = Net::new(3)?;
    let floor = wire_floor(BYTES, 100);
    let args = ["--rate", "100M", "--wait-for", "2"];
    let limit = floor.mul_f64(MOST);
    let took = send(bench, &net, (100, BYTES), &receivers(2), &args, limit)?.last();
    Ok(vec![
        ratio("time / the wire's floor", took, floor, MOST),
        told("start to last copy", took),
    ])
}

/// A film on its way while a receiver comes every half second for one of twelve small files, and
/// leaves when it has it: objects begin and end all the time.
///
/// All are on offer from the start, since the program offers no more later.
pub(crate) fn objects_come_and_go(bench: &Bench) -> Result<Vec<Measure>, String> {
    const FILM: u64 = 60_000_000;
    const SMALL: u64 = 4_000_000;
    const COUNT: u64 = 12;
    const EVERY: Duration = Duration::from_millis(500);
    const MOST: f64 = 1.3;
    let net = Net::new(3)?;
    let desk = bench.desk()?;
    let film = desk.file("film", FILM)?;
    let small = files(&desk, COUNT, COUNT * SMALL)?;
    let floor = wire_floor(FILM + COUNT * SMALL, 100);
    let cut = floor.mul_f64(MOST) * CUT;
    let receive = |host: usize, name: &str| {
        let url = format!("{RANGE_BASE}/{name}");
        desk.loopcast
            .receive(net.host(host), &desk.inbox(host), &[], &url)
    };

    let mut receivers = vec![receive(1, "film")?];
    receivers[0].wait_until_up()?;
    let all: Vec<&Path> = [&film]
        .into_iter()
        .chain(&small)
        .map(PathBuf::as_path)
        .collect();
    let args = ["--rate", "100M", "--stay"];
    let sender = desk.loopcast.send(net.host(0), &args, &all)?;
    let deadline = sender.started() + cut;
    for number in 0..small.len() {
        pause(EVERY)?;
        receivers.push(receive(2, &format!("object-{number:03}"))?);
    }
    let mut took = Duration::ZERO;
    for receiver in &receivers {
        took = match receiver.succeed(deadline) {
            Ok(()) => took.max(since(sender.started(), receiver.completed_at())?),
            Err(e) => {
                eprintln!("{e}the sender said:\n{}", sender.tail());
                cut
            }
        };
    }
    if took < cut {
        desk.verify(1, &film)?;
        small.iter().try_for_each(|path| desk.verify(2, path))?;
    }
    Ok(vec![
        ratio("time / the wire's floor", took, floor, MOST),
        told("start to last copy", took),
    ])
}
