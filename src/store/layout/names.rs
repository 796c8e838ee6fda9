//! Which entries of a table are not stored here, and why.

use std::collections::BTreeMap;

use super::files::split;
use crate::object::table::{EntryKind, FileTable};

/// Endings of what the store keeps beside incomplete objects.
const OWN_ENDINGS: [&[u8]; 4] = [b".part", b".part.state", b".part.spool", b".part.old"];

/// A name that the store may use beside an incomplete object.
pub(super) fn is_own(path: &[u8]) -> bool {
    OWN_ENDINGS.iter().any(|end| path.ends_with(end))
}

/// Entries that are not stored, and why; what is under one is not stored with it.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// None of them is under another.
    why: BTreeMap<usize, String>,
}

impl LeftOut {
    /// What can be told before anything is written. `folds`: names that differ by case are one
    /// here.
    pub(super) fn by_name(table: &FileTable, folds: bool, outside_links: bool) -> LeftOut {
        let mut left_out = LeftOut::default();
        let clashes = match folds {
            true => table.clashes_by_case(),
            false => Vec::new(),
        };
        for index in clashes {
            let why = "left out: its name differs from another's by case only, which is one here";
            left_out.add(table, index, why);
        }
        for index in 0..table.len() {
            let path = table.path(index);
            if is_own(path) {
                let why = "left out: its name ends like that of an incomplete file";
                left_out.add(table, index, why);
                continue;
            }
            if outside_links || table.length(index) > 0 {
                continue;
            }
            if let EntryKind::Link { target } = table.entry(index).kind
                && leads_out(table, path, target)
            {
                let why = "left out: it is a link that leads out of the object";
                left_out.add(table, index, why);
            }
        }
        left_out
    }

    /// Why an entry is not stored: for itself, or for a folder that it is in.
    pub(super) fn why(&self, table: &FileTable, index: usize) -> Option<&str> {
        let (&above, why) = self.why.range(..=index).next_back()?;
        let within = above == index || is_under(table, above, index);
        within.then_some(why)
    }

    /// Leaves out an entry, and what is under it.
    pub(super) fn add(&mut self, table: &FileTable, index: usize, why: impl Into<String>) {
        if self.why(table, index).is_some() {
            return;
        }
        while let Some((&next, _)) = self.why.range(index + 1..).next()
            && is_under(table, index, next)
        {
            self.why.remove(&next);
        }
        self.why.insert(index, why.into());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.why.iter().map(|(&index, why)| (index, &**why))
    }
}

fn is_under(table: &FileTable, folder: usize, index: usize) -> bool {
    let folder = table.path(folder);
    let rest = table.path(index).strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Whether a link may lead to what is not in the object. Up it may go only from folders of the
/// object: from elsewhere, as from another link, up may be anywhere.
fn leads_out(table: &FileTable, path: &[u8], target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut at = split(path).0.to_vec();
    for name in target.split(|&b| b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                let found = table.find(&at);
                let is_folder = |i| matches!(table.entry(i).kind, EntryKind::Folder);
                if at.is_empty() || !found.is_some_and(is_folder) {
                    return true;
                }
                at.truncate(split(&at).0.len());
            }
            _ => {
                if !at.is_empty() {
                    at.push(b'/');
                }
                at.extend_from_slice(name);
            }
        }
    }
    false
}
