//! What the engine tells: to the program, and to the summary.

use crate::driver::ReceiverEvent;
use crate::driver::outbox::Outbox;
use crate::driver::reactor::Ending;
use crate::driver::receiver::contents::Contents;
use crate::engine::{self, ObjectKey, PathChoice};
use crate::ids::SessionId;
use crate::seal::Fingerprint;
use crate::time::Time;
use crate::wire::{MoveCause, NoticeCode};

/// What the engine has told of the session, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) session: Option<SessionId>,
    pub(crate) sender: Option<Fingerprint>,
    pub(crate) path: Option<PathChoice>,
    pub(crate) gave_up: Option<String>,
    pub(crate) evicted: Option<MoveCause>,
    /// The sender does not serve what was asked for, or not to this receiver.
    pub(crate) refused_by_sender: bool,
}

impl Findings {
    /// Keeps what an event tells of the session.
    fn note(&mut self, event: &engine::ReceiverEvent) {
        use engine::ReceiverEvent as E;
        match event {
            E::SenderFound { session, .. } => self.session = Some(*session),
            E::SenderKnown { fingerprint, .. } => self.sender = Some(*fingerprint),
            E::Path(choice) => self.path = Some(*choice),
            E::Notice { code, .. } => {
                use NoticeCode as Code;
                let refuses = matches!(code, Code::NotFound | Code::Evicted | Code::Ended);
                self.refused_by_sender |= refuses;
            }
            E::GaveUp { reason, evicted } => {
                self.gave_up = Some(reason.clone());
                self.evicted = *evicted;
            }
            _ => {}
        }
    }
}

/// What the program and the summary are told, and how it ends.
pub(super) struct Telling {
    pub(super) outbox: Outbox<ReceiverEvent>,
    pub(super) findings: Findings,
    pub(super) ending: Ending,
}

impl Telling {
    /// Passes on what the engine tells.
    pub(super) fn on_event(
        &mut self,
        now: Time,
        event: engine::ReceiverEvent,
        engine: &engine::Receiver,
        contents: &mut Contents,
    ) {
        use engine::ReceiverEvent as E;
        self.findings.note(&event);
        let told = match event {
            // It is told when the disk has made a place. One that is refused never gets there.
            E::Started { object, .. } => {
                if let Some(description) = engine.description(object) {
                    contents.know(now, object, description);
                }
                None
            }
            E::Complete { object } => complete(now, object, contents),
            E::Failed { object, reason } => {
                let name = end(now, object, reason.clone(), contents);
                Some(ReceiverEvent::Failed { name, reason })
            }
            E::Withdrawn { object, reason } => {
                let name = end(now, object, format!("withdrawn: {reason}"), contents);
                Some(ReceiverEvent::Withdrawn { name, reason })
            }
            E::BadBlock {
                object,
                block,
                from,
            } => Some(ReceiverEvent::BadBlock {
                name: contents.name(object),
                block,
                from,
            }),
            E::Finished => {
                self.ending.finish();
                None
            }
            E::GaveUp { reason, evicted } => {
                self.ending.finish();
                Some(ReceiverEvent::GaveUp { reason, evicted })
            }
            of_session => told_of_session(of_session),
        };
        if let Some(told) = told {
            self.outbox.tell(told);
        }
    }
}

/// What is told of the sender, and of the way to it.
fn told_of_session(event: engine::ReceiverEvent) -> Option<ReceiverEvent> {
    use engine::ReceiverEvent as E;
    Some(match event {
        E::SenderFound { session, address } => ReceiverEvent::Heard { session, address },
        E::SenderKnown {
            fingerprint,
            trusted,
        } => ReceiverEvent::SenderKnown {
            fingerprint,
            trusted,
        },
        E::StrangerMet {
            fingerprint,
            address,
        } => ReceiverEvent::StrangerMet {
            fingerprint,
            address,
        },
        E::OtherSession { session, address } => ReceiverEvent::AnotherSender { session, address },
        E::NoWayBack => ReceiverEvent::NoWayBack,
        E::Path(choice) => ReceiverEvent::PathChosen(choice),
        E::Tier { rate, cause } => ReceiverEvent::TierChosen { rate, cause },
        E::ShutOut { address } => ReceiverEvent::ShutOut { address },
        E::Notice { code, cause, text } => ReceiverEvent::Notice { code, text, cause },
        E::NoRoom => ReceiverEvent::NoRoom,
        E::Redirected { address } => ReceiverEvent::Redirected { to: address },
        _ => return None,
    })
}

fn complete(now: Time, object: ObjectKey, contents: &mut Contents) -> Option<ReceiverEvent> {
    let known = contents.object(object)?;
    known.end(now, None);
    Some(ReceiverEvent::Complete {
        name: known.name.clone(),
        path: known.path.clone().unwrap_or_default(),
        bytes: known.geometry.length(),
        content: known.content,
        took: known.took(now),
    })
}

/// An object has ended without being complete. Gives its name.
fn end(now: Time, object: ObjectKey, error: String, contents: &mut Contents) -> String {
    if let Some(known) = contents.object(object) {
        known.end(now, Some(error));
    }
    contents.name(object)
}
