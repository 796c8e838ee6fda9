//! The receivers that are served by unicast: their paths and channel numbers, whose turn it is, and
//! what all of them may take.

use core::ops::Bound;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::ObjectKey;
use crate::engine::sender::lent::Lent;
use crate::engine::sender::slots::Slots;
use crate::engine::sender::unicast_path::{PathSync, UnicastPath};
use crate::ids::{BlockNo, ChannelNo, NO_CHANNEL, PacketNo, ReceiverId, UNICAST_CHANNELS};
use crate::rate::Pacer;
use crate::time::Time;
use crate::units::Rate;

/// Paths, turns and rates of unicast.
#[derive(Debug)]
pub(super) struct Unicast {
    paths: BTreeMap<ReceiverId, UnicastPath>,
    /// Receivers that had a path when they were last counted: they take turns.
    counted: BTreeSet<ReceiverId>,
    /// The receiver that was served last.
    turn: Option<ReceiverId>,
    numbers: Numbers,
    /// Paces unicast's share of the rate.
    share: Pacer,
    lent: Lent,
}

/// Channel numbers of paths; none is used twice in a session with the same packet number.
#[derive(Debug)]
struct Numbers {
    /// Packet numbers that paths of earlier receivers stopped at.
    left: BTreeMap<ChannelNo, PacketNo>,
    next: ChannelNo,
}

impl Numbers {
    fn is_empty(&self) -> bool {
        self.next == NO_CHANNEL && self.left.is_empty()
    }

    /// A channel number, and the packet number it goes on from.
    fn take(&mut self) -> (ChannelNo, PacketNo) {
        if let Some(left) = self.left.pop_first() {
            return left;
        }
        let channel = self.next;
        self.next = channel.saturating_add(1).max(UNICAST_CHANNELS);
        (channel, 0)
    }
}

impl Unicast {
    pub(super) fn new(share: Pacer, lent: Lent) -> Unicast {
        Unicast {
            paths: BTreeMap::new(),
            counted: BTreeSet::new(),
            turn: None,
            numbers: Numbers {
                left: BTreeMap::new(),
                next: UNICAST_CHANNELS,
            },
            share,
            lent,
        }
    }

    /// A receiver is served by unicast.
    pub(super) fn serves(&self, id: ReceiverId) -> bool {
        self.paths.contains_key(&id)
    }

    pub(super) fn path(&self, id: ReceiverId) -> Option<&UnicastPath> {
        self.paths.get(&id)
    }

    pub(super) fn path_mut(&mut self, id: ReceiverId) -> Option<&mut UnicastPath> {
        self.paths.get_mut(&id)
    }

    /// A block of an object that was missing is here.
    pub(super) fn handle_block(&mut self, object: ObjectKey, block: BlockNo) {
        let paths = self.paths.values_mut();
        paths.for_each(|p| p.handle_block(object, block));
    }

    /// Fewer receivers are on unicast than there are numbers for their channels.
    pub(super) fn has_number(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// Opens a path to a receiver that has none.
    pub(super) fn open(
        &mut self,
        now: Time,
        id: ReceiverId,
        packet_len: u64,
        rtt: Option<Duration>,
    ) {
        let path = UnicastPath::new(now, self.numbers.take(), packet_len, rtt);
        self.paths.insert(id, path);
    }

    /// Closes a receiver's path; true if it had one.
    pub(super) fn close(&mut self, id: ReceiverId) -> bool {
        let Some(path) = self.paths.remove(&id) else {
            return false;
        };
        self.numbers.left.insert(path.channel(), path.next_packet());
        true
    }

    /// Closes all paths for good.
    pub(super) fn close_all(&mut self) {
        self.paths.clear();
    }

    /// From now on those who have a path take turns.
    pub(super) fn count(&mut self) {
        self.counted = self.paths.keys().copied().collect();
    }

    /// Number of receivers that had a path when they were last counted.
    pub(super) fn counted(&self) -> usize {
        self.counted.len()
    }

    /// Those that were counted, the one after the last served first.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = ReceiverId> + '_ {
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let upto = self.turn.map_or(Bound::Unbounded, Bound::Included);
        let first = self.counted.range((after, Bound::Unbounded));
        let rest = self.counted.range((Bound::Unbounded, upto));
        first.chain(rest).copied().take(self.counted.len())
    }

    /// Paths of those that were counted.
    fn paths(&self) -> impl Iterator<Item = &UnicastPath> {
        self.counted.iter().filter_map(|id| self.paths.get(id))
    }

    /// Time has passed: packets that are not acknowledged may be lost.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        for id in &self.counted {
            if let Some(path) = self.paths.get_mut(id) {
                path.handle_timeout(now);
            }
        }
    }

    /// The SYNCs that are due.
    pub(super) fn poll_syncs(&mut self, now: Time) -> Vec<(ReceiverId, PathSync)> {
        let mut due = Vec::new();
        for &id in &self.counted {
            let path = self.paths.get_mut(&id);
            if let Some(sync) = path.and_then(|p| p.poll_sync(now)) {
                due.push((id, sync));
            }
        }
        due
    }

    /// When a path is to be looked at next.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.paths().map(UnicastPath::next_due).min()
    }

    /// When data may leave next; none if none is in memory.
    pub(super) fn next_transmit(&self, slots: &Slots) -> Option<Time> {
        let next = self.paths().filter_map(|p| p.next_send_at(slots)).min();
        let next = next.filter(|&t| t != Time::NEVER)?;
        let pace = self.share.next_at(1).min(self.lent.pacer().next_at(1));
        Some(next.max(pace))
    }

    /// The rate of its share.
    pub(super) fn rate(&self) -> Rate {
        self.share.rate()
    }

    pub(super) fn set_rate(&mut self, now: Time, rate: Rate) {
        self.share.set_rate(now, rate);
    }

    /// What a path costs beside its data is of unicast's share: IP bytes of that left.
    pub(super) fn sent_control(&mut self, bytes: u64) {
        self.share.sent(bytes);
    }

    /// IP bytes that may leave now, of the share or of what is lent.
    pub(super) fn may_send(&mut self, now: Time, of_lent: bool) -> u64 {
        self.pacer_mut(of_lent).may_send(now)
    }

    /// IP bytes left for a receiver, of the share or of what is lent.
    pub(super) fn sent(&mut self, id: ReceiverId, bytes: u64, of_lent: bool) {
        self.pacer_mut(of_lent).sent(bytes);
        self.lent.sent_by_unicast(bytes);
        self.turn = Some(id);
    }

    fn pacer_mut(&mut self, of_lent: bool) -> &mut Pacer {
        match of_lent {
            true => self.lent.pacer_mut(),
            false => &mut self.share,
        }
    }

    pub(super) fn lent(&self) -> &Lent {
        &self.lent
    }

    pub(super) fn lent_mut(&mut self) -> &mut Lent {
        &mut self.lent
    }
}

#[cfg(test)]
impl Unicast {
    /// Leaves no more than `count` channel numbers, of those never used.
    pub(super) fn leave_numbers(&mut self, count: ChannelNo) {
        self.numbers.next = NO_CHANNEL - count;
    }
}
