//! Figures that events and summaries share: how receivers, tiers and sockets fare.

use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "serde")]
use crate::driver::json;
use crate::ids::ReceiverId;
use crate::units::Rate;
use crate::wire::MoveCause;

/// The way an object's packets take to a receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryPath {
    /// By the group, once for everybody.
    Multicast,
    /// By UDP unicast to this receiver alone.
    Unicast,
}

impl DeliveryPath {
    pub(crate) fn of(unicast: bool) -> DeliveryPath {
        if unicast {
            DeliveryPath::Unicast
        } else {
            DeliveryPath::Multicast
        }
    }

    /// `multicast` or `unicast`.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryPath::Multicast => "multicast",
            DeliveryPath::Unicast => "unicast",
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for DeliveryPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A receiver as it last reported to its sender.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ReceiverStanding {
    /// Its identity.
    pub id: ReceiverId,
    /// Where it asked from.
    pub address: SocketAddr,
    /// How it was served last.
    pub path: DeliveryPath,
    /// The rate of the tier that it listened on last.
    #[cfg_attr(feature = "serde", serde(rename = "tier_bps"))]
    pub tier: Rate,
    /// How often it moved to another tier or path.
    pub moves: u32,
    /// Why it did last, or had to leave.
    pub why: MoveCause,
    /// Payload bytes a second.
    #[cfg_attr(feature = "serde", serde(rename = "throughput_bps"))]
    pub throughput: Rate,
    /// Data packets it has received.
    pub packets: u64,
    /// Packets it lost in the network.
    pub lost: u64,
    /// Packets it lost in its own socket's buffer.
    pub overflowed: u64,
    /// Packets that its disk had no time for.
    pub stalled: u64,
    /// The share that it has of all that it wants, 0 to 1.
    pub progress: f64,
    /// How long the rest takes at that throughput; none when it gets nothing.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "seconds_left", serialize_with = "json::maybe_seconds")
    )]
    pub remaining: Option<Duration>,
}

/// A tier that is sent to or listened to, and how those fare who want something more there.
#[derive(Clone, PartialEq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SenderTier {
    /// The group of its channel, of the first if it has several; none while nothing is sent there.
    pub group: Option<SocketAddr>,
    /// What it stands for.
    #[cfg_attr(feature = "serde", serde(rename = "tier_bps"))]
    pub tier: Rate,
    /// What its channels, which run now, may send at together.
    #[cfg_attr(feature = "serde", serde(rename = "rate_bps"))]
    pub rate: Rate,
    /// Data packets sent on those.
    #[cfg_attr(feature = "serde", serde(rename = "sent_packets"))]
    pub sent: u64,
    /// Receivers that want something more, of the first 10,000; in a summary all that listened
    /// there last.
    #[cfg_attr(feature = "serde", serde(rename = "listeners"))]
    pub receivers: u32,
    /// Data packets that came at them.
    pub packets: u64,
    /// Packets that they lost in the network, since they came.
    pub lost: u64,
    /// Packets that they lost in their sockets' buffers.
    pub overflowed: u64,
    /// Packets that their disks had no time for.
    pub stalled: u64,
    /// The share that the one which has least has of what it wants, 0 to 1.
    pub progress: f64,
    /// How long the last of them will take; none when one gets nothing.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "seconds_left", serialize_with = "json::maybe_seconds")
    )]
    pub remaining: Option<Duration>,
}

/// A socket got a smaller receive buffer than it asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SmallBuffer {
    /// Bytes asked for.
    pub wanted: usize,
    /// Bytes that the system allows.
    pub got: usize,
}

impl SmallBuffer {
    /// How long a stall of this process the buffer bridges at `rate` before packets are lost.
    pub fn bridges(&self, rate: Rate) -> Duration {
        let bits = self.got as f64 * 8.0;
        Duration::from_secs_f64(bits / (rate.as_bps() as f64).max(1.0))
    }
}
