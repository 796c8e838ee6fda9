//! Transfers by loopcast and by other tools side by side, in the same networks: what
//! `loopcast bench` measures.
//!
//! [`matrix`] says in which settings, [`tool`] which programs with which options, [`ground`] where;
//! [`transfer`] runs and measures one, [`figures`] takes several runs together, and [`report`]
//! writes them down.

pub mod figures;
pub mod ground;
pub mod matrix;
pub mod report;
pub mod tool;
pub mod transfer;
