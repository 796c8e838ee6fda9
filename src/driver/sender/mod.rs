//! Senders that run by themselves: sockets and threads around [`engine::Sender`].
//!
//! Three threads: one for the network, which owns the engine and never waits for a disk; one that
//! reads blocks; one that finds and hashes files before they are offered.

mod messages;
mod net;
mod roster;
mod urls;
mod workers;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel as channel;
pub(crate) use messages::Message;
use net::{Listener, Net, Purpose, Remains, Setup};
use roster::Which;
use urls::Urls;

use crate::carousel::Surplus;
use crate::config;
use crate::driver::clock::{Clock, cpu_time};
use crate::driver::control::Control;
use crate::driver::interface::{self, Interface};
use crate::driver::outbox::Outbox;
use crate::driver::reactor::Reactor;
use crate::driver::socket::Socket;
use crate::driver::{
    DEFAULT_URL, DriverError, FeedbackMode, Loss, Parity, RunOutcome, SenderBuilder, SenderEvent,
    SenderSummary, Spent, StartError, Traffic, entropy, paths,
};
use crate::engine::{self, DropReason, PacketKind, SenderConfig};
use crate::envelope::{self, SenderEnvelopes};
use crate::fec;
use crate::ids::SessionId;
use crate::object::{Codec, Geometry};
use crate::rate::{self, Adapt};
use crate::seal::{Fingerprint, SigningKey};
use crate::secret::Secret;
use crate::store::{HashCache, KeyFileError, sender_key, sender_key_path};
use crate::time::Time;
use crate::units::Rate;
use crate::url::Url;
use crate::wire;

/// Receive buffer for what receivers send: some thousand requests at once.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Send buffer: some bursts.
const SEND_BUFFER: usize = 1 << 20;
/// Bytes of blocks in memory, for whole blocks of large objects, each with its parity: 12 of them
/// with default symbols, 24 where there is no parity. A block that is read without parity takes
/// half of its room. Fewer than 4 blocks stall the
/// network while one is read.
const BLOCKS_IN_MEMORY: usize = 32 << 20;
/// The same where there is no way back: blocks are larger, and three of them go out in turn while the
/// next three are read.
const ONE_WAY_BLOCKS_IN_MEMORY: usize = 80 << 20;
/// Most bytes in the hash cache of a folder that the user names: enough for 300 TB of files.
const CACHE_LIMIT: u64 = 8 << 30;
/// Most local addresses that requests are answered at: a link's number has 8 bits.
const MAX_LINKS: usize = 200;

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

/// The most that is sent where neither the user nor the system says what the interface carries.
const UNKNOWN_SPEED: Rate = Rate::from_bps(10_000_000_000);

/// The most that is sent, and the rates of the tiers.
fn rates(builder: &SenderBuilder, interface: &Interface) -> Result<(Rate, Vec<Rate>), StartError> {
    let one_way = builder.one_way.is_some();
    let most = builder.rate.or(interface.speed()).unwrap_or(UNKNOWN_SPEED);
    Ok(match &builder.tiers {
        // Nobody says what comes through: each tier keeps to its rate.
        Some(rates) if one_way => {
            let tiers = rate::tiers(rates.clone())?;
            let all = tiers.iter().map(|r| r.as_bps()).sum();
            (builder.rate.unwrap_or(Rate::from_bps(all)), tiers)
        }
        Some(rates) => (most, rate::tiers(rates.clone())?),
        None if one_way => {
            let usual = Rate::from_bps(config::DEFAULT_RATE_BPS);
            let rate = builder.rate.unwrap_or(usual);
            (rate, vec![rate])
        }
        None => {
            let mut tiers = rate::halves(most);
            tiers.retain(|&tier| tier >= builder.min_rate.min(most));
            (most, tiers)
        }
    })
}

/// The groups after `base`, in order.
fn following(base: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let next = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip
            .to_bits()
            .checked_add(1)
            .map(|n| Ipv4Addr::from_bits(n).into()),
        IpAddr::V6(ip) => ip
            .to_bits()
            .checked_add(1)
            .map(|n| Ipv6Addr::from_bits(n).into()),
    };
    let groups = std::iter::successors(Some(base.ip()), move |&ip| next(ip));
    let groups = groups.skip(1).take_while(IpAddr::is_multicast);
    groups.map(move |ip| {
        let mut group = base;
        group.set_ip(ip);
        group
    })
}

/// Binds sockets and starts the threads.
pub(crate) fn start(builder: SenderBuilder) -> Result<Running, StartError> {
    let nothing_yet = builder.stay && builder.paths.is_empty();
    let found = if nothing_yet {
        paths::Found::default()
    } else {
        paths::expand(&builder.paths)?
    };
    Geometry::new(0, builder.symbol_size, 1, 0, 64).map_err(StartError::SymbolSize)?;
    if builder.rate.is_some_and(Rate::is_zero) {
        return Err(StartError::NoRate);
    }
    let url = match &builder.to {
        Some(url) => url.clone(),
        None => DEFAULT_URL.parse::<Url>()?,
    };
    let range = url.to_send_to()?;
    let mut groups: Vec<SocketAddr> = range
        .iter()
        .map(|ip| SocketAddr::new(ip, url.port()))
        // Where nobody can ask, who listens to one group hears it all.
        .take(if builder.one_way.is_some() {
            1
        } else {
            usize::MAX
        })
        .collect();
    let Some(&base) = groups.first() else {
        return Err(engine::SenderError::NoGroup.into());
    };

    let source_text = url.source().map(|ip| ip.to_string());
    let wanted = builder
        .interface
        .as_deref()
        .or(url.interface())
        .or(source_text.as_deref());
    let interface = interface::choose(wanted, base)?;
    let sealed = builder.group_key.is_some();
    check_size(builder.symbol_size, base.is_ipv4(), sealed, &interface)?;
    let (rate, tiers) = rates(&builder, &interface)?;
    let least = builder.min_rate;
    if let Some(&slow) = tiers.iter().chain([&rate]).find(|r| **r < least) {
        return Err(StartError::MinRate { least, slow });
    }
    if groups.len() == 1 && tiers.len() > 1 {
        // The first is for announcements: nobody's link is filled before it knows what else there is.
        groups.extend(following(base).take(tiers.len()));
    }

    let clock = Clock::new();
    let (outbox, events) = Outbox::new();
    let mut setting_up = SettingUp {
        outbox,
        ttl: builder.ttl,
        loopback: builder.loopback,
        offload: builder.offload,
    };
    let key = match &builder.key {
        Some(key) => key.clone(),
        None => own_key(&mut setting_up.outbox)?,
    };
    let fingerprint = key.public().fingerprint();
    let way_back = builder.one_way.is_none();
    let links = setting_up.links(base, url.source(), &interface, way_back)?;
    let listeners = setting_up.listeners(base, &links, &interface, way_back)?;
    let addresses: Vec<SocketAddr> = links.iter().map(Socket::local).collect();

    let codec = match builder.parity {
        Parity::None => Codec::None,
        Parity::Auto | Parity::Share(_) => Codec::ReedSolomon,
    };
    if let Parity::Share(share) = builder.parity
        && !(0.0..=1.0).contains(&share)
    {
        return Err(StartError::ParityShare(share));
    }
    let usual_k = builder.one_way.map(|_| one_way_k(builder.symbol_size));
    let (memory, largest_k) = match usual_k {
        Some(k) => (ONE_WAY_BLOCKS_IN_MEMORY, k),
        None => (BLOCKS_IN_MEMORY, config::LARGE_K),
    };
    let session = SessionId(entropy::nonzero()?);
    let config = SenderConfig {
        session,
        seed: builder.seed.map_or_else(entropy::nonzero, Ok)?,
        secret: entropy::bytes()?,
        key,
        sealed,
        groups,
        source: url.source(),
        group_feedback: builder.feedback == FeedbackMode::Group,
        rate,
        tiers,
        ladder: builder.tiers.is_none(),
        adapt: if builder.one_way.is_some() {
            Adapt::Fixed
        } else {
            builder.adapt
        },
        min_rate: least,
        roster: builder.roster,
        wait_for: builder.wait_for,
        stay: builder.stay,
        one_way: builder.one_way,
        surplus: surplus(builder.parity, builder.one_way.is_some()),
        fade: config::FADE,
        slots: slots(memory, builder.symbol_size, largest_k, codec),
        elsewhere: builder.elsewhere.clone(),
    };
    let engine = engine::Sender::new(config, clock.now())?;
    let fresh = entropy::bytes()?;
    let envelopes = builder
        .group_key
        .map(|key| SenderEnvelopes::new(key, session, fresh));
    let urls = Urls::new(&url, range, &interface.addresses, &addresses, fingerprint);
    setting_up.outbox.tell(SenderEvent::Listening {
        session,
        group: Some(base),
        interface: interface.name.clone(),
        addresses: addresses.clone(),
        fingerprint,
        url: Box::new(urls.group),
        host_url: urls.host.map(Box::new),
    });

    let reactor = Reactor::new(clock)?;
    let control = reactor.control();
    let (to_net, messages) = channel::unbounded();
    let (to_hasher, to_hash) = channel::unbounded();
    let (to_reader, to_read) = channel::unbounded();
    let cache = match &builder.hash_cache {
        Some(folder) => HashCache::at(folder, CACHE_LIMIT),
        None => HashCache::of_user(),
    };
    let symbol_size = builder.symbol_size;
    let hasher = {
        let (to_net, control) = (to_net.clone(), control.clone());
        spawn("loopcast-hash", move || {
            let cut = workers::Cut {
                symbol_size,
                k: usual_k,
                codec,
            };
            workers::hash(&to_hash, &to_net, &control, &cache, cut);
        })?
    };
    let reader = {
        let (to_net, control) = (to_net.clone(), control.clone());
        spawn("loopcast-read", move || {
            if codec != Codec::None {
                fec::prepare();
            }
            workers::read(&to_read, &to_net, &control)
        })?
    };
    let setup = Setup {
        engine,
        envelopes,
        interface,
        links,
        listeners,
        outbox: setting_up.outbox,
        messages,
        to_hasher,
        to_reader,
        found,
    };
    let cpu_before = cpu_time();
    let done = control.clone();
    let thread = spawn("loopcast-send", move || {
        let ended = run(clock, reactor, setup, done.clone());
        // Its channels are gone: the others end as soon as they look.
        done.abort();
        let workers = [("reading", reader), ("hashing", hasher)];
        for (name, worker) in workers {
            worker.join().map_err(|_| DriverError::Panicked(name))?;
        }
        let spent = Spent {
            wall: clock.now().since(Time::ZERO),
            cpu: cpu_time().saturating_sub(cpu_before),
        };
        Ok(summary(session, fingerprint, ended?, spent))
    })?;
    Ok(Running {
        session,
        addresses,
        events,
        messages: to_net,
        control,
        thread,
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

/// The user's key, made if there is none yet. Where none can be kept, sending goes on under one that nobody
/// can know beforehand.
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

/// What goes out without being asked for. A sender that is to find out by itself goes by what receivers
/// report; where they can't, it takes it that so much is lost.
fn surplus(parity: Parity, one_way: bool) -> Surplus {
    match parity {
        Parity::Auto if one_way => Surplus::ForLoss {
            loss: config::ONE_WAY_LOSS,
            chance: Surplus::RARELY,
        },
        Parity::Auto => Surplus::Reported,
        Parity::None => Surplus::None,
        Parity::Share(share) => Surplus::Share(share),
    }
}

/// Source symbols in a block where there is no way back.
fn one_way_k(symbol_size: u16) -> u16 {
    let fit = config::ONE_WAY_BLOCK / usize::from(symbol_size);
    fit.min(usize::from(config::ONE_WAY_K)) as u16
}

/// Buffers for blocks of up to `k` source symbols.
fn slots(memory: usize, symbol_size: u16, k: u16, codec: Codec) -> u16 {
    let symbols = k + codec.default_parity(k);
    let block = usize::from(symbols) * usize::from(symbol_size);
    (memory / block).clamp(4, 64) as u16
}

/// Whether packets with such symbols fit the interface.
fn check_size(size: u16, v4: bool, sealed: bool, interface: &Interface) -> Result<(), StartError> {
    let headers = if v4 { 28 } else { 48 };
    let envelope = if sealed { envelope::OVERHEAD } else { 0 };
    let around = headers + (wire::data_packet_len(0) + envelope) as u32;
    let packet = u32::from(size) + around;
    match interface.mtu() {
        Some(mtu) if packet > mtu => Err(StartError::SymbolTooLarge {
            size,
            packet,
            interface: interface.name.clone(),
            mtu,
            fits: mtu.saturating_sub(around) / 64 * 64,
        }),
        _ => Ok(()),
    }
}

struct SettingUp {
    outbox: Outbox<SenderEvent>,
    ttl: u8,
    loopback: bool,
    offload: bool,
}

impl SettingUp {
    /// The sockets that answer: first the one that sends to groups, then one at each other address
    /// of this machine; at those of the loopback only, when that is the interface. Without a way
    /// back the first is enough.
    fn links(
        &mut self,
        base: SocketAddr,
        source: Option<IpAddr>,
        interface: &Interface,
        way_back: bool,
    ) -> Result<Vec<Socket>, StartError> {
        let port = base.port();
        let no_address = || StartError::NoInterface {
            family: if base.is_ipv4() { 4 } else { 6 },
            available: interface.name.clone(),
        };
        let own = source
            .or_else(|| interface.address(base.is_ipv4()))
            .ok_or_else(no_address)?;
        let first = Socket::at_own_address(own, port, interface.index)?;
        first
            .send_groups_by(interface, self.ttl, self.loopback)
            .map_err(|source| StartError::Socket {
                what: format!("send to groups by {}", interface.name),
                source,
            })?;
        let mut links = vec![first];
        let all = interface::list()?;
        for other in all
            .iter()
            .filter(|i| way_back && i.up && (!interface.loopback || i.loopback))
        {
            for &ip in other.addresses.iter().filter(|ip| **ip != own) {
                if links.len() == MAX_LINKS {
                    break;
                }
                match Socket::at_own_address(ip, port, other.index) {
                    Ok(socket) => links.push(socket),
                    Err(error @ StartError::PortInUse(_)) => return Err(error),
                    // An address may be going or not be ready yet.
                    Err(error) => self.outbox.tell(SenderEvent::AddressSkipped {
                        address: ip,
                        reason: error.to_string(),
                    }),
                }
            }
        }
        let offload = |link: Socket| link.with_offload(self.offload);
        let links: Vec<Socket> = links.into_iter().map(offload).collect();
        let mut small = None;
        for link in &links {
            small = small.or(link.want_receive_buffer(RECEIVE_BUFFER));
            link.want_send_buffer(SEND_BUFFER);
        }
        if let Some(small) = small {
            self.outbox.tell(SenderEvent::SmallBuffer(small));
        }
        Ok(links)
    }

    /// The sockets that hear requests to the base group, and other senders on it.
    fn listeners(
        &mut self,
        base: SocketAddr,
        links: &[Socket],
        interface: &Interface,
        way_back: bool,
    ) -> Result<Vec<Listener>, StartError> {
        let group = base.ip();
        let mut listeners = Vec::new();
        if way_back {
            let requests = SocketAddr::new(group, base.port() + 1);
            let socket = Socket::on_group(requests, None, interface)?;
            socket.want_receive_buffer(RECEIVE_BUFFER);
            listeners.push(Listener {
                socket,
                purpose: Purpose::Requests,
                group,
            });
        }
        // Without the means to leave out what we send ourselves it would cost too much.
        let others = Socket::on_group(base, None, interface)?;
        let own = links.first().map(|l| l.local().ip());
        if own.is_some_and(|own| others.block_source(group, own, interface).is_ok()) {
            listeners.push(Listener {
                socket: others,
                purpose: Purpose::OtherSenders,
                group,
            });
        }
        Ok(listeners)
    }
}

fn summary(
    session: SessionId,
    fingerprint: Fingerprint,
    remains: Remains,
    spent: Spent,
) -> SenderSummary {
    let Remains {
        engine,
        roster,
        objects,
        not_offered,
        stopped,
        overflowed,
        v4,
    } = remains;
    let (stats, sealed) = (engine.stats(), engine.config().sealed);
    let outcome = if stopped {
        RunOutcome::Stopped
    } else if objects.iter().all(|o| o.withdrawn.is_some()) && !not_offered.is_empty() {
        RunOutcome::Failed
    } else if !not_offered.is_empty() || roster.some_lack() {
        RunOutcome::Partial
    } else {
        RunOutcome::Complete
    };
    let dropped = DropReason::ALL.into_iter().map(|r| (r, stats.dropped(r)));
    SenderSummary {
        outcome,
        session,
        fingerprint,
        sent: Traffic::with_headers(v4, sealed, |kind| stats.sent(kind)),
        received: Traffic::with_headers(v4, sealed, |kind| stats.received(kind)),
        loss: Loss {
            overflowed,
            dropped: dropped.filter(|(_, n)| *n > 0).collect(),
            ..Loss::default()
        },
        repairs: stats.repairs,
        naks_received: stats.received(PacketKind::Nak).packets,
        receivers_known: roster.ever(),
        most_unlisted: stats.most_unlisted,
        tiers: roster.tiers(engine.channels_used(), Which::All),
        receivers: roster.into_receivers(),
        objects,
        not_offered,
        spent,
    }
}
