//! All plain files below a folder.
//!
//! Takes a folder, gives the paths of its files, relative and as the system has them. It follows no
//! links, and passes over what it can't read. The store's own unfinished files and
//! folders are passed over too.

use std::path::{Path, PathBuf};

use crate::store::looks::Stamp;

/// Endings of what the store itself has not finished.
const OWN: [&[u8]; 4] = [b".part", b".part.state", b".part.spool", b".part.old"];

/// Folders that wait to be read: more are passed over.
const MAX_FOLDERS: usize = 1 << 20;

/// Gives `each` the files below `root`; it ends when it says that it has enough.
pub(super) fn walk(root: &Path, mut each: impl FnMut(PathBuf, Stamp) -> bool) {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let name = entry.file_name();
            if OWN.iter().any(|o| name.as_encoded_bytes().ends_with(o)) {
                continue;
            }
            if kind.is_dir() && folders.len() < MAX_FOLDERS {
                folders.push(folder.join(&name));
            }
            if !kind.is_file() {
                continue;
            }
            // Of the entry itself, not of what a link leads to.
            if let Ok(meta) = entry.metadata()
                && !each(folder.join(&name), Stamp::of(&meta))
            {
                return;
            }
        }
    }
}
