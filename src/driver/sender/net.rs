//! The sender's network thread: one loop around the engine.
//!
//! Takes datagrams, blocks that were read, files that are ready, and time; asks the engine what to
//! do after each; sends. It waits for nothing but the poll.

mod events;
mod offers;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel as channel;
use mio::{Events, Poll, Token};

use super::messages::{Job, Message, Prepare, Read};
use super::roster::Roster;
use crate::driver::clock::{Alarm, Clock};
use crate::driver::control::{Control, Wish};
use crate::driver::interface::Interface;
use crate::driver::outbox::Outbox;
use crate::driver::outgoing::Outgoing;
use crate::driver::paths::{FileToOffer, Found};
use crate::driver::socket::{Batch, SendFault, Socket};
use crate::driver::speed::Speed;
use crate::driver::{DriverError, NotOffered, SenderEvent, SenderObject};
use crate::engine::{self, Burst, Link, ObjectKey};
use crate::envelope::{Seal, SenderEnvelopes};
use crate::fault::{FaultKind, StoreFault};
use crate::store::Store;
use crate::time::Time;

pub(crate) const WAKER: Token = Token(0);
const ALARM: Token = Token(1);
/// Tokens of sockets that answer; the socket's link is added.
const LINKS: usize = 2;
/// Tokens of sockets that only listen, numbered on.
const LISTENERS: usize = 1_000;

/// How often a file that keeps changing is offered anew.
const ATTEMPTS: u32 = 5;
/// How long a file that changed is left alone before it is hashed again; times the attempt.
const SETTLE: Duration = Duration::from_millis(500);
/// Figures go to the program this often.
const FIGURES: Duration = Duration::from_millis(200);
/// Bursts sent before sockets are looked at again.
const BURSTS_A_ROUND: usize = 16;
/// Batches received from one socket before the others are looked at again.
const BATCHES_A_ROUND: usize = 8;
/// How long the engine has to say farewell.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long to wait for a device whose queue is full.
const DEVICE_WAIT: Duration = Duration::from_micros(500);

/// What a socket that only listens is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Requests to the base group.
    Requests,
    /// Other senders on the base group.
    OtherSenders,
    /// NAKs to the group that these objects are sent to.
    Feedback(BTreeSet<ObjectKey>),
}

/// A socket that only listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    pub(crate) purpose: Purpose,
    pub(crate) group: IpAddr,
}

/// An object as the driver knows it.
#[derive(Debug)]
struct Offered {
    file: FileToOffer,
    attempt: u32,
    source: Arc<dyn Store>,
    figures: SenderObject,
}

/// What the network thread is made of.
pub(crate) struct Parts {
    pub(crate) engine: engine::Sender,
    pub(crate) envelopes: Option<SenderEnvelopes>,
    pub(crate) clock: Clock,
    pub(crate) control: Arc<Control>,
    pub(crate) poll: Poll,
    pub(crate) interface: Interface,
    pub(crate) links: Vec<Socket>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) outbox: Outbox<SenderEvent>,
    pub(crate) messages: channel::Receiver<Message>,
    pub(crate) to_hasher: channel::Sender<Job>,
    pub(crate) to_reader: channel::Sender<Read>,
    pub(crate) found: Found,
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

/// The loop's state.
pub(crate) struct Net {
    engine: engine::Sender,
    envelopes: Option<SenderEnvelopes>,
    clock: Clock,
    control: Arc<Control>,
    poll: Poll,
    alarm: Alarm,
    interface: Interface,
    v4: bool,
    links: Vec<Socket>,
    listeners: HashMap<usize, Listener>,
    next_listener: usize,
    /// Tokens of sockets that may have something to receive.
    ready: Vec<usize>,
    /// Out while its datagrams are being handled.
    batch: Option<Box<Batch>>,
    burst: Burst,
    out: Outgoing,
    /// The link that `out` waits for to be writable.
    waits_for: Option<Link>,
    retry_at: Option<Time>,
    slots: Vec<Option<Vec<u8>>>,
    outbox: Outbox<SenderEvent>,
    messages: channel::Receiver<Message>,
    to_hasher: channel::Sender<Job>,
    to_reader: channel::Sender<Read>,
    /// Jobs that the hashing thread has or will get.
    preparing: usize,
    /// Files that get a while to settle first.
    later: Vec<(Time, Prepare)>,
    objects: HashMap<ObjectKey, Offered>,
    ended_objects: Vec<SenderObject>,
    not_offered: Vec<NotOffered>,
    roster: Roster,
    speed: Speed,
    figures_at: Time,
    /// Faults told to the program, one of each kind.
    told: Vec<String>,
    stop_at: Option<Time>,
    stopped: bool,
    finished: bool,
    aborted: bool,
    /// A thread of ours that has died.
    broken: Option<&'static str>,
}

impl Net {
    pub(crate) fn new(parts: Parts) -> Result<Net, DriverError> {
        let Parts {
            engine,
            clock,
            poll,
            interface,
            mut links,
            listeners,
            ..
        } = parts;
        let registry = poll.registry();
        let trouble = |source| DriverError::Socket {
            what: "watch a socket",
            source,
        };
        let alarm = Alarm::new(registry, ALARM).map_err(trouble)?;
        let mut ready = Vec::new();
        for (n, socket) in links.iter_mut().enumerate() {
            socket
                .register(registry, Token(LINKS + n))
                .map_err(trouble)?;
            ready.push(LINKS + n);
        }
        let slots = engine.config().slots;
        let mut net = Net {
            engine,
            envelopes: parts.envelopes,
            clock,
            control: parts.control,
            alarm,
            v4: links.first().is_none_or(|l| l.local().is_ipv4()),
            interface,
            links,
            listeners: HashMap::new(),
            next_listener: LISTENERS,
            ready,
            batch: Some(Box::new(Batch::new())),
            burst: Burst::default(),
            out: Outgoing::new(),
            waits_for: None,
            retry_at: None,
            slots: (0..slots).map(|_| Some(Vec::new())).collect(),
            outbox: parts.outbox,
            messages: parts.messages,
            to_hasher: parts.to_hasher,
            to_reader: parts.to_reader,
            preparing: 0,
            later: Vec::new(),
            objects: HashMap::new(),
            ended_objects: Vec::new(),
            not_offered: Vec::new(),
            roster: Roster::default(),
            speed: Speed::default(),
            figures_at: Time::ZERO,
            told: Vec::new(),
            stop_at: None,
            stopped: false,
            finished: false,
            aborted: false,
            broken: None,
            poll,
        };
        for listener in listeners {
            net.listen(listener)?;
        }
        let now = net.clock.now();
        net.found(now, parts.found);
        Ok(net)
    }

    /// Runs until all is done or it was told to end.
    pub(crate) fn run(mut self) -> Result<Remains, DriverError> {
        let mut events = Events::with_capacity(64);
        loop {
            let now = self.clock.now();
            match self.control.wish() {
                Wish::None => {}
                Wish::Stop => self.stop(now, true),
                Wish::Abort => break,
            }
            self.take_messages(now);
            self.on_time(now);
            let mut more = self.drain();
            more |= self.receive();
            if self.aborted || self.broken.is_some() || self.finished && self.out.is_empty() {
                break;
            }
            let timeout = if more {
                Some(Duration::ZERO)
            } else {
                let wake_at = self.wake_at();
                let alarm = self.alarm.set(self.clock.now(), wake_at);
                alarm.map_err(|source| DriverError::Socket {
                    what: "set a timer",
                    source,
                })?
            };
            match self.poll.poll(&mut events, timeout) {
                Err(e) if e.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(DriverError::Socket {
                        what: "wait for packets",
                        source: e,
                    });
                }
                _ => {}
            }
            for event in &events {
                let token = event.token().0;
                if token < LINKS {
                    continue;
                }
                if event.is_writable()
                    && self
                        .waits_for
                        .is_some_and(|l| LINKS + usize::from(l.0) == token)
                {
                    self.watch_writable(false);
                }
                if event.is_readable() && !self.ready.contains(&token) {
                    self.ready.push(token);
                }
            }
        }
        if let Some(thread) = self.broken {
            return Err(DriverError::Panicked(thread));
        }
        self.figures(self.clock.now());
        self.outbox.tell(SenderEvent::Finished);
        Ok(self.remains())
    }

    fn remains(self) -> Remains {
        self.outbox.close();
        let mut objects = self.ended_objects;
        objects.extend(self.objects.into_values().map(|o| o.figures));
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        let drops = self
            .links
            .iter()
            .chain(self.listeners.values().map(|l| &l.socket));
        Remains {
            overflowed: drops.map(|s| u64::from(s.receive_buffer().drops)).sum(),
            v4: self.v4,
            engine: self.engine,
            roster: self.roster,
            objects,
            not_offered: self.not_offered,
            stopped: self.stopped,
        }
    }

    /// The next moment at which something is due.
    fn wake_at(&self) -> Option<Time> {
        let mut engine = self.engine.poll_timeout().map(|(at, _)| at);
        if !self.out.is_empty() {
            // What the pacer would let go has to wait for the socket: don't spin until then.
            let soon = self.clock.now() + DEVICE_WAIT;
            engine = engine.map(|at| at.max(soon));
        }
        let later = self.later.iter().map(|(at, _)| *at).min();
        let times = [
            engine,
            later,
            self.retry_at,
            self.stop_at,
            Some(self.figures_at),
        ];
        times.into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Time) {
        if self.engine.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.engine.handle_timeout(now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        if self.stop_at.is_some_and(|at| at <= now) {
            self.aborted = true;
        }
        while let Some(at) = self.later.iter().position(|(at, _)| *at <= now) {
            let (_, prepare) = self.later.swap_remove(at);
            self.preparing -= 1;
            self.prepare(now, prepare);
        }
        if self.figures_at <= now {
            self.figures_at = now + FIGURES;
            self.figures(now);
        }
    }

    fn take_messages(&mut self, now: Time) {
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Read {
                    command,
                    buffer,
                    result,
                } => {
                    if let Some(slot) = self.slots.get_mut(usize::from(command.slot.0)) {
                        *slot = Some(buffer);
                    }
                    self.engine.handle_read(now, command.slot, result);
                }
                Message::Hashing { name, done, total } => {
                    self.outbox
                        .tell_figures(SenderEvent::Hashing { name, done, total });
                }
                Message::Prepared(prepared) => self.offer(now, *prepared),
                Message::Unprepared { path, reason } => {
                    self.not_offered(path, reason);
                    self.prepared(now);
                }
                Message::Offer(path) => self.have_hashed(now, Job::Find(path)),
                Message::Found { path, found } => {
                    match found {
                        Ok(found) => self.found(now, found),
                        Err(error) => self.not_offered(path, error.to_string()),
                    }
                    self.prepared(now);
                }
            }
            self.drain_engine();
        }
    }

    fn stop(&mut self, now: Time, told: bool) {
        if self.stop_at.is_none() {
            self.stopped |= told;
            self.stop_at = Some(now + FAREWELL);
            self.engine.stop(now);
        }
    }

    /// Does what the engine asks for; true when it has more to send at once.
    fn drain(&mut self) -> bool {
        self.drain_engine();
        self.transmit()
    }

    fn drain_engine(&mut self) {
        while let Some(command) = self.engine.poll_read() {
            let slot = self
                .slots
                .get_mut(usize::from(command.slot.0))
                .and_then(Option::take);
            let source = self.objects.get(&command.object).map(|o| o.source.clone());
            match (slot, source) {
                (Some(buffer), Some(source)) => {
                    // As many can be under way as there are slots.
                    let read = Read {
                        command,
                        source,
                        buffer,
                    };
                    if self.to_reader.send(read).is_err() {
                        self.broken = Some("reading");
                        return;
                    }
                }
                (slot, _) => {
                    if let (Some(place), Some(buffer)) =
                        (self.slots.get_mut(usize::from(command.slot.0)), slot)
                    {
                        *place = Some(buffer);
                    }
                    let fault = StoreFault::new(FaultKind::Gone, "the object is gone");
                    self.engine
                        .handle_read(self.clock.now(), command.slot, Err(fault));
                }
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.on_event(event);
        }
    }

    fn transmit(&mut self) -> bool {
        for _ in 0..BURSTS_A_ROUND {
            if !self.out.is_empty() && !self.send_loaded() {
                return false;
            }
            let now = self.clock.now();
            if !self.engine.poll_transmit(now, &mut self.burst) {
                return false;
            }
            let run = self.burst.run;
            let symbol_size = run.and_then(|r| self.objects.get(&r.object));
            let symbol_size =
                symbol_size.map_or(0, |o| o.source.description().geometry.symbol_size());
            let slot = run.and_then(|r| self.slots.get(usize::from(r.slot.0))?.as_deref());
            let seal = self.envelopes.as_mut().map(|e| e as &mut dyn Seal);
            let slot = slot.unwrap_or_default();
            self.out.load(&self.burst, slot, symbol_size, seal);
        }
        self.out.is_empty() || self.send_loaded()
    }

    /// Sends what is loaded; false when it has to wait.
    fn send_loaded(&mut self) -> bool {
        if self.waits_for.is_some() || self.retry_at.is_some() {
            return false;
        }
        let (to, link) = self.out.way();
        let Some(socket) = self.links.get_mut(usize::from(link.0)) else {
            self.out.clear();
            return true;
        };
        match self.out.send(socket) {
            Ok(()) => self.out.clear(),
            Err(SendFault::Full) => {
                self.waits_for = Some(link);
                self.watch_writable(true);
                return false;
            }
            Err(SendFault::NoBuffers) => {
                self.retry_at = Some(self.clock.now() + DEVICE_WAIT);
                return false;
            }
            Err(SendFault::TooLarge) => {
                let size = self.out.segment();
                self.out.clear();
                if self.told_once(format!("{size}")) {
                    self.outbox.tell(SenderEvent::TooLarge { size });
                }
            }
            Err(SendFault::Other(error)) => {
                self.out.clear();
                self.cannot_send(to, error.to_string());
            }
        }
        true
    }

    fn cannot_send(&mut self, to: SocketAddr, reason: String) {
        if self.told_once(reason.clone()) {
            self.outbox.tell(SenderEvent::CannotSend { to, reason });
        }
    }

    /// Whether a fault is new: it will come back with every packet.
    fn told_once(&mut self, fault: String) -> bool {
        let new = !self.told.contains(&fault) && self.told.len() < 100;
        if new {
            self.told.push(fault);
        }
        new
    }

    fn watch_writable(&mut self, watch: bool) {
        let Some(link) = self.waits_for else { return };
        let token = Token(LINKS + usize::from(link.0));
        if let Some(socket) = self.links.get_mut(usize::from(link.0)) {
            let watched = socket.wake_when_writable(self.poll.registry(), token, watch);
            if watch && watched.is_err() {
                self.retry_at = Some(self.clock.now() + DEVICE_WAIT);
                self.waits_for = None;
            }
        }
        if !watch {
            self.waits_for = None;
        }
    }

    /// Receives a bounded number of datagrams; true when there may be more.
    fn receive(&mut self) -> bool {
        let mut ready = std::mem::take(&mut self.ready);
        ready.retain(|&token| self.receive_from(token));
        let more = !ready.is_empty();
        self.ready.append(&mut ready);
        more
    }

    fn receive_from(&mut self, token: usize) -> bool {
        let mut batch = self.batch.take().unwrap_or_default();
        let more = self.receive_batches(token, &mut batch);
        self.batch = Some(batch);
        more
    }

    fn receive_batches(&mut self, token: usize, batch: &mut Batch) -> bool {
        for _ in 0..BATCHES_A_ROUND {
            let (socket, link) = match token.checked_sub(LINKS) {
                Some(n) if token < LISTENERS => (self.links.get(n), Link(n as u8)),
                _ => (self.listeners.get(&token).map(|l| &l.socket), Link::GROUP),
            };
            let Some(socket) = socket else { return false };
            match socket.receive(batch) {
                Ok(0) => return false,
                Ok(_) => {}
                // An answer to something that we sent (a port is closed there); there may be more.
                Err(_) => continue,
            }
            let now = self.clock.now();
            for (from, datagram) in batch.datagrams() {
                let plain = match &mut self.envelopes {
                    None => &*datagram,
                    Some(envelopes) => match envelopes.open(datagram) {
                        Ok(plain) => &datagram[plain],
                        Err(refused) => {
                            self.engine.handle_unopened(refused);
                            continue;
                        }
                    },
                };
                self.engine.handle_datagram(now, from, link, plain);
                self.drain_engine();
            }
            self.drain();
        }
        true
    }
}
