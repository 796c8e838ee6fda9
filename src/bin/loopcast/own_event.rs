//! What the program tells of itself with `--json`, beside the events of its sender or receiver:
//! archives, keys and the end. The names are a contract with scripts; README.md lists them.

use std::borrow::Cow;

use loopcast::seal::Fingerprint;
use serde::Serialize;

use crate::exit::End;

/// An event of the program itself. Paths are text, in which what is no text is replaced.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum OwnEvent<'a> {
    /// Bytes packed so far and in all.
    Packing { done: u64, total: u64 },
    /// Bytes unpacked so far and in all.
    Unpacking { done: u64, total: u64 },
    /// An archive was made.
    Packed {
        archive: Cow<'a, str>,
        key: Cow<'a, str>,
        files: usize,
        /// Bytes of content.
        bytes: u64,
        archive_bytes: u64,
    },
    /// A file came out of an archive.
    Unpacked {
        name: &'a str,
        path: Cow<'a, str>,
        bytes: u64,
    },
    /// A group key was made.
    GroupKey { path: Cow<'a, str> },
    /// The sender's key, and whether it was not there before.
    SenderKey {
        path: Cow<'a, str>,
        fingerprint: Fingerprint,
        made: bool,
    },
    /// The last event of every run.
    End(&'a End),
}
