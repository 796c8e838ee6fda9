//! Requests: how a receiver finds a sender, joins, and says that it is done.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::engine::receiver::{BELIEVED, MAX_OBJECTS, Receiver, Target};
use crate::engine::{Object, ObjectKey, ObjectState, PacketKind, ReceiverEvent, Via};
use crate::ids::{NO_CHANNEL, ShortCodingId};
use crate::nak::Timing;
use crate::range_set::RangeSet;
use crate::rate::first_report;
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{
    Done, MoveCause, Notice, NoticeCode, Outcome, ReceiverBody, Request, Stage, Wanted,
};

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
/// Codings in a request, dones in a packet.
const PER_PACKET: usize = 100;
/// Redirects that are followed.
const MAX_REDIRECTS: u8 = 4;

/// What was asked and said, and what was heard of it.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) target: Target,
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
    pub(super) settled: Vec<ShortCodingId>,
    done_attempts: u32,
    leaving: bool,
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
    fn unseen(&self) -> Option<u32> {
        let mut first = 0;
        while let Some(r) = self.seen.next_range_at(first)
            && r.start == first
        {
            first = r.end;
        }
        let all = self.total.is_some_and(|t| first >= u64::from(t));
        (!all).then_some(first as u32)
    }

    /// For [`Receiver::check_bounds`].
    pub(super) fn check_bounds(&self) -> Result<(), &'static str> {
        match () {
            () if self.joins.len() > 16 => Err("too many joins wait to be heard"),
            () if self.done_packets.len() > 16 => Err("too many dones wait to be heard"),
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

    /// The sender did not hear what has ended. What ends later is told all the same: the path may be better then.
    fn drop_dones(&mut self) {
        self.dones_heard += self.dones.len();
        self.settled.extend(self.dones.drain(..).map(|d| d.coding));
        self.done_attempts = 0;
        self.done_due = None;
    }

    /// How long the sender may take to hear of what has ended, after as many attempts; and how much longer at most.
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

/// The time over which packets of so many bytes from `receivers` receivers take `share` of the rate.
fn window(receivers: u32, bytes: u64, rate: Rate, share: f64) -> Duration {
    let all = bytes * u64::from(receivers.max(1));
    rate.mul_f64(share).time_for(all).min(MAX_WINDOW)
}

impl Receiver {
    pub(super) fn send_due_requests(&mut self, now: Time) {
        if self.joining.request_due.is_none_or(|at| at > now) {
            return;
        }
        if self.joining.leaving || self.silent {
            self.joining.request_due = None;
            return;
        }
        let everything = self.config.name.is_none();
        let unseen = self.joining.unseen();
        let active: Vec<_> = self.active().collect();
        let unplaced = !self.on_unicast() && active.iter().any(|(rx, _)| rx.channel.is_none());
        let nothing_known = self.session.is_none() || active.is_empty();
        let stage = if nothing_known || unplaced {
            Some(Stage::Ask)
        } else if self.joining.is_pending() {
            Some(if self.on_unicast() {
                Stage::JoinUnicast
            } else {
                Stage::JoinGroup
            })
        } else if everything && unseen.is_some() {
            Some(Stage::Ask)
        } else {
            None
        };
        let Some(stage) = stage else {
            self.joining.request_due = None;
            return;
        };
        // What is held from an earlier run must not be sent again.
        if stage != Stage::Ask && active.iter().any(|(_, o)| !o.is_opened()) {
            self.joining.request_due = None;
            self.joining.waits_for_disk = true;
            return;
        }
        let wanted = match &self.config.name {
            None => Wanted::All {
                from: unseen.or(self.joining.total).unwrap_or(0),
            },
            Some(name) if active.is_empty() => Wanted::Name(name.clone()),
            Some(_) => {
                let codings = active.iter().map(|(_, o)| o.coding());
                Wanted::Codings(codings.take(PER_PACKET).collect())
            }
        };
        let wanted = match wanted {
            // Offers that were seen without a channel are asked for by what they are.
            Wanted::All { .. } if unplaced && !nothing_known => {
                let codings = active
                    .iter()
                    .filter(|(rx, _)| rx.channel.is_none())
                    .take(PER_PACKET)
                    .map(|(_, o)| o.coding());
                Wanted::Codings(codings.collect())
            }
            wanted => wanted,
        };
        let holds = self.library.symbols_held() > 0;
        let channel = active
            .iter()
            .find_map(|(rx, _)| rx.channel)
            .map_or(NO_CHANNEL, |c| c.number);
        let body = ReceiverBody::Request(Request {
            wanted,
            stage,
            holds,
            downlink: self
                .seat
                .delivered
                .or(self.config.downlink)
                .unwrap_or(Rate::ZERO),
            cause: self.seat.cause,
            largest_heard: self.largest_heard,
        });
        let to = self.request_address();
        let counter = self.send(now, to, channel, body, PacketKind::Request) as u32;
        let joining = &mut self.joining;
        if stage != Stage::Ask {
            joining
                .joins
                .push_back((counter, joining.generation, holds));
            if joining.joins.len() > 16 {
                joining.joins.pop_front();
            }
        }
        let pause = RETRY * (1 << joining.attempts.min(5));
        let pause = pause.min(MAX_RETRY) + self.rng.duration(RETRY / 2);
        self.joining.attempts += 1;
        self.joining.request_due = Some(now + pause);
    }

    /// Where the next request goes: to the sender, or to its group when that does not answer.
    fn request_address(&self) -> SocketAddr {
        let by_group =
            |group: SocketAddr| SocketAddr::new(group.ip(), group.port().saturating_add(1));
        match (&self.session, self.joining.target) {
            (Some(_), Target::Group { group, .. }) if self.joining.attempts % 4 == 3 => {
                by_group(group)
            }
            (Some(session), _) => session.address,
            (None, Target::Group { group, .. }) => by_group(group),
            (None, Target::Host(host)) => host,
        }
    }

    /// The sender has heard our join.
    pub(super) fn joined(&mut self, now: Time, holds: bool) {
        let timing = self.timing();
        if self.report_due.is_none() {
            self.schedule_report(now);
            // So that those who are counted by their reports report evenly from the first on.
            if let Some(session) = self.session.as_ref().filter(|s| s.unlisted) {
                let wait = first_report(session.report_interval.0, &mut self.rng);
                self.report_due = Some(now + wait);
            }
        }
        if self.joining.unseen().is_none() || self.config.name.is_some() {
            self.joining.request_due = None;
        }
        if !holds {
            return;
        }
        if self.on_unicast() {
            match &mut self.unicast {
                Some(path) => path.ask_soon(now, timing.grtt),
                None => self.send_unicast_naks(now),
            }
        } else {
            for rx in &mut self.objects {
                if let Some(object) = self.library.get(rx.key).filter(|o| o.is_lacking()) {
                    rx.catch_up(now, object.holdings(), timing, &mut self.rng);
                }
            }
        }
    }

    /// Something has ended: the sender is told, spread over a window in case all end together.
    pub(super) fn announce_done(&mut self, now: Time, done: Done) {
        if self.silent {
            self.joining.settled.push(done.coding);
            self.leave_settled();
            return self.check_all_ended(now);
        }
        self.joining.dones.push(done);
        let timing = self.timing();
        if self.joining.done_due.is_none() {
            let window = window(timing.receivers, 120, self.session_rate(), DONE_SHARE);
            self.joining.done_due = Some(now + self.rng.duration(window));
        }
        self.check_all_ended(now);
    }

    /// If all that is wanted has ended, the receiver leaves.
    pub(super) fn check_all_ended(&mut self, now: Time) {
        let live = |(_, o): &(ObjectKey, &Object)| !o.is_withdrawn();
        let any = self.library.iter().any(|o| live(&o));
        let known = any && (self.config.name.is_some() || self.joining.unseen().is_none());
        let ended = known && self.active().next().is_none();
        if ended && !self.joining.leaving {
            self.leave(now);
        }
    }

    pub(super) fn leave(&mut self, now: Time) {
        if self.joining.leaving || self.ended {
            return;
        }
        self.joining.leaving = true;
        self.joining.request_due = None;
        self.report_due = None;
        let outcomes = self.library.iter().filter_map(|(_, o)| match o.state() {
            ObjectState::Ended(outcome) => Some(outcome),
            _ => None,
        });
        let worst = |a: Outcome, b: Outcome| if a == Outcome::Complete { b } else { a };
        let outcome = outcomes.reduce(worst).unwrap_or(Outcome::Left);
        let unasked = self.silent || self.session.is_none() || self.joining.joins.is_empty();
        if unasked {
            // Nobody expects to hear of us.
            return self.left();
        }
        let all = Done {
            coding: crate::ids::ShortCodingId(0),
            outcome,
        };
        self.joining.dones.push(all);
        self.joining.done_due.get_or_insert(now);
    }

    pub(super) fn send_due_dones(&mut self, now: Time) {
        if self.joining.done_due.is_none_or(|at| at > now) {
            return;
        }
        let Some(to) = self.session.as_ref().map(|s| s.address) else {
            self.joining.done_due = None;
            return self.check_left();
        };
        if self.joining.done_attempts >= DONE_ATTEMPTS {
            self.joining.drop_dones();
            self.leave_settled();
            return self.check_left();
        }
        let batch: Vec<Done> = self
            .joining
            .dones
            .iter()
            .copied()
            .take(PER_PACKET)
            .collect();
        let upto = self.joining.dones_heard + batch.len();
        let channel = self
            .objects
            .iter()
            .find_map(|rx| rx.channel)
            .map_or(NO_CHANNEL, |c| c.number);
        let channel = if self.on_unicast() {
            NO_CHANNEL
        } else {
            channel
        };
        let counter = self.send(
            now,
            to,
            channel,
            ReceiverBody::Done(batch),
            PacketKind::Done,
        ) as u32;
        let grtt = self.timing().grtt;
        let joining = &mut self.joining;
        joining.done_packets.push_back((counter, upto));
        if joining.done_packets.len() > 16 {
            joining.done_packets.pop_front();
        }
        let (pause, more) = joining.done_pause(grtt);
        joining.done_attempts += 1;
        joining.done_due = Some(now + pause + self.rng.duration(more));
    }

    pub(super) fn check_left(&mut self) {
        if self.joining.leaving && self.joining.dones.is_empty() {
            self.left();
        }
    }

    pub(super) fn left(&mut self) {
        if !self.ended {
            self.ended = true;
            self.events.push_back(match self.evicted.take() {
                Some((reason, cause)) => ReceiverEvent::GaveUp {
                    reason,
                    evicted: Some(cause),
                },
                None => ReceiverEvent::Finished,
            });
        }
    }

    /// The sender has ended its session.
    pub(super) fn sender_ended(&mut self, text: String) {
        if self.joining.leaving {
            self.joining.dones.clear();
            return self.check_left();
        }
        // What is here in full may still be on its way through the hash to the disk.
        if !self.library.is_empty() && self.library.needs_nothing() {
            // What is being synced will be finished; nobody is left to be told.
            self.session = None;
            return;
        }
        self.events.push_back(ReceiverEvent::Notice {
            code: NoticeCode::Ended,
            cause: MoveCause::None,
            text,
        });
        self.give_up("the sender has ended its session before everything was here".to_owned());
    }

    /// The sender does not hold it, and named others.
    pub(super) fn redirect(&mut self, now: Time, notice: &Notice) {
        let here = self.session.as_ref().map(|s| s.address);
        let next = notice.addresses.iter().copied().find(|&a| Some(a) != here);
        let Some(address) = next.filter(|_| self.redirects < MAX_REDIRECTS) else {
            return self.give_up(format!("{}; and nowhere else to ask", notice.text));
        };
        self.redirects += 1;
        self.events.push_back(ReceiverEvent::Redirected { address });
        self.session = None;
        self.joining.target = Target::Host(address);
        self.joining.restart(now, &mut self.rng);
        if self.config.via != Some(Via::Unicast) {
            self.groups
                .drain(..)
                .for_each(|c| self.commands.push_back(crate::engine::Command::Leave(c)));
        }
    }
}
