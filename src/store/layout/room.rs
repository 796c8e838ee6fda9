//! Whether there is room for a tree.

use std::os::fd::AsFd;
use std::path::Path;

use super::files::{Files, split};
use super::sys;
use crate::object::table::FileTable;
use crate::store::SinkError;
use crate::store::bitmap::Bitmap;

/// Bytes that a file takes on disk beside its length, about.
const A_FILE: u64 = 4_096;

/// Bytes, and names that have them.
#[derive(Clone, Copy, Default)]
struct Size {
    bytes: u64,
    names: u64,
}

/// Looks at the room for what is neither under its name already nor staged. `staging` is where an
/// earlier run has left something.
pub(super) fn check(
    path: &Path,
    base: impl AsFd,
    staging: Option<&mut Files>,
    table: &FileTable,
    there: &Bitmap,
) -> Result<(), SinkError> {
    // What a file system does not say, writing tells.
    let Ok(stat) = rustix::fs::fstatvfs(&base) else {
        return Ok(());
    };
    let holes: u64 = table.holes().map(|hole| hole.end - hole.start).sum();
    let mut here = staging.map_or(Size::default(), |staging| staged(staging, table));
    for index in there.iter() {
        here.bytes += table.length(index as usize) + A_FILE;
        here.names += 1;
    }
    let names = table.len() as u64;
    let all = table.content_len().saturating_sub(holes) + names * A_FILE;
    let need = all.saturating_sub(here.bytes);
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let path = path.to_path_buf();
    // File systems that don't know say 0 in all.
    if stat.f_blocks > 0 && free < need {
        return Err(SinkError::NoSpace { path, need, free });
    }
    let need = names.saturating_sub(here.names);
    let free = stat.f_favail;
    if stat.f_files > 0 && free < need {
        return Err(SinkError::NoFiles { path, need, free });
    }
    Ok(())
}

/// Size of what is staged of a table.
#[allow(
    clippy::unnecessary_cast,
    reason = "the field's type differs between systems"
)]
fn staged(files: &mut Files, table: &FileTable) -> Size {
    let mut size = Size::default();
    for index in 0..table.len() {
        let (folder, name) = split(table.path(index));
        if name.is_empty() {
            continue;
        }
        let found = files.folder(folder, false);
        if let Ok(Some(stat)) = found.and_then(|folder| sys::look(&folder, name)) {
            size.bytes += A_FILE + stat.st_blocks as u64 * 512;
            size.names += 1;
        }
    }
    size
}
