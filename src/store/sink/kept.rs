//! Which files an object may take the name from.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Sink;
use crate::object::ObjectKind;
use crate::store::SinkError;
use crate::store::folder::{Folder, Kind};
use crate::store::looks::Stamp;

/// Files that may be replaced: all, or those that this run has finished itself and nobody has
/// written to since (a sender offers a new version of its file). What one copy finishes all know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replaces {
    all: bool,
    finished: Arc<Mutex<HashMap<PathBuf, Stamp>>>,
}

impl Replaces {
    /// The same run, with everything to be replaced or not.
    pub(super) fn all(mut self, all: bool) -> Replaces {
        self.all = all;
        self
    }

    /// Takes note of a file that has got its name.
    pub(super) fn finished(&self, path: PathBuf, file: &File) {
        if let (Ok(meta), Ok(mut finished)) = (file.metadata(), self.finished.lock()) {
            finished.insert(path, Stamp::of(&meta));
        }
    }

    /// The file of a name that may not be replaced, if one has it.
    pub(super) fn another(
        &self,
        folder: &Folder,
        name: &str,
    ) -> Result<Option<PathBuf>, SinkError> {
        let path = folder.path_of(name);
        let kind = folder.kind(name).map_err(|e| SinkError::read(&path, e))?;
        let may = self.all || kind != Some(Kind::File) || self.is_ours(&path);
        Ok((!may).then_some(path))
    }

    fn is_ours(&self, path: &Path) -> bool {
        let finished = self.finished.lock();
        let Ok(Some(then)) = finished.map(|all| all.get(path).copied()) else {
            return false;
        };
        let now = std::fs::symlink_metadata(path).map(|meta| Stamp::of(&meta));
        // A mode that was changed since is no new content.
        now.is_ok_and(|now| {
            Stamp {
                ctime: then.ctime,
                ..now
            } == then
        })
    }
}

impl Sink {
    /// The file that has the object's name and may not be replaced. Trees keep such files one by
    /// one.
    pub(super) fn another(&self) -> Result<Option<PathBuf>, SinkError> {
        match self.description.kind {
            ObjectKind::File => self
                .means
                .replaces
                .another(&self.folder, self.name.split().1),
            ObjectKind::Folder | ObjectKind::Inside => Ok(None),
        }
    }
}
