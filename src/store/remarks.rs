//! What did not become at a receiver what the object has.

/// Most remarks that are kept; beyond they are counted.
const MOST: usize = 1_000;

/// A path that is not here as the object has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// The path in the object; empty for the object itself.
    pub path: Vec<u8>,
    /// Remark, and its reason.
    pub reason: String,
}

/// Remarks about an object that was finished.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Remarks {
    /// Remarks on the first thousand paths.
    pub named: Vec<Remark>,
    /// Number of all.
    pub count: u64,
    /// Paths that were removed because the object lacks them.
    pub deleted: u64,
}

impl Remarks {
    /// Adds one.
    pub(crate) fn add(&mut self, path: &[u8], reason: impl Into<String>) {
        self.count += 1;
        if self.named.len() < MOST {
            let (path, reason) = (path.to_vec(), reason.into());
            self.named.push(Remark { path, reason });
        }
    }
}
