//! Bytes as people write them: `#` starts a comment, `a5*1024` is a byte repeated.

use std::path::Path;

/// The bytes that a file of hex tells.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    let mut bytes = Vec::new();
    for word in lines.flat_map(str::split_whitespace) {
        let wrong = || format!("{}: `{word}` is no byte", path.display());
        let (byte, times) = word.split_once('*').unwrap_or((word, "1"));
        let byte = u8::from_str_radix(byte, 16).map_err(|_| wrong())?;
        let times: usize = times.parse().map_err(|_| wrong())?;
        bytes.resize(bytes.len() + times, byte);
    }
    Ok(bytes)
}
