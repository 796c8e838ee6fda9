//! What a receiver reports of itself, and when.
//!
//! Reports go out at the mean interval that the sender has told; one goes out sooner where this machine falls behind,
//! because its buffers bridge no more than some tenths of a second. It takes of what NAKs may.

use core::time::Duration;

use crate::config::STEADY_REPORT_INTERVAL;
use crate::engine::receiver::channel::ChannelRx;
use crate::engine::receiver::{BELIEVED, Receiver};
use crate::engine::{Counter, PacketKind, ip_len};
use crate::ids::{NO_CHANNEL, ShortCodingId};
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{self, ReceiverBody, Report};

/// More than that for so long is no burst. At 1 Gbit/s 2.5 MB come meanwhile, of the 8 to 32 MB that our buffers hold.
const LASTS: Duration = Duration::from_millis(20);
/// It is told again, before its turn, when so much more of the buffer is full.
const WORSE: f64 = 0.2;
/// From this share of a buffer on it asks for nothing: that would find no room, and cost the others its way.
const FULL: f64 = 0.75;
/// A report that is sooner than its turn waits for up to this share of the interval, so that those of many who fall behind
/// together do not come at once.
const SOON: f64 = 0.1;

/// What the receiver's own machine holds and has lost of what came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Backlog {
    /// Packets dropped because a socket's buffer was full, since the start.
    pub overflowed: u64,
    /// Packets dropped because the disk was too busy, since the start.
    pub stalled: u64,
    /// Bytes that wait for the disk.
    pub waiting: u64,
    /// How full the fullest of its buffers is, 0 to 1.
    pub filled: f64,
}

impl Backlog {
    /// The share of a buffer that a machine which keeps up may use: bursts and late wakes do.
    pub const USUAL: f64 = 0.25;
    /// While more than that is used, a driver tells of it this often: several times before 1 Gbit/s fills a buffer of 4 MiB.
    pub const LOOK: Duration = Duration::from_millis(5);
}

/// What the last report was about.
#[derive(Debug)]
pub(super) struct Reported {
    at: Time,
    taken: u64,
    backlog: Backlog,
    /// How full it said that the buffers are, or that the next one will soon say.
    filled: f64,
}

impl Reported {
    /// Nothing, at the start.
    pub(super) fn at(now: Time) -> Reported {
        Reported {
            at: now,
            taken: 0,
            backlog: Backlog::default(),
            filled: 0.0,
        }
    }
}

impl Receiver {
    /// How far the driver's buffers are behind what comes; to be told at reports ([`Timer::Report`](crate::engine::Timer::Report)),
    /// and every few milliseconds while something waits.
    pub fn set_backlog(&mut self, now: Time, backlog: Backlog) {
        self.backlog = backlog;
        let since = (backlog.filled > Backlog::USUAL).then(|| self.filled_since.unwrap_or(now));
        self.filled_since = since;
        let filled = self.behind(now);
        let told = self.reported.filled;
        let worse = filled > told && filled >= (told + WORSE).min(1.0);
        let over = told > 0.0 && filled == 0.0 && since.is_none();
        if worse || over {
            self.report_soon(now, filled);
        }
    }

    fn report_soon(&mut self, now: Time, filled: f64) {
        let (Some(due), Some(session)) = (self.report_due, &self.session) else {
            return;
        };
        // Those who are not listed are counted by how often they report.
        let own = self.own_share();
        if session.unlisted || self.nak_share.next_at(own) > now {
            return;
        }
        let soon = now + session.report_interval.0.mul_f64(SOON * self.rng.unit());
        if soon < due {
            let len = wire::REPORT_LEN + PacketKind::Report.envelope(self.config.sealed);
            let bytes = ip_len(session.address, len);
            self.nak_share.sent(now, bytes, own);
            self.report_due = Some(soon);
        }
        self.reported.filled = filled;
    }

    /// What is asked for has somewhere to go.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.filled.is_nan() || self.backlog.filled < FULL
    }

    /// How full the buffers are, if that is more than usual; 0 while this machine keeps up.
    fn behind(&self, now: Time) -> f64 {
        let before = &self.reported.backlog;
        let lost = |b: &Backlog| b.overflowed.saturating_add(b.stalled);
        let lasts = self.filled_since.is_some_and(|at| now.since(at) >= LASTS);
        if lost(&self.backlog) > lost(before) {
            1.0
        } else if lasts {
            self.backlog.filled.min(1.0)
        } else {
            0.0
        }
    }

    pub(super) fn schedule_report(&mut self, now: Time) {
        let interval = self.session.as_ref().map(|s| {
            let (interval, told_at) = s.report_interval;
            let lasts = now.since(told_at) < BELIEVED;
            if lasts {
                interval
            } else {
                interval.max(STEADY_REPORT_INTERVAL)
            }
        });
        let pause = |interval: Duration| interval.mul_f64(0.5 + self.rng.unit());
        self.report_due = interval.map(pause).map(|pause| now + pause);
    }

    /// SYNC has told how often reports are wanted: if that is more often than before, the next one
    /// does not wait as long as it would have.
    pub(super) fn hear_report_interval(&mut self, now: Time, interval: Duration) {
        let Some(session) = &mut self.session else {
            return;
        };
        let (before, _) = core::mem::replace(&mut session.report_interval, (interval, now));
        if session.unlisted {
            // In the same proportion, so that at any time as many report as the sender counts on.
            let part = interval.as_secs_f64() / before.as_secs_f64().max(1e-6);
            self.report_due = self
                .report_due
                .map(|due| now + due.since(now).mul_f64(part));
        } else if interval < before
            && let Some(due) = self.report_due
        {
            self.schedule_report(now);
            self.report_due = self.report_due.map(|new| new.min(due));
        }
    }

    /// Packets of data that came, and their bytes.
    fn came(&self) -> Counter {
        let kinds = [
            PacketKind::Data,
            PacketKind::Repair,
            PacketKind::UnicastData,
        ];
        let came = kinds.map(|kind| self.stats.received.get(kind));
        Counter {
            packets: came.iter().map(|c| c.packets).sum(),
            bytes: came.iter().map(|c| c.bytes).sum(),
        }
    }

    /// Bytes of what came that were neither dropped nor wait for the disk. Less than before where blocks wait that were being
    /// put together then.
    fn taken(&self, came: Counter) -> u64 {
        let stalled = self.backlog.stalled.min(came.packets) as f64;
        let dropped = came.bytes as f64 * stalled / came.packets.max(1) as f64;
        came.bytes
            .saturating_sub(dropped as u64)
            .saturating_sub(self.backlog.waiting)
    }

    /// Tells the sender how things go, if that is due.
    pub(super) fn send_due_report(&mut self, now: Time) {
        if self.report_due.is_none_or(|at| at > now) {
            return;
        }
        self.schedule_report(now);
        let Some(to) = self.session.as_ref().map(|s| s.address) else {
            return;
        };
        let came = self.came();
        let reported = Reported {
            at: now,
            taken: self.taken(came).max(self.reported.taken),
            backlog: self.backlog,
            filled: self.behind(now),
        };
        let before = core::mem::replace(&mut self.reported, reported);
        let measured = now.since(before.at).max(Duration::from_micros(1));
        let taken = self.reported.taken - before.taken;
        let throughput = taken as f64 * 8.0 / measured.as_secs_f64();
        let live: Vec<_> = self.active().collect();
        let coding = if let [(_, only)] = live[..] {
            only.coding()
        } else {
            ShortCodingId(0)
        };
        let channel = live
            .first()
            .and_then(|(rx, _)| rx.channel)
            .map_or(NO_CHANNEL, |c| c.number);
        let lost = self.lost();
        let runs = self.channels.iter_mut().map(ChannelRx::take_longest_run);
        let longest_run = runs.max().unwrap_or(0).min(u32::MAX.into()) as u32;
        let body = ReceiverBody::Report(Report {
            coding,
            symbols_held: self.library.symbols_held(),
            throughput: Rate::from_bps(throughput as u64),
            measured,
            packets: came.packets,
            lost: lost.saturating_sub(self.backlog.overflowed),
            overflowed: self.backlog.overflowed,
            damaged: self.stats.dropped.get(crate::engine::DropReason::Malformed),
            stalled: self.backlog.stalled,
            longest_run,
            unicast: self.on_unicast(),
            behind: (self.reported.filled * 255.0) as u8,
        });
        self.send(now, to, channel, body, PacketKind::Report);
    }
}

#[cfg(test)]
mod tests;
