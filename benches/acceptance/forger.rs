//! What somebody on the path who has no key says: what it caught, once more or changed, and what it
//! makes up in loopcast's formats.

use std::collections::VecDeque;

use loopcast::ids::{Cookie, ReceiverId, SessionId, ShortCodingId};
use loopcast::wire::{
    self, Done, FromReceiver, Nak, Need, Needs, Outcome, Packet, ReceiverBody, write_data,
};
use loopcast_lab::attacker;

/// Packets that it remembers.
const CAUGHT: usize = 2_000;

/// What it has caught, and what it says next.
#[derive(Default)]
pub(crate) struct Forger {
    caught: VecDeque<Vec<u8>>,
    rng: fastrand::Rng,
}

impl attacker::Mind for Forger {
    fn catch(&mut self, datagram: &[u8]) {
        if self.caught.len() == CAUGHT {
            self.caught.pop_front();
        }
        self.caught.push_back(datagram.to_vec());
    }

    fn next(&mut self) -> Vec<u8> {
        let caught = self.rng.usize(..self.caught.len().max(1));
        let Some(caught) = self.caught.get(caught).filter(|d| d.len() >= 32).cloned() else {
            return self.random();
        };
        match self.rng.u8(..5) {
            0 => self.random(),
            1 => self.changed(caught),
            2 => self.false_data(&caught),
            3 => self.false_feedback(&caught),
            _ => caught,
        }
    }
}

impl Forger {
    fn random(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.rng.usize(1..1_400)];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// Other bytes, and the checksum that they need.
    fn changed(&mut self, mut datagram: Vec<u8>) -> Vec<u8> {
        let at = self.rng.usize(16..datagram.len());
        datagram[at] ^= 1 << self.rng.u8(..8);
        if let Some((packet, crc)) = datagram.split_last_chunk_mut::<4>() {
            *crc = crc32fast::hash(packet).to_be_bytes();
        }
        datagram
    }

    /// A symbol of what is being sent, with bytes that are not its own.
    fn false_data(&mut self, caught: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match wire::parse(caught) {
            Ok(Packet::Data(mut header, payload)) => {
                // One that is still to come, so that it is taken.
                header.packet += self.rng.u64(..100);
                header.block += self.rng.u32(..3);
                header.symbol = self.rng.u16(..512);
                let mut payload = payload.to_vec();
                self.rng.fill(&mut payload);
                write_data(&header, &payload, &mut out);
            }
            // Sealed: the header can be read all the same.
            _ => {
                out.extend_from_slice(caught);
                self.rng.fill(&mut out[24..]);
            }
        }
        out
    }

    /// A NAK or a done of somebody.
    fn false_feedback(&mut self, caught: &[u8]) -> Vec<u8> {
        let u64_at = |at: usize| {
            let bytes = caught[at..at + 8].try_into();
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        let (session, coding) = (u64_at(8), u64_at(16));
        let coding = ShortCodingId(coding);
        let entries = vec![Need::Blocks {
            first: self.rng.u32(..100),
            count: 50,
        }];
        let body = if self.rng.bool() {
            ReceiverBody::Nak(Nak {
                seen_to: self.rng.u64(..100_000),
                needs: Needs { coding, entries },
                more: false,
            })
        } else {
            ReceiverBody::Done(vec![Done {
                coding,
                outcome: Outcome::Complete,
            }])
        };
        let mut out = Vec::new();
        FromReceiver {
            channel: 0,
            session: SessionId(session),
            receiver: ReceiverId(self.rng.u64(1..)),
            counter: self.rng.u64(..1 << 40),
            cookie: Cookie(self.rng.u64(..)),
            echo: None,
            body,
        }
        .encode(&mut out);
        out
    }
}
