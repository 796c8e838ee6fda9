//! How a receiver says that it is done, and leaves.

use crate::engine::following::Following;
use crate::engine::following::Over;
use crate::engine::following::context::Context;
use crate::engine::{Object, ObjectState, PacketKind};
use crate::ids::{NO_CHANNEL, ShortCodingId};
use crate::wire::{Done, Outcome, ReceiverBody};

impl Following {
    /// Something has ended: the sender is told, spread over a window in case all end together.
    pub(crate) fn announce_done(&mut self, cx: &mut Context<'_>, done: Done) {
        if self.silent {
            self.joining.dones_mut().settle(done.coding);
            self.leave_settled(cx);
            return self.check_all_ended(cx);
        }
        let (timing, rate) = (self.timing(), self.session_rate());
        let dones = self.joining.dones_mut();
        dones.add(cx.now, done, timing, rate, cx.rng);
        self.check_all_ended(cx);
    }

    /// If all that is wanted has ended, the receiver leaves.
    pub(crate) fn check_all_ended(&mut self, cx: &mut Context<'_>) {
        let is_known = cx.config.name.is_some() || self.joining.offers().unseen().is_none();
        let any = cx.library.iter().any(|(_, o)| !o.is_withdrawn());
        if is_known && any && !self.joining.is_leaving() && cx.library.has_all_ended() {
            self.leave(cx);
        }
    }

    pub(crate) fn leave(&mut self, cx: &mut Context<'_>) {
        if self.joining.is_leaving() || self.over.is_some() {
            return;
        }
        self.joining.leave();
        self.reports.set_due(None);
        let outcome = |(_, o): (_, &Object)| match o.state() {
            ObjectState::Ended(outcome) => Some(outcome),
            _ => None,
        };
        let worst = |a: Outcome, b: Outcome| if a == Outcome::Complete { b } else { a };
        let outcomes = cx.library.iter().filter_map(outcome);
        let outcome = outcomes.reduce(worst).unwrap_or(Outcome::Left);
        if self.silent || self.session.is_none() || self.joining.is_unasked() {
            // Nobody expects to hear of us.
            return self.left();
        }
        let coding = ShortCodingId(0);
        let dones = self.joining.dones_mut();
        dones.say_goodbye(cx.now, Done { coding, outcome });
    }

    pub(super) fn send_due_dones(&mut self, cx: &mut Context<'_>) {
        if self.joining.dones().due().is_none_or(|at| at > cx.now) {
            return;
        }
        let Some(to) = self.sender() else {
            self.joining.dones_mut().hold();
            return self.check_left();
        };
        if self.joining.dones().are_lost() {
            self.joining.dones_mut().drop_all();
            self.leave_settled(cx);
            return self.check_left();
        }
        let batch = self.joining.dones().next();
        let count = batch.len();
        let channel = if self.path.is_unicast() {
            None
        } else {
            self.objects.iter().find_map(|rx| rx.channel)
        };
        let number = channel.map_or(NO_CHANNEL, |c| c.number);
        let body = ReceiverBody::Done(batch);
        let counter = self.send(cx, to, number, body, PacketKind::Done) as u32;
        let grtt = self.timing().grtt;
        let dones = self.joining.dones_mut();
        dones.sent(cx.now, counter, count, grtt, cx.rng);
    }

    pub(super) fn check_left(&mut self) {
        if self.joining.has_left() {
            self.left();
        }
    }

    pub(super) fn left(&mut self) {
        self.over.get_or_insert(Over::Left);
    }
}
