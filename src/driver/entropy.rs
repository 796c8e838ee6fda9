//! Random bytes from the system: for identities, cookies and seeds.

use crate::driver::StartError;

/// Bytes that nobody else knows.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], StartError> {
    crate::store::random::bytes().map_err(StartError::Entropy)
}

/// 64 random bits; never 0, which stands for "none" on the wire.
pub(crate) fn nonzero() -> Result<u64, StartError> {
    Ok(u64::from_be_bytes(bytes()?).max(1))
}
