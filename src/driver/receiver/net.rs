//! The receiver's network thread: one loop around the engine. What comes in is in [`arrivals`].
//!
//! Takes datagrams, answers of the disk thread, and time; asks the engine what to do after each. It
//! waits for nothing but the poll: when the disk can't keep up, packets are dropped and counted.

mod arrivals;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel as channel;
use mio::{Events, Poll, Token};

use super::disk::{Answer, Job, Opened};
use super::groups::{self, Groups};
use super::intake::Intake;
use super::objects::Object;
use super::parts::Parts;
use super::rhythm::{AMPLE, Rhythm};
use crate::driver::clock::{Alarm, Clock};
use crate::driver::control::{Control, Wish};
use crate::driver::events::ReceiverProgress;
use crate::driver::outbox::Outbox;
use crate::driver::outgoing::Outgoing;
use crate::driver::socket::{Batch, SendFault, Socket};
use crate::driver::{DriverError, ReceiverEvent};
use crate::engine::{self, Burst, Command, ObjectKey, PacketKind, PathChoice, Timer};
use crate::envelope::{ReceiverEnvelopes, Seal};
use crate::fault::StoreFault;
use crate::ids::SessionId;
use crate::rng::Rng;
use crate::seal::Fingerprint;
use crate::store::{BlockPool, MovedAside};
use crate::time::Time;
use crate::wire::{self, ChannelInfo};

pub(crate) const WAKER: Token = Token(0);
const ALARM: Token = Token(1);
const UNICAST: usize = 2;

/// Figures go to the program, and counters to the engine, this often.
const FIGURES: Duration = Duration::from_millis(200);
/// How long the engine has to say farewell.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait for a device whose queue is full.
const DEVICE_WAIT: Duration = Duration::from_micros(500);
/// Groups that can't be joined, told one by one.
const TOLD: usize = 100;

/// What the network thread is made of.
pub(crate) struct Setup {
    pub(crate) engine: engine::Receiver,
    pub(crate) envelopes: Option<ReceiverEnvelopes>,
    pub(crate) clock: Clock,
    pub(crate) control: Arc<Control>,
    pub(crate) poll: Poll,
    pub(crate) unicast: Socket,
    pub(crate) groups: Groups,
    pub(crate) group_buffer: usize,
    /// The program knows already that buffers are small.
    pub(crate) small_buffer_told: bool,
    pub(crate) outbox: Outbox<ReceiverEvent>,
    pub(crate) jobs: channel::Sender<Job>,
    pub(crate) answers: channel::Receiver<Answer>,
    pub(crate) drop_rate: f64,
    pub(crate) drop_group: bool,
    pub(crate) drop_rng: Rng,
}

/// What the network thread leaves behind.
pub(crate) struct Remains {
    pub(crate) engine: engine::Receiver,
    pub(crate) objects: HashMap<ObjectKey, Object>,
    pub(crate) session: Option<SessionId>,
    pub(crate) sender: Option<Fingerprint>,
    pub(crate) path: Option<PathChoice>,
    pub(crate) gave_up: Option<String>,
    pub(crate) evicted: Option<wire::MoveCause>,
    pub(crate) stopped: bool,
    pub(crate) overflowed: u64,
    pub(crate) stalled: u64,
    pub(crate) discarded: u64,
    pub(crate) discarded_data: u64,
    pub(crate) refused_by_sender: bool,
    pub(crate) v4: bool,
}

/// The loop's state.
pub(crate) struct Net {
    engine: engine::Receiver,
    envelopes: Option<ReceiverEnvelopes>,
    clock: Clock,
    control: Arc<Control>,
    poll: Poll,
    alarm: Alarm,
    unicast: Socket,
    groups: Groups,
    group_buffer: usize,
    ready: Vec<usize>,
    /// Out while its datagrams are being handled.
    batch: Option<Box<Batch>>,
    burst: Burst,
    out: Outgoing,
    waits_to_write: bool,
    retry_at: Option<Time>,
    pool: BlockPool,
    parts: Parts,
    objects: HashMap<ObjectKey, Object>,
    jobs: channel::Sender<Job>,
    answers: channel::Receiver<Answer>,
    pages_on_their_way: usize,
    outbox: Outbox<ReceiverEvent>,
    drop_rate: f64,
    drop_group: bool,
    drop_rng: Rng,
    rhythm: Rhythm,
    /// What comes from groups wakes the loop.
    watches: bool,
    intake: Intake,
    discarded: u64,
    discarded_data: u64,
    small_buffer_told: bool,
    /// Groups that the program knows can't be joined.
    not_joined: Vec<SocketAddr>,
    figures_at: Time,
    session: Option<SessionId>,
    sender: Option<Fingerprint>,
    path: Option<PathChoice>,
    gave_up: Option<String>,
    evicted: Option<wire::MoveCause>,
    refused_by_sender: bool,
    stop_at: Option<Time>,
    stopped: bool,
    finished: bool,
    /// The disk thread has died.
    broken: bool,
}

impl Net {
    pub(crate) fn new(parts: Setup) -> Result<Net, DriverError> {
        let Setup {
            poll, mut unicast, ..
        } = parts;
        let trouble = |source| DriverError::Socket {
            what: "watch a socket",
            source,
        };
        let alarm = Alarm::new(poll.registry(), ALARM).map_err(trouble)?;
        unicast
            .register(poll.registry(), Token(UNICAST))
            .map_err(trouble)?;
        Ok(Net {
            engine: parts.engine,
            envelopes: parts.envelopes,
            clock: parts.clock,
            control: parts.control,
            poll,
            alarm,
            unicast,
            groups: parts.groups,
            group_buffer: parts.group_buffer,
            ready: vec![UNICAST],
            batch: Some(Box::default()),
            burst: Burst::default(),
            out: Outgoing::new(),
            waits_to_write: false,
            retry_at: None,
            pool: BlockPool::new(crate::store::DEFAULT_POOL),
            parts: Parts::default(),
            objects: HashMap::new(),
            jobs: parts.jobs,
            answers: parts.answers,
            pages_on_their_way: 0,
            outbox: parts.outbox,
            drop_rate: parts.drop_rate,
            drop_group: parts.drop_group,
            drop_rng: parts.drop_rng,
            rhythm: Rhythm::new(parts.clock.now()),
            watches: true,
            intake: Intake::default(),
            discarded: 0,
            discarded_data: 0,
            small_buffer_told: parts.small_buffer_told,
            not_joined: Vec::new(),
            figures_at: Time::ZERO,
            session: None,
            sender: None,
            path: None,
            gave_up: None,
            evicted: None,
            refused_by_sender: false,
            stop_at: None,
            stopped: false,
            finished: false,
            broken: false,
        })
    }

    /// Runs until all is done or it was told to end.
    pub(crate) fn run(mut self) -> Result<Remains, DriverError> {
        let mut events = Events::with_capacity(64);
        loop {
            let now = self.clock.now();
            match self.control.wish() {
                Wish::None => {}
                Wish::Stop => self.stop(now),
                Wish::Abort => break,
            }
            if self.stop_at.is_some_and(|at| at <= now) {
                break;
            }
            self.take_answers(now);
            self.on_time(now);
            self.drain();
            let more = self.receive();
            self.keep_rhythm()?;
            self.look_at_times(more || self.pool.waiting() > 0);
            if self.broken || self.finished && self.out.is_empty() {
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
                if token < UNICAST {
                    continue;
                }
                if event.is_writable() && token == UNICAST {
                    self.watch_writable(false);
                }
                if event.is_readable() && !self.ready.contains(&token) {
                    self.ready.push(token);
                }
            }
        }
        if self.broken {
            return Err(DriverError::Panicked("disk"));
        }
        self.figures(self.clock.now());
        self.outbox.tell(ReceiverEvent::Finished);
        Ok(self.remains())
    }

    fn remains(self) -> Remains {
        self.outbox.close();
        Remains {
            overflowed: self.intake.overflowed,
            v4: self.unicast.local().is_ipv4(),
            engine: self.engine,
            objects: self.objects,
            session: self.session,
            sender: self.sender,
            path: self.path,
            gave_up: self.gave_up,
            evicted: self.evicted,
            stopped: self.stopped,
            stalled: self.intake.stalled,
            discarded: self.discarded,
            discarded_data: self.discarded_data,
            refused_by_sender: self.refused_by_sender,
        }
    }

    fn wake_at(&self) -> Option<Time> {
        let engine = self.engine.poll_timeout().map(|(at, _)| at);
        let times = [
            engine,
            self.retry_at,
            self.stop_at,
            Some(self.figures_at),
            self.rhythm.next(),
        ];
        times.into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Time) {
        if let Some((at, timer)) = self.engine.poll_timeout()
            && at <= now
        {
            if timer == Timer::Report {
                self.look(now);
            }
            self.engine.handle_timeout(now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        if self.rhythm.next().is_some_and(|at| at <= now) {
            self.ready.retain(|&token| token == UNICAST);
            self.ready.extend(self.groups.tokens());
        }
        if self.figures_at <= now {
            self.figures_at = now + FIGURES;
            self.figures(now);
        }
    }

    /// Tells the engine how far behind this machine is.
    fn look(&mut self, now: Time) {
        let buffers = self.groups.buffers().chain([self.unicast.receive_buffer()]);
        let dropped = self.groups.dropped_before();
        let backlog = self.intake.look(now, buffers, dropped, &self.pool);
        self.engine.set_backlog(now, backlog);
    }

    /// The same, where something waits and that was not told just now.
    fn look_at_times(&mut self, busy: bool) {
        let now = self.clock.now();
        if self.intake.is_due(now, busy) {
            self.look(now);
        }
    }

    fn figures(&mut self, now: Time) {
        self.look(now);
        let stats = self.engine.stats();
        let naks = stats.sent(PacketKind::Nak).packets;
        // What we could not take in time has to come again, too.
        let lost = stats.lost + self.intake.stalled;
        for p in self.engine.progress() {
            let Some(object) = self.objects.get_mut(&p.object) else {
                continue;
            };
            if !object.is_open() {
                continue;
            }
            // Held symbols are of the table and the hash pages, too: never tell more than all.
            let size = u64::from(object.geometry.symbol_size());
            let have = (p.held * size).min(p.length);
            self.outbox
                .tell_figures(ReceiverEvent::Progress(ReceiverProgress {
                    name: object.name.clone(),
                    have,
                    total: p.length,
                    verified: p.verified,
                    rate: object.speed.over(now, have),
                    lost,
                    naks,
                }));
        }
        self.outbox.flush();
    }

    fn stop(&mut self, now: Time) {
        if self.stop_at.is_none() {
            self.stopped = true;
            self.stop_at = Some(now + FAREWELL);
            self.engine.stop(now);
        }
    }

    fn take_answers(&mut self, now: Time) {
        while let Ok(answer) = self.answers.try_recv() {
            match answer {
                Answer::Buffer(buf) => {
                    self.pool.give_back(buf);
                    continue;
                }
                Answer::Page => {
                    self.pages_on_their_way -= 1;
                    continue;
                }
                Answer::Opened { object, result } => self.opened(now, object, result),
                Answer::Checked {
                    object,
                    block,
                    result,
                } => {
                    self.engine.handle_checked(now, object, block, result);
                }
                Answer::Finished { object, result } => {
                    self.engine.handle_finished(now, object, result);
                }
            }
            self.drain();
        }
    }

    fn opened(&mut self, now: Time, object: ObjectKey, result: Result<Opened, StoreFault>) {
        let result = match result {
            Ok(Opened {
                path,
                recovered,
                moved_aside,
            }) => {
                if let Some(known) = self.objects.get_mut(&object) {
                    if let Some(MovedAside { path, replaced }) = moved_aside {
                        self.outbox.tell(ReceiverEvent::MovedAside {
                            name: known.name.clone(),
                            path,
                            replaced,
                        });
                    }
                    known.path = Some(path.clone());
                    self.outbox.tell(ReceiverEvent::Opened {
                        name: known.name.clone(),
                        path,
                        bytes: known.geometry.length(),
                        content: known.content,
                    });
                }
                Ok(recovered)
            }
            Err(fault) => Err(fault),
        };
        self.engine.handle_opened(now, object, result);
    }

    /// Does what the engine asks for.
    fn drain(&mut self) {
        while let Some(command) = self.engine.poll_command() {
            self.on_command(command);
        }
        while let Some(event) = self.engine.poll_event() {
            self.on_event(event);
        }
        while self.out.is_empty() || self.send_loaded() {
            if !self.engine.poll_transmit(self.clock.now(), &mut self.burst) {
                return;
            }
            let seal = self.envelopes.as_mut().map(|e| e as &mut dyn Seal);
            self.out.load(&self.burst, &[], 0, seal);
        }
    }

    /// Gives the disk thread a job. The channel has no limit of its own: buffers and pages on their
    /// way do.
    fn job(&mut self, job: Job) {
        self.broken |= self.jobs.send(job).is_err();
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Join(channel) => self.join(&channel),
            Command::Leave(channel) => self.groups.leave(&channel, self.poll.registry()),
            Command::Open {
                object,
                description,
            } => {
                self.pool.open(object.0, &description.geometry);
                let now = self.clock.now();
                let new = || Object::new(now, &description);
                self.objects.entry(object).or_insert_with(new);
                self.job(Job::Open {
                    object,
                    description,
                });
            }
            Command::Check { object, block } => {
                let buf = self.pool.take(object.0, block);
                self.job(Job::Check { object, block, buf });
            }
            Command::Finish { object } => {
                self.close(object);
                self.job(Job::Finish { object });
            }
            Command::Abandon { object, keep } => {
                self.close(object);
                self.job(Job::Abandon { object, keep });
            }
        }
    }

    fn close(&mut self, object: ObjectKey) {
        self.pool.close(object.0);
        self.parts.close(object);
    }

    fn join(&mut self, channel: &ChannelInfo) {
        for address in groups::addresses(channel) {
            let registry = self.poll.registry();
            let joined = self
                .groups
                .join(channel.number, address, self.group_buffer, registry);
            match joined {
                Ok(None) => {}
                Ok(Some((new, small))) => {
                    self.ready.push(new);
                    // They wake the loop, as far as this knows.
                    self.watches = true;
                    if small.is_some_and(|small| small.got < AMPLE) {
                        self.rhythm.forbid();
                    }
                    if let Some(small) = small.filter(|_| !self.small_buffer_told) {
                        self.small_buffer_told = true;
                        self.outbox.tell(ReceiverEvent::SmallBuffer(small));
                    }
                }
                Err(error) => return self.join_failed(channel, address.0, error.to_string()),
            }
        }
    }

    /// Without its data a channel is of no use; without others' NAKs it just asks more often.
    fn join_failed(&mut self, channel: &ChannelInfo, group: SocketAddr, reason: String) {
        if group == channel.group {
            self.engine.handle_join_failed(self.clock.now(), channel);
        }
        // It is tried again with each announcement.
        if !self.not_joined.contains(&group) && self.not_joined.len() < TOLD {
            self.not_joined.push(group);
            self.outbox
                .tell(ReceiverEvent::JoinFailed { group, reason });
        }
    }

    /// Sends what is loaded; false when it has to wait.
    fn send_loaded(&mut self) -> bool {
        if self.waits_to_write || self.retry_at.is_some() {
            return false;
        }
        match self.out.send(&mut self.unicast) {
            // What can't leave is lost, like on the way.
            Ok(()) | Err(SendFault::TooLarge | SendFault::Other(_)) => {
                self.out.clear();
                true
            }
            Err(SendFault::Full) => {
                self.watch_writable(true);
                false
            }
            Err(SendFault::NoBuffers) => {
                self.retry_at = Some(self.clock.now() + DEVICE_WAIT);
                false
            }
        }
    }

    fn watch_writable(&mut self, watch: bool) {
        if self.waits_to_write == watch {
            return;
        }
        let registry = self.poll.registry();
        let watched = self
            .unicast
            .wake_when_writable(registry, Token(UNICAST), watch);
        self.waits_to_write = watch && watched.is_ok();
        if watch && watched.is_err() {
            self.retry_at = Some(self.clock.now() + DEVICE_WAIT);
        }
    }

    fn name(&self, object: ObjectKey) -> String {
        self.objects
            .get(&object)
            .map(|o| o.name.clone())
            .unwrap_or_default()
    }

    fn on_event(&mut self, event: engine::ReceiverEvent) {
        use engine::ReceiverEvent as E;
        let now = self.clock.now();
        let told = match event {
            E::SenderFound { session, address } => {
                self.session = Some(session);
                if let Some(envelopes) = &mut self.envelopes {
                    envelopes.follow(session);
                }
                ReceiverEvent::Heard { session, address }
            }
            E::SenderKnown {
                fingerprint,
                trusted,
            } => {
                self.sender = Some(fingerprint);
                ReceiverEvent::SenderKnown {
                    fingerprint,
                    trusted,
                }
            }
            E::StrangerMet {
                fingerprint,
                address,
            } => ReceiverEvent::StrangerMet {
                fingerprint,
                address,
            },
            // It is told when the disk has made a place. One that is refused never gets there.
            E::Started { object, .. } => {
                if let Some(description) = self.engine.description(object) {
                    let new = || Object::new(now, description);
                    self.objects.entry(object).or_insert_with(new);
                }
                return;
            }
            E::NoWayBack => ReceiverEvent::NoWayBack,
            E::Path(choice) => {
                self.path = Some(choice);
                ReceiverEvent::PathChosen(choice)
            }
            E::Tier { rate, cause } => ReceiverEvent::TierChosen { rate, cause },
            E::Complete { object } => {
                let Some(known) = self.objects.get_mut(&object) else {
                    return;
                };
                known.end(now, None);
                ReceiverEvent::Complete {
                    name: known.name.clone(),
                    path: known.path.clone().unwrap_or_default(),
                    bytes: known.geometry.length(),
                    content: known.content,
                    took: known.took(now),
                }
            }
            E::Failed { object, reason } => {
                if let Some(known) = self.objects.get_mut(&object) {
                    known.end(now, Some(reason.clone()));
                }
                ReceiverEvent::Failed {
                    name: self.name(object),
                    reason,
                }
            }
            E::Withdrawn { object, reason } => {
                if let Some(known) = self.objects.get_mut(&object) {
                    known.end(now, Some(format!("withdrawn: {reason}")));
                }
                ReceiverEvent::Withdrawn {
                    name: self.name(object),
                    reason,
                }
            }
            E::BadBlock {
                object,
                block,
                from,
            } => ReceiverEvent::BadBlock {
                name: self.name(object),
                block,
                from,
            },
            E::ShutOut { address } => ReceiverEvent::ShutOut { address },
            E::Notice { code, cause, text } => {
                use wire::NoticeCode as Code;
                self.refused_by_sender |=
                    matches!(code, Code::NotFound | Code::Evicted | Code::Ended);
                ReceiverEvent::Notice { code, text, cause }
            }
            E::OtherSession { session, address } => {
                ReceiverEvent::AnotherSender { session, address }
            }
            E::NoRoom => ReceiverEvent::NoRoom,
            E::Redirected { address } => ReceiverEvent::Redirected { to: address },
            E::Finished => {
                self.finished = true;
                return;
            }
            E::GaveUp { reason, evicted } => {
                self.finished = true;
                self.gave_up = Some(reason.clone());
                self.evicted = evicted;
                ReceiverEvent::GaveUp { reason, evicted }
            }
        };
        self.outbox.tell(told);
    }
}
