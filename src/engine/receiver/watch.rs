//! Whether the sender is alive: who is waited for, how long, and what is said in the end.

use crate::engine::receiver::object::ObjectRx;
use crate::engine::receiver::{Receiver, SENDER_SILENCE};
use crate::engine::{Object, ObjectState, ReceiverEvent};
use crate::time::Time;
use crate::unicast_fallback::Probe;
use crate::wire::{MoveCause, Outcome};

impl Receiver {
    /// When the sender last did what it is waited for: where nobody can be asked, data alone counts.
    pub(super) fn alive_at(&self) -> Time {
        if self.silent {
            self.data_at
        } else {
            self.heard_at
        }
    }

    /// When it gives up waiting for the sender. What is here in full may still be on its way through the hash to
    /// the disk, which takes as long as it takes.
    pub(super) fn gives_up_at(&self) -> Option<Time> {
        let on_its_way = |o: &Object| match o.state() {
            ObjectState::Finishing => true,
            ObjectState::Lacking => o.holdings().is_whole(),
            ObjectState::Ended(_) | ObjectState::Withdrawn(_) => false,
        };
        let waits = !self.library.iter().any(|(_, o)| on_its_way(o));
        waits.then(|| self.alive_at() + self.config.sender_timeout)
    }

    /// The sender may be gone, for a while or for good.
    pub(super) fn watch_sender(&mut self, now: Time) {
        let silent = now.since(self.followed_at());
        let given_up = self.gives_up_at().is_some_and(|at| at <= now);
        if given_up && !self.joining.is_leaving() {
            let silent = now.since(self.alive_at());
            let text = match &self.session {
                Some(s) if self.silent => {
                    format!(
                        "no data from the sender at {} for {} s",
                        s.address,
                        silent.as_secs()
                    )
                }
                Some(s) => format!(
                    "nothing heard from the sender at {} for {} s",
                    s.address,
                    silent.as_secs()
                ),
                None if self.silent => format!("no sender was heard within {} s", silent.as_secs()),
                None => format!("no sender answered within {} s", silent.as_secs()),
            };
            return self.give_up(text);
        }
        if self.joining.is_leaving() && silent >= SENDER_SILENCE {
            // Everything has ended here, and nobody is left who would hear of it.
            return self.left();
        }
        if self.session.is_some() && silent >= SENDER_SILENCE {
            self.lose_session(now);
        }
    }

    /// When the sender that is followed was last alive, or was taken up.
    pub(super) fn followed_at(&self) -> Time {
        let since = self.session.as_ref().map(|s| s.since);
        since.map_or(self.heard_at, |since| since.max(self.heard_at))
    }

    /// The sender is alive. One whose place only strangers take does not count, or they would be waited
    /// for without end.
    pub(super) fn heard(&mut self, now: Time) {
        if !self.trusted.estranged {
            self.heard_at = now;
        }
    }

    /// Whoever answers next is followed; what is here stays valid by its coding id.
    pub(super) fn lose_session(&mut self, now: Time) {
        self.session = None;
        self.unicast = None;
        self.forget_channels();
        self.objects.iter_mut().for_each(ObjectRx::lose_position);
        self.report_due = None;
        self.joining.restart(now, &mut self.rng);
    }

    /// It sends nothing from now on, or may again: a session with or without a way back was found.
    pub(super) fn fall_silent(&mut self, now: Time, one_way: bool) {
        let silent = one_way || self.config.one_way;
        if core::mem::replace(&mut self.silent, silent) == silent {
            return;
        }
        self.outbox.clear();
        if silent {
            // The group is the only path there is.
            self.probe = Probe::forced(false);
            self.events.push_back(ReceiverEvent::NoWayBack);
        } else if self.config.via.is_none() {
            self.probe = Probe::new(self.config.sync_timeout);
            self.joining.restart(now, &mut self.rng);
        }
    }

    /// What is lacking, for people, where nobody can be asked for it.
    fn say_what_lacks(&self) -> String {
        let words: Vec<String> = self
            .active()
            .map(|(_, o)| {
                let (lacks, blocks) = (o.blocks_lacking(), o.geometry().blocks());
                format!("{lacks} of {blocks} blocks of {}", o.description().name)
            })
            .take(10)
            .collect();
        if words.is_empty() {
            return String::new();
        }
        format!(
            "; {} lack something and nobody can be asked for it: receive again while the sender loops",
            words.join(", ")
        )
    }

    /// The sender serves it no more: it leaves in peace and keeps what came.
    pub(super) fn be_evicted(&mut self, now: Time, cause: MoveCause, text: &str) {
        if !self.library.needs_nothing() && !self.joining.is_leaving() {
            let reason = format!("the sender does not serve this receiver any more: {text}");
            self.evicted = Some((reason, cause));
            self.stop(now);
        }
    }

    pub(super) fn give_up(&mut self, mut reason: String) {
        if self.ended {
            return;
        }
        if self.silent {
            reason += &self.say_what_lacks();
        }
        reason += &self.say_whom_met();
        self.abandon_all(Outcome::Failed);
        self.ended = true;
        self.outbox.clear();
        self.events.push_back(ReceiverEvent::GaveUp {
            reason,
            evicted: None,
        });
    }
}
