//! Packets that are discarded on purpose, before anything looks at them: loss for benchmarks and
//! demonstrations.

use crate::engine::Via;
use crate::rng::Rng;

/// What is discarded, and how much was.
#[derive(Debug)]
pub(crate) struct Discards {
    /// The share of all packets, 0 to below 1.
    share: f64,
    /// All that comes by groups.
    groups: bool,
    rng: Rng,
    packets: u64,
    data: u64,
}

impl Discards {
    pub(crate) fn new(share: f64, groups: bool, rng: Rng) -> Discards {
        Discards {
            share,
            groups,
            rng,
            packets: 0,
            data: 0,
        }
    }

    /// Whether to discard a packet, `of_data` or not.
    pub(crate) fn takes(&mut self, via: Via, of_data: bool) -> bool {
        let takes = (self.groups && via == Via::Group) || self.rng.chance(self.share);
        self.packets += u64::from(takes);
        self.data += u64::from(takes && of_data);
        takes
    }

    /// Packets discarded so far.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Those of them that were data.
    pub(crate) fn data(&self) -> u64 {
        self.data
    }
}
