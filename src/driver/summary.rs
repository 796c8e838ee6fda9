//! What a sender or a receiver has to say when it has ended: the figures of `--stats`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::events::DeliveryPath;
use crate::engine::{Counter, DropReason, PacketKind, PathChoice};
use crate::ids::{CodingId, ContentId, ReceiverId, SessionId};
use crate::seal::Fingerprint;
use crate::units::Rate;
use crate::wire::{MoveCause, Outcome};

/// A number of packets and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
    /// An engine's figures, which are of plain UDP payload, with what a group's envelope adds, if packets are
    /// sealed, and the headers of UDP and IP.
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

/// Time that passed and time that processors spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// From start to end.
    pub wall: Duration,
    /// User and system time of this whole process in between.
    pub cpu: Duration,
}

/// Packets that did not count, by cause.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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
pub struct SenderSummary {
    /// How it ended. `Partial` when a file could not be offered or a receiver failed or went silent.
    pub outcome: RunOutcome,
    /// The session.
    pub session: SessionId,
    /// Of the key that signed what was offered.
    pub fingerprint: Fingerprint,
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
    /// One by one, those in the roster.
    pub receivers: Vec<SenderReceiver>,
    /// The tiers that data was sent on, and of those receivers the ones that listened there last, the fastest first.
    pub tiers: Vec<SenderTier>,
    /// The objects.
    pub objects: Vec<SenderObject>,
    /// Files that could not be offered, with the reason.
    pub not_offered: Vec<(PathBuf, String)>,
    /// Time.
    pub spent: Spent,
}

/// A receiver as its sender saw it.
#[derive(Clone, PartialEq, Debug)]
pub struct SenderReceiver {
    /// Its identity.
    pub id: ReceiverId,
    /// Where it asked from.
    pub address: SocketAddr,
    /// How it was served last.
    pub path: DeliveryPath,
    /// The rate of the tier that it listened on last.
    pub tier: Rate,
    /// When it was first heard, after the sender's start.
    pub joined: Duration,
    /// When it had finished with all it wanted, or was forgotten.
    pub left: Option<Duration>,
    /// How it ended; none when it fell silent or is still there.
    pub outcome: Option<Outcome>,
    /// How often it moved to another tier or path.
    pub moves: u32,
    /// Why it did last, or had to leave.
    pub why: MoveCause,
    /// NAK packets it sent.
    pub naks: u64,
    /// Payload bytes a second, as it last reported.
    pub throughput: Rate,
    /// Data packets it has received, as it last reported.
    pub packets: u64,
    /// Packets it lost in the network, as it last reported.
    pub lost: u64,
    /// Packets it lost in its own socket's buffer, as it last reported.
    pub overflowed: u64,
    /// Packets that its disk had no time for, as it last reported.
    pub stalled: u64,
    /// The share that it has of all that it wants, 0 to 1, as it last reported.
    pub progress: f64,
    /// How long the rest takes at the throughput it last reported; none when it gets nothing.
    pub remaining: Option<Duration>,
}

/// A tier that is sent to or listened to, and how those fare who want something more there.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SenderTier {
    /// What it stands for.
    pub tier: Rate,
    /// The group of its channel, of the first if it has several; none while nothing is sent there.
    pub group: Option<SocketAddr>,
    /// What its channels, which run now, may send at together.
    pub rate: Rate,
    /// Data packets sent on those.
    pub sent: u64,
    /// Receivers that want something more, of the first 10,000; in a summary all that listened there last.
    pub receivers: u32,
    /// Packets that they lost in the network, since they came.
    pub lost: u64,
    /// Packets that they lost in their sockets' buffers.
    pub overflowed: u64,
    /// Packets that their disks had no time for.
    pub stalled: u64,
    /// Data packets that came at them.
    pub packets: u64,
    /// The share that the one which has least has of what it wants, 0 to 1.
    pub progress: f64,
    /// How long the last of them will take; none when one gets nothing.
    pub remaining: Option<Duration>,
}

/// An object as its sender served it.
#[derive(Clone, PartialEq, Debug)]
pub struct SenderObject {
    /// Its name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Hash of its bytes.
    pub content: ContentId,
    /// Its coding.
    pub coding: CodingId,
    /// Passes begun over it.
    pub cycles: u32,
    /// Why it was withdrawn, if it was.
    pub withdrawn: Option<String>,
}

/// What a receiver did.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceiverSummary {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Its identity.
    pub receiver: ReceiverId,
    /// The session that it heard; none when it heard none.
    pub session: Option<SessionId>,
    /// The sender whose signature held; none when there was none.
    pub sender: Option<Fingerprint>,
    /// The way it was served last, and why; none when it was not served.
    pub path: Option<PathChoice>,
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
    /// Where symbols of those came from, and of how many: at most 16 addresses.
    pub bad_sources: Vec<(SocketAddr, u64)>,
    /// The objects.
    pub objects: Vec<ReceiverObject>,
    /// Why it gave up, and what was tried, for people; none when it did not.
    pub gave_up: Option<String>,
    /// Why the sender did not serve it to the end; none when it did.
    pub evicted: Option<MoveCause>,
    /// Time.
    pub spent: Spent,
}

/// An object as a receiver got it.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceiverObject {
    /// Its name.
    pub name: String,
    /// The file it became or was to become; none when its name was refused.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Hash of its bytes.
    pub content: ContentId,
    /// Every byte verified and on disk.
    pub complete: bool,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// From its opening to its end.
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
