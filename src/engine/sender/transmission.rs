//! One object on one channel: what leaves of it, who is served by that, and its SYNCs.

use core::time::Duration;

use crate::carousel::{Carousel, NextRun, Piece, SentLog, Surplus};
use crate::engine::ObjectKey;
use crate::engine::sender::askers::Claims;
use crate::engine::sender::confirms::Confirms;
use crate::engine::sender::hearings::Hearings;
use crate::engine::sender::passes::Passes;
use crate::engine::sender::sync_timer::{Phase, SyncTerms, SyncTimer};
use crate::ids::{BlockNo, PacketNo, ReceiverId, ShortCodingId, SymbolNo};
use crate::nak::backoff::k_for;
use crate::object::{Geometry, Part, Zeros};
use crate::range_set::RangeSet;
use crate::rate::Mark;
use crate::symbol_set::SymbolSet;
use crate::time::Time;
use crate::wire::{Need, Needs};

/// Symbols, at most, that are named by who has lost them; who names more had the others from
/// elsewhere.
const FEW: usize = 3;

/// An object that runs, or has run, on a channel.
#[derive(Debug)]
pub(super) struct Transmission {
    coding: ShortCodingId,
    carousel: Carousel,
    hearings: Hearings,
    confirms: Confirms,
    claims: Claims,
    phase: Phase,
    /// When one of the channel's unlisted receivers last spoke of it, if that is not long ago.
    unlisted: Option<Mark>,
    /// Receivers on the channel that lack something.
    listeners: u32,
    /// Receivers on unicast that lack something: they look out for the way back.
    unicast: u32,
    sync: SyncTimer,
    /// Where there is no way back.
    passes: Passes,
}

/// What is known of a NAK beside its needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) now: Time,
    pub(super) object: ObjectKey,
    /// What left from this packet on, its sender has not seen.
    pub(super) seen_to: PacketNo,
    pub(super) grtt: Duration,
    /// NAKs go to a group that all hear.
    pub(super) group_feedback: bool,
    /// Share of packets that receivers lose.
    pub(super) loss: f64,
}

/// How far a cycle is that has sent all its blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CycleEnd {
    pub(super) cycle: u32,
    /// Blocks that were asked for meanwhile.
    pub(super) blocks_left: u32,
}

impl Transmission {
    pub(super) fn new(
        now: Time,
        coding: ShortCodingId,
        geometry: Geometry,
        surplus: Surplus,
        (missing, zeros): (RangeSet, Zeros),
    ) -> Transmission {
        let carousel = Carousel::new(geometry, surplus, missing, zeros);
        Transmission {
            coding,
            carousel,
            hearings: Hearings::default(),
            confirms: Confirms::default(),
            claims: Claims::default(),
            phase: Phase::Idle,
            unlisted: None,
            listeners: 0,
            unicast: 0,
            sync: SyncTimer::new(now),
            passes: Passes::default(),
        }
    }

    pub(super) fn coding(&self) -> ShortCodingId {
        self.coding
    }

    pub(super) fn carousel(&self) -> &Carousel {
        &self.carousel
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    pub(super) fn listeners(&self) -> u32 {
        self.listeners
    }

    /// Some receiver lacks something of the object, on the channel or on unicast.
    pub(super) fn is_wanted(&self) -> bool {
        self.listeners + self.unicast > 0
    }

    /// The receivers that lack something, listed ones.
    pub(super) fn set_wanted(&mut self, listeners: u32, unicast: u32) {
        self.listeners = listeners;
        self.unicast = unicast;
    }

    /// More receivers lack something than those that are listed.
    pub(super) fn add_unlisted(&mut self, unlisted: u32) {
        self.listeners = self.listeners.saturating_add(unlisted);
    }

    /// An unlisted receiver spoke of the object; true if none had for long.
    pub(super) fn mark_unlisted(&mut self, mark: Mark) -> bool {
        self.unlisted.replace(mark).is_none()
    }

    /// An unlisted receiver spoke of several objects, perhaps of this one too.
    pub(super) fn renew_unlisted(&mut self, mark: Mark) {
        if let Some(unlisted) = &mut self.unlisted {
            *unlisted = mark;
        }
    }

    /// Forgets unlisted receivers that are silent; true if there were any.
    pub(super) fn forget_unlisted(&mut self, is_silent: impl Fn(Mark) -> bool) -> bool {
        let silent = |mark: &mut Mark| is_silent(*mark);
        self.unlisted.take_if(silent).is_some()
    }

    pub(super) fn has_unlisted(&self) -> bool {
        self.unlisted.is_some()
    }

    /// A block that was missing is here.
    pub(super) fn handle_block(&mut self, block: BlockNo) {
        self.carousel.handle_block(block);
    }

    /// Somebody lacks all of it.
    pub(super) fn want_all(&mut self) {
        self.carousel.want_all();
    }

    /// The surplus follows the loss of those who listen.
    pub(super) fn set_loss(&mut self, loss: f64) {
        let surplus = Surplus::for_group(loss, self.listeners);
        self.carousel.set_surplus(surplus);
    }

    pub(super) fn set_depth(&mut self, depth: u16) {
        self.carousel.set_depth(depth);
    }

    /// Symbols of whole blocks that a receiver may still ask for as anybody may who comes:
    /// everything once.
    pub(super) fn claim(&self, id: ReceiverId) -> u64 {
        let geometry = self.carousel.geometry();
        let all = u64::from(geometry.blocks()) * u64::from(geometry.k());
        self.claims.left(id, all)
    }

    pub(super) fn use_claim(&mut self, id: ReceiverId, symbols: u64) {
        self.claims.use_up(id, symbols);
    }

    /// What is to be confirmed, in packets.
    pub(super) fn take_confirms(&mut self) -> Vec<Needs> {
        self.confirms.take(self.coding, &self.carousel)
    }

    pub(super) fn has_confirms(&self) -> bool {
        !self.confirms.is_empty()
    }

    /// Nobody is left on the channel.
    pub(super) fn rest(&mut self) {
        self.phase = Phase::Idle;
        self.carousel.clear();
        self.hearings.clear();
        self.confirms.clear();
        self.claims.clear();
    }

    /// The cycle that has sent all its blocks, if nothing waits that was asked for in it.
    pub(super) fn ended_cycle(&self) -> Option<CycleEnd> {
        if self.listeners == 0 || self.phase != Phase::Running || !self.carousel.has_cycled() {
            return None;
        }
        let left = self.carousel.blocks_left().min(u64::from(u32::MAX)) as u32;
        let is_over = left > 0 || self.carousel.is_repaired();
        is_over.then(|| CycleEnd {
            cycle: self.carousel.position().cycle,
            blocks_left: left,
        })
    }

    /// Moves on from cycle to cycle, to the question at the end, to rest. Where there are passes,
    /// nobody is there to ask.
    pub(super) fn advance(&mut self, now: Time, may_run: bool, passes: bool) {
        if self.listeners == 0 {
            if !self.is_idle() {
                self.rest();
                self.sync.restart(now);
            }
            return;
        }
        if !may_run {
            return;
        }
        self.carousel.begin_cycle();
        let phase = if self.carousel.has_work() {
            Phase::Running
        } else if passes {
            // Its next pass waits for others.
            Phase::Idle
        } else {
            Phase::Asking
        };
        if core::mem::replace(&mut self.phase, phase) != phase {
            // The question goes out at once, and so does the position when data begins.
            self.sync.restart(now);
        }
    }

    /// The next run, of what `is_ready` in memory.
    pub(super) fn next_run(
        &self,
        repair_turn: bool,
        is_ready: impl Fn(Piece) -> bool,
    ) -> Option<NextRun> {
        let runs = self.phase == Phase::Running;
        let next = runs.then(|| self.carousel.next_run(repair_turn, is_ready));
        next.flatten()
    }

    /// Takes up to `max` symbols of a run; true if that tells the position. Where there are
    /// `passes`, what describes the object is repeated when it is time.
    pub(super) fn take(
        &mut self,
        run: NextRun,
        max: usize,
        passes: bool,
        symbols: &mut Vec<SymbolNo>,
    ) -> bool {
        let tells = !run.is_repair && run.piece.block == self.carousel.position().block;
        self.carousel.take(run, max, symbols);
        if passes && !run.is_repair {
            self.repeat_description(symbols.len());
        }
        tells
    }

    /// A run was the last that is known of, or the last of a cycle.
    pub(super) fn has_ended(&self, run: NextRun) -> bool {
        !self.carousel.has_work() || !run.is_repair && self.carousel.has_cycled()
    }

    /// Puts what a NAK asks for in line, of whole blocks no more than `room` symbols need. `log` is
    /// of what left on the channel.
    pub(super) fn handle_need(&mut self, asked: &Asked, log: &SentLog, need: &Need, room: u64) {
        let geometry = self.carousel.geometry();
        match need {
            Need::Blocks { first, count } => {
                let blocks = room.div_ceil(u64::from(geometry.k()));
                let count = u32::try_from(blocks).unwrap_or(u32::MAX).min(*count);
                let end = first.saturating_add(count).min(geometry.blocks());
                let Some(count) = end.checked_sub(*first).filter(|&n| n > 0) else {
                    return;
                };
                let all_here = self.carousel.want(*first..end);
                if self.listeners > 1 && all_here {
                    self.confirms.add_whole(*first, count);
                }
            }
            Need::Count { block, lacking } if geometry.parity(*block) > 0 => {
                let lacking = usize::from((*lacking).min(geometry.symbols(*block)));
                self.repair_any(asked, log, *block, lacking, None);
            }
            // Which they are was not said, and nothing else will do.
            Need::Count { block, .. } => {
                self.carousel.want(*block..block.saturating_add(1));
            }
            Need::Symbols { block, missing } => {
                let mut named = missing.clone();
                named.intersect_with(&SymbolSet::full(geometry.symbols(*block)));
                if geometry.parity(*block) > 0 {
                    self.repair_any(asked, log, *block, named.len(), Some(named));
                } else {
                    self.repair_named(asked, log, *block, named);
                }
            }
        }
    }

    /// A block with parity lacks `lacking` symbols: as many fresh ones serve everybody, so what
    /// anyone lacks most is sent once.
    fn repair_any(
        &mut self,
        asked: &Asked,
        log: &SentLog,
        block: BlockNo,
        lacking: usize,
        named: Option<SymbolSet>,
    ) {
        let carousel = &mut self.carousel;
        if carousel.is_ahead(block) || carousel.brings_from(block).is_some() {
            return;
        }
        let sent = log.count_since(asked.seen_to, asked.object.0, block);
        let lacking = lacking.saturating_sub(sent);
        if lacking == 0 {
            return;
        }
        let named = named.map(|mut named| {
            log.subtract_since(asked.seen_to, asked.object.0, block, &mut named);
            named.iter().take(lacking).collect::<SymbolSet>()
        });
        let more = if carousel.is_at_end() {
            let lacking = u16::try_from(lacking).unwrap_or(u16::MAX);
            usize::from(Surplus::for_last(asked.loss, self.listeners, lacking))
        } else {
            0
        };
        // A few that are lost again are better served by new ones.
        let named = named.filter(|n| n.len() == lacking && (more == 0 || n.len() > FEW));
        carousel.repair_lacking(block, (lacking, more), named.as_ref());
        if self.listeners > 1 {
            self.confirms.add(block);
        }
    }

    /// A block without parity lacks these symbols.
    fn repair_named(
        &mut self,
        asked: &Asked,
        log: &SentLog,
        block: BlockNo,
        mut lacking: SymbolSet,
    ) {
        if self.carousel.is_ahead(block) {
            return;
        }
        let all = self.carousel.geometry().symbols(block);
        if let Some(from) = self.carousel.brings_from(block) {
            lacking.remove_range(from..all);
        }
        let object = asked.object.0;
        log.subtract_since(asked.seen_to, object, block, &mut lacking);
        if lacking.is_empty() {
            return;
        }
        let receivers = self.listeners.max(1);
        let pending = self.carousel.pending(block);
        if pending.is_none_or(|p| !lacking.is_subset(&p.named)) {
            let k = u32::from(k_for(asked.group_feedback, receivers));
            let hearing = self.hearings.of(asked.now, block, asked.grtt * (k + 2));
            hearing.heard(&lacking);
            if hearing.wants_whole(all, receivers) {
                self.hearings.forget(block);
                lacking = SymbolSet::full(all);
                log.subtract_since(asked.seen_to, object, block, &mut lacking);
            }
            self.carousel.repair(block, &lacking);
        }
        if receivers > 1 && self.carousel.pending(block).is_some() {
            self.confirms.add(block);
        }
    }

    /// When its next SYNC is due.
    pub(super) fn sync_due(&self) -> Time {
        self.sync.due()
    }

    /// The next SYNC goes out at once, and if `lossy` others soon after it.
    pub(super) fn hurry_sync(&mut self, now: Time, lossy: bool) {
        if lossy {
            self.sync.restart(now);
        }
        self.sync.hurry(now);
    }

    /// Someone has joined, and waits for a SYNC.
    pub(super) fn handle_join(&mut self, now: Time) {
        self.sync.handle_join(now);
    }

    /// A SYNC leaves; gives the time until the next. `k` is the backoff multiple it tells, `least`
    /// keeps SYNCs within their share of the rate.
    pub(super) fn sync_sent(
        &mut self,
        now: Time,
        k: u8,
        grtt: Duration,
        least: Duration,
    ) -> Duration {
        let terms = SyncTerms {
            phase: self.phase,
            grtt,
            k,
            unicast: self.unicast > 0,
            least,
        };
        self.sync.sent(now, terms)
    }

    /// Passes that have ended.
    pub(super) fn passes_ended(&self) -> u32 {
        self.passes.ended(self.is_passing())
    }

    fn is_passing(&self) -> bool {
        !self.carousel.is_at_end() || !self.carousel.is_repaired()
    }

    /// Another pass is to come, of `limit` in all.
    fn may_pass(&self, limit: Option<u32>) -> bool {
        !self.is_passing() && self.passes.may_begin(limit)
    }

    /// Begins the next pass, if the last has ended and `ended` have; gives the offers to send
    /// before it.
    pub(super) fn begin_pass(&mut self, limit: Option<u32>, ended: u32) -> Option<u64> {
        if !self.may_pass(limit) || ended != self.passes.begun() {
            return None;
        }
        self.passes.begin();
        self.carousel.want_all();
        Some(Passes::offers(self.carousel.geometry().total_symbols()))
    }

    /// Somebody is taken to listen as long as there are passes to come.
    pub(super) fn count_passes(&mut self, limit: Option<u32>) {
        self.listeners = u32::from(self.is_passing() || self.may_pass(limit));
    }

    /// `sent` symbols of a pass have left: what has no parity of its own or is all of the table
    /// follows when it is time.
    fn repeat_description(&mut self, sent: usize) {
        let geometry = self.carousel.geometry();
        let is_over = self.carousel.has_cycled();
        if self.passes.sent(sent, geometry.total_symbols(), is_over) {
            let table = (geometry.pages(Part::Table) == 0).then_some(0);
            for block in table.into_iter().chain(geometry.page_blocks()) {
                let all = SymbolSet::full(geometry.symbols(block));
                self.carousel.repair(block, &all);
            }
        }
    }

    /// Checks that every table is within its cap.
    pub(super) fn check_bounds(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        ensure(
            self.carousel.is_bounded(),
            "too many blocks wait for repair",
        )?;
        ensure(
            self.confirms.are_bounded(),
            "too many needs wait to be confirmed",
        )?;
        ensure(self.hearings.is_bounded(), "too many hearings are kept")
    }
}
