//! The sender's network thread: one loop around the engine.
//!
//! Takes datagrams, blocks that were read, files that are ready, and time; asks the engine what to
//! do after each; sends. It waits for nothing but the poll.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel as channel;
use mio::{Events, Poll, Token};

use super::messages::{Message, Prepare, Prepared, Read};
use super::roster::Roster;
use crate::config;
use crate::driver::clock::{Alarm, Clock};
use crate::driver::control::{Control, Wish};
use crate::driver::events::SenderProgress;
use crate::driver::interface::Interface;
use crate::driver::outbox::Outbox;
use crate::driver::outgoing::Outgoing;
use crate::driver::paths::{self, FileToOffer};
use crate::driver::socket::{Batch, SendFault, Socket};
use crate::driver::speed::Speed;
use crate::driver::{DeliveryPath, DriverError, SenderEvent, SenderObject, Traffic};
use crate::engine::{self, Burst, Link, ObjectKey, PacketKind, ReadFault};
use crate::ids::ContentId;
use crate::store::Source;
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Requests to the base group.
    Requests,
    /// Other senders on the base group.
    OtherSenders,
    /// NAKs to an object's group.
    Feedback(ObjectKey),
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
    source: Arc<Source>,
    figures: SenderObject,
}

/// What the network thread is made of.
pub(crate) struct Parts {
    pub(crate) engine: engine::Sender,
    pub(crate) clock: Clock,
    pub(crate) control: Arc<Control>,
    pub(crate) poll: Poll,
    pub(crate) interface: Interface,
    pub(crate) links: Vec<Socket>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) outbox: Outbox<SenderEvent>,
    pub(crate) messages: channel::Receiver<Message>,
    pub(crate) to_hasher: channel::Sender<Prepare>,
    pub(crate) to_reader: channel::Sender<Read>,
    pub(crate) files: Vec<FileToOffer>,
}

/// What the network thread leaves behind.
pub(crate) struct Remains {
    pub(crate) engine: engine::Sender,
    pub(crate) roster: Roster,
    pub(crate) objects: Vec<SenderObject>,
    pub(crate) not_offered: Vec<(PathBuf, String)>,
    pub(crate) stopped: bool,
    pub(crate) overflowed: u64,
    pub(crate) v4: bool,
}

/// The loop's state.
pub(crate) struct Net {
    engine: engine::Sender,
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
    to_hasher: channel::Sender<Prepare>,
    to_reader: channel::Sender<Read>,
    /// Files that the hashing thread has or will get.
    preparing: usize,
    /// Files that get a while to settle first.
    later: Vec<(Time, Prepare)>,
    objects: HashMap<ObjectKey, Offered>,
    ended_objects: Vec<SenderObject>,
    not_offered: Vec<(PathBuf, String)>,
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
        for file in parts.files {
            net.prepare(
                now,
                Prepare {
                    file,
                    attempt: 0,
                    k: None,
                },
            );
        }
        Ok(net)
    }

    /// Runs until all is done or it was told to end.
    pub(crate) fn run(mut self) -> Result<Remains, DriverError> {
        let mut events = Events::with_capacity(64);
        while !(self.aborted || self.broken.is_some() || self.finished && self.out.is_empty()) {
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
            overflowed: drops.map(|s| u64::from(s.drops())).sum(),
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

    fn figures(&mut self, now: Time) {
        self.roster.update(now, self.engine.receivers());
        let stats = self.engine.stats();
        let sent_bytes = Traffic::with_headers(self.v4, |kind| stats.sent(kind))
            .total()
            .bytes;
        self.outbox
            .tell_figures(SenderEvent::Progress(SenderProgress {
                sent_bytes,
                rate: self.speed.over(now, sent_bytes),
                receivers: self.roster.present(),
                done: self.roster.done(),
                repairs: stats.repairs,
                naks: stats.received(PacketKind::Nak).packets,
            }));
        self.outbox.flush();
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
                Message::Offer(path) => match paths::expand(std::slice::from_ref(&path)) {
                    Ok(files) => {
                        for file in files {
                            self.prepare(
                                now,
                                Prepare {
                                    file,
                                    attempt: 0,
                                    k: None,
                                },
                            );
                        }
                    }
                    Err(error) => self.not_offered(path, error.to_string()),
                },
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

    fn prepare(&mut self, now: Time, prepare: Prepare) {
        if self.preparing == 0 {
            self.engine.set_preparing(now, true);
        }
        self.preparing += 1;
        if self.to_hasher.send(prepare).is_err() {
            self.broken = Some("hashing");
        }
    }

    /// One file less to prepare.
    fn prepared(&mut self, now: Time) {
        self.preparing = self.preparing.saturating_sub(1);
        if self.preparing > 0 {
            return;
        }
        self.engine.set_preparing(now, false);
        if self.objects.is_empty() && !self.engine.config().stay {
            self.stop(now, false);
        }
    }

    fn not_offered(&mut self, path: PathBuf, reason: String) {
        self.outbox.tell(SenderEvent::OfferFailed {
            path: path.clone(),
            reason: reason.clone(),
        });
        self.not_offered.push((path, reason));
    }

    fn offer(&mut self, now: Time, prepared: Prepared) {
        let Prepared {
            file,
            attempt,
            source,
            description,
            content,
            cached,
        } = prepared;
        let (name, path) = (description.name.clone(), file.path.clone());
        let (bytes, coding) = (description.geometry.length(), description.coding());
        let k = description.geometry.k();
        match self.engine.offer(now, description) {
            Ok(key) => {
                let figures = SenderObject {
                    name: name.clone(),
                    path: path.clone(),
                    bytes,
                    content,
                    coding,
                    cycles: 0,
                    withdrawn: None,
                };
                self.objects.insert(
                    key,
                    Offered {
                        file,
                        attempt,
                        source,
                        figures,
                    },
                );
                let again = attempt > 0;
                self.outbox.tell(SenderEvent::Offered {
                    name,
                    path,
                    bytes,
                    content,
                    coding,
                    cached,
                    again,
                });
            }
            Err(engine::SenderError::Twice(_))
                if another_k(k, self.of_content(content)).is_some() =>
            {
                let k = another_k(k, self.of_content(content));
                self.prepare(now, Prepare { file, attempt, k });
            }
            Err(error) => self.not_offered(path, error.to_string()),
        }
        self.prepared(now);
    }

    /// Objects on offer that have the same bytes.
    fn of_content(&self, content: ContentId) -> usize {
        self.objects
            .values()
            .filter(|o| o.figures.content == content)
            .count()
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
                    let fault = ReadFault::Io("the object is gone".to_owned());
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
            self.out
                .load(&self.burst, slot.unwrap_or_default(), symbol_size);
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
                self.engine.handle_datagram(now, from, link, datagram);
                self.drain_engine();
            }
            self.drain();
        }
        true
    }

    fn listen(&mut self, mut listener: Listener) -> Result<(), DriverError> {
        let token = self.next_listener;
        let registered = listener.socket.register(self.poll.registry(), Token(token));
        registered.map_err(|source| DriverError::Socket {
            what: "watch a socket",
            source,
        })?;
        self.next_listener += 1;
        self.listeners.insert(token, listener);
        self.ready.push(token);
        Ok(())
    }

    fn stop_listening(&mut self, purpose: Purpose) {
        let registry = self.poll.registry();
        let interface = &self.interface;
        self.listeners.retain(|_, listener| {
            let stays = listener.purpose != purpose;
            if !stays {
                listener.socket.leave(listener.group, None, interface);
                // Closing takes it out anyway.
                let _ = listener.socket.deregister(registry);
            }
            stays
        });
    }

    fn name(&self, object: ObjectKey) -> String {
        self.objects
            .get(&object)
            .map(|o| o.figures.name.clone())
            .unwrap_or_default()
    }

    fn on_event(&mut self, event: engine::SenderEvent) {
        use engine::SenderEvent as E;
        let now = self.clock.now();
        let told = match event {
            E::Joined {
                receiver,
                address,
                unicast,
            } => {
                self.roster.joined(now, receiver, address, unicast);
                SenderEvent::Joined {
                    receiver,
                    address,
                    path: DeliveryPath::of(unicast),
                }
            }
            E::Started { object, group, .. } => {
                self.listen_for_feedback(object, group);
                SenderEvent::Started {
                    name: self.name(object),
                    group,
                }
            }
            E::Stopped { object } => {
                self.stop_listening(Purpose::Feedback(object));
                SenderEvent::Stopped {
                    name: self.name(object),
                }
            }
            E::Moved { receiver, unicast } => SenderEvent::Moved {
                receiver,
                path: DeliveryPath::of(unicast),
            },
            E::CycleEnded {
                object,
                cycle,
                blocks_left,
            } => {
                if let Some(offered) = self.objects.get_mut(&object) {
                    offered.figures.cycles = cycle + 1;
                }
                SenderEvent::CycleEnded {
                    name: self.name(object),
                    cycle,
                    blocks_left,
                }
            }
            E::Done {
                receiver,
                object,
                outcome,
            } => {
                self.roster
                    .done_with(now, receiver, object.is_none(), outcome);
                let name = object.map(|o| self.name(o));
                SenderEvent::Done {
                    receiver,
                    name,
                    outcome,
                }
            }
            E::Gone { receiver, reason } => {
                self.roster.gone(now, receiver);
                SenderEvent::Gone { receiver, reason }
            }
            E::Withdrawn { object, reason } => {
                let name = self.name(object);
                self.withdrawn(now, object, &reason);
                SenderEvent::Withdrawn { name, reason }
            }
            E::OtherSession { session, address } => {
                // Once is enough, and its data costs us every packet.
                self.stop_listening(Purpose::OtherSenders);
                SenderEvent::AnotherSender { session, address }
            }
            E::Finished => {
                self.finished = true;
                return;
            }
        };
        self.outbox.tell(told);
    }

    fn listen_for_feedback(&mut self, object: ObjectKey, group: SocketAddr) {
        let config = self.engine.config();
        let base = config.groups.first().is_some_and(|base| *base == group);
        // What goes to the base group is heard with the requests.
        if !config.group_feedback || base {
            return;
        }
        let feedback = SocketAddr::new(group.ip(), group.port() + 1);
        let opened = Socket::on_group(feedback, None, &self.interface);
        let listened = opened.map_err(|e| e.to_string()).and_then(|socket| {
            let purpose = Purpose::Feedback(object);
            self.listen(Listener {
                socket,
                purpose,
                group: group.ip(),
            })
            .map_err(|e| e.to_string())
        });
        if let Err(reason) = listened {
            self.cannot_send(feedback, reason);
        }
    }

    /// An object is no longer sent: its file is hashed and offered anew, unless that was done too
    /// often.
    fn withdrawn(&mut self, now: Time, object: ObjectKey, reason: &str) {
        let Some(offered) = self.objects.remove(&object) else {
            return;
        };
        self.stop_listening(Purpose::Feedback(object));
        let Offered {
            file,
            attempt,
            mut figures,
            ..
        } = offered;
        figures.withdrawn = Some(reason.to_owned());
        self.ended_objects.push(figures);
        let attempt = attempt + 1;
        if self.stop_at.is_some() {
            return;
        }
        if attempt > ATTEMPTS {
            let reason =
                format!("it has changed {attempt} times while it was sent; stop what writes it");
            self.not_offered(file.path, reason);
            if self.preparing == 0 && self.objects.is_empty() && !self.engine.config().stay {
                self.stop(now, false);
            }
            return;
        }
        if self.preparing == 0 {
            self.engine.set_preparing(now, true);
        }
        self.preparing += 1;
        self.later.push((
            now + SETTLE * attempt,
            Prepare {
                file,
                attempt,
                k: None,
            },
        ));
    }
}

/// How to cut up a file that has the same bytes as `others` files on offer, which would be cut with
/// `k`: files are told apart by bytes and cut, so the cut has to differ. A little, which costs
/// nothing; none when there are absurdly many.
fn another_k(k: u16, others: usize) -> Option<u16> {
    let usual = if k > config::SMALL_K {
        config::LARGE_K
    } else {
        config::SMALL_K
    };
    let others = u16::try_from(others).ok()?;
    usual
        .checked_sub(others)
        .filter(|&k| k >= config::SMALL_K / 2)
}
