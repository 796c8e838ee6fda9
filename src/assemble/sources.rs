//! Whose symbols a block is put together from, once its hash was wrong.
//!
//! Takes note of which addresses each block's symbols came from. One that was wrong and came from
//! several is put together anew from one address at a time, the sender's first. Comes it out right,
//! then those that had a part in the wrong one and none in the right one are shut out for a while.
//! An address proves nothing, as it can be forged: so the sender's own is never shut out, and
//! nobody for long. It sees numbers and addresses, no bytes.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use crate::ids::BlockNo;
use crate::time::Time;

/// Most addresses told apart; the last number stands for all others. A session has one, or two
/// where its sender answers from another than it multicasts from.
const MAX_SOURCES: usize = 16;
/// Most blocks of an object that are taken from one source at a time; more at once are fetched from
/// all.
const MAX_DOUBTED: usize = 4_096;
/// How long nothing is taken from a source that spoilt a block. Long beside what finding out cost,
/// and short enough for one that was shut out because others used its address.
const SHUT_OUT: Duration = Duration::from_secs(60);

/// The number of an address in [`Sources`].
pub type SourceNo = u8;

/// Number of the address that the first sender answers from.
pub const SENDER: SourceNo = 0;

/// Address of a sender that is not known yet.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A set of sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceSet(u16);

impl SourceSet {
    fn of(source: SourceNo) -> SourceSet {
        SourceSet(1 << source)
    }

    fn union(self, other: SourceSet) -> SourceSet {
        SourceSet(self.0 | other.0)
    }

    fn without(self, other: SourceSet) -> SourceSet {
        SourceSet(self.0 & !other.0)
    }

    fn contains(self, source: SourceNo) -> bool {
        self.0 & (1 << source) != 0
    }

    fn first(self) -> Option<SourceNo> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as SourceNo)
    }

    /// The members, ascending.
    pub fn iter(self) -> impl Iterator<Item = SourceNo> {
        (0..MAX_SOURCES as SourceNo).filter(move |&s| self.contains(s))
    }
}

/// The addresses that symbols come from.
#[derive(Debug)]
pub struct Sources {
    /// By number.
    known: Vec<Source>,
    last: usize,
}

#[derive(Debug)]
struct Source {
    address: SocketAddr,
    /// Blocks that it had a part in when they were wrong.
    bad_blocks: u64,
    /// Until when nothing is taken from it.
    shut_until: Time,
    /// A sender that is followed answers from there.
    is_sender: bool,
}

impl Source {
    fn new(address: SocketAddr) -> Source {
        Source {
            address,
            bad_blocks: 0,
            shut_until: Time::ZERO,
            is_sender: false,
        }
    }
}

impl Default for Sources {
    /// Those of one sender that is not known yet.
    fn default() -> Sources {
        let mut sources = Sources {
            known: Vec::new(),
            last: 0,
        };
        sources.add_sender();
        sources
    }
}

impl Sources {
    /// A number for one more sender that is followed. The first has one from the start.
    pub fn add_sender(&mut self) -> SourceNo {
        let at = self.known.len().min(MAX_SOURCES - 1);
        if at == self.known.len() {
            self.known.push(Source::new(NOWHERE));
        }
        self.known[at].is_sender = true;
        at as SourceNo
    }

    /// A sender that is followed answers from here.
    pub fn set_sender(&mut self, sender: SourceNo, address: SocketAddr) {
        self.known[usize::from(sender)].address = address;
        // Data from there may have had another number until now.
        self.last = usize::from(sender);
    }

    /// The number of an address.
    pub fn number(&mut self, address: SocketAddr) -> SourceNo {
        if self.known[self.last].address != address {
            let known = self.known.iter().position(|s| s.address == address);
            self.last = known.unwrap_or(self.known.len()).min(MAX_SOURCES - 1);
            match self.known.get_mut(self.last) {
                Some(source) => source.address = address,
                None => self.known.push(Source::new(address)),
            }
        }
        self.last as SourceNo
    }

    /// The address of a number; of the last, the latest that it stood for.
    pub fn address(&self, source: SourceNo) -> SocketAddr {
        self.known[usize::from(source)].address
    }

    /// A block that they had a part in was wrong; gives their addresses.
    pub fn blame(&mut self, sources: SourceSet) -> Vec<SocketAddr> {
        let mut blame = |s| {
            let source = &mut self.known[usize::from(s)];
            source.bad_blocks += 1;
            source.address
        };
        sources.iter().map(&mut blame).collect()
    }

    /// Who had a part in blocks that were wrong, and in how many.
    pub fn blamed(&self) -> impl Iterator<Item = (SocketAddr, u64)> + '_ {
        let all = self.known.iter().map(|s| (s.address, s.bad_blocks));
        all.filter(|&(_, blocks)| blocks > 0)
    }

    /// Nothing is taken from it now.
    pub fn is_shut_out(&self, now: Time, source: SourceNo) -> bool {
        now < self.known[usize::from(source)].shut_until
    }

    /// Nothing is taken from it for a while, unless it is a sender that is followed; true if
    /// something was until now.
    pub fn shut_out(&mut self, now: Time, source: SourceNo) -> bool {
        if self.known[usize::from(source)].is_sender {
            return false;
        }
        let is_new = !self.is_shut_out(now, source);
        self.known[usize::from(source)].shut_until = now + SHUT_OUT;
        is_new
    }

    /// No more addresses are told apart than may be.
    pub fn is_bounded(&self) -> bool {
        self.known.len() <= MAX_SOURCES
    }
}

/// Where the symbols of one object's blocks came from, as long as they are not verified.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    blocks: BTreeMap<BlockNo, SourceSet>,
    /// Where the last symbol went and came from: the next is most often of the same.
    last: Option<(BlockNo, SourceNo)>,
    doubted: BTreeMap<BlockNo, Doubt>,
}

/// A block that was wrong.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// Who had a part in it.
    among: SourceSet,
    /// The one whose turn it is, and those whose turn is still to come.
    only: SourceNo,
    untried: SourceSet,
    /// Symbols of others that were refused since its last one.
    refused: u16,
}

impl Origins {
    /// A symbol was put into a block.
    pub fn came(&mut self, block: BlockNo, source: SourceNo) {
        if self.last != Some((block, source)) {
            let all = self.blocks.entry(block).or_default();
            *all = all.union(SourceSet::of(source));
            self.last = Some((block, source));
        }
    }

    /// Whether a new symbol of a block may be put into it. One whose turn it is, and who brings
    /// nothing while others bring as many as the `symbols` of the block, has had its turn.
    pub fn takes(&mut self, block: BlockNo, source: SourceNo, symbols: u16) -> bool {
        let Some(doubt) = self.doubted.get_mut(&block) else {
            return true;
        };
        if doubt.only == source {
            doubt.refused = 0;
            return true;
        }
        doubt.refused += 1;
        if doubt.refused >= symbols {
            self.next_turn(block);
        }
        false
    }

    /// The block is right. Those that had a part in it when it was wrong, and none now.
    pub fn verified(&mut self, block: BlockNo) -> SourceSet {
        let now = self.forget(block);
        let before = self.doubted.remove(&block);
        before.map_or(SourceSet::default(), |doubt| doubt.among.without(now))
    }

    /// The block is wrong and will be fetched anew; who had a part in it.
    pub fn failed(&mut self, block: BlockNo) -> SourceSet {
        let all = self.forget(block);
        if let Some(doubt) = self.doubted.get_mut(&block) {
            doubt.among = doubt.among.union(all);
            self.next_turn(block);
        } else if let Some(only) = all.first()
            && all != SourceSet::of(only)
            && self.doubted.len() < MAX_DOUBTED
        {
            let doubt = Doubt {
                among: all,
                only,
                untried: all.without(SourceSet::of(only)),
                refused: 0,
            };
            self.doubted.insert(block, doubt);
        }
        all
    }

    /// Nothing is in doubt, so [`takes`](Origins::takes) need not be asked.
    pub fn is_clear(&self) -> bool {
        self.doubted.is_empty()
    }

    /// Blocks in doubt, and with them blocks begun, have their caps.
    pub fn is_bounded(&self, blocks: u32) -> bool {
        self.doubted.len() <= MAX_DOUBTED && self.blocks.len() <= blocks as usize
    }

    fn forget(&mut self, block: BlockNo) -> SourceSet {
        self.last = None;
        self.blocks.remove(&block).unwrap_or_default()
    }

    /// When all have had their turn, everybody's symbols are taken again.
    fn next_turn(&mut self, block: BlockNo) {
        if let Some(doubt) = self.doubted.get_mut(&block) {
            match doubt.untried.first() {
                Some(only) => {
                    doubt.only = only;
                    doubt.untried = doubt.untried.without(SourceSet::of(only));
                    doubt.refused = 0;
                }
                None => {
                    self.doubted.remove(&block);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: u16 = 3;

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 4_700))
    }

    fn all(set: SourceSet) -> Vec<SourceNo> {
        set.iter().collect()
    }

    /// A block of symbols from these, then what its hash said; who spoilt it.
    fn fill(origins: &mut Origins, from: &[SourceNo], right: bool) -> Vec<SourceNo> {
        let mut taken = 0;
        for &source in from {
            if origins.takes(5, source, SYMBOLS) {
                origins.came(5, source);
                taken += 1;
            }
        }
        assert_eq!(taken, SYMBOLS, "{from:?}");
        let set = if right {
            origins.verified(5)
        } else {
            origins.failed(5)
        };
        all(set)
    }

    #[test]
    fn who_spoilt_a_block_is_found_by_leaving_it_out() {
        let mut origins = Origins::default();
        assert_eq!(fill(&mut origins, &[0, 1, 0], false), [0, 1]);
        assert!(!origins.is_clear());
        // Only the sender's are taken now.
        assert_eq!(fill(&mut origins, &[0, 1, 0, 1, 0], true), [1]);
        assert!(origins.is_clear() && origins.blocks.is_empty());
        // One that was right at once accuses nobody.
        assert_eq!(fill(&mut origins, &[0, 1, 0], true), [0u8; 0]);
    }

    #[test]
    fn where_the_first_fails_alone_the_next_has_its_turn_and_then_all() {
        let mut origins = Origins::default();
        fill(&mut origins, &[2, 0, 0], false);
        fill(&mut origins, &[0, 0, 0], false);
        // The sender's address is somebody else's too; it is the sender's part to be believed.
        assert_eq!(fill(&mut origins, &[0, 2, 2, 2], true), [0]);
        fill(&mut origins, &[2, 0, 0], false);
        fill(&mut origins, &[0, 0, 0], false);
        fill(&mut origins, &[2, 2, 2], false);
        assert!(origins.is_clear());
        fill(&mut origins, &[0, 2, 0], true);
    }

    #[test]
    fn who_brings_nothing_does_not_hold_up_the_others() {
        let mut origins = Origins::default();
        fill(&mut origins, &[0, 1, 1], false);
        // The third symbol refused ends the turn of 0.
        let spoilt = fill(&mut origins, &[1, 0, 1, 1, 1, 1, 1], true);
        assert_eq!(spoilt, [0u8; 0], "0 had a part in the right one as well");
    }

    #[test]
    fn one_source_alone_is_never_doubted() {
        let mut origins = Origins::default();
        assert_eq!(fill(&mut origins, &[3, 3, 3], false), [3]);
        assert!(origins.is_clear());
        for block in 0..2 * MAX_DOUBTED as u32 {
            origins.came(block, 0);
            origins.came(block, 1);
            origins.failed(block);
        }
        assert!(origins.is_bounded(0));
    }

    #[test]
    fn addresses_are_few_and_the_sender_stays() {
        let now = Time::from_millis(5);
        let mut sources = Sources::default();
        sources.set_sender(SENDER, address(0));
        for n in 0..1_000 {
            assert_eq!(
                usize::from(sources.number(address(n))),
                usize::from(n).min(15)
            );
        }
        assert!(sources.is_bounded());
        assert_eq!(sources.number(address(0)), SENDER);
        assert_eq!(sources.address(15), address(999));
        let spoilt = SourceSet::of(0).union(SourceSet::of(15));
        assert_eq!(sources.blame(spoilt), [address(0), address(999)]);
        assert!(sources.blamed().eq([(address(0), 1), (address(999), 1)]));
        assert!(!sources.shut_out(now, SENDER) && !sources.is_shut_out(now, SENDER));
        assert!(sources.shut_out(now, 3) && !sources.shut_out(now, 3));
        assert!(sources.is_shut_out(now, 3) && !sources.is_shut_out(now, 4));
        assert!(!sources.is_shut_out(now + SHUT_OUT, 3));
        assert_eq!(sources.number(address(3)), 3);
        sources.set_sender(SENDER, address(3));
        assert_eq!(sources.number(address(3)), SENDER);
    }
}
