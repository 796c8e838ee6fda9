//! What left on a channel under which packet numbers.

use std::collections::VecDeque;

use crate::ids::{BlockNo, PacketNo, SymbolNo};
use crate::symbol_set::SymbolSet;

/// The latest data packets of a channel, as runs of consecutive symbols.
///
/// A NAK says up to which packet number its sender has seen; what left from there on is on its way
/// and not lacking. Exact as long as the log reaches back to that number: it holds
/// [`RUNS`](SentLog::RUNS) runs.
#[derive(Clone, Debug, Default)]
pub struct SentLog {
    runs: VecDeque<SentRun>,
}

#[derive(Clone, Copy, Debug)]
struct SentRun {
    packet: PacketNo,
    object: u32,
    block: BlockNo,
    first: SymbolNo,
    count: u16,
}

impl SentLog {
    /// Runs that are remembered. A run is about 1 ms of fresh data, so this is seconds of it, and at
    /// least this many single repairs.
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
                        && run.packet + u64::from(run.count) == packet
                        && u32::from(run.first) + u32::from(run.count) == u32::from(symbol)
                        && run.count < 64 =>
                {
                    run.count += 1;
                }
                _ => {
                    if self.runs.len() == SentLog::RUNS {
                        self.runs.pop_front();
                    }
                    self.runs.push_back(SentRun {
                        packet,
                        object,
                        block,
                        first: symbol,
                        count: 1,
                    });
                }
            }
        }
    }

    /// How many packets of the block left as packet `seen_to` or later.
    pub fn count_since(&self, seen_to: PacketNo, object: u32, block: BlockNo) -> usize {
        let end = |run: &SentRun| run.packet + u64::from(run.count);
        let since = self.runs.iter().rev().take_while(|run| end(run) > seen_to);
        let ours = since.filter(|run| run.object == object && run.block == block);
        ours.map(|run| (end(run) - run.packet.max(seen_to)) as usize)
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
        for run in self.runs.iter().rev() {
            let end = run.packet + u64::from(run.count);
            if end <= seen_to {
                break;
            }
            if run.object == object && run.block == block {
                let skip = seen_to.saturating_sub(run.packet) as u16;
                missing.remove_range(run.first + skip..run.first + run.count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
    }
}
