//! What a following does about a sender that is silent, or takes no answers.

use core::time::Duration;

use crate::engine::following::context::Context;
use crate::engine::following::limits::SENDER_SILENCE;
use crate::engine::following::{Following, Over};
use crate::engine::{Library, Object, ObjectState, ReceiverEvent};
use crate::time::Time;

impl Following {
    /// When the sender last did what it is waited for: where nobody can be asked, data alone
    /// counts.
    fn alive_at(&self) -> Time {
        if self.silent {
            self.liveness.data_at()
        } else {
            self.liveness.heard_at()
        }
    }

    /// When it gives up waiting for the sender. What is here in full may still be on its way
    /// through the hash to the disk, which takes as long as it takes.
    fn gives_up_at(&self, library: &Library, patience: Duration) -> Option<Time> {
        let on_its_way = |o: &Object| match o.state() {
            ObjectState::Finishing => true,
            ObjectState::Lacking => o.holdings().is_whole(),
            ObjectState::Ended(_) | ObjectState::Withdrawn(_) => false,
        };
        let waits = !library.iter().any(|(_, o)| on_its_way(o));
        waits.then(|| self.alive_at() + patience)
    }

    /// When the sender's silence is to be acted on.
    pub(super) fn silence_due(&self, library: &Library, patience: Duration) -> Option<Time> {
        let looked_for = Some(self.followed_at() + SENDER_SILENCE);
        match self.session {
            _ if self.joining.is_leaving() => looked_for,
            Some(_) => looked_for
                .into_iter()
                .chain(self.gives_up_at(library, patience))
                .min(),
            None => self.gives_up_at(library, patience),
        }
    }

    /// The sender may be gone, for a while or for good.
    pub(super) fn watch_sender(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let silent = now.since(self.followed_at());
        let given_up = self
            .gives_up_at(cx.library, cx.config.sender_timeout)
            .is_some_and(|at| at <= now);
        if given_up && !self.joining.is_leaving() {
            let text = self.say_what_is_missed(now);
            return self.give_up(text);
        }
        if self.joining.is_leaving() && silent >= SENDER_SILENCE {
            // Everything has ended here, and nobody is left who would hear of it.
            return self.left();
        }
        if self.session.is_some() && silent >= SENDER_SILENCE {
            self.lose_session(cx);
        }
    }

    fn say_what_is_missed(&self, now: Time) -> String {
        let seconds = now.since(self.alive_at()).as_secs();
        match (self.sender(), self.silent) {
            (Some(from), true) => format!("no data from the sender at {from} for {seconds} s"),
            (Some(from), false) => {
                format!("nothing heard from the sender at {from} for {seconds} s")
            }
            (None, true) => format!("no sender was heard within {seconds} s"),
            (None, false) => format!("no sender answered within {seconds} s"),
        }
    }

    /// When the sender that is followed was last alive, or was taken up.
    fn followed_at(&self) -> Time {
        let heard_at = self.liveness.heard_at();
        let since = self.session.as_ref().map(|s| s.since());
        since.map_or(heard_at, |since| since.max(heard_at))
    }

    /// Whoever answers next is followed; what is here stays valid by its coding id.
    pub(super) fn lose_session(&mut self, cx: &mut Context<'_>) {
        self.session = None;
        self.unicast = None;
        self.channels.forget();
        self.objects.lose_position();
        self.reports.set_due(None);
        self.joining.restart(cx.now, cx.rng);
    }

    /// It sends nothing from now on, or may again: a session with or without a way back was found.
    pub(super) fn fall_silent(&mut self, cx: &mut Context<'_>, one_way: bool) {
        let silent = one_way || cx.config.one_way;
        if core::mem::replace(&mut self.silent, silent) == silent {
            return;
        }
        cx.out.drop_packets_of(self.no);
        if silent {
            self.path.force_group();
            cx.out.event(ReceiverEvent::NoWayBack);
        } else if cx.config.via.is_none() {
            self.path.begin_anew(cx.config.sync_timeout);
            self.joining.restart(cx.now, cx.rng);
        }
    }

    /// Nothing more can be had from this sender.
    pub(super) fn give_up(&mut self, reason: String) {
        self.over.get_or_insert(Over::GaveUp(reason));
    }
}
