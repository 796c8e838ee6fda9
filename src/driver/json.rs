//! Fields of events and summaries as they appear in JSON: times in seconds, paths as text, counts
//! by name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::engine::{DropReason, PathChoice};
use crate::json;

/// A receiver's last path and why it was taken, as two fields of a summary.
pub(crate) fn path_and_reason<S: Serializer>(
    path: &Option<PathChoice>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_map(Some(2))?;
    fields.serialize_entry("path", &path.map(PathChoice::name))?;
    fields.serialize_entry("path_reason", &path.map(json::why))?;
    fields.end()
}

/// Seconds to the microsecond.
pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*time))
}

/// Seconds to the microsecond, or null.
pub(crate) fn maybe_seconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(rounded).serialize(serializer)
}

fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

/// A path as text. What is no text in it is replaced.
pub(crate) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// A path as text, or null.
pub(crate) fn maybe_path<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let path = path.as_deref().map(Path::to_string_lossy);
    path.serialize(serializer)
}

/// Counts under their names.
pub(crate) fn counts<S: Serializer>(
    counts: &[(DropReason, u64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().copied())
}
