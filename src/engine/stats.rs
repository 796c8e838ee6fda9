//! Figures: what was sent, received and thrown away, by kind and cause.

use crate::envelope::{self, Refused};
use crate::wire::WireError;

/// Kinds of packets, for figures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PacketKind {
    /// Data in the course of a cycle.
    Data,
    /// Data because of NAKs.
    Repair,
    /// Data over unicast.
    UnicastData,
    /// SYNC.
    Sync,
    /// Offers.
    Offer,
    /// Confirms.
    Confirm,
    /// Acknowledgements of joins and dones.
    Heard,
    /// Notices.
    Notice,
    /// Challenges.
    Challenge,
    /// Requests.
    Request,
    /// NAKs.
    Nak,
    /// Reports.
    Report,
    /// Acknowledgements of unicast data.
    Ack,
    /// Dones.
    Done,
}

impl PacketKind {
    /// Bytes that a group's envelope adds to it, if it is `sealed` in one.
    pub fn envelope(self, sealed: bool) -> usize {
        use PacketKind as K;
        match self {
            _ if !sealed => 0,
            K::Sync | K::Offer | K::Confirm | K::Heard | K::Notice | K::Challenge => {
                envelope::CONTROL_OVERHEAD
            }
            _ => envelope::OVERHEAD,
        }
    }

    /// All kinds, in the order of their numbers.
    pub const ALL: [PacketKind; 14] = [
        PacketKind::Data,
        PacketKind::Repair,
        PacketKind::UnicastData,
        PacketKind::Sync,
        PacketKind::Offer,
        PacketKind::Confirm,
        PacketKind::Heard,
        PacketKind::Notice,
        PacketKind::Challenge,
        PacketKind::Request,
        PacketKind::Nak,
        PacketKind::Report,
        PacketKind::Ack,
        PacketKind::Done,
    ];

    /// A stable name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            PacketKind::Data => "data",
            PacketKind::Repair => "repair",
            PacketKind::UnicastData => "unicast_data",
            PacketKind::Sync => "sync",
            PacketKind::Offer => "offer",
            PacketKind::Confirm => "confirm",
            PacketKind::Heard => "heard",
            PacketKind::Notice => "notice",
            PacketKind::Challenge => "challenge",
            PacketKind::Request => "request",
            PacketKind::Nak => "nak",
            PacketKind::Report => "report",
            PacketKind::Ack => "ack",
            PacketKind::Done => "done",
        }
    }
}

/// Why a packet was thrown away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// It does not parse: cut short, wrong version, wrong checksum, a value out of range.
    Malformed,
    /// It is of another session.
    OtherSession,
    /// It is of an object that is not wanted.
    NotWanted,
    /// The symbol was already here.
    Duplicate,
    /// The object has no such block or symbol.
    OutOfRange,
    /// Its cookie is missing or wrong.
    Cookie,
    /// Its counter was seen before, or is older than any expected.
    Replayed,
    /// A table is full, or more is asked than may be answered.
    Full,
    /// It comes from the wrong end (a sender's packet at a sender).
    WrongEnd,
    /// A description under another key than that of the sender trusted.
    Untrusted,
    /// A description whose signature does not hold.
    Forged,
    /// A description whose signature was not looked at, because too many were wrong.
    Unchecked,
    /// It is sealed, and there is no group key here.
    Sealed,
    /// It is not sealed with the group key that is here.
    Unsealed,
    /// It comes from an address that had a part in a block that was wrong.
    Doubted,
}

impl From<WireError> for DropReason {
    fn from(error: WireError) -> DropReason {
        match error {
            WireError::Tagged => DropReason::Sealed,
            _ => DropReason::Malformed,
        }
    }
}

impl From<Refused> for DropReason {
    fn from(refused: Refused) -> DropReason {
        match refused {
            Refused::Unsealed => DropReason::Unsealed,
            Refused::OtherSession => DropReason::OtherSession,
            Refused::Replayed => DropReason::Replayed,
            Refused::WrongEnd => DropReason::WrongEnd,
            Refused::Full => DropReason::Full,
        }
    }
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [DropReason; 15] = [
        DropReason::Malformed,
        DropReason::OtherSession,
        DropReason::NotWanted,
        DropReason::Duplicate,
        DropReason::OutOfRange,
        DropReason::Cookie,
        DropReason::Replayed,
        DropReason::Full,
        DropReason::WrongEnd,
        DropReason::Untrusted,
        DropReason::Forged,
        DropReason::Unchecked,
        DropReason::Sealed,
        DropReason::Unsealed,
        DropReason::Doubted,
    ];

    /// A stable name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::Malformed => "malformed",
            DropReason::OtherSession => "other_session",
            DropReason::NotWanted => "not_wanted",
            DropReason::Duplicate => "duplicate",
            DropReason::OutOfRange => "out_of_range",
            DropReason::Cookie => "cookie",
            DropReason::Replayed => "replayed",
            DropReason::Full => "full",
            DropReason::WrongEnd => "wrong_end",
            DropReason::Untrusted => "untrusted",
            DropReason::Forged => "forged",
            DropReason::Unchecked => "unchecked",
            DropReason::Sealed => "sealed",
            DropReason::Unsealed => "unsealed",
            DropReason::Doubted => "doubted",
        }
    }
}

/// Packets and bytes of UDP payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
}

impl Counter {
    pub(crate) fn add(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }
}

/// Figures by kind of packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ByKind([Counter; PacketKind::ALL.len()]);

impl ByKind {
    pub(crate) fn add(&mut self, kind: PacketKind, packets: u64, bytes: u64) {
        self.0[kind as usize].add(packets, bytes);
    }

    pub(crate) fn get(&self, kind: PacketKind) -> Counter {
        self.0[kind as usize]
    }
}

/// Figures by reason of dropping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ByReason([u64; DropReason::ALL.len()]);

impl ByReason {
    pub(crate) fn add(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    pub(crate) fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }
}

/// A sender's figures since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SenderStats {
    pub(crate) sent: ByKind,
    pub(crate) received: ByKind,
    pub(crate) dropped: ByReason,
    /// Symbols sent because of NAKs.
    pub repairs: u64,
    /// Cycles that ended, over all objects.
    pub cycles: u64,
    /// The most receivers at a time that were not listed, an estimate.
    pub most_unlisted: u32,
}

impl SenderStats {
    /// What was sent of a kind.
    pub fn sent(&self, kind: PacketKind) -> Counter {
        self.sent.get(kind)
    }

    /// What was received of a kind.
    pub fn received(&self, kind: PacketKind) -> Counter {
        self.received.get(kind)
    }

    /// Packets thrown away for a reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason)
    }
}

/// A receiver's figures since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReceiverStats {
    pub(crate) sent: ByKind,
    pub(crate) received: ByKind,
    pub(crate) dropped: ByReason,
    /// Packets that never came, by gaps in packet numbers (drops in our own socket included).
    pub lost: u64,
    /// NAKs that were not sent, because another's NAK or a confirm covered the need.
    pub naks_suppressed: u64,
    /// Blocks whose hash was wrong.
    pub bad_blocks: u64,
    /// Bytes of content verified.
    pub bytes_verified: u64,
}

impl ReceiverStats {
    /// What was sent of a kind.
    pub fn sent(&self, kind: PacketKind) -> Counter {
        self.sent.get(kind)
    }

    /// What was received of a kind.
    pub fn received(&self, kind: PacketKind) -> Counter {
        self.received.get(kind)
    }

    /// Packets thrown away for a reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason)
    }
}
