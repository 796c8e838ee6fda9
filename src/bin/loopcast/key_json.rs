//! Archives and keys as JSON. The names are a contract with scripts; README.md lists them.

use std::path::Path;

use loopcast::seal::Fingerprint;
use loopcast::store::{Packed, Unpacked};

use crate::fields::Fields;

/// What is under way: the name of the event about it.
pub(crate) const PACKING: &str = "packing";
/// The same, of the other way round.
pub(crate) const UNPACKING: &str = "unpacking";

/// How far it is, in bytes.
pub(crate) fn progress(done: u64, total: u64) -> Fields {
    Fields::new().with("done", done).with("total", total)
}

/// An archive was made.
pub(crate) fn packed(packed: &Packed, archive: &Path, key: &Path) -> (&'static str, Fields) {
    let f = Fields::new()
        .with("archive", archive.to_string_lossy())
        .with("key", key.to_string_lossy())
        .with("files", packed.files as u64)
        .with("bytes", packed.content)
        .with("archive_bytes", packed.archive);
    ("packed", f)
}

/// A file came out of one.
pub(crate) fn unpacked(file: &Unpacked) -> (&'static str, Fields) {
    let f = Fields::new()
        .with("name", file.name.as_str())
        .with("path", file.path.to_string_lossy())
        .with("bytes", file.bytes);
    ("unpacked", f)
}

/// A group key was made.
pub(crate) fn group_key(path: &Path) -> (&'static str, Fields) {
    let f = Fields::new().with("path", path.to_string_lossy());
    ("group_key", f)
}

/// This is the sender's key.
pub(crate) fn sender_key(
    path: &Path,
    fingerprint: &Fingerprint,
    made: bool,
) -> (&'static str, Fields) {
    let f = Fields::new()
        .with("path", path.to_string_lossy())
        .with("fingerprint", fingerprint.to_string());
    ("sender_key", f.with("made", made))
}
