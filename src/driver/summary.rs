//! What a sender or a receiver has to say when it has ended: the figures of `--stats`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::figures::{ReceiverStanding, SenderTier};
#[cfg(feature = "serde")]
use crate::driver::json;
use crate::engine::{Counter, DropReason, PacketKind, PathChoice};
use crate::ids::{CodingId, ContentId, ReceiverId, SessionId};
use crate::seal::Fingerprint;
use crate::wire::{MoveCause, Outcome};

/// A number of packets and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their IP bytes: UDP payload and the UDP and IP headers (28 bytes over IPv4, 48 over IPv6).
    pub bytes: u64,
}

/// Packets and bytes by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    counts: [Count; PacketKind::ALL.len()],
}

impl Traffic {
    /// An engine's figures, which are of plain UDP payload, with what a group's envelope adds, if
    /// packets are sealed, and the headers of UDP and IP.
    pub(crate) fn with_headers(
        v4: bool,
        sealed: bool,
        payload: impl Fn(PacketKind) -> Counter,
    ) -> Traffic {
        let ip = if v4 { 28 } else { 48 };
        let mut traffic = Traffic::default();
        for kind in PacketKind::ALL {
            let Counter { packets, bytes } = payload(kind);
            let headers = ip + kind.envelope(sealed) as u64;
            traffic.add(kind, packets, bytes + packets * headers);
        }
        traffic
    }

    /// Counts `packets` packets of one kind, `bytes` IP bytes in all.
    pub fn add(&mut self, kind: PacketKind, packets: u64, bytes: u64) {
        self.counts[kind as usize].packets += packets;
        self.counts[kind as usize].bytes += bytes;
    }

    /// The count of one kind.
    pub fn get(&self, kind: PacketKind) -> Count {
        self.counts[kind as usize]
    }

    /// Every kind with its count, those with no packets included.
    pub fn iter(&self) -> impl Iterator<Item = (PacketKind, Count)> + '_ {
        PacketKind::ALL.into_iter().zip(self.counts)
    }

    /// All kinds together.
    pub fn total(&self) -> Count {
        self.counts.iter().fold(Count::default(), |sum, c| Count {
            packets: sum.packets + c.packets,
            bytes: sum.bytes + c.bytes,
        })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Traffic {
    /// Packets and bytes in all, and of each kind that there was any of.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;

        let mut kinds = serializer.serialize_map(None)?;
        kinds.serialize_entry("total", &self.total())?;
        for (kind, count) in self.iter().filter(|(_, count)| count.packets > 0) {
            kinds.serialize_entry(&kind, &count)?;
        }
        kinds.end()
    }
}

/// Time that passed and time that processors spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Spent {
    /// From start to end.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "wall_seconds", serialize_with = "json::seconds")
    )]
    pub wall: Duration,
    /// User and system time of this whole process in between.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "cpu_seconds", serialize_with = "json::seconds")
    )]
    pub cpu: Duration,
}

/// Packets that did not count, by cause.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Loss {
    /// Lost on the way: gaps in packet numbers less the next three causes.
    pub network: u64,
    /// Lost in our own socket's buffer.
    pub overflowed: u64,
    /// Dropped here because the disk could not keep up.
    pub stalled: u64,
    /// Discarded on purpose (`--drop`).
    pub discarded: u64,
    /// Read and thrown away, by reason (damaged, of another session, already here...).
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::counts"))]
    pub dropped: Vec<(DropReason, u64)>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RunOutcome {
    /// All that was asked for is done.
    Complete,
    /// Some of it is done, some is not.
    Partial,
    /// None of it is done.
    Failed,
    /// Time was up (no sender within the time allowed).
    TimedOut,
    /// It was told to stop.
    Stopped,
    /// The sender did not serve it to the end.
    Evicted,
}

/// What a sender did.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SenderSummary {
    /// How it ended. `Partial` when a file could not be offered or a receiver failed or went
    /// silent.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub outcome: RunOutcome,
    /// The session.
    pub session: SessionId,
    /// Of the key that signed what was offered.
    pub fingerprint: Fingerprint,
    /// Time.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub spent: Spent,
    /// Packets sent, by kind.
    pub sent: Traffic,
    /// Packets heard, by kind.
    pub received: Traffic,
    /// What was dropped of those heard, and why.
    pub loss: Loss,
    /// Data packets sent because of NAKs, on groups.
    pub repairs: u64,
    /// NAK packets heard.
    pub naks_received: u64,
    /// Receivers that were ever known one by one.
    pub receivers_known: u64,
    /// The most at a time that were not, an estimate.
    pub most_unlisted: u32,
    /// The tiers that data was sent on, and of those receivers the ones that listened there last,
    /// the fastest first.
    pub tiers: Vec<SenderTier>,
    /// One by one, those in the roster.
    pub receivers: Vec<SenderReceiver>,
    /// The objects.
    pub objects: Vec<SenderObject>,
    /// Files that could not be offered.
    pub not_offered: Vec<NotOffered>,
}

/// A receiver as its sender saw it.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SenderReceiver {
    /// How it fared, as it last reported.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub standing: ReceiverStanding,
    /// When it was first heard, after the sender's start.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::seconds"))]
    pub joined: Duration,
    /// When it had finished with all it wanted, or was forgotten.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::maybe_seconds"))]
    pub left: Option<Duration>,
    /// How it ended; none when it fell silent or is still there.
    pub outcome: Option<Outcome>,
    /// NAK packets it sent.
    pub naks: u64,
}

/// A file that could not be offered.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NotOffered {
    /// The file.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
    pub path: PathBuf,
    /// Why, with what to do.
    pub reason: String,
}

/// An object as its sender served it.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SenderObject {
    /// Its name.
    pub name: String,
    /// The file.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::path"))]
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Hash of its bytes.
    pub content: ContentId,
    /// Its coding.
    pub coding: CodingId,
    /// Passes begun over it.
    pub cycles: u32,
    /// Paths in it that could not be read or have no form to be sent in.
    pub left_out: u64,
    /// Why it was withdrawn, if it was.
    pub withdrawn: Option<String>,
}

/// What a receiver did.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ReceiverSummary {
    /// How it ended.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub outcome: RunOutcome,
    /// Its identity.
    pub receiver: ReceiverId,
    /// The session that it heard; none when it heard none.
    pub session: Option<SessionId>,
    /// The sender whose signature held; none when there was none.
    pub sender: Option<Fingerprint>,
    /// The way it was served last, and why; none when it was not served.
    #[cfg_attr(
        feature = "serde",
        serde(flatten, serialize_with = "json::path_and_reason")
    )]
    pub path: Option<PathChoice>,
    /// Time.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub spent: Spent,
    /// Packets sent, by kind.
    pub sent: Traffic,
    /// Packets heard, by kind; those of `--drop` are not among them.
    pub received: Traffic,
    /// What was lost or dropped, by cause.
    pub loss: Loss,
    /// Data packets whose symbol was here already.
    pub duplicates: u64,
    /// NAK packets sent.
    pub naks_sent: u64,
    /// NAKs not sent, because another's NAK or a confirm covered the need.
    pub naks_suppressed: u64,
    /// Blocks whose hash was wrong and that were fetched anew.
    pub bad_blocks: u64,
    /// Where symbols of those came from: at most 16 addresses.
    pub bad_sources: Vec<BadSource>,
    /// The objects.
    pub objects: Vec<ReceiverObject>,
    /// Why it gave up, and what was tried, for people; none when it did not.
    pub gave_up: Option<String>,
    /// Why the sender did not serve it to the end; none when it did.
    pub evicted: Option<MoveCause>,
}

/// An address from which symbols of damaged blocks came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BadSource {
    /// The address. Others may have used it.
    pub address: SocketAddr,
    /// Damaged blocks that it had a part in.
    pub blocks: u64,
}

/// An object as a receiver got it.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ReceiverObject {
    /// Its name.
    pub name: String,
    /// The file it became or was to become; none when its name was refused.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::maybe_path"))]
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Hash of its bytes.
    pub content: ContentId,
    /// Every byte verified and on disk.
    pub complete: bool,
    /// Paths of it that are not here as the object has them: what was there is kept, or they can't
    /// be stored.
    pub left_out: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// From its opening to its end.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "seconds", serialize_with = "json::seconds")
    )]
    pub took: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_counts_by_kind_and_in_total() {
        let mut t = Traffic::default();
        t.add(PacketKind::Data, 10, 14_000);
        t.add(PacketKind::Nak, 1, 100);
        assert_eq!(
            t.get(PacketKind::Data),
            Count {
                packets: 10,
                bytes: 14_000
            }
        );
        assert_eq!(t.get(PacketKind::Nak).packets, 1);
        assert_eq!(
            t.total(),
            Count {
                packets: 11,
                bytes: 14_100
            }
        );
        assert_eq!(t.iter().count(), PacketKind::ALL.len());
    }
}
