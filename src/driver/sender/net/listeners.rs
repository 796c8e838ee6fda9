//! Sockets that only listen to groups: for requests, for other senders, for NAKs.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::driver::interface::Interface;
use crate::driver::reactor::{Look, Sockets};
use crate::driver::socket::Socket;
use crate::engine::{Link, ObjectKey};

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

/// The groups that are listened to, by the number of their socket.
#[derive(Debug)]
pub(super) struct Listeners {
    interface: Interface,
    groups: HashMap<usize, (Purpose, IpAddr)>,
}

impl Listeners {
    pub(super) fn new(interface: Interface) -> Listeners {
        Listeners {
            interface,
            groups: HashMap::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        listener: Listener,
        sockets: &mut Sockets<Link>,
    ) -> io::Result<()> {
        let number = sockets.add(listener.socket, Link::GROUP, Look::WhenReady)?;
        self.groups
            .insert(number, (listener.purpose, listener.group));
        Ok(())
    }

    /// Listens for NAKs of an object that is sent to `group`. They go to the port after that of its
    /// data.
    ///
    /// # Errors
    ///
    /// Where they go, and why they can't be heard.
    pub(super) fn hear_feedback(
        &mut self,
        object: ObjectKey,
        group: SocketAddr,
        sockets: &mut Sockets<Link>,
    ) -> Result<(), (SocketAddr, String)> {
        let known = self.groups.values_mut().find_map(|known| match known {
            (Purpose::Feedback(objects), ip) if *ip == group.ip() => Some(objects),
            _ => None,
        });
        if let Some(objects) = known {
            objects.insert(object);
            return Ok(());
        }
        let feedback = SocketAddr::new(group.ip(), group.port() + 1);
        let refused = |reason: String| (feedback, reason);
        let socket = Socket::on_group(feedback, None, &self.interface);
        let listener = Listener {
            socket: socket.map_err(|e| refused(e.to_string()))?,
            purpose: Purpose::Feedback([object].into()),
            group: group.ip(),
        };
        let added = self.add(listener, sockets);
        added.map_err(|e| refused(format!("can't watch a socket: {e}")))
    }

    /// An object is no longer sent: groups that no other is sent to are left.
    pub(super) fn stop_feedback(&mut self, object: ObjectKey, sockets: &mut Sockets<Link>) {
        self.leave(sockets, |purpose| match purpose {
            Purpose::Feedback(objects) => objects.remove(&object) && objects.is_empty(),
            _ => false,
        });
    }

    /// Other senders have been heard of: once is enough, and their data costs every packet.
    pub(super) fn stop_other_senders(&mut self, sockets: &mut Sockets<Link>) {
        self.leave(sockets, |purpose| *purpose == Purpose::OtherSenders);
    }

    fn leave(&mut self, sockets: &mut Sockets<Link>, is_over: impl Fn(&mut Purpose) -> bool) {
        let interface = &self.interface;
        self.groups.retain(|&number, (purpose, group)| {
            let stays = !is_over(purpose);
            if !stays && let Some(socket) = sockets.remove(number) {
                socket.leave(*group, None, interface);
            }
            stays
        });
    }
}
