//! What to tell a sender or a receiver before it starts.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config;
use crate::object::pattern::Filter;
use crate::rate::Adapt;
use crate::seal::{Fingerprint, GroupKey, SigningKey};
use crate::store::tree::ScanOptions;
use crate::store::{KnownHashes, TreeOptions};
use crate::units::Rate;
use crate::url::Url;

/// Most bytes in the hash cache of a folder that the user names: seven million files, or 16 TB of
/// one.
const CACHE_LIMIT: u64 = 1 << 30;

fn known_hashes(folder: Option<&Path>) -> KnownHashes {
    match folder {
        Some(folder) => KnownHashes::at(folder, CACHE_LIMIT),
        None => KnownHashes::of_user(),
    }
}

/// Where a channel's NAKs go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FeedbackMode {
    /// To the sender, which confirms them to everybody: works where receivers can't hear each
    /// other, which is most networks with snooping switches.
    #[default]
    Sender,
    /// To a group that all hear.
    Group,
}

/// When parity is sent.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Parity {
    /// As repairs and in every other cycle, and with every block as much as suits the loss that
    /// receivers report. Without a way back so much that one block in a million is short where 5 %
    /// is lost.
    #[default]
    Auto,
    /// Also with every block, this share of its source symbols, 0 to 1; at least two symbols.
    Share(f64),
    /// Never: what is lost is sent again.
    None,
}

/// Which path a receiver may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Via {
    /// The group; unicast while nothing comes that way.
    #[default]
    Auto,
    /// The group only.
    Multicast,
    /// Unicast only.
    Unicast,
}

/// What to tell a sender before it starts; made by
/// [`Sender::builder`](crate::driver::Sender::builder).
#[derive(Clone, Debug)]
pub struct SenderBuilder {
    pub(crate) to: Option<Url>,
    pub(crate) interface: Option<String>,
    pub(crate) rate: Option<Rate>,
    pub(crate) tiers: Option<Vec<Rate>>,
    pub(crate) adapt: Adapt,
    pub(crate) min_rate: Rate,
    pub(crate) roster: u32,
    pub(crate) wait_for: u32,
    pub(crate) stay: bool,
    pub(crate) one_way: Option<NonZeroU32>,
    pub(crate) ttl: u8,
    pub(crate) loopback: bool,
    pub(crate) offload: bool,
    pub(crate) symbol_size: u16,
    pub(crate) parity: Parity,
    pub(crate) feedback: FeedbackMode,
    pub(crate) elsewhere: Vec<SocketAddr>,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) scan: ScanOptions,
    pub(crate) hash_cache: Option<PathBuf>,
    pub(crate) key: Option<SigningKey>,
    pub(crate) group_key: Option<GroupKey>,
    pub(crate) seed: Option<u64>,
}

impl Default for SenderBuilder {
    fn default() -> SenderBuilder {
        SenderBuilder {
            to: None,
            interface: None,
            rate: None,
            tiers: None,
            adapt: Adapt::Average,
            min_rate: Rate::ZERO,
            roster: config::MAX_ROSTER,
            wait_for: 0,
            stay: false,
            one_way: None,
            ttl: 1,
            loopback: true,
            offload: true,
            symbol_size: config::DEFAULT_SYMBOL_SIZE,
            parity: Parity::Auto,
            feedback: FeedbackMode::Sender,
            elsewhere: Vec::new(),
            paths: Vec::new(),
            scan: ScanOptions::default(),
            hash_cache: None,
            key: None,
            group_key: None,
            seed: None,
        }
    }
}

impl SenderBuilder {
    /// The groups to send to: one, or a range of which the first carries announcements and each
    /// object takes one of the others. [`DEFAULT_URL`](crate::driver::DEFAULT_URL) when not given.
    pub fn to(mut self, url: Url) -> SenderBuilder {
        self.to = Some(url);
        self
    }

    /// The interface that the groups' packets leave by, by name or by one of its addresses. By
    /// default the one that the system would use for the group.
    pub fn interface(mut self, interface: impl Into<String>) -> SenderBuilder {
        self.interface = Some(interface.into());
        self
    }

    /// The most it sends, in bit/s of IP bytes, over everything: all tiers, repairs and unicast. By
    /// default what the interface carries, as far as the system tells, else 10 Gbit/s; 100 Mbit/s
    /// in a one-way session, whose receivers can't say what comes through.
    pub fn rate(mut self, rate: Rate) -> SenderBuilder {
        self.rate = Some(rate);
        self
    }

    /// The rates of its tiers, 1 to 12 of 64 kbit/s or more. A tier is sent to only while somebody
    /// listens on it. By default the most it sends and halves of that, down to 1 Mbit/s, each of
    /// which may use the room up to the next.
    ///
    /// Each tier needs a group of its own. Of a URL with a single group the ones that follow it are
    /// used, as far as receivers ask for their tiers.
    pub fn tiers(mut self, rates: Vec<Rate>) -> SenderBuilder {
        self.tiers = Some(rates);
        self
    }

    /// Whose throughput the rate of a tier follows: that of the average of its receivers by
    /// default.
    pub fn adapt(mut self, adapt: Adapt) -> SenderBuilder {
        self.adapt = adapt;
        self
    }

    /// The least that a receiver must get, in IP bits of data a second. One that stays below it for
    /// 5 s, longer than it takes to find a slower tier, is told to use unicast, or to leave where
    /// that would be slower still; no tier is slower. None by default.
    pub fn min_rate(mut self, rate: Rate) -> SenderBuilder {
        self.min_rate = rate;
        self
    }

    /// Receivers that it knows one by one, at most: 100,000 by default, which take some 100 MB.
    /// Those beyond are served on groups all the same, but by number only, and not by unicast.
    pub fn roster(mut self, receivers: u32) -> SenderBuilder {
        self.roster = receivers;
        self
    }

    /// Starts data once so many receivers have asked; with the first by default (0 or 1).
    pub fn wait_for(mut self, receivers: u32) -> SenderBuilder {
        self.wait_for = receivers;
        self
    }

    /// Serves on when all who came are done, until told to stop. False by default.
    pub fn stay(mut self, stay: bool) -> SenderBuilder {
        self.stay = stay;
        self
    }

    /// Makes a session without a way back, for satellites and data diodes: receivers send no UDP
    /// datagram, and what they would send is not taken. Data starts at once and each object goes
    /// out in so many cycles, or in cycles without end with [`stay`](SenderBuilder::stay). Blocks
    /// have up to 4,096 source symbols, so that parity works better; a receiver therefore can't go
    /// on with what it got from a session with a way back. There is one by default.
    pub fn one_way(mut self, cycles: NonZeroU32) -> SenderBuilder {
        self.one_way = Some(cycles);
        self
    }

    /// Routers that the groups' packets may pass, 1 (this network only, the default) to 255.
    pub fn ttl(mut self, ttl: u8) -> SenderBuilder {
        self.ttl = ttl;
        self
    }

    /// Whether the system may cut up runs of datagrams and put them together (GSO and GRO on
    /// Linux), which saves most of the time that packets cost. True by default; for comparison, and
    /// devices that do it badly. A device that refuses is noticed without.
    pub fn offload(mut self, offload: bool) -> SenderBuilder {
        self.offload = offload;
        self
    }

    /// Whether receivers on this same machine hear the groups. True by default.
    pub fn loopback(mut self, loopback: bool) -> SenderBuilder {
        self.loopback = loopback;
        self
    }

    /// Bytes of content in a data packet: a multiple of 64 from 1,024 to 8,896. 1,344 by default,
    /// which fits a 1,500-byte path with room for PPPoE and a tunnel.
    pub fn symbol_size(mut self, bytes: u16) -> SenderBuilder {
        self.symbol_size = bytes;
        self
    }

    /// Parity, which stands in for whatever a receiver has lost, so that one packet serves many
    /// that lost different ones. It is Reed-Solomon, with as many parity symbols in a block as
    /// source symbols; it costs the machine that sends little, and receivers nothing while nothing
    /// is lost. [`Parity::Auto`] by default. Receivers can't mix what they got with and without it.
    pub fn parity(mut self, parity: Parity) -> SenderBuilder {
        self.parity = parity;
        self
    }

    /// Where NAKs go; to the sender by default.
    pub fn feedback(mut self, feedback: FeedbackMode) -> SenderBuilder {
        self.feedback = feedback;
        self
    }

    /// Other senders to name to a receiver that asks for what this one lacks; at most 8 are named.
    pub fn elsewhere(mut self, addresses: Vec<SocketAddr>) -> SenderBuilder {
        self.elsewhere = addresses;
        self
    }

    /// Offers a path as one object: a file; a folder with all that is in it, `photos`, which
    /// becomes a folder of this name; or `photos/`, what is in it. Links in a folder are sent as
    /// links. May be called several times; names must differ.
    pub fn offer_path(mut self, path: impl Into<PathBuf>) -> SenderBuilder {
        self.paths.push(path.into());
        self
    }

    /// Which paths of folders are sent; all by default.
    pub fn filter(mut self, filter: Filter) -> SenderBuilder {
        self.scan.filter = filter;
        self
    }

    /// Whether user and group of files and folders are told to receivers. False by default.
    pub fn owner(mut self, owner: bool) -> SenderBuilder {
        self.scan.owner = owner;
        self
    }

    /// Whether extended attributes of files and folders are told to receivers. False by default.
    pub fn xattrs(mut self, xattrs: bool) -> SenderBuilder {
        self.scan.xattrs = xattrs;
        self
    }

    /// The folder in which hashes of files are remembered; the user's cache folder by default.
    pub fn hash_cache(mut self, folder: impl Into<PathBuf>) -> SenderBuilder {
        self.hash_cache = Some(folder.into());
        self
    }

    pub(crate) fn known_hashes(&self) -> KnownHashes {
        known_hashes(self.hash_cache.as_deref())
    }

    /// Signs with this key what is described. By default the user's own, in
    /// [`sender_key_path`](crate::store::sender_key_path), which is made when first needed; where
    /// it can't be kept, one for this run.
    pub fn key(mut self, key: SigningKey) -> SenderBuilder {
        self.key = Some(key);
        self
    }

    /// Seals every packet with this key: only who has it can read anything of the session, or take
    /// part. None by default.
    pub fn group_key(mut self, key: GroupKey) -> SenderBuilder {
        self.group_key = Some(key);
        self
    }

    /// Seeds timers and samples, never identities or cookies. From the system by default.
    pub fn seed(mut self, seed: u64) -> SenderBuilder {
        self.seed = Some(seed);
        self
    }
}

/// What to tell a receiver before it starts; made by
/// [`Receiver::builder`](crate::driver::Receiver::builder).
#[derive(Clone, Debug)]
pub struct ReceiverBuilder {
    pub(crate) from: Option<Url>,
    pub(crate) interface: Option<String>,
    pub(crate) into: PathBuf,
    pub(crate) via: Via,
    pub(crate) one_way: bool,
    pub(crate) no_join: bool,
    pub(crate) sync_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) drop_rate: f64,
    pub(crate) drop_group: bool,
    pub(crate) offload: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) max_size: u64,
    pub(crate) downlink: Option<Rate>,
    pub(crate) trust: Option<Fingerprint>,
    pub(crate) group_key: Option<GroupKey>,
    pub(crate) trees: TreeOptions,
    pub(crate) filter: Filter,
    pub(crate) hash_cache: Option<PathBuf>,
}

impl Default for ReceiverBuilder {
    fn default() -> ReceiverBuilder {
        ReceiverBuilder {
            from: None,
            interface: None,
            into: PathBuf::from("."),
            via: Via::Auto,
            one_way: false,
            no_join: false,
            sync_timeout: config::SYNC_TIMEOUT,
            timeout: config::SENDER_TIMEOUT,
            drop_rate: 0.0,
            drop_group: false,
            offload: true,
            seed: None,
            max_size: u64::MAX,
            downlink: None,
            trust: None,
            group_key: None,
            trees: TreeOptions::default(),
            filter: Filter::new(),
            hash_cache: None,
        }
    }
}

impl ReceiverBuilder {
    /// Where the sender is: its group, or its host; with the name of what is wanted, or without for
    /// everything. [`DEFAULT_URL`](crate::driver::DEFAULT_URL) when not given.
    pub fn from(mut self, url: Url) -> ReceiverBuilder {
        self.from = Some(url);
        self
    }

    /// The interface to join groups on, by name or by one of its addresses. By default the one that
    /// the system would use for the group.
    pub fn interface(mut self, interface: impl Into<String>) -> ReceiverBuilder {
        self.interface = Some(interface.into());
        self
    }

    /// The folder to put files in; it is made if it isn't there. The current one by default.
    pub fn into_dir(mut self, folder: impl Into<PathBuf>) -> ReceiverBuilder {
        self.into = folder.into();
        self
    }

    /// Which paths of folders are wanted; all by default. A name in the URL may choose too, by a
    /// slash and a pattern behind the folder's name.
    pub fn filter(mut self, filter: Filter) -> ReceiverBuilder {
        self.filter = filter;
        self
    }

    /// Options: what is applied here, and what may be done to files that are there: nothing is
    /// replaced or removed by default.
    pub fn trees(mut self, trees: TreeOptions) -> ReceiverBuilder {
        self.trees = trees;
        self
    }

    /// The folder in which hashes of files are remembered; the user's cache folder by default.
    pub fn hash_cache(mut self, folder: impl Into<PathBuf>) -> ReceiverBuilder {
        self.hash_cache = Some(folder.into());
        self
    }

    pub(crate) fn known_hashes(&self) -> KnownHashes {
        known_hashes(self.hash_cache.as_deref())
    }

    /// Which path it may take; finds out by itself by default.
    pub fn via(mut self, via: Via) -> ReceiverBuilder {
        self.via = via;
        self
    }

    /// Sends no UDP datagram at all, whatever the sender is like; it only joins groups. What it
    /// lacks comes with the sender's next cycle or not at all. Needs a group in the URL. False by
    /// default; a session without a way back has this effect by itself once it is heard.
    pub fn one_way(mut self, one_way: bool) -> ReceiverBuilder {
        self.one_way = one_way;
        self
    }

    /// Sends nothing at all, not even the IGMP or MLD that joins a group, and has the effect of
    /// [`one_way`](ReceiverBuilder::one_way). The network must bring the group's packets here by
    /// itself (a switch port that is a static member, a direct cable). They are read off the
    /// device, which needs Linux and CAP_NET_RAW, as root has. False by default.
    pub fn no_join(mut self, no_join: bool) -> ReceiverBuilder {
        self.no_join = no_join;
        self
    }

    /// How long it waits to hear SYNC or data on the group before it uses unicast; 2 s by default.
    pub fn sync_timeout(mut self, timeout: Duration) -> ReceiverBuilder {
        self.sync_timeout = timeout;
        self
    }

    /// How long it waits for a sender; 60 s by default.
    pub fn timeout(mut self, timeout: Duration) -> ReceiverBuilder {
        self.timeout = timeout;
        self
    }

    /// The share of arriving packets to discard at random, 0 to below 1, before anything looks at
    /// them: loss for benchmarks. 0 by default.
    pub fn drop_rate(mut self, share: f64) -> ReceiverBuilder {
        self.drop_rate = share;
        self
    }

    /// Discards every packet that comes by a group, as a network without multicast would: for
    /// demonstrations and tests of the fallback. False by default.
    pub fn drop_group(mut self, drop: bool) -> ReceiverBuilder {
        self.drop_group = drop;
        self
    }

    /// Whether the system may cut up runs of datagrams and put them together (GSO and GRO on
    /// Linux), which saves most of the time that packets cost. True by default; for comparison, and
    /// devices that do it badly. A device that refuses is noticed without.
    pub fn offload(mut self, offload: bool) -> ReceiverBuilder {
        self.offload = offload;
        self
    }

    /// Seeds timers and what [`drop_rate`](ReceiverBuilder::drop_rate) discards, never the
    /// identity. From the system by default.
    pub fn seed(mut self, seed: u64) -> ReceiverBuilder {
        self.seed = Some(seed);
        self
    }

    /// The most bytes that an object may have to be accepted; no limit by default.
    pub fn max_size(mut self, bytes: u64) -> ReceiverBuilder {
        self.max_size = bytes;
        self
    }

    /// What the downlink carries: it begins on the fastest tier that fits, and goes to no faster
    /// one. Unknown by default; it then begins on the fastest of all, whose rate finds what its
    /// receivers can take.
    pub fn downlink(mut self, rate: Rate) -> ReceiverBuilder {
        self.downlink = Some(rate);
        self
    }

    /// Takes nothing but what the sender with this key describes, as it does with a fingerprint in
    /// the URL. With neither it stays with the first sender that it meets, and says who that is.
    pub fn trust(mut self, sender: Fingerprint) -> ReceiverBuilder {
        self.trust = Some(sender);
        self
    }

    /// Takes what is sealed with this key and nothing else, and seals all that it sends. None by
    /// default: what is sealed is then refused.
    pub fn group_key(mut self, key: GroupKey) -> ReceiverBuilder {
        self.group_key = Some(key);
        self
    }
}
