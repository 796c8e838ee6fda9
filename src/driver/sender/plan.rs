//! Where a sender sends to, by which interface, and how fast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config;
use crate::driver::interface::{self, Interface};
use crate::driver::{DEFAULT_URL, SenderBuilder, StartError};
use crate::engine;
use crate::envelope;
use crate::object::Geometry;
use crate::rate;
use crate::units::Rate;
use crate::url::{GroupRange, Url};
use crate::wire;

/// What the builder's settings come to on this machine.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) url: Url,
    pub(super) range: GroupRange,
    /// The groups to send to; the first is the base group.
    pub(super) groups: Vec<SocketAddr>,
    pub(super) base: SocketAddr,
    pub(super) interface: Interface,
    /// The most that is sent.
    pub(super) rate: Rate,
    pub(super) tiers: Vec<Rate>,
}

impl Plan {
    pub(super) fn new(builder: &SenderBuilder) -> Result<Plan, StartError> {
        Geometry::new(0, builder.symbol_size, 1, 0, 64).map_err(StartError::SymbolSize)?;
        if builder.rate.is_some_and(Rate::is_zero) {
            return Err(StartError::NoRate);
        }
        let url = match &builder.to {
            Some(url) => url.clone(),
            None => DEFAULT_URL.parse::<Url>()?,
        };
        let range = url.to_send_to()?;
        // Where nobody can ask, who listens to one group hears it all.
        let most = builder.one_way.map_or(usize::MAX, |_| 1);
        let groups = range.iter().map(|ip| SocketAddr::new(ip, url.port()));
        let mut groups: Vec<SocketAddr> = groups.take(most).collect();
        let Some(&base) = groups.first() else {
            return Err(engine::SenderError::NoGroup.into());
        };
        let interface = choose_interface(builder, &url, base)?;
        let sealed = builder.group_key.is_some();
        check_size(builder.symbol_size, base.is_ipv4(), sealed, &interface)?;
        let (rate, tiers) = rates(builder, &interface)?;
        let least = builder.min_rate;
        if let Some(&slow) = tiers.iter().chain([&rate]).find(|r| **r < least) {
            return Err(StartError::MinRate { least, slow });
        }
        if groups.len() == 1 && tiers.len() > 1 {
            // The first is for announcements: nobody's link is filled before it knows what else
            // there is.
            groups.extend(following(base).take(tiers.len()));
        }
        Ok(Plan {
            url,
            range,
            groups,
            base,
            interface,
            rate,
            tiers,
        })
    }
}

/// The interface that the builder or the URL names, or that goes with the URL's source or the
/// group.
fn choose_interface(
    builder: &SenderBuilder,
    url: &Url,
    base: SocketAddr,
) -> Result<Interface, StartError> {
    let source_text = url.source().map(|ip| ip.to_string());
    let wanted = builder.interface.as_deref().or(url.interface());
    interface::choose(wanted.or(source_text.as_deref()), base)
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
