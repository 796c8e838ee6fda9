//! A sender's end.

use core::ops::Range;
use std::collections::BTreeMap;

use super::{Author, Refused, Seal, TOLD_LEN, open_author, open_in_place, packet_number};
use super::{RECEIVER_CLEAR_LEN, seal_in_place, session, shape, u64_at};
use crate::ids::{MAX_PACKET_NO, PacketNo, SessionId};
use crate::seal::{GroupKey, Role, SESSION_LEN, SealKey};
use crate::wire::{self, CONTROL_HEADER_LEN, Layout};

/// Receivers whose numbers are remembered: 1.2 KB each.
const MAX_AUTHORS: usize = 20_000;

/// Seals what a sender sends, and opens what receivers send to it.
#[derive(Debug)]
pub struct SenderEnvelopes {
    group: GroupKey,
    session: SessionId,
    /// 16 random bytes, fresh at each start.
    told: [u8; SESSION_LEN],
    data: SealKey,
    control: SealKey,
    /// The number of the next control packet.
    next: PacketNo,
    receivers: BTreeMap<u64, Author>,
}

impl SenderEnvelopes {
    /// For a session, with 16 random bytes that are fresh at each start: no key is used twice then.
    pub fn new(group: GroupKey, session: SessionId, fresh: [u8; SESSION_LEN]) -> SenderEnvelopes {
        SenderEnvelopes {
            data: group.packets_of(&fresh, Role::Sender, session.0),
            control: group.packets_of(&fresh, Role::SenderControl, session.0),
            group,
            session,
            told: fresh,
            next: 0,
            receivers: BTreeMap::new(),
        }
    }

    /// Opens a datagram in place, and says where in it the plain one stands.
    ///
    /// # Errors
    ///
    /// [`Refused`]; what is in the datagram means nothing then.
    pub fn open(&mut self, datagram: &mut [u8]) -> Result<Range<usize>, Refused> {
        if shape(datagram)? != Layout::FromReceiver {
            return Err(Refused::WrongEnd);
        }
        let opened = match session(datagram) {
            id if id == self.session => {
                let (group, told) = (&self.group, &self.told);
                let author = u64_at(datagram, CONTROL_HEADER_LEN);
                let key = || group.packets_of(told, Role::Receiver, author);
                open_author(&mut self.receivers, MAX_AUTHORS, key, datagram)?
            }
            // It does not know any session yet. Whoever repeats it gets what it is answered: a challenge.
            SessionId(0) => {
                let author = u64_at(datagram, CONTROL_HEADER_LEN);
                let number = u64_at(datagram, CONTROL_HEADER_LEN + 8);
                let key = self
                    .group
                    .packets_of(&[0; SESSION_LEN], Role::Receiver, author);
                open_in_place(&key, number, datagram, RECEIVER_CLEAR_LEN)?
            }
            _ => return Err(Refused::OtherSession),
        };
        wire::make_plain(&mut datagram[opened.clone()]);
        Ok(opened)
    }
}

impl Seal for SenderEnvelopes {
    fn seal(&mut self, out: &mut Vec<u8>, start: usize) {
        let sealed = match wire::layout(&out[start..]) {
            Some((Layout::Data { header }, false)) => {
                let number = packet_number(&out[start..]);
                seal_in_place(&self.data, number, out, start, header)
            }
            Some((Layout::FromSender, false)) if self.next <= MAX_PACKET_NO => {
                let number = self.next;
                self.next += 1;
                let told = self.told.into_iter().chain(number.to_be_bytes());
                let at = start + CONTROL_HEADER_LEN;
                out.splice(at..at, told);
                let clear = CONTROL_HEADER_LEN + TOLD_LEN;
                seal_in_place(&self.control, number, out, start, clear)
            }
            _ => false,
        };
        if !sealed {
            out.truncate(start);
        }
    }
}
