//! What comes from the network, and which following it is for.

use core::net::SocketAddr;

use crate::assemble::{Insert, SourceNo};
use crate::engine::following::{Following, News, Over};
use crate::engine::receiver::Receiver;
use crate::engine::{
    Command, DropReason, Object, ObjectKey, PacketKind, ReceiverEvent, Verdict, Via,
};
use crate::envelope::Refused;
use crate::ids::SessionId;
use crate::time::Time;
use crate::wire::{self, DataHeader, FromReceiver, FromSender, MoveCause, Packet, ReceiverBody};

impl Receiver {
    /// A datagram came from `from`. For data the verdict says what to do with the payload, which
    /// starts at byte 32 (36 for a part).
    pub fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        via: Via,
        datagram: &[u8],
    ) -> Verdict {
        if self.ended {
            return Verdict::Ignore;
        }
        match wire::parse(datagram) {
            Ok(Packet::Data(header, _)) => {
                return self.handle_data(now, from, &header, via, datagram.len());
            }
            Ok(Packet::FromSender(packet)) => {
                self.handle_sender(now, from, via, packet, datagram.len());
                self.settle();
            }
            Ok(Packet::FromReceiver(packet)) => {
                self.handle_receiver(now, via, &packet, datagram.len());
            }
            Err(error) => self.stats.dropped.add(error.into()),
        }
        Verdict::Ignore
    }

    /// A datagram came that the group's envelopes refuse: it is counted.
    pub fn handle_unopened(&mut self, refused: Refused) {
        self.stats.dropped.add(refused.into());
    }

    /// A data packet of `len` bytes of UDP payload came whose checksum holds; for drivers that have
    /// parsed it already.
    pub fn handle_data(
        &mut self,
        now: Time,
        from: SocketAddr,
        header: &DataHeader,
        via: Via,
        len: usize,
    ) -> Verdict {
        if self.ended {
            return Verdict::Ignore;
        }
        let Some(at) = self.following_of(header.session) else {
            self.each(now, |f, cx| f.hear_other_data(cx, via, header.one_way));
            return self.ignore(DropReason::OtherSession);
        };
        let source = self.library.sources_mut().number(from);
        if self.library.sources().is_shut_out(now, source) {
            return self.ignore(DropReason::Doubted);
        }
        let (mut cx, followings) = self.parts(now);
        match followings[at].hear_data(&mut cx, from, header, via, len) {
            Ok(object) => self.take_data(object, header, source),
            Err(reason) => self.ignore(reason),
        }
    }

    /// Takes a symbol, or a part of one, unless its block is in doubt or it is here.
    fn take_data(&mut self, object: ObjectKey, header: &DataHeader, source: SourceNo) -> Verdict {
        let (block, symbol) = (header.block, header.symbol);
        if self.library.doubts(object, block, symbol, source) {
            return self.ignore(DropReason::Doubted);
        }
        if header.part.is_none() {
            return self.take_symbol(object, header, source);
        }
        let held = |o: &Object| o.holdings().contains(block, symbol);
        if self.library.get(object).is_some_and(held) {
            return self.ignore(DropReason::Duplicate);
        }
        Verdict::Part { object }
    }

    /// All parts of a symbol have come, from one address: as
    /// [`handle_data`](Receiver::handle_data), for the whole symbol.
    pub fn handle_assembled(
        &mut self,
        _now: Time,
        from: SocketAddr,
        header: &DataHeader,
    ) -> Verdict {
        let source = self.library.sources_mut().number(from);
        match self.library.find(header.coding) {
            Some(key) if self.library.is_lacking(key) => self.take_symbol(key, header, source),
            _ => Verdict::Ignore,
        }
    }

    fn take_symbol(&mut self, object: ObjectKey, header: &DataHeader, source: SourceNo) -> Verdict {
        let block = header.block;
        match self.library.insert(object, block, header.symbol, source) {
            Insert::Duplicate => return self.ignore(DropReason::Duplicate),
            Insert::New => {}
            Insert::Completed => {
                for following in &mut self.followings {
                    following.filled(object, block);
                }
                if self.library.is_verified(object, block) {
                    self.finish_if_verified(object);
                } else {
                    self.command(Command::Check { object, block });
                }
            }
        }
        Verdict::Store { object }
    }

    fn ignore(&mut self, reason: DropReason) -> Verdict {
        self.stats.dropped.add(reason);
        Verdict::Ignore
    }

    /// The following of a session.
    fn following_of(&self, session: SessionId) -> Option<usize> {
        let follows = |f: &Following| f.over().is_none() && f.follows(session);
        self.followings.iter().position(follows)
    }

    /// The following that a sender's packet is for: that of its session, else one that looks for a
    /// sender, best of all there.
    fn following_for(&self, session: SessionId, from: SocketAddr) -> Option<usize> {
        let first = |fits: &dyn Fn(&Following) -> bool| {
            let mut all = self.followings.iter();
            all.position(|f| f.over().is_none() && fits(f))
        };
        self.following_of(session)
            .or_else(|| first(&|f| f.is_searching() && f.asks(from)))
            .or_else(|| first(&|f| f.is_searching()))
            .or_else(|| first(&|f| !f.is_vouched()))
            .or_else(|| first(&|_| true))
    }

    fn handle_sender(
        &mut self,
        now: Time,
        from: SocketAddr,
        via: Via,
        packet: FromSender,
        len: usize,
    ) {
        let over =
            |f: &Following| matches!(f.over(), Some(Over::Left)) && f.follows(packet.session);
        let is_done_with = self.followings.iter().any(over);
        let Some(at) = self
            .following_for(packet.session, from)
            .filter(|_| !is_done_with)
        else {
            return self.stats.dropped.add(DropReason::OtherSession);
        };
        let (mut cx, followings) = self.parts(now);
        let news = followings[at].hear_sender(&mut cx, from, via, packet, len);
        match news {
            Some(News::Withdrawn(object, reason)) => self.withdraw(now, at, object, reason),
            Some(News::Evicted(cause, reason)) => self.be_evicted(now, at, cause, reason),
            None => {}
        }
    }

    fn handle_receiver(&mut self, now: Time, via: Via, packet: &FromReceiver, len: usize) {
        if packet.receiver == self.config.id {
            return;
        }
        match (&packet.body, self.following_of(packet.session)) {
            (ReceiverBody::Nak(nak), Some(at)) if via == Via::Group => {
                self.stats.received.add(PacketKind::Nak, 1, len as u64);
                let (mut cx, followings) = self.parts(now);
                followings[at].hear_needs(&mut cx, packet.channel, &nak.needs);
            }
            _ => self.stats.dropped.add(DropReason::WrongEnd),
        }
    }

    /// A sender has withdrawn an object. While others offer it, it is still to be had.
    fn withdraw(&mut self, now: Time, at: usize, object: ObjectKey, reason: String) {
        let offers = |f: &Following| f.over().is_none() && f.offers(object);
        if !self.followings.iter().any(offers) {
            self.library.withdraw(now, object);
            self.command(Command::Abandon {
                object,
                keep: false,
            });
            self.out.event(ReceiverEvent::Withdrawn { object, reason });
        }
        let (cx, followings) = self.parts(now);
        followings[at].look_again(&cx);
    }

    /// A sender serves this receiver no more: with no other left, it leaves in peace and keeps what
    /// came.
    fn be_evicted(&mut self, now: Time, at: usize, cause: MoveCause, reason: String) {
        let others = |(i, f): (usize, &Following)| i != at && f.over().is_none();
        if !self.followings.iter().enumerate().any(others) {
            self.evicted = Some((reason, cause));
            return self.stop(now);
        }
        let (mut cx, followings) = self.parts(now);
        followings[at].leave(&mut cx);
    }
}
