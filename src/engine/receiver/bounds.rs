//! What must hold of a receiver after any input, for simulations and fuzzing.

use crate::engine::following::MAX_OBJECTS;
use crate::engine::receiver::Receiver;

impl Receiver {
    /// Whether every queue, table and set is within its cap. For tests: it looks at every object.
    ///
    /// # Errors
    /// What is not so.
    pub fn check_bounds(&self) -> Result<(), &'static str> {
        match () {
            () if !self.out.is_bounded() => Err("the outbox is too long"),
            () if self.library.len() > MAX_OBJECTS => Err("too many objects are taken"),
            () if !self.trusted.is_bounded() => Err("too many other senders are known"),
            () if !self.library.is_bounded() => {
                Err("too many sources are known, or blocks in doubt")
            }
            () => self.followings.iter().try_for_each(|f| f.check_bounds()),
        }
    }
}
