//! How a receiver looks for its sender and joins: what was asked, and what of that was heard.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::engine::following::config::Target;
use crate::engine::following::dones::Dones;
use crate::engine::following::seen_offers::SeenOffers;
use crate::engine::following::spread::window;
use crate::nak::Timing;
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;

/// How long a receiver listens to a group before it asks there; a sender that has just started
/// announces itself at once.
const LISTEN: Duration = Duration::from_millis(200);
/// The first pause between requests; it doubles up to the longest.
const RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(2);
/// The share of the rate that requests of all receivers together may take.
const REQUEST_SHARE: f64 = 0.2;
/// Joins that may still be heard.
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
    offers: SeenOffers,
    dones: Dones,
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
            offers: SeenOffers::default(),
            dones: Dones::default(),
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
        self.offers = SeenOffers::default();
        self.find(now, rng);
    }

    /// What was offered may have changed.
    pub(super) fn look_again(&mut self, now: Time) {
        self.offers.look_again();
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
        self.dones.tell_now(now);
    }

    /// A packet of ours was heard. If it was a join that still stands, tells whether it said that
    /// something is held.
    pub(super) fn was_heard(&mut self, counter: u32) -> Option<bool> {
        self.dones.was_heard(counter);
        let &(_, generation, holds) = self.joins.iter().find(|&&(c, _, _)| c == counter)?;
        let news = generation > self.heard_generation;
        self.heard_generation = self.heard_generation.max(generation);
        (news && generation == self.generation).then_some(holds)
    }

    /// Every list has its cap.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn check_bounds(&self) -> Result<(), &'static str> {
        match () {
            () if self.joins.len() > MAX_UNHEARD => Err("too many joins wait to be heard"),
            () if !self.offers.is_bounded() => Err("too many offers were seen"),
            () => self.dones.check_bounds(),
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

    /// The offers of the session that were seen.
    pub(super) fn offers(&self) -> &SeenOffers {
        &self.offers
    }

    /// The same, to note one.
    pub(super) fn offers_mut(&mut self) -> &mut SeenOffers {
        &mut self.offers
    }

    /// What has ended and is to be told.
    pub(super) fn dones(&self) -> &Dones {
        &self.dones
    }

    /// The same, to change it.
    pub(super) fn dones_mut(&mut self) -> &mut Dones {
        &mut self.dones
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

    /// The receiver leaves: nothing more is asked for.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.request_due = None;
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

    pub(super) fn request_due(&self) -> Option<Time> {
        self.request_due
    }
}
