//! What came by unicast, and when it is acknowledged and asked for.

use core::time::Duration;

use crate::ids::{ChannelNo, PacketNo};
use crate::range_set::RangeSet;
use crate::time::Time;

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
