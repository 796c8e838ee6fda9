//! Random bytes from the system: for identities, cookies and seeds.

use crate::driver::StartError;

/// Bytes that nobody else knows.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| StartError::Entropy(e.to_string()))?;
    Ok(bytes)
}

/// 64 random bits; never 0, which stands for "none" on the wire.
pub(crate) fn nonzero() -> Result<u64, StartError> {
    Ok(u64::from_be_bytes(bytes()?).max(1))
}
