//! The receiving end of a session.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config;
use crate::engine::{
    Burst, Command, ObjectKey, ReceiverEvent, ReceiverStats, StoreFault, Timer, Verdict, Via,
};
use crate::ids::{BlockNo, ReceiverId};
use crate::range_set::RangeSet;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{ChannelInfo, DataHeader};

/// Where a receiver looks for its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Listen to this group; hearing nothing, ask `GROUP:PORT+1`.
    Group {
        /// Group and port.
        group: SocketAddr,
        /// The only source to take its packets from (SSM).
        source: Option<core::net::IpAddr>,
    },
    /// Ask this host.
    Host(SocketAddr),
}

/// What a receiver is told at its start.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its identity, from 64 random bits.
    pub id: ReceiverId,
    /// Seeds timers.
    pub seed: u64,
    /// Where to look for the sender.
    pub target: Target,
    /// The object wanted; everything that the session offers when none.
    pub name: Option<String>,
    /// Use this path only; by itself finds out when none.
    pub via: Option<Via>,
    /// How long to wait to hear SYNC or data on the group.
    pub sync_timeout: Duration,
    /// How long to wait for a sender to answer.
    pub sender_timeout: Duration,
    /// What the downlink carries, if known.
    pub downlink: Option<Rate>,
    /// The receive buffer in KiB, if known.
    pub buffer_kib: u32,
    /// The most bytes an object may have to be accepted.
    pub max_size: u64,
}

impl ReceiverConfig {
    /// The defaults for a target.
    pub fn new(id: ReceiverId, seed: u64, target: Target) -> ReceiverConfig {
        ReceiverConfig {
            id,
            seed,
            target,
            name: None,
            via: None,
            sync_timeout: config::SYNC_TIMEOUT,
            sender_timeout: config::SENDER_TIMEOUT,
            downlink: None,
            buffer_kib: 0,
            max_size: u64::MAX,
        }
    }
}

/// How far an object has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectProgress {
    /// The object.
    pub object: ObjectKey,
    /// Its source symbols, table and hash pages included.
    pub symbols: u64,
    /// Those that are here.
    pub held: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Bytes verified and on disk.
    pub verified: u64,
    /// Complete and under its name.
    pub complete: bool,
}

/// The receiving end of a session: see the [module](crate::engine) for how to drive it.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    stats: ReceiverStats,
}

impl Receiver {
    /// A receiver that starts at `now`.
    pub fn new(config: ReceiverConfig, now: Time) -> Receiver {
        let _ = now;
        Receiver {
            config,
            stats: ReceiverStats::default(),
        }
    }

    /// A datagram came from `from`. For data the verdict says what to do with the payload, which
    /// starts at byte 32 (36 for a part).
    pub fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        via: Via,
        datagram: &[u8],
    ) -> Verdict {
        let _ = (now, from, via, datagram);
        Verdict::Ignore
    }

    /// A data packet came whose checksum holds; for drivers that have parsed it already.
    pub fn handle_data(&mut self, now: Time, header: &DataHeader, via: Via) -> Verdict {
        let _ = (now, header, via);
        Verdict::Ignore
    }

    /// All parts of a symbol have come: as [`handle_data`](Receiver::handle_data), for the whole symbol.
    pub fn handle_assembled(&mut self, now: Time, header: &DataHeader) -> Verdict {
        let _ = (now, header);
        Verdict::Ignore
    }

    /// A symbol that was to be stored was not: its page does not prove itself, or there was no room.
    pub fn handle_refused(&mut self, now: Time, object: ObjectKey, header: &DataHeader) {
        let _ = (now, object, header);
    }

    /// An object has its place on disk, with these blocks verified from an earlier run; or it can't
    /// be kept.
    pub fn handle_opened(
        &mut self,
        now: Time,
        object: ObjectKey,
        result: Result<RangeSet, StoreFault>,
    ) {
        let _ = (now, object, result);
    }

    /// A block has been hashed and is on disk, or not. A block whose expected hash is not known yet
    /// (its page has not come) is reported when it is.
    pub fn handle_checked(
        &mut self,
        now: Time,
        object: ObjectKey,
        block: BlockNo,
        result: Result<(), StoreFault>,
    ) {
        let _ = (now, object, block, result);
    }

    /// An object is under its name, or could not be put there.
    pub fn handle_finished(
        &mut self,
        now: Time,
        object: ObjectKey,
        result: Result<(), StoreFault>,
    ) {
        let _ = (now, object, result);
    }

    /// A group could not be joined; the text says why. The receiver goes on by unicast.
    pub fn handle_join_failed(&mut self, now: Time, channel: &ChannelInfo, reason: &str) {
        let _ = (now, channel, reason);
    }

    /// What the driver counts and the sender is to know: packets that overflowed its sockets and
    /// packets that the disk was too busy for, since the start.
    pub fn set_local_losses(&mut self, overflowed: u64, stalled: u64) {
        let _ = (overflowed, stalled);
    }

    /// Tells the sender that it leaves, and then [`ReceiverEvent::Finished`].
    pub fn stop(&mut self, now: Time) {
        let _ = now;
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let _ = now;
    }

    /// Fills `burst` with the next control datagram to send; false when there is none.
    pub fn poll_transmit(&mut self, now: Time, burst: &mut Burst) -> bool {
        let _ = (now, burst);
        false
    }

    /// The next thing to do beside sending.
    pub fn poll_command(&mut self) -> Option<Command> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ReceiverEvent> {
        None
    }

    /// When to call [`handle_timeout`](Receiver::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        None
    }

    /// Figures since the start.
    pub fn stats(&self) -> &ReceiverStats {
        &self.stats
    }

    /// How far each object has come.
    pub fn progress(&self) -> impl Iterator<Item = ObjectProgress> + '_ {
        core::iter::empty()
    }

    /// What it was told at its start.
    pub fn config(&self) -> &ReceiverConfig {
        &self.config
    }
}
