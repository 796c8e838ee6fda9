//! Senders that run by themselves: sockets and threads around [`engine::Sender`].
//!
//! Three threads: one for the network, which owns the engine and never waits for a disk; one that
//! reads blocks; one that finds and hashes files before they are offered.

mod bind;
mod coding;
mod messages;
mod naming;
mod net;
mod plan;
mod roster;
mod summary;
mod urls;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel as channel;

use bind::Binding;
use coding::Coding;
pub(crate) use messages::Message;
use messages::{Job, Read};
use naming::{PathToOffer, name_paths};
use net::{Net, Remains, Setup};
use plan::Plan;
use summary::summary;
use urls::Urls;

use crate::config;
use crate::driver::clock::{Clock, cpu_time};
use crate::driver::control::Control;
use crate::driver::outbox::Outbox;
use crate::driver::reactor::Reactor;
use crate::driver::socket::Socket;
use crate::driver::{
    DriverError, FeedbackMode, SenderBuilder, SenderEvent, SenderSummary, Spent, StartError,
    entropy,
};
use crate::engine::{self, SenderConfig};
use crate::envelope::SenderEnvelopes;
use crate::fec;
use crate::ids::SessionId;
use crate::object::Codec;
use crate::rate::Adapt;
use crate::seal::{Fingerprint, SigningKey};
use crate::secret::Secret;
use crate::store::{KeyFileError, sender_key, sender_key_path};
use crate::time::Time;

/// A sender's threads and what its handle needs of them.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) session: SessionId,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) events: channel::Receiver<SenderEvent>,
    pub(crate) messages: channel::Sender<Message>,
    pub(crate) control: Arc<Control>,
    pub(crate) thread: JoinHandle<Result<SenderSummary, DriverError>>,
}

/// Binds sockets and starts the threads.
pub(crate) fn start(mut builder: SenderBuilder) -> Result<Running, StartError> {
    let named = named(&builder)?;
    let plan = Plan::new(&builder)?;
    let clock = Clock::new();
    let (mut outbox, events) = Outbox::new();
    let key = match &builder.key {
        Some(key) => key.clone(),
        None => own_key(&mut outbox)?,
    };
    let fingerprint = key.public().fingerprint();
    let mut binding = Binding {
        outbox: &mut outbox,
        ttl: builder.ttl,
        loopback: builder.loopback,
        offload: builder.offload,
        way_back: builder.one_way.is_none(),
    };
    let links = binding.links(plan.base, plan.url.source(), &plan.interface)?;
    let listeners = binding.listeners(plan.base, &links, &plan.interface)?;
    let addresses: Vec<SocketAddr> = links.iter().map(Socket::local).collect();
    let coding = Coding::new(&builder)?;
    let config = config(&builder, &plan, &coding, key)?;
    let session = config.session;
    let engine = engine::Sender::new(config, clock.now())?;
    let fresh = entropy::bytes()?;
    let group_key = builder.group_key.take();
    let envelopes = group_key.map(|key| SenderEnvelopes::new(key, session, fresh));
    outbox.tell(listening(session, fingerprint, &plan, &addresses));

    let reactor = Reactor::new(clock)?;
    let control = reactor.control();
    let (to_net, messages) = channel::unbounded();
    let workers = Workers::start(&builder, coding, &to_net, &control)?;
    let setup = Setup {
        engine,
        envelopes,
        interface: plan.interface,
        links,
        listeners,
        outbox,
        messages,
        to_hasher: workers.to_hasher,
        to_reader: workers.to_reader,
        named,
    };
    let who = (session, fingerprint);
    let thread = start_net(clock, reactor, setup, workers.threads, control.clone(), who)?;
    Ok(Running {
        session,
        addresses,
        events,
        messages: to_net,
        control,
        thread,
    })
}

/// What is to be offered: a sender that stays may have nothing yet.
fn named(builder: &SenderBuilder) -> Result<Vec<PathToOffer>, StartError> {
    if builder.stay && builder.paths.is_empty() {
        return Ok(Vec::new());
    }
    name_paths(&builder.paths)
}

/// The engine's settings.
fn config(
    builder: &SenderBuilder,
    plan: &Plan,
    coding: &Coding,
    key: SigningKey,
) -> Result<SenderConfig, StartError> {
    Ok(SenderConfig {
        session: SessionId(entropy::nonzero()?),
        seed: builder.seed.map_or_else(entropy::nonzero, Ok)?,
        secret: entropy::bytes()?,
        key,
        sealed: builder.group_key.is_some(),
        groups: plan.groups.clone(),
        source: plan.url.source(),
        group_feedback: builder.feedback == FeedbackMode::Group,
        rate: plan.rate,
        tiers: plan.tiers.clone(),
        ladder: builder.tiers.is_none(),
        adapt: if builder.one_way.is_some() {
            Adapt::Fixed
        } else {
            builder.adapt
        },
        min_rate: builder.min_rate,
        roster: builder.roster,
        wait_for: builder.wait_for,
        stay: builder.stay,
        one_way: builder.one_way,
        surplus: coding.surplus,
        fade: config::FADE,
        slots: coding.slots,
        elsewhere: builder.elsewhere.clone(),
    })
}

/// The event that tells where requests are answered.
fn listening(
    session: SessionId,
    fingerprint: Fingerprint,
    plan: &Plan,
    addresses: &[SocketAddr],
) -> SenderEvent {
    let own = &plan.interface.addresses;
    let urls = Urls::new(&plan.url, plan.range, own, addresses, fingerprint);
    SenderEvent::Listening {
        session,
        group: Some(plan.base),
        interface: plan.interface.name.clone(),
        addresses: addresses.to_vec(),
        fingerprint,
        url: Box::new(urls.group),
        host_url: urls.host.map(Box::new),
    }
}

/// Worker threads by the names of what they do.
type Threads = [(&'static str, JoinHandle<()>); 2];

/// The threads that touch files, and the ways to them.
struct Workers {
    to_hasher: channel::Sender<Job>,
    to_reader: channel::Sender<Read>,
    threads: Threads,
}

impl Workers {
    fn start(
        builder: &SenderBuilder,
        coding: Coding,
        to_net: &channel::Sender<Message>,
        control: &Arc<Control>,
    ) -> Result<Workers, StartError> {
        let (to_hasher, to_hash) = channel::unbounded();
        let (to_reader, to_read) = channel::unbounded();
        let known = builder.known_hashes();
        let how = (builder.scan.clone(), coding.cut);
        let makes_parity = coding.cut.codec != Codec::None;
        let (answers, wake) = (to_net.clone(), control.clone());
        let hasher = spawn("loopcast-hash", move || {
            workers::hash(&to_hash, &answers, &wake, &known, &how);
        })?;
        let (answers, wake) = (to_net.clone(), control.clone());
        let reader = spawn("loopcast-read", move || {
            if makes_parity {
                fec::prepare();
            }
            workers::read(&to_read, &answers, &wake);
        })?;
        Ok(Workers {
            to_hasher,
            to_reader,
            threads: [("reading", reader), ("hashing", hasher)],
        })
    }
}

/// Starts the network thread, which sees the worker threads end.
fn start_net(
    clock: Clock,
    reactor: Reactor<Net>,
    setup: Setup,
    workers: Threads,
    control: Arc<Control>,
    (session, fingerprint): (SessionId, Fingerprint),
) -> Result<JoinHandle<Result<SenderSummary, DriverError>>, StartError> {
    let cpu_before = cpu_time();
    spawn("loopcast-send", move || {
        let ended = run(clock, reactor, setup, control.clone());
        // Its channels are gone: the others end as soon as they look.
        control.abort();
        for (name, worker) in workers {
            worker.join().map_err(|_| DriverError::Panicked(name))?;
        }
        let spent = Spent {
            wall: clock.now().since(Time::ZERO),
            cpu: cpu_time().saturating_sub(cpu_before),
        };
        Ok(summary(session, fingerprint, ended?, spent))
    })
}

/// Runs until all is done or it was told to end.
fn run(
    clock: Clock,
    mut reactor: Reactor<Net>,
    setup: Setup,
    control: Arc<Control>,
) -> Result<Remains, DriverError> {
    let mut sockets = reactor.sockets()?;
    let net = Net::new(clock.now(), setup, &mut sockets)?;
    reactor.add(net, sockets, control);
    reactor.run_one()
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(StartError::Thread)
}

/// The user's key, made if there is none yet. Where none can be kept, sending goes on under one
/// that nobody can know beforehand.
fn own_key(outbox: &mut Outbox<SenderEvent>) -> Result<SigningKey, StartError> {
    let reason = match sender_key_path().map(|path| (sender_key(&path), path)) {
        Some((Ok((key, made)), path)) => {
            if made {
                outbox.tell(SenderEvent::KeyMade { path });
            }
            return Ok(key);
        }
        Some((Err(error @ KeyFileError::Write { .. }), _)) => error.to_string(),
        Some((Err(error), _)) => return Err(StartError::Key(error)),
        None => "neither HOME nor XDG_CONFIG_HOME says where".to_owned(),
    };
    outbox.tell(SenderEvent::KeyNotKept { reason });
    Ok(SigningKey::new(&Secret::new(entropy::bytes()?)))
}
