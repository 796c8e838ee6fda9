//! What a sender knows of its receivers, and the figures that it tells the program.

use super::offers::Offers;
use super::session::Session;
use crate::driver::events::SenderProgress;
use crate::driver::sender::roster::{Roster, Which};
use crate::driver::speed::Speed;
use crate::driver::{DeliveryPath, SenderEvent, Traffic};
use crate::engine::{self, PacketKind};
use crate::time::Time;

/// Receivers told of one by one while it runs.
const SHOWN: usize = 8;

/// The receivers, and how fast is sent.
pub(super) struct Figures {
    pub(super) roster: Roster,
    speed: Speed,
    /// Packets are sent over IPv4.
    pub(super) v4: bool,
}

impl Figures {
    pub(super) fn new(v4: bool) -> Figures {
        Figures {
            roster: Roster::default(),
            speed: Speed::default(),
            v4,
        }
    }

    /// Keeps what the engine tells of one receiver.
    pub(super) fn note(&mut self, now: Time, event: &engine::SenderEvent) {
        use engine::SenderEvent as E;
        let roster = &mut self.roster;
        match *event {
            E::Joined {
                receiver,
                address,
                unicast,
            } => roster.joined(now, receiver, address, unicast),
            E::Returned { receiver, outcome } => roster.returned(receiver, outcome),
            E::Moved {
                receiver, cause, ..
            } => roster.moved(receiver, cause),
            E::Done {
                receiver,
                object,
                outcome,
            } => roster.done_with(now, receiver, object.is_none(), outcome),
            E::Gone {
                receiver, cause, ..
            } => roster.gone(now, receiver, cause),
            _ => {}
        }
    }

    /// Takes over the engine's figures, and tells the program.
    pub(super) fn tell(&mut self, now: Time, session: &mut Session) {
        let engine = &session.engine;
        self.roster.update(now, engine.receivers());
        let unlisted = engine.unlisted();
        let (stats, sealed) = (engine.stats(), engine.config().sealed);
        let sent = Traffic::with_headers(self.v4, sealed, |kind| stats.sent(kind));
        let sent_bytes = sent.total().bytes;
        let progress = SenderProgress {
            tiers: self.roster.tiers(engine.channels(), Which::Present),
            slowest: self.roster.slowest(SHOWN),
            sent_bytes,
            rate: self.speed.over(now, sent_bytes),
            receivers: self.roster.present().saturating_add(unlisted),
            unlisted,
            done: self.roster.done(),
            repairs: stats.repairs,
            naks: stats.received(PacketKind::Nak).packets,
        };
        let outbox = &mut session.outbox;
        outbox.tell_figures(SenderEvent::Progress(progress));
        outbox.flush();
    }
}

/// What the program is told of one receiver.
pub(super) fn told_of_receiver(event: engine::SenderEvent, offers: &Offers) -> Option<SenderEvent> {
    use engine::SenderEvent as E;
    Some(match event {
        E::Joined {
            receiver,
            address,
            unicast,
        } => SenderEvent::Joined {
            receiver,
            address,
            path: DeliveryPath::of(unicast),
        },
        E::Returned {
            receiver,
            outcome: None,
        } => SenderEvent::Returned { receiver },
        E::Moved {
            receiver,
            unicast,
            tier,
            cause,
        } => SenderEvent::Moved {
            receiver,
            path: DeliveryPath::of(unicast),
            tier,
            cause,
        },
        E::Done {
            receiver,
            object,
            outcome,
        } => SenderEvent::Done {
            receiver,
            name: object.map(|object| offers.name(object)),
            outcome,
        },
        E::Gone {
            receiver,
            cause,
            reason,
        } => SenderEvent::Gone {
            receiver,
            reason,
            cause,
        },
        // One that had ended wants something more, as was to be expected.
        _ => return None,
    })
}
