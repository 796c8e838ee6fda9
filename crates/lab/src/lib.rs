//! What loopcast is measured and tested with: networks, programs, faults, figures. It knows the
//! program's options and what it says, but none of its packets.
//!
//! - [`network`], [`group`], [`loopback`]: hosts in network namespaces, with loss, blocked
//!   multicast, buckets and counters; the group that transfers use; free places on loopback
//! - [`process`], [`program`], [`desk`]: a child process and what it used; `loopcast send` and
//!   `receive` as a script starts them; the files of a run
//! - [`hex`]: bytes as tests write them down
//! - [`content`], [`tree`], [`subject`]: files and trees that a seed names, and comparison with
//!   their copies
//! - [`relay`], [`attacker`], [`tcp`], [`bare`]: who else is in the network: a rough path, somebody
//!   without keys, flows to compare with
//! - [`schedule`], [`busy`], [`wait`]: steps that change a network at set times; load; waiting that
//!   an interrupt ends
//! - [`measure`], [`machine`]: a figure with its limit; what it was measured on
//! - [`comparison`]: what `loopcast bench` measures, transfers by several tools in the same
//!   networks
//!
//! Internals of the program `loopcast`, its tests and its benches: they come without promises to
//! anybody else.

pub mod attacker;
pub mod bare;

pub mod busy;
pub mod comparison;
pub mod content;
pub mod desk;
pub mod group;
pub mod hex;
pub mod loopback;
pub mod machine;
pub mod measure;
pub mod network;
pub mod process;
pub mod program;
pub mod relay;
pub mod schedule;
pub mod subject;
pub mod tcp;
pub mod tree;
pub mod wait;

/// `3 files`, `1 file`.
fn count(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}
