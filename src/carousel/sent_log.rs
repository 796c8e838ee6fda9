//! What left on a channel under which packet numbers.

use core::hash::BuildHasherDefault;
use core::iter;
use std::collections::{HashMap, VecDeque};
use std::hash::DefaultHasher;

use crate::ids::{BlockNo, PacketNo, SymbolNo};
use crate::symbol_set::SymbolSet;

/// The latest data packets of a channel, as runs of consecutive symbols.
///
/// A NAK says up to which packet number its sender has seen; what left from there on is on its way
/// and not lacking. Exact as long as the log reaches back to that number: it holds
/// [`RUNS`](SentLog::RUNS) runs. What a NAK costs to look up does not grow with how far back that
/// is, but with the runs of the blocks that it names.
#[derive(Clone, Debug, Default)]
pub struct SentLog {
    runs: VecDeque<SentRun>,
    /// Runs that there were before those.
    gone: u64,
    /// The latest run of each block that has one, counted from the first ever. Nothing goes through
    /// it in order, so that it need not have one, and a run that leaves costs a quarter of what it
    /// costs with one.
    latest: HashMap<(u32, BlockNo), u64, BuildHasherDefault<DefaultHasher>>,
}

#[derive(Clone, Copy, Debug)]
struct SentRun {
    packet: PacketNo,
    object: u32,
    block: BlockNo,
    first: SymbolNo,
    count: u16,
    /// The run of this block before.
    before: Option<u64>,
}

impl SentRun {
    /// The packet after its last.
    fn end(&self) -> PacketNo {
        self.packet + u64::from(self.count)
    }
}

impl SentLog {
    /// Runs that are remembered. A run is about 1 ms of fresh data, so this is seconds of it, and
    /// at least this many single repairs.
    pub const RUNS: usize = 8_192;

    /// An empty log.
    pub fn new() -> SentLog {
        SentLog::default()
    }

    /// The symbols left, one packet each, the first as packet `packet`.
    pub fn sent(&mut self, packet: PacketNo, object: u32, block: BlockNo, symbols: &[SymbolNo]) {
        for (packet, &symbol) in (packet..).zip(symbols) {
            match self.runs.back_mut() {
                Some(run)
                    if run.object == object
                        && run.block == block
                        && run.end() == packet
                        && u32::from(run.first) + u32::from(run.count) == u32::from(symbol)
                        && run.count < 64 =>
                {
                    run.count += 1;
                }
                _ => {
                    if self.runs.len() == SentLog::RUNS {
                        self.forget_first();
                    }
                    let number = self.gone + self.runs.len() as u64;
                    self.runs.push_back(SentRun {
                        packet,
                        object,
                        block,
                        first: symbol,
                        count: 1,
                        before: self.latest.insert((object, block), number),
                    });
                }
            }
        }
    }

    fn forget_first(&mut self) {
        let Some(run) = self.runs.pop_front() else {
            return;
        };
        let block = (run.object, run.block);
        if self.latest.get(&block) == Some(&self.gone) {
            self.latest.remove(&block);
        }
        self.gone += 1;
    }

    /// Runs of the block with packets from `seen_to` on, latest first.
    fn since(
        &self,
        seen_to: PacketNo,
        object: u32,
        block: BlockNo,
    ) -> impl Iterator<Item = &SentRun> {
        let run = |number: u64| {
            self.runs
                .get(usize::try_from(number.checked_sub(self.gone)?).ok()?)
        };
        let latest = self.latest.get(&(object, block));
        let ours = iter::successors(latest.and_then(|&n| run(n)), move |r| run(r.before?));
        ours.take_while(move |run| run.end() > seen_to)
    }

    /// How many packets of the block left as packet `seen_to` or later.
    pub fn count_since(&self, seen_to: PacketNo, object: u32, block: BlockNo) -> usize {
        let ours = self.since(seen_to, object, block);
        ours.map(|run| (run.end() - run.packet.max(seen_to)) as usize)
            .sum()
    }

    /// Takes out of `missing` what left as packet `seen_to` or later.
    pub fn subtract_since(
        &self,
        seen_to: PacketNo,
        object: u32,
        block: BlockNo,
        missing: &mut SymbolSet,
    ) {
        for run in self.since(seen_to, object, block) {
            let skip = seen_to.saturating_sub(run.packet) as u16;
            missing.remove_range(run.first + skip..run.first + run.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_left_later_is_subtracted() {
        let mut log = SentLog::new();
        log.sent(0, 1, 5, &[0, 1, 2, 3]);
        log.sent(4, 1, 6, &[0, 1]);
        log.sent(6, 1, 5, &[1, 3]);
        let mut missing = SymbolSet::full(4);
        log.subtract_since(2, 1, 5, &mut missing);
        assert_eq!(
            missing.iter().collect::<Vec<_>>(),
            [0],
            "1 and 3 left again, 2 and 3 were not yet seen"
        );
        let mut missing = SymbolSet::full(4);
        log.subtract_since(4, 1, 5, &mut missing);
        assert_eq!(missing.iter().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(log.count_since(2, 1, 5), 4);
        assert_eq!(log.count_since(7, 1, 5), 1);
        let mut other = SymbolSet::full(4);
        log.subtract_since(0, 2, 5, &mut other);
        assert_eq!(other.len(), 4, "another object's symbols are its own");
    }

    #[test]
    fn it_is_bounded() {
        let mut log = SentLog::new();
        for p in 0..3 * SentLog::RUNS as u64 {
            log.sent(p, 0, 0, &[(p * 7 % 512) as u16]);
        }
        assert_eq!(log.runs.len(), SentLog::RUNS);
        assert_eq!(log.latest.len(), 1);
        for p in 3 * SentLog::RUNS as u64..4 * SentLog::RUNS as u64 {
            log.sent(p, 0, 1, &[(p * 7 % 512) as u16]);
        }
        assert_eq!((log.latest.len(), log.count_since(0, 0, 0)), (1, 0));
    }

    proptest! {
        /// More runs than it holds, of a few blocks.
        #[test]
        fn it_knows_what_a_list_of_all_packets_knows(
            sent in prop::collection::vec((0u32..2, 0u32..3, 0u16..60, 1u16..5), 1..200),
            back in 0u64..1_000,
        ) {
            let mut log = SentLog::new();
            let mut all = Vec::new();
            for i in 0..SentLog::RUNS {
                log.sent(i as u64, 9, 9, &[(i * 2 % 512) as u16]);
            }
            for (object, block, first, count) in sent {
                let packet = (SentLog::RUNS + all.len()) as u64;
                let symbols: Vec<u16> = (first..first + count).collect();
                log.sent(packet, object, block, &symbols);
                all.extend(symbols.iter().map(|&s| (object, block, s)));
            }
            let from = all.len().saturating_sub(back as usize);
            let seen_to = (SentLog::RUNS + from) as u64;
            for (object, block) in [(0, 0), (0, 2), (1, 1)] {
                let ours = all[from..].iter().filter(|p| (p.0, p.1) == (object, block));
                let mut missing = SymbolSet::full(64);
                for p in ours.clone() {
                    missing.remove_range(p.2..p.2 + 1);
                }
                let mut left = SymbolSet::full(64);
                log.subtract_since(seen_to, object, block, &mut left);
                prop_assert_eq!(left, missing);
                prop_assert_eq!(log.count_since(seen_to, object, block), ours.count());
            }
            prop_assert!(log.latest.len() <= log.runs.len() && log.runs.len() == SentLog::RUNS);
        }
    }
}
