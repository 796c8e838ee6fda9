//! What must hold at every step of a run, whatever the network does.

use std::collections::BTreeMap;

use crate::engine::{ObjectKey, Receiver, Sender, Timer};
use crate::ids::{BlockNo, ChannelNo, PacketNo, SessionId};
use crate::object::{Description, Geometry};
use crate::range_set::RangeSet;
use crate::symbol_set::SymbolSet;
use crate::time::Time;
use crate::units::Rate;
use crate::wire::{self, DataHeader, MAX_PACKET_LEN, Packet};

/// Wake-ups of one engine at one moment: a few are work in steps, many are a loop.
const WAKES: u32 = 64;

/// Watches a run and panics when something is wrong.
#[derive(Debug)]
pub(super) struct Checker {
    /// What was sent, beside the rate and beside what it may be while lost time is made up for.
    sent: [Meter; 2],
    /// The least packet number that a channel may use next.
    packets: BTreeMap<(SessionId, ChannelNo), PacketNo>,
    /// The least counter that a receiver may use next.
    counters: BTreeMap<u32, u64>,
    held: BTreeMap<(u32, ObjectKey), Held>,
    /// By engine: wake-ups asked for at this moment.
    wakes: BTreeMap<Engine, (Time, u32)>,
}

/// In no stretch of time may more be sent than the rate, a burst (2 ms of it, or 128 KiB but no more than 8 ms), some
/// more milliseconds of the rate, and the packet that was begun when that was reached.
#[derive(Debug)]
struct Meter {
    rate: Rate,
    most: i128,
    /// Beyond the rate, in billionths of a bit, and when that was right.
    excess: i128,
    at: Time,
}

const NANOBITS: i128 = 8_000_000_000;

impl Meter {
    fn new(rate: Rate, more_ms: u64) -> Meter {
        let in_ms = |ms| rate.as_bps() / 8 * ms / 1_000;
        let burst = in_ms(2).max(in_ms(8).min(131_072)) + MAX_PACKET_LEN as u64;
        Meter {
            rate,
            most: i128::from(burst + in_ms(more_ms)) * NANOBITS,
            excess: 0,
            at: Time::ZERO,
        }
    }

    fn sent(&mut self, now: Time, bytes: u64) {
        let earned = now.since(self.at).as_nanos() as i128 * i128::from(self.rate.as_bps());
        self.excess = (self.excess - earned).max(0) + i128::from(bytes) * NANOBITS;
        self.at = now;
        assert!(
            self.excess <= self.most,
            "at {now:?} the sender is {} bytes over its rate",
            self.excess / NANOBITS
        );
    }
}

/// An engine by the number of its machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Engine {
    Sender(u32),
    Receiver(u32),
}

/// What a receiver was given of an object.
#[derive(Debug)]
struct Held {
    geometry: Geometry,
    /// From an earlier run.
    kept: RangeSet,
    blocks: BTreeMap<BlockNo, SymbolSet>,
    count: u64,
}

impl Checker {
    pub(super) fn new(rate: Rate) -> Checker {
        Checker {
            sent: [Meter::new(rate, 50), Meter::new(rate.mul_f64(1.25), 0)],
            packets: BTreeMap::new(),
            counters: BTreeMap::new(),
            held: BTreeMap::new(),
            wakes: BTreeMap::new(),
        }
    }

    /// The sender sent so many IP bytes.
    pub(super) fn sent(&mut self, now: Time, bytes: u64) {
        for meter in &mut self.sent {
            meter.sent(now, bytes);
        }
    }

    pub(super) fn sent_data(&mut self, headers: &[DataHeader]) {
        for header in headers {
            let next = self
                .packets
                .entry((header.session, header.channel))
                .or_default();
            assert!(header.packet >= *next, "{header:?} uses a number again");
            *next = header.packet + 1;
        }
    }

    pub(super) fn receiver_sent(&mut self, host: u32, datagram: &[u8]) {
        let Ok(Packet::FromReceiver(packet)) = wire::parse(datagram) else {
            panic!("receiver {host} sent what does not parse");
        };
        let next = self.counters.entry(host).or_default();
        assert!(packet.counter >= *next, "{packet:?} uses a counter again");
        *next = packet.counter + 1;
    }

    pub(super) fn opened(
        &mut self,
        host: u32,
        object: ObjectKey,
        description: &Description,
        kept: &RangeSet,
    ) {
        let geometry = description.geometry;
        let symbols = |block| u64::from(geometry.symbols(block as BlockNo));
        let held = Held {
            geometry,
            blocks: BTreeMap::new(),
            count: kept.iter().flatten().map(symbols).sum(),
            kept: kept.clone(),
        };
        let before = self.held.insert((host, object), held);
        assert!(before.is_none(), "receiver {host} opened {object:?} twice");
    }

    pub(super) fn stored(&mut self, host: u32, object: ObjectKey, header: &DataHeader) {
        let held = self.held.get_mut(&(host, object));
        let held = held.unwrap_or_else(|| panic!("{object:?} was never opened by {host}"));
        assert!(
            held.geometry.has(header.block, header.symbol),
            "{header:?} lies outside the object"
        );
        let kept = held.kept.contains(u64::from(header.block));
        assert!(!kept, "receiver {host} stores {header:?}, which it had");
        let new = held
            .blocks
            .entry(header.block)
            .or_default()
            .insert(header.symbol);
        assert!(new, "receiver {host} stores {header:?} twice");
        held.count += 1;
    }

    /// A page that was stored does not prove itself.
    pub(super) fn refused(&mut self, host: u32, object: ObjectKey, header: &DataHeader) {
        if let Some(held) = self.held.get_mut(&(host, object))
            && let Some(block) = held.blocks.get_mut(&header.block)
            && block.remove(header.symbol)
        {
            held.count -= 1;
        }
    }

    /// A block was found to be damaged; the receiver has been told.
    pub(super) fn block_was_wrong(
        &mut self,
        host: u32,
        receiver: &Receiver,
        object: ObjectKey,
        block: BlockNo,
        expected: bool,
    ) {
        assert!(
            expected,
            "block {block} of {object:?} at receiver {host} has wrong bytes"
        );
        let Some(held) = self.held.get_mut(&(host, object)) else {
            return;
        };
        // One that has ended keeps what it has.
        let holds = receiver.progress().find(|p| p.object == object);
        if holds.is_some_and(|p| p.held < held.count)
            && let Some(set) = held.blocks.remove(&block)
        {
            held.count -= set.len() as u64;
        }
    }

    pub(super) fn sender_drained(&mut self, now: Time, server: u32, sender: &Sender) {
        if let Err(what) = sender.check_bounds() {
            panic!("at {now:?}: {what}");
        }
        self.wake(now, Engine::Sender(server), sender.poll_timeout());
    }

    pub(super) fn host_drained(&mut self, now: Time, host: u32, receiver: &Receiver) {
        if let Err(what) = receiver.check_bounds() {
            panic!("at {now:?}, receiver {host}: {what}");
        }
        for progress in receiver.progress() {
            let Some(held) = self.held.get(&(host, progress.object)) else {
                continue;
            };
            assert_eq!(
                progress.held, held.count,
                "at {now:?} receiver {host} has lost count of {progress:?}"
            );
            assert!(
                progress.held <= progress.symbols && progress.verified <= progress.length,
                "{progress:?}"
            );
        }
        self.wake(now, Engine::Receiver(host), receiver.poll_timeout());
    }

    fn wake(&mut self, now: Time, who: Engine, at: Option<(Time, Timer)>) {
        let entry = self.wakes.entry(who).or_insert((now, 0));
        if entry.0 != now {
            *entry = (now, 0);
        }
        if at.is_some_and(|(at, _)| at <= now) {
            entry.1 += 1;
            assert!(
                entry.1 <= WAKES,
                "{who:?} asks again and again to be woken at {now:?} by {at:?}"
            );
        }
    }
}
