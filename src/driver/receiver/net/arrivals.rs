//! What comes in: datagrams, opened and parsed, to the engine and to the blocks that they belong to.

use std::net::SocketAddr;

use super::Net;
use crate::driver::receiver::contents::Stored;
use crate::engine::{ObjectKey, Verdict, Via};
use crate::time::Time;
use crate::wire::{self, DataHeader, Packet};

impl Net {
    pub(super) fn take(&mut self, now: Time, from: SocketAddr, via: Via, datagram: &mut [u8]) {
        let data = datagram.first().is_some_and(|b| matches!(b & 0xf, 1 | 2));
        if self.discards.takes(via, data) {
            return;
        }
        let datagram = match &mut self.envelopes {
            None => &*datagram,
            Some(envelopes) => match envelopes.open(now, datagram) {
                Ok(plain) => &datagram[plain],
                Err(refused) => return self.engine.handle_unopened(refused),
            },
        };
        match data.then(|| wire::parse(datagram)) {
            Some(Ok(Packet::Data(header, payload))) => {
                let len = datagram.len();
                let verdict = self.engine.handle_data(now, from, &header, via, len);
                self.on_verdict(now, from, verdict, &header, payload);
            }
            // The engine counts what does not parse.
            _ => {
                self.engine.handle_datagram(now, from, via, datagram);
            }
        }
    }

    fn on_verdict(
        &mut self,
        now: Time,
        from: SocketAddr,
        verdict: Verdict,
        header: &DataHeader,
        payload: &[u8],
    ) {
        match verdict {
            Verdict::Ignore => {}
            Verdict::Store { object } => self.store(now, object, header, payload),
            Verdict::Part { object } => {
                let Some(whole) = self.contents.add_part(object, header, from, payload) else {
                    return;
                };
                let header = DataHeader {
                    part: None,
                    ..*header
                };
                let verdict = self.engine.handle_assembled(now, from, &header);
                if let Verdict::Store { object } = verdict {
                    self.store(now, object, &header, &whole);
                }
            }
        }
    }

    /// Puts a symbol where it belongs, or says that it can't.
    fn store(&mut self, now: Time, object: ObjectKey, header: &DataHeader, payload: &[u8]) {
        let stored = self.contents.store(object, header, payload);
        if stored == Stored::Stalled {
            self.intake.stalled += 1;
        }
        if stored != Stored::Kept {
            self.engine.handle_refused(now, object, header);
        }
    }
}
