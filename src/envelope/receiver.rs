//! A receiver's end.

use core::ops::Range;
use std::collections::BTreeMap;

use super::{Author, Refused, Seal, TOLD_LEN, open_author, open_new, packet_number};
use super::{RECEIVER_CLEAR_LEN, seal_in_place, session, shape, u64_at};
use crate::ids::{ChannelNo, ReceiverId, SessionId};
use crate::seal::{GroupKey, ReplayWindow, Role, SESSION_LEN, SealKey};
use crate::time::Time;
use crate::wire::{self, CONTROL_HEADER_LEN, Layout};

/// Sessions whose keys are kept.
const MAX_SESSIONS: usize = 8;
/// Channels of a session, as many as an engine takes.
const MAX_CHANNELS: usize = 2_048;
/// Other receivers, whose NAKs are heard where they go to a group.
const MAX_OTHERS: usize = 2_048;

/// Seals what a receiver sends, and opens what senders, and other receivers, send to it.
#[derive(Debug)]
pub struct ReceiverEnvelopes {
    group: GroupKey,
    id: ReceiverId,
    /// Seals what it sends before it knows a session.
    asking: SealKey,
    sessions: Vec<Session>,
    followed: Option<SessionId>,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    told: [u8; SESSION_LEN],
    /// The keys of the sender's packets, and our own.
    data: SealKey,
    control: SealKey,
    own: SealKey,
    control_come: ReplayWindow,
    data_come: BTreeMap<ChannelNo, ReplayWindow>,
    others: BTreeMap<u64, Author>,
    heard_at: Time,
}

impl ReceiverEnvelopes {
    /// For a receiver whose id is random and fresh at each start: no key is used twice then.
    pub fn new(group: GroupKey, id: ReceiverId) -> ReceiverEnvelopes {
        ReceiverEnvelopes {
            asking: group.packets_of(&[0; SESSION_LEN], Role::Receiver, id.0),
            group,
            id,
            sessions: Vec::new(),
            followed: None,
        }
    }

    /// Opens a datagram in place, and says where in it the plain one stands.
    ///
    /// # Errors
    ///
    /// [`Refused`]; what is in the datagram means nothing then.
    pub fn open(&mut self, now: Time, datagram: &mut [u8]) -> Result<Range<usize>, Refused> {
        let layout = shape(datagram)?;
        let id = session(datagram);
        let known = self.sessions.iter().position(|s| s.id == id);
        let opened = match (layout, known) {
            (Layout::Data { header }, Some(at)) => self.sessions[at].open_data(datagram, header)?,
            (Layout::FromSender, Some(at)) => {
                let session = &mut self.sessions[at];
                open_control(&session.control, &mut session.control_come, datagram)?
            }
            (Layout::FromSender, None) => return self.meet(now, datagram),
            (Layout::FromReceiver, Some(at)) => {
                let Session { told, others, .. } = &mut self.sessions[at];
                let author = u64_at(datagram, CONTROL_HEADER_LEN);
                // To forget some would let what they said be repeated; without one's NAKs others ask a little more.
                if others.len() >= MAX_OTHERS && !others.contains_key(&author) {
                    return Err(Refused::Full);
                }
                let key = || self.group.packets_of(told, Role::Receiver, author);
                open_author(others, MAX_OTHERS, key, datagram)?
            }
            _ => return Err(Refused::OtherSession),
        };
        if let (Some(at), false) = (known, layout == Layout::FromReceiver) {
            self.sessions[at].heard_at = now;
        }
        wire::make_plain(&mut datagram[opened.clone()]);
        Ok(opened)
    }

    /// A sender's control packet of a session that is not known: it tells what its keys are made of. Anybody can
    /// tell again what was caught of old sessions, so the one that is followed stays, and others make room.
    fn meet(&mut self, now: Time, datagram: &mut [u8]) -> Result<Range<usize>, Refused> {
        let id = session(datagram);
        let told = datagram
            .get(CONTROL_HEADER_LEN..)
            .and_then(<[u8]>::first_chunk)
            .ok_or(Refused::Unsealed)?;
        let (told, mut come) = (*told, ReplayWindow::default());
        let control = self.group.packets_of(&told, Role::SenderControl, id.0);
        let opened = open_control(&control, &mut come, datagram)?;
        if self.sessions.len() >= MAX_SESSIONS {
            let others = self.sessions.iter().enumerate();
            let others = others.filter(|(_, s)| Some(s.id) != self.followed);
            if let Some((at, _)) = others.min_by_key(|(_, s)| s.heard_at) {
                self.sessions.swap_remove(at);
            }
        }
        self.sessions.push(Session {
            id,
            control,
            data: self.group.packets_of(&told, Role::Sender, id.0),
            own: self.group.packets_of(&told, Role::Receiver, self.id.0),
            told,
            control_come: come,
            data_come: BTreeMap::new(),
            others: BTreeMap::new(),
            heard_at: now,
        });
        wire::make_plain(&mut datagram[opened.clone()]);
        Ok(opened)
    }

    /// The engine follows this session from now on.
    pub fn follow(&mut self, session: SessionId) {
        self.followed = Some(session);
    }
}

/// What is told in the clear goes: the header moves up to the body.
fn open_control(
    key: &SealKey,
    come: &mut ReplayWindow,
    datagram: &mut [u8],
) -> Result<Range<usize>, Refused> {
    let clear = CONTROL_HEADER_LEN + TOLD_LEN;
    let number = u64_at(datagram, CONTROL_HEADER_LEN + SESSION_LEN);
    let opened = open_new(key, come, number, datagram, clear)?;
    datagram.copy_within(..CONTROL_HEADER_LEN, TOLD_LEN);
    Ok(TOLD_LEN..opened.end)
}

impl Session {
    fn open_data(&mut self, datagram: &mut [u8], header: usize) -> Result<Range<usize>, Refused> {
        let (channel, number) = (super::channel(datagram), packet_number(datagram));
        if let Some(come) = self.data_come.get_mut(&channel) {
            return open_new(&self.data, come, number, datagram, header);
        }
        let mut come = ReplayWindow::default();
        let opened = open_new(&self.data, &mut come, number, datagram, header)?;
        if self.data_come.len() >= MAX_CHANNELS {
            self.data_come.clear();
        }
        self.data_come.insert(channel, come);
        Ok(opened)
    }
}

impl Seal for ReceiverEnvelopes {
    fn seal(&mut self, out: &mut Vec<u8>, start: usize) {
        let plain = &out[start..];
        let (id, counter) = (session(plain), u64_at(plain, CONTROL_HEADER_LEN + 8));
        let key = match id {
            SessionId(0) => Some(&self.asking),
            id => self.sessions.iter().find(|s| s.id == id).map(|s| &s.own),
        };
        let ours = wire::layout(plain) == Some((Layout::FromReceiver, false));
        let sealed = match key {
            Some(key) if ours => seal_in_place(key, counter, out, start, RECEIVER_CLEAR_LEN),
            _ => false,
        };
        if !sealed {
            out.truncate(start);
        }
    }
}
