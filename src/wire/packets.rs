//! The packets as values, after checking and before encoding.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::ids::{
    BlockNo, ChannelNo, Cookie, PacketNo, ReceiverId, SessionId, ShortCodingId, SymbolNo,
};
use crate::object::Description;
use crate::seal::{PUBLIC_LEN, SIGNATURE_LEN};
use crate::symbol_set::SymbolSet;
use crate::units::Rate;

/// What stands before the payload of a data packet: 32 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataHeader {
    /// The channel it was sent on.
    pub channel: ChannelNo,
    /// The session it belongs to.
    pub session: SessionId,
    /// The coding that makes its symbol valid.
    pub coding: ShortCodingId,
    /// Its number on the channel.
    pub packet: PacketNo,
    /// The block its symbol belongs to.
    pub block: BlockNo,
    /// Its symbol.
    pub symbol: SymbolNo,
    /// Sent out of turn, because of NAKs most often, so it says nothing about the sender's position in the cycle.
    pub repair: bool,
    /// Its session has no way back: who hears it sends nothing.
    pub one_way: bool,
    /// Set when the packet carries a piece of the symbol: the piece's byte offset in it.
    pub part: Option<u16>,
}

/// A packet from a sender that is not data.
#[derive(Clone, PartialEq, Debug)]
pub struct FromSender {
    /// The channel it speaks of.
    pub channel: ChannelNo,
    /// The session it belongs to.
    pub session: SessionId,
    /// The session has no way back: who hears it sends nothing.
    pub one_way: bool,
    /// What it says.
    pub body: SenderBody,
}

/// What a sender says beside data.
#[derive(Clone, PartialEq, Debug)]
pub enum SenderBody {
    /// Proof of the path, and the sender's position.
    Sync(Sync),
    /// All a receiver needs to start on an object.
    Offer(Box<Offer>),
    /// The echo of a NAK to everyone.
    Confirm(Needs),
    /// Joins and dones that were heard; at most [`MAX_HEARD`](super::MAX_HEARD).
    Heard(Vec<Heard>),
    /// Joins that were heard of receivers that the sender has no room to list: on a group they are served all the
    /// same, by unicast they are not. At most [`MAX_HEARD`](super::MAX_HEARD).
    Unlisted(Vec<Heard>),
    /// Something the receiver must know and can't mend by asking for data.
    Notice(Notice),
    /// The value a receiver must send back before it is answered at length.
    Challenge(Challenge),
}

/// SYNC: proves that the path works and carries the sender's position in one object's cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sync {
    /// The object whose position it tells.
    pub coding: ShortCodingId,
    /// The number that the channel's next packet will have.
    pub next_packet: PacketNo,
    /// The next fresh symbol to be sent.
    pub position: Position,
    /// The sender's clock when it was sent, in ns, to be echoed; never 0.
    pub sent_at: u64,
    /// Group round-trip time. 1 us to 15 s on the wire.
    pub grtt: Duration,
    /// K of the suppression formula, 1 to 63.
    pub k: u8,
    /// R of the suppression formula: receivers on the channel, at least 1.
    pub receivers: u32,
    /// The longest time until the next SYNC.
    pub next_sync: Duration,
    /// What the channel may send at now, over all of its objects. In kbit/s on the wire.
    pub rate: Rate,
    /// The mean time between the reports of each receiver on the channel.
    pub report_interval: Duration,
    /// Share of packets that the paths of the channel's receivers lose at any rate, as far as the
    /// sender could find out, in 255ths: no slower tier would lose less.
    pub path_loss: u8,
    /// The cycle is at its end: who still lacks anything must say so.
    pub query: bool,
    /// The channel is not sending data now, because nobody needs any.
    pub idle: bool,
    /// Padded with zeros to this many bytes of UDP payload; 0 for no padding.
    pub padded_to: u16,
}

/// A place in an object's cycles. Ordered as the sender walks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// The cycle, from 0.
    pub cycle: u32,
    /// The block; the number of blocks when the cycle is at its end.
    pub block: BlockNo,
    /// The symbol in it.
    pub symbol: SymbolNo,
}

/// An object on offer: its description and where it runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Offer {
    /// The sender's clock when it was sent, in ns, to be echoed; never 0.
    pub sent_at: u64,
    /// Which of the session's offers it is, from 0.
    pub index: u32,
    /// How many offers the session has made (those withdrawn included).
    pub total: u32,
    /// Group round-trip time.
    pub grtt: Duration,
    /// Receivers known or expected, at least 1.
    pub receivers: u32,
    /// Length, geometry, hashes and name.
    pub description: Description,
    /// Whose description it is. Parsing does not check it.
    pub signature: Signature,
    /// The channels that it runs on, at most [`MAX_CHANNELS`](super::MAX_CHANNELS); none until a receiver has asked for it.
    pub channels: Vec<ChannelInfo>,
}

/// Who is said to have described an object, and the proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The sender's public key, if it is one.
    pub key: [u8; PUBLIC_LEN],
    /// Its signature of the description.
    pub bytes: [u8; SIGNATURE_LEN],
}

/// Where a channel is and what it runs at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelInfo {
    /// Its number in the session, below [`UNICAST_CHANNELS`](crate::ids::UNICAST_CHANNELS).
    pub number: ChannelNo,
    /// Its speed class: 0 is the fastest, each further one slower; below
    /// [`MAX_CHANNELS`](super::MAX_CHANNELS).
    pub tier: u8,
    /// The multicast group and port its packets go to. IPv6 scopes don't travel.
    pub group: SocketAddr,
    /// The only source to take them from (SSM); any when none.
    pub source: Option<IpAddr>,
    /// The rate that its tier stands for. In kbit/s on the wire.
    pub rate: Rate,
    /// Where NAKs and reports go.
    pub feedback: Feedback,
}

/// Where a channel's NAKs and reports go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feedback {
    /// To the address that the sender answers from.
    Sender,
    /// To another port of the channel's group, which sender and receivers hear.
    Group {
        /// Not 0.
        port: u16,
    },
}

/// Which blocks lack how many symbols, and which where that matters (NAK and confirm).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Needs {
    /// The object.
    pub coding: ShortCodingId,
    /// Per block, in increasing order of block, not overlapping; at most
    /// [`MAX_NEEDS`](super::MAX_NEEDS).
    pub entries: Vec<Need>,
}

/// What one block, or a run of them, lacks.
#[derive(Clone, PartialEq, Debug)]
pub enum Need {
    /// So many blocks from `first` on lack everything.
    Blocks {
        /// The first of them.
        first: BlockNo,
        /// How many, at least 1.
        count: u32,
    },
    /// The block lacks `lacking` symbols, any that are not there yet.
    Count {
        /// The block.
        block: BlockNo,
        /// How many symbols it lacks, at least 1.
        lacking: u16,
    },
    /// The block lacks just these.
    Symbols {
        /// The block.
        block: BlockNo,
        /// Which, at least one.
        missing: SymbolSet,
    },
}

/// A join or done that the sender has heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Who said it.
    pub receiver: ReceiverId,
    /// The low 32 bits of the counter of the packet that said it.
    pub counter: u32,
}

/// Something the receiver must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Whom it is for; everybody when 0.
    pub receiver: ReceiverId,
    /// Which object it is about; the whole session when 0.
    pub coding: ShortCodingId,
    /// What it is.
    pub code: NoticeCode,
    /// Why, for [`NoticeCode::Evicted`] and [`NoticeCode::UseUnicast`].
    pub cause: MoveCause,
    /// The reason, for people; at most 200 bytes of UTF-8 without control characters.
    pub text: String,
    /// Other senders to ask, for [`NoticeCode::Elsewhere`]; at most 8.
    pub addresses: Vec<SocketAddr>,
}

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeCode {
    /// The sender does not hold what was asked for.
    NotFound,
    /// The sender does not hold it, and these addresses do.
    Elsewhere,
    /// The object is no longer sent: its file changed. Throw away what came of it.
    Withdrawn,
    /// The session is over.
    Ended,
    /// The sender does not know this receiver, or serves it no more. It may ask anew if it just fell silent.
    Evicted,
    /// Its groups are to be left to the others: it can have what it lacks by unicast.
    UseUnicast,
}

impl NoticeCode {
    /// A word for scripts.
    pub fn name(self) -> &'static str {
        match self {
            NoticeCode::NotFound => "not_found",
            NoticeCode::Elsewhere => "elsewhere",
            NoticeCode::Withdrawn => "withdrawn",
            NoticeCode::Ended => "ended",
            NoticeCode::Evicted => "evicted",
            NoticeCode::UseUnicast => "use_unicast",
        }
    }
}

/// The cookie that a receiver must send back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Whom it is for.
    pub receiver: ReceiverId,
    /// What to send back.
    pub cookie: Cookie,
    /// The sender's clock when it was sent, in ns, to be echoed; never 0.
    pub sent_at: u64,
}

/// A packet from a receiver.
#[derive(Clone, PartialEq, Debug)]
pub struct FromReceiver {
    /// The channel it speaks of.
    pub channel: ChannelNo,
    /// The session it is for; 0 in a first request, when it is not known.
    pub session: SessionId,
    /// Who sent it.
    pub receiver: ReceiverId,
    /// Its number among all that this receiver sent; never used twice.
    pub counter: u64,
    /// The cookie it was given; 0 before.
    pub cookie: Cookie,
    /// The time it last heard from the sender.
    pub echo: Option<Echo>,
    /// What it says.
    pub body: ReceiverBody,
}

/// A sender's time, sent back, so that the sender finds the round-trip time without common clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// `sent_at` of the packet that was heard.
    pub sent_at: u64,
    /// How long the receiver held it. 1 us steps, at most an hour.
    pub held: Duration,
}

/// What a receiver says.
#[derive(Clone, PartialEq, Debug)]
pub enum ReceiverBody {
    /// What it wants, and how far it has come in getting it. Padded to 1,200 bytes.
    Request(Request),
    /// What it lacks.
    Nak(Nak),
    /// Its periodic figures.
    Report(Report),
    /// What came on its unicast path (congestion control).
    Ack(Ack),
    /// What it has finished with; at most [`MAX_CODINGS`](super::MAX_CODINGS).
    Done(Vec<Done>),
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What it wants.
    pub wanted: Wanted,
    /// What the sender shall do about it.
    pub stage: Stage,
    /// It holds part of it already and will say by NAK what it lacks; otherwise it lacks all of it.
    pub holds: bool,
    /// What it believes its downlink carries; 0 when unknown. In kbit/s on the wire.
    pub downlink: Rate,
    /// The largest UDP payload heard from this sender over unicast; 0 when none.
    pub largest_heard: u16,
    /// Why it asks for this channel or path rather than the last.
    pub cause: MoveCause,
}

/// Why a receiver moves from one channel or path to another, or is told to, or to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MoveCause {
    /// It does not move, or does not say.
    #[default]
    None,
    /// More is sent than its path carries.
    Congestion,
    /// Its own socket buffer overflowed.
    SocketBuffer,
    /// Its disk can't keep up.
    Disk,
    /// Nothing was lost for a while: it may be able to take more.
    Clean,
    /// The slower channel lost as much: what is lost is not for the rate.
    PathLoss,
    /// It gets less than the sender's least rate.
    TooSlow,
    /// It asks for more repairs than one of many may have.
    AsksTooMuch,
    /// It fell silent.
    Silent,
}

impl MoveCause {
    /// A word for scripts.
    pub fn name(self) -> &'static str {
        match self {
            MoveCause::None => "none",
            MoveCause::Congestion => "congestion",
            MoveCause::SocketBuffer => "socket_buffer",
            MoveCause::Disk => "disk",
            MoveCause::Clean => "clean",
            MoveCause::PathLoss => "path_loss",
            MoveCause::TooSlow => "too_slow",
            MoveCause::AsksTooMuch => "asks_too_much",
            MoveCause::Silent => "silent",
        }
    }

    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            MoveCause::None => "for no reason given",
            MoveCause::Congestion => "its path carries less than was sent",
            MoveCause::SocketBuffer => "its socket buffer overflowed",
            MoveCause::Disk => "its disk did not keep up",
            MoveCause::Clean => "nothing was lost for a while",
            MoveCause::PathLoss => "a slower tier lost as much",
            MoveCause::TooSlow => "it gets less than the least rate that the sender serves",
            MoveCause::AsksTooMuch => "it asks again and again for more than its share of repairs",
            MoveCause::Silent => "nothing was heard from it",
        }
    }
}

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All that the session offers; answered with offers from index `from` on.
    All {
        /// The first offer that it does not know yet.
        from: u32,
    },
    /// One object, by the name it is offered under (or the last part of it).
    Name(String),
    /// Objects it has the offers of; 1 to 100.
    Codings(Vec<ShortCodingId>),
}

/// How far a receiver has come in getting what it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Tell me about it.
    Ask,
    /// I have joined its group: send there.
    JoinGroup,
    /// Send to me by unicast.
    JoinUnicast,
}

/// A NAK.
#[derive(Clone, PartialEq, Debug)]
pub struct Nak {
    /// One more than the highest packet number it has seen on the channel (0: it saw none): what
    /// the sender sent from there on is not counted as lacking.
    pub seen_to: PacketNo,
    /// What it lacks.
    pub needs: Needs,
    /// More is lacking than fits or than it asks for now.
    pub more: bool,
}

/// A receiver's figures on one object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The object; 0 when the figures are of the session as a whole.
    pub coding: ShortCodingId,
    /// Symbols that it has, or has finished with.
    pub symbols_held: u64,
    /// Bytes of payload a second that it has taken since its last report: that came, less those that wait for its disk
    /// beside those that did before, and those that it had to drop.
    pub throughput: Rate,
    /// The time from that report to this one.
    pub measured: Duration,
    /// Data packets that came, duplicates included.
    pub packets: u64,
    /// Packets lost in the network: gaps in packet numbers less the drops counted below.
    pub lost: u64,
    /// Packets lost in the receiver's own socket buffer.
    pub overflowed: u64,
    /// Packets dropped because they were malformed or damaged.
    pub damaged: u64,
    /// Packets that a busy disk made it drop.
    pub stalled: u64,
    /// The most packets lost one after another since its last report, for whatever cause.
    pub longest_run: u32,
    /// It uses unicast.
    pub unicast: bool,
    /// How full the fullest of its own buffers is, in 1/255; 0 while it keeps up, 255 when some have overflowed.
    pub behind: u8,
}

/// What came on a unicast path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Packet numbers that came, as ranges `from..to`, highest first, at most 32, not touching.
    pub ranges: Vec<(PacketNo, PacketNo)>,
    /// How long ago the highest of them came. 1 us steps.
    pub delay: Duration,
    /// The largest UDP payload heard on this path.
    pub largest_heard: u16,
}

/// The end of a receiver's interest in an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// Which; 0 for the whole session.
    pub coding: ShortCodingId,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a receiver finished with an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every byte verified and on disk.
    Complete,
    /// It could not keep it (disk full, refused).
    Failed,
    /// It was told to stop.
    Left,
}

impl Outcome {
    /// A word for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Failed => "failed",
            Outcome::Left => "left",
        }
    }
}
