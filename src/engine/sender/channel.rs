//! A multicast channel: its group, what left on it, the objects that run there, and who of its
//! receivers is not listed.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::carousel::{Carousel, NextRun, SentLog, depth};
use crate::engine::sender::session::Session;
use crate::engine::sender::slots::Slots;
use crate::engine::sender::sync_timer::Phase;
use crate::engine::sender::tally::Listed;
use crate::engine::sender::transmission::{Asked, Transmission};
use crate::engine::sender::unlisted::Unlisted;
use crate::engine::{Burst, Link, ObjectKey, PacketKind, Run, ip_len};
use crate::ids::{ChannelNo, PacketNo, ReceiverId, ShortCodingId};
use crate::nak::backoff::k_for;
use crate::rate::Pacer;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{self, DataHeader, Need, Needs, Sync};

/// Packets in a run: what fits one segmented send of 64 KB with the default symbol.
pub(super) const MAX_RUN: usize = 44;
/// The most UDP payload in one segmented send.
pub(super) const MAX_RUN_BYTES: usize = 65_000;
/// Something as large as data goes out on a channel this often, as long as anything does.
const PROOF_INTERVAL: Duration = Duration::from_millis(150);

/// A multicast channel.
#[derive(Debug)]
pub(super) struct Channel {
    number: ChannelNo,
    group: SocketAddr,
    next_packet: PacketNo,
    log: SentLog,
    /// When something as large as data last left on it.
    full_at: Option<Time>,
    /// The tier it runs at, once something has run on it.
    tier: Option<usize>,
    /// Objects that have it as a channel of theirs.
    objects: usize,
    /// Those that have run on it.
    transmissions: BTreeMap<ObjectKey, Transmission>,
    /// More than one receiver lacks something here.
    is_shared: bool,
    /// Receivers that listen here and are not listed.
    unlisted: Option<Box<Unlisted>>,
    /// Cap at what one receiver of its tier may get, for when the tier's other channels are idle.
    cap: Pacer,
}

/// What SYNC tells of a channel beside where its objects are.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncFigures {
    pub(super) grtt: Duration,
    /// NAKs go to a group that all hear.
    pub(super) group_feedback: bool,
    pub(super) report_interval: Duration,
    /// Loss of the paths, in 255ths.
    pub(super) path_loss: u8,
    /// Bytes that it is padded to, if it is to prove the path.
    pub(super) full: u16,
    /// Keeps SYNCs within their share of the rate.
    pub(super) least: Duration,
}

/// A run that was put into a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    /// IP bytes.
    pub(super) bytes: u64,
    /// Data packets.
    pub(super) packets: u64,
    /// Bytes of UDP payload, before packets are sealed.
    pub(super) payload: u64,
    /// An object's cycle or repairs came to an end with it.
    pub(super) ended: bool,
    /// It was a repair while repairs took turns with fresh data, or fresh data then; none while
    /// they did not.
    pub(super) turn: Option<bool>,
}

/// What of a NAK was put in line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Granted {
    /// Symbols that were put in line for it and count as its receiver's share.
    pub(super) symbols: u64,
    /// There was no room for some of it.
    pub(super) refused: bool,
}

/// The part of a receiver's repairs that it has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Room {
    /// Symbols.
    pub(super) symbols: u64,
    /// It may ask for all blocks once beside: it joined with some, so nothing was put in a cycle.
    pub(super) may_claim: bool,
}

impl Channel {
    pub(super) fn new(number: ChannelNo, group: SocketAddr, cap: Pacer) -> Channel {
        Channel {
            number,
            group,
            next_packet: 0,
            log: SentLog::new(),
            full_at: None,
            tier: None,
            objects: 0,
            transmissions: BTreeMap::new(),
            is_shared: false,
            unlisted: None,
            cap,
        }
    }

    pub(super) fn group(&self) -> SocketAddr {
        self.group
    }

    /// Its number and group.
    pub(super) fn address(&self) -> (ChannelNo, SocketAddr) {
        (self.number, self.group)
    }

    pub(super) fn tier(&self) -> usize {
        self.tier.unwrap_or(0)
    }

    /// The tier it runs at, if something has run on it.
    pub(super) fn known_tier(&self) -> Option<usize> {
        self.tier
    }

    /// The next packet's number: data packets that have left.
    pub(super) fn next_packet(&self) -> PacketNo {
        self.next_packet
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The rate that one receiver of its tier may get.
    pub(super) fn rate(&self) -> Rate {
        self.cap.rate()
    }

    pub(super) fn cap(&self) -> &Pacer {
        &self.cap
    }

    pub(super) fn cap_mut(&mut self) -> &mut Pacer {
        &mut self.cap
    }

    /// Objects that have it as a channel of theirs.
    pub(super) fn objects(&self) -> usize {
        self.objects
    }

    /// An object has it as its channel on a tier from now on.
    pub(super) fn add_object(&mut self, tier: usize) {
        self.tier = Some(tier);
        self.objects += 1;
    }

    /// An object has it no longer; true if it ran here.
    pub(super) fn remove_object(&mut self, object: ObjectKey) -> bool {
        self.objects -= 1;
        self.transmissions.remove(&object).is_some()
    }

    /// An object runs here from now on.
    pub(super) fn begin(&mut self, object: ObjectKey, transmission: Transmission) {
        self.transmissions.insert(object, transmission);
    }

    pub(super) fn carries(&self, object: ObjectKey) -> bool {
        self.transmissions.contains_key(&object)
    }

    pub(super) fn transmissions(&self) -> impl Iterator<Item = (ObjectKey, &Transmission)> {
        self.transmissions.iter().map(|(&key, t)| (key, t))
    }

    pub(super) fn transmissions_mut(
        &mut self,
    ) -> impl Iterator<Item = (ObjectKey, &mut Transmission)> {
        self.transmissions.iter_mut().map(|(&key, t)| (key, t))
    }

    /// The objects that data goes out of.
    pub(super) fn running(&self) -> impl Iterator<Item = (ObjectKey, &Carousel)> {
        let all = self.transmissions.iter();
        let running = all.filter(|(_, t)| t.phase() == Phase::Running);
        running.map(|(&key, t)| (key, t.carousel()))
    }

    pub(super) fn transmission(&mut self, object: ObjectKey) -> Option<&mut Transmission> {
        self.transmissions.get_mut(&object)
    }

    /// Something is sent or asked here.
    pub(super) fn runs(&self) -> bool {
        self.transmissions.values().any(|t| !t.is_idle())
    }

    /// Somebody listens here who lacks something.
    pub(super) fn is_wanted(&self) -> bool {
        self.transmissions.values().any(|t| t.listeners() > 0)
    }

    /// A receiver lacks something of the object.
    pub(super) fn is_wanted_of(&self, object: ObjectKey) -> bool {
        let transmission = self.transmissions.get(&object);
        transmission.is_some_and(Transmission::is_wanted)
    }

    /// Something is to be sent here.
    pub(super) fn has_work(&self) -> bool {
        let mut all = self.transmissions.values();
        all.any(|t| t.carousel().has_work())
    }

    /// Receivers that lack something here; one that lacks several objects is counted once.
    pub(super) fn listeners(&self) -> u32 {
        let listeners = self.transmissions.values().map(Transmission::listeners);
        listeners.max().unwrap_or(0).max(1)
    }

    /// Takes over which of the listed receivers lack each object, as `listed` tells.
    pub(super) fn count_listed(&mut self, listed: impl Fn(ObjectKey) -> Listed) {
        let mut first = None;
        self.is_shared = false;
        for (&object, transmission) in &mut self.transmissions {
            let listed = listed(object);
            transmission.set_wanted(listed.listeners, listed.unicast);
            if listed.listeners > 0 {
                let other = *first.get_or_insert(listed.who) != listed.who;
                self.is_shared |= listed.listeners > 1 || other;
            }
        }
    }

    /// Counts unlisted receivers among those who listen.
    pub(super) fn count_unlisted(&mut self) {
        let Some(unlisted) = &mut self.unlisted else {
            return;
        };
        let counted = unlisted.count();
        let all = self.transmissions.values_mut();
        for transmission in all.filter(|t| t.has_unlisted()) {
            transmission.add_unlisted(counted);
            self.is_shared = true;
        }
    }

    /// The rate, the longest burst of losses or the surplus have changed.
    pub(super) fn set_depth(&mut self, burst: Duration, slots: u16) {
        let bytes = self.cap.rate().bytes_in(burst);
        for transmission in self.transmissions.values_mut() {
            let g = transmission.carousel().geometry();
            let each = ip_len(self.group, wire::data_packet_len(g.symbol_size()));
            let block = u64::from(g.k()) * g.symbol_size() as u64;
            let surplus = transmission.carousel().surplus();
            transmission.set_depth(depth(bytes / each, surplus, block, slots.into()));
        }
    }

    /// The loss of its receivers, or who listens, has changed.
    pub(super) fn set_loss(&mut self, loss: f64) {
        for transmission in self.transmissions.values_mut() {
            transmission.set_loss(loss);
        }
    }

    /// What is to be confirmed here, in packets.
    pub(super) fn take_confirms(&mut self) -> Vec<Needs> {
        let waiting = self.transmissions.values_mut();
        let waiting = waiting.filter(|t| t.has_confirms());
        waiting.flat_map(Transmission::take_confirms).collect()
    }

    /// Puts what a receiver's NAK asks for in line, as far as there is room for it; nothing if
    /// the object does not run here.
    pub(super) fn answer(
        &mut self,
        id: ReceiverId,
        asked: &Asked,
        needs: &[Need],
        room: Room,
    ) -> Option<Granted> {
        let transmission = self.transmissions.get_mut(&asked.object)?;
        let mut granted = Granted::default();
        for need in needs {
            let before = transmission.carousel().waiting();
            let free = match need {
                Need::Blocks { .. } if room.may_claim => transmission.claim(id),
                _ => 0,
            };
            let left = room.symbols.saturating_sub(granted.symbols);
            let left = left.saturating_add(free);
            granted.refused = left == 0;
            if granted.refused {
                break;
            }
            transmission.handle_need(asked, &self.log, need, left);
            let more = transmission.carousel().waiting().saturating_sub(before);
            transmission.use_claim(id, more.min(free));
            granted.symbols += more.saturating_sub(free);
        }
        Some(granted)
    }

    /// An object whose SYNC is due.
    pub(super) fn next_sync(&self, now: Time) -> Option<ObjectKey> {
        let mut all = self.transmissions.iter();
        let due = all.find(|(_, t)| t.sync_due() <= now);
        due.map(|(&key, _)| key)
    }

    /// The SYNC of an object, which leaves now.
    pub(super) fn sync(
        &mut self,
        now: Time,
        object: ObjectKey,
        figures: SyncFigures,
    ) -> Option<Sync> {
        let transmission = self.transmissions.get_mut(&object)?;
        // Data proves the path as well as a padded SYNC does.
        let long_ago = |at| now.since(at) >= PROOF_INTERVAL;
        let padded = self.full_at.is_none_or(long_ago);
        let receivers = transmission.listeners().max(1);
        let k = k_for(figures.group_feedback, receivers);
        let interval = transmission.sync_sent(now, k, figures.grtt, figures.least);
        if let Some(unlisted) = &mut self.unlisted {
            unlisted.handle_sync(now, figures.report_interval);
        }
        if padded {
            self.full_at = Some(now);
        }
        Some(Sync {
            coding: transmission.coding(),
            next_packet: self.next_packet,
            position: transmission.carousel().position(),
            sent_at: now.as_nanos().max(1),
            grtt: figures.grtt,
            k,
            receivers,
            next_sync: interval,
            rate: self.cap.rate(),
            report_interval: figures.report_interval,
            path_loss: figures.path_loss,
            query: transmission.phase() == Phase::Asking,
            idle: transmission.is_idle(),
            padded_to: if padded { figures.full } else { 0 },
        })
    }

    /// The next SYNC goes out at once, and if `lossy` others soon after it.
    pub(super) fn hurry_sync(&mut self, now: Time, lossy: bool) {
        let mut all = self.transmissions.values_mut();
        if let Some(transmission) = all.find(|t| !t.is_idle()) {
            transmission.hurry_sync(now, lossy);
        }
    }

    /// The first of its objects that has something to send in memory, and what that is.
    pub(super) fn next_run(
        &self,
        repair_turn: bool,
        slots: &Slots,
    ) -> Option<(ObjectKey, NextRun)> {
        self.transmissions.iter().find_map(|(&key, t)| {
            let next = t.next_run(repair_turn, |p| slots.is_ready(key, p.block, p.parity))?;
            Some((key, next))
        })
    }

    /// Fills `burst` with the next run, of about `credit` IP bytes.
    pub(super) fn burst(
        &mut self,
        now: Time,
        (object, next): (ObjectKey, NextRun),
        credit: u64,
        session: Session,
        slots: &mut Slots,
        burst: &mut Burst,
    ) -> Option<Sent> {
        let transmission = self.transmissions.get_mut(&object)?;
        let slot = slots.ready(object, next.piece.block, next.piece.parity)?;
        let symbol_size = transmission.carousel().geometry().symbol_size();
        let payload = wire::data_packet_len(symbol_size);
        let each = session.packet_len(self.group, symbol_size);
        let max = ((credit / each).max(1) as usize)
            .min(MAX_RUN)
            .min(MAX_RUN_BYTES / payload);
        burst.symbols.clear();
        let tells = transmission.take(next, max, session.one_way, &mut burst.symbols);
        let first = DataHeader {
            channel: self.number,
            session: session.id,
            coding: transmission.coding(),
            packet: self.next_packet,
            block: next.piece.block,
            symbol: burst.symbols[0],
            repair: !tells,
            one_way: session.one_way,
            part: None,
        };
        let ended = transmission.has_ended(next);
        self.log
            .sent(self.next_packet, object.0, first.block, &burst.symbols);
        let count = burst.symbols.len() as u64;
        self.next_packet += count;
        self.full_at = Some(now);
        self.cap.sent(count * each);
        burst.to = self.group;
        burst.link = Link::GROUP;
        // Where nobody asks, what goes out of turn is no repair.
        burst.kind = match next.is_repair && !session.one_way {
            true => PacketKind::Repair,
            false => PacketKind::Data,
        };
        burst.control.clear();
        burst.run = Some(Run {
            first,
            object,
            slot,
            part_len: None,
        });
        Some(Sent {
            bytes: count * each,
            packets: count,
            payload: count * payload as u64,
            ended,
            turn: next.backlog.then_some(next.is_repair),
        })
    }

    /// Receivers that listen here and are not listed, if there are any.
    pub(super) fn unlisted(&self) -> Option<&Unlisted> {
        self.unlisted.as_deref()
    }

    pub(super) fn unlisted_mut(&mut self) -> Option<&mut Unlisted> {
        self.unlisted.as_deref_mut()
    }

    /// An unlisted receiver wants an object that runs here; false if it does not run here.
    pub(super) fn welcome_unlisted(
        &mut self,
        now: Time,
        object: ObjectKey,
        report_interval: Duration,
    ) -> bool {
        let unlisted = self
            .unlisted
            .get_or_insert_with(|| Box::new(Unlisted::new(now, report_interval)));
        let Some(transmission) = self.transmissions.get_mut(&object) else {
            return false;
        };
        transmission.mark_unlisted(unlisted.mark(now));
        true
    }

    /// An unlisted receiver joins: true if it is one more.
    pub(super) fn join_unlisted(&mut self, now: Time, id: ReceiverId) -> bool {
        let unlisted = self.unlisted.as_mut();
        unlisted.is_some_and(|u| u.handle_join(now, id))
    }

    /// An unlisted receiver spoke of a coding, or of several with none: true if none had for long.
    pub(super) fn hear_unlisted(&mut self, now: Time, coding: ShortCodingId) -> bool {
        let Some(unlisted) = &mut self.unlisted else {
            return false;
        };
        let mark = unlisted.mark(now);
        let mut news = false;
        let all = self.transmissions.values_mut();
        for transmission in all.filter(|t| coding.0 == 0 || t.coding() == coding) {
            news |= transmission.mark_unlisted(mark);
        }
        news
    }

    /// An unlisted receiver spoke of several objects, and may listen here too.
    pub(super) fn renew_unlisted(&mut self, now: Time) {
        let Some(unlisted) = &mut self.unlisted else {
            return;
        };
        let mark = unlisted.mark(now);
        for transmission in self.transmissions.values_mut() {
            transmission.renew_unlisted(mark);
        }
    }

    /// Estimates the number of unlisted receivers anew, and forgets them where nobody was heard for
    /// `silence`; true if the number changed.
    pub(super) fn follow_unlisted(
        &mut self,
        now: Time,
        patience: Duration,
        silence: Duration,
    ) -> bool {
        let Some(unlisted) = &mut self.unlisted else {
            return false;
        };
        let mut changed = unlisted.advance(now, patience);
        for transmission in self.transmissions.values_mut() {
            changed |= transmission.forget_unlisted(|mark| unlisted.is_silent(mark, silence));
        }
        if self.transmissions.values().all(|t| !t.has_unlisted()) {
            self.unlisted = None;
            changed = true;
        }
        changed
    }

    /// Checks that every table is within its cap.
    pub(super) fn check_bounds(&self) -> Result<(), &'static str> {
        if !self.unlisted().is_none_or(Unlisted::is_bounded) {
            return Err("too many unlisted receivers are kept");
        }
        let mut all = self.transmissions.values();
        all.try_for_each(Transmission::check_bounds)
    }
}
