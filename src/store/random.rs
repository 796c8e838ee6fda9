//! Random bytes from the system: for keys, and names that nobody else has.

/// Bytes that nobody else knows, or what the system said.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}
