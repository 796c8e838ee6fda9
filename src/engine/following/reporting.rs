//! Reports as they are sent: see [`report`](super::report).

use core::time::Duration;

use crate::engine::following::Following;
use crate::engine::following::context::Context;
use crate::engine::{DropReason, PacketKind, ip_len};
use crate::ids::{NO_CHANNEL, ShortCodingId};
use crate::wire::{self, ReceiverBody, Report};

impl Following {
    /// The driver told how far this machine is behind: that may be worth a report.
    pub(crate) fn hear_backlog(&mut self, cx: &mut Context<'_>) {
        if let Some(filled) = self.reports.news(cx.now, cx.machine) {
            self.report_soon(cx, filled);
        }
    }

    fn report_soon(&mut self, cx: &mut Context<'_>, filled: f64) {
        let own = self.own_share();
        let (Some(_), Some(session)) = (self.reports.due(), &self.session) else {
            return;
        };
        // Those who are not listed are counted by how often they report.
        if session.is_unlisted() || self.nak_share.next_at(own) > cx.now {
            return;
        }
        let interval = session.told_report_interval();
        if self.reports.hasten(cx.now, interval, filled, cx.rng) {
            let len = wire::REPORT_LEN + PacketKind::Report.envelope(cx.config.sealed);
            let bytes = ip_len(session.address(), len);
            self.nak_share.sent(cx.now, bytes, own);
        }
    }

    pub(super) fn schedule_report(&mut self, cx: &mut Context<'_>) {
        match &self.session {
            Some(session) => {
                let interval = session.report_interval(cx.now);
                self.reports.schedule(cx.now, interval, cx.rng);
            }
            None => self.reports.set_due(None),
        }
    }

    /// SYNC has told how often reports are wanted: if that is more often than before, the next one
    /// does not wait as long as it would have.
    pub(super) fn hear_report_interval(&mut self, cx: &mut Context<'_>, interval: Duration) {
        let Some(session) = &mut self.session else {
            return;
        };
        let before = session.set_report_interval(cx.now, interval);
        let due = self.reports.due();
        if session.is_unlisted() {
            // In the same proportion, so that at any time as many report as the sender counts on.
            let part = interval.as_secs_f64() / before.as_secs_f64().max(1e-6);
            let in_proportion = due.map(|due| cx.now + due.since(cx.now).mul_f64(part));
            self.reports.set_due(in_proportion);
        } else if interval < before
            && let Some(due) = due
        {
            self.schedule_report(cx);
            let new = self.reports.due();
            self.reports.set_due(new.map(|new| new.min(due)));
        }
    }

    /// Tells the sender how things go, if that is due.
    pub(super) fn send_due_report(&mut self, cx: &mut Context<'_>) {
        if self.reports.due().is_none_or(|at| at > cx.now) {
            return;
        }
        self.schedule_report(cx);
        let Some(to) = self.session.as_ref().map(|s| s.address()) else {
            return;
        };
        let came = self.reports.came();
        let (throughput, measured) = self.reports.make(cx.now, cx.machine);
        let active: Vec<_> = self.objects.active(cx.library).collect();
        let coding = if let [(_, only)] = active[..] {
            only.coding()
        } else {
            ShortCodingId(0)
        };
        let channel = active
            .first()
            .and_then(|(rx, _)| rx.channel)
            .map_or(NO_CHANNEL, |c| c.number);
        let backlog = cx.machine.backlog();
        let longest_run = self.channels.take_longest_run();
        let body = ReceiverBody::Report(Report {
            coding,
            symbols_held: cx.library.symbols_held(),
            throughput,
            measured,
            packets: came.packets,
            lost: self.channels.lost().saturating_sub(backlog.overflowed),
            overflowed: backlog.overflowed,
            damaged: cx.stats.dropped.get(DropReason::Malformed),
            stalled: backlog.stalled,
            longest_run: longest_run.min(u32::MAX.into()) as u32,
            unicast: self.path.is_unicast(),
            behind: (self.reports.filled() * 255.0) as u8,
        });
        self.send(cx, to, channel, body, PacketKind::Report);
    }
}

#[cfg(test)]
mod tests;
