//! Values as they appear in JSON: identities, hashes and places as text, causes as words, rates in
//! bit/s.
//!
//! Scripts rely on the words, which README.md lists.

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::engine::{DropReason, PacketKind, PathChoice};
use crate::ids::{CodingId, Hash, ReceiverId, SessionId};
use crate::seal::Fingerprint;
use crate::units::Rate;
use crate::url::Url;
use crate::wire::{MoveCause, NoticeCode, Outcome};

/// Types that appear as the text they print.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

/// Types that appear as the word they are called by.
macro_rules! as_word {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    )*};
}

as_text!(Fingerprint, Hash, ReceiverId, SessionId, Url);
as_word!(DropReason, MoveCause, NoticeCode, Outcome, PacketKind);

impl Serialize for CodingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Rate {
    /// Bits per second.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.as_bps())
    }
}

impl Serialize for PathChoice {
    /// The path and why it was taken.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("PathChoice", 2)?;
        fields.serialize_field("path", self.name())?;
        fields.serialize_field("why", why(*self))?;
        fields.end()
    }
}

/// A word for why a path was taken.
pub(crate) fn why(path: PathChoice) -> &'static str {
    match path {
        PathChoice::Group => "heard",
        PathChoice::UnicastAsked => "asked",
        PathChoice::UnicastSilent => "silence",
        PathChoice::UnicastNoData => "no_data",
        PathChoice::UnicastTooSlow => "too_slow",
        PathChoice::UnicastTold => "told",
    }
}
