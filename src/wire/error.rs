//! Why a datagram was refused.

use thiserror::Error;

/// Why a datagram is not a packet of this format.
///
/// The one who gave us the datagram is not ours to blame: count it by [`name`](WireError::name) and
/// go on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum WireError {
    /// Shorter than the smallest packet of its type.
    #[error("the datagram is shorter than the smallest packet of its type")]
    TooShort,
    /// Longer than [`MAX_PACKET_LEN`](super::MAX_PACKET_LEN).
    #[error("the datagram is longer than any packet")]
    TooLong,
    /// Of another version of the format, or of something else altogether.
    #[error("the datagram is not of version 1 of this format")]
    Version,
    /// Of a type that this version doesn't have.
    #[error("the packet's type is unknown")]
    Type,
    /// It carries a tag, and we have no key.
    #[error("the packet carries a tag and there is no key to check it with")]
    Tagged,
    /// Damaged on the way.
    #[error("the checksum is wrong")]
    Checksum,
    /// The body's parts don't fill its stated length, or it is cut short.
    #[error("the body does not have the length that its fields ask for")]
    Body,
    /// An extension reaches beyond the packet's end.
    #[error("an extension is cut short")]
    Extension,
    /// A field is outside its valid range.
    #[error("a field is outside its valid range")]
    Range,
    /// A list has more entries than the format allows.
    #[error("a list is longer than allowed")]
    Count,
    /// A list that must be sorted and free of overlap isn't.
    #[error("a list is not in order")]
    Order,
    /// A name or text is not UTF-8, or has control characters.
    #[error("a name or text is not UTF-8 or has control characters")]
    Text,
    /// An address has an unknown family or can't serve its purpose.
    #[error("an address can't serve its purpose")]
    Address,
    /// The described geometry is impossible or absurd.
    #[error("the geometry is impossible")]
    Geometry,
}

impl WireError {
    /// Every variant, in a fixed order.
    pub const ALL: [WireError; 14] = [
        WireError::TooShort,
        WireError::TooLong,
        WireError::Version,
        WireError::Type,
        WireError::Tagged,
        WireError::Checksum,
        WireError::Body,
        WireError::Extension,
        WireError::Range,
        WireError::Count,
        WireError::Order,
        WireError::Text,
        WireError::Address,
        WireError::Geometry,
    ];

    /// A stable word for statistics: lower case, no spaces.
    pub const fn name(self) -> &'static str {
        match self {
            WireError::TooShort => "too_short",
            WireError::TooLong => "too_long",
            WireError::Version => "version",
            WireError::Type => "type",
            WireError::Tagged => "tagged",
            WireError::Checksum => "checksum",
            WireError::Body => "body",
            WireError::Extension => "extension",
            WireError::Range => "range",
            WireError::Count => "count",
            WireError::Order => "order",
            WireError::Text => "text",
            WireError::Address => "address",
            WireError::Geometry => "geometry",
        }
    }
}
