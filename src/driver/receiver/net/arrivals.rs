//! What comes in: datagrams, opened and parsed, to the engine and to the blocks that they belong
//! to.

use std::net::SocketAddr;

use crate::driver::receiver::contents::{Contents, Stored};
use crate::driver::receiver::discards::Discards;
use crate::driver::receiver::intake::Intake;
use crate::engine::{self, ObjectKey, Verdict, Via};
use crate::envelope::ReceiverEnvelopes;
use crate::ids::SessionId;
use crate::time::Time;
use crate::wire::{self, DataHeader, Packet};

/// What a datagram meets before and after the engine.
pub(super) struct Arrivals {
    pub(super) envelopes: Option<ReceiverEnvelopes>,
    pub(super) discards: Discards,
    pub(super) intake: Intake,
}

impl Arrivals {
    /// Takes a datagram, which it may open in place.
    pub(super) fn take(
        &mut self,
        now: Time,
        (from, via): (SocketAddr, Via),
        datagram: &mut [u8],
        engine: &mut engine::Receiver,
        contents: &mut Contents,
    ) {
        let data = datagram.first().is_some_and(|b| matches!(b & 0xf, 1 | 2));
        if self.discards.takes(via, data) {
            return;
        }
        let datagram = match &mut self.envelopes {
            None => &*datagram,
            Some(envelopes) => match envelopes.open(now, datagram) {
                Ok(plain) => &datagram[plain],
                Err(refused) => return engine.handle_unopened(refused),
            },
        };
        let Some(Ok(Packet::Data(header, payload))) = data.then(|| wire::parse(datagram)) else {
            // The engine counts what does not parse.
            engine.handle_datagram(now, from, via, datagram);
            return;
        };
        match engine.handle_data(now, from, &header, via, datagram.len()) {
            Verdict::Ignore => {}
            Verdict::Store { object } => {
                self.store(now, object, &header, payload, engine, contents);
            }
            Verdict::Part { object } => {
                let Some(whole) = contents.add_part(object, &header, from, payload) else {
                    return;
                };
                let header = DataHeader {
                    part: None,
                    ..header
                };
                if let Verdict::Store { object } = engine.handle_assembled(now, from, &header) {
                    self.store(now, object, &header, &whole, engine, contents);
                }
            }
        }
    }

    /// The session whose envelopes are opened from now on.
    pub(super) fn follow(&mut self, session: SessionId) {
        if let Some(envelopes) = &mut self.envelopes {
            envelopes.follow(session);
        }
    }

    /// Puts a symbol where it belongs, or says that it can't.
    fn store(
        &mut self,
        now: Time,
        object: ObjectKey,
        header: &DataHeader,
        payload: &[u8],
        engine: &mut engine::Receiver,
        contents: &mut Contents,
    ) {
        let stored = contents.store(object, header, payload);
        if stored == Stored::Stalled {
            self.intake.stalled += 1;
        }
        if stored != Stored::Kept {
            engine.handle_refused(now, object, header);
        }
    }
}
