//! One object's carousel on one channel: its cycles, its repairs and its SYNCs.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::carousel::{Repairs, Ring, Surplus, Walk};
use crate::engine::sender::limits::MAX_ASKERS;
use crate::engine::sender::one_way::Passes;
use crate::ids::{BlockNo, ReceiverId, ShortCodingId, SymbolNo};
use crate::nak::Hearing;
use crate::object::Geometry;
use crate::rate::Mark;
use crate::time::Time;
use crate::wire::Need;

/// An object that runs, or has run, on a channel.
#[derive(Debug)]
pub(super) struct Carousel {
    pub(super) coding: ShortCodingId,
    pub(super) geometry: Geometry,
    pub(super) walk: Walk,
    pub(super) repairs: Repairs,
    pub(super) ring: Ring,
    /// Symbols that more were repaired than sent in their turn, of late.
    ahead: usize,
    hearing: BTreeMap<BlockNo, (Time, Hearing)>,
    /// Blocks whose pending repairs are to be confirmed to everybody.
    pub(super) confirm: BTreeSet<BlockNo>,
    /// Runs of whole blocks to be confirmed.
    pub(super) confirm_whole: Vec<Need>,
    /// Symbols of whole blocks that receivers have had put into cycles by asking.
    claimed: BTreeMap<ReceiverId, u64>,
    pub(super) phase: Phase,
    /// When one of the channel's crowd last spoke of it, if that is not long ago.
    pub(super) crowd: Option<Mark>,
    /// Receivers on the channel that lack something.
    pub(super) listeners: u32,
    /// Receivers on unicast that lack something: they look out for the way back.
    pub(super) unicast: u32,
    pub(super) sync: SyncTimer,
    /// Where there is no way back.
    pub(super) passes: Passes,
}

/// What a carousel is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nobody on the group lacks anything.
    Idle,
    /// Data goes out.
    Running,
    /// All that was asked for has gone out, and receivers are asked who still lacks anything.
    Asking,
}

/// Where the next symbols come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextRun {
    pub(super) block: BlockNo,
    /// They need the block's parity.
    pub(super) parity: bool,
    pub(super) is_repair: bool,
    /// So much is to be repaired that it takes turns with fresh data.
    pub(super) backlog: bool,
}

/// When an object's next SYNC is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncTimer {
    pub(super) due: Time,
    /// SYNCs sent since the phase began, or since a receiver joined.
    pub(super) sent: u32,
    /// When the last was sent.
    pub(super) last: Time,
}

/// The decaying schedule after the last data, in ms (PGM; RFC 3208 calls them heartbeat SPMs).
const IDLE_SCHEDULE: [u64; 9] = [100, 100, 100, 100, 1_300, 7_000, 16_000, 25_000, 30_000];
/// While data goes out, SYNC only tells the position to those who lost the last packets.
const RUNNING_INTERVAL: Duration = Duration::from_millis(100);
/// The first intervals after somebody joined, in ms: its switch opens the group to it some 10 ms after what it was told
/// (IGMP joins wait for a tick and snooping takes its time), and without a SYNC it reports nothing, so that the
/// channel does not find its rate: 100 ms at a fifth of 100 Mbit/s in a fresh network of namespaces.
const JOINED_SCHEDULE: [u64; 3] = [10, 20, 40];
/// Questions before they come more seldom: where nine in ten packets are lost, one of thirty is
/// heard by 96 of 100.
const ASKED_OFTEN: usize = 30;
/// Whoever still lacks something is asked so often: what it left may have filled its link for two seconds.
const ASKING_INTERVAL: Duration = Duration::from_secs(1);
/// With receivers on unicast, a SYNC this often lets them find the way back.
const RETURN_INTERVAL: Duration = Duration::from_secs(1);
/// Hearings kept at a time; one more drops the oldest block's.
const MAX_HEARINGS: usize = 1_024;

impl Carousel {
    pub(super) fn new(coding: ShortCodingId, geometry: Geometry, surplus: Surplus) -> Carousel {
        Carousel {
            coding,
            geometry,
            walk: Walk::new(geometry, surplus),
            repairs: Repairs::new(),
            ring: Ring::new(geometry),
            ahead: 0,
            hearing: BTreeMap::new(),
            confirm: BTreeSet::new(),
            confirm_whole: Vec::new(),
            claimed: BTreeMap::new(),
            phase: Phase::Idle,
            crowd: None,
            listeners: 0,
            unicast: 0,
            sync: SyncTimer {
                due: Time::NEVER,
                sent: 0,
                last: Time::ZERO,
            },
            passes: Passes::default(),
        }
    }

    /// The block that the next repairs come from, and whether they need its parity.
    pub(super) fn next_repair(&self) -> Option<(BlockNo, bool)> {
        let block = self.repairs.current()?;
        Some((block, self.repair_needs_parity(block)))
    }

    /// The next repairs of a block, as many as wait, need its parity.
    pub(super) fn repair_needs_parity(&self, block: BlockNo) -> bool {
        let any = self.repairs.pending(block).map_or(0, |p| p.any);
        any > 0 && self.ring.brings_parity(block, any)
    }

    /// The block that the next fresh data comes from, and whether the rest of it needs parity.
    pub(super) fn next_fresh(&self) -> Option<(BlockNo, bool)> {
        let block = self.walk.current()?;
        Some((block, self.ring.brings_parity(block, self.walk.left())))
    }

    /// The next run, of what `is_ready` in memory. A little to repair goes first, because somebody's
    /// timer runs; a lot takes turns with fresh data, and so does a little that is asked for again and again, so
    /// that no receiver's losses hold up the others.
    pub(super) fn next_run(
        &self,
        repair_turn: bool,
        is_ready: impl Fn(BlockNo, bool) -> bool,
    ) -> Option<NextRun> {
        if self.phase != Phase::Running {
            return None;
        }
        let backlog = self.repairs.len().max(self.ahead) > self.backlog();
        let ready = |next: Option<(BlockNo, bool)>, is_repair| {
            next.filter(|&(block, parity)| is_ready(block, parity))
                .map(|(block, parity)| NextRun {
                    block,
                    parity,
                    is_repair,
                    backlog,
                })
        };
        let repair = ready(self.next_repair(), true);
        let fresh = ready(self.next_fresh(), false);
        if backlog && !repair_turn {
            fresh.or(repair)
        } else {
            repair.or(fresh)
        }
    }

    /// Takes up to `max` symbols of a run that [`next_run`](Carousel::next_run) gave.
    pub(super) fn take_run(&mut self, run: NextRun, max: usize, symbols: &mut Vec<SymbolNo>) {
        if run.is_repair {
            self.repairs.take_named(run.block, max, symbols);
            let any = self.repairs.take_any(run.block, max - symbols.len());
            self.ring.take(run.block, any, symbols);
            // At most a block more than makes them take turns: it is soon made up for.
            self.ahead = (self.ahead + symbols.len()).min(self.backlog() * 3 / 2);
        } else if let Some((_, count)) = self.walk.take(max) {
            self.ring.take(run.block, count, symbols);
            self.ahead = self.ahead.saturating_sub(symbols.len());
        }
    }

    /// Symbols that wait to be sent because somebody asked, repairs and whole blocks.
    pub(super) fn waiting(&self) -> u64 {
        self.repairs.len() as u64 + self.walk.blocks_left() * u64::from(self.geometry.k())
    }

    /// Symbols of whole blocks that a receiver may still ask for as anybody may who comes: everything once.
    pub(super) fn claim(&self, id: ReceiverId) -> u64 {
        let all = u64::from(self.geometry.blocks()) * u64::from(self.geometry.k());
        all.saturating_sub(self.claimed.get(&id).copied().unwrap_or(0))
    }

    pub(super) fn use_claim(&mut self, id: ReceiverId, symbols: u64) {
        if symbols > 0 && (self.claimed.len() < MAX_ASKERS || self.claimed.contains_key(&id)) {
            *self.claimed.entry(id).or_default() += symbols;
        }
    }

    /// Symbols to repair, or repaired, that take turns with fresh data: two blocks' worth.
    fn backlog(&self) -> usize {
        2 * usize::from(self.geometry.k())
    }

    /// Something is to be sent on the channel.
    pub(super) fn has_work(&self) -> bool {
        self.walk.current().is_some() || !self.repairs.is_empty()
    }

    /// The time until the SYNC after the next. `least` keeps SYNCs within their share of the rate.
    pub(super) fn sync_interval(&self, grtt: Duration, k: u8, least: Duration) -> Duration {
        let sent = self.sync.sent as usize;
        let interval = match self.phase {
            Phase::Running => JOINED_SCHEDULE
                .get(sent)
                .map_or(RUNNING_INTERVAL, |&ms| Duration::from_millis(ms)),
            // An answer takes a suppression wait of K·G at most, and the way there and back.
            Phase::Asking if sent < 4 => (grtt * (u32::from(k) + 2)).max(Duration::from_millis(10)),
            // Somebody lacks something and did not hear the question, or was not heard.
            Phase::Asking if sent < ASKED_OFTEN => Duration::from_millis(100),
            Phase::Asking => ASKING_INTERVAL,
            Phase::Idle => {
                let decayed =
                    Duration::from_millis(IDLE_SCHEDULE[sent.min(IDLE_SCHEDULE.len() - 1)]);
                if self.unicast > 0 {
                    decayed.min(RETURN_INTERVAL)
                } else {
                    decayed
                }
            }
        };
        interval.max(least)
    }

    /// SYNCs start over with the fast part of their schedule.
    pub(super) fn restart_sync(&mut self, now: Time) {
        self.sync.due = now;
        self.sync.sent = 0;
    }

    /// Someone has joined: a SYNC soon, but one for all who join within `pause`.
    pub(super) fn sync_for_joiner(&mut self, now: Time, pause: Duration) {
        self.sync.sent = 0;
        self.sync.due = self.sync.due.min(self.sync.last + pause).max(now);
    }

    /// The view of NAKs for a block; one older than `longest` starts over.
    pub(super) fn hearing(&mut self, now: Time, block: BlockNo, longest: Duration) -> &mut Hearing {
        if self.hearing.len() >= MAX_HEARINGS && !self.hearing.contains_key(&block) {
            self.hearing.pop_first();
        }
        let (began, hearing) = self
            .hearing
            .entry(block)
            .or_insert_with(|| (now, Hearing::default()));
        if now.since(*began) > longest {
            *began = now;
            *hearing = Hearing::default();
        }
        hearing
    }

    /// A block's NAKs have led to a decision.
    pub(super) fn forget_hearing(&mut self, block: BlockNo) {
        self.hearing.remove(&block);
    }

    pub(super) fn hearings_are_bounded(&self) -> bool {
        self.hearing.len() <= MAX_HEARINGS
    }

    /// Nobody is left on the channel.
    pub(super) fn rest(&mut self) {
        self.phase = Phase::Idle;
        self.walk.clear();
        self.repairs.clear();
        self.hearing.clear();
        self.confirm.clear();
        self.confirm_whole.clear();
        self.claimed.clear();
    }
}
