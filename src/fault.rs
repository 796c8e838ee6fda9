//! Why a store could not do what it was asked to: a kind for policies, a text for people.
//!
//! The one place where the system's errors become kinds.

use std::io;

use thiserror::Error;

/// Why a store could not do what it was asked to.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{text}")]
pub struct StoreFault {
    kind: FaultKind,
    text: String,
}

/// What sort of fault it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FaultKind {
    /// The bytes do not have the hash they should: they are to be fetched anew.
    Mismatch,
    /// The content is not what was offered any more.
    Changed,
    /// No space is left, or the user's share of it is used up.
    NoSpace,
    /// Access is refused: permissions, a read-only medium, or something in the way.
    Denied,
    /// What was asked for is not here, or not any more.
    Gone,
    /// Somebody else is using it.
    Busy,
    /// Anything else; the text says what.
    Other,
}

impl StoreFault {
    /// A fault of this kind. The text names the file, what happened, and what to do.
    pub fn new(kind: FaultKind, text: impl Into<String>) -> StoreFault {
        let text = text.into();
        StoreFault { kind, text }
    }

    /// A block, or all of an object, whose bytes do not have the hash they should.
    pub fn mismatch() -> StoreFault {
        StoreFault::new(
            FaultKind::Mismatch,
            "its bytes do not have the hash they should",
        )
    }

    /// What sort of fault it is.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }
}

impl From<&io::Error> for FaultKind {
    fn from(error: &io::Error) -> FaultKind {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::NoSpace,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                FaultKind::Denied
            }
            io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle => FaultKind::Gone,
            io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => FaultKind::Busy,
            _ => FaultKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_kinds() {
        let kind = |kind: io::ErrorKind| FaultKind::from(&io::Error::from(kind));
        assert_eq!(kind(io::ErrorKind::StorageFull), FaultKind::NoSpace);
        assert_eq!(kind(io::ErrorKind::QuotaExceeded), FaultKind::NoSpace);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), FaultKind::Denied);
        assert_eq!(kind(io::ErrorKind::ReadOnlyFilesystem), FaultKind::Denied);
        assert_eq!(kind(io::ErrorKind::NotFound), FaultKind::Gone);
        assert_eq!(kind(io::ErrorKind::ResourceBusy), FaultKind::Busy);
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), FaultKind::Other);
    }

    #[test]
    fn a_fault_says_its_text() {
        let fault = StoreFault::new(FaultKind::NoSpace, "a: the disk is full");
        assert_eq!(fault.to_string(), "a: the disk is full");
        assert_eq!(StoreFault::mismatch().kind(), FaultKind::Mismatch);
    }
}
