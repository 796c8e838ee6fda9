//! A receiver's request to be served.

use core::net::SocketAddr;
use core::time::Duration;

use crate::engine::{Link, ObjectKey};
use crate::wire::{FromReceiver, Request, Stage};

/// A join, and what is known of it.
pub(super) struct Join<'a> {
    pub(super) from: SocketAddr,
    pub(super) link: Link,
    pub(super) packet: &'a FromReceiver,
    pub(super) request: &'a Request,
    /// Objects on offer that it asks for, at least one.
    pub(super) wanted: &'a [ObjectKey],
    /// The round trip that it tells.
    pub(super) rtt: Option<Duration>,
}

impl Join<'_> {
    pub(super) fn is_unicast(&self) -> bool {
        self.request.stage == Stage::JoinUnicast
    }
}
