//! What a receiver has asked for and said that it is done with, and what of that was heard.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::engine::following::config::Target;
use crate::engine::following::limits::{BELIEVED, MAX_OBJECTS};
use crate::ids::ShortCodingId;
use crate::nak::Timing;
use crate::range_set::RangeSet;
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::Done;

/// How long a receiver listens to a group before it asks there; a sender that has just started
/// announces itself at once.
const LISTEN: Duration = Duration::from_millis(200);
/// The first pause between requests; it doubles up to the longest.
const RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(2);
/// The share of the rate that requests, and dones, of all receivers together may take.
const REQUEST_SHARE: f64 = 0.2;
const DONE_SHARE: f64 = 0.05;
/// The longest window that joins and dones are spread over.
const MAX_WINDOW: Duration = Duration::from_secs(5);
/// Dones that were not heard are repeated so often.
const DONE_ATTEMPTS: u32 = 8;
/// Dones in a packet.
const PER_PACKET: usize = 100;
/// Joins, and packets of dones, that may still be heard.
const MAX_UNHEARD: usize = 16;
/// Redirects that are followed.
const MAX_REDIRECTS: u8 = 4;

/// What was asked and said, and what was heard of it.
#[derive(Debug)]
pub(super) struct Joining {
    target: Target,
    request_due: Option<Time>,
    /// A request waits for the disk to say what is held from an earlier run.
    waits_for_disk: bool,
    attempts: u32,
    /// Each change of what is to be joined, or how, is a generation.
    generation: u32,
    heard_generation: u32,
    /// Join packets sent: counter, generation, and whether it said that something is held.
    joins: VecDeque<(u32, u32, bool)>,
    /// Offers that the session has, as the latest offer told; when that was sent, and heard.
    total: Option<u32>,
    told: Option<(u64, Time)>,
    seen: RangeSet,
    dones: Vec<Done>,
    /// Dones that were heard, and so are no longer in the list.
    dones_heard: usize,
    done_packets: VecDeque<(u32, usize)>,
    done_due: Option<Time>,
    /// Of what has ended, what the sender has heard of since, or was told of for long enough.
    settled: Vec<ShortCodingId>,
    done_attempts: u32,
    leaving: bool,
    /// Times that it was sent on to another sender.
    redirects: u8,
}

impl Joining {
    pub(super) fn new(now: Time, target: Target, rng: &mut Rng) -> Joining {
        let mut joining = Joining {
            target,
            request_due: None,
            waits_for_disk: false,
            attempts: 0,
            generation: 0,
            heard_generation: 0,
            joins: VecDeque::new(),
            total: None,
            told: None,
            seen: RangeSet::new(),
            dones: Vec::new(),
            dones_heard: 0,
            done_packets: VecDeque::new(),
            done_due: None,
            settled: Vec::new(),
            done_attempts: 0,
            leaving: false,
            redirects: 0,
        };
        joining.find(now, rng);
        joining
    }

    fn find(&mut self, now: Time, rng: &mut Rng) {
        self.attempts = 0;
        self.request_due = Some(match self.target {
            Target::Group { .. } => now + LISTEN + rng.duration(LISTEN / 2),
            Target::Host(_) => now,
        });
    }

    /// The sender is gone: another, or the same with another session, is looked for.
    pub(super) fn restart(&mut self, now: Time, rng: &mut Rng) {
        self.generation += 1;
        self.heard_generation = 0;
        self.joins.clear();
        self.total = None;
        self.told = None;
        self.seen.clear();
        self.find(now, rng);
    }

    /// What was offered may have changed.
    pub(super) fn look_again(&mut self, now: Time) {
        self.total = None;
        self.seen.clear();
        self.attempts = 0;
        self.request_due = Some(now + RETRY);
    }

    /// The sender must be told (again) what is wanted and by which path.
    pub(super) fn must_join(&mut self, now: Time) {
        self.generation += 1;
        self.attempts = 0;
        self.request_due = Some(now);
    }

    /// An object that is wanted was offered.
    pub(super) fn found_object(&mut self, now: Time, timing: Timing, rate: Rate, rng: &mut Rng) {
        self.generation += 1;
        self.ask_on(now, timing, rate, rng);
    }

    /// An answer brought something, and there may be more to ask for. Many hear of it at once, so
    /// requests are spread.
    pub(super) fn ask_on(&mut self, now: Time, timing: Timing, rate: Rate, rng: &mut Rng) {
        self.attempts = 0;
        let window = window(timing.receivers, 1_228, rate, REQUEST_SHARE);
        let due = now + rng.duration(window);
        self.request_due = Some(due);
    }

    /// A sender is at work that is not known yet: it is asked without listening any longer.
    pub(super) fn heard_someone(&mut self, now: Time, rng: &mut Rng) {
        if self.attempts == 0
            && let Some(due) = &mut self.request_due
        {
            *due = (*due).min(now + rng.duration(LISTEN / 20));
        }
    }

    /// One more object has its place on disk.
    pub(super) fn disk_has_answered(&mut self, now: Time) {
        if core::mem::take(&mut self.waits_for_disk) {
            self.request_due = Some(now);
        }
    }

    pub(super) fn got_cookie(&mut self, now: Time) {
        if self.request_due.is_some() {
            // It has heard us: what comes next is lost at worst.
            self.attempts = 0;
            self.request_due = Some(now);
        }
        if self.done_due.is_some() {
            self.done_due = Some(now);
        }
    }

    pub(super) fn saw_offer(&mut self, now: Time, sent_at: u64, index: u32, total: u32) {
        let is_later = |(told, at)| sent_at >= told || now.since(at) >= BELIEVED;
        if self.told.is_none_or(is_later) {
            self.told = Some((sent_at, now));
            self.total = Some(total);
        }
        // No sender makes more offers, and what was seen must not grow for ever.
        if (index as usize) < MAX_OBJECTS {
            self.seen.insert(u64::from(index)..u64::from(index) + 1);
        }
    }

    /// A packet of ours was heard. If it was a join that still stands, tells whether it said that
    /// something is held.
    pub(super) fn was_heard(&mut self, counter: u32) -> Option<bool> {
        if let Some(&(_, upto)) = self.done_packets.iter().find(|&&(c, _)| c == counter) {
            let new = upto.saturating_sub(self.dones_heard).min(self.dones.len());
            self.settled
                .extend(self.dones.drain(..new).map(|d| d.coding));
            self.dones_heard += new;
            self.done_attempts = 0;
            if self.dones.is_empty() {
                self.done_due = None;
            }
        }
        let &(_, generation, holds) = self.joins.iter().find(|&&(c, _, _)| c == counter)?;
        let news = generation > self.heard_generation;
        self.heard_generation = self.heard_generation.max(generation);
        (news && generation == self.generation).then_some(holds)
    }

    /// The first offer that was not seen; none when all were.
    pub(super) fn unseen(&self) -> Option<u32> {
        let mut first = 0;
        while let Some(r) = self.seen.next_range_at(first)
            && r.start == first
        {
            first = r.end;
        }
        let all = self.total.is_some_and(|t| first >= u64::from(t));
        (!all).then_some(first as u32)
    }

    /// Every list has its cap.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn check_bounds(&self) -> Result<(), &'static str> {
        match () {
            () if self.joins.len() > MAX_UNHEARD => Err("too many joins wait to be heard"),
            () if self.done_packets.len() > MAX_UNHEARD => Err("too many dones wait to be heard"),
            () if self.dones.len() > MAX_OBJECTS + 1 => Err("too many dones wait"),
            () if self.seen.range_count() > MAX_OBJECTS => Err("too many offers were seen"),
            () => Ok(()),
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.heard_generation < self.generation
    }

    /// No join has been heard yet.
    pub(super) fn is_unknown(&self) -> bool {
        self.heard_generation == 0 && self.is_pending()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Where the sender is looked for.
    pub(super) fn target(&self) -> Target {
        self.target
    }

    /// Where a request goes: to the sender that answers from `sender`, or to its group when that
    /// does not answer.
    pub(super) fn address(&self, sender: Option<SocketAddr>) -> SocketAddr {
        let by_group =
            |group: SocketAddr| SocketAddr::new(group.ip(), group.port().saturating_add(1));
        match (sender, self.target) {
            (Some(_), Target::Group { group, .. }) if self.attempts % 4 == 3 => by_group(group),
            (Some(sender), _) => sender,
            (None, Target::Group { group, .. }) => by_group(group),
            (None, Target::Host(host)) => host,
        }
    }

    /// Nothing is to be asked for, for now.
    pub(super) fn ask_nothing(&mut self) {
        self.request_due = None;
    }

    /// What is held from an earlier run is not known yet, and must not be sent again.
    pub(super) fn wait_for_disk(&mut self) {
        self.request_due = None;
        self.waits_for_disk = true;
    }

    /// Number of offers that the session has, as far as it was told.
    pub(super) fn total(&self) -> Option<u32> {
        self.total
    }

    /// A join left, in the packet of this number; `holds` as it said.
    pub(super) fn join_sent(&mut self, counter: u32, holds: bool) {
        self.joins.push_back((counter, self.generation, holds));
        if self.joins.len() > MAX_UNHEARD {
            self.joins.pop_front();
        }
    }

    /// No join of this session has left.
    pub(super) fn is_unasked(&self) -> bool {
        self.joins.is_empty()
    }

    /// A request left; it is repeated if it brings nothing.
    pub(super) fn request_sent(&mut self, now: Time, rng: &mut Rng) {
        let pause = RETRY * (1 << self.attempts.min(5));
        let pause = pause.min(MAX_RETRY) + rng.duration(RETRY / 2);
        self.attempts += 1;
        self.request_due = Some(now + pause);
    }

    /// Something has ended: the sender is to be told, at a time in a window in case all end
    /// together.
    pub(super) fn add_done(
        &mut self,
        now: Time,
        done: Done,
        timing: Timing,
        rate: Rate,
        rng: &mut Rng,
    ) {
        self.dones.push(done);
        if self.done_due.is_none() {
            let window = window(timing.receivers, 120, rate, DONE_SHARE);
            self.done_due = Some(now + rng.duration(window));
        }
    }

    /// Something has ended, and nobody can be told.
    pub(super) fn settle(&mut self, coding: ShortCodingId) {
        self.settled.push(coding);
    }

    /// What has settled since this was last asked.
    pub(super) fn take_settled(&mut self) -> Vec<ShortCodingId> {
        core::mem::take(&mut self.settled)
    }

    /// The receiver leaves: nothing more is asked for.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.request_due = None;
    }

    /// The sender is told as the last thing that all has ended.
    pub(super) fn say_goodbye(&mut self, now: Time, all: Done) {
        self.dones.push(all);
        self.done_due.get_or_insert(now);
    }

    /// The dones that are to be told next.
    pub(super) fn next_dones(&self) -> Vec<Done> {
        self.dones.iter().copied().take(PER_PACKET).collect()
    }

    /// The first `count` dones left, in the packet of this number; they are repeated if they are
    /// not heard.
    pub(super) fn dones_sent(
        &mut self,
        now: Time,
        counter: u32,
        count: usize,
        grtt: Duration,
        rng: &mut Rng,
    ) {
        let upto = self.dones_heard + count;
        self.done_packets.push_back((counter, upto));
        if self.done_packets.len() > MAX_UNHEARD {
            self.done_packets.pop_front();
        }
        let (pause, more) = self.done_pause(grtt);
        self.done_attempts += 1;
        self.done_due = Some(now + pause + rng.duration(more));
    }

    /// Dones have been told often enough, and nobody has heard them.
    pub(super) fn dones_are_lost(&self) -> bool {
        self.done_attempts >= DONE_ATTEMPTS
    }

    /// Nobody is there who could be told of what has ended.
    pub(super) fn forget_dones(&mut self) {
        self.dones.clear();
    }

    /// Nobody is asked for now: what has ended waits.
    pub(super) fn hold_dones(&mut self) {
        self.done_due = None;
    }

    /// The receiver leaves, and all has been told.
    pub(super) fn has_left(&self) -> bool {
        self.leaving && self.dones.is_empty()
    }

    /// It is sent on to another sender; false if that has happened too often.
    pub(super) fn redirect(&mut self, now: Time, host: SocketAddr, rng: &mut Rng) -> bool {
        if self.redirects >= MAX_REDIRECTS {
            return false;
        }
        self.redirects += 1;
        self.target = Target::Host(host);
        self.restart(now, rng);
        true
    }

    /// The sender did not hear what has ended. What ends later is told all the same: the path may
    /// be better then.
    pub(super) fn drop_dones(&mut self) {
        self.dones_heard += self.dones.len();
        self.settled.extend(self.dones.drain(..).map(|d| d.coding));
        self.done_attempts = 0;
        self.done_due = None;
    }

    /// How long the sender may take to hear of what has ended, after as many attempts; and how much
    /// longer at most.
    fn done_pause(&self, grtt: Duration) -> (Duration, Duration) {
        let answer = grtt * 4 + Duration::from_millis(50);
        (answer * (1 << self.done_attempts.min(3)), answer)
    }

    /// Round trips are shorter than was said before.
    pub(super) fn hasten(&mut self, now: Time, grtt: Duration, rng: &mut Rng) {
        let (pause, more) = self.done_pause(grtt);
        let again = self.done_attempts > 0;
        if again && self.done_due.is_some_and(|at| at > now + pause + more) {
            self.done_due = Some(now + pause + rng.duration(more));
        }
    }

    pub(super) fn request_due(&self) -> Option<Time> {
        self.request_due
    }

    pub(super) fn done_due(&self) -> Option<Time> {
        self.done_due
    }
}

/// Time over which packets of so many bytes from `receivers` receivers take `share` of the rate.
fn window(receivers: u32, bytes: u64, rate: Rate, share: f64) -> Duration {
    let all = bytes * u64::from(receivers.max(1));
    rate.mul_f64(share).time_for(all).min(MAX_WINDOW)
}
