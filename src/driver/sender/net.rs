//! What a reactor drives of a sender: the engine, and what its driver keeps around it.
//!
//! Takes datagrams, blocks that were read, files that are ready, and time; gives each to the part
//! that it concerns.

mod blocks;
mod figures;
mod listeners;
mod offers;
mod session;

use std::net::SocketAddr;

use crossbeam_channel as channel;

use super::messages::{Job, Message, Read};
use super::roster::Roster;
use crate::driver::outbox::Outbox;
use crate::driver::outgoing::Outgoing;
use crate::driver::reactor::{Ending, Engine, Look, Sockets};
use crate::driver::sender::naming::PathToOffer;
use crate::driver::socket::{SendFault, Socket};
use crate::driver::{DriverError, NotOffered, SenderEvent, SenderObject};
use crate::engine::{self, Burst, Link, ObjectKey};
use crate::envelope::{Seal, SenderEnvelopes};
use crate::fault::{FaultKind, StoreFault};
use crate::time::Time;
use blocks::{Asked, Blocks};
use figures::{Figures, told_of_receiver};
use listeners::Listeners;
pub(super) use listeners::{Listener, Purpose};
use offers::Offers;
use session::Session;

use crate::driver::interface::Interface;

/// What the network thread is made of.
pub(crate) struct Setup {
    pub(crate) engine: engine::Sender,
    pub(crate) envelopes: Option<SenderEnvelopes>,
    pub(crate) interface: Interface,
    pub(crate) links: Vec<Socket>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) outbox: Outbox<SenderEvent>,
    pub(crate) messages: channel::Receiver<Message>,
    pub(crate) to_hasher: channel::Sender<Job>,
    pub(crate) to_reader: channel::Sender<Read>,
    pub(crate) named: Vec<PathToOffer>,
}

/// What the network thread leaves behind.
pub(crate) struct Remains {
    pub(crate) engine: engine::Sender,
    pub(crate) roster: Roster,
    pub(crate) objects: Vec<SenderObject>,
    pub(crate) not_offered: Vec<NotOffered>,
    pub(crate) stopped: bool,
    pub(crate) overflowed: u64,
    pub(crate) v4: bool,
}

/// A sender's parts.
pub(crate) struct Net {
    session: Session,
    envelopes: Option<SenderEnvelopes>,
    messages: channel::Receiver<Message>,
    blocks: Blocks,
    offers: Offers,
    listeners: Listeners,
    figures: Figures,
}

impl Net {
    /// Puts the sockets where they belong: those that answer first, so that a link's number is its
    /// socket's.
    pub(crate) fn new(
        now: Time,
        setup: Setup,
        sockets: &mut Sockets<Link>,
    ) -> Result<Net, DriverError> {
        let trouble = |source| DriverError::Socket {
            what: "watch a socket",
            source,
        };
        let v4 = setup.links.first().is_none_or(|l| l.local().is_ipv4());
        for (n, socket) in setup.links.into_iter().enumerate() {
            let added = sockets.add(socket, Link(n as u8), Look::WhenReady);
            added.map_err(trouble)?;
        }
        let mut listeners = Listeners::new(setup.interface);
        for listener in setup.listeners {
            listeners.add(listener, sockets).map_err(trouble)?;
        }
        let slots = setup.engine.config().slots;
        let mut net = Net {
            session: Session::new(setup.engine, setup.outbox),
            envelopes: setup.envelopes,
            messages: setup.messages,
            blocks: Blocks::new(slots, setup.to_reader),
            offers: Offers::new(setup.to_hasher),
            listeners,
            figures: Figures::new(v4),
        };
        for path in setup.named {
            net.offers.named(now, path, &mut net.session);
        }
        Ok(net)
    }

    fn on_message(&mut self, now: Time, message: Message) {
        let session = &mut self.session;
        match message {
            Message::Read {
                command,
                buffer,
                result,
            } => {
                self.blocks.put_back(command.slot, buffer);
                session.engine.handle_read(now, command.slot, result);
            }
            Message::Hashing { name, done, total } => {
                let hashing = SenderEvent::Hashing { name, done, total };
                session.outbox.tell_figures(hashing);
            }
            Message::Prepared(prepared) => self.offers.offer(now, *prepared, session),
            Message::Unprepared { path, reason } => {
                self.offers.not_offered(path, reason, session);
                self.offers.prepared(now, session);
            }
            Message::Looked { object, result } => {
                self.offers.looked(now, object);
                if let Err(fault) = result {
                    session.engine.withdraw(now, object, &fault.to_string());
                }
            }
            Message::Offer(path) => self.offers.have_hashed(now, Job::Name(path), session),
            Message::Named { path, named } => {
                match named {
                    Ok(path) => self.offers.named(now, path, session),
                    Err(error) => self.offers.not_offered(path, error.to_string(), session),
                }
                self.offers.prepared(now, session);
            }
        }
    }

    /// Passes on what the engine tells: to the program, to the roster, and for the sockets that
    /// only listen.
    fn on_event(&mut self, now: Time, event: engine::SenderEvent, sockets: &mut Sockets<Link>) {
        use engine::SenderEvent as E;
        self.figures.note(now, &event);
        let told = match event {
            E::Started { object, group, .. } => {
                self.offers.look(now, object);
                self.hear_feedback(object, group, sockets);
                let name = self.offers.name(object);
                Some(SenderEvent::Started { name, group })
            }
            E::Stopped { object } => {
                self.listeners.stop_feedback(object, sockets);
                let name = self.offers.name(object);
                Some(SenderEvent::Stopped { name })
            }
            E::CycleEnded {
                object,
                cycle,
                blocks_left,
            } => Some(SenderEvent::CycleEnded {
                name: self.offers.cycle_ended(object, cycle),
                cycle,
                blocks_left,
            }),
            E::Withdrawn { object, reason } => {
                let name = self.offers.name(object);
                self.listeners.stop_feedback(object, sockets);
                self.offers
                    .withdrawn(now, object, &reason, &mut self.session);
                Some(SenderEvent::Withdrawn { name, reason })
            }
            E::OtherSession { session, address } => {
                self.listeners.stop_other_senders(sockets);
                Some(SenderEvent::AnotherSender { session, address })
            }
            E::Finished => {
                self.session.ending.finish();
                None
            }
            of_receiver => {
                if matches!(of_receiver, E::Joined { .. } | E::Returned { .. }) {
                    self.offers.look_at_all(now);
                }
                told_of_receiver(of_receiver, &self.offers)
            }
        };
        if let Some(told) = told {
            self.session.outbox.tell(told);
        }
    }

    fn hear_feedback(&mut self, object: ObjectKey, group: SocketAddr, sockets: &mut Sockets<Link>) {
        let config = self.session.engine.config();
        let base = config.groups.first().is_some_and(|base| *base == group);
        // What goes to the base group is heard with the requests.
        if !config.group_feedback || base {
            return;
        }
        if let Err((to, reason)) = self.listeners.hear_feedback(object, group, sockets) {
            self.session.cannot_send(to, reason);
        }
    }
}

impl Engine for Net {
    type By = Link;
    type Remains = Remains;

    const BURSTS_A_ROUND: usize = 16;
    const ANSWERS_AT_ONCE: bool = false;

    fn socket_of(link: Link) -> usize {
        usize::from(link.0)
    }

    fn on_datagram(&mut self, now: Time, from: SocketAddr, link: Link, datagram: &mut [u8]) {
        let engine = &mut self.session.engine;
        let plain = match &mut self.envelopes {
            None => &*datagram,
            Some(envelopes) => match envelopes.open(datagram) {
                Ok(plain) => &datagram[plain],
                Err(refused) => return engine.handle_unopened(refused),
            },
        };
        engine.handle_datagram(now, from, link, plain);
    }

    fn on_batch(&mut self, _runs: usize, _datagrams: u64) {}

    fn take_message(&mut self, now: Time) -> bool {
        let message = self.messages.try_recv();
        message.is_ok_and(|message| {
            self.on_message(now, message);
            true
        })
    }

    fn on_time(&mut self, now: Time, _sockets: &Sockets<Link>) {
        let engine = &mut self.session.engine;
        if engine.poll_timeout().is_some_and(|(at, _)| at <= now) {
            engine.handle_timeout(now);
        }
        self.offers.on_time(now, &mut self.session);
    }

    fn next(&self) -> Option<Time> {
        let engine = self.session.engine.poll_timeout().map(|(at, _)| at);
        [engine, self.offers.next()].into_iter().flatten().min()
    }

    fn work(&mut self, now: Time, sockets: &mut Sockets<Link>) {
        while let Some(command) = self.session.engine.poll_read() {
            let (slot, source) = (command.slot, self.offers.source(command.object).cloned());
            match self.blocks.read(command, source) {
                Asked::Reading => {}
                Asked::Broken => return self.session.ending.break_off("reading"),
                Asked::Gone => {
                    let fault = StoreFault::new(FaultKind::Gone, "the object is gone");
                    self.session.engine.handle_read(now, slot, Err(fault));
                }
            }
        }
        while let Some(event) = self.session.engine.poll_event() {
            self.on_event(now, event, sockets);
        }
    }

    fn load(&mut self, now: Time, burst: &mut Burst, out: &mut Outgoing) -> bool {
        if !self.session.engine.poll_transmit(now, burst) {
            return false;
        }
        let run = burst.run;
        let source = run.and_then(|run| self.offers.source(run.object));
        let symbol_size = source.map_or(0, |s| s.description().geometry.symbol_size());
        let bytes = run.map_or(&[][..], |run| self.blocks.bytes(run.slot));
        let seal = self.envelopes.as_mut().map(|e| e as &mut dyn Seal);
        out.load(burst, bytes, symbol_size, seal);
        true
    }

    fn on_unsent(&mut self, to: SocketAddr, size: usize, fault: SendFault) {
        self.session.on_unsent(to, size, fault);
    }

    fn on_round(&mut self, _now: Time, _more: bool, _sockets: &Sockets<Link>) {}

    fn figures(&mut self, now: Time, _sockets: &Sockets<Link>) {
        self.figures.tell(now, &mut self.session);
    }

    fn stop(&mut self, now: Time) {
        self.session.stop(now, true);
    }

    fn ending(&self) -> &Ending {
        &self.session.ending
    }

    fn close(self, sockets: &Sockets<Link>) -> Remains {
        let Session {
            engine,
            mut outbox,
            ending,
            ..
        } = self.session;
        outbox.tell(SenderEvent::Finished);
        outbox.close();
        let (objects, not_offered) = self.offers.into_summary();
        Remains {
            engine,
            roster: self.figures.roster,
            objects,
            not_offered,
            stopped: ending.was_told(),
            overflowed: sockets.buffers().map(|b| u64::from(b.drops)).sum(),
            v4: self.figures.v4,
        }
    }
}
