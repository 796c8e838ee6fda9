//! What has ended and is to be told to the sender, until it has heard of it.

use core::time::Duration;
use std::collections::VecDeque;

use crate::engine::following::limits::MAX_OBJECTS;
use crate::engine::following::spread::window;
use crate::ids::ShortCodingId;
use crate::nak::Timing;
use crate::rng::Rng;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::Done;

/// The share of the rate that dones of all receivers together may take.
const DONE_SHARE: f64 = 0.05;
/// Dones that were not heard are repeated so often.
const DONE_ATTEMPTS: u32 = 8;
/// Dones in a packet.
const PER_PACKET: usize = 100;
/// Packets of dones that may still be heard.
const MAX_UNHEARD: usize = 16;

/// Dones that wait to be heard.
#[derive(Debug, Default)]
pub(super) struct Dones {
    waiting: Vec<Done>,
    /// Dones that were heard, and so wait no longer.
    heard: usize,
    /// Packets sent: counter, and up to which done, counted from the first ever, they tell.
    packets: VecDeque<(u32, usize)>,
    due: Option<Time>,
    attempts: u32,
    /// Of what has ended, what the sender has heard of since, or was told of for long enough.
    settled: Vec<ShortCodingId>,
}

impl Dones {
    /// Something has ended: the sender is to be told, at a time in a window in case all end
    /// together.
    pub(super) fn add(&mut self, now: Time, done: Done, timing: Timing, rate: Rate, rng: &mut Rng) {
        self.waiting.push(done);
        if self.due.is_none() {
            let window = window(timing.receivers, 120, rate, DONE_SHARE);
            self.due = Some(now + rng.duration(window));
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

    /// The sender is told as the last thing that all has ended.
    pub(super) fn say_goodbye(&mut self, now: Time, all: Done) {
        self.waiting.push(all);
        self.due.get_or_insert(now);
    }

    /// The dones that are to be told next.
    pub(super) fn next(&self) -> Vec<Done> {
        self.waiting.iter().copied().take(PER_PACKET).collect()
    }

    /// The first `count` dones left, in the packet of this number; they are repeated if they are
    /// not heard.
    pub(super) fn sent(
        &mut self,
        now: Time,
        counter: u32,
        count: usize,
        grtt: Duration,
        rng: &mut Rng,
    ) {
        let upto = self.heard + count;
        self.packets.push_back((counter, upto));
        if self.packets.len() > MAX_UNHEARD {
            self.packets.pop_front();
        }
        let (pause, more) = self.pause(grtt);
        self.attempts += 1;
        self.due = Some(now + pause + rng.duration(more));
    }

    /// Dones have been told often enough, and nobody has heard them.
    pub(super) fn are_lost(&self) -> bool {
        self.attempts >= DONE_ATTEMPTS
    }

    /// Nobody is there who could be told of what has ended.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// Nobody is asked for now: what has ended waits.
    pub(super) fn hold(&mut self) {
        self.due = None;
    }

    /// The sender did not hear what has ended. What ends later is told all the same: the path may
    /// be better then.
    pub(super) fn drop_all(&mut self) {
        self.heard += self.waiting.len();
        self.settled
            .extend(self.waiting.drain(..).map(|d| d.coding));
        self.attempts = 0;
        self.due = None;
    }

    /// How long the sender may take to hear of what has ended, after as many attempts; and how much
    /// longer at most.
    fn pause(&self, grtt: Duration) -> (Duration, Duration) {
        let answer = grtt * 4 + Duration::from_millis(50);
        (answer * (1 << self.attempts.min(3)), answer)
    }

    /// Round trips are shorter than was said before.
    pub(super) fn hasten(&mut self, now: Time, grtt: Duration, rng: &mut Rng) {
        let (pause, more) = self.pause(grtt);
        let again = self.attempts > 0;
        if again && self.due.is_some_and(|at| at > now + pause + more) {
            self.due = Some(now + pause + rng.duration(more));
        }
    }

    /// When they are to be told, again.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// The sender hears us: what waits to be told is told at once.
    pub(super) fn tell_now(&mut self, now: Time) {
        if self.due.is_some() {
            self.due = Some(now);
        }
    }

    /// A packet of ours was heard.
    pub(super) fn was_heard(&mut self, counter: u32) {
        let Some(&(_, upto)) = self.packets.iter().find(|&&(c, _)| c == counter) else {
            return;
        };
        let new = upto.saturating_sub(self.heard).min(self.waiting.len());
        let heard = self.waiting.drain(..new);
        self.settled.extend(heard.map(|d| d.coding));
        self.heard += new;
        self.attempts = 0;
        if self.waiting.is_empty() {
            self.due = None;
        }
    }

    /// All has been told.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Every list has its cap.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn check_bounds(&self) -> Result<(), &'static str> {
        match () {
            () if self.packets.len() > MAX_UNHEARD => Err("too many dones wait to be heard"),
            () if self.waiting.len() > MAX_OBJECTS + 1 => Err("too many dones wait"),
            () => Ok(()),
        }
    }
}
