//! What each fuzz target does with its input, apart from libFuzzer.
//!
//! `cargo fuzz run wire_parse` (cargo-fuzz, nightly) looks for new inputs; the tests of this crate
//! replay the ones kept in fuzz/corpus.

pub mod archive;
pub mod bytes;
pub mod group;
pub mod receiver_stream;
pub mod sender_stream;
pub mod texts;
pub mod wire_parse;
