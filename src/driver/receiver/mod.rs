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

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel as channel;

use discards::Discards;
use disk::Disk;
use groups::Hearing;
use net::{Net, Remains, Setup};

use crate::driver::clock::{Clock, cpu_time};
use crate::driver::control::Control;
use crate::driver::interface;
use crate::driver::outbox::Outbox;
use crate::driver::reactor::Reactor;
use crate::driver::socket::Socket;
use crate::driver::{
    BadSource, DEFAULT_URL, DriverError, Loss, ReceiverBuilder, ReceiverEvent, ReceiverSummary,
    RunOutcome, Spent, StartError, Traffic, Via, entropy,
};
use crate::engine::{self, DropReason, PacketKind, ReceiverConfig, Target, Trust};
use crate::envelope::ReceiverEnvelopes;
use crate::ids::ReceiverId;
use crate::rng::Rng;
use crate::seal::Fingerprint;
use crate::store::FolderDestination;
use crate::time::Time;
use crate::url::{Place, Url};

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
    if !(0.0..1.0).contains(&builder.drop_rate) {
        return Err(StartError::DropRate(builder.drop_rate));
    }
    let url = match &builder.from {
        Some(url) => url.clone(),
        None => DEFAULT_URL.parse::<Url>()?,
    };
    check_folder(&builder.into)?;
    let trust = trust(&url, builder.trust)?;
    let (target, address) = target(&url)?;
    let silent = builder.one_way || builder.no_join;
    if silent && !url.is_group() {
        return Err(StartError::NoGroup);
    }
    let wanted = builder.interface.as_deref().or(url.interface());
    let interface = interface::choose(wanted, address)?;

    if builder.no_join {
        // Whether it may is better known before than after a minute of silence.
        crate::driver::socket::Socket::off_the_wire(address, url.source(), &interface)?;
    }
    let unicast = Socket::anywhere(address.is_ipv4())?.with_offload(builder.offload);
    unicast
        .send_groups_by(&interface, REQUEST_TTL, true)
        .map_err(|source| StartError::Socket {
            what: format!("send to groups by {}", interface.name),
            source,
        })?;
    let small = unicast.want_receive_buffer(RECEIVE_BUFFER);

    let clock = Clock::new();
    let id = ReceiverId(entropy::nonzero()?);
    let seed = builder.seed.map_or_else(entropy::nonzero, Ok)?;
    let mut rng = Rng::new(seed);
    let drop_rng = rng.fork();
    let config = ReceiverConfig {
        name: url.name().map(str::to_owned),
        via: match builder.via {
            Via::Auto => None,
            Via::Multicast => Some(engine::Via::Group),
            Via::Unicast => Some(engine::Via::Unicast),
        },
        trust,
        sealed: builder.group_key.is_some(),
        one_way: silent,
        sync_timeout: builder.sync_timeout,
        sender_timeout: builder.timeout,
        max_size: builder.max_size,
        downlink: builder.downlink,
        ..ReceiverConfig::new(id, rng.next_u64(), target)
    };
    let engine = engine::Receiver::new(config, clock.now());

    let (mut outbox, events) = Outbox::new();
    outbox.tell(ReceiverEvent::Ready {
        receiver: id,
        interface: interface.name.clone(),
        address: unicast.local(),
    });
    if let Some(small) = small {
        outbox.tell(ReceiverEvent::SmallBuffer(small));
    }
    let reactor = Reactor::new(clock)?;
    let control = reactor.control();
    let (to_disk, jobs) = channel::unbounded();
    let (to_net, answers) = channel::unbounded();
    let destination = Box::new(FolderDestination::new(&builder.into));
    let disk = Disk::new(destination, to_net, control.clone());
    let disk = spawn("loopcast-disk", move || disk.run(&jobs))?;
    let setup = Setup {
        engine,
        envelopes: builder.group_key.map(|key| ReceiverEnvelopes::new(key, id)),
        unicast,
        hearing: Hearing {
            interface,
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
    let wanted = control.clone();
    let cpu_before = cpu_time();
    let thread = spawn("loopcast-recv", move || {
        let ended = run(reactor, setup, wanted);
        // Its channels are gone: what is queued is still written, and the thread ends.
        disk.join().map_err(|_| DriverError::Panicked("disk"))?;
        let now = clock.now();
        let spent = Spent {
            wall: now.since(Time::ZERO),
            cpu: cpu_time().saturating_sub(cpu_before),
        };
        Ok(summary(id, now, ended?, spent))
    })?;
    Ok(Running {
        id,
        events,
        control,
        thread,
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

/// Who is to be believed: the URL may say it, or the program.
fn trust(url: &Url, given: Option<Fingerprint>) -> Result<Trust, StartError> {
    match (url.fingerprint(), given) {
        (Some(url), Some(given)) if url != given => Err(StartError::TwoSenders { url, given }),
        (one, other) => Ok(one.or(other).map_or(Trust::First, Trust::Only)),
    }
}

/// Where to look for the sender, and an address there that tells the family and the interface.
fn target(url: &Url) -> Result<(Target, SocketAddr), StartError> {
    let port = url.port();
    match url.place() {
        Place::Groups(range) => {
            let group = SocketAddr::new(range.first(), port);
            Ok((
                Target::Group {
                    group,
                    source: url.source(),
                },
                group,
            ))
        }
        Place::Address(ip) => {
            let index = url.interface().and_then(interface_index).unwrap_or(0);
            let host = crate::driver::socket::scoped(*ip, port, index);
            Ok((Target::Host(host), host))
        }
        Place::Name(host) => {
            let unknown = |source| StartError::UnknownHost {
                host: host.clone(),
                source,
            };
            let mut found = (host.as_str(), port).to_socket_addrs().map_err(unknown)?;
            let none = || unknown(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
            let address = found.next().ok_or_else(none)?;
            Ok((Target::Host(address), address))
        }
    }
}

fn interface_index(text: &str) -> Option<u32> {
    let all = interface::list().ok()?;
    all.iter()
        .find(|i| i.name == text || text.parse().is_ok_and(|n: u32| n == i.index))
        .map(|i| i.index)
}

/// Makes the folder if it is not there, and tries whether files can be made in it.
fn check_folder(folder: &Path) -> Result<(), StartError> {
    let unwritable = |source| StartError::Unwritable {
        path: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(unwritable)?;
    let name = format!(".loopcast-{:016x}.part", entropy::nonzero()?);
    let trial = folder.join(name);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&trial)
        .map_err(unwritable)?;
    fs::remove_file(&trial).map_err(unwritable)
}

fn summary(id: ReceiverId, now: Time, remains: Remains, spent: Spent) -> ReceiverSummary {
    let findings = remains.findings;
    let (whole, rest): (Vec<_>, Vec<_>) = remains.objects.values().partition(|o| o.is_complete());
    // A version that was withdrawn is made up for by a later one under its name.
    let made_up = |o: &&objects::Object| whole.iter().any(|w| w.name == o.name);
    let (complete, lacking) = (whole.len(), rest.iter().filter(|o| !made_up(o)).count());
    let outcome = if remains.stopped {
        RunOutcome::Stopped
    } else if complete > 0 && lacking == 0 && findings.gave_up.is_none() {
        RunOutcome::Complete
    } else if findings.evicted.is_some() {
        RunOutcome::Evicted
    } else if complete > 0 {
        RunOutcome::Partial
    } else if findings.gave_up.is_some() && !findings.refused_by_sender {
        RunOutcome::TimedOut
    } else {
        RunOutcome::Failed
    };
    let stats = remains.engine.stats();
    let sealed = remains.engine.config().sealed;
    let own = remains.overflowed + remains.stalled + remains.discards.data();
    let dropped = DropReason::ALL.into_iter().map(|r| (r, stats.dropped(r)));
    let dropped = dropped
        .filter(|(r, n)| *n > 0 && *r != DropReason::Duplicate)
        .collect();
    let bad_sources = remains.engine.bad_sources();
    ReceiverSummary {
        outcome,
        receiver: id,
        session: findings.session,
        sender: findings.sender,
        path: findings.path,
        sent: Traffic::with_headers(remains.v4, sealed, |kind| stats.sent(kind)),
        received: Traffic::with_headers(remains.v4, sealed, |kind| stats.received(kind)),
        loss: Loss {
            network: stats.lost.saturating_sub(own),
            overflowed: remains.overflowed,
            stalled: remains.stalled,
            discarded: remains.discards.packets(),
            dropped,
        },
        duplicates: stats.dropped(DropReason::Duplicate),
        naks_sent: stats.sent(PacketKind::Nak).packets,
        naks_suppressed: stats.naks_suppressed,
        bad_blocks: stats.bad_blocks,
        bad_sources: bad_sources
            .map(|(address, blocks)| BadSource { address, blocks })
            .collect(),
        objects: objects::summary(now, remains.objects),
        gave_up: findings.gave_up,
        evicted: findings.evicted,
        spent,
    }
}
