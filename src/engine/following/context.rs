//! What a following is handed with each input.

use crate::engine::following::backlog::Machine;
use crate::engine::following::config::ReceiverConfig;
use crate::engine::following::outbox::Outbox;
use crate::engine::following::trust::Trusted;
use crate::engine::{Library, ReceiverStats};
use crate::rng::Rng;
use crate::time::Time;

/// Time, chance, and what all followings of a receiver share.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: Time,
    pub(crate) rng: &'a mut Rng,
    pub(crate) config: &'a ReceiverConfig,
    pub(crate) library: &'a mut Library,
    pub(crate) trusted: &'a mut Trusted,
    pub(crate) machine: &'a Machine,
    pub(crate) out: &'a mut Outbox,
    pub(crate) stats: &'a mut ReceiverStats,
}
