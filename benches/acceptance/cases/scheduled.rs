//! Transfers during which the network changes, or which may take far too long: what is late is cut
//! short, and counts as a time beyond its limit instead of ending the case.

use super::Wanted;
use loopcast_lab::desk::Desk;
use loopcast_lab::measure::{Limit, Measure};
use loopcast_lab::network::Net;
use loopcast_lab::program::Program;
use loopcast_lab::schedule::{Course, Schedule, Step};
use loopcast_lab::wait::poll_until;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A run that has taken this many times its limit is ended.
pub(super) const CUT: u32 = 3;
/// Time for a sender to end after its last receiver.
const FAREWELL: Duration = Duration::from_secs(10);
/// A step done later than this makes it another schedule: `ip netns exec` has been seen to take two
/// seconds while the kernel was taking an older network apart.
const PUNCTUAL: Duration = Duration::from_secs(1);
/// Times that a transfer is tried until its steps are done in time.
const TRIES: usize = 3;

/// One transfer from host 0.
pub(super) struct Plan<'a> {
    pub(super) files: &'a [PathBuf],
    pub(super) wanted: &'a [Wanted<'a>],
    /// Options of the sender.
    pub(super) args: &'a [&'a str],
    pub(super) schedule: Schedule,
    /// The time that it has to keep, from the sender's start to the last copy.
    pub(super) limit: Duration,
}

/// What became of it.
pub(super) struct Went {
    /// From the sender's start to each receiver's last copy; what has failed or was cut counts as
    /// [`CUT`] times the limit.
    pub(super) completed: Vec<Duration>,
    /// Whether all have everything and every program ended with 0.
    pub(super) is_whole: bool,
    /// Bytes that left the sender's device, Ethernet headers included.
    pub(super) sent: u64,
    /// The same up to each [`Step::Count`] that was reached.
    pub(super) counts: Vec<u64>,
    /// How late the latest step was done.
    behind: Duration,
    pub(super) sender: Program,
}

impl Went {
    pub(super) fn last(&self) -> Duration {
        self.completed.iter().copied().max().unwrap_or_default()
    }

    /// This transfer, or an error where the case means nothing without its success.
    pub(super) fn whole(self, what: &str) -> Result<Went, String> {
        if self.is_whole {
            Ok(self)
        } else {
            Err(format!("{what}: not all have everything"))
        }
    }
}

/// Receivers first, then the sender, then the schedule until all have ended or the time is up.
///
/// Copies of whoever ended with 0 are compared with the files: a difference is an error. The
/// network's losses are as before the schedule when this returns. Tried anew where the machine did
/// a step too late.
pub(super) fn run(desk: &Desk, net: &Net, plan: &Plan) -> Result<Went, String> {
    for _ in 0..TRIES {
        let went = carry_out(desk, net, plan);
        for (_, step) in plan.schedule.steps() {
            if let Step::Lose(host, traffic, per_mille) = step
                && per_mille > 0
            {
                net.set_loss(host, traffic, 0)?;
            }
        }
        let went = went?;
        if went.behind <= PUNCTUAL {
            return Ok(went);
        }
        let late = went.behind.as_secs_f64();
        eprintln!("a step of the schedule was done {late:.2} s late: once more");
        for wanted in plan.wanted {
            desk.empty(wanted.host)?;
        }
    }
    Err(format!(
        "steps of the schedule were done late {TRIES} times: is the machine busy?"
    ))
}

fn carry_out(desk: &Desk, net: &Net, plan: &Plan) -> Result<Went, String> {
    let cut = plan.limit * CUT;
    let receivers = super::start_receivers(desk, net, plan.wanted)?;
    let before = net.host(0).sent_bytes()?;
    let files: Vec<&Path> = plan.files.iter().map(PathBuf::as_path).collect();
    let mut course = Course::new(net, &plan.schedule);
    let sender = desk.loopcast.send(net.host(0), plan.args, &files)?;

    let deadline = sender.started() + cut;
    let mut failed = Ok(());
    poll_until(deadline, || {
        let followed = course.follow(&sender);
        let ended = receivers.iter().all(|r| !r.is_running()) || followed.is_err();
        failed = followed;
        ended
    })?;
    failed?;
    let (counts, behind) = (std::mem::take(&mut course.counts), course.behind);
    // A busy machine or a stopped sender would not end.
    course.finish(&sender)?;

    let mut is_whole = true;
    let mut completed = Vec::new();
    for (receiver, w) in receivers.iter().zip(plan.wanted) {
        let ended = receiver.succeed(Instant::now());
        let at = receiver.completed_at().filter(|_| ended.is_ok());
        completed.push(at.map_or(cut, |at| at.saturating_duration_since(sender.started())));
        match ended {
            Ok(()) => {
                for file in plan.files {
                    desk.verify(w.host, file)?;
                }
            }
            Err(e) => {
                eprintln!("{e}");
                is_whole = false;
            }
        }
        desk.keep(&format!("receiver-{}", w.host), receiver)?;
    }
    // Who was cut short would keep it.
    drop(receivers);
    if is_whole && let Err(e) = sender.succeed(Instant::now() + FAREWELL) {
        is_whole = false;
        eprintln!("{e}");
        completed.fill(cut);
    } else if !is_whole {
        eprintln!("the sender said:\n{}", sender.tail());
    }
    desk.keep("sender", &sender)?;
    Ok(Went {
        completed,
        is_whole,
        sent: net.host(0).sent_bytes()? - before,
        counts: counts.into_iter().map(|count| count - before).collect(),
        behind,
        sender,
    })
}

/// A time beside its limit.
pub(super) fn within(what: impl Into<String>, took: Duration, limit: Duration) -> Measure {
    let limit = Limit::AtMost(limit.as_secs_f64());
    Measure::new(what, took.as_secs_f64(), "s", limit).timed()
}

/// A time over another, beside its limit.
pub(super) fn ratio(what: impl Into<String>, took: Duration, to: Duration, most: f64) -> Measure {
    let ratio = took.as_secs_f64() / to.as_secs_f64();
    Measure::new(what, ratio, "", Limit::AtMost(most)).timed()
}

/// A time for information.
pub(super) fn told(what: impl Into<String>, took: Duration) -> Measure {
    Measure::new(what, took.as_secs_f64(), "s", Limit::Free)
}
