//! Identities: what names a session, a receiver, an object's bytes and its coding.

use core::fmt;

macro_rules! id64 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
    };
}

id64! {
    /// One run of a sender: 64 random bits, fresh at each start.
    SessionId
}
id64! {
    /// One run of a receiver: 64 random bits, fresh at each start, never derived from an address.
    ReceiverId
}
id64! {
    /// The first 8 bytes (big endian) of a [`CodingId`], as data packets carry it.
    ShortCodingId
}
id64! {
    /// What a sender gives a receiver to prove that it answers at its address; 0 means none yet.
    Cookie
}

/// A BLAKE3 hash, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// Hash of an object's bytes, however they are coded, named or sent.
pub type ContentId = Hash;

/// Hash of content id, length, symbol size, k, m and codec: a symbol is valid by its coding id,
/// whoever sends it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct CodingId(pub Hash);

impl CodingId {
    /// Its first 8 bytes, as data packets carry it.
    pub fn short(&self) -> ShortCodingId {
        let mut b = [0; 8];
        b.copy_from_slice(&self.0.0[..8]);
        ShortCodingId(u64::from_be_bytes(b))
    }
}

/// Number of a channel in a session. Numbers below [`UNICAST_CHANNELS`] are multicast channels;
/// from there on each is the path to one receiver over unicast.
pub type ChannelNo = u16;

/// First channel number that stands for a unicast path.
pub const UNICAST_CHANNELS: ChannelNo = 0x8000;

/// What receivers say when they speak of no channel.
pub const NO_CHANNEL: ChannelNo = 0xffff;

/// Number of a packet on its channel: 48 bits, from 0, never used twice in a session.
pub type PacketNo = u64;

/// The largest packet number, 2^48 - 1: at 1 Gbit/s it lasts for a hundred years.
pub const MAX_PACKET_NO: PacketNo = (1 << 48) - 1;

/// Number of a block in an object: the file table's block, hash page blocks, then content blocks.
pub type BlockNo = u32;

/// Number of a symbol in its block: source symbols from 0, parity after them.
pub type SymbolNo = u16;
