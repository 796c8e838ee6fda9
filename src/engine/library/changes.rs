//! What has changed in a library, for one who passes it on.

use crate::engine::ObjectKey;
use crate::ids::BlockNo;

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// An object has its place on disk, and what is there from an earlier run is known.
    Opened(ObjectKey),
    /// A block is verified. Whether it still is has to be asked.
    Verified(ObjectKey, BlockNo),
    /// An object has ended, in one way or another.
    Ended(ObjectKey),
}

/// Changes since they were last taken; none are kept unless somebody takes them.
#[derive(Debug, Default)]
pub(super) struct Changes {
    kept: Option<Vec<Change>>,
}

impl Changes {
    /// Keeps changes from now on.
    pub(super) fn watch(&mut self) {
        self.kept.get_or_insert_default();
    }

    pub(super) fn add(&mut self, change: Change) {
        if let Some(kept) = &mut self.kept {
            kept.push(change);
        }
    }

    pub(super) fn take(&mut self) -> Vec<Change> {
        self.kept.as_mut().map(core::mem::take).unwrap_or_default()
    }
}
