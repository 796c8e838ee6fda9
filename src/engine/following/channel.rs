//! What came and what did not on one channel, by packet numbers.

use core::ops::Range;

use crate::engine::following::limits::BELIEVED;
use crate::ids::{ChannelNo, PacketNo};
use crate::range_set::RangeSet;
use crate::time::Time;

/// Gaps in a channel's packet numbers that are remembered, newest first: what is overtaken comes
/// soon.
const MAX_GAPS: usize = 64;

/// A channel as it is heard.
#[derive(Debug)]
pub(super) struct ChannelRx {
    pub(super) number: ChannelNo,
    /// The packet number after the highest seen or told of by SYNC.
    pub(super) seen_to: PacketNo,
    /// When a packet or SYNC last had that number or told of it.
    newest_at: Time,
    heard: bool,
    /// Data packets that came.
    pub(super) packets: u64,
    /// Their IP bytes.
    pub(super) bytes: u64,
    /// Data packets that did not, as far as later ones tell.
    pub(super) lost: u64,
    /// Those of them that may still come.
    gaps: RangeSet,
    /// Packets lost since the last that came.
    run: u64,
    longest_run: u64,
}

/// What a packet number tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// The highest so far, and how many before it did not come.
    Newest {
        /// Packet numbers skipped.
        skipped: u64,
    },
    /// Overtaken by a later one, or come twice.
    Late,
}

impl ChannelRx {
    pub(super) fn new(number: ChannelNo) -> ChannelRx {
        ChannelRx {
            number,
            seen_to: 0,
            newest_at: Time::ZERO,
            heard: false,
            packets: 0,
            bytes: 0,
            lost: 0,
            gaps: RangeSet::new(),
            run: 0,
            longest_run: 0,
        }
    }

    /// A data packet of so many IP bytes came.
    pub(super) fn arrived(&mut self, now: Time, packet: PacketNo, bytes: u64) -> Arrival {
        self.packets += 1;
        self.bytes += bytes;
        if packet < self.seen_to {
            // One that comes twice makes up for none.
            self.lost -= self.gaps.remove(packet..packet + 1);
            return Arrival::Late;
        }
        let skipped = if self.heard { packet - self.seen_to } else { 0 };
        self.heard = true;
        self.lose(packet - skipped..packet);
        self.run = 0;
        (self.seen_to, self.newest_at) = (packet + 1, now);
        Arrival::Newest { skipped }
    }

    /// It was not listened to for a while: what left in the meantime is not lost.
    pub(super) fn begin_anew(&mut self) {
        self.heard = false;
        self.run = 0;
    }

    fn lose(&mut self, packets: Range<PacketNo>) {
        if packets.is_empty() {
            return;
        }
        let many = packets.end - packets.start;
        self.lost += many;
        self.run += many;
        self.longest_run = self.longest_run.max(self.run);
        self.gaps.insert(packets);
        while self.gaps.range_count() > MAX_GAPS
            && let Some(first) = self.gaps.next_range_at(0)
        {
            self.gaps.remove(first);
        }
    }

    /// The most packets lost one after another since this was last asked.
    fn take_longest_run(&mut self) -> u64 {
        core::mem::take(&mut self.longest_run)
    }

    /// SYNC told the next packet number: true if it is news, with data before it that did not come.
    pub(super) fn told(&mut self, now: Time, next: PacketNo) -> bool {
        if next < self.seen_to {
            if now.since(self.newest_at) >= BELIEVED {
                // What seemed to be lost before it was never sent.
                self.lost -= self.gaps.remove(next..self.seen_to);
                (self.run, self.longest_run) = (0, 0);
                (self.seen_to, self.newest_at) = (next, now);
            }
            return false;
        }
        let missed = self.heard && next > self.seen_to;
        if missed {
            self.lose(self.seen_to..next);
        }
        self.heard = true;
        (self.seen_to, self.newest_at) = (next, now);
        missed
    }
}

/// Most channels that are told apart: a session has as many as it has groups, and one of unicast.
const MAX_CHANNELS: usize = 2_048;

/// The channels of a session that something was heard on.
#[derive(Debug, Default)]
pub(super) struct Channels {
    known: Vec<ChannelRx>,
    /// Packets lost on channels that were forgotten.
    lost_before: u64,
    /// Largest UDP payload that came by unicast.
    largest_heard: u16,
}

impl Channels {
    /// A channel by its number.
    pub(super) fn get(&mut self, number: ChannelNo) -> &mut ChannelRx {
        if let Some(at) = self.known.iter().position(|c| c.number == number) {
            return &mut self.known[at];
        }
        if self.known.len() >= MAX_CHANNELS {
            self.forget();
        }
        self.known.push(ChannelRx::new(number));
        let last = self.known.len() - 1;
        &mut self.known[last]
    }

    /// Forgets all channels. What was lost on them stays lost.
    pub(super) fn forget(&mut self) {
        self.lost_before = self.lost();
        self.known.clear();
    }

    /// Packets that did not come, since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost_before + self.known.iter().map(|c| c.lost).sum::<u64>()
    }

    /// All channels that are known.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ChannelRx> {
        self.known.iter()
    }

    /// The most packets lost one after another on a channel since this was last asked.
    pub(super) fn take_longest_run(&mut self) -> u64 {
        let runs = self.known.iter_mut().map(ChannelRx::take_longest_run);
        runs.max().unwrap_or(0)
    }

    /// A packet with a UDP payload of `len` bytes came by unicast.
    pub(super) fn heard_size(&mut self, len: usize) {
        self.largest_heard = self.largest_heard.max(len as u16);
    }

    /// Largest UDP payload that came by unicast.
    pub(super) fn largest_heard(&self) -> u16 {
        self.largest_heard
    }

    /// No more channels are told apart than may be.
    pub(super) fn is_bounded(&self) -> bool {
        self.known.len() <= MAX_CHANNELS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_and_late_packets_mend_them() {
        let mut c = ChannelRx::new(0);
        let now = Time::ZERO;
        assert_eq!(
            c.arrived(now, 100, 0),
            Arrival::Newest { skipped: 0 },
            "where we came in"
        );
        assert_eq!(c.arrived(now, 103, 0), Arrival::Newest { skipped: 2 });
        assert_eq!(c.arrived(now, 101, 0), Arrival::Late);
        assert_eq!((c.lost, c.seen_to), (1, 104));
        assert_eq!(c.arrived(now, 101, 0), Arrival::Late);
        assert_eq!((c.lost, c.packets), (1, 4), "it came twice");
        assert!(!c.told(now, 104) && c.told(now, 110) && !c.told(now, 107));
        assert_eq!((c.lost, c.seen_to, c.packets), (7, 110, 4));
        // What SYNC told of goes on until a packet comes.
        c.arrived(now, 112, 0);
        assert_eq!((c.take_longest_run(), c.take_longest_run()), (8, 0));
    }

    #[test]
    fn a_number_that_the_sender_does_not_come_to_is_taken_back() {
        const FAR: PacketNo = 1 << 41;
        let ms = Time::from_millis;
        let mut c = ChannelRx::new(0);
        c.arrived(ms(0), 100, 0);
        c.arrived(ms(1), 102, 0);
        assert_eq!(
            c.arrived(ms(2), FAR, 0),
            Arrival::Newest { skipped: FAR - 103 }
        );
        // The sender's own go on, one is lost.
        assert_eq!(c.arrived(ms(3), 103, 0), Arrival::Late);
        assert_eq!(c.arrived(ms(4), 105, 0), Arrival::Late);
        assert!(!c.told(ms(1_001), 106));
        assert_eq!(c.seen_to, FAR + 1);
        assert!(!c.told(ms(1_002), 106));
        // 101 and 104.
        assert_eq!((c.seen_to, c.lost, c.take_longest_run()), (106, 2, 0));
        assert_eq!(c.arrived(ms(1_003), 106, 0), Arrival::Newest { skipped: 0 });
        assert!(!c.told(ms(9_000), 107) && !c.told(ms(9_001), 105));
        assert_eq!(c.seen_to, 107, "a SYNC that was overtaken");
    }
}
