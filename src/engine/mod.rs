//! The sender and the receiver: the only place where the parts meet.
//!
//! Both are state machines without I/O. A receiver is a [`Library`], which says what is here, and
//! the sessions that it follows; an [`Edge`] passes on to a sender what a receiver has. Four
//! families of methods, told apart by name:
//!
//! * `handle_*`: something happened (a datagram, a disk result, time);
//! * verbs: the application wants something (`offer`, `withdraw`, `stop`);
//! * `poll_*`: what to do now (`poll_transmit`, `poll_read` or `poll_command`, `poll_event`) and
//!   when to come back (`poll_timeout`);
//! * plain getters.
//!
//! One rule of order: **after each input, drain every `poll_*` but `poll_timeout`, then ask
//! `poll_timeout`.**
//!
//! What the network says is never an error here: a bad packet becomes a counted drop. Time goes in
//! as an argument and must not run backwards; chance comes from the seed given at the start.

mod edge;
mod events;
mod following;
mod library;
mod output;
mod receiver;
mod sender;
mod stats;

pub use crate::unicast_fallback::PathChoice;
pub use edge::Edge;
pub use events::{ReceiverEvent, SenderEvent};
pub use following::{Backlog, ReceiverConfig, Target, Trust};
pub use library::{Change, Library, Object, ObjectState};
use output::ip_len;
pub use output::{Burst, Command, Link, ObjectKey, ReadCommand, Run, Slot, Timer, Verdict, Via};
pub use receiver::{ObjectProgress, Receiver};
pub use sender::{ChannelFigures, ReceiverFigures, Sender, SenderConfig, SenderError};
pub use stats::{Counter, DropReason, PacketKind, ReceiverStats, SenderStats};
