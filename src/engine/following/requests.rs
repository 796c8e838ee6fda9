//! Requests: how a receiver finds a sender and joins.

use core::net::SocketAddr;

use crate::engine::following::Following;
use crate::engine::following::context::Context;
use crate::engine::following::object::ObjectRx;
use crate::engine::{Object, PacketKind, ReceiverEvent};
use crate::ids::{NO_CHANNEL, ShortCodingId};
use crate::rate::first_report;
use crate::units::Rate;
use crate::wire::{Notice, ReceiverBody, Request, Stage, Wanted};

/// Codings in a request.
const PER_PACKET: usize = 100;

/// What is asked for next, and why.
struct Ask {
    stage: Stage,
    wanted: Wanted,
}

impl Following {
    pub(super) fn send_due_requests(&mut self, cx: &mut Context<'_>) {
        if self.joining.request_due().is_none_or(|at| at > cx.now) {
            return;
        }
        if self.joining.is_leaving() || self.silent {
            return self.joining.ask_nothing();
        }
        let active: Vec<_> = self.objects.active(cx.library).collect();
        let Some(ask) = self.next_ask(cx, &active) else {
            return self.joining.ask_nothing();
        };
        let joins = ask.stage != Stage::Ask;
        // What is held from an earlier run must not be sent again.
        if joins && active.iter().any(|(_, o)| !o.is_opened()) {
            return self.joining.wait_for_disk();
        }
        let is_looking = |(_, o): &(_, &Object)| o.is_looking();
        let holds = cx.library.symbols_held() > 0 || active.iter().any(is_looking);
        let channel = active
            .iter()
            .find_map(|(rx, _)| rx.channel)
            .map_or(NO_CHANNEL, |c| c.number);
        let downlink = self.tier.delivered().or(cx.config.downlink);
        let body = ReceiverBody::Request(Request {
            wanted: ask.wanted,
            stage: ask.stage,
            holds,
            downlink: downlink.unwrap_or(Rate::ZERO),
            cause: self.tier.cause(),
            largest_heard: self.channels.largest_heard(),
        });
        let to = self.joining.address(self.sender());
        let counter = self.send(cx, to, channel, body, PacketKind::Request) as u32;
        if joins {
            self.joining.join_sent(counter, holds);
        }
        self.joining.request_sent(cx.now, cx.rng);
    }

    /// What is to be asked for; nothing when all is known and the sender has heard the join.
    fn next_ask(&self, cx: &Context<'_>, active: &[(&ObjectRx, &Object)]) -> Option<Ask> {
        let on_unicast = self.path.is_unicast();
        let unseen = self.joining.offers().unseen();
        let unplaced = !on_unicast && active.iter().any(|(rx, _)| rx.channel.is_none());
        let nothing_known = self.session.is_none() || active.is_empty();
        let stage = if nothing_known || unplaced {
            Stage::Ask
        } else if self.joining.is_pending() && on_unicast {
            Stage::JoinUnicast
        } else if self.joining.is_pending() {
            Stage::JoinGroup
        } else if cx.config.name.is_none() && unseen.is_some() {
            Stage::Ask
        } else {
            return None;
        };
        let wanted = match &cx.config.name {
            // Offers that were seen without a channel are asked for by what they are.
            None if unplaced && !nothing_known => {
                let unplaced = active.iter().filter(|(rx, _)| rx.channel.is_none());
                Wanted::Codings(codings(unplaced))
            }
            None => Wanted::All {
                from: unseen.or(self.joining.offers().total()).unwrap_or(0),
            },
            Some(name) if active.is_empty() => Wanted::Name(name.clone()),
            Some(_) => Wanted::Codings(codings(active.iter())),
        };
        Some(Ask { stage, wanted })
    }

    /// The sender has heard our join.
    pub(super) fn joined(&mut self, cx: &mut Context<'_>, holds: bool) {
        let timing = self.timing();
        if self.reports.due().is_none() {
            self.schedule_report(cx);
            // So that those who are counted by their reports report evenly from the first on.
            if let Some(session) = self.session.as_ref().filter(|s| s.is_unlisted()) {
                let wait = first_report(session.told_report_interval(), cx.rng);
                self.reports.set_due(Some(cx.now + wait));
            }
        }
        if self.joining.offers().unseen().is_none() || cx.config.name.is_some() {
            self.joining.ask_nothing();
        }
        if !holds {
            return;
        }
        if self.path.is_unicast() {
            match &mut self.unicast {
                Some(path) => path.ask_soon(cx.now, timing.grtt),
                None => self.send_unicast_naks(cx),
            }
        } else {
            for (rx, object) in self.objects.lacking_mut(cx.library) {
                rx.catch_up(cx.now, object.holdings(), timing, cx.rng);
            }
        }
    }

    /// The sender does not hold it, and named others.
    pub(super) fn redirect(&mut self, cx: &mut Context<'_>, notice: &Notice) {
        let here = self.sender();
        let next = notice.addresses.iter().copied().find(|&a| Some(a) != here);
        let goes = |&host: &SocketAddr| self.joining.redirect(cx.now, host, cx.rng);
        let Some(address) = next.filter(goes) else {
            return self.give_up(format!("{}; and nowhere else to ask", notice.text));
        };
        cx.out.event(ReceiverEvent::Redirected { address });
        self.session = None;
        if !cx.config.is_unicast_only() {
            self.groups.leave(|_| true, cx.out);
        }
    }
}

/// The codings of as many objects as a request has room for.
fn codings<'a>(
    objects: impl Iterator<Item = &'a (&'a ObjectRx, &'a Object)>,
) -> Vec<ShortCodingId> {
    let codings = objects.map(|(_, o)| o.coding());
    codings.take(PER_PACKET).collect()
}
