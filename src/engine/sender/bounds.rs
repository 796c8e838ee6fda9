//! What must hold of a sender after any input, for simulations and fuzzing.

use crate::carousel::Repairs;
use crate::engine::sender::limits::MAX_ASKERS;
use crate::engine::sender::outbox::Outbox;
use crate::engine::sender::{HEARD_PER_PACKET, MAX_OFFERS, Sender};
use crate::wire;

impl Sender {
    /// Whether every queue, table and set is within its cap, and tables agree with each other. For
    /// tests: it looks at every receiver and object.
    ///
    /// # Errors
    /// What is not so.
    pub fn check_bounds(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        ensure(self.outbox.len() <= Outbox::MAX, "the outbox is too long")?;
        ensure(
            self.roster.members.len() <= self.config.roster as usize,
            "too many receivers are known",
        )?;
        ensure(
            self.heard.len() <= HEARD_PER_PACKET,
            "too many acknowledgements wait",
        )?;
        ensure(
            self.other_sessions.len() <= 16,
            "too many other sessions are known",
        )?;
        ensure(
            self.by_coding.len() <= MAX_OFFERS,
            "too many objects are on offer",
        )?;
        ensure(
            self.tiers.iter().all(|t| t.asked.len() <= MAX_ASKERS),
            "too many receivers' shares are kept",
        )?;
        ensure(
            self.channels
                .iter()
                .flat_map(|c| &c.crowd)
                .all(|c| c.is_bounded()),
            "too many of a crowd are kept",
        )?;
        for (_, carousel) in self.carousels() {
            ensure(
                carousel.repairs.blocks() <= Repairs::MAX_BLOCKS,
                "too many blocks wait for repair",
            )?;
            ensure(
                carousel.confirm.len() <= Repairs::MAX_BLOCKS,
                "too many blocks wait to be confirmed",
            )?;
            ensure(
                carousel.confirm_whole.len() <= wire::MAX_NEEDS,
                "too many runs wait to be confirmed",
            )?;
            ensure(
                carousel.hearings_are_bounded(),
                "too many hearings are kept",
            )?;
        }
        Ok(())
    }
}
