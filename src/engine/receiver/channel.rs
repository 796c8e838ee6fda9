//! What came and what did not on one channel, by packet numbers.

use core::ops::Range;
use core::time::Duration;

use crate::engine::receiver::BELIEVED;
use crate::ids::{ChannelNo, PacketNo};
use crate::range_set::RangeSet;
use crate::time::Time;

/// Gaps in a channel's packet numbers that are remembered, newest first: what is overtaken comes soon.
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
    pub(super) fn take_longest_run(&mut self) -> u64 {
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

/// The state of acknowledging a unicast path.
#[derive(Debug)]
pub(super) struct UnicastRx {
    pub(super) channel: ChannelNo,
    came: RangeSet,
    pub(super) newest_at: Time,
    unacknowledged: u32,
    /// When an acknowledgement is due.
    pub(super) ack_due: Option<Time>,
    /// When a NAK of all that is lacking is due.
    pub(super) nak_due: Option<Time>,
    pub(super) nak_sent: Option<Time>,
}

/// Packets after which an acknowledgement is sent at once.
const ACK_EVERY: u32 = 8;
/// The longest that an acknowledgement waits.
const ACK_DELAY: Duration = Duration::from_millis(5);
/// Ranges in an acknowledgement, and so the most that are kept.
const ACK_RANGES: usize = 32;
/// What packets that overtake each other may differ by.
const REORDERING: Duration = Duration::from_millis(2);

impl UnicastRx {
    pub(super) fn new(now: Time, channel: ChannelNo) -> UnicastRx {
        UnicastRx {
            channel,
            came: RangeSet::new(),
            newest_at: now,
            unacknowledged: 0,
            ack_due: None,
            nak_due: None,
            nak_sent: None,
        }
    }

    /// A data packet came, after a gap or not.
    pub(super) fn arrived(&mut self, now: Time, packet: PacketNo, gap: bool) {
        if self.came.last().is_none_or(|last| packet > last) {
            self.newest_at = now;
        }
        self.came.insert(packet..packet + 1);
        while self.came.range_count() > ACK_RANGES
            && let Some(lowest) = self.came.next_range_at(0)
        {
            self.came.remove(lowest);
        }
        self.unacknowledged += 1;
        let wait = if gap || self.unacknowledged >= ACK_EVERY {
            Duration::ZERO
        } else {
            ACK_DELAY
        };
        let due = now + wait;
        self.ack_due = Some(self.ack_due.map_or(due, |at| at.min(due)));
    }

    /// Something is known to be lost: it is asked for at once, but not more than once in `pause`.
    pub(super) fn ask_soon(&mut self, now: Time, pause: Duration) {
        let due = self.nak_sent.map_or(now, |at| (at + pause).max(now)) + REORDERING;
        self.nak_due = Some(self.nak_due.map_or(due, |at| at.min(due)));
    }

    /// What an acknowledgement says: ranges, highest first, and the delay. Its wait ends.
    pub(super) fn take_ack(&mut self, now: Time) -> (Vec<(PacketNo, PacketNo)>, Duration) {
        self.ack_due = None;
        self.unacknowledged = 0;
        let mut ranges: Vec<_> = self.came.iter().map(|r| (r.start, r.end)).collect();
        ranges.reverse();
        (ranges, now.since(self.newest_at))
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

    #[test]
    fn acknowledgements_come_every_few_packets_and_at_gaps() {
        let mut u = UnicastRx::new(Time::ZERO, 0x8000);
        let now = Time::from_millis(1);
        u.arrived(now, 0, false);
        assert_eq!(u.ack_due, Some(now + ACK_DELAY));
        u.arrived(now, 3, true);
        assert_eq!(u.ack_due, Some(now));
        assert_eq!(u.take_ack(now).0, [(3, 4), (0, 1)]);
        for p in 4..4 + u64::from(ACK_EVERY) {
            u.arrived(now, p, false);
        }
        assert_eq!(u.ack_due, Some(now));
        for p in 0..100 {
            u.arrived(now, 100 + 2 * p, true);
        }
        let (ranges, _) = u.take_ack(now);
        assert_eq!((ranges.len(), ranges[0]), (ACK_RANGES, (298, 299)));
    }
}
