//! Keys of senders and groups: who signed a description, and whose packet this is.
//!
//! Takes keys, bytes and packet numbers; gives signatures, tags and verdicts. It draws no entropy,
//! reads no clock, and keeps no roster: which key belongs to whom is its caller's to remember. Which bytes
//! of a packet are sealed is [`envelope`](crate::envelope)'s to say.

mod group;
mod replay;
mod sign;

pub use group::{Forged, GroupKey, Role, SESSION_LEN, SealKey, TAG_LEN};
pub use replay::{REPLAY_WINDOW, ReplayWindow};
pub use sign::{
    BadSignature, FINGERPRINT_LEN, Fingerprint, FingerprintError, PUBLIC_LEN, PublicKey,
    SIGNATURE_LEN, SigningKey,
};
