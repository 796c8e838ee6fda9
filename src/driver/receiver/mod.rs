//! Receivers that run by themselves: sockets and threads around [`engine::Receiver`].
//!
//! Two threads: one for the network, which owns the engine and never waits for a disk, and one for
//! the disk.

mod contents;
mod discards;
mod disk;
mod groups;
mod intake;
mod net;
mod objects;
mod parts;
mod plan;
mod summary;

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel as channel;

use discards::Discards;
use disk::Disk;
use groups::Hearing;
use net::{Net, Remains, Setup};
use plan::Plan;
use summary::summary;

use crate::driver::clock::{Clock, cpu_time};
use crate::driver::control::Control;
use crate::driver::outbox::Outbox;
use crate::driver::reactor::Reactor;
use crate::driver::socket::Socket;
use crate::driver::{
    DriverError, ReceiverBuilder, ReceiverEvent, ReceiverSummary, SmallBuffer, Spent, StartError,
    Via, entropy,
};
use crate::engine::{self, ReceiverConfig};
use crate::envelope::ReceiverEnvelopes;
use crate::ids::ReceiverId;
use crate::rng::Rng;
use crate::store::{FolderDestination, Selection};
use crate::time::Time;

/// Receive buffer: bridges 60 ms at 1 Gbit/s, which is what a busy machine can keep a thread
/// waiting.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Routers that requests to a group may pass: a site, as RFC 2365 has it, whatever the sender's
/// limit is; a request that goes farther than the answer costs nothing.
const REQUEST_TTL: u8 = 32;

/// A receiver's threads and what its handle needs of them.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: ReceiverId,
    pub(crate) events: channel::Receiver<ReceiverEvent>,
    pub(crate) control: Arc<Control>,
    pub(crate) thread: JoinHandle<Result<ReceiverSummary, DriverError>>,
}

/// Binds sockets and starts the threads.
pub(crate) fn start(builder: ReceiverBuilder) -> Result<Running, StartError> {
    let plan = Plan::new(&builder)?;
    let (unicast, small) = bind(&builder, &plan)?;
    let clock = Clock::new();
    let id = ReceiverId(entropy::nonzero()?);
    let seed = builder.seed.map_or_else(entropy::nonzero, Ok)?;
    let mut rng = Rng::new(seed);
    let drop_rng = rng.fork();
    let config = config(&builder, &plan, id, rng.next_u64());
    let engine = engine::Receiver::new(config, clock.now());

    let (mut outbox, events) = Outbox::new();
    outbox.tell(ReceiverEvent::Ready {
        receiver: id,
        interface: plan.interface.name.clone(),
        address: unicast.local(),
    });
    if let Some(small) = small {
        outbox.tell(ReceiverEvent::SmallBuffer(small));
    }
    let reactor = Reactor::new(clock)?;
    let control = reactor.control();
    let (to_disk, jobs) = channel::unbounded();
    let (to_net, answers) = channel::unbounded();
    let destination = FolderDestination::new(&builder.into)
        .known_hashes(builder.known_hashes())
        .tree_options(builder.trees)
        .select(selection(&builder, &plan)?);
    let destination = Box::new(destination);
    let disk = Disk::new(destination, to_net, control.clone());
    let disk = spawn("loopcast-disk", move || disk.run(&jobs))?;
    let setup = Setup {
        engine,
        envelopes: builder.group_key.map(|key| ReceiverEnvelopes::new(key, id)),
        unicast,
        hearing: Hearing {
            interface: plan.interface,
            no_join: builder.no_join,
            offload: builder.offload,
            buffer: RECEIVE_BUFFER,
            small_buffer_told: small.is_some(),
        },
        outbox,
        jobs: to_disk,
        answers,
        discards: Discards::new(builder.drop_rate, builder.drop_group, drop_rng),
    };
    let thread = start_net(clock, reactor, setup, disk, control.clone(), id)?;
    Ok(Running {
        id,
        events,
        control,
        thread,
    })
}

/// The socket that it sends by and hears unicast at, and what its buffer lacks.
fn bind(
    builder: &ReceiverBuilder,
    plan: &Plan,
) -> Result<(Socket, Option<SmallBuffer>), StartError> {
    let unicast = Socket::anywhere(plan.address.is_ipv4())?.with_offload(builder.offload);
    let sends = unicast.send_groups_by(&plan.interface, REQUEST_TTL, true);
    sends.map_err(|source| StartError::Socket {
        what: format!("send to groups by {}", plan.interface.name),
        source,
    })?;
    let small = unicast.want_receive_buffer(RECEIVE_BUFFER);
    Ok((unicast, small))
}

/// The part of objects that is wanted.
fn selection(builder: &ReceiverBuilder, plan: &Plan) -> Result<Selection, StartError> {
    let selection = Selection::new(builder.filter.clone());
    let name = plan.url.name();
    selection.asked(name).map_err(|source| StartError::Pattern {
        name: name.unwrap_or_default().to_owned(),
        source,
    })
}

/// The engine's settings.
fn config(builder: &ReceiverBuilder, plan: &Plan, id: ReceiverId, seed: u64) -> ReceiverConfig {
    ReceiverConfig {
        name: plan.url.name().map(str::to_owned),
        via: match builder.via {
            Via::Auto => None,
            Via::Multicast => Some(engine::Via::Group),
            Via::Unicast => Some(engine::Via::Unicast),
        },
        trust: plan.trust,
        sealed: builder.group_key.is_some(),
        one_way: plan.silent,
        sync_timeout: builder.sync_timeout,
        sender_timeout: builder.timeout,
        max_size: builder.max_size,
        downlink: builder.downlink,
        ..ReceiverConfig::new(id, seed, plan.target)
    }
}

/// Starts the network thread, which sees the disk thread end.
fn start_net(
    clock: Clock,
    reactor: Reactor<Net>,
    setup: Setup,
    disk: JoinHandle<()>,
    control: Arc<Control>,
    id: ReceiverId,
) -> Result<JoinHandle<Result<ReceiverSummary, DriverError>>, StartError> {
    let cpu_before = cpu_time();
    spawn("loopcast-recv", move || {
        let ended = run(reactor, setup, control);
        // Its channels are gone: what is queued is still written, and the thread ends.
        disk.join().map_err(|_| DriverError::Panicked("disk"))?;
        let now = clock.now();
        let spent = Spent {
            wall: now.since(Time::ZERO),
            cpu: cpu_time().saturating_sub(cpu_before),
        };
        Ok(summary(id, now, ended?, spent))
    })
}

/// Runs until all is done or it was told to end.
fn run(
    mut reactor: Reactor<Net>,
    setup: Setup,
    control: Arc<Control>,
) -> Result<Remains, DriverError> {
    let mut sockets = reactor.sockets()?;
    let net = Net::new(setup, &mut sockets)?;
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
