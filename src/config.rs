//! Limits and defaults, each with its reason.

use core::time::Duration;

use crate::units::Rate;

/// Smallest symbol, in bytes: below it, headers cost more than a tenth.
pub const MIN_SYMBOL_SIZE: u16 = 1_024;
/// Largest symbol, in bytes: 139 × 64 and all headers fit a 9,000-byte jumbo frame over IPv6.
pub const MAX_SYMBOL_SIZE: u16 = 8_896;
/// Default symbol, in bytes: 21 × 64. With 32 bytes of header, a 16-byte tag and 48 of IPv6 and UDP
/// it is 1,440, so it fits PPPoE (1,492) and leaves 60 bytes for a tunnel on a 1,500-byte path.
/// 22 × 64 would not fit 1,500 with this header.
pub const DEFAULT_SYMBOL_SIZE: u16 = 1_344;

/// Most source symbols in a block that we accept.
pub const MAX_K: u16 = 8_192;
/// Most parity symbols of a block that we accept: as many as source symbols, which is more than any
/// loss that leaves a path usable needs.
pub const MAX_M: u16 = 8_192;
/// Largest block, in KiB: 64 MiB, which symbols of the largest size fill with 7,544.
pub const MAX_BLOCK_KIB: u32 = 65_536;
/// Block of an object below [`LARGE_OBJECT`], in KiB: it passes in 43 ms at 100 Mbit/s, which
/// bounds how long a loss waits before it may be asked for.
pub const SMALL_BLOCK_KIB: u32 = 512;
/// Block of larger objects, in KiB: half as many hashes, and parity that works better.
pub const LARGE_BLOCK_KIB: u32 = 1_024;
/// Objects of this many bytes or more have blocks of [`LARGE_BLOCK_KIB`].
pub const LARGE_OBJECT: u64 = 256 << 20;
/// Blocks of an object at most where nothing else is said: their hashes take 32 MiB at a sender.
/// Blocks of longer objects are larger.
pub const MANY_BLOCKS: u64 = 1 << 20;

/// Block in a session without a way back, in KiB. No NAK waits for such a block, and the larger it
/// is the closer losses keep to their mean: with 5 % lost, a millionth of blocks of 3,121 symbols
/// need more than 1.02 times the mean number of symbols, of 391 more than 1.06. A receiver that
/// restores one holds it once and works on up to four times as much, 16 MiB.
pub const ONE_WAY_BLOCK_KIB: u32 = 4_096;

/// The loss that a sender makes up for beforehand where nobody can tell it: what Wi-Fi loses of
/// multicast (RFC 9119), and more than satellites and cables do.
pub const ONE_WAY_LOSS: f64 = 0.05;

/// The longest loss of everything that a sender spreads over several blocks where nobody can tell
/// it: a fade of Wi-Fi.
pub const FADE: Duration = Duration::from_millis(100);

/// Most bytes that the file table of an archive may have.
pub const MAX_ARCHIVE_TABLE: u32 = 1 << 20;
/// Most bytes an encoded file table may have, compressed: more than ten million files with a hash
/// each come to.
pub const MAX_TABLE_LEN: u32 = 1 << 30;

/// Bytes that a request is padded to (RFC 9000 §8.1 uses the same).
pub const REQUEST_SIZE: u16 = 1_200;

/// The group round-trip time before any was measured. The old tools start at 250 to 500 ms, which
/// makes the first repair on a LAN wait a second.
pub const INITIAL_GRTT: Duration = Duration::from_millis(50);
/// The least group round-trip time we work with.
pub const MIN_GRTT: Duration = Duration::from_millis(1);
/// The greatest (RFC 5401 §5.2).
pub const MAX_GRTT: Duration = Duration::from_secs(15);
/// The least time between a receiver's reports, while a channel looks for its rate: a round trip or
/// two, so that it doubles as fast as the answer comes.
pub const MIN_REPORT_INTERVAL: Duration = Duration::from_millis(2);
/// The least time between its reports after that: a few in each tenth of a second show every change
/// that lasts.
pub const STEADY_REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// The greatest K where receivers hear each other's NAKs (RFC 5401 §5.2.2).
pub const K_GROUP_FEEDBACK: u8 = 4;
/// The greatest K where NAKs go to the sender only and confirms suppress.
pub const K_SENDER_FEEDBACK: u8 = 6;

/// Receivers that a sender knows one by one, at most: with all that is kept of each they take some
/// 100 MB, and counting who listens takes a hundredth of a second.
pub const MAX_ROSTER: u32 = 100_000;
/// How long a receiver waits to hear SYNC or data on its group before it uses unicast.
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a receiver waits for a sender.
pub const SENDER_TIMEOUT: Duration = Duration::from_secs(60);
/// The least rate that a channel is brought down to, in bit/s of IP bytes: below it a receiver gets
/// more by unicast.
pub const MIN_RATE: Rate = Rate::from_bps(64_000);
/// What unicast may take of the total rate while groups are busy. The promise is a tenth; the rest
/// is left for its SYNCs and acknowledgements.
pub const UNICAST_SHARE: f64 = 0.08;
/// The rate when none is given, in bit/s of IP bytes: what a 100 Mbit/s LAN carries.
pub const DEFAULT_RATE_BPS: u64 = 100_000_000;
