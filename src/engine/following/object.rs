//! Objects as the session sends them: where they run, what the sender has passed, what to ask for.

use core::ops::Range;

use crate::assemble::Holdings;
use crate::engine::{Library, Object, ObjectKey};
use crate::ids::{BlockNo, ChannelNo};
use crate::nak::{NakTable, Timing};
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::{ChannelInfo, Position};

/// An object of the session that is wanted.
#[derive(Debug)]
pub(super) struct ObjectRx {
    key: ObjectKey,
    /// The channels that it runs on, one for each tier.
    pub(super) channels: Vec<ChannelInfo>,
    /// The one of them that is listened to.
    pub(super) channel: Option<ChannelInfo>,
    pub(super) naks: NakTable,
    /// The sender's cycle, once SYNC has told it, and block, as last seen on the channel.
    cursor: Option<(Option<u32>, BlockNo)>,
    /// The session offers it no more, while others do.
    dropped: bool,
}

impl ObjectRx {
    fn new(key: ObjectKey) -> ObjectRx {
        ObjectRx {
            dropped: false,
            key,
            channels: Vec::new(),
            channel: None,
            naks: NakTable::new(),
            cursor: None,
        }
    }

    /// Its number in the library.
    pub(super) fn key(&self) -> ObjectKey {
        self.key
    }

    /// It runs on this channel, as far as is known.
    pub(super) fn runs_on(&self, number: ChannelNo) -> bool {
        self.channel.is_some_and(|c| c.number == number)
    }

    /// What is said on a channel goes for this object: each tier walks from another place. While it
    /// is not known where the object runs, whatever is heard of it does.
    pub(super) fn listens_on(&self, number: ChannelNo) -> bool {
        self.channel.is_none_or(|c| c.number == number)
    }

    /// A fresh data packet, the newest on the channel, came from this block.
    pub(super) fn saw_data(
        &mut self,
        now: Time,
        holdings: &Holdings,
        block: BlockNo,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let Some((cycle, at)) = self.cursor else {
            self.cursor = Some((None, block));
            return;
        };
        if block > at {
            self.pass(now, holdings, at..block, timing, rng);
            self.cursor = Some((cycle, block));
        } else if block < at {
            // The next cycle has begun.
            let blocks = holdings.geometry().blocks();
            self.pass(now, holdings, at..blocks, timing, rng);
            self.pass(now, holdings, 0..block, timing, rng);
            self.cursor = Some((cycle.map(|c| c.wrapping_add(1)), block));
        }
    }

    /// SYNC told the position.
    pub(super) fn saw_position(
        &mut self,
        now: Time,
        holdings: &Holdings,
        position: Position,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let blocks = holdings.geometry().blocks();
        let to = position.block.min(blocks);
        let cycle = Some(position.cycle);
        match self.cursor {
            Some((known, at)) if known == cycle || known.is_none() && to >= at => {
                self.pass(now, holdings, at..to, timing, rng);
                self.cursor = Some((cycle, at.max(to)));
            }
            Some((_, at)) => {
                self.pass(now, holdings, at..blocks, timing, rng);
                self.pass(now, holdings, 0..to, timing, rng);
                self.cursor = Some((cycle, to));
            }
            None => self.cursor = Some((cycle, to)),
        }
    }

    /// The sender has nothing more to send unless it is told what is lacking.
    pub(super) fn saw_end(
        &mut self,
        now: Time,
        holdings: &Holdings,
        timing: Timing,
        rng: &mut Rng,
    ) {
        self.naks.answered(now, timing, rng);
        let blocks = holdings.geometry().blocks();
        self.pass(now, holdings, 0..blocks, timing, rng);
    }

    /// The sender takes it that what it has passed is here, as far as it is not told otherwise.
    pub(super) fn catch_up(
        &mut self,
        now: Time,
        holdings: &Holdings,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let blocks = holdings.geometry().blocks();
        let to = self.cursor.map_or(blocks, |(_, block)| block);
        self.pass(now, holdings, 0..to, timing, rng);
    }

    fn pass(
        &mut self,
        now: Time,
        holdings: &Holdings,
        blocks: Range<BlockNo>,
        timing: Timing,
        rng: &mut Rng,
    ) {
        let mut at = blocks.start;
        let mut passed = 0;
        while let Some(block) = holdings.next_incomplete(at, blocks.end) {
            self.naks.passed(now, block, timing, rng);
            at = block + 1;
            passed += 1;
            if passed >= NakTable::MAX_ENTRIES {
                break;
            }
        }
    }

    /// The sender's position is not known any more.
    pub(super) fn lose_position(&mut self) {
        self.cursor = None;
        self.naks.clear();
    }
}

/// The objects that a session offers and that are wanted, or were.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// By key.
    known: Vec<ObjectRx>,
}

impl Objects {
    /// An object was offered. One that was dropped counts again.
    pub(super) fn add(&mut self, key: ObjectKey) {
        match self.place(key) {
            Ok(at) => self.known[at].dropped = false,
            Err(at) => self.known.insert(at, ObjectRx::new(key)),
        }
    }

    /// An object was offered, and still is.
    pub(super) fn has(&self, key: ObjectKey) -> bool {
        self.place(key).is_ok_and(|at| !self.known[at].dropped)
    }

    /// The session offers an object no more.
    pub(super) fn drop(&mut self, key: ObjectKey) {
        if let Some(rx) = self.get_mut(key) {
            rx.naks.clear();
            rx.dropped = true;
        }
    }

    /// An object by its key.
    pub(super) fn get_mut(&mut self, key: ObjectKey) -> Option<&mut ObjectRx> {
        let at = self.place(key).ok()?;
        Some(&mut self.known[at])
    }

    /// Where an object stands, or belongs. Most often its place is its number.
    fn place(&self, key: ObjectKey) -> Result<usize, usize> {
        let at = key.0 as usize;
        match self.known.get(at) {
            Some(rx) if rx.key == key => Ok(at),
            _ => self.known.binary_search_by_key(&key, |rx| rx.key),
        }
    }

    /// Every object.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ObjectRx> {
        self.known.iter()
    }

    /// Every object, to change it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ObjectRx> {
        self.known.iter_mut()
    }

    /// Objects that something is lacking of.
    pub(super) fn lacking<'a>(
        &'a self,
        library: &'a Library,
    ) -> impl Iterator<Item = (&'a ObjectRx, &'a Object)> {
        self.with(library).filter(|(_, o)| o.is_lacking())
    }

    /// Objects that have not ended.
    pub(super) fn active<'a>(
        &'a self,
        library: &'a Library,
    ) -> impl Iterator<Item = (&'a ObjectRx, &'a Object)> {
        self.with(library).filter(|(_, o)| !o.has_ended())
    }

    fn with<'a>(
        &'a self,
        library: &'a Library,
    ) -> impl Iterator<Item = (&'a ObjectRx, &'a Object)> {
        let offered = self.known.iter().filter(|rx| !rx.dropped);
        offered.filter_map(|rx| Some((rx, library.get(rx.key)?)))
    }

    /// The same objects as [`lacking`](Objects::lacking), to change what is known of them here.
    pub(super) fn lacking_mut<'a>(
        &'a mut self,
        library: &'a Library,
    ) -> impl Iterator<Item = (&'a mut ObjectRx, &'a Object)> {
        let offered = self.known.iter_mut().filter(|rx| !rx.dropped);
        offered.filter_map(|rx| {
            let object = library.get(rx.key).filter(|o| o.is_lacking())?;
            Some((rx, object))
        })
    }

    /// The sender's position is not known any more on any object.
    pub(super) fn lose_position(&mut self) {
        self.known.iter_mut().for_each(ObjectRx::lose_position);
    }

    /// A block is here as a whole: it need not be asked for.
    pub(super) fn filled(&mut self, key: ObjectKey, block: BlockNo) {
        if let Some(rx) = self.get_mut(key) {
            rx.naks.filled(block);
        }
    }

    /// Nothing of an object is to be asked for any more.
    pub(super) fn ask_nothing(&mut self, key: ObjectKey) {
        if let Some(rx) = self.get_mut(key) {
            rx.naks.clear();
        }
    }

    /// Blocks that the sender has passed and that something is lacking of.
    pub(super) fn waiting(&self) -> usize {
        self.known.iter().map(|rx| rx.naks.len()).sum()
    }

    /// No more blocks of an object wait to be asked for than may.
    pub(super) fn is_bounded(&self) -> bool {
        let within = |rx: &ObjectRx| rx.naks.len() <= NakTable::MAX_ENTRIES;
        self.known.iter().all(within)
    }
}
