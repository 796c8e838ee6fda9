//! Why bytes are no file table.

use thiserror::Error;

use super::{
    MAX_ATTRIBUTES, MAX_COMPONENTS, MAX_ENTRIES, MAX_NAME, MAX_PATH, MAX_TARGET, MAX_VALUE,
};

/// Why bytes are no file table, or an entry can't be in one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TableError {
    /// A version that we don't know.
    #[error("the file table is of version {0}: a newer loopcast is needed")]
    Version(u8),
    /// The bytes end within an entry, or say that more entries follow than they have room for.
    #[error("the file table is cut short")]
    Short,
    /// Bytes follow the last entry.
    #[error("the file table goes on after its last entry")]
    Long,
    /// A number is not in its shortest form, or too large to be one.
    #[error("a number in the file table is malformed")]
    Number,
    /// Unknown bits, or a kind or permissions that are none.
    #[error(
        "an entry of the file table is of a kind that is not known: a newer loopcast is needed"
    )]
    Kind,
    /// The table has no entry.
    #[error("the file table names no file")]
    Empty,
    /// More entries than an object may have.
    #[error("the file table has {0} entries, where {MAX_ENTRIES} are possible")]
    TooMany(u64),
    /// More bytes than an encoded table may have.
    #[error("the file table has {0} bytes, more than possible")]
    TooLarge(u64),
    /// Paths are not sorted.
    #[error("the file table is not in order")]
    Order,
    /// A path comes twice.
    #[error("two entries of the file table have the same path")]
    Twice,
    /// The folder of a path has no entry before it, or is a file or a link.
    #[error("a path in the file table is in a folder that is none")]
    Parent,
    /// A path begins at the root of the file system.
    #[error("a path in the file table is absolute")]
    Absolute,
    /// A component is `.` or `..`.
    #[error("a path in the file table has '.' or '..' in it")]
    Dots,
    /// A component has no bytes.
    #[error("a path in the file table has an empty part")]
    EmptyName,
    /// A path or a link's target has a byte 0 in it.
    #[error("a path in the file table has a byte 0 in it")]
    Nul,
    /// A component is too long.
    #[error("a part of a path in the file table has more than {MAX_NAME} bytes")]
    NameTooLong,
    /// A path is too long.
    #[error("a path in the file table has more than {MAX_PATH} bytes")]
    PathTooLong,
    /// A path has too many components.
    #[error("a path in the file table has more than {MAX_COMPONENTS} parts")]
    TooDeep,
    /// The first entry of several is no folder, or a later one is the first again.
    #[error("the file table does not begin with its folder")]
    Root,
    /// A link's target is empty or too long.
    #[error("a link in the file table points at nothing, or has more than {MAX_TARGET} bytes")]
    Target,
    /// Holes are empty, touch, or end beyond the file.
    #[error("the holes of a file in the file table are malformed")]
    Holes,
    /// A file's hash is missing, or where none may be.
    #[error("a hash in the file table is missing, or one too many")]
    Hash,
    /// Lengths are together not those of the content.
    #[error("the files of the file table have other lengths than the content, of {0} bytes")]
    Length(u64),
    /// Attributes are not sorted, or too long.
    #[error(
        "the attributes of a path are out of order, or have more than {MAX_VALUE} bytes each or {MAX_ATTRIBUTES} in all"
    )]
    Attributes,
}
