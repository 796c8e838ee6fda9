//! The sockets of a sender: those that send and answer, and those that only listen.

use std::net::{IpAddr, SocketAddr};

use super::net::{Listener, Purpose};
use crate::driver::interface::{self, Interface};
use crate::driver::outbox::Outbox;
use crate::driver::socket::Socket;
use crate::driver::{SenderEvent, StartError};

/// Receive buffer for what receivers send: some thousand requests at once.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Send buffer: some bursts.
const SEND_BUFFER: usize = 1 << 20;
/// Most local addresses that requests are answered at: a link's number has 8 bits.
const MAX_LINKS: usize = 200;

/// Binds a sender's sockets.
pub(super) struct Binding<'a> {
    pub(super) outbox: &'a mut Outbox<SenderEvent>,
    pub(super) ttl: u8,
    /// Receivers on this machine hear the groups.
    pub(super) loopback: bool,
    pub(super) offload: bool,
    /// Receivers can ask.
    pub(super) way_back: bool,
}

impl Binding<'_> {
    /// The sockets that answer: first the one that sends to groups, then one at each other address
    /// of this machine; at those of the loopback only, when that is the interface. Without a way
    /// back the first is enough.
    pub(super) fn links(
        &mut self,
        base: SocketAddr,
        source: Option<IpAddr>,
        interface: &Interface,
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
            .filter(|i| self.way_back && i.up && (!interface.loopback || i.loopback))
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
    pub(super) fn listeners(
        &self,
        base: SocketAddr,
        links: &[Socket],
        interface: &Interface,
    ) -> Result<Vec<Listener>, StartError> {
        let group = base.ip();
        let mut listeners = Vec::new();
        if self.way_back {
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
