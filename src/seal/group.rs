//! The group key: every packet in both directions sealed under its author's own key.
//!
//! ```text
//! key   = HKDF-SHA256(salt: session's 16 random bytes, key: group key,
//!                     info: "loopcast group 1 packet key" | role u8 | author u64)
//! nonce = channel u16 | 0 u32 | packet number u48
//! ```
//!
//! The session's bytes are fresh at every start of the sender, a receiver's id at every start of its
//! own, and nobody uses a packet number twice on a channel: so no key meets a nonce twice, also
//! across restarts, and nobody has to remember anything.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;

use crate::ids::{ChannelNo, MAX_PACKET_NO, PacketNo};
use crate::secret::Secret;

/// Random bytes of a session that its keys are derived with, carried in the clear.
pub const SESSION_LEN: usize = 16;
/// Bytes of a packet's tag.
pub const TAG_LEN: usize = 16;

const INFO: &[u8] = b"loopcast group 1 packet key";

/// The key that all of a group have.
#[derive(Clone, Debug)]
pub struct GroupKey(Secret);

/// Which end wrote a packet. Sender and receiver ids are drawn apart and could be the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// A sender's data; its author id is its session id.
    Sender = 1,
    /// A receiver; its author id is its receiver id.
    Receiver = 2,
    /// A sender's control packets, which are numbered apart from its data.
    SenderControl = 3,
}

/// The key of one author's packets in one session.
pub struct SealKey(LessSafeKey);

/// A packet that its author did not seal, or not like this.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the packet's tag is not its author's")]
pub struct Forged;

impl GroupKey {
    /// Takes 32 random bytes, as [`KeyKind::Group`](crate::secret::KeyKind) files hold them.
    pub fn new(secret: Secret) -> GroupKey {
        GroupKey(secret)
    }

    /// The key of an author's packets. Costs two hashes and a key schedule: keep it.
    pub fn packets_of(&self, session: &[u8; SESSION_LEN], role: Role, author: u64) -> SealKey {
        let key = self.packet_key(session, role, author);
        let key = UnboundKey::new(&AES_256_GCM, key.expose());
        SealKey(LessSafeKey::new(
            key.expect("32 bytes are a key of AES-256"),
        ))
    }

    fn packet_key(&self, session: &[u8; SESSION_LEN], role: Role, author: u64) -> Secret {
        self.0
            .derive(session, &[INFO, &[role as u8], &author.to_be_bytes()])
    }
}

impl SealKey {
    /// Seals a packet's payload in place, with its header as associated data, and gives the tag.
    ///
    /// No pair of channel and packet number may be sealed twice. `None`, and nothing is sealed, if
    /// the number is beyond [`MAX_PACKET_NO`], where nonces would come again.
    #[must_use]
    pub fn seal(
        &self,
        channel: ChannelNo,
        packet: PacketNo,
        header: &[u8],
        payload: &mut [u8],
    ) -> Option<[u8; TAG_LEN]> {
        let nonce = nonce(channel, packet)?;
        let (nonce, header) = (Nonce::assume_unique_for_key(nonce), Aad::from(header));
        let tag = self.0.seal_in_place_separate_tag(nonce, header, payload);
        tag.ok()?.as_ref().try_into().ok()
    }

    /// Opens a packet's payload in place. When it fails, what is in `payload` means nothing.
    ///
    /// # Errors
    ///
    /// [`Forged`] if header, payload, tag, channel, number or author is another than was sealed.
    pub fn open(
        &self,
        channel: ChannelNo,
        packet: PacketNo,
        header: &[u8],
        payload: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Forged> {
        let nonce = nonce(channel, packet).ok_or(Forged)?;
        let (nonce, header) = (Nonce::assume_unique_for_key(nonce), Aad::from(header));
        self.0
            .open_in_place_separate_tag(nonce, header, tag, payload)
            .map(|_| ())
            .map_err(|_| Forged)
    }
}

impl core::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

fn nonce(channel: ChannelNo, packet: PacketNo) -> Option<[u8; 12]> {
    if packet > MAX_PACKET_NO {
        return None;
    }
    let mut nonce = [0; 12];
    // The upper two bytes of the number are zero.
    nonce[4..].copy_from_slice(&packet.to_be_bytes());
    nonce[..2].copy_from_slice(&channel.to_be_bytes());
    Some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const SESSION: [u8; 16] = [0x5e; 16];

    fn group() -> GroupKey {
        GroupKey::new(Secret::new(core::array::from_fn(|i| i as u8)))
    }

    /// Vectors made with Python's hmac and cryptography.
    #[test]
    fn golden_key_and_packet() {
        let key = group().packet_key(&SESSION, Role::Receiver, 0xaaaa_aaaa_aaaa_aaa1);
        assert_eq!(crate::ids::Hash(*key.expose()).to_string(), KEY);
        let key = group().packets_of(&SESSION, Role::Receiver, 0xaaaa_aaaa_aaaa_aaa1);
        let mut payload = *b"payload";
        let tag = key.seal(3, 0xa1b2_c3d4_e5f6, b"header", &mut payload);
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            (hex(&payload).as_str(), hex(&tag.unwrap()).as_str()),
            (PAYLOAD, TAG)
        );
    }
    const KEY: &str = "1ed4b09dc22805922178d9755bd7ad28adb3fd24c72f54f185f73697ebe1ab58";
    const PAYLOAD: &str = "ebb6089c232437";
    const TAG: &str = "03f8a8fb59f81ae13b2f941f84e4f1b5";

    #[test]
    fn keys_differ_by_all_that_they_are_of() {
        let mut keys = HashSet::new();
        for group_byte in [1, 2] {
            let group = GroupKey::new(Secret::new([group_byte; 32]));
            for session in [[1; 16], [2; 16]] {
                for role in [Role::Sender, Role::Receiver, Role::SenderControl] {
                    for author in [0, 1, 1 << 63] {
                        keys.insert(*group.packet_key(&session, role, author).expose());
                    }
                }
            }
        }
        assert_eq!(keys.len(), 2 * 2 * 3 * 3);
    }

    #[test]
    fn numbers_end_before_nonces_come_again() {
        let key = group().packets_of(&SESSION, Role::Sender, 1);
        assert!(key.seal(0, MAX_PACKET_NO, b"", &mut []).is_some());
        assert!(key.seal(0, MAX_PACKET_NO + 1, b"", &mut []).is_none());
        assert_eq!(
            key.open(0, MAX_PACKET_NO + 1, b"", &mut [], &[0; 16]),
            Err(Forged)
        );
        assert_eq!(
            format!("{key:?} {:?}", group()),
            "SealKey(..) GroupKey(Secret(..))"
        );
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_nothing_else_does(
            channel: u16,
            packet in 0..=MAX_PACKET_NO,
            header in prop::collection::vec(any::<u8>(), 1..40),
            payload in prop::collection::vec(any::<u8>(), 1..200),
            at: prop::sample::Index,
            flip in 1u8..,
        ) {
            let key = group().packets_of(&SESSION, Role::Sender, 7);
            let mut sealed = payload.clone();
            let tag = key.seal(channel, packet, &header, &mut sealed).unwrap();
            let open = |channel, packet, header: &[u8], sealed: &[u8], tag: &[u8; 16]| {
                let mut opened = sealed.to_vec();
                key.open(channel, packet, header, &mut opened, tag).map(|()| opened)
            };
            prop_assert_eq!(open(channel, packet, &header, &sealed, &tag), Ok(payload));
            prop_assert!(open(channel ^ 1, packet, &header, &sealed, &tag).is_err());
            prop_assert!(open(channel, packet ^ 1, &header, &sealed, &tag).is_err());
            let damage = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
                bytes
            };
            prop_assert!(open(channel, packet, &damage(&header), &sealed, &tag).is_err());
            prop_assert!(open(channel, packet, &header, &damage(&sealed), &tag).is_err());
            let other = damage(&tag).try_into().unwrap();
            prop_assert!(open(channel, packet, &header, &sealed, &other).is_err());
            let other = group().packets_of(&SESSION, Role::Receiver, 7);
            prop_assert!(other.open(channel, packet, &header, &mut sealed, &tag).is_err());
        }
    }
}
