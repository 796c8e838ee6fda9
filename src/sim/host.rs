//! A receiver's machine: its engine, its path and its disk.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{ObjectKey, Receiver, ReceiverEvent, Via};
use crate::ids::{BlockNo, SymbolNo};
use crate::range_set::RangeSet;
use crate::rng::Rng;
use crate::sim::disk::Disk;
use crate::sim::event::Packets;
use crate::sim::link::Dice;
use crate::sim::{Link, Outcome};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Host {
    pub(super) receiver: Receiver,
    pub(super) address: SocketAddr,
    pub(super) link: Link,
    pub(super) down: Dice,
    pub(super) down_group: Dice,
    pub(super) up: Dice,
    pub(super) rng: Rng,
    /// Groups that it has joined.
    pub(super) joined: Vec<IpAddr>,
    /// Groups that still fill its link, and until when.
    pub(super) left: Vec<(IpAddr, Time)>,
    /// When the receiver is next woken; events for other times are stale.
    pub(super) wake: Time,
    /// When its downlink is free again.
    pub(super) free_at: Time,
    pub(super) disk: Disk,
    pub(super) parts: Parts,
    /// Some of what went to it, and of what it sent, to be told again.
    pub(super) caught: Caught<(Arc<Packets>, u16, Via)>,
    pub(super) caught_up: Caught<(Arc<Vec<u8>>, u32)>,
    pub(super) started: bool,
    pub(super) killed: bool,
    /// The server that passes on what it gets.
    pub(super) serves: Option<u32>,
    pub(super) outcome: Outcome,
    pub(super) events: Vec<(Time, ReceiverEvent)>,
}

impl Host {
    /// A packet gets a wrong bit on its way.
    pub(super) fn is_damaged(&mut self) -> bool {
        self.link.damage > 0.0 && self.rng.chance(self.link.damage)
    }

    /// The packet with a wrong bit.
    pub(super) fn damaged(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut packet = packet.to_vec();
        let at = self.rng.below(packet.len() as u64) as usize;
        packet[at] ^= 1 << self.rng.below(8);
        packet
    }

    /// Tells the engine what waits for its disk.
    pub(super) fn tell_backlog(&mut self, now: Time) {
        if let Some(disk) = &mut self.disk.slow {
            self.receiver.set_backlog(now, disk.tell(now));
        }
    }

    /// When its disk has done what it is given now, which takes so long.
    pub(super) fn written_at(&self, now: Time, takes: Duration) -> Time {
        let free_at = self.disk.slow.as_ref().map_or(now, |disk| disk.free_at);
        free_at.max(now) + takes
    }

    /// Packets come that nobody here listens to any more.
    fn fill(&mut self, now: Time, bytes: u64) {
        if let Some((rate, queue)) = self.link.rate {
            let waiting = rate.bytes_in(self.free_at.since(now));
            let room = queue.saturating_sub(waiting).min(bytes);
            self.free_at = self.free_at.max(now) + rate.time_for(room);
        }
    }

    /// The same, if they are of a group that it has left lately.
    pub(super) fn fill_link(&mut self, now: Time, group: IpAddr, bytes: u64) {
        if self
            .left
            .iter()
            .any(|&(g, until)| g == group && now < until)
        {
            self.fill(now, bytes);
        }
    }
}

/// A few of all that went some way, old and new.
#[derive(Debug)]
pub(super) struct Caught<T>(Vec<T>);

impl<T> Default for Caught<T> {
    fn default() -> Caught<T> {
        Caught(Vec::new())
    }
}

impl<T: Clone> Caught<T> {
    /// One more goes that way; with the chance `share`, something that went before, and after what time.
    pub(super) fn pass(&mut self, rng: &mut Rng, share: f64, what: &T) -> Option<(T, Duration)> {
        const KEPT: usize = 64;
        if share == 0.0 {
            return None;
        }
        let again = (rng.chance(share) && !self.0.is_empty()).then(|| {
            let at = rng.below(self.0.len() as u64) as usize;
            (self.0[at].clone(), rng.duration(Duration::from_secs(10)))
        });
        if self.0.len() < KEPT {
            self.0.push(what.clone());
        } else if rng.chance(0.02) {
            self.0[rng.below(KEPT as u64) as usize] = what.clone();
        }
        again
    }
}

/// Symbols that have come in part. A run is short, so nothing is ever thrown away.
#[derive(Debug, Default)]
pub(super) struct Parts(BTreeMap<(ObjectKey, BlockNo, SymbolNo), Partial>);

#[derive(Debug, Default)]
struct Partial {
    here: RangeSet,
    bytes: Vec<u8>,
}

impl Parts {
    /// Adds a piece, with its bytes if there are any; gives the symbol's bytes once it is whole.
    pub(super) fn add(
        &mut self,
        key: (ObjectKey, BlockNo, SymbolNo),
        symbol_size: u16,
        piece: Range<u16>,
        bytes: Option<&[u8]>,
    ) -> Option<Vec<u8>> {
        let partial = self.0.entry(key).or_default();
        if let Some(bytes) = bytes {
            partial.bytes.resize(usize::from(symbol_size), 0);
            partial.bytes[usize::from(piece.start)..usize::from(piece.end)].copy_from_slice(bytes);
        }
        partial
            .here
            .insert(u64::from(piece.start)..u64::from(piece.end));
        if !partial.here.contains_range(0..u64::from(symbol_size)) {
            return None;
        }
        self.0.remove(&key).map(|p| p.bytes)
    }
}
