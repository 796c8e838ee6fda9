//! A pretend machine: the same engines, senders and thousands of receivers, in virtual time.
//!
//! A [`World`] holds a sender, receivers and the network between them, and runs them event by event
//! from one seed: equal seeds and calls give equal runs, event for event ([`World::digest`]). By
//! default no bytes move: the engines deal in block and symbol numbers, so a thousand receivers of
//! 64 MB take seconds. [`Content`] gives it real bytes, which are then encoded, checked, hashed and
//! compared; [`World::check_every_step`] watches what must always hold.

mod check;
mod content;
mod disk;
mod event;
mod host;
mod link;
mod machine;
mod network;
mod server;
mod slow_disk;
mod world;

pub use content::Content;
pub use link::{Cut, Link, Loss};
pub use world::{Config, Outcome, Totals, World};
