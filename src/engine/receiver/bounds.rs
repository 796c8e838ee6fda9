//! What must hold of a receiver after any input, for simulations and fuzzing.

use crate::engine::receiver::{MAX_CHANNELS, MAX_GROUPS, MAX_OBJECTS, MAX_QUEUED, Receiver};
use crate::nak::NakTable;

impl Receiver {
    /// Whether every queue, table and set is within its cap. For tests: it looks at every object.
    ///
    /// # Errors
    /// What is not so.
    pub fn check_bounds(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        ensure(self.outbox.len() <= MAX_QUEUED, "the outbox is too long")?;
        ensure(
            self.channels.len() <= MAX_CHANNELS,
            "too many channels are known",
        )?;
        ensure(
            self.groups.len() <= MAX_GROUPS,
            "too many groups are joined",
        )?;
        ensure(
            self.library.len() <= MAX_OBJECTS,
            "too many objects are taken",
        )?;
        ensure(
            self.other_sessions.len() <= 16,
            "too many other sessions are known",
        )?;
        ensure(
            self.objects
                .iter()
                .all(|rx| rx.naks.len() <= NakTable::MAX_ENTRIES),
            "too many blocks wait to be asked for",
        )?;
        ensure(
            self.library.is_bounded(),
            "too many sources are known, or blocks in doubt",
        )?;
        self.joining.check_bounds()
    }
}
